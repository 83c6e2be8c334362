"""`testing.values`: plain Python for erlang-py's classes, and back."""

from typing import Any

import erlang
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Port, Reference
from pyerlnode.testing.values import Opaque, decode, encode

NODE = A["x@127.0.0.1"]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (b"\x83w\x02ok", A.ok),
        (b"\x83w\x04true", True),
        (b"\x83w\x03nil", None),
        (b"\x83w\x09undefined", A.undefined),
        (b"\x83d\x00\x01\xe9", A["é"]),
        (b"\x83k\x00\x02ab", [97, 98]),
        (b"\x83m\x00\x00\x00\x02ab", b"ab"),
        (b"\x83j", []),
        (b"\x83t\x00\x00\x00\x01k\x00\x01a\x61\x01", {(97,): 1}),
    ],
)
def test_terms_of_the_beam_are_plain_values(source: bytes, value: Any) -> None:
    assert decode(source) == value


@pytest.mark.parametrize(
    "value",
    [
        Pid(NODE, 91, 2, 7),
        Port(NODE, 1 << 40, 7),
        Reference(NODE, 7, (1, 2, 3)),
        [A.ok, None, True, False, 0, 0.0, b"", [], ()],
        {A.a: {b"k": [1.5]}, 1: ()},
        1 << 200,
    ],
)
def test_what_is_encoded_comes_back(value: Any) -> None:
    assert decode(encode(value)) == value


def test_str_is_a_binary_of_utf8() -> None:
    assert decode(encode("é")) == "é".encode()


def test_what_has_no_plain_form_is_kept_whole() -> None:
    bits = decode(b"\x83M\x00\x00\x00\x01\x03\xa0")
    assert bits == Opaque(erlang.OtpErlangBinary(b"\xa0", 3))
    assert encode(bits) == b"\x83M\x00\x00\x00\x01\x03\xa0"
    assert hash(bits) == hash(decode(encode(bits)))
    assert "OtpErlangBinary" in repr(bits)


def test_a_value_that_can_not_go_says_its_type() -> None:
    with pytest.raises(TypeError, match="a object can not go over the control channel"):
        encode([object()])


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary() | st.just(A.ok)


@given(st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)))
def test_any_plain_value_comes_back(value: Any) -> None:
    assert decode(encode(value)) == value
