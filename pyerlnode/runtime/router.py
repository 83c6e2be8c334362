"""Signals to and from other nodes: one `RemoteNode` per peer holds what must be told when the peer is lost.

Sending: `System.route(node)` gives the `Route` that `kernel.net_kernel` has installed (a connection); the runtime
never learns what a socket is. Receiving: a connection calls `RemoteNode.deliver` with each `Signal` in the order of
the wire; it carries out what protocol.md C.6 says of the signal, and always ends in an outcome: a message, an exit,
a DOWN, an answer with `noproc`, or a silent drop where OTP drops silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from pyerlnode.errors import ConnectError, ProtocolError
from pyerlnode.limits import DEFAULT_LIMITS
from pyerlnode.runtime.dialling import Dialling
from pyerlnode.runtime.priority_core import advance
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.process_core import LinkEnd
from pyerlnode.signal import (
    Demonitor,
    Exit2,
    ExitSignal,
    GroupLeader,
    Link,
    Message,
    Monitor,
    MonitorExit,
    Signal,
    SpawnReply,
    SpawnRequest,
    Unlink,
    UnlinkAck,
)
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import ImproperList
from pyerlnode.term.pid import Pid, Reference

_ALIAS = (A.alias,)
_SYSTEM = A.system


class Route(Protocol):
    """Carries signals to one node, in order."""

    def send(self, signal: Signal, /) -> object:
        """Encode and queue `signal`. Raises `EncodeError` before anything is queued; a closed route drops it."""
        ...


class Told(Protocol):
    """Who monitors and is no plain monitor of a process: a call that waits, a monitor with options."""

    def down(self, reason: Any, /) -> object: ...


class RemoteWatcher:
    """A process `pid` of another node that monitors `process` of ours; `named` is how it named it.

    It is its own key among those who monitor the process: a reference takes longer to hash than all else here.
    """

    __slots__ = ("named", "node", "pid", "process", "ref")

    def __init__(self, node: RemoteNode, process: Process, pid: Pid, ref: Reference, named: Pid | Atom) -> None:
        self.node = node
        self.process = process
        self.pid = pid
        self.ref = ref
        self.named = named

    def down(self, reason: Any) -> None:
        self.node.watchers.pop(self.ref.words, None)
        self.node.tell(MonitorExit(self.named, self.pid, self.ref, reason))


class RemoteNode:
    """A peer as the runtime knows it: its route while connected, and every relation that ends with it."""

    def __init__(self, system: Any, node: Atom) -> None:
        self.system = system
        self.node = node
        self.route: Route | None = None
        self.dialling: Dialling | None = None
        """What waits while there is an attempt to connect, and no route."""
        self.refusal: ConnectError | None = None
        """Why the last attempt came to nothing."""
        self.creation = 0
        """Of its present life; 0 while it is not known."""
        self.most_relations = DEFAULT_LIMITS.relations
        self.is_new = False
        """Whether the handshake has said that it is of OTP 28 or later."""
        self.stdlib: tuple[int, ...] | None = None
        """The version of its stdlib, once somebody had to know (`otp.releases`)."""
        self.linked: dict[tuple[Process, Pid], None] = {}
        self.monitors: dict[tuple[int, ...], tuple[Process | Told, Reference, Any]] = {}
        """Our monitors of its processes, by the words of the reference."""
        self.watchers: dict[tuple[int, ...], RemoteWatcher] = {}
        """Its monitors of our processes, by the words of its reference."""
        self.spawns: dict[tuple[int, ...], Any] = {}
        """Our spawn requests that it has not answered."""
        self._untold: Iterator[None] = iter(())
        """Who has still to be told that the last connection is lost."""
        self._on: dict[type, Callable[[Any], None]] = {
            Link: self._link,
            Unlink: self._unlink,
            UnlinkAck: self._unlink_ack,
            ExitSignal: self._exit,
            Exit2: self._exit2,
            Monitor: self._monitor,
            Demonitor: self._demonitor,
            MonitorExit: self._monitor_exit,
            GroupLeader: self._group_leader,
            SpawnRequest: self._spawn_request,
            SpawnReply: self._spawn_reply,
        }

    def connected(self, route: Route) -> Iterable[Signal]:
        """From now on signals to the peer take `route`. Gives those that waited for it, which are to go before."""
        self._tell_the_rest()
        self.system.peers[self.node] = self  # it may have been forgotten just now
        dialling, self.dialling, self.refusal = self.dialling, None, None
        tokens = self.system.trace_tokens
        self.route = route if tokens is None else tokens.route(route)
        return () if dialling is None else filter(self._is_for_this_life, dialling.end(None))

    def _is_for_this_life(self, signal: Signal) -> bool:
        """False for what a BEAM takes for a fault, where it turns out that the peer was started anew meanwhile."""
        if not isinstance(signal, (ExitSignal, Unlink, UnlinkAck)) or not self._is_of_the_past(signal.to):
            return True
        if isinstance(signal, Unlink):
            self._unlink_ack(UnlinkAck(signal.id, signal.to, signal.from_))
        return False

    def not_sent(self, signal: Signal) -> None:
        """The peer knows no such signal: who waits for its answer is told."""
        if isinstance(signal, SpawnRequest):
            self._spawn_reply(SpawnReply(signal.ref, signal.from_, 0, A.notsup))

    def dial(self, limit: int) -> Dialling:
        """An attempt to connect begins: until it is over signals wait, up to `limit` bytes."""
        self._tell_the_rest()
        self.system.peers[self.node] = self
        self.dialling = Dialling(self.system, self.node, limit)
        return self.dialling

    def not_connected(self, error: ConnectError) -> int:
        """The attempt has failed: who waits for something is told `noconnection`. How many messages are lost."""
        dialling, self.dialling, self.refusal = self.dialling, None, error
        if dialling is None:
            return 0
        dialling.end(error)
        self.lost()
        return dialling.messages

    def way(self) -> Route | None:
        """Where signals to the peer go now: the connection, or what waits for one."""
        if self.route is not None or self.dialling is None:
            return self.route
        tokens = self.system.trace_tokens
        return self.dialling if tokens is None else tokens.route(self.dialling)

    def tell(self, signal: Signal) -> None:
        """Send when connected; a peer that is lost has been told `noconnection` by its own node."""
        if isinstance(signal, (ExitSignal, Unlink, UnlinkAck)) and self._is_of_the_past(signal.to):
            if isinstance(signal, Unlink):  # nobody is there who could acknowledge it
                self._unlink_ack(UnlinkAck(signal.id, signal.to, signal.from_))
            return
        route = self.route or self.way()
        if route is not None:
            self.system.send_safely(route, signal)

    def _is_of_the_past(self, pid: Pid) -> bool:
        """A pid of an earlier life of the peer: these signals to it would cost the connection on a BEAM."""
        return self.creation != 0 and pid.creation != self.creation

    def deliver(self, signal: Signal) -> None:
        """One signal from the peer."""
        if type(signal) is Message:
            if signal.token is not None:
                self._traced(signal)
                return
            to = signal.to
            kind = type(to)
            if kind is Pid:
                process = self.system.process(to)
            elif kind is Atom:
                process = self.system.registry.names.get(to)
            else:
                self.system.to_alias(to, signal.message, signal.priority)
                return
            if process is not None:
                message = signal.message
                # Some servers (OTP's net_kernel) answer ``{[alias|Ref], Reply}`` to the pid and not to the alias.
                if type(message) is tuple and len(message) == 2 and type(message[0]) is ImproperList:
                    self._answered(process, message)
                elif type(message) is tuple and len(message) == 3 and message[0] is _SYSTEM:
                    process.deliver_urgent(message)
                else:
                    process.deliver(message)
        else:
            self._on[type(signal)](signal)

    def _traced(self, signal: Message) -> None:
        """A message with a trace token: delivered as any other, by processes that note it."""
        tokens, token = self.system.tracing(), signal.token
        signal.token = None
        tokens.answered(signal.to, token)
        tokens.arriving(token, self.deliver, signal)

    def _answered(self, process: Process, message: tuple[Any, Any]) -> None:
        """A message that looks like an answer: to a call of ours it goes as to its alias, any other is a message."""
        alias = message[0].tail
        if message[0].items == _ALIAS and type(alias) is Reference and self.system.awaits(alias):
            self.system.to_alias(alias, message)
        else:
            process.deliver(message)

    # --- links ---------------------------------------------------------------------------------
    def _link(self, signal: Link) -> None:
        process = self.system.process(signal.to)
        if process is None:
            self.tell(ExitSignal(signal.to, signal.from_, A.noproc))
            return
        end = self.link_end(process, signal.from_)
        if end is None:
            self._count(len(self.linked), "links")
            self.add_link(process, signal.from_)
        else:
            end.link_received()

    def _unlink(self, signal: Unlink) -> None:
        process = self.system.process(signal.to)
        end = self.link_end(process, signal.from_)
        if process is not None and end is not None and end.unlink_received():
            self.remove_link(process, signal.from_)
        self.tell(UnlinkAck(signal.id, signal.to, signal.from_))

    def _unlink_ack(self, signal: UnlinkAck) -> None:
        process = self.system.process(signal.to)
        end = self.link_end(process, signal.from_)
        if process is not None and end is not None and end.ack_received(signal.id):
            self.remove_link(process, signal.from_)

    def _exit(self, signal: ExitSignal) -> None:
        process = self.system.process(signal.to)
        end = self.link_end(process, signal.from_)
        if process is not None and end is not None and end.exit_received():
            self.remove_link(process, signal.from_)
            if signal.token is None:
                process.link_broken(signal.from_, signal.reason)
            else:
                self.system.tracing().arriving(signal.token, process.link_broken, signal.from_, signal.reason)

    def _exit2(self, signal: Exit2) -> None:
        process = self.system.find(signal.to)
        if process is not None:
            if signal.token is None:
                process.exit_signal(signal.from_, signal.reason)
            else:
                self.system.tracing().arriving(signal.token, process.exit_signal, signal.from_, signal.reason)
            if signal.priority and process.queue and self._lets_ahead(signal.to):
                last = process.queue[-1]  # the message that the signal has become, if the process traps exits
                if type(last) is tuple and last[:2] == (A.EXIT, signal.from_):
                    advance(process, last, self.system.ahead)

    def _lets_ahead(self, to: Any) -> bool:
        return type(to) is Reference and getattr(self.system.aliases.get(to.words), "priority", False)

    @staticmethod
    def link_end(process: Process | None, other: Pid) -> LinkEnd | None:
        return None if process is None or process.links is None else process.links.get(other)

    def add_link(self, process: Process, other: Pid) -> None:
        if process.links is None:
            process.links = {}
        process.links[other] = LinkEnd()
        self.linked[process, other] = None

    def remove_link(self, process: Process, other: Pid) -> None:
        if process.links is not None:
            process.links.pop(other, None)
        self.linked.pop((process, other), None)

    # --- monitors ------------------------------------------------------------------------------
    def _monitor(self, signal: Monitor) -> None:
        process = self.system.find(signal.to)
        if process is None:
            self.tell(MonitorExit(signal.to, signal.from_, signal.ref, A.noproc))
            return
        self._count(len(self.watchers), "monitors")
        self.watch(RemoteWatcher(self, process, signal.from_, signal.ref, signal.to))

    def _count(self, relations: int, what: str) -> None:
        """Before the peer makes one more. Raises `ProtocolError`, which costs the connection, and they all end."""
        if relations >= self.most_relations:
            raise ProtocolError(f"{relations} {what} of one peer; raise Limits.relations if meant")

    def watch(self, watcher: RemoteWatcher) -> None:
        """Remember a monitor of the peer. One with the reference of another takes its place."""
        words, process = watcher.ref.words, watcher.process
        if words in self.watchers:
            self._unwatch(words)
        watchers = process.monitored_by
        if watchers is None:
            watchers = process.monitored_by = {}
        watchers[watcher] = self.watchers[words] = watcher

    def _unwatch(self, words: tuple[int, ...]) -> None:
        watcher = self.watchers.pop(words, None)
        if watcher is not None:
            watchers = watcher.process.monitored_by
            if watchers is not None:
                watchers.pop(watcher, None)

    def _demonitor(self, signal: Demonitor) -> None:
        self._unwatch(signal.ref.words)

    def _monitor_exit(self, signal: MonitorExit) -> None:
        self._down(signal.ref.words, signal.reason)

    def _down(self, words: tuple[int, ...], reason: Any) -> None:
        known = self.monitors.pop(words, None)
        if known is None:
            return  # removed meanwhile: the DOWN that was under way is dropped
        watcher, ref, target = known
        if not isinstance(watcher, Process):
            watcher.down(reason)
        else:
            if watcher.monitors is not None:
                watcher.monitors.pop(words, None)
            watcher.deliver((A.DOWN, ref, A.process, target, reason))

    # --- the rest ------------------------------------------------------------------------------
    def _group_leader(self, signal: GroupLeader) -> None:
        process = self.system.process(signal.to)
        if process is not None:
            process.group_leader = signal.leader

    def _spawn_request(self, signal: SpawnRequest) -> None:
        if signal.token is None:
            self.system.on_spawn_request(self, signal)
        else:
            self.system.tracing().arriving(signal.token, self.system.on_spawn_request, self, signal)

    def _spawn_reply(self, signal: SpawnReply) -> None:
        pending = self.spawns.pop(signal.ref.words, None)
        if pending is not None:
            pending(signal)

    def lost(self, reason: Any = A.noconnection) -> None:
        """The connection is gone: every link and monitor across it learns `reason`, once.

        Thousands of them are told in turns between which others run, but all before the peer is `connected` again.
        """
        self._tell_the_rest()
        self.route = None
        self._untold = self._losses(reason)
        self.system.scheduler.in_turns(self._untold)

    def _tell_the_rest(self) -> None:
        for _ in self._untold:
            pass

    def _losses(self, reason: Any) -> Iterator[None]:
        """One step for each relation. What a process has ended meanwhile, or ended with, is none any more."""
        linked, monitors, watchers, spawns = self.linked, self.monitors, self.watchers, self.spawns
        self.linked, self.monitors, self.watchers, self.spawns = {}, {}, {}, {}
        yield
        for theirs in watchers.values():
            if theirs.process.monitored_by is not None:
                theirs.process.monitored_by.pop(theirs, None)
            yield
        for process, other in linked:
            end = None if process.links is None else process.links.pop(other, None)
            if end is not None and end.active:
                process.link_broken(other, reason)
            yield
        for words, (watcher, ref, target) in monitors.items():
            if not isinstance(watcher, Process):
                watcher.down(reason)
            elif watcher.monitors is not None and watcher.monitors.pop(words, None) is not None:
                watcher.deliver((A.DOWN, ref, A.process, target, reason))
            yield
        for pending in spawns.values():
            pending(None)
            yield
        self.forget()

    def forget(self) -> None:
        """Of a peer that is not there, and with which nobody has to do any more, nothing is kept."""
        related = self.linked or self.monitors or self.watchers or self.spawns
        if self.route is None and self.dialling is None and not related and self.system.peers.get(self.node) is self:
            del self.system.peers[self.node]
