"""What is taken out of a term comes back at its place, of the same kind, whatever its size."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyerlnode import A, EncodeError
from pyerlnode.errors import ProtocolError
from pyerlnode.etf import decode, encode
from pyerlnode.term import exact
from pyerlnode.workers.shared_core import DEPTH, LIMIT, Parcel, find, restored, without
from tests.helpers import hostile


def carried(term: Any, share: bool = True) -> Any:
    """Through bytes, as between two processes."""
    found = find(term)
    parcel = Parcel(found, share)
    memory = bytearray(parcel.size)
    for offset, piece in parcel.pieces:
        memory[offset : offset + len(piece)] = piece
    parts, rest = decode(encode((parcel.parts, without(term, [path for path, _ in found]))))
    return restored(parts, rest, memoryview(bytes(memory)))


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("size", [0, 3, LIMIT])
def test_each_kind_stays_what_it_is_at_every_size(size: int, share: bool) -> None:
    array = np.arange(size, dtype=np.int16)
    sent = (A.call, {b"a": array, b"b": [b"x" * size, 1]}, memoryview(b"y" * size))
    _, fields, view = carried(sent, share)
    assert np.array_equal(fields[b"a"], array)
    assert fields[b"a"].dtype == array.dtype
    assert not size or not fields[b"a"].flags.writeable
    assert fields[b"b"] == [b"x" * size, 1]
    assert type(view) is memoryview
    assert view.readonly
    assert view == b"y" * size


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24).reshape(2, 3, 4),
        np.arange(24).reshape(2, 3, 4).T,
        np.arange(24)[::3],
        np.array(7.5),
        np.zeros((0, 3)),
        np.array(["é", "ab"]),
        np.array(["2024-01-01"], dtype="datetime64[D]"),
        np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", ">f8")]),
        np.array([True, False]),
        np.array([1 + 2j], dtype=np.complex64),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_keeps_its_type_shape_and_order(array: Any) -> None:
    (back,) = carried((array,))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)
    assert back.flags.f_contiguous == (array.flags.f_contiguous or array.ndim < 2)


def test_a_view_keeps_its_format_and_shape() -> None:
    view = memoryview(bytes(range(48))).cast("d", [2, 3])
    (back,) = carried((view,))
    assert (back.format, back.shape, back.tobytes()) == ("d", (2, 3), view.tobytes())
    (back,) = carried((memoryview(b"abcdef")[::2],))
    assert back == b"ace"


def test_a_term_without_any_is_not_touched() -> None:
    term = (A.call, [1, "two", (3.0, None)], {"k": b"short"})
    assert find(term) == []
    assert without(term, []) == term


def test_an_array_of_objects_is_refused_as_nothing_is_pickled() -> None:
    with pytest.raises(EncodeError, match="nothing is pickled"):
        Parcel(find((np.array([object()]),)), True)


def test_what_is_too_deep_or_contains_itself_is_left_to_the_codec() -> None:
    deep: Any = [memoryview(b"x")]
    for _ in range(DEPTH + 1):
        deep = [deep]
    assert find((deep,)) == []
    around: list[Any] = []
    around += [around, around]
    assert find((around,)) == []


def test_what_is_sent_is_not_changed() -> None:
    inner = [memoryview(b"x"), 1]
    term = (inner, {b"k": inner})
    carried(term)
    assert type(inner[0]) is memoryview


leaves = st.one_of(
    st.integers(), st.binary(), st.none(), st.binary().map(memoryview), st.lists(st.integers(0, 9)).map(np.array)
)
terms = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(st.binary(), inner, max_size=4)
    ),
)


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@given(hostile.terms())
@settings(max_examples=100, deadline=None)
def test_any_hostile_term_comes_back(term: Any) -> None:
    (back,) = carried((term,))
    assert exact.same(back, term)


@given(terms)
@settings(max_examples=200, deadline=None)
def test_any_term_comes_back(term: Any) -> None:
    assert same(carried((term,)), (term,))


@pytest.mark.parametrize(
    "parts",
    [
        [([0], A.array, (b"'<i4'", [5], False), b"short")],
        [([0], A.array, (b"nonsense(", [1], False), b"1234")],
        [([9], A.bytes, None, b"x")],
        [([0], A.bytes, None, (0, 100))],
        [([0, 0], A.bytes, None, b"x")],
        [(A.no, A.path)],
    ],
)
def test_parts_that_do_not_fit_are_a_protocol_error(parts: Any) -> None:
    with pytest.raises(ProtocolError):
        restored(parts, (None,), memoryview(b"four"))
