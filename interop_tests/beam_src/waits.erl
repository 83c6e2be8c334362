%% A gen_server for the results of OTP 26 (`{error, Reason}` of init) and 28 (time-outs with a message).
-module(waits).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export([ran/2]).

init({fail, Reason}) -> {error, Reason};
init({wait, T, M}) -> {ok, [], {timeout, T, M}};
init(_) -> {ok, []}.

handle_call(log, _, Log) -> {reply, lists:reverse(Log), Log};
handle_call({wait, T, M} = Request, _, Log) -> {reply, ok, [{call, Request} | Log], {timeout, T, M}};
handle_call(Request, _, Log) -> {reply, ok, [{call, Request} | Log]}.

handle_cast({wait, T, M} = Request, Log) -> {noreply, [{cast, Request} | Log], {timeout, T, M}};
handle_cast({tell, To}, Log) -> To ! lists:reverse(Log), {noreply, Log};
handle_cast(Request, Log) -> {noreply, [{cast, Request} | Log]}.

handle_info({park, Gate}, Log) -> ok = gen_server:call(Gate, wait, infinity), {noreply, Log};
handle_info({wait, T, M} = Request, Log) -> {noreply, [{info, Request} | Log], {timeout, T, M}};
handle_info(Message, Log) -> {noreply, [{info, Message} | Log]}.

%% What the server has logged when the steps were done. `until`: it has so many entries; `held`: so many messages wait.
ran(P, Steps) ->
    [step(P, Step) || Step <- Steps],
    gen_server:call(P, log).

step(P, {cast, M}) -> gen_server:cast(P, M);
step(P, {info, M}) -> P ! M;
step(P, {call, M}) -> gen_server:call(P, M);
step(P, suspend) -> sys:suspend(P);
step(P, resume) -> sys:resume(P);
step(P, {parked, Messages}) ->
    Gate = spawn(fun() -> receive {'$gen_call', From, wait} -> receive open -> gen_server:reply(From, ok) end end end),
    P ! {park, Gate},
    [P ! M || M <- Messages],
    Gate ! open;
step(P, {until, N} = Step) ->
    case length(sys:get_state(P)) of
        N -> ok;
        _ -> timer:sleep(1), step(P, Step)
    end;
step(P, {held, N} = Step) ->
    case rpc:call(node(P), erlang, process_info, [P, message_queue_len]) of
        {_, N} -> ok;
        _ -> timer:sleep(1), step(P, Step)
    end.
