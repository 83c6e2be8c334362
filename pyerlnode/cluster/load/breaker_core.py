"""What a circuit breaker decides: whether to call at all, given how the last calls went.

The pattern is M. Nygard's ("Release It!", 2007).

    closed      calls go through. Too many failures within `window` seconds, by number or by share: open
    open        calls are refused for `reset` seconds, lengthened at random by up to `jitter` of it, so that the
                breakers of many nodes do not try again at one moment
    half_open   `probes` calls go through at a time. As many successes in a row: closed; one failure: open

    state        event                               next
    closed       failure, over a threshold | trip    open
    open         ask, the time is over               half_open
    half_open    failure | trip                      open
    half_open    the last success that it wants      closed
    any          reset                               closed

Each call that goes through has a ticket. An outcome counts in the state that gave the ticket out and in no later one:
calls that began before the breaker opened say nothing about whether the service has recovered. A probe whose outcome
never comes loses its place after `reset` seconds.

The window is one of ten slices, so it is exact to a tenth. Time and chance (0 <= chance < 1) are arguments.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A, Atom

SLICES: Final = 10


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a breaker opens, and how it closes again. Times are in seconds.

    Args:
        failures: so many within the window open it; None: their number does not matter.
        ratio: such a share of failures (0 to 1) does, from `minimum` calls on; None: it does not matter.
        window: how far back calls count.
        reset, jitter: how long it stays open: `reset` to ``reset * (1 + jitter)``.
        probes: calls that go through at a time when half open, and successes that close it.
    """

    failures: int | None = 5
    ratio: float | None = None
    minimum: int = 10
    window: float = 10.0
    reset: float = 5.0
    jitter: float = 0.2
    probes: int = 1

    def __post_init__(self) -> None:
        if self.failures is None and self.ratio is None:
            raise UsageError("a breaker opens by a number of failures, by a ratio, or by both; this one would never")
        if not all(value is None or value >= 1 for value in (self.failures, self.minimum, self.probes)):
            raise UsageError("failures, minimum and probes of a breaker are 1 or more")
        if not (self.ratio is None or 0 < self.ratio <= 1):
            raise UsageError("the ratio of a breaker is above 0 and at most 1")
        if not (self.window > 0 and self.reset > 0 and self.jitter >= 0):
            raise UsageError("window and reset of a breaker are above 0 seconds, its jitter 0 or more")


class Slice:
    """How calls went in a tenth of the window."""

    __slots__ = ("calls", "failures", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = self.failures = 0


class Circuit:
    """One breaker. `state` is ``closed``, ``open`` or ``half_open``; look at it after each method.

    Attributes:
        until: when an open one lets the first probe through.
        counts: ``passed`` calls, how they ended (``succeeded``, ``failed``, ``unknown``), and ``refused`` ones.
    """

    __slots__ = ("_era", "_probes", "_serial", "_slices", "_successes", "counts", "state", "thresholds", "until")

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self.state: Atom = A.closed
        self.until = 0.0
        self.counts = dict.fromkeys(("passed", "refused", "succeeded", "failed", "unknown"), 0)
        self._slices: deque[Slice] = deque()
        self._serial = 0
        self._era = 0
        """The first ticket of this state; those below it were given out before."""
        self._probes: dict[int, float] = {}
        self._successes = 0

    # --- a call --------------------------------------------------------------------------------
    def ask(self, now: float) -> int | None:
        """A ticket for a call, whose outcome is to be told; None: it is refused."""
        if self.state is not A.closed and not self._may_probe(now):
            self.counts["refused"] += 1
            return None
        self._serial = ticket = self._serial + 1
        self.counts["passed"] += 1
        if self.state is A.half_open:
            self._probes[ticket] = now
        return ticket

    def _may_probe(self, now: float) -> bool:
        if self.state is A.open:
            if now < self.until:
                return False
            self._enter(A.half_open)
        probes = self._probes
        if len(probes) >= self.thresholds.probes:
            oldest = next(iter(probes))
            if now - probes[oldest] < self.thresholds.reset:
                return False
            del probes[oldest]
        return True

    def _counts_still(self, ticket: int) -> bool:
        """Whether the outcome of this call counts in the present state."""
        if not self._era < ticket <= self._serial or self.state is A.open:
            return False
        return self.state is A.closed or self._probes.pop(ticket, None) is not None

    def succeeded(self, ticket: int, now: float) -> None:
        self.counts["succeeded"] += 1
        if not self._counts_still(ticket):
            return
        if self.state is A.closed:
            self._slice(now).calls += 1
            return
        self._successes += 1
        if self._successes >= self.thresholds.probes:
            self._enter(A.closed)

    def failed(self, ticket: int, now: float, chance: float) -> None:
        self.counts["failed"] += 1
        if not self._counts_still(ticket):
            return
        if self.state is A.closed:
            found = self._slice(now)
            found.calls += 1
            found.failures += 1
            if not self._is_too_much():
                return
        self.trip(now, chance)

    def unknown(self, ticket: int) -> None:
        """The call ended in a way that says nothing about the service: its place is free, and that is all."""
        self.counts["unknown"] += 1
        self._probes.pop(ticket, None)

    # --- by hand -------------------------------------------------------------------------------
    def trip(self, now: float, chance: float) -> None:
        """Open it now."""
        self._enter(A.open)
        self.until = now + self.thresholds.reset * (1.0 + self.thresholds.jitter * chance)

    def reset(self) -> None:
        """Close it, and forget how calls went."""
        self._enter(A.closed)

    def _enter(self, state: Atom) -> None:
        self.state = state
        self._era = self._serial
        self._probes.clear()
        self._slices.clear()
        self._successes = 0

    # --- the window ----------------------------------------------------------------------------
    def _slice(self, now: float) -> Slice:
        number = int(now * SLICES / self.thresholds.window)
        slices = self._slices
        while slices and slices[0].number <= number - SLICES:
            slices.popleft()
        if not slices or slices[-1].number != number:
            slices.append(Slice(number))
        return slices[-1]

    def _is_too_much(self) -> bool:
        calls = sum(part.calls for part in self._slices)
        failures = sum(part.failures for part in self._slices)
        wanted = self.thresholds
        if wanted.failures is not None and failures >= wanted.failures:
            return True
        return wanted.ratio is not None and calls >= wanted.minimum and failures >= wanted.ratio * calls

    # --- looking -------------------------------------------------------------------------------
    def retry_after(self, now: float) -> float:
        """Seconds after which asking again makes sense; 0 when it does now."""
        if self.state is A.open:
            return max(0.0, self.until - now)
        if self.state is A.half_open and len(self._probes) >= self.thresholds.probes:
            return max(0.0, next(iter(self._probes.values())) + self.thresholds.reset - now)
        return 0.0

    def info(self, now: float) -> dict[str, Any]:
        """Numbers to look at; of the window `calls` and `failures`."""
        if self.state is A.closed and self._slices:
            self._slice(now)
        return {
            "state": self.state,
            "retry_after": self.retry_after(now),
            "calls": sum(part.calls for part in self._slices),
            "failures": sum(part.failures for part in self._slices),
            **self.counts,
        }
