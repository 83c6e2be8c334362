"""What has no form raises `EncodeError` and nothing else, names its place, and costs no more than what was written."""

import collections
import enum
import time
from collections import UserDict, UserList
from collections.abc import Callable, Mapping
from random import Random
from types import ModuleType
from typing import Any

import pytest

from pyerlnode.errors import EncodeError
from pyerlnode.etf import _codec_py
from pyerlnode.etf.common import MAX_ENCODED
from pyerlnode.etf.locate import PATH_LEVELS
from pyerlnode.term import A, FrozenMap, ImproperList, Pid, Reference, Struct, TermMap, hooks
from pyerlnode.term.containers import NativeRecord
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.hooks import register_encoder
from tests.helpers import hostile

NODE = A["a@b"]
PID = Pid(NODE, 1, 0, 1)
LEVELS = 5_000
SECONDS = 20.0
"""More than any of these takes by a factor of a hundred, and less than anything that is not linear."""


Named = collections.namedtuple("Named", "a b")


class Wrapped:
    """A value with an encoder, registered by the fixture."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "encoders", dict(hooks.encoders))
    monkeypatch.setattr(hooks, "_found", {})
    register_encoder(Wrapped, lambda value: [A.wrapped, value.inner])


AROUND: dict[str, tuple[Callable[[Any], Any], str]] = {
    "list": (lambda term: [1, term], "[1]"),
    "tuple": (lambda term: (term, 1), "[0]"),
    "dict": (lambda term: {A.k: term}, "[A.k]"),
    "mixed keys": (lambda term: {"k": 1, b"b": term}, "[<bytes>]"),
    "term map": (lambda term: TermMap([(1, 2), (True, term)]), "[True]"),
    "struct": (lambda term: Struct(A.Elixir.M, {A.f: term}), ".f"),
    "improper": (lambda term: ImproperList((1,), (term,)), ".tail[0]"),
    "record": (lambda term: NativeRecord(A.m, A.r, (A.a, A.b), (1, term)), "['b']"),
    "closure": (lambda term: Fun(A.m, 0, bytes(16), 0, 0, 0, PID, (1, term)), ".free[1]"),
    "adapter": (Wrapped, "[1]"),
    "mapping": (lambda term: UserDict({A.k: term}), "[A.k]"),
    "named tuple": (lambda term: Named(1, term), "[1]"),
}


@pytest.mark.parametrize("kind", AROUND)
def test_a_value_without_form_is_found_in_no_more_time_than_it_is_deep(etf: ModuleType, kind: str) -> None:
    around, step = AROUND[kind]
    term: Any = object()
    for _ in range(LEVELS):
        term = around(term)
    started = time.process_time()
    with pytest.raises(EncodeError, match="object has no form") as caught:
        etf.encode(term)
    assert time.process_time() - started < SECONDS
    assert caught.value.path.startswith(step)
    assert caught.value.path.endswith("…")


def test_the_path_has_so_many_levels(etf: ModuleType) -> None:
    term: Any = object()
    for _ in range(PATH_LEVELS):
        term = [term]
    for path, value in [("[0]" * PATH_LEVELS, term), ("[0]" * PATH_LEVELS + "…", [term])]:
        with pytest.raises(EncodeError) as caught:
            etf.encode(value)
        assert caught.value.path == path


@pytest.mark.parametrize("first", [True, False], ids=["twice", "once"])
def test_a_subtree_that_stands_at_many_places_is_looked_at_once(etf: ModuleType, first: bool) -> None:
    bad: Any = object()
    for _ in range(40):
        bad = [bad, bad] if first else [[1], bad]
    with pytest.raises(EncodeError) as caught:
        etf.encode({A.key: bad})
    assert caught.value.path.startswith("[A.key]" + ("[0]" if first else "[1]"))


def test_good_subtrees_before_the_value_are_walked_once_each(etf: ModuleType) -> None:
    shared: Any = [0.5]
    for _ in range(12):
        shared = [shared, shared]
    with pytest.raises(EncodeError) as caught:
        etf.encode([shared, shared, object()])
    assert caught.value.path == "[2]"


def test_a_term_that_would_fill_the_memory_is_refused(etf: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the compiled twin with its own bound; the readable one, which takes minutes to get there, with a small one."""
    shared: Any = [0.5] if etf.IMPLEMENTATION == "python" else ["text" * 2_000] * 100
    for _ in range(40):
        shared = [shared, shared]
    if etf.IMPLEMENTATION == "python":
        monkeypatch.setattr("pyerlnode.etf._encode_py.MAX_ENCODED", 1 << 16)
    with pytest.raises(EncodeError, match=f"more than {MAX_ENCODED >> 20} MiB"):
        etf.encode(shared)


def wide_cycle() -> Any:
    endless: list[Any] = [b"x" * 1_000_000]
    endless.append(endless)
    return endless


def cycle_of(kind: Callable[[Any], Any]) -> Any:
    endless: list[Any] = []
    endless.append(kind(endless))
    return endless


def own_mapping() -> Any:
    endless: Any = UserDict()
    endless[A.me] = endless
    return endless


def own_list() -> Any:
    endless: Any = UserDict()
    endless[A.me] = [UserDict({A.x: endless})]
    return endless


@pytest.mark.parametrize(
    "make",
    [wide_cycle, own_mapping, own_list, *(lambda kind=kind: cycle_of(kind) for kind, _ in AROUND.values())],
    ids=["wide", "mapping itself", "mapping far", *AROUND],
)
def test_a_term_that_holds_itself_is_refused_at_once(etf: ModuleType, make: Callable[[], Any]) -> None:
    """Before it has been written some hundred times."""
    endless = make()
    started = time.process_time()
    with pytest.raises(EncodeError, match="holds itself") as caught:
        etf.encode(endless)
    assert time.process_time() - started < SECONDS
    assert caught.value.path == ""


def test_a_container_met_again_below_itself_but_not_in_itself_is_a_term(etf: ModuleType) -> None:
    inner: Any = [0.5]
    term: Any = inner
    for _ in range(300):
        term = [inner, term]
    assert etf.decode(etf.encode(term)) == term


def exact_map(*pairs: tuple[Any, Any]) -> TermMap:
    """A `TermMap` with pairs that it would not take."""
    made = TermMap()
    made.pairs = pairs
    return made


# --- keys ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [1, 2])
def test_keys_within_keys_cost_what_they_are_long(etf: ModuleType, width: int) -> None:
    key: Any = (A.bottom,)
    for level in range(60):
        key = FrozenMap({key: 1, **({(level,): 2} if width == 2 else {})})
    assert etf.decode(etf.encode({key: 1})) == {key: 1}


@pytest.mark.parametrize(
    "term",
    [
        {"a": 1, b"a": 2},
        {b"a": 1, "b": 0, "a": 2},
        {1: 0, A.x: 1, (1,): 2, "y": 3, b"y": b"x" * 100_000},
        {("a",): b"x" * 100_000, (b"a",): b"x" * 100_000},
        {b"x" * 100_000: 0, 1: b"y" * 100_000, "x" * 100_000: 2},
        {(b"x" * 70_000,): 0, ("x" * 70_000,): 2},
        UserDict({"a": 1, b"a": 2}),
        exact_map(("a", 1), (b"a", 2)),
        exact_map((1, 1), ("a", {("b",): 1, (1,): 2}), (b"a", 2)),
        Struct(A.Elixir.M, {"a": 1, b"a": 2}),
        Struct(A.Elixir.M, UserDict({"a": 1, b"a": 2})),
        {Fun(A.m, 0, bytes(16), 0, 0, 0, PID, ("a",)): 1, Fun(A.m, 0, bytes(16), 0, 0, 0, PID, (b"a",)): 2},
    ],
    ids=lambda term: repr(term)[:30],
)
def test_two_keys_that_are_one_on_the_wire_are_found(etf: ModuleType, term: Any) -> None:
    for encode in (etf.encode, etf.encode_buffers):
        with pytest.raises(EncodeError, match="same term") as caught:
            encode([term])
        assert caught.value.path == "[0]"


@pytest.mark.parametrize(
    "term",
    [
        {"a": 1, b"b": 2, (1,): 3, (1, 2): 4, None: 5, True: 6},
        {("a" * 70_000,): b"x" * 70_000, (b"b" * 70_000,): b"y" * 70_000, "c": b"z" * 70_000},
        TermMap([((i,), b"%d" % i) for i in range(300)]),
    ],
    ids=["kinds", "large", "many"],
)
def test_unlike_keys_of_unusual_types_are_written(etf: ModuleType, term: Any) -> None:
    data = etf.encode(term)
    assert b"".join(etf.encode_buffers(term)) == data
    assert data == _codec_py.encode(term)
    assert etf.encode(etf.decode(data)) == data


# --- whatever the value does --------------------------------------------------------------------------
def broken(*_args: Any, **_kwargs: Any) -> Any:
    raise ZeroDivisionError("on purpose")


def deep_recursion(*_args: Any) -> Any:
    return deep_recursion()


class Meta(type):
    __instancecheck__ = __subclasscheck__ = __getattr__ = broken

    def __getattribute__(cls, name: str) -> Any:
        raise ZeroDivisionError("on purpose")


class OwnMapping(Mapping[Any, Any]):
    def __init__(self, **methods: Any) -> None:
        self.methods = methods

    def __getitem__(self, key: Any) -> Any:
        return self.methods.get("item", int)(key)

    def __iter__(self) -> Any:
        return self.methods.get("iter", iter)(["a"])

    def __len__(self) -> int:
        return self.methods.get("len", lambda: 1)()


class LoudError(EncodeError):
    def __init__(self) -> None:
        super().__init__("x")

    __str__ = __repr__ = broken  # type: ignore[assignment]


def loud(_value: Any) -> Any:
    raise LoudError


def make(name: str, bases: tuple[type, ...] = (), **methods: Any) -> Any:
    return type(name, bases, methods)


class Unprintable:
    __repr__ = __str__ = __format__ = __hash__ = __eq__ = broken  # type: ignore[assignment]


class Encoded:
    def __init__(self, encoder: Callable[[Any], Any]) -> None:
        self.encoder = encoder


def hidden(_self: Any) -> Any:
    raise ZeroDivisionError


HOSTILE: dict[str, Callable[[], Any]] = {
    "getitem": lambda: OwnMapping(item=broken),
    "iter": lambda: OwnMapping(iter=broken),
    "len": lambda: OwnMapping(len=broken),
    "items": lambda: make("M", (dict,), items=broken)(),
    "items that recur": lambda: make("M", (dict,), items=deep_recursion)(),
    "items of no pairs": lambda: make("M", (dict,), items=lambda _: [1])(),
    "items with a key that has no hash": lambda: make("M", (dict,), items=lambda _: [([], 1)])(),
    "index": lambda: make("I", __index__=broken)(),
    "index of no integer": lambda: make("I", __index__=lambda _: "1")(),
    "index that recurs": lambda: make("I", __index__=deep_recursion)(),
    "class": lambda: make("C", __class__=property(hidden))(),
    "getattribute": lambda: make("C", __getattribute__=broken)(),
    "metaclass": lambda: Meta("C", (), {})(),
    "metaclass itself": lambda: Meta("C", (), {}),
    "list iter": lambda: make("L", (list,), __iter__=broken)([1]),
    "tuple iter": lambda: make("T", (tuple,), __iter__=broken)((1,)),
    "enum of nothing": lambda: enum.Enum("E", {"a": object()}).a,
    "hook": lambda: Encoded(broken),
    "hook that recurs": lambda: Encoded(deep_recursion),
    "hook with an error of its own": lambda: Encoded(loud),
    "hook that gives itself": lambda: Encoded(lambda value: value),
    "hook that gives another": lambda: Encoded(lambda value: Encoded(value.encoder)),
    "hook that gives another kind": lambda: Encoded(lambda value: Wrapped(value)),
    "unprintable": Unprintable,
    "unprintable key": lambda: {Wrapped(1): object()},
    "long name": lambda: make("x" * 1_000_000)(),
    "long text": lambda: make("R", __repr__=lambda _: "x" * 100_000_000)(),
    "surrogate": lambda: "\ud800",
    "charlist": lambda: ImproperList(("\ud800",), 1),
    "nan": lambda: float("nan"),
    "pid of nothing": lambda: Pid(None, None, None, None),  # type: ignore[arg-type]
    "pid of broken numbers": lambda: Pid(NODE, make("I", __index__=broken)(), 0, 0),
    "pid that is not made": lambda: Pid.__new__(Pid),
    "reference of broken words": lambda: Reference(NODE, 1, make("T", (), __iter__=broken)()),
    "struct of nothing": lambda: Struct(A.M, None),  # type: ignore[arg-type]
    "struct of broken fields": lambda: Struct(A.M, OwnMapping(iter=broken)),
    "struct of no place": lambda: Struct(A.M, {A.a: 1}, "x"),  # type: ignore[arg-type]
    "struct that is not made": lambda: Struct.__new__(Struct),
    "improper of nothing": lambda: ImproperList(None, 1),  # type: ignore[arg-type]
    "improper of broken items": lambda: ImproperList(make("T", (), __iter__=broken)(), 1),
    "record of broken values": lambda: NativeRecord(A.m, A.r, (A.a,), make("T", (), __iter__=broken)()),
    "record of no names": lambda: NativeRecord(A.m, A.r, (1,), (1,)),  # type: ignore[arg-type]
    "closure of nothing": lambda: Fun(A.m, 0, bytes(16), 0, 0, 0, PID, None),  # type: ignore[arg-type]
    "closure of broken numbers": lambda: Fun(A.m, make("I", __index__=broken)(), bytes(16), 0, 0, 0, PID, ()),
    "function of broken numbers": lambda: ExternalFun(A.m, A.f, make("I", __index__=broken)()),
    "map of no pairs": lambda: exact_map(1),
    "map of no tuple": lambda: exact_map(None),
    "complex": lambda: 1j,
    "generator": lambda: (x for x in ()),
    "type": lambda: int,
    "module": lambda: time,
    "released view": lambda: released(),
    "strided view of no bytes": lambda: memoryview(bytearray(8)).cast("d")[::-1],
}


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


FINE = {"strided view of no bytes", "charlist"}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_value_does_it_raises_encode_error(etf: ModuleType, name: str) -> None:
    register_encoder(Encoded, lambda value: value.encoder(value))
    value = HOSTILE[name]()
    outcomes = []
    for around in (lambda term: term, lambda term: [1, {A.key: (term,)}], lambda term: Wrapped(term)):
        for encode in (etf.encode, etf.encode_buffers, etf.encode_term, etf.encode_term_buffers, _codec_py.encode):
            message, path = outcome(encode, around(value))
            assert len(message) < 3_000
            outcomes.append(None if message == "data" else path)
    if name in FINE and None in outcomes:
        assert set(outcomes) == {None}
    else:
        assert None not in outcomes
    with_path, in_twin = outcomes[5], outcomes[9]
    assert with_path == in_twin
    assert with_path in ("", None) or with_path.startswith("[1][A.key][0]")


def test_what_a_program_may_not_swallow_is_not_swallowed(etf: ModuleType) -> None:
    def leave(_value: Any) -> Any:
        raise KeyboardInterrupt

    register_encoder(Encoded, leave)
    with pytest.raises(KeyboardInterrupt):
        etf.encode([Encoded(leave)])


@pytest.mark.parametrize(
    "value",
    [10**5000, -(10**5000), 1 << 10_000_000, {10**5000: 10**5000}],
    ids=["5,000 digits", "negative", "10,000,000 bits", "as a key"],
)
def test_integers_of_any_size_have_a_form(etf: ModuleType, value: Any) -> None:
    assert etf.decode(etf.encode(value)) == value


# --- the twins refuse alike ---------------------------------------------------------------------------
BAD: tuple[Callable[[], Any], ...] = (
    object,
    lambda: float("nan"),
    lambda: "\ud800",
    lambda: 1j,
    lambda: {"a": 1, b"a": 2},
    lambda: exact_map((1, 1), ("a", 1), (b"a", 2)),
    lambda: Struct(A.M, {A["__struct__"]: 1}),
    lambda: Pid(NODE, -1, 0, 0),
    lambda: Reference(NODE, 1, ()),
    lambda: NativeRecord(A.m, A.r, (A.a,), ()),
    lambda: Wrapped(float("inf")),
    lambda: UserList([1]),
)


def spoiled(rng: Random, depth: int = 5) -> Any:
    """A term with one to three values without a form, or none, somewhere in it."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(BAD)() if rng.random() < 0.1 else hostile.term(rng, 1)
    parts = [spoiled(rng, depth - 1) for _ in range(rng.randrange(4))]
    match rng.randrange(9):
        case 0 | 1:
            return parts
        case 2:
            return tuple(parts)
        case 3:
            return {rng.choice((A.a, 1, "s", b"b", (1, index), None)): part for index, part in enumerate(parts)}
        case 4:
            return TermMap([((index, b"k"), part) for index, part in enumerate(parts)])
        case 5:
            return ImproperList((1, *parts), 2)
        case 6:
            return Wrapped(parts)
        case 7:
            return UserDict(enumerate(parts))
    return Struct(A.M, {A[f"f{index}"]: part for index, part in enumerate(parts)})


def outcome(encode: Callable[[Any], Any], term: Any) -> tuple[str, Any]:
    try:
        return "data", encode(term)
    except EncodeError as error:
        return str(error), error.path


@pytest.mark.parametrize("seed", range(8))
def test_the_twins_refuse_the_same_values_with_the_same_words(etf: ModuleType, seed: int) -> None:
    refused = 0
    for number in range(250):
        term = spoiled(Random(seed * 1_000 + number))
        mine = outcome(etf.encode, term)
        assert mine == outcome(_codec_py.encode, term), number
        refused += mine[0] != "data"
    assert refused > 20


def test_the_path_leads_to_a_value_that_is_refused(etf: ModuleType) -> None:
    """Where Python can follow it."""
    checked = 0
    for number in range(400):
        term = spoiled(Random(10_000 + number), 4)
        message, path = outcome(etf.encode, term)
        if message == "data" or "<" in path or ".keys" in path or ".items" in path or "[f" in path:
            continue
        try:
            part = eval(f"term{path}", {"term": term, "A": A})
        except TypeError:  # a value with an encoder can not be indexed
            continue
        assert outcome(etf.encode, part)[0] != "data", (number, path)
        checked += 1
    assert checked > 3
