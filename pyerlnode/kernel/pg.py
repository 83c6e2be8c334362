"""``pg``: process groups of the cluster (protocol.md E.8, beam-libraries 3.6).

One process per *scope*, registered under the scope's name, knows the scopes of other nodes and all their members:

    they send or cast                               we
    {discover, Pid}, {discover, Pid, Vsn}           tell them all our groups; discover them, if they are new
    {sync, Pid, Groups}, {local_data, Pid, 1, Map}  replace what we knew of them
    {join, Pid, Group, Pids}, {leave, Pid, Pids, Groups}, {update, Pid, Changes}   change it, if they are known
    their scope process ends                        forget its members

A BEAM discovers visible nodes only, so a hidden one sends `discover` itself: to every node that comes up, and every few
seconds to those whose scope it does not know, which may be started later. It speaks version 0, which every release
understands (a version in `discover` crashes the scope of OTP 25), and version 1 (OTP 29) to a peer that began with it.
A message that is not exactly one of these crashes a BEAM's scope: nothing else is ever sent to one, and what
comes from others is checked and dropped when it is anything else.

A scope that is killed comes back at once with what it knew (`kernel.keeping`): its members and who watches it, where a
BEAM's has lost the local ones. Peers see it as a new one: they are told to discover it, and learn its members again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.etf import decode, encode
from pyerlnode.kernel.keeping import Keeping
from pyerlnode.kernel.net_kernel import NetKernel
from pyerlnode.kernel.pg_core import Change, Table, changes, group_pairs, pid_list
from pyerlnode.otp import gen
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.otp.service import Service
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.runtime.names import Global, Via
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import TermMap
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.pg")

DISCOVER_EVERY = 5.0
DISCOVER_SOON = 0.1
VERSION = 1


class Remote:
    """The scope process of another node: its groups, and the version that it speaks."""

    __slots__ = ("table", "version")

    def __init__(self) -> None:
        self.table = Table()
        self.version = 0


class Subscriber:
    """A process that wants to know of changes; `ref` is what it was given, `watch` our monitor of it."""

    __slots__ = ("key", "pid", "ref", "watch")

    def __init__(self, ref: Reference, pid: Pid, key: Any) -> None:
        self.ref = ref
        self.pid = pid
        self.key = key
        self.watch = ref


class Knowledge:
    """What a scope knows; it outlives the process."""

    __slots__ = ("local", "remotes", "subscribers")

    def __init__(self) -> None:
        self.local = Table()
        self.remotes: dict[Pid, Remote] = {}
        self.subscribers: dict[tuple[int, ...], Subscriber] = {}


class Scope(Service):
    """The scope process of this node."""

    def init(self, scope: Atom, kernel: NetKernel, knowledge: Knowledge) -> None:
        self.scope = scope
        self.kernel = kernel
        self.local = knowledge.local
        self.remotes = knowledge.remotes
        self._subscribers = knowledge.subscribers
        self._members = {pid: self._monitor(pid) for pid in self.local.pids()}
        self._watched = {self._monitor(pid).words: pid for pid in self.remotes}
        for subscriber in self._subscribers.values():
            subscriber.watch = self._monitor(subscriber.pid)
        self._again: Timer | None = None
        kernel.monitor_nodes(self.process, True)
        for pid, remote in self.remotes.items():  # of an earlier life: they know us under its pid
            remote.version = 0
            self._discover(pid.node)
            # Before any join or leave: a BEAM's scope crashes by a leave from a group that it does not know of.
            self._tell(pid, (gen.CAST, (A.sync, self.pid, self.local.pairs())))
        self._discover_unknown()

    def _monitor(self, pid: Pid) -> Reference:
        """Monitor `pid`; nobody is dialled for it, since one of a node that is not connected is lost."""
        ref: Reference = self.process.system.monitor_connected(self.process, pid)
        return ref

    # --- reading, by anybody on this hub -------------------------------------------------------
    def members(self, group: Any) -> list[Pid]:
        found = self.local.members(group)
        for remote in self.remotes.values():
            found += remote.table.members(group)
        return found

    def groups(self) -> list[Any]:
        tables = [self.local, *(remote.table for remote in self.remotes.values())]
        return list({key: group for table in tables for key, (group, _) in table.groups.items()}.values())

    # --- the public side -----------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (A.join_local, group, pids):
                return Reply(self._join(group, pid_list(pids)))
            case (A.leave_local, group, pids):
                return Reply(self._leave(group, pid_list(pids)))
            case A.monitor:
                ref = self._subscribe(from_[0], None)
                return Reply((ref, TermMap([(group, self.members(group)) for group in self.groups()])))
            case (A.monitor, group):
                return Reply((self._subscribe(from_[0], (exact.key(group),)), self.members(group)))
            case (A.demonitor, Reference() as ref):
                return Reply(self._unsubscribe(ref))
        return NoReply()

    def _join(self, group: Any, pids: list[Pid] | None) -> Any:
        system = self.process.system
        if not pids or not all(system.is_local(pid) for pid in pids):
            return A.error, A.badarg
        for pid in pids:
            if pid not in self._members:
                self._members[pid] = self._monitor(pid)
        self.local.add(group, pids)
        self._changed([(group, pids, [])])
        for pid, remote in self.remotes.items():
            self._tell(pid, (A.update, self.pid, [(group, pids, [])]) if remote.version else self._v0_join(group, pids))
        return A.ok

    def _v0_join(self, group: Any, pids: list[Pid]) -> Any:
        return A.join, self.pid, group, pids[0] if len(pids) == 1 else pids

    def _leave(self, group: Any, pids: list[Pid] | None) -> Any:
        gone = self.local.remove(group, pids or [])
        if not gone:
            return A.not_joined
        self._forget_members(gone)
        self._changed([(group, [], gone)])
        self._announce_leave([(group, gone)])
        return A.ok

    def _announce_leave(self, left: list[tuple[Any, list[Pid]]]) -> None:
        for pid, remote in self.remotes.items():
            if remote.version:
                self._tell(pid, (A.update, self.pid, [(group, [], gone) for group, gone in left]))
            else:
                for group, gone in left:
                    # A release before 29 removes each pid once per group that is named.
                    self._tell(pid, (A.leave, self.pid, gone[0] if len(gone) == 1 else gone, [group]))

    def _forget_members(self, pids: Iterable[Pid]) -> None:
        for pid in set(pids):
            if not self.local.groups_of(pid) and pid in self._members:
                self.process.system.demonitor(self.process, self._members.pop(pid), flush=True)

    # --- the peers' side -----------------------------------------------------------------------
    def handle_cast(self, request: Any) -> None:
        match request:
            case (A.sync, Pid() as peer, groups):
                self._replace(peer, group_pairs(groups))
            case (A.local_data, Pid() as peer, int(), groups):
                self._replace(peer, group_pairs(groups))

    def handle_info(self, message: Any) -> None:
        match message:
            case (A.discover, Pid() as peer):
                self._discovered(peer, 0)
            case (A.discover, Pid() as peer, int(version)):
                self._discovered(peer, min(version, VERSION))
            case (A.join, Pid() as peer, group, pids):
                self._change(peer, [(group, pid_list(pids) or [], [])])
            case (A.leave, Pid() as peer, pids, list() as groups):
                self._change(peer, [(group, [], pid_list(pids) or []) for group in groups])
            case (A.update, Pid() as peer, what):
                self._change(peer, changes(what) or [])
            case (A.nodeup, Atom() as node):
                self._discover(node)
            case (A.DOWN, Reference() as ref, _, Pid() as pid, reason):
                self._down(ref, pid, reason)
            case A.discover_again:
                self._discover_unknown()

    def _discovered(self, peer: Pid, version: int) -> None:
        """A peer wants to know our groups."""
        if peer.node is self.process.system.node:
            return
        new = peer not in self.remotes
        remote = self._known(peer)
        remote.version = version
        if version:
            self._tell(peer, (gen.CAST, (A.local_data, self.pid, VERSION, self.local.as_map())))
        else:
            self._tell(peer, (gen.CAST, (A.sync, self.pid, self.local.pairs())))
        if new:
            self._tell(peer, (A.discover, self.pid, VERSION) if version else (A.discover, self.pid))

    def _known(self, peer: Pid) -> Remote:
        remote = self.remotes.get(peer)
        if remote is None:
            remote = self.remotes[peer] = Remote()
            self._watched[self._monitor(peer).words] = peer
        return remote

    def _replace(self, peer: Pid, groups: list[tuple[Any, list[Pid]]] | None) -> None:
        if groups is None or peer.node is self.process.system.node:
            return
        remote, table = self._known(peer), Table(groups)
        before, remote.table = remote.table, table
        self._changed(before.difference(table))

    def _change(self, peer: Pid, what: list[Change]) -> None:
        remote = self.remotes.get(peer)
        if remote is None:
            return  # as in OTP: its sync is still to come
        made = []
        for group, joined, left in what:
            if joined:
                remote.table.add(group, joined)
            gone = remote.table.remove(group, left)
            made.append((group, joined, gone))
        self._changed(made)

    def _down(self, ref: Reference, pid: Pid, reason: Any) -> None:
        peer = self._watched.pop(ref.words, None)
        if peer is not None:
            self._changed(self.remotes.pop(peer).table.difference(Table()))
            if reason is not A.noconnection:  # its supervisor starts it anew, and nobody tells a hidden node
                self.process.system.send_after(DISCOVER_SOON, self.pid, (A.nodeup, pid.node))
        elif self._members.get(pid) == ref:
            del self._members[pid]
            left = [(group, [pid]) for group in self.local.groups_of(pid)]
            for group, gone in left:
                self.local.remove(group, gone)
            self._changed([(group, [], gone) for group, gone in left])
            self._announce_leave(left)
        else:
            for words in [words for words, one in self._subscribers.items() if one.watch == ref]:
                del self._subscribers[words]

    # --- discovering ---------------------------------------------------------------------------
    def _discover(self, node: Atom) -> None:
        self._tell((self.scope, node), (A.discover, self.pid))

    def _discover_unknown(self) -> None:
        known = {peer.node for peer in self.remotes}
        for node in self.kernel.nodes():
            if node not in known:
                self._discover(node)
        if self._again is not None:  # whoever sent the message that we send ourselves begins no second row of them
            self._again.cancel()
        self._again = self.process.system.send_after(DISCOVER_EVERY, self.pid, A.discover_again)

    def _tell(self, dest: Any, message: Any) -> None:
        node = dest.node if isinstance(dest, Pid) else dest[1]
        system = self.process.system
        if system.is_connected(node):  # nobody is dialled: who comes back is discovered
            system.send(dest, message)

    # --- who wants to know ---------------------------------------------------------------------
    def _subscribe(self, pid: Pid, key: Any) -> Reference:
        ref = self._monitor(pid)
        self._subscribers[ref.words] = Subscriber(ref, pid, key)
        return ref

    def _unsubscribe(self, ref: Reference) -> Any:
        subscriber = self._subscribers.pop(ref.words, None)
        if subscriber is None:
            return False
        self.process.system.demonitor(self.process, subscriber.watch, flush=True)
        return A.ok

    def _changed(self, what: list[Change]) -> None:
        if not self._subscribers:
            return
        for group, joined, left in what:
            key = (exact.key(group),)
            for one in list(self._subscribers.values()):
                if one.key is None or one.key == key:
                    for kind, pids in ((A.join, joined), (A.leave, left)):
                        if pids:
                            self._tell(one.pid, (one.ref, kind, group, pids))


def as_sent(group: Any) -> Any:
    """The group as other nodes see it: text is a binary."""
    return decode(encode(group))


class Pg:
    """``pg`` of one node. A scope is started when it is first named here."""

    def __init__(self, system: System, kernel: NetKernel, keeping: Keeping | None = None) -> None:
        self._system = system
        self._kernel = kernel
        self._keeping = Keeping(system) if keeping is None else keeping

    def start(self, scope: str | Atom = "pg") -> Pid:
        """Take part in `scope`; what other nodes have in it is known as soon as they have answered."""
        return self._scope(scope).pid

    def join(self, group: Any, pids: Pid | list[Pid] | None = None, *, scope: str | Atom = "pg") -> None:
        """Make processes of this node (the current one unless given) members. Each join wants a leave of its own."""
        if self._call(scope, (A.join_local, as_sent(group), self._pids(pids))) is not A.ok:
            raise UsageError("members of a group are processes of this node")

    def leave(self, group: Any, pids: Pid | list[Pid] | None = None, *, scope: str | Atom = "pg") -> bool:
        """Undo one join of each process of this node; False (`not_joined`) when none of them was a member."""
        return self._call(scope, (A.leave_local, as_sent(group), self._pids(pids))) is A.ok

    def get_members(self, group: Any, *, scope: str | Atom = "pg") -> list[Pid]:
        """Members on all nodes; one that joined twice is there twice."""
        return self._scope(scope).members(as_sent(group))

    def get_local_members(self, group: Any, *, scope: str | Atom = "pg") -> list[Pid]:
        return self._scope(scope).local.members(as_sent(group))

    def which_groups(self, *, scope: str | Atom = "pg") -> list[Any]:
        return self._scope(scope).groups()

    def which_local_groups(self, *, scope: str | Atom = "pg") -> list[Any]:
        return self._scope(scope).local.names()

    def monitor(self, group: Any, *, scope: str | Atom = "pg") -> tuple[Reference, list[Pid]]:
        """(ref, members); then ``(ref, A.join | A.leave, group, pids)`` to the current process for each change."""
        self._current()
        ref, members = self._call(scope, (A.monitor, as_sent(group)))
        return ref, members

    def monitor_scope(self, *, scope: str | Atom = "pg") -> tuple[Reference, TermMap]:
        """The same for all groups of the scope: (ref, members by group)."""
        self._current()
        ref, groups = self._call(scope, A.monitor)
        return ref, groups

    def demonitor(self, ref: Reference, *, scope: str | Atom = "pg") -> bool:
        return self._call(scope, (A.demonitor, ref)) is A.ok

    def _current(self) -> Process:
        process = self._system.myself()
        if process is self._system.root:
            process = self._system.adopt()
        return process

    def _pids(self, pids: Pid | list[Pid] | None) -> list[Pid]:
        found = [self._current().pid] if pids is None else [pids] if isinstance(pids, Pid) else list(pids)
        if not all(type(pid) is Pid and self._system.is_local(pid) for pid in found):
            raise UsageError("members of a group are processes of this node")
        return found

    def _call(self, scope: str | Atom, request: Any) -> Any:
        return gen.call(self._system, self._scope(scope).pid, request)

    def _scope(self, scope: str | Atom) -> Scope:
        if isinstance(scope, (Global, Via)):
            raise UsageError("a scope is named by an atom")
        name = Atom(str(scope))
        process = self._system.registry.whereis(name)
        if process is None:
            self._keeping.keep(Scope, name, self._kernel, Knowledge(), name=name)
            process = self._system.registry.whereis(name)
        handler = None if process is None else behaviour_of(process)
        if not isinstance(handler, Scope):
            raise UsageError(f"the name {name} is taken by a process that is no scope of groups")
        return handler
