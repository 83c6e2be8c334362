"""A program that is owned ends with its input, when told to, and without ceremony when it does not end."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest
from gevent.event import AsyncResult

from pyerlnode.port.owner import run_until_stdin_closes
from pyerlnode.testing.patience import patience


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
    running.get(timeout=patience())


def test_it_ends_at_a_line_that_says_stop_in_whatever_pieces(pipe: tuple[int, int]) -> None:
    running = begin(pipe[0], 0.0)
    for piece in (b"stopped\nst", b"op", b"\n"):
        os.write(pipe[1], piece)
    running.get(timeout=patience())


def test_what_does_not_end_in_time_is_ended(pipe: tuple[int, int]) -> None:
    late: AsyncResult = AsyncResult()
    tell = gevent.get_hub().loop.async_()
    tell.start(late.set)
    running = begin(pipe[0], 0.0, tell.send)
    os.write(pipe[1], b"stop\n")
    running.get(timeout=patience())
    late.get(timeout=patience())
    tell.close()


NODE = """
import sys
from pyerlnode import Node

with Node("owned@127.0.0.1", cookie="secret", epmd="none") as node:
    try:  # the signal may come as soon as the line is out
        print("up", sys.argv[1:], __name__, flush=True)
        node.receive()
    finally:
        print("leaves", flush=True)
"""


@pytest.mark.parametrize("how", ["script", "module"])
def test_a_program_that_knows_nothing_of_its_owner_ends_with_its_input(tmp_path: Path, how: str) -> None:
    (tmp_path / "owned_program.py").write_text(NODE)
    program = ["-m", "owned_program"] if how == "module" else [str(tmp_path / "owned_program.py")]
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    ran = subprocess.Popen(
        [sys.executable, "-m", "pyerlnode.port.owner", *program, "one", "two"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert ran.stdin is not None
    assert ran.stdout is not None
    with ran.stdin, ran.stdout:
        assert ran.stdout.readline() == "up ['one', 'two'] __main__\n"
        ran.stdin.close()
        assert ran.stdout.read() == "leaves\n"
    assert ran.wait(patience()) == 0


def test_what_can_not_be_run_is_said() -> None:
    ran = subprocess.run([sys.executable, "-m", "pyerlnode.port.owner"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr[:6]) == (1, "usage:")
