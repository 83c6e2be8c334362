%% Applications, how they run, and how many processes each has: whoever has its master as group leader.
fun(#{time := Time}, #{own := Own}) ->
    Running = application:which_applications(Time),
    Loaded = application:loaded_applications(),
    Ps = erlang:processes() -- Own,
    Leaders = lists:zipwith(fun erlang:process_info/2, Ps, lists:duplicate(length(Ps), group_leader)),
    Count = fun({_, L}, C) -> maps:update_with(L, fun(N) -> N + 1 end, 1, C); (_, C) -> C end,
    Counts = lists:foldl(Count, #{}, Leaders),
    Row = fun({App, About, Version}) ->
        Master = application_controller:get_master(App),
        Started = lists:keymember(App, 1, Running),
        {App, unicode:characters_to_binary(Version), unicode:characters_to_binary(About), Started, maps:get(Master, Counts, 0)}
    end,
    lists:map(Row, lists:sort(Loaded))
end.
