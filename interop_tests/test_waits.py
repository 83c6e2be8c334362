"""What a gen_server of OTP 26 and 28 may give beyond 25's: the answers are checked on each release that has them."""

from collections.abc import Callable
from typing import Any

import pytest

from pyerlnode import A, Fail, GenServer, NoReply, Reply, StartFailed, Timeout, call, process_flag, receive
from pyerlnode.testing.beam import Beam


class Waits(GenServer):
    """The twin of `waits.erl`."""

    def init(self, what: Any) -> Any:
        self.log: list[Any] = []
        match what:
            case (A.fail, reason):
                return Fail(reason)
            case (A.wait, ms, message):
                return Timeout(ms / 1000, message)
        return None

    def system_get_state(self) -> Any:
        return self.log

    def handle_call(self, request: Any, from_: Any) -> Any:
        if request is A.log:
            return Reply(self.log)
        return Reply(A.ok, timeout=self.noted(A.call, request))

    def handle_cast(self, request: Any) -> Any:
        return NoReply(timeout=self.noted(A.cast, request))

    def handle_info(self, message: Any) -> Any:
        match message:
            case (A.park, gate):
                call(gate, A.wait, None)
                return None
        return NoReply(timeout=self.noted(A.info, message))

    def noted(self, kind: Any, what: Any) -> Any:
        self.log.append((kind, what))
        match what:
            case (A.wait, ms, message):
                return Timeout(ms / 1000, message)
        return None


NOW, SOON, FAR = "{wait, 0, m}", "{wait, 1, m}", "{wait, 3600000, m}"
CASES = [  # init, steps, what is logged
    ("{wait, 0, m}", "[]", "[{info, m}]"),
    ("{wait, 3600000, m}", "[{info, x}]", "[{info, x}]"),
    ("{wait, 1, m}", "[{until, 1}]", "[{info, m}]"),
    ("{wait, 1, {'$gen_cast', c}}", "[{until, 1}]", "[{cast, c}]"),
    ("ok", f"[suspend, {{info, {NOW}}}, {{info, x}}, resume]", f"[{{info, {NOW}}}, {{info, m}}, {{info, x}}]"),
    ("ok", f"[suspend, {{cast, {FAR}}}, {{info, x}}, resume]", f"[{{cast, {FAR}}}, {{info, x}}]"),
    ("ok", "[{call, {wait, 1, m}}, {until, 2}]", "[{call, {wait, 1, m}}, {info, m}]"),
    ("ok", "[{info, {wait, 1, {wait, 0, n}}}, {until, 3}]",
     "[{info, {wait, 1, {wait, 0, n}}}, {info, {wait, 0, n}}, {info, n}]"),
    # While it is suspended the time runs on, and the message keeps its place.
    ("ok",
     f"[{{parked, [{SOON}, {{system, {{self(), []}}, suspend}}]}}, {{held, 1}}, {{info, x}}, resume, {{until, 3}}]",
     f"[{{info, {SOON}}}, {{info, m}}, {{info, x}}]"),
    ("ok", f"[{{parked, [{SOON}, {{system, {{self(), []}}, get_state}}]}}, {{until, 2}}]",
     f"[{{info, {SOON}}}, {{info, m}}]"),
    ("{wait, 3600000, m}", "[suspend, {info, x}, resume, {until, 1}]", "[{info, x}]"),
]  # fmt: skip


@pytest.mark.parametrize(("begin", "steps", "logged"), CASES)
def test_a_time_out_with_a_message(
    helper: Callable[[str], Beam], node: Any, begin: str, steps: str, logged: str
) -> None:
    beam = helper("waits.erl")
    expected = beam.eval(logged)
    if int(beam.eval("list_to_binary(erlang:system_info(otp_release))")) >= 28:
        assert beam.eval(f"{{ok, P}} = gen_server:start(waits, {begin}, []), waits:ran(P, {steps})") == expected
    pid = node.start(Waits, beam.eval(begin))
    assert beam.eval(f"waits:ran(P, {steps})", P=pid) == expected


STARTS = """
Me = self(),
Try = fun(Trap) ->
    {_, M} = spawn_monitor(fun() ->
        process_flag(trap_exit, Trap),
        Me ! {self(), gen_server:start_link({local, fails}, waits, {fail, oops}, [{timeout, 60000}]), whereis(fails),
              receive M -> M after 0 -> none end},
        exit(went_on)
    end),
    receive {_, R, W, I} -> receive {'DOWN', M, _, _, E} -> {R, W, I, E} end end
end,
[Try(true), Try(false)]
"""


def test_an_init_that_gives_an_error_is_told_to_the_starter_alone(
    helper: Callable[[str], Beam], node: Any, caplog: pytest.LogCaptureFixture
) -> None:
    beam = helper("waits.erl")
    seen: list[Any] = []

    def start(trap: bool) -> None:
        process_flag("trap_exit", trap)
        try:
            node.start_link(Waits, (A.fail, A.oops), name="fails")
        except StartFailed as error:
            result = (A.error, error.reason)
        name = node.whereis("fails")
        seen.append((result, A.undefined if name is None else name, receive(timeout=0, default=A.none), A.went_on))

    for trap in (True, False):
        node.spawn_monitor(start, trap)
        assert node.receive()[-1] is A.normal
    assert seen == [((A.error, A.oops), A.undefined, A.none, A.went_on)] * 2
    if int(beam.eval("list_to_binary(erlang:system_info(otp_release))")) >= 26:
        assert beam.eval(STARTS) == seen
    assert not caplog.records
