%% Callers of a standby group: each calls without a pause until it is told to stop, and keeps what it was answered.
-module(standby_calls).
-export([start/3, nodes_seen/1, stop/1]).

%% Callers of {Name, Node} for each of Nodes.
start(Name, Nodes, Request) ->
    [spawn(fun() -> loop({Name, Node}, Request, []) end) || Node <- Nodes].

%% For each caller the nodes that have answered it so far, the latest of them first.
nodes_seen(Callers) ->
    [begin
         Caller ! {seen, self(), Caller},
         receive {Caller, Answers} -> lists:uniq([Node || {_, {Count, Node}} <- Answers, is_integer(Count)]) end
     end || Caller <- Callers].

%% All answers in the order in which each caller got them: [[{Milliseconds, Answer}]].
stop(Callers) ->
    [begin
         Ref = monitor(process, Caller),
         Caller ! {stop, self(), Ref},
         receive
             {Ref, Answers} -> demonitor(Ref, [flush]), Answers;
             {'DOWN', Ref, _, _, Why} -> [{0, {died, Why}}]
         end
     end || Caller <- Callers].

loop(Dest, Request, Answers) ->
    receive
        {stop, From, Ref} -> From ! {Ref, lists:reverse(Answers)};
        {seen, From, Ref} -> From ! {Ref, Answers}, loop(Dest, Request, Answers)
    after 2 ->
        Answer = try gen_server:call(Dest, Request, 20000)
                 catch exit:{Why, {gen_server, call, _}} -> {exited, Why}
                 end,
        loop(Dest, Request, [{erlang:monotonic_time(millisecond), Answer} | Answers])
    end.
