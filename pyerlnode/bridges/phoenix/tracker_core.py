"""The presences of a cluster as one shard of a tracker knows them: a set that every node changes and none waits for.

Reference: phoenix_pubsub 2.0 to 2.2 (`Phoenix.Tracker.State`, `Clock` and `Replica`), an ORSWOT: an observed-remove set
without tombstones. The law:

    a replica     {Name, Vsn}: the tracker of one node, from its start to its end; only it adds and removes its entries
    a tag         {Replica, Clock}: one addition; each addition and each removal is one tick of the replica's clock
    the context   up to which clock everything of a replica is known; the clouds have the known clocks beyond
    a delta       what this replica has done since the last one: values by tag, and the clocks of both kinds of ticks

- An entry that comes is taken when its replica is known and its tag is not. An entry of another replica that the sender
  has seen (its tag is in the sender's context or clouds) and has no more is removed; ours is removed by nobody else.
- What a replica that is down has put there is kept, and shown again when it is back; when it is down for good, or the
  same name comes with another vsn, it is dropped.

Entries are found by replica and by topic, so a delta costs what it holds and not what is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyerlnode.term import exact
from pyerlnode.term.atom import Atom
from pyerlnode.term.exact import Key
from pyerlnode.term.pid import Pid

Ref = tuple[Atom, int]
"""A replica: its node, and which of the trackers that this one has had."""
Tag = tuple[Ref, int]
Context = dict[Ref, int]
Clouds = dict[Ref, set[int]]


class Value(NamedTuple):
    """A presence, as deltas have it."""

    pid: Pid
    topic: bytes
    key: Any
    meta: Any


class Entry(NamedTuple):
    """A presence, and the tick that put it there."""

    value: Value
    tag: Tag


Values = dict[Tag, Value]


def place(value: Value) -> Key:
    """A process is there once under a topic and key."""
    return exact.key((value.topic, value.pid, value.key))


@dataclass(slots=True)
class Delta:
    """Ticks of one replica: `start` and `end` are its clock before and after them."""

    replica: Ref
    start: Context
    end: Context
    values: Values = field(default_factory=dict)
    clouds: Clouds = field(default_factory=dict)

    def removed(self, tag: Tag) -> None:
        self.clouds.setdefault(tag[0], set()).add(tag[1])
        self.values.pop(tag, None)


@dataclass(slots=True)
class Other:
    """What another replica has sent: a delta, which has no context, or its whole set."""

    values: Values
    clouds: Clouds
    context: Context


class State:
    """The set of one replica."""

    __slots__ = ("_by_replica", "_by_topic", "clouds", "context", "delta", "entries", "ref", "up")

    def __init__(self, ref: Ref) -> None:
        self.ref = ref
        self.context: Context = {ref: 0}
        self.clouds: Clouds = {}
        self.up: dict[Ref, bool] = {ref: True}
        self.entries: dict[Key, Entry] = {}
        self._by_replica: dict[Ref, dict[int, Key]] = {}
        self._by_topic: dict[bytes, dict[Key, None]] = {}
        self.delta = Delta(ref, {}, {})
        self.reset_delta()

    # --- what this replica does ----------------------------------------------------------------
    def join(self, value: Value) -> None:
        """Put an entry there."""
        self._add(value)

    def leave(self, at: Key) -> None:
        """Remove the entry that stands there."""
        entry = self.entries[at]
        self._observed(entry.tag)
        self._forget(at)
        self._bump()

    def leave_join(self, value: Value) -> None:
        """The entry that stands there has other metadata."""
        self._observed(self.entries[place(value)].tag)
        self._bump()
        self._add(value)

    def _add(self, value: Value) -> None:
        self._bump()
        tag = (self.ref, self.context[self.ref])
        self._put(place(value), Entry(value, tag))
        self.delta.values[tag] = value

    def _bump(self) -> None:
        clock = self.context[self.ref] + 1
        self.context[self.ref] = clock
        for clouds in (self.clouds, self.delta.clouds):
            clouds.setdefault(self.ref, set()).add(clock)
        self.delta.end[self.ref] = clock

    def _put(self, at: Key, entry: Entry) -> None:
        known = self.entries.get(at)
        if known is not None:
            self._by_replica[known.tag[0]].pop(known.tag[1], None)
        self.entries[at] = entry
        self._by_replica.setdefault(entry.tag[0], {})[entry.tag[1]] = at
        self._by_topic.setdefault(entry.value.topic, {})[at] = None

    def _forget(self, at: Key) -> None:
        topic = self.entries.pop(at).value.topic
        del self._by_topic[topic][at]
        if not self._by_topic[topic]:
            del self._by_topic[topic]

    def _observed(self, tag: Tag) -> None:
        """The entry with this tag is no more: so it is for whoever gets our next delta."""
        replica, clock = tag
        self._by_replica[replica].pop(clock, None)
        if replica in self.clouds:
            self.clouds[replica].discard(clock)
        self.delta.removed(tag)

    # --- deltas --------------------------------------------------------------------------------
    def has_delta(self) -> bool:
        return any(self.delta.clouds.values())

    def reset_delta(self) -> None:
        clock = self.context[self.ref]
        self.delta = Delta(self.ref, {self.ref: clock}, {self.ref: clock})

    # --- reading -------------------------------------------------------------------------------
    def down(self) -> set[Ref]:
        return {ref for ref, up in self.up.items() if not up}

    def clocks(self) -> Context:
        """What is told of with each heartbeat: nothing of who is down, for whom nothing could be given either."""
        down = self.down()
        return {ref: clock for ref, clock in self.context.items() if ref not in down}

    def of_topic(self, topic: bytes) -> Iterator[Value]:
        """Who is there, but by replicas that are down."""
        down = self.down()
        found = (self.entries[at] for at in self._by_topic.get(topic, ()))
        return (entry.value for entry in found if entry.tag[0] not in down)

    def of_replica(self, ref: Ref) -> list[Value]:
        return [self.entries[at].value for at in self._by_replica.get(ref, {}).values()]

    def extract(self, known: Iterable[Ref]) -> Other:
        """All of the replicas that somebody knows, to be sent to him."""
        wanted = set(known)
        return Other(
            {self.entries[at].tag: self.entries[at].value for ref in wanted for at in self._of(ref)},
            {ref: set(cloud) for ref, cloud in self.clouds.items() if ref in wanted},
            {ref: clock for ref, clock in self.context.items() if ref in wanted},
        )

    def _of(self, ref: Ref) -> Iterable[Key]:
        return self._by_replica.get(ref, {}).values()

    # --- what others have done -----------------------------------------------------------------
    def merge(self, other: Other) -> tuple[list[Value], list[Value]]:
        """(joins, leaves); an update is one of either."""
        joins = [Entry(value, tag) for tag, value in other.values.items() if self._is_news(tag)]
        leaves = list(self._gone(other))
        for ref, cloud in other.clouds.items():
            if ref in self.context:
                self.clouds[ref] = self.clouds.get(ref, set()) | cloud
        for entry in leaves:
            self._observed(entry.tag)
            self._forget(place(entry.value))
        for entry in joins:
            self._put(place(entry.value), entry)
        for ref, clock in other.context.items():
            if ref in self.context:
                self.context[ref] = max(self.context[ref], clock)
        self.compact()
        return [entry.value for entry in joins], [entry.value for entry in leaves]

    def _is_news(self, tag: Tag) -> bool:
        return tag[0] in self.context and not _in(tag, self.context, self.clouds)

    def _gone(self, other: Other) -> Iterator[Entry]:
        for ref, clocks in self._by_replica.items():
            if ref != self.ref and (ref in other.context or ref in other.clouds):
                seen: Iterable[int] = clocks if ref in other.context else other.clouds[ref] & clocks.keys()
                for clock in seen:
                    tag = (ref, clock)
                    if tag not in other.values and _in(tag, other.context, other.clouds):
                        yield self.entries[clocks[clock]]

    def compact(self) -> None:
        """Clocks that follow the context's are in it."""
        for ref, cloud in self.clouds.items():
            rest = set()
            for clock in sorted(cloud):
                known = self.context.get(ref, 0)
                if clock == known + 1:
                    self.context[ref] = clock
                elif clock > known:
                    rest.add(clock)
            self.clouds[ref] = rest
        self.delta.end[self.ref] = self.context[self.ref]

    # --- replicas ------------------------------------------------------------------------------
    def replica_up(self, ref: Ref) -> list[Value]:
        """Who is there by it, from when it was up before."""
        self.context.setdefault(ref, 0)
        self.up[ref] = True
        return self.of_replica(ref)

    def replica_down(self, ref: Ref) -> list[Value]:
        """Who is not there for the time being."""
        self.up[ref] = False
        return self.of_replica(ref)

    def remove_replica(self, ref: Ref) -> None:
        """It does not come back."""
        for at in self._by_replica.pop(ref, {}).values():
            self._forget(at)
        self.up.pop(ref, None)
        for clouds in (self.clouds, self.delta.clouds):
            clouds.pop(ref, None)
        for clocks in (self.context, self.delta.start, self.delta.end):
            clocks.pop(ref, None)
        self.delta.values = {tag: value for tag, value in self.delta.values.items() if tag[0] != ref}


def _in(tag: Tag, context: Context, clouds: Clouds) -> bool:
    ref, clock = tag
    return clock <= context.get(ref, -1) or clock in clouds.get(ref, ())


# --- clocks ----------------------------------------------------------------------------------------
Clocks = list[tuple[Ref, Context]]
"""Contexts of some replicas, none of which knows all that another one knows."""


def dominates(one: Context, other: Context) -> bool:
    """Whether everything is known in `one` that is in `other`."""
    return len(one) >= len(other) and all(one.get(ref, 0) >= clock for ref, clock in other.items())


def append_clock(known: Clocks, ref: Ref, context: Context) -> Clocks:
    """With one context more, without those of which another one knows all."""
    if not context:
        return known
    together: Context = {}
    for _, clocks in known:
        together = {**together, **{one: max(clock, together.get(one, 0)) for one, clock in clocks.items()}}
    if dominates(context, together):
        return [(ref, context)]
    if dominates(together, context):
        return known
    rest = [pair for pair in known if not dominates(context, pair[1])]
    new = len(rest) < len(known) or any(not dominates(clocks, context) for _, clocks in known)
    return [(ref, context), *rest] if new else rest


# --- who is up -------------------------------------------------------------------------------------
UP, DOWN, PERMDOWN = "up", "down", "permdown"


@dataclass(slots=True)
class _Replica:
    vsn: int
    seen: float
    up: bool = True


class Replicas:
    """The other trackers: when each was heard of last. What becomes of one is told as pairs of a word and its ref."""

    __slots__ = ("_down", "_known", "_permdown")

    def __init__(self, down: float, permdown: float) -> None:
        self._down = down
        self._permdown = permdown
        self._known: dict[Atom, _Replica] = {}

    def refs(self) -> list[Ref]:
        return [(name, one.vsn) for name, one in self._known.items() if one.up]

    def heard(self, ref: Ref, now: float) -> list[tuple[str, Ref]]:
        """It is alive."""
        name, vsn = ref
        before = self._known.get(name)
        if before is not None and before.vsn == vsn and before.up:
            before.seen = now
            return []
        self._known[name] = _Replica(vsn, now)
        if before is None or before.vsn == vsn:
            return [(UP, ref)]
        old = (name, before.vsn)
        return [*([(DOWN, old)] if before.up else []), (PERMDOWN, old), (UP, ref)]

    def overdue(self, now: float) -> list[tuple[str, Ref]]:
        """Who has said nothing for too long."""
        told = []
        for name, one in list(self._known.items()):
            silent, ref = now - one.seen, (name, one.vsn)
            if silent > self._down and one.up:
                told.append((DOWN, ref))
                one.up = False
            if silent > self._permdown:
                told.append((PERMDOWN, ref))
                del self._known[name]
        return told

    def ended(self, ref: Ref) -> list[tuple[str, Ref]]:
        """It has said that it does not come back."""
        one = self._known.get(ref[0])
        if one is None or one.vsn != ref[1]:
            return []
        del self._known[ref[0]]
        return [*([(DOWN, ref)] if one.up else []), (PERMDOWN, ref)]


def by_topic(joins: Iterable[Value], leaves: Iterable[Value]) -> Mapping[bytes, tuple[list[Value], list[Value]]]:
    """A diff, topic by topic."""
    found: dict[bytes, tuple[list[Value], list[Value]]] = {}
    for side, values in enumerate((joins, leaves)):
        for value in values:
            found.setdefault(value.topic, ([], []))[side].append(value)
    return found
