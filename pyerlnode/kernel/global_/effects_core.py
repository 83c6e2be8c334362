"""The words of `core`: what shall be done about a message, and what comes of a name that two have.

Each effect is one thing that the process of the name server does outside of itself; `global_` has the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

# --- effects -------------------------------------------------------------------------------------
Watched: TypeAlias = tuple[Any, ...]
"""Why a process is watched: (A.name, key) or (A.lock, resource, pid)."""


@dataclass(frozen=True, slots=True)
class Send:
    """`message` to the name server of `node`, if that is connected."""

    node: Atom
    message: Any


@dataclass(frozen=True, slots=True)
class Cast:
    """The same as ``gen_server:cast``."""

    node: Atom
    request: Any


@dataclass(frozen=True, slots=True)
class Watch:
    """Monitor `pid`, and say `ended(watched)` when it is gone."""

    watched: Watched
    pid: Pid


@dataclass(frozen=True, slots=True)
class Unwatch:
    watched: Watched


@dataclass(frozen=True, slots=True)
class Meet:
    """The locker shall agree with the locker of `node`."""

    node: Atom
    locker: Pid
    my_tag: int
    his_tag: Any


@dataclass(frozen=True, slots=True)
class EndAttempt:
    """The locker shall end the attempt of this tag: carry out `then`, and let the lock go."""

    node: Atom
    tag: Any
    then: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class TellLocker:
    """A word of his locker to ours."""

    message: Any


@dataclass(frozen=True, slots=True)
class Resolve:
    """Find the clashes between `names` and ours, in a process of its own, since a method may ask other nodes."""

    node: Atom
    my_tag: int
    names: list[Any]


@dataclass(frozen=True, slots=True)
class Greet:
    """Connect to `node`, which others know, and tell it that we are in sync."""

    node: Atom


@dataclass(frozen=True, slots=True)
class Remind:
    """Say ``(unanswered, node, tag)`` after some seconds."""

    node: Atom
    tag: Any


@dataclass(frozen=True, slots=True)
class Disconnect:
    node: Atom


@dataclass(frozen=True, slots=True)
class Warn:
    text: str


Effect: TypeAlias = (
    Send | Cast | Watch | Unwatch | Meet | EndAttempt | TellLocker | Resolve | Greet | Remind | Disconnect | Warn
)


# --- names that two have ---------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Named:
    """A name of the cluster."""

    name: Any
    pid: Pid
    method: Any


@dataclass(frozen=True, slots=True)
class Clash:
    """A name that both have, for another process each; `mine.method` says who keeps it."""

    his: Named
    mine: Named


def verdict(clash: Clash, winner: Any) -> tuple[Any, Any | None]:
    """What we do about a clash and what he does: (operation for us or None, operation for him or None)."""
    his, mine = clash.his, clash.mine
    if type(winner) is Pid and winner == his.pid:
        return (A.insert, (his.name, his.pid, his.method)), None
    if type(winner) is Pid and winner == mine.pid:
        return None, (A.insert, (his.name, mine.pid, mine.method))
    return (A.delete, his.name), (A.delete, his.name)
