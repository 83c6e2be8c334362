"""The words of `core`: what a member has to know, what it keeps in mind, and what it wants done."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pyerlnode.cluster.standby.wire_core import Message
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid


@dataclass(frozen=True, slots=True)
class Config:
    """A group as each of its members has to know it; durations in seconds.

    Attributes:
        me: this node.
        groups: all nodes in the order of priority; nodes of one group do not take over from each other.
        stop: for an orderly end of the child, its handoff included.
        start: for the start of the child.
        wall: what to add to the clock to have milliseconds since 1970 / 1000; None: epochs are counted from 1.
    """

    me: Atom
    groups: tuple[tuple[Atom, ...], ...]
    majority: bool = True
    lease: float = 2.0
    shutdown: float = 1.0
    drift: float = 0.01
    stop: float = 5.0
    start: float = 10.0
    failures: int = 3
    within: float = 60.0
    wall: float | None = None

    @property
    def members(self) -> tuple[Atom, ...]:
        return tuple(node for group in self.groups for node in group)

    @property
    def promise(self) -> float:
        return (self.lease + self.shutdown) * (1 + self.drift) / (1 - self.drift)

    @property
    def beat(self) -> float:
        return self.lease / 4

    @property
    def quorum(self) -> int:
        return len(self.members) // 2 + 1 if self.majority else 1

    def group_of(self, node: Atom) -> int:
        return next(index for index, group in enumerate(self.groups) if node in group)


class Role(Enum):
    WAITING = "waiting"
    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"
    LEFT = "left"


# --- effects -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Send:
    """To the member's process on a node, or to a certain one that has asked."""

    to: Atom | Pid
    message: Message


@dataclass(frozen=True, slots=True)
class StartChild:
    born: int
    state: Any


@dataclass(frozen=True, slots=True)
class StopChild:
    """In order, and its state is wanted. `Core.child_stopped` answers, or `KillChild` follows."""

    born: int


@dataclass(frozen=True, slots=True)
class KillChild:
    """At once, and all that it has started; it counts as gone."""

    born: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The child may act until then, by this epoch."""

    born: int
    epoch: int
    until: float


@dataclass(frozen=True, slots=True)
class GiveState:
    """The state of a child that ran on the other side of a split, for ours."""

    born: int
    state: Any


@dataclass(frozen=True, slots=True)
class Persist:
    """Before the effects that follow: never again an epoch below this one."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Tell:
    """The view of this member has changed; `node` and `child` are None while no child runs."""

    node: Atom | None
    child: Pid | None
    epoch: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log and for telemetry."""

    event: str
    epoch: int
    detail: Any = None


@dataclass(frozen=True, slots=True)
class Left:
    """`leave` is done."""


Effect = Send | StartChild | StopChild | KillChild | Lease | GiveState | Persist | Tell | Note | Left


# --- state -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Promise:
    to: Pid
    epoch: int
    until: float


@dataclass(slots=True)
class Seen:
    """A member that has been heard of: `since` when without a gap."""

    pid: Pid
    at: float
    since: float
    state: Atom
    epoch: int = 0


@dataclass(slots=True)
class Hand:
    """A state that the child of `epoch` has left for the next, and until when it is worth something."""

    state: Any
    epoch: int
    until: float
    sent: dict[Atom, tuple[Pid, float]] = field(default_factory=dict)
    """The members that it is on its way to, and since when."""
    kept: Pid | None = None
    """One of them that has it."""


@dataclass(slots=True)
class View:
    """Where the child is, as far as this member knows; `at`: last heard."""

    node: Atom
    child: Pid | None
    epoch: int
    phase: Atom
    at: float


@dataclass(slots=True)
class Tenure:
    """The leader's own: its child, and how it is to end."""

    epoch: int
    born: int
    phase: Atom
    deadline: float
    """Of the start or the stop that is under way."""
    child: Pid | None = None
    lost: float | None = None
    """When its lease ended."""
    successor: Atom | None = None
    merge: bool = False
    given: int = 0
    """The epoch of the state that its child was started with; 0: none."""
