%% Python nodes in Erlang's supervision trees: the companion `Pyerlnode` of Elixir (beam/pyerlnode), for Erlang.
%%
%% Nothing here is needed to talk to a Python node: gen_server:call, erpc:call, links and monitors work as with any.
%% It is one file without dependencies; copy it.
%%
%%   Children = [
%%       pyerlnode:port_child_spec(#{node => 'calc@127.0.0.1', args => ["calc.py"], venv => ".venv", wait_for => ready}),
%%       pyerlnode:child_spec(#{module => 'Elixir.Calc', args => [41], node => 'calc@127.0.0.1', on_down => wait})
%%   ],
%%   {ok, {#{strategy => rest_for_one}, Children}}.
%%
%% A Python server as a child: child_spec/1, start_link/1, of what `node.export_server(module, Class)` exports.
%%   module      what it was exported as; also its id unless `id` is given
%%   args        arguments of its init; []
%%   node, nodes where it may live
%%   on_down     when the first node is not there: give_up (an error), wait (for it, `wait_time` ms; 30000; and no
%%               longer than until an exit signal is there to be looked at), other_node (the next one that answers)
%%   timeout     ms for the start itself; 5000
%%   restart, shutdown, type, significant: as in any child specification
%%
%% The OS process of a Python node as a child: port_child_spec/1, port_start_link/1, os_pid/1.
%%   node        its name; the program finds it in PYERLNODE_NODE, and this node's cookie in PYERLNODE_COOKIE
%%   args        what the interpreter is given: the script and its arguments
%%   venv, python  a virtual environment, or an interpreter; python3 of the PATH
%%   env         [{Name, Value}]; cd
%%   wait_for    a name that has to be registered there before the start is complete
%%   boot_time   ms until it has to be up; 30000
%%   stop_time   ms that it has to end in, before it is killed; 5000
%%   heartbeat   ms between questions to the node, which is killed when it does not answer within that; 10000, infinity
%%   output      fun((binary()) -> term()) for what the program prints; it is printed here unless given
%%   name        {local, Name}, as in gen_server:start_link/4
%%   id, restart as in any child specification
%% It ends with {exit_status, Status}, {nodedown, Node} or hung. The program ends by `run_until_stdin_closes()`: its
%% standard input closes when this process ends, however it does, and when the whole BEAM is killed.
%%
%% Calls whose errors are Python's: call/4,5 fail with {python_error, Type, Text} and Python's frames as the stack;
%% python_error/1 finds the same in an exit reason, format_error/1 writes it down.
%%
%% A Python generator that a call gave, read once: stream_fold/3 to its end; or stream_open/1, stream_next/1 as long as it
%% gives {ok, Item, Reader} and not done, and stream_close/1 for one that is not read to its end. At most `demand` items
%% are made ahead. The generator is closed when it is through, when the reader closes it or ends, or with the connection.
%%
%% An object that stays in Python, whose handle a call gave: object_call/3,4 calls a method that the export allows, and
%% fails as call/4 does; object_release/1,2 drops it. It belongs to the process that called, and is dropped when that ends
%% or the connection is lost; then object_call/3 exits with {noproc, _}, as gen_server:call/2 does.
%%
%% supervisor:count_children/1 must not be asked of a supervisor with children on other nodes: OTP's asks
%% is_process_alive/1, which takes pids of its own node only.
-module(pyerlnode).
-behaviour(gen_server).
-export([child_spec/1, start_link/1, call/4, call/5, python_error/1, format_error/1]).
-export([stream_fold/3, stream_open/1, stream_next/1, stream_close/1]).
-export([object_call/3, object_call/4, object_release/1, object_release/2]).
-export([port_child_spec/1, port_start_link/1, os_pid/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-type child_options() :: #{module := module(), args => [term()], node => node(), nodes => [node()],
                           on_down => give_up | wait | other_node, wait_time => timeout(), timeout => timeout(),
                           id => term(), restart => supervisor:restart(), shutdown => supervisor:shutdown(),
                           type => supervisor:worker(), significant => boolean()}.
-type port_options() :: #{node := node(), args => [string() | binary()], venv => string(), python => string(),
                          env => [{string(), string() | false}], cd => string(), wait_for => atom(),
                          boot_time => non_neg_integer(), stop_time => non_neg_integer(),
                          heartbeat => pos_integer() | infinity, output => fun((binary()) -> term()),
                          name => {local, atom()}, id => term(), restart => supervisor:restart()}.
-type python_error() :: #{type := binary(), text := binary(), stack := list()}.
-type stream() :: #{'__struct__' := 'Elixir.Pyerlnode.Stream', pid := pid(), demand := pos_integer()}.
-type object() :: #{'__struct__' := 'Elixir.Pyerlnode.Object', pid := pid()}.
-export_type([child_options/0, port_options/0, python_error/0, stream/0, reader/0, object/0]).

-record(reader, {pid :: pid(), ref :: reference(), demand :: pos_integer(), left = 0 :: non_neg_integer()}).
-opaque reader() :: #reader{}.

-record(state, {port :: port() | undefined, os_pid :: non_neg_integer(), node :: node(), options :: port_options()}).

%% --- a Python server as a child -----------------------------------------------------------------
-spec child_spec(child_options()) -> supervisor:child_spec().
child_spec(#{module := Module} = Options) ->
    maps:merge(#{id => maps:get(id, Options, Module), start => {?MODULE, start_link, [Options]}},
               maps:with([restart, shutdown, type, significant], Options)).

-spec start_link(child_options()) -> {ok, pid()} | ignore | {error, term()}.
start_link(Options) ->
    Nodes = case Options of
        #{nodes := Several} -> Several;
        #{node := One} -> [One]
    end,
    case maps:get(on_down, Options, give_up) of
        give_up -> start_on(hd(Nodes), Options);
        wait -> start_when_up(hd(Nodes), Options, now_ms() + maps:get(wait_time, Options, 30000));
        other_node -> start_on_first(Nodes, Options, {error, no_node})
    end.

start_on(Node, #{module := Module} = Options) ->
    try erpc:call(Node, Module, start_link, maps:get(args, Options, []), maps:get(timeout, Options, 5000))
    catch
        error:{erpc, noconnection} -> {error, {nodedown, Node}};
        error:{erpc, Reason} -> {error, Reason};
        error:{exception, Reason, _} -> {error, Reason};
        exit:{exception, Reason} -> {error, Reason}
    end.

start_when_up(Node, Options, Deadline) ->
    case start_on(Node, Options) of
        {error, {nodedown, _}} = Error ->
            case now_ms() > Deadline orelse exit_waits() of
                true -> Error;
                false -> timer:sleep(50), start_when_up(Node, Options, Deadline)
            end;
        Result -> Result
    end.

%% The supervisor that waits here is to stop, or another of its children has ended, perhaps the one that brings the
%% node back: it has to look at that first, and comes back by itself.
exit_waits() ->
    {messages, Messages} = process_info(self(), messages),
    lists:any(fun({'EXIT', _, _}) -> true; (_) -> false end, Messages).

start_on_first([], _, Result) -> Result;
start_on_first([Node | Nodes], Options, _) ->
    case start_on(Node, Options) of
        {error, {nodedown, _}} = Error -> start_on_first(Nodes, Options, Error);
        Result -> Result
    end.

%% --- calls and exceptions -----------------------------------------------------------------------
%% erpc:call/4,5 of an exported function; a Python exception is error:{python_error, Type, Text} with Python's stack.
-spec call(node(), module(), atom(), [term()]) -> term().
call(Node, Module, Function, Args) -> call(Node, Module, Function, Args, 5000).

-spec call(node(), module(), atom(), [term()], timeout()) -> term().
call(Node, Module, Function, Args, Timeout) ->
    try erpc:call(Node, Module, Function, Args, Timeout)
    catch
        error:{exception, Reason, Stack} when is_list(Stack) -> erlang:raise(error, Reason, Stack)
    end.

%% The Python exception in an exit reason or in what call/4 failed with; undefined when there is none.
-spec python_error(term()) -> python_error() | undefined.
python_error({python_error, Type, Text, Stack}) -> #{type => Type, text => Text, stack => Stack};
python_error({python_error, Type, Text}) -> #{type => Type, text => Text, stack => []};
python_error({{python_error, _, _, _} = Reason, _}) -> python_error(Reason);
python_error(_) -> undefined.

%% "ValueError: as asked" and a line per frame, innermost first.
-spec format_error(python_error()) -> binary().
format_error(#{type := Type, text := Text, stack := Stack}) ->
    unicode:characters_to_binary([Type, ": ", Text, [["\n    ", frame(Frame)] || Frame <- Stack]]).

frame({Module, Function, Arity, Location}) ->
    Place = [[" (", proplists:get_value(file, Location), ":", integer_to_list(Line), ")"]
             || Line <- proplists:get_all_values(line, Location)],
    Count = if is_list(Arity) -> length(Arity); true -> Arity end,
    [atom_to_binary(Module), ":", atom_to_binary(Function), "/", integer_to_list(Count), Place].

%% --- a generator --------------------------------------------------------------------------------
-spec stream_fold(fun((term(), Acc) -> Acc), Acc, stream()) -> Acc.
stream_fold(Fun, Acc, Stream) ->
    Reader = stream_open(Stream),
    try fold(Fun, Acc, Reader) after stream_close(Reader) end.

fold(Fun, Acc, Reader) ->
    case stream_next(Reader) of
        {ok, Item, Next} -> fold(Fun, Fun(Item, Acc), Next);
        done -> Acc
    end.

-spec stream_open(stream()) -> reader().
stream_open(#{pid := Pid, demand := Demand}) ->
    ask(#reader{pid = Pid, ref = monitor(process, Pid, [{alias, demonitor}]), demand = Demand}).

%% Fails as the generator does; exits with {Reason, _} when the stream is gone: noproc, it was read before; noconnection.
-spec stream_next(reader()) -> {ok, term(), reader()} | done.
stream_next(#reader{ref = Ref, pid = Pid} = Reader) ->
    receive
        {Ref, {item, Item}} -> {ok, Item, taken(Reader)};
        {Ref, done} -> stream_close(Reader), done;
        {Ref, {Class, Reason, Stack}} -> stream_close(Reader), erlang:raise(Class, Reason, Stack);
        {'DOWN', Ref, _, _, Reason} -> exit({Reason, {?MODULE, stream_next, [Pid]}})
    end.

taken(#reader{left = Left, demand = Demand} = Reader) when Left - 1 > Demand div 2 -> Reader#reader{left = Left - 1};
taken(#reader{left = Left} = Reader) -> ask(Reader#reader{left = Left - 1}).

ask(#reader{pid = Pid, ref = Ref, demand = Demand, left = Left} = Reader) ->
    Pid ! {'$pyerlnode_ask', {self(), Ref}, Demand - Left},
    Reader#reader{left = Demand}.

-spec stream_close(reader()) -> ok.
stream_close(#reader{pid = Pid, ref = Ref}) ->
    Pid ! {'$pyerlnode_close', {self(), Ref}},
    demonitor(Ref, [flush]),
    flush(Ref).

flush(Ref) -> receive {Ref, _} -> flush(Ref) after 0 -> ok end.

%% --- an object ----------------------------------------------------------------------------------
-spec object_call(object(), atom(), [term()]) -> term().
object_call(Object, Method, Args) -> object_call(Object, Method, Args, 5000).

-spec object_call(object(), atom(), [term()], timeout()) -> term().
object_call(#{pid := Pid}, Method, Args, Timeout) ->
    case gen_server:call(Pid, {'$pyerlnode_method', Method, Args}, Timeout) of
        {return, Value} -> Value;
        {error, Reason, Stack} -> erlang:raise(error, Reason, Stack);
        {Class, Reason} -> erlang:raise(Class, Reason, [])
    end.

%% Waits until it is released; one that was dropped before is no error.
-spec object_release(object()) -> ok.
object_release(Object) -> object_release(Object, 5000).

-spec object_release(object(), timeout()) -> ok.
object_release(#{pid := Pid}, Timeout) ->
    try gen_server:call(Pid, '$pyerlnode_release', Timeout)
    catch exit:{noproc, _} -> ok
    end.

%% --- the OS process as a child ------------------------------------------------------------------
-spec port_child_spec(port_options()) -> supervisor:child_spec().
port_child_spec(#{node := Node} = Options) ->
    #{id => maps:get(id, Options, {?MODULE, Node}),
      start => {?MODULE, port_start_link, [Options]},
      restart => maps:get(restart, Options, permanent),
      shutdown => stop_time(Options) + 2000}.

-spec port_start_link(port_options()) -> gen_server:start_ret().
port_start_link(#{name := Name} = Options) -> gen_server:start_link(Name, ?MODULE, Options, []);
port_start_link(Options) -> gen_server:start_link(?MODULE, Options, []).

%% The number of the OS process.
-spec os_pid(gen_server:server_ref()) -> non_neg_integer().
os_pid(Server) -> gen_server:call(Server, os_pid).

init(#{node := Node} = Options) ->
    process_flag(trap_exit, true),
    Deadline = now_ms() + maps:get(boot_time, Options, 30000),
    case {wait_until_free(Node, Deadline), interpreter(Options)} of
        {ok, {ok, Executable}} -> open(Executable, Options, Deadline);
        {{error, Reason}, _} -> {stop, Reason};
        {_, {error, Reason}} -> {stop, Reason}
    end.

open(Executable, #{node := Node} = Options, Deadline) ->
    Port = open_port({spawn_executable, Executable}, settings(Node, Options)),
    case erlang:port_info(Port, os_pid) of
        {os_pid, OsPid} ->
            State = #state{port = Port, os_pid = OsPid, node = Node, options = Options},
            case wait_until_up(State, Deadline) of
                ok ->
                    monitor_node(Node, true),
                    {ok, beat(State)};
                {error, Reason} ->
                    end_program(State, 0),
                    {stop, Reason}
            end;
        undefined -> receive {Port, {exit_status, Status}} -> {stop, {exit_status, Status}} end
    end.

handle_call(os_pid, _From, State) -> {reply, State#state.os_pid, State}.

handle_cast(_, State) -> {noreply, State}.

handle_info({Port, {data, Data}}, #state{port = Port} = State) ->
    print(Data, State),
    {noreply, State};
handle_info({Port, {exit_status, Status}}, #state{port = Port} = State) ->
    {stop, {exit_status, Status}, State#state{port = undefined}};
handle_info({'EXIT', Port, _}, #state{port = Port} = State) ->
    kill(State),
    {stop, port_closed, State#state{port = undefined}};
handle_info({nodedown, Node}, #state{node = Node} = State) ->
    {stop, {nodedown, Node}, State};
handle_info(heartbeat, #state{node = Node, options = Options} = State) ->
    try gen_server:call({net_kernel, Node}, {is_auth, node()}, maps:get(heartbeat, Options, 10000)) of
        _ -> {noreply, beat(State)}
    catch
        exit:{timeout, _} -> kill(State), {stop, hung, State};
        exit:_ -> {stop, {nodedown, Node}, State}
    end;
handle_info(_, State) ->
    {noreply, State}.

terminate(_Reason, #state{options = Options} = State) -> end_program(State, stop_time(Options)).

beat(#state{options = Options} = State) ->
    case maps:get(heartbeat, Options, 10000) of
        infinity -> State;
        Time -> erlang:send_after(Time, self(), heartbeat), State
    end.

%% The name of one that was just killed is free when its connection to EPMD is gone.
wait_until_free(Node, Deadline) ->
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    case erl_epmd:port_please(Name, Host) of
        {port, _, _} ->
            case now_ms() > Deadline of
                true -> {error, {name_taken, Node}};
                false -> timer:sleep(20), wait_until_free(Node, Deadline)
            end;
        _ -> ok
    end.

interpreter(Options) ->
    Wanted = case Options of
        #{python := Python} -> Python;
        #{venv := Venv} -> filename:join([Venv, "bin", "python"]);
        _ -> "python3"
    end,
    case os:find_executable(Wanted) of
        false -> {error, {enoent, Wanted}};
        Found -> {ok, filename:absname(Found)}
    end.

settings(Node, Options) ->
    Env = [{"PYERLNODE_NODE", atom_to_list(Node)}, {"PYERLNODE_COOKIE", atom_to_list(erlang:get_cookie())}],
    [binary, exit_status, hide, {args, maps:get(args, Options, [])}, {env, Env ++ maps:get(env, Options, [])}
     | [{cd, Cd} || #{cd := Cd} <- [Options]]].

wait_until_up(#state{port = Port, node = Node, options = Options} = State, Deadline) ->
    receive
        {Port, {exit_status, Status}} -> {error, {exit_status, Status}};
        {Port, {data, Data}} -> print(Data, State), wait_until_up(State, Deadline)
    after 20 ->
        case net_kernel:connect_node(Node) =:= true andalso registered(maps:get(wait_for, Options, undefined), Node, Deadline) of
            true -> ok;
            false ->
                case now_ms() > Deadline of
                    true -> {error, timeout};
                    false -> wait_until_up(State, Deadline)
                end
        end
    end.

%% No silence says that the name is taken, but an answer to what was asked behind the monitor, however long that takes.
registered(undefined, _, _) -> true;
registered(Name, Node, Deadline) ->
    Ref = monitor(process, {Name, Node}),
    Answered = try gen_server:call({net_kernel, Node}, {is_auth, node()}, max(0, Deadline - now_ms())) =:= yes
               catch exit:_ -> false
               end,
    receive {'DOWN', Ref, _, _, _} -> false
    after 0 -> demonitor(Ref, [flush]), Answered
    end.

print(Data, #state{options = #{output := Output}}) -> Output(Data);
print(Data, _) -> io:put_chars(Data).

stop_time(Options) -> maps:get(stop_time, Options, 5000).

end_program(#state{port = undefined}, _) -> ok;
end_program(#state{port = Port} = State, Time) ->
    try port_command(Port, <<"stop\n">>) catch error:badarg -> closed end,
    case ended(State, Time) of
        true -> ok;
        false -> kill(State), ended(State, 1000)
    end.

ended(#state{port = Port} = State, Time) ->
    receive
        {Port, {exit_status, _}} -> true;
        %% Writing to one that is gone closes the port without a status; it may have closed its input and live on.
        {'EXIT', Port, _} -> kill(State), true;
        {Port, {data, Data}} -> print(Data, State), ended(State, Time)
    after Time -> false
    end.

kill(#state{os_pid = OsPid}) -> os:cmd("kill -KILL " ++ integer_to_list(OsPid)).

now_ms() -> erlang:monotonic_time(millisecond).
