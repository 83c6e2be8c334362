"""Dispatchers of a GenStage producer: which consumer gets which events.

    Demand()        each event to one consumer, the one that has asked for most (GenStage's default)
    Broadcast()     each event to all consumers, as many as the slowest has asked for; `selector=` of a Python consumer
                    on this node says which events it wants
    Partition(n)    each event to the consumer of its partition: ``phash2(event, n)``, or what ``hash(event)`` gives

All of them keep, per consumer, what it has asked for and not been sent (`demand`), and tell one number: `capacity`, how
many more events may be dispatched now. `Emitter` of `core` needs nothing else: what goes beyond it is
buffered, and what it exceeds the demand that the producer knows of is asked of the producer. So, whatever the
dispatcher: nobody is sent more than it asked for, and demand is passed on once.

Deliveries are ``(consumer, events)``, lists that are never empty. A dispatcher that refuses a consumer raises `Refused`
with the reason of the cancellation that the consumer gets. (GenStage's producer crashes for a partition that is taken
or unknown; here the one consumer is refused.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from pyerlnode.brief import short, told
from pyerlnode.errors import UsageError
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import kwget
from pyerlnode.term.exact import Key
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid

Deliveries = list[tuple["Downstream", list[Any]]]


class Refused(Exception):
    """The dispatcher does not take this consumer; `reason` is told to it."""

    def __init__(self, reason: Any) -> None:
        super().__init__(reason)
        self.reason = reason


class Downstream:
    """A consumer, as its producer sees it."""

    __slots__ = ("demand", "partition", "pid", "selector", "tag")

    def __init__(self, pid: Pid, tag: Any) -> None:
        self.pid = pid
        self.tag = tag
        self.demand = 0
        self.partition: Any = None
        self.selector: Callable[[Any], Any] | None = None

    def __repr__(self) -> str:
        return f"Downstream({short(self.pid)}, demand={self.demand})"


class Dispatcher:
    """What an `Emitter` asks of a dispatcher. One object belongs to one producer, which takes a `fresh` one."""

    __slots__ = ("consumers",)

    def __init__(self) -> None:
        self.consumers: list[Downstream] = []

    def fresh(self) -> Dispatcher:
        """One with the same parameters and no consumers: a stage that is started again begins anew."""
        raise NotImplementedError

    @property
    def capacity(self) -> int:
        """How many events can be dispatched now."""
        raise NotImplementedError

    def subscribe(self, consumer: Downstream, options: list[Any]) -> None:
        """Take a consumer. Raises `Refused`."""
        del options
        self.consumers.append(consumer)

    def cancel(self, consumer: Downstream) -> int:
        """Let a consumer go; gives how many events, accepted for it alone, are lost with it."""
        self.consumers.remove(consumer)
        return 0

    def ask(self, consumer: Downstream, count: int) -> Deliveries:
        """It wants `count` more; gives what can be sent at once of what had been accepted for it."""
        consumer.demand += count
        return []

    def dispatch(self, events: list[Any]) -> Deliveries:
        """Accept events, at most `capacity` of them."""
        raise NotImplementedError

    def warning(self, consumer: Downstream, count: int) -> str | None:
        """What is to be logged about a consumer that asks for `count`."""
        del consumer, count
        return None

    def mark(self) -> dict[Key, int]:
        """Where the events stand that were accepted and not sent: an info message waits until they are."""
        return {}

    def passed(self, mark: dict[Key, int]) -> bool:
        """Whether those of `mark` have been sent, or are lost."""
        del mark
        return True


class Demand(Dispatcher):
    """To the largest demand first. Consumers should ask for the same maximum, else the greedy one gets most.

    Args:
        max_demand: what consumers are expected to ask for at most; more is logged. None: what the first one asks for.
        shuffle: puts a list in another order, as `random.shuffle`; applied to the consumers before the first dispatch,
            so that the one that came first is not the one that gets most of it.
    """

    __slots__ = ("_parameters", "_shuffle", "capacity_", "max_demand")

    def __init__(self, max_demand: int | None = None, shuffle: Callable[[list[Any]], object] | None = None) -> None:
        super().__init__()
        self._parameters = max_demand, shuffle
        self.max_demand = max_demand
        self._shuffle = shuffle
        self.capacity_ = 0

    def fresh(self) -> Demand:
        return Demand(*self._parameters)

    @property
    def capacity(self) -> int:
        return self.capacity_

    def cancel(self, consumer: Downstream) -> int:
        self.capacity_ -= consumer.demand
        return super().cancel(consumer)

    def ask(self, consumer: Downstream, count: int) -> Deliveries:
        consumer.demand += count
        self.capacity_ += count
        if len(self.consumers) > 1:
            self._place(consumer)
        return []

    def warning(self, consumer: Downstream, count: int) -> str | None:
        if self.max_demand is None:
            self.max_demand = count
        if count <= self.max_demand:
            return None
        return (
            f"expects consumers to ask for at most {self.max_demand} events, but {consumer.pid} asks for {count}: "
            "with different maximum demands the greedy consumer gets most; use the same max_demand"
        )

    def dispatch(self, events: list[Any]) -> Deliveries:
        if self._shuffle is not None:
            self._shuffle(self.consumers)
            self.consumers.sort(key=_least)
            self._shuffle = None
        sent: Deliveries = []
        self.capacity_ -= len(events)
        begin = 0
        while begin < len(events):
            consumer = self.consumers[0]
            part = events if not begin and consumer.demand >= len(events) else events[begin : begin + consumer.demand]
            begin += len(part)
            consumer.demand -= len(part)
            sent.append((consumer, part))
            if len(self.consumers) > 1:
                self._place(consumer)
        return sent

    def _place(self, consumer: Downstream) -> None:
        """Keep them in the order of their demand, behind those who have had the same for longer."""
        consumers = self.consumers
        consumers.remove(consumer)
        at = len(consumers)
        while at and consumers[at - 1].demand < consumer.demand:
            at -= 1
        consumers.insert(at, consumer)


def _least(consumer: Downstream) -> int:
    return -consumer.demand


class Broadcast(Dispatcher):
    """To all, at the pace of the slowest. A process can be subscribed once."""

    __slots__ = ()

    def fresh(self) -> Broadcast:
        return Broadcast()

    @property
    def capacity(self) -> int:
        return min((consumer.demand for consumer in self.consumers), default=0)

    def subscribe(self, consumer: Downstream, options: list[Any]) -> None:
        if any(other.pid == consumer.pid for other in self.consumers):
            raise Refused(A.already_subscribed)
        selector = kwget(options, "selector")
        if selector is not None and (isinstance(selector, (Fun, ExternalFun)) or not callable(selector)):
            raise Refused((A.bad_opts, b"a selector of another node can not be called here"))
        consumer.selector = selector
        super().subscribe(consumer, options)

    def dispatch(self, events: list[Any]) -> Deliveries:
        sent: Deliveries = []
        for consumer in self.consumers:
            wants = consumer.selector
            part = events if wants is None else [event for event in events if wants(event)]
            consumer.demand -= len(part)
            if part:
                sent.append((consumer, part))
        return sent


class _Lane:
    """A partition: its consumer, and the events that wait for it."""

    __slots__ = ("consumer", "name", "out", "waiting")

    def __init__(self, name: Any) -> None:
        self.name = name
        self.consumer: Downstream | None = None
        self.waiting: deque[Any] = deque()
        self.out = 0
        """How many have left `waiting`, ever."""


class Partition(Dispatcher):
    """To the consumer of the event's partition, which subscribed with ``partition=``.

    Events for a partition without demand wait in it, and count against what the others have asked for: a partition
    that nobody takes events from stops the producer when it has taken up the demand of all, as GenStage's does.

    Args:
        partitions: a number n for 0..n-1, or the partitions themselves: any terms but nil.
        hash: gives ``(event, partition)``, or None for an event that is to be dropped. By default
            ``(event, phash2(event, n))``, which is the same number that GenStage computes.
    """

    __slots__ = ("_hash", "_lanes", "capacity_")

    def __init__(
        self, partitions: int | Iterable[Any], hash: Callable[[Any], tuple[Any, Any] | None] | None = None
    ) -> None:
        super().__init__()
        names = list(range(partitions)) if isinstance(partitions, int) else list(partitions)
        if not names:
            raise UsageError("a Partition dispatcher needs at least one partition")
        if hash is None and any(type(name) is not int for name in names):
            raise UsageError("partitions that are no integers need a hash= that gives (event, partition)")
        self._lanes: dict[Key, _Lane] = {exact.key(name): _Lane(name) for name in names}
        self._hash = hash
        self.capacity_ = 0

    def fresh(self) -> Partition:
        return Partition([lane.name for lane in self._lanes.values()], self._hash)

    @property
    def capacity(self) -> int:
        return max(0, self.capacity_)

    def subscribe(self, consumer: Downstream, options: list[Any]) -> None:
        name = kwget(options, "partition")
        lane = None if name is None else self._lanes.get(exact.key(name))
        if lane is None:
            known = ", ".join(_shown(lane.name) for lane in self._lanes.values())
            raise Refused((A.bad_opts, f"the option partition is required, one of: {known}".encode()))
        if lane.consumer is not None:
            raise Refused(
                (A.bad_opts, f"the partition {_shown(name)} is already taken by {lane.consumer.pid}".encode())
            )
        lane.consumer, consumer.partition = consumer, exact.key(name)
        super().subscribe(consumer, options)

    def cancel(self, consumer: Downstream) -> int:
        lane = self._lanes[consumer.partition]
        lost = len(lane.waiting)
        lane.consumer = None
        lane.waiting.clear()
        lane.out += lost
        self.capacity_ += lost - consumer.demand
        super().cancel(consumer)
        return lost

    def ask(self, consumer: Downstream, count: int) -> Deliveries:
        consumer.demand += count
        self.capacity_ += count
        lane = self._lanes[consumer.partition]
        part = [lane.waiting.popleft() for _ in range(min(consumer.demand, len(lane.waiting)))]
        lane.out += len(part)
        consumer.demand -= len(part)
        return [(consumer, part)] if part else []

    def dispatch(self, events: list[Any]) -> Deliveries:
        parts: dict[Key, list[Any]] = {}
        for event, place in self._placed(events):
            parts.setdefault(place, []).append(event)
        sent: Deliveries = []
        for place, part in parts.items():
            lane = self._lanes[place]
            consumer = lane.consumer
            self.capacity_ -= len(part)
            now = 0 if consumer is None or lane.waiting else min(len(part), consumer.demand)
            if consumer is not None and now:
                consumer.demand -= now
                sent.append((consumer, part[:now]))
            lane.waiting.extend(part[now:])
        return sent

    def _placed(self, events: list[Any]) -> list[tuple[Any, Key]]:
        """The events with their partitions; all are known before one is taken."""
        if self._hash is None:
            return [(event, exact.key(phash2(event, len(self._lanes)))) for event in events]
        placed = []
        for event, name in (found for found in map(self._hash, events) if found is not None):
            place = exact.key(name)
            if place not in self._lanes:
                raise UsageError(
                    f"the hash of a Partition dispatcher gave {_shown(name)}, which is none of its partitions"
                )
            placed.append((event, place))
        return placed

    def mark(self) -> dict[Key, int]:
        return {place: lane.out + len(lane.waiting) for place, lane in self._lanes.items() if lane.waiting}

    def passed(self, mark: dict[Key, int]) -> bool:
        return all(self._lanes[place].out >= position for place, position in mark.items())


def _shown(name: Any) -> str:
    return name.name if type(name) is Atom else told(name)
