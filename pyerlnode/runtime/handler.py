"""What the runtime knows of a handler body that is an OTP behaviour.

`otp.Behaviour` derives from `OtpHandler`; what `sys` puts in front of one, while it is suspended or traced, is a
`StandIn`; what a peer has spawned is `Applied`. They are told by their class: an attribute of a user's object never
counts, whatever its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import Atom


class OtpHandler:
    """A handler body that answers system messages."""

    __slots__ = ("__process__",)
    __process__: Process
    """Its process; the name is of the form that Python keeps for implementations, so no attribute of a user has it."""

    stop_rank: ClassVar[int] = 0
    """When a node stops: the highest first, and one behind the other; those of rank 0 at last and at once."""

    def answering(self) -> Callable[..., Any]:
        """The function of its class whose result answers a call."""
        return type(self).initialised

    def initialised(self, result: Any) -> None:
        """What `init` gave, when it neither stopped nor ignored. Raises for what `init` must not give."""


class Applied:
    """A handler body that applies one function and ends; it knows what it was started as."""

    __slots__ = ("mfa",)
    mfa: tuple[Atom, Atom, Any]
    """``{Module, Function, Arity}``."""


class StandIn:
    """The handler of a process while `sys` stands in front of its behaviour."""

    __slots__ = ("server",)

    def __init__(self, server: OtpHandler) -> None:
        self.server: Any = server


def behaviour_of(process: Process) -> Any:
    """The handler of `process`, also while `sys` stands in front of it."""
    handler = process.handler
    return handler.server if issubclass(type(handler), StandIn) else handler


def is_behaviour(process: Process) -> bool:
    """Whether `process` answers system messages."""
    return issubclass(type(behaviour_of(process)), OtpHandler)


def stop_rank(process: Process) -> int:
    return type(behaviour_of(process)).stop_rank if is_behaviour(process) else 0
