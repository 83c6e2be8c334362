"""The scripts that run against OTP and against ours: pure, printed as they are, of all kinds of steps, cut down."""

import random

import pytest

from interop_tests.differential.actors import WEIGHTS
from interop_tests.differential.kept import KEPT
from interop_tests.differential.kinds import kinds
from interop_tests.differential.lab import of_seeds, printed
from interop_tests.differential.shrink import shrunk, variants
from pyerlnode.etf import encode
from pyerlnode.term import A
from pyerlnode.term.text import parse_term
from tests.helpers import hostile

KINDS = kinds()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_seed_gives_its_script_again_and_the_text_of_a_script_is_the_script(kind):
    for seed, script in of_seeds(kind, range(40)):
        assert encode(dict(of_seeds(kind, [seed]))[seed]) == encode(script)
        assert encode(parse_term(printed(script))) == encode(script)


def test_seeds_of_actors_take_every_step():
    def words(term):
        if isinstance(term, tuple) and term and isinstance(term[0], type(A.a)):
            yield term[0].name
        for part in term if isinstance(term, (tuple, list)) else ():
            yield from words(part)

    seen = {word for _, script in of_seeds(KINDS["actors"], range(300)) for word in words(script)}
    wanted = {"raise": "raise_", "send_name": "send"}
    assert {wanted.get(name, name) for name in WEIGHTS} - {"finish", "flush", "info"} <= seen


def test_every_kept_script_is_of_a_kind_and_a_term():
    for kind, scripts in KEPT.items():
        assert kind in KINDS
        for text in scripts.values():
            assert parse_term(text)


def test_what_is_cut_down_still_fails_and_nothing_more_can_be_left_out():
    def fails(scripts):
        return [A.x in script[1] and A.y in script[1] for script in scripts]

    script = ({A.a: [1, 2]}, [A.a, A.x, A.b, A.c, A.y, A.d] + [A.z] * 40)
    smallest = shrunk(script, fails)
    assert smallest == ({}, [A.x, A.y])
    assert not any(fails(list(variants(smallest))))


def test_reasons_are_otps_words_in_most_cases():
    rng = random.Random(1)
    known = {encode(reason) for reason in hostile.REASONS}
    found = [encode(hostile.reason(rng)) in known for _ in range(400)]
    assert 250 < sum(found) < 400
