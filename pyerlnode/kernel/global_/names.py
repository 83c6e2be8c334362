"""``{global, Name}`` for a node outside of `global`'s mesh: names kept by a BEAM node that is in it.

Reference: protocol.md E.7 and `global`'s entry for C nodes, ``register_name_external/2``. A hidden node takes no part
in `global`'s protocol: it asks one visible peer, the *home* of the name, which tells the mesh and monitors the process.
Every lookup asks a peer, so it is as true as one made there; of the names that were registered here the pid is known.

    the home is lost                        it is registered anew at another visible peer, now or when one comes
    no visible peer is connected            the name is known here only, until one is connected
    another process has it meanwhile        that one keeps it; ours gets ``(A.global_name_conflict, name)``
    the process ends, or its node is lost   the name goes

`register_name` and `whereis_name` wait for an answer: they can not be used by the hub itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import RpcError, UsageError
from pyerlnode.etf import encode
from pyerlnode.kernel.global_.client import RANDOM_EXIT_NAME
from pyerlnode.kernel.global_.core import GLOBAL
from pyerlnode.kernel.keeping import Keeping, Kept
from pyerlnode.kernel.net_kernel import NetKernel
from pyerlnode.kernel.remote import erpc
from pyerlnode.otp.results import NoReply
from pyerlnode.otp.service import Service
from pyerlnode.runtime.system import System
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import Key
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.global")

TIMEOUT = 5.0


@dataclass(slots=True, eq=False)
class Entry:
    """A name that was registered here; `home` is the peer that keeps it, None while there is none."""

    name: Any
    pid: Pid
    method: Any = RANDOM_EXIT_NAME
    home: Atom | None = None


class GlobalNames:
    """The `NameService` behind `Global` of a node."""

    def __init__(self, system: System, kernel: NetKernel, keeping: Keeping) -> None:
        self.system = system
        self.kernel = kernel
        self.entries: dict[Key, Entry] = {}
        self._keeping = keeping
        self._keeper: Kept | None = None

    # --- the name service ----------------------------------------------------------------------
    def register_name(self, name: Any, pid: Pid, method: Any = RANDOM_EXIT_NAME) -> bool:
        """True when `pid` has the name now; False when another one has it.

        A process of another node gets it from a visible peer. Raises `EncodeError` for a name that is no term,
        `UsageError` for a process of this node that has ended, and for one of another node without any peer.
        """
        encode(name)  # a peer shall keep it
        key = exact.key(name)
        if self.whereis_name(name) is not None:
            return False
        if not self.system.is_local(pid):
            return self._of_a_peer(name, pid, method)
        process = self.system.process(pid)
        if process is None:
            raise UsageError(f"{pid} can not have the name {short(name)}: it is no live process of this node")
        entry = Entry(name, pid, method)
        if not self._claim(entry) or key in self.entries:  # somebody else was quicker while we waited
            return False
        self.entries[key] = entry
        if process.monitored_by is None:
            process.monitored_by = {}
        process.monitored_by[entry] = _Holder(self, key)
        if self._keeper is None:
            self._keeper = self._keeping.keep(Keeper, self)
        return True

    def re_register_name(self, name: Any, pid: Pid, method: Any = RANDOM_EXIT_NAME) -> None:
        """Give the name to `pid`, whoever had it."""
        while not self.register_name(name, pid, method):
            self.take_away(name)

    def take_away(self, name: Any) -> bool:
        """Nobody has the name then, at any node."""
        if self.unregister_name(name):
            return True
        for node in self.kernel.nodes("visible"):
            self._ask(node, "unregister_name", [name])
        return True

    def settled(self, name: Any, winner: Any) -> None:
        """A clash about a name was judged here: it is another's now, or nobody's."""
        entry = self.entries.get(exact.key(name))
        if entry is not None and not exact.same(entry.pid, winner):
            self._forget(name)

    def leave(self) -> list[Atom]:
        """``global:disconnect`` of a node that is in no cluster."""
        return []

    def unregister_name(self, name: Any) -> bool:
        """True when the name was registered here; names of other nodes are not ours to take away."""
        entry = self._forget(name)
        if entry is not None and entry.home is not None:
            self._ask(entry.home, "unregister_name_external", [name])
        return entry is not None

    def _forget(self, name: Any) -> Entry | None:
        entry = self.entries.pop(exact.key(name), None)
        process = None if entry is None else self.system.process(entry.pid)
        if process is not None and process.monitored_by is not None:
            process.monitored_by.pop(entry, None)
        return entry

    def whereis_name(self, name: Any) -> Pid | None:
        """The pid of any node that has the name, as the visible peers know it."""
        entry = self.entries.get(exact.key(name))
        if entry is not None:
            return entry.pid
        peers = self.kernel.nodes("visible")
        for node in peers:
            found = self._ask(node, "whereis_name", [name])
            if isinstance(found, Pid):
                return found
        return None

    def registered_names(self) -> list[Any]:
        """All names of the cluster that is connected, and those that are known here only."""
        names = {exact.key(entry.name): entry.name for entry in self.entries.values()}
        for node in self.kernel.nodes("visible"):
            found = self._ask(node, "registered_names", [])
            if isinstance(found, list):
                names.update((exact.key(name), name) for name in found)
        return list(names.values())

    # --- homes ---------------------------------------------------------------------------------
    def _claim(self, entry: Entry) -> bool:
        """Find a home for a name; False when another process has it."""
        for node in self.kernel.nodes("visible"):
            if self._ask(node, "whereis_name", [entry.name]) == entry.pid:  # left over from a home that was lost
                self._ask(node, "unregister_name_external", [entry.name])
            answer = self._ask(node, "register_name_external", [entry.name, entry.pid, entry.method])
            if answer is A.yes:
                entry.home = node
                self._unlink(entry.pid, node)
                return True
            if answer is A.no:
                return False
        return True

    def _of_a_peer(self, name: Any, pid: Pid, method: Any) -> bool:
        for node in self.kernel.nodes("visible"):
            answer = self._ask(node, "register_name", [name, pid, method])
            if answer is A.yes or answer is A.no:
                return answer is A.yes
        raise UsageError(f"{pid} can not have the name {short(name)}: no visible node is connected that could keep it")

    def _unlink(self, pid: Pid, node: Atom) -> None:
        """Undo the link that `global` makes for a C node: the loss of the home must not end the process."""
        server = self._ask(node, "whereis", [A.global_name_server], A.erlang)
        process = self.system.process(pid)
        if process is not None and isinstance(server, Pid):
            self.system.unlink(process, server)

    def find_homes(self) -> None:
        """Give a home to each name that has none. In a process of its own: it waits."""
        for key, entry in list(self.entries.items()):
            if entry.home is None and not self._claim(entry) and self.entries.get(key) is entry:
                del self.entries[key]
                log.warning("the global name %s is lost: another process has it now", short(entry.name))
                self.system.send(entry.pid, (A.global_name_conflict, entry.name))

    def lost(self, node: Atom) -> None:
        for entry in self.entries.values():
            if entry.home is node:
                entry.home = None

    def _ask(self, node: Atom, function: str, args: list[Any], module: Atom = GLOBAL) -> Any:
        try:
            return erpc.call(self.system, node, module, function, args, TIMEOUT)
        except RpcError:
            return None  # a peer that is no BEAM, or is just being lost


@dataclass(frozen=True, slots=True, eq=False)
class _Holder:
    """Watches the process that has a name. Its home monitors it too, and drops the name by itself."""

    names: GlobalNames
    key: Key

    def down(self, reason: Any) -> None:
        del reason
        self.names.entries.pop(self.key, None)


class Keeper(Service):
    """Learns of nodes that come and go, and has homes found."""

    def init(self, names: GlobalNames) -> None:
        self.names = names
        names.kernel.monitor_nodes(self.process, True)

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        return NoReply()

    def handle_cast(self, request: Any) -> None:
        """There is none."""

    def handle_info(self, message: Any) -> None:
        match message:
            case (A.nodedown, Atom() as node):
                self.names.lost(node)
            case (A.nodeup, _):
                pass
            case _:
                return
        if any(entry.home is None for entry in self.names.entries.values()):
            self.process.system.spawn(self.names.find_homes)
