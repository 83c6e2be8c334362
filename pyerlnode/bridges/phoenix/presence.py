"""Phoenix.Presence and Phoenix.Tracker: processes of this node among those that a cluster tracks.

    presence = Presence(node, "MyAppWeb.Presence")           # or the name of a Phoenix.Tracker
    presence.track("room:1", "model", {A.status: "ready"})   # the calling process, until it ends
    presence.list("room:1")                                  # {b"model": [{A.status: b"ready", A.phx_ref: …}]}
    presence.watch("room:1")                                 # and its changes to the calling process

Reference: phoenix_pubsub 2.0 to 2.2, `Phoenix.Tracker`. Python is no replica of a tracker: it asks the tracker of a
node of the BEAM, by a call to that node's `rex`, which tells all others. The law:

- The tracker links to what it tracks. It is given a stand-in of the tracked process: the link breaks when the nodes
  lose each other, and that must not end the process itself.
- The stand-in ends with its process, and so does the presence. When the node that tracks it is lost, or its tracker
  ends, it asks another node, every `retry` seconds until one answers.
- A BEAM's Presence tells of changes on its own node only. `watch` lists the topic every `every` seconds and tells the
  difference: a ``presence_diff`` as a LiveView gets it.
- Metadata goes to browsers as JSON, written by the tracker's own process: what is no JSON is refused here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyerlnode.bridges.phoenix import presence_core as core
from pyerlnode.bridges.phoenix.presence_core import Presences
from pyerlnode.bridges.phoenix.pubsub_core import Topics, check_json, module_of, topic_of
from pyerlnode.errors import ConnectError, Exit, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.host import Host
from pyerlnode.otp.results import Reply, Stop
from pyerlnode.otp.where import started
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.phoenix")

TRACKER: Final = Atom("Elixir.Phoenix.Tracker")
RETRY: Final = 1.0
"""Seconds between two attempts to track again what its node has lost."""
EVERY: Final = 1.0
"""Seconds between two looks at a watched topic."""
GRACE: Final = 5.0
"""Seconds that a stand-in may take beyond the time-out of its call to a tracker."""


class PresenceError(Exit):
    """A tracker did not do it; `reason` is what it answered, or why it could not be asked."""

    def __init__(self, reason: Any, what: str) -> None:
        super().__init__(reason, what)


class _Tracked:
    """One presence: its metadata, and the node that tracks it; None when it has lost it."""

    __slots__ = ("meta", "node")

    def __init__(self, meta: Any, node: Atom | None) -> None:
        self.meta = meta
        self.node = node


class StandIn(GenServer):
    """What trackers track in the place of one process."""

    def init(self, presence: Presence, owner: Pid) -> None:
        self.process.trap_exit = True
        self.presence = presence
        self.owner = owner
        self.tracked: dict[tuple[bytes, bytes], _Tracked] = {}
        self.again = False
        self.why = ""
        """Why the last attempt to be tracked again failed."""
        self.owner_ref = self.process.system.monitor(self.process, owner)

    def handle_call(self, request: Any, from_: Any) -> Any:
        del from_
        try:
            match request:
                case (A.track, key, meta, float() as timeout):
                    return Reply(self._track(key, meta, timeout))
                case (A.update, key, meta, float() as timeout):
                    return Reply(self._update(key, meta, timeout))
                case (A.untrack, key, float() as timeout):
                    return Reply(self._untrack(key, timeout))
        except PresenceError as error:
            return Reply((A.error, error.reason, str(error)))
        return Reply((A.error, A.unknown_call, "a stand-in does not know this call"))

    def handle_cast(self, request: Any) -> None:
        del request

    def handle_info(self, message: Any) -> Any:
        match message:
            case (A.DOWN, Reference() as ref, _, _, _) if ref == self.owner_ref:
                return Stop()
            case (A.EXIT, Pid() as tracker, _):
                self._lost(tracker.node)
            case A.again:
                self.again = False
                self._track_lost()
        return None

    def terminate(self, reason: Any) -> None:
        del reason
        self.presence.stand_ins.pop(self.owner, None)

    def _track(self, key: tuple[bytes, bytes], meta: Any, timeout: float) -> Any:
        if key in self.tracked:
            return A.error, A.already_tracked, "the process is tracked under this topic and key already"
        node, answer = self.presence.ask_any("track", [self.pid, *key, meta], timeout)
        self.tracked[key] = _Tracked(meta, node)
        return answer

    def _update(self, key: tuple[bytes, bytes], meta: Any, timeout: float) -> Any:
        tracked = self.tracked.get(key)
        if tracked is None:
            return A.error, A.nopresence, "the process is not tracked under this topic and key"
        answer: Any = A.ok, None  # of nobody: the next node is told the new one
        if tracked.node is not None:
            answer = self.presence.ask(tracked.node, "update", [self.pid, *key, meta], timeout)
        tracked.meta = meta
        return answer

    def _untrack(self, key: tuple[bytes, bytes], timeout: float) -> Any:
        tracked = self.tracked.get(key)
        if tracked is not None:
            if tracked.node is not None:
                self.presence.ask(tracked.node, "untrack", [self.pid, *key], timeout)
            del self.tracked[key]
        return A.ok, None

    def _lost(self, node: Atom) -> None:
        for tracked in self.tracked.values():
            if tracked.node is node:
                tracked.node = None
        self._track_lost()

    def _track_lost(self) -> None:
        lost = [(key, tracked) for key, tracked in self.tracked.items() if tracked.node is None]
        try:
            for key, tracked in lost:
                tracked.node, _ = self.presence.ask_any("track", [self.pid, *key, tracked.meta], GRACE, connected=True)
        except PresenceError as error:
            if str(error) != self.why:
                self.why = str(error)
                log.info("%s is to be tracked again, every %g s: %s", self.owner, self.presence.retry, error)
            self._try_again()
        else:
            self.why = ""

    def _try_again(self) -> None:
        if not self.again:
            self.again = True
            self.process.system.send_after(self.presence.retry, self.pid, A.again)


class Watcher(GenServer):
    """Lists the watched topics and tells their subscribers what has changed."""

    def init(self, presence: Presence, every: float) -> None:
        self.presence = presence
        self.every = every
        self.topics = Topics()
        self.known: dict[bytes, Presences] = {}
        self.watched: dict[Pid, Reference] = {}
        self.armed = False

    def handle_call(self, request: Any, from_: Any) -> Any:
        del from_
        match request:
            case (A.watch, Pid() as pid, bytes() as topic, float() as timeout):
                return Reply(self._watch(pid, topic, timeout))
            case (A.unwatch, Pid() as pid, bytes() as topic):
                if self.topics.unsubscribe(topic, pid):
                    self.process.system.demonitor(self.process, self.watched.pop(pid), flush=True)
                return Reply(A.ok)
        return Reply((A.error, A.unknown_call, "a watcher does not know this call"))

    def handle_cast(self, request: Any) -> None:
        del request

    def handle_info(self, message: Any) -> None:
        match message:
            case A.look:
                self.armed = False
                self._look()
                self._arm()
            case (A.DOWN, Reference() as ref, _, Pid() as pid, _) if self.watched.get(pid) == ref:
                del self.watched[pid]
                self.topics.forget(pid)

    def _watch(self, pid: Pid, topic: bytes, timeout: float) -> Any:
        known = self.known.get(topic) if self.topics.entries(topic) else None
        if known is None:
            try:
                known = self.known[topic] = self.presence.list(topic, timeout=timeout)
            except PresenceError as error:
                return A.error, error.reason, str(error)
        if pid not in {entry[0] for entry in self.topics.entries(topic)} and self.topics.subscribe(topic, pid):
            self.watched[pid] = self.process.system.monitor(self.process, pid)
        self._arm()
        return A.ok, known

    def _arm(self) -> None:
        if not self.armed and self.topics.names():
            self.armed = True
            self.process.system.send_after(self.every, self.pid, A.look)

    def _look(self) -> None:
        names = self.topics.names()
        self.known = {topic: self.known[topic] for topic in names}
        for topic in names:
            try:
                now = self.presence.list(topic)
            except PresenceError as error:
                log.debug("%s", error)  # what is known stays until a tracker answers again
                return
            joins, leaves = core.difference(self.known[topic], now)
            self.known[topic] = now
            if joins or leaves:
                message = core.diff_message(topic, joins, leaves)
                for pid, _ in self.topics.entries(topic):
                    self.process.system.send(pid, message)


class Presence:
    """The presences of a cluster, seen from this node.

    Args:
        host: the node.
        tracker: the name in Elixir: ``"MyAppWeb.Presence"``, or that of a `Phoenix.Tracker`.
        via: the nodes whose tracker is asked, in this order; unless given, the nodes that are connected.
        every: seconds between two looks at a watched topic.
        retry: seconds between two attempts to be tracked again, when the node that tracked is lost.
    """

    def __init__(
        self,
        host: Host,
        tracker: str | Atom,
        *,
        via: str | Atom | Iterable[str | Atom] = (),
        every: float = EVERY,
        retry: float = RETRY,
    ) -> None:
        self.host = host
        self.system = host.system
        self.tracker = module_of(tracker)
        self.via = [Atom(str(node)) for node in ([via] if isinstance(via, (str, Atom)) else via)]
        self.every = every
        self.retry = retry
        self.stand_ins: dict[Pid, Pid] = {}
        self._watcher: Pid | None = None

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

        Raises `PresenceError`: already_tracked, or why no tracker could be asked.
        """
        found = self._told((A.track, _key(topic, key), _meta(meta), float(timeout)), pid, timeout)
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
        self._told((A.update, _key(topic, key), _meta(meta), float(timeout)), pid, timeout)

    def untrack(self, topic: str | bytes, key: str | bytes, *, pid: Pid | None = None, timeout: float = 5.0) -> None:
        """The process is present under this topic and key no longer; if it was not, nothing changes."""
        self._told((A.untrack, _key(topic, key), float(timeout)), pid, timeout)

    def list(self, topic: str | bytes, *, timeout: float = 5.0) -> Presences:
        """All metadata by key, as the first tracker that answers knows it. Raises `PresenceError`."""
        node, listed = self.ask_any("list", [topic_of(topic)], timeout)
        found = core.presences_of(listed)
        if found is None:
            raise PresenceError(A.bad_answer, f"the tracker {self.tracker} on {node} gave no list of presences")
        return found

    def get_by_key(self, topic: str | bytes, key: str | bytes, *, timeout: float = 5.0) -> list[Any]:  # type: ignore[valid-type]  # `list` is a method here
        """The metadata of one key."""
        return self.list(topic, timeout=timeout).get(_key(topic, key)[1], [])

    def watch(self, topic: str | bytes, *, timeout: float = 5.0) -> Presences:
        """The presences of a topic now; each change then comes to the calling process as a ``presence_diff``.

        `pubsub.Broadcast.of(message)` reads one: its payload is ``{joins: {key: {metas: [meta]}}, leaves: …}``.
        """
        found: Presences = _answer(
            self._call_watcher((A.watch, self._current().pid, topic_of(topic), float(timeout)), timeout)
        )
        return found

    def unwatch(self, topic: str | bytes) -> None:
        """The calling process gets no more of it."""
        self._call_watcher((A.unwatch, self._current().pid, topic_of(topic)), GRACE)

    def stop(self) -> None:
        """End what this object has started: nobody is present through it any more, nothing is watched."""
        for pid in [*self.stand_ins.values(), *([self._watcher] if self._watcher else [])]:
            self.system.exit(pid, A.shutdown)
            self.system.exit(pid, A.kill)
        self.stand_ins.clear()
        self._watcher = None

    # --- asking trackers -----------------------------------------------------------------------
    def ask_any(self, function: str, args: Any, timeout: float, *, connected: bool = False) -> tuple[Atom, Any]:
        """(node, answer) of the first node that can do it; `connected`: nobody is dialled."""
        failed: PresenceError | None = None
        for node in self._nodes(connected):
            answer = self._asked(node, function, args, timeout)
            if not isinstance(answer, PresenceError):
                return node, answer
            if answer.reason is A.already_tracked:
                return node, (A.ok, b"")  # by an attempt whose answer was lost
            failed = failed or answer
        raise failed or PresenceError(A.no_node, f"no node is connected that could be asked for {self.tracker}")

    def _asked(self, node: Atom, function: str, args: Any, timeout: float) -> Any:
        try:
            return self.ask(node, function, args, timeout)
        except PresenceError as error:
            return error

    def _nodes(self, connected: bool) -> Any:
        there = [Atom(node) for node in self.host.nodes()]
        return there if not self.via else [node for node in self.via if not connected or node in there]

    def ask(self, node: Atom, function: str, args: Any, timeout: float) -> Any:
        """``Phoenix.Tracker.function(tracker, …)`` on `node`: its answer. Raises `PresenceError`."""
        call = (A.call, TRACKER, Atom(function), [self.tracker, *args], A.user)
        try:
            answer = gen.call(self.system, (A.rex, node), call, timeout)
        except (Exit, ConnectError) as error:
            reason = error.reason if isinstance(error, Exit) else A.noconnection
            raise PresenceError(reason, f"{node} could not be asked for the tracker {self.tracker}") from error
        match answer:
            case (A.badrpc, why):
                raise PresenceError(why, f"{node} has no tracker {self.tracker}, or it failed")
            case (A.error, (Atom() as reason, *_)) | (A.error, Atom() as reason):
                raise PresenceError(reason, f"the tracker {self.tracker} on {node} refused: {reason}")
        return answer

    # --- our own processes ---------------------------------------------------------------------
    def _told(self, request: Any, pid: Pid | None, timeout: float) -> Any:
        owner = pid or self._current().pid
        if owner.node is not self.system.node or self.system.process(owner) is None:
            raise UsageError("who is tracked is a live process of this node")
        stand_in = self.stand_ins.get(owner)
        if stand_in is None or self.system.process(stand_in) is None:
            stand_in = self.stand_ins[owner] = started(gen_server.start(self.system, StandIn, (self, owner)))
        return _answer(gen.call(self.system, stand_in, request, timeout + GRACE))

    def _call_watcher(self, request: Any, timeout: float) -> Any:
        if self._watcher is None or self.system.process(self._watcher) is None:
            self._watcher = started(gen_server.start(self.system, Watcher, (self, self.every)))
        return gen.call(self.system, self._watcher, request, timeout + GRACE)

    def _current(self) -> Process:
        process = self.system.myself()
        return self.system.adopt() if process is self.system.root else process


def _answer(answer: Any) -> Any:
    match answer:
        case (A.error, reason, str(what)):
            raise PresenceError(reason, what)
        case (A.ok, value):
            return value
    raise PresenceError(A.bad_answer, "the tracker's answer is not known")


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
    return found


__all__ = ["Presence", "PresenceError"]
