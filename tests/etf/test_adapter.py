from typing import Any

import erlang
import pytest

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.etf import adapter, decode, encode
from pyerlnode.term import A, Bitstring, ExternalFun, ImproperList, NativeRecord, Pid, Port, Reference, hooks

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
