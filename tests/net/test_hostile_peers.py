"""What strangers do to the port of a node: garbage at any byte, silence, crowds, one byte at a time, half a goodbye."""

import os
import random
import re
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.queue import Queue

from pyerlnode.dist.flags import HIDDEN_FLAGS, VISIBLE_FLAGS
from pyerlnode.dist.handshake import Initiator, OwnIdentity, Status
from pyerlnode.errors import ConnectError
from pyerlnode.limits import Limits
from pyerlnode.net import tcp
from pyerlnode.net.connector import connect
from pyerlnode.net.listener import Listener, Reception
from pyerlnode.testing.patience import patience

pytestmark = pytest.mark.usefixtures("nothing_left")

PY = OwnIdentity("py@127.0.0.1", 7, HIDDEN_FLAGS)
APP = OwnIdentity("app@127.0.0.1", 9, VISIBLE_FLAGS)
CROWD = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 2_500
ROOT = Path(__file__).resolve().parents[2] / "pyerlnode"


class Door:
    def __init__(self, setup_time: float = 0.5, limits: Limits | None = None) -> None:
        self.came: Queue[Any] = Queue()
        self.listener = Listener("127.0.0.1", limits=limits or Limits(), setup_time=setup_time)
        self.at = ("127.0.0.1", self.listener.port)
        self.listener.start(
            Reception(APP, lambda *_: Status.OK, lambda _: "secret", lambda *found: self.came.put(found))
        )

    def is_open(self) -> bool:
        """A real peer still gets in."""
        connect(APP.name, own=PY, cookie="secret", epmd=self.at, setup_time=5.0)[0].close()
        self.came.get()[0].close()
        return True


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    with gevent.Timeout(patience()):
        yield made
    made.listener.stop()


def closed(sock: Any) -> bool:
    """Reads to the end of the stream."""
    try:
        while sock.recv(4096):
            pass
    except OSError:
        pass
    return True


def hello() -> bytes:
    return Initiator(PY, APP.name, "secret", 1).data_to_send()


@pytest.mark.parametrize("seed", range(40))
def test_garbage_at_any_byte_of_the_handshake_ends_that_connection_alone(door: Door, seed: int) -> None:
    chance = random.Random(seed)
    honest = hello()
    cut = chance.randrange(len(honest) + 1)
    data = honest[:cut] + chance.randbytes(chance.randrange(1, 200))
    with tcp.dial(*door.at, 5.0) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert closed(sock)
    assert door.is_open()


def test_garbage_after_the_challenge_is_refused(door: Door) -> None:
    for answer in (b"\0\0", b"\xff\xff", b"\0\x15r" + bytes(20), b"\0\x01x", b"\0\x15r" + bytes(5)):
        with tcp.dial(*door.at, 5.0) as sock:
            sock.sendall(hello())
            sock.recv(4096)
            sock.sendall(answer)
            sock.shutdown(socket.SHUT_WR)
            assert closed(sock)
    assert door.is_open()


@pytest.fixture
def crowd() -> Iterator[int]:
    """How many strangers fit into this process: `CROWD`, or what the hard limit of open files leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = CROWD + 1_000
    limit = enough if hard == resource.RLIM_INFINITY else min(hard, enough)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    yield min(CROWD, limit - 600)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_crowd_that_says_nothing_is_bounded_and_keeps_nobody_out(crowd: int) -> None:
    door = Door(setup_time=60.0)
    bound = Limits().pending_handshakes
    strangers: list[Any] = []
    most = 0
    with gevent.Timeout(patience()):
        for number in range(crowd):
            strangers.append(tcp.dial(*door.at, 30.0))
            most = max(most, door.listener.pending)
            if number % (crowd // 5) == crowd // 10:
                assert door.is_open()
        while door.listener.pending > bound:
            gevent.idle()
        assert door.is_open()
        assert door.listener.pending <= bound >= most
        held = sum(caller.sock.fileno() >= 0 for caller in door.listener._admission.guests)
        assert held <= bound
    for sock in strangers:
        sock.close()
    door.listener.stop()


def test_a_crowd_that_stays_silent_is_gone_at_the_setup_time() -> None:
    door = Door(setup_time=0.3)
    with gevent.Timeout(patience()):
        strangers = [tcp.dial(*door.at, 5.0) for _ in range(100)]
        assert all(map(closed, strangers))
        while door.listener.pending:
            gevent.sleep(0.001)
        assert door.is_open()
    for sock in strangers:
        sock.close()
    door.listener.stop()


def test_the_silent_and_the_slow_are_closed_at_the_setup_time() -> None:
    door = Door(setup_time=0.1)
    with gevent.Timeout(patience()), tcp.dial(*door.at, 5.0) as silent, tcp.dial(*door.at, 5.0) as slow:
        try:
            for byte in hello():  # byte by byte: no time is gained by it
                slow.sendall(bytes((byte,)))
                gevent.sleep(0.01)
        except OSError:
            pass
        assert closed(slow)
        assert closed(silent)
        assert door.is_open()
    door.listener.stop()


def test_a_peer_that_is_dialled_and_talks_garbage_is_a_clear_error() -> None:
    for seed in range(10):
        listening = tcp.listen("127.0.0.1")

        def answer(listening: Any = listening, seed: int = seed) -> None:
            sock, _ = listening.accept()
            with sock:
                sock.sendall(random.Random(seed).randbytes(100))
                closed(sock)

        job = gevent.spawn(answer)
        with gevent.Timeout(patience()), pytest.raises(ConnectError) as caught:
            connect(APP.name, own=PY, cookie="secret", epmd=listening.getsockname(), setup_time=1.0)
        assert "\n" not in str(caught.value)
        job.join()
        listening.close()


def test_no_deadline_looks_at_a_clock_that_can_jump() -> None:
    for room in ("net", "dist", "kernel"):
        for path in (ROOT / room).rglob("*.py"):
            if path.name == "epmd_server.py":  # creations begin at the date, as the real EPMD's
                continue
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\btime\.time\(|datetime\.now\(|from time import .*\btime\b", text), path
