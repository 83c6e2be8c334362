"""`erlang:phash2/1,2` and the deprecated `erlang:phash/2`, bit for bit as the BEAM computes them.

Reference: OTP's `make_hash2` (Bob Jenkins' hash of 1996) and `make_hash`; tables in the reference notes of the
protocol, section H. The law:

- The hash of a term is carried through its parts in order: each part takes the hash so far and gives the next.
  A map's pairs have no order, so each is hashed from 0 and the results are joined by exclusive or.
- Bytes inside lists are packed four to a step. ``1`` and ``1.0`` hash differently, ``0.0`` and ``-0.0`` alike.
- Of a pid only the number counts, of a reference only its first word: node and creation do not.
- Functions hash by module, index and unique number, so a hash of one says nothing across releases of its module.
  Native records hash by the numbers of the atoms in their node's table and can not be hashed here.

Nothing recurses: parts that wait stand on a stack. The compiled twin (`_phash2_c`) gives the same numbers; it is used
where it has been built, unless ``PYERLNODE_PUREPYTHON=1`` forbids, and ``PYERLNODE_REQUIRE_C=1`` demands it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Bitstring, ImproperList
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.order import spread
from pyerlnode.term.pid import Pid, Port, Reference
from pyerlnode.term.view import ATOMS, LISTS, MAPS, atom_of, core, pairs_of

M = 0xFFFFFFFF
K = tuple(0x9E3779B9 * n & M for n in range(24))
"""The constants that tell the kinds of terms apart: multiples of the golden ratio."""
H0 = K[1]
DEFAULT_RANGE = 1 << 27
NIL_ALONE = 3468870702

_double = struct.Struct(">d").pack
_two_words = struct.Struct(">II").unpack
_three_words = struct.Struct("<III").iter_unpack


def mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    """Jenkins' mixing step on three 32-bit words."""
    a = (a - b - c & M) ^ c >> 13
    b = (b - c - a ^ a << 8) & M
    c = (c - a - b & M) ^ b >> 13
    a = (a - b - c & M) ^ c >> 12
    b = (b - c - a ^ a << 16) & M
    c = (c - a - b & M) ^ b >> 5
    a = (a - b - c & M) ^ c >> 3
    b = (b - c - a ^ a << 10) & M
    c = (c - a - b & M) ^ b >> 15
    return a, b, c


def _two(hash_: int, x: int, y: int, k: int) -> int:
    return mix(k + x & M, k + y & M, hash_)[2]


def _block(data: bytes, c: int) -> int:
    """Jenkins' hash of bytes, twelve to a step."""
    a = b = H0
    size = len(data)
    whole = size - size % 12
    for x, y, z in _three_words(data[:whole]):
        a, b, c = mix(a + x & M, b + y & M, c + z & M)
    rest = data[whole:].ljust(11, b"\0")
    a += int.from_bytes(rest[:4], "little")
    b += int.from_bytes(rest[4:8], "little")
    c += size + (int.from_bytes(rest[8:11], "little") << 8)
    return mix(a & M, b & M, c & M)[2]


_atoms: dict[Atom, int] = {}


def atom_value(atom: Atom) -> int:
    """The hash of an atom's text (28 bits); remembered, as the table of atoms never shrinks either."""
    known = _atoms.get(atom)
    if known is None:
        known = 0
        text = atom.utf8
        at = 0
        while at < len(text):
            byte = text[at]
            if byte in (0xC2, 0xC3):  # a character of latin-1 counts as one byte
                at += 1
                byte = (byte & 3) << 6 | text[at] & 0x3F
            known = (known << 4) + byte & M
            high = known & 0xF0000000
            known = known ^ high >> 24 ^ high
            at += 1
        _atoms[atom] = known
    return known


# --- phash2 --------------------------------------------------------------------------------------
def phash2_py(term: Any, range: int = DEFAULT_RANGE) -> int:
    """`erlang:phash2(Term, Range)`: a number of 0..range-1, the same on every node and release.

    Raises `UsageError` for a range that is not 1..2**32, `EncodeError` for what is no term or can not be hashed.
    """
    _check_range(range)
    value = _hash2(core(term))
    return value & (DEFAULT_RANGE - 1) if range == DEFAULT_RANGE else value % range


def _check_range(range_: int) -> None:
    if not 1 <= range_ <= 1 << 32:
        raise UsageError(f"the range of a hash is 1..2**32, not {range_}")


class _MapDone:
    """On the stack under the pairs of a map: what was hashed before it, and what its pairs have given so far."""

    __slots__ = ("before", "joined")

    def __init__(self, before: int) -> None:
        self.before = before
        self.joined = 0


class _PairDone:
    """On the stack under a key and its value: the map that they belong to."""

    __slots__ = ("owner",)

    def __init__(self, owner: _MapDone) -> None:
        self.owner = owner


def _hash2(term: Any) -> int:
    hash_ = 0
    todo: list[Any] = [term]
    while todo:
        term = todo.pop()
        kind = type(term)
        leaf = _LEAVES2.get(kind)
        if leaf is not None:
            hash_ = leaf(term, hash_)
        elif kind is tuple:
            hash_ = mix(K[9] + len(term) & M, K[9], hash_)[2]
            todo.extend(reversed(term))
        elif kind is _Rest:
            hash_ = _list_step(term, hash_, todo)
        elif kind in _LISTS:
            items, tail = spread(term)
            hash_ = _list_step(_Rest(items, tail), hash_, todo)
        elif kind in MAPS:
            hash_ = _map_step(pairs_of(term), hash_, todo)
        elif kind is _PairDone:
            term.owner.joined ^= hash_
            hash_ = 0
        elif kind is _MapDone:
            hash_ = _two(term.before, term.joined, 0, K[19])
        elif kind is Fun:
            hash_ = _two(hash_, len(term.free), atom_value(term.module), H0)
            hash_ = _two(hash_, term.old_index & M, term.old_uniq & M, H0)
            todo.extend(reversed(term.free))
        else:
            todo.append(_hashable(term))
    return hash_


def _hashable(term: Any) -> Any:
    """What `term` is hashed as: never one of its own type. Raises `EncodeError` when it can not be."""
    seen = core(term)
    if type(seen) is type(term):
        raise EncodeError(
            f"a {type(term).__name__} hashes by the numbers of its node's atoms; it can not be hashed here"
        )
    return seen


def _map_step(pairs: list[tuple[Any, Any]], hash_: int, todo: list[Any]) -> int:
    hash_ = _two(hash_, len(pairs), 0, K[16])
    if not pairs:
        return hash_
    done = _MapDone(hash_)
    todo.append(done)
    for key, value in pairs:
        todo += (_PairDone(done), value, key)
    return 0


class _Rest:
    """A list of which the elements before `at` are hashed."""

    __slots__ = ("at", "items", "tail")

    def __init__(self, items: Any, tail: Any) -> None:
        self.items = items
        self.tail = tail
        self.at = 0


def _list_step(rest: _Rest, hash_: int, todo: list[Any]) -> int:
    """Hashes bytes four at a time until another element comes; that one, and the rest after it, go on the stack."""
    items, at = rest.items, rest.at
    end = len(items)
    while at < end:
        packed = count = 0
        while at < end and type(items[at]) is int and 0 <= items[at] <= 255:
            packed = packed << 8 | items[at]
            count += 1
            at += 1
            if count == 4:
                hash_ = _two(hash_, packed, 0, K[4])
                packed = count = 0
        if count:
            hash_ = _two(hash_, packed, 0, K[4])
        if at < end:
            leaf = _LEAVES2.get(type(items[at]))
            if leaf is None:
                rest.at = at + 1
                todo += (rest, items[at])
                return hash_
            hash_ = leaf(items[at], hash_)
            at += 1
    tail = rest.tail
    if type(tail) is list:
        return _nil(hash_)
    todo.append(tail)
    return hash_


def _nil(hash_: int) -> int:
    return _two(hash_, 2, 0, K[2]) if hash_ else NIL_ALONE


def _atom(term: Any, hash_: int) -> int:
    value = atom_value(atom_of(term))
    return _two(hash_, value, 0, K[3]) if hash_ else value


def _integer(term: int, hash_: int) -> int:
    if -(1 << 27) <= term < 1 << 27:
        if term < 0:
            hash_ = _two(hash_, -term, 0, H0)
        return _two(hash_, term & M, 0, H0)
    k = K[10] if term < 0 else K[11]
    number = abs(term)
    for low, high in struct.iter_unpack("<II", number.to_bytes(-(-number.bit_length() // 64) * 8, "little")):
        hash_ = _two(hash_, low, high, k)
    return hash_


def _float(term: float, hash_: int) -> int:
    high, low = _two_words(_double(term + 0.0))  # -0.0 + 0.0 is 0.0
    return _two(hash_, high, low, K[12])


def _bytes(term: bytes, hash_: int) -> int:
    c = K[13] + hash_ & M
    return _block(term, c) if term else c


def _bits(term: Bitstring, hash_: int) -> int:
    if term.bits == 8:
        return _bytes(term.data, hash_)
    return _two(_block(term.data[:-1], K[13] + hash_ & M), term.bits, term.data[-1] >> (8 - term.bits), K[15])


def _external(term: ExternalFun, hash_: int) -> int:
    hash_ = _two(hash_, term.arity, atom_value(term.module), H0)
    return _two(hash_, atom_value(term.function), 0, K[14])


_LISTS = LISTS | {ImproperList}
_LEAVES2: dict[type, Callable[[Any, int], int]] = {
    int: _integer,
    float: _float,
    bytes: _bytes,
    Bitstring: _bits,
    ExternalFun: _external,
    Pid: lambda term, hash_: _two(hash_, term.id, 0, K[5]),
    Port: lambda term, hash_: _two(hash_, term.id & M, term.id >> 32, K[6]),
    Reference: lambda term, hash_: _two(hash_, term.words[0] if term.words else 0, 0, K[7]),
    **dict.fromkeys(ATOMS, _atom),
}


# --- phash ---------------------------------------------------------------------------------------
P = (
    0, 268440163, 268439161, 268435459, 268436141, 268438633, 268437017, 268438039, 268437511, 268439627,
    268440479, 268440577, 268440581, 268440593, 268440611,
)  # fmt: skip
"""The primes P1..P14 of the old hash."""


class _Then:
    """On the stack: multiply the hash by `by` and add `plus`, after the parts above it."""

    __slots__ = ("by", "plus")

    def __init__(self, by: int, plus: int = 0) -> None:
        self.by = by
        self.plus = plus


def phash(term: Any, range: int) -> int:
    """`erlang:phash(Term, Range)`: a number of 1..range. Deprecated in OTP; for data that was hashed with it."""
    _check_range(range)
    return _hash1(core(term)) % range + 1


def _hash1(term: Any) -> int:
    hash_ = 0
    todo: list[Any] = [term]
    while todo:
        term = todo.pop()
        kind = type(term)
        leaf = _LEAVES1.get(kind)
        if leaf is not None:
            hash_ = leaf(term, hash_) & M
        elif kind is _Then:
            hash_ = hash_ * term.by + term.plus & M
        elif kind is tuple:
            todo.append(_Then(P[9], len(term)))
            todo.extend(reversed(term))
        elif kind in _LISTS:
            items, tail = spread(term)
            if items:
                todo.append(_Then(P[8]))
            todo.append(_Then(P[3], 1) if type(tail) is list else tail)
            todo.extend(_Then(P[2], item) if _is_byte(item) else item for item in reversed(items))
        elif kind in MAPS:
            hash_ = hash_ * P[13] + P[14] + _hash2(term) & M
        elif kind is Fun:
            for by, plus in (
                (P[10], len(term.free)),
                (P[1], atom_value(term.module)),
                (P[2], term.old_index),
                (P[2], term.old_uniq),
            ):
                hash_ = hash_ * by + plus & M
            todo.extend(reversed(term.free))
        else:
            todo.append(_hashable(term))
    return hash_


def _is_byte(term: Any) -> bool:
    return type(term) is int and 0 <= term <= 255


def _integer1(term: int, hash_: int) -> int:
    number = abs(term)
    for byte in number.to_bytes(max(-(-number.bit_length() // 32), 1) * 4, "little"):
        hash_ = hash_ * P[2] + byte & M
    return hash_ * (P[4] if term < 0 else P[3])


def _float1(term: float, hash_: int) -> int:
    high, low = _two_words(_double(term + 0.0))
    return int(hash_ * P[6] + (high ^ low))


def _bits1(data: bytes, bits: int, hash_: int) -> int:
    whole = data if bits == 8 else data[:-1]
    for byte in whole:
        hash_ = hash_ * P[1] + byte & M
    if bits != 8:
        hash_ = (hash_ * P[1] + (data[-1] >> (8 - bits))) * P[12] + bits
    return hash_ * P[4] + len(whole)


def _word1(number: int, by: int, then: int, hash_: int) -> int:
    for byte in (number & M).to_bytes(4, "little"):
        hash_ = hash_ * by + byte & M
    return hash_ * then


def _port1(term: Port, hash_: int) -> int:
    if term.id >> 32:
        hash_ = _word1(term.id >> 32, P[11], 1, hash_) & M
    return _word1(term.id, P[9], P[10], hash_)


def _external1(term: ExternalFun, hash_: int) -> int:
    hash_ = hash_ * P[11] + term.arity
    hash_ = hash_ * P[1] + atom_value(term.module)
    return hash_ * P[1] + atom_value(term.function)


_LEAVES1: dict[type, Callable[[Any, int], int]] = {
    int: _integer1,
    float: _float1,
    bytes: lambda term, hash_: _bits1(term, 8, hash_),
    Bitstring: lambda term, hash_: _bits1(term.data, term.bits, hash_),
    Pid: lambda term, hash_: _word1(term.id, P[5], P[6], hash_),
    Port: _port1,
    Reference: lambda term, hash_: _word1(term.words[0] if term.words else 0, P[9], P[10], hash_),
    ExternalFun: _external1,
    **dict.fromkeys(ATOMS, lambda term, hash_: hash_ * P[1] + atom_value(atom_of(term))),
}


# --- the choice ------------------------------------------------------------------------------------
IMPLEMENTATION = "python"
phash2 = phash2_py
if os.environ.get("PYERLNODE_PUREPYTHON") != "1":
    try:
        from pyerlnode.term import _phash2_c
    except ImportError as error:
        if os.environ.get("PYERLNODE_REQUIRE_C") == "1":
            raise ImportError("PYERLNODE_REQUIRE_C=1, but the compiled phash2 is not there") from error
    else:
        _phash2_c.use(phash2_py)
        IMPLEMENTATION = "c"
        phash2 = _phash2_c.phash2
