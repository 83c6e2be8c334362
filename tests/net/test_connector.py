"""Connector and listener against each other, and against peers that do not play by the rules."""

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.queue import Queue
from machine import needs_ipv6

from pyerlnode.dist.epmd import NodeEntry
from pyerlnode.dist.flags import HIDDEN_FLAGS, VISIBLE_FLAGS, DistFlags
from pyerlnode.dist.handshake import Initiator, OwnIdentity, PeerInfo, Status
from pyerlnode.errors import BadName, ConnectError, UsageError
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.net import tcp
from pyerlnode.net.connector import check_addresses, connect
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.net.epmd_server import EpmdServer
from pyerlnode.net.listener import Listener, Reception
from pyerlnode.testing.epmd import free_port
from pyerlnode.testing.patience import patience

pytestmark = pytest.mark.usefixtures("nothing_left")

PY = OwnIdentity("py@127.0.0.1", 7, HIDDEN_FLAGS)
APP = OwnIdentity("app@127.0.0.1", 9, VISIBLE_FLAGS)


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    with gevent.Timeout(patience()):
        yield


class Door:
    """A listener, and what comes in by it."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS, setup_time: float = 5.0, **options: Any) -> None:
        self.came: Queue[tuple[socket.socket, PeerInfo, bytes]] = Queue()
        self.failed: Queue[tuple[str, str]] = Queue()
        self.listener = Listener("127.0.0.1", limits=limits, setup_time=setup_time)
        self.at = ("127.0.0.1", self.listener.port)
        options = {"decide": lambda *_: Status.OK, "cookie_for": lambda _: "secret", **options}
        self.listener.start(
            Reception(
                APP,
                on_connection=lambda *found: self.came.put(found),
                on_failure=lambda name, error: self.failed.put((name, error.reason)),
                **options,
            )
        )

    def __enter__(self) -> "Door":
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.stop()


def refusal(name: str = APP.name, *, own: OwnIdentity = PY, cookie: str = "secret", **options: Any) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        connect(name, own=own, cookie=cookie, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.node == name
    return caught.value


def serve(act: Callable[[Any], None]) -> tuple[tuple[str, int], gevent.Greenlet]:
    """A port on which one connection is treated by `act`."""
    listening = tcp.listen("127.0.0.1")

    def run() -> None:
        with listening:
            sock, _ = listening.accept()
            with sock:
                act(sock)

    return listening.getsockname(), gevent.spawn(run)


def test_both_sides_get_a_plain_socket_and_each_others_name() -> None:
    with Door() as door:
        ours, app, _ = connect(APP.name, own=PY, cookie="secret", epmd=door.at)
        theirs, py, _ = door.came.get()
        with ours, theirs:
            assert type(ours) is type(theirs) is socket.socket
            assert (app.name, py.name) == (APP.name, PY.name)
            assert (app.flags, py.flags) == (HIDDEN_FLAGS, HIDDEN_FLAGS)
            assert not ours.getblocking()
            assert ours.send(b"x") == 1
        assert door.listener.pending == 0


def test_the_port_comes_from_epmd_or_from_a_map() -> None:
    with Door() as door, EpmdServer(0) as server:
        epmd = Epmd(server.port)
        sock, _ = epmd.register(NodeEntry("app", door.listener.port))
        for where in (epmd, {APP.name: door.at}):
            connect(APP.name, own=PY, cookie="secret", epmd=where)[0].close()
            door.came.get()[0].close()
        sock.close()


def test_all_peers_may_have_one_port_and_a_callable_may_say_where_each_is() -> None:
    with Door() as door:
        port = door.at[1]
        wheres: list[Any] = [port, {APP.name: port}, {APP.name: door.at}.get, {APP.name: port}.__getitem__]
        for where in wheres:
            connect(APP.name, own=PY, cookie="secret", epmd=where)[0].close()
            door.came.get()[0].close()


def boom(_name: str) -> tuple[str, int]:
    raise RuntimeError("the directory is closed")


@pytest.mark.parametrize(
    ("where", "reason", "says"),
    [
        ({}, "unknown_node", "is not in the map of addresses, and this node asks no EPMD"),
        (lambda name: None, "unknown_node", "is not known to `addresses`"),
        (boom, "unknown_node", "the directory is closed"),
        (lambda name: "app", "unknown_host", "give (host, port), or a port"),
        (lambda name: ("h", "4370"), "unknown_host", "give (host, port), or a port"),
        ({APP.name: 70000}, "unknown_host", "give (host, port), or a port"),
        ({APP.name: True}, "unknown_host", "give (host, port), or a port"),
    ],
)
def test_an_address_that_can_not_be_had_is_told_in_one_line(where: Any, reason: str, says: str) -> None:
    error = refusal(epmd=where)
    assert error.reason == reason
    assert says in str(error)


@pytest.mark.parametrize("addresses", [0, 70000, True, "app@127.0.0.1", [("a", 1)], 4370.0])
def test_what_can_not_be_addresses_is_refused_at_once(addresses: Any) -> None:
    with pytest.raises(UsageError, match="addresses="):
        check_addresses(addresses)


def test_a_node_that_epmd_knows_with_version_5_is_greeted_with_it() -> None:
    with Door() as door, EpmdServer(0) as server:
        epmd = Epmd(server.port)
        sock, _ = epmd.register(NodeEntry("app", door.listener.port, highest=5))
        connect(APP.name, own=PY, cookie="secret", epmd=epmd)[0].close()
        theirs, py, _ = door.came.get()
        theirs.close()
        sock.close()
        assert (py.creation, py.flags) == (7, HIDDEN_FLAGS)


def test_versions_that_do_not_meet_are_a_clear_error() -> None:
    with EpmdServer(0) as server:
        sock, _ = Epmd(server.port).register(NodeEntry("app", 1, highest=4, lowest=1))
        error = refusal(epmd=Epmd(server.port))
        sock.close()
    assert error.reason == "protocol"
    assert "speaks versions 1..4" in str(error)


def test_what_can_not_be_reached_is_told_by_one_word() -> None:
    closed = free_port()
    with EpmdServer(0) as server:
        error = refusal(epmd=Epmd(server.port))
        assert error.reason == "unknown_node"
        assert f"no node app is registered at EPMD 127.0.0.1:{server.port}" in str(error)
    assert refusal(epmd=Epmd(closed)).reason == "no_epmd"
    assert refusal(epmd=("127.0.0.1", closed)).reason == "refused"
    assert refusal(epmd={}).reason == "unknown_node"
    assert refusal("app@a..b", own=PY, epmd=Epmd(closed)).reason == "unknown_host"
    assert refusal(PY.name, epmd=Epmd(closed)).reason == "self"


def test_a_bad_name_and_a_short_one_are_refused_before_anything_is_asked() -> None:
    for name in ("app", "app@box"):
        with pytest.raises(BadName):
            connect(name, own=PY, cookie="secret", epmd={})


def test_a_wrong_cookie_is_told_on_both_sides_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    with Door() as door:
        error = refusal(cookie="grandma", epmd=door.at)
        assert door.failed.get() == (PY.name, "bad_cookie")
    assert error.reason == "bad_cookie"
    assert str(error) == (
        "app@127.0.0.1 closed the connection during the cookie check: "
        "its cookie differs from ours (give cookie=… or --cookie)"
    )
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "pyerlnode.net")
    assert record.getMessage().endswith("py@127.0.0.1 was refused: its cookie differs from ours")
    assert "grandma" not in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("status", [Status.NOK, Status.NOT_ALLOWED])
def test_a_refusing_status_reaches_the_other_side(status: Status) -> None:
    with Door(decide=lambda *_: status) as door:
        assert refusal(epmd=door.at).reason == status.value
        while door.listener.pending:
            gevent.idle()
        assert door.failed.empty(), "who decided knows it already"


def test_a_peer_that_was_let_in_and_goes_away_is_told_to_who_decided() -> None:
    gone = [OwnIdentity("a@127.0.0.1", 1, HIDDEN_FLAGS), OwnIdentity("b@127.0.0.1", 1, HIDDEN_FLAGS)]
    with Door() as door:
        for own in gone:
            hello = Initiator(own, APP.name, "secret", 1).data_to_send()
            with tcp.dial(*door.at, 5.0) as sock:
                sock.sendall(hello)
                assert sock.recv(5) == b"\0\3sok"
        assert {door.failed.get(), door.failed.get()} == {(own.name, "closed") for own in gone}


@needs_ipv6
def test_nodes_meet_over_ipv6() -> None:
    own, app = OwnIdentity("py@::1", 7, HIDDEN_FLAGS), OwnIdentity("app@::1", 9, HIDDEN_FLAGS)
    came: Queue[socket.socket] = Queue()
    listener = Listener("::1")
    listener.start(Reception(app, lambda *_: Status.OK, lambda _: "secret", lambda sock, *_: came.put(sock)))
    with EpmdServer(0) as server:
        held, _ = Epmd(server.port).register(NodeEntry("app", listener.port))
        sock, peer, _ = connect(app.name, own=own, cookie="secret", epmd=Epmd(server.port))
        assert (peer.name, sock.family) == (app.name, socket.AF_INET6)
        sock.close()
        came.get().close()
        held.close()
    listener.stop()


def test_the_old_connection_is_gone_before_the_new_one_is_up() -> None:
    asked, gone = Event(), Event()

    def replace(name: str) -> None:
        asked.set()
        gone.wait()

    with Door(decide=lambda *_: Status.ALIVE, replace=replace) as door:
        attempt = gevent.spawn(connect, APP.name, own=PY, cookie="secret", epmd=door.at)
        asked.wait()
        assert not attempt.ready()
        gone.set()
        attempt.get()[0].close()
        door.came.get()[0].close()


def test_a_node_may_ask_its_peer_for_a_name() -> None:
    own = OwnIdentity("undefined@127.0.0.1", 0, HIDDEN_FLAGS | DistFlags.NAME_ME)
    with Door(give_name=lambda host: (f"guest@{host}", 42)) as door:
        sock, peer, _ = connect(APP.name, own=own, cookie="secret", epmd=door.at)
        sock.close()
        assert (peer.own_name, peer.own_creation) == ("guest@127.0.0.1", 42)
        theirs, guest, _ = door.came.get()
        theirs.close()
        assert (guest.name, guest.creation) == ("guest@127.0.0.1", 42)


# --- peers that do not play by the rules -------------------------------------------------------
class Silent:
    """A socket to a peer that never says anything, whose time-outs are over at once."""

    def __init__(self) -> None:
        self.waited: list[float | None] = []
        self.closed = False

    def settimeout(self, seconds: float | None) -> None:
        self.waited.append(seconds)

    def sendall(self, data: bytes) -> None:
        assert data

    def recv(self, size: int) -> bytes:
        raise TimeoutError

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Silent:
    found = Silent()
    monkeypatch.setattr(tcp, "dial", lambda *_, **__: found)
    return found


def test_a_peer_that_says_nothing_ends_in_a_timeout(silent: Silent) -> None:
    error = refusal(epmd=("127.0.0.1", 1), setup_time=600.0)
    assert error.reason == "timeout"
    assert "app@127.0.0.1 did not answer within 600 s (we waited for its status)" in str(error)
    assert silent.closed


def test_the_time_for_all_steps_is_bounded_too(silent: Silent) -> None:
    assert refusal(epmd=("127.0.0.1", 1), setup_time=60_000.0, total_time=600.0).reason == "timeout"
    last = silent.waited[-1]
    assert last is not None
    assert 0 < last <= 600.0
    assert silent.closed


@pytest.mark.parametrize(("said", "reason"), [(b"", "closed"), (b"\0\0", "protocol"), (b"SSH-2.0-x\r\n", "protocol")])
def test_a_peer_that_is_no_node_is_told_as_such(said: bytes, reason: str) -> None:
    at, peer = serve(lambda sock: sock.sendall(said))
    assert refusal(epmd=at).reason == reason
    peer.join()


@pytest.mark.parametrize("said", [b"", b"\0", b"\0\0", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5000])
def test_a_stranger_at_the_door_is_closed_without_a_warning_and_told_of(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    with Door(on_stranger=told.append) as door:
        with tcp.dial(*door.at, 5.0) as sock:
            sock.sendall(said)
            sock.shutdown(socket.SHUT_WR)
            try:
                assert sock.recv(1) == b""
            except ConnectionResetError:
                pass  # closed with bytes unread
        while door.listener.pending:
            gevent.idle()
        assert door.failed.empty()
    assert told == ["127.0.0.1"]
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


def test_silent_connections_are_closed_after_the_setup_time() -> None:
    with Door(setup_time=0.02) as door, tcp.dial(*door.at, 5.0) as sock:
        assert sock.recv(1) == b""


def test_silent_connections_do_not_keep_a_peer_out() -> None:
    with Door(limits=Limits(pending_handshakes=3)) as door:
        silent = [tcp.dial(*door.at, 5.0) for _ in range(10)]
        connect(APP.name, own=PY, cookie="secret", epmd=door.at)[0].close()
        door.came.get()[0].close()
        assert door.listener.pending <= 3
        assert silent[0].recv(1) == b""
        for sock in silent:
            sock.close()


def test_stop_closes_the_port_and_the_handshakes_under_way() -> None:
    door = Door()
    with tcp.dial(*door.at, 5.0) as sock:
        while not door.listener.pending:
            gevent.idle()
        door.listener.stop()
        assert sock.recv(1) == b""
    assert door.listener.pending == 0
    assert refusal(epmd=door.at).reason == "refused"
    door.listener.stop()


def test_a_connection_that_came_before_start_waits_in_the_backlog() -> None:
    listener = Listener("127.0.0.1")
    attempt = gevent.spawn(connect, APP.name, own=PY, cookie="secret", epmd=("127.0.0.1", listener.port))
    came: Queue[socket.socket] = Queue()
    while not attempt.started:
        gevent.idle()
    listener.start(Reception(APP, lambda *_: Status.OK, lambda _: "secret", lambda sock, *_: came.put(sock)))
    attempt.get()[0].close()
    came.get().close()
    listener.stop()
