"""A program that is owned ends with its input, when told to, and without ceremony when it does not end."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

import gevent
import pytest
from gevent.event import AsyncResult

from pyerlnode.port.owner import run_until_stdin_closes


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    with suppress(OSError):  # a test may have closed it
        os.close(writing)
    os.close(reading)


def begin(reading: int, grace: float = 60.0, overdue: Callable[[], None] = lambda: None) -> gevent.Greenlet:
    running = gevent.spawn(run_until_stdin_closes, grace, descriptor=reading, overdue=overdue)
    gevent.idle()
    return running


def test_it_ends_when_the_input_does(pipe: tuple[int, int]) -> None:
    running = begin(pipe[0], 0.0)
    os.write(pipe[1], b"noise\nmore noise")
    assert not running.ready()
    os.close(pipe[1])
    running.get(timeout=5)


def test_it_ends_at_a_line_that_says_stop_in_whatever_pieces(pipe: tuple[int, int]) -> None:
    running = begin(pipe[0], 0.0)
    for piece in (b"stopped\nst", b"op", b"\n"):
        os.write(pipe[1], piece)
    running.get(timeout=5)


def test_what_does_not_end_in_time_is_ended(pipe: tuple[int, int]) -> None:
    late: AsyncResult = AsyncResult()
    tell = gevent.get_hub().loop.async_()
    tell.start(late.set)
    running = begin(pipe[0], 0.0, tell.send)
    os.write(pipe[1], b"stop\n")
    running.get(timeout=5)
    late.get(timeout=5)
    tell.close()
