"""`term_to_binary` gives the bytes of OTP's, whatever its options are."""

import random
from typing import Any

import pytest

from pyerlnode.etf import decode, encode
from pyerlnode.etf.canonical import term_to_binary
from pyerlnode.term import A, Struct
from pyerlnode.testing.beam import Beam
from tests.term.generated import term, terms

OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "[]"),
    ({"minor_version": 0}, "[{minor_version, 0}]"),
    ({"minor_version": 1}, "[{minor_version, 1}]"),
    ({"minor_version": 2}, "[{minor_version, 2}]"),
    ({"deterministic": True, "minor_version": 2}, "[deterministic, {minor_version, 2}]"),
    ({"deterministic": True}, "[deterministic]"),
    ({"deterministic": True, "minor_version": 1}, "[deterministic, {minor_version, 1}]"),
]


def large_map(rng: random.Random) -> dict[Any, Any]:
    """More than 32 keys: a BEAM keeps them in another way."""
    return {number: term(rng, 1) for number in rng.sample(range(-100, 10_000), 60)}


@pytest.mark.parametrize(("options", "source"), OPTIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_bytes_are_those_of_otp(beam: Beam, options: dict[str, Any], source: str) -> None:
    rng = random.Random(5)
    made = [
        *terms(31, 1_500, identifiers=True),
        *(large_map(rng) for _ in range(5)),
        Struct(A["Elixir.U"], {A.z: 1, A.a: 2}),
        beam.eval("X = {1.5, #{b => 1.0, a => é}}, fun() -> {X, fun() -> X end} end"),
    ]
    if not options.get("deterministic"):
        made = [decode(form) for form in beam.eval("[term_to_binary(T) || T <- Ts]", Ts=made)]  # maps in its order
    forms = beam.eval(f"[term_to_binary(binary_to_term(F), {source}) || F <- Fs]", Fs=[encode(term) for term in made])
    for value, form in zip(made, forms, strict=True):
        assert term_to_binary(value, release=beam.otp, **options).hex() == form.hex(), value
