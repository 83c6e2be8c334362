"""Large messages in pieces, so that small ones can pass between them.

Implements "Distribution Header for fragmented messages" of erl_dist_protocol. Only the payload is cut, at any
byte: the first piece holds the whole header and control message. Fragment numbers count down to 1.

Laws of the receiving side:
- Pieces of one sequence come in order without a gap; pieces of different sequences, and whole packets, may be
  mixed. A gap, an unknown sequence, one begun twice and the sequence number 0 are each a `ProtocolError`
  (a BEAM itself crashes on sequence 0, so nothing legal ever sends it).
- The number of unfinished sequences and the bytes they hold are bounded. Memory is taken for bytes that came, not for
  the number of pieces that was claimed.

Of the sending side: pieces hold `FRAGMENT_SIZE` bytes as OTP's do, and refer to the payload's buffers without
copying them. A sequence number is used once in the life of a connection.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Generic, TypeAlias, TypeVar

from pyerlnode.errors import ProtocolError

Buffer: TypeAlias = bytes | memoryview
Packet: TypeAlias = list[Buffer]
"""One packet with its length, as the buffers to write one after another."""

FRAGMENT_SIZE = 64 * 1024
FIRST, NEXT = 69, 70
_PIN = 4
_numbers = Struct(">QQ")
_first = Struct(">IBBQQ")

_GATHER = 4 * 1024 * 1024
"""From this size on pieces are copied into one growing area, so that what was read can be used for the next read."""
_HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)

Header = TypeVar("Header")


def _area(size: int, before: mmap.mmap | None = None) -> mmap.mmap:
    """Memory of `size` bytes, which begins with what was `before`; only what is touched is taken from the system."""
    if before is not None:
        try:
            before.resize(size)
        except SystemError:  # a system that can not move it
            area = _area(size)
            area[: len(before)] = before[:]
            return area
    area = before or mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # a shared one can not grow
    if _HUGE_PAGES is not None:  # to touch 64 MB in small pages for the first time takes longer than to copy them
        try:
            area.madvise(_HUGE_PAGES)
        except OSError:
            pass  # a kernel that has none
    return area


@dataclass(slots=True)
class _Sequence(Generic[Header]):
    header: Header
    expected: int
    size: int = 0
    parts: list[Buffer] = field(default_factory=list)
    area: mmap.mmap | None = None

    def append(self, piece: Buffer) -> None:
        end = self.size + len(piece)
        if self.area is None:
            if end < _GATHER:
                self.parts.append(piece)
                self.size = end
                return
            self.area = _area(2 * _GATHER)
            self.size = 0
            parts, self.parts = [*self.parts, piece], []
            for part in parts:
                self.append(part)
            return
        if end > len(self.area):
            self.area = _area(2 * end, self.area)
        self.area[self.size : end] = piece
        self.size = end

    def whole(self) -> Buffer:
        return b"".join(self.parts) if self.area is None else memoryview(self.area)[: self.size]


class FragmentReader(Generic[Header]):
    """Puts sequences together. `Header` is whatever the channel knows of a message before its payload."""

    __slots__ = ("_open", "_size", "max_open", "max_size")

    def __init__(self, max_open: int, max_size: int) -> None:
        self.max_open = max_open
        self.max_size = max_size
        self._open: dict[int, _Sequence[Header]] = {}
        self._size = 0

    @property
    def pending(self) -> int:
        """Sequences that have begun and not ended."""
        return len(self._open)

    @staticmethod
    def numbers(data: bytes, at: int, end: int) -> tuple[int, int]:
        """Sequence and fragment number at `at`; the piece goes on 16 bytes later."""
        if end - at < _numbers.size:
            raise ProtocolError("the peer sent a fragment that is cut off")
        sequence, fragment = _numbers.unpack_from(data, at)
        if not sequence or not fragment:
            raise ProtocolError("the peer sent a fragment with number 0")
        return sequence, fragment

    def begin(self, sequence: int, count: int, header: Header, data: bytes, at: int, end: int) -> None:
        """The first of `count` pieces; a sequence of one piece is a whole message and does not come here."""
        if sequence in self._open:
            raise ProtocolError("the peer began a sequence of fragments twice")
        if len(self._open) >= self.max_open:
            raise ProtocolError(f"the peer has begun more than {self.max_open} fragmented messages")
        begun: _Sequence[Header] = _Sequence(header, count - 1)
        self._open[sequence] = begun
        self._append(begun, data, at, end)

    def add(self, sequence: int, fragment: int, data: bytes, at: int, end: int) -> tuple[Header, Buffer] | None:
        """A later piece; with the last one the header and the whole payload."""
        begun = self._open.get(sequence)
        if begun is None:
            raise ProtocolError("the peer continued a sequence of fragments that it never began")
        if fragment != begun.expected:
            raise ProtocolError("the peer left out a fragment")
        self._append(begun, data, at, end)
        if fragment > 1:
            begun.expected -= 1
            return None
        del self._open[sequence]
        self._size -= begun.size
        return begun.header, begun.whole()

    def _append(self, begun: _Sequence[Header], data: bytes, at: int, end: int) -> None:
        size = end - at
        if self._size + size > self.max_size:
            raise ProtocolError(f"the peer's unfinished messages hold more than {self.max_size} bytes")
        if not size:
            return
        self._size += size
        # A view keeps all of `data` alive; a piece that is a small part of it is copied instead.
        begun.append(memoryview(data)[at:end] if size * _PIN >= len(data) else data[at:end])


def split(sequence: int, atoms: bytes, control: bytes, payload: Sequence[Buffer]) -> list[Packet]:
    """The packets of one fragmented message.

    Args:
        sequence: a number that no unfinished sequence of this connection has; never 0.
        atoms: the header's atom section, from the byte N on.
        control: the control message.
        payload: the buffers of the payload, of single bytes each; not empty.
    """
    pieces = _pieces(payload)
    count = len(pieces)
    length = 18 + len(atoms) + len(control) + sum(map(len, pieces[0]))
    packets = [[_first.pack(length, 131, FIRST, sequence, count) + atoms + control, *pieces[0]]]
    for number, piece in enumerate(pieces[1:], 1):
        length = 18 + sum(map(len, piece))
        packets.append([_first.pack(length, 131, NEXT, sequence, count - number), *piece])
    return packets


def _pieces(payload: Sequence[Buffer]) -> list[list[Buffer]]:
    """The payload cut into pieces of FRAGMENT_SIZE bytes; the last one may be shorter."""
    pieces: list[list[Buffer]] = [[]]
    room = FRAGMENT_SIZE
    for buffer in payload:
        view = memoryview(buffer)
        at, size = 0, len(view)
        while at < size:
            if not room:
                pieces.append([])
                room = FRAGMENT_SIZE
            taken = min(room, size - at)
            pieces[-1].append(view[at : at + taken])
            at += taken
            room -= taken
    return pieces
