%% gen_server: OTP's runs `twin_server.erl`, ours `TwinServer`.
-module(diff_servers).
-export([trace/2]).

trace({Where, _}, {{Trap, Init}, Steps}) ->
    What = {tell, self(), Trap, Init},
    Start = fun() -> case Where =:= node() of true -> gen_server:start(twin_server, What, []); false -> erpc:call(Where, diff_servers, start, [What]) end end,
    diff_behaviour:trace(gen_server, Start, Steps ++ [resume, {call, log}]).
