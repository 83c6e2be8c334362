"""Names of the whole cluster, for visible nodes: OTP's `global`, protocol version 8 (protocol.md E.7).

Every node keeps all names. Two that meet synchronise (tags tell their attempts apart; T is the receiver's own):

    both   {init_connect, {8, MyTag}, Node, {locker, no_longer_a_pid, Known, Locker}}    at nodeup
    both   {init_connect_ack, Node, T, MyTag}                                            a plain message
    lockers agree, see `locker`:  {lock_set, Locker, true, Known, T}
    both   {exchange, Node, Names, [], T}
    both   {resolved, Node, Operations, Known, unused, NamesExt, T}
    both   {new_nodes, …} to whom they knew already;   {in_sync, Node, true} to whom they have got to know

A name is registered in a transaction: the lock ``{global, Registrar}`` everywhere, then `register` everywhere. A name
goes when its process ends, which each node's own monitor tells; one that two clusters hold is resolved at the meeting.
When a connection is lost the others are told, and nodes that lost each other are parted by all, so that no two halves
overlap (`prevent_overlapping_partitions`).

What is decided is in `core`; here is the process that asks it, and carries out what it says. A node with
``connect_all=False`` has the process too, as in OTP: for names of its own. A hidden node has none of this: see
`names`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from pyerlnode.errors import ConnectError, Exit, PyerlnodeError, RpcError
from pyerlnode.kernel.global_ import effects_core as do
from pyerlnode.kernel.global_.client import ClusterNames, Registrar, resolve_it, winner_of
from pyerlnode.kernel.global_.core import CLUSTER, GLOBAL, NO_ANSWER, GlobalCore
from pyerlnode.kernel.global_.effects_core import Clash, Effect, Watched, verdict
from pyerlnode.kernel.global_.locker import SERVER, Cancel, Him, Locker
from pyerlnode.kernel.keeping import Keeping
from pyerlnode.kernel.net_kernel import NetKernel
from pyerlnode.kernel.remote import erpc
from pyerlnode.otp import gen
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.otp.service import Service
from pyerlnode.runtime.system import System
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.global")

UNANSWERED_S = 3.0
"""How long others have to tell a node of us, before we take it that it does not know us."""


class Shared:
    """What the name server knows, and how lockers and names look at it; it outlives the process."""

    def __init__(self, system: System, connect_all: bool, prevent_overlapping_partitions: bool) -> None:
        self.system = system
        self.core = GlobalCore(
            system.node,
            secrets.randbits(27) << 32 | system.creation,
            connect_all=connect_all,
            prevent_overlapping_partitions=prevent_overlapping_partitions,
        )
        self.began = False

    @property
    def nodes(self) -> list[Atom]:
        return list(self.core.known)

    def is_locked(self) -> bool:
        return CLUSTER in self.core.locks

    def may_lock(self, lock: tuple[Any, Any]) -> bool:
        return self.core.may_lock(lock)

    def where(self, name: Any) -> Pid | None:
        found = self.core.names.get(exact.key(name))
        if found is None or (found.pid.node is self.system.node and self.system.process(found.pid) is None):
            return None
        return found.pid

    def all_names(self) -> list[Any]:
        return [named.name for named in self.core.names.values()]

    def names_of(self, pid: Pid) -> list[Any]:
        return [self.core.names[key].name for key in self.core.names_of.get(pid, ())]


class _Reached:
    """Our own message: the node of a process that is to be watched was dialled, with success or without."""

    __slots__ = ("pid", "watched")

    def __init__(self, watched: Watched, pid: Pid) -> None:
        self.watched = watched
        self.pid = pid


class GlobalNameServer(Service):
    """The process `global_name_server` of a visible node."""

    def init(self, kernel: NetKernel, shared: Shared) -> None:
        self.kernel = kernel
        self.system = self.process.system
        self.core = shared.core
        self._refs: dict[Watched, Reference | None] = {}
        """Our monitors; None for one that waits until its node is connected."""
        self._watched: dict[Reference, Watched] = {}
        locker = Locker(self.system, shared, lambda message: self.process.deliver(message))
        self.locker: Any = self.system.spawn_function(locker.run, (), {}, link=self.process)
        kernel.monitor_nodes(self.process, True, info=True)
        if shared.began:
            self._carry_out(self.core.resumed(self.locker.pid))
        self.core.locker = self.locker.pid
        shared.began = True

    # --- what comes in -------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        answer, effects = self.core.call(request, from_[0])
        self._carry_out(effects)
        return NoReply() if answer is NO_ANSWER else Reply(answer)

    def handle_cast(self, request: Any) -> None:
        self._carry_out(self.core.cast(request))

    def handle_info(self, message: Any) -> None:
        match message:
            case (A.nodeup, Atom() as node, {A.node_type: kind}):
                if kind is A.visible:
                    self._carry_out(self.core.info((A.nodeup, node)))
            case (A.nodedown, Atom() as node, _):
                self._carry_out(self.core.info((A.nodedown, node)))
            case (A.DOWN, Reference() as ref, A.process, _, _):
                watched = self._watched.pop(ref, None)
                if watched is not None:
                    del self._refs[watched]
                    self._carry_out(self.core.ended(watched))
            case _Reached():
                if message.watched in self._refs and self._refs[message.watched] is None:
                    self._monitor(message.watched, message.pid)
            case (A.nodeup | A.nodedown, *_):
                pass  # without the information that we asked for it is not the kernel's
            case _:
                self._carry_out(self.core.info(message))

    # --- effects -------------------------------------------------------------------------------
    def _carry_out(self, effects: Iterable[Effect]) -> None:  # noqa: C901  # a table of effects
        for effect in effects:
            match effect:
                case do.Send(node, message):
                    self._send(node, message)
                case do.Cast(node, request):
                    self._send(node, (gen.CAST, request))
                case do.Watch(watched, pid):
                    self._watch(watched, pid)
                case do.Unwatch(watched):
                    self._unwatch(watched)
                case do.Resolve(node, my_tag, names):
                    self.system.spawn(self._resolver, node, my_tag, names)
                case do.Greet(node):
                    self.system.spawn(self._connect_and_tell, node)  # a dial may take long
                case do.Remind(node, tag):
                    self.system.send_after(UNANSWERED_S, self.process.pid, (A.unanswered, node, tag))
                case do.Disconnect(node):
                    self.system.spawn(self.kernel.disconnect, node)
                case do.Warn(text):
                    log.warning("%s", text)
                case _:
                    self.locker.deliver(self._for_locker(effect))

    def _for_locker(self, effect: Effect) -> Any:
        match effect:
            case do.Meet(node, locker, my_tag, his_tag):
                return Him(node, locker, my_tag, his_tag)
            case do.EndAttempt(node, tag, then):
                run: Callable[[], None] | None = (lambda: self._carry_out(then)) if then else None
                return Cancel(node, tag, run)
            case do.TellLocker(message):
                return message
        raise AssertionError(effect)

    def _watch(self, watched: Watched, pid: Pid) -> None:
        if self.system.is_connected(pid.node):
            self._monitor(watched, pid)
        else:  # a dial may take long, and whom peers name need not be there
            self._refs[watched] = None
            self.system.spawn(self._reach, watched, pid)

    def _monitor(self, watched: Watched, pid: Pid) -> None:
        ref = self._refs[watched] = self.system.monitor_connected(self.process, pid)
        self._watched[ref] = watched

    def _reach(self, watched: Watched, pid: Pid) -> None:
        try:
            self.kernel.connect(pid.node)
        except PyerlnodeError as error:
            log.info("the node of %s can not be reached: %s", pid, error)
        self.process.deliver(_Reached(watched, pid))

    def _unwatch(self, watched: Watched) -> None:
        ref = self._refs.pop(watched, None)
        if ref is not None:  # else it has ended, and that is on its way to us
            del self._watched[ref]
            self.system.demonitor(self.process, ref, flush=True)

    def _send(self, node: Atom, message: Any) -> None:
        """To the name server of a node that is connected; to others nothing."""
        if node is not self.system.node and self.system.is_connected(node):
            self.system.send((SERVER, node), message)

    # --- in processes of their own -------------------------------------------------------------
    def _resolver(self, node: Atom, my_tag: int, names: list[Any]) -> None:
        ops, clashes = self.core.compared(node, names)
        resolved: list[Any] = []
        for clash in clashes:
            for operation, where in zip(verdict(clash, self._winner(clash)), (ops, resolved), strict=True):
                if operation is not None:
                    where.append(operation)
        self.process.deliver((A.exchange_ops, node, my_tag, ops, resolved))

    def _winner(self, clash: Clash) -> Any:
        """What the method of our registration says, asked where our process is; his when that is lost meanwhile."""
        his, mine = clash.his, clash.mine
        try:
            if mine.pid.node is self.system.node:
                return winner_of(resolve_it(self.system, mine.method, his.name, his.pid, mine.pid), his.pid)
            args = [mine.method, his.name, his.pid, mine.pid]
            return winner_of(erpc.call(self.system, mine.pid.node, GLOBAL, A.resolve_it, args), his.pid)
        except (Exit, ConnectError, RpcError):
            return his.pid

    def _connect_and_tell(self, node: Atom) -> None:
        try:
            self.system.connect(node)
            gen.cast(self.system, (SERVER, node), (A.in_sync, self.system.node, True))
        except ConnectError as error:
            log.warning("a node of the cluster could not be connected to: %s", error)
            self.process.deliver((A.nodedown, node, {}))


def start(
    system: System,
    kernel: NetKernel,
    keeping: Keeping,
    *,
    connect_all: bool = True,
    prevent_overlapping_partitions: bool = True,
) -> None:
    """Make a visible node a full member of the cluster; see `GlobalCore` for what the two switches leave out."""
    shared = Shared(system, connect_all, prevent_overlapping_partitions)
    keeping.keep(GlobalNameServer, kernel, shared, name=SERVER)
    system.global_names = ClusterNames(system, shared, keeping.keep(Registrar, shared))
