"""Waiting that lets the greenlets run.

A test's main greenlet waits for a BEAM while the Python node under test must answer that BEAM, in the
same thread. So every wait of this package goes through here: when this thread has a gevent hub, the
hub runs meanwhile; when it has none, gevent is not even imported and the wait is the system's own.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable
from typing import Any

from pyerlnode.testing.patience import QUIET_S, deadline, patience

__all__ = ["POLL_S", "close", "deadline", "hub_is_here", "patience", "pause", "settle", "wait_for", "wait_io"]

POLL_S = 0.005
"""Between two looks at a condition: below what a test notices, above what the machine does."""


def hub_is_here() -> bool:
    """Whether this thread has a gevent hub (asking does not make one)."""
    if "gevent" not in sys.modules:
        return False
    from gevent import _hub_local

    return _hub_local.get_hub_if_exists() is not None


def pause(seconds: float) -> None:
    """Sleep, and let the greenlets of this thread run."""
    if hub_is_here():
        import gevent

        gevent.sleep(seconds)
    else:
        time.sleep(seconds)


def settle(system: Any) -> None:
    """Let the processes of `system` run until none of them has anything to do just now.

    A number of turns of the hub (``gevent.sleep(0)``) is no such promise: a turn ends when its time is over, and on a
    crowded machine that is before everybody has had a slice.
    """
    import gevent

    gevent.sleep(0)
    while not system.scheduler.at_rest:
        gevent.sleep(0)


def wait_io(fd: int, *, write: bool = False, timeout: float) -> bool:
    """Wait until `fd` can be read (or written), `timeout` seconds at most; say whether it can."""
    poller: Any
    if hub_is_here():
        from gevent.select import poll

        poller = poll()
    else:
        poller = select.poll()
    poller.register(fd, select.POLLOUT if write else select.POLLIN)
    return bool(poller.poll(max(0, int(timeout * 1000) + 1)))


def close(fd: int) -> None:
    """Close `fd` now. In a program that gevent has patched, `os.close` waits for the next turn of the hub."""
    open(fd, "rb", buffering=0).close()


def wait_for(condition: Callable[[], Any], timeout: float = QUIET_S, what: str = "") -> Any:
    """The first true value of `condition()`, looked at every few milliseconds.

    `timeout` is for a quiet machine: `patience` makes it longer on a busy one.

    Raises:
        AssertionError: it did not come true in time; says `what` was waited for and what was seen last.
    """
    limit = patience(timeout)
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"waited {limit:g} s for {name}; last seen: {value!r}")
        pause(POLL_S)
