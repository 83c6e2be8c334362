"""Names of the cluster as a program uses them: transactions on them, and who keeps one that two processes have.

A registration locks ``{global, Registrar}`` at every node, the boss first (see `locker`), looks, and tells every
node; so of two that want one name at once exactly one gets it. Transactions of a node run one after the other, in its
registrar, the process that holds their lock.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any, Protocol

from pyerlnode.brief import short, told
from pyerlnode.errors import NoProc
from pyerlnode.etf import encode
from pyerlnode.kernel.global_.core import GLOBAL
from pyerlnode.kernel.global_.locker import SERVER, backoff, boss, del_lock, set_lock
from pyerlnode.kernel.keeping import Kept
from pyerlnode.otp import gen, requests
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.otp.service import Service
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.mailbox import Waiter
from pyerlnode.runtime.reason_core import caught_class
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.fun import ExternalFun
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.global")

RANDOM_EXIT_NAME = ExternalFun(GLOBAL, A.random_exit_name, 3)


class Table(Protocol):
    """The name server of this node, as far as names go."""

    @property
    def nodes(self) -> list[Atom]: ...
    def where(self, name: Any) -> Pid | None: ...
    def all_names(self) -> list[Any]: ...
    def names_of(self, pid: Pid) -> list[Any]: ...


class Registrar(Service):
    """Carries out transactions on names, one at a time; the process that holds the lock."""

    def init(self, server: Table) -> None:
        self.server = server
        self.system = self.process.system

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        if not callable(request):
            return NoReply()  # a peer's: only this program knows what to ask
        lock = (GLOBAL, self.process.pid)
        nodes = self._lock_all(lock)
        try:
            return Reply(request(nodes))
        finally:
            del_lock(self.system, lock, nodes)

    def handle_cast(self, request: Any) -> None:
        """There is none."""

    def _lock_all(self, lock: tuple[Any, Any]) -> list[Atom]:
        """Set the lock at every node of the cluster; waits until that comes about."""
        for times in itertools.count():
            nodes = [self.system.node, *self.server.nodes]
            first = boss(nodes)
            if set_lock(self.system, lock, [first]):
                rest = [node for node in nodes if node is not first]
                if (not rest or set_lock(self.system, lock, rest)) and set(self.server.nodes) <= set(nodes):
                    return nodes
                del_lock(self.system, lock, nodes)
            self._sleep(backoff(times))
        raise AssertionError("unreachable")

    def _sleep(self, seconds: float) -> None:
        Waiter(self.system.scheduler, self.system.timers).wait(seconds)


class ClusterNames:
    """`System.global_names` of a visible node: names that all nodes of the cluster share."""

    def __init__(self, system: System, server: Table, registrar: Kept) -> None:
        self.system = system
        self.server = server
        self._registrar = registrar

    @property
    def registrar(self) -> Pid:
        """The process that carries out transactions; raises `NoProc` when there is none just now."""
        if self._registrar.pid is None:
            raise NoProc(A.noproc, "the registrar of global names is being started again")
        return self._registrar.pid

    def register_name(self, name: Any, pid: Pid, method: Any = RANDOM_EXIT_NAME) -> bool:
        """True when `pid` has the name now at every node; False when a process has it, or `pid` has another name.

        Raises `EncodeError` for a name that is no term.
        """
        encode(name)  # here, and not in the process that tells the other nodes

        def register(nodes: list[Atom]) -> bool:
            if self.server.where(name) is not None:
                return False
            if others := self.server.names_of(pid):
                log.error("global: %s registered under several names: %s", pid, told([name, *others]))
                return False
            requests.multi_call(self.system, nodes, SERVER, (A.register, name, pid, method))
            return True

        return bool(gen.call(self.system, self.registrar, register, None))

    def re_register_name(self, name: Any, pid: Pid, method: Any = RANDOM_EXIT_NAME) -> None:
        """`pid` has the name now at every node, whoever had it."""
        encode(name)  # as above

        def register(nodes: list[Atom]) -> None:
            requests.multi_call(self.system, nodes, SERVER, (A.register, name, pid, method))

        gen.call(self.system, self.registrar, register, None)

    def unregister_name(self, name: Any) -> bool:
        """Nobody has the name then, at any node; True when somebody had."""
        if self.server.where(name) is None:
            return False

        def unregister(nodes: list[Atom]) -> bool:
            found = self.server.where(name) is not None
            requests.multi_call(self.system, nodes, SERVER, (A.unregister, name))
            return found

        return bool(gen.call(self.system, self.registrar, unregister, None))

    take_away = unregister_name

    def settled(self, name: Any, winner: Any) -> None:
        """The name server learns of it by itself."""

    def leave(self) -> list[Atom]:
        """``global:disconnect``; the nodes that are parted from, while that goes on."""
        nodes: list[Atom] = gen.call(self.system, SERVER, A.disconnect, None)
        return nodes

    def whereis_name(self, name: Any) -> Pid | None:
        return self.server.where(name)

    def registered_names(self) -> list[Any]:
        return self.server.all_names()


def resolve_it(system: System, method: Any, name: Any, his: Pid, mine: Pid) -> Any:
    """What the method of the registration says (``global:resolve_it``): who keeps a name that two processes have.

    One that fails gives what ``catch`` does, ``{'EXIT', Reason}``, which OTP's `rpc` makes a ``badrpc`` of: `his` then
    keeps the name, as `winner_of` has it.
    """
    low, high = (his, mine) if his.node.name < mine.node.name else (mine, his)
    match method:
        case ExternalFun(module, rule) if method.arity == 3:
            pass
        case (module, rule):
            pass
        case _:
            return A.EXIT, (A.badfun, method)
    if module is not GLOBAL:
        return _asked(system.exported(module, rule, 3), method, name, his, mine)
    match rule:
        case A.random_exit_name:
            system.exit(high, A.kill)
        case A.random_notify_name:
            system.send(high, (A.global_name_conflict, name))
        case A.notify_all_name:
            system.send(his, (A.global_name_conflict, name, mine))
            system.send(mine, (A.global_name_conflict, name, his))
            return A.none
        case _:
            return A.EXIT, (A.undef, method)
    return low


def winner_of(answer: Any, his: Pid) -> Any:
    """Who keeps the name by what `resolve_it` gave, here or elsewhere; nobody, unless it is one of the two."""
    failed = type(answer) is tuple and len(answer) == 2 and answer[0] is A.EXIT
    return his if failed else answer


def _asked(function: Callable[..., Any] | None, method: Any, name: Any, his: Pid, mine: Pid) -> Any:
    """What a program's own method gives."""
    if function is None:
        log.warning("the method of the global name %s is not exported", short(name))
        return A.EXIT, (A.undef, method)
    try:
        winner = function(name, his, mine)
    except BaseException as error:
        caught(error)
        kind, reason, stack = caught_class(error)
        if kind is A.throw:
            return reason
        report(log, "the method of the global name %s failed", short(name), exc_info=error)
        return A.EXIT, reason if kind is A.exit else (reason, stack)
    return A.none if winner is None else winner
