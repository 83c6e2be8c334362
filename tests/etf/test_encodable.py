"""What is shown of a value that has no form as a whole: all that has one, and text for the rest."""

import time
from collections import UserDict, namedtuple
from typing import Any

import pytest

from pyerlnode.etf import decode, encode
from pyerlnode.etf.encodable import LEVELS, encodable
from pyerlnode.term import A, Charlist, ImproperList, Struct, TermMap
from tests.helpers import hostile


class Thing:
    def __repr__(self) -> str:
        return "a thing \ud800"


class Broken(dict[Any, Any]):
    def items(self) -> Any:
        raise ZeroDivisionError


THING = "a thing \\ud800"
Named = namedtuple("Named", "a b")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Thing(), THING),
        ([1, Thing()], [1, THING]),
        ((1, {A.k: (Thing(), 2.5)}), (1, {A.k: (THING, 2.5)})),
        ({Thing(): [float("inf")]}, {THING: ["inf"]}),
        ({Thing(): 1, (Thing(),): 2, THING: 3}, {THING: 3, (THING,): 2}),
        (TermMap([(1, Thing()), (1.0, 2)]), TermMap([(1, THING), (1.0, 2)])),
        (Struct(A.M, {A.a: Thing()}), Struct(A.M, {A.a: THING})),
        (ImproperList((1, Thing()), Thing()), ImproperList((1, THING), THING)),
        (UserDict({1: Thing()}), {1: THING}),
        (Named(1, Thing()), (1, THING)),
        (Broken({1: 2}), "{1: 2}"),
        ([TermMap([(hostile.deep("list"), 1)]), Thing()], [TermMap([("…", 1)]), THING]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form_goes_as_text(value: Any, shown: Any) -> None:
    made = encodable(value)
    if "…" in repr(shown):
        assert made[1] == THING
    else:
        assert made == shown
    assert decode(encode(made)) == decode(encode(encodable(made)))


def test_what_has_a_form_is_given_back_as_it_is() -> None:
    for term in (*hostile.EDGES, [b"x" * 1_000_000]):
        assert encodable(term) is term


def test_a_state_that_holds_itself_is_shown_at_once() -> None:
    state: dict[Any, Any] = {A.name: b"x", A.wide: list(range(1_000))}
    state[A.me] = state
    state[A.all] = [state, (state, {1: state})]
    started = time.process_time()
    made = encodable(state)
    assert time.process_time() - started < 10
    assert made[A.name] == b"x"
    assert made[A.wide] == list(range(1_000))
    assert type(made[A.me]) is str
    encode(made)


@pytest.mark.parametrize("shape", ["deep", "wide", "shared"])
def test_it_is_linear_and_bounded(shape: str) -> None:
    value: Any = Thing()
    if shape == "deep":
        for _ in range(5_000):
            value = [1, value]
    elif shape == "wide":
        value = [Thing() for _ in range(20_000)]
    else:
        for _ in range(40):
            value = [value, value]
    started = time.process_time()
    made = encodable([A.before, value])
    assert time.process_time() - started < 60
    assert made[0] is A.before
    if shape == "deep":
        levels = 0
        while type(made) is list:
            made, levels = made[1], levels + 1
        assert levels == LEVELS


def test_a_charlist_stays_one_beside_what_has_no_form() -> None:
    shown = encodable([Charlist("Status"), object()])
    assert type(shown[0]) is Charlist
    assert encode(shown[0]) == encode([*b"Status"])
