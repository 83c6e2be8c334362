%% Evaluates for a prompt, with variables that stay: the bindings are kept here, and each expression runs in a process of its own, so
%% that it can be ended and the variables are as before.
fun(_, _) ->
    Erlang = fun(Source, Bound) ->
        case erl_scan:string(unicode:characters_to_list(Source)) of
            {ok, Tokens, _} ->
                case erl_parse:parse_exprs(Tokens) of
                    {ok, Exprs} ->
                        {value, Value, After} = erl_eval:exprs(Exprs, Bound),
                        {ok, Value, After};
                    {error, {_, Module, Why}} ->
                        {syntax, unicode:characters_to_binary(Module:format_error(Why))}
                end;
            {error, {_, Module, Why}, _} ->
                {syntax, unicode:characters_to_binary(Module:format_error(Why))}
        end
    end,
    Elixir = fun(Source, Bound) ->
        case code:ensure_loaded('Elixir.Code') of
            {module, Code} ->
                {Value, After} = Code:eval_string(Source, Bound),
                {ok, Value, After};
            _ ->
                {syntax, <<"no Elixir runs on this node">>}
        end
    end,
    Loop = fun Loop(Bound, Busy) ->
        receive
            {'$gen_call', From, {Language, Source}} when Busy =:= none ->
                Do = case Language of elixir -> Elixir; _ -> Erlang end,
                Kept = maps:get(Language, Bound, []),
                Work = fun() ->
                    exit({Language, try Do(Source, Kept) catch Class:Reason:Stack -> {Class, Reason, lists:sublist(Stack, 8)} end})
                end,
                {Pid, _} = erlang:spawn_monitor(Work),
                Loop(Bound, {From, Pid});
            {'$gen_call', From, stop} ->
                case Busy of {_, Pid} -> exit(Pid, kill); none -> ok end,
                gen_server:reply(From, {ok, stopped}),
                Loop(Bound, Busy);
            {'DOWN', _, process, _, Outcome} when Busy =/= none ->
                {From, _} = Busy,
                case Outcome of
                    {Language, {ok, Value, After}} ->
                        Large = erlang:external_size(Value),
                        gen_server:reply(From, case Large > 16777216 of true -> {error, {too_large, Large}, []}; _ -> {ok, {value, Value}} end),
                        Loop(Bound#{Language => After}, none);
                    {_, {syntax, Why}} ->
                        gen_server:reply(From, {ok, {syntax, Why}}),
                        Loop(Bound, none);
                    {Language, {Class, Reason, Stack}} when Language =:= erlang; Language =:= elixir ->
                        gen_server:reply(From, {ok, {raised, Class, Reason, Stack}}),
                        Loop(Bound, none);
                    Reason ->
                        gen_server:reply(From, {ok, {raised, exit, Reason, []}}),
                        Loop(Bound, none)
                end
        end
    end,
    Loop(#{}, none)
end.
