"""The codec under any term and any bytes: 100 of them, 10,000 with ``HYPOTHESIS_PROFILE=long``."""

import json
import math
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import erlang
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyerlnode.errors import DecodeError
from pyerlnode.term import (
    Atom,
    Bitstring,
    ExternalFun,
    Fun,
    ImproperList,
    NativeRecord,
    Pid,
    Port,
    Reference,
    Struct,
    TermMap,
    freeze,
)
from pyerlnode.term.exact import key as exact
from tests.conftest import TWINS, load_etf
from tests.helpers import hostile

pytestmark = [
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # of the strategy, which is long
    pytest.mark.timeout(1800),  # the long profile
]
VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text(encoding="utf-8"))
SEEDS = [
    bytes.fromhex(text)
    for row in [*VECTORS["terms"], *VECTORS["native_records_otp29"], *VECTORS["decode"]["cases"]]
    for key, text in row.items()
    if key.startswith("hex") and isinstance(text, str) and len(text) < 2_000
]

NAMES = ["ok", "error", "nil", "true", "a", "Elixir.User", "å", "日本", "", "a b"]
names = st.sampled_from(NAMES).map(Atom)
values_of_atoms = st.sampled_from([Atom(name) for name in NAMES if name not in ("nil", "true")])
u32 = st.integers(0, 2**32 - 1)
pids = st.builds(Pid, names, u32, u32, u32)
scalars = st.one_of(
    values_of_atoms,
    st.booleans(),
    st.none(),
    st.integers(-5, 300),
    st.integers(),
    st.builds(lambda bits, less: (1 << bits) - less, st.integers(60, 2_100), st.integers(0, 2**80)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.binary(max_size=20),
    pids,
    st.builds(Port, names, st.integers(0, 2**64 - 1), u32),
    st.builds(Reference, names, u32, st.lists(u32, min_size=1, max_size=5).map(tuple)),
    st.builds(ExternalFun, names, names, st.integers(0, 255)),
    st.builds(Bitstring, st.binary(min_size=1, max_size=4), st.integers(1, 7)),
)


def _map_of(pairs: list[tuple[Any, Any]]) -> Any:
    """What these pairs decode to: each key once, a dict when Python tells its keys apart."""
    unique = {exact(freeze(key)): (freeze(key), value) for key, value in pairs}
    made = dict(unique.values())
    return made if len(made) == len(unique) else TermMap(unique.values())


def _containers(terms: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(terms, max_size=5)
    tails = terms.filter(lambda term: not isinstance(term, (list, ImproperList)))
    fields = st.dictionaries(values_of_atoms, terms, max_size=4)
    return st.one_of(
        lists,
        lists.map(tuple),
        st.lists(st.integers(0, 255), max_size=5),
        st.builds(ImproperList, st.lists(terms, min_size=1, max_size=3).map(tuple), tails),
        st.lists(st.tuples(terms, terms), max_size=5).map(_map_of),
        fields.flatmap(lambda f: st.builds(Struct, values_of_atoms, st.just(f), st.integers(0, len(f)))),
        st.builds(
            lambda module, name, f, flag: NativeRecord(module, name, tuple(f), tuple(f.values()), flag),
            names, names, fields, st.booleans(),
        ),
        st.builds(
            Fun, names, st.integers(0, 255), st.binary(min_size=16, max_size=16), u32,
            st.integers(0, 2**31 - 1), st.integers(-(2**31), 2**31 - 1), pids, lists.map(tuple),
        ),
    )  # fmt: skip


terms = st.recursive(scalars, _containers, max_leaves=20)
EXAMPLES = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 100
generously = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@pytest.fixture(scope="module")
def codecs() -> list[ModuleType]:
    """Each codec: what is generated goes through all of them, since making it takes longer."""
    return [load_etf(twin) for twin in TWINS]


def same(one: Any, other: Any) -> bool:
    """Equal as Erlang says it: ``1`` is not ``1.0``, ``-0.0`` is not ``0.0``, `True` is not ``1``."""
    return bool(exact(freeze(one)) == exact(freeze(other)))


@generously
@given(terms)
def test_a_term_comes_back_as_it_was(codecs: list[ModuleType], term: Any) -> None:
    for etf in codecs:
        data = etf.encode(term)
        back = etf.decode(data)
        assert same(back, term)
        assert etf.encode(back) == data


@generously
@given(hostile.terms())
def test_a_hostile_term_comes_back_as_it_was(codecs: list[ModuleType], term: Any) -> None:
    written = {etf.encode(term) for etf in codecs}
    assert len(written) == 1, "the codecs write it differently"
    for etf in codecs:
        back = etf.decode(etf.encode(term))
        assert exact(back) == exact(term)
        assert etf.encode(back) in written


@generously
@given(terms)
def test_all_ways_to_encode_give_the_same_bytes(codecs: list[ModuleType], term: Any) -> None:
    for etf in codecs:
        data = etf.encode(term)
        assert b"\x83" + etf.encode_term(term) == data
        assert b"".join(etf.encode_buffers(term)) == data
        assert b"\x83" + b"".join(etf.encode_term_buffers(term)) == data
        assert same(etf.decode(etf.encode(term, compressed=True)), term)


@generously
@given(terms)
def test_the_other_profile_comes_back_too(codecs: list[ModuleType], term: Any) -> None:
    for etf in codecs:
        data = etf.encode(term, profile="erlang")
        assert etf.encode(etf.decode(data, profile="erlang"), profile="erlang") == data


def outcome(decode: Any, data: bytes) -> Any:
    try:
        return decode(data)
    except DecodeError as error:
        caught = error
    assert 0 <= caught.offset <= len(data)
    return type(caught), caught.offset


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Bytes that were once a term: some replaced, cut out, repeated."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        action = draw(st.integers(0, 2))
        if action == 0 and data:
            data[at] = draw(st.integers(0, 255))
        elif action == 1:
            del data[at : at + draw(st.integers(1, 8))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 8))]
    return bytes(data)


@generously
@given(st.one_of(damaged(), st.binary(max_size=60), st.binary(max_size=60).map(lambda tail: b"\x83" + tail)))
def test_any_bytes_are_a_term_or_a_decode_error(codecs: list[ModuleType], data: bytes) -> None:
    for etf in codecs:
        value = outcome(etf.decode, data)
        if not (type(value) is tuple and value and isinstance(value[0], type)):
            assert same(etf.decode(etf.encode(value)), value)


# --- an independent implementation says the same ------------------------------------------------
def _to_otp(term: Any) -> Any:
    """`term` as erlang-py has it. It merges keys that Python finds equal, so maps have plain keys here."""
    kind = type(term)
    if kind is Atom:
        return erlang.OtpErlangAtom(term.name)  # str: a UTF-8 atom
    if kind is bytes:
        return erlang.OtpErlangBinary(term)
    if kind is list:
        return erlang.OtpErlangList([_to_otp(part) for part in term])
    if kind is ImproperList:
        return erlang.OtpErlangList([*map(_to_otp, term.items), _to_otp(term.tail)], improper=True)
    if kind is tuple:
        return tuple(map(_to_otp, term))
    if kind is dict:
        return {_to_otp(key): _to_otp(value) for key, value in term.items()}
    return term


oracle_scalars = st.one_of(
    st.sampled_from(["ok", "error", "undefined", "a b", "å"]).map(Atom),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    st.binary(max_size=10),
)
oracle_keys = st.one_of(st.binary(max_size=3), st.sampled_from(["a", "b", "c"]).map(Atom))
oracle_terms = st.recursive(
    oracle_scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(oracle_keys, inner, max_size=4),
        st.builds(ImproperList, st.lists(inner, min_size=1, max_size=3).map(tuple), oracle_scalars),
    ),
    max_leaves=15,
)


@generously
@given(oracle_terms)
def test_what_erlang_py_writes_is_read(codecs: list[ModuleType], term: Any) -> None:
    for etf in codecs:
        assert same(etf.decode(erlang.term_to_binary(_to_otp(term))), term)


@generously
@given(oracle_terms)
def test_what_is_written_erlang_py_reads(codecs: list[ModuleType], term: Any) -> None:
    for etf in codecs:
        theirs = erlang.binary_to_term(etf.encode(term))
        assert same(etf.decode(erlang.term_to_binary(theirs)), term)


@given(st.floats())
def test_a_float_is_written_exactly_when_it_is_finite(codecs: list[ModuleType], value: float) -> None:
    for etf in codecs:
        if math.isfinite(value):
            assert math.copysign(1, etf.decode(etf.encode(value))) == math.copysign(1, value)
            assert etf.decode(etf.encode(value)) == value
        else:
            with pytest.raises(ValueError, match="not finite"):
                etf.encode(value)
