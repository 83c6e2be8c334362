%% global: what two nodes that were apart make of the names that each has given, by the method of each registration.
%%
%% The second node leaves, both register, and it tells the first by a socket, for a message would connect them. Nobody
%% else is in the cluster: what a third node hears late of a loss may part those that have met again.
-module(diff_meetings).
-export([trace/2, at_once/0, member/0, apart/2, where/1, first/3, second/3, neither/3, odd/3, fails/3]).

at_once() -> 1.

trace({Home, Other}, Entries) when Home =:= node() ->
    Ref = make_ref(),
    Numbered = lists:zip(lists:seq(1, length(Entries)), Entries),
    Members = maps:from_list([{{Side, I}, erpc:call(Node, ?MODULE, member, [])} || {Side, Node} <- [{0, Home}, {1, Other}], {I, _} <- Numbered]),
    Of = fun(Side) -> [{{Ref, Name}, map_get({Side, I}, Members), method(M)} || {I, {Name, Methods}} <- Numbered, M <- [element(Side + 1, Methods)], M =/= none] end,
    {ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    met(Home, Other, []),
    true = monitor_node(Other, true),
    ok = erpc:cast(Other, ?MODULE, apart, [Port, Of(1)]),
    receive {nodedown, Other} -> ok end,
    lost(Home),
    Ours = registered(Of(0)),
    {ok, Socket} = gen_tcp:accept(Listener),
    {ok, Theirs} = gen_tcp:recv(Socket, 0),
    [gen_tcp:close(S) || S <- [Socket, Listener]],
    true = net_kernel:connect_node(Other),
    Names = [{Ref, Name} || {Name, _} <- Entries],
    met(Home, Other, Names),
    Seen = [
        {Name, Methods, where({Ref, Name}), mail(map_get({0, I}, Members)), mail(map_get({1, I}, Members))}
     || {I, {Name, Methods}} <- Numbered
    ],
    [exit(Pid, kill) || Pid <- maps:values(Members)],
    gone(Home, Other, Names),
    [Other] = global:disconnect(),
    Named = maps:from_list([{Pid, Name} || {Name, Pid} <- maps:to_list(Members)]),
    differential:named([{registered, Ours, Theirs} | without(Ref, Seen)], Named).

%% The name server has heard of it, too: it would register at the one that has left, and so connect to it.
lost(Home) ->
    case known(Home) of
        [] -> ok;
        _ -> timer:sleep(1), lost(Home)
    end.

%% Both know each other, and say the same of the names.
met(Home, Other, Names) ->
    case {known(Home), known(Other)} =:= {[Other], [Home]} andalso views(Home, Other, Names) of
        [Same, Same] -> ok;
        _ -> timer:sleep(2), met(Home, Other, Names)
    end.

gone(Home, Other, Names) ->
    case lists:usort(lists:append(views(Home, Other, Names))) of
        [undefined] -> ok;
        _ -> timer:sleep(2), gone(Home, Other, Names)
    end.

views(Home, Other, Names) -> [[erpc:call(Node, ?MODULE, where, [Name]) || Name <- Names] || Node <- [Home, Other]].

without(Ref, {Ref, Name}) -> Name;
without(Ref, [Head | Tail]) -> [without(Ref, Head) | without(Ref, Tail)];
without(Ref, Tuple) when is_tuple(Tuple) -> list_to_tuple(without(Ref, tuple_to_list(Tuple)));
without(_, Term) -> Term.

method({M, F}) -> erlang:make_fun(M, F, 3).

registered(Names) -> << <<(case global:register_name(Name, Pid, Method) of yes -> $y; no -> $n end)>> || {Name, Pid, Method} <- Names>>.

mail(Pid) ->
    Ref = monitor(process, Pid),
    Pid ! {mail, self(), Ref},
    receive
        {Ref, Mail} -> demonitor(Ref, [flush]), Mail;
        {'DOWN', Ref, _, _, Reason} -> {gone, Reason}
    end.

%% --- what is done at a side --------------------------------------------------------------------
member() -> spawn(fun serve/0).

serve() ->
    receive {mail, From, Ref} -> From ! {Ref, flush()}, serve() end.

flush() -> receive Message -> [Message | flush()] after 0 -> [] end.

apart(Port, Names) ->
    global:disconnect(),
    Said = registered(Names),
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary]),
    ok = gen_tcp:send(Socket, <<"said ", Said/binary>>),
    gen_tcp:close(Socket).

known(Node) -> gen_server:call({global_name_server, Node}, get_known).
where(Name) -> global:whereis_name(Name).

first(_, Pid, _) -> Pid.
second(_, _, Pid) -> Pid.
neither(_, _, _) -> none.
odd(_, _, _) -> odd.
fails(_, _, _) -> error(no).
