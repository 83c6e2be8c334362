%% `twin_machine` by another name, without state enter calls, which is seen in its log.
-module(twin_other).
-behaviour(gen_statem).
-export([init/1, callback_mode/0, handle_event/4, code_change/4]).

init(_) -> ignore.
callback_mode() -> handle_event_function.
handle_event(Kind, Content, State, Data) ->
    twin_machine:handle_event(fun(Name) -> {other, Name} end, Kind, Content, State, Data).
code_change(Old, State, Data, Extra) -> twin_machine:code_change(Old, State, Data, Extra).
