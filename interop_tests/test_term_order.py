"""Order, equality and hashes agree with a BEAM on generated terms of every kind."""

import os
import random
from collections.abc import Callable
from typing import Any

from pyerlnode.etf import encode
from pyerlnode.term.order import compare, equal, identical
from pyerlnode.term.phash2 import phash, phash2
from pyerlnode.testing.beam import Beam
from tests.term.generated import term, terms

CHUNK = 2_500
CHUNKS = 10 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 2


def related(rng: random.Random, one: Any) -> Any:
    """Often a term that differs from `one` in one place only, so that the comparison goes deep."""
    if type(one) in (list, tuple) and one and rng.random() < 0.8:
        changed = list(one)
        at = rng.randrange(len(changed))
        changed[at] = related(rng, changed[at])
        return type(one)(changed)
    if type(one) is dict and one and rng.random() < 0.8:
        key = rng.choice(list(one))
        return {**one, key: related(rng, one[key])}
    if type(one) is int and abs(one) < 1 << 1000 and rng.random() < 0.5:
        return float(one)
    return one if rng.random() < 0.1 else term(rng, 1, identifiers=True)


def test_terms_compare_as_on_the_beam(helper: Callable[[str], Beam]) -> None:
    beam = helper("terms.erl")
    rng = random.Random(4)
    for _ in range(CHUNKS):
        made = list(terms(rng.randrange(1 << 32), CHUNK, depth=3, identifiers=True))
        pairs = [(one, related(rng, one) if rng.random() < 0.7 else rng.choice(made)) for one in made]
        said = beam.eval("terms:compare(Pairs)", Pairs=[(encode(one), encode(other)) for one, other in pairs])
        for (one, other), (less, same, exact) in zip(pairs, said, strict=True):
            assert compare(one, other) == (-1 if less else 0 if same else 1), (one, other)
            assert equal(one, other) is same
            if beam.otp >= 27 or "-0.0" not in repr((one, other)):  # before OTP 27 0.0 and -0.0 were one term
                assert identical(one, other) is exact, (one, other)


def test_hashes_are_the_beams_bit_for_bit(helper: Callable[[str], Beam]) -> None:
    beam = helper("terms.erl")
    for seed in range(5, 5 + CHUNKS):
        made = list(terms(seed, CHUNK, identifiers=True))
        for one, hashes in zip(
            made, beam.eval("terms:hashes(Forms)", Forms=[encode(one) for one in made]), strict=True
        ):
            assert (phash2(one), phash2(one, 1 << 32), phash(one, 1 << 32)) == hashes, one
