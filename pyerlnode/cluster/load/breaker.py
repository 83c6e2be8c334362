"""Breaker: stop calling a service that does not answer, and try again with care.

    breaker = Breaker.start(node, name="payments", thresholds=Thresholds(failures=5, reset=10.0))
    answer = breaker.call(("payments", "shop@host"), (A.charge, 7))     # raises BreakerOpen at once while it is open

When it opens and closes is decided in `breaker_core`. A time-out, a missing process, a lost node and a server that ends
during the call are failures; an answer is a success, whatever it says, unless `is_failure` says otherwise.

A breaker is a process, so that its state can be seen, and used, from elsewhere; those of its node reach it directly:

    call state              closed | open | half_open
    call info               {ok, Map}
    call subscribe          {ok, State}; from now on the caller gets {breaker, Name, State} with each change
    call unsubscribe        ok
    call ask                {ok, Ticket} | {error, {open, RetryAfterMs}}
    cast {How, Ticket}      how the call with this ticket went: succeeded | failed | unknown
    call trip | reset       ok; opens it, closes it

An open breaker becomes half open with the first call after its time, not before: nobody would see the difference.

Telemetry: ``breaker.state`` (`retry_after`; `breaker`, `state`, `before`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pyerlnode.brief import short
from pyerlnode.cluster.load import callers
from pyerlnode.cluster.load.breaker_core import Circuit, Thresholds
from pyerlnode.errors import Exit, NodeDown, NoProc, ServerExit, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.otp.where import started, system_of
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

T = TypeVar("T")
CHANGED: Final = A["$breaker_changed"]
FAILURES: Final = (TimeoutError, ConnectionError, NoProc, NodeDown, ServerExit)
"""What counts as a failure when a call raises it: `CallTimeout` and `ConnectError` are among the first two."""


class BreakerOpen(Exit):
    """The call was not made: the breaker `breaker` is open. Trying again makes sense after `retry_after` seconds."""

    def __init__(self, breaker: Any, retry_after: float) -> None:
        super().__init__((A.open, breaker), f"the breaker {short(breaker)} is open; try again in {retry_after:.3g} s")
        self.breaker = breaker
        self.retry_after = retry_after


class BreakerServer(GenServer):
    """The process of a breaker.

    ``init(thresholds=Thresholds(), telemetry=None, chance=random.random)``: `telemetry` is what events are told to, as
    a node's ``telemetry.emit``; `chance` gives numbers from 0 to 1 for the jitter.
    """

    def init(
        self,
        thresholds: Thresholds | None = None,
        telemetry: Callable[..., object] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.circuit = Circuit(Thresholds() if thresholds is None else thresholds)
        self.emit = telemetry
        self.chance = chance
        self.subscribers: dict[Pid, Reference] = {}

    @property
    def called(self) -> Any:
        """How others call it: its name, else its pid."""
        return self.process.name or self.process.pid

    def now(self) -> float:
        now: float = self.process.system.timers.now()
        return now

    def system_get_state(self) -> Any:
        return {Atom(key): value for key, value in self.circuit.info(self.now()).items()}

    # --- in whatever process the call is made --------------------------------------------------
    def ask(self) -> int:
        """A ticket. Raises `BreakerOpen`."""
        circuit = self.circuit
        before = circuit.state
        now = self.now()
        ticket = circuit.ask(now)
        if circuit.state is not before:
            self._changed(before)
        if ticket is None:
            raise BreakerOpen(self.called, circuit.retry_after(now))
        return ticket

    def tell(self, how: Atom, ticket: int) -> None:
        """The outcome of the call with this ticket: ``succeeded``, ``failed`` or ``unknown``."""
        circuit = self.circuit
        before = circuit.state
        if how is A.succeeded:
            circuit.succeeded(ticket, self.now())
        elif how is A.failed:
            circuit.failed(ticket, self.now(), self.chance())
        else:
            circuit.unknown(ticket)
        if circuit.state is not before:
            self._changed(before)

    def set(self, what: Atom) -> None:
        """``trip`` or ``reset`` it."""
        before = self.circuit.state
        if what is A.trip:
            self.circuit.trip(self.now(), self.chance())
        else:
            self.circuit.reset()
        if self.circuit.state is not before:
            self._changed(before)

    def _changed(self, before: Atom) -> None:
        """The server tells the subscribers: who runs just now must not wait for a slow peer."""
        state = self.circuit.state
        if self.emit is not None:
            after = {"retry_after": self.circuit.retry_after(self.now())}
            self.emit("breaker.state", after, breaker=self.called, state=state.name, before=before.name)
        if self.subscribers and self.process.alive:
            self.process.deliver((CHANGED, _Change(state)))

    # --- what comes in -------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        if not callers.is_from(from_):
            return NoReply()
        match request:
            case A.state:
                return Reply(self.circuit.state)
            case A.info:
                return Reply((A.ok, self.system_get_state()))
            case A.subscribe:
                self._subscribe(from_[0])
                return Reply((A.ok, self.circuit.state))
            case A.unsubscribe:
                self._unsubscribe(from_[0])
                return Reply(A.ok)
            case A.ask:
                try:
                    return Reply((A.ok, self.ask()))
                except BreakerOpen as error:
                    return Reply((A.error, (A.open, round(error.retry_after * 1000))))
            case A.trip | A.reset:
                self.set(request)
                return Reply(A.ok)
        return Reply((A.error, A.unknown_call))

    def _subscribe(self, pid: Pid) -> None:
        if pid not in self.subscribers:
            self.subscribers[pid] = self.process.system.monitor(self.process, pid)

    def _unsubscribe(self, pid: Pid) -> None:
        ref = self.subscribers.pop(pid, None)
        if ref is not None:
            self.process.system.demonitor(self.process, ref, flush=True)

    def handle_cast(self, request: Any) -> None:
        match request:
            case (A.succeeded | A.failed | A.unknown, int(ticket)):
                self.tell(request[0], ticket)

    def handle_info(self, message: Any) -> Any:
        match message:
            case (tag, change) if tag is CHANGED and type(change) is _Change:
                for pid in list(self.subscribers):
                    _send(self.process.system, pid, (A.breaker, self.called, change.state))
            case (A.DOWN, Reference() as ref, _, Pid() as pid, _) if self.subscribers.get(pid) == ref:
                del self.subscribers[pid]
            case _:
                super().handle_info(message)


class _Change:
    """Told by a breaker to its own process; never by a peer."""

    __slots__ = ("state",)

    def __init__(self, state: Atom) -> None:
        self.state = state


def _send(system: System, pid: Pid, message: Any) -> None:
    try:
        system.send(pid, message)
    except ConnectionError:
        return  # its DOWN is under way


class Breaker:
    """A breaker of this node, by the name or pid of its process.

    Args:
        failures: exceptions that count as failures; others leave the breaker as it is.
        is_failure: says of an answer whether it is a failure; without it none is.
    """

    __slots__ = ("dest", "failures", "is_failure", "system")

    def __init__(
        self,
        dest: Any,
        *,
        on: Any = None,
        failures: tuple[type[BaseException], ...] = FAILURES,
        is_failure: Callable[[Any], bool] | None = None,
    ) -> None:
        self.dest = dest
        self.system = system_of(on)
        self.failures = failures
        self.is_failure = is_failure

    @classmethod
    def start(
        cls, node: Any, thresholds: Thresholds | None = None, *, name: Any = None, link: Any = None, **options: Any
    ) -> Breaker:
        """Start a breaker on `node`; its events go to the node's telemetry. `options` are those of the class."""
        telemetry = getattr(getattr(node, "telemetry", None), "emit", None)
        system = system_of(node)
        pid = gen_server.start(system, BreakerServer, (thresholds, telemetry), name=name, link=link)
        return cls(name or started(pid), on=system, **options)

    def _server(self) -> BreakerServer:
        process = self.system.resolve(self.dest)[1]
        if process is None:
            raise NoProc((A.noproc, self.dest), f"there is no breaker {short(self.dest)} on this node")
        server = behaviour_of(process)
        if not isinstance(server, BreakerServer):
            raise UsageError(f"{short(self.dest)} is no breaker")
        return server

    def call(self, dest: Any, request: Any, timeout: float | None = gen.DEFAULT_TIMEOUT) -> Any:
        """`GenServer.call` of `dest`, unless the breaker is open. Raises `BreakerOpen`, and what `call` raises."""
        return self.run(gen.call, self.system, dest, request, timeout)

    def run(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call `fn`, unless the breaker is open; it fails by raising one of `failures`. Raises `BreakerOpen`."""
        server = self._server()
        ticket = server.ask()
        how = A.unknown
        try:
            value = fn(*args, **kwargs)
            how = A.failed if self.is_failure is not None and self.is_failure(value) else A.succeeded
        except self.failures:
            how = A.failed
            raise
        finally:
            server.tell(how, ticket)
        return value

    @property
    def state(self) -> Atom:
        """``closed``, ``open`` or ``half_open``."""
        return self._server().circuit.state

    def info(self) -> dict[str, Any]:
        """`Circuit.info`."""
        server = self._server()
        return server.circuit.info(server.now())

    def subscribe(self) -> Atom:
        """From now on the current process gets ``(A.breaker, name, state)`` with each change; gives the state."""
        state: Atom = gen.call(self.system, self.dest, A.subscribe)[1]
        return state

    def unsubscribe(self) -> None:
        gen.call(self.system, self.dest, A.unsubscribe)

    def trip(self) -> None:
        """Open it by hand, for as long as failures would."""
        self._server().set(A.trip)

    def reset(self) -> None:
        """Close it by hand."""
        self._server().set(A.reset)


__all__ = ["Breaker", "BreakerOpen", "BreakerServer", "Thresholds"]
