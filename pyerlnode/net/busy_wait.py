"""Waiting awake for the next packet, while packets come so fast that going to sleep would take longer.

A process that sleeps until its socket is readable is woken by the kernel, and where the processor has nothing else to
do it goes to sleep as well: waking both takes 20 to 60 µs, more than a call takes otherwise. A BEAM's schedulers
therefore wait awake for a while before they sleep (`erl +sbwt`); this is the same for the hub.

Laws:
- The hub stays awake only while packets come one after the other: `FIRST` gaps in a row of less than `WORTH`
  seconds, and then for `SPIN` seconds after each at most. A node that is idle, or is told something now and then,
  always sleeps.
- A wait in vain after fewer than `PAYS` that were not doubles how many quick packets it takes until the next one, up
  to `MOST`.
- Whatever else the hub has to do is done at once: the loop polls all it has and lets other threads run.
"""

from __future__ import annotations

from collections.abc import Callable
from os import sched_yield
from time import perf_counter
from typing import Any, Final

SPIN: Final = 100e-6
"""Seconds for which the hub stays awake after a packet."""
WORTH: Final = 150e-6
"""Seconds between the end of one read and the next packet that count as quick: those of a sleep included."""
PAYS: Final = 64
FIRST: Final = 8
MOST: Final = 4096


class BusyWait:
    """One for all connections of a node. `woke` and `rest` enclose what each read of one of them causes."""

    __slots__ = ("_ended", "_idle", "_loop", "_need", "_now", "_streak", "spinning")

    def __init__(self, loop: Any, now: Callable[[], float] = perf_counter) -> None:
        self._loop = loop
        self._now = now
        self._idle: Any = None
        self._ended = 0.0
        self._streak = 0
        self._need = FIRST
        self.spinning = False

    def woke(self) -> None:
        """Bytes have come."""
        if self._now() - self._ended > WORTH:
            self._streak = 0
        else:
            self._streak += 1

    def rest(self) -> None:
        """What they caused is done, and what it answered is written."""
        self._ended = self._now()
        if self._streak >= self._need and not self.spinning:
            if self._idle is None:
                self._idle = self._loop.idle()
            self.spinning = True
            self._idle.start(self._spin)

    def _spin(self) -> None:
        """Called by the loop whenever it finds nothing to do."""
        if self._now() - self._ended < SPIN:
            sched_yield()
            return
        self._need = FIRST if self._streak > self._need + PAYS else min(2 * self._need, MOST)
        self._stop()

    def _stop(self) -> None:
        self._streak = 0
        self.spinning = False
        self._idle.stop()

    def close(self) -> None:
        """Sleep from now on."""
        if self._idle is not None:
            self._stop()
            self._idle.close()
            self._idle = None
