"""Terms as ``term_to_binary/2`` writes them by its options: for bytes that are compared, hashed or kept.

`encode` writes what OTP 26 and later write without options. An older release writes otherwise, and no release promises
the order of a map:

- `deterministic`: maps in the order of their keys, at every level, as OTP 24.1 and later do. What OTP leaves open it
  leaves open here too: a closure's own numbers are those of its node.
- ``minor_version=1``, the default of OTP 25 and before: atoms of latin-1 in latin-1. ``minor_version=0``: floats as
  text, too.
- `release`: before OTP 26 a port of at most 28 bits has its older form, and the default of `minor_version` is 1.

It is not the way that messages go, and not as fast.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import Any, Final

from pyerlnode.errors import UsageError
from pyerlnode.etf import encode, tags
from pyerlnode.etf.common import deflate
from pyerlnode.term.containers import FrozenList, FrozenMap, Struct, TermMap
from pyerlnode.term.copying import parts_of, remade
from pyerlnode.term.fun import Fun
from pyerlnode.term.order import sort_key
from pyerlnode.term.text.chars import NEWEST
from pyerlnode.term.view import CORE, core, pairs_of

NEWEST_MINOR: Final = 2
OTP_26: Final = 26
_OLD_PORT_BITS: Final = 28


def term_to_binary(
    term: Any,
    *,
    deterministic: bool = False,
    minor_version: int | None = None,
    compressed: bool | int = False,
    release: int = NEWEST,
) -> bytes:
    """``term_to_binary(Term, [deterministic, {minor_version, N}, {compressed, Level}])`` of that OTP release.

    Raises `EncodeError`; `UsageError` for a `minor_version` other than 0, 1 and 2.
    """
    if minor_version is None:
        minor_version = NEWEST_MINOR if release >= OTP_26 else 1
    if minor_version not in (0, 1, 2):
        raise UsageError(f"minor_version is 0, 1 or 2, not {minor_version!r}")
    data = encode(term)  # what has no form is told with its place in the term as it was given
    if deterministic:
        data = encode(sorted_maps(term))
    older = minor_version < NEWEST_MINOR or release < OTP_26
    body = _Older(data, minor_version, release).body() if older else data[1:]
    if compressed is False:
        return b"\x83" + body
    return deflate(body, 6 if compressed is True else compressed)


# --- maps in order --------------------------------------------------------------------------------------
def sorted_maps(term: Any) -> Any:
    """A term that is the same on the wire but for the order of its maps, which is that of their keys."""
    return remade(term, _parts)


def _parts(term: Any) -> Any:
    """A container's parts and what makes another one of them; None for a leaf."""
    term = term if type(term) in CORE else core(term)
    kind = type(term)
    if kind is dict or kind is FrozenMap or kind is TermMap or kind is Struct:
        pairs = sorted(pairs_of(term), key=lambda pair: sort_key(pair[0], exact=True))
        return list(chain.from_iterable(pairs)), lambda parts: TermMap(zip(parts[::2], parts[1::2], strict=True))
    if kind is FrozenList:  # of maps that have an order there may be no frozen one
        return list(term), list
    if kind is Fun:
        return list(term.free), lambda parts: term.with_free(tuple(parts))
    return parts_of(term)


# --- older forms ----------------------------------------------------------------------------------------
_u16, _u32, _f64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">d")
_FIXED: Final = {  # bytes of a tag and what belongs to it, without the terms that follow
    tags.SMALL_INTEGER: 2, tags.INTEGER: 5, tags.SMALL_TUPLE: 2, tags.LARGE_TUPLE: 5, tags.NIL: 1, tags.LIST: 5,
    tags.MAP: 5, tags.EXPORT: 1, tags.NEW_FLOAT: 9, tags.NEW_FUN: 30,
    tags.RECORD: 6,
}  # fmt: skip
_AFTER_NODE: Final = {tags.NEW_PID: 12, tags.V4_PORT: 12}
"""Of an identifier the bytes that follow its node."""


class _Older:
    """A term in the forms of an older release: one walk over its tags, which stand in a row."""

    def __init__(self, data: bytes, minor_version: int, release: int) -> None:
        self.data = data
        self.minor = minor_version
        self.release = release

    def body(self) -> bytes:
        data, out = self.data, list[bytes]()
        funs: list[tuple[int, int]] = []  # where in `out` the head of a closure stands, and where it ends in `data`
        at = 1
        while at < len(data):
            while funs and funs[-1][1] == at:
                _resize(out, funs.pop()[0])
            if data[at] == tags.NEW_FUN:
                funs.append((len(out), at + 1 + int(_u32.unpack_from(data, at + 1)[0])))
            piece, size = self.piece(at)
            out.append(piece)
            at += size
        for begin, _ in reversed(funs):
            _resize(out, begin)
        return b"".join(out)

    def piece(self, at: int) -> tuple[bytes, int]:
        """What stands for the tag at `at` and what belongs to it, and how many bytes that was."""
        data, tag = self.data, self.data[at]
        if tag in (tags.SMALL_ATOM_UTF8, tags.ATOM_UTF8):
            return self.atom(at)
        if tag in _AFTER_NODE or tag == tags.NEWER_REFERENCE:
            return self.identifier(at)
        size = _FIXED.get(tag) or _sized(data, at)
        if tag == tags.NEW_FLOAT and self.minor == 0:
            return b"c" + (b"%.20e" % float(_f64.unpack_from(data, at + 1)[0])).ljust(31, b"\0"), size
        return data[at : at + size], size

    def atom(self, at: int) -> tuple[bytes, int]:
        """An atom, in latin-1 where it has only such characters."""
        data = self.data
        if data[at] == tags.SMALL_ATOM_UTF8:
            begin, length = at + 2, data[at + 1]
        else:
            begin, length = at + 3, int(_u16.unpack_from(data, at + 1)[0])
        size = begin + length - at
        if self.minor == NEWEST_MINOR:
            return data[at : at + size], size
        try:
            latin1 = data[begin : begin + length].decode().encode("latin-1")
        except UnicodeEncodeError:
            return data[at : at + size], size
        return b"d" + _u16.pack(len(latin1)) + latin1, size

    def identifier(self, at: int) -> tuple[bytes, int]:
        """A pid, port or reference: its node is an atom."""
        data, tag = self.data, self.data[at]
        head = data[at : at + (3 if tag == tags.NEWER_REFERENCE else 1)]
        node, size = self.atom(at + len(head))
        after = at + len(head) + size
        words = 4 + 4 * int(_u16.unpack_from(data, at + 1)[0]) if tag == tags.NEWER_REFERENCE else _AFTER_NODE[tag]
        rest = data[after : after + words]
        if tag == tags.V4_PORT and self.release < OTP_26 and int.from_bytes(rest[:8], "big") < 1 << _OLD_PORT_BITS:
            return b"Y" + node + rest[4:], after + words - at
        return head + node + rest, after + words - at


def _resize(out: list[bytes], begin: int) -> None:
    """What stands from `begin` on is a closure: its head says how long it is."""
    out[begin:] = [b"".join(out[begin:])]
    out[begin] = b"p" + _u32.pack(len(out[begin]) - 1) + out[begin][5:]


def _sized(data: bytes, at: int) -> int:
    """Bytes of a leaf that says how many follow."""
    tag = data[at]
    if tag == tags.STRING:
        return 3 + int(_u16.unpack_from(data, at + 1)[0])
    if tag == tags.SMALL_BIG:
        return 3 + data[at + 1]
    length = int(_u32.unpack_from(data, at + 1)[0])
    return length + (5 if tag == tags.BINARY else 6)  # a bit string, a large integer
