"""What the master does when: which worker is started, asked to end, killed. Events in, effects out; no clock.

    state of a slot    what it waits for                       then
    empty              nothing                                 never started, or the run ends
    starting           its worker to say `ready`               up
    up                 a signal, or the end of its worker      ending; waiting
    ending             its worker to end; killed at `until`    started at once in a roll, else empty
    waiting            the time `until`                        starting

A worker that ends by itself is started again, first after `FIRST` seconds, then twice as late each time, at most
`LAST`; one that was up for `STEADY` seconds begins anew. A roll ends and starts one worker after the other, and goes on
when the new one is ready: a new version that does not start costs one worker, not the service. A worker that says why
it can not start ends the run with its status, unless one was ready before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

FIRST, LAST, STEADY = 0.2, 30.0, 60.0


class State(Enum):
    EMPTY = "empty"
    STARTING = "starting"
    UP = "up"
    ENDING = "ending"
    WAITING = "waiting"


# --- effects -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker in this slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the worker of this slot to drain and end: SIGTERM."""

    slot: int


@dataclass(frozen=True, slots=True)
class Kill:
    slot: int


@dataclass(frozen=True, slots=True)
class Tell:
    """A line for the log."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Notify:
    """`ready` (all workers are, for the first time or after a roll), `reloading`, `stopping`."""

    what: str


@dataclass(frozen=True, slots=True)
class End:
    """The run is over."""

    status: int
    text: str = ""


Effect = Start | Ask | Kill | Tell | Notify | End


@dataclass(slots=True)
class Slot:
    state: State = State.EMPTY
    until: float = float("inf")
    since: float = 0.0
    delay: float = 0.0
    text: str = ""
    """What its worker said of its own failure, if it did."""


@dataclass(slots=True)
class Core:
    """The state of a run of `count` workers.

    Args:
        patience: seconds that a worker has to drain and end.
        lasting: a worker that can not start does not end the run: with ``--reload`` the next change may mend it.
    """

    count: int
    patience: float
    lasting: bool = False
    slots: list[Slot] = field(default_factory=list)
    stopping: bool = False
    proved: bool = False
    """A worker was ready once."""
    announced: bool = False
    _rolling: int | None = None
    _to_roll: list[int] = field(default_factory=list)
    _effects: list[Effect] = field(default_factory=list)
    _status: int = 0

    def start(self, now: float) -> list[Effect]:
        self.slots = [Slot() for _ in range(self.count)]
        for index in range(self.count):
            self._start(index, now)
        return self._drain()

    # --- what workers do -----------------------------------------------------------------------
    def ready(self, index: int, now: float) -> list[Effect]:
        slot = self.slots[index]
        if slot.state is State.STARTING:
            slot.state, slot.since, self.proved = State.UP, now, True
            if self._rolling == index:
                self._roll_next(now)
            if not self.announced and self._rolling is None and all(s.state is State.UP for s in self.slots):
                self.announced = True
                self._effects.append(Notify("ready"))
        return self._drain()

    def failed(self, index: int, text: str) -> None:
        """The worker says why it is about to end."""
        self.slots[index].text = text

    def ended(self, index: int, status: int, now: float) -> list[Effect]:
        """The worker's OS process has; `status` is its exit code, or the number of a signal, negated."""
        slot = self.slots[index]
        told, text, slot.text = bool(slot.text), slot.text or _words(status), ""
        state, slot.state, slot.until = slot.state, State.EMPTY, float("inf")
        if self.stopping:
            if all(s.state is State.EMPTY for s in self.slots):
                self._effects.append(End(self._status))
        elif state is State.ENDING:
            self._start(index, now)
        elif told and not self.proved and not self.lasting:
            self._give_up(status if status > 0 else 1, text)
        else:
            self._wait(index, state, text, now)
        return self._drain()

    def _wait(self, index: int, state: State, text: str, now: float) -> None:
        slot = self.slots[index]
        if state is State.UP and now - slot.since >= STEADY:
            slot.delay = 0.0
        slot.delay = min(LAST, 2 * slot.delay) if slot.delay else FIRST
        slot.state, slot.until = State.WAITING, now + slot.delay
        self._effects.append(Tell("error", f"worker {index + 1} ended: {text}; again in {slot.delay:g} s"))

    def _give_up(self, status: int, text: str) -> None:
        self.stopping, self._status = True, status
        self._effects.append(Tell("critical", text))
        for index, slot in enumerate(self.slots):
            if slot.state in (State.STARTING, State.UP, State.ENDING):
                self._effects.append(Kill(index))
            else:
                slot.state = State.EMPTY
        if all(slot.state is State.EMPTY for slot in self.slots):
            self._effects.append(End(status))

    def _start(self, index: int, now: float) -> None:
        slot = self.slots[index]
        slot.state, slot.until, slot.since = State.STARTING, float("inf"), now
        self._effects.append(Start(index))

    # --- what the operator wants ---------------------------------------------------------------
    def stop(self, now: float, status: int = 0) -> list[Effect]:
        """Drain all workers; asked twice, kill them."""
        if self.stopping:
            self._effects += [Kill(i) for i, slot in enumerate(self.slots) if slot.state is not State.EMPTY]
            return self._drain()
        self.stopping, self._status = True, status
        self._rolling, self._to_roll = None, []
        self._effects.append(Notify("stopping"))
        for index, slot in enumerate(self.slots):
            if slot.state in (State.STARTING, State.UP):
                self._ask(index, now)
            elif slot.state is State.WAITING:
                slot.state = State.EMPTY
        if all(slot.state is State.EMPTY for slot in self.slots):
            self._effects.append(End(status))
        return self._drain()

    def roll(self, now: float) -> list[Effect]:
        """Replace every worker, one after the other; those that a roll under way has replaced, too."""
        if self.stopping:
            return []
        self._to_roll = [index for index in range(self.count) if index != self._rolling]
        if self._rolling is not None:
            self._to_roll.append(self._rolling)
            return self._drain()
        self.announced = False
        self._effects.append(Notify("reloading"))
        self._roll_next(now)
        return self._drain()

    def _roll_next(self, now: float) -> None:
        self._rolling = self._to_roll.pop(0) if self._to_roll else None
        if self._rolling is None:
            return
        slot = self.slots[self._rolling]
        if slot.state in (State.UP, State.STARTING):
            self._ask(self._rolling, now)
        elif slot.state is State.WAITING:
            slot.delay = 0.0
            self._start(self._rolling, now)

    def _ask(self, index: int, now: float) -> None:
        slot = self.slots[index]
        slot.state, slot.until = State.ENDING, now + self.patience
        self._effects.append(Ask(index))

    # --- time ----------------------------------------------------------------------------------
    def next_deadline(self) -> float:
        return min((slot.until for slot in self.slots), default=float("inf"))

    def tick(self, now: float) -> list[Effect]:
        for index, slot in enumerate(self.slots):
            if slot.until > now:
                continue
            if slot.state is State.WAITING:
                self._start(index, now)
            elif slot.state is State.ENDING:
                slot.until = float("inf")
                text = f"worker {index + 1} has not ended within {self.patience:g} s and is killed"
                self._effects += [Tell("error", text), Kill(index)]
        return self._drain()

    # --- health --------------------------------------------------------------------------------
    @property
    def is_ready(self) -> bool:
        """Whether there is somebody who takes calls."""
        return not self.stopping and any(slot.state is State.UP for slot in self.slots)

    def _drain(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects


def _words(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {-status}"


def worker_name(name: str | None, index: int, count: int) -> str | None:
    """The node of worker `index`: with several each has its number behind the part before the @."""
    if name is None or count == 1:
        return name
    alive, at, host = name.partition("@")
    return f"{alive}{index + 1}{at}{host}"
