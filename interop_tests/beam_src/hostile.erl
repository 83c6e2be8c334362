%% Throws terms of every kind, in envelopes that a node's processes take for their own, at names of another node.
%% None of them is an order to end. The pids in them are of processes that take anything, here or nowhere any more.
-module(hostile).
-export([at/4, deep/2, deep_key/1]).

at(Node, Names, Seed, Count) ->
    rand:seed(exsss, {Seed, Seed, Seed}),
    put(sink, spawn(fun sink/0)),
    put(dead, spawn(fun() -> ok end)),
    [begin
         [erlang:send({Name, Node}, message()) || _ <- lists:seq(1, Count)],
         [erlang:send({Name, Node}, {system, {get(sink), make_ref()}, M}) || M <- [resume, {debug, no_debug}]]
     end || Name <- Names],
    exit(get(sink), kill),
    ok.

sink() -> receive _ -> sink() end.

one_of(List) -> lists:nth(rand:uniform(length(List)), List).

deep(_, 0) -> bottom;
deep(list, N) -> [deep(list, N - 1)];
deep(tuple, N) -> {deep(tuple, N - 1)};
deep(improper, N) -> [deep(improper, N - 1) | tail];
deep(map, N) -> #{key => deep(map, N - 1)};
deep(key, N) -> #{deep(key, N - 1) => value}.

deep_key(N) -> #{deep(list, N) => 1, 1 => int, 1.0 => float, true => atom, [1] => list}.

%% A literal, which costs nothing to look into.
words() ->
    {'$gen_call', '$gen_cast', system, 'EXIT', 'DOWN', io_request, alias, nodeup, nodedown, join, leave, discover, sync,
     update, monitor, init_connect, exchange, lock_set, put_chars, get_state, true, false, nil, undefined, '', 'é',
     '__class__', '__dict__', handle_call, process, pid, node, items, keys, server, infinity, timeout, ok, error,
     0, 1, 1.0, -1, 134217728, 18446744073709551616, 0.0, 1.0e308, <<>>, <<"a">>, <<255, 254>>, <<5:3>>, "text",
     [16#110000], [-1], [], {}, [a | b], [[[]]], #{}, #{1 => a, 1.0 => b, true => c}, #{[1] => {x}}, [1, 1.0, true]}.

scalar() ->
    case rand:uniform(40) of
        1 -> X = rand:uniform(9), fun(Y) -> X + Y end;
        2 -> fun erlang:halt/0;
        3 -> make_ref();
        4 -> get(sink);
        5 -> get(dead);
        6 -> hd(erlang:ports());
        7 -> list_to_pid("<0.4000.1>");
        8 -> -(1 bsl 40000);
        9 -> one_of([deep_key(100), deep(one_of([list, tuple, improper, map]), 1000), deep(key, 20)]);
        _ -> element(rand:uniform(tuple_size(words())), words())
    end.

term(0) -> scalar();
term(Depth) ->
    case rand:uniform(6) of
        1 -> list_to_tuple(some(Depth));
        2 -> some(Depth);
        3 -> some(Depth) ++ tail;
        4 -> maps:from_list([{scalar(), One} || One <- some(Depth)]);
        _ -> scalar()
    end.

some(Depth) -> [term(Depth - 1) || _ <- lists:seq(1, rand:uniform(4))].

t() -> term(1).
maybe_(Right) -> case rand:uniform(10) of N when N > 7 -> t(); _ -> Right end.
pid() -> maybe_(one_of([get(sink), get(dead)])).
ref() -> maybe_(make_ref()).
tag() -> one_of([make_ref(), [alias | make_ref()], [[alias | make_ref()] | x], t()]).
from() -> maybe_({pid(), tag()}).
node_() -> maybe_('nobody@127.0.0.1').
pids() -> maybe_([pid() || _ <- lists:seq(1, rand:uniform(3))]).
pairs() -> maybe_([{t(), pids()}]).

message() ->
    case rand:uniform(8) of
        1 -> {'$gen_call', from(), call()};
        2 -> {'$gen_cast', cast()};
        3 -> {system, from(), sys()};
        4 -> {io_request, pid(), tag(), io()};
        5 -> one_of([{'$gen_call', t()}, {'$gen_cast', t(), t()}, {system, t()}, {'EXIT', t()}, {io_request, t()}]);
        _ -> info()
    end.

call() ->
    one_of([t(), {is_auth, t()}, {spawn, t(), t(), t(), pid()}, {spawn_opt, t(), t(), [t()], [t()], t(), pid()},
            {call, t(), t(), [t()], pid()}, {block_call, t(), t(), t(), pid()}, {join_local, t(), pids()},
            {leave_local, t(), pids()}, {monitor, t()}, {demonitor, ref()}, {set_lock, {t(), t()}}, {del_lock, {t(), t()}},
            {register, t(), pid(), t()}, {register_ext, t(), pid(), t(), node_()}, {unregister, t()}, which_children]).

cast() ->
    one_of([t(), hello, {cast, t(), t(), [t()], pid()}, {sync, pid(), pairs()}, {local_data, pid(), 1, maps:from_list([])},
            {init_connect, {8, t()}, node_(), {locker, t(), #{}, pid()}}, {exchange, node_(), [{t(), pid(), t()}], [], t()},
            {resolved, node_(), [{insert, {t(), pid(), t()}}], [node_()], t(), [], t()},
            {new_nodes, node_(), [{delete, t()}], t(), [node_()], [t()]}, {in_sync, node_(), t()},
            {lock_set, pid(), true, [t()], t()}]).

sys() ->
    one_of([t(), get_state, get_status, suspend, resume, {replace_state, t()}, {replace_state, fun(S) -> S end},
            {change_code, t(), t(), t()}, {debug, t()}, {debug, {log, t()}}, {debug, {log, {true, t()}}}, {debug, {trace, t()}},
            {debug, {install, t()}}, {debug, {install, {fun(S, _, _) -> S end, t()}}}, {debug, {remove, t()}},
            {debug, {statistics, t()}}]).

io() ->
    one_of([t(), {put_chars, unicode, t()}, {put_chars, t(), t()}, {put_chars, unicode, io_lib, format, [t(), [t()]]},
            {put_chars, unicode, t(), t(), [t()]}, {requests, [t(), {put_chars, unicode, t()}]}, {requests, t()},
            {setopts, [t()]}, {setopts, t()}, {get_geometry, t()}, getopts, {get_password, t()}]).

info() ->
    one_of([t(), {'EXIT', pid(), t()}, {'DOWN', ref(), process, pid(), t()}, {'DOWN', ref(), port, hd(erlang:ports()), t()},
            {tag(), t()}, {nodeup, node_()}, {nodedown, node_(), #{}}, {discover, pid()}, {discover, pid(), t()},
            {join, pid(), t(), pids()}, {leave, pid(), pids(), [t()]}, {update, pid(), [{t(), pids(), pids()}]},
            {init_connect_ack, node_(), t(), t()}, {cancel_connect, node_(), t()}, {lock_is_set, node_(), t(), t()},
            {exchange_ops, node_(), t(), [t()], [t()]}, {lost_connection, node_(), t(), 1, node_()},
            {remove_connection, node_()}, {log, error, t(), #{}}, {log, t(), t(), [t()], #{pid => pid()}},
            {log_event, node_(), error, {report, t()}, #{}}, {pid(), {call, t(), t(), [t()], pid()}}, {pid(), features_request},
            {pid(), {sbcast, t(), t()}}, {pid(), from(), t()}, {notify, t()}, {rex, t()}, {spawn_reply, ref(), ok, pid()},
            {hd(erlang:ports()), {data, t()}}, {hd(erlang:ports()), closed}]).
