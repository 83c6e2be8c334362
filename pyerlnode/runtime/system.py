"""The actor system of one node: it makes processes and carries every signal between them.

Local and remote are one code: a send, a link, a monitor goes through the same method here, which knows whether the
other side is a `Process` of this system or a pid of another node. A system knows its node's name and creation and
nothing of sockets: `connector` (installed by `kernel.net_kernel`) brings a `Route` to a node when one is needed.

Identifiers are counted and never reused: 2**28 pid numbers times 2**13 serials, references of three words with the
first below 2**18, as peers of every release accept.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from pyerlnode.errors import ConnectError, UsageError
from pyerlnode.runtime.bounded import BoundedProcess, MailboxLimit
from pyerlnode.runtime.edges import report, stop_program, stops_program
from pyerlnode.runtime.info import crash_report
from pyerlnode.runtime.mailbox import DOWN, Waiter
from pyerlnode.runtime.names import Global, LocalNames, NameService, Via, whereis_name
from pyerlnode.runtime.offload import OsProcesses, in_own_thread
from pyerlnode.runtime.priority_core import advance
from pyerlnode.runtime.process import Process, adopt, context_now, current
from pyerlnode.runtime.process_core import ALIVE, LinkEnd
from pyerlnode.runtime.reason_core import message_of
from pyerlnode.runtime.registry import Registry, as_name
from pyerlnode.runtime.router import RemoteNode, Route
from pyerlnode.runtime.scheduler import Scheduler
from pyerlnode.runtime.shutdown import Ending, StopReport
from pyerlnode.runtime.timer import Timers
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.runtime.timer_refs import TimerRefs
from pyerlnode.signal import (
    Demonitor,
    Exit2,
    ExitSignal,
    Link,
    Message,
    Monitor,
    Signal,
    SpawnReply,
    SpawnRequest,
    Unlink,
)
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

if TYPE_CHECKING:
    from pyerlnode.runtime.trace_tokens import TraceTokens

log = logging.getLogger("pyerlnode.process")

T = TypeVar("T")
PID_BITS = 28
PID_MASK = (1 << PID_BITS) - 1
_NOT_TOLD = "somebody was not told of the end of %s"


class Alias:
    """An alias of a process; `once`: gone with the first message; `priority`: lets priority messages in."""

    __slots__ = ("once", "priority", "process")

    def __init__(self, process: Process, once: bool, priority: bool = False) -> None:
        self.process = process
        self.once = once
        self.priority = priority


def _not_told(process: Process) -> None:
    """A system without peers has nobody to slow down."""


def no_network(node: Atom) -> Route:
    raise ConnectError(f"{node} can not be reached: this system is not a node of a network", str(node), "stopped")


def nothing_exported(module: Any, name: Any, count: int) -> None:  # the shape of `Exports.find`
    """A system without a kernel has nothing that others may call."""


class System:
    """Processes, names, aliases, timers and the tables of peers of one node."""

    def __init__(
        self,
        node: str = "nonode@nohost",
        creation: int = 0,
        *,
        scheduler: Scheduler | None = None,
        timers: Timers | None = None,
    ) -> None:
        self.node = Atom(node)
        self.creation = creation
        self.scheduler = Scheduler() if scheduler is None else scheduler
        self.timers = Timers(self.scheduler.loop) if timers is None else timers
        self.registry = Registry()
        self.global_names: NameService = LocalNames(self)
        """Where `Global` names live; a kernel that joins a cluster puts its own here."""
        self.name_services: dict[Atom, NameService] = {}
        """Services that ``Via(atom, name)`` means."""
        self.processes: dict[int, Process] = {}
        self.aliases: dict[tuple[int, ...], Waiter | Alias] = {}
        self.ahead: dict[Process, list[Any]] = {}
        """Of processes that made a priority alias: the priority messages at the head of the mailbox."""
        self.peers: dict[Atom, RemoteNode] = {}
        self.connector: Callable[[Atom], Route] = no_network
        self.on_spawn_request: Callable[[RemoteNode, SpawnRequest], None] = _no_spawn
        self.exported: Callable[[Any, Any, int], Callable[..., Any] | None] = nothing_exported
        """The function that others may call as module:name/arity; a node puts its table of exports here."""
        self.mailbox_full: Callable[[Process], None] = _not_told
        """Told of a message that a full mailbox took; a kernel slows its peers down by it."""
        self.end_call: Callable[[Any, Any], None] | None = None
        """How a call from elsewhere is ended by an exit, where its caller's monitor is not in `peers`."""
        self.trace_tokens: TraceTokens | None = None
        self.stopped = False
        self.ending: Ending | None = None
        self.os_processes = OsProcesses()
        self.timer_refs = TimerRefs(self)
        self._pids = 0
        self._refs = 0
        self._unlinks = 0
        self._dying: deque[tuple[Process, Any]] = deque()
        self._burying = False
        self.root = self.new_process(None)
        """The process in whose name greenlets that are no processes send and call."""
        self.root.handler = _Root(self)
        self.root.parked = True
        self.root.group_leader = self.root.pid

    # --- identifiers ---------------------------------------------------------------------------
    def new_ref(self) -> Reference:
        self._refs = count = self._refs + 1
        return Reference(self.node, self.creation, (count & 0x3FFFF, count >> 18 & 0xFFFFFFFF, count >> 50))

    def new_process(self, group_leader: Pid | None, mailbox: MailboxLimit | None = None) -> Process:
        self._pids = count = self._pids + 1
        pid = Pid(self.node, count & PID_MASK, count >> PID_BITS, self.creation)
        if mailbox is None:
            process = Process(self, pid, group_leader)
        else:
            process = BoundedProcess(self, pid, group_leader, mailbox)
        self.processes[count] = process
        if self.trace_tokens is not None:
            self.trace_tokens.born(process)
        return process

    @property
    def started(self) -> int:
        """How many processes there have been: the number of the youngest, its key in `processes`."""
        return self._pids

    def tracing(self) -> TraceTokens:
        """What keeps trace tokens; made when a peer sends the first one."""
        if self.trace_tokens is None:
            from pyerlnode.runtime.trace_tokens import TraceTokens  # few nodes ever see a token

            self.trace_tokens = TraceTokens(self)
        return self.trace_tokens

    # --- finding -------------------------------------------------------------------------------
    def is_local(self, pid: Pid) -> bool:
        return pid.node is self.node

    def process(self, pid: Pid) -> Process | None:
        """The live local process of `pid`; a pid of an earlier life of this node finds none."""
        process = self.processes.get(pid.id | pid.serial << PID_BITS)
        return process if process is not None and pid.creation == self.creation and pid.node is self.node else None

    def find(self, to: Pid | Atom | Reference) -> Process | None:
        if type(to) is Pid:
            return self.process(to)
        if type(to) is Atom:
            return self.registry.names.get(to)
        target = self.aliases.get(to.words) if type(to) is Reference else None
        return target.process if type(target) is Alias else None

    def whereis(self, name: Any) -> Pid | None:
        """The pid behind a name: a local one, `Global` or `Via`."""
        if type(name) is Global or type(name) is Via:
            return whereis_name(self, name)
        process = self.registry.whereis(name)
        return None if process is None else process.pid

    def peer(self, node: Atom) -> RemoteNode:
        peer = self.peers.get(node)
        if peer is None:
            peer = self.peers[node] = RemoteNode(self, node)
        return peer

    def is_connected(self, node: Atom) -> bool:
        """Whether `node` can be sent to without a dial: it is this one, or there is a connection."""
        peer = self.peers.get(node)
        return node is self.node or (peer is not None and peer.route is not None)

    def route(self, node: Atom) -> Route:
        """The route to `node`; connects when there is none. Raises `ConnectError`."""
        peer = self.peers.get(node)
        if peer is not None and peer.route is not None:
            return peer.route
        route = self.connector(node)
        return route if self.trace_tokens is None else self.trace_tokens.route(route)

    def myself(self) -> Process:
        """The process in whose name the current greenlet acts: its own, else the root."""
        process = current()
        return process if process is not None and process.system is self and process.exit_reason is ALIVE else self.root

    # --- spawning ------------------------------------------------------------------------------
    def spawn(self, fn: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
        return self.spawn_function(fn, args, kwargs).pid

    def spawn_function(
        self,
        fn: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        link: Process | None = None,
        mailbox: MailboxLimit | None = None,
    ) -> Process:
        """A process with a function body; linked to `link` before it runs."""
        if not callable(fn):
            raise UsageError(f"spawn wants a function, not {type(fn).__name__}")
        parent = self.myself()
        process = self.new_process(parent.group_leader, mailbox)
        process.ancestors = parent.family()
        if link is not None:
            _link_local(process, link)
        process.start_function(fn, args, kwargs)
        return process

    def spawn_handler(
        self, handler: Any, *, link: Process | None = None, mailbox: MailboxLimit | None = None
    ) -> Process:
        """A process with a handler body, idle until a message arrives."""
        parent = self.myself()
        process = self.new_process(parent.group_leader, mailbox)
        process.ancestors = parent.family()
        process.context = context_now()
        process.handler = handler
        process.parked = True
        if link is not None:
            _link_local(process, link)
        return process

    def adopt(self) -> Process:
        return adopt(self)

    # --- sending -------------------------------------------------------------------------------
    def send(self, dest: Any, message: Any) -> None:
        """``Dest ! Message``: a pid, a name, ``(name, node)`` or an alias.

        A message to a process that is not there is dropped, as in OTP. Raises `EncodeError` for a message that has no
        form on the wire and `ConnectError` when the node can not be reached.
        """
        if type(dest) is Pid:
            if dest.node is self.node:
                process = self.process(dest)
                if process is not None:
                    process.deliver(message)
            else:
                self.route(dest.node).send(Message(self.myself().pid, dest, message))
            return
        if type(dest) is Reference:
            if dest.node is self.node:
                self.to_alias(dest, message)
            else:
                self.route(dest.node).send(Message(self.myself().pid, dest, message))
            return
        if type(dest) is Global or type(dest) is Via:
            pid = whereis_name(self, dest)
            if pid is not None:
                self.send(pid, message)
            return
        name, node = self.split_name(dest)
        if node is self.node:
            named = self.registry.names.get(name)
            if named is not None:
                named.deliver(message)
        else:
            self.route(node).send(Message(self.myself().pid, name, message))

    def split_name(self, dest: Any) -> tuple[Atom, Atom]:
        """(name, node) of a destination that is no pid."""
        if type(dest) is tuple and len(dest) == 2:
            name, node = dest
            if isinstance(node, (str, Atom)):
                return as_name(name), Atom(node) if isinstance(node, str) else node
        elif isinstance(dest, (str, Atom)):
            return as_name(dest), self.node
        raise UsageError(f"a destination is a pid, a name, (name, node), Global, Via or an alias, not {dest!r}")

    def resolve(self, dest: Any) -> tuple[Atom, Process | None, Pid | Atom]:
        """(node, the process if it is here and alive, how its own node calls it) of a pid or a name."""
        if type(dest) is Pid:
            return dest.node, self.process(dest), dest
        if type(dest) is Global or type(dest) is Via:
            pid = whereis_name(self, dest)
            return (self.node, None, dest.name) if pid is None else (pid.node, self.process(pid), pid)
        name, node = self.split_name(dest)
        return node, self.registry.names.get(name) if node is self.node else None, name

    def to_alias(self, alias: Reference, message: Any, priority: bool = False) -> None:
        """A message to an alias of this node: wakes the call that waits for it; to a dead alias it is dropped."""
        target = self.aliases.get(alias.words)
        if target is None or alias.node is not self.node or alias.creation != self.creation:
            return
        if isinstance(target, Alias):
            if target.once:
                self.unalias(target.process, alias)
            target.process.deliver(message)
            if priority and target.priority:
                advance(target.process, message, self.ahead)
        else:
            del self.aliases[alias.words]
            target.reply(message)

    def alias(self, process: Process, *, once: bool = False, priority: bool = False) -> Reference:
        """A reference that stands for `process` until `unalias`, with `once` until the first message to it.

        With `priority` messages that are sent to it as such come before the ordinary ones.
        """
        ref = self.new_ref()
        process.mark(ref)
        self.aliases[ref.words] = Alias(process, once, priority)
        if priority:
            self.ahead.setdefault(process, [])
        if process.aliases is None:
            process.aliases = set()
        process.aliases.add(ref.words)
        return ref

    def unalias(self, process: Process, alias: Reference) -> bool:
        """True when `alias` was one of `process`; later messages to it are dropped."""
        if process.aliases is None or alias.words not in process.aliases:
            return False
        process.aliases.discard(alias.words)
        del self.aliases[alias.words]
        return True

    def send_after(self, delay: float, dest: Any, message: Any) -> Timer:
        """Send `message` to a local pid or name after `delay` seconds (OTP: a timer's destination is local)."""
        if type(dest) is Pid and not self.is_local(dest):
            raise UsageError("send_after sends to a process of its own node only")
        return self.timers.start(delay, self.send, dest, message)

    def send_safely(self, route: Route, signal: Signal) -> None:
        """Send a signal whose reason a user's code chose; one that can not be encoded goes as what that raised."""
        try:
            route.send(signal)
        except BaseException as error:  # `EncodeError`, or whatever a method of the user's object raised
            if stops_program(error):
                stop_program(error)
            signal.reason = (A.unencodable_reason, message_of(error))  # type: ignore[union-attr]
            route.send(signal)

    # --- exits ---------------------------------------------------------------------------------
    def exit(self, pid: Pid, reason: Any) -> None:
        """``exit(Pid, Reason)``."""
        sender = self.myself()
        if not self.is_local(pid):
            self.route(pid.node).send(Exit2(sender.pid, pid, reason))
            return
        process = self.process(pid)
        if process is not None:
            process.exit_signal(sender.pid, reason)

    def bury(self, process: Process) -> None:
        """Tell everyone who is to know of a process that has ended. Iterative: a chain of links may be long."""
        self.processes.pop(process.pid.id | process.pid.serial << PID_BITS, None)
        if process.name is not None:
            self.registry.names.pop(process.name, None)
        if self.ending is not None:
            self.ending.process_ended(process)
        self._dying.append((process, process.exit_reason))
        if self._burying:
            return
        self._burying = True
        try:
            while self._dying:
                dead, why = self._dying.popleft()
                try:
                    self._tell(dead, why)
                    if self.trace_tokens is not None:
                        self.trace_tokens.forget(dead)
                except BaseException as error:  # nothing here raises; should it, the others are told all the same
                    report(log, _NOT_TOLD, dead.pid, exc_info=error)
        finally:
            self._burying = False

    def _tell(self, process: Process, reason: Any) -> None:
        pid = process.pid
        links, process.links = process.links, None
        monitors, process.monitors = process.monitors, None
        watchers, process.monitored_by = process.monitored_by, None
        process.queue = process.places = process.handler = None
        for words in process.aliases or ():
            del self.aliases[words]
        if self.ahead:
            self.ahead.pop(process, None)
        for other, end in (links or {}).items():
            try:
                self._link_ended(process, other, end, reason)
            except BaseException as error:  # noqa: PERF203  # free while nothing raises
                report(log, _NOT_TOLD, pid, exc_info=error)
        for ref, target in (monitors or {}).values():
            self._drop_monitor(process, ref, target)
        for watcher in (watchers or {}).values():
            try:
                self._down(watcher, reason)
            except BaseException as error:  # noqa: PERF203  # free while nothing raises
                report(log, _NOT_TOLD, pid, exc_info=error)

    def _link_ended(self, process: Process, other: Process | Pid, end: LinkEnd | None, reason: Any) -> None:
        if isinstance(other, Process):
            if other.links is not None and other.links.pop(process, self) is None:
                other.link_broken(process.pid, reason)
        elif end is not None:
            peer = self.peer(other.node)
            peer.linked.pop((process, other), None)
            if end.active:
                peer.tell(ExitSignal(process.pid, other, reason))

    def _down(self, watcher: Any, reason: Any) -> None:
        if type(watcher) is not tuple:
            watcher.down(reason)
            return
        process, ref, named = watcher
        if process.monitors is not None and process.monitors.pop(ref.words, None) is not None:
            process.deliver((A.DOWN, ref, A.process, named, reason))

    @staticmethod
    def crash_report(process: Process, error: BaseException) -> Callable[[], None]:
        """What tells the log of a process that ends by `error`; to be called when it has ended."""
        return crash_report(process, error)

    # --- links ---------------------------------------------------------------------------------
    def link(self, process: Process, pid: Pid) -> None:
        """``link(Pid)`` by `process`; a pid that is not there ends in an exit signal `noproc` (OTP, remote form)."""
        if pid == process.pid:
            return
        if self.is_local(pid):
            other = self.process(pid)
            if other is None:
                process.link_broken(pid, A.noproc)
            else:
                _link_local(process, other)
            return
        end = RemoteNode.link_end(process, pid)
        if end is not None and end.active:
            return
        try:
            route = self.route(pid.node)
        except ConnectError:
            process.link_broken(pid, A.noconnection)
            return
        if end is None or not end.link():
            self.peer(pid.node).add_link(process, pid)
        route.send(Link(process.pid, pid))

    def unlink(self, process: Process, pid: Pid) -> None:
        """``unlink(Pid)``: no exit signal of the old link arrives after it."""
        if self.is_local(pid):
            other = self.process(pid)
            if other is not None and process.links is not None and other.links is not None:
                process.links.pop(other, None)
                other.links.pop(process, None)
            return
        end: LinkEnd | None = RemoteNode.link_end(process, pid)
        if end is not None:
            self._unlinks += 1
            if end.unlink(self._unlinks):
                self.peer(pid.node).tell(Unlink(self._unlinks, process.pid, pid))

    # --- monitors ------------------------------------------------------------------------------
    def monitor(self, process: Process, dest: Any) -> Reference:
        """``monitor(process, Dest)``: exactly one DOWN, at once when there is nothing to monitor."""
        ref = self.new_ref()
        if process.queue:
            process.mark(ref)
        node, local, to = self.resolve(dest)
        named = to if type(to) is Pid else (to, node)
        if process.monitors is None:
            process.monitors = {}
        if node is not self.node:
            self._monitor_remote(process, ref, node, named)
        elif local is None:
            process.deliver((A.DOWN, ref, A.process, named, A.noproc))
        else:
            process.monitors[ref.words] = (ref, local)
            if local.monitored_by is None:
                local.monitored_by = {}
            local.monitored_by[ref.words] = (process, ref, named)
        return ref

    def monitor_connected(self, process: Process, pid: Pid) -> Reference:
        """`monitor` that dials nobody: a process of a node that is not connected is down already (`noconnection`)."""
        if self.is_connected(pid.node):
            return self.monitor(process, pid)
        ref = self.new_ref()
        process.deliver((A.DOWN, ref, A.process, pid, A.noconnection))
        return ref

    def send_connected(self, dest: Pid, message: Any) -> bool:
        """`send` that dials nobody, for answers to whoever asked; False when its node is not connected."""
        if not self.is_connected(dest.node):
            return False
        try:
            self.send(dest, message)
        except ConnectError:
            return False  # lost in this moment
        return True

    def _monitor_remote(self, process: Process, ref: Reference, node: Atom, named: Any) -> None:
        try:
            route = self.route(node)
        except ConnectError:
            process.deliver((A.DOWN, ref, A.process, named, A.noconnection))
            return
        self.peer(node).monitors[ref.words] = (process, ref, named)
        if process.monitors is None:
            process.monitors = {}
        process.monitors[ref.words] = (ref, named)
        route.send(Monitor(process.pid, named if type(named) is Pid else named[0], ref))

    def demonitor(self, process: Process, ref: Reference, *, flush: bool = False) -> bool:
        """``demonitor(Ref)``; `flush` also removes a DOWN that is already in the mailbox. True when it was active."""
        known = None if process.monitors is None else process.monitors.pop(ref.words, None)
        if known is not None:
            self._drop_monitor(process, *known)
        elif flush and process.queue:
            process.take_down(ref)
        return known is not None

    def _drop_monitor(self, process: Process, ref: Reference, target: Any) -> None:
        if isinstance(target, Process):
            if target.monitored_by is not None:
                target.monitored_by.pop(ref.words, None)
            return
        node = target.node if type(target) is Pid else target[1]
        peer = self.peer(node)
        if peer.monitors.pop(ref.words, None) is not None:
            peer.tell(Demonitor(process.pid, target if type(target) is Pid else target[0], ref))

    # --- calls ---------------------------------------------------------------------------------
    def waiter(self, ref: Reference) -> Waiter:
        """A waiter for what is sent to the alias `ref`; `release` it in each case."""
        waiter = self.aliases[ref.words] = Waiter(self.scheduler, self.timers)
        return waiter

    def watch(self, waiter: Waiter, ref: Reference, dest: Any) -> Any:
        """Monitor `dest` for `waiter` with `ref`; give the handle that `unwatch` takes.

        Raises `ConnectError` when the node can not be reached.
        """
        node, local, to = self.resolve(dest)
        if node is self.node:
            if local is None:
                waiter.settle(DOWN, A.noproc)
                return None
            if local.monitored_by is None:
                local.monitored_by = {}
            local.monitored_by[ref.words] = waiter
            return local
        route = self.route(node)
        self.peer(node).monitors[ref.words] = (waiter, ref, to)
        route.send(Monitor(self.myself().pid, to, ref))
        return (node, to, self.myself().pid)

    def unwatch(self, ref: Reference, handle: Any) -> None:
        """End what `waiter` and `watch` began: nothing of the call is left, whatever its outcome was."""
        self.aliases.pop(ref.words, None)
        if isinstance(handle, Process):
            if handle.monitored_by is not None:
                handle.monitored_by.pop(ref.words, None)
        elif handle is not None:
            node, to, caller = handle
            peer = self.peer(node)
            if peer.monitors.pop(ref.words, None) is not None:
                peer.tell(Demonitor(caller, to, ref))

    # --- the end -------------------------------------------------------------------------------
    def shut_down(self, timeout: float, keep: Iterable[Pid] = ()) -> StopReport:
        """Ask every process to end and wait for it, at most `timeout` seconds; but those of `keep`, and the caller."""
        return Ending(self, frozenset(keep)).run(timeout)

    def offload(self, function: Callable[..., T], *args: Any, in_process: bool = False, **kwargs: Any) -> T:
        """Run `function` beside the hub, in a thread or in an OS process, and wait for what it gives."""
        run = self.os_processes.run if in_process else in_own_thread
        return run(function, *args, **kwargs)

    def stop(self) -> None:
        """End every process with reason `shutdown`, `kill` for nobody: their links and monitors are told first."""
        self.stopped = True
        for process in list(self.processes.values()):
            process.exit(A.shutdown)
        self.timers.close()
        self.scheduler.close()
        self.aliases.clear()
        self.ahead.clear()
        self.timer_refs.clear()
        self.os_processes.close()


class _Root:
    """The handler of the root process: answers to calls by peers that know no aliases arrive at its pid."""

    def __init__(self, system: System) -> None:
        self.system = system

    def handle(self, message: Any) -> None:
        if type(message) is tuple and len(message) == 2 and type(message[0]) is Reference:
            self.system.to_alias(message[0], message)


def _link_local(one: Process, other: Process) -> None:
    if one.links is None:
        one.links = {}
    if other.links is None:
        other.links = {}
    one.links[other] = None
    other.links[one] = None


def _no_spawn(peer: RemoteNode, signal: SpawnRequest) -> None:
    """A system without a kernel starts nothing for others."""
    peer.tell(SpawnReply(signal.ref, signal.from_, 0, A.notsup))
