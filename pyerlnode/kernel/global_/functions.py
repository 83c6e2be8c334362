"""`node.global_`: the functions of OTP's `global`, for a node that takes part in the cluster and for a hidden one.

    node.global_.register_name("stock", pid)               # True, or False where another process has the name
    node.global_.trans(("stock", node.self_()), refill)    # what `refill()` gives, or A.aborted

Where OTP answers `yes` and `no` it is True and False here, `undefined` is None, and `ok` is None.

Locks are kept by the name servers of the nodes they are set at: ours and the visible ones that we are connected to,
unless others are given. A hidden node has no name server, so where it is connected to nobody a lock keeps nobody out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from pyerlnode.brief import short
from pyerlnode.errors import Exit, UsageError
from pyerlnode.kernel.global_ import locker
from pyerlnode.kernel.global_.client import RANDOM_EXIT_NAME, resolve_it, winner_of
from pyerlnode.kernel.global_.core import GLOBAL
from pyerlnode.kernel.net_kernel import NetKernel
from pyerlnode.otp import requests
from pyerlnode.runtime.edges import is_dead
from pyerlnode.runtime.mailbox import Waiter
from pyerlnode.runtime.process import adopt
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.pid import Pid

T = TypeVar("T")
_OWN: Final = A["pyerlnode.global"]
"""The module under which peers find methods that are functions of Python."""


class GlobalFunctions:
    """The functions of one open node. Nodes are given by name; `pid` is the current process unless given."""

    random_exit_name = RANDOM_EXIT_NAME
    """Of two processes with one name that of the lesser node keeps it, and the other is killed: the usual method."""
    random_notify_name = ExternalFun(GLOBAL, A.random_notify_name, 3)
    """The same, but the other one gets ``(A.global_name_conflict, name)``."""
    notify_all_name = ExternalFun(GLOBAL, A.notify_all_name, 3)
    """Neither keeps it; each gets ``(A.global_name_conflict, name, other)``."""

    def __init__(self, system: System, kernel: NetKernel, export: Callable[..., object]) -> None:
        self._system = system
        self._kernel = kernel
        self._export = export
        self._methods: dict[Callable[..., Any], ExternalFun] = {}
        export(GLOBAL, self._resolve_it, A.resolve_it)

    # --- names ---------------------------------------------------------------------------------
    def register_name(self, name: Any, pid: Pid | None = None, method: Any = RANDOM_EXIT_NAME) -> bool:
        """``register_name(Name, Pid, Resolve)``: True when `pid`, a process of any node, has the name now.

        Args:
            method: settles it when two clusters meet that gave the name to different processes: one of the three of
                this class, a function of ours, ``method(name, pid, pid)``, or an `ExternalFun`. It gives the process
                that keeps the name; by anything else neither does; when it fails the other one does. It is asked at the
                node of the process, so one of Python is for processes of this node. Give the same function again, no
                new one.

        False also when `pid` has another name, as in OTP.
        """
        return bool(self._names.register_name(name, self._pid(pid), self._method(method)))

    def re_register_name(self, name: Any, pid: Pid | None = None, method: Any = RANDOM_EXIT_NAME) -> bool:
        """``re_register_name(Name, Pid, Resolve)``: give the name to `pid`, whoever had it; True."""
        self._names.re_register_name(name, self._pid(pid), self._method(method))
        return True

    def unregister_name(self, name: Any) -> None:
        """``unregister_name(Name)``: take the name away from whoever has it."""
        self._names.take_away(name)

    def whereis_name(self, name: Any) -> Pid | None:
        found: Pid | None = self._names.whereis_name(name)
        return found

    def registered_names(self) -> list[Any]:
        """All names of the cluster."""
        names: list[Any] = self._names.registered_names()
        return names

    def send(self, name: Any, message: Any) -> Pid:
        """``send(Name, Message)``; its pid. Raises `Exit`, ``{badarg, {Name, Message}}``, where nobody has the name."""
        pid = self.whereis_name(name)
        if pid is None:
            raise Exit((A.badarg, (name, message)), "no process has this global name")
        self._system.send(pid, message)
        return pid

    # --- locks ---------------------------------------------------------------------------------
    def set_lock(self, id: Any, nodes: Iterable[str | Atom] | None = None, retries: int | None = None) -> bool:
        """``set_lock({Resource, Requester}, Nodes, Retries)``: whether it is set after `retries` more attempts.

        None waits until it is. It is the current process's, and goes with it. Another process with the same requester
        may have it besides.
        """
        _checked(id)
        if retries is not None and (type(retries) is not int or retries < 0):
            raise UsageError("retries is a number of times, 0 or more, or None")
        adopt(self._system)
        where = self._nodes(nodes)
        for times in itertools.count():
            if self._set(id, where):
                return True
            if times == retries:
                return False
            Waiter(self._system.scheduler, self._system.timers).wait(locker.backoff(times))
        raise AssertionError("unreachable")

    def del_lock(self, id: Any, nodes: Iterable[str | Atom] | None = None) -> bool:
        """``del_lock(Id, Nodes)``: True, whether or not it was there."""
        _checked(id)
        adopt(self._system)
        requests.multi_call(self._system, self._nodes(nodes), locker.SERVER, (A.del_lock, id))
        return True

    def trans(
        self, id: Any, function: Callable[[], T], nodes: Iterable[str | Atom] | None = None, retries: int | None = None
    ) -> T | Atom:
        """``trans(Id, Fun, Nodes, Retries)``: what ``function()`` gives under the lock; ``A.aborted`` without it."""
        where = self._nodes(nodes)
        if not self.set_lock(id, where, retries):
            return A.aborted
        try:
            return function()
        finally:
            if not is_dead():  # else the lock has gone with the process
                self.del_lock(id, where)

    # --- the cluster ---------------------------------------------------------------------------
    def disconnect(self) -> list[str]:
        """``disconnect()``: part from all visible nodes, so that nobody takes it for a partition; who they were.

        The connections are down when it returns. A hidden node is in no cluster, and parts from nobody.
        """
        left = self._names.leave()
        for node in left:
            self._kernel.disconnect(node)
        return [node.name for node in left]

    # --- what these share ----------------------------------------------------------------------
    @property
    def _names(self) -> Any:
        return self._system.global_names

    def _pid(self, pid: Pid | None) -> Pid:
        if pid is not None and type(pid) is not Pid:
            raise UsageError(f"{short(pid)} is no pid")
        return adopt(self._system).pid if pid is None else pid

    def _nodes(self, nodes: Iterable[str | Atom] | None) -> list[Atom]:
        if nodes is None:
            return [self._system.node, *self._kernel.nodes("visible")]
        return [Atom(str(node)) for node in nodes]

    def _set(self, id: Any, nodes: list[Atom]) -> bool:
        """At all of `nodes`, or at none; the own name server is looked at first, as that asks nobody."""
        server = getattr(self._names, "server", None)
        if server is not None and len(nodes) > 1 and self._system.node in nodes and not server.may_lock(id):
            return False
        return not nodes or locker.set_lock(self._system, id, nodes)

    def _method(self, method: Any) -> ExternalFun | Fun:
        """As the other nodes know it."""
        match method:
            case (Atom() as module, Atom() as function):
                return ExternalFun(module, function, 3)
            case ExternalFun() | Fun() if method.arity == 3:
                return method
        if isinstance(method, (ExternalFun, Fun)) or not callable(method):
            raise UsageError(f"{short(method)} is no function of a name and two pids")
        ours: Callable[..., Any] = method
        known = self._methods.get(ours)
        if known is None:
            known = ExternalFun(_OWN, Atom(f"method_{len(self._methods)}"), 3)
            self._export(_OWN, ours, known.function)
            if self._system.exported(_OWN, known.function, 3) is None:
                raise UsageError(f"{short(method)} is no function of a name and two pids")
            self._methods[ours] = known
        return known

    def _resolve_it(self, method: Any, name: Any, his: Pid, mine: Pid) -> Any:
        """What a node that judges a clash asks the one of the process that it knows."""
        winner = resolve_it(self._system, method, name, his, mine)
        self._names.settled(name, winner_of(winner, his))
        return winner


def _checked(id: Any) -> None:
    if type(id) is not tuple or len(id) != 2:
        raise UsageError("the id of a lock is a pair: the resource, and who wants it")
