%% How busy the schedulers were in `window` ms. The flag counts per process, and goes with this one.
fun(#{window := Window}, _) ->
    erlang:system_flag(scheduler_wall_time, true),
    Look = fun() -> lists:sort(erlang:statistics(scheduler_wall_time_all)) end,
    Before = Look(),
    receive after Window -> ok end,
    After = Look(),
    Normal = erlang:system_info(schedulers),
    Dirty = erlang:system_info(dirty_cpu_schedulers),
    Kind = fun
        (I) when I =< Normal -> normal;
        (I) when I =< Normal + Dirty -> dirty_cpu;
        (_) -> dirty_io
    end,
    #{
        online => erlang:system_info(schedulers_online),
        queues => erlang:statistics(run_queue_lengths_all),
        busy => [
            {I, Kind(I), case T2 - T1 of 0 -> 0; All -> (A2 - A1) * 1000 div All end}
         || {{I, A1, T1}, {I, A2, T2}} <- lists:zip(Before, After)
        ]
    }
end.
