"""Hashes against golden vectors of OTP, in both twins; live BEAMs are asked in `interop_tests/test_term_order.py`."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from each import each

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.etf import decode
from pyerlnode.term import A, NativeRecord, Struct
from pyerlnode.term.phash2 import phash, phash2_py
from tests.term.generated import terms

COMPILED = (
    os.environ.get("PYERLNODE_REQUIRE_C") == "1" or importlib.util.find_spec("pyerlnode.term._phash2_c") is not None
)
Hash = Callable[..., int]
VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text(encoding="utf-8"))


@pytest.fixture(params=["python", "c"] if COMPILED else ["python"])
def phash2(request: pytest.FixtureRequest) -> Hash:
    """Each twin in turn; the compiled one as `phash2` chooses it, with the pure one behind it."""
    if request.param == "python":
        return phash2_py
    compiled = importlib.import_module("pyerlnode.term._phash2_c")
    compiled.use(phash2_py)
    return compiled.phash2  # type: ignore[no-any-return]


@each(VECTORS["terms"], lambda vector: vector["term"][:30])
def test_hashes_are_those_of_the_vectors(phash2: Hash, vector: dict[str, Any]) -> None:
    form = vector["hex"]
    term = decode(bytes.fromhex(form)) if isinstance(form, str) else [ord("x")] * int(vector["term"][16:21])
    assert phash2(term) == vector["phash2"]
    assert phash2(term, 1 << 32) == vector["phash2_2p32"]
    assert phash(term, 1 << 32) == vector["phash_2p32"]


def test_a_range_bounds_the_hash(phash2: Hash) -> None:
    assert {phash2(number, 3) for number in range(50)} == {0, 1, 2}
    assert {phash(number, 3) for number in range(50)} == {1, 2, 3}
    assert phash2(A.a, 1) == 0


def test_values_of_one_term_hash_alike(phash2: Hash) -> None:
    assert phash2("é") == phash2("é".encode())
    assert phash2(0.0) == phash2(-0.0) != phash2(0)
    struct = Struct(A["Elixir.M"], {A.a: 1})
    assert phash2(struct) == phash2({A.a: 1, A.__getitem__("__struct__"): A["Elixir.M"]})
    assert phash2({1: 2, 3: 4}) == phash2({3: 4, 1: 2})


def test_terms_of_any_nesting_hash(phash2: Hash) -> None:
    term: Any = 1
    for _ in range(10_000):
        term = [(term,), {A.a: 1}]
    assert 0 <= phash2(term) < 1 << 27
    assert 0 < phash(term, 1 << 32) <= 1 << 32


@pytest.mark.parametrize("size", [0, -1, (1 << 32) + 1])
def test_a_range_that_is_none_is_a_usage_error(phash2: Hash, size: int) -> None:
    with pytest.raises(UsageError, match="the range of a hash"):
        phash2(1, size)
    with pytest.raises(UsageError, match="the range of a hash"):
        phash(1, size)


@pytest.mark.parametrize(
    "term", [object(), [object()], NativeRecord(A.m, A.r, (), ()), [NativeRecord(A.m, A.r, (), ())]]
)
def test_what_can_not_be_hashed_is_an_encode_error(phash2: Hash, term: Any) -> None:
    with pytest.raises(EncodeError):
        phash2(term)
    with pytest.raises(EncodeError):
        phash(term, 10)


def test_twins_hash_generated_terms_alike(phash2: Hash) -> None:
    for term in terms(4, 1_000, identifiers=True):
        assert phash2(term) == phash2_py(term), term
        assert phash2(term, 1 << 32) == phash2_py(term, 1 << 32), term


@pytest.mark.parametrize(
    "term",
    [
        *(by * size + near for size in (0, 255, 1 << 27, 1 << 63, 1 << 64) for by in (1, -1) for near in (-1, 0, 1)),
        *(bytes(range(size)) for size in range(30)),
        *([*range(size), A.a, *range(250, 250 + size)] for size in range(9)),
        "é日", [], {}, (), [[]], {A.a: {}}, "\0", A["é日"], [True, False, None], [-0.0, 1e300],
    ],
    ids=repr,
)  # fmt: skip
def test_twins_hash_alike_at_every_edge(phash2: Hash, term: Any) -> None:
    assert phash2(term, 1 << 32) == phash2_py(term, 1 << 32)
    assert phash2([term, (term, {A.k: term})], 1 << 32) == phash2_py([term, (term, {A.k: term})], 1 << 32)


def test_a_lone_surrogate_has_no_hash(phash2: Hash) -> None:
    with pytest.raises(EncodeError):
        phash2("\ud800")


@pytest.mark.parametrize(("pure", "name"), [("1", "python"), *([("0", "c")] if COMPILED else [])])
def test_the_environment_chooses_the_twin(pure: str, name: str) -> None:
    show = "import importlib; print(importlib.import_module('pyerlnode.term.phash2').IMPLEMENTATION)"
    environment = {**os.environ, "PYERLNODE_PUREPYTHON": pure, "PYERLNODE_REQUIRE_C": "1" if name == "c" else "0"}
    done = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == name
