%% A supervisor with one permanent child, a process of another node that an exported function starts.
-module(keeper).
-behaviour(supervisor).
-export([start/3, init/1, start_child/3, child/1]).

start(Node, Module, Function) ->
    {ok, Pid} = supervisor:start_link(?MODULE, {Node, Module, Function}),
    unlink(Pid),
    Pid.

init({Node, Module, Function}) ->
    Child = #{id => child, start => {?MODULE, start_child, [Node, Module, Function]}, restart => permanent},
    {ok, {#{strategy => one_for_one, intensity => 5, period => 10}, [Child]}}.

start_child(Node, Module, Function) ->
    Pid = erpc:call(Node, Module, Function, []),
    link(Pid),
    {ok, Pid}.

child(Keeper) ->
    [{child, Pid, _, _}] = supervisor:which_children(Keeper),
    Pid.
