"""One process on a peer that answers an inspector's questions.

    session = Session(node, "app@127.0.0.1", owner)
    session.ask("info", {}, 5.0)

Nothing has to be installed there: the source (`peer/session.erl`) goes as a binary, the few expressions that read it
go as the forms that ``erl_parse`` would give, and stdlib's ``erl_eval`` runs them in a process of low priority. That
process monitors `owner`, a process of ours, and ends with it; so it does when this program is killed, since the
connection is lost then. Each question is a source of its own (`peer/NAME.erl`), sent the first time that it is asked.
A worker answers it there, is ended when it is late, and may neither use much memory nor send a large answer.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from pyerlnode.errors import CallTimeout, Exit, NodeDown, NoProc, PyerlnodeError, RpcError, RpcFailed
from pyerlnode.inspect.boot_core import BOOT
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid
from pyerlnode.term.text import format_term

GRACE = 2.0
"""Seconds that an answer may take longer than the question: the peer says itself that it is late."""


class Link(Protocol):
    """What is needed of a `Node`, or of the `Cluster` that `pyerlnode.connect` gives."""

    def call(self, dest: Any, request: Any, timeout: float | None = ...) -> Any: ...
    def send(self, dest: Any, message: Any) -> Any: ...
    def spawn(self, function: Callable[..., object], *args: Any) -> Pid: ...
    def rpc(self, name: Any, module: Any, function: Any, args: Iterable[Any], timeout: float | None = ...) -> Any: ...


class InspectError(PyerlnodeError):
    """A question about a node had no answer; the text is one line that says why."""


class Late(InspectError, TimeoutError):
    """There was no answer in time; nothing of the question is left on the peer."""


class NoSuchProcess(InspectError):
    """There is no such process on that node, or no longer."""


class Refused(InspectError):
    """What was asked for costs the peer too much; the text says how to have it all the same."""


@functools.cache
def source(name: str) -> bytes:
    with open(os.path.join(os.path.dirname(__file__), "peer", f"{name}.erl"), "rb") as file:
        return file.read()


class Session:
    """The process on `node`; it is started by the first question, and again when it has gone."""

    def __init__(self, link: Link, node: str, owner: Pid) -> None:
        self.node = node
        self._link = link
        self._owner = owner
        self._pid: Pid | None = None
        self._loaded: set[str] = set()

    def ask(self, name: str, arg: Any, timeout: float) -> Any:
        """The answer to the question `name` (a file of `peer/`).

        Raises:
            Late: none within `timeout` seconds.
            InspectError: it failed, its answer was too large, or the node can not be asked.
        """
        answer = self._put(name, (A.ask, Atom(name), arg, max(1, round(timeout * 1000))), timeout)
        return self._value(name, answer, timeout)

    def open(self, name: str, arg: Any, timeout: float) -> Pid:
        """A process on the peer that goes on with the question `name`, until `close`; `next` asks it."""
        pid: Pid = self._value(name, self._put(name, (A.open, Atom(name), arg), timeout), timeout)
        return pid

    def next(self, name: str, pid: Pid, request: Any, timeout: float) -> Any:
        """An answer of a process that `open` gave."""
        return self._value(name, self._call(pid, request, timeout), timeout)

    def close(self, pid: Pid, timeout: float) -> None:
        """End a process that `open` gave."""
        if self._pid is not None:
            self._call(self._pid, (A.close, pid), timeout)

    # --- how ----------------------------------------------------------------------------------------
    def _put(self, name: str, request: Any, timeout: float) -> Any:
        try:
            return self._put_to_this(name, request, timeout)
        except NoProc:  # the peer was started again, or somebody has ended the session: nothing was asked
            self._forget()
        try:
            return self._put_to_this(name, request, timeout)
        except NoProc:
            self._forget()
            raise InspectError(f"{self.node} ends the process that is to answer") from None

    def _put_to_this(self, name: str, request: Any, timeout: float) -> Any:
        pid = self._started(timeout)
        if name not in self._loaded:
            self._value(name, self._call(pid, (A.load, Atom(name), source(name)), timeout), timeout)
            self._loaded.add(name)
        return self._call(pid, request, timeout)

    def _forget(self) -> None:
        self._pid = None
        self._loaded.clear()

    def _started(self, timeout: float) -> Pid:
        if self._pid is None:
            arguments = [A.erl_eval, A.exprs, [BOOT, [(A.Owner, self._owner), (A.Source, source("session"))]]]
            options = [(A.priority, A.low)]
            try:
                self._pid = self._link.rpc(self.node, "erlang", "spawn_opt", [*arguments, options], timeout)
            except RpcFailed as error:
                if error.reason is A.timeout:
                    raise self._late(timeout) from None
                raise InspectError(f"{self.node} can not be asked: {brief(error.reason)}") from None
            except RpcError as error:
                reason = getattr(error, "reason", None)
                raise InspectError(f"{self.node} can not be inspected, which needs a BEAM: {brief(reason)}") from None
        return self._pid

    def _call(self, pid: Pid, request: Any, timeout: float) -> Any:
        try:
            return self._link.call(pid, request, timeout + GRACE)
        except CallTimeout:
            raise self._late(timeout) from None
        except NoProc:
            raise
        except NodeDown:
            self._forget()
            raise InspectError(f"the connection to {self.node} was lost before an answer came") from None
        except Exit as error:
            raise InspectError(f"{self.node} ended the question: {brief(error.reason)}") from None

    def _value(self, name: str, answer: Any, timeout: float) -> Any:
        match answer:
            case (A.ok, value):
                return value
            case A.late:
                raise self._late(timeout)
            case (_, (A.too_large, int(size)), _):
                raise Refused(f"the answer of {self.node} would have {size} bytes: ask for less of it (--limit)")
            case (A.exit, A.killed, _):
                raise Refused(f"{self.node} ended the question {name}, since it took too much memory there")
            case (Atom() as kind, reason, stack):
                where = f" in {brief(stack[0][:3])}" if stack else ""
                raise InspectError(f"{self.node} could not answer {name}: {kind.name} {brief(reason)}{where}")
        raise InspectError(f"{self.node} gave no usable answer to {name}: {brief(answer)}")

    def _late(self, timeout: float) -> Late:
        return Late(f"{self.node} gave no answer within {timeout:g} s; --timeout gives it longer")


def brief(reason: Any) -> str:
    text = format_term(reason, width=0, limit=12)
    return text if len(text) <= 200 else f"{text[:199]}…"
