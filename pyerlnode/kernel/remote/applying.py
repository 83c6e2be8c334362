"""What calling a function that is a term does: ``fun(1, 2)`` in Python, for an `ExternalFun` or a `Fun`.

- ``fun m:f/a`` that the program has exported is called here, as on a BEAM that has the module. Another one is called on
  the node that we are connected to, when that is one; with more of them `Node.apply` is to be told which.
- A closure runs where it was made.

The node whose function it is is that of the current process; in a greenlet or thread that is none, the one that the
program has open. A remote call waits 5 seconds, as `Node.apply`, which takes another time-out, and raises the same.
The wrong number of arguments is the error ``{badarity, {Fun, Args}}``.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakSet

from pyerlnode.brief import short
from pyerlnode.errors import Error, UsageError
from pyerlnode.kernel.remote import erpc
from pyerlnode.runtime.process import current
from pyerlnode.runtime.system import System
from pyerlnode.term import fun as funs
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.fun import ExternalFun, Fun

TIMEOUT: Final = 5.0
_open: Final[WeakSet[System]] = WeakSet()


def install(system: System) -> None:
    """Let functions be called in the name of `system`, while it is open."""
    _open.add(system)
    funs.apply = apply_here


def apply_here(fun: Fun | ExternalFun, args: tuple[Any, ...]) -> Any:
    """``Fun(Args…)`` in the current process. Raises what the function raises, and as `Node.apply`."""
    if len(args) != fun.arity:
        raise Error((A.badarity, (fun, list(args))))
    system = _system(fun)
    return system.run(_applied, system, fun, args)


def _system(fun: Fun | ExternalFun) -> System:
    process = current()
    if process is not None and not process.system.stopped:
        system: System = process.system
        return system
    there = [system for system in _open if not system.stopped]
    if len(there) != 1:
        raise UsageError(f"{short(fun)} is called by a node, and {len(there) or 'none'} of them is open here")
    return there[0]


def _applied(system: System, fun: Fun | ExternalFun, args: tuple[Any, ...]) -> Any:
    if isinstance(fun, ExternalFun):
        exported = system.exported(fun.module, fun.function, fun.arity)
        if exported is not None:
            return exported(*args)
        return erpc.call(system, _only_peer(system, fun), fun.module, fun.function, list(args), TIMEOUT)
    return erpc.call(system, fun.pid.node, "erlang", "apply", [fun, list(args)], TIMEOUT)


def _only_peer(system: System, fun: ExternalFun) -> Atom:
    there = [node for node, peer in system.peers.items() if peer.route is not None]
    if len(there) == 1:
        return there[0]
    raise UsageError(
        f"{short(fun)} is not exported here, and {len(there)} nodes are connected: say which one, "
        "by node.apply(fun, args, at=…)"
    )
