"""What a queue of a regulator decides: who may run now, who waits, who is refused and why.

A request is admitted when all of its queue's `Rules` allow it: fewer than `limit` run (a number, or an `Adaptive` one),
and the rate has room (a token bucket in the form of one time stamp, ITU-T I.371's GCRA). Otherwise it waits, or it is
refused. Each request is a key of the caller's choice and has exactly one outcome, given in a list by the method that
decided it, be it for its own key or for others:

    ask ──► Admitted ──► done | gone | Revoked (held longer than `lease`)
     │ └──► Refused(overload)                     the queue is full, or the asker would not wait
     └─ waits ─► Admitted | Refused(timeout) | gone | Refused(overload): a more urgent one took its place

Who waits does so in the order of priorities (the highest number first) and among equals in order of arrival, but:
- A queue that was not empty for `interval` seconds is overloaded. From then on a newcomer waits `target` seconds at
  most, not `max_wait`: CoDel as servers use it. And with ``order="adaptive"`` the newest comes first, since the oldest
  has waited so long that its caller will soon give up (B. Maurer, "Fail at Scale", ACM Queue 13:8, 2015).
- A full queue refuses the newcomer; the newest first: the oldest; a more urgent newcomer: the last of the least urgent.

An adaptive limit rises by one per limit's worth of timely work and falls by a tenth when work was slower than its
target: AIMD, which converges to the fair and efficient point (Chiu and Jain 1989; Jacobson 1988). Work that
began before the last fall says nothing about the limit that it led to, so one congestion counts once.

Time is an argument, in seconds; a key may be anything that can be hashed.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any, Final, Literal, NamedTuple

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A, Atom

Key = Hashable
Order = Literal["fifo", "lifo", "adaptive"]
ORDERS: Final = ("fifo", "lifo", "adaptive")
SLACK: Final = 64
"""Deadlines that are kept for nothing before they are cleared away."""
SMOOTH: Final = 0.1
"""The weight of the latest duration in the mean that `retry_after` reckons with."""


class Admitted(NamedTuple):
    """It may run; it has waited so many seconds."""

    key: Key
    waited: float


class Refused(NamedTuple):
    """It may not run. `reason` is `overload` or `timeout`; asking again makes sense after `retry_after` seconds."""

    key: Key
    reason: Atom
    retry_after: float


class Revoked(NamedTuple):
    """It ran for longer than its lease and counts no more."""

    key: Key


Outcome = Admitted | Refused | Revoked


@dataclass(frozen=True, slots=True)
class Adaptive:
    """A limit that finds itself: work that takes longer than `target` seconds says that too much runs at once."""

    target: float
    start: int = 10
    least: int = 1
    most: int = 1000
    backoff: float = 0.9

    def __post_init__(self) -> None:
        if not (self.target > 0 and 1 <= self.least <= self.start <= self.most and 0 < self.backoff < 1):
            raise UsageError("Adaptive wants target > 0, 1 <= least <= start <= most, and backoff between 0 and 1")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a queue admits, and how what it does not admit waits. Times are in seconds.

    Args:
        limit: how many may run at once, or `Adaptive`; None: any number.
        rate, burst: admissions per second, and how many of them may come at once.
        queue: how many may wait; 0: nobody does.
        max_wait: how long.
        order: of those that wait: `fifo`, `lifo`, or `adaptive`: `lifo` while the queue is overloaded.
        target, interval: a queue not empty for `interval` is overloaded, and newcomers wait `target` at most; with the
            target None it never is.
        lease: how long a permit may be held; None: as long as its holder lives.
    """

    limit: int | Adaptive | None = None
    rate: float | None = None
    burst: int = 1
    queue: int = 1000
    max_wait: float = 1.0
    order: Order = "adaptive"
    target: float | None = 0.1
    interval: float = 0.5
    lease: float | None = None

    def __post_init__(self) -> None:
        limit_is_good = self.limit is None or isinstance(self.limit, Adaptive) or _is_count(self.limit, 1)
        if not (limit_is_good and _is_count(self.burst, 1) and _is_count(self.queue, 0)):
            raise UsageError("Rules want a limit (or Adaptive) and a burst of 1 or more, and a queue of 0 or more")
        if not all(value is None or value > 0 for value in (self.rate, self.target, self.lease)):
            raise UsageError("Rules want a rate, a target and a lease above 0, or None")
        if not (self.max_wait >= 0 and self.interval >= 0 and self.order in ORDERS):
            raise UsageError(f"Rules want times of 0 or more, and an order of {', '.join(ORDERS)}")


def _is_count(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def rules_of(what: Rules | Mapping[Any, Any]) -> Rules:
    """`Rules`, or the same as a mapping whose keys are their names (texts or atoms)."""
    if isinstance(what, Rules):
        return what
    try:
        named: dict[str, Any] = {
            str(key): str(value) if isinstance(value, Atom) else value for key, value in what.items()
        }
        return Rules(**named)
    except (TypeError, AttributeError) as error:
        raise UsageError(f"a queue is described by Rules, or by a mapping with their names: {error}") from None


class Waiting:
    """One that waits."""

    __slots__ = ("deadline", "key", "priority", "since")

    def __init__(self, key: Key, priority: int, since: float, deadline: float) -> None:
        self.key = key
        self.priority = priority
        self.since = since
        self.deadline = deadline


class Queue:
    """One queue. Its methods give the outcomes that they decided; `next_deadline` says when to call `expire`.

    Attributes:
        running: who runs, and since when.
        waiting: who waits.
        limit: how many may run at once just now.
        counts: what became of the requests. ``asked`` is the sum of ``admitted``, ``overload``, ``timeout``,
            ``abandoned`` and those that wait; ``admitted`` that of ``done``, ``lost``, ``revoked`` and those that run.
    """

    __slots__ = (
        "_busy_since", "_cut_at", "_deadlines", "_exact", "_lanes", "_priorities", "_serial", "_service", "_step",
        "_tat", "_tolerance", "counts", "free_at", "limit", "rules", "running", "waiting",
    )  # fmt: skip

    def __init__(self, rules: Rules) -> None:
        self.running: dict[Key, float] = {}
        self.waiting: dict[Key, Waiting] = {}
        self.counts = dict.fromkeys(
            ("asked", "admitted", "overload", "timeout", "abandoned", "done", "lost", "revoked"), 0
        )
        self._lanes: dict[int, OrderedDict[Key, Waiting]] = {}
        self._priorities: list[int] = []
        self._deadlines: list[tuple[float, int, Key]] = []
        self._serial = 0
        self._busy_since = 0.0
        self._service: float | None = None
        self._tat = self._cut_at = -inf
        self._set_rules(rules)

    def _set_rules(self, rules: Rules) -> None:
        self.rules = rules
        adaptive = rules.limit if isinstance(rules.limit, Adaptive) else None
        self._exact = float(adaptive.start) if adaptive else 0.0
        self.limit: float = inf if rules.limit is None else int(self._exact) if adaptive else float(rules.limit)  # type: ignore[arg-type]  # it is a number here
        self._step = 0.0 if rules.rate is None else 1.0 / rules.rate
        self._tolerance = (rules.burst - 1) * self._step
        self.free_at = -inf if rules.rate is None else self._tat - self._tolerance

    # --- asking --------------------------------------------------------------------------------
    def admit(self, key: Key, now: float) -> bool:
        """Admit `key` if nobody waits and there is room: the short way, without a list of outcomes."""
        running = self.running
        if self.waiting or now < self.free_at or len(running) >= self.limit or key in running:
            return False
        self.counts["asked"] += 1
        self._start(key, now)
        return True

    def ask(self, key: Key, now: float, *, priority: int = 0, patience: float | None = None) -> list[Outcome]:
        """A request, by one that waits `patience` seconds at most (None: as long as the queue lets it; 0: not at all).

        Raises `UsageError` for a key that runs or waits already.
        """
        if key in self.running or key in self.waiting:
            raise UsageError("this key was asked for already and is not done")
        out = self.expire(now)
        if self.admit(key, now):
            out.append(Admitted(key, 0.0))
            return out
        self.counts["asked"] += 1
        patience = self._patience(now, patience)
        if patience <= 0:
            out.append(self._refused(key, A.overload, now))
            return out
        if len(self.waiting) >= self.rules.queue:
            victim = self._victim(priority, now)
            if victim is None:
                out.append(self._refused(key, A.overload, now))
                return out
            self._leave(victim)
            out.append(self._refused(victim.key, A.overload, now))
        self._enqueue(Waiting(key, priority, now, now + patience), now)
        return out

    def _patience(self, now: float, wanted: float | None) -> float:
        rules = self.rules
        most = rules.max_wait if rules.target is None or not self.overloaded(now) else min(rules.target, rules.max_wait)
        return most if wanted is None else min(wanted, most)

    def overloaded(self, now: float) -> bool:
        """Whether somebody has waited here, without a break, for `interval` seconds."""
        return bool(self.waiting) and self.rules.target is not None and now - self._busy_since >= self.rules.interval

    def _newest_first(self, now: float) -> bool:
        order = self.rules.order
        return order == "lifo" or (order == "adaptive" and self.overloaded(now))

    def _victim(self, priority: int, now: float) -> Waiting | None:
        """Who gives way in a full queue to a newcomer of this priority; None: nobody."""
        if not self.waiting:
            return None
        least = self._priorities[0]
        lane = self._lanes[least]
        newest_first = self._newest_first(now)
        if least > priority or (least == priority and not newest_first):
            return None
        return lane[next(iter(lane) if newest_first else reversed(lane))]

    def _enqueue(self, waiting: Waiting, now: float) -> None:
        if not self.waiting:
            self._busy_since = now
        self.waiting[waiting.key] = waiting
        lane = self._lanes.get(waiting.priority)
        if lane is None:
            lane = self._lanes[waiting.priority] = OrderedDict()
            insort(self._priorities, waiting.priority)
        lane[waiting.key] = waiting
        self._due(waiting.deadline, waiting.key)

    def _leave(self, waiting: Waiting) -> None:
        del self.waiting[waiting.key]
        lane = self._lanes[waiting.priority]
        del lane[waiting.key]
        if not lane:
            del self._lanes[waiting.priority]
            self._priorities.remove(waiting.priority)

    def _start(self, key: Key, now: float) -> None:
        self.counts["admitted"] += 1
        self.running[key] = now
        if self._step:
            self._tat = max(self._tat, now) + self._step
            self.free_at = self._tat - self._tolerance
        if self.rules.lease is not None:
            self._due(now + self.rules.lease, key)

    def _refused(self, key: Key, reason: Atom, now: float) -> Refused:
        self.counts[reason.name] += 1
        return Refused(key, reason, self.retry_after(now))

    def retry_after(self, now: float) -> float:
        """Seconds after which those that wait now will probably have had their turn."""
        waits = len(self.waiting)
        found = max(0.0, self.free_at - now) + waits * self._step
        if self._service is not None and self.limit < inf:
            found = max(found, (waits + 1) * self._service / self.limit)
        return found or self.rules.interval

    # --- the end of a permit -------------------------------------------------------------------
    def done(self, key: Key, now: float, *, dropped: bool = False) -> list[Outcome]:
        """The work of `key` is over; `dropped`: it failed as it does under too much load. Unknown keys are ignored."""
        started = self.running.pop(key, None)
        if started is None:
            return []
        self.counts["done"] += 1
        took = now - started
        service = self._service
        self._service = took if service is None else service + SMOOTH * (took - service)
        if self._exact:
            self._adapt(started, now, dropped)
        return self.expire(now) if self.waiting else []

    def _adapt(self, started: float, now: float, dropped: bool) -> None:
        rules: Any = self.rules.limit
        if dropped or now - started > rules.target:
            if started >= self._cut_at:
                self._exact = max(float(rules.least), self._exact * rules.backoff)
                self._cut_at = now
        elif 2 * (len(self.running) + 1) >= self._exact:  # else the limit is not what holds it back
            self._exact = min(float(rules.most), self._exact + 1.0 / self._exact)
        self.limit = int(self._exact)

    def gone(self, key: Key, now: float) -> list[Outcome]:
        """Who asked for `key` is dead or wants it no more, whether it waits or runs. Unknown keys are ignored."""
        waiting = self.waiting.get(key)
        if waiting is not None:
            self._leave(waiting)
            self.counts["abandoned"] += 1
        elif self.running.pop(key, None) is not None:
            self.counts["lost"] += 1
        else:
            return []
        return self.expire(now) if self.waiting else []

    # --- time ----------------------------------------------------------------------------------
    def expire(self, now: float) -> list[Outcome]:
        """Refuse who has waited too long, take back what was held too long, admit whom there is room for."""
        out: list[Outcome] = []
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] <= now:
            _, _, key = heappop(deadlines)
            waiting = self.waiting.get(key)
            if waiting is not None:
                if waiting.deadline <= now:
                    self._leave(waiting)
                    out.append(self._refused(key, A.timeout, now))
            elif self._is_overdue(key, now):
                del self.running[key]
                self.counts["revoked"] += 1
                out.append(Revoked(key))
        while self.waiting and now >= self.free_at and len(self.running) < self.limit:
            lane = self._lanes[self._priorities[-1]]
            waiting = lane[next(reversed(lane) if self._newest_first(now) else iter(lane))]
            self._leave(waiting)
            self._start(waiting.key, now)
            out.append(Admitted(waiting.key, now - waiting.since))
        return out

    def _is_overdue(self, key: Key, now: float) -> bool:
        started, lease = self.running.get(key), self.rules.lease
        return started is not None and lease is not None and started + lease <= now

    def _due(self, deadline: float, key: Key) -> None:
        self._serial += 1
        heappush(self._deadlines, (deadline, self._serial, key))
        if len(self._deadlines) > 2 * (len(self.waiting) + len(self.running)) + SLACK:
            self._deadlines = [entry for entry in self._deadlines if self._counts(entry)]
            heapify(self._deadlines)

    def _counts(self, entry: tuple[float, int, Key]) -> bool:
        deadline, _, key = entry
        waiting = self.waiting.get(key)
        if waiting is not None:
            return waiting.deadline == deadline
        started, lease = self.running.get(key), self.rules.lease
        return started is not None and lease is not None and started + lease == deadline

    def next_deadline(self) -> float | None:
        """When `expire` has something to do, if nothing else happens before."""
        while self._deadlines and not self._counts(self._deadlines[0]):
            heappop(self._deadlines)
        found = self._deadlines[0][0] if self._deadlines else inf
        if self.waiting and self.free_at < found and len(self.running) < self.limit:
            found = self.free_at
        return None if found == inf else found

    # --- looking and changing ------------------------------------------------------------------
    def change(self, rules: Rules, now: float) -> list[Outcome]:
        """Go on with other rules. Who runs and waits stays, and so do the deadlines of those that wait."""
        self._set_rules(rules)
        for key, started in self.running.items() if rules.lease is not None else ():
            self._due(started + rules.lease, key)  # type: ignore[operator]  # looked at above
        return self.expire(now)

    def info(self, now: float) -> dict[str, Any]:
        """Numbers to look at; `limit` is None where there is none, `service` the mean seconds that work takes."""
        return {
            "running": len(self.running),
            "waiting": len(self.waiting),
            "limit": None if self.limit == inf else int(self.limit),
            "overloaded": self.overloaded(now),
            "service": self._service,
            **self.counts,
        }
