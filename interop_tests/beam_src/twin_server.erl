%% A gen_server that does what each message says: a message is {Id, What}; it keeps what it was asked.
-module(twin_server).
-behaviour(gen_server).
-export([start/1, init/1, handle_call/3, handle_cast/2, handle_info/2, handle_continue/2, terminate/2, code_change/3]).
-export([replace_note/1, replace_error/1, replace_exit/1, replace_throw/1]).

start(What) ->
    case gen_server:start(?MODULE, What, [{timeout, case What of hang -> 100; _ -> infinity end}]) of
        {error, Reason} -> {error, Reason};
        Other -> Other
    end.

init({stop, Reason}) -> {stop, Reason};
init(ignore) -> ignore;
init({exit, Reason}) -> exit(Reason);
init({error, Reason}) -> error(Reason);
init({throw, What}) -> throw(init(What));
init({throw_term, Term}) -> throw(Term);
init(hang) -> timer:sleep(5000), {ok, #{log => [], owed => [], teller => none}};
init({trap, Teller}) -> process_flag(trap_exit, true), {ok, #{log => [], owed => [], teller => Teller}};
init({tell, Teller, Trap, What}) ->
    process_flag(trap_exit, Trap),
    case init(What) of
        {ok, S} -> {ok, S#{teller := Teller}};
        {ok, S, Then} -> {ok, S#{teller := Teller}, Then};
        Other -> Other
    end;
init({then, Then}) -> {ok, #{log => [], owed => [], teller => none}, then(Then)};
init(bad) -> bad;
init(ok) -> {ok, #{log => [], owed => [], teller => none}}.

handle_call(log, _, S = #{log := Log}) -> {reply, Log, S};
handle_call({Id, What}, From, S) -> result(What, From, note({call, Id}, S)).

handle_cast({Id, What}, S) -> result(What, none, note({cast, Id}, S)).

handle_info({Id, What}, S) when is_integer(Id) -> result(What, none, note({info, Id}, S));
handle_info(timeout, S = #{teller := Teller}) when is_pid(Teller) ->
    Teller ! {told, timeout},
    {noreply, note({info, timeout}, S)};
handle_info({'EXIT', _, Reason}, S) -> {noreply, note({exit, Reason}, S)};
handle_info(Other, S) -> {noreply, note({info, Other}, S)}.

handle_continue({Id, What}, S) -> result(What, none, note({continue, Id}, S)).

terminate(_, #{ending := {exit, Reason}}) -> exit(Reason);
terminate(_, #{ending := {error, Reason}}) -> error(Reason);
terminate(_, #{ending := {throw_term, Term}}) -> throw(Term);
terminate(Reason, #{teller := none}) -> Reason;
terminate(Reason, #{teller := Teller}) -> Teller ! {terminated, Reason}.

code_change(_, _, {error, Reason}) -> error(Reason);
code_change(_, _, {exit, Reason}) -> exit(Reason);
code_change(_, _, {throw_term, Term}) -> throw(Term);
code_change(Old, S, Extra) -> {ok, note({changed, Old, Extra}, S)}.

replace_note(S) -> note(replaced, S).
replace_error(_) -> error(no).
replace_exit(_) -> exit(no).
replace_throw(_) -> throw(no).

note(What, S = #{log := Log}) -> S#{log := Log ++ [What]}.

then({timeout, Ms}) -> Ms;
then(hibernate) -> hibernate;
then({continue, Next}) -> {continue, Next}.

result({reply, Value}, _, S) -> {reply, Value, S};
result({reply, Value, Then}, _, S) -> {reply, Value, S, then(Then)};
result(noreply, _, S) -> {noreply, S};
result({noreply, Then}, _, S) -> {noreply, S, then(Then)};
result(later, From, S = #{owed := Owed}) -> {noreply, S#{owed := [From | Owed]}};
result({pay, Value}, _, S = #{owed := Owed}) ->
    [gen_server:reply(From, Value) || From <- lists:reverse(Owed)],
    {noreply, S#{owed := []}};
result({pay_and_reply, Value}, From, S) -> {noreply, S2} = result({pay, Value}, From, S), {reply, Value, S2};
result({early, Value}, From, S) -> gen_server:reply(From, Value), {noreply, S};
result({twice, Value}, From, S) -> gen_server:reply(From, Value), {reply, second, S};
result({stop, Reason}, _, S) -> {stop, Reason, S};
result({stop, Reason, Value}, _, S) -> {stop, Reason, Value, S};
result({exit, Reason}, _, _) -> exit(Reason);
result({error, Reason}, _, _) -> error(Reason);
result({throw, What}, From, S) -> throw(result(What, From, S));
result({throw_term, Term}, _, _) -> throw(Term);
result({ending, What}, _, S) -> {noreply, S#{ending => What}};
result(bad, _, _) -> bad;
result({sleep, Ms}, _, S) -> timer:sleep(Ms), {noreply, S};
result({sleep, Ms, Value}, _, S) -> timer:sleep(Ms), {reply, Value, S}.
