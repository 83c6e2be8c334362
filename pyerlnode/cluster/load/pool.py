"""Pool: several servers behind one name; a call goes to one that has room, and its answer comes straight back.

    node.start(Pool, Model, "weights.bin", size=4, name="model")    # in Elixir: GenServer.call({:model, node}, request)

The pool is a process with a supervisor of its own, whose children are the members. It hands each call on with the
caller's own `From`, so the member answers the caller and the pool sees no answer. That a member has done with a call it
learns from a system message that it sends behind it; so a member that answers later (`NoReply`) counts as free as soon
as its callback has returned. Who gets a call, who waits and who is refused is decided in `pool_core`.

What a caller sees is a server that answers several calls at once:

    answer                           the member's
    {error, overload}                `queue` calls wait already: at once
    {error, timeout}                 it has waited `max_wait` seconds
    {error, bad_key}                 the pool's `key` found none in the request
    exit with the member's reason    the member ended during the call; it is replaced, and no other caller notices

A call whose caller has given up is not given to a member any more. A member may be borrowed, for oneself alone, until
it is given back or the borrower has ended; to others it counts as busy:

    call {'$pool', checkout}         {ok, {Ref, Pid}} | {error, overload | timeout}
    call {'$pool', checkout, Ms}     the same, by one that waits that long at most
    cast {'$pool', checkin, Ref}     the loan is over
    call {'$pool', stats}            a map
    call {'$pool', resize, Size}     ok, from processes of its own node; others get {error, not_allowed}

When its supervisor gives up (too many restarts), so does the pool, and its own supervisor may start it anew.

Telemetry, when given: ``pool.refused`` (`waiting`; `pool`, `reason`), ``pool.crashed`` (`lost`: calls; `pool`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from pyerlnode.brief import BRIEF, short, told
from pyerlnode.cluster.load import callers
from pyerlnode.cluster.load import pool_core as core
from pyerlnode.errors import Exit, StartFailed, UsageError
from pyerlnode.otp import gen
from pyerlnode.otp.child_spec import ChildSpec, child_of
from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.otp.stopping import stop_processes
from pyerlnode.otp.supervisor import SupervisorError
from pyerlnode.otp.where import start_class, started, system_of
from pyerlnode.runtime.edges import caught
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid, Reference, Words

log = logging.getLogger("pyerlnode.pool")

POOL: Final = A["$pool"]
PING: Final = A["$pool_ping"]
RETRY: Final = 1.0
"""Seconds until a further member that could not be started is tried again."""
RANGE: Final = 1 << 32


class PoolBusy(Exit):
    """No member could be borrowed; `reason` is ``A.overload`` or ``A.timeout``."""

    def __init__(self, pool: Any, reason: Atom) -> None:
        super().__init__(reason, f"no member of the pool {short(pool)} could be borrowed: {told(reason, BRIEF)}")


class Job:
    """A call, a cast (`from_` is None) or a loan on its way through the pool."""

    __slots__ = ("from_", "loan", "member", "message", "watched")

    def __init__(self, message: Any, from_: Any, watched: bool, loan: Reference | None = None) -> None:
        self.message = message
        self.from_ = from_
        self.watched = watched
        self.loan = loan
        """The monitor of the borrower, which is also how the loan is called."""
        self.member: Pid | None = None


class Pool(GenServer):
    """The process in front.

    Args of `init`:
        cls, args, kwargs: the members' class, and what its `init` is given.
        size: how many members. The pool has started when all of them have.
        in_flight, strategy, queue, max_wait: `PoolRules`.
        key: gives the key of a request, for the strategy ``hash``; the pool runs it, so it should be quick.
        max_restarts, max_seconds: more crashes than these within so many seconds end the pool.
        shutdown: seconds that a member has to end in.
        telemetry: what events are told to, as a node's ``telemetry.emit``.
    """

    def init(
        self,
        cls: type[GenServer],
        *args: Any,
        size: int = 4,
        in_flight: int = 1,
        strategy: core.Strategy = "least_loaded",
        queue: int = 1000,
        max_wait: float = 1.0,
        key: Callable[[Any], Any] | None = None,
        max_restarts: int = 3,
        max_seconds: float = 5,
        shutdown: float = 5.0,
        telemetry: Callable[..., object] | None = None,
        **kwargs: Any,
    ) -> None:
        rules = core.PoolRules(in_flight=in_flight, strategy=strategy, queue=queue, max_wait=max_wait)
        if (strategy == "hash") != (key is not None):
            raise UsageError("a pool has a key when its strategy is hash, and only then")
        self.process.trap_exit = True
        self.pool = core.Pool(rules, size)
        self.key = key
        self.emit = telemetry
        self.pings: dict[Words, Job] = {}
        self.loans: dict[Words, Job] = {}
        self.monitors: dict[Words, Pid] = {}
        self.timer: Timer | None = None
        self.stopping = False
        self.child: ChildSpec = child_of(
            {"id": "member", "start": (_start_member, [self.process, cls, args, kwargs]), "shutdown": shutdown}
        )
        limits = {"max_restarts": max_restarts, "max_seconds": max_seconds}
        self.supervisor = started(start_class(self.process, DynamicSupervisor, (), limits))
        for _ in range(size):
            DynamicSupervisor.start_child(self.supervisor, self.child)

    def now(self) -> float:
        now: float = self.process.system.timers.now()
        return now

    def system_get_state(self) -> Any:
        return {Atom(key): value for key, value in self.pool.info().items()}

    # --- what comes in -------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        if not callers.is_from(from_):
            return NoReply()
        if type(request) is tuple and request and request[0] is POOL:
            return self._control(request, from_)
        watched = callers.watcher(self.process, from_) is not None
        if callers.has_given_up(self.process, from_, watched):
            return NoReply()
        return self._take(Job((gen.CALL, from_, request), from_, watched), request)

    def handle_cast(self, request: Any) -> None:
        match request:
            case (tag, A.checkin, Reference() as ref) if tag is POOL:
                self._checkin(ref)
            case (tag, *_) if tag is POOL:
                pass
            case _:
                self._take(Job((gen.CAST, request), None, False), request)

    def handle_info(self, message: Any) -> Any:
        match message:
            case (Reference() as ref, _) if ref.words in self.pings:
                job = self.pings.pop(ref.words)
                self._carry_out(self.pool.finished(job, self.now()))
            case (A.DOWN, Reference() as ref, _, _, reason) if ref.words in self.monitors:
                self._ended(self.monitors.pop(ref.words), reason)
            case (A.DOWN, Reference() as ref, _, _, _) if ref.words in self.loans:
                self._checkin(ref)
            case _Joined():
                self.monitors[self.process.system.monitor(self.process, message.pid).words] = message.pid
                self._carry_out(self.pool.joined(message.pid, self.now()))
            case _Tick():
                self.timer = None
                self._carry_out(self.pool.expire(self.now()))
            case _Wanted():
                self._beside(self._start, message.count)
            case (A.EXIT, Pid() as pid, reason):
                return Stop(reason) if pid == self.supervisor else None
            case _:
                super().handle_info(message)
        return None

    def _control(self, request: Any, from_: Any) -> Any:
        match request[1:]:
            case (A.checkout,):
                return self._lend(from_, None)
            case (A.checkout, int(milliseconds)) if 0 <= milliseconds < RANGE:
                return self._lend(from_, milliseconds / 1000)
            case (A.stats,):
                return Reply(self.system_get_state())
            case (A.resize, int(size)) if 1 <= size < RANGE and size is not True:
                if from_[0].node is not self.process.system.node:
                    return Reply((A.error, A.not_allowed))
                self._carry_out(self.pool.resize(size, self.now()))
                return Reply(A.ok)
        return Reply((A.error, A.badarg))

    def _take(self, job: Job, request: Any) -> Any:
        hash = None
        if self.key is not None:
            try:
                hash = phash2(self.key(request), RANGE)
            except BaseException as error:  # a request that it was not made for must not end the pool
                caught(error)
                return Reply((A.error, A.bad_key))
        self._carry_out(self.pool.ask(job, self.now(), hash=hash))
        return NoReply()

    # --- loans ---------------------------------------------------------------------------------
    def _lend(self, from_: Any, patience: float | None) -> NoReply:
        watched = callers.watcher(self.process, from_) is not None
        if not callers.has_given_up(self.process, from_, watched):
            ref = self.process.system.monitor(self.process, from_[0])
            job = self.loans[ref.words] = Job(None, from_, watched, ref)
            self._carry_out(self.pool.ask(job, self.now(), alone=True, patience=patience))
        return NoReply()

    def _checkin(self, ref: Reference) -> None:
        """The loan is over; the member is free when it has done what the borrower asked of it."""
        job = self.loans.get(ref.words)
        if job is None or job.loan != ref:
            return  # twice, late, or garbage
        self._forget(job)
        if job.member is None:
            self._carry_out(self.pool.gone(job, self.now()))
        else:
            self._ping(job)

    def _forget(self, job: Job) -> None:
        if job.loan is not None and self.loans.pop(job.loan.words, None) is not None:
            self.process.system.demonitor(self.process, job.loan, flush=True)

    # --- members -------------------------------------------------------------------------------
    def _ping(self, job: Job) -> None:
        """Have the member say when it has done with all that it was sent so far."""
        system = self.process.system
        ref = system.new_ref()
        self.pings[ref.words] = job
        system.send(job.member, (A.system, (self.process.pid, ref), PING))

    def _ended(self, member: Pid, reason: Any) -> None:
        jobs, effects = self.pool.left(member, self.now())
        for job in jobs:
            assert isinstance(job, Job)
            self._forget(job)
            if job.from_ is not None and job.loan is None:
                callers.end_call(self.process, job.from_, job.watched, (A.error, reason), reason)
        if jobs:
            lost = set(jobs)
            self.pings = {words: job for words, job in self.pings.items() if job not in lost}
        if self.emit is not None:
            self.emit("pool.crashed", {"lost": len(jobs)}, pool=self._called())
        self._carry_out(effects)

    def _called(self) -> Any:
        return self.process.name or self.process.pid

    def _carry_out(self, effects: list[core.Effect]) -> None:
        for effect in effects:  # grows by what follows from a caller that has given up
            match effect:
                case core.Give(job, member):
                    effects += self._give(job, member)
                case core.Refuse(job, reason):
                    self._refuse(job, reason)
                case core.Stop(member):
                    self._beside(self._stop_member, member)
                case core.Want(count):
                    self._beside(self._start, count)
        self._arm()

    def _give(self, job: Any, member: Any) -> list[core.Effect]:
        if job.from_ is not None and callers.has_given_up(self.process, job.from_, job.watched):
            self._forget(job)
            return self.pool.finished(job, self.now(), ran=False)
        job.member = member
        if job.loan is not None:
            gen.reply(self.process.system, job.from_, (A.ok, (job.loan, member)))
        else:
            self.process.system.send(member, job.message)
            job.message = None
            self._ping(job)
        return []

    def _refuse(self, job: Any, reason: Atom) -> None:
        self._forget(job)
        if job.from_ is not None:
            gen.reply(self.process.system, job.from_, (A.error, reason))
        if self.emit is not None:
            self.emit("pool.refused", {"waiting": len(self.pool.waiting)}, pool=self._called(), reason=reason.name)

    def _arm(self) -> None:
        deadline = self.pool.next_deadline()
        if deadline is None or (self.timer is not None and self.timer.deadline <= deadline):
            return
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.process.system.timers.start(deadline - self.now(), self.process.deliver, _Tick())

    # --- beside the pool, which goes on meanwhile ----------------------------------------------
    def _beside(self, function: Callable[[Any], object], argument: Any) -> None:
        if not self.stopping:
            self.process.system.spawn_function(function, (argument,), {}, link=self.process)

    def _start(self, count: int) -> None:
        left = count
        try:
            while left:
                DynamicSupervisor.start_child(self.supervisor, self.child)
                left -= 1
        except StartFailed as error:
            called = self._called()
            log.warning("a member of the pool %s could not be started, again in %g s: %s", called, RETRY, error)
            self.process.system.timers.start(RETRY, self.process.deliver, _Wanted(left))

    def _stop_member(self, member: Pid) -> None:
        try:
            DynamicSupervisor.terminate_child(self.supervisor, member)
        except SupervisorError:
            return  # it has ended by itself; what was started in its place finds none, and is stopped in its turn

    def terminate(self, reason: Any) -> None:
        del reason
        self.stopping = True
        if self.timer is not None:
            self.timer.cancel()
        stop_processes(self.process, [(self.supervisor, A.infinity)])

    # --- from Python ---------------------------------------------------------------------------
    @staticmethod
    def stats(dest: Any, *, on: Any = None) -> dict[str, Any]:
        """`pool_core.Pool.info` of the pool `dest`."""
        return {str(key): value for key, value in gen.call(system_of(on), dest, (POOL, A.stats)).items()}

    @staticmethod
    def resize(dest: Any, size: int, *, on: Any = None) -> None:
        """Have so many members from now on; those that are too many finish what they have under way."""
        if gen.call(system_of(on), dest, (POOL, A.resize, size)) is not A.ok:
            raise UsageError(f"the pool {short(dest)} can not be resized to {short(size)} from here")

    @staticmethod
    def checkout(dest: Any, *, timeout: float | None = None, on: Any = None) -> Loan:
        """Borrow a member: ``with Pool.checkout("model", on=node) as pid: …``.

        `timeout`: seconds that it waits at most, when the pool lets it wait as long. Raises `PoolBusy`.
        """
        system = system_of(on)
        request = (POOL, A.checkout) if timeout is None else (POOL, A.checkout, round(timeout * 1000))
        match gen.call(system, dest, request, None):
            case (A.ok, (Reference() as ref, Pid() as pid)):
                return Loan(system, dest, ref, pid)
            case (A.error, (A.overload | A.timeout) as reason):
                raise PoolBusy(dest, reason)
        raise UsageError(f"{short(dest)} is no pool")


class Loan:
    """A member that is borrowed, until `checkin` or the end of the borrower; as a context it gives the member's pid."""

    __slots__ = ("_dest", "_ref", "_system", "pid")

    def __init__(self, system: Any, dest: Any, ref: Reference, pid: Pid) -> None:
        self._system = system
        self._dest = dest
        self._ref: Reference | None = ref
        self.pid = pid

    def checkin(self) -> None:
        """Give it back; a second time changes nothing."""
        ref, self._ref = self._ref, None
        if ref is not None:
            gen.cast(self._system, self._dest, (POOL, A.checkin, ref))

    def __enter__(self) -> Pid:
        return self.pid

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.checkin()


class _Joined:
    """To the pool: a member has started."""

    __slots__ = ("pid",)

    def __init__(self, pid: Pid) -> None:
        self.pid = pid


class _Wanted:
    """To the pool: start so many members."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count


class _Tick:
    """To the pool: look at the clock."""

    __slots__ = ()


def _start_member(pool: Process, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pid:
    """In the supervisor, at the start of a member and at each restart."""
    pid = started(start_class(require_current(), cls, args, dict(kwargs)))
    pool.deliver(_Joined(pid))
    return pid


__all__ = ["Loan", "Pool", "PoolBusy"]
