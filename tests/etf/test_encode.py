import enum
import re
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import pytest

from pyerlnode.errors import EncodeError
from pyerlnode.term import (
    A,
    Atom,
    Bitstring,
    Charlist,
    ExternalFun,
    FrozenList,
    FrozenMap,
    ImproperList,
    NativeRecord,
    Pid,
    Port,
    Reference,
    Struct,
    hooks,
    register_encoder,
)

NODE = A["a@b"]
Point = namedtuple("Point", "x y")


def without_address(value: object) -> str:
    """A test's name is the same in every process that collects it."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


class Colour(enum.Enum):
    RED = A.red


class Level(enum.IntEnum):
    LOW = 1


class Typed(NamedTuple):
    x: int


class Index:
    def __index__(self) -> int:
        return 7


class Name(str):
    __slots__ = ()


@dataclass
class Plain:
    x: int


@pytest.mark.parametrize(
    ("value", "same"),
    [
        ("é", "é".encode()),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (memoryview(bytearray(b"ab")), b"ab"),
        (Name("x"), b"x"),
        (Charlist("hé"), [104, 233]),
        (Charlist("€"), [8364]),
        (Charlist(""), []),
        (Point(1, 2), (1, 2)),
        (Typed(1), (1,)),
        (OrderedDict(a=1), {b"a": 1}),
        (MappingProxyType({1: 2}), {1: 2}),
        (FrozenList([1, 2]), [1, 2]),
        (FrozenMap({1: 2}), {1: 2}),
        (Colour.RED, A.red),
        (Level.LOW, 1),
        (Index(), 7),
        (uuid.UUID(int=1), b"00000000-0000-0000-0000-000000000001"),
        (ImproperList((), A.tail), A.tail),
        (ImproperList((1,), [2, 3]), [1, 2, 3]),
        (ImproperList([1], 2), ImproperList((1,), 2)),
        (Bitstring(b"a", 8), b"a"),
        (Atom("true"), True),
        (Atom("nil"), None),
    ],
    ids=without_address,
)
def test_values_of_python_have_the_form_of_the_table(etf: ModuleType, value: Any, same: Any) -> None:
    decoded = etf.decode(etf.encode(value))
    assert decoded == same
    assert type(decoded) is type(same)


def test_bool_is_no_integer_and_its_list_no_string(etf: ModuleType) -> None:
    assert etf.encode([True]) == b"\x83l\0\0\0\1w\4truej"
    assert etf.encode([1]) == b"\x83k\0\1\1"
    assert etf.encode([1, True]) == b"\x83l\0\0\0\2a\1w\4truej"
    assert etf.encode([1, 256]) == b"\x83l\0\0\0\2a\1b\0\0\1\0j"


def test_the_profile_says_which_atom_is_none(etf: ModuleType) -> None:
    assert etf.encode(None) == b"\x83w\3nil"
    assert etf.encode(None, profile="erlang") == b"\x83w\tundefined"
    assert etf.decode(b"\x83w\3nil", profile="erlang") is Atom("nil")
    assert etf.decode(b"\x83w\tundefined", profile="erlang") is None
    assert etf.decode(b"\x83w\tundefined") is A.undefined


def test_a_name_is_an_atom_also_where_it_would_be_a_value(etf: ModuleType) -> None:
    for name in ("true", "nil", "undefined"):
        for profile in ("elixir", "erlang"):
            for value in (Pid(Atom(name), 1, 2, 3), ExternalFun(Atom(name), Atom(name), 0)):
                assert etf.decode(etf.encode(value, profile=profile), profile=profile) == value


@pytest.mark.parametrize(
    "value",
    [Pid(NODE, 1, 2, 3), Port(NODE, 1 << 40, 3), Reference(NODE, 3, (1, 2, 3, 4, 5)), ExternalFun(A.m, A.f, 255)],
    ids=lambda value: type(value).__name__,
)
def test_identifiers_go_both_ways(etf: ModuleType, value: Any) -> None:
    assert etf.decode(etf.encode(value)) == value


def test_a_struct_keeps_the_order_of_its_pairs(etf: ModuleType) -> None:
    before = {A.a: 1, A["__struct__"]: A.Elixir.User, A.b: 2}
    data = etf.encode(before)
    value = etf.decode(data)
    assert value == Struct(A.Elixir.User, {A.a: 1, A.b: 2})
    assert etf.encode(value) == data


def test_a_map_whose_struct_key_holds_no_module_is_a_map(etf: ModuleType) -> None:
    value = {A["__struct__"]: 1, A.a: 2}
    assert etf.decode(etf.encode(value)) == value


def test_a_registered_struct_decodes_to_what_its_room_makes(etf: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hooks.struct_decoders, A.Elixir.Pair, lambda struct: (struct.a, struct.b))
    assert etf.decode(etf.encode([Struct(A.Elixir.Pair, {A.a: 1, A.b: 2})])) == [(1, 2)]


def test_a_registered_type_encodes_through_its_encoder(etf: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "encoders", {})
    monkeypatch.setattr(hooks, "_found", {})
    register_encoder(Plain, lambda plain: {A.x: plain.x})
    assert etf.encode([Plain(1)]) == etf.encode([{A.x: 1}])


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        (object(), "", "object has no form"),
        ([1, 2, {"key": (0, object())}], "[2]['key'][1]", "no form"),
        ([float("nan")], "[0]", "not finite"),
        ((1, float("-inf")), "[1]", "not finite"),
        ({A.a: 1j}, "[A.a]", "complex has no form"),
        ({(1, 2): object}, "[<tuple>]", "no form"),
        ({1j: 1}, ".keys()[0]", "no form"),
        ([Plain(1)], "[0]", "@elixir_struct"),
        (ImproperList((1, 1j), 2), ".items[1]", "complex"),
        (ImproperList((1,), 1j), ".tail", "complex"),
        (Struct(A.Elixir.M, {A.name: 1j}), ".name", "complex"),
        (Struct(A.Elixir.M, {A["__struct__"]: 1}), "", "without __struct__"),
        (NativeRecord(A.m, A.r, (A.a,), (1j,)), "['a']", "complex"),
        (NativeRecord(A.m, A.r, (A.a,), ()), "", "one value for each name"),
        (["\ud800"], "[0]", "surrogate"),
        ([{"a": 1, b"a": 2}], "[0]", "same term"),
        ([{True: 1, Atom("true"): 2}], "[0]", "same term"),
        ([Pid("a@b", 1, 2, 3)], "[0]", "Pid that is made of wrong parts"),  # type: ignore[arg-type]
        ([Pid(NODE, -1, 2, 3)], "[0]", "Pid that is made of wrong parts"),
        ([Pid(NODE, 1 << 32, 2, 3)], "[0]", "Pid that is made of wrong parts"),
        ([Pid(NODE, 1.5, 2, 3)], "[0]", "Pid that is made of wrong parts"),  # type: ignore[arg-type]
        ([Port(NODE, 1 << 64, 3)], "[0]", "Port that is made of wrong parts"),
        ([Reference(NODE, 1, (1,) * 6)], "[0]", "6 words"),
        ([Reference(NODE, 1, ())], "[0]", "0 words"),
        ([Reference(NODE, 1, (A.a,))], "[0]", "Reference that is made of wrong parts"),  # type: ignore[arg-type]
        ([ExternalFun(A.m, A.f, 256)], "[0]", "256 arguments"),
    ],
    ids=lambda value: without_address(value)[:30],
)
def test_an_error_names_the_path_and_what_to_do(etf: ModuleType, value: Any, path: str, why: str) -> None:
    for encode in (etf.encode, etf.encode_term, etf.encode_buffers, etf.encode_term_buffers):
        with pytest.raises(EncodeError, match=why) as caught:
            encode(value)
        assert caught.value.path == path


def test_an_encoder_that_raises_is_an_encode_error(etf: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "encoders", {Plain: lambda plain: plain.nothing})
    monkeypatch.setattr(hooks, "_found", {})
    with pytest.raises(EncodeError, match="AttributeError"):
        etf.encode(Plain(1))


@pytest.mark.parametrize("levels", [1, 2, 1_500])
def test_a_list_that_holds_itself_is_an_encode_error(etf: ModuleType, levels: int) -> None:
    endless: list[Any] = []
    inner: Any = endless
    for level in range(levels - 1):
        inner = ((inner,), [inner], {"k": inner})[level % 3]
    endless.append(inner)
    with pytest.raises(EncodeError, match=r"holds? itself"):
        etf.encode([1, endless])


@pytest.mark.parametrize("above", range(2_043, 2_051))
def test_what_is_met_twice_below_a_deep_term_does_not_hold_itself(etf: ModuleType, above: int) -> None:
    shared: list[Any] = [[1.5]]
    term: list[Any] = [shared, [[shared], shared]]
    for _ in range(above):
        term = [term]
    data = etf.encode(term)
    assert data.count(etf.encode(shared)[1:]) == 3
    assert etf.encode(etf.decode(data)) == data


def test_large_binaries_are_not_copied(etf: ModuleType) -> None:
    big = bytes(100_000)
    view = memoryview(big)[1:]
    buffers = etf.encode_buffers((b"small", big, [view], A.ok))
    assert b"".join(buffers) == etf.encode((b"small", big, [view], A.ok))
    assert any(buffer is big for buffer in buffers)
    assert [len(buffer) for buffer in buffers if len(buffer) > 1000] == [100_000, 99_999]
    assert sum(len(buffer) < 1000 for buffer in buffers) == 3


def test_bytes_that_may_still_change_are_copied(etf: ModuleType) -> None:
    big = bytearray(100_000)
    buffers = etf.encode_term_buffers([big, memoryview(big)])
    big[:] = b"x" * 100_000
    assert b"x" not in b"".join(buffers)


def test_buffers_begin_with_the_prefix(etf: ModuleType) -> None:
    assert etf.encode_term_buffers(1, prefix=b"head") == [b"heada\1"]
    assert etf.encode_term_buffers(1) == [b"a\1"]
    assert etf.encode_term(1) == b"a\1"


def test_compression_is_used_when_it_is_shorter(etf: ModuleType) -> None:
    assert etf.encode(b"a", compressed=True) == etf.encode(b"a")
    for level in (True, 1, 9):
        data = etf.encode(bytes(1000), compressed=level)
        assert data[:6] == b"\x83P" + (1005).to_bytes(4, "big")
        assert etf.decode(data) == bytes(1000)
