%% Calls of M:F/A, kept here until they are asked for, and bounded in count, rate, time and size. This process is the tracer: its
%% end, of whatever cause, ends the trace. Where there are trace sessions (OTP 27) it has its own, and disturbs nobody's; before
%% that a pattern is the node's, so a function that somebody traces already is refused, and a guard takes the pattern back.
fun(#{module := M, function := F, arity := A, count := Count, rate := Rate, time := Time, size := Size, who := Who, returns := Returns},
    #{find := Find, short := Short}) ->
    Pattern = [{'_', [], case Returns of true -> [{return_trace}]; false -> [] end}],
    Sessions = erlang:function_exported(trace, session_create, 3) orelse
        (code:ensure_loaded(trace) =:= {module, trace} andalso erlang:function_exported(trace, session_create, 3)),
    Session = case Sessions of true -> trace:session_create(pyerlnode, self(), []); false -> none end,
    Target = case Who of all -> processes; _ -> Find(Who) end,
    Flags = [call, timestamp],
    code:ensure_loaded(M),
    process_flag(priority, high),  % whoever is traced must not outrun the one who stops it
    Arities = [Ar || {Fn, Ar} <- try M:module_info(functions) catch error:_ -> [] end, Fn =:= F, A =:= '_' orelse Ar =:= A],
    Taken = Session =:= none andalso
        lists:any(fun(Ar) -> erlang:trace_info({M, F, Ar}, traced) =/= {traced, false} end, Arities),
    Start = fun
        (none) ->
            Tracer = self(),
            Guard = fun() ->
                Ref = erlang:monitor(process, Tracer),
                Tracer ! {guarded, self()},
                receive {'DOWN', Ref, _, _, _} -> erlang:trace_pattern({M, F, A}, false, [local]) end
            end,
            Pid = spawn(Guard),
            receive {guarded, Pid} -> ok end,
            Found = erlang:trace_pattern({M, F, A}, Pattern, [local]),
            erlang:trace(Target, true, [{tracer, self()} | Flags]),
            Found;
        (_) ->
            Found = trace:function(Session, {M, F, A}, Pattern, [local]),
            trace:process(Session, Target, true, Flags),
            Found
    end,
    First =
        case {Target, Arities} of
            {none, _} -> gone;
            {_, []} -> none;
            _ when Taken -> taken;
            _ -> on
        end,
    Matched = case First of on -> Start(Session); _ -> 0 end,
    Off = fun() ->
        case Session of
            none ->
                try erlang:trace(Target, false, Flags) catch error:badarg -> gone end,
                erlang:trace_pattern({M, F, A}, false, [local]);
            _ ->
                trace:session_destroy(Session)
        end
    end,
    End = erlang:monotonic_time(millisecond) + Time,
    Loop = fun Loop(Kept, Left, {Second, InIt} = Pace, State) ->
        Now = erlang:monotonic_time(millisecond),
        Wait = case State of on -> max(0, End - Now); _ -> infinity end,
        receive
            {'$gen_call', From, {next, Ms}} when State =:= on ->
                erlang:send_after(Ms, self(), {answer, From}),
                Loop(Kept, Left, Pace, State);
            {'$gen_call', From, {next, _}} ->
                gen_server:reply(From, {ok, {lists:reverse(Kept), Left, Matched, State}}),
                Loop([], Left, Pace, State);
            {answer, From} ->
                gen_server:reply(From, {ok, {lists:reverse(Kept), Left, Matched, State}}),
                Loop([], Left, Pace, State);
            Event when State =:= on, element(1, Event) =:= trace_ts ->
                At = Now div 1000,
                Seen = case Second of At -> InIt + 1; _ -> 1 end,
                Told =
                    case Event of
                        {_, P, call, {_, _, Args}, Stamp} -> {P, call, Short(Args, Size), Stamp};
                        {_, P, return_from, _, Value, Stamp} -> {P, return, Short(Value, Size), Stamp};
                        _ -> none
                    end,
                case {Told, Left - 1} of
                    {none, _} -> Loop(Kept, Left, Pace, State);
                    _ when Seen > Rate -> Off(), Loop(Kept, Left, Pace, rate);
                    {_, 0} -> Off(), Loop([Told | Kept], 0, Pace, count);
                    {_, Rest} -> Loop([Told | Kept], Rest, {At, Seen}, on)
                end;
            _ ->
                Loop(Kept, Left, Pace, State)
        after Wait ->
            Off(),
            Loop(Kept, Left, Pace, time)
        end
    end,
    Loop([], Count, {0, 0}, First)
end.
