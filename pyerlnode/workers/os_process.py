"""One OS process of a worker, as its node sees it: what it says, and how it ended.

Two processes of the node belong to it. Its *owner*, the worker itself or the shelf of the spares, decides how long it
lives: when the owner ends, by whatever, it is killed. Its *keeper* reads what it says and ends when it has ended and
was reaped, so a node that stops waits for it, as for any of its processes. An owner that ends because time is up takes
it along without a turn of the hub. And should the node itself be killed, the kernel ends it (`main`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

import gevent.socket
from gevent.lock import BoundedSemaphore

from pyerlnode.brief import BRIEF, told
from pyerlnode.errors import ConnectError, DecodeError, ProtocolError, StartFailed
from pyerlnode.runtime.edges import close_now
from pyerlnode.runtime.forks import our_socket, ours
from pyerlnode.runtime.mailbox import REPLY, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.workers.channel import Packer, send_all
from pyerlnode.workers.child import INHERITED, Child

log = logging.getLogger("pyerlnode.workers")

REAP: Final = 2.0
"""Seconds that an OS process has to end in once its socket has closed."""


def _nobody(told: Any) -> None:
    """Nobody listens yet."""


class OsProcess:
    """A running ``python -m pyerlnode.workers.main``, owned from its first moment. Talks by `say` and `request`."""

    def __init__(self, system: System, owner: Process) -> None:
        self._system = system
        mine, theirs = socket.socketpair()
        try:
            command = [sys.executable, "-m", "pyerlnode.workers.main", str(INHERITED), str(os.getpid())]
            path = os.pathsep.join(filter(None, sys.path))
            self._child = Child(command, theirs.fileno(), {**os.environ, "PYTHONPATH": path}, self._gone)
        except BaseException:
            mine.close()
            raise
        finally:
            theirs.close()
        self._socket: Any = gevent.socket.socket(fileno=mine.detach())
        self._writing = BoundedSemaphore()
        self._packer = Packer()
        self._replies: dict[tuple[int, ...], Waiter] = {}
        self.on_term: Callable[[tuple[Any, ...]], None] = _nobody
        self.on_end: Callable[[Any], None] = _nobody
        self.ended: Any = None
        """The exit reason that its end is, once it has ended."""
        our_socket(self._socket)
        ours(self)
        self._owner: Process | None = None
        self.hold(owner)
        self.keeper = system.spawn_function(self._keep, (), {})
        self.keeper.trap_exit = True  # it ends when the OS process has

    def forsake(self) -> None:
        """In a fork: nobody is told of it any more."""
        self.on_term = self.on_end = _nobody
        self._replies.clear()

    @property
    def pid(self) -> int:
        return self._child.pid

    # --- talk ----------------------------------------------------------------------------------
    def say(self, term: tuple[Any, ...]) -> None:
        """Raises `EncodeError` before anything is written; to one that has ended it is dropped.

        While the other side does not read, the caller waits.
        """
        data, descriptor = self._packer.frame(term)
        try:
            with self._writing:  # what two greenlets write would be mixed otherwise
                taken, descriptor = descriptor, None
                send_all(self._socket, data, taken)
        except OSError:
            pass  # the keeper says how it ended
        finally:
            if descriptor is not None:  # killed while it waited for its turn
                close_now(descriptor)

    def request(self, function: str, args: list[Any], timeout: float | None) -> Any:
        """Call ``worker:function`` there. Raises `StartFailed` with the reason of its end, or `timeout`."""
        ref = self._system.new_ref()
        waiter = self._replies[ref.words] = Waiter(self._system.scheduler, self._system.timers)
        state, outcome = REPLY, None
        try:
            if self.ended is None:
                self.say((A.call, ref, A.worker, Atom(function), args))
                state, outcome = waiter.wait(timeout), waiter.value
        finally:
            self._replies.pop(ref.words, None)
        if self.ended is not None:
            raise StartFailed(self.ended, f"the worker's OS process ended during {function}: {self.ended}")
        if state != REPLY:
            raise StartFailed(A.timeout, f"the worker's OS process did not {function} within {timeout} s")
        if outcome is None or outcome[0] is not A["return"]:
            reason = None if outcome is None else outcome[1]
            raise StartFailed(reason, f"the worker's OS process could not {function}: {told(reason, BRIEF)}")
        return outcome[1]

    # --- the keeper ----------------------------------------------------------------------------
    def _keep(self) -> None:
        try:
            self._read()
            self._socket.close()
            if not self._child.wait(REAP):
                self._child.kill()
                self._child.wait()
        finally:  # also when the keeper itself is killed
            self._leave()
        self.on_end(self.ended)

    def _read(self) -> None:
        try:
            while (terms := self._packer.receive(self._socket)) is not None:
                for term in terms:
                    self._hear(term)
        except OSError:
            pass
        except (DecodeError, ProtocolError) as error:
            log.error("the worker's OS process %d is killed, its words are none: %s", self.pid, error)
            self._child.kill()

    def _gone(self) -> None:
        """It has ended. What it wrote can still be read; who else has its socket, as a fork of it, is not waited for.

        By another object for the same socket: the reader shall not hear of it before it has read what is there.
        """
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._socket.fileno())) as same:
            same.shutdown(socket.SHUT_RD)

    def _hear(self, term: tuple[Any, ...]) -> None:
        if term[0] is A.reply:
            waiter = self._replies.get(term[1].words)
            if waiter is not None:
                waiter.settle(REPLY, term[2])
            return
        try:
            self.on_term(term)
        except ConnectError:
            pass  # a signal to a node that is not there is dropped

    def _leave(self) -> None:
        """Nothing of it is left after this, and who waits for it is told."""
        if self._child.status is None:
            self._child.kill()
            self._child.wait_now()
        self._socket.close()
        self._packer.close()
        self.ended = self._child.reason
        for waiter in list(self._replies.values()):
            waiter.settle(REPLY, None)

    # --- the owner -----------------------------------------------------------------------------
    def hold(self, owner: Process) -> None:
        """Let it end when `owner` does, and not any more when the one before does."""
        if self._owner is not None and self._owner.monitored_by is not None:
            self._owner.monitored_by.pop(self, None)
        self._owner = owner
        if not owner.alive:
            self.down(A.noproc)
            return
        if owner.monitored_by is None:
            owner.monitored_by = {}
        owner.monitored_by[self] = self

    def down(self, reason: Any) -> None:
        """The owner has ended."""
        del reason
        self._child.kill()
        if self._system.stopped:  # nothing waits for anything after this
            self._leave()
