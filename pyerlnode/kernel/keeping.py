"""Who starts the kernel's processes, and starts each of them again when it ends, with what it knew.

`net_kernel`, `rex`, `user`, `global_name_server`, `logger_proxy` and each scope of `pg` are *kept*. What such a process
knows is an object that outlives it and that every life of it is given; its `init` takes up from there. In OTP most of
them are children of `kernel_sup` (one_for_all, intensity 0), so the end of one ends the node; any peer can bring that
about by ``exit(whereis(rex), kill)``, or by a malformed message. Here a node is a part of a program that has more to do
than to be a node: it never ends because of a peer.

    ends for whatever reason     runs again, under its name, before anybody else is told of the end: nobody finds the
                                 name empty. What waited in its mailbox is lost, and who waits for an answer is told.
    more than INTENSITY times    within a second: again after RETRY seconds, and so on, without an end to it. Until then
                                 the name is not there (`noproc`), and the log says so.
    the node stops               it ends with the node

The keeper itself is no process, so no signal can reach it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.runtime.process import Process, as_nobody
from pyerlnode.runtime.system import System
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.kernel")

INTENSITY = 10
PERIOD = 1.0
RETRY = 1.0


class Kept:
    """One process that is started again; it watches the present life of it."""

    def __init__(
        self,
        system: System,
        cls: type[GenServer],
        args: tuple[Any, ...],
        name: Any,
        started: Callable[[Pid], None] | None,
    ) -> None:
        self.system = system
        self.process: Process | None = None
        """Its present life; None while there is none."""
        self._cls = cls
        self._args = args
        self._name = name
        self._started = started
        self._ends: deque[float] = deque(maxlen=INTENSITY)

    @property
    def pid(self) -> Pid | None:
        return None if self.process is None else self.process.pid

    def __str__(self) -> str:
        return str(self._name or self._cls.__name__)

    def start(self) -> None:
        """Begin a life. Raises `StartFailed`, or `AlreadyStarted` when somebody else has the name."""
        system = self.system
        pid = gen_server.start(system, self._cls, self._args, name=self._name)
        process = self.process = None if pid is None else system.process(pid)
        if process is None:
            return
        if process.monitored_by is None:
            process.monitored_by = {}
        process.monitored_by[self] = self
        if self._started is not None:
            self._started(process.pid)

    def down(self, reason: Any) -> None:
        """It has ended; in the middle of that, before others are told."""
        self.process = None
        if self.system.stopped or self.system.ending is not None:
            return
        why = gen.brief(reason)
        now = self.system.timers.now()
        if len(self._ends) == INTENSITY and now - self._ends[0] < PERIOD:
            log.error("%s ended again (%s) and waits %.0f s for its next life", self, why, RETRY)
            self._later()
            return
        self._ends.append(now)
        log.warning("%s ended (%s) and is started again with what it knew", self, why)
        self._again()

    def _again(self) -> None:
        if self.process is not None or self.system.stopped:
            return
        try:
            # Whoever ended it is not its parent, and lends it no context variables.
            Context().run(as_nobody, self.start)
        except Exception as error:  # whatever it is: the others are not to suffer, and it is tried again
            log.error("%s could not be started again; it is tried once more in %.0f s", self, RETRY, exc_info=error)
            self._later()

    def _later(self) -> None:
        self.system.timers.start(RETRY, self._again)


class Keeping:
    """All kept processes of one node."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._all: list[Kept] = []

    def keep(
        self, cls: type[GenServer], *args: Any, name: Any = None, started: Callable[[Pid], None] | None = None
    ) -> Kept:
        """Start a server with the arguments of its `init`, and again whenever it ends; tell `started` each pid."""
        kept = Kept(self._system, cls, args, name, started)
        kept.start()
        self._all.append(kept)
        return kept

    def pids(self) -> frozenset[Pid]:
        """The processes that serve the others to the end: the kept ones, and those linked with them here."""
        found: set[Pid] = set()
        for kept in self._all:
            if kept.process is not None:
                found.add(kept.process.pid)
                found.update(other.pid for other in kept.process.links or () if isinstance(other, Process))
        return frozenset(found)
