%% Scripts for a process that carries calls: gen_server and gen_statem. What a step makes it do stands in its messages.
%%
%% Behind every step a system message is answered, or the end is told: so all that came before it has been handled, and
%% what was sent in answer has arrived. A step shows its own value, the messages that have come, and the end.
-module(diff_behaviour).
-export([trace/3]).

trace(Module, Start, Steps) ->
    process_flag(trap_exit, true),
    case Start() of
        {ok, Pid} ->
            S = #{pid => Pid, module => Module, monitor => monitor(process, Pid), asked => [], ended => false, suspended => false},
            Names = #{self() => driver, Pid => process},
            %% Why one has ended before it could be monitored nobody knows.
            Begun = case settled(S) of #{ended := false} -> S; Ended -> Ended#{ended := {yes, before}} end,
            {First, S2} = messages(Begun),
            {Seen, Last} = lists:mapfoldl(fun step/2, S2, Steps),
            exit(Pid, kill),
            differential:named([{started, First, maps:get(ended, Begun)} | Seen] ++ [{at_the_end, length(maps:get(asked, Last))}], Names);
        Other ->
            differential:named([Other | flush(#{asked => [], monitor => none})], #{self() => driver})
    end.

step(Step, #{ended := {yes, _}} = S) when element(1, Step) =:= timeout -> {{Step, skipped}, S};
step(Step, #{suspended := true} = S) when element(1, Step) =:= timeout -> {{Step, skipped}, S};
step({call, Request}, #{suspended := true} = S) -> step({ask, Request}, S);
step(Step, S) ->
    put(step, Step),
    {Value, S2} = do(Step, S),
    S3 = settled(S2),
    {Messages, S4} = messages(S3),
    {{Step, Value, Messages, maps:get(ended, S4)}, S4#{ended := case maps:get(ended, S4) of false -> false; _ -> {yes, before} end}}.

do({call, Request}, #{pid := Pid, module := Module} = S) -> {plain(catch Module:call(Pid, Request, infinity)), S};
do({ask, Request}, #{pid := Pid, module := Module, asked := Asked} = S) ->
    {asked, S#{asked := Asked ++ [Module:send_request(Pid, Request)]}};
do({cast, Request}, #{pid := Pid, module := Module} = S) -> {Module:cast(Pid, Request), S};
do({info, Message}, #{pid := Pid} = S) -> Pid ! Message, {ok, S};
do({timeout, Request}, #{pid := Pid, module := Module, monitor := Monitor} = S) ->
    ok = Module:cast(Pid, Request),
    receive
        {told, timeout} -> {fired, S};
        {'DOWN', Monitor, _, _, _} = Down -> self() ! Down, {ended_before, S}
    end;
do({exit, Reason}, #{pid := Pid} = S) -> {exit(Pid, Reason), S};
do({stop, Reason}, #{pid := Pid, module := Module, suspended := false} = S) -> {plain(catch Module:stop(Pid, Reason, infinity)), S};
do(link, #{pid := Pid, ended := false} = S) -> {link(Pid), S};
do(unlink, #{pid := Pid} = S) -> {unlink(Pid), S};
do(suspend, #{pid := Pid} = S) -> Said = plain(catch sys:suspend(Pid, infinity)), {Said, S#{suspended := Said =:= {value, ok}}};
do(resume, #{pid := Pid} = S) -> {plain(catch sys:resume(Pid, infinity)), S#{suspended := false}};
do({sys, state}, #{pid := Pid} = S) -> {states(plain(catch sys:get_state(Pid, infinity))), S};
do({sys, replace, How}, #{pid := Pid} = S) ->
    {states(plain(catch sys:replace_state(Pid, erlang:make_fun(twin(S), How, 1), infinity))), S};
do({sys, change, Extra}, #{pid := Pid} = S) -> {plain(catch sys:change_code(Pid, twin(S), old, Extra, infinity)), S};
do({sys, Function, Args}, #{pid := Pid} = S) -> {plain(catch apply(sys, Function, [Pid | Args])), S};
do(_, S) -> {skipped, S}.

settled(#{ended := {yes, before}, pid := Pid} = S) ->
    %% What is told of one that is no more comes in order, too.
    Ref = monitor(process, Pid),
    receive {'DOWN', Ref, _, _, _} -> S end;
settled(#{pid := Pid, monitor := Monitor} = S) ->
    try sys:get_status(Pid, infinity) of
        _ -> S
    catch
        exit:_ ->
            receive {'DOWN', Monitor, process, _, Reason} -> S#{ended := {yes, Reason}} end
    end.

%% What has come: first what it has sent, in order, then what its end has sent, which has none.
messages(S) ->
    Messages = flush(S),
    {Seen, Left} = lists:foldl(fun known/2, {[], maps:get(asked, S)}, Messages),
    {Ends, Sent} = lists:partition(fun(Message) -> lists:member(element(1, Message), [broken, 'EXIT']) end, lists:reverse(Seen)),
    {Sent ++ lists:sort(Ends), S#{asked := Left}}.

known(Message, {Seen, Asked}) -> answers(Message, Seen, Asked, [], 1).

answers({_, _} = Message, Seen, [], Before, _) -> {[Message | Seen], lists:reverse(Before)};
answers(Message, Seen, [], Before, _) -> {[Message | Seen], lists:reverse(Before)};
answers(Message, Seen, [Request | Rest], Before, Number) ->
    case gen_server:check_response(Message, Request) of
        no_reply -> answers(Message, Seen, Rest, [Request | Before], Number + 1);
        {reply, Reply} -> {[{answered, Number, Reply} | Seen], lists:reverse(Before, Rest)};
        {error, {Reason, _}} -> {[{broken, Reason} | Seen], lists:reverse(Before, Rest)}
    end.

flush(S) -> receive Message -> [Message | flush(S)] after 0 -> [] end.

twin(#{module := gen_server}) -> twin_server;
twin(#{module := gen_statem}) -> twin_machine.

%% Of a state what both twins have.
states({value, {State, Data}}) -> {value, {State, logged(Data)}};
states({value, Data}) -> {value, logged(Data)};
states(Other) -> Other.

logged(#{log := Log}) -> Log;
logged({_, Log}) -> lists:reverse(Log).

%% Without pids, which differ, and without the call that OTP's reasons repeat; `noconnection` is told as it is at home.
plain({'EXIT', {{nodedown, _}, {_, _, _}}}) -> {exited, noconnection};
plain({'EXIT', {Reason, {_, _, _}}}) -> {exited, Reason};
plain({'EXIT', Reason}) -> {exited, Reason};
plain(Value) -> {value, Value}.
