"""Names of ours on an object of the user's: they can not be taken by accident.

A server is one object that is shared: its attributes are the user's state, and its class derives from ours. A name with
which our code finds its own methods and slots is therefore refused, at once and by name, when a class of the user
defines it or a server assigns it; `self._stop = Event()` would else leave a server that can not stop. Free are all
other names, callbacks among them. What the runtime itself has to know lies in the `Process`, out of reach.

The guards are put on a class of ours when the first class of somebody else derives from it: servers that are ours
alone, and have no such neighbours, do not pay for them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FunctionType, MemberDescriptorType
from typing import Any, Final, NoReturn

from pyerlnode.errors import UsageError

OURS: Final = "pyerlnode."
FIXED: Final = frozenset(
    {
        "process", "pid", "state", "handle", "handle_debugged", "initialised", "continue_", "formatted", "answering",
        "event_of", "now", "otp_module", "stop_rank", "module", "sup_name",
    }
)  # fmt: skip
"""Public names that our code itself goes by; other public ones may be overridden, for that is meant."""
IN_CLASS: Final = frozenset({"handle", "event_of", "system_terminate"})
"""Looked up in the class, each time, so that an attribute is never in the way."""
_sealed: set[type] = set()


def is_ours(cls: type) -> bool:
    return cls.__module__.startswith(OURS)


def is_reserved(name: str) -> bool:
    """Whether `name`, of a class of ours, is not for others."""
    return name in FIXED or (name.startswith("_") and not name.startswith("__"))


def protect(cls: type, root: type) -> None:
    """Refuse what `cls`, a class of somebody else's that derives from `root`, takes of our names.

    Raises `UsageError`. What `root` itself leaves to be defined is no name of ours yet.
    """
    ours = [base for base in cls.__mro__[1:] if is_ours(base)]
    for base in ours:
        if base not in _sealed:
            _sealed.add(base)
            _seal(base)
    for name in vars(cls):
        if is_reserved(name):
            for base in ours:
                if name in vars(base) and (base is not root or name != "handle"):
                    raise UsageError(_refusal(base, cls, name))


def _refusal(base: type, cls: type, name: str) -> str:
    return f"{base.__name__} goes by the name {name} itself: call what {cls.__qualname__} has under it otherwise"


def _seal(base: type) -> None:
    """Let no instance have an attribute in the place of what our code finds there."""
    for name, value in list(vars(base).items()):
        if name in IN_CLASS or not (is_reserved(name) or name.startswith("system_")):
            continue  # what `sys` asks for a class may override, and no instance
        if isinstance(value, FunctionType):
            setattr(base, name, property(value.__get__, _refuser(base, name)))
        elif isinstance(value, staticmethod):
            setattr(base, name, property(partial(_static, value.__func__), _refuser(base, name)))
        elif isinstance(value, MemberDescriptorType):
            setattr(base, name, property(value.__get__, _setter(base, name, value)))


def _static(function: Callable[..., Any], server: Any) -> Callable[..., Any]:
    del server
    return function


def _refuser(base: type, name: str) -> Callable[[Any, Any], NoReturn]:
    def refuse(server: Any, value: Any) -> NoReturn:
        del value
        raise UsageError(_refusal(base, type(server), name))

    return refuse


def _setter(base: type, name: str, slot: Any) -> Callable[[Any, Any], None]:
    refuse, put = _refuser(base, name), slot.__set__

    def assign(server: Any, value: Any) -> None:
        if not sys._getframe(1).f_globals.get("__name__", "").startswith(OURS):
            refuse(server, value)
        put(server, value)

    return assign
