%% What a Phoenix.PubSub is to other nodes, and no more: workers on OTP's pg, a table of subscribers, and two
%% dispatchers. Strict: a worker crashes on whatever would crash one of Phoenix.
%%
%% Its public functions are called as those of 'Elixir.Phoenix.PubSub', so a scenario takes either module.
-module(pubsub_peer).
-export([start/3, workers/2, listen/5, publish_from_many/4, pretend/3]).
-export([subscribe/3, broadcast/3, broadcast/4, broadcast_from/4, direct_broadcast/4, local_broadcast/4]).
-export([dispatch/3, to_channels/3]).

-define(SCOPE, 'Elixir.Phoenix.PubSub').
-define(CHANNELS, 'Elixir.Phoenix.Channel.Server').
-define(BROADCAST, 'Elixir.Phoenix.Socket.Broadcast').

%% --- both libraries: what the scenarios need beside them -------------------------------------------
%% Starts the PubSub Name with a pool of Size and gives the pid that holds it all: its end is theirs.
start(Library, Name, Size) ->
    To = self(),
    Holder = spawn(fun() ->
        process_flag(trap_exit, true),
        {ok, _} = pg:start_link(?SCOPE),
        started = start_library(Library, Name, Size),
        pretend(?CHANNELS, to_channels, [{dispatch, 3}]),
        To ! {self(), started},
        (fun Hold() -> receive {'EXIT', To, _} -> Hold(); {'EXIT', _, Reason} -> exit(Reason); stop -> exit(shutdown) end end)()
    end),
    Ref = monitor(process, Holder),
    receive {Holder, started} -> Holder; {'DOWN', Ref, _, _, Reason} -> error(Reason) end.

start_library('Elixir.Phoenix.PubSub', Name, Size) ->
    Options = [{name, Name}, {pool_size, Size}],
    {ok, _} = 'Elixir.Phoenix.PubSub.Supervisor':start_link(Options),
    started;
start_library(?MODULE, Name, Size) ->
    Name = ets:new(Name, [bag, public, named_table]),
    Groups = groups(Name, Size),
    true = ets:insert(Name, {groups, list_to_tuple(Groups)}),
    Me = self(),
    [begin
         Worker = spawn_link(fun() ->
             register(Group, self()),
             ok = pg:join(?SCOPE, Group, self()),
             Me ! {self(), joined},
             work(Name)
         end),
         receive {Worker, joined} -> ok end
     end || Group <- Groups],
    started.

groups(Name, Size) ->
    "Elixir." ++ Short = atom_to_list(Name),
    Adapter = "Elixir." ++ Short ++ ".Adapter",
    [list_to_atom(Adapter) | [list_to_atom(Adapter ++ "_" ++ integer_to_list(N)) || N <- lists:seq(2, Size)]].

%% The pids that must live through a test: pg's scope and the workers.
workers(Name, Size) -> [whereis(?SCOPE) | [whereis(Group) || Group <- groups(Name, Size)]].

%% A subscriber that tells To all it gets; with metadata `client` it is the socket of a browser.
listen(Library, Name, Topic, Metadata, To) ->
    Listener = spawn(fun() ->
        {Reached, Value} = case Metadata of
            client -> {self(), {fastlane, self(), json, []}};
            _ -> {self(), Metadata}
        end,
        ok = Library:subscribe(Name, Topic, [{metadata, Value}]),
        To ! {listening, Reached},
        (fun Tell() -> receive stop -> ok; Message -> To ! {heard, self(), Message}, Tell() end end)()
    end),
    Listener.

%% One process publishes one message; pids of enough of them go through every group of a pool.
publish_from_many(Library, Name, Topic, Count) ->
    [spawn(fun() -> Library:broadcast(Name, Topic, {from_elixir, N}) end) || N <- lists:seq(1, Count)],
    ok.

%% A module Module whose Functions are those of this one, or one function `To` of it.
pretend(Module, To, Functions) ->
    Forms = [{attribute, 1, module, Module}, {attribute, 1, export, Functions} |
        [begin
             Args = [{var, 1, list_to_atom("A" ++ integer_to_list(N))} || N <- lists:seq(1, Arity)],
             Target = case To of {Other} -> {remote, 1, {atom, 1, Other}, {atom, 1, Function}};
                                 _ -> {remote, 1, {atom, 1, ?MODULE}, {atom, 1, To}} end,
             {function, 1, Function, Arity, [{clause, 1, Args, [], [{call, 1, Target, Args}]}]}
         end || {Function, Arity} <- Functions]],
    {ok, Module, Code} = compile:forms(Forms),
    {module, Module} = code:load_binary(Module, "pretended", Code),
    ok.

%% --- the library -----------------------------------------------------------------------------------
subscribe(Name, Topic, Options) when is_binary(Topic) ->
    true = ets:insert(Name, {Topic, self(), proplists:get_value(metadata, Options, nil)}),
    ok.

broadcast(Name, Topic, Message) -> broadcast(Name, Topic, Message, ?SCOPE).

broadcast(Name, Topic, Message, Dispatcher) ->
    to_others(Name, {forward_to_local, Topic, Message, Dispatcher}),
    local(Name, none, Topic, Message, Dispatcher).

broadcast_from(Name, From, Topic, Message) ->
    to_others(Name, {forward_to_local, Topic, Message, ?SCOPE}),
    local(Name, From, Topic, Message, ?SCOPE).

direct_broadcast(Node, Name, Topic, Message) ->
    {group(Name), Node} ! {forward_to_local, Topic, Message, ?SCOPE},
    ok.

local_broadcast(Name, Topic, Message, Dispatcher) when is_binary(Topic), is_atom(Dispatcher) ->
    local(Name, none, Topic, Message, Dispatcher).

to_others(Name, Message) ->
    [Pid ! Message || Pid <- pg:get_members(?SCOPE, group(Name)), node(Pid) =/= node()].

group(Name) ->
    [{groups, Groups}] = ets:lookup(Name, groups),
    element(1 + erlang:phash2(self(), tuple_size(Groups)), Groups).

work(Name) ->
    receive
        {forward_to_local, Topic, Message, Dispatcher} -> ok = local_broadcast(Name, Topic, Message, Dispatcher);
        Other -> error({not_of_a_publisher, Other})
    end,
    work(Name).

local(Name, From, Topic, Message, Dispatcher) ->
    case [{Pid, Metadata} || {_, Pid, Metadata} <- ets:lookup(Name, Topic)] of
        [] -> ok;
        Entries when Dispatcher =:= ?SCOPE -> dispatch(Entries, From, Message);
        Entries -> Dispatcher:dispatch(Entries, From, Message)
    end.

dispatch(Entries, From, Message) ->
    [Pid ! Message || {Pid, _} <- Entries, Pid =/= From],
    ok.

%% What channels do with an endpoint's broadcast: written as JSON for clients, as it is for everybody else.
to_channels(Entries, From, #{'__struct__' := ?BROADCAST, topic := T, event := E, payload := P} = Message) ->
    [case Metadata of
         {fastlane, Client, _, _} when is_map(P) -> Client ! {socket_push, text, iolist_to_binary(json([nil, nil, T, E, P]))};
         {fastlane, _, _, _} -> error({payload_is_no_map, P});
         _ -> Pid ! Message
     end || {Pid, Metadata} <- Entries, Pid =/= From],
    ok;
to_channels(Entries, From, Message) -> dispatch(Entries, From, Message).

json(nil) -> "null";
json(Atom) when is_boolean(Atom) -> atom_to_binary(Atom);
json(Atom) when is_atom(Atom) -> json(atom_to_binary(Atom));
json(Number) when is_integer(Number) -> integer_to_binary(Number);
json(Number) when is_float(Number) -> float_to_binary(Number, [short]);
json(Text) when is_binary(Text) ->
    Text = unicode:characters_to_binary(Text),
    [$", [case C of $" -> "\\\""; $\\ -> "\\\\"; _ when C < 32 -> io_lib:format("\\u~4.16.0b", [C]);
               _ -> <<C/utf8>> end || <<C/utf8>> <= Text], $"];
json(List) when is_list(List) -> [$[, lists:join($,, [json(Item) || Item <- List]), $]];
json(#{'__struct__' := Module}) when Module =/= 'Elixir.Date' -> error({no_json, Module});
json(#{'__struct__' := _, year := Y, month := M, day := D}) -> io_lib:format("\"~4..0b-~2..0b-~2..0b\"", [Y, M, D]);
json(Map) when is_map(Map) ->
    [${, lists:join($,, [[json(as_key(K)), $:, json(V)] || {K, V} <- lists:sort(maps:to_list(Map))]), $}].

as_key(Key) when is_atom(Key) -> atom_to_binary(Key);
as_key(Key) when is_integer(Key) -> integer_to_binary(Key);
as_key(Key) when is_binary(Key) -> Key.
