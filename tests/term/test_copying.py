"""Copies and pickles of terms of any nesting, in linear time and without Python's stack."""

import copy
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest
from each import each

from pyerlnode import encode
from pyerlnode.errors import UsageError
from pyerlnode.term import A, FrozenList, FrozenMap, ImproperList, Struct, TermMap, exact
from pyerlnode.term.containers import NativeRecord
from tests.helpers import hostile

WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {n}": lambda term, n=n: pickle.loads(pickle.dumps(term, n))
        for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}
DEEP_MAP: Any = A.bottom
for number in range(1_000):
    DEEP_MAP = TermMap([(DEEP_MAP, number), ((number, DEEP_MAP), [])])
DEEP = {
    **{kind: ImproperList((hostile.deep(kind),), A.tail) for kind in ("list", "tuple", "map")},
    **{kind: hostile.deep(kind) for kind in ("improper", "tail", "struct", "fun")},
    "key": hostile.deep_key(),
    "keys of keys": DEEP_MAP,
    "record": NativeRecord(A.m, A.r, (A.a,), (hostile.deep("list"),), True),
    "frozen": FrozenList([hostile.deep("tuple")]),
    "frozen map": FrozenMap({A.k: hostile.deep("tuple")}),
    "wide": TermMap([(n, [n]) for n in range(20_000)]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", DEEP)
def test_a_term_of_any_nesting_is_copied(name: str, way: str) -> None:
    term = DEEP[name]
    started = time.process_time()
    other = WAYS[way](term)
    assert time.process_time() - started < 20
    assert type(other) is type(term)
    assert other is not term
    assert encode(other) == encode(term) if name != "keys of keys" else exact.same(other, term)


@each(WAYS)
def test_what_stands_in_it_twice_does_so_in_the_copy(way: str) -> None:
    row: list[Any] = [1]
    other = WAYS[way](ImproperList((row, {A.k: row}), Struct(A.M, {A.a: row})))
    other.items[0].append(2)
    assert other.items[1][A.k] == other.tail.fields[A.a] == [1, 2]
    assert row == [1]


@each(WAYS)
def test_shared_parts_are_copied_once(way: str) -> None:
    shared: Any = ImproperList((1,), 2)
    for _ in range(500):
        shared = ImproperList((shared, shared), shared)
    other = WAYS[way](shared)
    assert other.items[0] is other.items[1] is other.tail


def test_a_deepcopy_keeps_what_is_shared_with_what_is_around() -> None:
    row: list[Any] = [1]
    first, second, third = copy.deepcopy([row, ImproperList((row,), A.x), TermMap([(1, row)])])
    assert first is second.items[0] is third[1] is not row


class Own:
    """No term; it has a copy of its own."""

    def __init__(self, of: Any) -> None:
        self.of = of


@each(WAYS)
def test_objects_of_the_program_are_copied_as_python_does(way: str) -> None:
    own = Own([1])
    other = WAYS[way](ImproperList((own, own), Own(ImproperList((1,), 2))))
    assert other.items[0] is other.items[1] is not own
    assert other.items[0].of == [1]
    assert other.tail.of == ImproperList((1,), 2)


@each(WAYS)
def test_a_value_that_stands_in_itself_is_refused(way: str) -> None:
    row: list[Any] = []
    row.append(ImproperList((row,), A.x))
    with pytest.raises(UsageError, match="in itself"):
        WAYS[way](ImproperList((row,), A.x))


def test_a_shallow_copy_has_the_same_parts() -> None:
    row: list[Any] = [hostile.deep("list")]
    for term, part in [
        (ImproperList((row,), 1), lambda t: t.items[0]),
        (FrozenList([row]), lambda t: t[0]),
        (FrozenMap({1: row}), lambda t: t[1]),
        (TermMap([(1, row)]), lambda t: t[1]),
        (Struct(A.M, {A.a: row}), lambda t: t.a),
        (NativeRecord(A.m, A.r, (A.a,), (row,)), lambda t: t["a"]),
    ]:
        other = copy.copy(term)
        assert type(other) is type(term)
        assert part(other) is row
