"""Functions as terms: ``fun m:f/a``, which any node can call, and closures, which only their maker can.

A closure that Python receives is opaque: it is kept whole (NEW_FUN_EXT, protocol.md D.1) so that it can be sent
back. Calling one is for a node to do (`kernel.remote.applying`): ``fun(1, 2)``.
Its free variables are kept as terms and not as raw bytes: raw bytes may name entries of one packet's atom
cache, and a closure within a closure within a closure would be held once per level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.term import copying
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid

apply: Callable[[Any, tuple[Any, ...]], Any] | None = None
"""What ``fun(*args)`` does, once a node has been opened."""


def _called(fun: Any, args: tuple[Any, ...]) -> Any:
    if apply is None:
        raise UsageError(f"{fun!r} is called by a node: open one first")
    return apply(fun, args)


class ExternalFun:
    """``fun module:function/arity``, Elixir's ``&M.f/a``; `arity` is 0..255."""

    __slots__ = ("arity", "function", "module")
    __match_args__ = ("module", "function", "arity")

    def __init__(self, module: Atom, function: Atom, arity: int) -> None:
        self.module = module
        self.function = function
        self.arity = arity

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is ExternalFun
            and self.module is other.module
            and self.function is other.function
            and self.arity == other.arity
        )

    def __hash__(self) -> int:
        return hash((ExternalFun, self.module, self.function, self.arity))

    def __call__(self, *args: Any) -> Any:
        """``fun(Args…)``: here when this node exports it, else on the node that it is connected to."""
        return _called(self, args)

    def __repr__(self) -> str:
        return f"ExternalFun({self.module!r}, {self.function!r}, {self.arity})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ExternalFun, (self.module, self.function, self.arity)


class Fun:
    """A closure of a BEAM, kept to be sent back; only a decoder makes one.

    `module` and `arity` may interest a reader; `uniq` (16 bytes), `index`, `old_index`, `old_uniq` and `pid`
    identify it to its maker, `free` are the values it closes over. As on a BEAM, it is the same closure whichever
    process made it.
    """

    __slots__ = ("arity", "free", "index", "module", "old_index", "old_uniq", "pid", "uniq")

    def __init__(
        self,
        module: Atom,
        arity: int,
        uniq: bytes,
        index: int,
        old_index: int,
        old_uniq: int,
        pid: Pid,
        free: tuple[Any, ...],
    ) -> None:
        self.module = module
        self.arity = arity
        self.uniq = uniq
        self.index = index
        self.old_index = old_index
        self.old_uniq = old_uniq
        self.pid = pid
        self.free = free

    def with_free(self, free: tuple[Any, ...]) -> Fun:
        """The same closure over other values."""
        return Fun(self.module, self.arity, self.uniq, self.index, self.old_index, self.old_uniq, self.pid, free)

    def _identity(self) -> tuple[Any, ...]:
        return self.module, self.arity, self.uniq, self.index, self.old_index, self.old_uniq

    def __eq__(self, other: object) -> bool:
        return type(other) is Fun and self._identity() == other._identity() and self.free == other.free

    def __hash__(self) -> int:
        return hash((*self._identity(), self.free))

    def __call__(self, *args: Any) -> Any:
        """``fun(Args…)``, on the node of its maker."""
        return _called(self, args)

    def __repr__(self) -> str:
        return f"#Fun<{self.module}.{self.index}.{self.old_uniq}>"

    def __copy__(self) -> Fun:
        return self.with_free(self.free)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fun:
        copied: Fun = copying.deepcopy(self, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return copying.reduced(self)
