%% A process that does what a test says and keeps every message that it gets, in order.
%% It traps exits, so the end of a link is a message like any other.
-module(probe).
-export([start/0, start/1, run/2, messages/1, count/1, closure/1, flood/3]).

start() ->
    spawn(fun() -> process_flag(trap_exit, true), loop([]) end).

start(Name) ->
    Probe = start(),
    register(Name, Probe),
    Probe.

%% The value of Fun(), run inside of the probe: what it links or monitors is the probe's.
run(Probe, Fun) ->
    Ref = monitor(process, Probe),
    Probe ! {run, self(), Ref, Fun},
    receive
        {Ref, ok, Value} -> demonitor(Ref, [flush]), Value;
        {Ref, raised, Class, Reason} -> demonitor(Ref, [flush]), erlang:raise(Class, Reason, []);
        {'DOWN', Ref, process, _, Reason} -> exit(Reason)
    end.

messages(Probe) -> ask(Probe, messages).
count(Probe) -> ask(Probe, count).

ask(Probe, What) ->
    Ref = make_ref(),
    Probe ! {What, self(), Ref},
    receive {Ref, Answer} -> Answer end.

loop(Kept) ->
    receive
        {run, From, Ref, Fun} ->
            From ! try {Ref, ok, Fun()} catch Class:Reason -> {Ref, raised, Class, Reason} end,
            loop(Kept);
        {messages, From, Ref} ->
            From ! {Ref, lists:reverse(Kept)},
            loop(Kept);
        {count, From, Ref} ->
            From ! {Ref, length(Kept)},
            loop(Kept);
        Message ->
            loop([Message | Kept])
    end.

%% A closure of a compiled module: it can be called again where the module is.
closure(X) -> fun(Y) -> {X, Y} end.

%% Send N numbered messages.
flood(Dest, Tag, N) ->
    [Dest ! {Tag, I} || I <- lists:seq(1, N)],
    ok.
