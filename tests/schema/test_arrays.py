"""NumPy and Arrow by explicit wrapping."""

from typing import Any

import numpy
import pyarrow
import pytest
from numpy.typing import NDArray

from pyerlnode.errors import EncodeError, SchemaError, UsageError
from pyerlnode.schema import arrays, arrow, decode_as, nx
from pyerlnode.term import A, Atom, Struct


def tensor(data: Any, kind: str, bits: int, shape: tuple[int, ...]) -> Struct:
    backend = Struct(A["Elixir.Nx.BinaryBackend"], {A.state: data})
    fields = {A.data: backend, A.names: [None] * len(shape), A.shape: shape, A.type: (Atom(kind), bits)}
    return Struct(A["Elixir.Nx.Tensor"], fields)


@pytest.mark.parametrize(
    ("array", "kind", "bits"),
    [
        (numpy.arange(6, dtype="f4").reshape(2, 3), "f", 32),
        (numpy.arange(300, dtype="i8"), "s", 64),
        (numpy.array(7, dtype="u1"), "u", 8),
        (numpy.array([True, False]), "u", 8),
        (numpy.array([1 + 2j]), "c", 128),
        (numpy.arange(6, dtype=">f8").reshape(2, 3).T, "f", 64),
        (numpy.zeros((70_000, 1), dtype="f2"), "f", 16),
    ],
)
def test_an_array_is_the_container_of_nx_serialize(etf: Any, array: Any, kind: str, bits: int) -> None:
    data = nx(array)
    assert data[:4] == b"nx\x01\x00"
    size = int.from_bytes(data[4:12], "big")
    named = [None] * array.ndim
    term = (A.t, array.shape, (Atom(kind), bits), named, [], 0, array.nbytes)
    assert etf.decode(data[12 : 12 + size]) == term
    elements = data[12 + size :]
    assert numpy.array_equal(decode_as(tensor(elements, kind, bits, array.shape), numpy.ndarray), array)


def test_a_tensor_is_a_view_of_its_binary() -> None:
    data = numpy.arange(4, dtype="f4").tobytes()
    array = decode_as(tensor(data, "f", 32, (2, 2)), numpy.ndarray)
    assert array.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert not array.flags.writeable
    assert decode_as(array, numpy.ndarray) is array


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (1, r"expected ndarray \(a %Nx.Tensor{}\), got an integer"),
        (tensor(b"1234", "bf", 16, (2,)), "expected a type that NumPy has"),
        (tensor(b"1234", "f", 32, (2,)), "as many elements as the shape says, got a binary"),
        (tensor(b"1234", "f", 32, (-1,)), "a tuple of sizes"),
        (Struct(A["Elixir.Nx.Tensor"], {A.data: Struct(A["Elixir.EXLA.Backend"], {})}), "Nx.backend_transfer"),
    ],
)
def test_a_tensor_that_is_none_is_refused(term: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        decode_as(term, numpy.ndarray)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (numpy.array(["a"]), "Nx has no elements of the type <U1"),
        (numpy.zeros((0, 3)), r"Nx has no axis without elements, and this array is of the shape \(0, 3\)"),
        (numpy.ma.array([1, 2], mask=[True, False]), "Nx has no masks"),
        ([[1], [1, 2]], r"nx\(\) takes an array or what NumPy makes one of"),
    ],
)
def test_what_nx_has_not_is_a_usage_error(array: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nx(array)


def test_the_type_of_elements_in_an_annotation_is_checked() -> None:
    term = tensor(b"1234", "f", 32, (1,))
    for wanted in (NDArray[numpy.float32], NDArray[numpy.floating[Any]], NDArray[Any]):
        assert decode_as(term, wanted).dtype == numpy.float32
    with pytest.raises(SchemaError, match="expected ndarray of int64, got one of float32"):
        decode_as(term, NDArray[numpy.int64])


@pytest.mark.parametrize("value", [numpy.zeros(3), numpy.array([5]), numpy.array(5), numpy.complex64(1)])
def test_a_bare_array_does_not_encode_and_the_error_says_what_does(etf: Any, value: Any) -> None:
    with pytest.raises(
        EncodeError, match=r"wrap an array in nx\(\.\.\.\), give a scalar as value\.item\(\) \(at term\[0\]\)"
    ):
        etf.encode([value])


def test_a_table_is_an_arrow_stream() -> None:
    table = pyarrow.table({"a": [1, 2], "b": ["x", None]})
    assert pyarrow.ipc.open_stream(arrow(table)).read_all() == table
    assert pyarrow.ipc.open_stream(arrow(table.to_batches()[0])).read_all() == table
    with pytest.raises(UsageError, match=r"takes a pyarrow\.Table or RecordBatch, not dict"):
        arrow({})


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(arrays, "import_module", missing)
    with pytest.raises(UsageError, match=r"pyarrow is not installed; pip install 'pyerlnode\[arrow\]'"):
        arrow(object())
