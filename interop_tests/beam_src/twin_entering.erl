%% `twin_machine` with enter calls.
-module(twin_entering).
-behaviour(gen_statem).
-export([init/1, callback_mode/0, handle_event/4, code_change/4]).

callback_mode() -> [handle_event_function, state_enter].
init(Args) -> twin_machine:init(Args).
handle_event(Kind, Content, State, Data) -> twin_machine:handle_event(Kind, Content, State, Data).
code_change(Old, State, Data, Extra) -> twin_machine:code_change(Old, State, Data, Extra).
