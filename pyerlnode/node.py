"""A node: everything below put together, under one name.

    with Node("py@127.0.0.1", cookie="secret") as node:
        node.start(Counter, 41, name="counter")
        node.call(("stock", "app@127.0.0.1"), (A.get, "sku"))

There is no module-level state: two nodes live in one program. A node belongs to the gevent hub of the thread in which
it was opened, and its methods are for greenlets of that hub; from other threads, and from programs that do not use
gevent, use `pyerlnode.connect`.
"""

from __future__ import annotations

import functools
import logging
import os
import secrets
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from pyerlnode import etf
from pyerlnode.dist import node_name
from pyerlnode.dist.epmd import HIDDEN_NODE, NORMAL_NODE, NodeEntry
from pyerlnode.dist.flags import HIDDEN_FLAGS, VISIBLE_FLAGS, DistFlags
from pyerlnode.dist.handshake import OwnIdentity
from pyerlnode.dist.ticks import TickSettings
from pyerlnode.errors import ConnectError, Exit, UsageError
from pyerlnode.etf.codec import Codec
from pyerlnode.kernel import cookies as cookie_files
from pyerlnode.kernel import release_core as release
from pyerlnode.kernel.alarms import Alarms
from pyerlnode.kernel.blocked import LongSchedule
from pyerlnode.kernel.io.remote_shell import RemoteShell
from pyerlnode.kernel.net_kernel import NetKernel, NetKernelServer, Settings
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.kernel.remote.peer import Peer
from pyerlnode.kernel.remote.rex import Rex
from pyerlnode.kernel.remote.spawn_server import SpawnServer
from pyerlnode.kernel.rules import AutoConnect
from pyerlnode.kernel.services import Remote, Services
from pyerlnode.kernel.telemetry import Telemetry
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.net import connector, tcp
from pyerlnode.net.connection import ConnectionStats
from pyerlnode.net.epmd_client import Epmd, EpmdService, Mode, Registration, find_or_start_epmd
from pyerlnode.net.epmd_server import addresses_for
from pyerlnode.net.listener import Listener
from pyerlnode.otp import gen
from pyerlnode.otp.behaviour import Behaviour
from pyerlnode.runtime.forks import made_before, ours
from pyerlnode.runtime.shutdown import StopReport
from pyerlnode.runtime.system import System
from pyerlnode.runtime.threads import get_ident, wrong_thread
from pyerlnode.runtime.wakeup import attend
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid

if TYPE_CHECKING:
    from pyerlnode.kernel.follow import Following
    from pyerlnode.net.tls_options import Tls
    from pyerlnode.runtime.process import Process

log = logging.getLogger("pyerlnode.node")

Function = TypeVar("Function", bound=Callable[..., Any])
T = TypeVar("T")


def unique_name(host: str = "127.0.0.1") -> str:
    """A name that no other node has: for scripts and tools that nobody needs to find."""
    return f"py_{os.getpid()}_{secrets.token_hex(3)}@{host}"


@functools.cache
def warn_of_the_pure_codec() -> None:
    """Once a program, unless it was asked for."""
    if etf.IMPLEMENTATION != "c" and os.environ.get("PYERLNODE_PUREPYTHON") != "1":
        log.warning("the compiled codec is not there, so messages take 13 to 19 times longer: see `pyerlnode doctor`")


def this_host(long: bool) -> str:
    """This machine's name, with its domain or without."""
    return socket.getfqdn() if long else socket.gethostname().partition(".")[0]


def _own_host(peer: node_name.NodeName) -> str:
    """The host part to go with when `peer` is to give the rest: loopback for a peer there, else this machine's."""
    if tcp.is_loopback(peer.host):
        return peer.host
    return this_host(peer.is_long)


def _tls_of(what: Tls | str | os.PathLike[str] | Mapping[str, Any]) -> Tls:
    from pyerlnode.net.tls_options import Tls  # OpenSSL is loaded by the nodes that speak TLS

    return Tls.of(what)


class _NotOpen:
    """The system of a node that is not open."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Any:
        raise self._node._not_open()


class Node(Remote):
    """A node of an Erlang cluster; hidden unless asked otherwise.

    Args:
        name: ``alive@host``; a host with a dot, or an address, makes a long name. Unless given, that of
            ``$RELEASE_NODE`` (`kernel.release_core`), else a unique one on 127.0.0.1.
        cookie: the cluster's; unless given from `cookie_file`, the environment or ``~/.erlang.cookie``.
        cookie_file: a file with the cookie, such as a secret that is mounted; of any mode, with a warning.
        cookies: other cookies for single peers, by their names.
        hidden: False takes part in the mesh of visible nodes.
        connect_all: OTP's; of a visible node False: it connects to nobody by itself, and `Global` names are its own.
        prevent_overlapping_partitions: OTP's; of a visible node; must be the same on all nodes.
        epmd: ``auto`` finds or starts one, ``external``, ``embedded``, or ``none`` to be registered nowhere: peers
            reach the node when they know its port, as with `ports` and ``erl -erl_epmd_port``.
        epmd_port: ERL_EPMD_PORT or 4369 unless given.
        addresses: where peers are that are reached without EPMD: (host, port) or a port by their names, a callable that
            gives these for a name, or one port that all have, as with ``erl -erl_epmd_port``.
        listen: the one address to listen at. Unless given, loopback for a loopback name, else all addresses, by each
            family that the host of the name has.
        ports: the port, or a range of ports, to listen at; any unless given.
        allow: names of the only nodes that connections are made to and taken from.
        dist_auto_connect: OTP's: ``never`` connects by `connect` alone, ``once`` too after a node was lost.
        setup_time: seconds for each step of a connection.
        ticktime, tickintensity: OTP's net_ticktime, in seconds, and net_tickintensity, 4..1000.
        ask_name_of: have no name of its own, but take the one that this peer gives: no EPMD knows the node, nobody can
            dial it, and the name is gone with the connection to that peer. `name` may be ``undefined@host``.
        codec: how what `call`, `rpc`, `apply` and `receive` give looks (`etf.codec`); unless given, as terms do.
        busy_wait: stay awake for up to 150 µs between packets that follow each other closely, as `erl +sbwt` does;
            False where the processor's time is counted (a container's quota) and a call may take 40 µs longer.
        long_schedule: seconds for which one process may keep all others waiting, until a line in the log, the alarm
            ``hub_blocked`` and the event ``hub.blocked`` tell of it (`kernel.blocked`); 0 or None: never.
        tls: speak TLS with all peers: an `ssl_dist_optfile`, or its options as a mapping (`net.tls_options`).
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        cookie: str | None = None,
        cookie_file: str | os.PathLike[str] | None = None,
        cookies: Mapping[str, str] | None = None,
        hidden: bool = True,
        connect_all: bool = True,
        prevent_overlapping_partitions: bool = True,
        epmd: Mode = "auto",
        epmd_port: int | None = None,
        addresses: connector.Addresses | None = None,
        listen: str | None = None,
        ports: int | Iterable[int] = 0,
        allow: Collection[str] | None = None,
        dist_auto_connect: AutoConnect = "always",
        setup_time: float = 7.0,
        ticktime: float = 60.0,
        tickintensity: int = 4,
        ask_name_of: str | None = None,
        tls: Tls | str | os.PathLike[str] | Mapping[str, Any] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        codec: Codec | None = None,
        busy_wait: bool = True,
        long_schedule: float | None = 1.0,
    ) -> None:
        if os.environ.get("PYERLNODE_COPY_MESSAGES") == "1":
            from pyerlnode.otp import copying  # for development

            copying.switch_on()
        if not setup_time > 0 or not ticktime > 0:
            raise UsageError("setup_time and ticktime are seconds, more than 0")
        if long_schedule is not None and not 0 <= long_schedule < inf:
            raise UsageError("long_schedule is a number of seconds, 0 or more, or None")
        if not 4 <= tickintensity <= 1000:
            raise UsageError("tickintensity is 4..1000 ticks in the tick time")
        self._ask_name_of = None if ask_name_of is None else node_name.parse_peer(ask_name_of)
        if name is not None:
            name = release.complete(name, os.environ, this_host)
        elif self._ask_name_of is not None:
            name = f"undefined@{_own_host(self._ask_name_of)}"
        else:
            name = release.release_node(os.environ, this_host) or unique_name()
            if epmd == "auto" and release.distribution(os.environ) == "none":
                epmd = "none"
        self._name = node_name.parse(name)
        self._cookie = cookie_files.find_cookie(cookie, cookie_file)
        self._cookies = {peer: cookie_files.check(c, f"the cookie for {peer}") for peer, c in (cookies or {}).items()}
        self._flags = HIDDEN_FLAGS if hidden else VISIBLE_FLAGS
        self._hidden = hidden
        self._connect_all = connect_all
        self._prevent_overlapping_partitions = prevent_overlapping_partitions
        self._mode: Mode = epmd
        self._epmd = Epmd(epmd_port)
        if addresses is not None:
            connector.check_addresses(addresses)
        self._addresses = addresses
        self._listen = self._name.host if listen is None else [tcp.numeric(listen)]
        self._ports = ports
        self._allow = allow
        self._auto_connect: AutoConnect = dist_auto_connect
        self._setup_time = setup_time
        self._ticks = TickSettings(ticktime, tickintensity)
        self._limits = limits
        self.codec = codec
        self._busy_wait = busy_wait
        self._long_schedule = long_schedule
        self._watch: LongSchedule | None = None
        self._tls = None if tls is None else _tls_of(tls)
        self.exports = Exports()
        self._stopping = False
        self._kept: frozenset[Pid] = frozenset()
        """The kernel's own processes: they serve the others to the end."""
        self._parts: tuple[System, NetKernel, Listener | None, EpmdService, Registration | None] | None = None
        self._forsaken = False
        self._home = _NotOpen(self)
        ours(self)

    _home: Any = None
    """The system, in an attribute of its own: each message that is sent asks for it."""

    # --- life ----------------------------------------------------------------------------------
    def open(self) -> Node:
        """Listen, register at EPMD, and be reachable.

        Raises:
            NameTaken: another node runs under this name.
            EpmdError, NetworkError: EPMD or the port can not be had.
        """
        if self._parts is not None:
            raise UsageError(f"{self.name} is open already")
        if self._ask_name_of is not None:
            return self._open_borrowing(str(self._ask_name_of))
        listener = Listener(self._listen, self._ports, limits=self._limits, setup_time=self._setup_time)
        service = registration = None
        try:
            service = find_or_start_epmd(self._mode, self._epmd, addresses_for(self._name.host))
            creation = secrets.randbits(32) | 4
            if self._mode != "none":
                kind = HIDDEN_NODE if self._hidden else NORMAL_NODE
                entry = NodeEntry(self._name.alive, listener.port, kind)
                registration = Registration(self._epmd, entry, locate=service.ensure)
                creation = registration.start()
            self._parts = self._assemble(creation, listener, service, registration)
            warn_of_the_pure_codec()
            if registration is None:
                log.info("%s listens on port %d and is registered at no EPMD", self.name, listener.port)
        except BaseException:
            listener.stop()
            for part in (registration, service):
                if part is not None:
                    part.stop()
            raise
        return self

    def _open_borrowing(self, lender: str) -> Node:
        """As a node without a name, which `lender` gives one."""
        asking = OwnIdentity(f"undefined@{self._name.host}", 0, self._flags | DistFlags.NAME_ME)
        transport, peer, leftover = connector.connect(
            lender,
            own=asking,
            cookie=self._cookies.get(lender, self._cookie),
            epmd=self._epmd if self._addresses is None else self._addresses,
            setup_time=self._setup_time,
            tls=None if self._tls is None else self._tls.client,
        )
        self._name = node_name.parse_peer(peer.own_name)
        service = find_or_start_epmd("none", self._epmd)
        self._parts = self._assemble(peer.own_creation, None, service, None)
        self.kernel.borrowed_name(transport, peer, leftover)
        return self

    def _assemble(
        self, creation: int, listener: Listener | None, service: EpmdService, registration: Registration | None
    ) -> tuple[System, NetKernel, Listener | None, EpmdService, Registration | None]:
        system = System(self.name, creation)
        system.exported = self.exports.find
        where = self._epmd if self._addresses is None else self._addresses
        settings = Settings(
            flags=self._flags,
            cookie=self._cookie,
            where=where,
            cookies=self._cookies,
            allow=self._allow,
            auto_connect=self._auto_connect,
            setup_time=self._setup_time,
            ticks=self._ticks,
            limits=self._limits,
            tls=self._tls,
            busy_wait=self._busy_wait,
        )
        kernel = NetKernel(system, settings)
        RemoteShell(system, self.exports, kernel.tick_time.get, lambda kinds: self.kernel.nodes_of(kinds)).install()
        server = SpawnServer(system, self.exports)
        self._offers = Services(system, kernel, self.exports.add, self.codec)
        keeping = self._offers.keeping
        keeping.keep(NetKernelServer, server.spawn_for, name="net_kernel")
        keeping.keep(Rex, server, name="rex")
        if not self._hidden and self._ask_name_of is None:
            from pyerlnode.kernel.global_ import server as global_  # for visible nodes only

            global_.start(
                system,
                kernel,
                keeping,
                connect_all=self._connect_all,
                prevent_overlapping_partitions=self._prevent_overlapping_partitions,
            )
        self._alarms = Alarms(kernel.telemetry)
        if self._long_schedule:
            self._watch = LongSchedule(system, kernel.telemetry, self._alarms, self._long_schedule)
            self._watch.start()
        self._kept = frozenset(process.pid for process in system.processes.values())
        if listener is not None:
            listener.start(kernel.reception())
        self._hears_no_more = attend(system.scheduler.loop)
        self._home = system
        return system, kernel, listener, service, registration

    def run_forever(self) -> None:
        """Let the node work until SIGTERM or Ctrl-C: what stands at the end of a program that serves.

        For the main thread. When it returns, leave the `with` block, or `stop()`.
        """
        from pyerlnode.port.signals import wait_for_signal  # for the programs that end so

        self._open()
        wait_for_signal()

    def program_processes(self) -> list[Process]:
        """The processes that the program has started: neither the kernel's own nor greenlets that became one."""
        kept = self._kept | self._offers.keeping.pids()
        return [p for p in self.system.processes.values() if not p.adopted and p.pid not in kept]

    def stop(self, timeout: float = 5.0) -> StopReport:
        """End every process, close every connection, give the name back. May be called twice.

        Processes are asked first, and have `timeout` seconds; the report tells which had not ended by then. What is in
        a mailbox is handled before the order to end.
        """
        return self._stop(timeout)

    def _stop(self, timeout: float = 5.0, *, hurry: bool = False) -> StopReport:
        if self._parts is None or self._stopping:
            return StopReport(0, 0.0)
        if get_ident() != self._parts[0].scheduler.thread:
            return self.run(self.stop, timeout)
        system, kernel, listener, service, registration = self._parts
        self._stopping = True
        report = StopReport(0, 0.0)
        with ExitStack() as rest:  # from below; each is done whatever becomes of the others
            rest.callback(service.stop)
            if registration is not None:
                rest.callback(registration.stop)
            rest.callback(kernel.stop)
            rest.callback(self._closed, system)
            if listener is not None:
                listener.stop(wait=not hurry)
            report = system.shut_down(timeout, self._kept | self._offers.keeping.pids(), hurry=hurry)
        return report  # noqa: RET504  # to mypy, the stack might swallow what is raised

    def _closed(self, system: System) -> None:
        self._stopping, self._parts, self._home = False, None, _NotOpen(self)
        if self._watch is not None:
            self._watch.stop()
        self._hears_no_more()
        system.stop()

    def forsake(self) -> None:
        """In a fork: what was open is the parent's, and not ours to end."""
        self._forsaken = self._parts is not None
        self._stopping, self._parts, self._home = False, None, _NotOpen(self)

    def __enter__(self) -> Node:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop(hurry=kind is not None and issubclass(kind, KeyboardInterrupt))

    def __repr__(self) -> str:
        return f"<Node {self.name}{'' if self._parts else ' (not open)'}>"

    @property
    def name(self) -> str:
        return str(self._name)

    @property
    def system(self) -> System:
        """Raises `WrongThread` in another thread than the node's."""
        home: System = self._home
        if get_ident() != home.scheduler.thread:
            raise wrong_thread(home)
        return home

    @property
    def anywhere(self) -> System:
        return self._open()[0]

    @property
    def kernel(self) -> NetKernel:
        assert self.system is not None  # raises in another thread
        return self._open()[1]

    @property
    def port(self) -> int:
        """The port at which peers reach this node; 0 for one that borrows its name, which nobody can dial."""
        listener = self._open()[2]
        return 0 if listener is None else listener.port

    @property
    def creation(self) -> int:
        return self.system.creation

    def _open(self) -> tuple[System, NetKernel, Listener | None, EpmdService, Registration | None]:
        if self._parts is None:
            raise self._not_open()
        return self._parts

    def _not_open(self) -> UsageError:
        if self._forsaken:
            return made_before(self.name)
        return UsageError(f"{self.name} is not open: use `with Node(…) as node:` or node.open()")

    def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `function` in the node's thread, in a greenlet, and wait for what it gives: the way in for other threads.

        In the node's own thread it is just called. Raises what it raises, and `UsageError` when the node is stopped
        meanwhile or its thread lets nothing run for 10 seconds.
        """
        return self.anywhere.run(function, *args, **kwargs)

    # --- nodes ---------------------------------------------------------------------------------
    def connect(self, name: str | Atom, timeout: float | None = None) -> None:
        """Connect to the node `name`, and wait for it at most `timeout` seconds. Raises `ConnectError`: it says why.

        None: as long as an attempt may take, 7 seconds for each of its steps. After the time-out it goes on.
        """
        self.kernel.connect(Atom(str(name)), timeout)

    def ping(self, name: str | Atom) -> bool:
        """True when `name` can be reached, and answers as a node."""
        node = Atom(str(name))
        if node is self.system.node:
            return True
        try:
            return gen.call(self.system, ("net_kernel", node), (Atom("is_auth"), self.system.node)) is Atom("yes")
        except (Exit, ConnectError):
            return False

    def set_cookie(self, cookie: str, name: str | Atom | None = None) -> None:
        """The own cookie, or the one for the node `name`, for connections that are made from now on."""
        self.kernel.rules.set_cookie(cookie, None if name is None or str(name) == self.name else str(name))

    def get_cookie(self, name: str | Atom | None = None) -> str:
        """The cookie for the node `name`, or the own one."""
        return self.kernel.rules.cookie_for(self.name if name is None else str(name))

    def allow(self, names: Iterable[str]) -> None:
        """``net_kernel:allow``: from now on `names`, beside those allowed before, are the only nodes to connect with.

        Connections that stand are left.
        """
        self.kernel.rules.allow(names)

    def allowed(self) -> list[str]:
        """The names that are allowed; none of them: every node is."""
        return self.kernel.rules.allowed()

    def set_net_ticktime(self, ticktime: float, transition: float = 60.0) -> Any:
        """``net_kernel:set_net_ticktime``: ``A.change_initiated``, ``A.unchanged``, or the change that goes on already.

        Until `transition` seconds are over the shorter time rules what is sent, and the longer one who is given up.
        """
        return self.kernel.tick_time.set(ticktime, transition)

    def get_net_ticktime(self) -> Any:
        """Seconds, or ``(A.ongoing_change_to, seconds)``."""
        return self.kernel.tick_time.get()

    def keep_connected(self, name: str | Atom, flag: bool = True, *, longest: float = 30.0) -> None:
        """Connect to `name`, and again whenever it is lost, at growing distances up to `longest` seconds.

        With ``False`` no longer; a connection that stands is left. See `kernel.reconnect`.
        """
        if flag:
            self.kernel.keeper.keep(Atom(str(name)), longest)
        else:
            self.kernel.keeper.let_go(Atom(str(name)))

    def follow(
        self,
        what: str | Callable[[], Iterable[str]] | None = None,
        *,
        every: float = 2.0,
        limit: int = 100,
        forget: float = 120.0,
    ) -> Following:
        """Stay connected to every visible node of a cluster: a hidden node is told of none by itself.

        Args:
            what: a node, whose cluster it is; or a strategy that finds nodes (`net.discovery`), which is any callable
                that gives names; or None: as ``DNS_CLUSTER_QUERY`` in the environment says.
            every: seconds between two looks.
            limit: how many nodes are followed at most; more of them are a warning in the log.
            forget: seconds after which a node is let go that is neither found nor connected.

        Gives what has ``nodes()`` and ``stop()``. See `kernel.follow`.
        """
        from pyerlnode.kernel.follow import Following
        from pyerlnode.net import discovery, gossip

        if what is None:
            what = discovery.from_environment(os.environ, self.name)
        elif isinstance(what, (str, Atom)):
            what = discovery.Static(str(what))
        elif not callable(what):
            raise UsageError(f"follow takes a node or a strategy, not {type(what).__name__}")
        if isinstance(what, gossip.Gossip):
            what.name = self.name
        return Following(self.kernel, what, every, limit, forget)

    def stats(self) -> dict[str, ConnectionStats]:
        """Counters of each connection, by the peer's name: messages, bytes, queue, fragments, ticks, errors."""
        return self.kernel.stats()

    @property
    def telemetry(self) -> Telemetry:
        """The list of callables that are told of the connections' events (`kernel.telemetry`)."""
        return self.kernel.telemetry

    @property
    def alarms(self) -> Alarms:
        """What is wrong just now (`kernel.alarms`); may be asked from any thread."""
        self._open()
        return self._alarms

    def send_nosuspend(self, dest: Any, message: Any, *, noconnect: bool = False) -> bool:
        """As `send`, but False, and nothing sent, where a peer that does not read would make the sender wait.

        With `noconnect` also where it would have to connect first: ``erlang:send_nosuspend/2,3``.
        """
        return self.send_with(dest, message, nosuspend=True, noconnect=noconnect) is Atom("ok")

    def send_with(
        self, dest: Any, message: Any, *, nosuspend: bool = False, noconnect: bool = False, priority: bool = False
    ) -> Atom:
        """``erlang:send/3``: ``A.ok``, or the option for whose sake nothing was sent. See `kernel.sending`."""
        from pyerlnode.kernel import sending

        return sending.send(self.kernel, dest, message, nosuspend=nosuspend, noconnect=noconnect, priority=priority)

    def disconnect(self, name: str | Atom) -> bool:
        """Cut the connection; True when there was one."""
        return self.kernel.disconnect(Atom(str(name)))

    def nodes(self, kind: str | list[str] = "connected") -> list[str]:
        """Names of nodes, as ``nodes/1``: ``visible``, ``hidden``, ``connected`` for both, ``this``, ``known``."""
        return [node.name for node in self.kernel.nodes_of([kind] if isinstance(kind, str) else kind)]

    def registered(self) -> list[Atom]:
        """``registered()``: the names of processes of this node."""
        return list(self.system.registry.names)

    def monitor_nodes(self, flag: bool = True, *, info: bool = False) -> None:
        """Tell the current process of every ``(A.nodeup, node)`` and ``(A.nodedown, node)``."""
        self.kernel.monitor_nodes(self._me(), flag, info)

    def monitor_node(self, name: str | Atom, flag: bool = True) -> None:
        """One ``(A.nodedown, node)`` to the current process when `name` is lost or can not be reached.

        Each call counts, as in OTP; one with ``False`` takes one back.
        """
        self.kernel.monitor_node(self._me(), Atom(str(name)), flag)

    # --- remote functions ----------------------------------------------------------------------
    def peer(self, name: str | Atom, timeout: float | None = 5.0) -> Peer:
        """The node as an object: ``node.peer("app@host").lists.reverse([1, 2])``."""
        return Peer(Atom(str(name)), self.rpc, timeout)

    def export(
        self,
        module: str | Atom,
        function: Function | Mapping[str, Callable[..., Any]],
        name: str | Atom | None = None,
        *,
        keywords: bool = False,
    ) -> Function | Mapping[str, Callable[..., Any]]:
        """Let other nodes call `function` (or all of a mapping) as ``module:name``; nothing else is callable.

        With `keywords` the last argument is always a keyword list, or a map of atoms, and goes by keywords.
        """
        if isinstance(function, Mapping):
            self.exports.add_all(module, function, keywords)
        else:
            self.exports.add(module, function, name, keywords)
        return function

    def export_server(
        self, module: str | Atom, cls: type[Behaviour], *, name: str | Atom | None = None, **options: Any
    ) -> None:
        """Let supervisors of other nodes start servers of `cls` as ``module:start_link``, linked to them.

        `name` is registered by the start; `options` are keys of a child specification. See `export_server`.
        """
        from pyerlnode.kernel.remote.export_server import export_server  # it brings every behaviour with it

        export_server(self, module, cls, name=name, **options)
