%% A supervisor of what its argument says.
-module(pyerlnode_tree).
-behaviour(supervisor).
-export([init/1]).

init(What) -> {ok, What}.
