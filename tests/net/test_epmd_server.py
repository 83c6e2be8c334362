"""The embedded EPMD over real sockets: what the register decides is done, and all of it ends."""

import socket
from collections.abc import Iterator

import gevent
import pytest
from gevent.socket import socket as Socket

from pyerlnode.dist.epmd import NodeEntry, alive_request, kill_request, names_request, port_please_request
from pyerlnode.errors import EpmdError
from pyerlnode.net import tcp
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.net.epmd_server import EVERYWHERE, LOOPBACK, EpmdServer, addresses_for
from pyerlnode.testing.patience import patience

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def server() -> Iterator[EpmdServer]:
    with gevent.Timeout(patience()), EpmdServer(0) as server:
        yield server


def client(server: EpmdServer) -> Socket:
    return tcp.dial("127.0.0.1", server.port, 5.0)


def test_every_answer_is_closed_by_the_server(server: EpmdServer) -> None:
    for request in (names_request(), port_please_request("x"), b"\0\1d", b"\0\0"):
        with client(server) as sock:
            sock.sendall(request)
            while sock.recv(4096):
                pass


def test_a_registration_ends_with_its_socket_and_with_any_byte_on_it(server: EpmdServer) -> None:
    for ending in (b"", b"x"):
        sock = client(server)
        sock.sendall(alive_request(NodeEntry("a", 1)))
        assert sock.recv(4096)[:2] == b"v\0"
        assert server.core.names == {"a": 1}
        if ending:
            sock.sendall(ending)
            assert sock.recv(1) == b""
        sock.close()
        while server.core.names:
            gevent.idle()


def test_a_silent_client_is_closed_after_the_idle_time() -> None:
    with gevent.Timeout(patience()), EpmdServer(0, idle_time=0.02) as server, client(server) as sock:
        assert sock.recv(1) == b""


def test_clients_above_the_bound_are_closed_oldest_first() -> None:
    with (
        gevent.Timeout(patience()),
        EpmdServer(0, max_connections=1) as server,
        client(server) as first,
        client(server) as second,
    ):
        assert first.recv(1) == b""
        second.sendall(names_request())
        assert second.recv(4) == server.port.to_bytes(4, "big")


def test_kill_ends_the_server(server: EpmdServer) -> None:
    with client(server) as sock:
        sock.sendall(kill_request())
        assert sock.recv(2) == b"OK"
    assert server.stopped.wait(patience())
    assert not Epmd(server.port).is_running()


def test_stop_ends_registrations_and_may_be_called_twice() -> None:
    server = EpmdServer(0).start()
    sock, _ = Epmd(server.port).register(NodeEntry("a", 1))
    server.stop()
    assert sock.recv(1) == b""
    sock.close()
    server.stop()
    assert server.stopped.is_set()


def test_a_taken_port_is_a_clear_error(server: EpmdServer) -> None:
    with pytest.raises(EpmdError, match=r"the embedded EPMD can not start: .*Address already in use"):
        EpmdServer(server.port)


def test_it_listens_where_the_name_of_the_node_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ERL_EPMD_ADDRESS", raising=False)
    assert addresses_for("127.0.0.1") == LOOPBACK
    assert addresses_for("10.0.0.1") == EVERYWHERE
    monkeypatch.setenv("ERL_EPMD_ADDRESS", "10.0.0.1, 127.0.0.1")
    assert addresses_for("box") == ("127.0.0.1", "::1", "10.0.0.1")


def test_it_answers_on_both_loopbacks_where_there_are_two(server: EpmdServer) -> None:
    assert {sock.family for sock in server._listening} <= {socket.AF_INET, socket.AF_INET6}
    for sock in server._listening:
        assert Epmd(server.port).names(sock.getsockname()[0]) == []
