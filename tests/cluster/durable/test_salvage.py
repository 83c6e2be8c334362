"""Bits that change in a journal and its log: told when it is opened, never a row less in silence; and what is left."""

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pyerlnode.cluster.durable import wal_core
from pyerlnode.cluster.durable.journal import APPLICATION, SCHEMA, Journal, JournalDamaged, JournalError
from pyerlnode.cluster.durable.salvage import check, salvage
from pyerlnode.errors import UsageError
from pyerlnode.tools import cli

UID = bytes(range(16))
COUNT = 40


def fill(path: Path, *, role: str = "outbox") -> None:
    """A journal of `COUNT` requests, one commit each."""
    with Journal(path, sync="off") as journal:
        journal._pragma("wal_autocheckpoint = 0")
        journal.claim(role, None)  # type: ignore[arg-type]
        for number in range(COUNT):
            journal.begin()
            row = (b"%016d" % number, UID, number, b"", b"request %d " % number * 20, None)
            journal.apply([("out_put", *row), ("out_stream", UID, "orders", "app@host", number + 1, 1.5)])
            journal.commit()
        shutil.copy(path, path.with_name("with-log.db"))
        shutil.copy(f"{path}-wal", path.with_name("with-log.db-wal"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two files: `whole.db`, and `with-log.db`, all of which is in its log."""
    place = tmp_path_factory.mktemp("journals")
    fill(place / "whole.db")
    return place


def copied(made: Path, name: str, to: Path) -> Path:
    for end in ("", "-wal"):
        if (made / (name + end)).exists():
            shutil.copy(made / (name + end), to / (name + end))
    return to / name


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def numbers(path: Path) -> list[int]:
    with Journal(path) as journal:
        _, entries = journal.outbox()
        assert all(entry.request == b"request %d " % entry.number * 20 for entry in entries)
        return [entry.number for entry in entries]


@pytest.mark.parametrize("seed", range(25))
def test_no_bit_that_changes_in_the_log_loses_more_than_its_last_commit_and_that_not_in_silence(
    made: Path, tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = copied(made, "with-log.db", tmp_path)
    log = tmp_path / "with-log.db-wal"
    flip(log, random.Random(seed).randrange(8 * log.stat().st_size))
    try:
        found = numbers(path)
    except JournalDamaged:
        pass
    else:
        assert found in (list(range(COUNT)), list(range(COUNT - 1)))
        assert len(found) == COUNT or "last commit" in caplog.text
    left = check(str(copied(made, "with-log.db", tmp_path)))
    assert (left.damage, len(left.rows["pyerlnode_requests"])) == ("", COUNT)


@pytest.mark.parametrize("seed", range(25))
def test_no_bit_that_changes_in_the_file_is_taken_for_what_was_written(made: Path, tmp_path: Path, seed: int) -> None:
    path = copied(made, "whole.db", tmp_path)
    flip(path, random.Random(seed).randrange(8 * path.stat().st_size))
    try:
        found = numbers(path)
    except JournalError:
        return
    assert found == list(range(COUNT))  # a bit that nobody reads


def test_what_is_left_is_saved_row_by_row(made: Path, tmp_path: Path) -> None:
    path = copied(made, "with-log.db", tmp_path)
    log = path.with_name("with-log.db-wal")
    data = log.read_bytes()
    at = data.index(b"request 7 request 7")
    flip(log, 8 * at)
    with pytest.raises(JournalDamaged, match="behind it"):
        Journal(path)
    left = salvage(str(path), str(tmp_path / "new.db"))
    assert "behind it" in left.damage
    found = numbers(tmp_path / "new.db")
    assert found == list(range(COUNT))  # later commits have written that page again
    with Journal(tmp_path / "new.db") as journal:
        journal.claim("outbox", None)
    with pytest.raises(UsageError):
        salvage(str(path), str(tmp_path / "new.db"))


def test_a_row_that_is_not_what_was_written_is_left_out_and_told(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied(made, "whole.db", tmp_path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE pyerlnode_requests SET request = x'00' WHERE number = 3")
    with pytest.raises(JournalDamaged, match="1 rows of pyerlnode_requests"):
        Journal(path)
    assert cli.main(["journal", "check", str(path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"]["requests"], told["bad"]["requests"], told["role"]) == (COUNT - 1, 1, "outbox")
    assert cli.main(["journal", "salvage", str(path), str(tmp_path / "new.db")]) == 0
    assert numbers(tmp_path / "new.db") == [number for number in range(COUNT) if number != 3]
    assert cli.main(["journal", "check", str(tmp_path / "new.db")]) == 0
    assert "whole" in capsys.readouterr().out
    assert cli.main(["journal", "check", str(tmp_path / "none.db")]) == 1


def test_a_page_that_can_not_be_read_costs_its_own_rows_alone(made: Path, tmp_path: Path) -> None:
    path = copied(made, "whole.db", tmp_path)
    data = bytearray(path.read_bytes())
    page = data.index(b"request 20 request 20") // 4096 * 4096
    data[page : page + 4096] = bytes(4096)
    path.write_bytes(data)
    left = salvage(str(path), str(tmp_path / "new.db"))
    assert left.damage
    found = numbers(tmp_path / "new.db")
    assert {0, COUNT - 1} <= set(found)
    assert 20 not in found
    assert len(found) > COUNT // 2


def test_a_journal_of_an_older_version_gets_its_checksums(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(SCHEMA)
        db.execute("INSERT INTO pyerlnode_requests VALUES (1, x'01', x'02', 0, x'', x'83', NULL, NULL, NULL)")
        db.execute("INSERT INTO pyerlnode_streams VALUES (x'02', 'orders', 'app@host', 1, 0)")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("PRAGMA user_version = 1")
    for _ in range(2):
        with Journal(path) as journal:
            assert [entry.id for entry in journal.outbox()[1]] == [b"\x01"]
    assert check(str(path)).damage == ""


def test_a_log_that_ends_in_a_commit_that_was_cut_off_is_no_damage(made: Path) -> None:
    log = (made / "with-log.db-wal").read_bytes()
    whole = wal_core.look(log)
    assert (whole.bad, whole.lost) == (None, 0)
    for cut in (1, 100, 4120, 4121, 9000):
        found = wal_core.look(log[:-cut])
        assert (found.bad, found.lost) == (None, 0)
        assert len(found.frames) < len(whole.frames)
    assert wal_core.look(b"") == wal_core.look(log[:40]) == wal_core.Wal([], None, 0)


def test_frames_of_an_older_use_of_the_log_are_not_behind_its_end(made: Path) -> None:
    log = bytearray((made / "with-log.db-wal").read_bytes())
    size = wal_core.FRAME + 4096
    for at in range(wal_core.HEADER + 20 * size, len(log) - size + 1, size):
        log[at + 8 : at + 16] = b"another!"
    found = wal_core.look(bytes(log))
    assert (found.bad, found.lost) == (None, 0)
    assert len(found.frames) <= 20
