"""How a Python exception looks as an Erlang exit reason, and back as text.

A process that ends by an exception exits with ``{python_error, Type, Message, Stack}``: `Type` and `Message`
are binaries, `Stack` is a list of Erlang frames ``{Module, Function, Arity, [{file, File}, {line, Line}]}``, innermost
first, so `Exception.format_stacktrace/1` and Erlang's error printer show Python's frames. `Exit` has its own reason.
"""

from __future__ import annotations

from types import CodeType, FrameType, TracebackType
from typing import Any

from pyerlnode.brief import message
from pyerlnode.errors import Exit, PythonError
from pyerlnode.term.atom import A, Atom

MAX_FRAMES = 32
MAX_MESSAGE = 4_096


def exit_reason(error: BaseException) -> Any:
    """The reason with which a process ends that let `error` escape."""
    if isinstance(error, Exit):
        try:
            return error.reason
        except BaseException:  # a subclass may lack it, or compute it; the process ends all the same
            return python_error(error)
    return python_error(error)


def python_error(error: BaseException) -> tuple[Any, ...]:
    """``{python_error, Type, Message, Stack}`` of an exception."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return A.python_error, name.encode("utf-8", "replace"), message_of(error), erlang_stack(error.__traceback__)


def message_of(error: BaseException) -> bytes:
    """The text of an exception, whatever its `__str__` does."""
    return message(error, MAX_MESSAGE)[:MAX_MESSAGE].encode("utf-8", "replace")


def erlang_stack(traceback: TracebackType | None) -> list[tuple[Any, ...]]:
    """Erlang's frames of a traceback, innermost first; frames of this library's own shells are left out."""
    frames: list[tuple[Any, ...]] = []
    while traceback is not None:
        frames.append(_frame(traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    shells = ("pyerlnode.runtime.", "pyerlnode.otp.", "pyerlnode.kernel.", "pyerlnode.workers.")
    users = [f for f in frames if not f[0].name.startswith(shells)] or frames
    return users[: -MAX_FRAMES - 1 : -1]


def _frame(frame: FrameType, line: int) -> tuple[Any, ...]:
    return erlang_frame(frame.f_globals.get("__name__", "?"), frame.f_code, line)


def erlang_frame(module: Any, code: CodeType, line: int) -> tuple[Any, ...]:
    """``{Module, Function, Arity, [{file, File}, {line, Line}]}``."""
    where = [(A.file, list(code.co_filename.encode("utf-8", "replace"))), (A.line, line)]
    return Atom(module[:255] if type(module) is str else "?"), Atom(code.co_name[:255]), code.co_argcount, where


def python_cause(reason: Any) -> PythonError | None:
    """The Python exception that `reason` tells of; None for any other reason, whoever made it."""
    match reason:
        case (A.python_error, bytes(kind), bytes(message), list(stack)):
            lines = [line for line in map(_line, reversed(stack)) if line]
            return PythonError(kind.decode(errors="replace"), message.decode(errors="replace"), "".join(lines))
    return None


def _line(frame: Any) -> str:
    match frame:
        case (_, Atom() as function, _, [(A.file, list(file)), (A.line, int(line))]):
            try:
                name = bytes(file).decode(errors="replace")
            except (TypeError, ValueError):
                name = "?"
            return f'  File "{name}", line {line}, in {function}\n'
    return ""
