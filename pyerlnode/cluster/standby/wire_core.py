"""What the members of a standby group tell each other, as values, and as terms on the wire.

A message is ``{'$standby', 1, Sender, Kind, Field...}``: `Sender` is the pid of the member that sends, so a member that
has started again is another one. Whatever does not have exactly this shape is no message (`from_wire` gives None). The
number is the version of what is said: a member of another one is no member here, and that is told (`other_version`).

    here      to all, at each beat: how I am, the greatest epoch that I know
    ask       of a candidate: be mine for this epoch; `stamp` is its clock, given back as it is, `hand` the epoch of
              the state that it has been handed
    beat      of the leader, at each beat: the same, and where its child is, and which state that was `given`
    yes       to `ask` and `beat`: I belong to nobody else until my promise ends; `ran`: the latest that had a child
    no        the opposite, and the greatest epoch that I know
    release   my child is stopped, or I am no candidate any more: promises to me are void; `successor` goes first
    transfer  to the successor: come, and this is the state that the child of `epoch` has left; also to any other that
              may be the next to run it
    taken     to `transfer`: I have it
    merge     to the one that goes on after a split: this is the state of the child that was stopped here
    gone      the member has left in order
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final

from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

TAG: Final = A["$standby"]
VERSION: Final = 1
EPOCH_LIMIT: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Here:
    state: Atom
    epoch: int


@dataclass(frozen=True, slots=True)
class Ask:
    epoch: int
    stamp: float
    hand: int = 0


@dataclass(frozen=True, slots=True)
class Beat:
    """`born` is the epoch in which the child was started; `epoch` may be greater after a split was healed."""

    epoch: int
    stamp: float
    phase: Atom
    born: int
    child: Pid | None
    pin: Atom | None
    given: int = 0


@dataclass(frozen=True, slots=True)
class Yes:
    epoch: int
    stamp: float
    ran: int = 0


@dataclass(frozen=True, slots=True)
class No:
    """`epoch` is that of the question, `known` the greatest that the one who refuses knows."""

    epoch: int
    known: int


@dataclass(frozen=True, slots=True)
class Release:
    epoch: int
    successor: Atom | None


@dataclass(frozen=True, slots=True)
class Transfer:
    epoch: int
    state: Any


@dataclass(frozen=True, slots=True)
class Taken:
    epoch: int


@dataclass(frozen=True, slots=True)
class Merge:
    epoch: int
    state: Any


@dataclass(frozen=True, slots=True)
class Gone:
    epoch: int


Message = Here | Ask | Beat | Yes | No | Release | Transfer | Taken | Merge | Gone
KINDS: Final = {
    Atom(cls.__name__.lower()): cls for cls in (Here, Ask, Beat, Yes, No, Release, Transfer, Taken, Merge, Gone)
}  # fmt: skip
STATES: Final = frozenset((A.waiting, A.standby, A.active, A.resting, A.doubted, A.failed, A.leaving))
PHASES: Final = frozenset((A.starting, A.running, A.stopping))


def _epoch(value: Any) -> bool:
    return type(value) is int and 0 <= value < EPOCH_LIMIT


def _stamp(value: Any) -> bool:
    return type(value) is float


def _node(value: Any) -> bool:
    return value is None or type(value) is Atom


CHECKS: Final[dict[str, Callable[[Any], bool]]] = {
    "epoch": _epoch,
    "known": _epoch,
    "born": _epoch,
    "hand": _epoch,
    "given": _epoch,
    "ran": _epoch,
    "stamp": _stamp,
    "pin": _node,
    "successor": _node,
    "child": lambda value: value is None or type(value) is Pid,
    "phase": PHASES.__contains__,
    "state": lambda _: True,
}


def to_wire(sender: Pid, message: Message) -> tuple[Any, ...]:
    values = (getattr(message, field.name) for field in fields(message))
    return (TAG, VERSION, sender, Atom(type(message).__name__.lower()), *values)


def other_version(term: Any) -> tuple[Pid, Any] | None:
    """(sender, version) of a message of another version than ours, whatever else it has; None for anything else."""
    match term:
        case (tag, int(version), Pid() as sender, *_) if tag is TAG and not exact.same(version, VERSION):
            return sender, version
    return None


def from_wire(term: Any) -> tuple[Pid, Message] | None:
    """(sender, message), or None for what is none."""
    match term:
        case (tag, version, Pid() as sender, Atom() as kind, *values) if tag is TAG and kind in KINDS:
            if not exact.same(version, VERSION):
                return None
            cls = KINDS[kind]
            wanted = fields(cls)
            if len(values) != len(wanted):
                return None
            if not all(CHECKS[field.name](value) for field, value in zip(wanted, values, strict=True)):
                return None
            if cls is Here and not (type(values[0]) is Atom and values[0] in STATES):
                return None
            return sender, cls(*values)
    return None
