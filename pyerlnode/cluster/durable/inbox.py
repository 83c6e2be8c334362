"""Requests that survive crashes: the server that carries them out. The laws are told in `core`.

    class Orders(Inbox):
        transaction = True                               # effect and outcome are committed together

        def setup(self, db):
            db.execute("CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY)")

        def handle_request(self, request, tx):
            tx.execute("INSERT INTO orders VALUES (?)", (request[1],))
            return A.accepted                            # the requester gets (A.ok, A.accepted)

    node.start(Orders, node, journal, name="orders")

What a class says of its handler:

    transaction = True           its effects are what it does by `tx`, in the journal's own file: exactly once, whatever
                                 crashes. One runs at a time, in the server: let it compute nothing and wait for nobody.
    on_interrupted = "fail"      (as it is unless said) its effects are elsewhere. Each runs in a process of its own,
                                 `running` at a time; one that the server's end interrupts gets the outcome ``(A.error,
                                 A.interrupted)``: at most once.
    on_interrupted = "retry"     as before, and what was interrupted is run again: at least once, so it must not mind.
                                 `tx.id` is the same each time.

An exception of the handler is an outcome too, ``(A.error, reason)`` with the reason that a process would end by; what
it did by `tx` is undone. What it gives must have a form on the wire.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

from pyerlnode.cluster.durable.core import Send, error_outcome
from pyerlnode.cluster.durable.inbox_core import InboxCore, InboxLimits, Run
from pyerlnode.cluster.durable.journal import Journal, JournalError
from pyerlnode.cluster.durable.keeper import Keeper
from pyerlnode.errors import DecodeError, EncodeError, UsageError
from pyerlnode.etf import decode, encode
from pyerlnode.otp import unmatched
from pyerlnode.otp.host import Host
from pyerlnode.runtime.edges import caught
from pyerlnode.runtime.process import require_current
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid

ENDS = ("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE")
RUNS_PER_COMMIT = 64
"""Handlers that may run in one transaction, before it is committed and others have their turn."""


class Tx:
    """What a handler has beside the request.

    Attributes:
        id: names the request; the same however often it runs, and no other request has it.
        key: its key as the requester gave it, None without one.
    """

    __slots__ = ("_db", "id", "key")

    def __init__(self, run: Run, db: sqlite3.Connection | None) -> None:
        self.id = f"{run.uid.hex()}-{run.number}"
        self.key = decode(run.key) if run.key else None
        self._db = db

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """A statement in the transaction in which the outcome is written. Only where ``transaction = True``."""
        return self._connection(sql).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> sqlite3.Cursor:
        return self._connection(sql).executemany(sql, parameters)

    def _connection(self, sql: str) -> sqlite3.Connection:
        if self._db is None:
            raise UsageError("this inbox has no transactions, or this one has ended: set `transaction = True`")
        if sql.lstrip().upper().startswith(ENDS):
            raise UsageError("a handler can not end the transaction: the inbox commits it, with the outcome")
        return self._db


class Inbox(Keeper):
    """Base class of servers of durable requests: override `handle_request`.

    Args of `start`: the node; a `Journal`; `limits`, an `InboxLimits`. It needs a registered name.
    """

    transaction: ClassVar[bool] = False
    on_interrupted: ClassVar[Literal["fail", "retry"]] = "fail"
    core: InboxCore
    connects = False  # the requester does, and asks again then: so the two do not run into each other

    def handle_request(self, request: Any, tx: Tx) -> Any:
        """Carry a request out; gives the value of its outcome."""
        raise NotImplementedError

    def setup(self, db: sqlite3.Connection) -> None:
        """Make the handler's tables where they are not there; runs in a transaction when the server starts."""

    def init(self, host: Host, journal: Journal, *, limits: InboxLimits | None = None) -> None:
        self.keep(host, journal, "inbox")
        interrupted = "retry" if self.transaction else self.on_interrupted
        self.core = InboxCore(limits or InboxLimits(), self.random.random, interrupted)
        self._handlers: dict[Pid, Run] = {}
        self._todo: list[Run] = []
        journal.begin()
        self.setup(journal.db)
        journal.commit()
        self.core.load(*journal.inbox(), self.now())
        self.changed()

    def heard(self, message: tuple[Any, ...]) -> bool:
        match message:
            case (A.pyerlnode_finished, Pid() as pid, bytes(outcome)):
                run = self._handlers.pop(pid, None)
                if run is not None:
                    self.core.finished(run.uid, run.number, outcome, self.now())
                    self.changed()
                return True
            case (A.EXIT, Pid() as pid, reason) if pid in self._handlers:
                run = self._handlers.pop(pid)
                self.core.finished(run.uid, run.number, _encoded((A.error, (A.exit, reason))), self.now())
                self.changed()
                return True
            case (A.nodeup, _):
                return True
        return super().heard(message)

    # --- in the transaction --------------------------------------------------------------------
    def left(self) -> list[Any]:
        todo, self._todo = self._todo, []
        return list(todo)

    def within(self, actions: list[Any]) -> list[Any]:
        if not self.transaction:
            return actions
        done = 0
        behind: list[Any] = []
        while actions:
            for action in actions:
                if type(action) is not Run:
                    behind.append(action)
                elif done < RUNS_PER_COMMIT:
                    done += 1
                    self.core.finished(action.uid, action.number, self._transact(action), self.now())
                else:
                    self._todo.append(action)
            writes, fresh = self.core.drain()
            self.journal.apply(writes)
            actions = list(fresh)
        if self._todo:
            self.changed()
        return behind

    def _transact(self, run: Run) -> bytes:
        db = self.journal.db
        outcome = b""
        try:
            with self.journal.savepoint():
                outcome = self._run(run, Tx(run, db))
        except BaseException as error:
            if isinstance(error, JournalError) or _is_of_the_disk(error) or not db.in_transaction:
                raise
            outcome = _failed(error)
        return outcome

    # --- in processes --------------------------------------------------------------------------
    def perform(self, actions: Any) -> None:
        sends: list[Send] = []
        for action in actions:
            if type(action) is Send:
                sends.append(action)
            elif self.transaction:
                self._todo.append(action)
                self.changed()
            else:
                made = self.process.system.spawn_function(self._in_process, (action,), {}, link=self.process)
                self._handlers[made.pid] = action
        self.post(sends)

    def _in_process(self, run: Run) -> None:
        try:
            outcome = self._run(run, Tx(run, None))
        except BaseException as error:
            outcome = _failed(error)
        self.process.deliver((A.pyerlnode_finished, require_current().pid, outcome))

    def _run(self, run: Run, tx: Tx) -> bytes:
        try:
            request = decode(run.request)
        except DecodeError:
            return error_outcome((A.refused, A.undecodable))
        try:
            result = self.handle_request(request, tx)
            if result is None and unmatched.is_missed(self.handle_request, (request, tx)):
                raise unmatched.function_clause(type(self), type(self).handle_request)
            return encode((A.ok, result))
        finally:
            tx._db = None

    def terminate(self, reason: Any) -> None:
        super().terminate(reason)
        for pid in self._handlers:
            self.process.system.exit(pid, A.kill)


def _is_of_the_disk(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in ("full", "disk I/O"))


def _failed(error: BaseException) -> bytes:
    return _encoded((A.error, caught(error)))


def _encoded(outcome: Any) -> bytes:
    try:
        return encode(outcome)
    except EncodeError:
        return error_outcome(A.unencodable)
