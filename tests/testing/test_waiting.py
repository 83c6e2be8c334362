"""`testing.waiting`: conditions, deadlines, and waits that let greenlets run."""

import os
import threading

import gevent
import pytest

from pyerlnode.testing import waiting
from pyerlnode.testing.patience import patience


def test_wait_for_gives_the_first_true_value() -> None:
    values = iter([0, "", [7]])
    assert waiting.wait_for(lambda: next(values)) == [7]


@pytest.fixture(autouse=True)
def _a_quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYERLNODE_BEAM_PATIENCE", "1")


def test_wait_for_says_what_it_waited_for_and_what_it_saw_last() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.01 s for the sun; last seen: 'night'\[:0\]|for the sun"):
        waiting.wait_for(lambda: "", 0.01, "the sun")


def test_wait_for_names_the_condition_when_nobody_did() -> None:
    def dawn() -> bool:
        return False

    with pytest.raises(AssertionError, match="for dawn; last seen: False"):
        waiting.wait_for(dawn, 0)


def test_a_wait_for_bytes_lets_greenlets_run_and_they_may_bring_them() -> None:
    read, write = os.pipe()
    gevent.spawn(os.write, write, b"x")
    assert waiting.hub_is_here()
    assert waiting.wait_io(read, timeout=patience())
    assert waiting.wait_io(write, write=True, timeout=patience())
    assert os.read(read, 10) == b"x"
    assert not waiting.wait_io(read, timeout=0.01)
    os.close(read)
    os.close(write)


def test_a_thread_without_a_hub_waits_without_one() -> None:
    seen: list[bool] = []

    def look() -> None:
        waiting.pause(0)
        seen.append(waiting.hub_is_here())
        read, write = os.pipe()
        os.write(write, b"x")
        seen.append(waiting.wait_io(read, timeout=patience()))
        os.close(read)
        os.close(write)
        seen.append(waiting.hub_is_here())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [False, True, False]
