%% The part of the BEAM under test that runs ExUnit tests one by one for pytest (`exunit.py`): it is ExUnit's only
%% formatter, and keeps what ExUnit tells of the one test that was asked for.
-module(pyerlnode_exunit).
-behaviour(gen_server).
-export([prepare/0, tests/1, run/3, result/2]).
-export([init/1, handle_call/3, handle_cast/2]).

%% Files of tests, and test_helper.exs, can be compiled after this. `autorun` stays false when they start ExUnit again.
prepare() ->
    {ok, _} = application:ensure_all_started(logger), % Elixir's, as `mix test` does: `capture_log` needs it
    {ok, _} = application:ensure_all_started(ex_unit),
    'Elixir.ExUnit':start([{autorun, false}]),
    ok.

%% The tests of those of Modules that are test cases, as the file has them:
%% {Module, Name, Line, Fixtures, Milliseconds | infinity, Why it is excluded | nil}.
tests(Modules) ->
    Settings = 'Elixir.ExUnit':configuration(),
    Include = proplists:get_value(include, Settings, []),
    Exclude = proplists:get_value(exclude, Settings, []),
    Longest = proplists:get_value(timeout, Settings, 60000),
    lists:sort(
        fun(One, Other) -> element(3, One) =< element(3, Other) end,
        [
            {Module, text(atom_to_list(Name)), maps:get(line, Tags), fixtures(Tags),
                times(maps:get(timeout, Tags, Longest), parameters(Module)), excluded(Include, Exclude, Tags#{test => Name, module => Module})}
         || Module <- Modules,
            erlang:function_exported(Module, '__ex_unit__', 0),
            #{name := Name, tags := Own} <- maps:get(tests, Module:'__ex_unit__'()),
            Tags <- [maps:merge(module_tags(Module), Own)]
        ]
    ).

%% How often each test of a module runs; `parameterize` came with Elixir 1.18.
parameters(Module) ->
    case erlang:function_exported(Module, '__ex_unit__', 1) andalso Module:'__ex_unit__'(config) of
        #{parameterize := [_ | _] = Parameters} -> length(Parameters);
        _ -> 1
    end.

times(infinity, _) -> infinity;
times(Milliseconds, Often) -> Milliseconds * Often.

module_tags(Module) ->
    case Module:'__ex_unit__'() of
        #{tags := Tags} when is_map(Tags) -> Tags;
        _ -> #{}
    end.

fixtures(Tags) ->
    case maps:get(fixtures, Tags, []) of
        Names when is_list(Names) -> [text(atom_to_list(Name)) || Name <- Names];
        Name -> [text(atom_to_list(Name))]
    end.

excluded(Include, Exclude, Tags) ->
    case 'Elixir.ExUnit.Filters':eval(Include, Exclude, Tags, []) of
        {excluded, Why} -> Why;
        _ -> nil
    end.

%% passed | {skipped, Why} | {failed, Text}, Text as ExUnit prints it. Environment: {"NAME", "value"} of this run.
run(Module, Name, Environment) ->
    [os:putenv(unicode:characters_to_list(Key), unicode:characters_to_list(Value)) || {Key, Value} <- Environment],
    %% A file registers its modules with ExUnit's server when it is compiled. Only the one that is asked for may run.
    ok = supervisor:terminate_child('Elixir.ExUnit.Supervisor', 'Elixir.ExUnit.Server'),
    {ok, _} = supervisor:restart_child('Elixir.ExUnit.Supervisor', 'Elixir.ExUnit.Server'),
    Test = binary_to_atom(Name),
    'Elixir.ExUnit':configure([
        {formatters, [?MODULE]}, {exclude, [test]}, {include, [{test, Test}]}, {pyerlnode_runner, self()}
    ]),
    'Elixir.ExUnit':run([Module]),
    case result(Test, none) of
        none -> {failed, <<"ExUnit did not run this test">>};
        Result -> Result
    end.

%% Everything has been told when ExUnit returns.
result(Test, Found) ->
    receive
        {?MODULE, test_finished, #{name := Test, state := State} = Told} ->
            result(Test, with(result_of(Told, State), Found));
        {?MODULE, module_finished, #{state := {failed, Why}} = Told} ->
            All = 'Elixir.ExUnit.Formatter':format_test_all_failure(Told, Why, 1, 100, fun plain/2),
            result(Test, with({failed, text(All)}, Found));
        {?MODULE, _, _} -> result(Test, Found)
    after 0 -> Found
    end.

result_of(_, nil) -> passed;
result_of(_, {skipped, Why}) -> {skipped, text(Why)};
result_of(Told, {failed, Why}) ->
    Text = 'Elixir.ExUnit.Formatter':format_test_failure(Told, Why, 1, 100, fun plain/2),
    {failed, text([Text, logs(Told)])};
result_of(_, _) -> none.

%% With `parameterize` a test runs once for each of the parameters: one that fails is a failure of the test, all of
%% whose texts are told, and one that passes hides none.
with(none, Found) -> Found;
with(Result, none) -> Result;
with({failed, Text}, {failed, Before}) -> {failed, <<Before/binary, $\n, Text/binary>>};
with({failed, _} = Failed, _) -> Failed;
with(_, {failed, _} = Failed) -> Failed;
with(passed, _) -> passed;
with(_, Found) -> Found.

logs(#{logs := Logs}) when Logs =/= <<>> -> ["\nThe test's log:\n", Logs];
logs(_) -> [].

plain(_, Text) -> Text.

text(Text) -> unicode:characters_to_binary(Text).

%% --- the formatter ---------------------------------------------------------------------------------
init(Settings) -> {ok, proplists:get_value(pyerlnode_runner, Settings)}.

handle_call(_, _, Runner) -> {reply, ok, Runner}.

handle_cast({Event, Told}, Runner) when Event =:= test_finished; Event =:= module_finished ->
    Runner ! {?MODULE, Event, Told},
    {noreply, Runner};
handle_cast(_, Runner) ->
    {noreply, Runner}.
