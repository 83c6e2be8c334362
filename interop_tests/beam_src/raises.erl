%% A function that ends as it is told, and what each way to run it makes of that end, on a node with such a function.
-module(raises).
-behaviour(supervisor).
-export([does/1, init/1, replaced/1, seen/2]).

does({return, Value}) -> Value;
does({error, Reason}) -> error(Reason);
does({exit, Reason}) -> exit(Reason);
does({throw, Term}) -> throw(Term).

replaced(_) -> {new, state}.

init({state, State}) -> {ok, State};
init(_) -> {ok, {#{}, []}}.

seen(Node, What) ->
    Trapped = process_flag(trap_exit, true),
    Seen = [{Name, bare(Run(Node, What))} || {Name, Run} <- ways()],
    process_flag(trap_exit, Trapped),
    Seen.

ways() ->
    [{spawn, fun(N, W) -> down(spawn_monitor(N, raises, does, [W])) end},
     {spawn_link, fun(N, W) -> linked(spawn_link(N, raises, does, [W])) end},
     {spawn_request, fun(N, W) -> requested(spawn_request(N, raises, does, [W], [monitor])) end},
     {erpc, fun(N, W) -> try {ok, erpc:call(N, raises, does, [W])} catch Class:Reason -> {Class, Reason} end end},
     {send_request, fun(N, W) ->
         try {ok, erpc:receive_response(erpc:send_request(N, raises, does, [W]))} catch C:R -> {C, R} end end},
     {multicall, fun(N, W) -> erpc:multicall([N], raises, does, [W]) end},
     {rpc, fun(N, W) -> rpc:call(N, raises, does, [W]) end},
     {rpc_by_time, fun(N, W) -> rpc:call(N, raises, does, [W], 60000) end},
     {block_call, fun(N, W) -> rpc:block_call(N, raises, does, [W]) end},
     {async_call, fun(N, W) -> rpc:yield(rpc:async_call(N, raises, does, [W])) end},
     {rpc_multicall, fun(N, W) -> rpc:multicall([N], raises, does, [W]) end},
     {rex, fun(N, W) -> gen_server:call({rex, N}, {call, raises, does, [W], group_leader()}, infinity) end}].

down({Pid, Monitor}) -> receive {'DOWN', Monitor, process, Pid, Reason} -> Reason end.

linked(Pid) -> receive {'EXIT', Pid, Reason} -> Reason end.

requested(Request) -> receive {spawn_reply, Request, ok, Pid} -> down({Pid, Request}) end.

%% The frames of two languages differ; that there are some is told.
bare([{Module, Function, _, Where} | _]) when is_atom(Module), is_atom(Function), is_list(Where) -> stack;
bare(Tuple) when is_tuple(Tuple) -> list_to_tuple([bare(Element) || Element <- tuple_to_list(Tuple)]);
bare([Head | Tail]) -> [bare(Head) | bare(Tail)];
bare(Term) -> Term.
