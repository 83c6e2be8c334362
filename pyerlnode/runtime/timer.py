"""The timer wheel driven by one timer of gevent's loop."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

from pyerlnode.runtime.edges import edge, escaped
from pyerlnode.runtime.scheduler import TURN
from pyerlnode.runtime.timer_core import Timer, TimerWheel

AT_ONCE = 100
"""Timers that fire before the clock is looked at."""
YOUNG = 0.25
"""Seconds for which a wait with a longer time-out has no timer of its own."""


class Timers:
    """Starts timers; each fires in the hub, so a callback must not block (deliver a message, wake a greenlet)."""

    __slots__ = ("_armed", "_loop", "_watcher", "_young", "now", "wheel")

    def __init__(self, loop: Any, now: Callable[[], float] = monotonic) -> None:
        self._loop = loop
        self.now = now
        self.wheel = TimerWheel()
        self._armed = inf
        self._watcher: Any = None
        self._young: list[tuple[float, Any]] = []

    def start_late(self, delay: float, wait: Any) -> None:
        """Call ``wait.arm_for(seconds)`` some time within `YOUNG` seconds, with what is left of `delay` then.

        A call that is answered meanwhile, as nearly all are, has cost no timer. `wait` is kept until then.
        """
        if not self._young:
            self.start(YOUNG, self._grown)
        self._young.append((self.now() + delay, wait))

    def _grown(self) -> None:
        young, self._young = self._young, []
        now = self.now()
        for deadline, wait in young:
            if wait.resumable:
                wait.arm_for(deadline - now)

    def start(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call `callback(*args)` after `delay` seconds."""
        timer = self.wheel.start(self.now(), delay if delay > 0 else 0.0, callback, *args)
        if timer.deadline < self._armed:
            self._arm(timer.deadline)
        return timer

    def _arm(self, deadline: float) -> None:
        if self._watcher is not None:
            self._watcher.close()
        self._armed = deadline
        # +1 ms: a deadline is rounded up to its tick, so waking earlier would find nothing due.
        self._watcher = self._loop.timer(max(0.0, deadline - self.now()) + 0.001)
        self._watcher.start(self._fire)

    @edge
    def _fire(self) -> None:
        self._watcher.close()
        self._watcher = None
        self._armed = inf
        try:
            began = self.now()
            while due := self.wheel.expire(began, AT_ONCE):
                self._call_all(due)
                if self.now() - began > TURN:
                    break  # the rest has its turn when sockets were looked at
        finally:
            deadline = self.wheel.next_deadline()
            if deadline is not None and deadline < self._armed:
                self._arm(deadline)

    @staticmethod
    def _call_all(due: list[Timer]) -> None:
        for timer in due:
            try:
                timer.callback(*timer.args)
            except BaseException as error:  # noqa: PERF203  # the other timers of this tick are due all the same
                escaped("the callback of a timer", error)

    def close(self) -> None:
        """Forget every timer."""
        self._young.clear()
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._armed = inf
        self.wheel = TimerWheel()
