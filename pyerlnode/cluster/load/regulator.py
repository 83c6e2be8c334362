"""Regulator: permits to do work, so that a service under overload stays at its best and refuses the rest early.

    regulator = Regulator.start(node, {"db": Rules(limit=10)}, name="regulator")
    with regulator.permit("db", timeout=0.5):       # or regulator.run("db", query, sql)
        ...

What a queue admits, who waits and who is refused is decided in `regulator_core`. A permit belongs to the process that
asked: when that dies, or its node is lost, the permit is given back; and who dies while it waits waits no more. A
process of this node reaches the queue directly, without a message; others, on any node, ask the server:

    call {ask, Queue}            {ok, Ref} | {error, {overload | timeout, RetryAfterMs}} | {error, unknown_queue}
    call {ask, Queue, Options}   the same; a list or map of `timeout` (milliseconds it would wait) and `priority`
    cast {done, Ref}             the permit is given back; {done, Ref, dropped}: the work failed as under overload does
    call {done, Ref}             the same, answered `ok`; a permit that is not held any more is no error
    call {info, Queue}           {ok, Map} | {error, unknown_queue}
    call queues                  the names

A caller that has given up (its call timed out) gets no permit. One that gives up while the answer is on its way never
learns of its permit: let it ask with a `timeout` below that of its call, and give the queue a `lease`.

Telemetry: ``regulator.refused`` (`retry_after`; `queue`, `reason`), ``regulator.revoked`` (`queue`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from types import TracebackType
from typing import Any, Final, TypeVar

from pyerlnode.brief import short
from pyerlnode.cluster.load import callers
from pyerlnode.cluster.load.regulator_core import Admitted, Outcome, Queue, Refused, Rules, rules_of
from pyerlnode.errors import Exit, NodeDown, NoProc, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.otp.where import started, system_of
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.runtime.mailbox import DOWN, REPLY, Waiter
from pyerlnode.runtime.registry import as_name
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Reference

log = logging.getLogger("pyerlnode.regulator")

T = TypeVar("T")
Emit = Callable[..., object]
TICK: Final = A["$regulator_tick"]
OUTCOMES: Final = A["$regulator_outcomes"]
GRACE: Final = 5.0
"""Seconds that a call to a regulator of another node may take beyond the wait for the permit."""


class NotAdmitted(Exit):
    """The work was refused and did not begin.

    Attributes:
        reason: ``A.overload`` (refused at once) or ``A.timeout`` (it waited in vain).
        queue: the queue's name.
        retry_after: seconds after which asking again makes sense.
    """

    def __init__(self, queue: Atom, reason: Atom, retry_after: float) -> None:
        what = "is full" if reason is A.overload else "gave no permit in time"
        super().__init__(reason, f"the queue {queue} {what}; try again in {retry_after:.3g} s")
        self.queue = queue
        self.retry_after = retry_after


class Permit:
    """Leave to do work, until `done` or the end of the process that asked. As a context it is done at the end."""

    __slots__ = ("_holder", "_name", "_queue", "_server", "_waiter", "outcome")

    def __init__(self, server: RegulatorServer, queue: Queue, name: Atom) -> None:
        self._server: RegulatorServer | None = server
        self._queue = queue
        self._name = name
        self._holder: Any = None
        self._waiter: Waiter | None = None
        self.outcome: Outcome | None = None

    def down(self, reason: Any) -> None:
        """The process that asked has ended."""
        del reason
        self._holder = None
        self._end(self._queue.gone)

    def done(self, *, dropped: bool = False) -> None:
        """Give it back; a second time changes nothing. `dropped`: the work failed as it does under too much load."""
        server = self._server
        if server is not None:
            self._server = None
            self._let_go()
            outcomes = self._queue.done(self, server.process.system.timers.now(), dropped=dropped)
            if outcomes:
                server.carry_out(self._name, outcomes)

    def _end(self, how: Callable[[Any, float], list[Outcome]]) -> None:
        server, self._server = self._server, None
        self._let_go()
        if server is not None:
            server.carry_out(self._name, how(self, server.process.system.timers.now()))

    def _let_go(self) -> None:
        holder, self._holder = self._holder, None
        if holder is not None and holder.monitored_by is not None:
            holder.monitored_by.pop(self, None)

    def hold(self, holder: Any) -> None:
        """Be told of the end of `holder`."""
        self._holder = holder
        if holder.monitored_by is None:
            holder.monitored_by = {}
        holder.monitored_by[self] = self

    def settle(self, outcome: Outcome) -> None:
        """What the queue decided."""
        if not isinstance(outcome, Admitted):
            self._server = None
            self._let_go()
        self.outcome = outcome
        if self._waiter is not None:
            self._waiter.settle(REPLY, None)

    def wait(self) -> None:
        """Until there is an outcome: the queue's, which sees to it that there is one, or the end of the server."""
        server = self._server
        assert server is not None
        process = server.process
        waiter = self._waiter = Waiter(process.system.scheduler, process.system.timers)
        if process.monitored_by is None:
            process.monitored_by = {}
        process.monitored_by[waiter] = waiter
        try:
            state = waiter.wait(None)
        finally:
            self._waiter = None
            if process.monitored_by is not None:
                process.monitored_by.pop(waiter, None)
        if state == DOWN:
            self._server = None
            self._let_go()
            raise gen.failure(DOWN, waiter.value, process.pid, (A.ask, self._name), None)

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done(dropped=isinstance(error, (TimeoutError, ConnectionError, NodeDown)))


class RemotePermit:
    """A permit of a regulator on another node."""

    __slots__ = ("_held", "_regulator", "ref")

    def __init__(self, regulator: Regulator, ref: Reference) -> None:
        self._regulator = regulator
        self._held = True
        self.ref = ref

    def done(self, *, dropped: bool = False) -> None:
        if self._held:
            self._held = False
            message = (A.done, self.ref, A.dropped) if dropped else (A.done, self.ref)
            gen.cast(self._regulator.system, self._regulator.dest, message)

    def __enter__(self) -> RemotePermit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done(dropped=isinstance(error, (TimeoutError, ConnectionError, NodeDown)))


class _Asked:
    """A request that came as a call; its key in the queue is the words of the monitor of who asked."""

    __slots__ = ("from_", "name", "ref", "watched")

    def __init__(self, name: Atom, ref: Reference, from_: tuple[Any, Any], watched: bool) -> None:
        self.name = name
        self.ref = ref
        self.from_ = from_
        self.watched = watched


class RegulatorServer(GenServer):
    """The process: owner of the queues, and whom other nodes ask.

    ``init(queues, telemetry=None)``: `queues` are `Rules` (or mappings with their names) by name, `telemetry` is what
    events are told to, as a node's ``telemetry.emit``.
    """

    def init(self, queues: Mapping[Any, Rules | Mapping[Any, Any]], telemetry: Emit | None = None) -> None:
        self.queues = {as_name(name): Queue(rules_of(rules)) for name, rules in queues.items()}
        self.emit = telemetry
        self.asked: dict[Hashable, _Asked] = {}
        self.timers: dict[Atom, Timer] = {}

    def system_get_state(self) -> Any:
        now = self.process.system.timers.now()
        return {name: _on_wire(queue.info(now)) for name, queue in self.queues.items()}

    # --- processes of this node ----------------------------------------------------------------
    def acquire(self, name: Any, timeout: float | None, priority: int) -> Permit:
        """A permit for the current process, which may wait for it. Raises `NotAdmitted`, and when it ends, `Exit`."""
        atom = name if type(name) is Atom else as_name(name)
        queue = self.queues.get(atom)
        if queue is None:
            raise UsageError(f"this regulator has no queue {atom}; it has {', '.join(map(str, self.queues))}")
        system = self.process.system
        permit = Permit(self, queue, atom)
        now = system.timers.now()
        if queue.admit(permit, now):
            holder = system.myself()
            if holder is not system.root:
                permit.hold(holder)
            return permit
        return self._acquire_slowly(permit, queue, atom, now, timeout, priority)

    def _acquire_slowly(
        self, permit: Permit, queue: Queue, name: Atom, now: float, timeout: float | None, priority: int
    ) -> Permit:
        holder = self.process.system.myself()
        if holder is not self.process.system.root:
            permit.hold(holder)
        try:
            self.carry_out(name, queue.ask(permit, now, priority=priority, patience=timeout))
            if permit.outcome is None:
                permit.wait()
        except BaseException:
            permit._end(queue.gone)
            raise
        outcome = permit.outcome
        if isinstance(outcome, Refused):
            raise NotAdmitted(name, outcome.reason, outcome.retry_after)
        return permit

    # --- what comes in -------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        if not callers.is_from(from_):
            return NoReply()
        match request:
            case (A.ask, Atom() as name):
                return self._ask(name, from_, {})
            case (A.ask, Atom() as name, options):
                return self._ask(name, from_, options)
            case (A.done, Reference() as ref) | (A.done, Reference() as ref, A.dropped):
                self._done(ref, len(request) == 3)
                return Reply(A.ok)
            case (A.info, Atom() as name):
                queue = self.queues.get(name)
                if queue is None:
                    return Reply((A.error, A.unknown_queue))
                return Reply((A.ok, _on_wire(queue.info(self.process.system.timers.now()))))
            case A.queues:
                return Reply(list(self.queues))
        return Reply((A.error, A.unknown_call))  # a stranger's mistake must not cost all others their permits

    def handle_cast(self, request: Any) -> None:
        match request:
            case (A.done, Reference() as ref) | (A.done, Reference() as ref, A.dropped):
                self._done(ref, len(request) == 3)

    def handle_info(self, message: Any) -> Any:
        match message:
            case (A.DOWN, Reference() as ref, _, _, _):
                asked = self._take(ref)
                if asked is not None:
                    now = self.process.system.timers.now()
                    self.carry_out(asked.name, self.queues[asked.name].gone(ref.words, now))
            case (tag, Atom() as name) if tag is TICK and name in self.queues:
                timer = self.timers.pop(name, None)
                if timer is not None:
                    timer.cancel()  # it has fired, unless a peer has made this message up
                self.carry_out(name, self.queues[name].expire(self.process.system.timers.now()))
            case (tag, Atom() as name, outcomes) if tag is OUTCOMES and type(outcomes) is _Outcomes:
                self.carry_out(name, outcomes.outcomes)
            case _:
                super().handle_info(message)

    def _ask(self, name: Atom, from_: Any, options: Any) -> Any:
        queue = self.queues.get(name)
        if queue is None:
            return Reply((A.error, A.unknown_queue))
        wanted = _options(options)
        if wanted is None:
            return Reply((A.error, A.badarg))
        process = self.process
        watched = callers.watcher(process, from_) is not None
        if not callers.is_watched(process.system, from_):
            return Reply((A.error, (A.overload, 0)))  # most likely it gave up while this node was busy: no permit
        if callers.has_given_up(process, from_, watched):
            return NoReply()
        ref = process.system.monitor(process, from_[0])
        self.asked[ref.words] = _Asked(name, ref, from_, watched)
        patience, priority = wanted
        now = process.system.timers.now()
        self.carry_out(name, queue.ask(ref.words, now, priority=priority, patience=patience))
        return NoReply()

    def _take(self, ref: Reference) -> _Asked | None:
        asked = self.asked.get(ref.words)
        if asked is None or asked.ref != ref:
            return None
        return self.asked.pop(ref.words)

    def _done(self, ref: Reference, dropped: bool) -> None:
        asked = self.asked.get(ref.words)
        if asked is None or asked.ref != ref or ref.words not in self.queues[asked.name].running:
            return  # late, twice, or garbage
        del self.asked[ref.words]
        self.process.system.demonitor(self.process, ref, flush=True)
        now = self.process.system.timers.now()
        self.carry_out(asked.name, self.queues[asked.name].done(ref.words, now, dropped=dropped))

    # --- what was decided ----------------------------------------------------------------------
    def carry_out(self, name: Atom, outcomes: list[Outcome]) -> None:
        """Tell everyone what the queue has decided, and see that it is asked again in time. By any process, or the hub.

        Who asked by a call is told by the server itself: the one who runs just now must not wait for a slow peer.
        """
        here = self.process.system.myself() is self.process
        away: list[Outcome] = []
        for outcome in outcomes:  # grows by what follows from a caller that has given up
            if type(outcome.key) is Permit:
                outcome.key.settle(outcome)
                self._tell(name, outcome)
            elif here:
                outcomes += self._answer(name, outcome)
            else:
                away.append(outcome)
        if self.process.alive:
            if away:
                self.process.deliver((OUTCOMES, name, _Outcomes(away)))
            self._arm(name)

    def _answer(self, name: Atom, outcome: Outcome) -> list[Outcome]:
        """Answer the call that `outcome` is about; gives what follows when nobody waits for the answer."""
        asked = self.asked.get(outcome.key)
        if asked is None:
            return []
        process, queue = self.process, self.queues[name]
        if isinstance(outcome, Admitted):
            if not callers.has_given_up(process, asked.from_, asked.watched):
                gen.reply(process.system, asked.from_, (A.ok, asked.ref))
                return []
            self._forget(asked)
            return queue.gone(outcome.key, process.system.timers.now())
        self._forget(asked)
        self._tell(name, outcome)
        if isinstance(outcome, Refused):
            gen.reply(process.system, asked.from_, (A.error, (outcome.reason, round(outcome.retry_after * 1000))))
        return []

    def _forget(self, asked: _Asked) -> None:
        self.asked.pop(asked.ref.words, None)
        self.process.system.demonitor(self.process, asked.ref, flush=True)

    def _tell(self, name: Atom, outcome: Outcome) -> None:
        if self.emit is None or isinstance(outcome, Admitted):
            return
        if isinstance(outcome, Refused):
            self.emit(
                "regulator.refused", {"retry_after": outcome.retry_after}, queue=name.name, reason=outcome.reason.name
            )
        else:
            self.emit("regulator.revoked", {}, queue=name.name)

    def _arm(self, name: Atom) -> None:
        deadline = self.queues[name].next_deadline()
        timer = self.timers.get(name)
        if deadline is None or not self.process.alive:
            return
        if timer is not None:
            if timer.deadline <= deadline:
                return
            timer.cancel()
        timers = self.process.system.timers
        self.timers[name] = timers.start(deadline - timers.now(), self.process.deliver, (TICK, name))

    def terminate(self, reason: Any) -> None:
        del reason
        for timer in self.timers.values():
            timer.cancel()


class _Outcomes:
    """Told by the queues to their server; never by a peer."""

    __slots__ = ("outcomes",)

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes


def _options(options: Any) -> tuple[float | None, int] | None:
    """(seconds, priority) that a peer asks with; None when they make no sense."""
    pairs = options.items() if isinstance(options, Mapping) else options
    patience: float | None = None
    priority = 0
    if not isinstance(options, (Mapping, list)):
        return None
    for pair in pairs:
        match pair:
            case (A.timeout, A.infinity):
                patience = None
            case (A.timeout, int(value)) if value is not True and 0 <= value < 1 << 32:
                patience = value / 1000
            case (A.priority, int(value)) if -1000 <= value <= 1000:
                priority = int(value)
            case _:
                return None
    return patience, priority


def _on_wire(info: Mapping[str, Any]) -> dict[Atom, Any]:
    return {Atom(key): value for key, value in info.items()}


class Regulator:
    """A regulator, for Python: one of this node by name or pid, or one of another by ``(name, node)`` or pid.

    Use it in greenlets and processes of its node (in a thread of the hub's; other threads `call` the server).
    """

    __slots__ = ("dest", "system")

    def __init__(self, dest: Any = "regulator", *, on: Any = None) -> None:
        self.dest = dest
        self.system = system_of(on)

    @classmethod
    def start(
        cls, node: Any, queues: Mapping[Any, Rules | Mapping[Any, Any]], *, name: Any = None, link: Any = None
    ) -> Regulator:
        """Start a server on `node` with these queues; its events go to the node's telemetry."""
        telemetry = getattr(getattr(node, "telemetry", None), "emit", None)
        system = system_of(node)
        pid = gen_server.start(system, RegulatorServer, (queues, telemetry), name=name, link=link)
        return cls(name or started(pid), on=system)

    def _server(self) -> RegulatorServer | None:
        process = self.system.resolve(self.dest)[1]
        if process is None:
            return None
        server = process.handler
        return server if type(server) is RegulatorServer else _found(behaviour_of(process), self.dest)

    def permit(self, name: Any, *, timeout: float | None = None, priority: int = 0) -> Permit | RemotePermit:
        """A permit of the queue `name` for the current process.

        Args:
            timeout: seconds that it waits at most, when the queue lets it wait as long; 0: not at all.
            priority: the higher, the sooner.

        Raises `NotAdmitted`; `UsageError` for a queue that is not there; what `call` raises when there is no regulator.
        """
        server = self._server()
        return self._ask(name, timeout, priority) if server is None else server.acquire(name, timeout, priority)

    def _ask(self, name: Any, timeout: float | None, priority: int) -> RemotePermit:
        options: list[Any] = [(A.priority, priority)]
        if timeout is not None:
            options.append((A.timeout, round(timeout * 1000)))
        wait = None if timeout is None else timeout + GRACE
        match gen.call(self.system, self.dest, (A.ask, as_name(name), options), wait):
            case (A.ok, Reference() as ref):
                return RemotePermit(self, ref)
            case (A.error, (Atom() as reason, int(milliseconds))):
                raise NotAdmitted(as_name(name), reason, milliseconds / 1000)
            case (A.error, A.unknown_queue):
                raise UsageError(f"the regulator {short(self.dest)} has no queue {as_name(name)}")
        raise UsageError(f"{short(self.dest)} is no regulator")

    def run(
        self, name: Any, fn: Callable[..., T], /, *args: Any, timeout: float | None = None, priority: int = 0, **kw: Any
    ) -> T:
        """Call `fn(*args, **kw)` with a permit."""
        with self.permit(name, timeout=timeout, priority=priority):
            return fn(*args, **kw)

    def info(self, name: Any) -> dict[str, Any]:
        """`Queue.info` of the queue `name`."""
        match gen.call(self.system, self.dest, (A.info, as_name(name))):
            case (A.ok, dict() as info):
                return {str(key): value for key, value in info.items()}
        raise UsageError(f"the regulator {short(self.dest)} has no queue {as_name(name)}")

    def change(self, name: Any, rules: Rules | Mapping[Any, Any]) -> None:
        """Give a queue of a regulator of this node other rules, or make a new one."""
        server, atom = self._server(), as_name(name)
        if server is None:
            raise NoProc((A.noproc, self.dest), f"there is no regulator {short(self.dest)} on this node")
        queue = server.queues.get(atom)
        if queue is None:
            server.queues[atom] = Queue(rules_of(rules))
        else:
            server.carry_out(atom, queue.change(rules_of(rules), self.system.timers.now()))


def _found(server: Any, dest: Any) -> RegulatorServer:
    if not isinstance(server, RegulatorServer):
        raise UsageError(f"{short(dest)} is no regulator")
    return server


__all__ = ["NotAdmitted", "Permit", "Regulator", "RegulatorServer", "RemotePermit", "Rules"]
