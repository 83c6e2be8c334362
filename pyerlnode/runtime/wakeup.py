"""No signal is missed by a loop that is about to wait.

CPython's handler in C only notes that a signal has come; Python's own runs when the main thread is in Python again.
gevent looks for one just before its loop waits. Of what comes between that look and the wait, the loop of an idle
program would take notice when something else wakes it, if ever. So C writes each signal into a pipe as well
(`signal.set_wakeup_fd`) and the loop of the main thread watches it; behind that watcher gevent looks once more.

An OS process has one such descriptor. One that somebody else has set (asyncio, gunicorn) stays, and so does what was
set since. Signals are the main thread's: for a loop of another thread there is nothing to do.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from pyerlnode.runtime.edges import close_now
from pyerlnode.runtime.forks import ours

TURN = 0.5
"""Seconds of a native wait of the main thread, which no loop wakes: a signal just before it is heard after it."""


def attend(loop: Any) -> Callable[[], None]:
    """Have `loop`, the calling thread's own, wake for each signal, until what this gives is called, in this thread."""
    global _wakeup
    if _wakeup is None or _wakeup.loop is not loop:
        if not _is_free():
            return _nothing
        _wakeup = Wakeup(loop)
    wakeup = _wakeup
    wakeup.users += 1
    return wakeup.leave


def _nothing() -> None:
    """What leaving is for whom the descriptor of another one serves, or none."""


def _is_free() -> bool:
    """Whether nobody has set the descriptor; False in a thread that may not set it."""
    try:
        before = signal.set_wakeup_fd(-1)
    except ValueError:
        return False
    _put_back(before)
    return before == -1


def _put_back(descriptor: int) -> None:
    try:
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    except (OSError, ValueError):
        return  # it was closed and forgotten: whoever set it hears nothing by it


class Wakeup:
    """The pipe, and the watcher of a loop for it."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.users = 0
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._watcher = loop.io(self._read, 1, ref=False)
        # No function of ours: Python's handler may raise before the first of its lines, and end the watcher so.
        self._watcher.start(os.read, self._read, 4096)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        ours(self)

    def leave(self) -> None:
        """By one of its users; the last one ends it."""
        self.users -= 1
        if not self.users:
            self.forsake()

    def forsake(self) -> None:
        global _wakeup
        if self._read < 0:  # it has ended before, and its numbers are those of others now
            return
        current = signal.set_wakeup_fd(-1)
        if current != self._write:
            _put_back(current)
        if _wakeup is self:
            _wakeup = None
        self._watcher.stop()
        self._watcher.close()
        close_now(self._read)
        close_now(self._write)
        self._read = self._write = -1


_wakeup: Wakeup | None = None
