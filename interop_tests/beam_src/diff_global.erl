%% global: names and locks that processes of two sides want; after each step all nodes are asked for all of them.
%%
%% One script at a time: two that register at once wait for each other by random times.
-module(diff_global).
-export([trace/2, at_once/0, member/0, names/3, locks/2]).

at_once() -> 1.

trace(Where, {Names, Locks, Steps}) ->
    Nodes = case Where of {Same, Same} -> [{0, Same}]; {One, Two} -> [{0, One}, {1, Two}] end,
    Members = maps:from_list([{{Side, N}, erpc:call(Node, ?MODULE, member, [])} || {Side, Node} <- Nodes, N <- [1, 2, 3]]),
    S = #{of_us => make_ref(), nodes => maps:from_list(Nodes), members => Members, names => Names, locks => Locks, dead => []},
    Seen = try element(1, lists:mapfoldl(fun step/2, S, Steps)) after [exit(Pid, kill) || Pid <- maps:values(Members)] end,
    settled(S#{dead := maps:values(Members)}),
    differential:named(Seen, maps:from_list([{Pid, Name} || {Name, Pid} <- maps:to_list(Members)])).

step(Step, S) ->
    put(step, Step),
    {Value, S2} = do(Step, S),
    settled(S2),
    {{Step, Value, view(S2)}, S2}.

do({die, Name}, #{members := Members, dead := Dead} = S) when is_map_key(Name, Members) ->
    Pid = map_get(Name, Members),
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, _, _, _} -> {dead, S#{dead := [Pid | Dead]}} end;
do({Kind, Side, Name, Who, Method}, #{nodes := Nodes, members := Members} = S) when is_map_key(Side, Nodes), is_map_key(Who, Members) ->
    {names(Side, Kind, [own(Name, S), map_get(Who, Members), method(Method)], S), S};
do({unregister, Side, Name}, #{nodes := Nodes} = S) when is_map_key(Side, Nodes) ->
    names(Side, unregister, [own(Name, S)], S),
    {done, S};
do({send, Side, Name, Message}, #{nodes := Nodes} = S) when is_map_key(Side, Nodes) ->
    {names(Side, send, [own(Name, S), Message], S), S};
do({Kind, Who, {Resource, Requester}, Sides, How}, #{members := Members, nodes := Nodes} = S) when is_map_key(Who, Members) ->
    Pid = map_get(Who, Members),
    At = [map_get(Side, Nodes) || Side <- Sides, is_map_key(Side, Nodes)],
    Ref = monitor(process, Pid),
    Pid ! {lock, self(), Ref, Kind, [{own(Resource, S), Requester}, How, At]},
    receive
        {Ref, Value} -> demonitor(Ref, [flush]), {Value, S};
        {'DOWN', Ref, _, _, _} -> {nobody, S}
    end;
do(_, S) -> {skipped, S}.

%% Every name and resource is this script's.
own(Term, #{of_us := Ref}) -> {Ref, Term}.

method({M, F}) -> erlang:make_fun(M, F, 3).

names(Side, Kind, Args, #{nodes := Nodes} = S) -> plain(erpc:call(map_get(Side, Nodes), ?MODULE, names, [Kind, Args, Side]), S).

plain({badarg, {{Ref, Name}, Message}}, #{of_us := Ref}) -> {badarg, {Name, Message}};
plain(Value, _) -> Value.

%% No name and no lock of one that is dead; all agree.
settled(#{nodes := Nodes, dead := Dead} = S) ->
    Views = [registered(Node, S) || Node <- maps:values(Nodes)],
    Lockers = lists:append([erpc:call(Node, ?MODULE, names, [lockers, [], 0]) || Node <- maps:values(Nodes)]),
    Gone = lists:all(fun(Pid) -> not lists:member(Pid, Dead) end, Lockers),
    case Gone andalso lists:all(fun(View) -> View =:= hd(Views) end, Views) andalso not lists:any(fun({_, Pid}) -> lists:member(Pid, Dead) end, hd(Views)) of
        true -> ok;
        false -> timer:sleep(1), settled(S)
    end.

registered(Node, #{of_us := Ref} = S) ->
    lists:sort([{term_to_binary(Name), whereis(Node, Own, S)} || {R, Name} = Own <- erpc:call(Node, ?MODULE, names, [registered, [], 0]), R =:= Ref]).

whereis(Node, Own, _) -> erpc:call(Node, ?MODULE, names, [whereis, [Own], 0]).

view(#{nodes := Nodes, names := Names, locks := Locks, members := Members} = S) ->
    Free = fun(Node, Resource) ->
        Id = {own(Resource, S), make_ref()},
        case global:set_lock(Id, [Node], 0) of true -> global:del_lock(Id, [Node]), free; false -> taken end
    end,
    [
        {Side, [{Name, whereis(Node, own(Name, S), S)} || Name <- Names], [{Resource, Free(Node, Resource)} || Resource <- Locks]}
     || {Side, Node} <- lists:sort(maps:to_list(Nodes))
    ] ++ [{Who, mail(Pid)} || {Who, Pid} <- lists:sort(maps:to_list(Members))].

mail(Pid) ->
    Ref = monitor(process, Pid),
    Pid ! {mail, self(), Ref},
    receive
        {Ref, Mail} -> demonitor(Ref, [flush]), Mail;
        {'DOWN', Ref, _, _, _} -> gone
    end.

%% --- what is done at a side --------------------------------------------------------------------
names(register, [Name, Pid, Method], _) -> global:register_name(Name, Pid, Method);
names(re_register, [Name, Pid, Method], _) -> global:re_register_name(Name, Pid, Method);
names(unregister, [Name], _) -> global:unregister_name(Name);
names(send, [Name, Message], _) -> try global:send(Name, Message) catch exit:Reason -> Reason end;
names(whereis, [Name], _) -> global:whereis_name(Name);
names(registered, [], _) -> global:registered_names();
names(lockers, [], _) -> [Pid || {_, _, Holders} <- ets:tab2list(global_locks), {Pid, _} <- Holders].

member() -> spawn(fun() -> serve() end).

serve() ->
    receive
        {lock, From, Ref, Kind, Args} -> From ! {Ref, locks(Kind, Args)}, serve();
        {mail, From, Ref} -> From ! {Ref, mail()}, serve()
    end.

mail() -> receive {said, _} = Message -> [Message | mail()] after 0 -> [] end.

locks(set, [Id, _, Nodes]) -> global:set_lock(Id, Nodes, 0);
locks(del, [Id, _, Nodes]) -> global:del_lock(Id, Nodes);
locks(trans, [Id, How, Nodes]) ->
    Fun = fun() ->
        case How of
            {value, Value} -> Value;
            {error, Reason} -> error(Reason);
            {exit, Reason} -> exit(Reason);
            {throw, Term} -> throw(Term);
            inner -> global:set_lock({element(1, Id), inner}, Nodes, 0)
        end
    end,
    try {value, global:trans(Id, Fun, Nodes, 0)} catch Class:Caught -> {Class, Caught} end.
