%% A gen_server with every way to answer, to be late and to end.
-module(desk).
-behaviour(gen_server).
-export([start/0, start/1, init/1, handle_call/3, handle_cast/2, handle_info/2]).

start() -> {ok, Pid} = gen_server:start(?MODULE, [], []), Pid.
start(Name) -> {ok, Pid} = gen_server:start({local, Name}, ?MODULE, [], []), Pid.

init([]) -> {ok, []}.

handle_call({echo, Term}, _From, Kept) -> {reply, Term, Kept};
handle_call(kept, _From, Kept) -> {reply, lists:reverse(Kept), Kept};
handle_call(never, From, Kept) -> {noreply, [{owed, From} | Kept]};
handle_call(pay, _From, Kept) ->
    [gen_server:reply(From, late) || {owed, From} <- Kept],
    {reply, ok, []};
handle_call({stop, Reason}, _From, Kept) -> {stop, Reason, Kept};
handle_call({stop, Reason, Reply}, _From, Kept) -> {stop, Reason, Reply, Kept};
handle_call({fail, Reason}, _From, _Kept) -> error(Reason);
handle_call({call, Dest, Request}, _From, Kept) ->
    {reply, try gen_server:call(Dest, Request) catch exit:Reason -> {caught, Reason} end, Kept}.

handle_cast({stop, Reason}, Kept) -> {stop, Reason, Kept};
handle_cast(Message, Kept) -> {noreply, [{cast, Message} | Kept]}.

handle_info(Message, Kept) -> {noreply, [{info, Message} | Kept]}.
