"""The journal of an outbox or an inbox: one file, kept by the standard library's sqlite3.

    with Journal("orders.db") as journal:
        node.start(Orders, node, journal, name="orders")

The laws:

1. One transaction per batch of writes: after a crash a batch is there as a whole or not at all.
2. `sync` says what a commit waits for. "full": the disk; what was committed survives the loss of power. "normal": the
   operating system; it survives the end of the process, kill -9 too, and the last moments before a loss of power may
   be missing, never damaged. "off": as "normal", and a loss of power may damage the file.
3. A file is open once: a second opening, by this process or another, raises `JournalInUse`. The lock ends with the
   process, however that ends.
4. Damage is told when the file is opened (`JournalDamaged`), a full disk by the write that found it (`JournalFull`):
   that batch is not there, what was before it is. Nothing is repaired by throwing something away. Each row has a
   checksum, and the `-wal` is looked at behind its first bad frame, where sqlite would take it to end (`wal_core`).

The file belongs to one role, outbox or inbox, and to one server at a time; a server that is started again takes it
over from the one that has ended, and whatever that one had not committed is rolled back.
"""

from __future__ import annotations

import logging
import marshal
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Literal

from pyerlnode.cluster.durable import wal_core
from pyerlnode.cluster.durable.core import Entry, Stream, Write
from pyerlnode.cluster.durable.inbox_core import Item, Line
from pyerlnode.errors import PyerlnodeError, UsageError
from pyerlnode.term.atom import Atom

log = logging.getLogger("pyerlnode.durable")

Sync = Literal["full", "normal", "off"]
APPLICATION: Final = 0x70796572
"""Marks our files: sqlite's `application_id`."""
VERSION: Final = 2
"""Of files. Those of version 1 had no checksums; they get them when they are opened."""
CHECKPOINT_BYTES: Final = 4 << 20
CHECKPOINT_CHANGES: Final = 5_000

ROWS: Final = {
    "pyerlnode_streams": "uid, CAST(name AS BLOB), CAST(node AS BLOB), next, used",
    "pyerlnode_requests": "id, stream, number, key, request, deadline, outcome, finished",
    "pyerlnode_lines": "uid, CAST(name AS BLOB), CAST(node AS BLOB), low, heard",
    "pyerlnode_items": "line, number, key, request, state, outcome, finished",
}
"""What the checksum of a row is of, in each table."""
SCHEMA: Final = """
CREATE TABLE role (name TEXT NOT NULL);
CREATE TABLE pyerlnode_streams (uid BLOB PRIMARY KEY, name TEXT, node TEXT, next INTEGER, used REAL) WITHOUT ROWID;
CREATE TABLE pyerlnode_requests (arrival INTEGER PRIMARY KEY, id BLOB UNIQUE, stream BLOB, number INTEGER, key BLOB,
    request BLOB, deadline REAL, outcome BLOB, finished REAL);
CREATE TABLE pyerlnode_lines (uid BLOB PRIMARY KEY, name TEXT, node TEXT, low INTEGER, heard REAL) WITHOUT ROWID;
CREATE TABLE pyerlnode_items (arrival INTEGER PRIMARY KEY, line BLOB, number INTEGER, key BLOB, request BLOB,
    state INTEGER, outcome BLOB, finished REAL, UNIQUE (line, number));
"""
"""Of version 1; `sum` is added to it."""
_NAMED: Final = "?1, ?2, ?3, ?4, ?5, pyerlnode_sum(?1, CAST(?2 AS BLOB), CAST(?3 AS BLOB), ?4, ?5)"
STATEMENTS: Final = {
    "out_put": "INSERT INTO pyerlnode_requests (id, stream, number, key, request, deadline, sum) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, pyerlnode_sum(?1, ?2, ?3, ?4, ?5, ?6, NULL, NULL))",
    "out_finish": "UPDATE pyerlnode_requests SET outcome = ?1, finished = ?2, request = x'', "
    "sum = pyerlnode_sum(id, stream, number, key, x'', deadline, ?1, ?2) WHERE id = ?3",
    "out_drop": "DELETE FROM pyerlnode_requests WHERE id = ?",
    "out_stream": f"REPLACE INTO pyerlnode_streams VALUES ({_NAMED})",  # noqa: S608 - words of ours
    "out_drop_stream": "DELETE FROM pyerlnode_streams WHERE uid = ?",
    "in_put": "INSERT INTO pyerlnode_items (line, number, key, request, state, sum) "
    "VALUES (?1, ?2, ?3, ?4, 0, pyerlnode_sum(?1, ?2, ?3, ?4, 0, NULL, NULL))",
    "in_runs": "UPDATE pyerlnode_items SET state = 1, "
    "sum = pyerlnode_sum(line, number, key, request, 1, outcome, finished) WHERE line = ? AND number = ?",
    "in_done": "UPDATE pyerlnode_items SET state = 2, outcome = ?1, finished = ?2, request = x'', "
    "sum = pyerlnode_sum(line, number, key, x'', 2, ?1, ?2) WHERE line = ?3 AND number = ?4",
    "in_gone": "INSERT INTO pyerlnode_items (line, number, state, sum) "
    "VALUES (?1, ?2, 3, pyerlnode_sum(?1, ?2, NULL, NULL, 3, NULL, NULL)) ON CONFLICT (line, number) "
    "DO UPDATE SET state = 3, request = x'', outcome = x'', "
    "sum = pyerlnode_sum(line, number, key, x'', 3, x'', finished)",
    "in_line": f"REPLACE INTO pyerlnode_lines VALUES ({_NAMED})",  # noqa: S608 - words of ours
    "in_below": "DELETE FROM pyerlnode_items WHERE line = ? AND number < ?",
    "in_drop_line": "DELETE FROM pyerlnode_lines WHERE uid = ?",
    "in_drop_items": "DELETE FROM pyerlnode_items WHERE line = ?",
}


def sum_of(*values: float | bytes | None) -> int:
    """The checksum of a row. A number is the same one whether the column keeps it as an integer or as a float."""
    return zlib.crc32(marshal.dumps([float(v) if type(v) is int else v for v in values], 2))


class JournalError(PyerlnodeError):
    """The journal could not be read or written; the text says what to do."""


class JournalInUse(JournalError):
    """Another server, of this process or of another, has the journal."""


class JournalDamaged(JournalError):
    """The file is not a journal, or no longer a whole one."""


class JournalFull(JournalError):
    """The disk is full, or the file is as large as it may be. Nothing of the last batch was written."""


class Journal:
    """An open journal. Use it in a ``with`` block around the node, or `close` it behind the node.

    Args:
        path: the file; made when it is not there. Beside it stand sqlite's own `-wal` and, for moments, `-journal`.
        sync: what a commit waits for (law 2).
        pages: the file's largest size in pages of 4 KiB; None: what sqlite allows.

    Raises:
        JournalInUse, JournalDamaged, JournalFull: as laws 3 and 4 say.
    """

    def __init__(self, path: str | os.PathLike[str], *, sync: Sync = "full", pages: int | None = None) -> None:
        if sync not in ("full", "normal", "off"):
            raise UsageError("sync is full, normal or off")
        self.path = os.fspath(path)
        self.sync = sync
        self._lock = threading.Lock()  # a commit in a thread, whose server was killed, ends before the next one begins
        self._server: Any = None
        self._bytes = self._changes = 0
        with self._errors():
            _make_private(self.path)
            self._db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._db.create_function("pyerlnode_sum", -1, sum_of, deterministic=True)
            self._open(pages)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Journal {self.path} sync={self.sync}>"

    def _open(self, pages: int | None) -> None:
        self._look_at_log()
        with self._errors():
            ours = self._pragma("application_id") == APPLICATION
            tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables and not ours:
                raise JournalDamaged(
                    f"{self.path} is a database of another program: give the journal a file of its own"
                )
            version = self._pragma("user_version") if ours else 0
            if ours and not 1 <= version <= VERSION:
                raise JournalDamaged(f"{self.path} was written by another version of pyerlnode: open it with that one")
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA synchronous = {self.sync}")
            if self.sync == "normal":
                self._db.execute("PRAGMA wal_autocheckpoint = 0")  # it would sync the disk in the hub: see `checkpoint`
            if pages is not None:
                self._db.execute(f"PRAGMA max_page_count = {int(pages)}")
            self._db.execute("BEGIN IMMEDIATE")  # takes the lock, which stays
            if not ours:
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION}")
            if version < VERSION:
                self._add_sums()
            self._db.execute("COMMIT")
            found = self._pragma("integrity_check")
            if found != "ok":
                raise self._damaged(str(found).splitlines()[0])
            self._check_sums()

    def _look_at_log(self) -> None:
        """sqlite would take a log to end at its first bad frame, whatever stands behind."""
        try:
            with open(self.path + "-wal", "rb") as file:
                found = wal_core.look(file.read())
        except (OSError, ValueError):  # there is none, or it is a path that sqlite refuses
            return
        if found.lost > 0:
            raise self._damaged(
                f"frame {found.bad} of its -wal is not what was written; behind it {found.lost} commits"
            )
        if found.bad is not None:
            log.warning("%s: the last commit in its -wal is not whole, as after a loss of power: it is gone", self.path)

    def _add_sums(self) -> None:
        for table, columns in ROWS.items():
            self._db.execute(f"ALTER TABLE {table} ADD COLUMN sum INTEGER")
            self._db.execute(f"UPDATE {table} SET sum = pyerlnode_sum({columns})")  # noqa: S608 - names of ours
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _check_sums(self) -> None:
        for table, columns in ROWS.items():
            wrong = f"SELECT count(*) FROM {table} WHERE sum IS NOT pyerlnode_sum({columns})"  # noqa: S608 - as above
            count = self._db.execute(wrong).fetchone()[0]
            if count:
                raise self._damaged(f"{count} rows of {table} are not what was written")

    def _pragma(self, name: str) -> Any:
        return self._db.execute(f"PRAGMA {name}").fetchone()[0]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._named(error) from error

    def _named(self, error: sqlite3.DatabaseError) -> JournalError:
        text = str(error)
        if "locked" in text or "busy" in text:
            return JournalInUse(f"{self.path} is open elsewhere: a journal belongs to one server of one node at a time")
        if "full" in text:
            return JournalFull(f"{self.path}: no room ({text}): what was accepted is kept; make room, then start again")
        if any(word in text for word in ("malformed", "not a database", "corrupt", "UTF-8", "schema", "no such")):
            return self._damaged(text)
        return JournalError(f"{self.path} can not be used: {text}")

    def _damaged(self, text: str) -> JournalDamaged:
        return JournalDamaged(
            f"{self.path} is damaged ({text}): restore it with its -wal from a copy, or see what is left by "
            f"`pyerlnode journal check FILE` and save that by `pyerlnode journal salvage FILE NEW`"
        )

    # --- whose it is ---------------------------------------------------------------------------
    def claim(self, role: Literal["outbox", "inbox"], server: Any) -> None:
        """Take it for a server, a process of this node; its last one must have ended.

        Raises:
            JournalInUse: that one lives, or the file belongs to the other role.
        """
        if self._server is not None and self._server.alive:
            raise JournalInUse(
                f"{self.path} is in the hands of {self._server.pid}: give each server a journal of its own"
            )
        with self._lock, self._errors():
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            found = self._db.execute("SELECT name FROM role").fetchone()
            if found is None:
                self._db.execute("INSERT INTO role VALUES (?)", (role,))
            elif found[0] != role:
                raise JournalInUse(f"{self.path} is the journal of an {found[0]}: an {role} needs one of its own")
        self._server = server

    def close(self) -> None:
        """Give the file back. Not before its server has ended."""
        with self._lock:
            self._db.close()

    # --- writing -------------------------------------------------------------------------------
    @property
    def db(self) -> sqlite3.Connection:
        """The connection, for the tables of a handler's own. Commit nothing of the journal's through it."""
        return self._db

    def begin(self) -> None:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")

    def apply(self, writes: Iterable[Write]) -> None:
        """Writes of a core, in the transaction that `begin` began."""
        execute = self._db.execute
        with self._errors():
            for name, *parameters in writes:
                execute(STATEMENTS[name], parameters)
                self._bytes += sum([len(value) for value in parameters if type(value) is bytes])
                if name == "in_drop_line":
                    execute(STATEMENTS["in_drop_items"], parameters)

    def commit(self) -> None:
        """End the transaction; when this returns it is as durable as `sync` says. May be called in a thread."""
        with self._lock, self._errors():
            try:
                self._db.execute("COMMIT")
            except sqlite3.DatabaseError:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @property
    def checkpoint_due(self) -> bool:
        """Whether enough was written for a `checkpoint`; only with `sync="normal"`, others do it as they commit."""
        if self.sync != "normal":
            return False
        return self._bytes > CHECKPOINT_BYTES or self._db.total_changes - self._changes > CHECKPOINT_CHANGES

    def checkpoint(self) -> None:
        """Bring what is in the `-wal` into the file, so that it does not grow. For a thread: it waits for the disk."""
        with self._lock, self._errors():
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._bytes, self._changes = 0, self._db.total_changes

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of the transaction: undone alone when the block raises."""
        with self._errors():
            self._db.execute("SAVEPOINT pyerlnode")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO pyerlnode")
                self._db.execute("RELEASE pyerlnode")
            raise
        if not self._db.in_transaction:
            raise JournalError(f"{self.path}: a handler has ended the transaction: it must leave that to the inbox")
        with self._errors():
            self._db.execute("RELEASE pyerlnode")

    # --- reading -------------------------------------------------------------------------------
    def outbox(self) -> tuple[list[Stream], list[Entry]]:
        """What an outbox had."""
        with self._errors():
            streams = self._db.execute("SELECT uid, name, node, next, used FROM pyerlnode_streams").fetchall()
            entries = self._db.execute(
                "SELECT id, stream, number, key, request, deadline, outcome, finished FROM pyerlnode_requests "
                "ORDER BY stream, number"
            ).fetchall()
        return (
            [Stream(uid, Atom(name), Atom(node), number, used) for uid, name, node, number, used in streams],
            [_entry(*row) for row in entries],
        )

    def inbox(self) -> tuple[list[Line], list[tuple[bytes, Item]]]:
        """What an inbox had; items in the order of their arrival."""
        with self._errors():
            lines = self._db.execute("SELECT uid, name, node, low, heard FROM pyerlnode_lines").fetchall()
            items = self._db.execute(
                "SELECT line, number, key, request, state, outcome, finished FROM pyerlnode_items ORDER BY arrival"
            ).fetchall()
        return (
            [Line(uid, (Atom(name), Atom(node)), low, heard) for uid, name, node, low, heard in lines],
            [
                (line, Item(number, key or b"", request or b"", state, outcome or b"", finished or 0.0))
                for line, number, key, request, state, outcome, finished in items
            ],
        )


def _entry(
    id: bytes,
    stream: bytes,
    number: int,
    key: bytes,
    request: bytes,
    deadline: float | None,
    outcome: bytes | None,
    finished: float | None,
) -> Entry:
    return Entry(id, stream, number, key, request, deadline, outcome, finished or 0.0)


def _make_private(path: str) -> None:
    """A file that is not there yet is made for its owner alone: it will hold requests. sqlite's own take its mode."""
    if path == ":memory:":  # sqlite's name for no file
        return
    with suppress(OSError):  # sqlite says what is wrong with the path
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
