%% pg: processes of two sides join and leave groups and end, and watchers are told; both sides agree before the next step.
-module(diff_groups).
-export([trace/2, scope/1, member/0, join/3, leave/3, members/2, local/2, groups/1, local_groups/1, watch/2, told/1]).

trace(Where, Steps) ->
    Scope = list_to_atom(lists:concat([pg_, erlang:unique_integer([positive])])),
    Nodes = case Where of {Same, Same} -> [{0, Same}]; {One, Two} -> [{0, One}, {1, Two}] end,
    %% A scope does not look for those of hidden nodes, which find it, but not before it is there.
    {Later, First} = lists:partition(fun({_, Node}) -> lists:member(Node, nodes(hidden)) end, Nodes),
    Scopes = [erpc:call(Node, ?MODULE, scope, [Scope]) || {_, Node} <- First ++ Later],
    Members = maps:from_list([{{Side, N}, erpc:call(Node, ?MODULE, member, [])} || {Side, Node} <- Nodes, N <- [1, 2, 3]]),
    S = #{scope => Scope, nodes => maps:from_list(Nodes), members => Members, watchers => [], unwatched => #{}, dead => []},
    %% The scopes know each other when each has seen what the other has joined.
    [ok = changed(Node, join, '$here', [map_get({Side, 1}, Members)], S) || {Side, Node} <- Nodes],
    settled(S),
    [ok = changed(Node, leave, '$here', [map_get({Side, 1}, Members)], S) || {Side, Node} <- Nodes],
    settled(S),
    {Seen, Last} = lists:mapfoldl(fun step/2, S, Steps),
    [exit(Pid, kill) || Pid <- maps:values(Members) ++ [W || {_, W} <- maps:get(watchers, Last)] ++ Scopes],
    differential:named(Seen, maps:from_list([{Pid, Name} || {Name, Pid} <- maps:to_list(Members)])).

step(Step, S) ->
    put(step, Step),
    {Value, S2} = do(Step, S),
    settled(S2),
    {{Step, Value, view(S2), told_to(S2)}, S2}.

do({Kind, Side, Group, Who}, #{nodes := Nodes, members := Members} = S) when is_map_key(Side, Nodes) ->
    case [map_get(Name, Members) || Name <- Who, is_map_key(Name, Members)] of
        [] -> {skipped, S};
        Pids -> {changed(map_get(Side, Nodes), Kind, Group, Pids, S), S}
    end;
do({die, Name}, #{members := Members, dead := Dead} = S) when is_map_key(Name, Members) ->
    Pid = map_get(Name, Members),
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, _, _, _} -> {dead, S#{dead := [Pid | Dead]}} end;
do({watch, Side, Group}, #{scope := Scope, nodes := Nodes, watchers := Watchers} = S) when is_map_key(Side, Nodes) ->
    {Pid, Now} = erpc:call(map_get(Side, Nodes), ?MODULE, watch, [Scope, Group]),
    {sorted(differential:named(Now, names(S))), S#{watchers := Watchers ++ [{Side, Pid}]}};
do({unwatch, N}, #{watchers := Watchers, unwatched := Before} = S) when N =< length(Watchers), not is_map_key(N, Before) ->
    %% Once: the second time is false, but ok for a whole scope on OTP 29.
    {_, Pid} = lists:nth(N, Watchers),
    Tag = make_ref(),
    Pid ! {unwatch, self(), Tag},
    receive {Tag, Said} -> {Said, S#{unwatched := Before#{N => true}}} end;
do(_, S) -> {skipped, S}.

changed(Node, Kind, Group, Pids, #{scope := Scope}) ->
    try erpc:call(Node, ?MODULE, Kind, [Scope, Group, Pids])
    catch error:{exception, {nolocal, _}, _} -> {error, nolocal}
    end.

%% Every side has what all have said of their own, and nobody who has ended.
settled(#{nodes := Nodes, scope := Scope, dead := Dead} = S) ->
    Each = [Node || {_, Node} <- maps:to_list(Nodes)],
    Own = [{Group, ask(Node, local, [Scope, Group])} || Node <- Each, Group <- ask(Node, local_groups, [Scope])],
    All = lists:foldl(fun({Group, Pids}, Found) -> maps:update_with(Group, fun(P) -> lists:sort(P ++ Pids) end, lists:sort(Pids), Found) end, #{}, Own),
    Views = [maps:from_list([{G, lists:sort(ask(Node, members, [Scope, G]))} || G <- ask(Node, groups, [Scope])]) || Node <- Each],
    Gone = [Pid || Pid <- lists:append(maps:values(All)), lists:member(Pid, Dead)],
    case Gone =:= [] andalso lists:all(fun(View) -> View =:= All end, Views) of
        true -> ok;
        false -> timer:sleep(1), settled(S)
    end.

view(#{nodes := Nodes, scope := Scope} = S) ->
    Names = names(S),
    Named = fun(Pids) -> lists:sort(differential:named(Pids, Names)) end,
    [
        {Side, [{G, Named(ask(Node, members, [Scope, G])), Named(ask(Node, local, [Scope, G]))} || G <- in_order(ask(Node, groups, [Scope]))]}
     || {Side, Node} <- lists:sort(maps:to_list(Nodes))
    ].

names(#{members := Members}) -> maps:from_list([{Pid, Name} || {Name, Pid} <- maps:to_list(Members)]).

told_to(#{watchers := Watchers} = S) ->
    Names = names(S),
    [in_order([{Kind, Group, lists:sort(differential:named(Pids, Names))} || {Kind, Group, Pids} <- asked(Pid)]) || {_, Pid} <- Watchers].

%% 1 and 1.0 have no order of their own.
in_order(Terms) -> [Term || {_, Term} <- lists:sort([{term_to_binary(Term), Term} || Term <- Terms])].

asked(Pid) ->
    Ref = make_ref(),
    Pid ! {told, self(), Ref},
    receive {Ref, Told} -> Told end.

sorted(Map) when is_map(Map) -> maps:map(fun(_, Pids) -> lists:sort(Pids) end, Map);
sorted(Pids) -> lists:sort(Pids).

ask(Node, Function, Args) -> erpc:call(Node, ?MODULE, Function, Args).

%% --- what is done where the scope is ----------------------------------------------------------
scope(Scope) -> {ok, Pid} = pg:start(Scope), Pid.
member() -> spawn(fun() -> receive stop -> ok end end).
join(Scope, Group, Pids) -> pg:join(Scope, Group, Pids).
leave(Scope, Group, Pids) -> pg:leave(Scope, Group, Pids).
members(Scope, Group) -> pg:get_members(Scope, Group).
local(Scope, Group) -> pg:get_local_members(Scope, Group).
groups(Scope) -> pg:which_groups(Scope).
local_groups(Scope) -> pg:which_local_groups(Scope).

watch(Scope, Group) ->
    Self = self(),
    Pid = spawn(fun() ->
        {Ref, Now} = case Group of '$all' -> pg:monitor_scope(Scope); _ -> pg:monitor(Scope, Group) end,
        Self ! {watches, self(), Now},
        watcher(Scope, Ref)
    end),
    receive {watches, Pid, Now} -> {Pid, Now} end.

watcher(Scope, Ref) ->
    receive
        {told, From, Tag} ->
            not_joined = pg:leave(Scope, '$nothing', [self()]),
            From ! {Tag, told(Ref)},
            watcher(Scope, Ref);
        {unwatch, From, Tag} ->
            From ! {Tag, pg:demonitor(Scope, Ref)},
            watcher(Scope, Ref)
    end.

told(Ref) -> receive {Ref, Kind, Group, Pids} -> [{Kind, Group, Pids} | told(Ref)] after 0 -> [] end.
