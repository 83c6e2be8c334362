%% gen_statem: OTP's runs `twin_machine.erl`, ours `TwinMachine`.
-module(diff_machines).
-export([trace/2]).

trace({Where, _}, {Enter, Started, Steps}) ->
    Start = fun() -> {ok, start(Where, Enter, Started)} end,
    diff_behaviour:trace(gen_statem, Start, Steps ++ [resume, {call, log}]).

start(Where, Enter, Started) when Where =:= node() -> twin_machine:start(Enter, Started);
start(Where, Enter, Started) -> erpc:call(Where, diff_machines, start, [Enter, Started]).
