"""One OS process of a worker, as its node sees it: a socket, a reader, and how it ended.

It is killed and reaped when the node's process that owns it ends (`hold`), whatever that ended with; and it ends by
itself when the node does, because its socket closes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

import gevent
import gevent.socket
import gevent.subprocess

from pyerlnode.errors import StartFailed
from pyerlnode.etf import decode, encode
from pyerlnode.port.packets_core import Packets
from pyerlnode.runtime.mailbox import REPLY, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom

READ: Final = 262_144
REAP: Final = 2.0
"""Seconds that an OS process has to end in once its socket has closed."""


def _nobody(told: Any) -> None:
    """Nobody listens yet."""


def _popen() -> Any:
    """What starts an OS process and learns how it ended.

    Where gevent watches children its handler reaps all of them, and the standard library then finds a status of 0:
    there it must be gevent's own. It watches in the main thread's hub only; in another thread nobody else reaps.
    """
    return gevent.subprocess.Popen if gevent.get_hub().loop.default else subprocess.Popen


class OsProcess:
    """Started by `boot`; talks by `say` and `request`."""

    def __init__(self, system: System) -> None:
        self._system = system
        ours, theirs = socket.socketpair()
        try:
            self._program = _popen()(
                [sys.executable, "-m", "pyerlnode.workers.main", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = gevent.socket.socket(fileno=ours.detach())
        self._packets = Packets()
        self._replies: dict[tuple[int, ...], Waiter] = {}
        self.on_term: Callable[[tuple[Any, ...]], None] = _nobody
        self.on_end: Callable[[Any], None] = _nobody
        self.ended: Any = None
        self._owner: Process | None = None
        self._reader = gevent.spawn(self._read)

    @property
    def pid(self) -> int:
        return self._program.pid

    # --- talk ----------------------------------------------------------------------------------
    def say(self, term: tuple[Any, ...]) -> None:
        """Raises `EncodeError` before anything is written; to one that has ended it is dropped."""
        data = self._packets.frame(encode(term))
        try:
            self._socket.sendall(data)
        except OSError:
            pass  # the reader says how it ended

    def request(self, function: str, args: list[Any], timeout: float | None) -> Any:
        """Call ``worker:function`` there. Raises `StartFailed` with the reason of its end, or `timeout`."""
        ref = self._system.new_ref()
        waiter = self._replies[ref.words] = Waiter(self._system.scheduler, self._system.timers)
        try:
            if self.ended is None:
                self.say((A.call, ref, A.worker, Atom(function), args))
                state = waiter.wait(timeout)
            outcome: Any = waiter.value
        finally:
            self._replies.pop(ref.words, None)
        if self.ended is not None:
            raise StartFailed(self.ended, f"the worker's OS process ended during {function}: {self.ended}")
        if state != REPLY:
            raise StartFailed(A.timeout, f"the worker's OS process did not {function} within {timeout} s")
        if outcome[0] is not A["return"]:
            raise StartFailed(outcome[1], f"the worker's OS process could not {function}: {outcome[1]!r}")
        return outcome[1]

    def _read(self) -> None:
        try:
            while data := self._socket.recv(READ):
                for packet in self._packets.receive_data(data):
                    self._hear(decode(packet))
        except OSError:
            pass
        self._socket.close()
        self._reap()

    def _hear(self, term: tuple[Any, ...]) -> None:
        if term[0] is A.reply:
            waiter = self._replies.get(term[1].words)
            if waiter is not None:
                waiter.settle(REPLY, term[2])
        else:
            self.on_term(term)

    # --- the end -------------------------------------------------------------------------------
    def _reap(self) -> None:
        left = REAP
        while (status := self._program.poll()) is None and left > 0:
            gevent.sleep(0.001)
            left -= 0.001
        if status is None:
            self._program.kill()
            status = self._program.wait()
        self.ended = reason_of(status)
        for waiter in list(self._replies.values()):
            waiter.settle(REPLY, None)
        self.on_end(self.ended)

    def hold(self, owner: Process) -> None:
        """Let it end when `owner` does."""
        if self._owner is not None and self._owner.monitored_by is not None:
            self._owner.monitored_by.pop(self, None)
        self._owner = owner
        if owner.monitored_by is None:
            owner.monitored_by = {}
        owner.monitored_by[self] = self
        if self._system.stopped or not owner.alive:  # it ended while this was being started
            self.down(A.noproc)

    def down(self, reason: Any) -> None:
        """`owner` has ended."""
        del reason
        self._program.kill()
        if self._system.stopped:  # nothing runs after this
            self._reader.kill(block=False)
            self._socket.close()
            self._program.wait()


def reason_of(status: int) -> Any:
    """The exit reason for the status of an OS process."""
    if status >= 0:
        return A.exit_status, status
    if -status == signal.SIGALRM:
        return A.time_limit
    return A.os_signal, Atom(signal.Signals(-status).name.lower())
