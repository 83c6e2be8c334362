"""What `global`'s name server decides: messages in, effects out; `server` carries the effects out.

Reference: OTP's `global`, protocol version 8 (protocol.md E.7). `GlobalCore` keeps the names, the locks and who is
known of one node; it knows no process, no socket and no clock, so a whole synchronisation is a chain of values:

    answer, effects = core.call(request, caller)         set_lock, del_lock, register, unregister, disconnect, …
    effects = core.cast(request)                         init_connect, exchange, resolved, new_nodes, in_sync
    effects = core.info(message)                         nodeup, nodedown, words of locker and resolver, partings
    effects = core.ended(watched)                        a process that was watched is gone

Two that meet synchronise; each keeps a tag of its own for the attempt, and what comes with another tag belongs to an
attempt that is over. The state of a peer:

    nodeup            init_connect            locker: lock_is_set     his `resolved`, our resolver: carried out
    nothing → asked → asked, `pending` → agreed (names are exchanged) → known and synced
    whatever breaks the row (nodedown, cancel_connect, wrong tags): back to nothing, and asked again while he is up

What prevents overlapping partitions: who loses a known node tells all others; who hears that a lost b asks b to
disconnect. `connect_all=False` takes part in none of it, and knows its own names only.

What a peer says in another shape than these is dropped, element by element: it can not end the name server.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Final

from pyerlnode.kernel.global_.effects_core import (
    Cast,
    Clash,
    Disconnect,
    Effect,
    EndAttempt,
    Greet,
    Meet,
    Named,
    Remind,
    Resolve,
    Send,
    TellLocker,
    Unwatch,
    Warn,
    Watch,
    Watched,
)
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import Key
from pyerlnode.term.pid import Pid

GLOBAL: Final = A["global"]
CLUSTER: Final = exact.key(GLOBAL)
"""The lock under which names come and go."""
VERSION: Final = 8
LOST_KEPT: Final = 1000
"""Losses of connections that are remembered, so that each is passed on once."""
NO_ANSWER: Final = object()
"""To a request that is not known: none, as in OTP."""


class Sync:
    """The synchronisation with one peer, from its nodeup on."""

    __slots__ = (
        "acknowledged", "agreed", "early", "his_tag", "lock", "my_tag", "names", "operations", "resolved", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.my_tag: Any = None
        self.his_tag: Any = None
        self.version = VERSION
        self.early: Any = None
        """His init_connect, when it came before our nodeup."""
        self.acknowledged = False
        """He has heard of this attempt of ours."""
        self.agreed = False
        self.lock: Any = None
        self.names: Any = None
        self.operations: list[Any] | None = None
        self.resolved: Any = None


def _versions(entries: Iterable[Any]) -> list[tuple[Atom, int]]:
    """``{Node, Version}``, and the bare nodes of old versions."""
    found = []
    for entry in entries:
        match entry:
            case (Atom() as node, int(version)):
                found.append((node, version))
            case Atom():
                found.append((entry, 0))
    return found


def _externals(entries: Any) -> dict[Key, tuple[Any, Pid, Atom]]:
    """``{Name, Pid, Node}`` of processes outside of the mesh, by the keys of their names."""
    found = {}
    for entry in entries if type(entries) is list else ():
        match entry:
            case (name, Pid(), Atom()):
                found[exact.key(name)] = entry
    return found


class GlobalCore:
    """One node's view of the cluster.

    Args:
        own: our node.
        life: a term that no other life of this node has; it goes with what we tell about lost connections.
        locker: the pid of our locker.
        connect_all: False takes part in no cluster: no peer is met, names are our own.
        prevent_overlapping_partitions: False tells of no loss and parts from nobody because of one.
    """

    def __init__(
        self,
        own: Atom,
        life: Any,
        locker: Pid | None = None,
        *,
        connect_all: bool = True,
        prevent_overlapping_partitions: bool = True,
    ) -> None:
        self.own = own
        self.locker = locker
        self.connect_all = connect_all
        self.parts = connect_all and prevent_overlapping_partitions
        self.names: dict[Key, Named] = {}
        self.names_of: dict[Pid, dict[Key, None]] = {}
        self.names_ext: dict[Key, tuple[Any, Pid, Atom]] = {}
        self.locks: dict[Key, tuple[Any, set[Pid]]] = {}
        self.known: dict[Atom, int] = {}
        self.doubted: dict[Atom, int] = {}
        """Known nodes that do not know us, until it turns out."""
        self.pending: dict[Atom, int] = {}
        self.removing: set[Atom] = set()
        self.synced: set[Atom] = set()
        self.syncs: dict[Atom, Sync] = {}
        self.up: set[Atom] = set()
        self._life = life
        self._lost: dict[tuple[Atom, Atom], tuple[Any, Any]] = {}
        self._lock_went_down = False
        self._tags = itertools.count(-(2**58) + 1)
        self._effects: list[Effect] = []

    def _done(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def resumed(self, locker: Pid) -> list[Effect]:
        """The process that carries this has begun anew, with a new locker: watch all again, begin attempts anew."""
        self.locker = locker
        for key, named in self.names.items():
            self._effects.append(Watch((A.name, key), named.pid))
        for resource, (_, holders) in self.locks.items():
            self._effects += [Watch((A.lock, resource, pid), pid) for pid in holders]
        for node, sync in list(self.syncs.items()):
            if sync.my_tag is not None:
                self._restart(node, sync.my_tag)
            elif sync.early is not None and node in self.known:
                self._effects.append(Remind(node, sync.early[1]))
        return self._done()

    # --- questions -----------------------------------------------------------------------------
    def may_lock(self, lock: tuple[Any, Any]) -> bool:
        held = self.locks.get(exact.key(lock[0]))
        return held is None or exact.same(held[0], lock[1])

    def compared(self, node: Atom, names: Iterable[Any]) -> tuple[list[Any], list[Clash]]:
        """Names of `node` beside ours: what is new to us, and the clashes that are ours to judge.

        The lesser node name judges, so that of the two sides exactly one does.
        """
        ops: list[Any] = []
        clashes: list[Clash] = []
        for entry in names:
            match entry:
                case (name, Pid() as pid, method):
                    mine = self.names.get(exact.key(name))
                    if mine is None:
                        ops.append((A.insert, (name, pid, method)))
                    elif mine.pid != pid and self.own.name < node.name:
                        clashes.append(Clash(Named(name, pid, method), mine))
        return ops, clashes

    # --- calls ---------------------------------------------------------------------------------
    def call(self, request: Any, caller: Pid) -> tuple[Any, list[Effect]]:
        """The answer to a call of `caller`, or `NO_ANSWER`."""
        return self._answer(request, caller), self._done()

    def _answer(self, request: Any, caller: Pid) -> Any:
        match request:
            case (A.set_lock, (_, _) as lock):
                return self._set_lock(lock, caller)
            case (A.del_lock, (_, _) as lock):
                self._del_lock(lock, caller)
                return True
            case (A.register, name, Pid() as pid, method):
                self._insert(name, pid, method, holder=caller)
                return A.yes
            case (A.register_ext, name, Pid() as pid, method, node):
                self._insert(name, pid, method, holder=caller)
                self.names_ext[exact.key(name)] = (name, pid, node)
                return A.yes
            case (A.unregister, name):
                self._delete(name)
                return A.ok
            case A.disconnect:
                return self._leave()
        return self._told(request)

    def _told(self, question: Any) -> Any:
        match question:
            case A.get_known:
                return list(self.known)
            case A.get_synced:
                return list(self.synced)
            case A.get_protocol_version:
                return VERSION
            case A.get_names_ext:
                return list(self.names_ext.values())
            case (A.sync, _):
                return A.ok
        return NO_ANSWER

    # --- casts and messages --------------------------------------------------------------------
    def cast(self, request: Any) -> list[Effect]:  # noqa: C901  # a table of requests
        match request:
            case (A.init_connect, (int(version), tag, *_), Atom() as node, init):
                self._init_connect(node, version, tag, init)
            case (A.exchange, Atom() as node, list(names), _, tag):
                if sync := self._current(node, tag):
                    sync.names = names
                    self._resolve(node, sync)
            case (A.resolved, Atom() as node, list(ops), list(known), _, names_ext, tag):
                if sync := self._current(node, tag):
                    sync.resolved = (ops, _versions(known), names_ext)
                    self._finish(node, sync)
            case (A.new_nodes, Atom(), list(ops), names_ext, list(nodes), list(info)):
                self._new_nodes(ops, names_ext, nodes, info)
            case (A.in_sync, Atom() as node, _):
                self._in_sync(node)
            case (A.lock_set, Pid() as locker, bool(), _, tag):
                if exact.same(self._sync(locker.node).my_tag, tag):
                    self._effects.append(TellLocker(request))
            case (A.lock_set, Pid(), bool(), _):
                self._effects.append(TellLocker(request))
        return self._done()

    def info(self, message: Any) -> list[Effect]:  # noqa: C901  # a table of messages
        match message:
            case (A.nodeup, Atom() as node):
                self.up.add(node)
                self._nodeup(node)
            case (A.nodedown, Atom() as node):
                self.up.discard(node)
                self._nodedown(node, inform=True)
            case (A.init_connect_ack, Atom() as node, my_tag, his_tag):
                self._acknowledged(node, my_tag, his_tag)
            case (A.cancel_connect, Atom() as node, my_tag):
                if my_tag is not None and exact.same(self._sync(node).my_tag, my_tag):
                    self._restart(node, my_tag)
            case (A.lock_is_set, Atom() as node, my_tag, lock):
                if sync := self._current(node, my_tag):
                    self._agreed(node, sync, lock)
            case (A.exchange_ops, Atom() as node, my_tag, ops, resolved):
                if sync := self._current(node, my_tag):
                    self._send_resolved(node, sync, ops, resolved)
            case (A.lost_connection, Atom() as a, life, int(number), Atom() as b):
                if self.parts:
                    self._lost_connection(message, (a, b), life, number)
            case (A.unanswered, Atom() as node, tag):
                self._unanswered(node, tag)
            case (A.remove_connection, Atom() as node):
                self._remove_connection(node)
        return self._done()

    def ended(self, watched: Watched) -> list[Effect]:
        """A process that has a name or holds a lock is gone."""
        match watched:
            case (A.lock, resource, pid) if resource in self.locks:
                self.locks[resource][1].discard(pid)
                self._lock_ended(resource, went_down=True)
            case (A.name, key):
                self._drop(key)
        return self._done()

    # --- meeting a node --------------------------------------------------------------------------
    def _sync(self, node: Atom) -> Sync:
        sync = self.syncs.get(node)
        if sync is None:
            sync = self.syncs[node] = Sync()
        return sync

    def _nodeup(self, node: Atom) -> None:
        sync = self._sync(node)
        if not self.connect_all or node in self.known or sync.my_tag is not None:
            return
        sync.my_tag = next(self._tags)
        locker: Any = (A.locker, A.no_longer_a_pid, {}, self.locker)
        self._effects.append(Cast(node, (A.init_connect, (VERSION, sync.my_tag), self.own, locker)))
        if sync.early is not None:
            version, tag, init = sync.early
            sync.early = None
            self._init_connect(node, version, tag, init)

    def _init_connect(self, node: Atom, version: int, tag: Any, init: Any) -> None:
        if node in self.pending:
            self._begun_anew(node)
        sync = self._sync(node)
        sync.version, sync.his_tag = min(version, VERSION), tag
        if sync.my_tag is None:
            sync.early = (version, tag, init)
            if node in self.known:
                self._effects.append(Remind(node, tag))
            return
        match init:
            case (A.locker, _, _, Pid() as locker):
                self.pending[node] = version
                self._effects.append(Meet(node, locker, sync.my_tag, tag))
                self._effects.append(Send(node, (A.init_connect_ack, self.own, tag, sync.my_tag)))

    def _begun_anew(self, node: Atom) -> None:
        """His attempt is over, and his next one here: go on with that.

        OTP cancels the next one as well; two that do, each by turns, may never end. What he acknowledged before he has
        forgotten, so we say it again; what he did not is still on its way to him.
        """
        before = self._sync(node)
        self._settled(node)
        if not before.acknowledged:
            self._sync(node).my_tag = before.my_tag
        elif node in self.up:
            self._nodeup(node)

    def _unanswered(self, node: Atom, tag: Any) -> None:
        """A node that we know asked to synchronise, and nobody has told it of us since: it lost us, unlike we it.

        It takes a loss in the middle of somebody's `new_nodes`. OTP leaves it so. Whoever was told of us after all says
        `in_sync`, and is known again.
        """
        early = self._sync(node).early
        if node in self.up and node in self.known and early is not None and exact.same(early[1], tag):
            self.doubted[node] = self.known.pop(node)
            self._nodeup(node)

    def _acknowledged(self, node: Atom, my_tag: Any, his_tag: Any) -> None:
        sync = self._sync(node)
        if not exact.same(sync.my_tag, my_tag):
            return  # late: the attempt is over
        if exact.same(sync.his_tag, his_tag):
            sync.acknowledged = True
        else:
            self._effects.append(Send(node, (A.cancel_connect, self.own, his_tag)))
            self._restart(node, sync.my_tag)

    def _restart(self, node: Atom, my_tag: Any) -> None:
        self._cancel(node, my_tag)
        self._reset(node)
        if my_tag is not None and node in self.up:
            self._nodeup(node)

    def _cancel(self, node: Atom, tag: Any, then: tuple[Effect, ...] = ()) -> None:
        """End the attempt of this tag: its lock goes after `then`, and the peer is told unless it is settled."""
        if tag is not None:
            self._effects.append(EndAttempt(node, tag, then))
        sync = self._sync(node)
        if node in self.pending and exact.same(sync.my_tag, tag):
            self._effects.append(Send(node, (A.cancel_connect, self.own, sync.his_tag)))

    def _reset(self, node: Atom) -> None:
        self.pending.pop(node, None)
        self.syncs.pop(node, None)

    def _current(self, node: Atom, tag: Any) -> Sync | None:
        """The attempt that `tag` belongs to; None for one that is over, which is ended."""
        sync = self._sync(node)
        if tag is not None and exact.same(sync.my_tag, tag):
            return sync
        self._cancel(node, tag)
        return None

    # --- exchanging names --------------------------------------------------------------------------
    def _agreed(self, node: Atom, sync: Sync, lock: Any) -> None:
        sync.agreed, sync.lock = True, lock
        names = [(named.name, named.pid, named.method) for named in self.names.values()]
        self._effects.append(Cast(node, (A.exchange, self.own, names, [], sync.his_tag)))
        self._resolve(node, sync)

    def _resolve(self, node: Atom, sync: Sync) -> None:
        """Once the lock stands and his names are here."""
        if sync.agreed and sync.names is not None:
            names, sync.names = sync.names, None
            self._effects.append(Resolve(node, sync.my_tag, names))

    def _send_resolved(self, node: Atom, sync: Sync, ops: list[Any], resolved: list[Any]) -> None:
        ext = list(self.names_ext.values())
        said = (A.resolved, self.own, resolved, self.known_list(), A.unused, ext, sync.his_tag)
        self._effects.append(Cast(node, said))
        sync.operations = ops
        self._finish(node, sync)

    def _finish(self, node: Atom, sync: Sync) -> None:
        """Both have resolved: carry out, tell those we knew, and let the lock go."""
        if sync.operations is None or sync.resolved is None:
            return
        his_ops, his_known, names_ext = sync.resolved
        ops = [*sync.operations, *his_ops]
        fresh = [(node, sync.version), *his_known]
        theirs = [other for other, _ in his_known if other is not self.own]
        info = [(A.vsn, sync.version), (A.lock, sync.lock)]
        self._greet(theirs)
        self._carry_out(ops, names_ext, sync.lock)
        for other in theirs:
            self._settled(other)
        news = (A.new_nodes, self.own, ops, names_ext, fresh, info)
        self._settled(node, tuple(Cast(other, news) for other in self.known))
        self._add_known(fresh)
        self.synced.add(node)

    def _settled(self, node: Atom, then: tuple[Effect, ...] = ()) -> None:
        tag = self._sync(node).my_tag
        self.pending.pop(node, None)
        self._cancel(node, tag, then)
        self._reset(node)

    def _new_nodes(self, ops: list[Any], names_ext: Any, nodes: list[Any], info: list[Any]) -> None:
        self._greet(self._add_known(_versions(nodes)))
        locks = [pair[1] for pair in info if type(pair) is tuple and len(pair) == 2 and pair[0] is A.lock]
        self._carry_out(ops, names_ext, locks[0] if locks else None)

    def _in_sync(self, node: Atom) -> None:
        if node in self.doubted:
            self.known[node] = self.doubted.pop(node)
        self.synced.add(node)
        self._settled(node)

    def _greet(self, nodes: Iterable[Atom]) -> None:
        self._effects += map(Greet, nodes)

    def _add_known(self, nodes: Iterable[tuple[Atom, int]]) -> list[Atom]:
        added = []
        for node, version in nodes:
            if node is not self.own and node not in self.known:
                self.doubted.pop(node, None)
                self.known[node] = version or VERSION
                added.append(node)
        return added

    # --- losing a node ---------------------------------------------------------------------------
    def _nodedown(self, node: Atom, *, inform: bool) -> None:
        self._cancel(node, self._sync(node).my_tag)
        self._reset(node)
        if inform and self.parts and node not in self.removing and node in self.known:
            number = next(self._tags)
            self._pass_on((A.lost_connection, self.own, self._life, number, node), node)
        if inform:
            self.removing.discard(node)
        for table in (self.known, self.doubted):
            table.pop(node, None)
        self.synced.discard(node)

    def _lost_connection(self, message: Any, pair: tuple[Atom, Atom], life: Any, number: int) -> None:
        """`pair` lost each other; whom of the two we hold, we ask to go."""
        seen = self._lost.get(pair)
        if seen is not None and exact.same(seen[0], life) and number <= seen[1]:
            return
        if len(self._lost) >= LOST_KEPT:
            del self._lost[next(iter(self._lost))]
        self._lost[pair] = (life, number)
        a, b = pair
        self._pass_on(message, a)
        other = a if b is self.own else b
        if other in self.known or other in self.pending:
            self._effects.append(Send(other, (A.remove_connection, self.own)))
            self._effects.append(Warn(f"asked {other} to disconnect, since {a} and {b} lost each other"))
            self.removing.add(other)
            self._nodedown(other, inform=False)

    def _remove_connection(self, node: Atom) -> None:
        if node in self.known or node in self.pending:
            self._effects.append(Warn(f"disconnected {node}, as it asked to prevent overlapping partitions"))
            self.removing.add(node)
            self._nodedown(node, inform=False)
            self._effects.append(Disconnect(node))

    def _leave(self) -> list[Atom]:
        """``global:disconnect``: part from all, of which nobody is told, so that they stay together without us."""
        nodes = list(self.up)
        for node in nodes:
            self.removing.add(node)
            self._nodedown(node, inform=False)
            self._effects.append(Disconnect(node))
        return nodes

    def _pass_on(self, message: Any, but: Atom) -> None:
        self._effects += [
            Send(node, message) for node in dict.fromkeys((*self.known, *self.pending)) if node is not but
        ]

    # --- names and locks -------------------------------------------------------------------------
    def _carry_out(self, ops: list[Any], names_ext: Any, lock: Any) -> None:
        external = _externals(names_ext)
        for op in ops:
            match op:
                case (A.insert, (name, Pid() as pid, method)):
                    self._insert(name, pid, method, lock=lock)
                    entry = external.get(exact.key(name))
                    if entry is not None and entry[1] == pid:
                        self.names_ext[exact.key(name)] = entry
                case (A.delete, name):
                    self._delete(name)

    def _insert(self, name: Any, pid: Pid, method: Any, *, holder: Pid | None = None, lock: Any = None) -> None:
        self._delete(name)
        if self._still_locked(holder, lock):
            key = exact.key(name)
            self.names[key] = Named(name, pid, method)
            self.names_of.setdefault(pid, {})[key] = None
            self._effects.append(Watch((A.name, key), pid))

    def _still_locked(self, holder: Pid | None, lock: Any) -> bool:
        """Whether the lock under which a name was to come is there; one whose holder was lost is not."""
        held = self.locks.get(CLUSTER)
        if held is None:
            return not self._lock_went_down
        return holder in held[1] if holder is not None else exact.same(lock, (GLOBAL, held[0]))

    def _delete(self, name: Any) -> None:
        key = exact.key(name)
        if self._drop(key):
            self._effects.append(Unwatch((A.name, key)))

    def _drop(self, key: Key) -> bool:
        self.names_ext.pop(key, None)
        named = self.names.pop(key, None)
        if named is None:
            return False
        del self.names_of[named.pid][key]
        if not self.names_of[named.pid]:
            del self.names_of[named.pid]
        return True

    def _set_lock(self, lock: tuple[Any, Any], pid: Pid) -> bool:
        if not self.may_lock(lock):
            return False
        resource = exact.key(lock[0])
        _, holders = self.locks.setdefault(resource, (lock[1], set()))
        if pid not in holders:
            holders.add(pid)
            self._effects.append(Watch((A.lock, resource, pid), pid))
        return True

    def _del_lock(self, lock: tuple[Any, Any], pid: Pid) -> None:
        resource = exact.key(lock[0])
        held = self.locks.get(resource)
        if held is not None and exact.same(held[0], lock[1]):
            if pid in held[1]:
                held[1].discard(pid)
                self._effects.append(Unwatch((A.lock, resource, pid)))
            self._lock_ended(resource, went_down=False)

    def _lock_ended(self, resource: Key, *, went_down: bool) -> None:
        if not self.locks[resource][1]:
            del self.locks[resource]
            if resource == CLUSTER:
                self._lock_went_down = went_down

    def known_list(self) -> list[tuple[Atom, int]]:
        return list(self.known.items())
