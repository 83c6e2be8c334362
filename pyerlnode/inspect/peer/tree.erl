%% Applications and their supervision trees. A supervisor is asked by a worker of its own, which has `time` ms for it, so one that
%% does not answer costs one line. Children are counted before they are asked for, and at most `limit` of one supervisor are told.
fun(#{root := Root, limit := Limit, depth := Depth, time := Time, most := Most}, #{find := Find, label := Label}) ->
    Asked = fun(Do) ->
        Self = self(),
        Tag = make_ref(),
        Work = fun() -> Self ! {Tag, try {ok, Do()} catch _:_ -> failed end} end,
        Pid = erlang:spawn_opt(Work, [link, {priority, low}]),
        receive
            {Tag, Answer} -> Answer
        after Time ->
            unlink(Pid),
            exit(Pid, kill),
            late
        end
    end,
    Name = fun(P) ->
        case process_info(P, registered_name) of
            {_, N} -> {N, Label(P)};
            [] -> {[], Label(P)};
            undefined -> {[], undefined}
        end
    end,
    Labels = fun(Ps) ->
        case erlang:function_exported(proc_lib, get_label, 1) of
            true -> lists:map(fun proc_lib:get_label/1, Ps);
            false -> lists:duplicate(length(Ps), undefined)
        end
    end,
    Counted = fun(P) ->
        try
            Counts = supervisor:count_children(P),
            case proplists:get_value(workers, Counts) + proplists:get_value(supervisors, Counts) of
                Many when Many > Most -> {many, Many};
                _ -> {children, supervisor:which_children(P)}
            end
        catch
            exit:{Reason, _} -> {gone, Reason}
        end
    end,
    Node = fun Node(Id, P, Kind, Modules, Level) ->
        Here = is_pid(P) andalso node(P) =:= node(),
        {Called, Marked} = case Here of true -> Name(P); false -> {[], undefined} end,
        Below =
            case Kind of
                supervisor when is_pid(P), Level >= Depth -> deep;
                supervisor when is_pid(P) ->
                    case Asked(fun() -> Counted(P) end) of
                        {ok, {children, Children}} ->
                            Shown = lists:sublist(lists:reverse(Children), Limit),
                            %% Workers go home as they came, their names beside them: a step for each takes 0.3 ms here.
                            Self = self(),
                            Pids = [case is_pid(C) andalso node(C) =:= node() of true -> C; _ -> Self end || {_, C, _, _} <- Shown],
                            Names = lists:zipwith(fun erlang:process_info/2, Pids, lists:duplicate(length(Pids), registered_name)),
                            Tag = make_ref(),
                            %% Supervisors in parallel: each may wait for its own.
                            Begun = [
                                erlang:spawn_opt(fun() -> Self ! {Tag, self(), Node(I, C, K, M, Level + 1)} end, [link, {priority, low}])
                             || {I, C, K, M} <- Shown, K =:= supervisor
                            ],
                            Got = fun(Pid) -> receive {Tag, Pid, Tree} -> Tree end end,
                            {length(Children), Shown, Names, Labels(Pids), lists:map(Got, Begun)};
                        {ok, Other} -> Other;
                        Other -> Other
                    end;
                _ -> none
            end,
        {Id, P, Kind, Called, Marked, Modules, Below}
    end,
    Top = fun(App) ->
        case application_controller:get_master(App) of
            undefined -> {App, none, none};
            Master ->
                case Asked(fun() -> application_master:get_child(Master) end) of
                    {ok, {P, Module}} when is_pid(P) ->
                        Kind =
                            case proc_lib:translate_initial_call(P) of
                                {supervisor, _, _} -> supervisor;
                                {'Elixir.DynamicSupervisor', _, _} -> supervisor;
                                _ -> case Asked(fun() -> supervisor:count_children(P) end) of {ok, [_ | _]} -> supervisor; _ -> worker end
                            end,
                        {App, Module, Node(App, P, Kind, [Module], 0)};
                    late -> {App, none, late};
                    _ -> {App, none, none}
                end
        end
    end,
    case Root of
        all -> {apps, [Top(A) || {A, _, _} <- lists:sort(application:which_applications(Time))]};
        {app, App} -> {apps, [Top(App)]};
        {process, Who} ->
            case Find(Who) of
                none -> none;
                P -> {tree, Node(undefined, P, supervisor, [], 0)}
            end
    end
end.
