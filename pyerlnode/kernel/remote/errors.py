"""How the end of a remote function becomes a Python exception: its class, reason, message and stack.

    return V            V                                  throw T                        RemoteThrow
    error R             RemoteError; of an Elixir          exit R                         RemoteExit
                        exception RemoteElixirError        signal, noconnection, timeout  RpcFailed

The remote stack is part of the error: `stack` has the frames, and from Python 3.11 on a traceback shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pyerlnode.brief import BRIEF, told
from pyerlnode.errors import RemoteError, RemoteExit, RemoteThrow, RpcError, RpcFailed
from pyerlnode.kernel.remote.spawn_server import RETURN
from pyerlnode.otp import gen
from pyerlnode.schema.elixir import ElixirError, is_exception
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Struct

Ask = Callable[[str, str, list[Any]], Any]
MAX_TEXT = 200


class RemoteElixirError(ElixirError, RemoteError):
    """An Elixir function raised: `struct` is the exception, `stack` its frames.

    The text has the struct's own `message`; `message()` asks its node to make it (``Exception.message/1``), for those
    that compute theirs, such as `KeyError`.
    """

    def __init__(self, struct: Struct, stack: Any = (), ask: Ask | None = None) -> None:
        ElixirError.__init__(self, struct)
        self.reason = struct
        self.stack = stack
        self._ask = ask

    def message(self) -> str:
        """The text that Elixir shows; the one that came along when the node can not be asked."""
        text: Any = None
        if self._ask is not None:
            try:
                text = self._ask("Elixir.Exception", "message", [self.struct])
            except RpcError:
                text = None
        return text.decode(errors="replace") if isinstance(text, bytes) else str(self)

    def format(self) -> str:
        """``Exception.format/3``: the banner and the stack, as Elixir prints them on the peer."""
        if self._ask is not None:
            try:
                text = self._ask("Elixir.Exception", "format", [A.error, self.struct, self.stack])
            except RpcError:
                text = None
            if isinstance(text, bytes):
                return text.decode(errors="replace")
        return f"** ({self})\n{format_stack(self.stack)}"


def outcome(tag: Any, reason: Any, what: str, ask: Ask | None = None) -> Any:
    """The value in a result of `erpc` (the reason with which the process of the call ended), or raise."""
    match reason:
        case (ref, kind, value) if exact.same(ref, tag) and kind is RETURN:
            return value
        case (ref, A.throw, value) if exact.same(ref, tag):
            raise RemoteThrow(value)
        case (ref, A.exit, value) if exact.same(ref, tag):
            raise RemoteExit(value)
        case (ref, A.error, (A.erpc, value)) if exact.same(ref, tag):
            raise RpcFailed(value, f"{what} could not be called: {told(value, BRIEF)}")
        case (ref, A.error, value, stack) if exact.same(ref, tag):
            raise remote_error(value, stack, what, ask)
    if reason is A.noconnection:
        raise RpcFailed(reason, f"the connection was lost during {what}")
    raise RpcFailed((A.signal, reason), f"{what} was ended by a signal: {brief(reason)}")


def remote_error(reason: Any, stack: Any, what: str, ask: Ask | None = None) -> RemoteError:
    """The error of a remote function, with its stack as a note."""
    error: RemoteError
    if is_exception(reason):
        error = RemoteElixirError(reason, stack, ask)
    else:
        error = RemoteError(reason, stack, f"{what} raised {brief(reason)}")
    text = format_stack(stack)
    add_note = getattr(error, "add_note", None)
    if text and add_note is not None:
        add_note(f"remote stack of {what}:\n{text}")
    return error


def as_term(tag: Any, reason: Any) -> tuple[Any, Any]:
    """A result as ``erpc:multicall`` lists it."""
    match reason:
        case (ref, kind, value) if exact.same(ref, tag) and kind is RETURN:
            return A.ok, value
        case (ref, A.throw, value) if exact.same(ref, tag):
            return A.throw, value
        case (ref, A.exit, value) if exact.same(ref, tag):
            return A.exit, (A.exception, value)
        case (ref, A.error, (A.erpc, _) as value) if exact.same(ref, tag):
            return A.error, value
        case (ref, A.error, value, stack) if exact.same(ref, tag):
            return A.error, (A.exception, value, stack)
    if reason is A.noconnection:
        return A.error, (A.erpc, A.noconnection)
    return A.exit, (A.signal, reason)


def format_stack(stack: Any) -> str:
    """Erlang's frames as Elixir prints them, innermost first, one per line."""
    if not isinstance(stack, Iterable):
        return ""
    return "\n".join(f"    {_frame(frame)}" for frame in stack if isinstance(frame, tuple) and len(frame) == 4)


def _frame(frame: tuple[Any, ...]) -> str:
    module, function, arity, where = frame
    count = len(arity) if isinstance(arity, list) else arity
    places = dict(pair for pair in where if isinstance(pair, tuple) and len(pair) == 2) if type(where) is list else {}
    file, line = places.get(A.file), places.get(A.line)
    at = f"{_chars(file)}:{line}: " if file else ""
    name = module.name.removeprefix("Elixir.") if isinstance(module, Atom) else str(module)
    return f"{at}{name}.{function}/{count}"


def _chars(file: Any) -> str:
    if isinstance(file, bytes):
        return file.decode(errors="replace")
    try:
        return bytes(file).decode(errors="replace")
    except (TypeError, ValueError):
        return "".join(chr(c) for c in file) if isinstance(file, list) else "?"


def brief(value: Any) -> str:
    """A reason in one line."""
    if value is A.undef:
        return "undef: there is no such function"
    if type(value) is tuple and value and value[0] is A.python_error:
        return gen.brief(value)
    from pyerlnode.term.text import format_term  # the printers are loaded by the first error that shows a term

    try:
        text = format_term(value, width=0, limit=20)
    except Exception:  # of this node, and no term
        return told(value, BRIEF)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"
