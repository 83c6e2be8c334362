%% The BEAM's side of soak.py: a desk that Python calls, and callers whose every call into Python is counted.
-module(soak_driver).
-export([start/3, counts/0, stop/0, desk/2, mortal/0]).

%% `Callers` processes that call the desk of `Node` until `stop`; the counts are kept in an ets table.
start(Node, Callers, Big) ->
    Me = self(),
    spawn(fun() ->
        register(soak_owner, self()),
        ets:new(soak, [named_table, public]),
        [spawn(fun() -> small(Node, N) end) || N <- lists:seq(1, Callers)],
        spawn(fun() -> big(Node, Big) end),
        spawn(fun() -> ends(Node) end),
        register(soak_desk, spawn(fun() -> desk(#{}, 0) end)),
        Me ! ready,
        receive never -> ok end
    end),
    receive ready -> ok end.

stop() -> ets:insert(soak, {stop, true}), ok.
stopped() -> ets:member(soak, stop).
counts() -> [Row || {_, _} = Row <- ets:tab2list(soak), element(1, Row) =/= stop].
count(What) -> ets:update_counter(soak, What, 1, {What, 0}).

small(Node, N) ->
    stopped() andalso exit(normal),
    count(began),
    count(outcome(fun() -> Term = {N, make_ref(), self()}, Term = gen_server:call({soak_desk, Node}, {echo, Term}, 20000) end)),
    timer:sleep(5),
    small(Node, N).

big(Node, Size) ->
    stopped() andalso exit(normal),
    Binary = binary:copy(<<"0123456789abcdef">>, Size div 16),
    count(began),
    count(outcome(fun() -> Binary = gen_server:call({soak_desk, Node}, {echo, Binary}, 20000) end)),
    timer:sleep(100),
    big(Node, Size).

outcome(Call) ->
    try Call(), ok
    catch
        exit:{{nodedown, _}, _} -> nodedown;
        exit:{noproc, _} -> noproc;
        exit:{timeout, _} -> timeout;
        exit:{noconnection, _} -> noconnection;
        _:_ -> wrong
    end.

%% A process of Python's, linked and monitored, is told to end: one EXIT and one DOWN.
ends(Node) ->
    stopped() andalso exit(normal),
    process_flag(trap_exit, true),
    try gen_server:call({soak_desk, Node}, mortal, 20000) of
        Pid ->
            link(Pid), R = monitor(process, Pid), Pid ! finish, count(ends_began),
            receive {'EXIT', Pid, _} -> count(ends_exit) after 20000 -> count(ends_no_exit) end,
            receive {'DOWN', R, _, _, _} -> count(ends_down) after 20000 -> count(ends_no_down) end
    catch exit:_ -> count(ends_not_begun) end,
    timer:sleep(20),
    receive {'EXIT', _, _} -> count(ends_twice); {'DOWN', _, _, _, _} -> count(ends_twice) after 0 -> ok end,
    ends(Node).

%% What Python calls: echo, its own mortal processes, and casts whose order it checks.
desk(Last, Disordered) ->
    receive
        {'$gen_call', From, {echo, Term}} -> gen:reply(From, Term), desk(Last, Disordered);
        {'$gen_call', From, mortal} -> gen:reply(From, spawn(fun mortal/0)), desk(Last, Disordered);
        {'$gen_call', From, disordered} -> gen:reply(From, Disordered), desk(Last, Disordered);
        {'$gen_cast', {Who, N}} when N > map_get(Who, Last) -> desk(Last#{Who => N}, Disordered);
        {'$gen_cast', {Who, N}} when is_map_key(Who, Last) -> desk(Last#{Who => N}, Disordered + 1);
        {'$gen_cast', {Who, N}} -> desk(Last#{Who => N}, Disordered)
    end.

mortal() -> receive finish -> ok after 60000 -> ok end.
