"""``erlang:start_timer``, ``read_timer`` and ``cancel_timer``: timers that are known by a reference."""

from __future__ import annotations

from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference


class TimerRefs(dict[tuple[int, ...], Timer]):
    """The timers of one system that were started by reference and have not fired."""

    def __init__(self, system: Any) -> None:
        super().__init__()
        self._system = system

    def start(self, delay: float, dest: Any, message: Any) -> Reference:
        """After `delay` seconds `dest` gets ``(A.timeout, ref, message)``."""
        system = self._system
        ref: Reference = system.new_ref()
        system.myself().mark(ref)
        if type(dest) is Pid and not system.is_local(dest):
            raise UsageError("a timer sends to a process of its own node only")
        self[ref.words] = system.timers.start(delay, self._fired, ref, dest, message)
        return ref

    def _fired(self, ref: Reference, dest: Any, message: Any) -> None:
        del self[ref.words]
        self._system.send(dest, (A.timeout, ref, message))

    def read(self, ref: Reference) -> float | None:
        """Seconds until the timer fires; None for one that has fired, was cancelled, or never was."""
        timer = self.get(ref.words)
        if timer is None:
            return None
        dest = timer.args[1]
        if type(dest) is Pid and self._system.process(dest) is None:  # a timer goes with its process
            del self[ref.words]
            timer.cancel()
            return None
        left: float = timer.deadline - self._system.timers.now()
        return max(0.0, left)

    def cancel(self, ref: Reference) -> float | None:
        """Cancel; the seconds that were left, or None as `read`."""
        left = self.read(ref)
        timer = self.pop(ref.words, None)
        if timer is not None:
            timer.cancel()
        return left
