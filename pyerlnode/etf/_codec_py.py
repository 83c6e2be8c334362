"""The readable codec, which is the specification of the compiled one (`_codec_c.pyx`).

It implements the External Term Format (protocol.md D; erlang.org/doc/apps/erts/erl_ext_dist.html).

Both directions keep the nesting on the heap: a term 100,000 lists deep is legal. The decoder fills one container
at a time: `items` are its parts so far, `room` how many are missing, `kind` what becomes of them; the enclosing
ones wait on a stack. A part takes at least a byte, so what all open containers still want (`owed` and `room`) may
never exceed the bytes that are left: a packet can not claim more than it carries.

An error names the byte where the term began that could not be read; for a map with a key twice, where it ends.
The encoder writes what OTP 26 and later write. It keeps iterators on its stack; where the value stands that has
no form is found afterwards, by trying again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, Final

from pyerlnode.errors import DecodeError, EncodeError, LimitExceeded
from pyerlnode.etf import tags
from pyerlnode.etf.common import (
    BIG_BINARY,
    ELIXIR,
    FLAT_KEYS,
    MAX_ARITY,
    MAX_DEPTH,
    NONE_WIRE,
    STRUCT_KEY,
    AtomBudget,
    AtomValue,
    Buffer,
    Data,
    Profile,
    TooDeep,
    as_atom,
    atom_value,
    build_map,
    build_struct,
    check_keys,
    float_from_text,
    known_atoms,
    locate,
    named_atom,
    simplify,
)
from pyerlnode.limits import DEFAULT_LIMITS, Limits
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

# What becomes of the parts of an open container.
_ROOT, _TUPLE, _LIST, _TAIL, _MAP, _FUN, _RECORD = range(7)

_u16 = struct.Struct(">H").unpack_from
_u32 = struct.Struct(">I").unpack_from
_i32 = struct.Struct(">i").unpack_from
_f64 = struct.Struct(">d").unpack_from
_two_u32 = struct.Struct(">2I").unpack_from
_three_u32 = struct.Struct(">3I").unpack_from
_u64_u32 = struct.Struct(">QI").unpack_from
_fun_head = struct.Struct(">xIB16sII").unpack_from
_FUN_HEAD_SIZE: Final = 30


# --- decoding -----------------------------------------------------------------------------------
def decode_term(
    data: Data,
    offset: int = 0,
    atoms: Sequence[AtomValue] | None = None,
    budget: AtomBudget | None = None,
    limits: Limits = DEFAULT_LIMITS,
    profile: Profile = ELIXIR,
) -> tuple[Any, int]:
    """The term that begins at `offset`, without 131, and the offset after it.

    `atoms` are the references of the packet's header, which ATOM_CACHE_REF names by number; `None` when there is
    no header. New atoms are charged to `budget`. Raises `DecodeError`, and `LimitExceeded` which is one.
    """
    whole = data if type(data) is bytes else bytes(data)
    return _Decoder(whole, atoms, budget, limits, profile).run(offset)


class _Decoder:
    """One decoding: the bytes, and what they are read with."""

    __slots__ = ("atoms", "budget", "data", "known", "limits", "profile", "size")

    def __init__(
        self,
        data: bytes,
        atoms: Sequence[AtomValue] | None,
        budget: AtomBudget | None,
        limits: Limits,
        profile: Profile,
    ) -> None:
        self.data = data
        self.size = len(data)
        self.atoms = () if atoms is None else atoms
        self.budget = budget
        self.limits = limits
        self.profile: Profile = profile
        self.known = known_atoms[profile]

    def run(self, offset: int) -> tuple[Any, int]:  # noqa: C901  # one branch a tag: calls would cost more than the work
        data, size, known, atoms = self.data, self.size, self.known, self.atoms
        deepest = self.limits.nesting
        stack: list[tuple[list[Any], int, int]] = []
        items: list[Any] = []
        room, kind, owed = 1, _ROOT, 0
        value: Any
        try:
            if offset < 0:
                raise IndexError
            while True:
                tag = data[offset]
                opened = -1
                if tag == tags.SMALL_ATOM_UTF8:
                    end = offset + 2 + data[offset + 1]
                    value = known.get(data[offset + 2 : end], known)
                    if value is known or end > size:
                        value = self.new_atom(offset, offset + 2, end)
                    offset = end
                elif tag == tags.SMALL_INTEGER:
                    value = data[offset + 1]
                    offset += 2
                elif tag == tags.BINARY:
                    start = offset + 5
                    end = start + _u32(data, offset + 1)[0]
                    if end > size:
                        raise IndexError
                    value = data[start:end]
                    offset = end
                elif tag == tags.ATOM_CACHE_REF:
                    index = data[offset + 1]
                    if index >= len(atoms):
                        raise DecodeError(f"a reference to atom {index}, which the packet does not have", offset)
                    value = atoms[index]
                    offset += 2
                elif tag == tags.SMALL_TUPLE:
                    opened, length, wanted, start = _TUPLE, data[offset + 1], 0, offset + 2
                elif tag == tags.LIST:
                    opened, length, wanted, start = _LIST, _u32(data, offset + 1)[0], 1, offset + 5
                elif tag == tags.NIL:
                    value = []
                    offset += 1
                elif tag == tags.MAP:
                    opened, length, wanted, start = _MAP, 2 * _u32(data, offset + 1)[0], 0, offset + 5
                elif tag == tags.INTEGER:
                    value = _i32(data, offset + 1)[0]
                    offset += 5
                elif tag == tags.NEW_FLOAT:
                    value = _f64(data, offset + 1)[0]
                    if value - value != 0.0:  # not a number, or infinite
                        raise DecodeError("a float that is not finite", offset)
                    offset += 9
                elif tag == tags.STRING:
                    value, offset = self.string(offset)
                elif tag == tags.LARGE_TUPLE:
                    opened, length, wanted, start = _TUPLE, _u32(data, offset + 1)[0], 0, offset + 5
                    if length > MAX_ARITY:
                        raise DecodeError(f"a tuple of {length} elements", offset)
                elif tag == tags.NEW_FUN:
                    opened, wanted = _FUN, 0
                    head, length, start = self.fun_head(offset)
                elif tag == tags.RECORD:
                    opened, wanted = _RECORD, 0
                    head, length, start = self.record_head(offset)
                else:
                    value, offset = _READERS.get(tag, _unknown)(self, offset)

                room -= 1
                if opened >= 0:
                    if length + wanted + owed + room > size - start:
                        raise DecodeError(f"{length} parts claimed where {size - start} bytes are left", offset)
                    if len(stack) >= deepest:
                        raise LimitExceeded(f"more than {deepest} levels of nesting", offset)
                    stack.append((items, room, kind))
                    owed += room
                    room, kind, offset = length, opened, start
                    items = [] if opened < _FUN else [head]
                else:
                    items.append(value)

                while not room:
                    if kind == _TUPLE:
                        value = tuple(items)
                    elif kind == _LIST:
                        tag = data[offset]
                        if tag == tags.NIL:
                            value = items
                            offset += 1
                        elif tag == tags.LIST:  # a tail that is a list goes on with this one
                            room = _u32(data, offset + 1)[0]
                            if room + 1 + owed > size - offset - 5:
                                raise DecodeError(
                                    f"{room} parts claimed where {size - offset - 5} bytes are left", offset
                                )
                            offset += 5
                            continue
                        elif tag == tags.STRING:
                            more, offset = self.string(offset)
                            items += more
                            value = items
                        else:
                            room, kind = 1, _TAIL
                            break
                    elif kind == _MAP:
                        value = _close_map(items, offset)
                    elif kind == _TAIL:
                        tail = items.pop()
                        value = ImproperList(tuple(items), tail) if items else tail
                    elif kind == _ROOT:
                        return items[0], offset
                    elif kind == _FUN:
                        value = _close_fun(*items)
                    else:
                        module, name, names, exported = items[0]
                        value = NativeRecord(module, name, names, tuple(items[1:]), exported)
                    items, room, kind = stack.pop()
                    owed -= room
                    items.append(value)
        except (IndexError, struct.error):
            raise DecodeError("the bytes end within a term", min(max(offset, 0), size)) from None

    # The readers of rarer tags: each takes the offset of the tag and gives the value and the offset after it.
    # Running out of bytes raises IndexError or struct.error, which `run` turns into the one error.
    def need(self, end: int) -> int:
        if end > self.size:
            raise IndexError
        return end

    def new_atom(self, at: int, start: int, end: int) -> AtomValue:
        """The atom whose text is ``data[start:end]``, met for the first time under this profile."""
        utf8 = self.data[start : self.need(end)]
        value = self.known[utf8] = atom_value(utf8, self.profile, self.budget, at)
        return value

    def latin1_atom(self, at: int, start: int, end: int) -> AtomValue:
        utf8 = self.data[start : self.need(end)].decode("latin-1").encode()
        return atom_value(utf8, self.profile, self.budget, at)

    def atom(self, at: int) -> tuple[AtomValue, int]:
        data, tag = self.data, self.data[at]
        if tag in (tags.SMALL_ATOM_UTF8, tags.SMALL_ATOM):
            start, end = at + 2, at + 2 + data[at + 1]
        else:
            start, end = at + 3, at + 3 + _u16(data, at + 1)[0]
        read = self.new_atom if tag in (tags.SMALL_ATOM_UTF8, tags.ATOM_UTF8) else self.latin1_atom
        return read(at, start, end), end

    def name(self, at: int, offset: int) -> tuple[Atom, int]:
        """The atom at `offset`, as itself: the node of a pid may be called ``true``."""
        tag = self.data[offset]
        if tag == tags.SMALL_ATOM_UTF8:
            end = self.need(offset + 2 + self.data[offset + 1])
            return named_atom(self.data[offset + 2 : end], self.budget, at), end
        if tag == tags.ATOM_CACHE_REF:
            index = self.data[offset + 1]
            if index >= len(self.atoms):
                raise DecodeError(f"a reference to atom {index}, which the packet does not have", at)
            return as_atom(self.atoms[index], self.profile), offset + 2
        if tag not in _ATOM_TAGS:
            raise DecodeError("something else where a name must stand", at)
        try:
            value, end = self.atom(offset)
        except DecodeError as error:
            raise _moved(error, at) from None
        return as_atom(value, self.profile), end

    def small_number(self, at: int, offset: int) -> tuple[int, int]:
        """An integer that stands for itself within another term."""
        tag = self.data[offset]
        if tag == tags.SMALL_INTEGER:
            return self.data[offset + 1], offset + 2
        if tag == tags.INTEGER:
            return _i32(self.data, offset + 1)[0], offset + 5
        if tag == tags.SMALL_BIG:
            return self.small_big(offset)
        raise DecodeError("something else where an integer must stand", at)

    def string(self, at: int) -> tuple[list[int], int]:
        start = at + 3
        end = self.need(start + _u16(self.data, at + 1)[0])
        return list(self.data[start:end]), end

    def small_big(self, at: int) -> tuple[int, int]:
        return self.big(at + 3, self.data[at + 1], self.data[at + 2])

    def large_big(self, at: int) -> tuple[int, int]:
        digits = _u32(self.data, at + 1)[0]
        if digits > self.limits.integer_digits:
            raise LimitExceeded(f"an integer of {digits} bytes; Limits.integer_digits is less", at)
        return self.big(at + 6, digits, self.data[at + 5])

    def big(self, start: int, digits: int, sign: int) -> tuple[int, int]:
        end = self.need(start + digits)
        value = int.from_bytes(self.data[start:end], "little")
        return (-value if sign else value), end

    def float_text(self, at: int) -> tuple[float, int]:
        end = self.need(at + 32)
        value = float_from_text(self.data[at + 1 : end])
        if value is None:
            raise DecodeError("a float that is not finite", at)
        return value, end

    def bit_binary(self, at: int) -> tuple[bytes | Bitstring, int]:
        bits = self.data[at + 5]
        end = self.need(at + 6 + _u32(self.data, at + 1)[0])
        body = self.data[at + 6 : end]
        if not 1 <= bits <= 8 or not body:
            raise DecodeError(f"a bit string with {bits} bits in its last byte", at)
        return (body if bits == 8 else Bitstring(body, bits)), end

    def new_pid(self, at: int) -> tuple[Pid, int]:
        node, offset = self.name(at, at + 1)
        return Pid(node, *_three_u32(self.data, offset)), offset + 12

    def old_pid(self, at: int) -> tuple[Pid, int]:
        node, offset = self.name(at, at + 1)
        number, serial = _two_u32(self.data, offset)
        return Pid(node, number, serial, self.old_creation(at, offset + 8)), offset + 9

    def v4_port(self, at: int) -> tuple[Port, int]:
        node, offset = self.name(at, at + 1)
        return Port(node, *_u64_u32(self.data, offset)), offset + 12

    def new_port(self, at: int) -> tuple[Port, int]:
        node, offset = self.name(at, at + 1)
        return Port(node, *_two_u32(self.data, offset)), offset + 8

    def old_port(self, at: int) -> tuple[Port, int]:
        node, offset = self.name(at, at + 1)
        return Port(node, _u32(self.data, offset)[0], self.old_creation(at, offset + 4)), offset + 5

    def newer_reference(self, at: int) -> tuple[Reference, int]:
        count = _u16(self.data, at + 1)[0]
        node, offset = self.name(at, at + 3)
        creation = _u32(self.data, offset)[0]
        words, offset = self.words(at, offset + 4, count)
        return Reference(node, creation, words), offset

    def new_reference(self, at: int) -> tuple[Reference, int]:
        count = _u16(self.data, at + 1)[0]
        node, offset = self.name(at, at + 3)
        creation = self.old_creation(at, offset)
        words, offset = self.words(at, offset + 1, count)
        if words and words[0] >= 1 << 18:
            raise DecodeError("a reference of the old form with a first word above 18 bits", at)
        return Reference(node, creation, words), offset

    def old_reference(self, at: int) -> tuple[Reference, int]:
        node, offset = self.name(at, at + 1)
        words = _u32(self.data, offset)
        return Reference(node, self.old_creation(at, offset + 4), words), offset + 5

    def words(self, at: int, offset: int, count: int) -> tuple[tuple[int, ...], int]:
        if count > 5:
            raise DecodeError(f"a reference of {count} words", at)
        return struct.unpack_from(f">{count}I", self.data, offset), offset + 4 * count

    def old_creation(self, at: int, offset: int) -> int:
        """The creation of the forms before OTP 23, which had two bits of it."""
        creation = self.data[offset]
        if creation > 3:
            raise DecodeError(f"an identifier of the old form with creation {creation}", at)
        return creation

    def export(self, at: int) -> tuple[ExternalFun, int]:
        module, offset = self.name(at, at + 1)
        function, offset = self.name(at, offset)
        arity, offset = self.small_number(at, offset)
        if not 0 <= arity <= 255:
            raise DecodeError(f"a function of {arity} arguments", at)
        return ExternalFun(module, function, arity), offset

    def fun_head(self, at: int) -> tuple[tuple[Any, ...], int, int]:
        """What comes before a closure's free variables; their number; where they begin. Its size is not looked at."""
        _size, arity, uniq, index, free = _fun_head(self.data, at)
        module, offset = self.name(at, at + _FUN_HEAD_SIZE)
        old_index, offset = self.small_number(at, offset)
        old_uniq, offset = self.small_number(at, offset)
        tag = self.data[offset]
        if tag not in (tags.NEW_PID, tags.PID):
            raise DecodeError("a closure whose maker is no pid", at)
        try:
            pid, offset = self.new_pid(offset) if tag == tags.NEW_PID else self.old_pid(offset)
        except DecodeError as error:
            raise _moved(error, at) from None
        return (module, arity, uniq, index, old_index, old_uniq, pid), free, offset

    def record_head(self, at: int) -> tuple[tuple[Any, ...], int, int]:
        """What comes before the values of a native record; their number; where they begin."""
        count = _u32(self.data, at + 1)[0]
        flags = self.data[at + 5]
        if flags > 1:
            raise DecodeError(f"a native record with flags {flags}", at)
        if count * 3 > self.size - at - 6:  # a name takes two bytes at least, a value one
            raise DecodeError(f"{count} fields claimed where {self.size - at - 6} bytes are left", at)
        module, offset = self.name(at, at + 6)
        name, offset = self.name(at, offset)
        names = []
        for _ in range(count):
            field, offset = self.name(at, offset)
            names.append(field)
        if len(set(names)) != count:
            raise DecodeError("a native record with a field twice", at)
        return (module, name, tuple(names), bool(flags)), count, offset


def _moved(error: DecodeError, at: int) -> DecodeError:
    """The same error, told of the term at `at`."""
    return type(error)(str(error).rpartition(" at byte ")[0], at)


def _close_map(items: list[Any], offset: int) -> Any:
    keys, values = items[::2], items[1::2]
    if not FLAT_KEYS.issuperset(map(type, keys)):
        return build_map(keys, values, offset)
    made = dict(zip(keys, values, strict=True))
    if len(made) != len(keys):
        return build_map(keys, values, offset)
    return build_struct(made) if STRUCT_KEY in made else made


def _close_fun(head: tuple[Atom, int, bytes, int, int, int, Pid], *free: Any) -> Fun:
    module, arity, uniq, index, old_index, old_uniq, pid = head
    return Fun(module, arity, uniq, index, old_index, old_uniq, pid, free)


def _unknown(decoder: _Decoder, at: int) -> tuple[Any, int]:
    raise DecodeError(f"tag {decoder.data[at]}, which is no term", at)


_READERS: Final[dict[int, Callable[[_Decoder, int], tuple[Any, int]]]] = {
    tags.BIT_BINARY: _Decoder.bit_binary,
    tags.NEW_PID: _Decoder.new_pid,
    tags.NEW_PORT: _Decoder.new_port,
    tags.NEWER_REFERENCE: _Decoder.newer_reference,
    tags.FLOAT: _Decoder.float_text,
    tags.ATOM: _Decoder.atom,
    tags.REFERENCE: _Decoder.old_reference,
    tags.PORT: _Decoder.old_port,
    tags.PID: _Decoder.old_pid,
    tags.SMALL_BIG: _Decoder.small_big,
    tags.LARGE_BIG: _Decoder.large_big,
    tags.EXPORT: _Decoder.export,
    tags.NEW_REFERENCE: _Decoder.new_reference,
    tags.SMALL_ATOM: _Decoder.atom,
    tags.ATOM_UTF8: _Decoder.atom,
    tags.V4_PORT: _Decoder.v4_port,
}
_ATOM_TAGS: Final = frozenset({tags.ATOM, tags.SMALL_ATOM, tags.ATOM_UTF8, tags.SMALL_ATOM_UTF8})


# --- encoding -----------------------------------------------------------------------------------
def encode_term(term: Any, profile: Profile = ELIXIR) -> bytes:
    """`term` without the leading 131, for a packet with a distribution header. Raises `EncodeError`."""
    return b"".join(_pieces(term, profile))


def encode_term_buffers(term: Any, profile: Profile = ELIXIR, prefix: bytes = b"") -> list[Buffer]:
    """`prefix` and `term` as buffers to be sent one after the other: binaries of 64 KB and more are not copied."""
    gathered: list[Buffer] = []
    small: list[Buffer] = [prefix]
    for piece in _pieces(term, profile):
        if len(piece) >= BIG_BINARY:
            gathered.append(b"".join(small))
            gathered.append(piece)
            small = []
        else:
            small.append(piece)
    if small:
        gathered.append(b"".join(small))
    return gathered


class _Output(list[Buffer]):
    """The pieces written so far, and where among them each closure begins and ends."""

    __slots__ = ("funs",)

    def __init__(self) -> None:
        super().__init__()
        self.funs: list[tuple[int, int]] = []


def _pieces(term: Any, profile: Profile) -> _Output:
    out = _Output()
    try:
        _write(out, term, profile)
    except EncodeError as error:
        path = "" if type(error) is TooDeep else locate(term, lambda part: _write(_Output(), part, profile))
        raise EncodeError(str(error), path) from error.__cause__
    if out.funs:
        _fill_sizes(out)
    return out


_pack_u32 = struct.Struct(">BI").pack
_pack_i32 = struct.Struct(">Bi").pack
_pack_u16 = struct.Struct(">BH").pack
_pack_f64 = struct.Struct(">Bd").pack
_pack_three = struct.Struct(">3I").pack
_pack_port = struct.Struct(">QI").pack
_pack_fun = struct.Struct(">BIB16sII").pack
_SMALL_INTEGERS: Final = [bytes((tags.SMALL_INTEGER, value)) for value in range(256)]
_SMALL_TUPLES: Final = [bytes((tags.SMALL_TUPLE, arity)) for arity in range(256)]
_NIL: Final = bytes((tags.NIL,))
_NIL_TAIL: Final[tuple[list[Any]]] = ([],)
_TRUE, _FALSE = Atom("true").wire, Atom("false").wire
_ONLY_INT: Final = {int}


def _write(out: _Output, root: Any, profile: Profile) -> None:  # noqa: C901  # one branch a type, as in `run`
    append = out.append
    none = NONE_WIRE[profile]
    waiting: list[Iterator[Any]] = []
    terms: Iterator[Any] = iter((root,))
    inner: Iterable[Any] | None
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
                    append(_pack_i32(tags.INTEGER, term))
                else:
                    append(_big(term))
            elif kind is tuple:
                inner = term
                append(_SMALL_TUPLES[len(term)] if len(term) < 256 else _large_tuple(term))
            elif kind is bytes:
                append(_head(tags.BINARY, len(term)))
                append(term)
            elif kind is str:
                utf8 = _utf8(term)
                append(_head(tags.BINARY, len(utf8)))
                append(utf8)
            elif kind is list or kind is FrozenList:
                if not term:
                    append(_NIL)
                elif (text := _byte_list(term)) is not None:
                    append(_pack_u16(tags.STRING, len(text)))
                    append(text)
                else:
                    append(_head(tags.LIST, len(term)))
                    inner = chain(term, _NIL_TAIL)
            elif kind is dict or kind is FrozenMap:
                check_keys(term, encode_term, profile)
                append(_head(tags.MAP, len(term)))
                inner = chain.from_iterable(term.items())
            elif term is None:
                append(none)
            elif kind is bool:
                append(_TRUE if term else _FALSE)
            elif kind is float:
                if term - term != 0.0:  # not a number, or infinite
                    raise EncodeError("a float that is not finite: a BEAM has none and drops the connection over it")
                append(_pack_f64(tags.NEW_FLOAT, term))
            else:
                inner = _write_rare(out, term, profile)
            if inner is not None:
                if len(waiting) > MAX_DEPTH:
                    raise TooDeep(f"a term of more than {MAX_DEPTH} levels: it may hold itself")
                waiting.append(terms)
                terms = iter(inner)
                break
        else:
            if not waiting:
                return
            terms = waiting.pop()


def _write_rare(out: _Output, term: Any, profile: Profile) -> Iterable[Any] | None:
    """Write a term of a type that is met less often, or its head; what is given back is still to be written."""
    writer = _WRITERS.get(type(term))
    if writer is None:
        return (simplify(term),)
    try:
        return writer(out, term, profile)
    except (AttributeError, TypeError, ValueError, struct.error) as error:
        if isinstance(error, EncodeError):
            raise
        raise EncodeError(f"a {type(term).__name__} that is made of wrong parts") from error


def _head(tag: int, length: int) -> bytes:
    if length > 0xFFFFFFFF:
        raise EncodeError("a value of more than 4 GiB")
    return _pack_u32(tag, length)


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
    """The elements as bytes when all are integers 0..255 and STRING_EXT can count them."""
    first = term[0]
    if type(first) is not int or not 0 <= first <= 255 or len(term) > 0xFFFF:
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
    out += (_head(tags.BINARY, len(body)), body)


def _write_bitstring(out: _Output, term: Bitstring, _profile: Profile) -> None:
    if term.bits == 8:
        out += (_head(tags.BINARY, len(term.data)), bytes(term.data))
    else:
        out += (_head(tags.BIT_BINARY, len(term.data)), bytes((term.bits,)), bytes(term.data))


def _write_charlist(_out: _Output, term: Charlist, _profile: Profile) -> Iterable[Any]:
    return ([ord(char) for char in term],)


def _write_improper(out: _Output, term: ImproperList, _profile: Profile) -> Iterable[Any]:
    if not term.items:
        return (term.tail,)
    out.append(_head(tags.LIST, len(term.items)))
    return chain(term.items, (term.tail,))


def _write_pid(out: _Output, term: Pid, _profile: Profile) -> None:
    out += (b"X", term.node.wire, _pack_three(term.id, term.serial, term.creation))


def _write_port(out: _Output, term: Port, _profile: Profile) -> None:
    out += (b"x", term.node.wire, _pack_port(term.id, term.creation))


def _write_reference(out: _Output, term: Reference, _profile: Profile) -> None:
    words = term.words
    if len(words) > 5:
        raise EncodeError(f"a Reference of {len(words)} words; it has at most 5")
    tail = struct.pack(f">{len(words) + 1}I", term.creation, *words)
    out += (_pack_u16(tags.NEWER_REFERENCE, len(words)), term.node.wire, tail)


def _write_termmap(out: _Output, term: TermMap, profile: Profile) -> Iterable[Any]:
    check_keys([key for key, _ in term.pairs], encode_term, profile)
    out.append(_head(tags.MAP, len(term.pairs)))
    return chain.from_iterable(term.pairs)


def _write_struct(out: _Output, term: Struct, profile: Profile) -> Iterable[Any]:
    fields = term.fields
    if STRUCT_KEY in fields or type(term.module) is not Atom:
        raise EncodeError("a Struct is a module, an Atom, and fields without __struct__")
    check_keys(fields, encode_term, profile)
    out.append(_head(tags.MAP, len(fields) + 1))
    pairs = list(fields.items())
    pairs.insert(term.at, (STRUCT_KEY, term.module))
    return chain.from_iterable(pairs)


def _write_external(out: _Output, term: ExternalFun, _profile: Profile) -> None:
    if not 0 <= term.arity <= 255:
        raise EncodeError(f"a function of {term.arity} arguments; it has at most 255")
    out += (b"q", term.module.wire, term.function.wire, _SMALL_INTEGERS[term.arity])


def _write_fun(out: _Output, term: Fun, _profile: Profile) -> Iterator[Any]:
    """A closure's size comes first and counts everything to its end: it is filled in when all is written."""
    begin = len(out)
    out.append(_pack_fun(tags.NEW_FUN, 0, term.arity, term.uniq, term.index, len(term.free)))
    yield from (term.module, term.old_index, term.old_uniq, term.pid)
    yield from term.free
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
    out.append(_head(tags.RECORD, len(term.names)) + bytes((1 if term.exported else 0,)))
    out += (term.module.wire, term.name.wire, *[name.wire for name in term.names])
    return term.values


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
