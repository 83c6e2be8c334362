%% Ports by a number of theirs, with the addresses of those that are sockets.
fun(#{key := Key, limit := Limit}, _) ->
    All = erlang:ports(),
    Infos = lists:zipwith(fun erlang:port_info/2, All, lists:duplicate(length(All), Key)),
    Pairs = lists:reverse(lists:sort([{V, P} || {{_, V}, P} <- lists:zip(Infos, All)])),
    Text = fun
        ({ok, {local, Path}}) -> unicode:characters_to_binary(Path);
        ({ok, {Address, Port}}) -> iolist_to_binary([inet:ntoa(Address), $:, integer_to_binary(Port)]);
        (_) -> undefined
    end,
    Row = fun(P) ->
        case erlang:port_info(P) of
            undefined -> [];
            I ->
                Get = fun(K) -> proplists:get_value(K, I) end,
                Number = fun(K) -> case erlang:port_info(P, K) of {_, N} -> N; undefined -> 0 end end,
                Name = Get(name),
                Socket = lists:suffix("_inet", Name) orelse lists:suffix("_inet6", Name),
                {From, To} = case Socket of true -> {Text(inet:sockname(P)), Text(inet:peername(P))}; false -> {undefined, undefined} end,
                Owner = Get(connected),
                Called = case process_info(Owner, registered_name) of {_, N} -> N; _ -> [] end,
                Short = unicode:characters_to_binary(lists:sublist(Name, 80)),
                [{P, Short, Owner, Called, Get(input), Get(output), Number(queue_size), Number(memory), Number(os_pid), From, To}]
        end
    end,
    #{all => length(All), matched => length(Pairs), rows => [R || {_, P} <- lists:sublist(Pairs, Limit), R <- Row(P)]}
end.
