%% Processes by a number of theirs. `mode`: page (as they are), {window, Ms} (what was added in that time), live (since the last
%% question, for as long as the view is open). Whole lists go through functions of OTP alone: an interpreted step for each of
%% 100,000 processes would cost more than the question.
fun(#{mode := Mode, key := Key, skip := Skip, limit := Limit, filter := Filter, huge := Huge},
    #{own := Own, label := Label, memory := Memory, initial := Initial}) ->
    Read = fun(Item, Part) -> lists:zipwith(fun erlang:process_info/2, Part, lists:duplicate(length(Part), Item)) end,
    Sum = fun(Binaries) ->
        {_, Sizes, _} = lists:unzip3(lists:ukeysort(1, Binaries)),
        lists:sum(Sizes)
    end,
    Measure = fun
        ({binary, []}) -> {binary, 0};
        ({binary, Binaries}) -> {binary, Sum(Binaries)};
        (Other) -> Other
    end,
    Quick = fun
        (Part) when Key =:= binary -> lists:map(Measure, Read(Key, Part));
        (Part) -> Read(Key, Part)
    end,
    %% These walk the whole mailbox, with its lock held: 0.3 s of 700,000 messages. `skipped` sorts above all numbers.
    Careful = fun(P) ->
        case process_info(P, message_queue_len) of
            {_, Length} when Length > Huge -> {Key, skipped};
            undefined -> undefined;
            _ -> Measure(process_info(P, Key))
        end
    end,
    Walks = lists:member(Key, [memory, total_heap_size, binary]),
    Values = fun
        (Part) when Walks ->
            case lists:max([{message_queue_len, 0} | Read(message_queue_len, Part)]) of
                {_, Length} when Length > Huge -> lists:map(Careful, Part);
                _ -> Quick(Part)
            end;
        (Part) ->
            Quick(Part)
    end,
    Keep =
        case string:lowercase(unicode:characters_to_list(Filter)) of
            [] ->
                fun(Part) -> Part end;
            Text ->
                Has = fun(Name) -> string:find(string:lowercase(Name), Text) =/= nomatch end,
                Modules = maps:from_list([{M, x} || {M, _} <- code:all_loaded(), Has(atom_to_list(M))]),
                Named = maps:from_list([{P, x} || N <- registered(), Has(atom_to_list(N)), P <- [whereis(N)]]),
                Masters = maps:from_list([
                    {M, x}
                 || {A, _, _} <- application:which_applications(2000),
                    Has(atom_to_list(A)),
                    M <- [application_controller:get_master(A)]
                ]),
                Labels = fun(Part) ->
                    case erlang:function_exported(proc_lib, get_label, 1) of
                        true -> lists:map(fun proc_lib:get_label/1, Part);
                        false -> lists:duplicate(length(Part), undefined)
                    end
                end,
                Labelled = fun
                    (undefined) -> false;
                    (L) -> Has(unicode:characters_to_list(io_lib:format("~0tP", [L, 20])))
                end,
                In = fun
                    ({_, {M, _, _}}) -> is_map_key(M, Modules);
                    (_) -> false
                end,
                fun(Part) ->
                    Calls = lists:zip3(
                        lists:map(fun proc_lib:translate_initial_call/1, Part),
                        Read(initial_call, Part),
                        Read(current_function, Part)
                    ),
                    Rest = lists:zip(Read(group_leader, Part), Labels(Part)),
                    [
                        P
                     || {P, {First, Start, Now}, {Leader, Called}} <- lists:zip3(Part, Calls, Rest),
                        Leader =/= undefined,
                        is_map_key(P, Named) orelse is_map_key(element(2, Leader), Masters) orelse
                            In({translated, First}) orelse In(Start) orelse In(Now) orelse Labelled(Called)
                    ]
                end
        end,
    Cut = fun(Ps) -> try lists:split(5000, Ps) catch error:badarg -> {Ps, []} end end,
    Row = fun(P, Value) ->
        Items = [registered_name, current_function, initial_call, status, message_queue_len, reductions],
        case process_info(P, Items) of
            undefined ->
                [];
            [{_, Name}, {_, Now}, {_, Start}, {_, Status}, {_, Length}, {_, Reductions}] ->
                [{P, Value, Name, Initial(P, Start), Now, Status, Length, Reductions, Memory(P, Length, Huge), Label(P)}]
        end
    end,
    Page = fun(Best, All, Matched) ->
        Rows = [Row || {Value, P} <- lists:nthtail(min(Skip, length(Best)), Best), Row <- Row(P, Value)],
        #{rows => Rows, all => All, matched => Matched}
    end,
    Top = Skip + Limit,
    Best = fun Best([], Kept, Matched) ->
            {[{V, P} || {{_, V}, P} <- Kept], Matched};
        Best(Ps, Kept, Matched) ->
            {Part, Rest} = Cut(Ps),
            These = Keep(Part),
            Pairs = lists:reverse(lists:sort(lists:zip(Values(These), These) ++ Kept)),
            Best(Rest, lists:sublist(Pairs, Top), Matched + length(These))
    end,
    Snap = fun Snap([], Taken) ->
            lists:sort(lists:append(lists:reverse(Taken)));
        Snap(Ps, Taken) ->
            {Part, Rest} = Cut(Ps),
            These = Keep(Part),
            Snap(Rest, [lists:zip(These, Values(These)) | Taken])
    end,
    Here = fun() -> erlang:processes() -- Own end,
    %% To sort costs more than to read, and pids sort faster than pairs: so pids, and only when there are others than before.
    Order = fun
        (Ps, {Ps, _} = Same) -> Same;
        (Ps, _) -> {Ps, lists:sort(Ps)}
    end,
    Grown = fun(Old, New) ->
        Before = maps:from_list(ordsets:subtract(Old, New)),
        Changed = [
            {Value - case maps:get(P, Before, none) of {_, Was} when is_integer(Was) -> Was; _ -> 0 end, P}
         || {P, {_, Value}} <- ordsets:subtract(New, Old), is_integer(Value)
        ],
        lists:sublist(lists:reverse(lists:sort(Changed)), Top)
    end,
    case Mode of
        page ->
            Ps = Here(),
            {Kept, Matched} = Best(Ps, [], 0),
            Page(Kept, length(Ps), Matched);
        {window, Ms} ->
            {_, Before} = Sorted = Order(Here(), none),
            Old = Snap(Before, []),
            receive after Ms -> ok end,
            {_, After} = Order(Here(), Sorted),
            New = Snap(After, []),
            Page(Grown(Old, New), erlang:system_info(process_count), length(New));
        live ->
            Live = fun Live(Old, Ordered) ->
                receive
                    {'$gen_call', From, next} ->
                        {_, Now} = Newest = Order(Here(), Ordered),
                        New = Snap(Now, []),
                        gen_server:reply(From, {ok, Page(Grown(Old, New), erlang:system_info(process_count), length(New))}),
                        Live(New, Newest);
                    _ ->
                        Live(Old, Ordered)
                end
            end,
            {_, First} = Sorted = Order(Here(), none),
            Live(Snap(First, []), Sorted)
    end
end.
