%% One script for two supervisors: OTP's own, and one in Python. `run/3` starts a supervisor at `Where`, takes it
%% through the steps and gives what was seen, with names in the place of pids.
%%
%% Children of both kinds ask the recorder how to start ({starting, Id}), and tell it of their start and of their
%% terminate, by calls: so what the recorder notes stands in the order in which it happened.
-module(tree).
-behaviour(gen_server).
-export([run/3, normal/2, start_parent/3, start_leaf/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, log/2]).

%% --- the driver ------------------------------------------------------------------------------
%% Where: beam, or {Name, Node} of a process that obeys {start_parent, Recorder, Flags, Specs}.
run(Where, #{flags := Flags, children := Children} = Scenario, Steps) ->
    {ok, Recorder} = gen_server:start(?MODULE, {recorder, maps:get(plans, Scenario, #{}), maps:get(options, Scenario, #{})}, []),
    Specs = [spec(Recorder, Child) || Child <- Children],
    %% Many that run at once have one handler, that of `diff_trees`.
    Handler = maps:get(handler, Scenario, ?MODULE),
    Handler =:= ?MODULE andalso logger:add_handler(Handler, ?MODULE, #{level => error, config => #{recorder => Recorder}}),
    Started =
        case Where of
            beam -> start_parent(Recorder, Flags, Specs);
            _ -> gen_server:call(Where, {start_parent, Recorder, Flags, Specs}, 20000)
        end,
    try
        Seen =
            case Started of
                {ok, Parent, Sup} when is_pid(Sup) ->
                    put(monitor, monitor(process, Sup)),
                    put(specs, Specs),
                    First = observe(Recorder, Sup),
                    [[started, First] | [step(Step, Recorder, Parent, Sup) || Step <- Steps]];
                Other ->
                    [[Other, observe(Recorder, undefined)]]
            end,
        Names = gen_server:call(Recorder, names),
        Root = case Started of {ok, P, S} -> #{P => parent, S => sup}; _ -> #{} end,
        Reports = [R || {Ours, R} <- gen_server:call(Recorder, reports), Ours =:= Recorder],
        All = maps:merge(Names#{Recorder => recorder}, Root),
        {normal(Seen, All), normal(Reports, All), All}
    after
        Handler =:= ?MODULE andalso logger:remove_handler(Handler),
        case Started of
            {ok, Alive, Below} -> [begin unlink(P1), exit(P1, kill) end || P1 <- [Alive, Below], is_pid(P1)];
            _ -> ok
        end,
        gen_server:stop(Recorder)
    end.

spec(_, Spec) when not is_map(Spec) -> Spec;
spec(_, #{start := {_, _, _}} = Spec) -> Spec;
spec(_, #{start := none} = Spec) -> maps:remove(start, Spec);
spec(Recorder, #{id := Id} = Spec) ->
    Args = case maps:get(args, Spec, id) of id -> [Recorder, Id]; none -> [Recorder] end,
    (maps:remove(args, Spec))#{start => {?MODULE, start_leaf, Args}};
spec(_, Spec) -> Spec.

step(Step, Recorder, Parent, Sup) ->
    put(step, Step),
    Result =
        try do(Step, Recorder, Parent, Sup)
        catch
            exit:{Reason, {gen_server, call, _}} -> {exit, Reason};
            exit:Reason when element(1, Step) =:= stop_supervisor -> {exit, Reason};
            throw:never_started -> skipped
        end,
    [Step, Result, observe(Recorder, Sup)].

do({call, {start_child, #{} = Spec}}, Recorder, _, Sup) ->
    gen_server:call(Sup, {start_child, spec(Recorder, Spec)}, infinity);
do({call, {on_pid, Request, Id}}, Recorder, _, Sup) ->
    gen_server:call(Sup, {Request, pid(Recorder, Id)}, infinity);
do({call, Request}, _, _, Sup) ->
    sorted(Request, gen_server:call(Sup, Request, infinity));
do({exit, Id, Reason}, Recorder, _, _) ->
    Pid = pid(Recorder, Id),
    Monitor = monitor(process, Pid),
    exit(Pid, Reason),
    receive {'DOWN', Monitor, _, _, Why} -> {down, Why} after 60000 -> lives end;
do({stop, Id, Reason}, Recorder, _, _) ->
    Pid = pid(Recorder, Id),
    Monitor = monitor(process, Pid),
    ok = gen_server:call(Pid, {stop, Reason}),
    receive {'DOWN', Monitor, _, _, Why} -> {down, Why} after 60000 -> lives end;
do({plan, Id, Plan}, Recorder, _, _) ->
    gen_server:call(Recorder, {plan, Id, Plan});
do({sleep, Milliseconds}, _, _, _) ->
    timer:sleep(Milliseconds);
do({stop_supervisor, Reason}, _, _, Sup) ->
    gen_server:stop(Sup, Reason, infinity);
do({send, Message}, _, _, Sup) ->
    Sup ! Message, ok;
do({cast, Message}, _, _, Sup) ->
    gen_server:cast(Sup, Message);
do({sys, Functions}, _, _, Sup) ->
    [sys:Function(Sup) || Function <- Functions];
do(callback_reported, _, _, Sup) ->
    {status, _, {module, Module}, [_, Running | _]} = sys:get_status(Sup),
    {Module, Running, is_atom(supervisor:get_callback_module(Sup))};
do({parent, Reason}, _, Parent, _) ->
    Monitor = get(monitor),
    exit(Parent, Reason),
    receive
        {'DOWN', Monitor, _, Sup, Why} -> self() ! {'DOWN', Monitor, process, Sup, Why}, ok
    after 60000 -> lives
    end.

sorted(which_children, List) when is_list(List) ->
    case [1 || {undefined, _, _, _} <- List] of [] -> List; _ -> lists:sort(List) end;
sorted(_, Answer) -> Answer.

pid(Recorder, Id) ->
    case gen_server:call(Recorder, {pid, Id}) of
        none -> throw(never_started);
        Pid -> Pid
    end.

%% What stands when nothing moves any more: what the recorder has noted since, and the children.
observe(Recorder, undefined) ->
    {gen_server:call(Recorder, noted), gone};
observe(Recorder, Sup) ->
    Seen = settled(Recorder, Sup),
    {gen_server:call(Recorder, noted), {Seen, count(Recorder)}}.

%% Nothing moves when every child that the supervisor knows answers and none is being restarted, and when the recorder has
%% been told the end of all others: an end of which the supervisor has not heard is one of a child that it still knows.
settled(Recorder, Sup) ->
    case look(Sup) of
        {ended, _} = Ended ->
            settled_without(Recorder, Sup, []),
            Ended;
        {Children, _} = Seen when is_list(Children) ->
            Pids = [Pid || {_, Pid, _, _} <- Children, Pid =/= undefined],
            case lists:all(fun answers/1, Pids) of
                true -> settled_without(Recorder, Sup, Pids), Seen;
                false -> settled(Recorder, Sup)
            end;
        moving ->
            settled(Recorder, Sup)
    end.

answers(restarting) -> false;
answers(Pid) -> try gen_server:call(Pid, ping, infinity) of pong -> true catch exit:_ -> false end.

settled_without(Recorder, Sup, Pids) ->
    case gen_server:call(Recorder, alive) -- Pids of
        [] -> ok;
        _ -> timer:sleep(1), settled_without(Recorder, Sup, Pids)
    end.

look(Sup) ->
    Monitor = get(monitor),
    receive
        {'DOWN', Monitor, _, _, Reason} ->
            self() ! {'DOWN', Monitor, process, Sup, Reason},
            {ended, Reason}
    after 0 ->
        try
            Children = gen_server:call(Sup, which_children, infinity),
            Counts = gen_server:call(Sup, count_children, infinity),
            {sorted(which_children, Children), Counts}
        catch
            exit:_ -> moving
        end
    end.

count(Recorder) -> gen_server:call(Recorder, count).

normal(Pid, Names) when is_pid(Pid) -> maps:get(Pid, Names, stranger);
normal([Head | Tail], Names) -> [normal(Head, Names) | normal(Tail, Names)];
normal(Tuple, Names) when is_tuple(Tuple) -> list_to_tuple(normal(tuple_to_list(Tuple), Names));
normal(Map, Names) when is_map(Map) -> maps:from_list(normal(maps:to_list(Map), Names));
normal(Term, _) -> Term.

%% --- the parent of the supervisor ------------------------------------------------------------
start_parent(Recorder, Flags, Specs) ->
    case gen_server:start(?MODULE, {parent, Recorder, Flags, Specs}, []) of
        {ok, Parent} -> {ok, Parent, gen_server:call(Parent, sup)};
        {error, _} = Error -> Error
    end.

%% --- a leaf ------------------------------------------------------------------------------------
start_leaf(Recorder, Id) ->
    case gen_server:call(Recorder, {starting, Id}) of
        {exit, Reason} -> exit(Reason);
        {gives, Term} -> Term;
        {info, Info} ->
            {ok, Pid} = gen_server:start_link(?MODULE, {leaf, Recorder, Id, []}, []),
            {ok, Pid, Info};
        Plan -> gen_server:start_link(?MODULE, {leaf, Recorder, Id, Plan}, [])
    end.

init({leaf, _, _, ignore}) -> ignore;
init({leaf, _, _, {stop, Reason}}) -> {stop, Reason};
init({leaf, Recorder, Id, Options}) ->
    process_flag(trap_exit, lists:member(trap, Options)),
    gen_server:call(Recorder, {started, Id, self()}),
    {ok, {leaf, Recorder, Id, Options}};
init({parent, _, Flags, Specs}) ->
    process_flag(trap_exit, true),
    case supervisor:start_link(tree_sup, {Flags, Specs}) of
        {ok, Sup} -> process_flag(trap_exit, false), {ok, {parent, Sup}};
        ignore -> {stop, ignored};
        {error, Reason} -> {stop, Reason}
    end;
init({recorder, Plans, Options}) ->
    {ok, {recorder, #{plans => Plans, options => Options, notes => [], downs => [], pids => #{}, names => #{}, monitors => #{}, count => 0, reports => [], ended => []}}}.

handle_call(ping, _, Leaf) -> {reply, pong, Leaf};
handle_call({stop, Reason}, _, Leaf) -> {stop, Reason, ok, Leaf};
handle_call(sup, _, {parent, Sup}) -> {reply, Sup, {parent, Sup}};
handle_call(Request, _, {recorder, State}) ->
    {Reply, Next} = recorded(Request, State),
    {reply, Reply, {recorder, Next}}.

recorded({starting, Id}, #{plans := Plans, options := Options} = State) ->
    {Plan, Rest} =
        case maps:get(Id, Plans, []) of
            [ok | More] -> {maps:get(Id, Options, []), More};
            [First | More] -> {First, More};
            [] -> {maps:get(Id, Options, []), []}
        end,
    {Plan, note({starting, Id, Plan}, State#{plans := Plans#{Id => Rest}})};
recorded({started, Id, Pid}, #{names := Names, pids := Pids, monitors := Monitors} = State) ->
    Number = length([1 || {I, _} <- maps:values(Names), I =:= Id]) + 1,
    Monitor = monitor(process, Pid),
    {ok, note({started, {Id, Number}}, State#{
        names := Names#{Pid => {Id, Number}}, pids := Pids#{Id => Pid}, monitors := Monitors#{Monitor => {Id, Number}}
    })};
recorded({terminating, Id, Reason}, State) -> {ok, note({terminating, Id, Reason}, State)};
recorded({report, Report}, #{reports := Reports} = State) -> {ok, State#{reports := [Report | Reports]}};
recorded(reports, #{reports := Reports} = State) -> {lists:reverse(Reports), State};
recorded({pid, Id}, #{pids := Pids} = State) -> {maps:get(Id, Pids, none), State};
recorded(alive, #{names := Names, ended := Ended} = State) -> {maps:keys(maps:without(Ended, Names)), State};
recorded({plan, Id, Plan}, #{plans := Plans} = State) -> {ok, State#{plans := Plans#{Id => Plan}}};
recorded(names, #{names := Names} = State) -> {Names, State};
recorded(count, #{count := Count} = State) -> {Count, State};
recorded(noted, #{notes := Notes, downs := Downs} = State) ->
    {{lists:reverse(Notes), lists:sort(Downs)}, State#{notes := [], downs := []}}.

note(Note, #{notes := Notes, count := Count} = State) -> State#{notes := [Note | Notes], count := Count + 1}.

handle_cast(_, State) -> {noreply, State}.

handle_info({'DOWN', Monitor, _, Pid, Reason}, {recorder, #{monitors := Monitors, downs := Downs, count := Count, ended := Ended} = State}) ->
    {noreply, {recorder, State#{ended := [Pid | Ended], downs := [{map_get(Monitor, Monitors), Reason} | Downs], count := Count + 1}}};
handle_info(_, State) ->
    {noreply, State}.

terminate(Reason, {leaf, Recorder, Id, Options}) ->
    gen_server:call(Recorder, {terminating, Id, Reason}),
    [timer:sleep(Milliseconds) || {sleep, Milliseconds} <- Options],
    [exit(Why) || {exit, Why} <- Options];
terminate(_, _) ->
    ok.

%% --- reports of OTP's supervisor --------------------------------------------------------------
log(#{msg := {report, #{label := {supervisor, _}, report := Report}}}, #{config := Config}) ->
    {_, {M, F, Args}} = lists:keyfind(mfargs, 1, Offender = proplists:get_value(offender, Report)),
    Default = maps:get(recorder, Config, none),
    Ours = case {M, F, Args} of {tree, start_leaf, [R | _]} -> R; _ -> Default end,
    Keys = [K || {K, _} <- Offender, K =/= mfargs],
    Shown = {proplists:get_value(errorContext, Report), proplists:get_value(reason, Report), Keys, shown(Offender)},
    Recorder = case Default of none -> Ours; _ -> Default end,
    is_pid(Recorder) andalso (catch gen_server:call(Recorder, {report, {Ours, Shown}}));
log(_, _) ->
    ok.

shown(Offender) -> [{K, V} || {K, V} <- Offender, K =/= mfargs].
