"""How a system ends in good order: everybody is asked, the deadline holds, and what was stuck is told.

The processes at the top of each tree (their parent is the program, or has ended) are asked first: a behaviour to
terminate with ``shutdown``, so that its `terminate` runs and a supervisor stops its children in order; a function
body by the exit signal ``shutdown``. Children without a supervisor are asked when their parent has ended. What is
still there at the deadline is described in the report and ended without being asked.

Some stop one behind the other, before all the rest: first the controller of applications, which stops these in the
reverse order of their start, then each supervision tree outside of an application, the one started last first. A
behaviour says so by its `stop_rank`. One that does not end has half of the time that is left, then the next is asked.
"""

from __future__ import annotations

import logging
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
    """A graceful stop under way; `System.ending` while it lasts, so that the end of a process wakes it."""

    def __init__(self, system: Any, keep: frozenset[Pid]) -> None:
        self.system = system
        self.keep = keep | {system.root.pid, system.myself().pid}
        self.asked: set[Process] = set()
        self._waiter: Waiter | None = None

    def process_ended(self) -> None:
        if self._waiter is not None:
            self._waiter.settle(REPLY, None)

    def run(self, timeout: float) -> StopReport:
        system = self.system
        if timeout <= 0 or system.scheduler.in_hub():  # the hub can not wait for anybody
            return StopReport(0, 0.0)
        began = system.timers.now()
        system.ending = self
        try:
            for process in self._one_by_one():
                self._stop_one(process, began + timeout)
            while rest := self._rest():
                self._ask(rest)
                left = began + timeout - system.timers.now()
                if left <= 0:
                    break
                if self._rest():
                    self._waiter = Waiter(system.scheduler, system.timers)
                    self._waiter.wait(left)
        finally:
            system.ending = self._waiter = None
        report = StopReport(len(self.asked), system.timers.now() - began, [_stuck(process) for process in rest])
        for stuck in report.stuck:
            log.warning("stopped with %s still busy", stuck)
        return report

    def _one_by_one(self) -> list[Process]:
        rest = self._rest()
        alive = _names(rest)
        ranked = [(stop_rank(process), process) for process in reversed(rest) if not _has_parent(process, alive)]
        return [process for rank, process in sorted(ranked, key=lambda pair: -pair[0]) if rank]

    def _stop_one(self, process: Process, deadline: float) -> None:
        now = self.system.timers.now
        until = now() + (deadline - now()) / 2
        if process.alive:
            self.asked.add(process)
            self._order(process)
        while process.alive and (left := until - now()) > 0:
            self._waiter = Waiter(self.system.scheduler, self.system.timers)
            self._waiter.wait(left)

    def _rest(self) -> list[Process]:
        return [p for p in self.system.processes.values() if not p.adopted and p.pid not in self.keep]

    def _ask(self, rest: list[Process]) -> None:
        alive = _names(rest)
        for process in reversed(rest):  # the one started last first, as OTP
            if process not in self.asked and not _has_parent(process, alive) and process.alive:
                self.asked.add(process)
                self._order(process)

    def _order(self, process: Process) -> None:
        if not is_behaviour(process):
            process.exit_signal(self.system.root.pid, A.shutdown)
        else:
            nobody = (self.system.root.pid, self.system.new_ref())
            process.deliver_urgent((A.system, nobody, (A.terminate, A.shutdown)))


def _names(processes: list[Process]) -> set[Any]:
    return {process.pid for process in processes} | {process.name for process in processes if process.name is not None}


def _has_parent(process: Process, alive: set[Any]) -> bool:
    return bool(process.ancestors) and process.ancestors[0] in alive  # type: ignore[index]  # not None, as just seen


def _stuck(process: Process) -> Stuck:
    frame = getattr(process.greenlet, "gr_frame", None)
    stack: list[str] = []
    while frame is not None and len(stack) < MAX_FRAMES:
        code = frame.f_code
        if not str(frame.f_globals.get("__name__", "")).startswith(("pyerlnode.runtime.", "pyerlnode.otp.")):
            stack.insert(0, f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return Stuck(process.pid, process.name, initial_call(process), len(message_queue(process)), tuple(stack))
