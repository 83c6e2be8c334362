"""The golden vectors in `tests/data/` are what this BEAM writes, and it reads what we write."""

import json

import pytest

from interop_tests.make_vectors import path_of, rows, sources
from pyerlnode.etf import decode, encode
from pyerlnode.testing.beam import Beam


def test_the_vectors_of_this_release_are_what_it_writes(beam: Beam) -> None:
    path = path_of(beam.otp)
    if not path.exists():
        pytest.skip(f"there are no vectors of OTP {beam.otp}: `make vectors` makes them")
    assert json.loads(path.read_text(encoding="utf-8")) == rows(beam)


def test_every_term_of_the_vectors_is_the_same_to_the_beam_after_a_round_trip(beam: Beam) -> None:
    made = rows(beam)
    back = [encode(decode(bytes.fromhex(row["hex"]))) for row in made]
    same = beam.eval(
        "[binary_to_term(A) =:= binary_to_term(B) || {A, B} <- Pairs]",
        Pairs=[(bytes.fromhex(row["hex"]), ours) for row, ours in zip(made, back, strict=True)],
    )  # fmt: skip
    assert [source for source, equal in zip(sources(), same, strict=True) if equal is not True] == []
