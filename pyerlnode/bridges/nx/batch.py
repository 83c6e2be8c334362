"""What `Nx.Serving` carries: ``%Nx.Batch{}`` and tensors as NumPy arrays, and arrays as ``%Nx.Tensor{}``.

Reference: `Nx.Batch`, `Nx.LazyContainer`, `Nx.Tensor` of Nx 0.6 to 0.13 (and ``donatable?``, which comes after it).

A batch is lazy: its `stack` holds, newest first, ``{[fun], size}``, one closure for each tensor of the template, the
last one first. Python can not run a closure, but it can see what it closes over, and `Nx.Batch` makes but these:

    fn -> tensor end                                   the tensor as it was given
    fn -> Nx.new_axis(fun.(), 0) end                   `Nx.Batch.stack`: over the one above
    fn -> Nx.slice_along_axis(fun.(), start, size)     `Nx.Batch.split`: over one above; a `start` of 0 is not kept

Which of them it is follows from the template: of a batch that was stacked each tensor has the template's shape, of
one that was concatenated an axis more. Everything else, a lazy container of another library among it, is refused with
the advice to send tensors. Structs that are containers are refused too: the order of their fields is known to their
module alone.

NumPy is imported when it is needed (extra ``numpy``).
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.bridges.nx.serving_core import form, leaves, mapped, rebuild
from pyerlnode.errors import Exit, SchemaError, UsageError
from pyerlnode.schema.arrays import BINARY_BACKEND, TENSOR
from pyerlnode.schema.decode import decode_as
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Struct
from pyerlnode.term.fun import Fun

BATCH: Final = A["Elixir.Nx.Batch"]
_PLAIN: Final = frozenset(A[f"Elixir.Nx.LazyContainer.{of}"] for of in ("Nx.Tensor", "Integer", "Float", "Complex"))
"""The modules whose closures give the tensor that they close over; those of other containers may compute."""
_SHAPE, _STACK, _TEMPLATE = Atom("shape"), Atom("stack"), Atom("template")
_DONATABLE: Final = Atom("donatable?")
_KINDS: Final = {"i": "s", "u": "u", "f": "f", "c": "c", "b": "u"}
_BITS: Final = {"s": (8, 16, 32, 64), "u": (8, 16, 32, 64), "f": (16, 32, 64), "c": (64, 128)}


class BadBatch(Exit):
    """The input is none that this serving can run; `reason` is ``{bad_batch, Text}``, which its caller gets."""

    def __init__(self, text: str) -> None:
        super().__init__((A.bad_batch, text.encode()), text)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for a model: `value` is a container of arrays whose first axis counts `size` rows.

    `key` is the batch key, `pad` the rows of zeros that the model is to get behind them.
    """

    value: Any
    size: int
    key: Any = A.default
    pad: int = 0

    @staticmethod
    def stack(entries: Iterable[Any], *, key: Any = A.default, pad: int = 0) -> Batch:
        """A batch of containers of arrays, each of them one row (`Nx.Batch.stack`)."""
        rows = list(entries)
        return Batch(_joined(rows, _numpy().stack), len(rows), key, pad)

    @staticmethod
    def concatenate(entries: Iterable[Any], *, key: Any = A.default, pad: int = 0) -> Batch:
        """A batch of containers of arrays that have their rows on the first axis (`Nx.Batch.concatenate`)."""
        value = _joined(list(entries), _numpy().concatenate)
        return Batch(value, _length(value), key, pad)

    def form(self) -> Hashable:
        """Equal for those that can be run together: the same containers, types and shapes of a row."""
        return form(self.value, lambda leaf: (leaf.dtype.str, leaf.shape[1:]))


def join(values: list[Any]) -> Any:
    """The rows of several containers of one form, one behind the other."""
    return values[0] if len(values) == 1 else _joined(values, _numpy().concatenate)


def padded(value: Any, pad: int) -> Any:
    """`value` with `pad` rows of zeros behind its own."""
    if not pad:
        return value
    numpy = _numpy()
    return mapped(lambda leaf: numpy.concatenate([leaf, numpy.zeros((pad, *leaf.shape[1:]), leaf.dtype)]), value)


def checked(value: Any, rows: int) -> Any:
    """What a handler gave, as a container of arrays. Raises `Exit` unless each of them has `rows` rows."""
    numpy = _numpy()
    found = mapped(numpy.asarray, value)
    for leaf in leaves(found):
        if leaf.ndim == 0 or leaf.shape[0] != rows:
            text = f"the handler was given {rows} rows and gave an array of the shape {leaf.shape}"
            raise Exit((A.bad_output, text.encode()), text)
    return found


def _joined(values: list[Any], how: Any) -> Any:
    if not values:
        raise BadBatch("a batch has at least one entry")
    numpy = _numpy()
    columns = [[numpy.asarray(leaf) for leaf in leaves(value)] for value in values]
    if len({form(value, lambda _: None) for value in values}) > 1:
        raise BadBatch("the entries of a batch are containers of one form")
    try:
        return rebuild(values[0], [how(column) for column in zip(*columns, strict=True)])
    except ValueError as error:
        raise BadBatch(f"the entries of a batch have rows of one shape: {error}") from None


def _length(value: Any) -> int:
    lengths = {leaf.shape[0] if leaf.ndim else 0 for leaf in leaves(value)}
    if len(lengths) != 1 or 0 in lengths:
        raise BadBatch("all arrays of a batch have the same number of rows, at least one")
    return int(lengths.pop())


# --- from the BEAM -------------------------------------------------------------------------------
def is_batch(term: Any) -> bool:
    return type(term) is Struct and term.module is BATCH


def batch_of(term: Struct) -> Batch:
    """``%Nx.Batch{}`` as a `Batch`. Raises `BadBatch`."""
    fields = term.fields
    stack, template, pad = fields.get(_STACK), fields.get(_TEMPLATE), fields.get(A.pad)
    if type(stack) is not list or not stack or type(pad) is not int or pad < 0:
        raise BadBatch("an Nx.Batch has at least one entry")
    shapes = [_shape(leaf) for leaf in leaves(template)]
    columns: list[list[Any]] = [[] for _ in shapes]
    for entry in reversed(stack):
        funs, size = entry if type(entry) is tuple and len(entry) == 2 else (None, None)
        if type(funs) is not list or len(funs) != len(shapes) or type(size) is not int:
            raise BadBatch("an Nx.Batch holds one function for each tensor of its template")
        for column, shape, fun in zip(columns, shapes, reversed(funs), strict=True):
            column.append(_entry(fun, size, shape))
    value = rebuild(template, [column[0] if len(column) == 1 else _numpy().concatenate(column) for column in columns])
    return Batch(value, _length(value), fields.get(A.key), pad)


def _shape(leaf: Any) -> tuple[Any, ...]:
    shape = leaf.fields.get(_SHAPE) if type(leaf) is Struct and leaf.module is TENSOR else None
    if type(shape) is not tuple:
        raise BadBatch("the template of an Nx.Batch is a tensor, or tuples and maps of tensors")
    return shape


def _entry(fun: Any, size: int, shape: tuple[Any, ...]) -> Any:
    """The array of one entry, its rows on the first axis."""
    array = _tensor_in(fun, size, len(shape))
    if array.shape != (size, *shape):
        raise BadBatch(f"an entry of {size} rows of the shape {shape} holds a tensor of the shape {array.shape}")
    return array


def _tensor_in(fun: Any, size: int | None, axes: int) -> Any:
    if type(fun) is not Fun or fun.arity != 0:
        raise BadBatch("an Nx.Batch holds functions that give tensors")
    numbers = [value for value in fun.free if type(value) is int]
    inner = [value for value in fun.free if type(value) is not int]
    if fun.module in _PLAIN and len(inner) == 1 and not numbers:
        array = array_of(inner[0])
        return array if array.ndim == axes + 1 else array.reshape(1, *array.shape)
    if fun.module is BATCH and len(inner) == 1 and len(numbers) <= 2:
        if not numbers:
            return _tensor_in(inner[0], size, axes)
        return _sliced(_tensor_in(inner[0], None, axes), numbers, size)
    raise BadBatch("an Nx.Batch of lazy containers that are no tensors: send it as tensors")


def _sliced(array: Any, numbers: list[int], size: int | None) -> Any:
    """A part that `Nx.Batch.split` has cut off: `numbers` are its start, unless that is 0, and its size."""
    if len(numbers) == 1:
        return array[: numbers[0]]
    if size not in numbers:
        raise BadBatch("an Nx.Batch that was split more than once: send it whole")
    numbers.remove(size)
    return array[numbers[0] : numbers[0] + size]


def array_of(term: Any) -> Any:
    """``%Nx.Tensor{}`` as a read-only array over the binary itself. Raises `BadBatch` for what NumPy has not."""
    try:
        return decode_as(term, _numpy().ndarray)
    except SchemaError as error:
        raise BadBatch(f"a tensor that can not be an array: {error}") from None


def from_nx(term: Any) -> Any:
    """`term` with arrays in place of its tensors, in tuples, lists and maps."""
    kind = type(term)
    if kind is Struct and term.module is TENSOR:
        return array_of(term)
    if kind is tuple:
        return tuple(from_nx(item) for item in term)
    if kind is list:
        return [from_nx(item) for item in term]
    if kind is dict:
        return {key: from_nx(value) for key, value in term.items()}
    return term


def has_donatable(term: Any) -> bool | None:
    """Whether the tensors of whoever sent `term` have the field ``donatable?``; None when it holds no tensor."""
    kind = type(term)
    if kind is Struct:
        if term.module is TENSOR:
            return _DONATABLE in term.fields
        return has_donatable(term.fields.get(_TEMPLATE)) if term.module is BATCH else None
    items: Iterable[Any] = term if kind in (tuple, list) else term.values() if kind is dict else ()
    return next((found for item in items if (found := has_donatable(item)) is not None), None)


# --- to the BEAM ---------------------------------------------------------------------------------
def to_nx(term: Any, *, donatable: bool = False) -> Any:
    """`term` with ``%Nx.Tensor{}`` in place of its arrays. Raises `UsageError` for elements that Nx has not."""
    kind = type(term)
    if kind is tuple:
        return tuple(to_nx(item, donatable=donatable) for item in term)
    if kind is list:
        return [to_nx(item, donatable=donatable) for item in term]
    if isinstance(term, Mapping):
        return {key: to_nx(value, donatable=donatable) for key, value in term.items()}
    if hasattr(term, "__array__"):
        return tensor_of(term, donatable=donatable)
    return term


def tensor_of(array: Any, *, donatable: bool = False) -> Struct:
    """A NumPy array as ``%Nx.Tensor{}`` with a binary backend. Copies its elements once. Raises `UsageError`."""
    numpy = _numpy()
    array = numpy.asarray(array)
    kind, bits = _KINDS.get(array.dtype.kind), array.dtype.itemsize * 8
    if kind is None or bits not in _BITS[kind]:
        raise UsageError(f"Nx has no elements of the type {array.dtype}")
    if array.size == 0:
        raise UsageError(f"Nx has no axis without elements, and this array is of the shape {array.shape}")
    state = numpy.ascontiguousarray(array, array.dtype.newbyteorder("=")).tobytes()
    fields = {
        Atom("data"): Struct(BINARY_BACKEND, {Atom("state"): state}),
        _SHAPE: tuple(array.shape),
        Atom("type"): (Atom(kind), bits),
        Atom("names"): [None] * array.ndim,
        Atom("vectorized_axes"): [],
    }
    if donatable:
        fields[_DONATABLE] = False
    return Struct(TENSOR, fields)


def _numpy() -> Any:
    if "numpy" not in sys.modules:
        try:
            import numpy
        except ImportError:
            raise UsageError("numpy is not installed; pip install 'pyerlnode[numpy]'") from None
        return numpy
    return sys.modules["numpy"]
