"""Where greenlets of this runtime wait: `Waiter`, a mailbox for one answer, and what ends a wait.

A call does not go through the caller's mailbox: it registers a `Waiter` under a fresh alias, and a reply to that alias
wakes the caller directly, whatever lies in its mailbox. The waiter leaves the table with the first outcome, so a late
or second answer finds nothing and is dropped.
"""

from __future__ import annotations

from typing import Any, Final

from gevent import getcurrent
from greenlet import greenlet

from pyerlnode.errors import UsageError
from pyerlnode.runtime.scheduler import Scheduler
from pyerlnode.runtime.timer import YOUNG, Timers
from pyerlnode.runtime.timer_core import Timer

_switch = greenlet.switch

PENDING: Final = 0
REPLY: Final = 1
DOWN: Final = 2
TIMEOUT: Final = 3


class Waiter:
    """One outcome that a greenlet waits for: a reply, the end of the server, or the time-out."""

    __slots__ = ("greenlet", "resumable", "scheduler", "state", "timeout", "timer", "timers", "value")

    def __init__(self, scheduler: Scheduler, timers: Timers) -> None:
        self.scheduler = scheduler
        self.timers = timers
        self.state = PENDING
        self.value: Any = None
        self.greenlet: Any = None
        self.resumable = False
        self.timer: Timer | None = None
        self.timeout: float | None = None

    def settle(self, state: int, value: Any) -> None:
        """The outcome; only the first counts."""
        if self.state == PENDING:
            self.state = state
            self.value = value
            if self.resumable:
                self.scheduler.wake(self)

    def down(self, reason: Any) -> None:
        """What it monitors has ended."""
        self.settle(DOWN, reason)

    def reply(self, message: Any) -> None:
        """A message to the alias: ``{Tag, Reply}``; anything else is no answer, and is dropped."""
        if type(message) is tuple and len(message) == 2:
            self.settle(REPLY, message[1])

    def wait(self, timeout: float | None) -> int:
        """Park until there is an outcome; give its kind. `timeout` in seconds, None for ever."""
        if self.state == PENDING:
            self.greenlet = me = getcurrent()
            scheduler = self.scheduler
            hub = scheduler.hub
            if me is hub:
                raise UsageError("the hub can not wait: call from a greenlet or a process")
            self.resumable = True
            if timeout is not None:
                self.timeout = timeout
                scheduler.arm_later(self)
            try:
                while self.state == PENDING:
                    _switch(hub)
            finally:
                self.resumable = False
                if self.timer is not None:
                    self.timer.cancel()
                    self.timer = None
        return self.state

    def arm(self) -> None:
        """The turn in which the wait began is over: from now on a timer runs."""
        timeout = self.timeout
        if timeout is not None and self.timer is None and self.state == PENDING:
            if timeout > YOUNG:
                self.timers.start_late(timeout, self)
            else:
                self.arm_for(timeout)

    def arm_for(self, seconds: float) -> None:
        """Start the timer of what is still waited for."""
        if self.timer is None and self.state == PENDING:
            self.timer = self.timers.start(seconds, self.settle, TIMEOUT, None)
