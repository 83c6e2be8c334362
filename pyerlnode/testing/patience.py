"""How long a test waits on this machine, and how late the machine is.

    done.wait(patience())                     # 60 s where the machine is quiet, more where it is busy or slow
    with deadline(2.5, "noticing the end"):   # a promise in seconds: what the machine stole does not count
        ...

A test that passes waits until what it wants is there and no longer, so a generous limit costs nothing; one that is
too short turns every busy machine into a failure. So no test writes a number of seconds for what promises none: it
asks `patience`, and `patience` asks the machine, once, how much slower than a quiet one it is. ``--beam-patience 3``
(`PYERLNODE_BEAM_PATIENCE` in the environment) says it instead, to the processes that a test starts too.

A time that *is* a promise (a tick time, a lease) has an upper bound. There a heartbeat beside the test says for how
long this process got no turn, and `deadline` allows for that.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Final

QUIET_S: Final = 60.0
"""What a wait may take on a quiet machine; far more than anything here needs there."""
VARIABLE: Final = "PYERLNODE_BEAM_PATIENCE"
MOST: Final = 10.0
"""A machine that is slower still fails: ten minutes for one thing are a thing that never comes."""
WORK: Final = 200_000
WORK_S: Final = 0.02
"""What counting to `WORK` takes at most on a core of its own, of a slow machine of today."""
BEAT_S: Final = 0.01

_measured: list[float] = []


def patience(seconds: float = QUIET_S) -> float:
    """`seconds` of a quiet machine, in seconds of this one."""
    return seconds * factor()


def promise(seconds: float) -> float:
    """A time that a test sets and both sides have to keep (a tick time, a lease), as short as this machine can keep it.

    Three times `seconds` at most: it is waited for every time.
    """
    return seconds * min(3.0, factor())


def factor() -> float:
    """By how much waits are longer here: the environment's word, else what was measured at the first question."""
    said = os.environ.get(VARIABLE, "")
    if said not in ("", "auto"):
        return read(said)
    if not _measured:
        _measured.append(measure())
    return _measured[0]


def read(text: str) -> float:
    """The factor that `text` says.

    Raises:
        ValueError: it is no number above 0.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < float("inf"):
        raise ValueError(f"--beam-patience: {text!r} is no number above 0, nor `auto`")
    return number


def measure() -> float:
    """How much slower than a quiet machine this one is now: 1 to `MOST`, by its queue and by a piece of work."""
    start = time.perf_counter()
    sum(range(WORK))
    slow = (time.perf_counter() - start) / WORK_S
    queue = os.getloadavg()[0] / (os.cpu_count() or 1)
    return round(min(MOST, max(1.0, slow, queue)), 1)


class Heartbeat:
    """A thread that wants a turn every `BEAT_S` seconds, and adds up by how much it was late.

    It runs as this process does: whatever keeps it from its turn (other programs, a stopped container, a machine that
    swaps) keeps the code under test and its peers on the same machine from theirs.
    """

    def __init__(self) -> None:
        self.late = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        due = time.monotonic() + BEAT_S
        while not self._ended.wait(BEAT_S):
            now = time.monotonic()
            self.late += max(0.0, now - due)
            due = now + BEAT_S


@contextlib.contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Fail the block when it takes longer than `seconds`, the lateness of this machine aside.

    Measured at its end, nothing is interrupted. The lateness counts twice: a promise is kept by two sides, and each
    waits for its turn.

    Raises:
        AssertionError: says how long it took, and how late the machine was.
    """
    with Heartbeat() as heart:
        start = time.monotonic()
        yield
        took = time.monotonic() - start
    if took > seconds + 2 * heart.late:
        raise AssertionError(
            f"{what} took {took:.3f} s: more than {seconds:g} s and twice the {heart.late:.3f} s without a turn"
        )
