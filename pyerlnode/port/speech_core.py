"""What the two sides of a port say to each other: one term to a packet, one tuple to a signal.

The BEAM's side is a process that owns the port (`beam/pyerlnode_port.erl`), and carries out what it is told for
the processes of its node:

    {send, To, Message}                  To: a pid, a name or an alias of the side that is told
    {call, Ref, M, F, Args}              answered by {reply, Ref, Outcome}
    {gen_call, Ref, To, Request, Ms}     the same for GenServer.call; from Python only
    {reply, Ref, Outcome}                {return, V}, {throw, V}, {exit, R}, {error, R, Stack}: as `erpc` has them
    {monitor, Ref, From, To}             answered by {down, Ref, Reason}, once
    {demonitor, Ref}
    {down, Ref, Reason}
    {link, From, To}                     ended by {exit, From, To, Reason}, or {unlink, From, To}
    {unlink, From, To}
    {exit, From, To, Reason}             the end of a link
    {exit2, From, To, Reason}            exit(To, Reason); To: a pid, or a name

But for `gen_call` the same words go both ways. Signals keep their order, as there is one stream; and when it ends,
every link and monitor across it ends with `noconnection`.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.errors import ProtocolError
from pyerlnode.signal import (
    Demonitor,
    Exit2,
    ExitSignal,
    Link,
    Message,
    Monitor,
    MonitorExit,
    Signal,
    Unlink,
)
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference


def say(signal: Signal) -> tuple[Any, ...] | None:
    """The tuple for `signal`; None for one that a port does not have."""
    match signal:
        case Message():
            return A.send, signal.to, signal.message
        case Monitor():
            return A.monitor, signal.ref, signal.from_, signal.to
        case Demonitor():
            return A.demonitor, signal.ref
        case MonitorExit():
            return A.down, signal.ref, signal.reason
        case Link():
            return A.link, signal.from_, signal.to
        case Unlink():
            return A.unlink, signal.from_, signal.to
        case ExitSignal():
            return A.exit, signal.from_, signal.to, signal.reason
        case Exit2():
            return A.exit2, signal.from_, signal.to, signal.reason
    return None


def hear(term: Any, root: Pid) -> Signal | None:
    """The signal in a tuple of the other side; None for a call or a reply, which are no signals.

    `root` stands for our side where a signal names nobody. Raises `ProtocolError` for anything else.
    """
    match term:
        case (A.send, to, message):
            return Message(None, to, message)
        case (A.monitor, Reference() as ref, Pid() as from_, to):
            return Monitor(from_, to, ref)
        case (A.demonitor, Reference() as ref):
            return Demonitor(root, root, ref)
        case (A.down, Reference() as ref, reason):
            return MonitorExit(root, root, ref, reason)
        case (A.link, Pid() as from_, Pid() as to):
            return Link(from_, to)
        case (A.unlink, Pid() as from_, Pid() as to):
            return Unlink(1, from_, to)
        case (A.exit, Pid() as from_, Pid() as to, reason):
            return ExitSignal(from_, to, reason)
        case (A.exit2, Pid() as from_, Pid() | Atom() as to, reason):
            return Exit2(from_, to, reason)
        case (A.call, Reference(), _, _, list()) | (A.reply, Reference(), tuple()):
            return None
    raise ProtocolError("the port's owner said something that is not in its vocabulary")
