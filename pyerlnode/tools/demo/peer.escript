#!/usr/bin/env escript
%% The Erlang side of `pyerlnode demo`: a gen_server named stock with a keeper that restarts it, and a witness
%% that does what the lines on its standard input say and answers one line each. Ends with its standard input.
-module(demo_peer).
-mode(compile).
-behaviour(gen_server).
-export([main/1, init/1, handle_call/3, handle_cast/2, keep_stock/1]).

main([Name]) ->
    ok = io:setopts([{encoding, unicode}]),
    ok = application:set_env(kernel, inet_dist_use_interface, {127, 0, 0, 1}),
    {ok, _} = net_kernel:start([list_to_atom(Name), longnames]),
    {_, Ref} = spawn_monitor(?MODULE, keep_stock, [self()]),
    receive
        stock_is_up -> erlang:demonitor(Ref, [flush])
    end,
    process_flag(trap_exit, true),
    say("ready"),
    witness().

%% --- the server, and who restarts it
init(Stock) -> {ok, Stock}.

handle_call({get, Sku}, _From, Stock) -> {reply, maps:find(Sku, Stock), Stock};
handle_call(pid, _From, Stock) -> {reply, self(), Stock}.

handle_cast(crash, _Stock) -> exit(out_of_stock).

keep_stock(Parent) ->
    {ok, Pid} = gen_server:start({local, stock}, ?MODULE, #{<<"apples">> => 7}, []),
    Ref = monitor(process, Pid),
    Parent ! stock_is_up,
    receive
        {'DOWN', Ref, process, Pid, _} -> keep_stock(self())
    end.

%% --- the witness
witness() ->
    case io:get_line("") of
        eof ->
            halt(0);
        Line ->
            [Command, Node] = string:lexemes(string:trim(Line), " "),
            say(answer(Command, list_to_atom(Node))),
            witness()
    end.

answer("version", _) -> "Erlang/OTP " ++ erlang:system_info(otp_release);
answer("ping", Node) -> text(net_adm:ping(Node));
answer("call", Node) -> text(gen_server:call({counter, Node}, {add, 1}));
answer("erpc", Node) -> text(erpc:call(Node, demo, double, [21]));
answer("monitor", Node) ->
    put(kept, monitor(process, {counter, Node})),
    "ok";
answer("link", Node) ->
    Pid = gen_server:call({counter, Node}, pid),
    put(kept, Pid),
    true = link(Pid),
    "ok";
answer("crash", Node) ->
    ok = gen_server:cast({counter, Node}, crash),
    Kept = get(kept),
    receive
        {'DOWN', Kept, process, _, Reason} -> ["DOWN ", text(Reason)];
        {'EXIT', Kept, Reason} -> ["EXIT ", text(Reason)]
    after 5000 -> "nothing within 5 s"
    end;
answer("flushed", Node) ->
    %% One round trip through the same connection has flushed whatever could still come.
    gen_server:call({counter, Node}, get),
    {message_queue_len, Length} = process_info(self(), message_queue_len),
    integer_to_list(Length).

text(Term) -> io_lib:format("~0tp", [Term]).

say(Text) -> io:format("demo: ~ts~n", [Text]).
