%% The state of an OTP process. Its queue is looked at first: the question is a message that waits its turn, and stays for ever
%% with a process that is none of OTP's.
fun(#{who := Who, time := Time, status := Status, force := Force, most := Most}, #{find := Find, short := Short}) ->
    P = Find(Who),
    Items = [message_queue_len, status, current_function],
    Facts = fun() -> case process_info(P, Items) of undefined -> gone; [{_, Q}, {_, S}, {_, F}] -> {Q, S, F} end end,
    case is_pid(P) andalso Facts() of
        false -> none;
        gone -> none;
        {Queue, Now, Current} ->
            case {Force, Queue > 1000, proc_lib:translate_initial_call(P)} of
                {false, true, _} -> {refused, queue, {Queue, Now, Current}};
                {false, _, {proc_lib, init_p, _}} -> {refused, plain, {Queue, Now, Current}};
                _ ->
                    try
                        case Status of
                            true -> sys:get_status(P, Time);
                            false -> sys:get_state(P, Time)
                        end
                    of
                        Term ->
                            case erlang:external_size(Term) of
                                Size when Size =< Most -> {state, {Queue, Now, Current}, {whole, Term}};
                                Size -> {state, {Queue, Now, Current}, {cut, Size, Short(Term, 4000)}}
                            end
                    catch
                        exit:{timeout, _} -> case Facts() of gone -> none; After -> {late, After} end;
                        exit:{noproc, _} -> none;
                        exit:{Reason, _} -> {ended, Reason}
                    end
            end
    end
end.
