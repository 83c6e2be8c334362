"""Identity of terms agrees with ``=:=`` of a BEAM on hostile and on generated terms."""

import itertools
import os
import random
from collections.abc import Callable
from typing import Any

from pyerlnode.etf import decode, encode
from pyerlnode.term import A, ImproperList
from pyerlnode.term.exact import key
from pyerlnode.testing.beam import Beam
from tests.helpers import hostile
from tests.term.generated import terms

COUNT = 30_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1_000


def asked(beam: Beam, rows: list[Any]) -> list[bool]:
    """What the BEAM says of the pairs in `rows`."""
    said = beam.eval("terms:compare(Pairs)", Pairs=[(encode(one), encode(other)) for one, other in rows])
    return [exactly for _, _, exactly in said]


def check(beam: Beam, rows: list[tuple[Any, Any]]) -> None:
    for (one, other), exactly in zip(rows, asked(beam, rows), strict=True):
        ours = key(one) == key(other)
        assert ours is exactly, (one, other)
        assert ours is (key(decode(encode(one))) == key(decode(encode(other))))


def test_numbers_and_their_likes_are_told_apart_as_on_the_beam(helper: Callable[[str], Beam]) -> None:
    beam = helper("terms.erl")
    seeds = [0, 1, 1.0, True, A["1"], b"1", "1", [1], (1,), {1: 1}, {1.0: 1}, [49], ImproperList((1,), 1), None, [], {},
             (), 2**60, 2.0**60, 10**400, 1e300, b"", [[]], {A.a: [1]}, {A.a: [1.0]}]  # fmt: skip
    if beam.otp >= 27:
        seeds += [0.0, -0.0, {0.0: 1}, {-0.0: 1}]
    else:
        seeds += [0.0, {0.0: 1}]
        assert asked(beam, [(0.0, -0.0)]) == [True]  # where a BEAM of that age differs, and says so
        assert key(0.0) != key(-0.0)
    places: list[Callable[[Any], Any]] = [lambda term: term, lambda term: (A.a, term), lambda term: {A.a: [term]}]
    rows = [(place(one), place(other)) for place in places for one, other in itertools.product(seeds, repeat=2)]
    check(beam, rows)


def test_hostile_terms_are_told_apart_as_on_the_beam(helper: Callable[[str], Beam]) -> None:
    beam = helper("terms.erl")
    edges = [term for term in hostile.EDGES if beam.otp >= 27 or type(term) is not float or term]
    rng = random.Random(11)
    check(beam, [(term, term) for term in edges])
    check(
        beam,
        [(rng.choice(edges), rng.choice(edges)) for _ in range(COUNT)],
    )


def test_generated_terms_are_told_apart_as_on_the_beam(helper: Callable[[str], Beam]) -> None:
    beam = helper("terms.erl")
    rng = random.Random(12)
    made = [term for term in terms(13, 1_500, depth=2, identifiers=True) if beam.otp >= 27 or "-0.0" not in repr(term)]
    check(beam, [(term, rng.choice([term, rng.choice(made)])) for term in made])
    small = made[:60]
    check(beam, list(itertools.product(small, repeat=2)))
