%% The cluster as this node and those it sees have it: asked in parallel, each for at most `time` ms.
fun(#{time := Time, limit := Limit}, _) ->
    Visible = lists:sort(nodes(visible)),
    Hidden = lists:sort(nodes(hidden)),
    Asked = lists:sublist(Visible, Limit),
    Answers = erpc:multicall(Asked, erlang, nodes, [[visible]], Time),
    Controls = case erlang:system_info(dist_ctrl) of L when is_list(L) -> maps:from_list(L); _ -> #{} end,
    Traffic = fun(Node) ->
        case Controls of
            #{Node := Port} when is_port(Port) ->
                case inet:getstat(Port, [recv_oct, send_oct, send_pend]) of
                    {ok, [{_, In}, {_, Out}, {_, Waits}]} -> {In, Out, Waits};
                    _ -> undefined
                end;
            _ ->
                undefined
        end
    end,
    #{
        node => node(),
        visible => length(Visible),
        nodes =>
            [{node(), this, {ok, lists:sort(Visible)}, undefined}] ++
            [{N, visible, case A of {ok, Ns} -> {ok, lists:sort(Ns)}; _ -> failed end, Traffic(N)} || {N, A} <- lists:zip(Asked, Answers)] ++
            [{N, hidden, unasked, Traffic(N)} || N <- lists:sublist(Hidden, Limit)],
        hidden => length(Hidden)
    }
end.
