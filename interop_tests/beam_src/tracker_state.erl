%% Runs a script of changes on states of the real Phoenix.Tracker.State and tells, after each, all that can be seen of
%% the state that it changed. Deltas are kept by number, so that they can come late, twice or in another order.
-module(tracker_state).
-export([run/1]).

-define(STATE, 'Elixir.Phoenix.Tracker.State').

run(Script) ->
    To = self(),
    {Pid, Ref} = spawn_monitor(fun() -> To ! {self(), steps(Script, #{}, #{}, [])} end),
    receive {Pid, Told} -> demonitor(Ref, [flush]), Told; {'DOWN', Ref, _, _, Reason} -> error(Reason) end.

steps([], _, _, Told) -> lists:reverse(Told);
steps([Step | Rest], States, Deltas, Told) ->
    {Replica, State, Joins, Leaves, Kept} = step(Step, States, Deltas),
    steps(Rest, States#{Replica => State}, Kept, [{entries(Joins), entries(Leaves), view(State)} | Told]).

step({new, R}, _, D) -> {R, ?STATE:new(R, list_to_atom("shard_of_" ++ atom_to_list(element(1, R)))), [], [], D};
step({join, R, Pid, Topic, Key, Meta}, S, D) -> {R, ?STATE:join(map_get(R, S), Pid, Topic, Key, Meta), [], [], D};
step({leave, R, Pid, Topic, Key}, S, D) -> {R, ?STATE:leave(map_get(R, S), Pid, Topic, Key), [], [], D};
step({update, R, Pid, Topic, Key, Meta}, S, D) -> {R, update(map_get(R, S), Pid, Topic, Key, Meta), [], [], D};
step({up, R, Other}, S, D) -> {State, Joins, Leaves} = ?STATE:replica_up(map_get(R, S), Other), {R, State, Joins, Leaves, D};
step({down, R, Other}, S, D) -> {State, Joins, Leaves} = ?STATE:replica_down(map_get(R, S), Other), {R, State, Joins, Leaves, D};
step({remove, R, Other}, S, D) -> {R, ?STATE:remove_down_replicas(map_get(R, S), Other), [], [], D};
step({delta, R, Number}, S, D) ->
    #{delta := Delta} = State = map_get(R, S),
    {R, ?STATE:compact(?STATE:reset_delta(State)), [], [], D#{Number => Delta}};
step({merge, R, Number}, S, D) ->
    {State, Joins, Leaves} = ?STATE:merge(map_get(R, S), map_get(Number, D)),
    {R, State, Joins, Leaves, D};
step({transfer, R, From}, S, D) ->
    #{context := Context} = Mine = map_get(R, S),
    {State, Joins, Leaves} = ?STATE:merge(Mine, ?STATE:extract(map_get(From, S), element(1, R), Context)),
    {R, State, Joins, Leaves, D}.

update(State, Pid, Topic, Key, Meta) ->
    case erlang:function_exported(?STATE, leave_join, 5) of
        true -> ?STATE:leave_join(State, Pid, Topic, Key, Meta);
        false -> ?STATE:join(?STATE:leave(State, Pid, Topic, Key), Pid, Topic, Key, Meta) % as shards of 2.0 do
    end.

view(#{context := Context, clouds := Clouds, values := Values, delta := Delta} = State) ->
    #{values := Given, clouds := Ticks, range := {Start, End}} = Delta,
    #{
        context => Context,
        clocks => element(2, ?STATE:clocks(State)),
        clouds => clouds(Clouds),
        entries => entries(ets:tab2list(Values)),
        online => entries(?STATE:online_list(State)),
        delta => {lists:sort(maps:to_list(Given)), clouds(Ticks), Start, End}
    }.

entries(List) -> lists:sort([{Tag, {Pid, Topic, Key, Meta}} || {{Topic, Pid, Key}, Meta, Tag} <- List]).

clouds(Clouds) ->
    Sorted = maps:map(fun(_, #{'__struct__' := 'Elixir.MapSet', map := Map}) -> lists:sort(maps:keys(Map)) end, Clouds),
    maps:filter(fun(_, Tags) -> Tags =/= [] end, Sorted).
