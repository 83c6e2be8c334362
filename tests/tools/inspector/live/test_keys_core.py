"""Keys are the same in whatever pieces their bytes come, and what a terminal reports is none."""

import random

import pytest

from pyerlnode.tools.inspector.live.keys_core import LONGEST, Keys

TYPED = b"q\x1b[A\x1bOB\x1b[5~\x1b[Zg\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\r\x7f\t"
TYPED += b"\x1b]11;rgb:ffff/ffff/ffff\x07x\x1b[1;5Cy\x1b\x1b "
KEYS = ["q", "up", "down", "page up", "left", "g", "ü", "€", "😀", "enter", "backspace", "tab", "x", "y", "escape", " "]


def test_keys_of_one_read() -> None:
    assert Keys().feed(TYPED) == KEYS


def test_keys_of_single_bytes() -> None:
    keys = Keys()
    assert [key for byte in TYPED for key in keys.feed(bytes([byte]))] == KEYS


def test_an_escape_alone_is_a_key_when_nothing_follows() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert keys.waiting
    assert keys.rest() == ["escape"]
    assert not keys.waiting
    assert keys.feed(b"[A") == ["[", "A"]


def test_half_a_key_is_none_when_nothing_follows() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b[5") == []
    assert keys.rest() == []
    assert keys.feed(b"a") == ["a"]


def test_a_sequence_that_does_not_end_is_given_up() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b]" + b"0" * LONGEST) == []
    assert keys.feed(b"a") == ["a"]


@pytest.mark.parametrize("data", [b"\x1ba", b"\xff", b"\x80", b"\x00", b"\xc3(", b"\x01"])
def test_what_is_no_key_is_dropped_and_the_next_is_read(data: bytes) -> None:
    keys = Keys()
    keys.feed(data)
    assert keys.feed(b"z") == ["z"]


def test_any_bytes_leave_a_reader_of_keys() -> None:
    chance = random.Random(7)
    for _ in range(300):
        keys = Keys()
        for key in keys.feed(bytes(chance.choice((27, 91, 79, 93, 59, 7, 200, 65, 48, 126)) for _ in range(30))):
            assert key
            assert "\x1b" not in key
        keys.rest()
        assert keys.feed(b"a") == ["a"]
