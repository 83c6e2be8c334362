%% The part of a test's BEAM that obeys the test: requests come in on standard input, answers go out on
%% file descriptor 3, each framed by four bytes of length. It knows nothing of pyerlnode.
%%
%% A request is <<Id:32, Term/binary>>, its answer <<Id:32, Term/binary>>. Each request runs in a
%% process of its own, so that one that waits does not hold up the others. All of them, and whatever
%% they spawn, have the group leader of their scope, by which clean/0 knows what a test has left behind:
%% between begin_test and end_test it is the test's own, before and after that of the run.
%%
%% A node that runs already has this module, too, but not the process: the one between (between.py) asks it by
%% answer_bytes/1. agent.bin is this file as OTP 25 compiles it, for nodes that have no compiler: a release need not.
-module(pyerlnode_beam_agent).
-export([start/1, answer_bytes/1]).

start(Port) ->
    register(pyerlnode_beam_agent, self()),
    Run = {spawn(fun leader/0), {[], []}},
    try
        loop(Port, Run, Run)
    catch
        Class:Reason -> erlang:display({agent, Class, Reason}), erlang:halt(2)
    end.

%% Run and Scope are {Leader, {Nodes, Processes}}: what is kept when the scope is cleaned.
loop(Port, Run, Scope) ->
    receive
        {Port, {data, <<Id:32, Request/binary>>}} ->
            spawn(fun() -> answer(Port, Scope, Id, Request) end),
            loop(Port, Run, Scope);
        {scope, From, New} ->
            From ! {scope, self()},
            loop(Port, Run, case New of run -> Run; _ -> New end);
        {Port, eof} ->
            %% The test run is over, however it ended. Unless it asked to keep this node, so is the node.
            persistent_term:get(pyerlnode_beam_keep, false) orelse erlang:halt(0, [{flush, false}]),
            loop(Port, Run, Scope);
        _ ->
            loop(Port, Run, Scope)
    end.

answer(Port, {Leader, Kept}, Id, Request) ->
    Own = group_leader(),
    group_leader(Leader, self()),
    put(pyerlnode_kept, Kept),
    Answer = answer_bytes(Request),
    group_leader(Own, self()), % whoever cleans when the answer is there finds nothing of this request
    port_command(Port, [<<Id:32>>, Answer]).

answer_bytes(Request) -> term_to_binary(answer_to(binary_to_term(Request)), [{minor_version, 2}]).

answer_to(Request) ->
    try
        {ok, request(Request)}
    catch
        Class:Reason:Stack -> {Class, Reason, text(Stack), told(Request, Class, Reason, Stack)}
    end.

%% --- what an exception looks like --------------------------------------------------------------
%% As the shell of its language prints it, whole, with the stack down to the test's own source.
told({eval, _, _}, error, {syntax, Text}, _) -> Text;
told({text, _, _}, error, {syntax, Text}, _) -> Text;
told({wait_until, _, _, _}, error, {syntax, Text}, _) -> Text;
told({load_erl, _, _}, error, {compile, Text}, _) -> Text;
told(Request, Class, Reason, Stack) ->
    Own = [Frame || Frame <- Stack, is_the_tests(Frame)],
    try
        case is_elixirs(Request, Reason) of
            true -> elixir_told(Class, Reason, Own);
            false -> erlang_told(Class, Reason, Own)
        end
    catch
        _:_ -> text({Reason, Own})
    end.

is_the_tests({_, '__FILE__', _, _}) -> true; % a line of Elixir that was evaluated
is_the_tests({Module, _, _, _}) ->
    not lists:member(Module, [
        pyerlnode_beam_agent, erl_eval, erpc, proc_lib,
        elixir, elixir_compiler, elixir_eval, elixir_erl_eval, 'Elixir.Code', 'Elixir.Module.ParallelChecker'
    ]).

is_elixirs(Request, Reason) ->
    (lists:member(element(1, Request), [elixir, elixir_text, load_ex])
        orelse (is_map(Reason) andalso is_map_key('__exception__', Reason)))
        andalso code:ensure_loaded('Elixir.Exception') =:= {module, 'Elixir.Exception'}.

elixir_told(Class, Reason, Stack) ->
    {Blamed, Frames} = 'Elixir.Exception':blame(Class, Reason, Stack),
    Text = unicode:characters_to_binary(string:trim('Elixir.Exception':format(Class, Blamed, Frames), trailing)),
    case binary:match(Text, <<"...">>) of
        nomatch -> Text; % Elixir cuts what is long
        _ -> unicode:characters_to_binary([Text, "\nThe reason, in full: ", elixir_inspect(Reason)])
    end.

elixir_inspect(Term) -> 'Elixir.Kernel':inspect(Term, [{limit, infinity}, {printable_limit, infinity}]).

erlang_told(Class, Reason, Stack) ->
    Print = fun(Term, Column) ->
        io_lib_pretty:print(Term, [{column, Column}, {line_length, 100}, {depth, -1}, {encoding, unicode}])
    end,
    Text = erl_error:format_exception(Class, Reason, Stack, #{format_fun => Print}),
    %% The reason as it stands, to be searched for; where that is long, all of it is in the text that follows.
    unicode:characters_to_binary([line(unicode:characters_to_list(text(Reason))), "\n", Text]).

line(Text) when length(Text) > 300 -> lists:sublist(Text, 300) ++ [$\x{2026}];
line(Text) -> Text.

request({eval, Source, Bindings}) -> eval(parse(Source), Bindings);
request({text, Source, Bindings}) -> text(eval(parse(Source), Bindings));
request({elixir, Source, Bindings}) -> elixir(Source, Bindings);
request({elixir_text, Source, Bindings}) -> elixir_inspect(elixir(Source, Bindings));
request({apply, Module, Function, Args}) -> apply(Module, Function, Args);
request({wait_until, Source, Bindings, Milliseconds}) ->
    wait_until(parse(Source), Bindings, erlang:monotonic_time(millisecond) + Milliseconds);
request({load_erl, Name, Files}) -> [version(load_erl(binary_to_list(Name), Files))];
request({load_beam, Name, Code}) -> [version(load_beam(binary_to_list(Name), Code))];
request({load_ex, File, Source}) ->
    with_elixir(),
    [version(Module) || {Module, _Code} <- 'Elixir.Code':compile_string(Source, File)];
request({start_app, App}) -> {ok, _} = application:ensure_all_started(App), ok;
request({mix, Directory}) -> mix(Directory);
request({has, Versions}) ->
    lists:all(fun({Module, MD5}) -> erlang:module_loaded(Module) andalso version(Module) =:= {Module, MD5} end, Versions);
request(facts) -> facts();
request(begin_test) -> scope({leader_of_a_test(), {nodes(connected), [P || P <- processes(), is_foreign(P)]}});
request(end_test) -> scope(run), ended(group_leader());
request(foreign) ->
    {_, Kept} = kept(),
    [describe(P) || P <- processes() -- Kept, is_foreign(P)];
request(keep) -> persistent_term:put(pyerlnode_beam_keep, true);
request(clean_own) -> kill([P || P <- processes(), P =/= self(), leader_is(P, fun(L) -> L =:= group_leader() end)]);
request(clean) -> clean().

facts() ->
    #{
        name => node(),
        otp => list_to_integer(erlang:system_info(otp_release)),
        erts => list_to_binary(erlang:system_info(version)),
        os_pid => list_to_integer(os:getpid()),
        elixir => elixir_version(),
        code => persistent_term:get(pyerlnode_beam_agent, <<>>)
    }.

elixir_version() ->
    case code:where_is_file("elixir.app") of
        non_existing ->
            <<>>;
        File ->
            {ok, [{application, elixir, Keys}]} = file:consult(File),
            unicode:characters_to_binary(proplists:get_value(vsn, Keys))
    end.

%% --- evaluation ------------------------------------------------------------------------------
parse(Source) ->
    case erl_scan:string(unicode:characters_to_list(Source)) of
        {ok, Tokens, End} ->
            case erl_parse:parse_exprs(dotted(Tokens, End)) of
                {ok, Exprs} -> Exprs;
                {error, Why} -> error({syntax, unicode:characters_to_binary(format_error(Why))})
            end;
        {error, Why, _} ->
            error({syntax, unicode:characters_to_binary(format_error(Why))})
    end.

dotted(Tokens, End) ->
    case lists:reverse(Tokens) of
        [{dot, _} | _] -> Tokens;
        _ -> Tokens ++ [{dot, End}]
    end.

format_error({Line, Module, Why}) -> io_lib:format("line ~p: ~ts", [Line, Module:format_error(Why)]).

eval(Exprs, Bindings) ->
    {value, Value, _} = erl_eval:exprs(Exprs, maps:fold(fun erl_eval:add_binding/3, erl_eval:new_bindings(), Bindings)),
    Value.

elixir(Source, Bindings) ->
    with_elixir(),
    {Value, _} = 'Elixir.Code':eval_string(Source, maps:to_list(Bindings), []),
    Value.

with_elixir() ->
    case application:ensure_all_started(elixir) of
        {ok, _} -> ok;
        _ -> error(no_elixir)
    end.

%% As `mix test` begins: the project's applications run, its modules and those of its dependencies are on the path.
mix(Directory) ->
    with_elixir(),
    {ok, _} = application:ensure_all_started(mix),
    'Elixir.File':'cd!'(Directory),
    'Elixir.Mix':env(test),
    'Elixir.Code':compile_file(<<"mix.exs">>),
    'Elixir.Mix.Task':run(<<"loadconfig">>),
    'Elixir.Mix.Task':run(<<"app.start">>),
    ok.

wait_until(Exprs, Bindings, Deadline) ->
    case eval(Exprs, Bindings) of
        true ->
            true;
        Other ->
            case erlang:monotonic_time(millisecond) > Deadline of
                true ->
                    error({not_until_timeout, Other});
                false ->
                    receive after 5 -> ok end,
                    wait_until(Exprs, Bindings, Deadline)
            end
    end.

text(Term) -> unicode:characters_to_binary(io_lib:format("~0tp", [Term])).

%% --- modules of a test -------------------------------------------------------------------------
%% Through files in a directory of their own, by their names from that of the module, with what it includes among
%% them (`..` in a name stays inside): ?FILE works, and the compiler's messages name them.
load_erl(Name, Files) ->
    code:ensure_loaded(compile) =:= {module, compile} orelse error(no_compiler),
    Directory = filename:join(temporary(), "pyerlnode_" ++ os:getpid() ++ integer_to_list(erlang:unique_integer([positive]))),
    Source = filename:join([Directory, "0", "0", "0", "src"]),
    ok = filelib:ensure_dir(filename:join(Source, Name)),
    [
        begin
            Path = filename:join(Source, binary_to_list(Relative)),
            ok = filelib:ensure_dir(Path),
            ok = file:write_file(Path, Text)
        end
     || {Relative, Text} <- Files
    ],
    File = filename:join(Source, Name),
    Includes = [{i, Source}, {i, filename:join(Source, "include")}, {i, filename:join([Source, "..", "include"])}],
    try compile:file(File, [binary, return_errors, report_warnings, debug_info | Includes]) of
        {ok, Module, Code} ->
            {module, Module} = code:load_binary(Module, File, Code),
            Module;
        {error, Errors, _} ->
            error({compile, text([{Line, lists:flatten(M:format_error(W))} || {_, L} <- Errors, {Line, M, W} <- L])})
    after
        file:del_dir_r(Directory)
    end.

load_beam(Name, Code) ->
    #{module := Module} = maps:from_list(beam_lib:info(Code)),
    {module, Module} = code:load_binary(Module, Name, Code),
    Module.

version(Module) -> {Module, Module:module_info(md5)}.

temporary() -> os:getenv("TMPDIR", "/tmp").

%% --- what a test leaves --------------------------------------------------------------------------
scope(Scope) ->
    Agent = whereis(pyerlnode_beam_agent),
    Agent ! {scope, self(), Scope},
    receive {scope, Agent} -> ok end.

kept() ->
    case get(pyerlnode_kept) of
        undefined -> {[], []};
        Kept -> Kept
    end.

%% Its own processes have our group leader; what a remote node had started here has that node's. The leader of a test
%% keeps how the node was before it: it is the one process that lives just as long.
leader_of_a_test() ->
    Self = self(),
    Leader = spawn(fun() -> Before = settings(), Self ! {ready, self()}, leader(Before) end),
    receive {ready, Leader} -> Leader end.

leader() -> leader(none).

leader(Before) ->
    receive
        {io_request, _, _, _} = Request -> user ! Request, leader(Before);
        {ended, From} when Before =:= none -> From ! {ended, self(), ok}, leader(Before);
        {ended, From} -> From ! {ended, self(), catch restore(Before)};
        _ -> leader(Before)
    end.

ended(Leader) ->
    Leader ! {ended, self()},
    receive {ended, Leader, ok} -> ok; {ended, Leader, Fault} -> error({not_restored, Fault}) end.

is_foreign(P) -> leader_is(P, fun(Leader) -> node(Leader) =/= node() end).

leader_is(P, Test) ->
    case process_info(P, group_leader) of
        {group_leader, Leader} -> Test(Leader);
        undefined -> false
    end.

describe(P) -> text({P, process_info(P, [registered_name, initial_call, current_function])}).

clean() ->
    Own = group_leader(),
    {Nodes, Processes} = kept(),
    Here = processes() -- [self() | Processes],
    Count = kill([P || P <- Here, leader_is(P, fun(L) -> L =:= Own orelse node(L) =/= node() end)]),
    [erlang:disconnect_node(Node) || Node <- nodes(connected) -- Nodes],
    settled(Nodes, 6000),
    Count.

kill(Processes) ->
    Monitors = [{P, monitor(process, P)} || P <- Processes],
    [exit(P, kill) || P <- Processes],
    [receive {'DOWN', Ref, process, P, _} -> ok end || {P, Ref} <- Monitors],
    length(Processes).

settled(Kept, 0) -> error({still_connected, nodes(connected) -- Kept});
settled(Kept, N) ->
    case nodes(connected) -- Kept of
        [] -> ok;
        _ -> receive after 10 -> ok end, settled(Kept, N - 1)
    end.

%% --- how the node is set up, before a test and after it ------------------------------------------
%% What applications have put that were started since stays: they run on, and need it.
settings() ->
    #{
        environment => [{App, application:get_all_env(App)} || App <- loaded()],
        terms => terms(),
        started => started(),
        level => logger:get_primary_config(),
        module_levels => logger:get_module_level(),
        handlers => handlers()
    }.

loaded() -> [App || {App, _, _} <- application:loaded_applications(), App =/= ex_unit].

started() -> lists:sort([App || {App, _, _} <- application:which_applications()]) -- [compiler, elixir].

handlers() -> [{Id, Level} || #{id := Id, level := Level} <- logger:get_handler_config()].

%% Those of OTP and of Elixir are their own.
terms() -> maps:from_list([{Key, Term} || {Key, Term} <- persistent_term:get(), is_a_programs(Key)]).

is_a_programs(Key) when is_tuple(Key), tuple_size(Key) > 0 -> is_a_programs(element(1, Key));
is_a_programs(Key) when is_atom(Key) ->
    not lists:any(
        fun(Prefix) -> lists:prefix(Prefix, atom_to_list(Key)) end,
        ["logger_", "prim_", "erl_", "elixir_", "global_group", "rex_", "pyerlnode_"]
    );
is_a_programs(_) -> true.

restore(#{environment := Environment, started := Started, terms := Terms} = Before) ->
    IsAsBefore = started() =:= Started,
    [restore_environment(App, Was, application:get_all_env(App)) || {App, Was} <- Environment],
    Now = terms(),
    [persistent_term:put(Key, Term) || {Key, Term} <- maps:to_list(Terms), not is_in(Key, Term, Now)],
    [persistent_term:erase(Key) || IsAsBefore, Key <- maps:keys(Now), not is_map_key(Key, Terms)],
    restore_logger(Before, IsAsBefore).

is_in(Key, Term, Map) ->
    case Map of
        #{Key := Found} -> Found =:= Term;
        _ -> false
    end.

restore_environment(_, Same, Same) -> ok;
restore_environment(App, Was, Now) ->
    [application:set_env(App, Key, Value) || {Key, Value} <- Was -- Now],
    [application:unset_env(App, Key) || {Key, _} <- Now, not lists:keymember(Key, 1, Was)],
    ok.

restore_logger(#{level := Primary, module_levels := Levels, handlers := Handlers}, IsAsBefore) ->
    logger:get_primary_config() =:= Primary orelse (ok = logger:set_primary_config(Primary)),
    Now = logger:get_module_level(),
    [logger:unset_module_level(Module) || {Module, _} <- Now, not lists:keymember(Module, 1, Levels)],
    [logger:set_module_level(Module, Level) || {Module, Level} <- Levels -- Now],
    [logger:set_handler_config(Id, level, Level) || {Id, Level} <- Handlers -- handlers()],
    [logger:remove_handler(Id) || IsAsBefore, {Id, _} <- handlers(), not lists:keymember(Id, 1, Handlers)],
    ok.
