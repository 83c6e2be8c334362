%% Processes that did not move between two looks `window` ms apart: messages wait at them, or they wait inside a call. The
%% latter finds the servers of gen_server2, which take their messages in at once, so that their mailboxes look empty.
fun(#{window := Window, limit := Limit}, #{own := Own, label := Label}) ->
    Read = fun(Item, Part) -> lists:zipwith(fun erlang:process_info/2, Part, lists:duplicate(length(Part), Item)) end,
    Cut = fun(Ps) -> try lists:split(5000, Ps) catch error:badarg -> {Ps, []} end end,
    Waits = fun
        ({{{_, N}, _}, _}) when N > 0 -> true;
        ({{_, {_, {gen, do_call, _}}}, _}) -> true;
        ({{_, {_, {erpc, call, _}}}, _}) -> true;
        (_) -> false
    end,
    Some = fun Some([], Found) -> Found;
        Some(Ps, Found) ->
            {Part, Rest} = Cut(Ps),
            Both = lists:zip(Read(message_queue_len, Part), Read(current_function, Part)),
            Some(Rest, [P || {_, P} <- lists:filter(Waits, lists:zip(Both, Part))] ++ Found)
    end,
    Items = [message_queue_len, reductions, current_stacktrace, status],
    Look = fun(P) ->
        case process_info(P, Items) of
            [{_, Q}, {_, R}, {_, S}, {_, T}] -> {Q, R, [{M, F, case is_list(A) of true -> length(A); _ -> A end} || {M, F, A, _} <- S], T};
            undefined -> gone
        end
    end,
    Candidates = Some(erlang:processes() -- Own, []),
    First = [{P, Look(P)} || P <- lists:sublist(Candidates, 20000)],
    receive after Window -> ok end,
    Stayed = fun({P, {Q1, R1, S, _}}) ->
        case Look(P) of
            {Q2, R2, S, waiting} when Q2 >= Q1, R2 - R1 < 100 -> [{Q2, P, S}];
            _ -> []
        end;
        (_) -> []
    end,
    Same = lists:reverse(lists:sort(lists:append(lists:map(Stayed, First)))),
    Row = fun({Q, P, S}) ->
        case process_info(P, [registered_name, monitors]) of
            undefined -> [];
            [{_, Name}, {_, Monitors}] ->
                On = case S of [{gen, do_call, _} | _] when Monitors =/= [] -> element(2, hd(Monitors)); _ -> undefined end,
                [{P, Name, Label(P), Q, lists:sublist(S, 4), On}]
        end
    end,
    #{looked => length(Candidates), all => length(Same), rows => lists:append(lists:map(Row, lists:sublist(Same, Limit)))}
end.
