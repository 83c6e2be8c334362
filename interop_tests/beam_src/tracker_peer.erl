%% A replica of a Phoenix.Tracker as other nodes see one, and no more: it tells what it tracks and hears what others do.
%% Strict: it crashes on whatever would crash a shard of Phoenix. Of the real one it is the callback module.
%%
%% It keeps, of each replica, the highest clock and the entries by tag: enough to join, leave and ask for what is missing.
-module(tracker_peer).
-export([start/4, start/5, track/5, untrack/4, list/2]).
-export([init/1, handle_diff/2]).

-define(STATE, 'Elixir.Phoenix.Tracker.State').
-define(PERIOD, 50).

%% Library is 'Elixir.Phoenix.Tracker', or this module, which then stands in its place. Diffs are told to To.
start(Library, Name, PubSub, To) -> start(Library, Name, PubSub, To, []).

start('Elixir.Phoenix.Tracker' = Library, Name, PubSub, To, More) ->
    code:purge(Library),
    {module, Library} = code:load_file(Library), % where ours may have stood
    hold(fun() ->
        Options = [{name, Name}, {pubsub_server, PubSub}, {pool_size, 2}, {broadcast_period, ?PERIOD} | More],
        {ok, Pid} = Library:start_link(?MODULE, To, Options),
        Pid
    end);
start(?MODULE, Name, PubSub, To, _) ->
    ok = pubsub_peer:pretend('Elixir.Phoenix.Tracker', {?MODULE}, [{track, 5}, {untrack, 4}, {list, 2}]),
    hold(fun() ->
        Me = self(),
        Shards = [shard(Name, N) || N <- [0, 1]],
        [begin
             Pid = spawn_link(fun() -> enter(Shard, PubSub, To, Me) end),
             receive {Pid, up} -> ok end
         end || Shard <- Shards],
        Front = spawn_link(fun() -> register(Name, self()), Me ! {self(), up}, front(Name, PubSub, Shards) end),
        receive {Front, up} -> Front end
    end).

hold(Start) ->
    To = self(),
    Holder = spawn(fun() -> Pid = Start(), To ! {self(), Pid}, receive stop -> exit(shutdown) end end),
    Ref = monitor(process, Holder),
    receive {Holder, _} -> demonitor(Ref, [flush]), Holder; {'DOWN', Ref, _, _, Reason} -> error(Reason) end.

%% --- callbacks of the real one ---------------------------------------------------------------------
init(To) -> {ok, To}.

handle_diff(Diff, To) ->
    [To ! {diff, Topic, Joins, Leaves} || {Topic, {Joins, Leaves}} <- maps:to_list(Diff)],
    {ok, To}.

%% --- the tracker's supervisor, as far as it is asked -------------------------------------------------
front(Name, PubSub, Shards) ->
    receive
        {'$gen_call', {Pid, [alias | Alias] = Tag}, {get_childspec, Id}} when is_pid(Pid) ->
            true = lists:member(Id, Shards),
            Options = [{name, Name}, {pubsub_server, PubSub}, {pool_size, 2}, {broadcast_period, ?PERIOD}],
            Start = {'Elixir.Phoenix.Tracker.Shard', start_link, [?MODULE, self(), Options]},
            Alias ! {Tag, {ok, #{id => Id, start => Start}}}
    end,
    front(Name, PubSub, Shards).

shard(Name, Number) -> list_to_atom(atom_to_list(Name) ++ "_shard" ++ integer_to_list(Number)).

%% --- from this node ----------------------------------------------------------------------------------
track(Name, Pid, Topic, Key, Meta) when is_pid(Pid), is_map(Meta) -> ask(Name, Topic, {track, Pid, Topic, Key, Meta}).
untrack(Name, Pid, Topic, Key) when is_pid(Pid) -> ask(Name, Topic, {untrack, Pid, Topic, Key}).
list(Name, Topic) -> ask(Name, Topic, {entries, Topic}).

ask(Name, Topic, Request) ->
    {ok, Answer} = gen:call(shard(Name, erlang:phash2(Topic, 2)), '$gen_call', Request),
    Answer.

%% --- a shard -----------------------------------------------------------------------------------------
enter(Shard, PubSub, To, Holder) ->
    process_flag(trap_exit, true),
    register(Shard, self()),
    Topic = <<"phx_presence:", (atom_to_binary(Shard))/binary>>,
    ok = pubsub_peer:subscribe(PubSub, Topic, []),
    Me = {node(), erlang:unique_integer([positive, monotonic])},
    Holder ! {self(), up},
    loop(tell(empty, #{me => Me, pubsub => PubSub, topic => Topic, to => To, holder => Holder, silent => 0,
        context => #{Me => 0}, ticks => #{}, entries => #{}})).

loop(#{entries := Entries, context := Context, me := Me, holder := Holder} = S) ->
    receive
        {'$gen_call', From, {track, Pid, Topic, Key, Meta}} ->
            link(Pid),
            gen:reply(From, ok),
            loop(change([], [{Pid, Topic, Key, Meta#{phx_ref => integer_to_binary(erlang:unique_integer([positive]))}}], S));
        {'$gen_call', From, {untrack, Pid, Topic, Key}} ->
            gen:reply(From, ok),
            loop(change([Tag || {{R, _} = Tag, {P, T, K, _}} <- maps:to_list(Entries), R =:= Me, {P, T, K} =:= {Pid, Topic, Key}], [], S));
        {'$gen_call', From, {entries, Topic}} ->
            gen:reply(From, [{Key, Meta} || {_, T, Key, Meta} <- maps:values(Entries), T =:= Topic]),
            loop(S);
        {'$gen_call', {Pid, Ref}, {list, Topic}} when is_pid(Pid), is_binary(Topic) ->
            Pid ! {Ref, state(S, Context)},
            loop(S);
        {'EXIT', Holder, Reason} -> exit(Reason);
        {'EXIT', Pid, _} -> loop(change([Tag || {{R, _} = Tag, {P, _, _, _}} <- maps:to_list(Entries), R =:= Me, P =:= Pid], [], S));
        {pub, What, A, B, C} -> loop(heard({What, A, B, C}, S));
        {pub, graceful_permdown, {_, _} = Ref} -> loop(forget(Ref, S));
        Other -> error({not_of_a_tracker, Other})
    after ?PERIOD ->
        loop(quiet(S))
    end.

%% What is here changes: the entries of Left tags go, Joined come. Told at once.
change(Left, Joined, #{me := Me, context := Context, entries := Entries, to := To} = S) ->
    #{Me := Clock} = Context,
    Steps = length(Left) + length(Joined),
    New = maps:from_list([{{Me, Clock + length(Left) + N}, V} || {N, V} <- lists:zip(lists:seq(1, length(Joined)), Joined)]),
    report(maps:values(New), [map_get(Tag, Entries) || Tag <- Left], To),
    Ticks = sets:from_list([{Me, Clock + N} || N <- lists:seq(1, Steps)] ++ Left, [{version, 2}]),
    Delta = #{'__struct__' => ?STATE, replica => Me, context => #{}, clouds => #{Me => map_set(Ticks)}, values => New, pids => nil,
        mode => delta, delta => unset, replicas => #{}, range => {#{Me => Clock}, #{Me => Clock + Steps}}},
    Now = S#{context := Context#{Me := Clock + Steps}, entries := maps:merge(maps:without(Left, Entries), New)},
    if Steps =:= 0 -> Now; true -> tell(Delta, Now) end.

quiet(#{silent := Silent} = S) when Silent >= 10 -> tell(empty, S);
quiet(#{silent := Silent} = S) -> S#{silent := Silent + 1}.

tell(Delta, #{me := Me, pubsub := PubSub, topic := Topic, context := Context} = S) ->
    pubsub_peer:broadcast_from(PubSub, self(), Topic, {pub, heartbeat, Me, Delta, {Me, Context}}),
    S#{silent := 0}.

to(Node, Message, #{pubsub := PubSub, topic := Topic}) -> pubsub_peer:direct_broadcast(Node, PubSub, Topic, Message).

%% --- from others -------------------------------------------------------------------------------------
heard({heartbeat, Ref, Delta, {Ref, Clocks}}, S) ->
    Known = alive(Ref, S),
    #{me := Me, context := Context} = Now = case Delta of empty -> Known; _ -> merge(Delta, map_get(values, Delta), Known) end,
    Behind = [R || {R, Clock} <- maps:to_list(Clocks), Clock > maps:get(R, Context, Clock)],
    [to(element(1, Ref), {pub, transfer_req, make_ref(), Me, {Me, Context}}, Now) || Behind =/= []],
    Now;
heard({transfer_req, Unique, {Node, _}, {_, Clocks}}, #{me := Me, entries := Entries, context := Context} = S) when is_map(Clocks) ->
    Given = maps:filter(fun({R, _}, _) -> is_map_key(R, Clocks) end, Entries),
    to(Node, {pub, transfer_ack, Unique, Me, {state(S, maps:with(maps:keys(Clocks), Context)), Given}}, S),
    S;
heard({transfer_ack, _, {_, _}, {#{'__struct__' := ?STATE, mode := normal} = State, Values}}, S) -> merge(State, Values, S).

%% The next tracker of a node is the end of the one before.
alive({Node, _} = Ref, #{context := Context} = S) ->
    Old = [R || {N, _} = R <- maps:keys(Context), N =:= Node, R =/= Ref],
    #{context := Now} = Rest = lists:foldl(fun forget/2, S, Old),
    Rest#{context := maps:merge(#{Ref => 0}, Now)}.

forget(Ref, #{context := Context, entries := Entries, ticks := Ticks, to := To} = S) ->
    Gone = maps:filter(fun({R, _}, _) -> R =:= Ref end, Entries),
    report([], maps:values(Gone), To),
    S#{context := maps:remove(Ref, Context), ticks := maps:remove(Ref, Ticks), entries := maps:without(maps:keys(Gone), Entries)}.

merge(#{'__struct__' := ?STATE, context := Theirs, clouds := Clouds, replicas := R, range := {#{}, #{}}}, Values, S) when is_map(R) ->
    #{me := Me, context := Context, ticks := Ticks, entries := Entries, to := To} = S,
    Seen = maps:map(fun(Ref, Set) -> [Clock || {Of, Clock} <- elements(Set), Of =:= Ref] end, Clouds),
    Is = fun({Ref, Clock}, C, T) -> Clock =< maps:get(Ref, C, -1) orelse lists:member(Clock, maps:get(Ref, T, [])) end,
    Joins = maps:filter(fun({Ref, _} = Tag, {Pid, Topic, _, Meta}) when is_pid(Pid), is_binary(Topic), is_map(Meta) ->
        is_map_key(Ref, Context) andalso not Is(Tag, Context, Ticks) end, Values),
    Leaves = maps:filter(fun({Ref, _} = Tag, _) ->
        Ref =/= Me andalso not is_map_key(Tag, Values) andalso Is(Tag, Theirs, Seen) end, Entries),
    report(maps:values(Joins), maps:values(Leaves), To),
    Together = maps:map(fun(Ref, Clock) -> max(Clock, maps:get(Ref, Theirs, 0)) end, Context),
    All = maps:with(maps:keys(Context), maps:merge_with(fun(_, A, B) -> lists:umerge(lists:sort(A), lists:sort(B)) end, Ticks, Seen)),
    {Now, Rest} = maps:fold(fun follow/3, {Together, #{}}, All),
    S#{context := Now, ticks := Rest, entries := maps:merge(maps:without(maps:keys(Leaves), Entries), Joins)}.

%% Clocks that follow the highest one of all are in it.
follow(Ref, Clocks, {Context, Rest}) ->
    {Clock, Left} = lists:foldl(fun
        (C, {Known, L}) when C =:= Known + 1 -> {C, L};
        (C, {Known, L}) when C > Known -> {Known, [C | L]};
        (_, Found) -> Found
    end, {map_get(Ref, Context), []}, lists:sort(Clocks)),
    {Context#{Ref := Clock}, Rest#{Ref => Left}}.

state(#{me := Me, ticks := Ticks}, Context) ->
    Clouds = maps:map(fun(Ref, Clocks) -> map_set(sets:from_list([{Ref, C} || C <- Clocks], [{version, 2}])) end, maps:with(maps:keys(Context), Ticks)),
    #{'__struct__' => ?STATE, replica => Me, context => Context, clouds => Clouds, values => nil, pids => nil, mode => normal,
        delta => unset, replicas => #{Me => up}, range => {#{}, #{}}}.

map_set(Set) -> #{'__struct__' => 'Elixir.MapSet', map => Set, version => 2}.

%% As Elixir 1.14 matches a set.
elements(#{'__struct__' := 'Elixir.MapSet', map := Map, version := 2}) -> maps:keys(Map).

%% One message for each topic, of both sides, as a diff is told to the real one's callback.
report(Joins, Leaves, To) ->
    Side = fun(Values, Topic) -> [{Key, Meta} || {_, T, Key, Meta} <- Values, T =:= Topic] end,
    [To ! {diff, Topic, Side(Joins, Topic), Side(Leaves, Topic)} || Topic <- lists:usort([T || {_, T, _, _} <- Joins ++ Leaves])],
    ok.
