"""The atom cache of a connection, each direction its own.

Implements "Distribution Header" of erl_dist_protocol. A packet lists the atoms it uses; inside its terms the
tag 82 stands for one of that list. Each listed atom comes from a slot of a table of 2048 that both ends keep
alike: 8 segments of 256, filled by the packets themselves ("new entry"). So headers must be read strictly in the
order of the packets, and a header that fails leaves the tables different: it costs the connection.

Layout after ``131, 68``: N; when N > 0, N // 2 + 1 bytes of nibbles (bit 3 new entry, bits 0-2 segment; nibble
number N says by bit 0 that lengths take two bytes); then N times an index within the segment and, for a new
entry, length and text.

Most packets name only atoms that are in their slots already. Such a header is a function of the table, so
the reader remembers what each distinct one gave until the next new entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from zlib import crc32

from pyerlnode.errors import ProtocolError
from pyerlnode.term.atom import MAX_CHARACTERS, Atom

SLOTS = 2048
_NEW, _SEGMENT, _LONG = 8, 7, 1
_REMEMBERED = 512
"""Distinct headers remembered: a bound, not a tuning knob."""

NO_ATOMS: tuple[Any, ...] = ()
EMPTY = object()
"""Stands in a slot that the peer never filled."""


class AtomCacheReader:
    """The table of what the peer sent.

    `intern` turns the text of a new entry into what an atom of that text decodes to (`nil` is None); it counts
    atoms against the connection's limit and may raise a `DecodeError`.

    Attributes:
        slots: what was sent, by segment and index; a list of fixed length, of which `etf.PacketReader` reads.
    """

    __slots__ = ("_intern", "_remembered", "slots")

    def __init__(self, intern: Callable[[bytes], Any]) -> None:
        self._intern = intern
        self.slots: list[Any] = [EMPTY] * SLOTS
        self._remembered: dict[bytes, tuple[Any, ...]] = {}

    def read(self, data: bytes, at: int, end: int) -> tuple[Sequence[Any], int]:
        """The atoms of the header at `at` (the byte N), and where the terms begin.

        Raises:
            ProtocolError: the header is cut off, or names a slot that was never filled.
            DecodeError: the text of an entry is no atom, or one too many.
        """
        if at >= end:
            raise ProtocolError("the peer sent a distribution header that is cut off")
        count = data[at]
        if not count:
            return NO_ATOMS, at + 1
        # With no new entry the header ends here; one with a new entry can't be remembered under these bytes.
        after = at + 2 + count // 2 + count
        key = data[at:after]
        known = self._remembered.get(key)
        if known is not None and after <= end:
            return known, after
        return self._read(data, at, end, count, key)

    def _read(self, data: bytes, at: int, end: int, count: int, key: bytes) -> tuple[Sequence[Any], int]:
        flags = at + 1
        position = flags + count // 2 + 1
        if position + count > end:
            raise ProtocolError("the peer sent a distribution header that is cut off")
        length_size = 2 if _nibble(data, flags, count) & _LONG else 1
        atoms: list[Any] = []
        fresh = False
        for number in range(count):
            nibble = _nibble(data, flags, number)
            if position >= end:
                raise ProtocolError("the peer sent a distribution header that is cut off")
            slot = (nibble & _SEGMENT) << 8 | data[position]
            position += 1
            if nibble & _NEW:
                fresh = True
                text = position + length_size
                length = int.from_bytes(data[position:text], "big")
                position = text + length
                if position > end:
                    raise ProtocolError("the peer sent a distribution header that is cut off")
                self.slots[slot] = self._intern(data[text:position])
            atom = self.slots[slot]
            if atom is EMPTY:
                raise ProtocolError("the peer named an atom of the cache that it never sent")
            atoms.append(atom)
        found = tuple(atoms)
        if fresh or len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        if not fresh:
            self._remembered[key] = found
        return found, position


def _nibble(data: bytes, flags: int, number: int) -> int:
    byte = data[flags + number // 2]
    return byte >> 4 if number & 1 else byte & 15


class AtomCacheWriter:
    """The table of what was sent to the peer. `header` must be called in the order in which packets leave."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: list[Atom | None] = [None] * SLOTS

    @staticmethod
    def slot(atom: Atom) -> int:
        """Where an atom lives. Two that share a slot can not be in one packet: one of them is written out."""
        return crc32(atom.utf8) & SLOTS - 1

    def choose(self, atoms: Iterable[Atom]) -> dict[Atom, int]:
        """Which of these a packet lists, with the index that the tag 82 takes; the others are written out."""
        taken: set[int] = set()
        chosen: dict[Atom, int] = {}
        for atom in atoms:
            if atom in chosen or len(atom.name) > MAX_CHARACTERS:
                continue
            slot = self.slot(atom)
            if slot not in taken and len(chosen) < 255:
                taken.add(slot)
                chosen[atom] = len(chosen)
        return chosen

    def header(self, chosen: dict[Atom, int]) -> bytes:
        """The bytes from N to the last entry, for a packet that uses these indexes; fills the table."""
        count = len(chosen)
        if not count:
            return b"\0"
        fresh = [atom for atom in chosen if self._slots[self.slot(atom)] is not atom]
        long = any(len(atom.utf8) > 255 for atom in fresh)
        nibbles = bytearray(count // 2 + 1)
        entries: list[bytes] = []
        for number, atom in enumerate(chosen):
            slot = self.slot(atom)
            nibble = slot >> 8
            entry = bytes((slot & 255,))
            if self._slots[slot] is not atom:
                self._slots[slot] = atom
                nibble |= _NEW
                entry += len(atom.utf8).to_bytes(2 if long else 1, "big") + atom.utf8
            nibbles[number // 2] |= nibble << 4 if number & 1 else nibble
            entries.append(entry)
        if long:
            nibbles[count // 2] |= _LONG << 4 if count & 1 else _LONG
        return bytes((count,)) + bytes(nibbles) + b"".join(entries)
