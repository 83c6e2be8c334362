"""What stands behind the first bad frame of a write-ahead log of sqlite: no files, bytes alone.

Reference: "The SQLite Database File Format", 4 The Write-Ahead Log.

sqlite reads a log up to the first frame whose checksum is wrong and takes that for its end, silently: for a commit that
was cut off by a loss of power it is. For a bit that has changed it is not: then commits stand behind, and with that
reading all of them would be lost. A checksum goes on from that of the frame before, as it is written there; so frames
behind a bad one can be told from what an older use of the file has left, which has another salt, too.

The last transaction of a log can not be told from one that was cut off: a bad frame in that is its end, as for sqlite.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

HEADER: Final = 32
FRAME: Final = 24
_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
"""The order of the bytes of checksums, by the first word."""
_MASK: Final = 0xFFFFFFFF

Sums = tuple[int, int]


class Frame(NamedTuple):
    """One page as a transaction left it."""

    number: int
    page: int
    """Its number in the file, from 1."""
    size: int
    """Pages of the file, in the last frame of a transaction; else 0."""
    data: bytes
    good: bool
    """Its checksum is right, by the frame before it as that stands there."""


class Wal(NamedTuple):
    """What was found."""

    frames: list[Frame]
    """Of this use of the log, up to the last one that ends a transaction."""
    bad: int | None
    """The number of the first frame that is not what was written."""
    lost: int
    """Transactions behind that one, which sqlite would not read."""


def sums_of(data: bytes, order: str, sums: Sums) -> Sums:
    """sqlite's checksum of `data`, whose length is a multiple of 8, going on from `sums`."""
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & _MASK
        two = (two + second + one) & _MASK
    return one, two


def look(wal: bytes) -> Wal:
    """Read a whole log."""
    if len(wal) < HEADER:
        return Wal([], None, 0)
    magic, _, page, *_ = struct.unpack_from(">3I", wal)
    order = _MAGIC.get(magic, "<" if magic & 1 == 0 else ">")
    if page < 512 or page > 65536 or page & (page - 1):
        page = 4096
    stored = struct.unpack_from(">2I", wal, 24)
    header_is_good = magic in _MAGIC and sums_of(wal[:24], order, (0, 0)) == stored
    frames = list(_frames(wal, page, order, stored))
    while frames and not (frames[-1].size and frames[-1].good):
        frames.pop()
    bad = next((frame.number for frame in frames if not frame.good), None)
    if not header_is_good and frames:
        bad = 0
    if bad is None:
        return Wal(frames, None, 0)
    ends = [frame.number for frame in frames if frame.size and frame.number > bad]
    own = frames[bad].size != 0  # the bad one ends its transaction itself
    return Wal(frames, bad, len(ends) - (0 if own or not header_is_good else 1))


def _frames(wal: bytes, page: int, order: str, sums: Sums) -> Iterator[Frame]:
    salt = wal[16:24]
    computed = sums
    for number, at in enumerate(range(HEADER, len(wal) - FRAME - page + 1, FRAME + page)):
        place, size = struct.unpack_from(">2I", wal, at)
        data = wal[at + FRAME : at + FRAME + page]
        stored = struct.unpack_from(">2I", wal, at + 16)
        body = wal[at : at + 8] + data
        found = {sums_of(body, order, seed) for seed in {sums, computed}}
        good = stored in found and wal[at + 8 : at + 16] == salt
        yield Frame(number, place, size, data, good)
        sums, computed = stored, stored if good else next(iter(found))
