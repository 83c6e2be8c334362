"""Whatever a value is, a few words of it can be had."""

import time
from typing import Any

import pytest

from pyerlnode.brief import BRIEF, TOLD, told
from pyerlnode.errors import Exit, RemoteError, RemoteExit, RemoteThrow, RpcFailed, Throw
from pyerlnode.otp import gen
from pyerlnode.term import A, FrozenList, FrozenMap, ImproperList, Struct, TermMap
from pyerlnode.term.containers import NativeRecord
from tests.helpers import hostile


class Broken:
    def __repr__(self) -> str:
        raise SystemExit("on purpose")


class Long:
    def __repr__(self) -> str:
        return "x" * 10_000_000


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
SHARED: Any = [1]
for _ in range(60):
    SHARED = [SHARED, SHARED]
HOSTILE = {
    "digits": 10**5000,
    "broken": Broken(),
    "broken within": [1, {A.key: (Broken(),)}],
    "long": Long(),
    "long text": "x" * 10_000_000,
    "long binary": b"x" * 10_000_000,
    "wide": list(range(1_000_000)),
    "endless": ENDLESS,
    "shared": SHARED,
    "wrong parts": Struct(A.M, None),  # type: ignore[arg-type]
    "deep key": hostile.deep_key(),
    **{kind: hostile.deep(kind) for kind in ("list", "tuple", "improper", "tail", "map", "fun", "struct")},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_words_for_any_value_are_few_and_soon_there(name: str) -> None:
    value = HOSTILE[name]
    started = time.process_time()
    for made in (Exit, Throw, RemoteError, RemoteExit, RemoteThrow, RpcFailed):
        assert len(str(made(value))) < TOLD + 100
    assert len(gen.brief((A.error, value))) < BRIEF + 10
    assert time.process_time() - started < 30


@pytest.mark.parametrize(
    "value",
    [
        [], (), (1,), (1, [2, {3: "é", A.k: b"x"}]), {}, {(): []}, None, 1.5, -0.0, "it's", FrozenList([1, (2,)]),
        FrozenMap({1: 2}), TermMap([(1, 2), (1.0, [3])]), ImproperList((1,), A.x), Struct(A.M, {A.a: [1]}),
        NativeRecord(A.m, A.r, (A.a,), (1,), True), {"a": {"b": ({},)}}, Exception("x"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_small_value_is_told_as_repr_tells_it(value: Any) -> None:
    assert told(value) == repr(value)


def test_repr_of_our_containers_goes_down_any_nesting() -> None:
    for kind in ("improper", "struct"):
        assert len(repr(hostile.deep(kind))) > 3_000
    assert len(repr(TermMap([(hostile.deep("list"), hostile.deep("tuple"))]))) > 6_000
    assert repr(TermMap([(1, 10**5000)])) == "TermMap([(1, <an integer of 16610 bits>)])"
