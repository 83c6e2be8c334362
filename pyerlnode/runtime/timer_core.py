"""A timer wheel: buckets of deadlines, with O(1) start and cancel.

Deadlines are rounded up to a tick: 1 ms for delays below a second, 4 ms above. A bucket is a dict, so a
cancelled timer is gone at once: a program that makes 100,000 calls a second holds no dead time-outs.
Time is an argument; whoever owns the wheel arms one real timer for `next_deadline`.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import islice
from math import ceil
from typing import Any

FINE = 0.001
COARSE = 4  # fine ticks


class Timer:
    """One started timer; `cancel` it, or `read` what is left. It fires `callback(*args)` once."""

    __slots__ = ("args", "bucket", "callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.deadline = deadline
        self.callback = callback
        self.args = args
        self.bucket: dict[Timer, None] | None = None

    @property
    def active(self) -> bool:
        return self.bucket is not None

    def cancel(self) -> bool:
        """True when it had not fired and now never will."""
        bucket = self.bucket
        if bucket is None:
            return False
        self.bucket = None
        del bucket[self]
        return True


class TimerWheel:
    """All timers of a system, ordered by tick."""

    __slots__ = ("_buckets", "_ticks")

    def __init__(self) -> None:
        self._buckets: dict[int, dict[Timer, None]] = {}
        self._ticks: list[int] = []

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def start(self, now: float, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = Timer(now + delay, callback, args)
        tick = ceil(timer.deadline / FINE)
        if delay >= 1.0:
            tick += -tick % COARSE
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heappush(self._ticks, tick)
        timer.bucket = bucket
        bucket[timer] = None
        return timer

    def next_deadline(self) -> float | None:
        """The time of the first bucket that is not empty; buckets emptied by `cancel` are forgotten here."""
        ticks, buckets = self._ticks, self._buckets
        while ticks:
            if buckets[ticks[0]]:
                return ticks[0] * FINE
            del buckets[heappop(ticks)]
        return None

    def expire(self, now: float, most: int | None = None) -> list[Timer]:
        """The timers that are due, `most` of them at most, in order of their ticks; they are no longer active."""
        due: list[Timer] = []
        limit = now / FINE
        while self._ticks and self._ticks[0] <= limit:
            bucket = self._buckets[self._ticks[0]]
            if most is not None and len(due) + len(bucket) > most:
                taken = list(islice(bucket, most - len(due)))
                for timer in taken:
                    timer.cancel()
                return [*due, *taken]
            del self._buckets[heappop(self._ticks)]
            for timer in bucket:
                timer.bucket = None
            due.extend(bucket)
        return due
