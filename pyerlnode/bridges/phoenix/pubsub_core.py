"""Phoenix.PubSub without processes: its names, the table of topics, and what may be sent where.

Reference: phoenix_pubsub 2.0 to 2.2 (`Phoenix.PubSub.PG2`), phoenix 1.7 (`Phoenix.Channel.Server.dispatch/3`).

    the scope of pg       Elixir.Phoenix.PubSub
    the groups            Elixir.MyApp.PubSub.Adapter, and of a pool ..._2, ..._3: one worker of each node in each
    between the workers   {forward_to_local, Topic :: binary, Message, Dispatcher :: module}

A publisher takes the group of its pid's `phash2`, so what one process publishes arrives in its order. The worker of the
other node calls ``Dispatcher:dispatch(Subscribers, none, Message)`` *in its own process*: a topic that is no binary, a
dispatcher that its node has not, or a payload that a channel's serializer can not write as JSON ends a worker of the
BEAM. So all three are checked here, before anything is sent.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Struct
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid

SCOPE: Final = Atom("Elixir.Phoenix.PubSub")
PLAIN: Final = SCOPE
"""The dispatcher that sends the message as it is; it has the scope's name."""
CHANNELS: Final = Atom("Elixir.Phoenix.Channel.Server")
"""The dispatcher of endpoints: a `%Phoenix.Socket.Broadcast{}` is written once for all clients of a channel."""
BROADCAST: Final = Atom("Elixir.Phoenix.Socket.Broadcast")
FORWARD: Final = A.forward_to_local
STRUCT: Final = A["__struct__"]
LEAVES: Final = (bool, int, float, Atom, datetime.date, datetime.time)
"""What JSON has beside text; dates and times are `Date`, `Time`, `NaiveDateTime` or `DateTime` in Elixir."""
DEEPEST: Final = 100
"""Levels of what is to be JSON; a list that holds itself has no end."""

Entry = tuple[Pid, Any]
"""A subscriber and the metadata of its subscription."""


# --- names -----------------------------------------------------------------------------------------
def module_of(name: str | Atom) -> Atom:
    """The atom of a name as Elixir writes it: ``"MyApp.PubSub"`` is a module, ``"my_pubsub"`` a plain atom."""
    if isinstance(name, Atom):
        return name
    if not isinstance(name, str) or not name:
        raise UsageError("the name is an atom or a str such as 'MyApp.PubSub'")
    return Atom(name if name.startswith("Elixir.") or not name[0].isupper() else f"Elixir.{name}")


def concat(name: Atom, last: str) -> Atom:
    """``Module.concat(name, last)``."""
    return Atom(f"Elixir.{name.name.removeprefix('Elixir.')}.{last}")


def groups_of(pubsub: Atom, pool_size: int) -> tuple[Atom, ...]:
    """The groups of a pool; the first one has no number, so that versions without pools know it."""
    if type(pool_size) is not int or pool_size < 1:
        raise UsageError("pool_size is the number of 1 or more that the BEAM's nodes are configured with")
    adapter = concat(pubsub, "Adapter")
    return adapter, *(Atom(f"{adapter}_{number}") for number in range(2, pool_size + 1))


def number_of(group: Any, adapter: Atom) -> int | None:
    """Which of a pool's groups it is, from 1 on; None for a group of another PubSub."""
    if group is adapter:
        return 1
    if type(group) is not Atom or not group.name.startswith(f"{adapter}_"):
        return None
    last = group.name[len(adapter.name) + 1 :]
    return int(last) if last.isdecimal() and last.isascii() and len(last) < 5 and last[0] != "0" else None


def group_for(pid: Pid, groups: tuple[Atom, ...]) -> Atom:
    """The group through which this process publishes."""
    return groups[0] if len(groups) == 1 else groups[phash2(pid, len(groups))]


def topic_of(topic: str | bytes) -> bytes:
    """A topic as it is on the wire. Raises `UsageError`."""
    if isinstance(topic, bytes):
        return topic
    if isinstance(topic, str):
        return topic.encode()
    raise UsageError(f"a topic is a str or bytes, not {type(topic).__name__}")


# --- what comes in ---------------------------------------------------------------------------------
def forwarded(message: Any) -> tuple[bytes, Any, Atom] | None:
    """(topic, message, dispatcher) of what a publisher sent to a worker; None for anything else."""
    if type(message) is tuple and len(message) == 4 and message[0] is FORWARD:
        _, topic, term, dispatcher = message
        if type(topic) is bytes and type(dispatcher) is Atom:
            return topic, term, dispatcher
    return None


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What an endpoint broadcast: ``%Phoenix.Socket.Broadcast{}``."""

    topic: str
    event: str
    payload: Any

    @classmethod
    def of(cls, message: Any) -> Broadcast | None:
        """The broadcast that a subscriber got; None when the message is none."""
        if type(message) is not Struct or message.module is not BROADCAST:
            return None
        topic, event = (message.fields.get(key) for key in (A.topic, A.event))
        if not isinstance(topic, bytes) or not isinstance(event, bytes):
            return None
        return cls(topic.decode(errors="replace"), event.decode(errors="replace"), message.fields.get(A.payload))

    def as_struct(self) -> Struct:
        return Struct(BROADCAST, {A.topic: self.topic, A.event: self.event, A.payload: self.payload})


# --- what goes out ---------------------------------------------------------------------------------
def check_broadcast(message: Any) -> None:
    """Refuse what would end the worker of a BEAM whose channels are to write it as JSON. Raises `UsageError`."""
    fields = _broadcast_fields(message)
    if fields is None:
        return  # sent as it is
    for key in (A.topic, A.event):
        if not _is_text(fields.get(key)):
            raise UsageError(f"the {key} of a broadcast is text")
    payload = fields.get(A.payload)
    if not isinstance(payload, Mapping):
        raise UsageError(f"the payload of a broadcast is a map, not {type(payload).__name__}")
    check_json(payload, "the payload")


def _broadcast_fields(message: Any) -> Mapping[Any, Any] | None:
    if type(message) is Struct:
        return message.fields if message.module is BROADCAST else None
    if isinstance(message, Mapping) and message.get(STRUCT) is BROADCAST:
        return message
    return None


def check_json(term: Any, what: str) -> None:
    """Raises `UsageError` for a term that Elixir's JSON libraries can not write, with the way to it."""
    waiting: list[tuple[Any, _Path]] = [(term, _Path(None, None, 0))]
    while waiting:
        value, path = waiting.pop()
        if path.depth > DEEPEST:
            raise UsageError(f"{what} is no JSON: it is nested more than {DEEPEST} levels deep")
        if isinstance(value, Mapping) and STRUCT not in value:
            for key, inner in value.items():
                if not (_is_text(key) or isinstance(key, (Atom, int)) or key is None):
                    raise UsageError(f"{what} is no JSON{path}: a key is {type(key).__name__}")
                if not _is_leaf(inner):
                    waiting.append((inner, _Path(path, key, path.depth + 1)))
        elif isinstance(value, list):
            inners = ((inner, number) for number, inner in enumerate(value) if not _is_leaf(inner))
            waiting += [(inner, _Path(path, number, path.depth + 1)) for inner, number in inners]
        elif not _is_leaf(value):
            raise UsageError(f"{what} is no JSON{path}: {type(value).__name__}")


class _Path:
    """Where in a term one is."""

    __slots__ = ("above", "depth", "step")

    def __init__(self, above: _Path | None, step: Any, depth: int) -> None:
        self.above = above
        self.step = step
        self.depth = depth

    def __str__(self) -> str:
        return "" if self.above is None else f"{self.above} › {self.step}"


def _is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, LEAVES) or _is_text(value)


def _is_text(value: Any) -> bool:
    """Whether it is UTF-8 on the wire."""
    try:
        return (isinstance(value, str) and value.encode() is not None) or (
            isinstance(value, bytes) and value.decode() is not None
        )
    except UnicodeError:
        return False


# --- who is there ----------------------------------------------------------------------------------
class Topics:
    """Who subscribed to what. Who subscribed twice gets a message twice, and unsubscribes once, as in Elixir."""

    __slots__ = ("_of_pid", "_topics")

    def __init__(self) -> None:
        self._topics: dict[bytes, _Topic] = {}
        self._of_pid: dict[Pid, set[bytes]] = {}

    def subscribe(self, topic: bytes, pid: Pid, metadata: Any = None) -> bool:
        """True when it is the first subscription of this process."""
        found = self._topics.get(topic)
        if found is None:
            found = self._topics[topic] = _Topic()
        found.entries.setdefault(pid, []).append((pid, metadata))
        found.listed = None
        known = self._of_pid.get(pid)
        if known is None:
            self._of_pid[pid] = {topic}
            return True
        known.add(topic)
        return False

    def unsubscribe(self, topic: bytes, pid: Pid) -> bool:
        """True when it was the last subscription of this process."""
        known = self._of_pid.get(pid)
        if known is None or topic not in known:
            return False
        self._drop(topic, pid)
        known.discard(topic)
        if known:
            return False
        del self._of_pid[pid]
        return True

    def forget(self, pid: Pid) -> None:
        """The process has ended."""
        for topic in self._of_pid.pop(pid, ()):
            self._drop(topic, pid)

    def _drop(self, topic: bytes, pid: Pid) -> None:
        found = self._topics[topic]
        del found.entries[pid]
        found.listed = None
        if not found.entries:
            del self._topics[topic]

    def entries(self, topic: bytes) -> tuple[Entry, ...]:
        """The subscriptions of a topic, as they are now: what changes meanwhile does not change this."""
        found = self._topics.get(topic)
        if found is None:
            return ()
        if found.listed is None:
            found.listed = tuple(entry for entries in found.entries.values() for entry in entries)
        return found.listed

    def names(self) -> list[bytes]:
        return list(self._topics)

    def has(self, pid: Pid) -> bool:
        return pid in self._of_pid

    def pids(self) -> list[Pid]:
        return list(self._of_pid)


class _Topic:
    """Subscriptions by process, and their list once somebody has asked for it."""

    __slots__ = ("entries", "listed")

    def __init__(self) -> None:
        self.entries: dict[Pid, list[Entry]] = {}
        self.listed: tuple[Entry, ...] | None = ()


class Peers:
    """The workers of other nodes, by group, as pg tells of them."""

    __slots__ = ("_groups", "_here", "_wanted")

    def __init__(self, here: Atom, groups: Iterable[Atom]) -> None:
        self._here = here
        self._wanted = tuple(groups)
        self._groups: dict[Atom, tuple[Pid, ...]] = dict.fromkeys(self._wanted, ())

    def join(self, group: Atom, pids: Iterable[Pid]) -> None:
        self._groups[group] = self.of(group) + tuple(pid for pid in pids if pid.node is not self._here)

    def leave(self, group: Atom, pids: Iterable[Pid]) -> None:
        left = list(self.of(group))
        for pid in pids:
            if pid in left:
                left.remove(pid)
        self._groups[group] = tuple(left)

    def of(self, group: Atom) -> tuple[Pid, ...]:
        return self._groups.get(group, ())

    def groups_of(self, node: Atom) -> list[Atom]:
        """The groups in which a node has a worker."""
        return [group for group, pids in self._groups.items() if any(pid.node is node for pid in pids)]

    def nodes(self) -> set[Atom]:
        """Nodes with a worker in every group by which is published here: whatever is published reaches them."""
        found = [{pid.node for pid in self.of(group)} for group in self._wanted]
        return set.intersection(*found)
