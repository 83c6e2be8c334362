%% Runs one script against a behaviour, wherever it is, and gives what was observed.
-module(scenario).
-export([run/2, run/3, stackless/1]).

%% A step that has to end without an answer says its own time.
-define(WAIT, 60000).

run(Pid, Script) -> run(Pid, Script, gen_server).

%% Module is gen_server or gen_statem: who carries calls.
run(Pid, Script, Module) ->
    Self = self(),
    {Runner, Ref} = spawn_monitor(fun() ->
        process_flag(trap_exit, true),
        Self ! {observed, self(), steps(Script, Pid, Module, monitor(process, Pid), [])}
    end),
    receive
        {observed, Runner, Seen} -> demonitor(Ref, [flush]), Seen;
        {'DOWN', Ref, process, _, Reason} -> exit(Reason)
    end.

steps([], _, _, _, _) -> [];
steps([{ask, Request} | Rest], Pid, Module, Monitor, Asked) ->
    steps(Rest, Pid, Module, Monitor, Asked ++ [Module:send_request(Pid, Request)]);
steps([answers | Rest], Pid, Module, Monitor, Asked) ->
    steps([{answers, ?WAIT} | Rest], Pid, Module, Monitor, Asked);
steps([{answers, Timeout} | Rest], Pid, Module, Monitor, Asked) ->
    [[answer(Module:receive_response(Id, Timeout)) || Id <- Asked] | steps(Rest, Pid, Module, Monitor, [])];
steps([Step | Rest], Pid, Module, Monitor, Asked) ->
    Seen = step(Step, Pid, Module, Monitor),
    case Seen of
        nothing -> steps(Rest, Pid, Module, Monitor, Asked);
        _ -> [Seen | steps(Rest, Pid, Module, Monitor, Asked)]
    end.

answer({reply, Reply}) -> {reply, Reply};
answer({error, {Reason, _}}) -> {error, stackless(Reason)};
answer(Other) -> Other.

step({call, Request}, Pid, Module, _) -> plain(catch Module:call(Pid, Request, ?WAIT));
step({call, Request, Timeout}, Pid, Module, _) -> plain(catch Module:call(Pid, Request, Timeout));
step({cast, Request}, Pid, Module, _) -> ok = Module:cast(Pid, Request), nothing;
step({info, Message}, Pid, _, _) -> Pid ! Message, nothing;
step({sleep, Ms}, _, _, _) -> timer:sleep(Ms), nothing;
step({exit, Reason}, Pid, _, _) -> exit(Pid, Reason), nothing;
step(link, Pid, _, _) -> link(Pid), nothing;
step({sys, Function, Args}, Pid, _, _) -> plain(catch apply(sys, Function, [Pid | Args]));
step({stop, Reason}, Pid, Module, _) -> plain(catch Module:stop(Pid, Reason, ?WAIT));
step({event, Function, Args}, Pid, _, _) -> plain(catch apply(gen_event, Function, [Pid | Args]));
step(messages, _, _, _) -> {messages, messages()};
step(down, Pid, _, Monitor) ->
    receive {'DOWN', Monitor, process, Pid, Reason} -> {down, stackless(Reason)} after ?WAIT -> up end.

messages() -> receive {'EXIT', _, R} -> [{exit, stackless(R)} | messages()]; M -> [M | messages()] after 20 -> [] end.

%% Without pids, which differ, and without the call that OTP's reasons repeat.
plain({'EXIT', {Reason, {_, _, _}}}) -> {exited, stackless(Reason)};
plain({'EXIT', Reason}) -> {exited, stackless(Reason)};
plain(Value) -> {value, Value}.

%% An error's reason, whose stack says only that there is one: the frames of two languages differ.
stackless({Reason, [{M, F, _, Where} | _]}) when is_atom(M), is_atom(F), is_list(Where) -> {stackless(Reason), stack};
stackless({'EXIT', Reason}) -> {'EXIT', stackless(Reason)};
stackless({error, Reason}) -> {error, stackless(Reason)};
stackless(Reason) -> Reason.
