"""The segments of ``<<…>>`` in term text, put together as bits.

Reference: the Erlang reference manual, "Bit Syntax Expressions"; what is refused is what OTP's `eval_bits` and
`erl_bits` refuse of a literal. A segment is a number, a string (a segment per character) or a binary, with a size, a
unit and types.
"""

from __future__ import annotations

import struct
import sys
from typing import Final, NamedTuple

from pyerlnode.errors import TermSyntaxError
from pyerlnode.term.containers import Bitstring

_UTF: Final = {"utf8": "utf-8", "utf16": "utf-16-{}", "utf32": "utf-32-{}"}
_ALIASES: Final = {"bytes": "binary", "bits": "bitstring"}
_ASPECTS: Final = (
    ("integer", "float", "binary", "bitstring", *_UTF),
    ("big", "little", "native"),
    ("signed", "unsigned"),
)
_FLOATS: Final = {16: "e", 32: "f", 64: "d"}
MAX_SEGMENT_BITS: Final = 1 << 27
MAX_UNIT: Final = 256


class Segment(NamedTuple):
    """One part of a binary: its value, its size and unit if given, its types, where it stands."""

    value: int | float | str | bytes | Bitstring
    size: int | None
    unit: int | None
    types: tuple[str, ...]
    start: int


class _Bits:
    """Bits that are put behind each other; what does not fill a byte waits in `rest`."""

    def __init__(self) -> None:
        self.done = bytearray()
        self.rest = self.width = 0

    def add(self, data: bytes, bits: int) -> None:
        """`bits` bits from the top of `data`."""
        if self.width == 0 and bits % 8 == 0:
            self.done += data
            return
        number = int.from_bytes(data, "big") >> (-bits % 8) | self.rest << bits
        whole, width = divmod(self.width + bits, 8)
        self.done += (number >> width).to_bytes(whole, "big")
        self.rest, self.width = number & ((1 << width) - 1), width

    def value(self) -> bytes | Bitstring:
        if self.width == 0:
            return bytes(self.done)
        return Bitstring(bytes(self.done) + bytes((self.rest << (8 - self.width),)), self.width)


def build_binary(segments: list[Segment]) -> bytes | Bitstring:
    """The bits of all segments: `bytes`, or a `Bitstring` when they do not end at a byte. Raises `TermSyntaxError`."""
    bits = _Bits()
    for segment in segments:
        _add(bits, segment)
    return bits.value()


def _add(bits: _Bits, segment: Segment) -> None:
    value, size, unit, types, start = segment
    kind, endian, _ = (_only(types, aspect, start) for aspect in _ASPECTS)
    kind = kind or "integer"
    little = endian == "little" or (endian == "native" and sys.byteorder == "little")
    if unit is not None and not 1 <= unit <= MAX_UNIT:
        raise TermSyntaxError(f"a unit is 1..{MAX_UNIT}", start)
    if kind in _UTF:
        if size is not None or unit is not None:
            raise TermSyntaxError(f"a segment of type {kind} has no size", start)
        bits.add(*_utf(value, _UTF[kind].format("le" if little else "be"), start))
    elif kind in ("binary", "bitstring"):
        bits.add(*_part(value, size, unit, kind, start))
    elif unit is not None and size is None:
        raise TermSyntaxError("a unit needs a size", start)
    else:
        for number in map(ord, value) if isinstance(value, str) else (value,):
            bits.add(*_numeric(number, kind, size, unit or 1, little, start))


def _only(types: tuple[str, ...], aspect: tuple[str, ...], start: int) -> str | None:
    """The one type of `types` that says this; the same one may be said again."""
    names = [_ALIASES.get(name, name) for name in types]
    for name in names:
        if not any(name in known for known in _ASPECTS):
            raise TermSyntaxError(f"{name!r} is no type of a segment in a term", start)
    said = dict.fromkeys(name for name in names if name in aspect)
    if len(said) > 1:
        raise TermSyntaxError(f"a segment is not both {' and '.join(said)}", start)
    return next(iter(said), None)


def _utf(value: object, encoding: str, start: int) -> tuple[bytes, int]:
    if not isinstance(value, (int, str)):
        raise TermSyntaxError("a float or a binary is no character", start)
    try:
        data = (value if isinstance(value, str) else chr(value)).encode(encoding)
    except (ValueError, OverflowError):
        raise TermSyntaxError("a number that is no character", start) from None
    return data, len(data) * 8


def _part(value: object, size: int | None, unit: int | None, kind: str, start: int) -> tuple[bytes, int]:
    """The front of a binary, or all of it."""
    if not isinstance(value, (bytes, Bitstring)):
        raise TermSyntaxError(f"only a binary can be of type {kind}", start)
    if kind == "bitstring" and unit not in (None, 1):
        raise TermSyntaxError("the unit of bits is 1", start)
    data, there = (value, len(value) * 8) if isinstance(value, bytes) else (value.data, len(value))
    each = unit or (8 if kind == "binary" else 1)
    wanted = there if size is None else size * each
    if wanted > there or wanted % each:
        raise TermSyntaxError(f"a binary of {there} bits does not fit the size of its segment", start)
    return data[: -(-wanted // 8)], wanted


def _numeric(value: object, kind: str, size: int | None, unit: int, little: bool, start: int) -> tuple[bytes, int]:
    if isinstance(value, (bytes, Bitstring)):
        raise TermSyntaxError("a binary in a binary needs the type binary or bits", start)
    if kind == "float":
        return _float(value, (64 if size is None else size) * unit, little, start)
    if not isinstance(value, int):
        raise TermSyntaxError("a float needs the type float", start)
    return _number(value, (8 if size is None else size) * unit, little, start)


def _number(value: int, bits: int, little: bool, start: int) -> tuple[bytes, int]:
    if not 0 <= bits <= MAX_SEGMENT_BITS:
        raise TermSyntaxError(f"a segment has 0..{MAX_SEGMENT_BITS} bits", start)
    value &= (1 << bits) - 1
    whole, part = divmod(bits, 8)
    if not little:
        return (value << (-bits % 8)).to_bytes(-(-bits // 8), "big"), bits
    data = (value & ((1 << 8 * whole) - 1)).to_bytes(whole, "little")
    return (data + bytes((value >> 8 * whole << (8 - part),)) if part else data), bits


def _float(value: object, bits: int, little: bool, start: int) -> tuple[bytes, int]:
    """What `bits` bits can not hold becomes an infinity, as on a BEAM."""
    if bits not in _FLOATS:
        raise TermSyntaxError("a float has 16, 32 or 64 bits", start)
    assert isinstance(value, (int, float))
    form = ("<" if little else ">") + _FLOATS[bits]
    try:
        number = float(value)
    except OverflowError:
        raise TermSyntaxError("a number beyond all floats", start) from None
    try:
        return struct.pack(form, number), bits
    except OverflowError:
        return struct.pack(form, float("inf") if number > 0 else float("-inf")), bits
