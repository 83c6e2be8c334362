"""The locker of `global`: who may synchronise names with whom, and when.

Two nodes that meet exchange their global names while both clusters hold one lock, ``{global, [LockerA, LockerB]}``,
sorted: so nobody registers a name meanwhile, and no third node synchronises. Each node has one locker process. It
keeps the peers that wait for synchronisation, and either takes the lock itself and proposes (`lock_set`, true), or
answers a proposal. When both said true, the name server exchanges names; its `cancel` ends the lock.

The lock is set at the greatest node name first (the boss), so that two who want it at once meet there and one loses;
then here and at the other, then at all nodes that are known.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from pyerlnode.otp import gen, requests
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.system import System
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.order import sort_key
from pyerlnode.term.pid import Pid

SERVER = A.global_name_server
UNKNOWN_TAG = 0
LONGEST_SLEEP = 8.0
_FIRST_TRY = 0.2


class NameServer(Protocol):
    """What lockers look at: the state of the name server of the same node."""

    @property
    def nodes(self) -> list[Atom]: ...
    def is_locked(self) -> bool: ...
    def may_lock(self, lock: tuple[Any, Any]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Him:
    """A peer that waits to be synchronised with."""

    node: Atom
    locker: Pid
    my_tag: int
    his_tag: Any


@dataclass(frozen=True, slots=True)
class Cancel:
    """The name server's word that the attempt with this tag is over: `run` what it left, and let the lock go."""

    node: Atom
    my_tag: Any
    run: Callable[[], None] | None


def boss(nodes: Iterable[Atom]) -> Atom:
    """The node where a lock is set first."""
    return max(nodes, key=lambda node: node.name)


def set_lock(system: System, lock: tuple[Any, Any], nodes: list[Atom]) -> bool:
    """Set `lock` at all of `nodes` by the current process, or at none. A node that does not answer has none to set."""
    replies, _ = requests.multi_call(system, nodes, SERVER, (A.set_lock, lock))
    if all(answer is True for answer in replies.values()):
        return True
    del_lock(system, lock, [node for node, answer in replies.items() if answer is True])
    return False


def del_lock(system: System, lock: tuple[Any, Any], nodes: Iterable[Atom]) -> None:
    """Take it away: at the boss last, for there the next one begins."""
    left = list(dict.fromkeys(nodes))
    if not left:
        return
    last = boss(left)
    left.remove(last)
    if left:
        requests.multi_call(system, left, SERVER, (A.del_lock, lock))
    requests.multi_call(system, [last], SERVER, (A.del_lock, lock))


def backoff(times: int) -> float:
    """Seconds to wait after the `times`-th refusal."""
    longest: float = min(LONGEST_SLEEP, 0.25 * (1 << min(times, 5)))
    return random.random() * longest  # noqa: S311 - no secret


class Locker:
    """The body of the locker process. `tell` carries its words to the name server of this node."""

    def __init__(self, system: System, server: NameServer, tell: Callable[[Any], None]) -> None:
        self.system = system
        self.server = server
        self.tell = tell
        self.waiting: dict[Atom, Him] = {}
        self.eager = False
        """Synchronised just now: the next one need not wait for others to propose."""

    def run(self) -> None:
        while True:
            message = self._receive(None, self._patience())
            if message is not NOTHING:
                self._on(message)
            elif not self.server.is_locked():
                self._propose()

    def _patience(self) -> float | None:
        if not self.waiting:
            return None
        eager, self.eager = self.eager, False
        known = len(self.server.nodes)
        return 0.01 if eager else min(1 + 0.1 * known, 3.0) if known else _FIRST_TRY

    def _receive(self, matches: Callable[[Any], Any] | None, timeout: float | None = None) -> Any:
        return self.system.myself().receive(matches, timeout)

    def _on(self, message: Any) -> None:
        match message:
            case Him():
                self.waiting[message.node] = message
            case Cancel():
                self._forget(message.node, message.my_tag)
            case (A.lock_set, Pid() as locker, True, _, *_):
                self._answer(locker)

    def _forget(self, node: Atom, tag: Any) -> None:
        him = self.waiting.get(node)
        if him is not None and exact.same(him.my_tag, tag):
            del self.waiting[node]

    # --- proposing -----------------------------------------------------------------------------
    def _propose(self) -> None:
        for node in self.server.nodes:  # synchronised by way of another node meanwhile
            self.waiting.pop(node, None)
        if not self.waiting:
            return
        him = random.choice(list(self.waiting.values()))  # noqa: S311 - no secret
        lock = self._lock(him.locker)
        held = self._lock_nodes(lock, [him.node])
        if held is None:
            return
        self._say(True, him.node, him.his_tag)
        match self._receive(lambda message: self._concerns(message, him)):
            case (A.lock_set, _, True, *_):
                self._synchronise(him, lock, held)
            case Cancel(run=run):
                _run(run)
                del_lock(self.system, lock, held)
                self._forget(him.node, him.my_tag)
            case _:
                del_lock(self.system, lock, held)

    @staticmethod
    def _concerns(message: Any, him: Him) -> bool:
        match message:
            case (A.lock_set, Pid(node=node), _, _):
                return node is him.node
            case (A.lock_set, Pid(node=node), _, _, tag):
                return node is him.node and exact.same(tag, him.my_tag)
            case Cancel(node, tag):
                return node is him.node and exact.same(tag, him.my_tag)
        return False

    # --- answering -----------------------------------------------------------------------------
    def _answer(self, locker: Pid) -> None:
        him = self.waiting.get(locker.node)
        if him is None:
            self.system.send_connected(locker, (A.lock_set, self._me, False, []))
            return
        lock = self._lock(locker)
        held = self._lock_nodes(lock, [])
        self._say(held is not None, him.node, him.his_tag)
        if held is not None:
            self._synchronise(him, lock, held)

    def _synchronise(self, him: Him, lock: tuple[Any, Any], held: list[Atom]) -> None:
        """Both hold the lock: the name servers work, until ours cancels."""
        self.tell((A.lock_is_set, him.node, him.my_tag, lock))
        cancel = self._receive(
            lambda message: type(message) is Cancel and self._concerns(message, him),
        )
        _run(cancel.run)
        del_lock(self.system, lock, held)
        self._forget(him.node, him.my_tag)
        self.eager = True

    # --- the lock ------------------------------------------------------------------------------
    @property
    def _me(self) -> Pid:
        return self.system.myself().pid

    def _lock(self, other: Pid) -> tuple[Any, Any]:
        return A["global"], sorted((self._me, other), key=sort_key)

    def _lock_nodes(self, lock: tuple[Any, Any], extra: list[Atom]) -> list[Atom] | None:
        """Set it at the boss, at us and `extra`, at all we know; the nodes that hold it, None when one refused."""
        own = self.system.node
        first = [boss([own, *self.server.nodes])]
        if first != [own] and not self.server.may_lock(lock):
            return None
        held: list[Atom] = []
        for step in range(3):  # the known nodes are looked at once the boss holds the lock
            nodes = (first, [own, *extra], self.server.nodes)[step]
            more = [node for node in nodes if node not in held]
            if more and not set_lock(self.system, lock, more):
                del_lock(self.system, lock, held)
                return None
            held += more
        return held

    def _say(self, is_set: bool, node: Atom, his_tag: Any) -> None:
        known = list(self.server.nodes)
        if not self.system.is_connected(node):
            return  # it was lost just now, and its nodedown cancels the attempt
        gen.cast(self.system, (SERVER, node), (A.lock_set, self._me, is_set, known, his_tag))


def _run(what: Callable[[], None] | None) -> None:
    if what is not None:
        what()
