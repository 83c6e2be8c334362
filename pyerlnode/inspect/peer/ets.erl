%% Tables by memory or size; as in rank.erl, all of them go through OTP's functions alone.
fun(#{key := Key, limit := Limit, match := Match}, _) ->
    Words = erlang:system_info(wordsize),
    All = ets:all(),
    Has =
        case string:lowercase(unicode:characters_to_list(Match)) of
            [] -> fun(_) -> true end;
            Text ->
                fun(T) ->
                    case ets:info(T, name) of
                        undefined -> false;
                        N -> string:find(string:lowercase(atom_to_list(N)), Text) =/= nomatch
                    end
                end
        end,
    Tables = case Match of <<>> -> All; _ -> lists:filter(Has, All) end,
    Sizes = lists:zipwith(fun ets:info/2, Tables, lists:duplicate(length(Tables), Key)),
    Pairs = lists:reverse(lists:sort([{S, T} || {S, T} <- lists:zip(Sizes, Tables), is_integer(S)])),
    Row = fun(T) ->
        case ets:info(T) of
            undefined -> [];
            I ->
                Get = fun(K) -> proplists:get_value(K, I) end,
                Owner = Get(owner),
                Name = case process_info(Owner, registered_name) of {_, N} -> N; _ -> [] end,
                [{T, Get(name), Get(type), Get(protection), Get(size), Get(memory) * Words, Owner, Name}]
        end
    end,
    #{all => length(All), matched => length(Pairs), rows => [R || {_, T} <- lists:sublist(Pairs, Limit), R <- Row(T)]}
end.
