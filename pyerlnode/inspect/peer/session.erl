%% One process per inspector, interpreted by erl_eval: it starts a worker for each question, ends it when it is late, and ends,
%% with all that it has started, when the inspector's process does. Questions come as of gen_server:call/3.
fun(Owner) ->
    process_flag(trap_exit, true),
    Watch = erlang:monitor(process, Owner),
    Largest = 16777216,
    Heap = #{size => 33554432, kill => true, error_logger => false},
    Start = fun(Work) -> erlang:spawn_opt(Work, [link, {priority, low}, {max_heap_size, Heap}]) end,
    Bounded = fun(Answer) ->
        case erlang:external_size(Answer) of
            Size when Size > Largest -> {error, {too_large, Size}, []};
            _ -> Answer
        end
    end,
    Safe = fun(Do) ->
        Bounded(try {ok, Do()} catch Class:Reason:Stack -> {Class, Reason, lists:sublist(Stack, 8)} end)
    end,
    Creation = try erlang:system_info(creation) catch error:badarg -> unknown end,
    %% The process that is meant: by its text here, by a name, or itself.
    Find = fun
        ({pid, Text, Of}) when Of =:= any; Of =:= Creation; Creation =:= unknown ->
            try list_to_pid(binary_to_list(Text)) catch error:badarg -> none end;
        ({name, Name}) ->
            case whereis(Name) of P when is_pid(P) -> P; _ -> none end;
        ({term, P}) when node(P) =:= node() ->
            try is_process_alive(P) of _ -> P catch error:badarg -> none end;
        (_) ->
            none
    end,
    Short = fun(Term, Most) ->
        unicode:characters_to_binary(io_lib:format("~0tP", [Term, 30], [{chars_limit, Most}]))
    end,
    Label = fun(P) ->
        case erlang:function_exported(proc_lib, get_label, 1) andalso proc_lib:get_label(P) of
            false -> undefined;
            undefined -> undefined;
            Text when is_binary(Text), byte_size(Text) =< 80 -> Text;
            Term -> Short(Term, 80)
        end
    end,
    %% Asking for the memory walks the whole mailbox, with its lock held: 0.3 s of 700,000 messages.
    Memory = fun
        (_, Length, Huge) when Length > Huge -> skipped;
        (P, _, _) -> case process_info(P, memory) of {_, M} -> M; undefined -> 0 end
    end,
    Initial = fun(P, Plain) ->
        case proc_lib:translate_initial_call(P) of
            {proc_lib, init_p, _} -> Plain;
            Call -> Call
        end
    end,
    Kit = #{find => Find, short => Short, label => Label, memory => Memory, initial => Initial},
    Loop = fun Loop(Known, Jobs) ->
        receive
            {'$gen_call', From, {ask, Name, Arg, Time}} when is_map_key(Name, Known) ->
                Ask = maps:get(Name, Known),
                Own = [self() | maps:keys(Jobs)],
                Worker = Start(fun() -> gen_server:reply(From, Safe(fun() -> Ask(Arg, Kit#{own => [self() | Own]}) end)) end),
                Timer = erlang:send_after(Time, self(), {late, Worker}),
                Loop(Known, Jobs#{Worker => {From, Timer}});
            {'$gen_call', From, {open, Name, Arg}} when is_map_key(Name, Known) ->
                Ask = maps:get(Name, Known),
                Session = self(),
                Worker = Start(fun() -> Ask(Arg, Kit#{own => [self(), Session]}) end),
                gen_server:reply(From, {ok, Worker}),
                Loop(Known, Jobs#{Worker => live});
            {'$gen_call', From, {close, Worker}} ->
                exit(Worker, kill),
                gen_server:reply(From, {ok, closed}),
                Loop(Known, maps:remove(Worker, Jobs));
            {'$gen_call', From, {load, Name, Source}} ->
                {Answer, Learnt} =
                    try
                        {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Source)),
                        {ok, Exprs} = erl_parse:parse_exprs(Tokens),
                        {value, Ask, _} = erl_eval:exprs(Exprs, []),
                        {{ok, loaded}, Known#{Name => Ask}}
                    catch
                        Class:Reason:Stack -> {{Class, Reason, lists:sublist(Stack, 8)}, Known}
                    end,
                gen_server:reply(From, Answer),
                Loop(Learnt, Jobs);
            {'$gen_call', From, _} ->
                gen_server:reply(From, unknown),
                Loop(Known, Jobs);
            {late, Worker} ->
                case Jobs of
                    #{Worker := {From, _}} ->
                        exit(Worker, kill),
                        gen_server:reply(From, late);
                    _ ->
                        ok
                end,
                Loop(Known, maps:remove(Worker, Jobs));
            {'EXIT', Worker, Reason} ->
                case Jobs of
                    #{Worker := {From, Timer}} ->
                        erlang:cancel_timer(Timer),
                        %% The answer of one that ended as it should is there already, and this one is dropped.
                        gen_server:reply(From, {exit, Reason, []});
                    _ ->
                        ok
                end,
                Loop(Known, maps:remove(Worker, Jobs));
            {'DOWN', Watch, process, _, _} ->
                exit(shutdown);
            _ ->
                Loop(Known, Jobs)
        end
    end,
    Loop(#{}, #{})
end.
