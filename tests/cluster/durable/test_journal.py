"""The journal: what is committed is there, a batch as a whole; one server at a time; damage is told."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.cluster.durable.core import Entry, Stream
from pyerlnode.cluster.durable.inbox_core import DONE_, GONE, RUNS, Item, Line
from pyerlnode.cluster.durable.journal import Journal, JournalDamaged, JournalError, JournalFull, JournalInUse
from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A
from pyerlnode.testing.patience import patience

UID = bytes(16)


class Server:
    """What claims a journal."""

    alive = True
    pid = "<0.1.0>"


def write(journal: Journal, *writes: tuple[Any, ...]) -> None:
    journal.begin()
    journal.apply(writes)
    journal.commit()


def test_the_files_are_the_owners_alone(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        write(journal, ("out_put", b"one", UID, 0, b"", b"request", None))
        assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {
            "j.db": 0o600, "j.db-wal": 0o600
        }  # fmt: skip
    (tmp_path / "j.db").chmod(0o640)  # what the owner chose stays
    Journal(tmp_path / "j.db").close()
    assert (tmp_path / "j.db").stat().st_mode & 0o777 == 0o640


def test_a_journal_in_memory_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Journal(":memory:").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sync", ["full", "normal", "off"])
def test_an_outbox_finds_what_it_wrote(tmp_path: Path, sync: Any) -> None:
    with Journal(tmp_path / "j.db", sync=sync) as journal:
        write(
            journal,
            ("out_put", b"one", UID, 0, b"", b"request", None),
            ("out_put", b"two", UID, 1, b"k", b"request", 5.5),
            ("out_put", b"gone", UID, 2, b"", b"request", None),
            ("out_stream", UID, "orders", "app@host", 3, 1.5),
        )
        write(journal, ("out_finish", b"outcome", 2.5, b"one"), ("out_drop", b"gone"))
    with Journal(tmp_path / "j.db", sync=sync) as journal:
        assert journal.outbox() == (
            [Stream(UID, A.orders, A["app@host"], 3, 1.5)],
            [
                Entry(b"one", UID, 0, b"", b"", None, b"outcome", 2.5),
                Entry(b"two", UID, 1, b"k", b"request", 5.5),
            ],
        )
        write(journal, ("out_drop_stream", UID))
        assert journal.outbox()[0] == []


def test_an_inbox_finds_what_it_wrote(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        write(
            journal,
            ("in_line", UID, "outbox", "py@host", 1, 1.5),
            *(("in_put", UID, number, b"", b"request") for number in (5, 0, 2, 3)),
        )
        write(
            journal,
            ("in_runs", UID, 2),
            ("in_done", b"outcome", 2.5, UID, 3),
            ("in_gone", UID, 9),
            ("in_gone", UID, 5),
            ("in_below", UID, 1),
        )
    with Journal(tmp_path / "j.db") as journal:
        lines, items = journal.inbox()
        assert lines == [Line(UID, (A.outbox, A["py@host"]), 1, 1.5)]
        assert items == [
            (UID, Item(5, state=GONE)),
            (UID, Item(2, request=b"request", state=RUNS)),
            (UID, Item(3, state=DONE_, outcome=b"outcome", finished=2.5)),
            (UID, Item(9, state=GONE)),
        ]
        write(journal, ("in_drop_line", UID))
        assert journal.inbox() == ([], [])


def test_a_batch_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    program = """
import os, sys
from pyerlnode.cluster.durable.journal import Journal
journal = Journal(sys.argv[1])
for number in range(2):
    journal.begin()
    journal.apply([("in_put", b"line", number * 10 + item, b"", b"x" * 5000) for item in range(10)])
    if number == 0:
        journal.commit()
os.kill(os.getpid(), 9)
"""
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path / "j.db")], check=False, timeout=patience())
    assert ran.returncode == -9
    with Journal(tmp_path / "j.db") as journal:
        assert journal.db.execute("SELECT number FROM pyerlnode_items").fetchall() == [(n,) for n in range(10)]


@pytest.mark.parametrize(("sync", "due"), [("full", False), ("normal", True), ("off", False)])
def test_what_is_beside_the_file_is_brought_into_it_before_it_grows(tmp_path: Path, sync: Any, due: bool) -> None:
    with Journal(tmp_path / "j.db", sync=sync) as journal:
        assert not journal.checkpoint_due
        for number in range(60):
            write(journal, ("in_put", UID, number, b"", b"x" * 100_000))
            write(journal, ("in_gone", UID, number))
        assert journal.checkpoint_due is due
        for _ in range(4):
            for number in range(60):
                write(journal, ("in_drop_line", UID), ("in_put", UID, number, b"", b"x" * 100_000))
                if journal.checkpoint_due:
                    journal.checkpoint()
        assert not journal.checkpoint_due
        assert (tmp_path / "j.db-wal").stat().st_size < 16_000_000


def test_a_savepoint_is_undone_alone(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        journal.begin()
        journal.db.execute("CREATE TABLE mine (n)")
        with pytest.raises(JournalError), journal.savepoint():
            journal.apply([("in_put", UID, 0, b"", b""), ("in_put", UID, 0, b"", b"")])
        with journal.savepoint():
            journal.db.execute("INSERT INTO mine VALUES (2)")  # the other one failed at its second write
        journal.commit()
        assert journal.db.execute("SELECT n FROM mine").fetchall() == [(2,)]
        assert journal.inbox()[1] == []


def test_a_file_is_open_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db"):
        with pytest.raises(JournalInUse, match="one server of one node"):
            Journal(tmp_path / "j.db")
        program = "import sys; from pyerlnode.cluster.durable.journal import Journal; Journal(sys.argv[1])"
        command = [sys.executable, "-c", program, str(tmp_path / "j.db")]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience())
        assert "JournalInUse" in ran.stderr
    Journal(tmp_path / "j.db").close()


def test_a_journal_has_one_live_server_and_one_role(tmp_path: Path) -> None:
    first = Server()
    with Journal(tmp_path / "j.db") as journal:
        journal.claim("outbox", first)
        with pytest.raises(JournalInUse, match=r"in the hands of <0\.1\.0>"):
            journal.claim("outbox", Server())
        first.alive = False
        with pytest.raises(JournalInUse, match="journal of an outbox"):
            journal.claim("inbox", Server())
        journal.claim("outbox", Server())


def test_what_a_server_had_not_committed_when_it_ended_is_undone_for_the_next(tmp_path: Path) -> None:
    first = Server()
    with Journal(tmp_path / "j.db") as journal:
        journal.claim("inbox", first)
        journal.begin()
        journal.apply([("in_put", UID, 0, b"", b"request")])
        first.alive = False
        journal.claim("inbox", Server())
        assert journal.inbox()[1] == []


def filled(path: Path) -> bytes:
    with Journal(path) as journal:
        write(journal, *(("in_put", UID, number, b"", b"request" * 300) for number in range(200)))
    return path.read_bytes()


def test_a_cut_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    whole = filled(tmp_path / "j.db")
    (tmp_path / "j.db").write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
    with pytest.raises(JournalDamaged, match=r"restore it .*pyerlnode journal salvage FILE NEW"):
        Journal(tmp_path / "j.db").inbox()


def test_an_overwritten_file_is_told(tmp_path: Path) -> None:
    whole = filled(tmp_path / "j.db")
    (tmp_path / "j.db").write_bytes(whole[:8192] + b"?" * 8192 + whole[16384:])
    with pytest.raises(JournalDamaged):
        Journal(tmp_path / "j.db")


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "text").write_text("no database\n" * 100)
    with pytest.raises(JournalDamaged, match="not a database"):
        Journal(tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE theirs (n)")
    other.close()
    with pytest.raises(JournalDamaged, match="of another program"):
        Journal(tmp_path / "other.db")


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        journal.db.execute("PRAGMA user_version = 3")
    with pytest.raises(JournalDamaged, match="another version"):
        Journal(tmp_path / "j.db")


def test_a_directory_that_is_not_there_is_an_error_of_the_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="can not be used"):
        Journal(tmp_path / "no" / "j.db")


def test_a_full_disk_is_told_and_what_was_accepted_stays(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db", pages=30) as journal:
        write(journal, ("in_put", UID, 0, b"", b"kept"))
        journal.begin()
        with pytest.raises(JournalFull, match="what was accepted is kept"):
            journal.apply([("in_put", UID, number, b"", b"x" * 4000) for number in range(1, 100)])
        journal.rollback()
        assert [item.number for _, item in journal.inbox()[1]] == [0]


def test_sync_is_one_of_three(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="full, normal or off"):
        Journal(tmp_path / "j.db", sync="fast")  # type: ignore[arg-type]  # what a program may say
