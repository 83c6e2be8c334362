"""The readable decoder: bytes to terms.

It implements the External Term Format (protocol.md D; erlang.org/doc/apps/erts/erl_ext_dist.html).

The nesting is kept on the heap: a term 100,000 lists deep is legal. One container is filled at a time: `items`
are its parts so far, `room` how many are missing, `kind` what becomes of them; the enclosing ones wait on a
stack. A part takes at least a byte, so what all open containers still want (`owed` and `room`) may never exceed
the bytes that are left: a packet can not claim more than it carries, however it nests its claims. A part of one byte
takes many more here, so what all containers take is counted, too (`memory`).

An error names the byte where the term began that could not be read; for a map with a key twice, where it ends.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from pyerlnode.errors import DecodeError, LimitExceeded
from pyerlnode.etf import tags
from pyerlnode.etf.common import (
    CONTAINER,
    ELIXIR,
    FLAT_KEYS,
    KEYED,
    MAX_ARITY,
    NO_MEMORY,
    PART,
    STRUCT_KEY,
    AtomBudget,
    AtomValue,
    Data,
    Profile,
    as_atom,
    atom_value,
    build_map,
    build_struct,
    float_from_text,
    known_atoms,
    may_collide,
    named_atom,
    too_large,
)
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Bitstring, ImproperList, NativeRecord
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


def decode_packet(
    data: bytes,
    at: int,
    end: int,
    atoms: Sequence[AtomValue],
    budget: AtomBudget | None,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[Any, int, Any, DecodeError | None]:
    """The two terms of a packet between its header and `end`: a control message and, mostly, a payload.

    Gives (control, where the payload begins, payload, error): without a payload it begins at `end`; one that can
    not be decoded is None, with the `DecodeError`. What follows the payload is not looked at. Raises `DecodeError`
    when the control message can not be decoded.
    """
    if not 0 <= at <= end <= len(data):
        raise DecodeError("the bytes end within a term", max(at, 0))
    packet = data[at:end]
    try:
        control, begins = decode_term(packet, 0, atoms, budget, limits)
    except DecodeError as error:
        raise _moved(error, at + error.offset) from None
    if begins == len(packet):
        return control, end, None, None
    try:
        return control, at + begins, decode_term(packet, begins, atoms, budget, limits)[0], None
    except DecodeError as error:
        return control, at + begins, None, _moved(error, at + error.offset)


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
        deepest, memory = self.limits.nesting, self.limits.decoded_size
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
                    memory -= CONTAINER
                    if memory < 0:
                        raise too_large(self.limits, offset)
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
                    value, end = self.string(offset)
                    memory -= CONTAINER + PART * len(value)
                    if memory < 0:
                        raise too_large(self.limits, offset)
                    offset = end
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
                    memory -= CONTAINER + PART * length + (KEYED if opened == _MAP and length else 0)
                    if memory < 0:
                        raise too_large(self.limits, offset)
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
                            memory -= PART * room
                            if memory < 0:
                                raise too_large(self.limits, offset)
                            offset += 5
                            continue
                        elif tag == tags.STRING:
                            more, end = self.string(offset)
                            memory -= PART * len(more)
                            if memory < 0:
                                raise too_large(self.limits, offset)
                            offset = end
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
        except MemoryError:  # first: to look for others makes a tuple
            value = None
            items.clear()
            stack.clear()  # an error takes memory, too
            raise DecodeError(NO_MEMORY, offset) from None
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
        if not 1 <= count <= 5:  # a map with a key of no words kills the emulator
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
    if not FLAT_KEYS.issuperset(map(type, keys)) or may_collide(keys):
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
