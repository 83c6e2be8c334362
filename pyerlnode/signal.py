"""One vocabulary of signals: what processes send each other, here and over the wire.

A signal is a plain value. `dist.control` turns each into a control message and back, one class per
operation; `runtime.router` carries it to a process. They are slotted and not frozen: a frozen dataclass costs
three times as much to make, and one is made for every message that arrives. Nobody changes them.

`to` of a `Message` is a pid, a registered name (an atom) or an alias (a reference). `token` is a
sequential trace token, or None; a plain node passes it on and gives it no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid, Reference

Token: TypeAlias = Any


@dataclass(slots=True)
class Message:
    """SEND, SEND_SENDER, REG_SEND, ALIAS_SEND and the sending half of ALTACT_SIG_SEND."""

    from_: Pid | None
    to: Pid | Atom | Reference
    message: Any
    token: Token = None
    priority: bool = False


@dataclass(slots=True)
class Link:
    from_: Pid
    to: Pid


@dataclass(slots=True)
class Unlink:
    """UNLINK_ID: `id` is 1..2**64-1; 0 costs the connection."""

    id: int
    from_: Pid
    to: Pid


@dataclass(slots=True)
class UnlinkAck:
    id: int
    from_: Pid
    to: Pid


@dataclass(slots=True)
class ExitSignal:
    """EXIT: the end of a link."""

    from_: Pid
    to: Pid
    reason: Any
    token: Token = None


@dataclass(slots=True)
class Exit2:
    """EXIT2: ``exit(Pid, Reason)``; needs no link. `to` may be an alias when a priority signal says so."""

    from_: Pid
    to: Pid | Atom | Reference
    reason: Any
    token: Token = None
    priority: bool = False


@dataclass(slots=True)
class Monitor:
    """MONITOR_P: `to` is a pid, or a name on the node that the signal goes to."""

    from_: Pid
    to: Pid | Atom
    ref: Reference


@dataclass(slots=True)
class Demonitor:
    from_: Pid
    to: Pid | Atom
    ref: Reference


@dataclass(slots=True)
class MonitorExit:
    """MONITOR_P_EXIT: `from_` is what was monitored, echoed as it was named."""

    from_: Pid | Atom
    to: Pid
    ref: Reference
    reason: Any


@dataclass(slots=True)
class GroupLeader:
    leader: Pid
    to: Pid


@dataclass(slots=True)
class SpawnRequest:
    """SPAWN_REQUEST: `mfa` is (module, function, arity), `opts` the option list, `args` the arguments."""

    ref: Reference
    from_: Pid
    group_leader: Pid
    mfa: tuple[Atom, Atom, int]
    opts: Any
    args: Any
    token: Token = None


@dataclass(slots=True)
class SpawnReply:
    """SPAWN_REPLY: `flags` 1 = linked, 2 = monitored; `result` is a pid, or an atom that says why not."""

    ref: Reference
    to: Pid
    flags: int
    result: Pid | Atom
    token: Token = None


Signal: TypeAlias = (
    Message
    | Link
    | Unlink
    | UnlinkAck
    | ExitSignal
    | Exit2
    | Monitor
    | Demonitor
    | MonitorExit
    | GroupLeader
    | SpawnRequest
    | SpawnReply
)
