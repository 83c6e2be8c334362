"""What is left of a damaged journal: which rows are what was written, and a new journal of them.

The file and its `-wal` are put together in a copy, with the pages of the log as they are found there, bad frames too: a
page with one wrong bit has other rows that are whole, and each row says by its checksum whether it is. Where a table
can not be read to its end, it is read from its other end, too. The damaged files are not touched.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from typing import Any, NamedTuple

from pyerlnode.cluster.durable import wal_core
from pyerlnode.cluster.durable.journal import ROWS, Journal, JournalDamaged, JournalError, sum_of
from pyerlnode.errors import UsageError

_PAGE_SIZE = 16
_FORMATS = 18


class Left(NamedTuple):
    """What was found."""

    role: str
    """outbox or inbox; empty where that can not be read."""
    damage: str
    """What is wrong, in one line; empty for a journal that is whole."""
    rows: dict[str, list[tuple[Any, ...]]]
    """By table: the rows that are what was written, with their names and values as the table has them."""
    bad: dict[str, int]
    """By table: rows that are not."""

    def __str__(self) -> str:
        words = [f"{len(rows)} {table.removeprefix('pyerlnode_')}" for table, rows in self.rows.items() if rows]
        bad = [f"{count} {table.removeprefix('pyerlnode_')}" for table, count in self.bad.items() if count]
        return f"{', '.join(words) or 'nothing'} can be read" + (
            f"; not what was written: {', '.join(bad)}" if bad else ""
        )


def check(path: str) -> Left:
    """What is left of the journal at `path`. Raises `JournalError` for one that can not be read at all."""
    if not os.path.exists(path):
        raise JournalError(f"{path} is not there")
    with tempfile.TemporaryDirectory() as place:
        copy = os.path.join(place, "copy.db")
        damage = _put_together(path, copy)
        with closing(sqlite3.connect(copy)) as db:
            left = _read(db, damage)
    return left._replace(damage=left.damage or _words_of(path))


def _words_of(path: str) -> str:
    """What a `Journal` says when it opens a copy of the file."""
    with tempfile.TemporaryDirectory() as place:
        copy = os.path.join(place, "journal.db")
        for end in ("", "-wal"):
            if os.path.exists(path + end):
                _copy(path + end, copy + end)
        try:
            Journal(copy, sync="off").close()
        except JournalDamaged as error:
            return str(error).partition("(")[2].rpartition(")")[0] or "it is no journal"
        return ""


def salvage(path: str, new: str) -> Left:
    """Make a new journal at `new` of what is left of the one at `path`."""
    if os.path.exists(new):
        raise UsageError(f"{new} is there already: name a file that is not")
    left = check(path)
    with Journal(new) as journal:
        journal.begin()
        for table, rows in left.rows.items():
            for row in rows:
                marks = ", ".join("?" * len(row))
                journal.db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608 - a name of ours
        if left.role:
            journal.db.execute("INSERT INTO role VALUES (?)", (left.role,))
        journal.commit()
    return left


def _copy(source: str, to: str) -> None:
    with open(source, "rb") as file, open(to, "wb") as copy:
        copy.write(file.read())


def _put_together(path: str, copy: str) -> str:
    """The file with its log in it at `copy`; what is wrong with the log."""
    with open(path, "rb") as file:
        image = bytearray(file.read())
    found = wal_core.Wal([], None, 0)
    with suppress(FileNotFoundError), open(path + "-wal", "rb") as file:
        found = wal_core.look(file.read())
    for frame in found.frames:
        size = len(frame.data)
        if not 1 <= frame.page <= 1 << 24:
            continue  # the number itself was hit
        end = frame.page * size
        if len(image) < end:
            image.extend(bytes(end - len(image)))
        image[end - size : end] = frame.data
    if len(image) > _FORMATS + 2:
        image[_FORMATS : _FORMATS + 2] = b"\x01\x01"  # no log any more
    with open(copy, "wb") as file:
        file.write(image)
    if found.lost > 0:
        return f"frame {found.bad} of its -wal is not what was written; behind it {found.lost} commits"
    return ""


def _read(db: sqlite3.Connection, damage: str) -> Left:
    db.text_factory = bytes
    role = ""
    with suppress(sqlite3.DatabaseError):
        role = next((row[0].decode() for row in db.execute("SELECT name FROM role")), "")
    rows: dict[str, list[tuple[Any, ...]]] = {}
    bad: dict[str, int] = {}
    for table, columns in ROWS.items():
        found: dict[tuple[Any, ...], None] = {}
        wrong: set[tuple[Any, ...]] = set()
        for way in ("ASC", "DESC"):
            try:
                _table(db, table, columns, way, found, wrong)
                break
            except sqlite3.DatabaseError as error:
                damage = damage or str(error)
        rows[table], bad[table] = list(found), len(wrong)
    return Left(role, damage, rows, bad)


def _table(
    db: sqlite3.Connection,
    table: str,
    columns: str,
    way: str,
    found: dict[tuple[Any, ...], None],
    wrong: set[tuple[Any, ...]],
) -> None:
    order = "uid" if "uid" in columns else "rowid"
    with_rowid = [name for name in ("arrival",) if order == "rowid"]
    names = [
        *with_rowid,
        *(part.removeprefix("CAST(").removesuffix(" AS BLOB)") for part in columns.split(", ")),
        "sum",
    ]
    for row in db.execute(f"SELECT {', '.join(names)} FROM {table} NOT INDEXED ORDER BY {order} {way}"):  # noqa: S608
        if sum_of(*row[len(with_rowid) : -1]) == row[-1]:
            named = [v.decode() if name in ("name", "node") else v for name, v in zip(names, row, strict=True)]
            found[tuple(named)] = None
        else:
            wrong.add(row)
