%% The messages that wait at a process: how many, the first few, and of what shapes they are. The mailbox is copied to be looked
%% at, so one of more than `most` messages is refused unless `force`.
fun(#{who := Who, limit := Limit, most := Most, force := Force, shapes := Looked}, #{find := Find, short := Short}) ->
    P = Find(Who),
    Shape = fun
        (T) when is_tuple(T), tuple_size(T) > 0, is_atom(element(1, T)) -> {tuple, element(1, T), tuple_size(T)};
        (T) when is_tuple(T) -> {tuple, '_', tuple_size(T)};
        (T) when is_atom(T) -> {atom, T, 0};
        (T) when is_binary(T) -> {type, binary, 0};
        (T) when is_list(T) -> {type, list, 0};
        (T) when is_map(T) -> {type, map, 0};
        (T) when is_integer(T) -> {type, integer, 0};
        (T) when is_pid(T) -> {type, pid, 0};
        (T) when is_reference(T) -> {type, reference, 0};
        (T) when is_function(T) -> {type, function, 0};
        (_) -> {type, other, 0}
    end,
    Small = fun(Message) ->
        case erlang:external_size(Message) of
            Size when Size =< 8192 -> {whole, Message};
            Size -> {cut, Size, Short(Message, 300)}
        end
    end,
    case is_pid(P) andalso process_info(P, message_queue_len) of
        {_, Length} when Length > Most, not Force ->
            {refused, Length};
        {_, _} ->
            case process_info(P, messages) of
                undefined ->
                    none;
                {_, Messages} ->
                    Seen = lists:sublist(Messages, Looked),
                    Count = fun(M, Counts) -> maps:update_with(Shape(M), fun(N) -> N + 1 end, 1, Counts) end,
                    Counted = lists:foldl(Count, #{}, Seen),
                    Ordered = lists:sublist(lists:reverse(lists:sort([{N, S} || {S, N} <- maps:to_list(Counted)])), Limit),
                    #{
                        pid => P,
                        length => length(Messages),
                        first => lists:map(Small, lists:sublist(Messages, Limit)),
                        shapes => Ordered,
                        looked => length(Seen)
                    }
            end;
        _ ->
            none
    end
end.
