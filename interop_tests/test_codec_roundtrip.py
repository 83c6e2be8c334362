"""Generated terms, and closures that a BEAM made, go through each codec and come back to the BEAM the same."""

import random
from collections.abc import Callable
from types import ModuleType

import pytest

from pyerlnode.errors import EncodeError
from pyerlnode.testing.beam import Beam
from tests.conftest import TWINS, load_etf
from tests.term.generated import terms

COUNT = 1_500
# What this BEAM writes of each form, and of a closure over it: the evaluator's, so that it holds code and bindings.
MADE = """
[begin
   Term = binary_to_term(Form),
   Closure = fun(X) -> {X, Term} end,
   {term_to_binary(Term, [{minor_version, 2}]), term_to_binary([Closure, {Term, Closure}])}
 end || Form <- Forms]
"""
SAME = """
[begin
   {A, B} = {binary_to_term(Sent), binary_to_term(Back)},
   A =:= B andalso term_to_binary(A) =:= term_to_binary(B)
 end || {Sent, Back} <- Pairs]
"""
CALLED = "[begin [F, {T, F}] = binary_to_term(Back), F(7) =:= {7, T} end || Back <- Backs]"


@pytest.fixture(params=TWINS)
def etf(request: pytest.FixtureRequest) -> ModuleType:
    return load_etf(request.param)


def test_generated_terms_and_closures_over_them_come_back_the_same(
    helper: Callable[[str], Beam], etf: ModuleType
) -> None:
    beam = helper("terms.erl")
    forms = [etf.encode(term) for term in terms(11, COUNT, identifiers=True)]
    made = beam.eval(MADE, Forms=forms)
    sent = [data for pair in made for data in pair]
    back = [etf.encode(etf.decode(data)) for data in sent]
    assert all(beam.eval(SAME, Pairs=list(zip(sent, back, strict=True))))
    assert all(beam.eval(CALLED, Backs=back[1::2]))


def test_compressed_forms_of_the_beam_are_read_and_ours_by_it(helper: Callable[[str], Beam], etf: ModuleType) -> None:
    beam = helper("terms.erl")
    rng = random.Random(12)
    made = [term for term in terms(12, 300, identifiers=True) if rng.random() < 0.5]
    forms = [etf.encode(made), etf.encode([made] * 20)]
    theirs = beam.eval("[term_to_binary(binary_to_term(F), [compressed]) || F <- Forms]", Forms=forms)
    back = [etf.encode(etf.decode(data), compressed=9) for data in theirs]
    assert max(map(len, back)) < max(map(len, forms))
    assert all(beam.eval(SAME, Pairs=list(zip(forms, back, strict=True))))


def test_what_no_beam_takes_is_refused_before_it_is_sent(etf: ModuleType) -> None:
    with pytest.raises(EncodeError):
        etf.encode([float("nan")])
