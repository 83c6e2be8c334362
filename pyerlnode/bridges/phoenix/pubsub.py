"""Phoenix.PubSub: publish to a Phoenix cluster and subscribe to it, as one of its nodes.

    pubsub = PubSub(node, "MyApp.PubSub")                      # the name and pool_size of the Elixir application
    pubsub.subscribe("rooms")                                  # messages to the calling process, or: , callback)
    pubsub.broadcast("rooms", (A.opened, "lobby"))             # handle_info of LiveViews, channels, any process
    pubsub.endpoint_broadcast("room:1", "new_msg", {"body": "hello"})   # MyAppWeb.Endpoint.broadcast/3

Reference: `pubsub_core`. The law:

- A worker for each group of the pool is a member of `pg`, and registered under the group's name. Publishing goes
  to the workers of connected nodes only; nobody is dialled for it. What one process publishes arrives in its order.
- A subscriber sees a term as Elixir sees it (text is bytes), also when it was published in this program.
- Subscriptions end with their process. One that has `max_waiting` messages in its mailbox, or a full mailbox that
  would make the sender wait, misses what comes then: counted, and nobody else waits.
- Nothing that a peer sends ends a worker: what is no message of a publisher is dropped and counted.
- Everything stands under a supervisor; when pg's scope ends, all join the next one.

Use it in greenlets and processes of its node.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from pyerlnode.bridges.phoenix import pubsub_core as core
from pyerlnode.bridges.phoenix.pubsub_core import CHANNELS, FORWARD, PLAIN, SCOPE, Broadcast, Entry
from pyerlnode.errors import AlreadyStarted, ConnectError, Exit, NoProc, ServerExit, UsageError
from pyerlnode.etf import decode, encode
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.host import Host
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.otp.where import started
from pyerlnode.runtime.bounded import BoundedProcess
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.phoenix")

MAX_WAITING: Final = 100_000
"""Messages in a subscriber's mailbox from which on it misses further ones, unless told otherwise."""

Dispatcher = Callable[[tuple[Entry, ...], Pid | None, Any], object]
"""``dispatch(entries, from, message)``: `entries` are pairs of pid and metadata, `from` is left out (None: nobody)."""


class Keeper(GenServer):
    """Knows who is there: the workers of other nodes, by pg, and which subscribers have ended."""

    def init(self, pubsub: PubSub) -> None:
        self.pubsub = pubsub
        self.waiting: list[tuple[Atom, Any, float]] = []
        self.wanted = 1
        pg, system = pubsub.host.pg, self.process.system
        self.scope = system.monitor(self.process, pg.start(SCOPE.name))
        pubsub.peers = core.Peers(system.node, pubsub.broadcast_groups)
        self.groups, known = pg.monitor_scope(scope=SCOPE.name)
        for group, members in known.items():
            self._joined(group, members)
        self.watched: dict[Pid, Reference] = {}
        for pid in pubsub.topics.pids():
            self.watch(pid)
        pubsub.keeper = self

    def watch(self, pid: Pid) -> None:
        if pid not in self.watched:
            self.watched[pid] = self.process.system.monitor(self.process, pid)

    def unwatch(self, pid: Pid) -> None:
        ref = self.watched.pop(pid, None)
        if ref is not None:
            self.process.system.demonitor(self.process, ref, flush=True)

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (A.pool_of, Atom() as node):
                return Reply(len(self.pubsub.peers.groups_of(node)))
            case (A.await_, Atom() as node, float() as seconds):
                if node in self.pubsub.peers.nodes():
                    return Reply(A.ok)
                now = self.process.system.timers.now()
                self.waiting = [waits for waits in self.waiting if waits[2] > now]
                self.waiting.append((node, from_, now + seconds))
                return NoReply()
        return Reply((A.error, A.unknown_call))

    def handle_cast(self, request: Any) -> None:
        del request
        self.pubsub.garbage += 1

    def handle_info(self, message: Any) -> Any:
        match message:
            case (Reference() as ref, A.join | A.leave as what, group, list() as pids) if ref == self.groups:
                self._changed(group, what, pids)
            case A.grow:
                self._grow()
            case (A.DOWN, Reference() as ref, _, _, _) if ref == self.scope:
                return Stop((A.shutdown, A.scope_down))  # the supervisor begins anew, in the next scope
            case (A.DOWN, Reference() as ref, _, Pid() as pid, _):
                if self.watched.get(pid) == ref:
                    del self.watched[pid]
                    self.pubsub.ended(pid)
            case _:
                self.pubsub.garbage += 1
        return None

    def _joined(self, group: Any, pids: list[Pid]) -> None:
        number = core.number_of(group, self.pubsub.groups[0])
        if number is None:
            return
        self.pubsub.peers.join(group, pids)
        if number > len(self.pubsub.groups) and self.pubsub.learns:
            self.wanted = max(number, self.wanted)
            self.process.system.send(self.pid, A.grow)  # not now: the supervisor that is to start workers may start us

    def _grow(self) -> None:
        """The pool of another node is larger: its processes publish by groups in which we have no worker yet."""
        for group in core.groups_of(self.pubsub.name, self.wanted)[len(self.pubsub.groups) :]:
            worker = child_spec(Worker, self.pubsub, group, name=group, id=group)
            Supervisor.start_child(core.concat(self.pubsub.name, "Supervisor"), worker, on=self.process.system)
            self.pubsub.groups += (group,)

    def _changed(self, group: Any, what: Atom, pids: list[Pid]) -> None:
        peers = self.pubsub.peers
        if what is A.join:
            self._joined(group, pids)
        elif core.number_of(group, self.pubsub.groups[0]) is not None:
            peers.leave(group, pids)
        if self.waiting:
            nodes = peers.nodes()
            waiting, self.waiting = self.waiting, []
            for waits in waiting:
                if waits[0] in nodes:
                    self.reply(waits[1], A.ok)
                else:
                    self.waiting.append(waits)


class Worker(GenServer):
    """Member of one group: takes what other nodes publish, and gives it to the subscribers here."""

    def init(self, pubsub: PubSub, group: Atom) -> None:
        self.pubsub = pubsub
        pubsub.host.pg.join(group, self.pid, scope=SCOPE.name)

    def handle_call(self, request: Any, from_: Any) -> Any:
        del request, from_
        self.pubsub.garbage += 1
        return Reply((A.error, A.unknown_call))

    def handle_cast(self, request: Any) -> None:
        del request
        self.pubsub.garbage += 1

    def handle_info(self, message: Any) -> None:
        found = core.forwarded(message)
        if found is None:
            self.pubsub.garbage += 1
        else:
            self.pubsub.received += 1
            self.pubsub.dispatch(found[0], None, found[1], found[2])


class Listener(GenServer):
    """The process of a subscription with a callback: one message after the other, and no error ends it."""

    def init(self, pubsub: PubSub, callback: Callable[[Any], object]) -> None:
        self.pubsub = pubsub
        self.callback = callback

    def handle_info(self, message: Any) -> None:
        try:
            self.callback(message)
        except BaseException as error:
            caught(error)
            self.pubsub.failed += 1
            report(log, "a callback of %s failed; its subscription goes on", self.pubsub.name, exc_info=error)

    def handle_cast(self, request: Any) -> None:
        self.handle_info((gen.CAST, request))

    def handle_call(self, request: Any, from_: Any) -> NoReply:
        self.handle_info((gen.CALL, from_, request))
        return NoReply()


class PubSub:
    """One PubSub of the cluster, seen from this node.

    Args:
        host: the node.
        name: of the PubSub in Elixir: ``"MyApp.PubSub"``, ``"my_pubsub"`` or an atom.
        pool_size: as configured in Elixir, and the same on all nodes. Unless given, it is learnt from the other nodes:
            Python hears by all groups that they have, and publishes by the first one, which everybody has.
        broadcast_pool_size: as in Elixir, while the pool of a running cluster is being enlarged.
        dispatchers: modules, beside those of Phoenix, that the nodes of the cluster have; with a function for the
            subscribers here, or None when they just get the message.
        max_waiting: messages in a subscriber's mailbox from which on it misses further ones; None: no bound.
        lent: it gives way to the next one of its name, as that of a `Presence` does to the program's own.

    Raises `AlreadyStarted` when this node has it already. What is asked of it after its end raises `NoProc`.

    Attributes:
        received: messages from other nodes.
        delivered: messages put into mailboxes here.
        missed: messages that were not, because too many were waiting.
        garbage: what came and was no message of a publisher.
        failed: callbacks and dispatchers that raised.
    """

    def __init__(
        self,
        host: Host,
        name: str | Atom,
        *,
        pool_size: int | None = None,
        broadcast_pool_size: int | None = None,
        dispatchers: Mapping[str | Atom, Dispatcher | None] | None = None,
        max_waiting: int | None = MAX_WAITING,
        lent: bool = False,
    ) -> None:
        self.host = host
        self.system = host.system
        self.name = core.module_of(name)
        self.learns = pool_size is None
        size = 1 if pool_size is None else pool_size
        self.groups = core.groups_of(self.name, size)
        self.broadcast_groups = core.groups_of(self.name, size if broadcast_pool_size is None else broadcast_pool_size)
        if len(self.broadcast_groups) > len(self.groups):
            raise UsageError("broadcast_pool_size is not above pool_size")
        self.dispatchers: dict[Atom, Dispatcher | None] = {PLAIN: None, CHANNELS: None}
        self.dispatchers |= {core.module_of(module): what for module, what in (dispatchers or {}).items()}
        self.max_waiting = max_waiting
        self.lent = lent
        self.topics = core.Topics()
        self.received = self.delivered = self.missed = self.garbage = self.failed = 0
        self.peers: core.Peers
        self.keeper: Keeper
        self._listeners: set[Pid] = set()
        self._slow: dict[Pid, int] = {}
        self.supervisor = self._start()

    def _start(self) -> Pid:
        children = [child_spec(Keeper, self, id="keeper")]
        children += [child_spec(Worker, self, group, name=group, id=group) for group in self.groups]
        name = core.concat(self.name, "Supervisor")
        try:
            return started(self.host.start(Supervisor, children, strategy="rest_for_one", name=name))
        except AlreadyStarted as error:
            other = self.of(self.host, self.name)
            if other is not None and other.lent and not self.lent:
                other.stop()
                return self._start()
            raise AlreadyStarted(error.reason, f"{self.name} is started already on this node", error.pid) from error

    @classmethod
    def of(cls, host: Host, name: str | Atom) -> PubSub | None:
        """The one of this name that runs on this node."""
        worker = host.system.registry.whereis(core.groups_of(core.module_of(name), 1)[0])
        handler = None if worker is None else behaviour_of(worker)
        return handler.pubsub if isinstance(handler, Worker) else None

    def __repr__(self) -> str:
        return f"<PubSub {self.name} on {self.system.node}>"

    def stop(self) -> None:
        """Leave the cluster's PubSub: subscriptions end, callbacks are called no more."""
        with suppress(Exit):
            gen.stop(self.system, self.supervisor)
        listeners = list(self._listeners)
        for pid in self.topics.pids():
            self.ended(pid)
        for pid in listeners:
            self.system.exit(pid, A.shutdown)

    # --- publishing ----------------------------------------------------------------------------
    def broadcast(self, topic: str | bytes, message: Any, *, dispatcher: str | Atom = PLAIN) -> None:
        """To all subscribers of the topic on all connected nodes. Raises `EncodeError`, `UsageError`."""
        self._publish(topic, None, message, dispatcher)

    def broadcast_from(
        self, topic: str | bytes, message: Any, *, from_: Pid | None = None, dispatcher: str | Atom = PLAIN
    ) -> None:
        """To all but one process of this node: `from_`, or the calling one."""
        self._publish(topic, from_ or self.system.myself().pid, message, dispatcher)

    def local_broadcast(
        self, topic: str | bytes, message: Any, *, from_: Pid | None = None, dispatcher: str | Atom = PLAIN
    ) -> None:
        """To subscribers of this node only; without `from_`, when it is given (`local_broadcast_from`)."""
        checked = self._checked(dispatcher, message)
        self._dispatch_here(core.topic_of(topic), from_, message, checked)

    def direct_broadcast(
        self, node: str | Atom, topic: str | bytes, message: Any, *, dispatcher: str | Atom = PLAIN
    ) -> None:
        """To subscribers of one node, which is connected to if need be. Raises `ConnectError`, `EncodeError`."""
        system, checked = self.system, self._checked(dispatcher, message)
        group = core.group_for(system.myself().pid, self.broadcast_groups)
        system.send((group, Atom(str(node))), (FORWARD, core.topic_of(topic), message, checked))

    def endpoint_broadcast(self, topic: str | bytes, event: str, payload: Mapping[Any, Any]) -> None:
        """``MyAppWeb.Endpoint.broadcast``: `event` to the clients of a channel's topic, and to its other subscribers.

        Args:
            payload: what is JSON: maps with keys of text or atoms, lists, text, numbers, atoms, dates, None. Anything
                else would end a worker of each node that has clients, and is a `UsageError` that says where it stands.
        """
        text = topic.decode(errors="surrogateescape") if isinstance(topic, bytes) else topic
        self._publish(topic, None, Broadcast(text, event, payload).as_struct(), CHANNELS)

    def _publish(self, topic: str | bytes, from_: Pid | None, message: Any, dispatcher: str | Atom) -> None:
        name, checked, system = core.topic_of(topic), self._checked(dispatcher, message), self.system
        envelope = (FORWARD, name, message, checked)
        for pid in self.peers.of(core.group_for(system.myself().pid, self.broadcast_groups)):
            if pid.node is not system.node and system.is_connected(pid.node):
                with suppress(ConnectError):  # lost just now: its subscribers are gone, the others are not
                    system.send(pid, envelope)
        self._dispatch_here(name, from_, message, checked)

    def _running(self) -> None:
        if self.system.process(self.supervisor) is None:
            raise NoProc((A.noproc, self.name), f"{self.name} runs on this node no more: it was stopped, or gave up")

    def _checked(self, dispatcher: str | Atom, message: Any) -> Atom:
        self._running()
        found = dispatcher if type(dispatcher) is Atom else core.module_of(dispatcher)
        if found not in self.dispatchers:
            raise UsageError(f"the dispatcher {found} is to be named in PubSub(dispatchers=…): a node without it fails")
        if found is CHANNELS:
            core.check_broadcast(message)
        return found

    def _dispatch_here(self, topic: bytes, from_: Pid | None, message: Any, dispatcher: Atom) -> None:
        if self.topics.entries(topic):
            self.dispatch(topic, from_, decode(encode(message)), dispatcher)

    # --- subscribers ---------------------------------------------------------------------------
    def subscribe(
        self, topic: str | bytes, callback: Callable[[Any], object] | None = None, *, metadata: Any = None
    ) -> Pid:
        """The messages of a topic to the calling process, or to `callback`; gives the pid of who gets them.

        A callback runs in a process of its own, until `unsubscribe(topic, pid)` or `stop`; what it raises is logged.
        `metadata` is for dispatchers. Who subscribes twice gets everything twice, as in Elixir.
        """
        self._running()
        name = core.topic_of(topic)
        if callback is None:
            pid = self._current().pid
        else:
            pid = started(gen_server.start(self.system, Listener, (self, callback)))
            self._listeners.add(pid)
        if self.topics.subscribe(name, pid, metadata) and self.keeper.process.alive:
            self.keeper.watch(pid)  # a keeper that is started anew watches all that are there
        return pid

    def unsubscribe(self, topic: str | bytes, pid: Pid | None = None) -> None:
        """The calling process, or `pid`, gets no more of this topic, however often it has subscribed."""
        pid = pid or self.system.myself().pid
        if self.topics.unsubscribe(core.topic_of(topic), pid):
            if self.keeper.process.alive:
                self.keeper.unwatch(pid)
            if pid in self._listeners:
                self._listeners.discard(pid)
                self.system.exit(pid, A.shutdown)

    def ended(self, pid: Pid) -> None:
        """A subscriber has ended."""
        self.topics.forget(pid)
        if pid in self._slow:
            log.warning("%s, subscribed to %s, ended; it had missed %d messages", pid, self.name, self._slow.pop(pid))
        self._listeners.discard(pid)

    def _current(self) -> Process:
        process = self.system.myself()
        return self.system.adopt() if process is self.system.root else process

    def dispatch(self, topic: bytes, from_: Pid | None, message: Any, dispatcher: Atom) -> None:
        """To the subscribers here, as `dispatcher` does it; one that nobody knows sends the message as it is."""
        entries = self.topics.entries(topic)
        if not entries:
            return
        special = self.dispatchers.get(dispatcher)
        if special is None:
            for pid, _ in entries:
                if pid != from_:
                    self.give(pid, message)
            return
        try:
            special(entries, from_, message)
        except BaseException as error:
            caught(error)
            self.failed += 1
            report(log, "the dispatcher %s of %s failed", dispatcher, self.name, exc_info=error)

    def give(self, pid: Pid, message: Any) -> None:
        """Put a message into the mailbox of a process here, unless too much is waiting in it. Waits for nobody."""
        process = self.system.process(pid)
        if process is None:
            return
        queue = process.queue
        if queue:
            bound = self.max_waiting
            if isinstance(process, BoundedProcess) and process.limit.policy == "suspend":
                bound = process.limit.size if bound is None else min(bound, process.limit.size)
            if bound is not None and len(queue) >= bound:
                self._misses(pid, len(queue))
                return
        elif self._slow and pid in self._slow:  # it has caught up
            log.warning("%s, subscribed to %s, has missed %d messages", pid, self.name, self._slow.pop(pid))
        self.delivered += 1
        process.deliver(message)

    def _misses(self, pid: Pid, waiting: int) -> None:
        self.missed += 1
        if pid not in self._slow:
            log.warning("%s, subscribed to %s, misses messages: %d wait in its mailbox", pid, self.name, waiting)
        self._slow[pid] = self._slow.get(pid, 0) + 1

    # --- who is there --------------------------------------------------------------------------
    def nodes(self) -> list[str]:
        """The nodes that get what is published here."""
        return sorted(str(node) for node in self.peers.nodes())

    def await_node(self, node: str | Atom, timeout: float = 10.0) -> None:
        """Wait until what this program publishes reaches `node`, and what `node` publishes reaches this program.

        That is some milliseconds after it was connected; seconds, when it was connected before its PubSub was started.
        Raises `CallTimeout` when it has no such PubSub, or one with a smaller pool; `NodeDown` when it is lost. When
        its pool is larger than the `pool_size` given here, a warning says so: not all that it publishes is heard.
        """
        self._running()
        name, now = Atom(str(node)), self.system.timers.now
        until = now() + timeout
        while True:
            left = max(0.0, until - now())
            gen.call(self.system, self.keeper.pid, (A.await_, name, left), left)
            with suppress(NoProc, ServerExit):  # its scope has ended meanwhile: the next one is awaited
                # A scope tells of its members, and then asks for ours. When it has answered, that question has come;
                # when ours has, ours are told to it; and when it has answered again, it has heard them. The keeper
                # answers when it has joined all groups of which it has been told.
                self._ask_scope(name, until)
                self.host.pg.leave(self.groups[0], [], scope=SCOPE.name)
                pool = 0
                while pool != (pool := gen.call(self.system, self.keeper.pid, (A.pool_of, name), left)):
                    pass  # what it has told itself to join comes before the second question
                if pool > len(self.groups):
                    log.warning(
                        "%s has a pool of %d for %s, of which %d are heard: leave pool_size out, and it is learnt",
                        name, pool, self.name, len(self.groups),
                    )  # fmt: skip
                self._ask_scope(name, until)
                return

    def _ask_scope(self, node: Atom, until: float) -> None:
        """Wait for an answer of pg's scope on `node`, before which it has handled all that was sent to it until now.

        As ``sys:statistics(Scope, get)``, which every OTP process answers and none is changed by.
        """
        left = max(0.0, until - self.system.timers.now())
        gen.call(self.system, (SCOPE, node), (A.debug, (A.statistics, A.get)), left, label=A.system)

    def stats(self) -> dict[str, int]:
        """The counters, and how many topics and subscribers there are."""
        counters = {key: getattr(self, key) for key in ("received", "delivered", "missed", "garbage", "failed")}
        return {**counters, "topics": len(self.topics.names()), "subscribers": len(self.topics.pids())}


__all__ = ["CHANNELS", "MAX_WAITING", "PLAIN", "Broadcast", "PubSub"]
