%% The owner of a Python program in Erlang port mode: a gen_server that opens the port, and carries messages, calls,
%% links and monitors between the processes of this node and those of the program.
%%
%%   {ok, Owner} = pyerlnode_port:start_link(#{executable => "python3", args => ["counter.py"]}),
%%   42 = pyerlnode_port:call(Owner, counter, get),
%%   3.0 = pyerlnode_port:rpc(Owner, math, sqrt, [9]).
%%
%% The program ends when the owner does (its standard input closes), and the owner when the program does, with the
%% reason {exit_status, Status}. What the two say to each other is in pyerlnode/port/speech_core.py.
-module(pyerlnode_port).
-behaviour(gen_server).
-export([start_link/1, start_link/2, child_spec/1, stop/1]).
-export([call/3, call/4, cast/3, send/3, rpc/4, rpc/5, monitor/2, demonitor/2, exit/3, os_pid/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-type options() :: #{executable := string(), args => [string()], packet => 1 | 2 | 4, nouse_stdio => boolean(),
                     env => [{string(), string() | false}], cd => string()}.
-type name() :: atom() | pid() | reference().
-export_type([options/0]).

-record(state, {
    port :: port(),
    requests = #{} :: #{reference() => gen_server:from()},      % rpc of ours
    ours = #{} :: #{reference() => {pid(), name()}},                      % monitors of ours on the program's processes
    theirs = #{} :: #{reference() => reference()},              % monitors here => the program's reference
    refs = #{} :: #{reference() => reference()},                % the other way round
    links = #{} :: #{{pid(), pid()} => pid()}                   % {the program's pid, ours} => who holds the link
}).

-spec start_link(options()) -> gen_server:start_ret().
start_link(Options) -> gen_server:start_link(?MODULE, Options, []).

-spec start_link(gen_server:server_name(), options()) -> gen_server:start_ret().
start_link(Name, Options) -> gen_server:start_link(Name, ?MODULE, Options, []).

child_spec(#{id := Id} = Options) ->
    #{id => Id, start => {?MODULE, start_link, [maps:remove(id, Options)]}, shutdown => 5000};
child_spec(Options) -> child_spec(Options#{id => ?MODULE}).

stop(Owner) -> gen_server:stop(Owner).

%% gen_server:call/2,3 of a process of the program.
-spec call(gen_server:server_ref(), name(), term()) -> term().
call(Owner, To, Request) -> call(Owner, To, Request, 5000).
call(Owner, To, Request, Timeout) ->
    case gen_server:call(Owner, {gen_call, To, Request}, Timeout) of
        {reply, Value} -> Value;
        {down, Reason} -> erlang:exit({Reason, {?MODULE, call, [Owner, To, Request, Timeout]}})
    end.

cast(Owner, To, Message) -> send(Owner, To, {'$gen_cast', Message}).

send(Owner, To, Message) -> gen_server:cast(Owner, {say, {send, To, Message}}).

%% erpc:call/4,5 of a function that the program exports.
rpc(Owner, M, F, Args) -> rpc(Owner, M, F, Args, 5000).
rpc(Owner, M, F, Args, Timeout) ->
    case gen_server:call(Owner, {rpc, M, F, Args}, Timeout) of
        {return, Value} -> Value;
        {throw, Value} -> erlang:throw(Value);
        {exit, Reason} -> erlang:exit({exception, Reason});
        {error, Reason, Stack} -> erlang:error({exception, Reason, Stack})
    end.

%% One {'DOWN', Ref, process, To, Reason} to the caller.
monitor(Owner, To) -> gen_server:call(Owner, {monitor, self(), To}).
demonitor(Owner, Ref) -> gen_server:call(Owner, {demonitor, Ref}).

%% exit(Pid, Reason) of a process of the program.
exit(Owner, To, Reason) -> gen_server:cast(Owner, {say, {exit2, self(), To, Reason}}).

os_pid(Owner) -> gen_server:call(Owner, os_pid).

%% --- the server -----------------------------------------------------------------------------
init(#{executable := Executable} = Options) ->
    process_flag(trap_exit, true),
    case find(Executable) of
        false -> {stop, {enoent, Executable}};
        Path -> {ok, #state{port = open_port({spawn_executable, Path}, settings(Options))}}
    end.

find(Executable) ->
    case filename:pathtype(Executable) of
        absolute -> Executable;
        _ -> os:find_executable(Executable)
    end.

settings(Options) ->
    [{packet, maps:get(packet, Options, 4)}, binary, exit_status, hide, {args, maps:get(args, Options, [])}]
        ++ [nouse_stdio || maps:get(nouse_stdio, Options, false)]
        ++ [{Key, Value} || {Key, Value} <- maps:to_list(maps:with([env, cd], Options))].

handle_call({gen_call, To, Request}, From, State) ->
    %% A process of its own waits for the answer: it sees the end of the server as a caller would.
    Owner = self(),
    spawn_link(fun() -> gen_server:reply(From, ask(Owner, To, Request)) end),
    {noreply, State};
handle_call({rpc, M, F, Args}, From, #state{requests = Requests} = State) ->
    Ref = make_ref(),
    say({call, Ref, M, F, Args}, State),
    {noreply, State#state{requests = Requests#{Ref => From}}};
handle_call({monitor, Pid, To}, _From, #state{ours = Ours} = State) ->
    Ref = make_ref(),
    say({monitor, Ref, Pid, To}, State),
    {reply, Ref, State#state{ours = Ours#{Ref => {Pid, To}}}};
handle_call({demonitor, Ref}, _From, #state{ours = Ours} = State) ->
    say({demonitor, Ref}, State),
    {reply, maps:is_key(Ref, Ours), State#state{ours = maps:remove(Ref, Ours)}};
handle_call(os_pid, _From, State) ->
    {reply, element(2, erlang:port_info(State#state.port, os_pid)), State}.

handle_cast({say, Term}, State) ->
    say(Term, State),
    {noreply, State}.

handle_info({Port, {data, Data}}, #state{port = Port} = State) ->
    {noreply, heard(binary_to_term(Data), State)};
handle_info({Port, {exit_status, Status}}, #state{port = Port} = State) ->
    {stop, {exit_status, Status}, State};
handle_info({'DOWN', Ref, process, _, Reason}, #state{theirs = Theirs, refs = Refs} = State) ->
    case Theirs of
        #{Ref := Asked} ->
            say({down, Asked, Reason}, State),
            {noreply, State#state{theirs = maps:remove(Ref, Theirs), refs = maps:remove(Asked, Refs)}};
        _ -> {noreply, State}
    end;
handle_info({link_ended, Key, Reason}, #state{links = Links} = State) ->
    {From, To} = Key,
    maps:is_key(Key, Links) andalso say({exit, To, From, Reason}, State),
    {noreply, State#state{links = maps:remove(Key, Links)}};
handle_info({'EXIT', Port, Reason}, #state{port = Port} = State) ->
    {stop, {port, Reason}, State};
handle_info(_, State) ->
    {noreply, State}.

terminate(Reason, #state{ours = Ours, links = Links}) ->
    maps:foreach(fun(Ref, {Pid, To}) -> Pid ! {'DOWN', Ref, process, To, noconnection} end, Ours),
    maps:foreach(fun(_, Holder) -> Holder ! {break, noconnection} end, Links),
    Reason.

%% --- what the program says --------------------------------------------------------------------
heard({send, To, Message}, State) ->
    catch To ! Message,                     % a name that is not registered: dropped, as a send to a dead pid is
    State;
heard({reply, Ref, Outcome}, #state{requests = Requests} = State) ->
    case maps:take(Ref, Requests) of
        {From, Rest} -> gen_server:reply(From, Outcome), State#state{requests = Rest};
        error -> State
    end;
heard({call, Ref, M, F, Args}, State) ->
    Owner = self(),
    spawn(fun() -> gen_server:cast(Owner, {say, {reply, Ref, run(M, F, Args)}}) end),
    State;
heard({gen_call, Ref, To, Request, Timeout}, State) ->
    Owner = self(),
    spawn(fun() ->
        Outcome = try {return, gen_server:call(To, Request, Timeout)} catch exit:Reason -> {exit, Reason} end,
        gen_server:cast(Owner, {say, {reply, Ref, Outcome}})
    end),
    State;
heard({monitor, Asked, _From, To}, #state{theirs = Theirs, refs = Refs} = State) ->
    Ref = erlang:monitor(process, To),
    State#state{theirs = Theirs#{Ref => Asked}, refs = Refs#{Asked => Ref}};
heard({demonitor, Asked}, #state{theirs = Theirs, refs = Refs} = State) ->
    case maps:take(Asked, Refs) of
        {Ref, Rest} ->
            erlang:demonitor(Ref, [flush]),
            State#state{theirs = maps:remove(Ref, Theirs), refs = Rest};
        error -> State
    end;
heard({down, Ref, Reason}, #state{ours = Ours} = State) ->
    case maps:take(Ref, Ours) of
        {{Pid, To}, Rest} ->
            Pid ! {'DOWN', Ref, process, To, Reason},
            State#state{ours = Rest};
        error -> State
    end;
heard({link, From, To}, #state{links = Links} = State) ->
    case Links of
        #{{From, To} := _} -> State;
        _ ->
            Owner = self(),
            Holder = spawn(fun() -> hold(Owner, {From, To}) end),
            State#state{links = Links#{{From, To} => Holder}}
    end;
heard({unlink, From, To}, State) -> release(From, To, unlink, State);
heard({exit, From, To, Reason}, State) -> release(From, To, {break, Reason}, State);
heard({exit2, _From, To, Reason}, State) ->
    erlang:exit(To, Reason),
    State.

release(From, To, What, #state{links = Links} = State) ->
    case maps:take({From, To}, Links) of
        {Holder, Rest} -> Holder ! What, State#state{links = Rest};
        error -> State
    end.

%% Stands for a process of the program in a link with one of ours.
hold(Owner, {_, To} = Key) ->
    process_flag(trap_exit, true),
    Ref = erlang:monitor(process, Owner),
    try link(To) catch error:noproc -> self() ! {'EXIT', To, noproc} end,
    receive
        {'EXIT', To, Reason} -> Owner ! {link_ended, Key, Reason};
        unlink -> unlink(To);
        {break, Reason} -> erlang:exit(Reason);
        {'DOWN', Ref, process, Owner, _} -> erlang:exit(noconnection)
    end.

ask(Owner, To, Request) ->
    Ref = gen_server:call(Owner, {monitor, self(), To}),
    send(Owner, To, {'$gen_call', {self(), Ref}, Request}),
    receive
        {Ref, Value} ->
            gen_server:call(Owner, {demonitor, Ref}),
            {reply, Value};
        {'DOWN', Ref, process, _, Reason} -> {down, Reason}
    end.

run(M, F, Args) ->
    try {return, apply(M, F, Args)}
    catch
        throw:Value -> {throw, Value};
        exit:Reason -> {exit, Reason};
        error:Reason:Stack -> {error, Reason, Stack}
    end.

say(Term, #state{port = Port}) -> port_command(Port, term_to_binary(Term)).
