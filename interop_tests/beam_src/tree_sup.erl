%% The callback module of OTP's supervisor in `tree`.
-module(tree_sup).
-behaviour(supervisor).
-export([init/1]).

init({Flags, Specs}) -> {ok, {Flags, Specs}}.
