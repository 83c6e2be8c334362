"""What a node keeps of its processes, and how a message finds its way: identifiers, names, aliases, peers.

Identifiers are counted and never reused: 2**28 pid numbers times 2**13 serials, references of three words with the
first below 2**18, as peers of every release accept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyerlnode.brief import short
from pyerlnode.errors import ConnectError, UsageError
from pyerlnode.runtime.bounded import BoundedProcess, MailboxLimit
from pyerlnode.runtime.edges import stop_program, stops_program
from pyerlnode.runtime.mailbox import Waiter
from pyerlnode.runtime.names import Global, LocalNames, NameService, Via, whereis_name
from pyerlnode.runtime.offload import OsProcesses
from pyerlnode.runtime.priority_core import advance
from pyerlnode.runtime.process import Process, acting
from pyerlnode.runtime.reason_core import message_of
from pyerlnode.runtime.registry import Registry, as_name
from pyerlnode.runtime.router import RemoteNode, Route
from pyerlnode.runtime.scheduler import Scheduler
from pyerlnode.runtime.shutdown import Ending
from pyerlnode.runtime.threads import Job
from pyerlnode.runtime.timer import Timers
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.runtime.timer_refs import TimerRefs
from pyerlnode.signal import (
    Message,
    Signal,
    SpawnReply,
    SpawnRequest,
)
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

if TYPE_CHECKING:
    from pathlib import Path

    from pyerlnode.runtime.trace_tokens import TraceTokens

PID_BITS = 28
PID_MASK = (1 << PID_BITS) - 1


class Alias:
    """An alias of a process.

    `once`: gone with the first message; `priority`: lets priority messages in; `tied`: goes with a monitor.
    """

    __slots__ = ("once", "priority", "process", "tied")

    def __init__(self, process: Process, once: bool, priority: bool = False, tied: bool = False) -> None:
        self.process = process
        self.once = once
        self.priority = priority
        self.tied = tied


def _not_told(process: Any) -> None:
    """A system without peers has nobody to slow down."""


def no_network(node: Atom) -> Route:
    raise ConnectError(f"{node} can not be reached: this system is not a node of a network", str(node), "stopped")


def nothing_exported(module: Any, name: Any, count: int) -> None:  # the shape of `Exports.find`
    """A system without a kernel has nothing that others may call."""


class Tables:
    """The tables of one node, and sending by them; `relations` and `system` build on it."""

    # CPython finds the attributes of an object fast that has fewer than thirty, so what is seldom set stands here.
    stopped = False
    end_call: Callable[[Any, Any], None] | None = None
    """How a call from elsewhere is ended by an exit, where its caller's monitor is not in `peers`."""
    ending: Ending | None = None
    """A graceful stop under way."""
    beside: Any = None
    """What an asyncio program uses the node by, and with it the loop that its coroutines run in (`awaited`)."""
    log_directory: Path | None = None
    """Where `sys` may write events of processes, as the program allowed (`otp.sys.allow_log_files`)."""

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
        self.aliases_of: dict[Process, set[tuple[int, ...]]] = {}
        """Of processes that have an `Alias`: theirs, which end with them. Few have one, so it is no slot of all."""
        self.ahead: dict[Process, list[Any]] = {}
        """Of processes that made a priority alias: the priority messages at the head of the mailbox."""
        self.peers: dict[Atom, RemoteNode] = {}
        self.connector: Callable[[Atom], Route] = no_network
        self.on_spawn_request: Callable[[RemoteNode, SpawnRequest], None] = _no_spawn
        self.exported: Callable[[Any, Any, int], Callable[..., Any] | None] = nothing_exported
        """The function that others may call as module:name/arity; a node puts its table of exports here."""
        self.mailbox_full: Callable[[Any], None] = _not_told
        """Told of a message that a full mailbox took; a kernel slows its peers down by it."""
        self.trace_tokens: TraceTokens | None = None
        self.os_processes = OsProcesses()
        self.timer_refs = TimerRefs(self)
        self.jobs: set[Job] = set()
        """What other threads have run in the hub just now."""
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
        serial = pid.serial  # 0 for the first 2**28 processes of a node
        process = self.processes.get(pid.id | serial << PID_BITS if serial else pid.id)
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
        """The route to `node`: its connection, or what keeps signals until the attempt to connect is over.

        Raises `ConnectError` when there can be no attempt: this system is stopped, or the name is none of a node.
        """
        peer = self.peers.get(node)
        if peer is not None:
            way = peer.route or peer.way()
            if way is not None:
                return way
        route = self.connector(node)
        return route if self.trace_tokens is None else self.trace_tokens.route(route)

    def connect(self, node: Atom, timeout: float | None = None) -> None:
        """Wait until `node` is connected. Raises `ConnectError`, after `timeout` seconds too: the attempt goes on."""
        if not self.is_connected(node):
            self.route(node)
            peer = self.peers.get(node)
            dialling = None if peer is None else peer.dialling
            if dialling is not None:
                dialling.wait(timeout)

    def _send_away(self, node: Atom, signal: Signal) -> None:
        try:
            self.route(node).send(signal)
        except ConnectError:
            pass  # as what is sent to a node that does not answer

    def myself(self) -> Process:
        """The process in whose name the current greenlet acts: its own, else the root."""
        return acting(self)

    # --- sending -------------------------------------------------------------------------------
    def send(self, dest: Any, message: Any) -> None:
        """``Dest ! Message``: a pid, a name, ``(name, node)`` or an alias.

        A message to a process or a node that is not there is dropped, as in OTP. A node that is not connected is
        connected to, and nobody waits for that (`runtime.dialling`). Raises `EncodeError` for a message that has no
        form on the wire.
        """
        if type(dest) is Pid:
            if dest.node is self.node:
                process = self.process(dest)
                if process is not None:
                    process.deliver(message)
            else:
                self._send_away(dest.node, Message(self.myself().pid, dest, message))
            return
        if type(dest) is Reference:
            if dest.node is self.node:
                self.to_alias(dest, message)
            else:
                self._send_away(dest.node, Message(self.myself().pid, dest, message))
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
            self._send_away(node, Message(self.myself().pid, name, message))

    def split_name(self, dest: Any) -> tuple[Atom, Atom]:
        """(name, node) of a destination that is no pid."""
        if type(dest) is tuple and len(dest) == 2:
            name, node = dest
            if isinstance(node, (str, Atom)):
                return as_name(name), Atom(node) if isinstance(node, str) else node
        elif isinstance(dest, (str, Atom)):
            return as_name(dest), self.node
        raise UsageError(f"a destination is a pid, a name, (name, node), Global, Via or an alias, not {short(dest)}")

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
                if target.tied:
                    self.demonitor(target.process, alias)
            target.process.deliver(message)
            if priority and target.priority:
                advance(target.process, message, self.ahead)
        else:
            del self.aliases[alias.words]
            target.reply(message)

    def awaits(self, ref: Reference) -> bool:
        """Whether a call of this node waits for an answer to `ref`."""
        known = ref.node is self.node and ref.creation == self.creation
        return known and type(self.aliases.get(ref.words)) not in (Alias, type(None))

    def alias(self, process: Process, *, once: bool = False, priority: bool = False) -> Reference:
        """A reference that stands for `process` until `unalias`, with `once` until the first message to it.

        With `priority` messages that are sent to it as such come before the ordinary ones.
        """
        ref = self.new_ref()
        process.mark(ref)
        self.add_alias(process, ref, once=once, priority=priority)
        return ref

    def add_alias(
        self, process: Process, ref: Reference, *, once: bool, priority: bool = False, tied: bool = False
    ) -> None:
        """Let `ref`, which is new, stand for `process`."""
        self.aliases[ref.words] = Alias(process, once, priority, tied)
        if priority:
            self.ahead.setdefault(process, [])
        self.aliases_of.setdefault(process, set()).add(ref.words)

    def drop_tied(self, process: Process, ref: Reference) -> None:
        """The monitor `ref` of `process` is over: so is the alias that was tied to it, if one was."""
        target = self.aliases.get(ref.words)
        if type(target) is Alias and target.tied:
            self.unalias(process, ref)

    def demonitor(self, process: Process, ref: Reference, *, flush: bool = False) -> bool:
        raise NotImplementedError  # `relations`

    def unalias(self, process: Process, alias: Reference) -> bool:
        """True when `alias` was one of `process`; later messages to it are dropped."""
        own = self.aliases_of.get(process)
        if own is None or alias.words not in own:
            return False
        own.discard(alias.words)
        if not own:
            del self.aliases_of[process]
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


class _Root:
    """The handler of the root process: answers to calls by peers that know no aliases arrive at its pid."""

    def __init__(self, system: Tables) -> None:
        self.system = system

    def handle(self, message: Any) -> None:
        if type(message) is tuple and len(message) == 2 and type(message[0]) is Reference:
            self.system.to_alias(message[0], message)


def _no_spawn(peer: RemoteNode, signal: SpawnRequest) -> None:
    """A system without a kernel starts nothing for others."""
    peer.tell(SpawnReply(signal.ref, signal.from_, 0, A.notsup))
