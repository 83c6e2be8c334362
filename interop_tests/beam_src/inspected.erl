%% What an inspector is to find: a tree of supervisors, a server with a state, and one that waits in a call.
-module(inspected).
-behaviour(supervisor).
-export([init/1, called/1, tree/1, server/1, handle_call/3, handle_cast/2, caller/1]).

%% A supervisor of `Many` workers, a supervisor below it and one that is suspended.
tree(Many) ->
    Workers = [#{id => {worker, I}, start => {?MODULE, server, [I]}} || I <- lists:seq(1, Many)],
    Inner = #{id => inner, type => supervisor, start => {supervisor, start_link, [?MODULE, [worker(<<"one">>)]]}},
    Stuck = #{id => stuck, type => supervisor, start => {supervisor, start_link, [?MODULE, []]}},
    {ok, Top} = supervisor:start_link(?MODULE, Workers ++ [Inner, Stuck]),
    unlink(Top),
    {_, Pid, _, _} = lists:keyfind(stuck, 1, supervisor:which_children(Top)),
    sys:suspend(Pid),
    Top.

worker(Id) -> #{id => Id, start => {?MODULE, server, [Id]}}.

server(State) -> gen_server:start_link(?MODULE, {server, State}, []).

init({server, State}) -> {ok, State};
init(Children) when is_list(Children) -> {ok, {#{}, Children}}.

handle_call(never, _, State) -> {noreply, State};
handle_call(_, _, State) -> {reply, State, State}.

handle_cast({wait, Ms}, State) -> receive after Ms -> {noreply, State} end.

caller(Server) -> spawn(fun() -> gen_server:call(Server, never, infinity) end).

called({N, _}) -> {ok, N}.
