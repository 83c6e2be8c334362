"""The readable encoder: terms to bytes, as OTP 26 and later write them.

The nesting is kept on the heap, as iterators over the containers that are begun and not finished. Every piece is
written as its own bytes object and joined at the end, so a large binary is never copied on the way. Where a value
stands that has no form is found afterwards (`locate`): the path costs nothing until it is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, chain
from typing import Any, Final, TypeAlias

from pyerlnode.errors import EncodeError
from pyerlnode.etf import tags
from pyerlnode.etf.common import (
    BIG_BINARY,
    ELIXIR,
    MAX_ARITY,
    MAX_DEPTH,
    MAX_ENCODED,
    MOST_ROUNDS,
    NONE_WIRE,
    ONLY_STR,
    PLAIN_KEYS,
    STRUCT_KEY,
    SUSPICIOUS_DEPTH,
    Buffer,
    Profile,
    SameKey,
    TooDeep,
    TooLarge,
    as_encode_error,
    simplify,
)
from pyerlnode.etf.locate import told
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import (
    Bitstring,
    Charlist,
    FrozenList,
    FrozenMap,
    ImproperList,
    NativeRecord,
    Struct,
    TermMap,
)
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.pid import Pid, Port, Reference


def encode_term(term: Any, profile: Profile = ELIXIR) -> bytes:
    """`term` without the leading 131, for a packet with a distribution header. Raises `EncodeError`."""
    return b"".join(_pieces(term, profile))


def encode_term_buffers(
    term: Any, profile: Profile = ELIXIR, prefix: bytes = b"", check: Callable[[Any], None] | None = None
) -> list[Buffer]:
    """`prefix` and `term` as buffers to be sent one after the other: binaries of 64 KB and more are not copied.

    `check` raises for what the peer does not take (`releases`): it is asked when the term has what may be of that kind.
    """
    gathered: list[Buffer] = []
    small: list[Buffer] = [prefix]
    pieces = _pieces(term, profile)
    if check is not None and pieces.suspect:
        check(term)
    for piece in pieces:
        if len(piece) >= BIG_BINARY:
            gathered.append(b"".join(small))
            gathered.append(piece)
            small = []
        else:
            small.append(piece)
    if small:
        gathered.append(b"".join(small))
    return gathered


def encode_packet(
    head: bytes, control: Any, payload: Any, check: Callable[[Any], None] | None = None
) -> tuple[list[Buffer], int]:
    """A packet of `head`, a control message and its payload, as buffers; the first begins with the length of it all.

    The number tells where in the first buffer the payload begins, for who wants to send it in fragments.
    Raises `EncodeError`.
    """
    before = bytes(4) + head + encode_term(control)
    buffers = encode_term_buffers(payload, prefix=before, check=check)
    size = sum(map(len, buffers)) - 4
    buffers[0] = (size & 0xFFFFFFFF).to_bytes(4, "big") + buffers[0][4:]
    return buffers, len(before)


class _Output(list[Buffer]):
    """The pieces written so far.

    `funs` says where among them each closure begins and ends, `ends` where in bytes the first of them end (as far as
    that was asked), and `culprit` what was being written when an error came.
    """

    __slots__ = ("culprit", "ends", "funs", "suspect")

    def __init__(self) -> None:
        super().__init__()
        self.funs: list[tuple[int, int]] = []
        self.ends: list[int] = [0]
        self.culprit: Any = None
        self.suspect = False
        """Whether something was written that an older release may refuse (`releases`)."""

    def size(self, begin: int, end: int) -> int:
        """Bytes of the pieces from `begin` to before `end`."""
        ends = self.ends
        known = len(ends) - 1
        if known < end:
            ends += accumulate(map(len, self[known:]), initial=ends.pop())
        return ends[end] - ends[begin]


def _pieces(term: Any, profile: Profile) -> _Output:
    out = _Output()
    try:
        _write_whole(out, term, profile)
    except EncodeError as error:
        raise told(error, term, id(out.culprit), lambda part: _write_whole(_Output(), part, profile)) from (
            error.__cause__
        )
    if len(out) > MAX_ENCODED >> 10 and sum(size for size in map(len, out) if size < BIG_BINARY) > MAX_ENCODED:
        raise TooLarge
    if out.funs:
        _fill_sizes(out)
    return out


def _write_whole(out: _Output, term: Any, profile: Profile) -> None:
    """Write a term. Raises `EncodeError` and no other `Exception`; ``out.culprit`` is what can not be written."""
    try:
        _write(out, term, profile)
    except EncodeError:
        raise
    except struct.error:
        raise EncodeError("a value of more than 4 GiB") from None
    except Exception as error:
        raise as_encode_error(error, out.culprit) from error


_pack_u32 = struct.Struct(">BI").pack
_pack_i32 = struct.Struct(">Bi").pack
_pack_u16 = struct.Struct(">BH").pack
_pack_f64 = struct.Struct(">Bd").pack
_pack_three = struct.Struct(">3I").pack
_pack_port = struct.Struct(">QI").pack
_pack_fun = struct.Struct(">BIB16sII").pack
_SMALL_INTEGERS: Final = [bytes((tags.SMALL_INTEGER, value)) for value in range(256)]
_SMALL_TUPLES: Final = [bytes((tags.SMALL_TUPLE, arity)) for arity in range(256)]
_SHORT_BINARIES: Final = [_pack_u32(tags.BINARY, size) for size in range(256)]
_SHORT_LISTS: Final = [_pack_u32(tags.LIST, length) for length in range(256)]
_SMALL_MAPS: Final = [_pack_u32(tags.MAP, size) for size in range(256)]
_INTEGER: Final = tags.INTEGER  # a module's name is looked up once less than a module's attribute
_NEW_FLOAT: Final = tags.NEW_FLOAT
_NIL: Final = bytes((tags.NIL,))
_NIL_TAIL: Final[tuple[list[Any]]] = ([],)
_TRUE, _FALSE = Atom("true").wire, Atom("false").wire
_ONLY_INT: Final = {int}
_COMMON: Final = frozenset({
    Atom, int, tuple, bytes, str, list, FrozenList, dict, FrozenMap, type(None), bool, float,
})  # fmt: skip
"""The types that `_write` itself knows."""
_Mark: TypeAlias = tuple[Any, int, Iterator[Any] | None]
"""A container that is being written, its depth, and the iterator over what it holds."""


def _write(out: _Output, root: Any, profile: Profile) -> None:  # noqa: C901  # one branch a type, as in `run`
    append, distinct = out.append, PLAIN_KEYS.issuperset
    none = NONE_WIRE[profile]
    waiting: list[Iterator[Any]] = []
    terms: Iterator[Any] = iter((root,))
    inner: Iterable[Any] | None
    mark: _Mark = (None, 0, None)
    try:
        while True:
            for term in terms:
                kind = type(term)
                inner = None
                if kind is Atom:
                    append(term.wire)
                elif kind is int:
                    if 0 <= term <= 255:
                        append(_SMALL_INTEGERS[term])
                    elif -0x80000000 <= term <= 0x7FFFFFFF:
                        append(_pack_i32(_INTEGER, term))
                    else:
                        append(_big(term))
                elif kind is tuple:
                    inner = term
                    append(_SMALL_TUPLES[len(term)] if len(term) < 256 else _large_tuple(term))
                elif kind is bytes:
                    size = len(term)
                    append(_SHORT_BINARIES[size] if size < 256 else _pack_u32(tags.BINARY, size))
                    append(term)
                elif kind is str:
                    utf8 = _utf8(term)
                    size = len(utf8)
                    append(_SHORT_BINARIES[size] if size < 256 else _pack_u32(tags.BINARY, size))
                    append(utf8)
                elif kind is list or kind is FrozenList:
                    if not term:
                        append(_NIL)
                    elif type(term[0]) is int and (text := _byte_list(term)) is not None:
                        append(_pack_u16(tags.STRING, len(text)))
                        append(text)
                    else:
                        size = len(term)
                        append(_SHORT_LISTS[size] if size < 256 else _pack_u32(tags.LIST, size))
                        inner = chain(term, _NIL_TAIL)
                elif kind is dict or kind is FrozenMap:
                    size = len(term)
                    append(_SMALL_MAPS[size] if size < 256 else _pack_u32(tags.MAP, size))
                    if distinct(map(type, term)) or size == 1 or set(map(type, term)) == ONLY_STR:
                        inner = chain.from_iterable(term.items())
                    else:
                        inner = _told_apart(out, term, term.items())
                elif term is None:
                    append(none)
                elif kind is bool:
                    append(_TRUE if term else _FALSE)
                elif kind is float:
                    if term - term != 0.0:  # not a number, or infinite
                        raise EncodeError(
                            "a float that is not finite: a BEAM has none and drops the connection over it"
                        )
                    append(_pack_f64(_NEW_FLOAT, term))
                else:
                    inner = _write_rare(out, term, profile)
                if inner is not None:
                    waiting.append(terms)
                    terms = iter(inner)
                    if len(out) > MAX_ENCODED >> 3:
                        raise TooLarge
                    if len(waiting) > SUSPICIOUS_DEPTH:
                        mark = _check_depth(mark, term, terms, waiting)
                    break
            else:
                if not waiting:
                    return
                terms = waiting.pop()
    except Exception as error:
        out.culprit = error.map if isinstance(error, _SameKeyOf) else term
        raise


class _SameKeyOf(SameKey):
    """With the map."""

    def __init__(self, term: Any) -> None:
        super().__init__()
        self.map = term


def _told_apart(out: _Output, term: Any, pairs: Iterable[tuple[Any, Any]]) -> Iterator[Any]:
    """Keys and values, each after the other; at the end the keys are compared as they were written.

    Only keys of one size are: together they are at most half of the keys around them, so keys within keys cost little
    more than they are long.
    """
    keys: dict[int, list[tuple[int, int]]] = {}
    for key, value in pairs:
        begin = len(out)
        yield key
        end = len(out)
        keys.setdefault(out.size(begin, end), []).append((begin, end))
        yield value
    for spans in keys.values():
        if len(spans) > 1 and len({b"".join(out[begin:end]) for begin, end in spans}) != len(spans):
            raise _SameKeyOf(term)


def _check_depth(mark: _Mark, term: Any, terms: Iterator[Any], waiting: list[Iterator[Any]]) -> _Mark:
    """Refuse a term that holds itself soon (Brent's way: the one marked at the last power of two comes again).

    Every second mark is set one level further down: what an encoder makes is new each time and does not come again.
    A container may well be met twice below a deep one; the mark counts as long as it is still being written.
    """
    depth = len(waiting)
    marked, at, its_terms = mark
    if term is marked and depth > at and waiting[at] is its_terms:
        raise TooDeep("a term that holds itself")
    if depth > MAX_DEPTH + 1:
        raise TooDeep(f"a term of more than {MAX_DEPTH} levels: it may hold itself")
    bits = depth.bit_length()
    return (term, depth, terms) if depth == (1 << bits - 1) + (bits & 1) else mark


def _write_rare(out: _Output, term: Any, profile: Profile) -> Iterable[Any] | None:
    """Write a term of a type that is met less often, or its head; what is given back is still to be written."""
    writer = _WRITERS.get(type(term))
    rounds = 0
    while writer is None:
        if rounds and type(term) in _COMMON:
            return (term,)
        if rounds == MOST_ROUNDS:
            raise TooDeep("a value whose encoder never comes to an end")
        rounds += 1
        term = simplify(term)
        writer = _WRITERS.get(type(term))
    try:
        return writer(out, term, profile)
    except EncodeError:
        raise
    except Exception as error:
        raise as_encode_error(error, term) from error


def _large_tuple(term: tuple[Any, ...]) -> bytes:
    if len(term) > MAX_ARITY:
        raise EncodeError(f"a tuple of {len(term)} elements; the BEAM's have at most {MAX_ARITY}")
    return _pack_u32(tags.LARGE_TUPLE, len(term))


def _big(value: int) -> bytes:
    size = (value.bit_length() + 7) // 8
    sign = 1 if value < 0 else 0
    head = bytes((tags.SMALL_BIG, size, sign)) if size < 256 else _pack_u32(tags.LARGE_BIG, size) + bytes((sign,))
    return head + abs(value).to_bytes(size, "little")


def _utf8(term: str) -> bytes:
    try:
        return term.encode()
    except UnicodeEncodeError:
        raise EncodeError("a str with a lone surrogate has no UTF-8; give bytes") from None


def _byte_list(term: list[Any]) -> bytes | None:
    """The elements as bytes when all are integers 0..255, as the first may be, and STRING_EXT can count them."""
    if not 0 <= term[0] <= 255 or len(term) > 0xFFFF:
        return None
    if set(map(type, term)) != _ONLY_INT:
        return None
    try:
        return bytes(term)
    except ValueError:
        return None


def _write_bytes(out: _Output, term: bytearray | memoryview, _profile: Profile) -> None:
    """Bytes that may change before they are sent are copied; a read-only view is not."""
    body: Buffer = term.cast("B") if type(term) is memoryview and term.readonly and term.c_contiguous else bytes(term)
    out += (_pack_u32(tags.BINARY, len(body)), body)


def _write_bitstring(out: _Output, term: Bitstring, _profile: Profile) -> None:
    if term.bits == 8:
        out += (_pack_u32(tags.BINARY, len(term.data)), bytes(term.data))
    else:
        out += (_pack_u32(tags.BIT_BINARY, len(term.data)), bytes((term.bits,)), bytes(term.data))


def _write_charlist(_out: _Output, term: Charlist, _profile: Profile) -> Iterable[Any]:
    return ([ord(char) for char in term],)


def _write_improper(out: _Output, term: ImproperList, _profile: Profile) -> Iterable[Any]:
    items = tuple(term.items)
    if not items:
        return (term.tail,)
    out.append(_pack_u32(tags.LIST, len(items)))
    return chain(items, (term.tail,))


def _write_pid(out: _Output, term: Pid, _profile: Profile) -> None:
    out += (b"X", term.node.wire, _pack_three(term.id, term.serial, term.creation))


def _write_port(out: _Output, term: Port, _profile: Profile) -> None:
    out += (b"x", term.node.wire, _pack_port(term.id, term.creation))


def _write_reference(out: _Output, term: Reference, _profile: Profile) -> None:
    words = term.words
    if not 1 <= len(words) <= 5:  # a map with a key of no words kills the emulator that decodes it
        raise EncodeError(f"a Reference of {len(words)} words; it has 1 to 5")
    tail = struct.pack(f">{len(words) + 1}I", term.creation, *words)
    out += (_pack_u16(tags.NEWER_REFERENCE, len(words)), term.node.wire, tail)


def _write_termmap(out: _Output, term: TermMap, _profile: Profile) -> Iterable[Any]:
    return _write_pairs(out, term, [(key, value) for key, value in term.pairs])


def _write_pairs(out: _Output, term: Any, pairs: list[tuple[Any, Any]]) -> Iterable[Any]:
    out.append(_pack_u32(tags.MAP, len(pairs)))
    out.suspect = True
    kinds = {type(key) for key, _ in pairs}
    return chain.from_iterable(pairs) if kinds <= PLAIN_KEYS or kinds == ONLY_STR else _told_apart(out, term, pairs)


def _write_struct(out: _Output, term: Struct, _profile: Profile) -> Iterable[Any]:
    fields = term.fields
    if STRUCT_KEY in fields or type(term.module) is not Atom:
        raise EncodeError("a Struct is a module, an Atom, and fields without __struct__")
    pairs = [(key, value) for key, value in fields.items()]
    pairs.insert(term.at, (STRUCT_KEY, term.module))
    return _write_pairs(out, term, pairs)


def _write_external(out: _Output, term: ExternalFun, _profile: Profile) -> None:
    if not 0 <= term.arity <= 255:
        raise EncodeError(f"a function of {term.arity} arguments; it has at most 255")
    out += (b"q", term.module.wire, term.function.wire, _SMALL_INTEGERS[term.arity])


def _write_fun(out: _Output, term: Fun, _profile: Profile) -> Iterator[Any]:
    """A closure's size comes first and counts everything to its end: it is filled in when all is written."""
    begin = len(out)
    parts = (term.module, term.old_index, term.old_uniq, term.pid, *term.free)
    out.append(_pack_fun(tags.NEW_FUN, 0, term.arity, term.uniq, term.index, len(parts) - 4))
    return _closed(out, begin, parts)


def _closed(out: _Output, begin: int, parts: tuple[Any, ...]) -> Iterator[Any]:
    yield from parts
    out.funs.append((begin, len(out)))


def _fill_sizes(out: _Output) -> None:
    """Write each closure's size into its head, by one sum over all pieces however deeply closures are nested."""
    ends = [0, *accumulate(map(len, out))]
    for begin, end in out.funs:
        head = out[begin]
        out[begin] = b"p" + (ends[end] - ends[begin] - 1).to_bytes(4, "big") + head[5:]


def _write_record(out: _Output, term: NativeRecord, _profile: Profile) -> Iterable[Any]:
    if len(term.names) != len(term.values) or len(set(term.names)) != len(term.names):
        raise EncodeError("a NativeRecord has one value for each name, and each name once")
    out.suspect = True
    out.append(_pack_u32(tags.RECORD, len(term.names)) + bytes((1 if term.exported else 0,)))
    out += (term.module.wire, term.name.wire, *[name.wire for name in term.names])
    return tuple(term.values)


_WRITERS: Final[dict[type, Callable[[_Output, Any, Profile], Iterable[Any] | None]]] = {
    bytearray: _write_bytes,
    memoryview: _write_bytes,
    Bitstring: _write_bitstring,
    Charlist: _write_charlist,
    ImproperList: _write_improper,
    Pid: _write_pid,
    Port: _write_port,
    Reference: _write_reference,
    TermMap: _write_termmap,
    Struct: _write_struct,
    ExternalFun: _write_external,
    Fun: _write_fun,
    NativeRecord: _write_record,
}
