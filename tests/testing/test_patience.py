"""`testing.patience`: how long a test waits here, and how late the machine is."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from pyerlnode.testing import patience
from pyerlnode.testing.waiting import wait_for


@pytest.mark.parametrize(("said", "factor"), [("1", 1.0), ("2.5", 2.5), ("0.1", 0.1)])
def test_the_environment_says_by_how_much_waits_are_longer(
    said: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(patience.VARIABLE, said)
    assert patience.patience(10.0) == 10.0 * factor
    assert patience.patience() == patience.QUIET_S * factor


@pytest.mark.parametrize("said", ["", "auto"])
def test_else_the_machine_says_it_and_is_asked_once(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(patience.VARIABLE, said)
    monkeypatch.setattr(patience, "_measured", [])
    monkeypatch.setattr(os, "getloadavg", lambda: (4.0 * (os.cpu_count() or 1), 0.0, 0.0))
    assert 4.0 <= patience.factor() <= patience.MOST
    monkeypatch.setattr(os, "getloadavg", lambda: 1 / 0)
    assert patience.factor() >= 4.0


def test_a_machine_is_never_quicker_than_a_quiet_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert 1.0 <= patience.measure() <= patience.MOST


@pytest.mark.parametrize("said", ["0", "-1", "soon", "nan", "inf", ""])
def test_what_is_no_factor_is_said(said: str) -> None:
    with pytest.raises(ValueError, match=r"--beam-patience: .* is no number above 0"):
        patience.read(said)


@pytest.mark.parametrize(("factor", "seconds"), [("1", 2.0), ("2", 4.0), ("9", 6.0)])
def test_a_promise_of_a_test_is_three_times_as_long_at_most(
    factor: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(patience.VARIABLE, factor)
    assert patience.promise(2.0) == seconds


def test_a_deadline_fails_a_block_that_took_too_long() -> None:
    with patience.deadline(60, "nothing"):
        pass
    with (
        pytest.raises(AssertionError, match=r"the block took .* s: more than -99 s and twice the 0\.\d+ s"),
        patience.deadline(-99, "the block"),
    ):
        pass


def test_a_deadline_lets_the_error_of_its_block_through() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), patience.deadline(-99, "the block"):
        1 / 0  # noqa: B018 - it is meant
    assert threading.active_count() == before


def test_the_lateness_of_the_machine_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(patience.Heartbeat):
        def __exit__(self, *error: object) -> None:
            super().__exit__(*error)
            self.late = 60.0

    monkeypatch.setattr(patience, "Heartbeat", Late)
    with patience.deadline(-119.0, "a block that takes no second and should have ended two minutes ago"):
        pass
    with pytest.raises(AssertionError, match=r"twice the 60\.000 s"), patience.deadline(-999.0, "the block"):
        pass


STOPPED = """
import time
from pyerlnode.testing.patience import Heartbeat
with Heartbeat() as heart:
    print("beats", flush=True)
    while heart.late < 0.3:
        time.sleep(0.01)
"""


def test_a_process_that_is_stopped_is_late() -> None:
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "beats\n"
        for _ in range(2):
            program.send_signal(signal.SIGSTOP)
            threading.Event().wait(0.3)  # for so long it has no turn: this is the lateness, not a wait for something
            program.send_signal(signal.SIGCONT)
        wait_for(lambda: program.poll() is not None)
        assert program.returncode == 0
