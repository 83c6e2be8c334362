"""Functions that come in terms, called as a BEAM calls a fun.

``fun M:F/A`` is looked up among what the program exported, as everything that a peer names. A closure of a BEAM is code
that is not here, so it is no function (`badfun`): a program may call one, which asks its maker's node, but a process of
a behaviour waits for no other node. A callable of this program is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyerlnode.errors import Error
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.fun import ExternalFun, Fun


def called(system: System, fun: Any, args: Sequence[Any]) -> Any:
    """``apply(Fun, Args)``. Raises Erlang's `badfun`, `badarity`, `undef`, and what the function raises."""
    if type(fun) is ExternalFun:
        if fun.arity != len(args):
            raise Error((A.badarity, (fun, list(args))))
        return applied(system, fun.module, fun.function, args)
    if type(fun) is Fun or not callable(fun):
        raise Error((A.badfun, fun), message="a function of another node can not be called here")
    return fun(*args)


def applied(system: System, module: Atom, name: Atom, args: Sequence[Any]) -> Any:
    """``apply(Module, Function, Args)`` of an exported function. Raises `undef`, and what the function raises."""
    found = system.exported(module, name, len(args))
    if found is None:
        raise Error(A.undef, [(module, name, list(args), [])], f"{module}:{name}/{len(args)} is not exported")
    return found(*args)


def function_of(system: System, fun: Any) -> Callable[..., Any]:
    """`fun` as a function of Python, which raises as `called`."""
    return lambda *args: called(system, fun, args)


def is_function(fun: Any) -> bool:
    """Whether `fun` is one at all, exported or not."""
    return type(fun) is not Fun and callable(fun)
