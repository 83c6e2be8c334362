"""Requests that survive crashes: the outbox, and those who put requests into it. The laws are told in `core`.

    with Journal("outbox.db") as journal, Node("py@127.0.0.1", cookie="secret") as node:
        node.start(Outbox, node, journal, name="outbox")
        requests = Requests(node)
        id = requests.submit(("orders", "app@127.0.0.1"), (A.order, 17), key=b"customer 4", deadline=3600.0)
        requests.await_result(id, timeout=60.0)          # (A.ok, value) or (A.error, reason)
        requests.take(id)                                # it is done with: forget it

The other end is an `Inbox` (`inbox`), or an inbox of `beam/pyerlnode_durable.erl`. In a supervision tree the
outbox is a child like any: ``child_spec(Outbox, node, journal, name="outbox")``; the journal stays open across its
restarts, and those who wait meanwhile get an error and ask again.
"""

from __future__ import annotations

import os
from typing import Any

from pyerlnode.cluster.durable.core import Full, OutboxCore, OutboxLimits, Send, Tell
from pyerlnode.cluster.durable.journal import Journal
from pyerlnode.cluster.durable.keeper import Keeper
from pyerlnode.errors import DecodeError, UsageError
from pyerlnode.etf import decode, encode
from pyerlnode.otp import gen
from pyerlnode.otp.host import Host
from pyerlnode.otp.results import NoReply
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

CALL_S = 15.0
"""What a call to the outbox may take: a commit, while a disk is busy."""


class UnknownRequest(UsageError):
    """The outbox has no request of this id: it never had, or its result was taken or has expired."""


class Outbox(Keeper):
    """Keeps requests until they have their outcomes; speak to it by `Requests`.

    Args of `start`: the node; a `Journal`; `limits`, an `OutboxLimits`.
    """

    core: OutboxCore

    def init(self, host: Host, journal: Journal, *, limits: OutboxLimits | None = None) -> None:
        reply_to = self.keep(host, journal, "outbox")
        self.core = OutboxCore(reply_to, limits or OutboxLimits(), self.random.random)
        self.core.load(*journal.outbox(), self.now())
        self._waiting: dict[bytes, list[tuple[float, Any]]] = {}
        self._subscribers: dict[Pid, Reference] = {}
        self.changed()

    def handle_call(self, request: Any, from_: tuple[Any, Any]) -> NoReply:
        try:
            self._asked(request, from_)
        except Full as error:
            self.answer(from_, (A.full, str(error)))
        except KeyError:
            self.answer(from_, (A.unknown,))
        return NoReply()

    def _asked(self, request: Any, from_: Any) -> None:
        core = self.core
        match request:
            case (A.submit, bytes() as id, name, node, content, key, deadline):
                now = self.now()
                until = None if deadline is None else now + deadline
                core.submit(id, (name, node), content, now, os.urandom(16), key, until)
                self.changed()
                self.answer(from_, (A.ok, id))
            case (A.result, bytes() as id):
                self.answer(from_, (A.ok, core.entries[id].outcome))
            case (A.await_result, bytes() as id, timeout):
                outcome = core.entries[id].outcome
                if outcome is None:
                    self._wait(id, timeout, from_)
                else:
                    self.answer(from_, (A.ok, outcome))
            case (A.take, bytes() as id):
                outcome = core.take(id)
                self.changed()
                self.answer(from_, (A.ok, outcome))
            case (A.cancel, bytes() as id):
                cancelled = core.cancel(id, self.now())
                self.changed()
                self.answer(from_, (A.ok, cancelled))
            case (A.pending,):
                self.answer(from_, (A.ok, core.pending()))
            case (A.subscribe, Pid() as pid):
                if pid not in self._subscribers:
                    self._subscribers[pid] = self.process.system.monitor(self.process, pid)
                self.answer(from_, (A.ok, None))
            case _:
                self.answer(from_, (A.unknown,))

    def _wait(self, id: bytes, timeout: float | None, from_: Any) -> None:
        now = self.now()
        waiting = [kept for kept in self._waiting.get(id, ()) if kept[0] > now]  # the others have given up
        waiting.append((float("inf") if timeout is None else now + timeout, from_))
        self._waiting[id] = waiting

    def heard(self, message: tuple[Any, ...]) -> bool:
        match message:
            case (A.nodeup, Atom() as node):
                self.core.node_up(node, self.now())
                self.changed()
                return True
            case (A.DOWN, _, A.process, Pid() as pid, _):
                self._subscribers.pop(pid, None)
                return True
        return super().heard(message)

    def perform(self, actions: Any) -> None:
        sends = []
        for action in actions:
            if type(action) is Send:
                sends.append(action)
            else:
                self._tell(action)
        self.post(sends)

    def _tell(self, tell: Tell) -> None:
        system = self.process.system
        for _, from_ in self._waiting.pop(tell.id, ()):
            gen.reply(system, from_, (A.ok, tell.outcome))
        if self._subscribers:
            message = (A.pyerlnode_outcome, tell.id, _decoded(tell.outcome))
            for pid in self._subscribers:
                if system.is_local(pid):
                    system.send(pid, message)


class Requests:
    """What a program asks an outbox of its node for. An id is a binary; text is taken for its UTF-8.

    Every method raises `NoProc` or `ServerExit` where the outbox is not there or ends meanwhile: what it had accepted
    is in its journal, so ask again when it is back. Those that take an id raise `UnknownRequest`.
    """

    def __init__(self, host: Host, outbox: Any = "outbox") -> None:
        self._host = host
        self._outbox = outbox

    def submit(
        self, dest: Any, request: Any, id: bytes | str | None = None, deadline: float | None = None, *, key: Any = None
    ) -> bytes:
        """Have `request` carried out by the inbox `dest`; gives its id when it is in the journal.

        Args:
            dest: ``(name, node)``, or the name of an inbox of this node.
            request: any term.
            id: a name for this request. Under an id that the outbox has, nothing is added: so one who does not know
                whether a submission arrived makes it again. Made of random bytes unless given.
            deadline: seconds until it is given up with ``(A.error, A.deadline)``; whether it was carried out is not
                known then. None: never.
            key: any term but None; requests of one key are carried out one behind the other, in this order.

        Raises:
            Full: the outbox holds as much as it may.
            EncodeError: `request` or `key` has no form on the wire.
            ServerExit: the journal can not be written; the log says why.
        """
        name, node = self._dest(dest)
        made = os.urandom(12).hex().encode() if id is None else _id(id)
        coded = b"" if key is None else encode(key)
        given: bytes = self._ask((A.submit, made, name, node, encode(request), coded, deadline))
        return given

    def _dest(self, dest: Any) -> tuple[Atom, Atom]:
        match dest:
            case (str() | Atom() as name, str() | Atom() as node):
                return Atom(str(name)), Atom(str(node))
            case str() | Atom():
                return Atom(str(dest)), self._host.system.node
        raise UsageError("a durable request goes to a registered name, or (name, node): a pid does not survive")

    def await_result(self, id: bytes | str, timeout: float | None = 5.0) -> Any:
        """The outcome, ``(A.ok, value)`` or ``(A.error, reason)``, waited for. It is kept: see `take`.

        Raises `CallTimeout` when there is none after `timeout` seconds; ask again.
        """
        return _decoded(self._ask((A.await_result, _id(id), timeout), timeout))

    def result(self, id: bytes | str) -> Any:
        """The outcome, None when there is none yet."""
        return _decoded(self._ask((A.result, _id(id))))

    def take(self, id: bytes | str) -> Any:
        """The outcome, which the outbox forgets with the request and its id; None when there is none yet."""
        return _decoded(self._ask((A.take, _id(id))))

    def cancel(self, id: bytes | str) -> bool:
        """End it with ``(A.error, A.cancelled)``; False when it has an outcome already.

        It is not carried out unless that had begun, or the receiver does not learn of it in time.
        """
        cancelled: bool = self._ask((A.cancel, _id(id)))
        return cancelled

    def pending(self) -> list[bytes]:
        """The ids of the requests without an outcome: what one that was restarted waits for."""
        ids: list[bytes] = self._ask((A.pending,))
        return ids

    def subscribe(self, pid: Pid) -> None:
        """``(A.pyerlnode_outcome, id, outcome)`` to a process of this node for each outcome from now on.

        It ends with that process, and with the outbox.
        """
        self._ask((A.subscribe, pid))

    def _ask(self, request: Any, timeout: float | None = CALL_S) -> Any:
        match self._host.call(self._outbox, request, timeout):
            case (A.ok, value):
                return value
            case (A.full, text):
                raise Full(text)
        raise UnknownRequest(f"the outbox {self._outbox} has no such request: it was taken, has expired, or never was")


def _id(id: bytes | str) -> bytes:
    return id.encode() if isinstance(id, str) else id


def _decoded(outcome: bytes | None) -> Any:
    try:
        return None if outcome is None else decode(outcome)
    except DecodeError:  # whatever a peer sent, the outbox and those who ask it live
        return A.error, A.undecodable
