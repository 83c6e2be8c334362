"""What a pattern matches."""

import pytest

from pyerlnode.term import A, Atom, ExternalFun, Pid, Reference, TermMap
from pyerlnode.term.pattern import ANY, compile_pattern, match

PID = Pid(A["a@b"], 1, 0, 1)
REF = Reference(A["a@b"], 1, (1, 2, 3))
TERMS = [
    1,
    1.0,
    True,
    False,
    0,
    0.0,
    -0.0,
    None,
    A.ok,
    b"ok",
    [1],
    (1,),
    {1: 2},
    PID,
    REF,
    [],
    (),
    {},
    ExternalFun(A.m, A.f, 1),
]


def test_any_matches_every_term() -> None:
    assert all(match(ANY, term) for term in TERMS)


@pytest.mark.parametrize("at", range(len(TERMS)))
def test_a_term_matches_itself_and_nothing_else_of_another_type(at: int) -> None:
    matched = [n for n, term in enumerate(TERMS) if match(TERMS[at], term)]
    assert matched == [at] if TERMS[at] != {} else [12, 17]


def test_a_type_matches_its_values_and_int_does_not_match_a_bool() -> None:
    assert match(int, 1)
    assert not match(int, True)
    assert not match(int, 1.0)
    assert match(bool, True)
    assert match(int | float, 1.5)
    assert not match(int | float, True)
    assert match(int | bool, True)
    assert match(Pid, PID)
    assert match(Atom, A.ok)
    assert not match(Atom, b"ok")
    assert match(object, True)


def test_tuples_and_lists_match_by_size_and_element() -> None:
    tagged = compile_pattern((A.ok, int, ANY))
    assert tagged((A.ok, 1, None))
    assert not tagged((A.error, 1, None))
    assert not tagged((A.ok, b"1", None))
    assert not tagged((A.ok, 1))
    assert not tagged([A.ok, 1, None])
    assert not tagged(A.ok)
    assert match([A.a, (int, [float])], [A.a, (1, [2.0])])
    assert not match([A.a, (int, [float])], [A.a, (1, [2])])


def test_a_literal_inside_is_compared_exactly() -> None:
    assert not match((1, 2), (1.0, 2))
    assert not match((A.x, {A.k: 1}), (A.x, {A.k: True}))
    assert match((REF, ANY), (Reference(A["a@b"], 1, (1, 2, 3)), 1))


def test_a_map_matches_when_its_keys_are_there() -> None:
    status = compile_pattern({A.status: int, b"k": ANY})
    assert status({A.status: 1, b"k": 2, A.more: 3})
    assert not status({A.status: 1})
    assert not status([(A.status, 1)])
    assert match({}, {A.a: 1})
    assert not match({1: ANY}, {1.0: b"x"})
    assert match({1: b"int"}, TermMap([(1.0, b"float"), (1, b"int")]))


def test_a_function_is_a_predicate() -> None:
    assert match((A.n, lambda n: n > 3), (A.n, 4))
    assert not match((A.n, lambda n: n > 3), (A.n, 3))
