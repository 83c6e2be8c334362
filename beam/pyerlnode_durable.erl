%% Requests that survive crashes, for Erlang and Elixir: the twin of Python's `pyerlnode.cluster.durable`, both halves.
%% A request that an outbox has accepted ends in one outcome, and is carried out once, although either node, either
%% server or the connection dies in between. One file without dependencies; copy it. Elixir: `:pyerlnode_durable`.
%%
%%   Children = [pyerlnode_durable:child_spec(outbox, #{name => outbox, file => "outbox.log"}),
%%               pyerlnode_durable:child_spec(inbox, #{name => orders, file => "orders.log", handler => fun handle/2})]
%%   Id = pyerlnode_durable:submit(outbox, {orders, 'py@host'}, {order, 17}, #{key => Customer, deadline => 60000}),
%%   {ok, Value} = pyerlnode_durable:await_result(outbox, Id, 30000),
%%   pyerlnode_durable:take(outbox, Id)                     % the outbox forgets it; else when it expires
%%
%% Options of both:
%%   name, file   the registered name; the log that is its journal, of this server alone
%%   sync         true: a commit waits for the disk; false: it survives the end of the BEAM, not the loss of power
%%   requests     how many it holds; 100000
%%   keep_results ms that outcomes are kept which nobody takes (outbox) or confirms (inbox); a week
%% Of an inbox:
%%   handler      fun(Request, Info) -> Value, in a process of its own; Info is #{id, key}. The outcome is {ok, Value},
%%                or {error, Reason} where it fails.
%%   on_interrupted  what becomes of those that ran when the server died: fail (as it is unless said), {error,
%%                interrupted}: at most once; retry: they run again, with the same id: at least once
%%   transaction  a first state: the handler is fun(Request, Info, State) -> {Value, NewState}, runs in the server, and
%%                its state is written together with the outcome: exactly once. The whole state is written with each
%%                batch, so keep it small. state/1 reads it.
%%   running      how many run at a time; 64
%% submit/4 takes id (a binary), key (one request of a key at a time, in this order) and deadline (ms). It gives the id,
%% or {error, full}. A request to a process that is not there is repeated until it is.
%%
%% The messages and laws are those of `pyerlnode/cluster/durable/core.py`. The journal is a log of batches, each with
%% its length and checksum; changes of one turn of the server are one batch, so one sync serves many. At the end of the
%% log half a batch is what a crash interrupted: nobody was told of it, and it is cut off with a warning. A damaged batch
%% is {error, {damaged, File, Offset}}: restore the file, or move it away and lose what it holds. That the log is open
%% elsewhere is {error, {in_use, File}}; it is known on Linux only, and between programs that see each other's sockets.
-module(pyerlnode_durable).
-behaviour(gen_server).
-export([child_spec/2, start_link/2, submit/3, submit/4, await_result/3, result/2, take/2, cancel/2, pending/1, state/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-type options() :: #{name := atom(), file := file:name_all(), sync => boolean(), requests => pos_integer(),
                     keep_results => pos_integer(), handler => fun(), on_interrupted => fail | retry,
                     transaction => term(), running => pos_integer()}.
-type outcome() :: {ok, term()} | {error, term()}.
-export_type([options/0, outcome/0]).

-define(SPAN, 50000).
-define(IN_FLIGHT, 256).
-record(req, {uid, dest, n, key, body, deadline, outcome, at}).
-record(log, {fd, file, lock, sync, size = 0, base = 0}).
%% kv: what the journal holds, {stream, Dest}, {req, Id} or {line, Uid}, {item, Uid, N}, state. ops, acts: of this turn.
-record(s, {role, me, options, log, kv = #{}, ops = [], acts = [], dirty = false, timers = #{}, tries = #{},
            connecting = #{}, lanes = #{}, count = 0,
            open = #{}, dests = #{}, ready = #{}, flight = #{}, waiting = #{}, confirm = #{},
            queue = queue:new(), running = #{}, pids = #{}}).

%% --- for programs -------------------------------------------------------------------------------
-spec child_spec(outbox | inbox, options()) -> supervisor:child_spec().
child_spec(Role, #{name := Name} = Options) -> #{id => Name, start => {?MODULE, start_link, [Role, Options]}}.

-spec start_link(outbox | inbox, options()) -> gen_server:start_ret().
start_link(Role, #{name := Name} = Options) -> gen_server:start_link({local, Name}, ?MODULE, {Role, Options}, []).

submit(Outbox, Dest, Request) -> submit(Outbox, Dest, Request, #{}).

-spec submit(gen_server:server_ref(), {atom(), node()} | atom(), term(), map()) -> binary() | {error, full}.
submit(Outbox, Dest, Request, Options) ->
    Id = maps:get(id, Options, binary:encode_hex(unique(12))),
    Key = case Options of #{key := Term} -> term_to_binary(Term); _ -> <<>> end,
    To = if is_atom(Dest) -> {Dest, node()}; true -> Dest end,
    gen_server:call(Outbox, {submit, Id, To, Key, term_to_binary(Request), maps:get(deadline, Options, infinity)}, 15000).

%% The outcome, which is kept; exits with timeout as a call does.
-spec await_result(gen_server:server_ref(), binary(), timeout()) -> outcome() | {error, unknown_request}.
await_result(Outbox, Id, Timeout) -> decoded(gen_server:call(Outbox, {await, Id}, Timeout)).

%% The outcome, undefined when there is none yet; take/2 also has it forgotten.
-spec result(gen_server:server_ref(), binary()) -> outcome() | undefined | {error, unknown_request}.
result(Outbox, Id) -> decoded(gen_server:call(Outbox, {result, Id}, 15000)).

-spec take(gen_server:server_ref(), binary()) -> outcome() | undefined | {error, unknown_request}.
take(Outbox, Id) -> decoded(gen_server:call(Outbox, {take, Id}, 15000)).

%% End it with {error, cancelled}; false when it has an outcome.
-spec cancel(gen_server:server_ref(), binary()) -> boolean() | {error, unknown_request}.
cancel(Outbox, Id) -> decoded(gen_server:call(Outbox, {cancel, Id}, 15000)).

-spec pending(gen_server:server_ref()) -> [binary()].
pending(Outbox) -> gen_server:call(Outbox, pending, 15000).

%% The state of an inbox with transactions.
-spec state(gen_server:server_ref()) -> term().
state(Inbox) -> gen_server:call(Inbox, state, 15000).

decoded(Outcome) when is_binary(Outcome) -> binary_to_term(Outcome);
decoded(Other) -> Other.

%% Unique, without the application crypto; a secret it is not.
unique(Size) ->
    Term = {node(), make_ref(), os:system_time(), os:getpid(), rand:uniform(1 bsl 58)},
    binary:part(erlang:md5(term_to_binary(Term)), 0, Size).

%% --- the server ---------------------------------------------------------------------------------
init({Role, #{name := Name, file := File} = Options}) ->
    process_flag(trap_exit, true),
    _ = net_kernel:monitor_nodes(true, [{node_type, all}]),
    case open(File, Role, maps:get(sync, Options, true)) of
        {ok, Log, Kv} ->
            S = #s{role = Role, me = {Name, node()}, options = Options, log = Log, kv = Kv},
            erlang:send_after(60000, self(), sweep),
            {ok, load(S)};
        {error, Reason} -> {stop, Reason}
    end.

load(#s{role = outbox, kv = Kv} = S) ->
    Streams = [{Uid, Dest} || {{stream, Dest}, {Uid, _, _}} <- maps:to_list(Kv)],
    S1 = S#s{dests = maps:from_list(Streams), confirm = maps:from_list([{Uid, []} || {Uid, _} <- Streams])},
    Open = lists:sort([{N, Id} || {{req, Id}, #req{n = N, outcome = undefined}} <- maps:to_list(Kv)]),
    S2 = lists:foldl(fun({_, Id}, Acc) -> open_request(Id, Acc) end, S1, Open),
    dirty(S2#s{count = length([Id || {req, Id} <- maps:keys(Kv)])});
load(#s{role = inbox, kv = Kv, options = Options} = S) ->
    Fails = maps:get(on_interrupted, Options, fail) =:= fail andalso not is_map_key(transaction, Options),
    Items = lists:sort([{At, N, Uid, State, Key} || {{item, Uid, N}, {State, Key, _, At}} <- maps:to_list(Kv)]),
    dirty(pump_inbox(lists:foldl(fun
        ({_, N, Uid, done, _}, Acc) -> tell(Uid, N, counted(1, Acc));
        ({_, N, Uid, runs, _}, Acc) when Fails -> done(Uid, N, term_to_binary({error, interrupted}), counted(1, Acc));
        ({_, _, _, gone, _}, Acc) -> Acc;
        ({_, N, Uid, _, Key}, Acc) -> queue(Uid, N, Key, counted(1, Acc))
    end, S, Items))).

handle_call({submit, Id, Dest, Key, Body, Deadline}, From, #s{kv = Kv} = S) ->
    case Kv of
        #{{req, Id} := _} -> {noreply, answer(From, Id, S)};
        _ ->
            Uid0 = unique(16),
            {Uid, N, _} = maps:get({stream, Dest}, Kv, {Uid0, 0, 0}),
            Full = S#s.count >= option(requests, 100000, S) orelse N - low(Uid, N, S) >= ?SPAN,
            case Full of
                true -> {reply, {error, full}, S};
                false ->
                    Until = case Deadline of infinity -> infinity; Ms -> now_ms() + Ms end,
                    Request = #req{uid = Uid, dest = Dest, n = N, key = Key, body = Body, deadline = Until},
                    S1 = set({stream, Dest}, {Uid, N + 1, now_ms()}, set({req, Id}, Request, counted(1, S))),
                    S2 = open_request(Id, S1#s{dests = (S1#s.dests)#{Uid => Dest}}),
                    {noreply, answer(From, Id, S2)}
            end
    end;
handle_call(pending, _From, #s{kv = Kv} = S) ->
    {reply, [Id || {{req, Id}, #req{outcome = undefined}} <- maps:to_list(Kv)], S};
handle_call(state, From, S) -> {noreply, answer(From, the_state(S), dirty(S))};
handle_call({What, Id}, {Caller, _} = From, #s{kv = Kv} = S) ->
    case {Kv, What} of
        {#{{req, Id} := #req{outcome = undefined}}, await} ->
            Others = [Kept || {Pid, _} = Kept <- maps:get(Id, S#s.waiting, []), Pid =/= Caller],  % it waits once
            {noreply, S#s{waiting = (S#s.waiting)#{Id => [From | Others]}}};
        {#{{req, Id} := #req{outcome = undefined}}, cancel} ->
            {noreply, answer(From, true, finish(Id, term_to_binary({error, cancelled}), S))};
        {#{{req, Id} := #req{}}, cancel} -> {noreply, answer(From, false, S)};
        {#{{req, Id} := #req{outcome = Outcome}}, take} when Outcome =/= undefined ->
            {noreply, answer(From, Outcome, del({req, Id}, counted(-1, S)))};
        {#{{req, Id} := #req{outcome = Outcome}}, _} -> {noreply, answer(From, Outcome, S)};
        _ -> {reply, {error, unknown_request}, S}
    end.

handle_cast(_, S) -> {noreply, S}.

handle_info(flush, S) -> {noreply, flush(S)};
handle_info({pyerlnode_done, Uid, N, Outcome}, #s{role = outbox} = S) when is_binary(Outcome) ->
    case {S#s.dests, gb_trees:lookup(N, maps:get(Uid, S#s.open, gb_trees:empty()))} of
        {_, {value, Id}} -> {noreply, finish(Id, Outcome, S)};
        {#{Uid := _}, none} -> {noreply, confirm(Uid, N, S)};
        _ -> {noreply, S}
    end;
handle_info({pyerlnode_request, ReplyTo, Uid, N, Low, Key, Body}, #s{role = inbox} = S)
  when is_atom(element(1, ReplyTo)), is_atom(element(2, ReplyTo)), is_binary(Uid), is_binary(Key), is_binary(Body),
       is_integer(Low), Low >= 0, is_integer(N), N >= Low ->
    {noreply, pump_inbox(request(Uid, N, Key, Body, line(Uid, ReplyTo, Low, S)))};
handle_info({pyerlnode_confirm, ReplyTo, Uid, Numbers, Low}, #s{role = inbox} = S)
  when is_atom(element(1, ReplyTo)), is_atom(element(2, ReplyTo)), is_binary(Uid), is_list(Numbers),
       is_integer(Low), Low >= 0 ->
    S1 = lists:foldl(fun(N, Acc) -> forget(Uid, N, Low, Acc) end, line(Uid, ReplyTo, Low, S), Numbers),
    {noreply, pump_inbox(S1)};
handle_info({'EXIT', Pid, Reason}, #s{pids = Pids} = S) when is_map_key(Pid, Pids) ->
    {Uid, N} = maps:get(Pid, Pids),
    Outcome = case Reason of
        {pyerlnode_ran, Ran} -> Ran;
        _ -> term_to_binary({error, {exit, Reason}})
    end,
    {noreply, pump_inbox(ran(Uid, N, Outcome, S#s{pids = maps:remove(Pid, Pids)}))};
handle_info({'EXIT', Pid, _}, #s{connecting = Connecting} = S) ->
    {noreply, S#s{connecting = maps:filter(fun(_, Known) -> Known =/= Pid end, Connecting)}};
handle_info({nodeup, Node, _}, #s{role = outbox, flight = Flight} = S) ->
    Uids = [Uid || {Uid, {_, To}} <- maps:to_list(S#s.dests), To =:= Node],
    Ids = [Id || Uid <- Uids, Id <- lists:sort(maps:keys(maps:get(Uid, Flight, #{})))],
    S1 = lists:foldl(fun(Id, Acc) -> send_request(Id, Acc#s{tries = maps:remove(Id, Acc#s.tries)}) end, S, Ids),
    {noreply, dirty(lists:foldl(fun(Uid, Acc) -> confirm(Uid, Acc) end, S1, Uids))};
handle_info({retry, Id}, #s{kv = Kv} = S) ->
    case Kv of
        #{{req, Id} := #req{outcome = undefined}} -> {noreply, send_request(Id, S)};
        _ -> {noreply, S}
    end;
handle_info({deadline, Id}, #s{kv = Kv} = S) ->
    case Kv of
        #{{req, Id} := #req{outcome = undefined, deadline = Until}} ->
            case now_ms() >= Until of
                true -> {noreply, finish(Id, term_to_binary({error, deadline}), S)};
                false -> {noreply, arm({deadline, Id}, Until - now_ms(), S)}
            end;
        _ -> {noreply, S}
    end;
handle_info({tell, Uid, N}, #s{kv = Kv} = S) ->
    case Kv of
        #{{item, Uid, N} := {done, _, _, _}} -> {noreply, tell(Uid, N, S)};
        _ -> {noreply, S}
    end;
handle_info(sweep, S) ->
    erlang:send_after(60000, self(), sweep),
    {noreply, sweep(S)};
handle_info(_, S) -> {noreply, S}.

terminate(_, #s{log = #log{fd = Fd}}) -> file:close(Fd).

%% --- the outbox ---------------------------------------------------------------------------------
low(Uid, Next, #s{open = Open}) ->
    case Open of
        #{Uid := Tree} -> case gb_trees:is_empty(Tree) of
            true -> Next;
            false -> element(1, gb_trees:smallest(Tree))
        end;
        _ -> Next
    end.

open_request(Id, #s{kv = Kv} = S0) ->
    #req{uid = Uid, n = N, key = Key, deadline = Until} = maps:get({req, Id}, Kv),
    Tree = gb_trees:insert(N, Id, maps:get(Uid, S0#s.open, gb_trees:empty())),
    S1 = S0#s{open = (S0#s.open)#{Uid => Tree}},
    S = case Until of infinity -> S1; _ -> arm({deadline, Id}, Until - now_ms(), S1) end,
    {First, S2} = join_lane({Uid, Key}, Id, S),
    case First of
        true -> pump(Uid, make_ready(Uid, Id, S2));
        false -> S2
    end.

make_ready(Uid, Id, S) ->
    S#s{ready = maps:update_with(Uid, fun(Q) -> queue:in(Id, Q) end, queue:from_list([Id]), S#s.ready)}.

pump(Uid, #s{ready = Ready, flight = Flight} = S) ->
    Flying = maps:get(Uid, Flight, #{}),
    case queue:out(maps:get(Uid, Ready, queue:new())) of
        {{value, Id}, Rest} when map_size(Flying) < ?IN_FLIGHT ->
            S1 = S#s{ready = Ready#{Uid => Rest}},
            case maps:get({req, Id}, S#s.kv, gone) of
                #req{outcome = undefined} ->
                    pump(Uid, send_request(Id, S1#s{flight = Flight#{Uid => Flying#{Id => true}}}));
                _ -> pump(Uid, S1)
            end;
        _ -> S
    end.

send_request(Id, #s{kv = Kv} = S) ->
    #req{uid = Uid, dest = Dest, n = N, key = Key, body = Body} = maps:get({req, Id}, Kv),
    {Pause, S1} = pause(Id, 1000, 10000, S),
    {_, Next, _} = maps:get({stream, Dest}, Kv),
    Message = {pyerlnode_request, S#s.me, Uid, N, low(Uid, Next, S), Key, Body},
    act({send, Dest, Message}, arm({retry, Id}, Pause, S1)).

finish(Id, Outcome, #s{kv = Kv, open = Open, flight = Flight} = S0) ->
    #req{uid = Uid, n = N, key = Key} = Request = maps:get({req, Id}, Kv),
    S1 = set({req, Id}, Request#req{outcome = Outcome, body = <<>>, at = now_ms()}, S0),
    S2 = disarm({retry, Id}, disarm({deadline, Id}, S1#s{tries = maps:remove(Id, S1#s.tries)})),
    S3 = S2#s{open = Open#{Uid => gb_trees:delete(N, maps:get(Uid, Open))},
              flight = Flight#{Uid => maps:remove(Id, maps:get(Uid, Flight, #{}))},
              waiting = maps:remove(Id, S2#s.waiting)},
    S4 = lists:foldl(fun(From, Acc) -> answer(From, Outcome, Acc) end, S3, maps:get(Id, S0#s.waiting, [])),
    {Next, S5} = leave_lane({Uid, Key}, Id, S4),
    S6 = case Next of none -> S5; {next, Other} -> make_ready(Uid, Other, S5) end,
    pump(Uid, confirm(Uid, N, S6)).

confirm(Uid, S) -> S#s{confirm = maps:merge(#{Uid => []}, S#s.confirm)}.
confirm(Uid, N, S) -> dirty(S#s{confirm = maps:update_with(Uid, fun(L) -> [N | L] end, [N], S#s.confirm)}).

confirmations(#s{confirm = Confirm} = S) ->
    maps:fold(fun(Uid, Numbers, Acc) ->
        Dest = maps:get(Uid, Acc#s.dests),
        {_, Next, _} = maps:get({stream, Dest}, Acc#s.kv),
        Low = low(Uid, Next, Acc),
        act({send, Dest, {pyerlnode_confirm, Acc#s.me, Uid, [N || N <- Numbers, N >= Low], Low}}, Acc)
    end, S#s{confirm = #{}}, Confirm).

%% --- the inbox ----------------------------------------------------------------------------------
line(Uid, ReplyTo, Low, #s{kv = Kv} = S) ->
    case Kv of
        #{{line, Uid} := {ReplyTo, Known, _}} when Known >= Low -> S;
        #{{line, Uid} := {_, Known, _}} when Known >= Low -> set({line, Uid}, {ReplyTo, Known, now_ms()}, S);
        #{{line, Uid} := {_, Known, _}} ->
            set({line, Uid}, {ReplyTo, Low, now_ms()}, remove(Uid, below(Uid, Known, Low, Kv), S));
        _ -> set({line, Uid}, {ReplyTo, Low, now_ms()}, S)
    end.

below(_, Known, Low, _) when Low - Known =< 10000 -> lists:seq(Known, Low - 1);
below(Uid, _, Low, Kv) -> [N || {item, Of, N} <- maps:keys(Kv), Of =:= Uid, N < Low].

remove(Uid, Numbers, S) ->
    lists:foldl(fun(N, #s{kv = Kv} = Acc) ->
        case Kv of
            #{{item, Uid, N} := Item} -> del({item, Uid, N}, free(Uid, N, Item, Acc));
            _ -> Acc
        end
    end, S, Numbers).

free(_, _, {gone, _, _, _}, S) -> S;
free(Uid, N, {State, Key, _, _}, S0) ->
    S = disarm({tell, Uid, N}, counted(-1, S0#s{tries = maps:remove({Uid, N}, S0#s.tries)})),
    case State of waits -> next_of_lane(Uid, N, Key, S); _ -> S end.

forget(Uid, N, Low, #s{kv = Kv} = S) when is_integer(N), N >= Low, N - Low < 2 * ?SPAN ->
    case Kv of
        #{{item, Uid, N} := {gone, _, _, _}} -> S;
        #{{item, Uid, N} := Item} -> set({item, Uid, N}, {gone, <<>>, <<>>, 0}, free(Uid, N, Item, S));
        _ -> set({item, Uid, N}, {gone, <<>>, <<>>, 0}, S)
    end;
forget(_, _, _, S) -> S.

request(Uid, N, Key, Body, #s{kv = Kv} = S) ->
    {ReplyTo, Low, _} = maps:get({line, Uid}, Kv),
    case Kv of
        _ when N < Low -> S;
        #{{item, Uid, N} := {done, _, _, _}} -> tell(Uid, N, S);
        #{{item, Uid, N} := {gone, _, _, _}} ->
            act({send, ReplyTo, {pyerlnode_done, Uid, N, term_to_binary({error, expired})}}, S);
        #{{item, Uid, N} := _} -> S;
        _ ->
            case S#s.count >= option(requests, 100000, S) orelse N - Low >= 2 * ?SPAN of
                true -> S;
                false -> queue(Uid, N, Key, set({item, Uid, N}, {waits, Key, Body, now_ms()}, counted(1, S)))
            end
    end.

queue(Uid, N, Key, S) ->
    case join_lane({Uid, Key}, N, S) of
        {true, S1} -> S1#s{queue = queue:in({Uid, N}, S1#s.queue)};
        {false, S1} -> S1
    end.

next_of_lane(Uid, N, Key, S) ->
    case leave_lane({Uid, Key}, N, S) of
        {none, S1} -> S1;
        {{next, Next}, S1} -> S1#s{queue = queue:in({Uid, Next}, S1#s.queue)}
    end.

pump_inbox(#s{running = Running, kv = Kv} = S) ->
    case map_size(Running) < option(running, 64, S) andalso queue:out(S#s.queue) of
        {{value, {Uid, N}}, Rest} ->
            case Kv of
                #{{item, Uid, N} := {State, Key, Body, At}} when State =:= waits; State =:= runs ->
                    Started = S#s{queue = Rest, running = Running#{{Uid, N} => Key}},
                    pump_inbox(act({run, Uid, N, Key, Body}, set({item, Uid, N}, {runs, Key, Body, At}, Started)));
                _ -> pump_inbox(S#s{queue = Rest})
            end;
        _ -> S
    end.

ran(Uid, N, Outcome, #s{running = Running, kv = Kv} = S) ->
    {Key, Rest} = maps:take({Uid, N}, Running),
    S1 = next_of_lane(Uid, N, Key, S#s{running = Rest}),
    case Kv of
        #{{item, Uid, N} := {runs, _, _, _}} -> done(Uid, N, Outcome, S1);
        _ -> dirty(S1)
    end.

done(Uid, N, Outcome, S) -> tell(Uid, N, set({item, Uid, N}, {done, <<>>, Outcome, now_ms()}, S)).

tell(Uid, N, #s{kv = Kv} = S) ->
    #{{line, Uid} := {ReplyTo, _, _}, {item, Uid, N} := {done, _, Outcome, _}} = Kv,
    {Pause, S1} = pause({Uid, N}, 2000, 600000, S),
    act({send, ReplyTo, {pyerlnode_done, Uid, N, Outcome}}, arm({tell, Uid, N}, Pause, S1)).

info(Uid, N, Key) ->
    #{id => <<(binary:encode_hex(Uid))/binary, $-, (integer_to_binary(N))/binary>>,
      key => case Key of <<>> -> undefined; _ -> binary_to_term(Key) end}.

outcome(Run) ->
    try {ok, Run()}
    catch
        throw:Value -> {error, {nocatch, Value}};
        exit:Reason -> {error, Reason};
        error:Reason:Stack -> {error, {Reason, Stack}}
    end.

the_state(#s{kv = Kv, options = Options}) -> maps:get(state, Kv, maps:get(transaction, Options, undefined)).

%% Handlers with a state run here, before what they did is written; those that may start now, in the next turn.
transact(#s{acts = Acts, options = #{transaction := _, handler := Handler}} = S) ->
    case lists:partition(fun(Act) -> element(1, Act) =:= run end, Acts) of
        {[], _} -> S;
        {Runs, Others} ->
            lists:foldl(fun({run, Uid, N, Key, Body}, Acc) ->
                State = the_state(Acc),
                Run = fun() -> Handler(binary_to_term(Body), info(Uid, N, Key), State) end,
                case outcome(Run) of
                    {ok, {Value, New}} -> ran(Uid, N, term_to_binary({ok, Value}), set(state, New, Acc));
                    {ok, _} -> ran(Uid, N, term_to_binary({error, bad_return_value}), Acc);
                    Error -> ran(Uid, N, term_to_binary(Error), Acc)
                end
            end, S#s{acts = Others}, lists:reverse(Runs))
    end;
transact(S) -> S.

sweep(#s{kv = Kv} = S) ->
    Before = now_ms() - option(keep_results, 7 * 86400000, S),
    Month = now_ms() - 30 * 86400000,
    maps:fold(fun
        ({req, Id}, #req{outcome = Outcome, at = At}, Acc) when Outcome =/= undefined, At < Before ->
            del({req, Id}, counted(-1, Acc));
        ({item, Uid, N}, {done, _, _, At}, Acc) when At < Before -> forget(Uid, N, N, Acc);
        ({line, Uid}, {_, _, Heard}, Acc) when Heard < Month ->
            Items = [{N, State} || {{item, Of, N}, {State, _, _, _}} <- maps:to_list(Acc#s.kv), Of =:= Uid],
            case lists:any(fun({_, State}) -> State =:= waits orelse State =:= runs end, Items) of
                true -> Acc;
                false -> del({line, Uid}, remove(Uid, [N || {N, _} <- Items], Acc))
            end;
        (_, _, Acc) -> Acc
    end, S, Kv).

%% --- what both do -------------------------------------------------------------------------------
%% One of a key at a time: who comes into an empty lane may go; who leaves its head names the next.
join_lane({_, <<>>}, _, S) -> {true, S};
join_lane(Lane, Who, #s{lanes = Lanes} = S) ->
    Waiting = maps:get(Lane, Lanes, queue:new()),
    {queue:is_empty(Waiting), S#s{lanes = Lanes#{Lane => queue:in(Who, Waiting)}}}.

leave_lane({_, <<>>}, _, S) -> {none, S};
leave_lane(Lane, Who, #s{lanes = Lanes} = S) ->
    {value, Head} = queue:peek(Waiting = maps:get(Lane, Lanes)),
    Rest = if
        Head =:= Who -> queue:drop(Waiting);
        true -> queue:filter(fun(One) -> One =/= Who end, Waiting)
    end,
    case {Head, queue:peek(Rest)} of
        {_, empty} -> {none, S#s{lanes = maps:remove(Lane, Lanes)}};
        {Who, {value, Next}} -> {{next, Next}, S#s{lanes = Lanes#{Lane => Rest}}};
        _ -> {none, S#s{lanes = Lanes#{Lane => Rest}}}
    end.

pause(What, First, Last, #s{tries = Tries} = S) ->
    Times = maps:get(What, Tries, 0),
    Pause = min(Last, First bsl min(Times, 20)),
    {Pause div 2 + rand:uniform(Pause), S#s{tries = Tries#{What => Times + 1}}}.

arm(What, Ms, S0) ->
    #s{timers = Timers} = S = disarm(What, S0),
    S#s{timers = Timers#{What => erlang:send_after(max(0, min(Ms, 16#7FFFFFFF)), self(), What)}}.

disarm(What, #s{timers = Timers} = S) ->
    case maps:take(What, Timers) of
        {Timer, Rest} -> _ = erlang:cancel_timer(Timer), S#s{timers = Rest};
        error -> S
    end.

option(Name, Default, #s{options = Options}) -> maps:get(Name, Options, Default).
counted(By, S) -> S#s{count = S#s.count + By}.
now_ms() -> erlang:system_time(millisecond).

set(Key, Value, S) -> dirty(S#s{kv = (S#s.kv)#{Key => Value}, ops = [{set, Key, Value} | S#s.ops]}).
del(Key, S) -> dirty(S#s{kv = maps:remove(Key, S#s.kv), ops = [{del, Key} | S#s.ops]}).
act(Act, S) -> dirty(S#s{acts = [Act | S#s.acts]}).
answer(From, Value, S) -> act({reply, From, Value}, S).

%% Behind all that waits in the mailbox: one batch, one sync.
dirty(#s{dirty = true} = S) -> S;
dirty(S) -> self() ! flush, S#s{dirty = true}.

flush(S0) ->
    #s{ops = Ops, acts = Acts} = S = confirmations(transact(S0)),
    Log = append(lists:reverse(Ops), S#s.kv, S#s.log),
    lists:foldl(fun perform/2, S#s{log = Log, ops = [], acts = [], dirty = false}, lists:reverse(Acts)).

perform({reply, From, Value}, S) -> gen_server:reply(From, Value), S;
perform({run, _, _, _, _} = Run, #s{options = #{transaction := _}} = S) -> act(Run, S);
perform({run, Uid, N, Key, Body}, #s{options = #{handler := Handler}} = S) ->
    Pid = spawn_link(fun() ->
        Run = fun() -> Handler(binary_to_term(Body), info(Uid, N, Key)) end,
        exit({pyerlnode_ran, term_to_binary(outcome(Run))})
    end),
    S#s{pids = (S#s.pids)#{Pid => {Uid, N}}};
perform({send, {_, Node} = Dest, Message}, #s{connecting = Connecting} = S) ->
    case erlang:send(Dest, Message, [noconnect, nosuspend]) of
        noconnect when S#s.role =:= outbox, not is_map_key(Node, Connecting) ->
            S#s{connecting = Connecting#{Node => spawn_link(fun() -> connect(Dest, Message) end)}};
        _ -> S
    end.

%% Its own process, since it may take seconds; when it comes about, nodeup has everything sent again. Only outboxes
%% connect: so the two do not run into each other.
connect({_, Node} = Dest, Message) ->
    case net_kernel:connect_node(Node) of
        true -> Dest ! Message;
        _ -> ok
    end.

%% --- the journal: a log of batches ---------------------------------------------------------------
open(File0, Role, Sync) ->
    File = filename:absname(File0),
    case lock(File) of
        {ok, Lock} ->
            {ok, Fd} = file:open(File, [read, write, raw, binary]),
            {ok, Size} = file:position(Fd, eof),
            {ok, Data} = case Size of 0 -> {ok, <<>>}; _ -> file:pread(Fd, 0, Size) end,
            case replay(Data, 0, #{}) of
                {ok, End, Kv} -> opened(Role, Size, Kv, #log{fd = Fd, file = File, lock = Lock, sync = Sync, size = End});
                {damaged, Offset} -> {error, {damaged, File, Offset}}
            end;
        in_use -> {error, {in_use, File}}
    end.

opened(Role, Size, Kv, #log{fd = Fd, file = File, size = End} = Log) ->
    [logger:warning("~ts: ~b bytes of a batch that a crash interrupted are cut off", [File, Size - End]) || End < Size],
    {ok, End} = file:position(Fd, End),
    ok = file:truncate(Fd),
    case maps:get(role, Kv, Role) of
        Role when End =:= 0 -> {ok, append([{set, role, Role}], Kv, Log), Kv#{role => Role}};
        Role -> {ok, Log#log{base = End}, Kv};
        Other -> {error, {other_role, File, Other}}
    end.

replay(<<Size:32, Crc:32, Batch:Size/binary, Rest/binary>>, At, Kv) ->
    case erlang:crc32(Batch) of
        Crc -> replay(Rest, At + 8 + Size, lists:foldl(fun change/2, Kv, binary_to_term(Batch)));
        _ -> {damaged, At}
    end;
replay(_, At, Kv) -> {ok, At, Kv}.

change({set, Key, Value}, Kv) -> Kv#{Key => Value};
change({del, Key}, Kv) -> maps:remove(Key, Kv).

append([], _, Log) -> Log;
append(Ops, Kv, #log{fd = Fd, size = Size} = Log) ->
    Batch = frame(Ops),
    ok = file:write(Fd, Batch),  % a full disk ends the server: what it knows would no longer be what is kept
    ok = synced(Log),
    compact(Kv, Log#log{size = Size + iolist_size(Batch)}).

frame(Ops) ->
    Batch = term_to_binary(Ops),
    [<<(byte_size(Batch)):32, (erlang:crc32(Batch)):32>>, Batch].

synced(#log{sync = true, fd = Fd}) -> file:datasync(Fd);
synced(_) -> ok.

%% What is kept, in a new file that takes the place of the log.
compact(_, #log{size = Size, base = Base} = Log) when Size < 4 * Base + (4 bsl 20) -> Log;
compact(Kv, #log{fd = Old, file = File} = Log) ->
    New = unicode:characters_to_list([File, ".new"]),
    {ok, Fd} = file:open(New, [write, raw, binary]),
    Batch = frame([{set, Key, Value} || {Key, Value} <- maps:to_list(Kv)]),
    ok = file:write(Fd, Batch),
    ok = file:sync(Fd),
    ok = file:rename(New, File),
    ok = file:close(Old),
    Size = iolist_size(Batch),
    Log#log{fd = Fd, size = Size, base = Size}.

%% Linux' abstract sockets: a name that is free when its holder has ended, however that was.
lock(File) ->
    case os:type() of
        {unix, linux} ->
            Name = binary:encode_hex(erlang:md5(unicode:characters_to_binary(File))),
            case gen_tcp:listen(0, [{ifaddr, {local, <<0, "pyerlnode-", Name/binary>>}}]) of
                {ok, Socket} -> {ok, Socket};
                {error, eaddrinuse} -> in_use;
                {error, _} -> {ok, none}
            end;
        _ -> {ok, none}
    end.
