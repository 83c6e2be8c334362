"""Names of the whole cluster, for visible nodes: OTP's `global`, protocol version 8 (protocol.md E.7).

Every node keeps all names. Two that meet synchronise (tags tell their attempts apart; T is the receiver's own):

    both   {init_connect, {8, MyTag}, Node, {locker, no_longer_a_pid, Known, Locker}}    at nodeup
    both   {init_connect_ack, Node, T, MyTag}                                            a plain message
    lockers agree, see `global_locker`:  {lock_set, Locker, true, Known, T}
    both   {exchange, Node, Names, [], T}
    both   {resolved, Node, Operations, Known, unused, NamesExt, T}
    both   {new_nodes, …} to whom they knew already;   {in_sync, Node, true} to whom they have got to know

A name is registered in a transaction: the lock ``{global, Registrar}`` everywhere, then `register` everywhere. A name
goes when its process ends, which each node's own monitor tells; one that two clusters hold is resolved at the meeting.
When a connection is lost the others are told, and nodes that lost each other are parted by all, so that no two halves
overlap (`prevent_overlapping_partitions`).

A hidden node has none of this: see `global_names`.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pyerlnode.errors import ConnectError, Exit, RpcError
from pyerlnode.kernel import erpc
from pyerlnode.kernel.exports import Exports
from pyerlnode.kernel.global_client import ClusterNames, Registrar, resolve_it
from pyerlnode.kernel.global_locker import SERVER, Him, Locker
from pyerlnode.kernel.global_names import GLOBAL, key_of
from pyerlnode.kernel.net_kernel import NetKernel
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.global")

VERSION = 8
LOST_KEPT = 1000
"""Losses of connections that are remembered, so that each is passed on once."""


@dataclass(frozen=True, slots=True)
class Named:
    """A name of the cluster; `ref` is our monitor of the process that has it."""

    name: Any
    pid: Pid
    method: Any
    ref: Reference


class _Sync:
    """The synchronisation with one peer, from its nodeup on."""

    __slots__ = ("agreed", "early", "his_tag", "lock", "my_tag", "names", "operations", "resolved", "version")

    def __init__(self) -> None:
        self.my_tag: Any = None
        self.his_tag: Any = None
        self.version = VERSION
        self.early: Any = None
        """His init_connect, when it came before our nodeup."""
        self.agreed = False
        self.lock: Any = None
        self.names: Any = None
        self.operations: list[Any] | None = None
        self.resolved: Any = None


class GlobalNameServer(GenServer):
    """The process `global_name_server` of a visible node."""

    def init(self, kernel: NetKernel) -> None:
        self.kernel = kernel
        self.system = self.process.system
        self.names: dict[Any, Named] = {}
        self.names_ext: dict[Any, tuple[Any, Pid, Atom]] = {}
        self.locks: dict[Any, tuple[Any, dict[Pid, Reference]]] = {}
        self.known: dict[Atom, int] = {}
        self.pending: dict[Atom, int] = {}
        self.removing: set[Atom] = set()
        self.synced: set[Atom] = set()
        self.syncs: dict[Atom, _Sync] = {}
        self._lost: dict[tuple[Atom, Atom], tuple[Any, Any]] = {}
        self._lock_went_down = False
        self._tags = itertools.count(-(2**58) + 1)
        self._life = secrets.randbits(27) << 32 | self.system.creation
        self._up: set[Atom] = set()
        locker = Locker(self.system, self, lambda message: self.process.deliver(message))
        self.locker: Any = self.system.spawn_function(locker.run, (), {}, link=self.process)
        kernel.monitor_nodes(self.process, True, info=True)

    # --- what lockers and names look at -------------------------------------------------------
    @property
    def nodes(self) -> list[Atom]:
        return list(self.known)

    def is_locked(self) -> bool:
        return GLOBAL in self.locks

    def may_lock(self, lock: tuple[Any, Any]) -> bool:
        held = self.locks.get(key_of(lock[0]))
        return held is None or held[0] == lock[1]

    def where(self, name: Any) -> Pid | None:
        found = self.names.get(key_of(name))
        if found is None or (found.pid.node is self.system.node and self.system.process(found.pid) is None):
            return None
        return found.pid

    def all_names(self) -> list[Any]:
        return [named.name for named in self.names.values()]

    # --- calls ---------------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: C901  # a table of requests
        match request:
            case (A.set_lock, (_, _) as lock):
                return Reply(self._set_lock(lock, from_[0]))
            case (A.del_lock, (_, _) as lock):
                self._del_lock(lock, from_[0])
                return Reply(True)
            case (A.register, name, Pid() as pid, method):
                self._insert(name, pid, method, holder=from_[0])
                return Reply(A.yes)
            case (A.register_ext, name, Pid() as pid, method, node):
                self._insert(name, pid, method, holder=from_[0])
                self.names_ext[key_of(name)] = (name, pid, node)
                return Reply(A.yes)
            case (A.unregister, name):
                self._delete(name)
                return Reply(A.ok)
        match request:
            case A.get_known:
                return Reply(self._known_list())
            case A.get_synced:
                return Reply(list(self.synced))
            case A.get_protocol_version:
                return Reply(VERSION)
            case A.get_names_ext:
                return Reply(self._ext_list())
            case (A.sync, _):
                return Reply(A.ok)
        return NoReply()  # as OTP: what it does not know it does not answer

    # --- casts and messages --------------------------------------------------------------------
    def handle_cast(self, request: Any) -> None:
        match request:
            case (A.init_connect, (int(version), tag, *_), Atom() as node, init):
                self._init_connect(node, version, tag, init)
            case (A.exchange, Atom() as node, list(names), _, tag):
                self._when_current(node, tag, lambda sync: self._exchange(node, sync, names))
            case (A.resolved, Atom() as node, list(ops), known, _, names_ext, tag):
                self._when_current(node, tag, lambda sync: self._take_resolved(node, sync, (ops, known, names_ext)))
            case (A.new_nodes, Atom() as node, list(ops), names_ext, list(nodes), info):
                self._new_nodes(node, ops, names_ext, nodes, info)
            case (A.in_sync, Atom() as node, _):
                self._in_sync(node)
            case (A.lock_set, Pid() as locker, bool(), _, tag):
                if self._sync(locker.node).my_tag == tag:
                    self.locker.deliver(request)
            case (A.lock_set, Pid(), bool(), _):
                self.locker.deliver(request)

    def handle_info(self, message: Any) -> None:  # noqa: C901  # a table of messages
        match message:
            case (A.nodeup, Atom() as node, {A.node_type: A.visible}):
                self._up.add(node)
                self._nodeup(node)
            case (A.nodedown, Atom() as node, _):
                self._up.discard(node)
                self._nodedown(node, inform=True)
            case (A.DOWN, ref, A.process, pid, _):
                self._gone(ref, pid)
            case (A.init_connect_ack, Atom() as node, my_tag, his_tag):
                self._acknowledged(node, my_tag, his_tag)
            case (A.cancel_connect, Atom() as node, my_tag):
                if self._sync(node).my_tag == my_tag is not None:
                    self._restart(node, my_tag)
            case (A.lock_is_set, Atom() as node, my_tag, lock):
                self._when_current(node, my_tag, lambda sync: self._agreed(node, sync, lock))
            case (A.exchange_ops, Atom() as node, my_tag, ops, resolved):
                self._when_current(node, my_tag, lambda sync: self._send_resolved(node, sync, ops, resolved))
            case (A.lost_connection, Atom() as a, life, number, Atom() as b):
                self._lost_connection(message, a, life, number, b)
            case (A.remove_connection, Atom() as node):
                self._remove_connection(node)

    # --- meeting a node --------------------------------------------------------------------------
    def _sync(self, node: Atom) -> _Sync:
        sync = self.syncs.get(node)
        if sync is None:
            sync = self.syncs[node] = _Sync()
        return sync

    def _nodeup(self, node: Atom) -> None:
        sync = self._sync(node)
        if node in self.known or sync.my_tag is not None:
            return
        sync.my_tag = next(self._tags)
        locker: Any = (A.locker, A.no_longer_a_pid, {}, self.locker.pid)
        self._cast(node, (A.init_connect, (VERSION, sync.my_tag), self.system.node, locker))
        if sync.early is not None:
            version, tag, init = sync.early
            sync.early = None
            self._init_connect(node, version, tag, init)

    def _init_connect(self, node: Atom, version: int, tag: Any, init: Any) -> None:
        if node in self.pending:  # he began anew: so do we
            self._send(node, (A.cancel_connect, self.system.node, tag))
            self._restart(node, self._sync(node).my_tag)
            return
        sync = self._sync(node)
        sync.version, sync.his_tag = min(version, VERSION), tag
        if sync.my_tag is None:
            sync.early = (version, tag, init)
            return
        match init:
            case (A.locker, _, _, Pid() as locker):
                self.pending[node] = version
                self.locker.deliver((A.him, Him(node, locker, sync.my_tag, tag)))
                self._send(node, (A.init_connect_ack, self.system.node, tag, sync.my_tag))

    def _acknowledged(self, node: Atom, my_tag: Any, his_tag: Any) -> None:
        sync = self._sync(node)
        if (sync.my_tag, sync.his_tag) != (my_tag, his_tag):
            self._send(node, (A.cancel_connect, self.system.node, his_tag))
            self._restart(node, sync.my_tag)

    def _restart(self, node: Atom, my_tag: Any) -> None:
        self._cancel(node, my_tag)
        self._reset(node)
        if my_tag is not None and node in self._up:
            self._nodeup(node)

    def _cancel(self, node: Atom, tag: Any, run: Callable[[], None] | None = None) -> None:
        """End the attempt of this tag: its lock goes after `run`, and the peer is told unless it is settled."""
        if tag is not None:
            self.locker.deliver((A.cancel, node, tag, run))
        sync = self._sync(node)
        if node in self.pending and sync.my_tag == tag:
            self._send(node, (A.cancel_connect, self.system.node, sync.his_tag))

    def _reset(self, node: Atom) -> None:
        self.pending.pop(node, None)
        self.syncs.pop(node, None)

    def _when_current(self, node: Atom, tag: Any, act: Callable[[_Sync], None]) -> None:
        sync = self._sync(node)
        if tag is not None and sync.my_tag == tag:
            act(sync)
        else:
            self._cancel(node, tag)

    # --- exchanging names --------------------------------------------------------------------------
    def _agreed(self, node: Atom, sync: _Sync, lock: Any) -> None:
        sync.agreed, sync.lock = True, lock
        names = [(named.name, named.pid, named.method) for named in self.names.values()]
        self._cast(node, (A.exchange, self.system.node, names, [], sync.his_tag))
        self._resolve(node, sync)

    def _exchange(self, node: Atom, sync: _Sync, names: list[Any]) -> None:
        sync.names = names
        self._resolve(node, sync)

    def _resolve(self, node: Atom, sync: _Sync) -> None:
        """Once the lock stands and his names are here; in a process of its own, for a conflict may ask other nodes."""
        if sync.agreed and sync.names is not None:
            names, sync.names = sync.names, None
            self.system.spawn(self._resolver, node, sync.my_tag, names)

    def _resolver(self, node: Atom, my_tag: Any, names: list[Any]) -> None:
        ops: list[Any] = []
        resolved: list[Any] = []
        for name, pid, method in names:
            mine = self.names.get(key_of(name))
            if mine is None:
                ops.append((A.insert, (name, pid, method)))
            elif mine.pid != pid and self.system.node.name < node.name:
                self._settle_conflict(name, (pid, method), mine, ops, resolved)
        self.process.deliver((A.exchange_ops, node, my_tag, ops, resolved))

    def _settle_conflict(
        self, name: Any, his: tuple[Pid, Any], mine: Named, ops: list[Any], resolved: list[Any]
    ) -> None:
        """`ops` are for us, `resolved` for him."""
        try:
            winner = self._ask_method(mine.method, name, his[0], mine.pid)
        except (Exit, ConnectError, RpcError):
            winner = his[0]
        if winner == his[0]:
            ops.append((A.insert, (name, *his)))
        elif winner == mine.pid:
            resolved.append((A.insert, (name, mine.pid, mine.method)))
        else:
            ops.append((A.delete, name))
            resolved.append((A.delete, name))

    def _ask_method(self, method: Any, name: Any, his: Pid, mine: Pid) -> Any:
        if mine.node is self.system.node:
            return resolve_it(self.system, method, name, his, mine)
        return erpc.call(self.system, mine.node, GLOBAL, A.resolve_it, [method, name, his, mine])

    def _send_resolved(self, node: Atom, sync: _Sync, ops: list[Any], resolved: list[Any]) -> None:
        self._cast(
            node,
            (A.resolved, self.system.node, resolved, self._known_list(), A.unused, self._ext_list(), sync.his_tag),
        )
        sync.operations = ops
        self._finish(node, sync)

    def _take_resolved(self, node: Atom, sync: _Sync, resolved: tuple[Any, Any, Any]) -> None:
        sync.resolved = resolved
        self._finish(node, sync)

    def _finish(self, node: Atom, sync: _Sync) -> None:
        """Both have resolved: carry out, tell those we knew, and let the lock go."""
        if sync.operations is None or sync.resolved is None:
            return
        his_ops, his_known, names_ext = sync.resolved
        ops = [*sync.operations, *his_ops]
        fresh = [(node, sync.version), *his_known]
        theirs = [other for other, _ in his_known if other is not self.system.node]
        info = [(A.vsn, sync.version), (A.lock, sync.lock)]
        self._tell_in_sync(theirs)
        self._carry_out(ops, names_ext, sync.lock)
        for other in theirs:
            self._settled(other)
        news = (A.new_nodes, self.system.node, ops, names_ext, fresh, info)
        told = self.nodes
        self._settled(node, lambda: self._cast_all(told, news))
        self._add_known(fresh)
        self.synced.add(node)

    def _settled(self, node: Atom, run: Callable[[], None] | None = None) -> None:
        tag = self._sync(node).my_tag
        self.pending.pop(node, None)
        self._cancel(node, tag, run)
        self._reset(node)

    def _new_nodes(self, by: Atom, ops: list[Any], names_ext: Any, nodes: list[Any], info: Any) -> None:
        added = self._add_known(nodes)
        self._tell_in_sync(added)
        self._carry_out(ops, names_ext, dict(pair for pair in info if len(pair) == 2).get(A.lock))
        del by

    def _in_sync(self, node: Atom) -> None:
        self.synced.add(node)
        self.pending.pop(node, None)
        self._cancel(node, self._sync(node).my_tag)
        self._reset(node)

    def _tell_in_sync(self, nodes: Iterable[Atom]) -> None:
        """Connect to nodes that others know, and tell them; each in a process of its own, for a dial may take long."""
        for node in nodes:
            self.system.spawn(self._connect_and_tell, node)

    def _connect_and_tell(self, node: Atom) -> None:
        try:
            gen.cast(self.system, (SERVER, node), (A.in_sync, self.system.node, True))
        except ConnectError as error:
            log.warning("a node of the cluster could not be connected to: %s", error)
            self.process.deliver((A.nodedown, node, {}))

    def _add_known(self, nodes: Iterable[Any]) -> list[Atom]:
        added = []
        for entry in nodes:
            node, version = entry if type(entry) is tuple else (entry, 0)
            if node is not self.system.node and node not in self.known:
                self.known[node] = version or VERSION
                added.append(node)
        return added

    # --- losing a node ---------------------------------------------------------------------------
    def _nodedown(self, node: Atom, *, inform: bool) -> None:
        self._cancel(node, self._sync(node).my_tag)
        self._reset(node)
        if inform and node not in self.removing and node in self.known:
            number = next(self._tags)
            self._pass_on((A.lost_connection, self.system.node, self._life, number, node), node)
        if inform:
            self.removing.discard(node)
        self.known.pop(node, None)
        self.synced.discard(node)

    def _lost_connection(self, message: Any, a: Atom, life: Any, number: Any, b: Atom) -> None:
        seen = self._lost.get((a, b))
        if seen is not None and seen[0] == life and number <= seen[1]:
            return
        if len(self._lost) >= LOST_KEPT:
            del self._lost[next(iter(self._lost))]
        self._lost[a, b] = (life, number)
        self._pass_on(message, a)
        other = a if b is self.system.node else b
        if other in self.known or other in self.pending:
            self._send(other, (A.remove_connection, self.system.node))
            log.warning("asked %s to disconnect, since %s and %s lost each other", other, a, b)
            self.removing.add(other)
            self._nodedown(other, inform=False)

    def _remove_connection(self, node: Atom) -> None:
        if node in self.known or node in self.pending:
            log.warning("disconnected %s, as it asked to prevent overlapping partitions", node)
            self.removing.add(node)
            self._nodedown(node, inform=False)
            self.system.spawn(self.kernel.disconnect, node)

    def _pass_on(self, message: Any, but: Atom) -> None:
        for node in dict.fromkeys((*self.known, *self.pending)):
            if node is not but:
                self._send(node, message)

    # --- names and locks -------------------------------------------------------------------------
    def _carry_out(self, ops: list[Any], names_ext: Any, lock: Any) -> None:
        external = {key_of(entry[0]): entry for entry in names_ext or ()}
        for op in ops:
            match op:
                case (A.insert, (name, Pid() as pid, method)):
                    self._insert(name, pid, method, lock=lock)
                    entry = external.get(key_of(name))
                    if entry is not None and entry[1] == pid:
                        self.names_ext[key_of(name)] = entry
                case (A.delete, name):
                    self._delete(name)

    def _insert(self, name: Any, pid: Pid, method: Any, *, holder: Pid | None = None, lock: Any = None) -> None:
        self._delete(name)
        self.names[key_of(name)] = Named(name, pid, method, self.system.monitor(self.process, pid))
        if not self._still_locked(holder, lock):
            self._delete(name)

    def _still_locked(self, holder: Pid | None, lock: Any) -> bool:
        """Whether the lock under which a name was to come is there; one whose holder was lost is not."""
        held = self.locks.get(GLOBAL)
        if held is None:
            return not self._lock_went_down
        return holder in held[1] if holder is not None else lock == (GLOBAL, held[0])

    def _delete(self, name: Any) -> None:
        found = self.names.pop(key_of(name), None)
        self.names_ext.pop(key_of(name), None)
        if found is not None:
            self.system.demonitor(self.process, found.ref, flush=True)

    def _set_lock(self, lock: tuple[Any, Any], pid: Pid) -> bool:
        if not self.may_lock(lock):
            return False
        _, holders = self.locks.setdefault(key_of(lock[0]), (lock[1], {}))
        if pid not in holders:
            holders[pid] = self.system.monitor(self.process, pid)
        return True

    def _del_lock(self, lock: tuple[Any, Any], pid: Pid) -> None:
        held = self.locks.get(key_of(lock[0]))
        if held is not None and held[0] == lock[1]:
            ref = held[1].pop(pid, None)
            if ref is not None:
                self.system.demonitor(self.process, ref, flush=True)
            self._lock_ended(key_of(lock[0]), went_down=False)

    def _lock_ended(self, resource: Any, *, went_down: bool) -> None:
        if not self.locks[resource][1]:
            del self.locks[resource]
            if resource is GLOBAL:
                self._lock_went_down = went_down

    def _gone(self, ref: Reference, pid: Pid) -> None:
        """A process that has a name or holds a lock has ended."""
        for resource, (_, holders) in list(self.locks.items()):
            if holders.get(pid) == ref:
                del holders[pid]
                self._lock_ended(resource, went_down=True)
        for key, named in list(self.names.items()):
            if named.ref == ref:
                del self.names[key]
                self.names_ext.pop(key, None)

    # --- words ---------------------------------------------------------------------------------
    def _known_list(self) -> list[tuple[Atom, int]]:
        return list(self.known.items())

    def _ext_list(self) -> list[tuple[Any, Pid, Atom]]:
        return list(self.names_ext.values())

    def _cast(self, node: Atom, message: Any) -> None:
        self._send(node, (gen.CAST, message))

    def _cast_all(self, nodes: Iterable[Atom], message: Any) -> None:
        for node in nodes:
            self._cast(node, message)

    def _send(self, node: Atom, message: Any) -> None:
        """To the name server of a node that is connected; to others nothing."""
        if self.system.peer(node).route is not None:
            try:
                self.system.send((SERVER, node), message)
            except ConnectError:
                pass  # lost in this moment: its nodedown tells


def start(system: System, kernel: NetKernel, exports: Exports) -> None:
    """Make a visible node a full member of the cluster."""
    process = system.process(_started(system, GlobalNameServer, kernel, name=SERVER))
    assert process is not None
    server: GlobalNameServer = process.handler
    system.global_names = ClusterNames(system, server, _started(system, Registrar, server))

    def resolve(method: Any, name: Any, his: Pid, mine: Pid) -> Any:
        return resolve_it(system, method, name, his, mine)

    exports.add(GLOBAL, resolve, A.resolve_it)


def _started(system: System, cls: type[GenServer], argument: Any, name: Any = None) -> Pid:
    pid = gen_server.start(system, cls, (argument,), name=name)
    assert pid is not None
    return pid
