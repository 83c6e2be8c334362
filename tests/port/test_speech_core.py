"""What the sides of a port say: each signal there and back, and nothing else."""

import pytest

from pyerlnode.errors import ProtocolError
from pyerlnode.port.speech_core import hear, say
from pyerlnode.signal import (
    Demonitor,
    Exit2,
    ExitSignal,
    GroupLeader,
    Link,
    Message,
    Monitor,
    MonitorExit,
    Unlink,
)  # fmt: skip
from pyerlnode.term import A, Pid, Reference

ROOT, ONE, TWO = (Pid(A["p@h"], n, 0, 1) for n in range(3))
REF = Reference(A["p@h"], 1, (1, 2, 3))


@pytest.mark.parametrize(
    "signal",
    [
        Message(None, ONE, [1]), Message(None, A.name, A.x), Message(None, REF, 1.5), Monitor(ONE, TWO, REF),
        Monitor(ONE, A.name, REF), Demonitor(ROOT, ROOT, REF), MonitorExit(ROOT, ROOT, REF, A.boom), Link(ONE, TWO),
        Unlink(1, ONE, TWO), ExitSignal(ONE, TWO, A.boom), Exit2(ONE, TWO, A.kill), Exit2(ONE, A.name, A.kill),
    ],
)  # fmt: skip
def test_a_signal_is_heard_as_it_was_said(signal):
    assert hear(say(signal), ROOT) == signal


def test_calls_and_replies_are_no_signals():
    assert hear((A.call, REF, A.m, A.f, [1]), ROOT) is None
    assert hear((A.reply, REF, (A["return"], 1)), ROOT) is None


def test_what_a_port_does_not_have_is_not_said():
    assert say(GroupLeader(ONE, TWO)) is None


@pytest.mark.parametrize(
    "term", [5, (), (A.send, ONE), (A.link, 1, ONE), (A.call, REF, A.m, A.f, 5), (A.monitor, 1, ONE, TWO), (A.halt,)]
)
def test_anything_else_is_an_error_that_shows_nothing_of_it(term):
    with pytest.raises(ProtocolError, match="not in its vocabulary"):
        hear(term, ROOT)
