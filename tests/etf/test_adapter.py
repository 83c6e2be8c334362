from typing import Any

import erlang
import pytest

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.etf import adapter, decode, encode
from pyerlnode.term import (
    A,
    Bitstring,
    ExternalFun,
    FrozenList,
    FrozenMap,
    ImproperList,
    NativeRecord,
    Pid,
    Port,
    Reference,
    TermMap,
    hooks,
)
from pyerlnode.term.order import identical
from tests.term.generated import terms

NODE = A["a@b"]
TERMS = [
    A.ok,
    A["å"],
    b"data",
    Bitstring(b"\x80", 1),
    [1, 2.5, [b"x"]],
    (A.ok, (), []),
    {b"k": A.v},
    ImproperList((A.a,), A.b),
    Pid(NODE, 1, 2, 3),
    Port(NODE, 1 << 40, 3),
    Reference(NODE, 3, (1, 2, 3)),
    ExternalFun(A.m, A.f, 1),
    1 << 100,
]


@pytest.mark.parametrize("term", TERMS, ids=repr)
def test_a_term_goes_to_erlang_py_and_comes_back(term: Any) -> None:
    assert adapter.from_otp(adapter.to_otp(term)) == term


def without_containers_as_keys(term: Any) -> bool:
    if isinstance(term, (dict, TermMap)):
        plain = not any(isinstance(key, (tuple, list, dict, ImproperList, TermMap)) for key in term)
        return plain and not isinstance(term, TermMap) and all(map(without_containers_as_keys, term.values()))
    if isinstance(term, ImproperList):
        return all(map(without_containers_as_keys, (*term.items, term.tail)))
    return not isinstance(term, (tuple, list)) or all(map(without_containers_as_keys, term))


def test_generated_terms_of_every_kind_go_there_and_back() -> None:
    made = [term for term in terms(6, 1_000, identifiers=True) if without_containers_as_keys(term)]
    assert len(made) > 500
    for term in made:
        assert identical(adapter.from_otp(adapter.to_otp(term)), term), term


def test_keys_that_erlang_py_can_not_hold_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nothing for this term"):
        adapter.to_otp({FrozenMap({1: (FrozenList([1_000]),)}): 2})


@pytest.mark.parametrize(
    ("value", "term"),
    [
        (erlang.OtpErlangAtom("ok"), A.ok),
        (erlang.OtpErlangBinary(b"x"), b"x"),
        (erlang.OtpErlangBinary(b"\x80", bits=1), Bitstring(b"\x80", 1)),
        (erlang.OtpErlangList([1, erlang.OtpErlangAtom("a")], improper=True), ImproperList((1,), A.a)),
        ([1, (2.5, {erlang.OtpErlangAtom("k"): True})], [1, (2.5, {A.k: True})]),
        ("text", list(b"text")),
        (None, A.undefined),
    ],
    ids=repr,
)
def test_a_value_of_erlang_py_is_the_term_that_it_would_send(value: Any, term: Any) -> None:
    assert adapter.from_otp(value) == term


def test_values_of_erlang_py_may_stand_in_a_term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "encoders", {})
    monkeypatch.setattr(hooks, "_found", {})
    with pytest.raises(EncodeError):
        encode([erlang.OtpErlangAtom("ok")])
    adapter.install()
    assert decode(encode([erlang.OtpErlangAtom("ok"), b"raw", erlang.OtpErlangBinary(b"x")])) == [A.ok, b"raw", b"x"]


def test_what_erlang_py_can_not_hold_or_send_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nothing for this term"):
        adapter.to_otp(NativeRecord(A.m, A.r, (), ()))
    with pytest.raises(EncodeError, match="can not send"):
        adapter.from_otp(object())
