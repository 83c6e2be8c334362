"""Hashes against golden vectors of OTP; live BEAMs are asked in `interop_tests/test_term_order.py`."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.etf import decode
from pyerlnode.term import A, NativeRecord, Struct
from pyerlnode.term.phash2 import phash, phash2

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS["terms"], ids=lambda vector: vector["term"][:30])
def test_hashes_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    form = vector["hex"]
    term = decode(bytes.fromhex(form)) if isinstance(form, str) else [ord("x")] * int(vector["term"][16:21])
    assert phash2(term) == vector["phash2"]
    assert phash2(term, 1 << 32) == vector["phash2_2p32"]
    assert phash(term, 1 << 32) == vector["phash_2p32"]


def test_a_range_bounds_the_hash() -> None:
    assert {phash2(number, 3) for number in range(50)} == {0, 1, 2}
    assert {phash(number, 3) for number in range(50)} == {1, 2, 3}
    assert phash2(A.a, 1) == 0


def test_values_of_one_term_hash_alike() -> None:
    assert phash2("é") == phash2("é".encode())
    assert phash2(0.0) == phash2(-0.0) != phash2(0)
    struct = Struct(A["Elixir.M"], {A.a: 1})
    assert phash2(struct) == phash2({A.a: 1, A.__getitem__("__struct__"): A["Elixir.M"]})
    assert phash2({1: 2, 3: 4}) == phash2({3: 4, 1: 2})


def test_terms_of_any_nesting_hash() -> None:
    term: Any = 1
    for _ in range(10_000):
        term = [(term,), {A.a: 1}]
    assert 0 <= phash2(term) < 1 << 27
    assert 0 < phash(term, 1 << 32) <= 1 << 32


@pytest.mark.parametrize("size", [0, -1, (1 << 32) + 1])
def test_a_range_that_is_none_is_a_usage_error(size: int) -> None:
    with pytest.raises(UsageError, match="the range of a hash"):
        phash2(1, size)
    with pytest.raises(UsageError, match="the range of a hash"):
        phash(1, size)


@pytest.mark.parametrize(
    "term", [object(), [object()], NativeRecord(A.m, A.r, (), ()), [NativeRecord(A.m, A.r, (), ())]]
)
def test_what_can_not_be_hashed_is_an_encode_error(term: Any) -> None:
    with pytest.raises(EncodeError):
        phash2(term)
    with pytest.raises(EncodeError):
        phash(term, 10)
