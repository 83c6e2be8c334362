%% A distributed caller of servings, and a serving of a BEAM, with the messages of Nx.Serving, on OTP's own pg.
%% The library itself is not here: `modules/0` makes the few modules whose names go over the wire.
-module(serving_peer).
-export([start/0, stop/0, members/1, batched_run/2, batched_run/3, many/3, begin_run/3, outcome/1]).
-export([stack/2, concatenate/2, split/3, tensor/3, floats/1]).
-export([serve/2, distributed_batched_run/4]).

-define(SCOPE, 'Elixir.Nx.Serving.PG').
-define(NX, 'Elixir.Nx.Serving').

%% The scope, as the library's application starts it; unlinked, as who asks for it here comes and goes.
start() ->
    modules(),
    {ok, Pid} = pg:start(?SCOPE),
    Pid.

stop() ->
    Pid = whereis(?SCOPE),
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, _, _, _} -> ok end.

members(Group) -> pg:get_members(?SCOPE, Group).

%% --- the caller, step by step as the library's ------------------------------------------------
batched_run(Name, Input) -> batched_run(Name, Name, Input).
batched_run(Group, Name, Input) -> attempt(Group, Name, Input, 3, []).

attempt(_Group, _Name, _Input, 0, Tried) -> {exit, noproc, [{retries, 0}], Tried};
attempt(Group, Name, Input, Retries, Tried) ->
    case members(Group) of
        [] -> {exit, noproc, [{retries, Retries}], Tried};
        Entries ->
            Pid = lists:nth(rand:uniform(length(Entries)), Entries),
            Ref = make_ref(),
            {Runner, Monitor} =
                erlang:spawn_monitor(node(Pid), ?NX, '__distributed_batched_run__', [self(), Ref, Name, Input]),
            true = node(Runner) =:= node(Pid),
            receive
                {Ref, streaming} ->
                    stream(Ref, Monitor, []);
                {'DOWN', Monitor, process, Runner, {Ref, Result}} ->
                    {ok, Result, node(Pid)};
                {'DOWN', Monitor, process, Runner, noproc} ->
                    attempt(Group, Name, Input, Retries - 1, [node(Pid) | Tried]);
                {'DOWN', Monitor, process, Runner, Reason} ->
                    {exit, Reason, [{retries, Retries}], Tried}
            end
    end.

stream(Ref, Monitor, Seen) ->
    receive
        {Ref, Event} -> stream(Ref, Monitor, [Event | Seen]);
        {'DOWN', Monitor, _, _, {Ref, streaming}} -> {stream, lists:reverse(Seen), done};
        {'DOWN', Monitor, _, _, Reason} -> {stream, lists:reverse(Seen), {exit, Reason}}
    end.

%% One caller for each input, all at once; their results in that order. Nothing else may be in a mailbox at the end.
many(Group, Name, Inputs) ->
    [outcome(Caller) || Caller <- [begin_run(Group, Name, Input) || Input <- Inputs]].

%% A caller that keeps its result until it is asked for it.
begin_run(Group, Name, Input) ->
    spawn(fun() ->
        Result = batched_run(Group, Name, Input),
        receive {ask, From, Ref} -> From ! {Ref, Result}; Surplus -> exit({surplus, Surplus}) end
    end).

outcome(Caller) ->
    Ref = monitor(process, Caller),
    Caller ! {ask, self(), Ref},
    receive {Ref, Result} -> demonitor(Ref, [flush]), Result; {'DOWN', Ref, _, _, Why} -> {caller, Why} end.

%% --- batches, as Nx.Batch makes them -----------------------------------------------------------
tensor(Type, Shape, Binary) ->
    Names = [nil || _ <- tuple_to_list(Shape)],
    #{'__struct__' => 'Elixir.Nx.Tensor', type => Type, shape => Shape, names => Names, vectorized_axes => [],
      data => #{'__struct__' => 'Elixir.Nx.BinaryBackend', state => Binary}}.

floats(#{'__struct__' := 'Elixir.Nx.Tensor', type := {f, 64}, shape := Shape, names := Names, vectorized_axes := [],
         data := #{'__struct__' := 'Elixir.Nx.BinaryBackend', state := State} = Data} = Tensor)
  when map_size(Tensor) =:= 6, map_size(Data) =:= 2 ->
    true = length(Names) =:= tuple_size(Shape),
    {Shape, [F || <<F:64/float-native>> <= State]}.

template(#{shape := Shape} = Tensor) ->
    Tensor#{data => #{'__struct__' => 'Elixir.Nx.TemplateBackend'}, shape => Shape}.

lazy(Tensor) -> 'Elixir.Nx.LazyContainer.Nx.Tensor':lazy(Tensor).

batch(Key, Stack, Template, Size) ->
    #{'__struct__' => 'Elixir.Nx.Batch', key => Key, stack => Stack, size => Size, template => Template, pad => 0}.

stack(Key, [First | _] = Tensors) ->
    Stack = [{['Elixir.Nx.Batch':new_axis(lazy(T))], 1} || T <- lists:reverse(Tensors)],
    batch(Key, Stack, template(First), length(Tensors)).

concatenate(Key, [First | _] = Tensors) ->
    Stack = [{[lazy(T)], element(1, maps:get(shape, T))} || T <- lists:reverse(Tensors)],
    #{shape := Shape, names := [_ | Names]} = Template = template(First),
    batch(Key, Stack, Template#{shape => erlang:delete_element(1, Shape), names => Names},
          lists:sum([Size || {_, Size} <- Stack])).

%% The batch of one entry, cut in two.
split(Key, Tensor, At) ->
    #{stack := [{[Fun], Size}]} = Whole = concatenate(Key, [Tensor]),
    {Whole#{stack => [{['Elixir.Nx.Batch':left(Fun, At)], At}], size => At},
     Whole#{stack => [{['Elixir.Nx.Batch':right(Fun, At, Size - At)], Size - At}], size => Size - At}}.

%% --- a serving of this node: what it is given times Factor --------------------------------------
serve(Name, Factor) ->
    Me = self(),
    Pid = spawn(fun() -> register(Name, self()), Me ! {self(), up}, serving(Factor) end),
    receive {Pid, up} -> ok end,
    [ok = pg:join(?SCOPE, Group, Pid) || Group <- [Name, ?NX]],
    Pid.

serving(Factor) ->
    receive
        {run, From, Ref, #{'__struct__' := 'Elixir.Nx.Batch', stack := [{[Fun], _}]}} ->
            #{data := #{state := State}} = Tensor = Fun(),
            Times = << <<(F * Factor):64/float-native>> || <<F:64/float-native>> <= State >>,
            From ! {Ref, Tensor#{data => #{'__struct__' => 'Elixir.Nx.BinaryBackend', state => Times}}},
            serving(Factor)
    end.

distributed_batched_run(_Client, Ref, Name, Input) ->
    case whereis(Name) of
        undefined -> exit(noproc);
        Pid ->
            Mine = monitor(process, Pid),
            Pid ! {run, self(), Mine, Input},
            receive
                {Mine, Result} -> exit({Ref, Result});
                {'DOWN', Mine, _, _, Reason} -> exit(Reason)
            end
    end.

%% --- the modules whose names are on the wire ---------------------------------------------------
modules() ->
    [made(Lines) || Lines <- [
        ["-module('Elixir.Nx.LazyContainer.Nx.Tensor').", "-export([lazy/1]).", "lazy(T) -> fun() -> T end."],
        ["-module('Elixir.Nx.Batch').", "-export([new_axis/1, left/2, right/3]).",
         "new_axis(F) -> fun() -> {new_axis, F()} end.",
         "left(F, Size) -> fun() -> {slice, F(), 0, Size} end.",
         "right(F, Start, Size) -> fun() -> {slice, F(), Start, Size} end."],
        ["-module('Elixir.Nx.Serving').", "-export(['__distributed_batched_run__'/4]).",
         "'__distributed_batched_run__'(C, R, N, I) -> serving_peer:distributed_batched_run(C, R, N, I)."]]].

made(Lines) ->
    Forms = [begin {ok, Tokens, _} = erl_scan:string(Line), {ok, Form} = erl_parse:parse_form(Tokens), Form end
             || Line <- Lines],
    {ok, Module, Binary} = compile:forms(Forms),
    {module, Module} = code:load_binary(Module, "serving_peer", Binary).
