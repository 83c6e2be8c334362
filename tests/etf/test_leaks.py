"""Encoding and decoding leave nothing behind: not when they succeed, and not when they fail."""

import gc
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pyerlnode.errors import DecodeError, EncodeError
from pyerlnode.term import (
    A,
    Bitstring,
    Charlist,
    ExternalFun,
    FrozenList,
    Fun,
    ImproperList,
    NativeRecord,
    Pid,
    Port,
    Reference,
    Struct,
    TermMap,
)

PID = Pid(A["a@b"], 70_000, 0, 1_700_000_000)
EVERYTHING = [
    (A.ok, 1, 1 << 40, 1 << 80, -(1 << 3_000), 2.5, b"binary", "text", None, True),
    [PID, Port(A["a@b"], 7, 1), Reference(A["a@b"], 1, (1, 2, 3)), ExternalFun(A.m, A.f, 2)],
    {b"k": [1, 2], A.map: {}, 3: TermMap([(1, 2), (1.0, 3), (True, [4])])},
    {FrozenList([1, (2,)]): {A.inner: []}},
    [Struct(A.Elixir.M, {A.a: 1, A.b: [2]}, 1), NativeRecord(A.m, A.r, (A.a,), (1,))],
    [ImproperList((A.alias,), PID), ImproperList((1, 2), 3), Bitstring(b"\x80", 1), Charlist("chars"), [1000, 2]],
    Fun(A.m, 1, bytes(16), 0, 1, 2, PID, (1, [2])),
    memoryview(bytes(100_000)),
]


def blocks(action: Callable[[], Any], times: int) -> int:
    """How many allocated blocks of memory `times` runs leave behind."""
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(times):
        action()
    gc.collect()
    return sys.getallocatedblocks() - before


def assert_no_leak(action: Callable[[], Any]) -> None:
    blocks(action, 20)  # tables and free lists fill
    assert any(blocks(action, 1_000) < 100 for _ in range(3))  # the first clean one is enough


def test_a_thousand_round_trips_leave_nothing(etf: ModuleType) -> None:
    data = etf.encode(EVERYTHING)
    assert_no_leak(lambda: etf.decode(data))
    assert_no_leak(lambda: etf.encode(EVERYTHING))
    assert_no_leak(lambda: etf.encode_term_buffers(EVERYTHING))


def test_failures_leave_nothing(etf: ModuleType) -> None:
    data = etf.encode(EVERYTHING[:-1])

    def cut_short() -> None:
        for cut in range(1, len(data), 41):
            with pytest.raises(DecodeError):
                etf.decode(data[:cut])

    def not_encodable() -> None:
        for wrong in ([EVERYTHING, 1j], {A.a: [1j]}, [Pid(A.n, -1, 0, 0)], Struct(A.M, {A.a: 1j})):
            with pytest.raises(EncodeError):
                etf.encode(wrong)

    cut_short()
    assert any(blocks(cut_short, 20) < 100 for _ in range(3))  # the first clean one is enough
    not_encodable()
    assert any(blocks(not_encodable, 50) < 100 for _ in range(3))  # the first clean one is enough
