"""The two codecs are one: the same value, or the same class of error at the same byte.

The long profile is a run of this file with ``HYPOTHESIS_PROFILE=long``: 1,000,000 inputs that are made from seeds, so a
failure names the seed that makes it again, and 20,000 that Hypothesis makes and shrinks.
"""

import json
import os
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyerlnode.errors import DecodeError
from pyerlnode.limits import Limits
from pyerlnode.term import A, Atom
from tests.conftest import TWINS, load_etf

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text(encoding="utf-8"))
SEEDS = [
    bytes.fromhex(text)
    for row in [*VECTORS["terms"], *VECTORS["native_records_otp29"], *VECTORS["decode"]["cases"]]
    for key, text in row.items()
    if key.startswith("hex") and isinstance(text, str) and 0 < len(text) < 1_500
]
TAGS = [67, 70, 77, 80, 82, *range(88, 91), *range(97, 122)]
ATOMS = [A.ok, True, None, A["a@b"], Atom("nil")]
TIGHT = Limits(nesting=3, integer_digits=8, inflated_size=60, decoded_size=400)
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES = 5_000 if LONG else 300
SEED_COUNT, INPUTS = (100, 10_000) if LONG else (3, 500)
thoroughly = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)


@pytest.fixture(scope="module", params=TWINS[-1:])
def etf(request: pytest.FixtureRequest) -> ModuleType:
    """The compiled one, where there is one: the specification need not be compared with itself."""
    return load_etf(request.param)


@pytest.fixture(scope="module")
def other(request: pytest.FixtureRequest) -> ModuleType:
    """The specification."""
    from pyerlnode.etf import _codec_py

    return _codec_py


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """What was a term, with bytes and tags replaced, cut out, repeated, or taken from another term."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        action = draw(st.integers(0, 4))
        if action == 0:
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif action == 1:
            data[at : at + 1] = bytes([draw(st.sampled_from(TAGS))])
        elif action == 2:
            del data[at : at + draw(st.integers(1, 8))]
        elif action == 3:
            data[at:at] = data[at : at + draw(st.integers(1, 12))]
        else:
            donor = draw(st.sampled_from(SEEDS))
            start = draw(st.integers(0, len(donor)))
            data[at:at] = donor[start : start + draw(st.integers(1, 30))]
    return bytes(data)


def outcome(decode: Any, data: bytes, **options: Any) -> tuple[Any, Any]:
    try:
        return decode(data, **options)  # type: ignore[no-any-return]
    except DecodeError as error:
        return type(error), error.offset


def assert_same(etf: ModuleType, other: ModuleType, one: tuple[Any, Any], two: tuple[Any, Any]) -> None:
    assert one[1] == two[1], (one, two)
    if isinstance(one[0], type) or isinstance(two[0], type):
        assert one[0] is two[0]
    else:
        assert repr(one[0]) == repr(two[0])
        assert etf.encode(one[0]) == other.encode(one[0]) == etf.encode(two[0])


@thoroughly
@given(damaged())
def test_twins_agree_on_damaged_terms(etf: ModuleType, other: ModuleType, data: bytes) -> None:
    assert_same(etf, other, outcome(etf.decode_prefix, data), outcome(other.decode_prefix, data))


@thoroughly
@given(damaged())
def test_twins_agree_where_a_packet_names_atoms(etf: ModuleType, other: ModuleType, data: bytes) -> None:
    options = {"offset": 1, "atoms": ATOMS, "profile": "erlang"}
    assert_same(etf, other, outcome(etf.decode_term, data, **options), outcome(other.decode_term, data, **options))


@thoroughly
@given(damaged())
def test_twins_agree_under_tight_limits(etf: ModuleType, other: ModuleType, data: bytes) -> None:
    options = {"limits": TIGHT, "atoms": "existing"}
    one, two = (outcome(twin.decode_prefix, data, **options) for twin in (etf, other))
    assert_same(etf, other, one, two)


@thoroughly
@given(st.binary(max_size=80).map(lambda tail: b"\x83" + tail), st.binary(max_size=80))
def test_twins_agree_on_any_bytes(etf: ModuleType, other: ModuleType, data: bytes, raw: bytes) -> None:
    for given_bytes in (data, raw):
        assert_same(etf, other, outcome(etf.decode_prefix, given_bytes), outcome(other.decode_prefix, given_bytes))


def damaged_by(rng: random.Random) -> bytes:
    """As `damaged`, without the cost of what can be shrunk."""
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        action = rng.randrange(5)
        if action == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif action == 1:
            data[at : at + 1] = bytes([rng.choice(TAGS)])
        elif action == 2:
            del data[at : at + rng.randrange(1, 9)]
        elif action == 3:
            data[at:at] = data[at : at + rng.randrange(1, 13)]
        else:
            donor = rng.choice(SEEDS)
            start = rng.randrange(len(donor))
            data[at:at] = donor[start : start + rng.randrange(1, 31)]
    return bytes(data)


@pytest.mark.parametrize("seed", range(SEED_COUNT))
def test_twins_agree_on_the_inputs_of_a_seed(etf: ModuleType, other: ModuleType, seed: int) -> None:
    rng = random.Random(seed)
    for count in range(INPUTS):
        data = damaged_by(rng)
        if count % 4 == 3:
            options: dict[str, Any] = {"limits": TIGHT, "atoms": "existing"}
        else:
            options = {"profile": "erlang"} if count % 2 else {}
        one, two = outcome(etf.decode_prefix, data, **options), outcome(other.decode_prefix, data, **options)
        try:
            assert_same(etf, other, one, two)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, input {count}: {data.hex()}") from error


def test_twins_agree_on_damaged_packets(etf: ModuleType, other: ModuleType) -> None:
    rng = random.Random(1)
    for _ in range(SEED_COUNT * INPUTS // 10):
        data = damaged_by(rng)[1:] + damaged_by(rng)[1:]
        end = rng.randrange(len(data) + 1)
        one, two = (packet_outcome(twin, data, end) for twin in (etf, other))
        assert one == two, (data.hex(), end)


def packet_outcome(etf: ModuleType, data: bytes, end: int) -> tuple[Any, ...]:
    try:
        control, begins, payload, error = etf.decode_packet(data, 0, end, ATOMS, None)
    except DecodeError as failed:
        return type(failed), failed.offset
    return repr(control), begins, repr(payload), error and (type(error), error.offset)
