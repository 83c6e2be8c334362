%% What bench_remote_calls.py measures: calls and spawns per second into a node, by C processes at a time.
-module(remote_driver).
-export([calls/3, spawns/3, ends/3, add/2, nop/0]).

add(A, B) -> A + B.
nop() -> ok.

calls(Node, C, Each) -> rate(C, Each, fun() -> 3 = erpc:call(Node, ?MODULE, add, [1, 2]) end).
spawns(Node, C, Each) -> rate(C, Each, fun() -> spawn(Node, ?MODULE, nop, []) end).
ends(Node, C, Each) ->
    rate(C, Each, fun() ->
        {P, R} = spawn_monitor(Node, ?MODULE, nop, []),
        receive {'DOWN', R, process, P, normal} -> ok end
    end).

rate(C, Each, F) ->
    Me = self(), Start = erlang:monotonic_time(microsecond),
    Ps = [spawn_link(fun() -> repeat(Each, F), Me ! {done, self()} end) || _ <- lists:seq(1, C)],
    [receive {done, P} -> ok end || P <- Ps],
    round(C * Each * 1000000 / (erlang:monotonic_time(microsecond) - Start)).

repeat(0, _) -> ok;
repeat(N, F) -> F(), repeat(N - 1, F).
