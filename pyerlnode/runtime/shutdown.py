"""How a system ends in good order: everybody is asked, the deadline holds, and what was stuck is told.

The processes at the top of each tree (their parent is the program, or has ended) are asked first: a behaviour to
terminate with ``shutdown``, so that its `terminate` runs and a supervisor stops its children in order; a function
body by the exit signal ``shutdown``. Children without a supervisor are asked when their parent has ended. What is
still there at the deadline is described in the report and ended without being asked. The order waits behind the
messages that a mailbox holds already, but for a stop in a hurry (Ctrl-C): one of them might compute for ever.

Some stop one behind the other, before all the rest: first the controller of applications, which stops these in the
reverse order of their start, then each supervision tree outside of an application, the one started last first. A
behaviour says so by its `stop_rank`. One that does not end has half of the time that is left, then the next is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pyerlnode.runtime.handler import is_behaviour, stop_rank
from pyerlnode.runtime.info import initial_call, message_queue
from pyerlnode.runtime.mailbox import REPLY, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.process")

MAX_FRAMES = 12


@dataclass(frozen=True, slots=True)
class Stuck:
    """A process that had not ended at the deadline; `stack` is where its Python code stood, innermost last."""

    pid: Pid
    name: Atom | None
    initial_call: tuple[Atom, Atom, int]
    message_queue_len: int
    stack: tuple[str, ...]

    def __str__(self) -> str:
        module, function, arity = self.initial_call
        where = f" at {self.stack[-1]}" if self.stack else ""
        called = f" ({self.name})" if self.name else ""
        return f"{self.pid}{called}, {module}:{function}/{arity}, {self.message_queue_len} messages{where}"


@dataclass(frozen=True, slots=True)
class StopReport:
    """What came of a graceful stop; true when nothing was stuck."""

    asked: int
    seconds: float
    stuck: list[Stuck] = field(default_factory=list)

    def __bool__(self) -> bool:
        return not self.stuck


class Ending:
    """A graceful stop under way; `System.ending` while it lasts, so that the end of a process wakes it.

    Each process is looked at when it is found, and when its parent has ended, so a stop takes time in the number of
    processes, however these end.
    """

    def __init__(self, system: Any, keep: frozenset[Pid], *, hurry: bool = False) -> None:
        self.system = system
        self.hurry = hurry
        self.keep = keep | {system.root.pid, system.myself().pid}
        self.asked: set[Process] = set()
        self._left: dict[Process, None] = {}
        """Who is to end and has not, in the order of their start."""
        self._children: dict[Process, list[Process]] = {}
        """Of those left: the ones that are asked when it has ended."""
        self._due: list[Process] = []
        """Who has no parent among those left and is to be asked."""
        self._known = 0
        """The number of the youngest process that has been looked at."""
        self._waiter: Waiter | None = None
        self._awaited: Process | None = None

    def process_ended(self, process: Process) -> None:
        self._left.pop(process, None)
        self._due += self._children.pop(process, ())
        if self._waiter is not None and (process is self._awaited or not self._left or self._has_news()):
            self._waiter.settle(REPLY, None)

    def run(self, timeout: float) -> StopReport:
        system = self.system
        if timeout <= 0 or system.scheduler.in_hub():  # the hub can not wait for anybody
            return StopReport(0, 0.0)
        began = system.timers.now()
        system.ending = self
        try:
            self._find(system.processes.values())
            for process in self._one_by_one():
                self._stop_one(process, began + timeout)
            while self._ask():
                left = began + timeout - system.timers.now()
                if left <= 0:
                    break
                if not self._has_news():
                    self._wait(left)
        finally:
            system.ending = self._waiter = None
        stuck = [_stuck(process) for process in self._left]
        for one in stuck:
            log.warning("stopped with %s still busy", one)
        return StopReport(len(self.asked), system.timers.now() - began, stuck)

    def _wait(self, seconds: float) -> None:
        self._waiter = Waiter(self.system.scheduler, self.system.timers)
        self._waiter.wait(seconds)
        self._waiter = None

    def _one_by_one(self) -> list[Process]:
        ranked = [(stop_rank(process), process) for process in reversed(self._due)]
        return [process for rank, process in sorted(ranked, key=lambda pair: -pair[0]) if rank]

    def _stop_one(self, process: Process, deadline: float) -> None:
        now = self.system.timers.now
        until = now() + (deadline - now()) / 2
        self._awaited = process
        self._ask_one(process)
        while process.alive and (left := until - now()) > 0:
            self._wait(left)
        self._awaited = None

    # --- who is left ---------------------------------------------------------------------------
    def _has_news(self) -> bool:
        """Whether somebody is to be asked, or was started meanwhile."""
        return bool(self._due) or self._known != self.system.started

    def _find(self, processes: Iterable[Process | None]) -> None:
        """Look at `processes`, in the order of their start."""
        self._known = self.system.started
        for process in list(processes):
            if process is None or process.adopted or process.pid in self.keep:
                continue
            self._left[process] = None
            parent = self._parent(process)
            if parent is not None and parent in self._left:
                self._children.setdefault(parent, []).append(process)
            else:
                self._due.append(process)

    def _parent(self, process: Process) -> Process | None:
        """The process that started it, when it lives."""
        first = process.ancestors[0] if process.ancestors else None
        return self.system.find(first) if isinstance(first, (Pid, Atom)) else None

    def _ask(self) -> bool:
        """Ask all whose turn it is, the one started last first, as OTP; False when nobody is left."""
        self._find(map(self.system.processes.get, range(self._known + 1, self.system.started + 1)))
        due, self._due = self._due, []
        for process in sorted(due, key=_age, reverse=True):
            self._ask_one(process)
        return bool(self._left)

    def _ask_one(self, process: Process) -> None:
        if process.alive and process not in self.asked:
            self.asked.add(process)
            self._order(process)

    def _order(self, process: Process) -> None:
        if not is_behaviour(process):
            process.exit_signal(self.system.root.pid, A.shutdown)
        else:
            nobody = (self.system.root.pid, self.system.new_ref())
            order = (A.system, nobody, (A.terminate, A.shutdown))
            if self.hurry:
                process.deliver_first(order)
            else:
                process.deliver_urgent(order)


def _age(process: Process) -> int:
    return process.pid.id | process.pid.serial << 28


def _stuck(process: Process) -> Stuck:
    frame = getattr(process.greenlet, "gr_frame", None)
    stack: list[str] = []
    while frame is not None and len(stack) < MAX_FRAMES:
        code = frame.f_code
        if not str(frame.f_globals.get("__name__", "")).startswith(("pyerlnode.runtime.", "pyerlnode.otp.")):
            stack.insert(0, f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return Stuck(process.pid, process.name, initial_call(process), len(message_queue(process)), tuple(stack))
