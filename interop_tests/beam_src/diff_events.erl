%% gen_event: handlers that are added, supervised, swapped and removed; they tell the driver what happens to them.
%%
%% Clients are processes of the driver's node that supervise handlers. Behind each step the manager and every client has
%% answered, and the manager has heard of every client that has ended.
-module(diff_events).
-export([trace/2, links/1]).

trace({Where, _}, Steps) ->
    Manager = case Where =:= node() of true -> twin_events:start(); false -> erpc:call(Where, diff_events, start, []) end,
    Clients = maps:from_list([{Name, client()} || Name <- [p, q]]),
    S = #{where => Where, manager => Manager, monitor => monitor(process, Manager), clients => Clients, ended => false},
    {Seen, _} = lists:mapfoldl(fun step/2, S, Steps),
    [exit(Pid, kill) || Pid <- [Manager | maps:values(Clients)]],
    Names = maps:from_list([{Pid, Name} || {Name, Pid} <- maps:to_list(Clients)]),
    differential:named(Seen, Names#{Manager => manager, self() => driver}).

step(Step, S) ->
    put(step, Step),
    Value = try do(Step, S) catch exit:Reason -> {exited, Reason}; throw:gone -> skipped end,
    S2 = settled(S),
    {{Step, plain(Value), look(S2), messages(), [{Name, theirs(Pid, S2)} || {Name, Pid} <- lists:sort(maps:to_list(maps:get(clients, S2)))]}, S2}.

plain({exited, {Reason, {gen_event, _, _}}}) -> {exited, Reason};
plain({exited, {Reason, {sys, _, _}}}) -> {exited, Reason};
plain(Value) -> Value.

do({add, Id, Args}, #{manager := M}) -> gen_event:add_handler(M, handler(Id), made(Args));
do({add_sup, Who, Id, Args}, #{manager := M} = S) ->
    Made = made(Args),
    by(Who, S, fun() -> gen_event:add_sup_handler(M, handler(Id), Made) end);
do({delete, Id, Why}, #{manager := M}) -> gen_event:delete_handler(M, handler(Id), Why);
do({swap, Id, Why, New, Name}, #{manager := M}) -> gen_event:swap_handler(M, {handler(Id), Why}, {handler(New), made(Name)});
do({swap_sup, Who, Id, Why, New, Name}, #{manager := M} = S) ->
    Args = made(Name),
    by(Who, S, fun() -> gen_event:swap_sup_handler(M, {handler(Id), Why}, {handler(New), Args}) end);
do({call, Id, Request}, #{manager := M}) -> gen_event:call(M, handler(Id), Request, infinity);
do({notify, Event}, #{manager := M}) -> gen_event:notify(M, event(Event));
do({sync_notify, Event}, #{manager := M}) -> gen_event:sync_notify(M, event(Event));
do({info, Message}, #{manager := M}) -> M ! Message, sent;
do({die, Who, Reason}, #{clients := Clients}) ->
    Pid = map_get(Who, Clients),
    Ref = monitor(process, Pid),
    Pid ! {die, Reason},
    receive {'DOWN', Ref, _, _, _} -> ok end;
do({exit, Who, Reason}, #{manager := M} = S) -> by(Who, S, fun() -> exit(M, Reason), catch gen_event:which_handlers(M), ok end);
do({stop, Reason}, #{manager := M}) -> gen_event:stop(M, Reason, infinity);
do(suspend, #{manager := M}) -> {sys:suspend(M, infinity), sys:resume(M, infinity)};
do({sys, state}, #{manager := M}) -> states(sys:get_state(M, infinity));
do({sys, replace, How}, #{manager := M}) -> states(sys:replace_state(M, erlang:make_fun(twin_events, How, 1), infinity));
do({sys, change, Module, Extra}, #{manager := M}) ->
    sys:suspend(M, infinity),
    Said = sys:change_code(M, Module, old, Extra, infinity),
    sys:resume(M, infinity),
    Said.

%% Of a state what both twins have.
states(States) when is_list(States) -> [{Module, Id, logged(State)} || {Module, Id, State} <- States].

logged(#{log := Log}) -> Log;
logged({_, _, Log}) -> lists:reverse(Log).

handler(false) -> twin_events;
handler(Id) -> {twin_events, Id}.

made({named, Name}) -> {Name, self()};
made(Args) -> Args.

event({swap, Why, New, Name}) -> {swap, Why, handler(New), made(Name)};
event(Event) -> Event.

by(Who, #{clients := Clients}, _) when not is_map_key(Who, Clients) -> throw(gone);
by(Who, #{clients := Clients}, Fun) ->
    #{Who := Pid} = Clients,
    Ref = monitor(process, Pid),
    Pid ! {run, self(), Ref, Fun},
    receive
        {Ref, {value, Value}} -> demonitor(Ref, [flush]), Value;
        {Ref, {exited, Reason}} -> demonitor(Ref, [flush]), exit(Reason);
        {'DOWN', Ref, _, _, _} -> throw(gone)
    end.

look(#{ended := false, manager := M}) -> gen_event:which_handlers(M);
look(#{ended := Ended}) -> Ended.

messages() -> receive {'DOWN', _, _, _, _} -> messages(); Message -> [Message | messages()] after 0 -> [] end.

settled(#{where := Where, manager := M, monitor := Monitor, clients := Clients, ended := false} = S) ->
    S2 =
        try gen_event:which_handlers(M) of
            _ -> S
        catch
            exit:_ -> receive {'DOWN', Monitor, _, _, Reason} -> S#{ended := {ended, Reason}} end
        end,
    Dead = [Pid || Pid <- maps:values(Clients), not is_process_alive(Pid)],
    case maps:get(ended, S2) =/= false orelse Dead -- links(Where, M) =:= Dead of
        true -> S2;
        false -> settled(S2)
    end;
settled(S) -> S.

links(Where, Pid) when Where =:= node() -> links(Pid);
links(Where, Pid) -> erpc:call(Where, diff_events, links, [Pid]).

links(Pid) -> case process_info(Pid, links) of {links, Links} -> Links; undefined -> [] end.

%% --- a client -----------------------------------------------------------------------------------
client() -> spawn(fun() -> process_flag(trap_exit, true), serve() end).

serve() ->
    receive
        {run, From, Ref, Fun} ->
            From ! {Ref, try {value, Fun()} catch exit:Reason -> {exited, Reason} end},
            serve();
        {die, Reason} -> exit(Reason)
    end.

%% What has come to a client: first the manager has answered it, or is no longer linked with it.
theirs(Pid, #{manager := M, ended := Ended}) ->
    Look = fun() -> case Ended of false -> gen_event:which_handlers(M); _ -> unlinked(M) end, mail() end,
    try by(pid, #{clients => #{pid => Pid}}, Look) catch throw:gone -> gone end.

unlinked(M) ->
    {links, Links} = process_info(self(), links),
    case lists:member(M, Links) of true -> timer:sleep(1), unlinked(M); false -> ok end.

mail() ->
    receive
        {gen_event_EXIT, _, _} = Message -> [Message | mail()];
        {'EXIT', _, _} = Message -> [Message | mail()]
    after 0 -> []
    end.
