"""Identity of terms. Live BEAMs are asked in `interop_tests/test_term_exact.py`."""

import enum
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings

import pyerlnode.schema  # noqa: F401  # the forms of dates, sets and decimals
from pyerlnode.term import (
    A,
    Atom,
    Bitstring,
    Charlist,
    ExternalFun,
    FrozenList,
    FrozenMap,
    Fun,
    ImproperList,
    NativeRecord,
    Pid,
    Port,
    Range,
    Reference,
    Struct,
    TermMap,
    exact,
    hooks,
    register_encoder,
)
from pyerlnode.term.exact import ExactDict, key, same
from pyerlnode.term.order import identical
from tests.helpers import hostile

N = A["a@h"]
FUN = Fun(A.m, 1, bytes(16), 0, 0, 7, Pid(N, 1, 0, 1), ())
PRIME = 2**61 - 1
"""Python's modulus: every multiple of it has the hash 0."""
DEEP = 100_000

DIFFERENT: list[Any] = [
    0, 1, -1, True, False, None, 1.0, 0.0, -0.0, 2**16, 2.0**16, -(2**16), 2**53, 2.0**53, 2**64, 10**5000,
    PRIME, 2 * PRIME,
    A["1"], A.a, A[""], A.ok, "", "a", "1", "\ud800", b"\xed\xa0\x80", Bitstring(b"a", 7), Bitstring(b"a", 6),
    (), [], {}, (1,), [1], {1: 1}, (1.0,), [1.0], [True], (True,), [[1]], [(1,)], ((1,),), [1, 2], [2, 1], (1, 2),
    [[1], 2],
    [1, [2]], [[], []], [[[]]], ImproperList((1,), 2), ImproperList((1,), (2,)), ImproperList((1, 2), 3),
    "ab", [97, 98, 99],
    {1.0: 1}, {1: 1.0}, {True: 1}, {1: [1]}, {1: 1, 2: 2}, {1: 2, 2: 1}, TermMap([(1, 1), (1.0, 1)]), {(1, 1): (1, 1)},
    {FrozenList([1]): 1}, {FrozenList([1.0]): 1}, {FrozenMap({1: 2}): 1}, {FrozenMap({1.0: 2}): 1},
    Struct(A["Elixir.M"], {}), Struct(A["Elixir.M"], {A.a: 1}), Struct(A["Elixir.M"], {A.a: 1.0}),
    Range(1, 3), Range(1, 3, 2),
    Pid(N, 1, 0, 1), Pid(N, 1, 0, 2), Pid(N, 0, 1, 1), Pid(A["b@h"], 1, 0, 1), Port(N, 1, 1), Port(N, 1, 2),
    Reference(N, 1, (1,)), Reference(N, 1, (0, 1)), Reference(N, 1, (1, 1)), Reference(N, 2, (1,)),
    [Pid(N, 1, 0, 1)], [Port(N, 1, 1)], [Reference(N, 1, (1,))], [ExternalFun(A.a, A.b, 1)], [ExternalFun(A.a, A.b, 2)],
    ExternalFun(A.a, A.b, 1), ExternalFun(A.b, A.a, 1), FUN, FUN.with_free((1,)), FUN.with_free((1.0,)),
    FUN.with_free((True,)),
    NativeRecord(A.m, A.r, (A.a,), (1,)), NativeRecord(A.m, A.r, (A.a,), (1.0,)), NativeRecord(A.m, A.r, (), ()),
    NativeRecord(A.m, A.r, (), (), exported=True), (A.m, A.r), ("ab", "c"), ("a", "bc"), ("", "abc"),
    [Bitstring(b"a", 7)],
    float("inf"), float("nan"),
]  # fmt: skip


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()


class Bare(Mapping[Any, Any]):
    def __getitem__(self, name: Any) -> Any:
        return {1: [2]}[name]

    def __iter__(self) -> Any:
        return iter([1])

    def __len__(self) -> int:
        return 1


ONE_TERM: list[list[Any]] = [
    ["é", "é".encode(), bytearray("é".encode()), memoryview("é".encode()), Text("é"), Bitstring("é".encode(), 8)],
    [True, Atom("true")],
    [False, Atom("false")],
    [None, Atom("nil")],
    [1, Number.ONE],
    [Colour.RED, "red", b"red"],
    [[97, 98], Charlist("ab"), FrozenList([97, 98]), ImproperList((97,), [98]), ImproperList((97,), Charlist("b"))],
    [[], Charlist(""), FrozenList()],
    [(1, 2), Point(1, 2)],
    [ImproperList((1,), ImproperList((2,), 3)), ImproperList((1, 2), 3)],
    [{1: 2, A.a: 3}, {A.a: 3, 1: 2}, FrozenMap({1: 2, A.a: 3}), TermMap([(A.a, 3), (1, 2)])],
    [{1: [2]}, Bare()],
    [{FrozenList([1]): 1}, TermMap([([1], 1)])],
    [Struct(A["Elixir.M"], {A.a: 1}, at=at) for at in (0, 1)] + [{A.a: 1, Atom("__struct__"): A["Elixir.M"]}],
    [Range(1, 3), range(1, 4), Struct(A["Elixir.Range"], {A.first: 1, A.last: 3, A.step: 1})],
    [Reference(N, 1, (7,)), Reference(N, 1, (7, 0, 0))],
    [FUN, Fun(A.m, 1, bytes(16), 0, 0, 7, Pid(A["b@h"], 5, 0, 1), ())],
    [Decimal("1.5"), Decimal(15) / 10],
    [date(2024, 2, 29), date(2024, 2, 29)],
    [{1, 2}, frozenset({2, 1})],
]  # fmt: skip


def nest(term: Any, levels: int, kind: str) -> Any:
    wrap: dict[str, Any] = {
        "list": lambda inner: [inner],
        "tuple": lambda inner: (inner,),
        "map": lambda inner: {A.a: inner},
        "tail": lambda inner: ImproperList((1,), (inner,)),
        "chain": lambda inner: ImproperList((1,), inner),
        "fun": lambda inner: FUN.with_free((inner,)),
        "struct": lambda inner: Struct(A["Elixir.M"], {A.a: inner}),
    }
    for _ in range(levels):
        term = wrap[kind](term)
    return term


def test_different_terms_have_different_keys_in_every_place() -> None:
    for place in (lambda term: term, lambda term: (term,), lambda term: [A.a, term], lambda term: {A.a: [term]}):
        keys = [key(place(term)) for term in DIFFERENT]
        assert len(set(keys)) == len(DIFFERENT)
        for (at, one), (other_at, other) in itertools.product(enumerate(keys), repeat=2):
            assert (one == other) is (at == other_at), (DIFFERENT[at], DIFFERENT[other_at])


@pytest.mark.parametrize("forms", ONE_TERM, ids=lambda forms: repr(forms[0])[:40])
def test_every_form_of_one_term_has_its_key(forms: list[Any]) -> None:
    for place in (lambda term: term, lambda term: (term,), lambda term: {A.a: [term, term]}):
        keys = [key(place(form)) for form in forms]
        assert set(keys) == {keys[0]}
        assert len({hash(made) for made in keys}) == 1


def test_what_is_usual_is_its_own_key() -> None:
    for term in (A.a, 7, -7, b"binary", Pid(N, 1, 0, 1), Reference(N, 1, (1,)), Port(N, 1, 1)):
        assert key(term) is term


@settings(max_examples=200, deadline=None)
@given(hostile.terms(), hostile.terms())
def test_it_says_what_the_order_of_terms_says(one: Any, other: Any) -> None:
    assert same(one, one)
    assert same([one, other], [one, other])
    assert same(one, other) is identical(one, other)
    assert same((one, other), (other, one)) is identical(one, other)


def test_hostile_terms_are_told_apart_as_the_order_tells_them() -> None:
    keys = [(term, key(term)) for term in hostile.EDGES]
    for (one, mine), (other, theirs) in itertools.product(keys, repeat=2):
        assert (mine == theirs) is identical(one, other)


# --- costs -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["list", "tuple", "map", "tail", "chain", "fun", "struct"])
def test_any_nesting_has_a_key(kind: str) -> None:
    one, again, other = (nest(bottom, 5_000, kind) for bottom in (1, 1, 1.0))
    assert key(one) == key(again)
    assert key(one) != key(other)
    assert key(one) != key(nest(1, 4_999, kind))


def test_the_deepest_term_that_a_beam_sends_has_a_key() -> None:
    assert key(nest(1, DEEP, "list")) != key(nest(1.0, DEEP, "list"))


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_what_stands_at_many_places_is_looked_at_once(kind: type) -> None:
    """Thirty levels would be a milliard of leaves."""

    def shared(bottom: Any) -> Any:
        term = bottom
        for _ in range(60):
            term = {A.a: term, A.b: term} if kind is dict else kind((term, term))
        return term

    assert same(shared(1), shared(1))
    assert not same(shared(1), shared(True))


def test_no_peer_chooses_keys_of_one_hash() -> None:
    """Against Python's own numbers, of which 20,000 with one hash cost 200 million comparisons."""
    count = 20_000
    for rows in (
        [PRIME * n for n in range(count)],
        [float(2.0**61 * n) for n in range(count)],
        [(PRIME * n, 1) for n in range(count)],
        [[1, PRIME * n] for n in range(count)],
        [n << 40 for n in range(count)],
    ):
        hashes = {hash(key(term)) for term in rows}
        assert len(hashes) > count * 0.999
        assert len({made & 0xFFFF for made in hashes}) > 10_000  # the slots of a table are its lowest bits


def test_each_part_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0

    def counted(term: Any) -> Any:
        nonlocal looked_at
        looked_at += 1
        return b"h", term

    monkeypatch.setitem(exact.PARTS, tuple, counted)
    key([(n, (n, [(n, 1.5)])) for n in range(1_000)])
    assert looked_at == 3_000


# --- values of this program alone ----------------------------------------------------------------------------------
@dataclass
class Conversation:
    peer: str
    turn: Any


class Rude:
    """Nothing of it may be called."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def __hash__(self) -> int:
        raise AssertionError

    def __repr__(self) -> str:
        raise AssertionError


class Broken(Mapping[Any, Any]):
    def __getitem__(self, name: Any) -> Any:
        raise ZeroDivisionError

    def __iter__(self) -> Any:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "make", [object, Rude, Broken, lambda: lambda: 1, lambda: Fraction(1), lambda: Decimal("sNaN")]
)
def test_what_is_no_term_is_the_same_as_itself_only(make: Any) -> None:
    one, other = make(), make()
    for place in (lambda value: value, lambda value: (A.a, [value]), lambda value: {A.a: value}):
        assert same(place(one), place(one))
        assert not same(place(one), place(other))
        assert len({key(place(one)): 1, key(place(other)): 2}) == 2


def test_a_key_keeps_what_it_knows_by_its_address() -> None:
    table = {key((A.a, Rude())): n for n in range(1_000)}
    assert len(table) == 1_000


def test_dataclasses_without_a_form_are_told_apart_by_their_fields() -> None:
    assert same(Conversation("a", [1]), Conversation("a", [1]))
    assert not same(Conversation("a", [1]), Conversation("a", [1.0]))
    assert not same(Conversation("a", 1), ("a", 1))


def test_bound_methods_are_told_apart_by_object_and_function() -> None:
    one, other = Rude(), Rude()
    assert same(one.__repr__, one.__repr__)
    assert not same(one.__repr__, other.__repr__)
    assert not same(one.__repr__, one.__hash__)


def test_an_encoder_that_raises_gives_no_form() -> None:
    class Odd:
        pass

    def refuse(_value: Any) -> Any:
        raise RecursionError

    register_encoder(Odd, refuse)
    try:
        one = Odd()
        assert same([one], [one])
        assert not same([one], [Odd()])
    finally:
        del hooks.encoders[Odd]
        hooks._found.clear()


def test_an_encoder_that_gives_its_own_kind_ends() -> None:
    class Loop:
        pass

    register_encoder(Loop, lambda _value: Loop())
    try:
        one = Loop()
        assert same(one, one)
        assert not same(one, Loop())
    finally:
        del hooks.encoders[Loop]
        hooks._found.clear()


def test_a_value_that_holds_itself_has_a_key() -> None:
    one: list[Any] = [1]
    one.append(one)
    other: list[Any] = [1]
    other.append(other)
    tail = ImproperList((1,), 2)
    tail.tail = tail
    assert same(one, one)
    assert not same(one, other)
    assert same([tail], [tail])
    assert same({A.a: one}, {A.a: one})


def test_an_identifier_made_of_the_wrong_things_has_a_key() -> None:
    wrong: Any = [Pid("a@h", 1, 0, 1)]  # type: ignore[arg-type]
    assert key(wrong) == key(wrong)
    assert same(NativeRecord(1, 2, 3, 4), 5) is False  # type: ignore[arg-type]


# --- the dict ------------------------------------------------------------------------------------------------------
def test_a_dict_keeps_terms_as_they_were_given() -> None:
    table: ExactDict[str] = ExactDict()
    for term in (1, 1.0, True, [1], "text"):
        table[term] = repr(term)
    assert list(table.items()) == [(1, "1"), (1.0, "1.0"), (True, "True"), ([1], "[1]"), ("text", "'text'")]
    assert [type(term) for term in table] == [int, float, bool, list, str]
    assert table[b"text"] == "'text'"
    assert 1.0 in table
    assert [2] not in table
    assert table.get([2], "none") == "none"
    assert table.pop(1.0) == "1.0"
    assert table.pop(1.0, None) is None
    assert table.setdefault([3], "three") == "three"
    del table[True]
    assert len(table) == 4
    assert repr(ExactDict([([1], 2)])) == "ExactDict([([1], 2)])"
    for failing in (lambda: table[2], lambda: table.pop([9]), lambda: table.__delitem__(2)):
        with pytest.raises(KeyError):
            failing()
