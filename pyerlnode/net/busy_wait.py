"""Waiting awake for the next packet, while packets come so fast that going to sleep would take longer.

A process that sleeps until its socket is readable is woken by the kernel, and where the processor has nothing else to
do it goes to sleep as well: waking both takes 20 to 60 µs, more than a call takes otherwise. A BEAM's schedulers
therefore wait awake for a while before they sleep (`erl +sbwt`); this is the same for the hub.

Laws:
- The hub stays awake only while packets follow each other: of the latest ones (about 32, by a moving average) more
  than `OFTEN` came within `AWAKE` seconds of the end of what the one before caused. After a packet it stays awake for
  `AWAKE` seconds at most. So a node that is idle, or is told something now and then, sleeps.
- Whatever else the hub has to do is done at once: the loop polls all it has and lets other threads run.
- While a pause before each read pays (`moderation`), the hub sleeps for the shortest time that the system knows, about
  55 µs, unless it has something else to do.
"""

from __future__ import annotations

from collections.abc import Callable
from os import sched_yield
from time import perf_counter
from typing import Any, Final

from gevent.monkey import get_original

from pyerlnode.net.moderation import Moderation
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.forks import ours

AWAKE: Final = 150e-6
OFTEN: Final = 0.8
_WEIGHT: Final = 1 / 32
_SHORTEST: Final = 1e-6
_sleep: Callable[[float], None] = get_original("time", "sleep")


class BusyWait:
    """One for all connections of a node. `woke` and `rest` enclose what each read of one of them causes."""

    __slots__ = ("__weakref__", "_ended", "_idle", "_loop", "_moderation", "_now", "_quick", "_sleep", "spinning")

    def __init__(
        self, loop: Any, now: Callable[[], float] = perf_counter, pause: Callable[[float], None] = _sleep
    ) -> None:
        self._loop = loop
        self._now = now
        self._sleep = pause
        self._moderation = Moderation(now())
        self._idle: Any = None
        self._ended = 0.0
        self._quick = 0.0
        self.spinning = False
        ours(self)

    def woke(self) -> None:
        """Bytes have come."""
        quick = self._now() - self._ended < AWAKE
        self._quick += (quick - self._quick) * _WEIGHT

    def rest(self, signals: int) -> None:
        """What they caused, so many signals, is done, and what it answered is written."""
        self._ended = now = self._now()
        if self._quick <= OFTEN:
            return
        moderation = self._moderation
        moderation.read(signals, now)
        # Neither another descriptor nor another greenlet may wait for it; only the loop's own list tells of the latter.
        if moderation.pausing and not self._loop.pendingcnt and not self._loop._callbacks:
            self._sleep(_SHORTEST)
            self._ended = self._now()
        if not self.spinning:
            if self._idle is None:
                self._idle = self._loop.idle()
            self.spinning = True
            self._idle.start(self._spin)

    @edge
    def _spin(self) -> None:
        """Called by the loop whenever it finds nothing to do."""
        if self._now() - self._ended < AWAKE:
            sched_yield()
        else:
            self._stop()

    def _stop(self) -> None:
        self.spinning = False
        self._idle.stop()

    def close(self) -> None:
        """Sleep from now on."""
        if self._idle is not None:
            self._stop()
            self._idle.close()
            self._idle = None

    forsake = close
