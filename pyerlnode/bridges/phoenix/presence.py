"""Phoenix.Presence and Phoenix.Tracker: processes of this node among those that a cluster tracks.

    presence = Presence(node, "MyAppWeb.Presence")           # or the name of a Phoenix.Tracker
    presence.track("room:1", "model", {A.status: "ready"})   # the calling process, until it ends
    presence.list("room:1")                                  # {b"model": [{A.status: b"ready", A.phx_ref: …}]}
    presence.watch("room:1")                                 # and its changes to the calling process

Reference: phoenix_pubsub 2.0 to 2.2, `Phoenix.Tracker`. This node becomes a replica of the tracker (`tracker`), as each
node of the BEAM is one: no other node has to live for what is tracked here. The law:

- What the tracker is called by its PubSub, and how it is configured, is asked of the first node that has it, once.
- A process is present until it ends, whatever becomes of other nodes. It is not linked to anything.
- `list` answers from what this node knows. A change is known to all within `every` and the way; what other nodes do,
  within their ``broadcast_period``.
- `watch` tells each change as a ``presence_diff``, as a LiveView gets it.
- Metadata goes to browsers as JSON, written by the tracker's own process: what is no JSON is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyerlnode.bridges.phoenix import tracker_wire_core
from pyerlnode.bridges.phoenix.presence_core import Presences
from pyerlnode.bridges.phoenix.pubsub_core import check_json, module_of, topic_of
from pyerlnode.bridges.phoenix.tracker import Tracker
from pyerlnode.bridges.phoenix.tracker_wire_core import Config
from pyerlnode.errors import AlreadyStarted, ConnectError, Exit, NoProc, UsageError
from pyerlnode.etf import decode, encode
from pyerlnode.otp import gen
from pyerlnode.otp.host import Host
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

EVERY: Final = 0.1
"""Seconds in which a change is told to the other nodes."""


class PresenceError(Exit):
    """It was not done; `reason` is OTP's, or Phoenix's, for why."""

    def __init__(self, reason: Any, what: str) -> None:
        super().__init__(reason, what)


class Presence:
    """The presences of a cluster, seen from this node. All of one tracker on a node are one.

    Args:
        host: the node.
        tracker: the name in Elixir: ``"MyAppWeb.Presence"``, or that of a `Phoenix.Tracker`.
        via: the nodes that are asked how it is configured, in this order; unless given, those that are connected.
        every: seconds in which a change is told to the other nodes.
        pubsub: the name of its PubSub. Given, nobody is asked, and the tracker is there without other nodes.
        pool_size: as the tracker has it, when `pubsub` is given.
        permdown_on_shutdown: at the end, say to the other nodes that what was tracked here is gone. Otherwise, as when
            the program is killed, they see that after their ``down_period``, of 30 s unless it is configured.
    """

    def __init__(
        self,
        host: Host,
        tracker: str | Atom,
        *,
        via: str | Atom | Iterable[str | Atom] = (),
        every: float = EVERY,
        pubsub: str | Atom | None = None,
        pool_size: int = 1,
        permdown_on_shutdown: bool = True,
    ) -> None:
        self.host = host
        self.system = host.system
        self.name = module_of(tracker)
        self.via = [Atom(str(node)) for node in ([via] if isinstance(via, (str, Atom)) else via)]
        self.every = every
        self.config = None if pubsub is None else Config(module_of(pubsub), pool_size)
        self.permdown_on_shutdown = permdown_on_shutdown

    # --- who is there --------------------------------------------------------------------------
    def track(
        self,
        topic: str | bytes,
        key: str | bytes,
        meta: Mapping[Any, Any] | None = None,
        *,
        pid: Pid | None = None,
        timeout: float = 5.0,
    ) -> bytes:
        """The calling process, or `pid` of this node, is present under `key` until it ends; gives its reference.

        Raises `PresenceError`: already_tracked, or why no node could say how the tracker is configured.
        """
        found = self._told(A.track, pid, _key(topic, key), timeout, _meta(meta))
        return bytes(found)

    def update(
        self,
        topic: str | bytes,
        key: str | bytes,
        meta: Mapping[Any, Any],
        *,
        pid: Pid | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Give a presence other metadata. Raises `PresenceError`: nopresence, or as `track`."""
        self._told(A.update, pid, _key(topic, key), timeout, _meta(meta))

    def untrack(self, topic: str | bytes, key: str | bytes, *, pid: Pid | None = None, timeout: float = 5.0) -> None:
        """The process is present under this topic and key no longer; if it was not, nothing changes."""
        self._told(A.untrack, pid, _key(topic, key), timeout)

    def list(self, topic: str | bytes, *, timeout: float = 5.0) -> Presences:
        """All metadata by key, as this node knows it. Raises `PresenceError`."""
        name = topic_of(topic)
        found: Presences = self._ask((A.list_topic, name), name, timeout)
        return found

    def get_by_key(self, topic: str | bytes, key: str | bytes, *, timeout: float = 5.0) -> list[Any]:  # type: ignore[valid-type]  # `list` is a method here
        """The metadata of one key."""
        return self.list(topic, timeout=timeout).get(_key(topic, key)[1], [])

    def watch(self, topic: str | bytes, *, timeout: float = 5.0) -> Presences:
        """The presences of a topic now; each change then comes to the calling process as a ``presence_diff``.

        `pubsub.Broadcast.of(message)` reads one: its payload is ``{joins: {key: {metas: [meta]}}, leaves: …}``.
        """
        name = topic_of(topic)
        found: Presences = self._ask((A.watch, self._current().pid, name), name, timeout)
        return found

    def unwatch(self, topic: str | bytes, *, timeout: float = 5.0) -> None:
        """The calling process gets no more of it."""
        name = topic_of(topic)
        self._ask((A.unwatch, self._current().pid, name), name, timeout)

    def await_node(self, node: str | Atom, timeout: float = 10.0) -> None:
        """Wait until this node knows all that `node` knows, and `node` all that is tracked here.

        Raises `CallTimeout` when it has no such tracker.
        """
        tracker = self._tracker(timeout)
        for shard in tracker.shards:
            gen.call(self.system, shard, (A.await_, Atom(str(node)), float(timeout)), timeout)

    def stop(self) -> None:
        """This node is no replica any more: nobody is present by it, nothing is watched."""
        tracker = Tracker.of(self.host, self.name)
        if tracker is not None:
            tracker.stop()

    # --- the replica ---------------------------------------------------------------------------
    def _tracker(self, timeout: float) -> Tracker:
        """The one of this node, which is started when it is first needed."""
        found = Tracker.of(self.host, self.name)
        if found is not None:
            return found
        learnt = None if self.config is not None else self._learn(timeout)
        config = self.config if learnt is None else learnt[1]
        assert config is not None
        try:
            made = Tracker(self.host, self.name, config, self.every, self.permdown_on_shutdown)
        except AlreadyStarted:  # by somebody else, while we asked
            return self._tracker(timeout)
        if learnt is not None:
            for shard in made.shards:
                gen.call(self.system, shard, (A.await_, learnt[0], float(timeout)), timeout)
        return made

    def _learn(self, timeout: float) -> tuple[Atom, Config]:
        """(node, configuration), as the first one that has the tracker says."""
        failed: PresenceError | None = None
        question = (A.get_childspec, Atom(f"{self.name}_shard0"))
        for node in self.via or [Atom(node) for node in self.host.nodes()]:
            try:
                answer = gen.call(self.system, (self.name, node), question, timeout)
            except (Exit, ConnectError) as error:
                lost = isinstance(error, Exit) and not isinstance(error, NoProc)
                what = "could not be asked for the" if lost or isinstance(error, ConnectError) else "has no"
                reason = error.reason if isinstance(error, Exit) else A.noconnection
                failed = failed or PresenceError(reason, f"{node} {what} tracker {self.name}")
                continue
            config = tracker_wire_core.config_of(answer)
            if config is not None:
                return node, config
            failed = failed or PresenceError(A.bad_answer, f"{node} has no tracker {self.name}: that is something else")
        raise failed or PresenceError(A.no_node, f"no node is connected that could be asked for {self.name}")

    def _told(self, what: Atom, pid: Pid | None, key: tuple[bytes, bytes], timeout: float, *meta: Any) -> Any:
        owner = pid or self._current().pid
        if owner.node is not self.system.node or self.system.process(owner) is None:
            raise UsageError("who is tracked is a live process of this node")
        return self._ask((what, owner, key, *meta), key[0], timeout)

    def _ask(self, request: Any, topic: bytes, timeout: float) -> Any:
        """The answer of the topic's shard."""
        shard = self._tracker(timeout).shard_of(topic)
        match gen.call(self.system, shard, request, timeout):
            case (A.error, reason, str(what)):
                raise PresenceError(reason, what)
            case (A.ok, value):
                return value
        raise PresenceError(A.bad_answer, "the shard's answer is not known")

    def _current(self) -> Process:
        process = self.system.myself()
        return self.system.adopt() if process is self.system.root else process


def _key(topic: str | bytes, key: str | bytes) -> tuple[bytes, bytes]:
    check_json([topic, key], "the topic and key of a presence")
    if not isinstance(key, (str, bytes)):
        raise UsageError(f"the key of a presence is text, not {type(key).__name__}")
    return topic_of(topic), topic_of(key)


def _meta(meta: Mapping[Any, Any] | None) -> Mapping[Any, Any]:
    found = {} if meta is None else meta
    if not isinstance(found, Mapping):
        raise UsageError(f"the metadata of a presence is a map, not {type(found).__name__}")
    check_json(found, "the metadata of a presence")
    return decode(encode(found))  # type: ignore[no-any-return]  # a map: as other nodes see it


__all__ = ["Presence", "PresenceError"]
