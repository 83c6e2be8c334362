"""One OS process of ours: started without a turn of the hub, ended by a signal, and its end is heard of at once.

Starting gives the hub no turn: whoever starts one owns it before anything else can happen. It inherits the descriptor
that it is given, as `INHERITED`, and what the program has made inheritable, which it closes itself (`main`).

That it ended is learnt from its pidfd, which becomes readable whoever handles SIGCHLD in this program, and whatever
forks of it are still there. How, by reaping it, or from whom has been quicker: in the main thread's hub gevent's
handler of that signal reaps all children, and tells a child watcher. Where the system has no pidfd there is that
watcher alone, and in another thread it is looked for every millisecond.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from pyerlnode.net.spawning import spawn
from pyerlnode.runtime.edges import close_now, edge
from pyerlnode.runtime.forks import ours
from pyerlnode.term.atom import A, Atom

POLL: Final = 0.001
INHERITED: Final = 3
"""The number that the descriptor has in the program."""
UNKNOWN: Final = 256
"""No status of an OS process: somebody else in this program has taken it."""
_waitpid: Any = get_original("os", "waitpid")


class Child:
    """A running OS process, and its status when it has ended: an exit code, or the number of a signal, negated."""

    def __init__(
        self, command: Sequence[str], pass_fd: int, env: dict[str, str], on_end: Callable[[], None] = lambda: None
    ) -> None:
        hub: Any = gevent.get_hub()
        other = os.dup(pass_fd) if pass_fd == INHERITED else -1  # to one and the same number it would not be copied
        try:
            given = (os.POSIX_SPAWN_DUP2, pass_fd if other < 0 else other, INHERITED)
            self.pid: int = spawn(command, env, [given])
        finally:
            if other >= 0:
                close_now(other)
        self.status: int | None = None
        self._on_end = on_end
        self._over = Event()
        self._descriptor = -1
        self._loop = hub.loop
        self._watchers: list[Any] = []
        if hub.loop.default:
            reaped = hub.loop.child(self.pid, False, ref=False)
            reaped.start(self._reaped, reaped)
            self._watchers.append(reaped)
        if hasattr(os, "pidfd_open"):
            self._descriptor = os.pidfd_open(self.pid)
            ended = hub.loop.io(self._descriptor, 1, ref=False)
            ended.start(self._ended)
            self._watchers.append(ended)
        ours(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Let others run until it has ended; False when it has not after `timeout` seconds."""
        if not self._watchers:
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
    def _reaped(self, watcher: Any) -> None:
        """The hub's handler has."""
        if self.status is None:
            self._over_with(os.waitstatus_to_exitcode(watcher.rstatus))

    @edge
    def _ended(self) -> None:
        """It can be reaped, or somebody was quicker: then the hub's handler tells in this turn, if it was that one."""
        if self.status is None:
            try:
                os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            except ChildProcessError:
                self._loop.run_callback(edge(self._look), os.WNOHANG)
            else:
                self._look(os.WNOHANG)

    def _over_with(self, status: int) -> None:
        self.status = status
        self._over.set()
        self._on_end()
        self._let_go()

    def forsake(self) -> None:
        """In a fork: it is the parent's, and not ours to wait for or to end."""
        if self.status is None:
            self.status = UNKNOWN
            self._let_go()

    def _let_go(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.close()
        if self._descriptor >= 0:
            close_now(self._descriptor)
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
