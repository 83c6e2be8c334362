%% The BEAM's side of bench_dist.py: one server, and what drives a server of any node. Times are in microseconds.
-module(dist_driver).
-behaviour(gen_server).
-export([start/0, calls/3, messages/2, give/3, take/3, link_all/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% The server: counts what is no call. And another one, that only small calls go to.
start() ->
    [{ok, _} = gen_server:start({local, Name}, ?MODULE, [], []) || Name <- [bench, bench_small]],
    os:getpid().

init(_) -> {ok, 0}.
handle_call(count, _, N) -> {reply, N, 0};
handle_call({take, Size}, _, N) -> {reply, binary:copy(<<7>>, Size), N};
handle_call(Request, _, N) -> {reply, Request, N}.
handle_cast(_, N) -> {noreply, N + 1}.
handle_info(_, N) -> {noreply, N + 1}.

%% Calls: so many callers, each so many calls one after the other.
calls(To, Callers, Each) ->
    Me = self(),
    timed(fun() ->
        Pids = [spawn_link(fun() -> call(To, Each), Me ! {done, self()} end) || _ <- lists:seq(1, Callers)],
        [receive {done, Pid} -> ok end || Pid <- Pids]
    end).

call(_, 0) -> ok;
call(To, N) -> gen_server:call(To, x, infinity), call(To, N - 1).

messages(To, Count) ->
    gen_server:call(To, count, infinity),
    timed(fun() -> send(To, Count), Count = gen_server:call(To, count, infinity) end).

send(_, 0) -> ok;
send(To, N) -> To ! {tick, N}, send(To, N - 1).

%% Large binaries to a server, and from it, with small calls meanwhile, to another server of the node and to the same:
%% {Time, latencies of those, latencies of these}.
give(To, Size, Count) ->
    Bin = binary:copy(<<7>>, Size),
    gen_server:call(To, count, infinity),
    disturbed(To, fun() ->
        Me = self(),
        spawn_link(fun() ->
            [gen_server:cast(To, Bin) || _ <- lists:seq(1, Count)],
            Count = gen_server:call(To, count, infinity),
            Me ! given
        end),
        receive given -> ok end
    end).

take(To, Size, Count) ->
    disturbed(To, fun() ->
        [Size = byte_size(gen_server:call(To, {take, Size}, infinity)) || _ <- lists:seq(1, Count)]
    end).

disturbed({_, Node} = To, Fun) ->
    Me = self(),
    Others = [spawn_link(fun() -> small(Server, []), exit(normal) end) || Server <- [{bench_small, Node}, To]],
    Time = timed(Fun),
    [Apart, Same] = [begin Pid ! {stop, Me}, receive {latencies, Pid, Found} -> Found end end || Pid <- Others],
    {Time, Apart, Same}.

small(To, Found) ->
    receive {stop, Pid} -> Pid ! {latencies, self(), Found}
    after 5 -> small(To, [timed(fun() -> gen_server:call(To, x, infinity) end) | Found])
    end.

link_all(Pids) ->
    [spawn(fun() -> link(Pid), receive after infinity -> ok end end) || Pid <- Pids].

timed(Fun) ->
    Begun = erlang:monotonic_time(microsecond),
    Fun(),
    erlang:monotonic_time(microsecond) - Begun.
