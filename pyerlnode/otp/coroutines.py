"""Callbacks that are coroutine functions: found where a class is made, and refused where nobody awaits them.

A call of one is a call to nothing: it gives a coroutine, which is no result that a behaviour knows. So the class is
refused, by the name of the callback. Where a class comes by it does not matter: by itself, by a class beside ours
(a mixin), as a static or class method. What a decorator has made of one is the decorator's.

A method is a callback when a class of ours has one of its name; or, in a state machine with state functions, when it
takes an event, ``(kind, content)``, and its name has no leading underscore.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partialmethod
from inspect import CO_VARARGS, isasyncgenfunction, iscoroutinefunction
from types import FunctionType
from typing import Any, Final

from pyerlnode.errors import UsageError
from pyerlnode.otp.reserved import is_ours

AWAITING: Final = ("GenServer", "GenStatem", "EventHandler")
"""Our classes that `pyerlnode.aio` has for coroutines, too."""


def refuse_coroutines(cls: type, awaited: Collection[str] = (), *, by_state: bool = False) -> None:
    """Refuse the callbacks of `cls`, a class of somebody else's, that are coroutine functions, or async generators.

    `awaited` are those of our names that somebody awaits. `by_state`: what takes an event is a callback, too. Raises
    `UsageError`.
    """
    for name, _, function in coroutines_of(cls):
        if name not in awaited and is_callback(cls, name, function, by_state=by_state):
            raise UsageError(f"{cls.__qualname__}.{name} is `async def`, and nothing here awaits it{_instead(cls)}")


def coroutines_of(cls: type) -> Iterator[tuple[str, Any, FunctionType]]:
    """What `cls` has from somebody else's classes that is a coroutine function or an async generator.

    Gives name, attribute, and the function in it.
    """
    seen: set[str] = set()
    for base in cls.__mro__:
        for name, value in list(vars(base).items()):
            if name not in seen:
                seen.add(name)
                function = _function(value)
                if function is not None and not is_ours(base):
                    yield name, value, function


def _function(value: Any) -> FunctionType | None:
    """The coroutine function in a class's attribute."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    elif isinstance(value, partialmethod):
        value = value.func
    return value if type(value) is FunctionType and (iscoroutinefunction(value) or isasyncgenfunction(value)) else None


def is_callback(cls: type, name: str, function: FunctionType, *, by_state: bool) -> bool:
    return any(name in vars(base) and is_ours(base) for base in cls.__mro__) or (by_state and is_state(name, function))


def is_state(name: str, function: FunctionType) -> bool:
    """Whether a method may be a state function: it can be called with ``(kind, content)``."""
    code = function.__code__
    most = code.co_argcount - 1
    needed = most - len(function.__defaults__ or ())
    return not name.startswith("_") and needed <= 2 and (most >= 2 or bool(code.co_flags & CO_VARARGS))


def _instead(cls: Any) -> str:
    ours = next((base.__name__ for base in cls.__mro__ if is_ours(base)), "")
    if ours not in AWAITING or getattr(cls, "_awaits", None) is not None:
        return ""
    return f": a class with coroutines derives from pyerlnode.aio.{ours}"
