"""Erlang's order. Live BEAMs are asked in `interop_tests/test_term_order.py`."""

import itertools
import random
import time
from functools import cmp_to_key
from typing import Any

import pytest

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.term import (
    A,
    Bitstring,
    Charlist,
    ExternalFun,
    FrozenList,
    Fun,
    ImproperList,
    NativeRecord,
    Pid,
    Port,
    Reference,
    Struct,
    TermMap,
    exact,
)
from pyerlnode.term.order import compare, equal, identical, sort_key

NODES = [A["a@h"], A["b@h"]]
FUN = Fun(A.m, 1, bytes(16), 0, 0, 7, Pid(NODES[0], 1, 0, 1), ())
ASCENDING: list[Any] = [
    -(10**400), -1.5, 0, 0.5, 1, 2**53, float(2**53) + 2, 10**400,
    A[""], A.a, A.aa, A.b, False, None, True, A["é"], A["日本"],
    Reference(NODES[0], 1, (9, 9)), Reference(NODES[0], 1, (1, 10)), Reference(NODES[0], 1, (0, 0, 1)),
    Reference(NODES[0], 2, (0,)), Reference(NODES[1], 1, (0,)),
    FUN, FUN.with_free((1,)), ExternalFun(A.a, A.b, 2), ExternalFun(A.a, A.c, 1),
    Port(NODES[0], 9, 1), Port(NODES[1], 1, 1),
    Pid(NODES[0], 1, 0, 1), Pid(NODES[1], 1, 0, 1), Pid(NODES[0], 2, 0, 1), Pid(NODES[0], 1, 1, 1),
    (), (2,), (1, 1), (1, 2), (1, [1]),
    NativeRecord(A.m, A.r, (A.a,), (1,)), NativeRecord(A.m, A.r, (A.a,), (2,)),
    {}, {1: 9}, {A.a: 1}, {A.a: 2}, {b"x": 0}, TermMap([(1, 0), (1.0, 0)]), {1: 0, A.a: 0},
    [], [0], ImproperList((1,), 2), [1], [1, 1], ImproperList((1,), b"x"), [2], [[]],
    b"", Bitstring(b"\x00", 1), b"\x00", Bitstring(b"\x00\x80", 1), b"\x01", b"a", "b", b"ba",
]  # fmt: skip


def test_terms_stand_in_their_order() -> None:
    for (at, one), (place, other) in itertools.product(enumerate(ASCENDING), repeat=2):
        assert compare(one, other) == (at > place) - (at < place), (one, other)


def test_sorting_by_key_restores_the_order() -> None:
    shuffled = ASCENDING[1::2] + ASCENDING[::2]
    assert sorted(shuffled, key=sort_key) == ASCENDING


def test_numbers_are_equal_by_value_and_identical_by_type() -> None:
    assert equal(1, 1.0)
    assert not identical(1, 1.0)
    assert compare(2, 1.0, exact=True) == -1
    assert equal(0.0, -0.0)
    assert compare(-0.0, 0.0, exact=True) == -1
    assert equal((1, [{A.a: 2}]), (1.0, [{A.a: 2.0}]))
    assert not identical((1, [{A.a: 2}]), (1.0, [{A.a: 2.0}]))


def test_keys_of_maps_compare_exactly() -> None:
    assert not equal({1: A.a}, {1.0: A.a})
    assert compare({1: A.a, 2: A.b}, {1.0: A.a, 2: A.b}) == -1


def test_true_is_the_atom_and_no_number() -> None:
    assert not equal(True, 1)
    assert compare(10**9, False) == -1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("é", "é".encode()),
        (Charlist("ab"), [97, 98]),
        (FrozenList([1]), [1]),
        (Struct(A["Elixir.M"], {A.a: 1}), {A.__getitem__("__struct__"): A["Elixir.M"], A.a: 1}),
        (ImproperList((1,), [2]), [1, 2]),
        (ImproperList((1,), ImproperList((2,), 3)), ImproperList((1, 2), 3)),
        (bytearray(b"x"), memoryview(b"x")),
    ],
)
def test_values_of_one_term_are_identical(one: Any, other: Any) -> None:
    assert identical(one, other)


def test_terms_of_any_nesting_compare() -> None:
    one: Any = 1
    other: Any = 2
    for _ in range(20_000):
        one, other = [one], (other,)
    assert compare(one, other) == 1
    deep: Any = 1
    deeper: Any = 1.0
    for _ in range(20_000):
        deep, deeper = [deep], [deeper]
    assert equal(deep, deeper)
    assert not identical(deep, deeper)


def test_what_is_no_term_is_an_encode_error() -> None:
    with pytest.raises(EncodeError):
        compare(object(), 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Reference(NODES[0], 1, (7,)), Reference(NODES[0], 1, (7, 0, 0))),
        (Reference(NODES[0], 1, (7, 8)), Reference(NODES[0], 1, (7, 8, 0, 0, 0))),
        (FUN, Fun(A.m, 1, bytes(16), 0, 0, 7, Pid(NODES[1], 5, 0, 1), ())),
    ],
)
def test_what_is_one_term_on_a_beam_is_one_key_in_python(one: Any, other: Any) -> None:
    assert identical(one, other)
    assert one == other
    assert {one: 1, other: 2} == {one: 2}
    with pytest.raises(UsageError, match="each key once"):
        TermMap([(one, 1), (other, 2)])


def test_references_that_differ_in_a_word_are_two_keys() -> None:
    words = [(7,), (0, 7), (7, 8), (7, 0, 8), (0,)]
    assert len({Reference(NODES[0], 1, some): 1 for some in words}) == len(words)


def test_maps_whose_keys_are_maps_compare_at_any_nesting_and_soon():
    def nested(levels, bottom):
        term = bottom
        for number in range(levels):
            term = TermMap([((term, number), A.one), ((number, term), A.two), (term, A.three), ([number], A.four)])
        return term

    started = time.process_time()
    chain = TermMap([(A.x, 1)])
    for wrap in (lambda term: [(term, 1)], lambda term: [(A.x, [1]), ([term, 2], A.x)]):
        mine = theirs = more = chain
        for _ in range(2_000):
            mine, theirs = TermMap(wrap(mine)), TermMap(wrap(theirs))
        for _ in range(2_000):
            more = TermMap(wrap(more))
        assert compare(mine, theirs) == 0
        assert compare(TermMap([(mine, 1)]), TermMap([(more, 2)])) == -1
    one, two, same = nested(6, 1), nested(6, 2), nested(6, 1)
    assert (compare(one, two), compare(two, one), compare(one, same)) == (-1, 1, 0)
    assert time.process_time() - started < 30


def test_the_keys_of_maps_in_maps_are_sorted_as_a_plain_sort_does():  # noqa: C901  # the order once more
    rng = random.Random(11)

    def term(depth):
        kind = rng.randrange(4 if depth else 2)
        if kind == 0:
            return rng.choice([1, 1.0, 2, -0.0, 0, A.a, A.b, b"x", ()])
        if kind == 1:
            return rng.randrange(5)
        if kind == 2:
            return tuple(term(depth - 1) for _ in range(rng.randrange(3)))
        made = {exact.key(key): (key, term(depth - 1)) for key in [term(depth - 1) for _ in range(rng.randrange(5))]}
        return TermMap(list(made.values()))

    def plain(left, right, same=False):
        if not (isinstance(left, TermMap) and isinstance(right, TermMap)):
            if type(left) is type(right) is tuple and len(left) == len(right):
                return next((found for pair in zip(left, right, strict=True) if (found := plain(*pair, same))), 0)
            return compare(left, right, exact=same)
        if len(left) != len(right):
            return -1 if len(left) < len(right) else 1
        mine, theirs = (sorted(t.pairs, key=cmp_to_key(lambda a, b: plain(a[0], b[0], True))) for t in (left, right))
        for (one, _), (two, _) in zip(mine, theirs, strict=True):
            if found := plain(one, two, True):
                return found
        return next((found for (_, a), (_, b) in zip(mine, theirs, strict=True) if (found := plain(a, b, same))), 0)

    for _ in range(3_000):
        left, right = term(4), term(4)
        for pair in ((left, right), (TermMap([(left, 1)]), TermMap([(right, 1)])), (left, left)):
            assert compare(*pair) == plain(*pair)
