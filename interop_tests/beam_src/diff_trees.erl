%% supervisor: the steps of `tree.erl`, and the reports of both sides.
-module(diff_trees).
-export([trace/2, prepare/0, finished/0]).

%% Once for all: handlers that are added and removed at the same time see events twice, or not at all.
prepare() -> ok = logger:add_handler(?MODULE, tree, #{level => error, config => #{}}).
finished() -> ok = logger:remove_handler(?MODULE).

trace({Where, _}, {Flags, Children, Plans, Options, Steps}) ->
    Scenario = #{handler => ?MODULE, flags => Flags, children => Children, plans => Plans, options => Options},
    Kind = case Where =:= node() of true -> beam; false -> {trees, Where} end,
    {Seen, Reports, Names} = tree:run(Kind, Scenario, Steps),
    Seen ++ [{reports, case Kind of beam -> Reports; _ -> told(Where, Names) end}].

told(Where, Names) ->
    [Recorder] = [Pid || {Pid, recorder} <- maps:to_list(Names)],
    tree:normal(erpc:call(Where, diff_trees, reports, [Recorder]), Names).
