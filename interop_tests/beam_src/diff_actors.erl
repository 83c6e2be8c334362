%% Processes that do what a script says, one step at a time: links, monitors, exits, selective receive, names, aliases, timers.
%%
%% A step is {Who, Command}. Who does it in the middle of its own loop, then makes sure that whoever the command is about has
%% handled the signal (a message behind it is answered, or its end is told); then all are asked until none has a link or a
%% monitor with one that has ended. So nothing is in flight when the next step begins, however slow the machine is.
%%
%% A receive that waits goes on answering such questions, and tells when it has got what it waits for.
-module(diff_actors).
-export([trace/2, start/0]).

-define(FAR, 3600000).

%% --- the script -----------------------------------------------------------------------------
%% Where: {Node, Node}, on which the actors are, as Sides says: a tuple of 0 and 1.
trace({Home, Away} = Where, {Sides, Steps}) ->
    Unique = erlang:unique_integer([positive]),
    Words = [{{atom, Away}, second}, {{atom, Home}, first} | [{{atom, name(Name, Unique)}, {name, Name}} || Name <- [x, y, z]]],
    Names = maps:from_list(Words),
    Begin = #{pids => #{}, watches => #{}, names => Names#{self() => controller}, labels => #{}, ended => #{}, waiting => #{},
              unique => Unique, held => #{}, watched => #{}},
    Actors = lists:zip(lists:sublist([a, b, c, d, e], tuple_size(Sides)), tuple_to_list(Sides)),
    First = lists:foldl(fun({Name, Side}, S) -> added(Name, erpc:call(element(Side + 1, Where), diff_actors, start, []), S) end, Begin, Actors),
    {Seen, Last} = lists:mapfoldl(fun step/2, First, Steps),
    Rest = [{rest, Name, element(1, step({Name, flush}, Last))} || {Name, _} <- Actors],
    Ends = differential:named(maps:get(ended, Last), maps:get(names, Last)),
    [erlang:exit(Pid, kill) || Pid <- maps:values(maps:get(pids, Last))],
    Seen ++ Rest ++ [{ended, lists:sort(maps:to_list(Ends))}].

step({Who, Command} = Step, S) ->
    put(step, Step),
    case ready(Who, S) andalso resolved(Who, Command, S) of
        false -> {{Step, skipped}, S};
        {ok, Resolved, Sync} ->
            #{pids := #{Who := Pid}} = S,
            Ref = make_ref(),
            Pid ! {do, self(), Ref, Resolved, Sync},
            {Result, S2} = result(Who, Ref, S),
            {More, S3} = also(Command, Result, S2),
            S4 = settled(noted(Who, Command, Result, S3)),
            {Got, S5} = got(lists:sort(maps:to_list(maps:get(waiting, S4))), S4),
            %% Whether it has answered before its own command ended it is nobody's to say.
            Shown = case is_map_key(Who, maps:get(ended, S5)) of true -> ended; false -> {Result, More} end,
            {{Step, sorted(differential:named({Shown, Got}, maps:get(names, S5))), ends(S, S5)}, S5}
    end.

sorted({together, Told}) -> {together, [Term || {_, Term} <- lists:sort([{term_to_binary(Term), Term} || Term <- Told])]};
sorted(List) when is_list(List) -> try [sorted(One) || One <- List] catch error:_ -> List end;
sorted(Tuple) when is_tuple(Tuple) -> list_to_tuple(sorted(tuple_to_list(Tuple)));
sorted(Term) -> Term.

%% Who has ended in this step, and why.
ends(#{ended := Before}, #{ended := Now, names := Names}) ->
    lists:sort(maps:to_list(differential:named(maps:without(maps:keys(Before), Now), Names))).

ready(Who, #{pids := Pids, ended := Ended, waiting := Waiting}) ->
    is_map_key(Who, Pids) andalso not is_map_key(Who, Ended) andalso not is_map_key(Who, Waiting).

result(Who, Ref, #{watches := Watches} = S) ->
    #{Who := Watch} = Watches,
    receive
        {did, Ref, {spawned, Result, Pid}} -> {{spawned, Result, Pid}, S};
        {did, Ref, {waits, _} = Waits} -> {Waits, S#{waiting := (maps:get(waiting, S))#{Who => Ref}}};
        {did, Ref, Result} -> {Result, S};
        {'DOWN', Watch, process, _, Reason} -> {ended, S#{ended := (maps:get(ended, S))#{Who => Reason}}}
    end.

%% The second half of a step that needs another one.
also({soon, _, {'$actor', Dest}, _}, {timer, Ref}, S) ->
    case ready(Dest, S) of
        true ->
            #{pids := #{Dest := Pid}} = S,
            Await = make_ref(),
            Pid ! {do, self(), Await, {fetch, Ref}, []},
            result(Dest, Await, S);
        false -> {nobody, S}
    end;
also(_, _, S) -> {[], S}.

noted(_, {spawn, New, _, _}, {spawned, _, Pid}, S) -> added(New, Pid, S);
noted(Who, {monitor_name, Label, Dest}, {ref, Ref}, #{watched := Watched} = S) ->
    labelled(Label, Ref, S#{watched := Watched#{place(Who, Dest, S) => true}});
noted(_, Command, {ref, Ref}, S) -> labelled(element(2, Command), Ref, S);
noted(_, Command, {timer, Ref}, S) -> labelled(element(2, Command), Ref, S);
noted(Who, {register, Name, {'$actor', Of}}, true, #{held := Held, pids := Pids} = S) ->
    S#{held := Held#{place(Who, Name, S) => map_get(Of, Pids)}};
noted(_, _, _, S) -> S.

%% A name and where it is one.
place(_, {'$at', Name, Of}, #{pids := Pids}) -> {Name, node(known(Of, Pids))};
place(Who, {'$name', Name}, #{pids := Pids}) -> {Name, node(map_get(Who, Pids))}.

labelled(Label, Ref, #{labels := Labels, names := Names} = S) ->
    S#{labels := Labels#{Label => Ref}, names := Names#{Ref => {label, Label}}}.

added(Name, Pid, #{pids := Pids, watches := Watches, names := Names} = S) ->
    S#{pids := Pids#{Name => Pid}, watches := Watches#{Name => monitor(process, Pid)}, names := Names#{Pid => Name}}.

%% {'$actor', a} is its pid, {'$label', l} what was made under that label, {'$name', n} an atom that no other script has.
resolved(Who, Command, S) ->
    try {ok, whole(Who, Command, S), sync(Command, S)} catch throw:unknown -> false end.

whole(_, {spawn, New, _, _}, #{pids := Pids}) when is_map_key(New, Pids) -> throw(unknown);
whole(_, {soon, _, {'$actor', Dest}, _} = Command, S) ->
    %% Whether a timer has fired that nobody waits for is a matter of speed.
    ready(Dest, S) orelse throw(unknown),
    resolve(Command, S);
whole(Who, {register, Name, _} = Command, #{watched := Watched} = S) ->
    is_map_key(place(Who, Name, S), Watched) andalso throw(unknown),
    resolve(Command, S);
whole(Who, {monitor_name, Label, Dest}, #{held := Held} = S) ->
    {monitor_name, Label, resolve(Dest, S), maps:get(place(Who, Dest, S), Held, none)};
whole(_, Command, S) -> resolve(Command, S).

resolve({'$actor', Name}, #{pids := Pids}) -> known(Name, Pids);
resolve({'$label', Label}, #{labels := Labels}) -> known(Label, Labels);
resolve({'$name', Name}, #{unique := Unique}) -> name(Name, Unique);
resolve({'$at', Name, Of}, #{unique := Unique, pids := Pids}) -> {name(Name, Unique), node(known(Of, Pids))};
resolve(Tuple, S) when is_tuple(Tuple) -> list_to_tuple([resolve(Part, S) || Part <- tuple_to_list(Tuple)]);
resolve(Other, _) -> Other.

known(Key, Map) -> case Map of #{Key := Value} -> Value; _ -> throw(unknown) end.

name(Name, Unique) -> list_to_atom(lists:concat([Name, '_', Unique])).

%% Whom the signals of a command may reach.
sync(Command, #{pids := Pids}) when is_tuple(Command) ->
    Parts = tuple_to_list(Command),
    case lists:any(fun(P) -> is_tuple(P) andalso P =/= {} andalso lists:member(element(1, P), ['$label', '$name', '$at']) end, Parts) of
        true -> maps:values(Pids);
        false -> [known(Name, Pids) || {'$actor', Name} <- Parts]
    end;
sync(_, _) -> [].

%% --- until nothing is in flight ---------------------------------------------------------------
settled(#{pids := Pids, ended := Ended} = S) ->
    {Relations, S2} = lists:mapfoldl(fun asked/2, S, maps:keys(maps:without(maps:keys(Ended), Pids))),
    #{ended := Now} = S2,
    Gone = maps:values(maps:with(maps:keys(Now), Pids)),
    case maps:size(Now) > maps:size(Ended) orelse lists:any(fun(Pid) -> lists:member(Pid, Gone) end, lists:append(Relations)) of
        true -> settled(S2);
        false -> S2
    end.

asked(Name, #{pids := Pids, watches := Watches, ended := Ended} = S) ->
    #{Name := Pid} = Pids,
    #{Name := Watch} = Watches,
    Ref = make_ref(),
    Pid ! {sync, self(), Ref},
    receive
        {synced, Ref, Relations} -> {Relations, S};
        {'DOWN', Watch, process, _, Reason} -> {[], S#{ended := Ended#{Name => Reason}}}
    end.

%% What those who waited have got.
got([], S) -> {[], S};
got([{Who, Ref} | Rest], #{waiting := Waiting, ended := Ended} = S) ->
    receive
        {did, Ref, Message} ->
            {More, S2} = got(Rest, S#{waiting := maps:remove(Who, Waiting)}),
            {[{Who, Message} | More], S2}
    after 0 ->
        case is_map_key(Who, Ended) of
            true -> got(Rest, S#{waiting := maps:remove(Who, Waiting)});
            false -> got(Rest, S)
        end
    end.

%% --- an actor -----------------------------------------------------------------------------------
start() -> spawn(fun loop/0).

loop() ->
    receive
        {do, From, Ref, {wait, Pattern, For}, _} ->
            From ! {did, Ref, {waits, Pattern}},
            From ! {did, Ref, wait(Pattern, For)},
            loop();
        {do, From, Ref, Command, Sync} ->
            Result = try act(Command) catch error:Reason -> {error, Reason}; exit:{ended, Reason} -> exit(Reason); exit:{error, Reason} -> error(Reason); exit:{throw, Reason} -> throw(Reason) end,
            [synchronised(Pid) || Pid <- Sync, Pid =/= self()],
            case Result of
                finish -> ok;
                _ -> From ! {did, Ref, Result}, loop()
            end;
        {sync, From, Ref} -> From ! {synced, Ref, relations()}, loop()
    end.

synchronised(Pid) ->
    Ref = monitor(process, Pid),
    Pid ! {sync, self(), Ref},
    receive
        {synced, Ref, _} -> demonitor(Ref, [flush]);
        {'DOWN', Ref, process, _, _} -> ok
    end.

relations() ->
    [{links, Links}, {monitors, Monitors}] = process_info(self(), [links, monitors]),
    [Pid || Pid <- Links, is_pid(Pid)] ++ [where(Of) || {process, Of} <- Monitors].

where(Pid) when is_pid(Pid) -> Pid;
where(Place) -> get(Place).

act({spawn, _, How, Trap}) ->
    Body = fun() -> process_flag(trap_exit, Trap), loop() end,
    case How of
        plain -> Pid = spawn(Body), {spawned, pid, Pid};
        link -> Pid = spawn_link(Body), {spawned, pid, Pid};
        monitor -> {Pid, _} = spawn_monitor(Body), {spawned, pid_and_reference, Pid}
    end;
act({link, Pid}) -> link(Pid);
act({unlink, Pid}) -> unlink(Pid);
act({monitor, _, Pid}) -> {ref, monitor(process, Pid)};
act({monitor_name, _, Dest, Holder}) ->
    put(case Dest of {_, _} -> Dest; _ -> {Dest, node()} end, Holder),
    {ref, monitor(process, Dest)};
act({demonitor, Ref, Options}) -> demonitor(Ref, Options);
act({exit, Pid, Reason}) -> exit(Pid, Reason);
act({die, Reason}) -> exit({ended, Reason});
act({raise_, error, Reason}) -> exit({error, Reason});
act({raise_, throw, Reason}) -> exit({throw, Reason});
act({trap, Flag}) -> process_flag(trap_exit, Flag);
act(finish) -> finish;
act({send, Dest, Message}) -> Dest ! {m, Message}, sent;
act({look, Pattern}) -> look(Pattern);
act(flush) -> ordered(flush());
act({register, Name, Pid}) -> register(Name, Pid);
act({unregister, Name}) -> unregister(Name);
act({whereis, Name}) -> whereis(Name);
act({alias, _}) -> {ref, alias()};
act({unalias, Ref}) -> unalias(Ref);
act({far, _, Dest, Message}) -> {timer, erlang:start_timer(?FAR, Dest, Message)};
act({soon, _, Dest, Message}) -> {timer, erlang:start_timer(0, Dest, Message)};
act({fetch, Ref}) -> receive {timeout, Ref, Message} -> {fired, Message} end;
act({read, Ref}) -> is_integer(erlang:read_timer(Ref));
act({cancel, Ref}) -> is_integer(erlang:cancel_timer(Ref));
act(info) ->
    Info = process_info(self(), [trap_exit, links, monitors, monitored_by, registered_name]),
    [{Key, case is_list(Value) of true -> length(Value); false -> Value end} || {Key, Value} <- Info].

flush() ->
    receive
        {m, _} = M -> [M | flush()];
        {'EXIT', _, _} = M -> [M | flush()];
        {'DOWN', _, _, _, _} = M -> [M | flush()];
        {timeout, _, _} = M -> [M | flush()]
    after 0 -> []
    end.

%% What the end of one process tells has no order, so neighbours of that kind are sorted by what they say.
ordered([]) -> [];
ordered([{m, _} = M | Rest]) -> [M | ordered(Rest)];
ordered([{timeout, _, _} = M | Rest]) -> [M | ordered(Rest)];
ordered(Messages) ->
    {Told, Rest} = lists:splitwith(fun(M) -> lists:member(element(1, M), ['EXIT', 'DOWN']) end, Messages),
    [{together, Told} | ordered(Rest)].

look(any) -> receive {m, _} = M -> {got, M} after 0 -> timeout end;
look({same, Term}) -> receive {m, T} = M when T =:= Term -> {got, M} after 0 -> timeout end;
look(integer) -> receive {m, T} = M when is_integer(T) -> {got, M} after 0 -> timeout end;
look(float) -> receive {m, T} = M when is_float(T) -> {got, M} after 0 -> timeout end;
look(boolean) -> receive {m, T} = M when is_boolean(T) -> {got, M} after 0 -> timeout end;
look(list) -> receive {m, T} = M when is_list(T) -> {got, M} after 0 -> timeout end;
look(pair) -> receive {m, {_, _}} = M -> {got, M} after 0 -> timeout end;
look({'DOWN', Ref}) -> receive {'DOWN', Ref, _, _, _} = M -> {got, M} after 0 -> timeout end;
look({'EXIT', Pid}) -> receive {'EXIT', Pid, _} = M -> {got, M} after 0 -> timeout end.

wait(Pattern, For) ->
    receive
        {sync, From, Ref} -> From ! {synced, Ref, relations()}, wait(Pattern, For);
        {m, _} = M when Pattern =:= any -> {got, M};
        {m, T} = M when Pattern =:= {same, T} -> {got, M};
        {m, T} = M when Pattern =:= integer, is_integer(T) -> {got, M};
        {m, T} = M when Pattern =:= float, is_float(T) -> {got, M};
        {m, T} = M when Pattern =:= boolean, is_boolean(T) -> {got, M};
        {m, T} = M when Pattern =:= list, is_list(T) -> {got, M};
        {m, {_, _}} = M when Pattern =:= pair -> {got, M};
        {'DOWN', Ref, _, _, _} = M when Pattern =:= {'DOWN', Ref} -> {got, M};
        {'EXIT', Pid, _} = M when Pattern =:= {'EXIT', Pid} -> {got, M}
    after For -> timeout
    end.
