%% Runs scripts, each once where OTP's own modules carry it out and once where ours do, and gives those whose traces differ.
-module(differential).
-export([run/5, named/2]).

-define(AT_ONCE, 8).

%% Kind is a module with `trace(Where, Script)`: what was seen, a list; and maybe `prepare()` and `finished()` around all of them, and `at_once()`, how many run side by side. Each script is {Id, Text}, an Erlang term.
run(Kind, One, Other, Scripts, Limit) ->
    Parent = self(),
    Run = make_ref(),
    Work = fun({Id, Text}) -> Parent ! {Run, compare(Kind, One, Other, Id, parsed(Text), Limit)} end,
    erlang:function_exported(Kind, prepare, 0) andalso Kind:prepare(),
    AtOnce = case erlang:function_exported(Kind, at_once, 0) of true -> Kind:at_once(); false -> ?AT_ONCE end,
    try spread(AtOnce, Run, Work, Scripts, 0, [])
    after erlang:function_exported(Kind, finished, 0) andalso Kind:finished()
    end.

spread(_, _, _, [], 0, Seen) -> lists:sort(Seen);
spread(AtOnce, Run, Work, [Script | Rest], Busy, Seen) when Busy < AtOnce ->
    spawn_link(fun() -> Work(Script) end),
    spread(AtOnce, Run, Work, Rest, Busy + 1, Seen);
spread(AtOnce, Run, Work, Scripts, Busy, Seen) ->
    receive {Run, Found} -> spread(AtOnce, Run, Work, Scripts, Busy - 1, Found ++ Seen) end.

parsed(Text) ->
    {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Text) ++ "."),
    {ok, Term} = erl_parse:parse_term(Tokens),
    Term.

compare(Kind, One, Other, Id, Script, Limit) ->
    Expected = within(Limit, Kind, One, Script),
    Found = within(Limit, Kind, Other, Script),
    case term_to_binary(Expected) =:= term_to_binary(Found) andalso is_list(Expected) of
        true -> [];
        false -> [{Id, lines(Expected), lines(Found)}]
    end.

within(Limit, Kind, Where, Script) ->
    {Pid, Ref} = spawn_monitor(fun() -> exit({trace, Kind:trace(Where, Script)}) end),
    receive
        {'DOWN', Ref, process, Pid, {trace, Trace}} -> Trace;
        {'DOWN', Ref, process, Pid, Reason} -> {broken, Reason}
    after Limit ->
        Where = Where,
        At = [process_info(Pid, current_stacktrace), process_info(Pid, dictionary), process_info(Pid, messages)],
        exit(Pid, kill),
        {hung, At}
    end.

lines(Trace) when is_list(Trace) -> [line(Seen) || Seen <- Trace];
lines(Trace) -> [line(Trace)].

line(Seen) -> unicode:characters_to_binary(io_lib:format("~0tp", [Seen])).

%% With names in the place of pids, references and stacks, which differ from run to run.
named(Pid, Names) when is_pid(Pid) -> maps:get(Pid, Names, stranger);
named(Ref, Names) when is_reference(Ref) -> maps:get(Ref, Names, reference);
named([{M, F, _, L} | _], _) when is_atom(M), is_atom(F), is_list(L) -> stack;
named([Head | Tail], Names) -> [named(Head, Names) | named(Tail, Names)];
named(Tuple, Names) when is_tuple(Tuple) -> list_to_tuple([named(Element, Names) || Element <- tuple_to_list(Tuple)]);
named(Map, Names) when is_map(Map) -> maps:from_list(named(maps:to_list(Map), Names));
named(Atom, Names) when is_atom(Atom) -> maps:get({atom, Atom}, Names, Atom);
named(Term, _) -> Term.
