"""proc_lib's starts: what the one who starts is given, and what is in his mailbox behind it, as OTP 26 and later."""

from typing import Any

import pytest

from pyerlnode import A, Exit, StartFailed, Throw, process_flag, receive
from pyerlnode.otp import proc_lib
from pyerlnode.testing.beam import Beam

ERLANG = """
Inbox = fun F() -> receive M -> [M | F()] after 0 -> [] end end,
Told = fun(M) -> case M of
    {'DOWN', _, process, _, {R, [_ | _]}} -> {down, R}; {'DOWN', _, process, _, R} -> {down, R};
    {'EXIT', _, R} -> {exit, R} end end,
Body = fun(How) -> case How of
    {ack, V} -> proc_lib:init_ack(V), receive after infinity -> ok end;
    {fail, V, E} -> proc_lib:init_fail(V, E);
    {exit, R} -> exit(R);
    hang -> receive after infinity -> ok end
end end,
Plain = fun(V) -> case V of {error, {R, [_ | _]}} -> {error, R}; _ -> V end end,
One = fun(Start, How) ->
    {_, M} = spawn_monitor(fun() ->
        process_flag(trap_exit, true),
        T = case How of hang -> 10; _ -> infinity end,
        R = case proc_lib:Start(erlang, apply, [Body, [How]], T) of
            {V, Ref} when is_reference(Ref) -> {Plain(V), reference}; V -> Plain(V) end,
        exit({R, [Told(I) || I <- Inbox()]})
    end),
    receive {'DOWN', M, _, _, E} -> E end
end,
[One(S, H) || S <- [start, start_link, start_monitor], H <- Hows]
"""
HOWS = """[{ack, a}, {fail, a, {exit, oops}}, {fail, {error, a}, {exit, normal}}, {fail, a, {throw, b}}, {exit, oops},
 {exit, normal}, hang]"""


def _body(how: Any) -> None:
    match how:
        case (A.ack, value):
            proc_lib.init_ack(value)
        case (A.fail, value, (A.exit, reason)):
            proc_lib.init_fail(value, Exit(reason))
        case (A.fail, value, (A.throw, term)):
            proc_lib.init_fail(value, Throw(term))
        case (A.exit, reason):
            raise Exit(reason)
    receive()


def _told(message: Any) -> Any:
    match message:
        case (A.DOWN, _, A.process, _, (reason, [*_])) | (A.DOWN, _, A.process, _, reason):
            return A.down, reason
        case (A.EXIT, _, reason):
            return A.exit, reason
    return message


def test_starts_give_and_leave_what_otps_do(beam: Beam, node: Any, caplog: pytest.LogCaptureFixture) -> None:
    hows = beam.eval(HOWS)
    seen: list[Any] = []

    def one(start: Any, how: Any) -> None:
        process_flag("trap_exit", True)
        timeout = 0.01 if how is A.hang else None
        try:
            given = start(node.system, _body, how, timeout=timeout)
        except StartFailed as error:
            given = (A.error, error.reason)
        if start is proc_lib.start_monitor:
            given = given[0], A.reference
        inbox = []
        while (message := receive(timeout=0, default=None)) is not None:
            inbox.append(_told(message))
        seen.append((given, inbox))

    for start in (proc_lib.start, proc_lib.start_link, proc_lib.start_monitor):
        for how in hows:
            node.spawn_monitor(one, start, how)
            assert node.receive()[-1] is A.normal
    down = [[], [(A.down, A.oops)], [(A.down, A.normal)], [(A.down, (A.nocatch, A.b))], [(A.down, A.oops)],
            [(A.down, A.normal)], [(A.down, A.killed)]]  # fmt: skip
    given = [A.a, A.a, (A.error, A.a), A.a, (A.error, A.oops), (A.error, A.normal), (A.error, A.timeout)]
    expected = [(value, []) for value in given] * 2
    expected += [((value, A.reference), inbox) for value, inbox in zip(given, down, strict=True)]
    assert seen == expected
    if int(beam.eval("list_to_binary(erlang:system_info(otp_release))")) >= 26:
        assert beam.eval(ERLANG, Hows=hows) == expected


def test_stop_orders_a_process_of_either_side_to_end(beam: Beam, node: Any) -> None:
    there = beam.eval("{ok, P} = gen_event:start(), P")
    proc_lib.stop(node.system, there, A.shutdown)
    assert beam.eval("is_process_alive(P)", P=there) is False
