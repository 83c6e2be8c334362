"""NumPy arrays and Arrow tables as terms, by explicit wrapping: `nx(array)`, `arrow(table)`, and tensors as arrays.

    GenServer.call(model, (A.predict, nx(array)))            # Nx.deserialize(binary) over there
    decode_as(reply, numpy.ndarray)                          # %Nx.Tensor{} with a BinaryBackend, as a view

Reference: `Nx.serialize`, version 1: ``"nx"``, the version, the byte order (0: little), the size of a term as 64 bits,
the term ``{:t, shape, type, names, vectorized_axes, offset, size}``, and the elements. Arrow goes as an IPC stream,
which `Explorer.DataFrame.load_ipc_stream` reads. Neither library is imported before it is asked for (extras
``numpy`` and ``arrow``). A tensor of another backend (EXLA, Torchx) lives in its own node's memory: send it after
`Nx.backend_transfer`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, get_args

from pyerlnode.errors import UsageError
from pyerlnode.schema.forms import Mismatch
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Struct

TENSOR, BINARY_BACKEND = A["Elixir.Nx.Tensor"], A["Elixir.Nx.BinaryBackend"]
_DATA, _STATE, _TYPE, _SHAPE = Atom("data"), Atom("state"), Atom("type"), Atom("shape")
_KINDS = {"i": "s", "u": "u", "f": "f", "c": "c", "b": "u"}
_CODES = {"s": "i", "u": "u", "f": "f", "c": "c"}
_BITS = {"s": (8, 16, 32, 64), "u": (8, 16, 32, 64), "f": (16, 32, 64), "c": (64, 128)}


def _extra(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise UsageError(f"{module} is not installed; pip install 'pyerlnode[{extra}]'") from None


def nx(array: Any) -> bytes:
    """`array` (a NumPy array or what becomes one) as a binary for `Nx.deserialize/1`. Copies its elements once.

    Raises `UsageError` when NumPy is missing, and for what Nx has not: such elements, an axis of none, a mask.
    """
    numpy = _extra("numpy", "numpy")
    if isinstance(array, numpy.ma.MaskedArray):
        raise UsageError("Nx has no masks; give array.filled(value)")
    try:
        array = numpy.asarray(array)
    except (ValueError, TypeError) as error:
        raise UsageError(f"nx() takes an array or what NumPy makes one of: {error}") from None
    kind, bits = _KINDS.get(array.dtype.kind), array.dtype.itemsize * 8
    if kind is None or bits not in _BITS[kind]:
        raise UsageError(f"Nx has no elements of the type {array.dtype}")
    if array.size == 0:
        raise UsageError(f"Nx has no axis without elements, and this array is of the shape {array.shape}")
    array = numpy.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    names = b"".join([b"l", array.ndim.to_bytes(4, "big"), Atom("nil").wire * array.ndim]) if array.ndim else b""
    term = b"".join(
        (
            b"\x83h\x07" + Atom("t").wire,
            b"h", array.ndim.to_bytes(1, "big"), *map(_integer, array.shape),
            b"h\x02" + Atom(kind).wire, _integer(bits),
            names, b"j" + b"j",
            _integer(0), _integer(array.nbytes),
        )
    )  # fmt: skip
    order = b"\0" if sys.byteorder == "little" else b"\1"
    return b"".join((b"nx\x01", order, len(term).to_bytes(8, "big"), term, memoryview(array).cast("B")))


def _integer(number: int) -> bytes:
    """In the External Term Format. Written here, as this room knows no codec and the term is always this one."""
    if number < 256:
        return b"a" + number.to_bytes(1, "big")
    if number < 1 << 31:
        return b"b" + number.to_bytes(4, "big")
    size = -(-number.bit_length() // 8)
    return b"n" + size.to_bytes(1, "big") + b"\0" + number.to_bytes(size, "little")


def arrow(table: Any) -> memoryview:
    """A pyarrow `Table` or `RecordBatch` as the bytes of an Arrow IPC stream. Raises `UsageError` without pyarrow."""
    pyarrow = _extra("pyarrow", "arrow")
    if not isinstance(table, (pyarrow.Table, pyarrow.RecordBatch)):
        raise UsageError(f"arrow() takes a pyarrow.Table or RecordBatch, not {type(table).__name__}")
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write(table)
    return memoryview(sink.getvalue())


def tensor(term: Any) -> Any:
    """The elements of ``%Nx.Tensor{}`` as a read-only NumPy array over the binary itself. Raises `Mismatch`."""
    numpy = _extra("numpy", "numpy")
    if isinstance(term, numpy.ndarray):
        return term
    if type(term) is not Struct or term.module is not TENSOR:
        raise Mismatch("ndarray (a %Nx.Tensor{})", term)
    data = term.fields.get(_DATA)
    if type(data) is not Struct or data.module is not BINARY_BACKEND:
        raise Mismatch("a %Nx.BinaryBackend{} (see Nx.backend_transfer/1)", data).within(".data")
    kind, bits = _type(term.fields.get(_TYPE))
    shape, state = term.fields.get(_SHAPE), data.fields.get(_STATE)
    if not isinstance(shape, tuple) or not all(type(axis) is int and axis > 0 for axis in shape):
        raise Mismatch("a tuple of sizes", shape).within(".shape")
    if not isinstance(state, (bytes, memoryview)) or len(state) * 8 != math.prod(shape) * bits:
        raise Mismatch("a binary of as many elements as the shape says", state).within(".data.state")
    return numpy.frombuffer(state, numpy.dtype(f"{_CODES[kind]}{bits // 8}")).reshape(shape)


def tensor_of(args: tuple[Any, ...]) -> Callable[[Any], Any]:
    """The decoder of ``numpy.ndarray[Shape, numpy.dtype[T]]``, which ``numpy.typing.NDArray[T]`` is."""
    numpy = _extra("numpy", "numpy")
    wanted = get_args(args[1])[0] if len(args) > 1 and get_args(args[1]) else None
    if wanted is Any or not isinstance(wanted, type):
        return tensor

    def decode(term: Any) -> Any:
        array = tensor(term)
        if not numpy.issubdtype(array.dtype, wanted):
            raise Mismatch(f"ndarray of {wanted.__name__}", got=f"one of {array.dtype}")
        return array

    return decode


def _type(term: Any) -> tuple[str, int]:
    if isinstance(term, tuple) and len(term) == 2 and type(term[0]) is Atom:
        kind, bits = term[0].name, term[1]
        if kind in _CODES and bits in _BITS[kind]:
            return kind, bits
    raise Mismatch("a type that NumPy has (bf16, f8 and below 8 bits it has not)", term).within(".type")
