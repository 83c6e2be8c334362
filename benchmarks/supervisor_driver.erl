%% What bench_supervisor.py measures of OTP's supervisor, with gen_servers as children: each step prints its name and
%% the microseconds of the wall and of the CPU that it took.
-module(supervisor_driver).
-export([run/2, init/1, child/0, handle_call/3, handle_cast/2]).

init(worker) ->
    {ok, []};
init(static) ->
    {ok, {#{strategy => one_for_one, intensity => 1000000000, period => 1}, []}};
init(dynamic) ->
    Child = #{id => child, start => {?MODULE, child, []}},
    {ok, {#{strategy => simple_one_for_one, intensity => 1000000000, period => 1}, [Child]}}.

child() -> gen_server:start_link(?MODULE, worker, []).

handle_call(_, _, State) -> {reply, ok, State}.
handle_cast(_, State) -> {noreply, State}.

run(Kind, Number) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    {ok, Sup} = supervisor:start_link(?MODULE, Kind),
    step(start, fun() -> [start(Kind, Sup, N) || N <- lists:seq(1, Number)] end),
    Children = step(which_children, fun() -> supervisor:which_children(Sup) end),
    Killed = [Pid || {_, Pid, _, _} <- lists:sublist(Children, 1000)],
    step(kill, fun() -> [exit(Pid, kill) || Pid <- Killed], supervisor:count_children(Sup) end),
    step(stop, fun() -> exit(Sup, shutdown), receive {'EXIT', Sup, _} -> ok end end),
    halt().

start(static, Sup, N) ->
    {ok, _} = supervisor:start_child(Sup, #{id => N, start => {?MODULE, child, []}});
start(dynamic, Sup, _) ->
    {ok, _} = supervisor:start_child(Sup, []).

step(Name, Fun) ->
    {Cpu, _} = erlang:statistics(runtime),
    Wall = erlang:monotonic_time(microsecond),
    Result = Fun(),
    {After, _} = erlang:statistics(runtime),
    io:format("~s ~b ~b~n", [Name, erlang:monotonic_time(microsecond) - Wall, (After - Cpu) * 1000]),
    Result.
