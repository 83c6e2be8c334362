"""The machine of one connection after the handshake: bytes to signals, signals to bytes, and the ticks.

Implements "Protocol between Connected Nodes" of erl_dist_protocol, in the two encodings that the flags choose:

- neither DIST_HDR_ATOM_CACHE nor FRAGMENTS: ``112, 131, control [, 131, payload]``
- any of them: a distribution header (`atom_cache`, `fragment`), control and payload without 131

Laws:
- Any bytes give events (signals, `Undecodable`) or one `ProtocolError`, after which the machine is spent. The
  events before the error are given first, however the bytes were cut.
- Of a payload that can not be decoded `Undecodable` tells the signal without it, and the connection what comes of it. A
  control message that can not be decoded costs the connection, for nobody knows what was lost.
- Encoding fails before anything is queued.

The word of all machines are here: `receive_data`, `next_event`, `send`, `next_deadline`, `handle_timer`. Beside them
stand the forms that the path of a message uses: `receive` gives all events of one read at once, `packets` gives
the fragments of a large message apart, so that the writer can let small ones pass.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from pyerlnode.dist.atom_cache import EMPTY, AtomCacheReader
from pyerlnode.dist.control import read_control
from pyerlnode.dist.flags import DistFlags
from pyerlnode.dist.fragment import FIRST, FRAGMENT_SIZE, NEXT, Buffer, FragmentReader, Packet, split
from pyerlnode.dist.framing import MAX_FRAME, FrameReader
from pyerlnode.dist.handshake import PeerInfo
from pyerlnode.dist.ticks import TickAction, TickClock, TickSettings
from pyerlnode.dist.vocabulary import Vocabulary
from pyerlnode.errors import DecodeError, EncodeError, ProtocolError
from pyerlnode.etf import (
    AtomBudget,
    PacketReader,
    decode_packet,
    decode_term,
    encode_packet,
    encode_term,
    encode_term_buffers,
)
from pyerlnode.etf.common import AtomValue, atom_value
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.signal import Demonitor, Message, Monitor, Signal
from pyerlnode.term.atom import Atom

VERSION, PASS_THROUGH, HEADER = 131, 112, 68
NO_ATOMS: tuple[Any, ...] = ()
DEFAULT_TICKS = TickSettings()
_USUAL = (Message, Monitor, Demonitor)
_SMALL = 16 * 1024
"""Packets up to here are joined into one buffer: cheaper than a longer list for `sendmsg`."""


@dataclass(slots=True)
class Undecodable:
    """A signal came whose payload is no term: `signal` has None in its place. `text` says why, without any of it."""

    signal: Signal
    text: str
    offset: int


Event: TypeAlias = Signal | Undecodable
_Pending: TypeAlias = tuple[Signal, str, Sequence[Any]]
"""A fragmented message: the signal, the field that waits for the payload, the atoms of its header."""


def _fill(signal: Any, field: str, payload: Any) -> None:
    if field == "message":
        signal.message = payload
    elif field == "reason":
        signal.reason = payload
    else:
        signal.args = payload


def _not_usual(_signal: Signal, _in_order: bool = True) -> None:
    """The usual packets are written for peers of our time only."""


def _no_payload(signal: Signal) -> ProtocolError:
    return ProtocolError(f"the peer sent a {type(signal).__name__} without its payload")


class Channel:
    """One connection to `peer`, as the handshake left it. `now` is any monotonic clock, in seconds."""

    __slots__ = (
        "_atoms", "_budget", "_cache", "_events", "_failed", "_fragmenting", "_fragments", "_frames", "_head",
        "_header", "_limits", "_messages_out", "_read", "_sequence", "_ticks", "_vocabulary", "_writer", "assembled",
        "bytes_in", "bytes_out", "flags", "fragments_in", "fragments_out", "messages_in", "node", "peer", "ticks_in", "undecodable",
        "usual",
    )  # fmt: skip

    def __init__(
        self,
        peer: PeerInfo,
        *,
        limits: Limits = DEFAULT_LIMITS,
        ticks: TickSettings = DEFAULT_TICKS,
        now: float = 0.0,
        budget: AtomBudget | None = None,
    ) -> None:
        self.peer = peer
        self.node = Atom(peer.name)
        self.flags = peer.flags
        self.bytes_in = self.bytes_out = 0
        self.messages_in = self._messages_out = 0
        self.fragments_in = self.fragments_out = 0
        self.assembled = 0
        """Bytes of the payloads that came in fragments and were put together."""
        self.ticks_in = self.undecodable = 0
        self._limits = limits
        self._budget = AtomBudget(limits.atoms) if budget is None else budget
        self._frames = FrameReader(limits.frame_size)
        self._cache = AtomCacheReader(self._intern)
        self._fragments: FragmentReader[_Pending] = FragmentReader(limits.pending_fragments, limits.fragmented_size)
        self._vocabulary = Vocabulary(peer.flags)
        self._atoms = DistFlags.DIST_HDR_ATOM_CACHE in peer.flags
        self._fragmenting = DistFlags.FRAGMENTS in peer.flags
        self._header = self._atoms or self._fragmenting
        self._head = b"\x83D\0" if self._header else b"p\x83"
        self._sequence = 0
        reader = PacketReader(_USUAL, self.node, self._cache.slots, EMPTY, self._budget, limits)
        self._read = reader.read if self._header else None
        self._writer = self._vocabulary.writer(_USUAL, FRAGMENT_SIZE)
        self.usual = self._writer.write if self._fragmenting else _not_usual
        """Writes a signal as one packet, for who sends it in order (see `etf.PacketWriter.write`); when it gives
        something else than bytes `packets_of` tells what to send."""
        self._ticks = TickClock(ticks, peer.hidden, now)
        self._events: deque[Event] = deque()
        self._failed: ProtocolError | None = None

    # --- receiving ---------------------------------------------------------------------------------
    def receive(self, data: bytes) -> list[Event]:
        """All events that `data` completes. Look at `failed` after the last of them."""
        events: list[Event] = []
        if self._failed is not None:
            return events
        self.bytes_in += len(data)
        try:
            self._receive(data, events)
        except ProtocolError as error:
            self._failed = error
        self.messages_in += len(events)
        return events

    def _receive(self, data: bytes, events: list[Event]) -> None:
        frames, read = self._frames, self._read
        at = 0
        if frames.pending:
            frame, at = frames.complete(data)
            if frame is not None:
                whole, start, end = frame
                if read is None or read(whole, 0, events) < end:
                    self._packet(whole, start, end, events)
        while True:
            if read is not None:  # whole packets of the usual kinds
                at = read(data, at, events)
            frame = frames.cut(data, at)
            if frame is None:
                return
            _, start, at = frame
            self._packet(data, start, at, events)

    @property
    def failed(self) -> ProtocolError | None:
        """What ended the connection; nothing is received after it."""
        return self._failed

    def receive_data(self, data: bytes) -> None:
        """Take bytes; ask `next_event` for what they gave."""
        self._events.extend(self.receive(data))

    def next_event(self) -> Event | None:
        """The next event, None when there is none yet.

        Raises:
            ProtocolError: after the last event before it; again each time from then on.
        """
        if self._events:
            return self._events.popleft()
        if self._failed is not None:
            raise self._failed
        return None

    def _packet(self, data: bytes, start: int, end: int, events: list[Event]) -> None:
        atoms: Sequence[Any] = NO_ATOMS
        if start == end:
            self.ticks_in += 1
            return
        if not self._header:
            if end - start < 2 or data[start] != PASS_THROUGH or data[start + 1] != VERSION:
                raise ProtocolError("the peer sent a packet that is no pass-through packet")
            self._passed_through(data, start + 2, end, events)
            return
        if end - start < 3 or data[start] != VERSION:
            raise ProtocolError("the peer sent a packet without a distribution header")
        if data[start + 1] == HEADER:
            if data[start + 2]:
                atoms, at = self._read_atoms(data, start + 2, end)
            else:
                at = start + 3
        else:
            self._fragment(data, start, end, events)
            return
        self._terms(data, at, end, atoms, events)

    def _passed_through(self, data: bytes, at: int, end: int, events: list[Event]) -> None:
        signal, field, at = self._control(data, at, end, NO_ATOMS)
        if field:
            self._payload(signal, field, data, at, end, NO_ATOMS, events)
        else:
            events.append(signal)

    def _terms(self, data: bytes, at: int, end: int, atoms: Sequence[Any], events: list[Event]) -> None:
        """The control message and the payload behind a header."""
        try:
            control, begins, payload, failed = decode_packet(data, at, end, atoms, self._budget, self._limits)
        except DecodeError as error:
            raise ProtocolError(f"the peer sent a control message that can not be decoded: {error}") from None
        signal, field = read_control(control, self.node, self.flags)
        if field:
            if begins >= end:
                raise _no_payload(signal)
            if failed is not None:
                self._lost(signal, failed, begins, events)
                return
            _fill(signal, field, payload)
        events.append(signal)

    def _control(self, data: bytes, at: int, end: int, atoms: Sequence[Any]) -> tuple[Signal, str, int]:
        """The signal of a control message, the field that the payload fills, and where that begins."""
        try:
            control, at = decode_term(data, at, atoms, self._budget, self._limits)
        except DecodeError as error:
            raise ProtocolError(f"the peer sent a control message that can not be decoded: {error}") from None
        if at > end:
            raise ProtocolError("the peer sent a control message that is cut off")
        signal, field = read_control(control, self.node, self.flags)
        return signal, field, at

    def _payload(
        self, signal: Any, field: str, data: Buffer, at: int, end: int, atoms: Sequence[Any], events: list[Event]
    ) -> None:
        """Decode the payload into its field of `signal`. What follows it is ignored, as a BEAM does."""
        if at >= end:
            raise _no_payload(signal)
        start = at
        try:
            if not self._header:
                if data[at] != VERSION:
                    raise DecodeError("no version byte", at)
                at += 1
            term, at = decode_term(data, at, atoms, self._budget, self._limits)
            if at > end:
                raise DecodeError("the term is cut off", end)
        except DecodeError as error:
            self._lost(signal, error, start, events)
            return
        _fill(signal, field, term)
        events.append(signal)

    def _lost(self, signal: Signal, error: DecodeError, start: int, events: list[Event]) -> None:
        """The payload that began at `start` is no term."""
        self.undecodable += 1
        events.append(Undecodable(signal, str(error), error.offset - start))

    def _fragment(self, data: bytes, start: int, end: int, events: list[Event]) -> None:
        kind = data[start + 1]
        if not self._fragmenting or kind not in (FIRST, NEXT):
            raise ProtocolError(f"the peer sent a packet of the unknown kind {kind}")
        sequence, number = self._fragments.numbers(data, start + 2, end)
        at = start + 18
        self.fragments_in += 1
        if kind == NEXT:
            done = self._fragments.add(sequence, number, data, at, end)
            if done is not None:
                (signal, field, atoms), payload = done
                self.assembled += len(payload)
                self._payload(signal, field, payload, 0, len(payload), atoms, events)
            return
        atoms, at = self._read_atoms(data, at, end)
        signal, field, at = self._control(data, at, end, atoms)
        if number == 1 and not field:
            events.append(signal)
        elif number == 1:
            self._payload(signal, field, data, at, end, atoms, events)
        elif not field:
            raise ProtocolError(f"the peer sent a {type(signal).__name__} in fragments, which has no payload")
        else:
            self._fragments.begin(sequence, number, (signal, field, atoms), data, at, end)

    def _read_atoms(self, data: bytes, at: int, end: int) -> tuple[Sequence[Any], int]:
        if at < end and data[at] and not self._atoms:
            raise ProtocolError("the peer used an atom cache that was not agreed on")
        try:
            return self._cache.read(data, at, end)
        except DecodeError as error:
            raise ProtocolError(f"the peer sent an atom that can not be taken: {error}") from None

    def _intern(self, text: bytes) -> AtomValue:
        return atom_value(text, budget=self._budget)

    # --- sending -----------------------------------------------------------------------------------
    def send(self, signal: Signal) -> list[Buffer]:
        """The buffers that carry `signal`, lengths included; none when this peer has no operation for it.

        Raises:
            EncodeError: something in it has no form on the wire.
        """
        return [buffer for packet in self.packets(signal) for buffer in packet]

    def packets(self, signal: Signal) -> list[Packet]:
        """The same, one packet apart from the other: several when the message is sent in fragments."""
        return self.packets_of(signal, self.usual(signal))

    def packets_of(self, signal: Signal, made: bytes | tuple[list[Buffer], int] | None) -> list[Packet]:
        """The same for who has asked `usual` already, which gave `made`."""
        if made is not None:
            return [[made]] if type(made) is bytes else self._packets(*made)
        if type(signal) is Message and self._fragmenting:
            usual = self._vocabulary.usual(signal)
            if usual is not None:
                return self._packets(*encode_packet(self._head, usual, signal.message, self._vocabulary.check))
        operation = self._vocabulary.operation(signal)
        if operation is None:
            return []
        token = getattr(signal, "token", None)
        if token is not None and self._vocabulary.token(token) is None:
            without: Any = signal
            return self.packets(replace(without, token=None))
        if operation.payload and self._fragmenting:
            return self._packets(
                *encode_packet(
                    self._head, operation.write(signal), getattr(signal, operation.payload), self._vocabulary.check
                )
            )
        control = encode_term(operation.write(signal))
        if not operation.payload:
            return [self._whole([self._head, control])]
        payload = encode_term_buffers(getattr(signal, operation.payload), check=self._vocabulary.check)
        if self._header:
            return [self._whole([self._head, control, *payload])]
        return [self._whole([self._head, control, b"\x83", *payload])]

    def _packets(self, buffers: list[Buffer], begins: int) -> list[Packet]:
        """One packet, or the fragments when the payload, which `begins` there in the first buffer, is large."""
        if len(buffers) == 1 and len(buffers[0]) - begins <= FRAGMENT_SIZE:
            self._messages_out += 1
            return [buffers]
        first = memoryview(buffers[0])
        self._sequence += 1
        packets = split(self._sequence, b"\0", bytes(first[7:begins]), [first[begins:], *buffers[1:]])
        self.fragments_out += len(packets)
        self._messages_out += 1
        return packets

    def _whole(self, buffers: list[Buffer]) -> Packet:
        size = sum(map(len, buffers))
        if size > MAX_FRAME:
            raise EncodeError(
                f"a message of {size} bytes does not fit into one packet, and this peer takes no fragments"
            )
        self._messages_out += 1
        length = size.to_bytes(4, "big")
        if size <= _SMALL:
            return [b"".join((length, *buffers))]
        head = [length]
        while len(buffers[0]) <= _SMALL and len(buffers) > 1:
            head.append(bytes(buffers.pop(0)))
        return [b"".join(head), *buffers]

    @property
    def messages_out(self) -> int:
        """Packets of signals that were made for the peer."""
        return self._messages_out + self._writer.count

    @property
    def ticks_missed(self) -> int:
        """Tick intervals in which nothing came."""
        return self._ticks.missed

    # --- ticks -------------------------------------------------------------------------------------
    def next_deadline(self) -> float:
        """When `handle_timer` wants to be called."""
        return self._ticks.deadline

    def handle_timer(self, now: float) -> list[TickAction]:
        """What is due. Keep `bytes_out` at what has been written to the socket."""
        return self._ticks.check(now, self.bytes_in, self.bytes_out)

    def change_ticks(self, settings: TickSettings, now: float) -> None:
        """Another tick time from now on."""
        self._ticks.change(settings, now)

    def revive(self) -> None:
        """The peer was given up, but bytes of it have been found unread."""
        self._ticks.revive()

    @property
    def pending_fragments(self) -> int:
        """Fragmented messages that the peer has begun and not ended."""
        return self._fragments.pending
