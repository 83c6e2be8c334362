"""Connections to other nodes: who is connected, who is being connected, who is told (OTP's `net_kernel`).

One table, one entry per peer, one connection per peer at most. What a new attempt meets decides what happens:

    state of the peer     we want to send                    the peer connects to us
    nothing               dial                               accept
    dialling              wait for that attempt              `simultaneous`: the greater name's attempt lives; ours is
                                                             ended when the peer's has proved the cookie
    accepting             wait for that attempt, `PATIENCE`  accept: the one that proves the cookie first is the peer
                          long, then dial
    up                    use it                             `alive`: replaces the old one when the cookie is right

Before it has proved the cookie anybody may say any name, as often as he likes: it keeps nobody out who has that name,
ends no dial of ours, and of what was said nothing stays, not even an atom.

An attempt runs in a process of its own, and what is sent meanwhile waits for it (`runtime.dialling`): nobody who
sends, links or monitors waits himself, and a call waits no longer than its own time-out says.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pyerlnode.brief import short
from pyerlnode.dist.channel import Channel
from pyerlnode.dist.flags import DistFlags
from pyerlnode.dist.handshake import OwnIdentity, PeerInfo, Status, simultaneous
from pyerlnode.dist.node_name import check_style, parse, parse_peer
from pyerlnode.dist.ticks import TickSettings
from pyerlnode.errors import BadName, ConnectError, HandshakeError, LimitExceeded, NoSuchNodeName, PyerlnodeError
from pyerlnode.etf import AtomBudget
from pyerlnode.kernel.given_names import GivenNames
from pyerlnode.kernel.pressure import Pressure
from pyerlnode.kernel.reconnect import UNWANTED, Keeper
from pyerlnode.kernel.rules import AutoConnect, Rules
from pyerlnode.kernel.telemetry import Telemetry
from pyerlnode.kernel.tick_time import TickTime
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.net import connector
from pyerlnode.net.busy_wait import BusyWait
from pyerlnode.net.connection import Connection, ConnectionStats
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.net.listener import Reception
from pyerlnode.net.ticker import Ticker
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.otp.service import Service
from pyerlnode.runtime.process import Process, current
from pyerlnode.runtime.router import Route
from pyerlnode.runtime.system import System
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom, existing
from pyerlnode.term.pid import Pid

if TYPE_CHECKING:
    import socket

    from pyerlnode.net.tls import TlsTransport
    from pyerlnode.net.tls_options import Tls

log = logging.getLogger("pyerlnode.net_kernel")


REMEMBERED = 1000
"""Nodes of which it is kept why they were not reached, so that the log is told of a change alone."""


PATIENCE = 0.5
"""Seconds for which we wait, before we dial ourselves, for a connection of one that says it is that peer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a node connects.

    Attributes:
        flags: what we offer; HIDDEN_FLAGS or VISIBLE_FLAGS of `dist.flags`.
        cookie: for every peer that `cookies` does not name.
        where: the EPMD to ask, or a map of addresses.
        allow: names of the only nodes that may connect, None for all.
        setup_time: seconds for each step of a connection.
        tls: speak TLS with every peer, and with no other.
        auto_connect: whether who sends to a node that is not connected connects to it (`kernel.rules`).
        busy_wait: stay awake between packets that follow each other closely (`net.busy_wait`).
    """

    flags: DistFlags
    cookie: str = field(repr=False)
    where: Epmd | connector.Addresses
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    allow: Collection[str] | None = None
    setup_time: float = 7.0
    ticks: TickSettings = field(default_factory=TickSettings)
    limits: Limits = DEFAULT_LIMITS
    tls: Tls | None = None
    busy_wait: bool = True
    auto_connect: AutoConnect = "always"


class _Attempt:
    """A connection in the making."""

    __slots__ = ("dialling", "renewed", "timer")

    def __init__(self) -> None:
        self.timer: Timer | None = None
        self.dialling: Process | None = None
        """The process that dials; None while the peer's own attempt goes on instead."""
        self.renewed = False
        """Dialled again, after the peer's attempt for which ours waited came to nothing."""


class _Subscription:
    """A process that wants to know of a node, or of nodes, so many times; it is forgotten with the process."""

    __slots__ = ("_all", "count", "process")

    def __init__(self, among: dict[Process, _Subscription], process: Process) -> None:
        self.process = process
        self.count = 0
        self._all = among
        among[process] = self
        if process.monitored_by is None:
            process.monitored_by = {}
        process.monitored_by[self] = self

    def end(self) -> None:
        self._all.pop(self.process, None)
        if self.process.monitored_by is not None:
            self.process.monitored_by.pop(self, None)

    def down(self, _reason: Any) -> None:
        """The process has ended."""
        self._all.pop(self.process, None)


class NetKernel:
    """The connections of one node."""

    def __init__(self, system: System, settings: Settings) -> None:
        self.system = system
        self.settings = settings
        self.own = OwnIdentity(system.node.name, system.creation, settings.flags)
        self.rules = Rules(settings.cookie, settings.cookies, settings.allow, settings.auto_connect)
        self.ticker = Ticker(settings.ticks)
        self.tick_time = TickTime(settings.ticks, self.ticker.change, system.timers.start)
        self._busy_wait = BusyWait(system.scheduler.loop) if settings.busy_wait else None
        self.connections: dict[Atom, Connection] = {}
        self.stopped = False
        self._attempts: dict[Atom, _Attempt] = {}
        self._accepting: Counter[str] = Counter()
        """Who has said a name, was let in, and has not proved to be it."""
        self._atoms = AtomBudget(settings.limits.all_atoms)
        self._budgets: dict[Atom, AtomBudget] = {}
        """The atoms of each peer that there was: nobody gets new ones by connecting anew."""
        self._subscribers: dict[bool, dict[Process, _Subscription]] = {False: {}, True: {}}
        """Of news of nodes, without and with a map about it."""
        self._node_monitors: dict[Atom, dict[Process, _Subscription]] = {}
        self._refused: dict[Atom, str] = {}
        """Why the last attempt failed, of nodes that were not reached since."""
        self.strangers = 0
        """Connections to our port that ended before they had said a name: probes, scanners."""
        self._given = GivenNames()
        self._lender: Atom | None = None
        self._name_is_lost = False
        self.telemetry = Telemetry(system.scheduler.loop.run_callback)
        self.keeper = Keeper(system, self.connect, self.connections.__contains__)
        self._pressure = Pressure(system, self.connections.values, settings.limits.overflow, self._on_pressure)
        system.mailbox_full = self._pressure.mailbox_full
        system.connector = self.begin

    def reception(self) -> Reception:
        """What the listener asks and tells."""
        return Reception(
            self.own,
            self._decide,
            self.rules.cookie_for,
            self._accepted,
            give_name=self._give_name,
            prove=self._proven,
            replace=self._replace,
            on_failure=self._not_accepted,
            on_stranger=self._stranger,
            tls=None if self.settings.tls is None else self.settings.tls.server,
        )

    # --- connecting ----------------------------------------------------------------------------
    def begin(self, node: Atom, explicit: bool = False) -> Route:
        """The connection to `node`; when there is none an attempt begins, and what keeps signals until it is over.

        Raises:
            ConnectError: this node is stopped, or its rules say no; `reason` is one word.
            NoSuchNodeName: `node` is no name of a node, or long where ours is short; a `BadName` too.
        """
        connection = self.connections.get(node)
        if connection is not None:
            return connection
        if self.stopped:
            raise ConnectError(f"{node} can not be reached: this node is stopped", node.name, "stopped")
        if self._name_is_lost:
            why = f"{self._lender}, which gave this node its name, was lost: stop the node and open it again"
            raise ConnectError(f"{node} can not be reached: {why}", node.name, "stopped")
        known = self.system.peers.get(node)
        if known is not None and known.dialling is not None:
            return known.dialling
        self._check_name(node)
        self.rules.check_dial(node, explicit)
        attempt = self._attempts[node] = _Attempt()
        route = self.system.peer(node).dial(self.settings.limits.send_buffer)
        if node.name in self._accepting:
            attempt.timer = self.system.timers.start(PATIENCE, self._dial_after_all, node, attempt)
        else:
            self._start_dial(node, attempt)
        return route

    def connect(self, node: Atom, timeout: float | None = None) -> None:
        """Wait until `node` is connected, at most `timeout` seconds (None: as long as the attempt may take).

        This node itself always is. Raises what `begin` does, and `ConnectError` when it did not come about.
        """
        if node is not self.system.node and node not in self.connections:
            self.begin(node, explicit=True)
        self.system.connect(node, timeout)

    def _check_name(self, node: Atom) -> None:
        if node is self.system.node:
            raise ConnectError(f"{node} is this node itself", node.name, "self")
        try:
            check_style(parse(self.system.node.name), parse_peer(node.name))
        except BadName as error:
            raise NoSuchNodeName(str(error), node.name, "bad_name") from None

    def _dial_after_all(self, node: Atom, attempt: _Attempt) -> None:
        attempt.timer = None
        if self._attempts.get(node) is attempt and attempt.dialling is None:
            self._start_dial(node, attempt)

    def _start_dial(self, node: Atom, attempt: _Attempt) -> None:
        if attempt.timer is not None:
            attempt.timer.cancel()
            attempt.timer = None
        attempt.dialling = self.system.spawn_function(self._dial, (node, attempt), {})

    def _is_wanted(self, node: Atom, attempt: _Attempt) -> bool:
        """Asked by the dial of `attempt`: neither was it given up, nor has the peer's own gone before it."""
        return self._attempts.get(node) is attempt and attempt.dialling is current()

    def _dial(self, node: Atom, attempt: _Attempt) -> None:
        try:
            sock, peer, leftover = connector.connect(
                node.name,
                own=self.own,
                cookie=self.rules.cookie_for(node.name),
                epmd=self.settings.where,
                setup_time=self.settings.setup_time,
                still_wanted=partial(self._is_wanted, node, attempt),
                tls=None if self.settings.tls is None else self.settings.tls.client,
            )
        except ConnectError as error:
            self._not_dialled(node, attempt, error)
        except PyerlnodeError as error:
            self._not_dialled(node, attempt, ConnectError(str(error), node.name, "protocol"))
        except BaseException:
            why = f"connecting to {node} was broken off"
            self._not_dialled(node, attempt, ConnectError(why, node.name, "stopped"))
            raise
        else:
            if self.stopped or not self._is_wanted(node, attempt):
                sock.close()  # the peer's own attempt goes first, or nobody wants it any more
            else:
                self._up(sock, peer, leftover)

    def _not_dialled(self, node: Atom, attempt: _Attempt, error: ConnectError) -> None:
        if not self._is_wanted(node, attempt):
            return  # its end says nothing: the peer's own attempt goes on
        if error.reason == "nok":
            self._await_peer(node, attempt)
        else:
            self._give_up(node, attempt, error)

    def _await_peer(self, node: Atom, attempt: _Attempt) -> None:
        """The peer dials us at the same time and its attempt goes first: it has the setup time to come."""
        attempt.dialling = None
        error = ConnectError(f"{node} chose its own attempt to connect, which did not arrive", node.name, "nok")
        attempt.timer = self.system.timers.start(self.settings.setup_time, self._not_come, node, attempt, error)

    def _not_come(self, node: Atom, attempt: _Attempt, error: ConnectError) -> None:
        """One that said it is the peer may be under way just now: then we dial once more, which tells."""
        if node.name in self._accepting and not attempt.renewed:
            attempt.renewed = True
            self._dial_after_all(node, attempt)
        else:
            self._give_up(node, attempt, error)

    def _give_up(self, node: Atom, attempt: _Attempt, error: ConnectError) -> None:
        if self._attempts.get(node) is attempt:
            del self._attempts[node]
            self.rules.lost(node)
            if attempt.timer is not None:
                attempt.timer.cancel()
            self.telemetry.emit("connection.failed", {}, peer=node.name, reason=error.reason, text=str(error))
            lost = self.system.peer(node).not_connected(error)
            log.log(self._how_bad(node, error, lost), "%s; lost messages: %d", error, lost)
            self._remember_why(node, error)
            self._tell_monitors(node)

    def _remember_why(self, node: Atom, error: ConnectError) -> None:
        self._refused.pop(node, None)
        self._refused[node] = error.reason
        if len(self._refused) > REMEMBERED:
            del self._refused[next(iter(self._refused))]

    def _how_bad(self, node: Atom, error: ConnectError, lost: int) -> int:
        """The level of the log for a dial that failed: once for each change of the reason it is more than DEBUG.

        What was lost is worth a warning; so is a wrong cookie, which no caller of `ping` hears of otherwise, unless it
        is the keeper's to tell.
        """
        if error.reason == "stopped" or self._refused.get(node) == error.reason:
            return logging.DEBUG
        unwanted = error.reason in UNWANTED and not self.keeper.keeps(node)
        return logging.WARNING if lost or unwanted else logging.INFO

    # --- being connected to --------------------------------------------------------------------
    def _decide(self, name: str, flags: DistFlags) -> Status:
        del flags  # the handshake itself has checked the mandatory ones
        node = existing(name)
        if self.stopped or not self.rules.allows(name):
            return Status.NOT_ALLOWED
        if node is self.system.node:
            return Status.NOK
        status = Status.OK
        if node in self.connections:
            status = Status.ALIVE
        elif node in self._attempts:
            status = simultaneous(self.system.node.name, name)
        if status is not Status.NOK:
            self._accepting[name] += 1
        return status

    def _proven(self, name: str, replaces: bool) -> bool:
        """The peer is `name`. False when it has come in by another connection meanwhile."""
        node = existing(name)
        if node is None:
            try:
                self._atoms.charge(0)
            except LimitExceeded as error:
                log.warning("%s was refused: its name would be a new atom: %s", name, error)
                return False
        elif node in self.connections and not replaces:
            return False
        else:
            attempt = self._attempts.get(node)
            if attempt is not None:
                self._end_dial(attempt)
        return True

    def _no_longer(self, name: str) -> None:
        """One that said this name has proved it, or is gone."""
        self._accepting[name] -= 1
        if self._accepting[name] <= 0:
            del self._accepting[name]

    @staticmethod
    def _end_dial(attempt: _Attempt) -> None:
        """End our own dial: going on it would replace the connection that the peer makes."""
        process, attempt.dialling = attempt.dialling, None
        if process is not None:
            process.exit(A.killed)
        if attempt.timer is not None:
            attempt.timer.cancel()
            attempt.timer = None

    def _give_name(self, host: str) -> tuple[str, int] | None:
        """For a peer without a name; a node that allows certain names only gives none."""
        return None if self.stopped or self.rules.selective else self._given.give(host)

    def _not_accepted(self, name: str, error: HandshakeError) -> None:
        self._no_longer(name)
        self._given.back(name, proven=False)
        node = existing(name)
        attempt = None if node is None else self._attempts.get(node)
        if node is None or attempt is None or attempt.dialling is not None:
            return  # our own goes on, or has its time
        if not attempt.renewed:  # it waited for this one, or was ended in favour of it
            attempt.renewed = True
            self._start_dial(node, attempt)
        elif attempt.timer is None:
            self._give_up(node, attempt, ConnectError(str(error), name, error.reason))

    def _stranger(self, address: str) -> None:
        self.strangers += 1
        self.telemetry.emit("connection.stranger", {"count": self.strangers}, address=address)

    def _replace(self, name: str) -> None:
        node = existing(name)
        connection = None if node is None else self.connections.get(node)
        if connection is not None:
            connection.close(A.connection_closed)

    def _accepted(self, sock: socket.socket | TlsTransport, peer: PeerInfo, leftover: bytes) -> None:
        self._no_longer(peer.name)
        if self.stopped or Atom(peer.name) in self.connections:
            sock.close()
        else:
            self._up(sock, peer, leftover)

    def borrowed_name(self, transport: socket.socket | TlsTransport, lender: PeerInfo, leftover: bytes) -> None:
        """Take over the connection to the node that gave this one its name; the name goes with that connection."""
        self._lender = Atom(lender.name)
        self._up(transport, lender, leftover)

    # --- up and down ---------------------------------------------------------------------------
    def _up(self, sock: socket.socket | TlsTransport, info: PeerInfo, leftover: bytes) -> None:
        settings, system = self.settings, self.system
        node = Atom(info.name)
        budget = self._budgets.get(node)
        if budget is None:
            budget = self._budgets[node] = AtomBudget(settings.limits.atoms, self._atoms)
        now = self.ticker.now()
        channel = Channel(info, limits=settings.limits, ticks=self.tick_time.current, now=now, budget=budget)
        peer = system.peer(node)
        connection = Connection(
            sock,
            channel,
            deliver=peer.deliver,
            on_down=self._down,
            before_read=system.scheduler.hold,
            after_read=system.scheduler.drain,
            ticker=self.ticker,
            busy_wait=self._busy_wait,
            limits=settings.limits,
            on_event=self._on_event,
        )
        self.connections[node] = connection
        self._refused.pop(node, None)
        peer.creation = info.creation
        peer.most_relations = settings.limits.relations
        peer.is_new, peer.stdlib = DistFlags.ALTACT_SIG in info.flags, None
        waited = peer.connected(connection)
        attempt = self._attempts.pop(node, None)
        if attempt is not None and attempt.timer is not None:
            attempt.timer.cancel()
        connection.start(leftover)
        self.keeper.up(node)
        self.telemetry.emit("connection.up", {}, peer=node.name, hidden=info.hidden, tls=settings.tls is not None)
        self._tell(A.nodeup, node, {A.node_type: A.hidden if info.hidden else A.visible})
        connection.send_all(waited, peer.not_sent)  # nobody has run since it is the route: nothing was sent before
        log.info("connected to %s", node)

    def _down(self, connection: Connection, reason: Any) -> None:
        node = Atom(connection.peer.name)
        if self.connections.get(node) is not connection:
            return
        del self.connections[node]
        log.info("connection to %s is down: %s", node, reason)
        self._pressure.lost(connection)
        self.telemetry.emit("connection.down", asdict(connection.stats), peer=node.name, reason=reason)
        self.system.peer(node).lost()
        self._given.back(node.name)
        self.rules.lost(node)
        self._name_is_lost = self._name_is_lost or node is self._lender
        info = {A.node_type: A.hidden if connection.peer.hidden else A.visible, A.nodedown_reason: reason}
        self._tell(A.nodedown, node, info)
        self._tell_monitors(node)
        self.keeper.down(node)

    def disconnect(self, node: Atom) -> bool:
        """``disconnect_node``: True when there was a connection, or an attempt, which is broken off."""
        connection, attempt = self.connections.get(node), self._attempts.get(node)
        if connection is not None:
            connection.close(A.disconnect)
        elif attempt is not None:
            self._end_dial(attempt)
            self._give_up(node, attempt, ConnectError(f"connecting to {node} was broken off", node.name, "stopped"))
        return connection is not None or attempt is not None

    def stop(self) -> None:
        """Close every connection and give up every attempt."""
        self.stopped = True
        self.keeper.stop()
        error = ConnectError("this node was stopped", self.system.node.name, "stopped")
        for node, attempt in list(self._attempts.items()):
            self._give_up(node, attempt, error)
        for connection in list(self.connections.values()):
            connection.close(A.net_kernel_terminated)
        self.ticker.stop()
        if self._busy_wait is not None:
            self._busy_wait.close()

    def stats(self) -> dict[str, ConnectionStats]:
        """The counters of each connection, by the peer's name."""
        return {node.name: connection.stats for node, connection in self.connections.items()}

    def _on_event(self, name: str, connection: Connection, count: int) -> None:
        what = "queued" if name == "suspended" else "count"
        self.telemetry.emit(f"connection.{name}", {what: count}, peer=connection.peer.name)

    def _on_pressure(self, name: str, connection: Connection, process: Process | None) -> None:
        waiting = {} if process is None else {"messages": len(process.queue or ())}
        pid = None if process is None else process.pid
        self.telemetry.emit(f"connection.{name}", waiting, peer=connection.peer.name, pid=pid)

    # --- who wants to know ---------------------------------------------------------------------
    def monitor_nodes(self, process: Process, flag: bool, info: bool = False) -> None:
        """``(A.nodeup, node)`` and ``(A.nodedown, node)`` to `process`, for nodes of every type.

        With `info` they carry a map: `node_type`, and `nodedown_reason` when a node went down. Each call counts, as in
        OTP: so many messages come; with `flag` False all that came of calls with the same `info` end.
        """
        subscribers = self._subscribers[info]
        subscription = subscribers.get(process)
        if flag:
            (subscription or _Subscription(subscribers, process)).count += 1
        elif subscription is not None:
            subscription.end()

    def monitor_node(self, process: Process, node: Atom, flag: bool = True) -> None:
        """One ``(A.nodedown, node)`` when `node` is lost, or when it turns out that it can not be reached.

        Each call counts, as in OTP: so many messages come, and with `flag` False one less. This node itself is never
        lost.
        """
        if node is self.system.node:
            return
        monitors = self._node_monitors.get(node, {})
        monitor = monitors.get(process)
        if not flag:
            if monitor is not None:
                monitor.count -= 1
                if monitor.count == 0:
                    monitor.end()
            return
        try:
            self.begin(node)
        except ConnectError:
            process.deliver((A.nodedown, node))
            return
        if monitor is None:
            monitor = _Subscription(self._node_monitors.setdefault(node, monitors), process)
        monitor.count += 1

    def _tell_monitors(self, node: Atom) -> None:
        for monitor in list(self._node_monitors.pop(node, {}).values()):
            monitor.end()
            for _ in range(monitor.count):
                monitor.process.deliver((A.nodedown, node))

    def _tell(self, what: Atom, node: Atom, info: dict[Atom, Any]) -> None:
        for wants_info, subscribers in self._subscribers.items():
            for subscription in list(subscribers.values()):
                for _ in range(subscription.count):
                    subscription.process.deliver((what, node, info) if wants_info else (what, node))

    def nodes(self, kind: str = "connected") -> list[Atom]:
        """Names of connected nodes: `visible`, `hidden` or `connected` (both)."""
        wanted = {"connected": (True, False), "hidden": (True,), "visible": (False,)}
        if kind not in wanted:
            raise BadName(f"nodes({short(kind)}): give 'connected', 'visible', 'hidden', 'this' or 'known'")
        return [node for node, connection in self.connections.items() if connection.peer.hidden in wanted[kind]]

    def nodes_of(self, kinds: Iterable[str]) -> list[Atom]:
        """``nodes(Kinds)``: those of any of the kinds. `known` are those that something here knows of, and this one."""
        found: dict[Atom, None] = {}
        for kind in map(str, kinds):
            if kind in ("this", "known"):
                found[self.system.node] = None
            if kind == "known":
                found.update(dict.fromkeys(self.system.peers))
            if kind != "this":
                found.update(dict.fromkeys(self.nodes("connected" if kind == "known" else kind)))
        return list(found)


class NetKernelServer(Service):
    """The process registered as `net_kernel`: what makes ``net_adm:ping`` say pong (protocol.md E.5).

    Args:
        spawn: starts a function for a caller, and answers it: (from, (module, function, args), options, group leader).
    """

    def init(self, spawn: Callable[[Any, Any, list[Any], Pid], None]) -> None:
        self._spawn = spawn

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (A.is_auth, _):
                return Reply(A.yes)
            # ``spawn/4`` of peers that do not speak SPAWN_REQUEST: OTP 22 and older
            case (A.spawn, module, function, args, Pid() as leader):
                self._spawn(from_, (module, function, args), [], leader)
            case (A.spawn_link, module, function, args, Pid() as leader):
                self._spawn(from_, (module, function, args), [A.link], leader)
            case (A.spawn_opt, module, function, args, list(options), link, Pid() as leader):
                linked = [A.link] if link is A.link else []
                self._spawn(from_, (module, function, args), [*linked, *options], leader)
        return NoReply()  # OTP's ignores what it does not know, and its caller times out

    def handle_cast(self, request: Any) -> None:
        """There is none: dropped, as OTP's does."""

    def handle_info(self, message: Any) -> None:
        """Anything else is dropped, as OTP's does."""
