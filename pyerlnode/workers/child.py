"""One OS process of ours: started without a turn of the hub, ended by a signal, and its end is heard of at once.

Starting takes the interpreter's own `subprocess`, which does not copy the parent's page tables, and gives the hub no
turn: whoever starts one owns it before anything else can happen.

How it ended is learnt where gevent learns it. In the main thread's hub gevent's handler reaps all children, and tells
a child watcher; in another thread nobody else reaps, and a pidfd becomes readable (where the system has none, it is
looked for every millisecond). Two who reap would take the status from each other.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from pyerlnode.runtime.edges import edge
from pyerlnode.term.atom import A, Atom

POLL: Final = 0.001
UNKNOWN: Final = 256
"""No status of an OS process: somebody else in this program has taken it."""
_Popen: Any = get_original("subprocess", "Popen")
_waitpid: Any = get_original("os", "waitpid")


class Child:
    """A running OS process, and its status when it has ended: an exit code, or the number of a signal, negated."""

    def __init__(
        self, command: Sequence[str], pass_fd: int, env: dict[str, str], on_end: Callable[[], None] = lambda: None
    ) -> None:
        hub: Any = gevent.get_hub()
        # In a session of its own, as the programs of a BEAM's ports: Ctrl-C at the terminal is for this one alone.
        self._program = _Popen(command, pass_fds=(pass_fd,), stdin=subprocess.DEVNULL, env=env, start_new_session=True)
        self.pid: int = self._program.pid
        self._program.returncode = UNKNOWN  # it is not `subprocess` that looks after it
        self.status: int | None = None
        self._on_end = on_end
        self._over = Event()
        self._descriptor = -1
        self._watcher: Any = None
        if hub.loop.default:
            self._watcher = hub.loop.child(self.pid, False, ref=False)
            self._watcher.start(self._reaped)
        elif hasattr(os, "pidfd_open"):
            self._descriptor = os.pidfd_open(self.pid)
            self._watcher = hub.loop.io(self._descriptor, 1)
            self._watcher.start(self._ended)

    def wait(self, timeout: float | None = None) -> bool:
        """Let others run until it has ended; False when it has not after `timeout` seconds."""
        if self._watcher is None:
            left = float("inf") if timeout is None else timeout
            while not self._look(os.WNOHANG) and left > 0:
                gevent.sleep(POLL)
                left -= POLL
            return self.status is not None
        self._over.wait(timeout)
        return self.status is not None

    def kill(self) -> None:
        if self.status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended, and was reaped; its watcher has not been called yet

    def wait_now(self) -> None:
        """Wait for the end of one that was killed, without a turn of the hub."""
        self._look(0)

    def _look(self, options: int) -> bool:
        if self.status is None:
            try:
                pid, status = _waitpid(self.pid, options)
            except ChildProcessError:
                self._over_with(UNKNOWN)
            else:
                if pid:
                    self._over_with(os.waitstatus_to_exitcode(status))
        return self.status is not None

    @edge
    def _reaped(self) -> None:
        """The hub's handler has."""
        if self.status is None:
            self._over_with(os.waitstatus_to_exitcode(self._watcher.rstatus))

    @edge
    def _ended(self) -> None:
        """It can be reaped."""
        self._look(os.WNOHANG)

    def _over_with(self, status: int) -> None:
        self.status = status
        self._over.set()
        self._on_end()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def reason(self) -> Any:
        """The exit reason for its status."""
        status = self.status
        if status is None or status == UNKNOWN:
            return A.exit_status, A.unknown
        if status >= 0:
            return A.exit_status, status
        if -status == signal.SIGALRM:
            return A.time_limit
        return A.os_signal, Atom(signal.Signals(-status).name.lower())
