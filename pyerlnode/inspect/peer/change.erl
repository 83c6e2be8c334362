%% What changes something: asked for by name only.
fun(#{what := What} = Ask, #{find := Find}) ->
    case What of
        eval ->
            Source = unicode:characters_to_list(maps:get(source, Ask)),
            case erl_scan:string(case lists:suffix(".", string:trim(Source)) of true -> Source; false -> Source ++ " ." end) of
                {ok, Tokens, _} ->
                    case erl_parse:parse_exprs(Tokens) of
                        {ok, Exprs} -> {value, Value, _} = erl_eval:exprs(Exprs, []), {value, Value};
                        {error, {_, Module, Why}} -> {syntax, unicode:characters_to_binary(Module:format_error(Why))}
                    end;
                {error, {_, Module, Why}, _} -> {syntax, unicode:characters_to_binary(Module:format_error(Why))}
            end;
        kill ->
            case Find(maps:get(who, Ask)) of
                none -> none;
                P ->
                    Ref = erlang:monitor(process, P),
                    exit(P, kill),
                    receive {'DOWN', Ref, _, _, noproc} -> none; {'DOWN', Ref, _, _, _} -> {value, P} end
            end;
        garbage_collect ->
            case Find(maps:get(who, Ask)) of
                none -> none;
                P ->
                    Size = fun() -> case process_info(P, memory) of {_, M} -> M; undefined -> 0 end end,
                    Before = Size(),
                    case erlang:garbage_collect(P) of
                        true -> {value, {Before, Size()}};
                        false -> none
                    end
            end
    end
end.
