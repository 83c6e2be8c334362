"""The ticker ends what it starts."""

import _thread
import logging
import threading

from gevent.event import Event

from pyerlnode.dist.ticks import TickSettings
from pyerlnode.net.native_thread import NativeThread
from pyerlnode.net.ticker import Ticker
from pyerlnode.testing.patience import patience


class Fake:
    def __init__(self, deadline):
        self.deadline, self.calls, self.called = deadline, [], Event()
        self.ticked = _thread.allocate_lock()
        self.ticked.acquire()

    def next_deadline(self):
        return self.deadline

    def on_timer(self, now):
        self.calls.append(now)
        self.deadline += 100
        self.called.set()

    def tick_from_thread(self):
        if self.ticked.locked():
            self.ticked.release()


def test_the_thread_starts_with_the_first_connection_and_ends_in_stop():
    ticker = Ticker(TickSettings(0.004, 4), now=lambda: 0.0)
    for _ in range(2):  # it may be used again
        fake = Fake(10.0)
        ticker.add(fake)
        assert fake.ticked.acquire(True, 10)
        assert not ticker.thread.ended
        ticker.stop()
        ticker.stop()
        assert ticker.thread.ended


def test_the_timer_calls_only_what_is_due():
    ticker = Ticker(TickSettings(4000, 4), now=lambda: 50.0)
    due, later = Fake(50.0), Fake(90.0)
    ticker.add(later)
    ticker.add(due)
    assert due.called.wait(patience())
    assert (due.calls, later.calls) == ([50.0], [])
    ticker.remove(due)
    ticker.remove(later)
    ticker.stop()


def test_a_thread_that_logs_leaves_no_entry_behind(caplog):
    logged = _thread.allocate_lock()
    logged.acquire()

    def job():
        if logged.locked():
            logging.getLogger("pyerlnode.test").warning("from the native thread")
            logged.release()

    before = set(threading.enumerate())
    thread = NativeThread(job, 0.001)
    thread.start()
    assert logged.acquire(True, 60)
    thread.stop()
    assert "from the native thread" in caplog.text
    assert set(threading.enumerate()) == before


def test_a_thread_whose_job_raises_goes_on(caplog):
    calls = []
    enough = _thread.allocate_lock()
    enough.acquire()

    def job():
        calls.append(None)
        if len(calls) == 3:
            enough.release()
        raise ZeroDivisionError

    thread = NativeThread(job, 0.001)
    thread.start()
    assert enough.acquire(True, 60)
    thread.stop()
    assert thread.ended
