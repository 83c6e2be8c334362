"""Systems under a virtual clock: time-outs of hours pass in no time, and every run with one seed is the same run.

    with Simulation(seed=7) as simulation:
        left, right = simulation.system("left@sim"), simulation.system("right@sim")
        link = simulation.link(left, right, delay=0.2, dribble=1)
        pid = gen_server.start(right, Counter, name="counter")
        job = simulation.start(lambda: gen.call(left, ("counter", "right@sim"), A.get))
        simulation.run_until_idle()          # nobody has anything left to do; the clock stands
        simulation.advance(0.5)              # half a second passes: what was under way has arrived
        job.get()

- The clock moves only by `advance` (and by `run`, which lets it jump to the next deadline whenever all are idle).
- Ready processes run in an order that the seed shuffles, so a test can try many schedules.
- A link carries the real encoding, in memory: late by `delay` seconds, `dribble` bytes at a time. `cut` is the loss of
  the connection that both sides notice, `hold` one that nobody notices until `release`.

Everything runs in the hub of the calling thread. `gevent.sleep` and other timers of gevent itself are real.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Any

import gevent

from pyerlnode.dist.channel import Channel
from pyerlnode.dist.flags import HIDDEN_FLAGS
from pyerlnode.dist.handshake import PeerInfo
from pyerlnode.errors import ConnectError, UsageError
from pyerlnode.net.connection import Connection
from pyerlnode.net.memory import MemoryTransport, memory_pair
from pyerlnode.runtime.router import Route
from pyerlnode.runtime.scheduler import Scheduler
from pyerlnode.runtime.system import System
from pyerlnode.runtime.timer import Timers
from pyerlnode.term.atom import A, Atom

ROUNDING = 1e-6
"""Seconds by which a deadline and the clock that was set to it may differ as floats."""
QUIET_TURNS = 3
"""Turns of the hub in which nothing happens, until everybody counts as idle."""


class VirtualClock:
    """A clock that stands until it is set."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def set(self, moment: float) -> None:
        if moment < self._now:
            raise UsageError("a clock does not go back")
        self._now = moment


class VirtualTimers(Timers):
    """The timers of a system under a virtual clock; nobody waits for them in real time."""

    __slots__ = ()

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(None, clock.now)

    def _arm(self, deadline: float) -> None:
        del deadline

    def next_deadline(self) -> float:
        deadline = self.wheel.next_deadline()
        return inf if deadline is None else deadline

    def fire_due(self) -> None:
        self._call_all(self.wheel.expire(self.now() + ROUNDING))


class ShuffledScheduler(Scheduler):
    """Runs ready processes in an order that its seed decides; each process still sees its messages in order."""

    def __init__(self, seed: int, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._random = random.Random(seed)  # noqa: S311  # a reproducible order, nothing secret

    def wake(self, item: Any) -> None:
        super().wake(item)
        if len(self.ready) > 1:
            self.ready.rotate(self._random.randrange(len(self.ready)))


class _VirtualLoop:
    """What a memory transport wants of a loop, with virtual timers."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.run_callback = gevent.get_hub().loop.run_callback
        self.loop = self

    def timer(self, delay: float) -> _VirtualTimer:
        return _VirtualTimer(self._simulation.timers, delay)


class _VirtualTimer:
    def __init__(self, timers: VirtualTimers, delay: float) -> None:
        self._timers = timers
        self._delay = delay
        self._timer: Any = None

    def start(self, callback: Callable[..., object], *args: Any) -> None:
        self._timer = self._timers.start(self._delay, callback, *args)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class Link:
    """The connection between two systems of a simulation."""

    def __init__(self, simulation: Simulation, one: System, other: System, delay: float, dribble: int | None) -> None:
        self._simulation = simulation
        self.ends = (one, other)
        self.delay = delay
        self.dribble = dribble
        self.broken = False
        self._connections: list[Connection] = []
        self._transports: list[MemoryTransport] = []

    def connect(self) -> None:
        """Connect anew, as the first message to the other side does by itself."""
        if self.broken:
            raise ConnectError("this link of the simulation is cut", str(self.ends[1].node), "refused")
        if self._connections:
            return
        one, other = self.ends
        self._transports = list(memory_pair(_VirtualLoop(self._simulation), names=(one.node.name, other.node.name)))
        for transport in self._transports:
            transport.delay = self.delay
            if self.dribble is not None:
                transport.dribble = self.dribble
        self._connections = [
            self._connection(one, other, self._transports[0]), self._connection(other, one, self._transports[1]),
        ]  # fmt: skip
        for connection in self._connections:
            connection.start()

    def _connection(self, mine: System, theirs: System, transport: MemoryTransport) -> Connection:
        info = PeerInfo(
            theirs.node.name, theirs.creation, HIDDEN_FLAGS, HIDDEN_FLAGS, True, mine.node.name, mine.creation
        )
        peer = mine.peer(theirs.node)
        connection = Connection(
            transport,
            Channel(info, now=self._simulation.clock.now()),
            deliver=peer.deliver,
            on_down=lambda _, reason: self._down(mine, theirs, reason),
            after_read=mine.scheduler.drain,
        )
        peer.connected(connection)
        return connection

    def _down(self, mine: System, theirs: System, reason: Any) -> None:
        del reason
        self._connections = []
        mine.peer(theirs.node).lost()

    def busy(self) -> bool:
        """Whether bytes have arrived that are not read yet."""
        return any(transport._calling or transport._can_read() for transport in self._transports)

    def cut(self) -> None:
        """Lose the connection; both sides are told, and no new one comes about until `mend`."""
        self.broken = True
        for connection in list(self._connections):
            connection.close(A.connection_closed)

    def mend(self) -> None:
        """Let the next message connect again."""
        self.broken = False

    def hold(self) -> None:
        """Let nothing arrive; nobody is told."""
        for transport in self._transports:
            transport.want_read(False)

    def release(self) -> None:
        """What was held arrives."""
        for transport in self._transports:
            transport.want_read(True)


class Simulation:
    """A virtual world of systems. Use it in a ``with`` block: it stops what it has started."""

    def __init__(self, seed: int | None = None, *, start: float = 1_000.0) -> None:
        self.seed = seed
        self.clock = VirtualClock(start)
        self.timers = VirtualTimers(self.clock)
        """For what is under way between systems."""
        self.systems: list[System] = []
        self._links: dict[frozenset[Atom], Link] = {}

    def __enter__(self) -> Simulation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- the world ---------------------------------------------------------------------------------
    def system(self, name: str = "sim@local", creation: int = 1) -> System:
        """A system under this clock. With a seed its ready processes run in a shuffled order."""
        now = self.clock.now  # no slice ends by the time that it takes here: the same seed is the same run
        scheduler = Scheduler(now) if self.seed is None else ShuffledScheduler(self.seed + len(self.systems), now)
        system = System(name, creation, scheduler=scheduler, timers=VirtualTimers(self.clock))
        system.connector = lambda node: self._route(system, node)
        self.systems.append(system)
        return system

    def link(self, one: System, other: System, *, delay: float = 0.0, dribble: int | None = None) -> Link:
        """Let two systems reach each other."""
        made = self._links[frozenset((one.node, other.node))] = Link(self, one, other, delay, dribble)
        return made

    def _route(self, system: System, node: Atom) -> Route:
        link = self._links.get(frozenset((system.node, node)))
        if link is None:
            raise ConnectError(f"{node} is not linked with {system.node} in this simulation", str(node), "unknown_node")
        link.connect()
        route = system.peer(node).route
        assert route is not None
        return route

    # --- time --------------------------------------------------------------------------------------
    def start(self, function: Callable[..., Any], *args: Any) -> Any:
        """Begin `function` in a greenlet of its own; gives the greenlet (`get()` it when it is done)."""
        return gevent.spawn(function, *args)

    def run_until_idle(self) -> None:
        """Let everything run that can run without time passing."""
        quiet = 0
        while quiet < QUIET_TURNS:
            quiet = 0 if self._busy() else quiet + 1
            gevent.sleep(0)

    def _busy(self) -> bool:
        due = self.clock.now()
        if self.next_deadline() <= due:
            self._fire()
            return True
        if any(link.busy() for link in self._links.values()):
            return True
        return any(system.scheduler.ready or system.scheduler.unarmed for system in self.systems)

    def _fire(self) -> None:
        self.timers.fire_due()
        for system in self.systems:
            system.timers.fire_due()  # type: ignore[attr-defined]  # its timers are virtual, made above

    def next_deadline(self) -> float:
        """When the next timer is due; infinite when there is none."""
        found: list[float] = [system.timers.next_deadline() for system in self.systems]  # type: ignore[attr-defined]
        return min(self.timers.next_deadline(), *found)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass: each timer fires at its own moment, and all run until idle in between."""
        end = self.clock.now() + seconds
        self.run_until_idle()
        while (deadline := self.next_deadline()) <= end:
            self.clock.set(max(deadline, self.clock.now()))
            self._fire()
            self.run_until_idle()
        self.clock.set(end)
        self.run_until_idle()

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run `function` to its end and give its result; when all are idle the clock jumps to the next deadline.

        Raises `UsageError` when everybody waits and no timer is left: it would wait for ever.
        """
        job = self.start(function, *args)
        self.run_until_idle()
        while not job.ready():
            deadline = self.next_deadline()
            if deadline == inf:
                job.kill()
                raise UsageError("everybody waits, and no timer is left that would end it")
            self.advance(max(0.0, deadline - self.clock.now()))
        return job.get()

    def stop(self) -> None:
        """End every system and every link."""
        for link in self._links.values():
            link.cut()
        for system in self.systems:
            system.stop()
        gevent.sleep(0)
