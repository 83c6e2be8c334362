"""`testing.channel`: frames over two pipes. The other end is a few lines of this file instead of a BEAM."""

import os
from collections.abc import Iterator

import gevent
import pytest

from pyerlnode.etf import decode, encode
from pyerlnode.term.atom import A
from pyerlnode.testing.channel import Channel
from pyerlnode.testing.errors import BeamDown, BeamError, BeamTimeout
from pyerlnode.testing.patience import patience


class FarEnd:
    """What the agent would do, by hand."""

    def __init__(self) -> None:
        self.read, write = os.pipe()
        read, self.write = os.pipe()
        self.channel = Channel(read, write)

    def take(self) -> tuple[int, object]:
        size = int.from_bytes(os.read(self.read, 4), "big")
        frame = b""
        while len(frame) < size:
            frame += os.read(self.read, size - len(frame))
        return int.from_bytes(frame[:4], "big"), decode(frame[4:])

    def say(self, data: bytes) -> None:
        os.write(self.write, data)

    def answer(self, number: int, answer: object) -> None:
        body = number.to_bytes(4, "big") + encode(answer)
        self.say(len(body).to_bytes(4, "big") + body)

    def close(self) -> None:
        self.channel.close()
        os.close(self.read)
        os.close(self.write)


@pytest.fixture
def far() -> Iterator[FarEnd]:
    end = FarEnd()
    yield end
    end.close()


def test_the_greeting_is_found_behind_other_output_and_names_the_version(far: FarEnd) -> None:
    far.say(b"a banner of some shell\n\0\0\0\x0epyerlnode:15.1")
    assert far.channel.hello(1) == "15.1"


def test_a_greeting_that_comes_byte_by_byte_is_a_greeting(far: FarEnd) -> None:
    def dribble() -> None:
        for byte in b"\0\0\0\x0epyerlnode:15.1":
            far.say(bytes([byte]))
            gevent.sleep()

    gevent.spawn(dribble)
    assert far.channel.hello(2) == "15.1"


def test_a_greeting_that_does_not_come_is_a_time_out(far: FarEnd) -> None:
    with pytest.raises(BeamTimeout):
        far.channel.hello(0.01)


def test_answers_are_matched_by_number_whatever_their_order(far: FarEnd) -> None:
    jobs = [gevent.spawn(far.channel.request, A[name], 5) for name in ("one", "two")]
    gevent.idle()
    asked = dict([far.take(), far.take()])
    for number in sorted(asked, reverse=True):
        far.answer(number, (A.ok, asked[number]))
    gevent.joinall(jobs, timeout=patience(), raise_error=True)
    assert [job.value for job in jobs] == [A.one, A.two]


def test_an_exception_there_is_an_error_here(far: FarEnd) -> None:
    job = gevent.spawn(far.channel.request, A.do, 5)
    gevent.idle()
    number, _ = far.take()
    far.answer(number, (A.throw, (A.why, 1), "stack", "{why,1}"))
    with pytest.raises(BeamError, match=r"throw on the BEAM: \{why,1\}") as caught:
        job.get(timeout=patience())
    assert (caught.value.kind, caught.value.reason, caught.value.stack) == ("throw", (A.why, 1), "stack")


def test_a_late_answer_is_nobody_elses(far: FarEnd) -> None:
    with pytest.raises(BeamTimeout):
        far.channel.request(A.slow, 0.01)
    number, _ = far.take()
    far.answer(number, (A.ok, A.late))
    job = gevent.spawn(far.channel.request, A.next, 5)
    gevent.idle()
    again, _ = far.take()
    far.answer(again, (A.ok, A.right))
    assert job.get(timeout=patience()) is A.right


def test_a_request_larger_than_the_pipe_goes_through_while_it_is_read(far: FarEnd) -> None:
    job = gevent.spawn(far.channel.request, b"x" * 1_000_000, 10)
    gevent.idle()
    os.set_blocking(far.read, True)
    reader = gevent.get_hub().threadpool.spawn(far.take)
    number, request = reader.get(timeout=patience())
    assert request == b"x" * 1_000_000
    far.answer(number, (A.ok, A.done))
    assert job.get(timeout=patience()) is A.done


def test_a_beam_that_does_not_read_is_a_time_out(far: FarEnd) -> None:
    with pytest.raises(BeamTimeout, match="did not take a request"):
        far.channel.request(b"x" * 1_000_000, 0.05)


def test_the_end_of_the_pipe_ends_who_waits() -> None:
    far = FarEnd()
    job = gevent.spawn(far.channel.request, A.do, 5)
    gevent.idle()
    os.close(far.write)
    with pytest.raises(BeamDown):
        job.get(timeout=patience())
    with pytest.raises(BeamDown):
        far.channel.request(A.do, 5)
    far.channel.close()
    os.close(far.read)


def test_a_closed_channel_says_so() -> None:
    far = FarEnd()
    far.close()
    with pytest.raises(BeamDown):
        far.channel.request(A.do, 1)
