"""TLS under the distribution: two nodes' ends over real sockets, and peers that do not play by the rules."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from certificates import Authority
from gevent.event import Event
from gevent.queue import Queue

from pyerlnode.dist.channel import Channel
from pyerlnode.dist.flags import HIDDEN_FLAGS, VISIBLE_FLAGS
from pyerlnode.dist.handshake import OwnIdentity, PeerInfo, Status
from pyerlnode.errors import ConnectError
from pyerlnode.net import tls as tls_module
from pyerlnode.net.connection import Connection
from pyerlnode.net.connector import connect
from pyerlnode.net.listener import Listener, Reception
from pyerlnode.net.tls import TlsTransport
from pyerlnode.net.tls_options import Tls
from pyerlnode.signal import Message
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

PY = OwnIdentity("py@127.0.0.1", 7, HIDDEN_FLAGS)
APP = OwnIdentity("app@127.0.0.1", 9, VISIBLE_FLAGS)
P, Q = Pid(Atom(PY.name), 1, 0, 7), Pid(Atom(APP.name), 1, 0, 9)


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    with gevent.Timeout(patience()):
        yield


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class Door:
    """A listener with TLS (or without), and what comes in by it."""

    def __init__(self, tls: Any) -> None:
        self.came: Queue[tuple[Any, PeerInfo, bytes]] = Queue()
        self.listener = Listener("127.0.0.1", setup_time=5.0)
        self.at = ("127.0.0.1", self.listener.port)
        side = None if tls is None else Tls.of(tls).server
        self.listener.start(
            Reception(APP, lambda *_: Status.OK, lambda _: "secret", lambda *found: self.came.put(found), tls=side)
        )

    def __enter__(self) -> "Door":
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.stop()


class End:
    """A connection over what the handshakes left."""

    def __init__(self, transport: Any, peer: PeerInfo, leftover: bytes) -> None:
        self.got: list[Any] = []
        self.downs: list[Any] = []
        self.changed = Event()
        self.connection = Connection(transport, Channel(peer), deliver=self.deliver, on_down=self.on_down)
        self.connection.start(leftover)

    def deliver(self, signal: Any) -> None:
        self.got.append(signal.message)
        self.changed.set()

    def on_down(self, _connection: Connection, reason: Any) -> None:
        self.downs.append(reason)
        self.changed.set()

    def wait(self, condition: Any) -> None:
        while not condition():
            self.changed.wait()
            self.changed.clear()


def pair(authority: Authority, **more: Any) -> tuple[End, End]:
    options = authority.options(**more)
    with Door(options) as door:
        ours = connect(APP.name, own=PY, cookie="secret", epmd=door.at, tls=Tls.of(options).client)
        return End(*ours), End(*door.came.get())


def refusal(epmd: Any, tls: Any, name: str = APP.name) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        connect(
            name, own=PY, cookie="secret", epmd=epmd, setup_time=2.0, tls=None if tls is None else Tls.of(tls).client
        )
    assert "\n" not in str(caught.value)
    return caught.value


def told(caplog: pytest.LogCaptureFixture, words: str) -> None:
    wait_for(lambda: words in caplog.text, what=words)


@pytest.mark.parametrize("versions", [["tlsv1.2"], ["tlsv1.3"]])
def test_messages_of_every_size_arrive_in_order_both_ways(authority: Authority, versions: list[str]) -> None:
    left, right = pair(authority, versions=versions)
    sizes = [0, 1, 16_383, 16_384, 16_385, 70_000, 3_000_000, 5]
    for size in sizes:
        gevent.spawn(left.connection.send, Message(P, Q, b"x" * size))
        gevent.spawn(right.connection.send, Message(Q, P, b"y" * size))
    for end in (left, right):
        end.wait(lambda end=end: len(end.got) == len(sizes))
        assert sorted(map(len, end.got)) == sorted(sizes)
    assert left.connection.stats.bytes_in == right.connection.stats.bytes_out
    left.connection.close()
    right.wait(lambda: right.downs)
    assert (left.downs, right.downs) == ([A.disconnect], [A.connection_closed])


def test_what_was_queued_at_the_close_arrives(authority: Authority) -> None:
    left, right = pair(authority)
    left.connection.send(Message(P, Q, A.last))
    left.connection.close()
    right.wait(lambda: right.downs)
    assert (right.got, right.downs) == ([A.last], [A.connection_closed])


def test_a_peer_that_does_not_read_suspends_the_sender_and_records_stay_bounded(authority: Authority) -> None:
    left, right = pair(authority)
    right.connection.pause_reading()
    sender = gevent.spawn(left.connection.send, Message(P, Q, b"x" * 40_000_000))
    while not left.connection.stats.suspensions:
        gevent.idle()
    transport = left.connection._transport
    assert isinstance(transport, TlsTransport)
    assert len(transport._cipher) + transport._outgoing.pending < 400_000
    left.connection.tick_from_thread()  # finds a socket that is full, and does no harm
    right.connection.resume_reading()
    sender.join()
    right.wait(lambda: right.got)
    assert len(right.got[0]) == 40_000_000
    left.connection.close()
    right.wait(lambda: right.downs)


def test_a_tick_of_the_native_thread_is_a_record_of_its_own(authority: Authority) -> None:
    left, right = pair(authority)
    left.connection.tick_from_thread()
    left.connection.tick_from_thread()
    left.connection.send(Message(P, Q, A.after))
    right.wait(lambda: right.got)
    assert right.connection.stats.ticks_in == left.connection.stats.ticks_out > 0
    left.connection.close()
    right.wait(lambda: right.downs)


def test_a_plain_peer_is_refused_with_one_line_that_says_what_to_do(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with Door(authority.options()) as door:
        error = refusal(door.at, None)
    assert error.reason == "tls"
    assert "speaks TLS, and this node does not: give it tls=" in str(error)
    assert len(caplog.messages) == 1
    assert "does not speak TLS" in caplog.text
    assert "inet_tls" in caplog.text


def test_a_plain_door_is_a_clear_error_for_a_node_with_tls(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "pyerlnode.net")
    with Door(None) as door:
        error = refusal(door.at, authority.options())
    assert error.reason == "tls"
    assert "does it run with -proto_dist inet_tls?" in str(error)
    assert [text for text in caplog.messages if "the peer speaks TLS, and this node does not" in text]


def test_a_door_that_stays_mute_is_not_said_to_be_slow_at_tls(authority: Authority) -> None:
    tls = Tls.of(authority.options()).client
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(ConnectError) as caught:
        connect(APP.name, own=PY, cookie="secret", epmd=mute.getsockname(), setup_time=0.5, tls=tls)
    assert caught.value.reason == "timeout"
    assert "did not answer TLS in time: does it run with -proto_dist inet_tls?" in str(caught.value)


def test_a_probe_of_the_port_is_no_warning(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Door(authority.options()) as door:
        socket.create_connection(door.at).close()
        told(caplog, "closed the connection before it said anything")
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


NO_VERSION = ("it speaks no version of TLS that this node offers", "no version of TLS in common")
NO_CIPHER = ("it finds no cipher, curve or signature that both have", "no cipher in common that fits our certificate")
ONE, OTHER = {"versions": ["tlsv1.2"]}, {"versions": ["tlsv1.3"]}


@pytest.mark.parametrize(
    ("door", "own", "words", "found"),
    [
        (ONE, OTHER, *NO_VERSION),
        (OTHER, ONE, *NO_VERSION),
        (
            {**ONE, "ciphers": ["ECDHE-ECDSA-AES128-GCM-SHA256"]},
            {**ONE, "ciphers": ["ECDHE-ECDSA-AES256-GCM-SHA384"]},
            *NO_CIPHER,
        ),
        (ONE, {**ONE, "ciphers": ["ECDHE-RSA-AES256-GCM-SHA384"]}, *NO_CIPHER),
        (
            {**OTHER, "supported_groups": ["x25519"]},
            {**OTHER, "supported_groups": ["secp384r1"]},
            NO_CIPHER[0],
            "no group in common",
        ),
    ],
)
def test_two_that_do_not_fit_are_both_told_in_what(
    authority: Authority,
    caplog: pytest.LogCaptureFixture,
    door: dict[str, Any],
    own: dict[str, Any],
    words: str,
    found: str,
) -> None:
    with Door(authority.options(**door)) as here:
        error = refusal(here.at, authority.options(**own))
        told(caplog, found)
    assert error.reason == "tls"
    assert words in str(error)


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_a_certificate_that_has_expired_is_told_as_such_by_either_side(
    authority: Authority, caplog: pytest.LogCaptureFixture, version: str
) -> None:
    authority.issue("expired", days=-1)
    expired, good = authority.options("expired", versions=[version]), authority.options(versions=[version])
    with Door(expired) as door:
        assert "certificate was refused: certificate has expired" in str(refusal(door.at, good))
        told(caplog, "our certificate has expired")
    with Door(good) as door:
        assert "our certificate has expired" in str(refusal(door.at, expired))
        told(caplog, "certificate was refused: certificate has expired")


def test_a_chain_may_be_as_long_as_depth_says(authority: Authority) -> None:
    deep = str(authority.under("deep"))
    with Door({**authority.options(), "certfile": deep}) as door:
        error = refusal(door.at, authority.options(depth=0))
        assert "1 certificates stand between its own and a trusted one, the option depth allows 0" in str(error)
        connect(APP.name, own=PY, cookie="secret", epmd=door.at, tls=Tls.of(authority.options(depth=1)).client)[
            0
        ].close()
        door.came.get()[0].close()


def test_a_certificate_that_was_revoked_is_refused_and_told_as_such(tmp_path: Path) -> None:
    own = Authority(tmp_path)
    own.issue("bad")
    checking = own.options(crl_check="peer", crl_cache=own.revoke("bad"))
    with Door(own.options("bad")) as door:
        assert "certificate was refused: certificate revoked" in str(refusal(door.at, checking))
    with Door(checking) as door:
        assert "our certificate has been revoked" in str(refusal(door.at, own.options("bad")))
        connect(APP.name, own=PY, cookie="secret", epmd=door.at, tls=Tls.of(own.options()).client)[0].close()
        door.came.get()[0].close()


def test_the_host_to_ask_for_may_be_given_or_none_at_all(authority: Authority) -> None:
    authority.issue("elsewhere", ["DNS:elsewhere.example.com"])
    with Door(authority.options("elsewhere")) as door:
        for given in ("elsewhere.example.com", "disable"):
            tls = Tls.of(authority.options(server_name_indication=given)).client
            connect(APP.name, own=PY, cookie="secret", epmd=door.at, tls=tls)[0].close()
            door.came.get()[0].close()
        error = refusal(door.at, authority.options(server_name_indication="nowhere.example.com"))
        assert "not for the host nowhere.example.com" in str(error)


def test_of_several_certificates_the_one_that_fits_is_shown(authority: Authority) -> None:
    authority.issue("rsa", kind="rsa:2048")
    pairs = [{"certfile": authority.options(name)["certfile"]} for name in ("node", "rsa")]
    both = {name: value for name, value in authority.options().items() if name != "certfile"}
    with Door({**both, "certs_keys": pairs}) as door:
        for kind in ("ECDSA", "RSA"):
            tls = Tls.of(authority.options(ciphers=[f"ECDHE-{kind}-AES256-GCM-SHA384"])).client
            connect(APP.name, own=PY, cookie="secret", epmd=door.at, tls=tls)[0].close()
            door.came.get()[0].close()


class Dripping:
    """A socket from which a record comes byte by byte, one in 0.3 s of a clock of its own."""

    def __init__(self, record: bytes) -> None:
        self.now = 0.0
        self._rest = iter(record)

    def monotonic(self) -> float:
        return self.now

    def settimeout(self, value: float) -> None:
        assert 0 < value <= 1.0 - self.now + 1e-9

    def recv(self, _size: int) -> bytes:
        self.now += 0.3
        return bytes((next(self._rest),))

    def close(self) -> None:
        """There is nothing to close."""


def test_a_record_that_drips_does_not_lengthen_the_time_that_one_read_has(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, (here, there) = Tls.of(authority.options()), gevent.socket.socketpair()
    with here, there:
        server = tls_module.TlsStream(there, both.server, who="it")
        shaking = gevent.spawn(server.handshake, patience())
        client = tls_module.TlsStream(here, both.client, who="it")
        client.handshake(patience())
        shaking.get()
        client._tls.write(b"n" * 1000)
        drip = Dripping(client._outgoing.read())
        server._sock = drip
        monkeypatch.setattr(tls_module, "time", drip)
        server.settimeout(1.0)
        with pytest.raises(TimeoutError):
            server.recv(4096)
    assert drip.now == pytest.approx(1.2)


def test_a_peer_that_shows_no_certificate_is_refused_when_one_is_required(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with Door(authority.options()) as door:
        error = refusal(door.at, {"server": authority.options(), "client": {}})
    assert error.reason == "tls"
    assert "showed no certificate" in caplog.text


def test_a_certificate_for_another_host_is_refused_by_the_side_that_checks(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    authority.issue("elsewhere", ["DNS:elsewhere.example.com"])
    elsewhere, here = authority.options("elsewhere"), authority.options()
    with Door(elsewhere) as door:
        error = refusal(door.at, here)
        assert "not for the host 127.0.0.1" in str(error)
        connect(APP.name, own=PY, cookie="secret", epmd=door.at, tls=Tls.of({**here, "check_host": False}).client)[
            0
        ].close()
        door.came.get()[0].close()
    with Door({**here, "check_host": True}) as door:
        assert refusal(door.at, elsewhere).reason == "not_allowed"
    assert caplog.messages[-1].endswith("py@127.0.0.1: its certificate is not for the host 127.0.0.1")


def test_a_common_name_alone_is_enough(authority: Authority) -> None:
    authority.issue("old_style", [], subject="127.0.0.1")
    options = authority.options("old_style", check_host=True)
    with Door(options) as door:
        connect(APP.name, own=PY, cookie="secret", epmd=door.at, tls=Tls.of(options).client)[0].close()
        door.came.get()[0].close()


def test_a_wrong_cookie_is_refused_inside_tls_too(authority: Authority) -> None:
    options = authority.options()
    with Door(options) as door, pytest.raises(ConnectError) as caught:
        connect(APP.name, own=PY, cookie="other", epmd=door.at, tls=Tls.of(options).client)
    assert caught.value.reason == "bad_cookie"


def test_a_peer_that_says_nothing_ends_at_the_setup_time(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "pyerlnode.net")
    listener = Listener("127.0.0.1", setup_time=0.05)
    side = Tls.of(authority.options()).server
    listener.start(Reception(APP, lambda *_: Status.OK, lambda _: "secret", lambda *_: None, tls=side))
    with socket.create_connection(("127.0.0.1", listener.port)) as mute:
        gevent.get_hub().threadpool.apply(mute.recv, (1,))
    listener.stop()
    assert "did not finish the handshake of TLS in time" in caplog.text


def test_records_that_were_tampered_with_cost_the_connection(authority: Authority) -> None:
    left, right = pair(authority)
    left.connection._transport._sock.send(b"\x17\x03\x03\x00\x20" + b"z" * 32)  # type: ignore[attr-defined]
    right.wait(lambda: right.downs)
    left.wait(lambda: left.downs)
    assert right.got == []


def test_a_peer_that_gives_way_when_tls_is_up_is_no_warning(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pyerlnode.net")
    with Door(authority.options()) as door, gevent.socket.create_connection(door.at) as sock:
        tls_module.TlsStream(sock, Tls.of(authority.options()).client, who="it").handshake(patience())
        sock.close()
        told(caplog, "closed the connection while we waited for its name")
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
