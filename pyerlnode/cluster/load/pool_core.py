"""What a pool of servers decides: which member gets a call, who waits, who is refused.

A job is a key of the caller's choice: a call, or the loan of a member for exclusive use. Each member takes up to
`in_flight` calls at a time, or is lent to one borrower. Jobs for which no member has room wait in order of arrival, at
most `queue` of them and each at most `max_wait` seconds.

    strategy       a call goes to the member that has room and
    least_loaded   has the fewest under way, the longest idle of these
    round_robin    comes next
    hash           has the key's place, and no other: calls with one key come to one member, in order

Members stand in places 0 … size-1. When one ends, its place is empty until another one has joined; calls for that place
wait meanwhile, and what the lost member had under way is over: the shell tells those callers. `resize` takes places
away from the end: such a member retires, and is stopped when it has done what it has under way.

    request ─► Give(job, member) ─► finished | gone | left(member)
          └──► Refuse(job, overload | timeout)

A job at the head of its line that wants a member for itself waits until one is idle, and those behind it wait too: it
is not starved by a stream of calls. Time is an argument, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, Final, Literal, NamedTuple

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A, Atom

Job = Hashable
Member = Hashable
Strategy = Literal["least_loaded", "round_robin", "hash"]
STRATEGIES: Final = ("least_loaded", "round_robin", "hash")
SLACK: Final = 64
"""Deadlines that are kept for nothing before they are cleared away."""


class Give(NamedTuple):
    """The member gets the job; when it was asked for so, for itself alone."""

    job: Job
    member: Member
    waited: float


class Refuse(NamedTuple):
    """Nobody gets it: `reason` is `overload` or `timeout`."""

    job: Job
    reason: Atom


class Stop(NamedTuple):
    """The member has retired and has nothing under way any more."""

    member: Member


class Want(NamedTuple):
    """So many members are to be started, beyond those that were wanted before."""

    members: int


Effect = Give | Refuse | Stop | Want


@dataclass(frozen=True, slots=True)
class PoolRules:
    """How a pool deals out its calls.

    Args:
        in_flight: calls that one member has at a time.
        strategy: `least_loaded`, `round_robin` or `hash`.
        queue: jobs that wait at most; `max_wait`: seconds that each of them does.
    """

    in_flight: int = 1
    strategy: Strategy = "least_loaded"
    queue: int = 1000
    max_wait: float = 1.0

    def __post_init__(self) -> None:
        counts = type(self.in_flight) is int and self.in_flight >= 1 and type(self.queue) is int and self.queue >= 0
        if not (counts and self.max_wait >= 0 and self.strategy in STRATEGIES):
            raise UsageError(
                "a pool wants in_flight of 1 or more, a queue and a max_wait of 0 or more, and a strategy of "
                + ", ".join(STRATEGIES)
            )


class Place:
    """A member and what it has under way."""

    __slots__ = ("alone", "jobs", "member", "since")

    def __init__(self, member: Member) -> None:
        self.member = member
        self.jobs: set[Job] = set()
        self.alone = False
        """It is lent to its one job."""
        self.since = 0
        """When it was last given something, counted in jobs."""


class Waiting:
    """A job that waits."""

    __slots__ = ("alone", "deadline", "hash", "job", "lane", "since")

    def __init__(self, job: Job, since: float, deadline: float, alone: bool, hash: int | None) -> None:
        self.job = job
        self.since = since
        self.deadline = deadline
        self.alone = alone
        self.hash = hash
        self.lane = 0


class Pool:
    """The table of one pool. Its methods give what is to be done, in order.

    Attributes:
        counts: what became of the jobs. ``asked`` is the sum of ``given``, ``overload``, ``timeout``, ``abandoned``
            and those that wait; ``given`` that of ``finished``, ``lost`` (with their member) and those under way.
    """

    __slots__ = (
        "_deadlines", "_lanes", "_next", "_serial", "counts", "given", "places", "retiring", "rules", "size", "waiting",
    )  # fmt: skip

    def __init__(self, rules: PoolRules, size: int) -> None:
        self.rules = rules
        self.size = _size(size)
        self.places: list[Place | None] = [None] * size
        self.retiring: dict[Member, Place] = {}
        self.given: dict[Job, Place] = {}
        self.waiting: dict[Job, Waiting] = {}
        self.counts = dict.fromkeys(
            ("asked", "given", "overload", "timeout", "abandoned", "finished", "lost", "crashed"), 0
        )
        self._lanes: list[OrderedDict[Job, Waiting]] = self._make_lanes()
        self._deadlines: list[tuple[float, int, Job]] = []
        self._serial = 0
        self._next = 0

    def _make_lanes(self) -> list[OrderedDict[Job, Waiting]]:
        return [OrderedDict() for _ in range(self.size if self.rules.strategy == "hash" else 1)]

    # --- members -------------------------------------------------------------------------------
    def joined(self, member: Member, now: float) -> list[Effect]:
        """A member has started; when there is no place for it any more it is stopped."""
        for index, place in enumerate(self.places):
            if place is None:
                self.places[index] = Place(member)
                return self._deal(now)
        return [Stop(member)]

    def left(self, member: Member, now: float) -> tuple[list[Job], list[Effect]]:
        """A member has ended: the jobs that it had under way, and what follows. Unknown members are ignored."""
        place = self.retiring.pop(member, None)
        if place is None:
            for index, found in enumerate(self.places):
                if found is not None and found.member == member:
                    place, self.places[index] = found, None
                    self.counts["crashed"] += 1
        if place is None:
            return [], []
        for job in place.jobs:
            del self.given[job]
        self.counts["lost"] += len(place.jobs)
        return list(place.jobs), self.expire(now)

    def resize(self, size: int, now: float) -> list[Effect]:
        """So many places from now on."""
        before, self.size = self.size, _size(size)
        out: list[Effect] = []
        for place in self.places[size:]:
            if place is not None and place.jobs:
                self.retiring[place.member] = place
            elif place is not None:
                out.append(Stop(place.member))
        self.places = self.places[:size] + [None] * (size - before)
        lanes = self._lanes = self._make_lanes()
        for waiting in self.waiting.values():
            waiting.lane = self._lane(waiting.hash)
            lanes[waiting.lane][waiting.job] = waiting
        if size > before:
            out.append(Want(size - before))
        return out + self._deal(now)

    # --- jobs ----------------------------------------------------------------------------------
    def ask(
        self, job: Job, now: float, *, hash: int | None = None, alone: bool = False, patience: float | None = None
    ) -> list[Effect]:
        """A new job. `hash`: of its key; `alone`: it wants a member for itself; `patience`: as of a regulator.

        Raises `UsageError` for a job that is under way or waits already.
        """
        if job in self.given or job in self.waiting:
            raise UsageError("this job is under way already")
        out = self.expire(now)
        self.counts["asked"] += 1
        rules = self.rules
        patience = rules.max_wait if patience is None else min(patience, rules.max_wait)
        waiting = Waiting(job, now, now + patience, alone, hash)
        waiting.lane = self._lane(hash)
        lane = self._lanes[waiting.lane]
        place = None if lane else self._room(waiting)
        if place is not None:
            out.append(self._give(waiting, place, now))
        elif patience <= 0 or len(self.waiting) >= rules.queue:
            self.counts["overload"] += 1
            out.append(Refuse(job, A.overload))
        else:
            self.waiting[job] = lane[job] = waiting
            self._due(waiting.deadline, job)
        return out

    def _lane(self, hash: int | None) -> int:
        """The line that a job stands in; without a key, the shortest."""
        lanes = self._lanes
        if len(lanes) == 1:
            return 0
        if hash is not None:
            return hash % len(lanes)
        return min(range(len(lanes)), key=lambda index: (self._load(self.places[index]), len(lanes[index])))

    @staticmethod
    def _load(place: Place | None) -> int:
        return 1 << 30 if place is None or place.alone else len(place.jobs)

    def finished(self, job: Job, now: float, *, ran: bool = True) -> list[Effect]:
        """The member has done the job, or the borrower gave it back. Unknown jobs are ignored: late, or twice.

        `ran` is False when the member never got it, because nobody waited for it any more.
        """
        place = self.given.pop(job, None)
        if place is None:
            return []
        place.jobs.discard(job)
        place.alone = False
        if ran:
            self.counts["finished"] += 1
        else:
            self.counts["given"] -= 1
            self.counts["abandoned"] += 1
        if place.member in self.retiring:
            if place.jobs:
                return []
            del self.retiring[place.member]
            return [Stop(place.member)]
        return self.expire(now) if self.waiting else []

    def gone(self, job: Job, now: float) -> list[Effect]:
        """Nobody wants the job any more. One under way is not stopped; one that waits is forgotten."""
        waiting = self.waiting.get(job)
        if waiting is None:
            return []
        self._leave(waiting)
        self.counts["abandoned"] += 1
        return self._deal(now)  # it may have stood in the way of others

    def _leave(self, waiting: Waiting) -> None:
        del self.waiting[waiting.job]
        del self._lanes[waiting.lane][waiting.job]

    # --- dealing -------------------------------------------------------------------------------
    def expire(self, now: float) -> list[Effect]:
        """Refuse who has waited too long, and give what there is room for."""
        out: list[Effect] = []
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] <= now:
            deadline, _, job = heappop(deadlines)
            waiting = self.waiting.get(job)
            if waiting is not None and waiting.deadline == deadline:
                self._leave(waiting)
                self.counts["timeout"] += 1
                out.append(Refuse(job, A.timeout))
        return out + self._deal(now) if self.waiting else out

    def _deal(self, now: float) -> list[Effect]:
        out: list[Effect] = []
        for lane in self._lanes:
            while lane:
                waiting = next(iter(lane.values()))
                place = self._room(waiting)
                if place is None:
                    break
                self._leave(waiting)
                out.append(self._give(waiting, place, now))
        return out

    def _room(self, waiting: Waiting) -> Place | None:
        """Who can take this job just now."""
        most = 1 if waiting.alone else self.rules.in_flight
        if self.rules.strategy == "hash":
            place = self.places[waiting.lane]
            return place if place is not None and self._load(place) < most else None
        free = [place for place in self.places if place is not None and self._load(place) < most]
        if not free:
            return None
        if self.rules.strategy == "least_loaded":
            return min(free, key=lambda place: (len(place.jobs), place.since))
        for offset in range(self.size):
            place = self.places[(self._next + offset) % self.size]
            if place in free:
                self._next = (self._next + offset + 1) % self.size
                return place
        return None

    def _give(self, waiting: Waiting, place: Place, now: float) -> Give:
        self._serial += 1
        place.since = self._serial
        place.jobs.add(waiting.job)
        place.alone = waiting.alone
        self.given[waiting.job] = place
        self.counts["given"] += 1
        return Give(waiting.job, place.member, now - waiting.since)

    def _due(self, deadline: float, job: Job) -> None:
        self._serial += 1
        heappush(self._deadlines, (deadline, self._serial, job))
        if len(self._deadlines) > 2 * len(self.waiting) + SLACK:
            self._deadlines = [entry for entry in self._deadlines if self._counts(entry)]
            heapify(self._deadlines)

    def _counts(self, entry: tuple[float, int, Job]) -> bool:
        waiting = self.waiting.get(entry[2])
        return waiting is not None and waiting.deadline == entry[0]

    def next_deadline(self) -> float | None:
        """When `expire` has something to do, if nothing else happens before."""
        while self._deadlines and not self._counts(self._deadlines[0]):
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    # --- looking -------------------------------------------------------------------------------
    def members(self) -> list[Member]:
        """Who is there, retiring ones last."""
        return [place.member for place in self.places if place is not None] + list(self.retiring)

    def info(self) -> dict[str, Any]:
        """Numbers to look at; `busy` are members with something under way."""
        here = [place for place in self.places if place is not None]
        return {
            "size": self.size,
            "members": len(here),
            "busy": sum(bool(place.jobs) for place in here),
            "lent": sum(place.alone for place in here),
            "retiring": len(self.retiring),
            "in_flight": len(self.given),
            "waiting": len(self.waiting),
            **self.counts,
        }


def _size(size: Any) -> int:
    if type(size) is not int or size < 1:
        raise UsageError("the size of a pool is an integer, 1 or more")
    return size
