"""Whether the hub is blocked, decided from looks at it at intervals: a machine without clock or thread.

    what a look finds                                              what it means
    the hub has nothing to do, or its loop has turned              it gets on
    the loop stands at the same turn, something runs               blocked since the first look that found it so
    the look itself comes late, and the program has computed       C code held the interpreter's lock: blocked
    the look itself comes late, and the program has not computed   nobody ran (stopped, swapped out): no handler's fault

Laws:
- A hub that is idle is never blocked; nor is one that turns, however busy.
- A block is told once, as `Blocked`, and its end once, as `Free`, with all the time from the first look to the last.
- Time in which the machine did not run this program counts for nobody. It is told as `NotRun` when it was longer than
  the limit and than a second; C code that waits (not computes) with the interpreter's lock looks the same.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOKS = 4
"""Looks within the limit."""
COMPUTED = 0.5
"""Of the delay of a late look: the part for which a program that did not stand still has had a processor."""
STOOD_STILL = 1.0
"""Seconds: less is nothing that anybody asks about, whatever the limit is."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The hub has stood still for `seconds`, and still does."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Free:
    """It gets on again, having stood still for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class NotRun:
    """This program did not run for `seconds`."""

    seconds: float


Verdict = Blocked | Free | NotRun


class Watch:
    """Told of each look by `look`; `limit` in seconds."""

    __slots__ = ("_cpu", "_now", "_since", "_told", "_turns", "interval", "limit")

    def __init__(self, limit: float, now: float, cpu: float) -> None:
        self.limit = limit
        self.interval = limit / LOOKS
        self._now = now
        self._cpu = cpu
        self._turns = -1
        self._since: float | None = None
        self._told = False

    def look(self, now: float, cpu: float, turns: int, idle: bool) -> list[Verdict]:
        """What is new. `turns` of the loop so far; `idle`: the hub has nothing to do; `cpu` time of the program."""
        late = max(0.0, now - self._now - self.interval)
        computed = cpu - self._cpu >= COMPUTED * late
        stands = not idle and turns == self._turns
        verdicts: list[Verdict] = []
        if late > max(self.limit, STOOD_STILL) and not computed:
            verdicts.append(NotRun(late))
        if self._since is not None and not stands:
            if self._told:
                verdicts.append(Free(self._now - self._since))
            self._since, self._told = None, False
        if self._since is None and not idle:
            # With the lock held, nothing of the time between two looks is known but that the program computed.
            self._since = now - late if computed and late > self.limit else now
        elif self._since is not None and not computed:
            self._since += late
        if self._since is not None and not self._told and now - self._since >= self.limit:
            self._told = True
            verdicts.append(Blocked(now - self._since))
        self._now, self._cpu, self._turns = now, cpu, turns
        return verdicts
