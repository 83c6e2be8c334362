"""What a node offers by name beside its own methods: ``node.erpc``, ``node.rpc``, each bound to that node.

Nodes are given by name, as text or atoms; calls give and raise what `kernel.remote.erpc` and `kernel.remote.rpc` say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import UsageError
from pyerlnode.etf.codec import Codec
from pyerlnode.kernel.global_.functions import GlobalFunctions
from pyerlnode.kernel.global_.names import GlobalNames
from pyerlnode.kernel.io import group_leader
from pyerlnode.kernel.io.device import Device
from pyerlnode.kernel.io.logger import ErlangHandler, Logs
from pyerlnode.kernel.keeping import Keeping
from pyerlnode.kernel.local import Local, read
from pyerlnode.kernel.net_kernel import NetKernel
from pyerlnode.kernel.objects.handle import ObjectHandle
from pyerlnode.kernel.pg import Pg
from pyerlnode.kernel.remote import applying, erpc, rpc, spawn
from pyerlnode.kernel.remote.erpc import Request, RequestIds
from pyerlnode.kernel.streams.handle import Stream
from pyerlnode.runtime.info import process_info
from pyerlnode.runtime.system import System
from pyerlnode.signal import GroupLeader
from pyerlnode.term.atom import Atom
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.pid import Pid, Reference

Name = str | Atom


def node_atom(name: Name) -> Atom:
    return name if type(name) is Atom else Atom(str(name))


def node_atoms(names: Iterable[Name]) -> list[Atom]:
    return [node_atom(name) for name in names]


class Erpc:
    """``erpc`` of one node."""

    NO_REPLY = erpc.NO_REPLY
    NO_REQUEST = erpc.NO_REQUEST
    PENDING = erpc.PENDING_RESPONSE

    def __init__(self, system: System) -> None:
        self._system = system

    def call(
        self, node: Name, module: Name, function: Name, args: Iterable[Any] = (), timeout: float | None = 5.0
    ) -> Any:
        return erpc.call(self._system, node_atom(node), module, function, args, timeout)

    def cast(self, node: Name, module: Name, function: Name, args: Iterable[Any] = ()) -> None:
        erpc.cast(self._system, node_atom(node), module, function, args)

    def multicall(
        self, nodes: Iterable[Name], module: Name, function: Name, args: Iterable[Any] = (), timeout: float | None = 5.0
    ) -> list[tuple[Any, Any]]:
        return erpc.multicall(self._system, node_atoms(nodes), module, function, args, timeout)

    def multicast(self, nodes: Iterable[Name], module: Name, function: Name, args: Iterable[Any] = ()) -> None:
        erpc.multicast(self._system, node_atoms(nodes), module, function, args)

    def send_request(self, node: Name, module: Name, function: Name, args: Iterable[Any] = ()) -> Request:
        return erpc.send_request(self._system, node_atom(node), module, function, args)

    def receive_response(self, what: Request | RequestIds, timeout: float | None = None, *, delete: bool = True) -> Any:
        return erpc.receive_response(what, timeout, delete=delete)

    def wait_response(self, what: Request | RequestIds, timeout: float | None = 0.0, *, delete: bool = True) -> Any:
        return erpc.wait_response(what, timeout, delete=delete)

    def check_response(self, message: Any, what: Request | RequestIds, *, delete: bool = True) -> Any:
        return erpc.check_response(message, what, delete=delete)


class Rpc:
    """``rpc`` of one node, whose failures are values; called itself, it is ``erpc:call``, which raises."""

    def __init__(self, system: System, codec: Codec | None = None) -> None:
        self._system = system
        self._codec = codec

    def __call__(
        self,
        name: Name,
        module: Name,
        function: Name,
        args: Iterable[Any] = (),
        timeout: float | None = 5.0,
        *,
        codec: Codec | None = None,
    ) -> Any:
        """Call ``module:function`` on the node `name`; wait at most `timeout` seconds (None: for ever).

        Raises `RemoteError`, `RemoteExit`, `RemoteThrow`; `RpcFailed` when the call itself failed.
        `codec` says how the value looks, else the node's.
        """
        return read(erpc.call(self._system, node_atom(name), module, function, args, timeout), codec or self._codec)

    def call(
        self, node: Name, module: Name, function: Name, args: Iterable[Any] = (), timeout: float | None = 5.0
    ) -> Any:
        """``rpc:call``: the value, what the function threw, or ``(A.badrpc, reason)``. See `kernel.remote.rpc`."""
        return rpc.call(self._system, node_atom(node), module, function, args, timeout)

    def block_call(
        self, node: Name, module: Name, function: Name, args: Iterable[Any] = (), timeout: float | None = 5.0
    ) -> Any:
        return rpc.block_call(self._system, node_atom(node), module, function, args, timeout)

    def cast(self, node: Name, module: Name, function: Name, args: Iterable[Any] = ()) -> None:
        erpc.cast(self._system, node_atom(node), module, function, args)

    def multicall(
        self, nodes: Iterable[Name], module: Name, function: Name, args: Iterable[Any] = (), timeout: float | None = 5.0
    ) -> tuple[list[Any], list[Atom]]:
        return rpc.multicall(self._system, node_atoms(nodes), module, function, args, timeout)

    def eval_everywhere(self, nodes: Iterable[Name], module: Name, function: Name, args: Iterable[Any] = ()) -> None:
        erpc.multicast(self._system, node_atoms(nodes), module, function, args)

    def abcast(self, nodes: Iterable[Name], name: Name, message: Any) -> None:
        rpc.abcast(self._system, node_atoms(nodes), name, message)

    def sbcast(
        self, nodes: Iterable[Name], name: Name, message: Any, timeout: float | None = 5.0
    ) -> tuple[list[Atom], list[Atom]]:
        return rpc.sbcast(self._system, node_atoms(nodes), name, message, timeout)

    def server_call(self, node: Name, name: Name, wrapper: Any, message: Any, timeout: float | None = 5.0) -> Any:
        return rpc.server_call(self._system, node_atom(node), name, wrapper, message, timeout)

    def multi_server_call(
        self, nodes: Iterable[Name], name: Name, message: Any, timeout: float | None = 5.0
    ) -> tuple[list[Any], list[Atom]]:
        return rpc.multi_server_call(self._system, node_atoms(nodes), name, message, timeout)

    def async_call(self, node: Name, module: Name, function: Name, args: Iterable[Any] = ()) -> Request:
        return rpc.async_call(self._system, node_atom(node), module, function, args)

    def yield_(self, key: Request) -> Any:
        return rpc.yield_(key)

    def nb_yield(self, key: Request, timeout: float = 0.0) -> tuple[Atom, Any] | Atom:
        return rpc.nb_yield(key, timeout)

    def parallel_eval(
        self, calls: Iterable[tuple[Any, Any, Iterable[Any]]], nodes: Iterable[Name] | None = None
    ) -> list[Any]:
        """`nodes`: the visible ones that are connected, unless given."""
        return rpc.parallel_eval(self._system, calls, self._over(nodes))

    def pmap(
        self,
        function: tuple[Any, Any],
        extra: Iterable[Any],
        items: Iterable[Any],
        nodes: Iterable[Name] | None = None,
    ) -> list[Any]:
        return rpc.pmap(self._system, function, extra, items, self._over(nodes))

    def pinfo(self, pid: Pid, items: Any = None) -> Any:
        return rpc.pinfo(self._system, pid, items, self._here)

    def _here(self, pid: Pid, items: Any) -> Any:
        found = process_info(self._system, pid, items)
        if found is None or items is None:
            return None if found is None else list(found.items())
        return (Atom(str(items)), found) if isinstance(items, (str, Atom)) else list(found.items())

    def _over(self, nodes: Iterable[Name] | None) -> list[Atom]:
        if nodes is not None:
            return node_atoms(nodes)
        return [node for node, peer in self._system.peers.items() if peer.route is not None]


class Services:
    """The services of one open node."""

    def __init__(
        self, system: System, kernel: NetKernel, export: Callable[..., object], codec: Codec | None = None
    ) -> None:
        self.kernel = kernel
        self.keeping = Keeping(system)
        group_leader.start_user(system, self.keeping)
        self.global_names = GlobalNames(system, kernel, self.keeping)
        system.global_names = self.global_names
        self.global_ = GlobalFunctions(system, kernel, export)
        self.pg = Pg(system, kernel, self.keeping)
        self.logs = Logs(system, self.keeping)
        self.erpc = Erpc(system)
        self.rpc = Rpc(system, codec)
        applying.install(system)


class Remote(Local):
    """The part of a node's methods that reach other nodes by services of the kernel."""

    _offers: Services

    @property
    def rpc(self) -> Rpc:
        """``node.rpc(name, module, function, args, timeout)`` is a remote call; it has the functions of `rpc` too."""
        return self._of_open().rpc

    @property
    def erpc(self) -> Erpc:
        """The functions of `erpc`: call, cast, multicall, multicast, send_request and its answers."""
        return self._of_open().erpc

    @property
    def pg(self) -> Pg:
        """Process groups of the cluster: join, leave, get_members, monitor."""
        return self._of_open().pg

    @property
    def global_(self) -> GlobalFunctions:
        """The functions of `global`: register_name, re_register_name, set_lock, trans, disconnect."""
        return self._of_open().global_

    def stream(self, stream: Stream, demand: int | None = None, timeout: float | None = None) -> Iterator[Any]:
        """The items of a generator of another node, made as they are asked for: ``for item in node.stream(it)``.

        Args:
            stream: what the call gave. demand: how many items may be made ahead. timeout: seconds to wait for each.

        Iterating raises what the generator raised, as a remote call does; `NoProc` for one that was read before,
        `NodeDown`, `ServerExit`, `CallTimeout`. Closing the iterator closes the generator.
        """
        from pyerlnode.kernel.streams import reading

        return reading.items(self.system, stream, demand, timeout)

    def call_method(
        self, handle: ObjectHandle, method: str | Atom, args: Iterable[Any] = (), timeout: float | None = 5.0
    ) -> Any:
        """Call a method of an object that another node keeps (`Kept`). Raises as `rpc`; `NoProc`: it was dropped."""
        from pyerlnode.kernel.objects import client

        return client.call_method(self.system, handle, method, args, timeout)

    def release(self, handle: ObjectHandle, timeout: float | None = 5.0) -> None:
        """Drop such an object, and wait until it is released; one that was dropped before is no error."""
        from pyerlnode.kernel.objects import client

        client.release(self.system, handle, timeout)

    def apply(
        self,
        fun: Fun | ExternalFun,
        args: Iterable[Any] = (),
        at: Name | None = None,
        timeout: float | None = 5.0,
        *,
        codec: Codec | None = None,
    ) -> Any:
        """``apply(Fun, Args)`` on another node: a closure on that of its maker, a ``fun m:f/a`` at the one given.

        Raises as `rpc`, and `UsageError` when there is no node to go to.
        """
        where = at if at is not None else fun.pid.node if isinstance(fun, Fun) else None
        if where is None:
            raise UsageError(
                f"{short(fun)} is a function of each node that has its module: say at=… which is to run it"
            )
        given = list(args)
        if isinstance(fun, ExternalFun) and fun.arity == len(given):
            return self.rpc(where, fun.module, fun.function, given, timeout, codec=codec)
        return self.rpc(where, "erlang", "apply", [fun, given], timeout, codec=codec)

    def _of_open(self) -> Services:
        assert self.system is not None  # raises for a node that is not open
        return self._offers

    def spawn_on(
        self,
        name: Name,
        module: Name,
        function: Name,
        args: Iterable[Any] = (),
        *,
        link: bool = False,
        monitor: bool = False,
        options: Iterable[Any] = (),
        timeout: float | None = 5.0,
    ) -> Any:
        """``Node.spawn``: start ``module:function`` as a process of the node `name`; its pid, or (pid, monitor).

        Raises `RpcFailed` (noconnection, notsup, badopt, system_limit), `CallTimeout`.
        """
        me = self._me() if link or monitor else self.system.myself()
        made = spawn.option_list(link, monitor, options)
        return spawn.spawn_on(self.system, me, node_atom(name), (module, function, args), made, timeout)

    def spawn_request(
        self,
        name: Name,
        module: Name,
        function: Name,
        args: Iterable[Any] = (),
        *,
        link: bool = False,
        monitor: bool = False,
        reply: str = "yes",
        reply_tag: Any = spawn.SPAWN_REPLY,
        options: Iterable[Any] = (),
    ) -> Reference:
        """``spawn_request``: ask and go on; ``(reply_tag, ref, A.ok, pid)`` or ``(…, A.error, reason)`` will arrive.

        Args:
            reply: which answers are wanted: "yes" (all), "no", "error_only", "success_only".
            options: further options of the BEAM's, such as ``(A.priority, A.low)``.
        """
        made = spawn.option_list(link, monitor, options)
        mfa = (module, function, args)
        return spawn.spawn_request(self.system, self._me(), node_atom(name), mfa, made, reply, reply_tag)

    def spawn_request_abandon(self, ref: Reference) -> bool:
        """Give a request up: no answer, link or monitor comes of it. False when it was answered already."""
        return spawn.spawn_request_abandon(self.system, ref)

    # --- output and input ----------------------------------------------------------------------
    def device(self, dest: Any = None, timeout: float | None = None) -> Device:
        """A device of any node as a file: a pid, a name, ``(name, node)``; the own group leader unless given."""
        return Device(self.system, self.group_leader() if dest is None else dest, timeout)

    def open_device(self, output: Any = None, input: Any = None, *, name: Any = None) -> Pid:
        """A device for others over files of this program; ``IO.puts(pid, …)`` in Elixir writes to `output`."""
        return group_leader.start(self.system, output, input, name=name)

    def group_leader(self) -> Pid:
        """The device to which the current process prints: the process `user`, which is `sys.stdout`, unless changed."""
        leader = self.system.myself().group_leader or self.system.root.group_leader
        assert leader is not None
        return leader

    def set_group_leader(self, leader: Pid, pid: Pid | None = None) -> None:
        """``group_leader(Leader, Pid)``: of the current process, or of `pid` of any node."""
        if pid is None or self.system.is_local(pid):
            process = self._me() if pid is None else self.system.process(pid)
            if process is not None:
                process.group_leader = leader
        else:
            self.system.route(pid.node).send(GroupLeader(leader, pid))

    # --- logs ----------------------------------------------------------------------------------
    def log_handler(self, name: Name, level: int | str = logging.NOTSET) -> ErlangHandler:
        """A `logging.Handler` that sends records to the logger of the node `name`, from any thread, without waiting."""
        return self._of_open().logs.handler(node_atom(name), level)

    def receive_logs(self, logger: str = "erlang") -> Pid:
        """Log what other nodes send to `logger_proxy`, such as events of processes that have a group leader here."""
        return self._of_open().logs.receive(logger)

    def subscribe_logs(self, name: Name, level: str = "info", logger: str = "erlang") -> None:
        """Log every event of the node `name` from `level` on, until `unsubscribe_logs` or the end of the connection."""
        self._of_open().logs.subscribe(node_atom(name), level, logger)

    def unsubscribe_logs(self, name: Name) -> bool:
        return self._of_open().logs.unsubscribe(node_atom(name))
