"""Who runs next: ready processes on worker greenlets, in the order in which they became ready.

A process with a *handler body* has no greenlet while it is idle. When it has mail the scheduler hands it to a
worker, which runs its callback for each message, up to a slice. A callback may block: then its worker stays with it
and another one drains what is ready. A *function body* owns its greenlet and is switched to directly.

`drain` runs in the hub, either as a callback of the loop or called by a connection after it has delivered what it
read, so that what the processes answer goes out in one write. It stops after a time budget and lets the loop look
at its sockets.

A slice ends after `SLICE` messages or `SLICE_TIME`, whichever is first, so a process with a backlog lets the others
run: who is idle waits for one slice of each process that is ready before it, and for the callback that runs just now.
Nothing interrupts a callback; reading the clock costs as much as a small message, so it is read after the first, the
second and the fourth message of a slice, and then after every eighth. A slice that took twice its time so, by slow
callbacks behind quick ones, is the last one of its process that can: the clock is then read after each of its messages.

    deliver → wake(process) → ready … drain: ┬ function body, waiting call → its own greenlet
                                             └ handler body → a worker: one slice, back to ready or idle
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, Protocol

from gevent import get_hub, getcurrent, reinit
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import get_original
from greenlet import greenlet

from pyerlnode.runtime.edges import ProcessKilled, edge, escaped
from pyerlnode.runtime.process_core import ALIVE
from pyerlnode.term.pid import Pid

SLICE = 200
"""Messages that one process handles at most before the next ready process has its turn."""
SLICE_TIME = 0.005
"""Seconds after which that turn comes, however few messages those were."""
_PORTIONS = [range(size) for size in (1, 2, 4, *[8] * (SLICE // 8 - 1))]
"""What a slice consists of behind its first message: the clock is read before each of these."""
_ONE_BY_ONE = [range(1)] * (SLICE - 1)
"""The same of a process that has kept the others waiting."""
WATCHED = 10
"""Slices in a row that a process which did must end in time, before fewer looks do again."""
MOST_WATCHED = 1_000
TURN = 0.01
"""Seconds for which ready processes run before sockets and timers are looked at."""
IDLE_WORKERS = 64
"""Parked workers that are kept; more of them end when they become idle."""


_get_ident: Callable[[], int] = get_original("_thread", "get_ident")


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
    pid: Pid
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
        ready, clock = scheduler.ready, scheduler.clock
        while True:
            now = scheduler.slice_began
            while ready and scheduler.current is self and ready[0].greenlet is None:
                self._slice(ready.popleft(), now)
                now = clock()
                if now > scheduler.turn_ends:
                    break
            if scheduler.stopping or len(scheduler.idle) >= IDLE_WORKERS:
                return
            scheduler.idle.append(self)
            scheduler.switch()

    def _slice(self, process: Runnable, began: float) -> None:
        """Let `process` handle its messages, at most `SLICE` of them and for `SLICE_TIME`."""
        queue = process.queue
        if queue is None or process.exit_reason is not ALIVE:
            return
        process.greenlet = self
        self.erl_process = process
        if process.context is not None:
            self.gr_context = process.context
        try:
            if queue:
                handler = process.handler  # its class is asked for `handle`: the rest is the user's
                type(handler).handle(handler, queue.popleft())
                if queue:
                    self._more(process, queue, began)
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

    def _more(self, process: Runnable, queue: deque[Any], began: float) -> None:
        """The slice that `began` then, from the second message on."""
        scheduler = self.scheduler
        clock, portions = scheduler.clock, _PORTIONS
        if scheduler.watched and scheduler.is_watched(process):
            portions = _ONE_BY_ONE
        for portion in portions:
            if process.exit_reason is not ALIVE:
                return
            now = clock()
            if now - began > SLICE_TIME:
                if now - began > 2 * SLICE_TIME:
                    scheduler.watch(process)
                return
            handler = process.handler
            handle = type(handler).handle
            for _ in portion:
                if process.handler is not handler:  # `sys` has put another one in front
                    handler = process.handler
                    handle = type(handler).handle
                handle(handler, queue.popleft())
                if not queue or process.exit_reason is not ALIVE:
                    return


class _Pause:
    """A greenlet that lets others run."""

    __slots__ = ("greenlet", "resumable")

    def __init__(self, me: Any) -> None:
        self.greenlet = me
        self.resumable = True


class Scheduler:
    """The ready queue of one system, in the hub of the thread that made it."""

    __slots__ = (
        "_draining", "_looks", "_next_turn", "_scheduled", "clock", "counted", "current", "hub", "idle", "loop",
        "ready", "slice_began", "stopping", "thread", "turn_ends", "unarmed", "unlooked", "watched",
    )  # fmt: skip

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.hub: Any = get_hub()
        self.loop: Any = self.hub.loop
        self.thread = _get_ident()
        self.clock = clock
        self.ready: deque[Any] = deque()
        self.idle: list[Worker] = []
        self.current: Worker | None = None
        self.turn_ends = 0.0
        self.slice_began = 0.0
        self.watched: dict[Pid, int] = {}
        """Whose slices took twice their time: how many of them have to be in time from now on."""
        self.unlooked = 0
        """Calls of `breathe` that need not look at the clock, after the first few of a slice (`_looks`) that have."""
        self._looks = 0
        self.counted = 0.0
        """The slice, by when it began, that those are of."""
        self.stopping = False
        self.unarmed: list[Any] = []
        """Waits with a time-out that began in this turn; most are over before a timer would have been made."""
        self._scheduled: Any = None
        self._next_turn: Any = None
        """A timer, no callback of the loop: of those it runs up to fifty before it looks at its sockets."""
        self._draining = False

    def wake(self, item: Any) -> None:
        """Queue a process or a waiting call; `drain` will run in this turn of the loop."""
        self.ready.append(item)
        if self._scheduled is None and not self._draining:
            self._scheduled = self.loop.run_callback(self.drain)

    def in_hub(self) -> bool:
        """Whether the hub itself runs just now; it must not wait."""
        return getcurrent() is self.hub

    @property
    def at_rest(self) -> bool:
        """Whether nobody is ready, nor will be looked for in the next turn of the loop."""
        return not self.ready and self._scheduled is None

    def switch(self) -> None:
        """Park the current greenlet until something switches back to it."""
        greenlet.switch(self.hub)

    def pause(self) -> None:
        """Let everything that is ready run, sockets and timers too, before the current greenlet goes on."""
        me = getcurrent()
        if me is not self.hub:  # which must not wait
            pause = _Pause(me)
            self.wake(pause)
            try:
                self.switch()
            finally:
                pause.resumable = False

    def breathe(self) -> None:
        """`pause`, if the slice is over: before each step of a loop whose length others decide."""
        if self.counted is not self.slice_began:
            self.counted = self.slice_began
            self.unlooked = self._looks = 0
        elif self.unlooked:
            self.unlooked -= 1
            return
        if self.clock() - self.slice_began > SLICE_TIME:
            self.pause()
        elif self._looks < 4:
            self._looks += 1
        else:
            self.unlooked = 7

    def watch(self, process: Runnable) -> None:
        """Read the clock after each message of `process`, in its next slices: this one took twice its time."""
        if len(self.watched) >= MOST_WATCHED:
            self.watched.clear()  # of the dead, most of them
        self.watched[process.pid] = WATCHED

    def is_watched(self, process: Runnable) -> bool:
        """Whether a slice of `process`, which begins, is one of those."""
        left = self.watched.get(process.pid)
        if left is None:
            return False
        if left:
            self.watched[process.pid] = left - 1
        else:
            del self.watched[process.pid]
        return True

    @edge
    def in_turns(self, steps: Iterator[object], timer: Any = None) -> None:
        """Take `steps` for up to a turn, and what is left of them in later turns of the loop. They must not wait."""
        if timer is not None:
            timer.close()
        ends = self.clock() + TURN
        for count, _ in enumerate(steps):
            if not count & 63 and self.clock() > ends and not self.stopping:
                later = self.loop.timer(0.0)
                later.start(self.in_turns, steps, later)
                return

    def throw(self, process: Runnable, target: Any) -> None:
        """End what `process` does on `target` (its greenlet or worker), as soon as the hub runs."""
        self.loop.run_callback(self._throw, process, target)

    @staticmethod
    @edge
    def _throw(process: Runnable, target: Any) -> None:
        # A worker may have left the process meanwhile, and a greenlet may have ended by itself.
        if not target.dead and process.greenlet is target:
            target.throw(ProcessKilled)

    @staticmethod
    @edge
    def _resume(item: Any) -> None:
        if item.resumable:
            item.greenlet.switch()

    def hold(self) -> None:
        """Schedule nothing for those that become ready now: the caller is in the hub and calls `drain` itself."""
        self._draining = True

    def drain(self) -> None:
        """Run what is ready. In the hub only. What leaves a greenlet by an exception costs that one, and no other.

        An edge by itself: this is called for each message that finds nobody else at work.
        """
        ready, clock = self.ready, self.clock
        try:
            if self._scheduled is not None:
                self._scheduled.stop()
                self._scheduled = None
            now = clock()
            self.turn_ends = now + TURN
            self._draining = True
            while ready:
                self.slice_began = now
                target = ready[0].greenlet
                if target is not None:
                    item = ready.popleft()
                    if item.resumable:  # else its greenlet left the wait by an exception
                        target.switch()
                else:
                    self.current = worker = self.idle.pop() if self.idle else Worker(self)
                    worker.switch()
                now = clock()
                if now > self.turn_ends:
                    break
        except BaseException as error:
            escaped("Scheduler.drain", error)
        finally:
            self.current = None
            self._draining = False
            if ready and self._scheduled is None:
                self._scheduled = self._after_sockets()
            if self.unarmed:
                self._arm()

    def _after_sockets(self) -> Any:
        """Have the loop call `drain` when it has looked at its sockets."""
        if self.stopping:
            return self.loop.run_callback(self.drain)
        if self._next_turn is None:
            self._next_turn = self.loop.timer(0.0)
        self._next_turn.start(self.drain)
        return self._next_turn

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
        if self._next_turn is not None:
            self._next_turn.close()
        while self.idle:  # each finds `stopping` set and returns; thrown into, it would not come back here
            self.loop.run_callback(self.idle.pop().switch)

    def forsake(self) -> None:
        """In a fork: nobody is ready, and the loop, if this thread runs it, is no longer one with the parent's."""
        self.stopping = True
        self.ready.clear()
        self.unarmed.clear()
        if self._scheduled is not None:
            self._scheduled.stop()
            self._scheduled = None
        if self._next_turn is not None:
            self._next_turn.close()
        if get_hub_if_exists() is self.hub:
            reinit(self.hub)
