%% A gen_event handler that does what it is told and tells a process what happened to it.
-module(twin_events).
-behaviour(gen_event).
-export([start/0, init/1, handle_event/2, handle_call/2, handle_info/2, terminate/2, code_change/3]).
-export([replace_note/1, replace_other/1, replace_error/1, replace_exit/1, replace_throw/1]).

start() -> {ok, Pid} = gen_event:start(), Pid.

init({fail, Reason}) -> {error, Reason};
init({raise_, error, Reason}) -> error(Reason);
init({raise_, exit, Reason}) -> exit(Reason);
init({raise_, throw, Term}) -> throw(Term);
init({{Kind, _} = Args, _}) when Kind =:= fail -> init(Args);
init({{raise_, _, _} = Args, _}) -> init(Args);
init({{Name, Teller}, Word}) when is_pid(Teller) -> Teller ! {swapped_in, Name, Word}, {ok, {Name, Teller, []}};
init({Name, Teller}) -> {ok, {Name, Teller, []}}.

handle_event(remove, _) -> remove_handler;
handle_event({swap, Args, New, NewArgs}, S) -> {swap_handler, Args, S, New, NewArgs};
handle_event({error, R}, _) -> error(R);
handle_event({exit, R}, _) -> exit(R);
handle_event({throw, Term}, _) -> throw(Term);
handle_event(throw_remove, _) -> throw(remove_handler);
handle_event(E, {N, T, L}) -> {ok, {N, T, [E | L]}}.

handle_call(log, S = {_, _, L}) -> {ok, lists:reverse(L), S};
handle_call(remove, _) -> {remove_handler, removed}.

handle_info(I, {N, T, L}) -> {ok, {N, T, [{info, I} | L]}}.

terminate(Why, {N, T, _}) -> T ! {terminated, N, Why}, {bye, N}.

code_change(_, _, {error, Reason}) -> error(Reason);
code_change(_, _, {exit, Reason}) -> exit(Reason);
code_change(_, _, {throw_term, Term}) -> throw(Term);
code_change(Old, {N, T, L}, Extra) -> {ok, {N, T, [{changed, Old, Extra} | L]}}.

%% `replace_other` and the ones that fail leave some of the handlers as they are.
replace_note({M, Id, {N, T, L}}) -> {M, Id, {N, T, [replaced | L]}}.
replace_other({M, Id, {N, T, L}}) when N rem 2 =:= 0 -> {M, other, {N, T, [Id | L]}};
replace_other(S) -> replace_note(S).
replace_error({_, _, {N, _, _}}) when N rem 2 =:= 0 -> error(no);
replace_error(S) -> replace_note(S).
replace_exit(_) -> exit(no).
replace_throw(_) -> throw(no).
