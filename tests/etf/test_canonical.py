"""`term_to_binary` with OTP's options; `interop_tests/test_canonical.py` asks OTP itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.etf import decode, encode
from pyerlnode.etf.canonical import term_to_binary
from pyerlnode.term import A, Struct, TermMap

DATA = Path(__file__).parents[1] / "data"
OTP_25 = json.loads((DATA / "vectors_otp25.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", OTP_25, ids=lambda row: row["term"][:40])
def test_the_bytes_of_otp_25(row: dict[str, str]) -> None:
    value = decode(bytes.fromhex(row["hex"]))
    assert term_to_binary(value, release=25).hex() == row["hex"]


def test_without_options_it_is_what_encode_writes() -> None:
    term = (A.é, {A.b: 1.5, A.a: b"x"}, [1, 2])
    assert term_to_binary(term) == encode(term)


def test_maps_are_in_the_order_of_their_keys_at_every_level() -> None:
    inner = TermMap([(2, 1), (1.0, 2), (1, 3)])
    user = Struct(A["Elixir.U"], {A.z: 1, A.a: 2})
    one = {A.b: inner, A.a: [b"x"], ("k",): user}
    same_user = Struct(user.module, dict(reversed(user.fields.items())), 1)
    other = {("k",): same_user, A.a: [b"x"], A.b: TermMap(inner.pairs[::-1])}
    assert term_to_binary(one) != term_to_binary(other)
    assert term_to_binary(one, deterministic=True) == term_to_binary(other, deterministic=True)
    assert decode(term_to_binary(one, deterministic=True)) == decode(encode(one))


def test_a_map_in_a_key_is_in_order_too() -> None:
    one, other = (TermMap([((made,), 1)]) for made in ({A.b: 1, A.a: 2}, {A.a: 2, A.b: 1}))
    assert term_to_binary(one, deterministic=True) == term_to_binary(other, deterministic=True)


def test_compressed_is_that_of_encode() -> None:
    term = [b"x" * 1000, {A.a: 1}]
    assert term_to_binary(term, compressed=True) == encode(term, compressed=True)
    assert decode(term_to_binary(term, minor_version=1, compressed=9)) == term


def test_what_has_no_form_is_told_with_its_place() -> None:
    with pytest.raises(EncodeError, match="no form") as caught:
        term_to_binary([1, {A.a: object()}], deterministic=True)
    assert "[1]" in str(caught.value.path)


def test_a_deep_term_is_written() -> None:
    term: object = TermMap([(A.b, 1.5), (A.a, 2)])
    for _ in range(20_000):
        term = [term]
    read = decode(term_to_binary(term, deterministic=True, minor_version=0))
    for _ in range(20_000):
        (read,) = read
    assert list(read.items()) == [(A.a, 2), (A.b, 1.5)]


@pytest.mark.parametrize("minor", [3, -1, "1"])
def test_another_minor_version_is_refused(minor: Any) -> None:
    with pytest.raises(UsageError, match="minor_version"):
        term_to_binary(1, minor_version=minor)
