"""`testing.leaks`: each kind of thing that a test may leave behind is seen, and nothing else."""

import socket
import subprocess
import threading

import gevent
import gevent.event
import pytest

from pyerlnode.testing import leaks


def test_nothing_new_is_no_leak() -> None:
    leaks.assert_no_leaks(leaks.snapshot())


def test_a_greenlet_a_thread_a_socket_and_a_process_are_seen_until_they_end() -> None:
    before = leaks.snapshot()
    parked, held = gevent.event.Event(), threading.Event()
    greenlet = gevent.spawn(parked.wait)
    gevent.idle()
    thread = threading.Thread(target=held.wait, name="the held one")
    thread.start()
    process = subprocess.Popen(["sleep", "60"])
    with socket.socket():
        found = leaks.leaks(before)
    parked.set()
    held.set()
    process.kill()
    process.wait()
    greenlet.join()
    thread.join()
    del greenlet
    assert [line.split()[0].partition("[")[0] for line in found] == ["greenlet", "thread", "socket:", "process"], found
    assert "the held one" in found[1]
    assert "sleep 60" in found[3] or "(" in found[3]
    leaks.assert_no_leaks(before)


def test_what_stays_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "SETTLE_S", 0.01)
    before = leaks.snapshot()
    with socket.socket(), pytest.raises(AssertionError, match=r"left behind by the test:\n +socket:"):
        leaks.assert_no_leaks(before)


def test_what_was_there_before_is_no_leak() -> None:
    with socket.socket():
        before = leaks.snapshot()
        assert leaks.leaks(before) == []
