"""NumPy arrays and other large memory in the terms between a node and its workers: found, taken out, put back.

A term has no arrays, and a binary of 100 MB would be copied five times on its way through a socket. So what is an
array, a `memoryview` or long `bytes` is taken out of a term before it is encoded, and put back after it was decoded:

    {shared, [{Path, Kind, Form, Where}], Term}      Term has `nil` at each Path

    Path    the steps to its place: the index in a tuple or list, or in the values of a dict
    Kind    array, view, bytes
    Form    {Description of the dtype, Shape, Fortran's order}; {Format, Shape}; nil
    Where   {Offset, Size} in the shared memory that comes with the packet, or the bytes themselves when they are few

What arrives is of the kind that was sent, whatever its size: an array is a read-only array over the shared memory, a
view a read-only view of it, and bytes are bytes (one copy more). Nothing is pickled: an array of Python objects is
refused. The wrapper is ours and no part of any message, so no peer can forge one; places are looked for in tuples,
lists and the values of dicts.
"""

from __future__ import annotations

import sys
from ast import literal_eval
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from math import prod
from typing import Any, Final

from pyerlnode.errors import EncodeError, ProtocolError
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

LIMIT: Final = 256 * 1024
"""Bytes from which on shared memory is quicker than the socket."""
DEPTH: Final = 100
"""How deep places are looked for; what is deeper the codec refuses anyway, or encodes in its own way."""
ALIGNED: Final = 64
_PLAIN: Final = frozenset((int, float, Atom, str, bool, type(None), Pid, Reference))
_CONTAINERS: Final = frozenset((tuple, list, dict))


class _TooDeep(Exception):
    """Not worth looking: the codec says what is wrong with it."""


def find(term: Any) -> list[tuple[list[int], Any]]:
    """(path, value) of each array, view and long bytes in `term`."""
    numpy = sys.modules.get("numpy")
    try:
        return list(_found(term, [], getattr(numpy, "ndarray", None)))
    except _TooDeep:
        return []


def _found(term: Any, path: list[int], array: Any) -> Iterator[tuple[list[int], Any]]:
    if len(path) > DEPTH:
        raise _TooDeep
    for index, value in enumerate(term.values() if type(term) is dict else term):
        kind = type(value)
        if kind in _PLAIN:
            continue
        if kind in _CONTAINERS:
            if value:
                yield from _found(value, [*path, index], array)
        elif kind is array or kind is memoryview or (kind is bytes and len(value) >= LIMIT):
            yield [*path, index], value


class Parcel:
    """What was taken out of one term: `parts` as they are written, `pieces` of memory to be shared, their `size`."""

    __slots__ = ("parts", "pieces", "size")

    def __init__(self, found: list[tuple[list[int], Any]], share: bool) -> None:
        self.parts: list[Any] = []
        self.pieces: list[tuple[int, memoryview]] = []
        self.size = 0
        for path, value in found:
            kind, form, memory = flat(value)
            where: Any = bytes(memory)
            if share and len(memory) >= LIMIT:
                where = (self.size, len(memory))
                self.pieces.append((self.size, memory))
                self.size += -(-len(memory) // ALIGNED) * ALIGNED
            self.parts.append((path, kind, form, where))


def flat(value: Any) -> tuple[Atom, Any, memoryview]:
    """(kind, form, its bytes). Raises `EncodeError` for an array of objects; copies what is not in one piece."""
    if type(value) is bytes:
        return A.bytes, None, memoryview(value)
    if type(value) is memoryview:
        if not value.c_contiguous or len(value.format) != 1:
            value = memoryview(value.tobytes())
        return A.view, (value.format, list(value.shape)), value.cast("B") if value.nbytes else memoryview(b"")
    numpy = sys.modules["numpy"]
    if value.dtype.hasobject:
        raise EncodeError("an array of Python objects can not be sent: nothing is pickled")
    fortran = bool(value.flags.f_contiguous and not value.flags.c_contiguous)
    described = repr(numpy.lib.format.dtype_to_descr(value.dtype))
    straight = numpy.ascontiguousarray(value.T if fortran else value)
    memory = memoryview(straight.reshape(-1).view(numpy.uint8)) if straight.nbytes else memoryview(b"")
    return A.array, (described, list(value.shape), fortran), memory


def without(term: Any, paths: list[list[int]]) -> Any:
    """A copy of `term` with None at each path; what is on no path is shared with it."""
    if paths == [[]]:
        return None
    below: dict[int, list[list[int]]] = {}
    for path in paths:
        below.setdefault(path[0], []).append(path[1:])
    values = list(term.values() if type(term) is dict else term)
    for index, rest in below.items():
        values[index] = without(values[index], rest)
    if type(term) is dict:
        return dict(zip(term, values, strict=True))
    return tuple(values) if type(term) is tuple else values


def restored(parts: list[Any], term: Any, memory: memoryview | None) -> Any:
    """`term` with each part at its place. Raises `ProtocolError` for parts that do not fit."""
    try:
        for path, kind, form, where in parts:
            if type(where) is tuple:
                if memory is None or where[0] + where[1] > len(memory):
                    raise ProtocolError("a worker's packet is of more shared memory than came with it")
                where = memory[where[0] : where[0] + where[1]]
            term = _put(term, path, _formed(kind, form, where))
    except (TypeError, ValueError, SyntaxError, LookupError, StopIteration) as error:
        raise ProtocolError(f"a worker's packet with shared memory is not well formed: {error}") from error
    return term


def _put(term: Any, path: list[int], value: Any) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if type(term) is tuple:
        return (*term[:step], _put(term[step], rest, value), *term[step + 1 :])
    key = next(islice(term, step, None)) if type(term) is dict else step
    term[key] = _put(term[key], rest, value)
    return term


def _formed(kind: Atom, form: Any, memory: bytes | memoryview) -> Any:
    if kind is A.bytes:
        return bytes(memory)
    if kind is A.view:
        letter, shape = form
        view = memoryview(memory)
        if (letter == b"B" and len(shape) == 1) or not prod(shape):
            return view
        return view.cast(letter.decode(), shape)
    numpy = import_module("numpy")  # it is there where an array comes from: both sides are one installation
    described, shape, fortran = form
    dtype = numpy.lib.format.descr_to_dtype(literal_eval(described.decode()))
    flat_array = numpy.frombuffer(memory, dtype) if prod(shape) else numpy.empty(0, dtype)
    if fortran:
        return flat_array.reshape(shape[::-1]).T
    return flat_array.reshape(shape)
