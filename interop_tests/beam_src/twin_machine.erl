%% A gen_statem whose events say, for each state, what is to be done: {Id, #{State => Result}}.
-module(twin_machine).
-behaviour(gen_statem).
-export([start/2, init/1, callback_mode/0, handle_event/4, handle_event/5, code_change/4]).
-export([replace_note/1, replace_next/1, replace_error/1, replace_exit/1, replace_throw/1]).

%% `twin_other` and `twin_changed` are the modules that it can be told to change to.

start(Enter, {State, Actions}) ->
    Module = case Enter of none -> ?MODULE; _ -> twin_entering end,
    {ok, Pid} = gen_statem:start(Module, {Enter, State, Actions}, []),
    Pid.

callback_mode() -> handle_event_function.

init({Enter, State, Actions}) -> {ok, State, {Enter, []}, actions(none, Actions)}.

handle_event(Kind, Content, State, Data) -> handle_event(fun(Name) -> Name end, Kind, Content, State, Data).

handle_event(_, {call, From}, log, State, {_, Log}) ->
    {keep_state_and_data, [{reply, From, {State, lists:reverse(Log)}}]};
handle_event(Mark, enter, Old, State, {Enter, Log}) ->
    result(case Enter of none -> keep; _ -> maps:get(State, Enter, keep) end, enter, {Enter, [{Mark(enter), Old, State} | Log]});
handle_event(Mark, Kind, {Id, Plans}, State, {Enter, Log}) ->
    Name = case Kind of {call, _} -> call; _ -> Kind end,
    result(maps:get(State, Plans, keep), Kind, {Enter, [{Mark(Name), Id, State} | Log]}).

code_change(_, _, _, {error, Reason}) -> error(Reason);
code_change(_, _, _, {exit, Reason}) -> exit(Reason);
code_change(_, _, _, {throw_term, Term}) -> throw(Term);
code_change(Old, State, {Enter, Log}, Extra) -> {ok, State, {Enter, [{changed, Old, Extra} | Log]}}.

replace_note({State, {Enter, Log}}) -> {State, {Enter, [replaced | Log]}}.
replace_next({_, Data}) -> {t, Data}.
replace_error(_) -> error(no).
replace_exit(_) -> exit(no).
replace_throw(_) -> throw(no).

result(keep, _, Data) -> {keep_state, Data};
result({keep, Actions}, Kind, Data) -> {keep_state, Data, actions(Kind, Actions)};
result({repeat, Actions}, Kind, Data) -> {repeat_state, Data, actions(Kind, Actions)};
result({next, State, Actions}, Kind, Data) -> {next_state, State, Data, actions(Kind, Actions)};
result({error, Reason}, _, _) -> error(Reason);
result({exit, Reason}, _, _) -> exit(Reason);
result({throw, What}, Kind, Data) -> throw(result(What, Kind, Data));
result({throw_term, Term}, _, _) -> throw(Term);
result(bad, _, _) -> bad;
result({stop, Reason}, _, Data) -> {stop, Reason, Data};
result({stop_and_reply, Reason, Value}, {call, From}, Data) -> {stop_and_reply, Reason, [{reply, From, Value}], Data}.

actions(Kind, Actions) -> lists:append([action(Kind, A) || A <- Actions]).

action({call, From}, {reply, Value}) -> [{reply, From, Value}];
action(_, {reply, _}) -> [];
action(_, {cancel, Name}) -> [{Name, infinity, none}];
action(_, Action) -> [Action].
