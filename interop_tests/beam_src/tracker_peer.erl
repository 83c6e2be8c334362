%% What a Phoenix.Tracker of one node does for those who ask it, and no more: it links to what it tracks, keeps its
%% metadata with a reference, and forgets who ends. Of the real one it is the callback module.
-module(tracker_peer).
-export([start/4, track/5, untrack/4, update/5, list/2]).
-export([init/1, handle_diff/2]).

%% Library is 'Elixir.Phoenix.Tracker', or this module, which then stands in its place.
start('Elixir.Phoenix.Tracker' = Library, Name, PubSub, To) ->
    code:purge(Library),
    {module, Library} = code:load_file(Library), % where ours may have stood
    hold(fun() ->
        Options = [{name, Name}, {pubsub_server, PubSub}, {pool_size, 2}, {broadcast_period, 50}],
        {ok, Pid} = Library:start_link(?MODULE, To, Options),
        Pid
    end);
start(?MODULE, Name, _, To) ->
    ok = pubsub_peer:pretend('Elixir.Phoenix.Tracker', {?MODULE}, [{track, 5}, {untrack, 4}, {update, 5}, {list, 2}]),
    hold(fun() ->
        Me = self(),
        Pid = spawn_link(fun() -> process_flag(trap_exit, true), register(Name, self()), Me ! up, put(holder, Me), track_all(To, []) end),
        receive up -> Pid end
    end).

hold(Start) ->
    To = self(),
    Holder = spawn(fun() -> Pid = Start(), To ! {self(), Pid}, receive stop -> exit(shutdown) end end),
    Ref = monitor(process, Holder),
    receive {Holder, _} -> Holder; {'DOWN', Ref, _, _, Reason} -> error(Reason) end.

%% --- callbacks of the real one ---------------------------------------------------------------------
init(To) -> {ok, To}.

handle_diff(Diff, To) ->
    [To ! {diff, Topic, Joins, Leaves} || {Topic, {Joins, Leaves}} <- maps:to_list(Diff)],
    {ok, To}.

%% --- ours ------------------------------------------------------------------------------------------
track(Name, Pid, Topic, Key, Meta) when is_pid(Pid), is_map(Meta) -> ask(Name, {track, Pid, Topic, Key, Meta}).
untrack(Name, Pid, Topic, Key) when is_pid(Pid) -> ask(Name, {untrack, Pid, Topic, Key}).
update(Name, Pid, Topic, Key, Meta) when is_pid(Pid), is_map(Meta) -> ask(Name, {update, Pid, Topic, Key, Meta}).
list(Name, Topic) -> [{Key, Meta} || {_, T, Key, Meta} <- ask(Name, all), T =:= Topic].

ask(Name, Request) ->
    Server = whereis(Name),
    Ref = monitor(process, Server),
    Server ! {ask, Ref, self(), Request},
    receive {Ref, Answer} -> demonitor(Ref, [flush]), Answer; {'DOWN', Ref, _, _, Reason} -> exit(Reason) end.

track_all(To, All) ->
    receive
        {ask, Ref, From, Request} ->
            {Answer, Now} = done(Request, All, To),
            From ! {Ref, Answer},
            track_all(To, Now);
        {'EXIT', Pid, Reason} ->
            Pid =:= get(holder) andalso exit(Reason),
            {Gone, Rest} = lists:partition(fun({P, _, _, _}) -> P =:= Pid end, All),
            [To ! {diff, Topic, [], [{Key, Meta}]} || {_, Topic, Key, Meta} <- Gone],
            track_all(To, Rest)
    end.

done(all, All, _) -> {All, All};
done({track, Pid, Topic, Key, Meta}, All, To) ->
    case found(Pid, Topic, Key, All) of
        [] ->
            link(Pid),
            {Ref, Kept} = with_ref(Meta),
            To ! {diff, Topic, [{Key, Kept}], []},
            {{ok, Ref}, [{Pid, Topic, Key, Kept} | All]};
        [_] -> {{error, {already_tracked, Pid, Topic, Key}}, All}
    end;
done({update, Pid, Topic, Key, Meta}, All, To) ->
    case found(Pid, Topic, Key, All) of
        [] -> {{error, nopresence}, All};
        [{_, _, _, Old} = Entry] ->
            {Ref, Kept} = with_ref(Meta),
            To ! {diff, Topic, [{Key, Kept}], [{Key, Old}]},
            {{ok, Ref}, [{Pid, Topic, Key, Kept} | All -- [Entry]]}
    end;
done({untrack, Pid, Topic, Key}, All, To) ->
    Gone = found(Pid, Topic, Key, All),
    Rest = All -- Gone,
    [To ! {diff, Topic, [], [{Key, Meta}]} || {_, _, _, Meta} <- Gone],
    [unlink(Pid) || not lists:keymember(Pid, 1, Rest)],
    {ok, Rest}.

found(Pid, Topic, Key, All) -> [Entry || {P, T, K, _} = Entry <- All, {P, T, K} =:= {Pid, Topic, Key}].

with_ref(Meta) ->
    Ref = integer_to_binary(erlang:unique_integer([positive])),
    {Ref, Meta#{phx_ref => Ref}}.
