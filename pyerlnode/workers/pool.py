"""`WorkerPool`: several OS processes with the same target behind one pid; a call goes to one that is idle.

    node.start(WorkerPool, "model:predict", size=4, name="model")       # GenServer.call(:model, x) in Elixir

What a caller sees is a server that answers several calls at once:

    value                           what the target gave
    exit {python_error, …}          the exception that the function raised; its worker takes the next call
    exit {os_signal, sigsegv}, …    how the worker that had the call ended; it is replaced, and nobody else notices
    exit {pool_full, N}             N calls are waiting already

How a single call can end by an exit: the caller monitors the pool, and this one monitor is ended with the reason. So
`GenServer.call` exits in the caller as if it had called the worker itself, and the pool goes on.

Waiting calls are served fairly: one of each caller in turn, each caller's own in order. Who has given up meanwhile (its
time-out ended the monitor) is passed over. Casts wait in the queue as well; beyond its bound they are dropped.

When it is told to stop the pool drains: what runs and waits is finished, for at most `drain` seconds; then the workers
are stopped as a supervisor stops its children. A worker that can not be started is tried again every `RETRY` seconds;
when there is no other left, the pool ends with the reason.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.cluster.load import callers
from pyerlnode.errors import StartFailed, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Stop
from pyerlnode.otp.where import system_of
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference
from pyerlnode.workers.spares import shelf_of
from pyerlnode.workers.worker import Worker, name_of

log = logging.getLogger("pyerlnode.workers")

RETRY: Final = 1.0
STOP: Final = 1.0
"""Seconds that workers have to end in when the pool stops; then they are killed."""
STATS: Final = A["$worker_pool"]
_PING: Final = (A.debug, A.no_debug)


@dataclass(slots=True)
class Job:
    """A call or a cast on its way through the pool; `from_` is None for a cast."""

    message: Any
    from_: tuple[Any, Any] | None
    watched: bool = False
    """It came with a monitor, by which it can be seen that the caller has given up, and by which it can be ended."""


class WorkerPool(GenServer):
    """The process in front.

    ``init(target, size=4, args=(), queue=1000, drain=3.0, spares=1, memory=None, time_limit=None)``: `queue` is how
    many calls may wait; `drain` how many seconds a stop may take to finish them, less than the `shutdown` of its child
    spec; the rest as of `Worker`. It is started when its first worker is.
    """

    def init(
        self,
        target: Any,
        size: int = 4,
        args: Any = (),
        queue: int = 1000,
        drain: float = 3.0,
        spares: int = 1,
        memory: int | None = None,
        time_limit: float | None = None,
    ) -> None:
        if size < 1 or queue < 0:
            raise UsageError("a WorkerPool has at least one worker, and a queue of 0 or more")
        self.process.trap_exit = True
        self.size, self.limit, self.drain, self.spares = size, queue, drain, spares
        self.target = name_of(target)
        self.given = {"args": list(args), "memory": memory, "time_limit": time_limit}
        self.waiting: OrderedDict[Any, deque[Job]] = OrderedDict()
        self.waits = 0
        self.idle: deque[Pid] = deque()
        self.workers: dict[Pid, tuple[Reference, Job] | None] = {}
        """Each with what it does just now."""
        self.busy: dict[tuple[int, ...], Pid] = {}
        self.done = self.failed = self.crashed = self.refused = self.abandoned = 0
        self.starters: dict[Process, None] = {}
        self.stopping = False
        self._started(self._start(self.process))
        for _ in range(size - 1):
            self._start_another()
        if spares:
            shelf_of(self.process.system).want(self.target, spares)

    @staticmethod
    def stats(dest: Any, *, on: Any = None) -> dict[Any, Any]:
        """``size, workers, idle, busy, waiting, done, failed, crashed, refused, abandoned`` of the pool `dest`.

        From Elixir: ``{:ok, stats} = :gen.call(pool, :"$worker_pool", :stats)``.
        """
        found: dict[Any, Any] = gen.call(system_of(on), dest, A.stats, label=STATS)
        return found

    def system_get_state(self) -> Any:
        return {
            A.size: self.size,
            A.workers: len(self.workers),
            A.idle: len(self.idle),
            A.busy: len(self.busy),
            A.waiting: self.waits,
            A.done: self.done,
            A.failed: self.failed,
            A.crashed: self.crashed,
            A.refused: self.refused,
            A.abandoned: self.abandoned,
        }

    # --- what comes in -------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> NoReply:
        self._take(Job((gen.CALL, request), from_, callers.watcher(self.process, from_) is not None))
        return NoReply()

    def handle_cast(self, request: Any) -> None:
        self._take(Job((gen.CAST, request), None))

    def handle_info(self, message: Any) -> Any:
        match message:
            case (Reference() as ref, value) if ref.words in self.busy:
                self._finished(ref, value)
            case _Failed() if message.ref.words in self.busy:
                self._finished_without(message.ref, message.reason)
            case (A.EXIT, Pid() as pid, reason) if pid in self.workers:
                return self._ended(pid, reason)
            case _Started():
                self.starters.pop(message.by, None)
                self._started(message.pid)
            case _NotStarted():
                self.starters.pop(message.by, None)
                return self._not_started(message.error)
            case _Retry():
                self._start_another()
            case (label, from_, _) if label is STATS:
                gen.reply(self.process.system, from_, self.system_get_state())
            case (A.EXIT, _, _):
                pass  # of one that helped to start another
            case _:
                super().handle_info(message)
        return None

    def _take(self, job: Job) -> None:
        if self.idle:
            self._give(job, self.idle.popleft())
        elif self.waits >= self.limit:
            self.refused += 1
            self._fail(job, (A.pool_full, self.limit))
        else:
            self.waits += 1
            self.waiting.setdefault(None if job.from_ is None else job.from_[0], deque()).append(job)

    # --- workers -------------------------------------------------------------------------------
    def _give(self, job: Job, worker: Pid) -> None:
        system = self.process.system
        ref = system.new_ref()
        self.workers[worker] = (ref, job)
        self.busy[ref.words] = worker
        kind, request = job.message
        me = (self.process.pid, ref)
        if kind is gen.CALL:
            system.send(worker, (gen.CALL, me, request))
        else:  # the answer to the second message says that the first is done
            system.send(worker, (gen.CAST, request))
            system.send(worker, (A.system, me, _PING))

    def _next(self) -> Job | None:
        """The next of those that wait: one of each caller in turn."""
        while self.waiting:
            caller, jobs = self.waiting.popitem(last=False)
            job = jobs.popleft()
            self.waits -= 1
            if jobs:
                self.waiting[caller] = jobs
            if job.from_ is None or not job.watched or callers.watcher(self.process, job.from_) is not None:
                return job
            self.abandoned += 1
        return None

    def _free(self, worker: Pid) -> None:
        job = self._next()
        if job is None:
            self.idle.append(worker)
        else:
            self._give(job, worker)

    def _finished(self, ref: Reference, value: Any) -> None:
        worker, job = self._taken_back(ref)
        self.done += 1
        if job.from_ is not None:
            gen.reply(self.process.system, job.from_, value)
        self._free(worker)

    def _finished_without(self, ref: Reference, reason: Any) -> None:
        """The function raised."""
        worker, job = self._taken_back(ref)
        self.failed += 1
        self._fail(job, reason)
        self._free(worker)

    def _taken_back(self, ref: Reference) -> tuple[Pid, Job]:
        worker = self.busy.pop(ref.words)
        given = self.workers[worker]
        assert given is not None  # it is busy
        self.workers[worker] = None
        return worker, given[1]

    def _ended(self, worker: Pid, reason: Any) -> Any:
        given = self.workers.pop(worker)
        self.crashed += 1
        if given is None:
            self.idle.remove(worker)
        else:
            del self.busy[given[0].words]
            self._fail(given[1], reason)
        self._start_another()
        return None

    # --- starting ------------------------------------------------------------------------------
    def _start(self, parent: Process) -> Pid:
        system = parent.system
        pid = gen_server.start(system, PoolWorker, (self.target,), {**self.given, "spares": self.spares}, link=parent)
        if pid is None:
            raise StartFailed(A.ignore, f"{self.target} of a WorkerPool does not want to run: its init gave Ignore")
        return pid

    def _start_another(self) -> None:
        """In a process of its own: the pool goes on meanwhile."""
        if not self.stopping:
            me = self.process
            self.starters[me.system.spawn_function(self._start_beside, (me,), {}, link=me)] = None

    def _start_beside(self, pool: Process) -> None:
        me = require_current()
        try:
            pid = self._start(pool)
        except StartFailed as error:
            pool.deliver(_NotStarted(me, error))
        else:
            pool.deliver(_Started(me, pid))

    def _started(self, worker: Pid) -> None:
        self.workers[worker] = None
        self._free(worker)

    def _not_started(self, error: StartFailed) -> Any:
        if not self.workers and not self.starters:
            return Stop((A.no_workers, error.reason))
        log.warning("a worker of %s could not be started, again in %g s: %s", self.target, RETRY, error)
        self.process.system.timers.start(RETRY, self.process.deliver, _Retry())
        return None

    def _fail(self, job: Job, reason: Any) -> None:
        """End the caller's call by `reason`; one that waits without a monitor gets it as an answer."""
        if job.from_ is not None:
            callers.end_call(self.process, job.from_, job.watched, (A.error, reason), reason)

    # --- the end -------------------------------------------------------------------------------
    def terminate(self, reason: Any) -> None:
        """Finish what runs and waits, then stop the workers, those too that are just being started."""
        del reason
        self.stopping = True
        now = self.process.system.timers.now
        until = now() + self.drain
        while self.busy and (left := until - now()) > 0:
            message = self.process.receive(self._concerns_a_job, left)
            if message is NOTHING:
                break
            self.handle_info(message)
        for starter in self.starters:
            starter.exit(A.kill)
        for linked in self.process.links or ():
            if isinstance(linked, Process) and isinstance(linked.handler, PoolWorker):
                self.workers.setdefault(linked.pid)
        for worker in self.workers:
            self.process.system.exit(worker, A.shutdown)
        self._await_workers(now() + STOP)
        for worker in self.workers:
            self.process.system.exit(worker, A.kill)
        self._await_workers(now() + STOP)

    def _concerns_a_job(self, message: Any) -> bool:
        match message:
            case (Reference() as ref, _):
                return ref.words in self.busy
            case (A.EXIT, Pid() as pid, _):
                return pid in self.workers
        return isinstance(message, (_Started, _Failed))

    def _await_workers(self, until: float) -> None:
        now = self.process.system.timers.now

        def ended(message: Any) -> bool:
            match message:
                case (A.EXIT, Pid() as pid, _):
                    return pid in self.workers
            return False

        while self.workers and (left := until - now()) > 0:
            message = self.process.receive(ended, left)
            if message is not NOTHING:
                del self.workers[message[1]]


class PoolWorker(Worker):
    """A worker that tells its pool of a call that failed as no value can."""

    def failed(self, from_: Any, reason: Any) -> None:
        pool = self.process.system.process(from_[0])
        if pool is None or from_[0] != self.process.parent:
            super().failed(from_, reason)  # who found this worker and asked it past the pool
        else:
            pool.deliver(_Failed(from_[1], reason))


class _Failed:
    """To the pool: the function raised in the call `ref`."""

    __slots__ = ("reason", "ref")

    def __init__(self, ref: Reference, reason: Any) -> None:
        self.ref = ref
        self.reason = reason


class _Started:
    """To the pool: another worker is up."""

    __slots__ = ("by", "pid")

    def __init__(self, by: Process, pid: Pid) -> None:
        self.by = by
        self.pid = pid


class _NotStarted:
    """To the pool: another worker did not come up."""

    __slots__ = ("by", "error")

    def __init__(self, by: Process, error: StartFailed) -> None:
        self.by = by
        self.error = error


class _Retry:
    """To the pool: try to start a worker again."""

    __slots__ = ()
