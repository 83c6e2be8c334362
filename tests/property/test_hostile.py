"""The hostile vocabulary has a form on the wire, so that whoever draws from it tests what can really arrive."""

from random import Random

import pytest

from tests.helpers import hostile


def test_each_hostile_term_goes_over_the_wire_and_comes_back_the_same(etf):
    for number, edge in enumerate(hostile.EDGES):
        data = etf.encode(edge)
        assert etf.encode(etf.decode(data)) == data, number
    for seed in range(500):
        data = etf.encode(hostile.term(Random(seed)))
        assert etf.encode(etf.decode(data)) == data, seed


@pytest.mark.parametrize("kind", ["list", "tuple", "improper", "tail", "map", "fun", "struct"])
def test_a_deep_term_goes_over_the_wire(etf, kind):
    data = etf.encode(hostile.deep(kind))
    assert etf.encode(etf.decode(data)) == data
