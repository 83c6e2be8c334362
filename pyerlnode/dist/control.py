"""Control messages: one class per operation of the distribution, reading and writing side by side.

Implements the operations 1 to 37 of the distribution protocol (erl_dist_protocol, "Protocol between Connected
Nodes"). A control message is a tuple whose first element is the operation. Some are followed by a payload, a term
of its own in the same packet: the message, the reason of an exit, the arguments of a spawn. `payload` names the
field of the signal that it fills; a signal is read from its control tuple first and gets its payload after, so a
payload that can not be decoded still leaves the operation, sender and receiver known.

Laws:
- A tuple is accepted with exactly `size` elements (operation 37 alone may grow). Every element has its type.
  Anything else is a `ProtocolError`, which costs the connection, as on a BEAM.
- LINK, UNLINK_ID, UNLINK_ID_ACK, EXIT, MONITOR_P and DEMONITOR_P come from processes of the connected node.
- Which operation carries a signal to a peer depends on the flags in use: `vocabulary` chooses.

Deliberately not here: NODE_LINK (5), which every current BEAM refuses, and any decision about what a signal does.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pyerlnode.dist.elements import Control, integer_at, mfa_at, name_at, pid_at, pid_or_name_at, ref_at, wrong
from pyerlnode.dist.flags import DistFlags
from pyerlnode.errors import EncodeError, ProtocolError
from pyerlnode.signal import (
    Demonitor,
    Exit2,
    ExitSignal,
    GroupLeader,
    Link,
    Message,
    Monitor,
    MonitorExit,
    Signal,
    SpawnReply,
    SpawnRequest,
    Unlink,
    UnlinkAck,
)
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid, Reference

UNUSED = Atom("")
"""Stands where an operation once had a cookie."""

MAX_UNLINK_ID = 2**64 - 1


class Operation:
    """What every operation has; the classes are never instantiated.

    `read` takes a control tuple whose size has been checked. `of_peer` is the element that must be a pid of the
    connected node, of whichever life of it; 0 when there is none.
    """

    op: ClassVar[int]
    size: ClassVar[int]
    payload: ClassVar[str] = ""
    of_peer: ClassVar[int] = 0

    @staticmethod
    def read(control: Control) -> Signal:
        raise NotImplementedError

    @staticmethod
    def write(signal: Any) -> Control:
        raise NotImplementedError


# --- messages ----------------------------------------------------------------------------------------
class Send(Operation):
    op, size, payload = 2, 3, "message"

    @staticmethod
    def read(control: Control) -> Message:
        return Message(None, pid_at(control, 2), None)

    @staticmethod
    def write(signal: Message) -> Control:
        return (2, UNUSED, signal.to)


class SendTT(Operation):
    op, size, payload = 12, 4, "message"

    @staticmethod
    def read(control: Control) -> Message:
        return Message(None, pid_at(control, 2), None, control[3])

    @staticmethod
    def write(signal: Message) -> Control:
        return (12, UNUSED, signal.to, signal.token)


class RegSend(Operation):
    op, size, payload = 6, 4, "message"

    @staticmethod
    def read(control: Control) -> Message:
        from_, to = control[1], control[3]
        if type(from_) is Pid and type(to) is Atom:
            return Message(from_, to, None)
        return Message(pid_at(control, 1), name_at(control, 3), None)

    @staticmethod
    def write(signal: Message) -> Control:
        return (6, signal.from_, UNUSED, signal.to)


class RegSendTT(Operation):
    op, size, payload = 16, 5, "message"

    @staticmethod
    def read(control: Control) -> Message:
        return Message(pid_at(control, 1), name_at(control, 3), None, control[4])

    @staticmethod
    def write(signal: Message) -> Control:
        return (16, signal.from_, UNUSED, signal.to, signal.token)


class SendSender(Operation):
    op, size, payload = 22, 3, "message"

    @staticmethod
    def read(control: Control) -> Message:
        from_, to = control[1], control[2]
        if type(from_) is Pid and type(to) is Pid:  # most packets are this one
            return Message(from_, to, None)
        return Message(pid_at(control, 1), pid_at(control, 2), None)

    @staticmethod
    def write(signal: Message) -> Control:
        return (22, signal.from_, signal.to)


class SendSenderTT(Operation):
    op, size, payload = 23, 4, "message"

    @staticmethod
    def read(control: Control) -> Message:
        return Message(pid_at(control, 1), pid_at(control, 2), None, control[3])

    @staticmethod
    def write(signal: Message) -> Control:
        return (23, signal.from_, signal.to, signal.token)


class AliasSend(Operation):
    op, size, payload = 33, 3, "message"

    @staticmethod
    def read(control: Control) -> Message:
        return Message(pid_at(control, 1), ref_at(control, 2), None)

    @staticmethod
    def write(signal: Message) -> Control:
        return (33, signal.from_, signal.to)


class AliasSendTT(Operation):
    op, size, payload = 34, 4, "message"

    @staticmethod
    def read(control: Control) -> Message:
        return Message(pid_at(control, 1), ref_at(control, 2), None, control[3])

    @staticmethod
    def write(signal: Message) -> Control:
        return (34, signal.from_, signal.to, signal.token)


class AltactSend(Operation):
    """ALTACT_SIG_SEND: messages and exits with flags; the only one that may have more elements than we know.

    Flags: 1 priority, 2 a token is element 5, 4 `to` is an alias, 8 `to` is a name, 16 an exit instead of a message.
    """

    op, size, payload = 37, 4, "message"

    PRIORITY, TOKEN, ALIAS, NAME, EXIT = 1, 2, 4, 8, 16

    @staticmethod
    def read(control: Control) -> Message | Exit2:
        flags = control[1]
        if type(flags) is not int or flags < 0:
            raise wrong(control, 1, "flags")
        token = None
        if flags & AltactSend.TOKEN:
            if len(control) < 5:
                raise ProtocolError("the peer sent control operation 37 without the token that it announces")
            token = control[4]
        to: Pid | Atom | Reference
        if flags & AltactSend.ALIAS:
            to = ref_at(control, 3)
        elif flags & AltactSend.NAME:
            to = name_at(control, 3)
        else:
            to = pid_at(control, 3)
        kind = Exit2 if flags & AltactSend.EXIT else Message
        return kind(pid_at(control, 2), to, None, token, bool(flags & AltactSend.PRIORITY))

    @staticmethod
    def write(signal: Message | Exit2) -> Control:
        flags = AltactSend.PRIORITY if signal.priority else 0
        if type(signal.to) is Reference:
            flags |= AltactSend.ALIAS
        elif type(signal.to) is Atom:
            flags |= AltactSend.NAME
        if type(signal) is Exit2:
            flags |= AltactSend.EXIT
        if signal.token is None:
            return (37, flags, signal.from_, signal.to)
        return (37, flags | AltactSend.TOKEN, signal.from_, signal.to, signal.token)


class AltactExit(AltactSend):
    """The same operation when it is written for an `Exit2`: its payload is the reason."""

    payload = "reason"


# --- links -------------------------------------------------------------------------------------------
class LinkOp(Operation):
    op, size = 1, 3
    of_peer = 1

    @staticmethod
    def read(control: Control) -> Link:
        return Link(pid_at(control, 1), pid_at(control, 2))

    @staticmethod
    def write(signal: Link) -> Control:
        return (1, signal.from_, signal.to)


class OldUnlink(Operation):
    """UNLINK, for peers without UNLINK_ID only; it has no id (0 here) and is never acknowledged."""

    op, size = 4, 3
    of_peer = 1

    @staticmethod
    def read(control: Control) -> Unlink:
        return Unlink(0, pid_at(control, 1), pid_at(control, 2))

    @staticmethod
    def write(signal: Unlink) -> Control:
        return (4, signal.from_, signal.to)


class UnlinkId(Operation):
    op, size = 35, 4
    of_peer = 2

    @staticmethod
    def read(control: Control) -> Unlink:
        return Unlink(integer_at(control, 1, 1, MAX_UNLINK_ID), pid_at(control, 2), pid_at(control, 3))

    @staticmethod
    def write(signal: Unlink) -> Control:
        return (35, _unlink_id(signal.id), signal.from_, signal.to)


class UnlinkIdAck(Operation):
    op, size = 36, 4
    of_peer = 2

    @staticmethod
    def read(control: Control) -> UnlinkAck:
        return UnlinkAck(integer_at(control, 1, 1, MAX_UNLINK_ID), pid_at(control, 2), pid_at(control, 3))

    @staticmethod
    def write(signal: UnlinkAck) -> Control:
        return (36, _unlink_id(signal.id), signal.from_, signal.to)


def _unlink_id(id: int) -> int:
    if not 1 <= id <= MAX_UNLINK_ID:
        raise EncodeError("the id of an unlink is 1..2**64-1: any other costs the connection")
    return id


# --- exits -------------------------------------------------------------------------------------------
class Exit(Operation):
    op, size = 3, 4
    of_peer = 1

    @staticmethod
    def read(control: Control) -> ExitSignal:
        return ExitSignal(pid_at(control, 1), pid_at(control, 2), control[3])

    @staticmethod
    def write(signal: ExitSignal) -> Control:
        return (3, signal.from_, signal.to, signal.reason)


class ExitTT(Operation):
    op, size = 13, 5
    of_peer = 1

    @staticmethod
    def read(control: Control) -> ExitSignal:
        return ExitSignal(pid_at(control, 1), pid_at(control, 2), control[4], control[3])

    @staticmethod
    def write(signal: ExitSignal) -> Control:
        return (13, signal.from_, signal.to, signal.token, signal.reason)


class PayloadExit(Operation):
    op, size, payload = 24, 3, "reason"
    of_peer = 1

    @staticmethod
    def read(control: Control) -> ExitSignal:
        return ExitSignal(pid_at(control, 1), pid_at(control, 2), None)

    @staticmethod
    def write(signal: ExitSignal) -> Control:
        return (24, signal.from_, signal.to)


class PayloadExitTT(Operation):
    op, size, payload = 25, 4, "reason"
    of_peer = 1

    @staticmethod
    def read(control: Control) -> ExitSignal:
        return ExitSignal(pid_at(control, 1), pid_at(control, 2), None, control[3])

    @staticmethod
    def write(signal: ExitSignal) -> Control:
        return (25, signal.from_, signal.to, signal.token)


class Exit2Op(Operation):
    op, size = 8, 4

    @staticmethod
    def read(control: Control) -> Exit2:
        return Exit2(pid_at(control, 1), pid_at(control, 2), control[3])

    @staticmethod
    def write(signal: Exit2) -> Control:
        return (8, signal.from_, signal.to, signal.reason)


class Exit2TT(Operation):
    op, size = 18, 5

    @staticmethod
    def read(control: Control) -> Exit2:
        return Exit2(pid_at(control, 1), pid_at(control, 2), control[4], control[3])

    @staticmethod
    def write(signal: Exit2) -> Control:
        return (18, signal.from_, signal.to, signal.token, signal.reason)


class PayloadExit2(Operation):
    op, size, payload = 26, 3, "reason"

    @staticmethod
    def read(control: Control) -> Exit2:
        return Exit2(pid_at(control, 1), pid_at(control, 2), None)

    @staticmethod
    def write(signal: Exit2) -> Control:
        return (26, signal.from_, signal.to)


class PayloadExit2TT(Operation):
    op, size, payload = 27, 4, "reason"

    @staticmethod
    def read(control: Control) -> Exit2:
        return Exit2(pid_at(control, 1), pid_at(control, 2), None, control[3])

    @staticmethod
    def write(signal: Exit2) -> Control:
        return (27, signal.from_, signal.to, signal.token)


# --- monitors ----------------------------------------------------------------------------------------
class MonitorP(Operation):
    op, size = 19, 4
    of_peer = 1

    @staticmethod
    def read(control: Control) -> Monitor:
        _, from_, to, ref = control
        if type(from_) is Pid and (type(to) is Pid or type(to) is Atom) and type(ref) is Reference:
            return Monitor(from_, to, ref)  # each call of another node brings one
        return Monitor(pid_at(control, 1), pid_or_name_at(control, 2), ref_at(control, 3))

    @staticmethod
    def write(signal: Monitor) -> Control:
        return (19, signal.from_, signal.to, signal.ref)


class DemonitorP(Operation):
    op, size = 20, 4
    of_peer = 1

    @staticmethod
    def read(control: Control) -> Demonitor:
        _, from_, to, ref = control
        if type(from_) is Pid and (type(to) is Pid or type(to) is Atom) and type(ref) is Reference:
            return Demonitor(from_, to, ref)
        return Demonitor(pid_at(control, 1), pid_or_name_at(control, 2), ref_at(control, 3))

    @staticmethod
    def write(signal: Demonitor) -> Control:
        return (20, signal.from_, signal.to, signal.ref)


class MonitorPExit(Operation):
    op, size = 21, 5

    @staticmethod
    def read(control: Control) -> MonitorExit:
        return MonitorExit(pid_or_name_at(control, 1), pid_at(control, 2), ref_at(control, 3), control[4])

    @staticmethod
    def write(signal: MonitorExit) -> Control:
        return (21, signal.from_, signal.to, signal.ref, signal.reason)


class PayloadMonitorPExit(Operation):
    op, size, payload = 28, 4, "reason"

    @staticmethod
    def read(control: Control) -> MonitorExit:
        return MonitorExit(pid_or_name_at(control, 1), pid_at(control, 2), ref_at(control, 3), None)

    @staticmethod
    def write(signal: MonitorExit) -> Control:
        return (28, signal.from_, signal.to, signal.ref)


# --- spawn and group leader ----------------------------------------------------------------------------
class GroupLeaderOp(Operation):
    op, size = 7, 3

    @staticmethod
    def read(control: Control) -> GroupLeader:
        return GroupLeader(pid_at(control, 1), pid_at(control, 2))

    @staticmethod
    def write(signal: GroupLeader) -> Control:
        return (7, signal.leader, signal.to)


class Spawn(Operation):
    op, size, payload = 29, 6, "args"

    @staticmethod
    def read(control: Control) -> SpawnRequest:
        leader, mfa = pid_at(control, 3), mfa_at(control, 4)
        return SpawnRequest(ref_at(control, 1), pid_at(control, 2), leader, mfa, control[5], None)

    @staticmethod
    def write(signal: SpawnRequest) -> Control:
        return (29, signal.ref, signal.from_, signal.group_leader, signal.mfa, signal.opts)


class SpawnTT(Operation):
    op, size, payload = 30, 7, "args"

    @staticmethod
    def read(control: Control) -> SpawnRequest:
        leader, mfa = pid_at(control, 3), mfa_at(control, 4)
        return SpawnRequest(ref_at(control, 1), pid_at(control, 2), leader, mfa, control[5], None, control[6])

    @staticmethod
    def write(signal: SpawnRequest) -> Control:
        return (30, signal.ref, signal.from_, signal.group_leader, signal.mfa, signal.opts, signal.token)


class SpawnReplyOp(Operation):
    op, size = 31, 5

    @staticmethod
    def read(control: Control) -> SpawnReply:
        flags = integer_at(control, 3, 0, 0xFFFFFFFF)
        return SpawnReply(ref_at(control, 1), pid_at(control, 2), flags, pid_or_name_at(control, 4))

    @staticmethod
    def write(signal: SpawnReply) -> Control:
        return (31, signal.ref, signal.to, signal.flags, signal.result)


class SpawnReplyTT(Operation):
    op, size = 32, 6

    @staticmethod
    def read(control: Control) -> SpawnReply:
        flags = integer_at(control, 3, 0, 0xFFFFFFFF)
        return SpawnReply(ref_at(control, 1), pid_at(control, 2), flags, pid_or_name_at(control, 4), control[5])

    @staticmethod
    def write(signal: SpawnReply) -> Control:
        return (32, signal.ref, signal.to, signal.flags, signal.result, signal.token)


OPERATIONS: dict[int, type[Operation]] = {
    operation.op: operation
    for operation in (
        LinkOp, Send, Exit, OldUnlink, RegSend, GroupLeaderOp, Exit2Op, SendTT, ExitTT, RegSendTT, Exit2TT,
        MonitorP, DemonitorP, MonitorPExit, SendSender, SendSenderTT, PayloadExit, PayloadExitTT, PayloadExit2,
        PayloadExit2TT, PayloadMonitorPExit, Spawn, SpawnTT, SpawnReplyOp, SpawnReplyTT, AliasSend, AliasSendTT,
        UnlinkId, UnlinkIdAck, AltactSend,
    )
}  # fmt: skip


_READERS = {
    op: (operation.size, operation.read, operation.of_peer, operation.payload) for op, operation in OPERATIONS.items()
}
"""The same, as what `read_control` needs of each."""
_ALTACT, _UNLINK = AltactSend.op, OldUnlink.op


def read_control(control: Any, peer: Atom, flags: DistFlags) -> tuple[Signal, str]:
    """A control tuple as a signal, and the name of the field that the payload fills ("" when there is none).

    Raises:
        ProtocolError: no tuple, an unknown operation, a wrong size, or an element that does not belong there.
    """
    if type(control) is not tuple or not control or type(control[0]) is not int:
        raise ProtocolError("the peer sent a control message that is no tuple with an operation")
    op = control[0]
    reader = _READERS.get(op)
    if reader is None:
        raise ProtocolError(f"the peer sent the unknown control operation {op}")
    size, read, of_peer, payload = reader
    if len(control) != size and (len(control) < size or op != _ALTACT):
        raise ProtocolError(f"the peer sent control operation {op} with {len(control)} elements")
    if op == _UNLINK and DistFlags.UNLINK_ID in flags:
        raise ProtocolError("the peer sent the obsolete UNLINK although UNLINK_ID is in use")
    signal = read(control)
    if of_peer and control[of_peer].node is not peer:
        raise ProtocolError(f"the peer sent control operation {op} in the name of another node")
    if op == _ALTACT and type(signal) is Exit2:
        return signal, "reason"
    return signal, payload
