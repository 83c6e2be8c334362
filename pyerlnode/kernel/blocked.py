"""Who blocks the hub: a line in the log, an event and an alarm when it stands still for too long.

A callback that computes, or calls something that blocks without gevent's knowledge, keeps every other process, every
connection and every timer waiting. OTP tells of a process that keeps its scheduler for so long by
``erlang:system_monitor(…, [{long_schedule, Ms}])``. Here a native thread (`net.watchdog`) finds out, so it is told
while it happens: the pid, the name and the start of the process, its callback and the Python stack. No value of a
variable is in the line, so no message and no cookie.

Law: one line in `EVERY` seconds; the next one tells how many there would have been. The thread ends with the node.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final

from pyerlnode.kernel.alarms import HUB_BLOCKED, Alarms
from pyerlnode.kernel.blocked_core import Blocked, Free, NotRun, Watch
from pyerlnode.kernel.telemetry import Telemetry
from pyerlnode.net.watchdog import Watchdog
from pyerlnode.runtime.info import initial_call
from pyerlnode.runtime.process import Process, run_as
from pyerlnode.runtime.scheduler import Worker
from pyerlnode.runtime.system import System

log = logging.getLogger("pyerlnode.hub")

EVERY: Final = 60.0
"""Seconds in which one line is logged at most."""
FRAMES: Final = 20
"""Of the stack that are told, the innermost ones."""

_RUNS: Final[dict[CodeType, str]] = {
    Worker._slice.__code__: "process",
    Process._run_function.__code__: "self",
    run_as.__code__: "process",
}
"""Functions of ours that run a process's own code, and what they call the process."""
_OURS: Final = ("pyerlnode.runtime.", "pyerlnode.otp.", "pyerlnode.net.")


@dataclass(frozen=True, slots=True)
class Blame:
    """Who runs on the hub's thread. `process` is None for code of the program that is no process."""

    process: Process | None
    callback: str
    stack: str

    def metadata(self) -> dict[str, Any]:
        process = self.process
        of_process = {"pid": None, "name": None, "initial_call": None}
        if process is not None:
            of_process = {"pid": process.pid, "name": process.name, "initial_call": initial_call(process)}  # type: ignore[dict-item]
        return {**of_process, "callback": self.callback, "stack": self.stack}

    def __str__(self) -> str:
        process = self.process
        if process is None:
            return f"code that is no process, in {self.callback} [{self.stack}]"
        module, function, arity = initial_call(process)
        name = "" if process.name is None else f" ({process.name})"
        return f"process {process.pid}{name}, started as {module}:{function}/{arity}, in {self.callback} [{self.stack}]"


def blame(frame: FrameType) -> Blame:
    """Who is at `frame`, the innermost one of a thread. From any thread."""
    frames: list[FrameType] = []
    process: Process | None = None
    at: FrameType | None = frame
    while at is not None:
        variable = _RUNS.get(at.f_code)
        if variable is not None:
            process = at.f_locals.get(variable)
            break
        frames.append(at)
        at = at.f_back
    theirs = [one for one in frames if not str(one.f_globals.get("__name__", "")).startswith(_OURS)]
    shown = [f"{one.f_code.co_filename}:{one.f_lineno} {one.f_code.co_name}" for one in reversed(frames[:FRAMES])]
    return Blame(process, _name_of((theirs or frames or [frame])[-1]), " > ".join(shown))


def _name_of(frame: FrameType) -> str:
    code = frame.f_code
    return f"{frame.f_globals.get('__name__', '?')}.{getattr(code, 'co_qualname', code.co_name)}"  # from 3.11 on


class LongSchedule:
    """Watches the hub of one node from `start` to `stop`."""

    def __init__(self, system: System, telemetry: Telemetry, alarms: Alarms, limit: float, *, hub: Any = None) -> None:
        self._node = system.node
        self._telemetry = telemetry
        self._alarms = alarms
        self._watch = Watch(limit, time.monotonic(), time.process_time())
        self._watchdog = Watchdog(self._look, self._watch.interval, hub)
        self._blame: Blame | None = None
        self._lines = _Lines()
        self._lines_of_others = _Lines()

    def start(self) -> None:
        self._watchdog.start()

    def stop(self) -> None:
        self._watchdog.stop()

    @property
    def ended(self) -> bool:
        return self._watchdog.thread.ended

    # --- on the native thread ------------------------------------------------------------------
    def _look(self, now: float, cpu: float, turns: int, frame: FrameType | None) -> None:
        for verdict in self._watch.look(now, cpu, turns, frame is None):
            if type(verdict) is Blocked and frame is not None:
                self._blocked(verdict.seconds, blame(frame), now)
            elif type(verdict) is Free:
                self._free(verdict.seconds)
            elif type(verdict) is NotRun:
                self._not_run(verdict.seconds, now)

    def _blocked(self, seconds: float, who: Blame, now: float) -> None:
        self._blame = who
        description = str(who)
        self._alarms.note(HUB_BLOCKED, description)
        self._watchdog.in_hub(self._alarms.tell_set, HUB_BLOCKED, description)
        text = "the hub of %s has been blocked for %.1f s, and all its processes and connections wait, by %s%s"
        self._lines.warning(now, text, self._node, seconds, description)

    def _free(self, seconds: float) -> None:
        who, self._blame = self._blame, None
        if who is not None:
            self._watchdog.in_hub(self._tell_free, seconds, who)

    def _not_run(self, seconds: float, now: float) -> None:
        self._watchdog.in_hub(self._emit, "hub.not_run", {"seconds": seconds}, {})
        text = "%s did not run for %.1f s: stopped, without a processor, or in C code that waits with Python's lock%s"
        self._lines_of_others.warning(now, text, self._node, seconds)

    # --- in the hub ----------------------------------------------------------------------------
    def _tell_free(self, seconds: float, who: Blame) -> None:
        self._emit("hub.blocked", {"seconds": seconds}, who.metadata())
        self._alarms.clear_alarm(HUB_BLOCKED)

    def _emit(self, event: str, measurements: dict[str, float], metadata: dict[str, Any]) -> None:
        self._telemetry.emit(event, measurements, **metadata)


class _Lines:
    """The log, for one line in `EVERY` seconds."""

    def __init__(self, warning: Callable[..., None] = log.warning) -> None:
        self._warning = warning
        self._next = 0.0
        self._left_out = 0

    def warning(self, now: float, text: str, *args: Any) -> None:
        if now < self._next:
            self._left_out += 1
            return
        more = f" (and {self._left_out} times since the last such line)" if self._left_out else ""
        self._next, self._left_out = now + EVERY, 0
        self._warning(text, *args, more)
