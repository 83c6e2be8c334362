"""Frames: the same however the bytes are cut, within the limit."""

import random

import pytest

from pyerlnode.dist.framing import FrameReader
from pyerlnode.errors import ProtocolError

BODIES = [b"", b"a", b"bc" * 10, b"", b"x" * 5000, b"y"]
STREAM = b"".join(len(body).to_bytes(4, "big") + body for body in BODIES)


def cut(reader, pieces):
    frames = []
    for piece in pieces:
        reader.feed(piece, frames)
    return [data[start:end] for data, start, end in frames]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 64, 4999, 100_000])
def test_frames_are_the_same_however_the_bytes_are_cut(step):
    reader = FrameReader(10_000)
    assert cut(reader, [STREAM[at : at + step] for at in range(0, len(STREAM), step)]) == BODIES
    assert reader.pending == 0


def test_frames_are_the_same_for_random_cuts():
    chance = random.Random(5)
    for _ in range(300):
        at, pieces = 0, []
        while at < len(STREAM):
            size = chance.choice((0, 1, 3, 4, 7, 2000))
            pieces.append(STREAM[at : at + size])
            at += size
        assert cut(FrameReader(10_000), pieces) == BODIES


def test_whole_frames_are_not_copied():
    frames = []
    FrameReader(10_000).feed(STREAM, frames)
    assert all(data is STREAM for data, _, _ in frames)


@pytest.mark.parametrize("step", [1, 3, 4, 100])
def test_a_frame_above_the_limit_is_refused_as_soon_as_its_length_is_known(step):
    data = STREAM + b"\0\0\x27\x11" + b"z" * 50
    reader, frames = FrameReader(10_000), []
    pieces = [data[at : at + step] for at in range(0, len(data), step)]

    def feed_all():
        for piece in pieces:
            reader.feed(piece, frames)

    with pytest.raises(ProtocolError, match=r"10001 bytes; the limit is 10000"):
        feed_all()
    assert len(frames) == len(BODIES)


def test_the_end_of_a_frame_is_told_while_the_next_has_begun():
    reader = FrameReader(100)
    assert cut(reader, [b"\0\0\0\x02ab\0\0"]) == [b"ab"]
    assert reader.pending == 2
