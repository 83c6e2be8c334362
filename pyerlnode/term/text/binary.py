"""The segments of ``<<…>>`` in term text, put together as bits.

Reference: the Erlang reference manual, "Bit Syntax Expressions". A segment is a number or a string with a size in
bits and types; a string stands for a segment per character.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pyerlnode.errors import TermSyntaxError
from pyerlnode.term.containers import Bitstring

_UTF = {"utf8": "utf-8", "utf16": "utf-16-{}", "utf32": "utf-32-{}"}
_IGNORED = {"signed", "unsigned", "integer", "float", "big"}
MAX_SEGMENT_BITS = 1 << 27


class Segment(NamedTuple):
    """One part of a binary: a number or text, its size in bits if given, its types, where it stands."""

    value: int | float | str
    size: int | None
    types: tuple[str, ...]
    start: int


def build_binary(segments: list[Segment]) -> bytes | Bitstring:
    """The bits of all segments: `bytes`, or a `Bitstring` when they do not end at a byte. Raises `TermSyntaxError`."""
    done = bytearray()
    rest, width = 0, 0  # bits that do not fill a byte yet
    for segment in segments:
        data, bits = _segment(segment)
        if width == 0 and bits % 8 == 0:
            done += data
            continue
        number = int.from_bytes(data, "big") >> (-bits % 8)
        number |= rest << bits
        width += bits
        whole, width = divmod(width, 8)
        done += (number >> width).to_bytes(whole, "big")
        rest = number & ((1 << width) - 1)
    if width == 0:
        return bytes(done)
    done.append(rest << (8 - width))
    return Bitstring(bytes(done), width)


def _segment(segment: Segment) -> tuple[bytes, int]:
    """The bits of one segment, from the top of its bytes, and their number."""
    value, size, types, start = segment
    little = "little" in types
    for name in types:
        if name not in _UTF and name not in _IGNORED and name not in ("little", "binary"):
            raise TermSyntaxError(f"{name!r} is no type of a segment in a term", start)
        if name in _UTF:
            return _utf(value, _UTF[name].format("le" if little else "be"), start)
    if isinstance(value, str):
        if size is None and not little and value.isascii():
            return value.encode(), len(value) * 8
        return _joined([_number(ord(char), 8 if size is None else size, little, start) for char in value])
    if isinstance(value, float) or "float" in types:
        return _float(float(value), 64 if size is None else size, little, start)
    return _number(value, 8 if size is None else size, little, start)


def _utf(value: int | float | str, encoding: str, start: int) -> tuple[bytes, int]:
    if isinstance(value, float):
        raise TermSyntaxError("a float is no character", start)
    try:
        data = (value if isinstance(value, str) else chr(value)).encode(encoding)
    except (ValueError, OverflowError):
        raise TermSyntaxError("a number that is no character", start) from None
    return data, len(data) * 8


def _number(value: int, bits: int, little: bool, start: int) -> tuple[bytes, int]:
    if not 0 <= bits <= MAX_SEGMENT_BITS:
        raise TermSyntaxError(f"a segment has 0..{MAX_SEGMENT_BITS} bits", start)
    value &= (1 << bits) - 1
    whole, part = divmod(bits, 8)
    if not little:
        return (value << (-bits % 8)).to_bytes(-(-bits // 8), "big"), bits
    data = (value & ((1 << 8 * whole) - 1)).to_bytes(whole, "little")
    return (data + bytes((value >> 8 * whole << (8 - part),)) if part else data), bits


def _float(value: float, bits: int, little: bool, start: int) -> tuple[bytes, int]:
    codes = {16: "e", 32: "f", 64: "d"}
    if bits not in codes:
        raise TermSyntaxError("a float has 16, 32 or 64 bits", start)
    try:
        return struct.pack(("<" if little else ">") + codes[bits], value), bits
    except OverflowError:
        raise TermSyntaxError(f"a float that {bits} bits can not hold", start) from None


def _joined(parts: list[tuple[bytes, int]]) -> tuple[bytes, int]:
    number, total = 0, 0
    for data, bits in parts:
        number = number << bits | int.from_bytes(data, "big") >> (-bits % 8)
        total += bits
    return (number << (-total % 8)).to_bytes(-(-total // 8), "big"), total
