"""Who runs next: ready processes on worker greenlets, in the order in which they became ready.

A process with a *handler body* has no greenlet while it is idle. When it has mail the scheduler hands it to a
worker, which runs its callback for each message, up to a slice. A callback may block: then its worker stays with it
and another one drains what is ready. A *function body* owns its greenlet and is switched to directly.

`drain` runs in the hub, either as a callback of the loop or called by a connection after it has delivered what it
read, so that what the processes answer goes out in one write. It stops after a time budget and lets the loop look
at its sockets.

    deliver → wake(process) → ready … drain: ┬ function body, waiting call → its own greenlet
                                             └ handler body → a worker: one slice, back to ready or idle
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any, Protocol

from gevent import get_hub, getcurrent
from greenlet import greenlet

from pyerlnode.runtime.edges import ProcessKilled, edge
from pyerlnode.runtime.process_core import ALIVE

SLICE = 200
"""Messages that one process handles before the next ready process has its turn."""
TURN = 0.01
"""Seconds for which ready processes run before sockets and timers are looked at."""
IDLE_WORKERS = 64
"""Parked workers that are kept; more of them end when they become idle."""


def in_thread(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Run `function` in a thread of the hub's pool; the calling greenlet waits, others run."""
    return get_hub().threadpool.apply(function, args, kwargs)


class Handler(Protocol):
    """A handler body: called on a worker with each message."""

    def handle(self, message: Any, /) -> object: ...


class Runnable(Protocol):
    """What the scheduler knows of a process; a waiting call has the first two only."""

    greenlet: Any
    resumable: bool
    parked: bool
    queue: deque[Any] | None
    handler: Any
    context: Any
    exit_reason: Any

    def crashed(self, error: BaseException) -> None: ...


class Worker(greenlet):  # type: ignore[misc]  # greenlet has no types
    """A greenlet that lends itself to one handler-bodied process after another."""

    erl_process: Runnable | None

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(parent=scheduler.hub)
        self.scheduler = scheduler
        self.erl_process = None

    def run(self) -> None:
        scheduler = self.scheduler
        ready = scheduler.ready
        while True:
            while ready and scheduler.current is self and ready[0].greenlet is None:
                self._slice(ready.popleft())
                if monotonic() > scheduler.turn_ends:
                    break
            if scheduler.stopping or len(scheduler.idle) >= IDLE_WORKERS:
                return
            scheduler.idle.append(self)
            scheduler.switch()

    def _slice(self, process: Runnable) -> None:
        """Let `process` handle its messages, at most `SLICE` of them."""
        queue = process.queue
        if queue is None or process.exit_reason is not ALIVE:
            return
        process.greenlet = self
        self.erl_process = process
        if process.context is not None:
            self.gr_context = process.context
        left = SLICE
        try:
            while queue and left:
                left -= 1
                # Looked up each time: `sys` may put another one in front. In the class: the rest is the user's.
                handler = process.handler
                type(handler).handle(handler, queue.popleft())
                if process.exit_reason is not ALIVE:
                    return
        except BaseException as error:
            process.crashed(error)
            return
        finally:
            process.greenlet = None
            self.erl_process = None
            if process.context is not None:
                self.gr_context = None
        if queue:
            self.scheduler.wake(process)
        else:
            process.queue = None
            process.parked = True


class Scheduler:
    """The ready queue of one system, in the hub of the thread that made it."""

    def __init__(self) -> None:
        self.hub: Any = get_hub()
        self.loop: Any = self.hub.loop
        self.ready: deque[Any] = deque()
        self.idle: list[Worker] = []
        self.current: Worker | None = None
        self.turn_ends = 0.0
        self.stopping = False
        self.unarmed: list[Any] = []
        """Waits with a time-out that began in this turn; most are over before a timer would have been made."""
        self._scheduled: Any = None
        self._draining = False

    def wake(self, item: Any) -> None:
        """Queue a process or a waiting call; `drain` will run in this turn of the loop."""
        self.ready.append(item)
        if self._scheduled is None and not self._draining:
            self._scheduled = self.loop.run_callback(self.drain)

    def in_hub(self) -> bool:
        """Whether the hub itself runs just now; it must not wait."""
        return getcurrent() is self.hub

    def switch(self) -> None:
        """Park the current greenlet until something switches back to it."""
        greenlet.switch(self.hub)

    def throw(self, process: Runnable, target: Any) -> None:
        """End what `process` does on `target` (its greenlet or worker), as soon as the hub runs."""
        self.loop.run_callback(self._throw, process, target)

    @staticmethod
    @edge
    def _throw(process: Runnable, target: Any) -> None:
        # A worker may have left the process meanwhile, and a greenlet may have ended by itself.
        if target.dead:
            return
        if getattr(target, "erl_process", None) is process or process in getattr(target, "erl_lenders", ()):
            target.throw(ProcessKilled)

    @staticmethod
    @edge
    def _resume(item: Any) -> None:
        if item.resumable:
            item.greenlet.switch()

    def hold(self) -> None:
        """Schedule nothing for those that become ready now: the caller is in the hub and calls `drain` itself."""
        self._draining = True

    @edge
    def drain(self) -> None:
        """Run what is ready. In the hub only. What leaves a greenlet by an exception costs that one, and no other."""
        if self._scheduled is not None:
            self._scheduled.stop()
            self._scheduled = None
        ready = self.ready
        self.turn_ends = monotonic() + TURN
        self._draining = True
        try:
            while ready:
                target = ready[0].greenlet
                if target is not None:
                    item = ready.popleft()
                    if item.resumable:  # else its greenlet left the wait by an exception
                        target.switch()
                else:
                    self.current = worker = self.idle.pop() if self.idle else Worker(self)
                    worker.switch()
                if monotonic() > self.turn_ends:
                    break
        finally:
            self.current = None
            self._draining = False
            if ready and self._scheduled is None:
                self._scheduled = self.loop.run_callback(self.drain)
            if self.unarmed:
                self._arm()

    def arm_later(self, wait: Any) -> None:
        """Call ``wait.arm()`` at the end of this turn, if it still waits then."""
        self.unarmed.append(wait)
        if self._scheduled is None and not self._draining:
            self._scheduled = self.loop.run_callback(self.drain)

    def _arm(self) -> None:
        unarmed, self.unarmed = self.unarmed, []
        for wait in unarmed:
            if wait.resumable:
                wait.arm()

    def close(self) -> None:
        """End the idle workers; one that is inside a callback ends when that returns.

        Whose wait is over is still told so, as a program's own greenlet that calls a process which ends just now.
        """
        self.stopping = True
        for item in self.ready:
            if item.greenlet is not None:
                self.loop.run_callback(self._resume, item)
        self.ready.clear()
        if self._scheduled is not None:
            self._scheduled.stop()
            self._scheduled = None
        while self.idle:  # each finds `stopping` set and returns; thrown into, it would not come back here
            self.loop.run_callback(self.idle.pop().switch)
