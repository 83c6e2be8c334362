"""What is no term and goes to a caller all the same: a generator as a stream, a `Kept` object as a handle."""

from __future__ import annotations

from collections.abc import Callable
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final

from pyerlnode.runtime.process import Process, require_current
from pyerlnode.term.pid import Pid

Giver = Callable[[Process, Any, Process | Pid], Any]
"""Gives what a process or pid, the last argument, gets for a value that the process before it has made."""


def _stream(process: Process, generator: Any, owner: Process | Pid) -> Any:
    from pyerlnode.kernel.streams.server import stream_for  # brings supervisors, for those who have one

    return stream_for(process, generator, owner)


GIVEN: Final[dict[type, Giver]] = {GeneratorType: _stream, AsyncGeneratorType: _stream}
"""By the types of such values, exactly."""


def register_giver(kind: type, giver: Giver) -> None:
    GIVEN[kind] = giver


def give(value: Any, caller: Callable[[], Process | Pid]) -> Any:
    """What the caller gets for `value`, which is of one of these types; made by the current process."""
    return GIVEN[type(value)](require_current(), value, caller())
