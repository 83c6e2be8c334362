"""`testing.reaper`: what is left to do when a run ends without its own end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyerlnode.testing.patience import patience
from pyerlnode.testing.reaper import Reaper
from pyerlnode.testing.waiting import wait_for


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    made = Reaper()
    yield made
    made.stop()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_what_is_on_its_list_is_killed_when_it_is_told_to_stop(
    reaper: Reaper, sleeper: subprocess.Popen[bytes]
) -> None:
    reaper.add_pid(sleeper.pid)
    reaper.stop()
    assert sleeper.wait(patience()) == -signal.SIGKILL


def test_what_was_removed_from_its_list_lives(reaper: Reaper, sleeper: subprocess.Popen[bytes]) -> None:
    reaper.remove(reaper.add_pid(sleeper.pid))
    reaper.stop()
    assert sleeper.poll() is None


def test_a_command_on_its_list_is_carried_out(reaper: Reaper, tmp_path: Path) -> None:
    reaper.add("touch", str(tmp_path / "a name with spaces"))
    reaper.stop()
    assert (tmp_path / "a name with spaces").exists()


def test_it_starts_again_after_its_end(reaper: Reaper, tmp_path: Path) -> None:
    for name in ("one", "two"):
        reaper.add("touch", str(tmp_path / name))
        reaper.stop()
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def test_a_process_that_is_gone_already_does_not_stop_the_rest(reaper: Reaper, tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    reaper.add_pid(gone.pid)
    reaper.add("no-such-command-anywhere")
    reaper.add("touch", str(tmp_path / "last"))
    reaper.stop()
    assert (tmp_path / "last").exists()


def test_it_carries_out_its_list_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = f"""
import os, signal
from pyerlnode.testing.reaper import REAPER
REAPER.add("touch", {str(tmp_path / "done")!r})
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", owner], env={**os.environ, "PYTHONPATH": root}, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_for((tmp_path / "done").exists, what="the reaper to do its work")


def test_it_does_not_end_by_the_signals_that_end_the_run(reaper: Reaper, tmp_path: Path) -> None:
    reaper.add("touch", str(tmp_path / "done"))
    # It has set its signals aside as soon as it reads: a second line that it reads shows that it does.
    wait_for(lambda: _ignores(reaper.pid, signal.SIGINT), what="the reaper to start")
    os.kill(reaper.pid, signal.SIGINT)
    os.kill(reaper.pid, signal.SIGTERM)
    reaper.stop()
    assert (tmp_path / "done").exists()


def _ignores(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in status if line.startswith("SigIgn"))
    return bool(mask & 1 << (number - 1))
