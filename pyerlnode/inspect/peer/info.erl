%% What `info` shows: versions, limits with how much of each is used, memory, run queues.
fun(_, _) ->
    Info = fun(Item) -> try erlang:system_info(Item) catch error:badarg -> undefined end end,
    Used = fun(Count, Limit) -> {Info(Count), Info(Limit)} end,
    Elixir =
        case code:is_loaded('Elixir.System') of
            false -> undefined;
            _ -> try apply('Elixir.System', version, []) catch _:_ -> undefined end
        end,
    {{input, In}, {output, Out}} = erlang:statistics(io),
    #{
        node => node(),
        otp => unicode:characters_to_binary(erlang:system_info(otp_release)),
        erts => unicode:characters_to_binary(erlang:system_info(version)),
        elixir => Elixir,
        system => unicode:characters_to_binary(erlang:system_info(system_architecture)),
        emulator => Info(emu_flavor),
        uptime_ms => element(1, erlang:statistics(wall_clock)),
        schedulers => {erlang:system_info(schedulers_online), erlang:system_info(schedulers)},
        run_queue => erlang:statistics(total_run_queue_lengths_all),
        reductions => element(1, erlang:statistics(exact_reductions)),
        io => {In, Out},
        memory => maps:from_list(erlang:memory()),
        limits => #{
            processes => Used(process_count, process_limit),
            ports => Used(port_count, port_limit),
            atoms => Used(atom_count, atom_limit),
            ets => Used(ets_count, ets_limit)
        },
        connected => length(nodes(connected)),
        ticktime => try net_kernel:get_net_ticktime() catch _:_ -> undefined end,
        applications => length([x || {_, _, _} <- try application:which_applications(2000) catch _:_ -> [] end])
    }
end.
