"""How a Python exception looks as an Erlang exit reason, and back as text.

    raised                                 class, reason of a ``catch``           exit reason of a process
    Exit(R), RemoteExit(R)                 exit, R                                R
    Error(R), RemoteError(R), ElixirError  error, R                               {R, Stack}
    Throw(V), RemoteThrow(V)               throw, V                               {{nocatch, V}, Stack}
    RpcFailed(R)                           error, {erpc, R}; exit, {signal, R}    as those
    any other                              error, {python_error, Type, Message}   {python_error, Type, Message, Stack}

A process that ends by an exception of Python exits with ``{python_error, Type, Message, Stack}``: `Type` and `Message`
are binaries, `Stack` is a list of Erlang frames ``{Module, Function, Arity, [{file, File}, {line, Line}]}``, innermost
first, so `Exception.format_stacktrace/1` and Erlang's error printer show Python's frames.
"""

from __future__ import annotations

from types import CodeType, FrameType, TracebackType
from typing import Any

from pyerlnode.brief import message
from pyerlnode.errors import Error, Exit, PythonError, RemoteExit, RpcFailed, Throw
from pyerlnode.term.atom import A, Atom

MAX_FRAMES = 32
MAX_MESSAGE = 4_096


def exit_reason(error: BaseException) -> Any:
    """The reason with which a process ends that let `error` escape."""
    raised = erlang_class(error)
    if raised is None:
        return python_error(error)
    kind, reason, stack = raised
    if kind is A.exit:
        return reason
    return ((A.nocatch, reason) if kind is A.throw else reason), stack


def erlang_class(error: BaseException) -> tuple[Atom, Any, Any] | None:
    """``Class:Reason:Stack`` of an exception that stands for one of Erlang's; None for those of Python."""
    try:
        if isinstance(error, (Exit, RemoteExit)):
            return A.exit, error.reason, []
        if isinstance(error, Error):
            return A.error, error.reason, error.stack or erlang_stack(error.__traceback__)
        if isinstance(error, Throw):
            return A.throw, error.value, erlang_stack(error.__traceback__)
        if isinstance(error, RpcFailed):
            signal = type(error.reason) is tuple and bool(error.reason) and error.reason[0] is A.signal
            reason = error.reason if signal else (A.erpc, error.reason)
            return A.exit if signal else A.error, reason, erlang_stack(error.__traceback__)
    except BaseException:  # a subclass may lack the attribute, or compute it; the process ends all the same
        return None
    return None


def caught_class(error: BaseException) -> tuple[Atom, Any, Any]:
    """``Class:Reason:Stack`` of any exception."""
    raised = erlang_class(error)
    if raised is not None:
        return raised
    kind, name, message, stack = python_error(error)
    return A.error, (kind, name, message), stack


def is_exit(error: BaseException) -> bool:
    """Whether it is of the class ``exit``: the end of a process that nobody has to explain."""
    return isinstance(error, (Exit, RemoteExit))


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


def module_atom(cls: type) -> Atom:
    """The Erlang name of a class that is a callback module: its `__erlang_module__`, else ``module.Class``."""
    given = cls.__dict__.get("__erlang_module__")
    return Atom(str(given) if given is not None else f"{cls.__module__}.{cls.__qualname__}"[-255:])


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
