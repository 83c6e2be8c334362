"""A group of standby machines over a network, in one time line: clocks that differ, delays, splits, crashes."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from pyerlnode.cluster.standby import types_core as core
from pyerlnode.cluster.standby.core import Core
from pyerlnode.cluster.standby.wire_core import from_wire, to_wire
from pyerlnode.term import A
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid


class Member:
    """One node: `machine` is None while it is down, `child` the epoch in which the child was started, or None."""

    def __init__(self, world: "World", name: Atom, rate: float, skew: float) -> None:
        self.world = world
        self.name = name
        self.rate = rate
        self.skew = skew
        self.machine: Core | None = None
        self.lives = 0
        self.frozen = False
        self.waiting: list[Any] = []
        """What has arrived while it was frozen."""
        self.child: int | None = None
        self.stops = True
        """False: its child does not end when it is told to."""
        self.starts = True
        """False: the start of its child fails."""
        self.given: list[Any] = []
        """States that children of this node were started with."""
        self.merged: list[Any] = []
        self.told: list[core.Tell] = []
        self.notes: list[str] = []
        self.left = False
        self.kept = 0
        self._armed = 0

    @property
    def pid(self) -> Pid:
        return Pid(self.name, 7, 0, self.lives)

    def now(self) -> float:
        return 1000.0 * self.lives + self.world.time * self.rate

    def boot(self) -> None:
        self.lives += 1
        options: dict[str, Any] = {**self.world.options, "me": self.name}
        if not self.world.persistent:
            options["wall"] = self.world.time + self.skew - self.now()
        self.machine = Core(core.Config(**options), self.pid, self.now(), self.kept)
        self.frozen, self.waiting, self.left = False, [], False
        self.run(self.machine.timer(self.now()))

    def crash(self) -> None:
        self.machine = self.child = None
        self.frozen = False
        if not self.world.persistent:
            self.kept = 0

    def event(self, method: str, *args: Any) -> Any:
        """Tell the machine, and carry out what it says; gives what an operator is answered."""
        if self.machine is None:
            return None
        if self.frozen:
            self.waiting.append((method, args))
            return None
        out = getattr(self.machine, method)(*args, self.now())
        answer, effects = out if isinstance(out, tuple) else (None, out)
        self.run(effects)
        return answer

    def thaw(self) -> None:
        self.frozen = False
        waiting, self.waiting = self.waiting, []
        self.event("timer")
        for method, args in waiting:
            self.event(method, *args)

    def run(self, effects: list[core.Effect]) -> None:
        for effect in effects:
            self.world.trace.append((round(self.world.time, 3), self.name, effect))
            self._carry_out(effect)
        self.world.check()
        self._armed += 1
        assert self.machine is not None
        deadline = self.machine.deadline()
        if deadline < float("inf"):
            after = max(0.0, (deadline - self.now()) / self.rate)
            self.world.after(after + 1e-9, self._fire, self.machine, self._armed)

    def _fire(self, machine: Core, armed: int) -> None:
        if machine is self.machine and armed == self._armed:
            self.event("timer")

    def _carry_out(self, effect: core.Effect) -> None:
        match effect:
            case core.Send(to, message):
                self.world.send(self, to, to_wire(self.pid, message))
            case core.StartChild(born, state):
                self._start(born, state)
            case core.StopChild(born) if self.stops:
                self.world.after(self.world.stopping, self._stopped, self.machine, born)
            case core.KillChild():
                self.child = None
            case core.GiveState(_, state):
                self.merged.append(state)
            case core.Persist(epoch):
                self.kept = epoch
            case core.Tell():
                self.told.append(effect)
            case core.Note(event):
                self.notes.append(event)
            case core.Left():
                self.left = True

    def _start(self, born: int, state: Any) -> None:
        assert self.child is None, f"one child at a time\n{self.world.history()}"
        self.world.started(born)
        self.child = born
        self.given.append(state)
        if self.world.owed not in (None, state):
            self.world.lost.append(self.world.owed)
        self.world.after(0.05, self._started, self.machine, born)

    def _started(self, machine: Any, born: int) -> None:
        if machine is not self.machine or self.child != born:
            return
        if self.starts:
            self.world.owed = None
            self.event("child_started", born, Pid(self.name, 1000 + born % 1000, 0, self.lives))
        else:
            self.end_child("no start")

    def _stopped(self, machine: Any, born: int) -> None:
        if machine is self.machine and self.child == born and not self.frozen:
            self.child = None
            state = f"state of {self.name}"
            self.world.owed = state
            self.event("child_stopped", born, (state,))
        elif machine is self.machine and self.child == born:
            self.world.after(0.1, self._stopped, machine, born)

    def end_child(self, reason: str = "crash") -> None:
        if self.child is not None and not self.frozen:
            born, self.child = self.child, None
            self.event("child_ended", born, reason)


class World:
    """Members `names` (in groups of priority) at time 0, none of them booted."""

    def __init__(
        self,
        groups: tuple[tuple[str, ...], ...],
        *,
        persistent: bool = True,
        rates: tuple[float, ...] = (),
        skews: tuple[float, ...] = (),
        **options: Any,
    ) -> None:
        self.options = {"groups": tuple(tuple(map(Atom, group)) for group in groups), **options}
        self.persistent = persistent
        names = [name for group in groups for name in group]
        rates, skews = rates or (1.0,) * len(names), skews or (0.0,) * len(names)
        self.members = {
            name: Member(self, Atom(name), rate, skew) for name, rate, skew in zip(names, rates, skews, strict=True)
        }
        self.time = 0.0
        self.delay = 0.01
        self.delays: Callable[[], float] = lambda: self.delay
        """Of each message; none overtakes one on the same way."""
        self.stopping = 0.1
        """What the end of a child takes."""
        self.owed: Any = None
        """The state that a child has left in order, until one runs again."""
        self.lost: list[Any] = []
        """Those that the next child was started without."""
        self._arrived: dict[tuple[str, str], float] = {}
        self.split: set[frozenset[str]] = set()
        self.births: list[int] = []
        self.trace: list[Any] = []
        self.majority = options.get("majority", True)
        self._events: list[Any] = []
        self._count = 0

    def boot(self) -> "World":
        for member in self.members.values():
            member.boot()
        return self

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def after(self, delay: float, function: Any, *args: Any) -> None:
        self._count += 1
        heappush(self._events, (self.time + delay, self._count, function, args))

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        events = 0
        while self._events and self._events[0][0] <= end:
            self.time, _, function, args = heappop(self._events)
            function(*args)
            self.check()
            events += 1
            assert events < 2000 * (1 + seconds), f"nobody comes to rest\n{self.history()}"
        self.time = end

    # --- the network ---------------------------------------------------------------------------
    def cut(self, one: str, other: str, *, noticed: bool = True) -> None:
        self.split.add(frozenset((one, other)))
        if noticed:
            self[one].event("node_down", Atom(other))
            self[other].event("node_down", Atom(one))

    def mend(self, one: str, other: str) -> None:
        self.split.discard(frozenset((one, other)))

    def isolate(self, *names: str) -> None:
        """Only those of `names` reach each other, and only the others do."""
        for one in names:
            for other in set(self.members) - set(names):
                self.cut(one, other)

    def crash(self, name: str) -> None:
        self[name].crash()
        for other in self.members.values():
            if other.name.name != name:
                other.event("node_down", Atom(name))

    def send(self, sender: Member, to: Any, term: Any) -> None:
        node = to.node if isinstance(to, Pid) else to
        if frozenset((sender.name.name, node.name)) not in self.split:
            way = sender.name.name, node.name
            at = self._arrived[way] = max(self._arrived.get(way, 0.0), self.time + self.delays())
            self.after(at - self.time, self._arrive, way[0], self.members[node.name], to, term)

    def _arrive(self, sender: str, member: Member, to: Any, term: Any) -> None:
        if frozenset((sender, member.name.name)) in self.split or (isinstance(to, Pid) and to != member.pid):
            return
        read = from_wire(term)
        assert read is not None
        member.event("receive", *read)

    # --- what has to hold ----------------------------------------------------------------------
    def active(self) -> list[str]:
        """The nodes on which a child can do something."""
        return [name for name, m in self.members.items() if m.child is not None and not m.frozen]

    def running(self) -> list[str]:
        """The nodes whose child runs and that know it."""
        machines = {name: self[name].machine for name in self.active()}
        return [n for n, m in machines.items() if m and m.tenure and m.tenure.phase is A.running]

    def started(self, born: int) -> None:
        if self.majority:
            assert not self.births or born > self.births[-1], f"epoch {born} after {self.births[-1]}"
        self.births.append(born)

    def check(self) -> None:
        if self.majority:
            assert len(self.active()) <= 1, f"two are active: {self.active()}\n{self.history()}"

    def history(self) -> str:
        return "\n".join(map(str, self.trace[-80:]))
