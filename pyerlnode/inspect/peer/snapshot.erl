%% Sums by which two moments of a node are told apart: processes by what they began with, tables by their names.
fun(#{huge := Huge, most := Most}, #{own := Own}) ->
    Read = fun(Item, Part) -> lists:zipwith(fun erlang:process_info/2, Part, lists:duplicate(length(Part), Item)) end,
    Cut = fun(Ps) -> try lists:split(5000, Ps) catch error:badarg -> {Ps, []} end end,
    Number = fun({_, N}) -> N; (_) -> 0 end,
    Add = fun({Call, {Queue, Memory}}, Sums) ->
        {N, Q, M} = maps:get(Call, Sums, {0, 0, 0}),
        Sums#{Call => {N + 1, Q + Number(Queue), M + Number(Memory)}}
    end,
    %% A process that proc_lib has not started is counted by its own first function.
    Begun = fun
        ({{proc_lib, init_p, _}, {_, Call}}) -> Call;
        ({Call, _}) -> Call
    end,
    Sum = fun Sum([], Sums) -> Sums;
        Sum(Ps, Sums) ->
            {Part, Rest} = Cut(Ps),
            Calls = lists:map(Begun, lists:zip(lists:map(fun proc_lib:translate_initial_call/1, Part), Read(initial_call, Part))),
            Queues = Read(message_queue_len, Part),
            Memories =
                case lists:max([{message_queue_len, 0} | Queues]) of
                    {_, N} when N > Huge -> lists:duplicate(length(Part), none);
                    _ -> Read(memory, Part)
                end,
            Sum(Rest, lists:foldl(Add, Sums, lists:zip(Calls, lists:zip(Queues, Memories))))
    end,
    Ps = erlang:processes() -- Own,
    Words = erlang:system_info(wordsize),
    Table = fun(T, Sums) ->
        case {ets:info(T, name), ets:info(T, size), ets:info(T, memory)} of
            {Name, Size, Memory} when is_integer(Size), is_integer(Memory) ->
                {N, S, M} = maps:get(Name, Sums, {0, 0, 0}),
                Sums#{Name => {N + 1, S + Size, M + Memory * Words}};
            _ -> Sums
        end
    end,
    Largest = fun(Sums) -> lists:sublist(lists:reverse(lists:keysort(2, [{K, V} || {K, V} <- maps:to_list(Sums)])), Most) end,
    #{
        node => node(),
        memory => maps:from_list(erlang:memory()),
        counts => #{
            processes => length(Ps), ports => erlang:system_info(port_count), atoms => erlang:system_info(atom_count),
            tables => erlang:system_info(ets_count), run_queue => erlang:statistics(total_run_queue_lengths_all)
        },
        begun => Largest(Sum(Ps, #{})),
        tables => Largest(lists:foldl(Table, #{}, ets:all()))
    }
end.
