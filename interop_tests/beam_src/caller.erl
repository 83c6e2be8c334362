%% Callers that ask members of a group, each at random and again and again, and remember what went wrong.
-module(caller).
-export([start/3, calls/1, stop/1]).

%% start(Group, Requests, N): N callers per request.
start(Group, Requests, N) ->
    spawn(fun() ->
        Me = self(),
        All = [spawn_link(fun() -> loop(Me, Group, R, 0, []) end) || R <- Requests, _ <- lists:seq(1, N)],
        gather(All, counters:new(1, []))
    end).

calls(Pid) ->
    ask(Pid, calls).

%% {Calls, Failures}
stop(Pid) ->
    ask(Pid, stop).

ask(Pid, What) ->
    Ref = monitor(process, Pid),
    Pid ! {What, self(), Ref},
    receive
        {Ref, Answer} -> demonitor(Ref, [flush]), Answer;
        {'DOWN', Ref, _, _, Reason} -> exit(Reason)
    end.

gather(All, Count) ->
    receive
        called -> counters:add(Count, 1, 1), gather(All, Count);
        {calls, From, Ref} -> From ! {Ref, counters:get(Count, 1)}, gather(All, Count);
        {stop, From, Ref} ->
            [P ! stop || P <- All],
            Results = [receive {P, Calls, Bad} -> {Calls, Bad} end || P <- All],
            From ! {Ref, {lists:sum([C || {C, _} <- Results]), lists:append([B || {_, B} <- Results])}}
    end.

loop(Master, Group, Request, Calls, Bad) ->
    receive
        stop -> Master ! {self(), Calls, Bad}
    after 2 ->
        Master ! called,
        loop(Master, Group, Request, Calls + 1, once(pg:get_members(Group), Request) ++ Bad)
    end.

once([], _) -> [no_members];
once(Members, Request) ->
    Pid = lists:nth(rand:uniform(length(Members)), Members),
    try gen_server:call(Pid, Request, 60000) of
        {ok, _} -> [];
        Other -> [Other]
    catch
        Class:Reason -> [{Class, Reason}]
    end.
