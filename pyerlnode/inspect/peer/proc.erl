%% One process: `who` is {pid, Text} or {name, Atom}. Lists are cut at `limit`, and their whole lengths told.
fun(#{who := Who, limit := Limit, huge := Huge},
    #{find := Find, short := Short, label := Label, memory := Memory, initial := Initial}) ->
    P = Find(Who),
    Cut = fun(List) -> {length(List), lists:sublist(List, Limit)} end,
    Items = [
        registered_name, current_function, initial_call, status, message_queue_len, links, monitors, monitored_by,
        heap_size, stack_size, reductions, priority, trap_exit, group_leader, current_stacktrace, garbage_collection_info
    ],
    case is_pid(P) andalso process_info(P, Items) of
        false ->
            none;
        undefined ->
            none;
        Told ->
            Info = maps:from_list(Told),
            Length = maps:get(message_queue_len, Info),
            Dictionary = case process_info(P, dictionary) of {_, D} -> D; undefined -> [] end,
            Get = fun(Key) -> proplists:get_value(Key, Dictionary) end,
            Leader = maps:get(group_leader, Info),
            App =
                case node(Leader) =:= node() andalso application:get_application(P) of
                    {ok, A} -> A;
                    _ -> undefined
                end,
            Stack = [
                {M, F, Arity, proplists:get_value(file, Where, []), proplists:get_value(line, Where, 0)}
             || {M, F, Args, Where} <- maps:get(current_stacktrace, Info),
                Arity <- [case is_list(Args) of true -> length(Args); false -> Args end]
            ],
            #{
                pid => P,
                name => maps:get(registered_name, Info),
                current => maps:get(current_function, Info),
                initial => Initial(P, maps:get(initial_call, Info)),
                status => maps:get(status, Info),
                queue => Length,
                memory => Memory(P, Length, Huge),
                heap_words => maps:get(heap_size, Info),
                stack_words => maps:get(stack_size, Info),
                reductions => maps:get(reductions, Info),
                priority => maps:get(priority, Info),
                trap_exit => maps:get(trap_exit, Info),
                group_leader => Leader,
                application => App,
                label => Label(P),
                ancestors => lists:sublist(case Get('$ancestors') of As when is_list(As) -> As; _ -> [] end, Limit),
                links => Cut(maps:get(links, Info)),
                monitors => Cut(maps:get(monitors, Info)),
                monitored_by => Cut(maps:get(monitored_by, Info)),
                dictionary => Cut([Short(Key, 80) || {Key, _} <- lists:sublist(Dictionary, Limit)]),
                stack => lists:sublist(Stack, Limit)
            }
    end
end.
