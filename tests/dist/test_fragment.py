"""Fragments are cut as OTP cuts them and put together in order."""

import mmap

import pytest

from pyerlnode.dist import fragment
from pyerlnode.dist.fragment import FRAGMENT_SIZE, FragmentReader, split
from pyerlnode.errors import ProtocolError


@pytest.mark.parametrize("size", [1, FRAGMENT_SIZE, FRAGMENT_SIZE + 1, 5 * FRAGMENT_SIZE - 1])
def test_what_is_split_is_put_together(size):
    body = bytes(range(256)) * (size // 256 + 1)
    buffers = [body[: size // 3], memoryview(body)[size // 3 : size]]
    packets = [b"".join(packet) for packet in split(9, b"\0", b"control", [b for b in buffers if len(b)])]
    assert all(int.from_bytes(packet[:4], "big") == len(packet) - 4 for packet in packets)
    assert len(packets) == -(-size // FRAGMENT_SIZE)
    reader = FragmentReader(4, 10**7)
    got = (packets[0][30:],) if len(packets) == 1 else None
    for number, packet in enumerate(packets):
        sequence, fragment = reader.numbers(packet, 6, len(packet))
        assert (sequence, fragment, packet[5]) == (9, len(packets) - number, 70 if number else 69)
        if not number and len(packets) > 1:
            reader.begin(sequence, fragment, "header", packet, 30, len(packet))
        elif number:
            got = reader.add(sequence, fragment, packet, 22, len(packet))
    assert got is not None
    assert got[-1] == body[:size]
    assert reader.pending == 0


def test_a_finished_message_makes_room_for_others():
    reader = FragmentReader(1, 10)
    for _ in range(5):
        reader.begin(1, 2, None, b"12345", 0, 5)
        assert reader.add(1, 1, b"67890", 0, 5) == (None, b"1234567890")
    reader.begin(1, 2, None, b"12345", 0, 5)
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        reader.add(1, 1, b"678901", 0, 6)


def test_a_small_fragment_does_not_keep_the_whole_read_alive():
    reader = FragmentReader(1, 10)
    data = b"x" * 1000
    reader.begin(1, 2, None, data, 0, 5)
    assert [type(part) for part in reader._open[1].parts] == [bytes]


def test_empty_continuations_are_fine():
    reader = FragmentReader(1, 10)
    reader.begin(1, 3, None, b"ab", 0, 0)
    assert reader.add(1, 2, b"ab", 2, 2) is None
    assert reader.add(1, 1, b"ab", 0, 2) == (None, b"ab")


@pytest.mark.parametrize("movable", [True, False])
def test_many_pieces_are_gathered_in_memory_that_grows_with_them(monkeypatch, movable):
    if not movable:

        class Fixed(mmap.mmap):
            def resize(self, size):
                raise SystemError("no mremap here")

        monkeypatch.setattr(fragment.mmap, "mmap", Fixed)
    size, count = 1_000_003, 40
    pieces = [bytes((number,)) * size for number in range(count)]
    reader = FragmentReader(2, 10**8)
    reader.begin(1, count, "header", pieces[0], 0, size)
    reader.begin(2, 1 << 40, "never ends", pieces[0], 0, size)
    for number, piece in enumerate(pieces[1:-1], 1):
        assert reader.add(1, count - number, piece, 0, size) is None
        area = reader._open[1].area
        assert area is None or len(area) <= 2 * max((number + 1) * size, 4 << 20)
    header, whole = reader.add(1, 1, pieces[-1], 0, size)
    assert (header, reader.pending) == ("header", 1)
    assert whole == b"".join(pieces)
    assert reader._open[2].area is None
