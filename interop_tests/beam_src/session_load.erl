%% Callers that ask sessions of Python without pause, one for each key, and what they were told.
-module(session_load).
-export([start/3, stop/1]).

start(Name, Nodes, Keys) ->
    [spawn(fun() -> loop(Name, Nodes, Key, 1, []) end) || Key <- Keys].

%% [{Key, [{ok, Answer} | {exit, Reason}]}], the oldest first
stop(Callers) ->
    Refs = [begin Ref = monitor(process, Pid), Pid ! {stop, self(), Ref}, Ref end || Pid <- Callers],
    [receive
         {Ref, Key, Told} -> demonitor(Ref, [flush]), {Key, lists:reverse(Told)};
         {'DOWN', Ref, _, _, Why} -> {crashed, Why}
     end || Ref <- Refs].

loop(Name, [Node | Nodes], Key, N, Told) ->
    receive
        {stop, From, Ref} -> From ! {Ref, Key, Told}
    after 0 ->
        Answer = try {ok, gen_server:call({Name, Node}, {session, Key, {add, N}}, 10000)}
                 catch exit:{Why, _} -> {exit, Why}
                 end,
        loop(Name, Nodes ++ [Node], Key, N + 1, [Answer | Told])
    end.
