"""The proxy with faults, between two sockets of this process."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyerlnode.testing import corpus
from pyerlnode.testing.corpus import Recording
from pyerlnode.testing.patience import patience
from pyerlnode.testing.proxy import DOWN, UP, Proxy
from pyerlnode.testing.waiting import wait_for


class Line:
    """A client and a server with the proxy between."""

    def __init__(self, wire: Proxy, listener: socket.socket) -> None:
        self.wire, self.listener = wire, listener
        self.client = socket.create_connection(wire.address, timeout=patience())
        self.server, _ = listener.accept()
        self.server.settimeout(patience())

    def close(self) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture
def line(recording: Recording) -> Iterator[Line]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(patience())
        with Proxy(listener.getsockname(), recording=recording) as wire:
            made = Line(wire, listener)
            yield made
            made.close()


def read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def is_refused(address: tuple[str, int]) -> bool:
    """Whether a connection there is closed without a byte; the reset may come before it is even reported open."""
    try:
        with socket.create_connection(address, timeout=patience()) as sock:
            return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_bytes_go_both_ways_in_order(line: Line) -> None:
    line.client.sendall(b"question")
    assert read(line.server, 8) == b"question"
    line.server.sendall(b"answer")
    assert read(line.client, 6) == b"answer"
    wait_for(lambda: line.wire.passed == {UP: 8, DOWN: 6})
    assert line.wire.connections == 1


def test_many_bytes_come_whole_through_a_proxy_that_dribbles(line: Line) -> None:
    line.wire.dribble(1000)
    data = bytes(range(256)) * 2000
    sender = threading.Thread(target=line.client.sendall, args=(data,))
    sender.start()
    assert read(line.server, len(data)) == data
    sender.join(patience())


def test_a_dribble_is_seen_as_single_bytes(line: Line) -> None:
    line.wire.dribble(1)
    line.client.sendall(b"abcdef")
    assert line.server.recv(1) == b"a"
    assert read(line.server, 5) == b"bcdef"


def test_a_delay_keeps_the_order(line: Line) -> None:
    line.wire.delay(0.1)
    start = time.monotonic()
    line.client.sendall(b"a")
    line.client.sendall(b"b")
    assert read(line.server, 2) == b"ab"
    assert time.monotonic() - start >= 0.1


def test_a_line_on_hold_says_nothing_and_loses_nothing(line: Line) -> None:
    line.wire.hold()
    line.client.sendall(b"later")
    line.server.settimeout(0.1)
    with pytest.raises(TimeoutError):
        line.server.recv(1)
    line.server.settimeout(patience())
    line.wire.release()
    assert read(line.server, 5) == b"later"


def test_one_direction_can_be_on_hold_alone(line: Line) -> None:
    line.wire.hold((DOWN,))
    line.client.sendall(b"up")
    assert read(line.server, 2) == b"up"
    line.server.sendall(b"down")
    line.client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        line.client.recv(1)


def test_a_cut_resets_both_ends_and_the_next_connection_stands(line: Line) -> None:
    line.client.sendall(b"x")
    assert read(line.server, 1) == b"x"
    assert line.wire.cut() == 1
    for end in (line.client, line.server):
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    again = Line(line.wire, line.listener)
    again.client.sendall(b"y")
    assert read(again.server, 1) == b"y"
    again.close()


def test_one_byte_is_corrupted_once(line: Line) -> None:
    line.wire.corrupt(UP, skip=3, mask=0x20)
    line.client.sendall(b"ab")
    assert read(line.server, 2) == b"ab"
    line.client.sendall(b"cdef")
    assert read(line.server, 4) == b"cDef"


def test_the_end_of_one_direction_is_passed_on_after_its_bytes(line: Line) -> None:
    line.client.sendall(b"last")
    line.client.shutdown(socket.SHUT_WR)
    assert read(line.server, 10) == b"last"
    line.server.sendall(b"still")
    assert read(line.client, 5) == b"still"


def test_a_refusal_closes_new_connections_and_leaves_old_ones(line: Line) -> None:
    line.wire.refuse()
    assert is_refused(line.wire.address)
    line.client.sendall(b"x")
    assert read(line.server, 1) == b"x"


def test_a_target_that_is_not_there_is_a_reset(line: Line) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with Proxy(nobody.getsockname()) as wire:
            assert is_refused(wire.address)


def test_a_session_is_saved_and_read_back(line: Line, recording: Recording, tmp_path: Path) -> None:
    line.client.sendall(b"question")
    read(line.server, 8)
    line.server.sendall(b"answer")
    read(line.client, 6)
    recording.save(tmp_path / "a.session", about="a test")
    [session] = corpus.load(tmp_path / "a.session")
    assert session.chunks == [(UP, b"question"), (DOWN, b"answer")]
    assert session.sent(UP) == b"question"
    assert session == recording.sessions()[0]


def test_a_file_that_is_no_session_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "b.session").write_text("[]\n")
    with pytest.raises(ValueError, match="no recorded session"):
        corpus.load(tmp_path / "b.session")
