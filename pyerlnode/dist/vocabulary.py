"""Which control operation carries a signal to a peer: the choice that the flags in use make.

Implements the rules that OTP follows when a peer lacks a flag: a newer operation goes only to a peer that has its
flag, else the older form of the same signal goes, else nothing at all, which `Vocabulary.operation` tells by None.

| signal | operation | without the flag |
|---|---|---|
| message to a pid | 22 SEND_SENDER | 2 SEND, without the sender |
| message to an alias | 37 ALTACT_SIG_SEND | 33 ALIAS_SEND; without ALIAS nothing |
| message or exit/2 with priority | 37 | the same without priority |
| exit, exit/2, end of a monitor | 24, 26, 28 with a payload | 3, 8, 21 |
| monitor | 19, 20 | nothing without DIST_MONITOR (for a name DIST_MONITOR_NAME) |
| unlink | 35, 36 | 4, and no acknowledgement |
| spawn | 29, 31 | nothing |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyerlnode.dist.control import (
    UNUSED,
    AliasSend,
    AliasSendTT,
    AltactExit,
    AltactSend,
    DemonitorP,
    Exit,
    Exit2Op,
    Exit2TT,
    ExitTT,
    GroupLeaderOp,
    LinkOp,
    MonitorP,
    MonitorPExit,
    OldUnlink,
    Operation,
    PayloadExit,
    PayloadExit2,
    PayloadExit2TT,
    PayloadExitTT,
    PayloadMonitorPExit,
    RegSend,
    RegSendTT,
    Send,
    SendSender,
    SendSenderTT,
    SendTT,
    Spawn,
    SpawnReplyOp,
    SpawnReplyTT,
    SpawnTT,
    UnlinkId,
    UnlinkIdAck,
)
from pyerlnode.dist.elements import Control
from pyerlnode.dist.flags import DistFlags
from pyerlnode.errors import EncodeError
from pyerlnode.etf import PacketWriter
from pyerlnode.etf.releases import check_for
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
    Token,
    Unlink,
    UnlinkAck,
)
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid, Reference

SINCE: dict[int, DistFlags] = {
    19: DistFlags.DIST_MONITOR,
    20: DistFlags.DIST_MONITOR,
    22: DistFlags.SEND_SENDER,
    23: DistFlags.SEND_SENDER,
    24: DistFlags.EXIT_PAYLOAD,
    25: DistFlags.EXIT_PAYLOAD,
    26: DistFlags.EXIT_PAYLOAD,
    27: DistFlags.EXIT_PAYLOAD,
    28: DistFlags.EXIT_PAYLOAD,
    29: DistFlags.SPAWN,
    30: DistFlags.SPAWN,
    31: DistFlags.SPAWN,
    32: DistFlags.SPAWN,
    33: DistFlags.ALIAS,
    34: DistFlags.ALIAS,
    35: DistFlags.UNLINK_ID,
    36: DistFlags.UNLINK_ID,
    37: DistFlags.ALTACT_SIG,
}
"""The flag that a peer must have before the operation is sent to it; the others are as old as the protocol."""


class Vocabulary:
    """Which operation carries a signal to a peer with these flags in use."""

    __slots__ = (
        "_alias", "_altact", "_by_signal", "_exit_payload", "_monitors", "_monitors_names", "_send_sender", "_spawns",
        "check",
        "flags",
    )  # fmt: skip

    def __init__(self, flags: DistFlags) -> None:
        self.flags = flags
        # As bools: a membership test of an IntFlag takes longer than the rest of a message's way.
        self._send_sender = self._has(22)
        self._alias = self._has(33)
        self._altact = self._has(37)
        self.check = check_for(zeros=DistFlags.ALTACT_SIG in self.flags, records=DistFlags.NATIVE_RECORDS in self.flags)
        """Raises for a term that this peer does not take; None when it takes all."""
        self._exit_payload = self._has(24)
        self._monitors = self._has(19)
        self._monitors_names = self._monitors and DistFlags.DIST_MONITOR_NAME in flags
        self._spawns = self._has(29)
        self._by_signal: dict[type, Callable[[Any], type[Operation] | None]] = {
            Message: self._message,
            ExitSignal: self._exit,
            Exit2: self._exit2,
            SpawnRequest: self._spawn,
            SpawnReply: self._spawn_reply,
            Monitor: self._monitor,
            Demonitor: self._monitor,
            Link: self._always(LinkOp),
            Unlink: self._always(UnlinkId if self._has(35) else OldUnlink),
            UnlinkAck: self._always(UnlinkIdAck if self._has(36) else None),
            MonitorExit: self._always(PayloadMonitorPExit if self._has(28) else MonitorPExit),
            GroupLeader: self._always(GroupLeaderOp),
        }

    def operation(self, signal: Signal) -> type[Operation] | None:
        """The operation to write `signal` with; None when this peer has none for it (OTP sends nothing either).

        Raises:
            EncodeError: the signal lacks what every form of it needs.
        """
        return self._by_signal[type(signal)](signal)

    def usual(self, signal: Message) -> Control | None:
        """The control message of a message without token and priority to a peer of our time, written at once.

        None when it is not so simple: then `operation` says how. Most of what is sent goes through here.
        """
        from_, to = signal.from_, signal.to
        if from_ is None or signal.token is not None or signal.priority:
            return None
        kind = type(to)
        if kind is Pid:
            return (22, from_, to) if self._send_sender else None
        if kind is Reference:
            return (37, AltactSend.ALIAS, from_, to) if self._altact else None
        return (6, from_, UNUSED, to) if kind is Atom else None

    def writer(self, classes: tuple[type, type, type], whole: int) -> PacketWriter:
        """What writes `usual` messages, monitors and demonitors as packets at once (see `etf.PacketWriter`)."""
        cache = DistFlags.DIST_HDR_ATOM_CACHE in self.flags
        return PacketWriter(
            classes, whole, self._send_sender, self._altact, self._monitors, self._monitors_names, cache, self.check
        )

    def token(self, token: Token) -> Token:
        """The trace token as this peer takes it: without BIG_SEQTRACE_LABELS only small labels travel."""
        if DistFlags.BIG_SEQTRACE_LABELS in self.flags or (
            type(token) is tuple and len(token) == 5 and type(token[1]) is int and -(2**27) <= token[1] < 2**27
        ):
            return token
        return None

    def _has(self, op: int) -> bool:
        return SINCE[op] in self.flags

    @staticmethod
    def _always(operation: type[Operation] | None) -> Callable[[Any], type[Operation] | None]:
        return lambda _signal: operation

    def _message(self, signal: Message) -> type[Operation] | None:
        kind, plain = type(signal.to), signal.token is None
        if signal.priority and self._altact and signal.from_ is not None:
            return AltactSend
        if kind is Pid:
            if signal.from_ is not None and self._send_sender:
                return SendSender if plain else SendSenderTT
            return Send if plain else SendTT
        if signal.from_ is None:
            raise EncodeError("a message to a name or an alias of another node needs a sender")
        if kind is Atom:
            return RegSend if plain else RegSendTT
        if self._altact:
            return AltactSend
        if self._alias:
            return AliasSend if plain else AliasSendTT
        return None

    def _exit(self, signal: ExitSignal) -> type[Operation]:
        if self._exit_payload:
            return PayloadExit if signal.token is None else PayloadExitTT
        return Exit if signal.token is None else ExitTT

    def _exit2(self, signal: Exit2) -> type[Operation] | None:
        if (signal.priority or type(signal.to) is not Pid) and self._altact:
            return AltactExit
        if type(signal.to) is not Pid:
            return None
        if self._exit_payload:
            return PayloadExit2 if signal.token is None else PayloadExit2TT
        return Exit2Op if signal.token is None else Exit2TT

    def _spawn(self, signal: SpawnRequest) -> type[Operation] | None:
        return (Spawn if signal.token is None else SpawnTT) if self._spawns else None

    def _spawn_reply(self, signal: SpawnReply) -> type[Operation] | None:
        return (SpawnReplyOp if signal.token is None else SpawnReplyTT) if self._spawns else None

    def _monitor(self, signal: Monitor | Demonitor) -> type[Operation] | None:
        if not (self._monitors_names if type(signal.to) is Atom else self._monitors):
            return None
        return MonitorP if type(signal) is Monitor else DemonitorP
