"""From another native thread into the hub of a system: `run_in`, and what tells who is in the wrong one.

A system belongs to the thread of its hub: its tables have no locks, and only there a greenlet may be switched to. So a
thread that is another one has a function run there, in a greenlet, and waits for the outcome. The wait is native: it
stops this thread, with whatever other hub it may run, and nothing else.

Nobody waits for ever: a job that has not begun after `PATIENCE` seconds is taken back, and the error says that the hub
does not run; when the system stops, jobs that are under way are told so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import gevent
from gevent.monkey import get_original

from pyerlnode.errors import UsageError, WrongThread
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.wakeup import TURN

T = TypeVar("T")
PATIENCE: Final = 10.0

get_ident: Callable[[], int] = get_original("_thread", "get_ident")
_allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
_WAITS: Final = 0
_RUNS: Final = 1
_OVER: Final = 2


class Job:
    """One function on its way into the hub, and its outcome."""

    __slots__ = ("_change", "done", "error", "function", "greenlet", "result", "state")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self.state = _WAITS
        self.greenlet: Any = None
        self._change = _allocate_lock()  # of the state: who is first may go on
        self.done = _allocate_lock()
        self.done.acquire()

    def _moves(self, before: int, to: int) -> bool:
        with self._change:
            moved = self.state == before
            if moved:
                self.state = to
            return moved

    def begin(self, jobs: set[Job]) -> None:
        """In the hub."""
        if self._moves(_WAITS, _RUNS):
            self.greenlet = gevent.spawn(self._perform, jobs)

    @edge
    def _perform(self, jobs: set[Job]) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = self.function()
        except BaseException as raised:
            error = raised
        jobs.discard(self)
        self.finish(_RUNS, result, error)

    def finish(self, before: int, result: Any, error: BaseException | None) -> bool:
        """The outcome, unless there is one, or it has not come so far."""
        if not self._moves(before, _OVER):
            return False
        self.result, self.error = result, error
        self.done.release()
        return True

    def abandon(self) -> None:
        """Nobody waits for it any more. In the hub."""
        if self.greenlet is not None:
            self.greenlet.kill(block=False)

    def given_up(self) -> bool:
        """Whether it had not begun, and will not."""
        return self._moves(_WAITS, _OVER)


def run_in(system: Any, function: Callable[[], T]) -> T:
    """Run `function` in a greenlet of the system's hub and wait for it; in that hub's own thread just call it.

    Raises what it raises, and `UsageError` when the hub does not run or the system was stopped meanwhile.
    """
    scheduler = system.scheduler
    if get_ident() == scheduler.thread:
        return function()
    job = Job(function)
    jobs: set[Job] = system.jobs
    jobs.add(job)
    try:
        if system.stopped:
            raise _stopped(system)
        scheduler.loop.run_callback_threadsafe(edge(job.begin), jobs)
        patience = PATIENCE
        while not job.done.acquire(True, min(TURN, PATIENCE)):
            patience -= TURN
            if patience <= 0 and job.given_up():
                raise WrongThread(
                    f"the thread of {system.node} has let nothing run for {PATIENCE:g} s: it must not wait for this one"
                )
    except BaseException:
        jobs.discard(job)
        if not job.given_up():  # this thread was interrupted while it waited
            scheduler.loop.run_callback_threadsafe(edge(job.abandon))
        raise
    if job.error is not None:
        raise job.error
    result: T = job.result
    return result


def end_jobs(system: Any) -> None:
    """The system is stopped: whoever waits in another thread waits no longer, unless that is who stops it."""
    me = gevent.getcurrent()
    for job in [*system.jobs]:
        if job.greenlet is not me and not job.finish(_WAITS, None, _stopped(system)):
            job.finish(_RUNS, None, _stopped(system))


def _stopped(system: Any) -> UsageError:
    return UsageError(f"{system.node} was stopped")


def wrong_thread(system: Any) -> WrongThread:
    return WrongThread(
        f"{system.node} belongs to another thread, the one in which it was opened: `send`, `cast` and `reply` may be "
        f"called from any, all else by node.run(function)"
    )
