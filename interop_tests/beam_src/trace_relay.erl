%% Sequential trace tokens: who drives a relay tells with which token each message came back.
-module(trace_relay).
-export([relay/0, drive/2, say/1]).

relay() ->
    receive
        {to, Dests, Message} -> [Dest ! Message || Dest <- Dests], relay();
        {call, Server, To} -> To ! {called, gen_server:call(Server, {echo, 1})}, relay();
        {child, To} -> spawn(fun() -> To ! child end), relay();
        {child_on, Node, To} -> spawn(Node, ?MODULE, say, [To]), relay();
        {pick, To} -> receive {wanted, Value} -> To ! {picked, Value} end, relay();
        {die, Reason} -> exit(Reason)
    end.

say(To) -> To ! said.

%% Steps: {traced | untraced, Message, Count}: send Message to the relay, wait for Count messages. In Message the atoms
%% me, alias and name stand for ways to reach the driver. Gives what came, each with the label, serial and previous
%% serial of its token, and whether the relay is its sender.
drive(Relay, Steps) ->
    Asker = self(),
    spawn(fun() ->
        process_flag(trap_exit, true),
        link(Relay),
        register(trace_driver, self()),
        Ways = #{me => self(), alias => alias(), name => {trace_driver, node()}, my_node => node()},
        Found = [step(Relay, filled(Step, Ways)) || Step <- Steps],
        seq_trace:set_token([]),
        unlink(Relay),
        Asker ! {driven, lists:append(Found)}
    end),
    receive {driven, Found} -> Found after 60000 -> late end.

step(Relay, {untraced, Message, Count}) ->
    seq_trace:set_token([]),
    Relay ! Message,
    answers(Relay, Count);
step(Relay, {spawn_at, Count}) ->
    seq_trace:set_token(label, 17),
    spawn(node(Relay), ?MODULE, say, [self()]),
    answers(Relay, Count);
step(Relay, {traced, Message, Count}) ->
    seq_trace:set_token(label, 17),
    Relay ! Message,
    answers(Relay, Count).

answers(_, 0) -> [];
answers(Relay, Count) ->
    receive
        {'EXIT', Relay, Reason} -> [{{exit, Reason}, token(Relay)} | answers(Relay, Count - 1)];
        Message -> [{Message, token(Relay)} | answers(Relay, Count - 1)]
    after 60000 -> [none]
    end.

token(Relay) ->
    case seq_trace:get_token() of
        [] -> none;
        {_, Label, Serial, Sender, Previous} -> {Label, Serial, Previous, Sender =:= Relay}
    end.

filled(Way, Ways) when is_map_key(Way, Ways) -> map_get(Way, Ways);
filled(Tuple, Ways) when is_tuple(Tuple) -> list_to_tuple(filled(tuple_to_list(Tuple), Ways));
filled([First | Rest], Ways) -> [filled(First, Ways) | filled(Rest, Ways)];
filled(Other, _) -> Other.
