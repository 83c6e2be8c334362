"""A packet's two terms at once, in both codecs: `encode_packet` and `decode_packet`."""

import time
from types import ModuleType
from typing import Any

import pytest

from pyerlnode.errors import DecodeError, EncodeError, LimitExceeded
from pyerlnode.etf import AtomBudget
from pyerlnode.term import A, Pid


@pytest.mark.parametrize("payload", [A.ok, (1, [2.5, b"x"]), bytes(70_000), [bytes(70_000), 1, bytes(65_536)], []])
def test_a_packet_is_its_length_its_head_and_two_terms(etf: ModuleType, payload: Any) -> None:
    control = (22, Pid(A["a@b"], 1, 2, 3), Pid(A["c@d"], 4, 5, 6))
    buffers, begins = etf.encode_packet(b"\x83D\0", control, payload)
    whole = b"".join(buffers)
    assert whole[:7] == (len(whole) - 4).to_bytes(4, "big") + b"\x83D\0"
    assert whole[7:begins] == etf.encode_term(control)
    assert whole[begins:] == etf.encode_term(payload)
    assert etf.decode_packet(whole, 7, len(whole), (), None) == (control, begins, payload, None)


def test_what_has_no_form_in_a_packet_is_told_by_its_path(etf: ModuleType) -> None:
    with pytest.raises(EncodeError) as error:
        etf.encode_packet(b"", (6, A.a), {b"k": [1, object()]})
    assert error.value.path == "[<bytes>][1]"
    with pytest.raises(EncodeError):
        etf.encode_packet(b"", (6, object()), 1)


def test_a_packet_ends_where_it_ends(etf: ModuleType) -> None:
    data = b"??a\x01a\x02a"
    assert etf.decode_packet(data, 2, 4, (), None) == (1, 4, None, None)
    assert etf.decode_packet(data, 2, 6, (), None) == (1, 4, 2, None)
    control, begins, payload, error = etf.decode_packet(data, 2, 5, (), None)
    assert (control, begins, payload) == (1, 4, None)
    assert isinstance(error, DecodeError)
    assert error.offset == 4
    for at, end, offset in ((2, 3, 2), (6, 7, 6), (2, 2, 2)):
        with pytest.raises(DecodeError) as caught:
            etf.decode_packet(data, at, end, (), None)
        assert caught.value.offset == offset
    for at, end in ((-1, 4), (2, 8), (4, 2)):
        with pytest.raises(DecodeError):
            etf.decode_packet(data, at, end, (), None)


def test_both_terms_of_a_packet_name_the_atoms_of_its_header(etf: ModuleType) -> None:
    assert etf.decode_packet(b"R\0R\1", 0, 4, (A.one, None), None) == (A.one, 2, None, None)
    _, _, payload, error = etf.decode_packet(b"R\0R\2", 0, 4, (A.one, None), None)
    assert payload is None
    assert error.offset == 2


def test_new_atoms_of_a_packet_are_charged(etf: ModuleType) -> None:
    budget = AtomBudget(1)
    name = f"never_{id(budget)}_{time.monotonic_ns()}".encode()
    atom = b"w" + bytes([len(name) + 1]) + name
    _, _, _, error = etf.decode_packet(atom + b"1" + atom + b"2", 0, 2 * (len(atom) + 1), (), budget)
    assert isinstance(error, LimitExceeded)
