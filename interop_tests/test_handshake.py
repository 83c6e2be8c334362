"""Saying hello to a real node, in both directions and with every answer that it gives."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.queue import Queue

from interop_tests.plain_erl import Erl, node
from pyerlnode.dist.epmd import NodeEntry
from pyerlnode.dist.flags import HIDDEN_FLAGS, VISIBLE_FLAGS, DistFlags
from pyerlnode.dist.handshake import OwnIdentity, PeerInfo, Status, simultaneous
from pyerlnode.errors import ConnectError
from pyerlnode.net.connector import connect
from pyerlnode.net.epmd_client import Epmd, Registration
from pyerlnode.net.epmd_server import EpmdServer
from pyerlnode.net.listener import Listener, Reception
from pyerlnode.testing.patience import patience

BEAM = "x@127.0.0.1"
PY = OwnIdentity("py@127.0.0.1", 77, HIDDEN_FLAGS)


@pytest.fixture(scope="module")
def epmd() -> Iterator[Epmd]:
    with EpmdServer(0) as server:
        yield Epmd(server.port)


@pytest.fixture(scope="module")
def started(epmd: Epmd) -> Iterator[Erl]:
    with node(BEAM, epmd.port) as beam:
        yield beam


@pytest.fixture
def erl(started: Erl) -> Erl:
    """The BEAM, with no connection and no attempt: what it sends while one is pending is lost when that one fails."""
    until(lambda: started.eval("ets:tab2list(sys_dist).") == "[]")
    return started


class Door:
    """A listener that is registered as `py`, and what comes in by it."""

    def __init__(self, epmd: Epmd, own: OwnIdentity = PY, **options: Any) -> None:
        self.came: Queue[tuple[socket.socket, PeerInfo, bytes]] = Queue()
        self.failed: Queue[str] = Queue()
        self.listener = Listener("127.0.0.1")
        self.registration = Registration(epmd, NodeEntry(own.name.split("@")[0], self.listener.port))
        self.registration.start()
        options = {"decide": lambda *_: Status.OK, "cookie_for": lambda _: "secret", **options}
        self.listener.start(
            Reception(
                own,
                on_connection=lambda *found: self.came.put(found),
                on_failure=lambda name, error: self.failed.put(error.reason),
                **options,
            )
        )

    def __enter__(self) -> "Door":
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.stop()
        self.registration.stop()


def until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(patience()):
        while not condition():
            gevent.sleep(0.01)


def is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(4096) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def gone(erl: Erl, name: str) -> None:
    until(lambda: name not in erl.eval("nodes(connected)."))


def shows(erl: Erl, source: str, text: str) -> None:
    """Wait for that value: a BEAM sends its last message of a handshake before it lists the node."""
    until(lambda: erl.eval(source) == text)


# --- we connect --------------------------------------------------------------------------------
def test_we_connect_to_a_beam_and_it_counts_us_as_hidden(erl: Erl, epmd: Epmd) -> None:
    sock, peer, _ = connect(BEAM, own=PY, cookie="secret", epmd=epmd)
    assert (peer.name, peer.hidden, peer.own_name) == (BEAM, False, PY.name)
    assert peer.creation == int(erl.eval("erlang:system_info(creation)."))
    assert not sock.getblocking()
    shows(erl, "nodes(hidden).", "['py@127.0.0.1']")
    shows(erl, "nodes().", "[]")
    sock.close()
    gone(erl, "py@127.0.0.1")


def test_a_node_that_publishes_itself_is_visible(erl: Erl, epmd: Epmd) -> None:
    own = OwnIdentity("seen@127.0.0.1", 5, VISIBLE_FLAGS)
    sock, _, _ = connect(BEAM, own=own, cookie="secret", epmd=epmd)
    shows(erl, "nodes().", "['seen@127.0.0.1']")
    sock.close()
    gone(erl, own.name)


def test_a_second_connection_of_one_name_replaces_the_first(erl: Erl, epmd: Epmd) -> None:
    first, _, _ = connect(BEAM, own=PY, cookie="secret", epmd=epmd)
    second, _, _ = connect(BEAM, own=replace(PY, creation=78), cookie="secret", epmd=epmd)
    until(lambda: is_closed(first))
    shows(erl, "nodes(hidden).", "['py@127.0.0.1']")
    first.close()
    second.close()
    gone(erl, "py@127.0.0.1")


def test_a_beam_gives_us_a_name(erl: Erl, epmd: Epmd) -> None:
    own = OwnIdentity("undefined@127.0.0.1", 0, HIDDEN_FLAGS | DistFlags.NAME_ME)
    sock, peer, _ = connect(BEAM, own=own, cookie="secret", epmd=epmd)
    assert peer.own_name.endswith("@127.0.0.1")
    assert peer.own_creation != 0
    shows(erl, "nodes(hidden).", f"['{peer.own_name}']")
    sock.close()
    gone(erl, peer.own_name)


def refusal(name: str = BEAM, *, cookie: str = "secret", own: OwnIdentity = PY, **options: Any) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        connect(name, own=own, cookie=cookie, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.node == name
    return caught.value


def test_a_wrong_cookie_is_told_as_such(erl: Erl, epmd: Epmd) -> None:
    error = refusal(cookie="wrong", epmd=epmd)
    assert error.reason == "bad_cookie"
    assert "x@127.0.0.1 closed the connection during the cookie check: its cookie differs from ours" in str(error)


def test_a_missing_flag_is_told_as_not_allowed(erl: Erl, epmd: Epmd) -> None:
    own = replace(PY, flags=HIDDEN_FLAGS & ~DistFlags.BIG_CREATION & ~DistFlags.MANDATORY_25_DIGEST)
    assert refusal(own=own, epmd=epmd).reason == "not_allowed"


def test_unknown_nodes_hosts_and_ports_have_clear_words(erl: Erl, epmd: Epmd) -> None:
    error = refusal("nobody@127.0.0.1", epmd=epmd)
    assert error.reason == "unknown_node"
    assert str(error).startswith(f"no node nobody is registered at EPMD 127.0.0.1:{epmd.port}")
    error = refusal(epmd=("127.0.0.1", 1))
    assert error.reason == "refused"
    assert "nothing listens at 127.0.0.1:1" in str(error)
    assert refusal(epmd=Epmd(1)).reason == "no_epmd"


def test_a_port_of_another_node_is_told_as_such(erl: Erl, epmd: Epmd) -> None:
    entry = epmd.lookup("127.0.0.1", "x")
    assert entry is not None
    error = refusal("z@127.0.0.1", epmd=("127.0.0.1", entry.port))
    assert "the node that answered for z@127.0.0.1 is 'x@127.0.0.1'" in str(error)


def test_a_node_that_is_not_on_the_list_is_not_allowed(epmd: Epmd) -> None:
    with node("strict@127.0.0.1", epmd.port) as strict:
        assert strict.eval("net_kernel:allow(['friend@127.0.0.1']).") == "ok"
        assert refusal("strict@127.0.0.1", epmd=epmd).reason == "not_allowed"


# --- a BEAM connects ---------------------------------------------------------------------------
def test_a_beam_connects_to_us(erl: Erl, epmd: Epmd) -> None:
    with Door(epmd) as door:
        assert erl.eval("net_kernel:connect_node('py@127.0.0.1').") == "true"
        sock, peer, _ = door.came.get(timeout=patience())
        assert (peer.name, peer.hidden, peer.own_name) == (BEAM, False, PY.name)
        shows(erl, "nodes(hidden).", "['py@127.0.0.1']")
        assert door.listener.pending == 0
        sock.close()
    gone(erl, "py@127.0.0.1")


def test_the_first_packets_of_a_beam_are_not_lost(erl: Erl, epmd: Epmd) -> None:
    with Door(epmd) as door:
        erl.say("{nobody, 'py@127.0.0.1'} ! hello.")
        sock, _, leftover = door.came.get(timeout=patience())
        data = leftover

        def arrived() -> bool:
            nonlocal data
            try:
                data += sock.recv(4096)
            except BlockingIOError:
                pass
            return b"hello" in data

        until(arrived)
        assert erl.answer() == "hello"
        sock.close()
    gone(erl, "py@127.0.0.1")


def test_a_beam_with_another_cookie_gets_no_byte_and_one_warning(
    erl: Erl, epmd: Epmd, caplog: pytest.LogCaptureFixture
) -> None:
    with Door(epmd, cookie_for=lambda _: "other") as door:
        assert erl.eval("net_kernel:connect_node('py@127.0.0.1').") == "false"
        assert door.failed.get(timeout=patience()) == "bad_cookie"
    (record,) = (r for r in caplog.records if r.name == "pyerlnode.net")
    assert record.levelname == "WARNING"
    assert "x@127.0.0.1 was refused: its cookie differs from ours" in record.message


def test_a_beam_that_is_not_allowed_learns_it(erl: Erl, epmd: Epmd) -> None:
    with Door(epmd, decide=lambda *_: Status.NOT_ALLOWED) as door:
        assert erl.eval("net_kernel:connect_node('py@127.0.0.1').") == "false"
        assert door.failed.empty()


def test_when_both_dial_the_attempt_of_the_greater_name_survives(erl: Erl, epmd: Epmd) -> None:
    for own, status in ((replace(PY, name="z@127.0.0.1"), Status.NOK), (PY, Status.OK_SIMULTANEOUS)):
        assert simultaneous(own.name, BEAM) is status
        decided = Event()

        def decide(*_: object, status: Status = status, decided: Event = decided) -> Status:
            decided.set()
            return status

        with Door(epmd, own, decide=decide) as door:
            erl.say(f"net_kernel:connect_node('{own.name}').")
            if status is Status.NOK:  # the BEAM waits for our attempt now
                assert decided.wait(patience())
                until(lambda: not door.listener.pending)
                sock, _, _ = connect(BEAM, own=own, cookie="secret", epmd=epmd)
            else:
                sock, _, _ = door.came.get(timeout=patience())
            assert erl.answer() == "true"
            sock.close()
        gone(erl, own.name)


def test_a_beam_gets_the_ack_after_the_old_connection_is_gone(erl: Erl, epmd: Epmd) -> None:
    asked, freed = Event(), Event()

    def replace_(name: str) -> None:
        assert name == BEAM
        asked.set()
        assert freed.wait(patience())

    with Door(epmd, decide=lambda *_: Status.ALIVE, replace=replace_) as door:
        erl.say("net_kernel:connect_node('py@127.0.0.1').")
        assert asked.wait(patience())
        assert door.came.empty()
        freed.set()
        sock, _, _ = door.came.get(timeout=patience())
        assert erl.answer() == "true"
        sock.close()
    gone(erl, "py@127.0.0.1")


def test_a_beam_without_a_name_is_given_one(epmd: Epmd) -> None:
    with (
        Door(epmd, give_name=lambda host: (f"guest1@{host}", 4242)) as door,
        node("undefined@127.0.0.1", epmd.port) as guest,
    ):
        guest.say("net_kernel:connect_node('py@127.0.0.1').")
        sock, peer, _ = door.came.get(timeout=patience())
        assert (peer.name, peer.creation, peer.hidden) == ("guest1@127.0.0.1", 4242, True)
        assert guest.answer() == "true"
        assert guest.eval("node().") == "'guest1@127.0.0.1'"
        assert guest.eval("nodes(hidden).") == "['py@127.0.0.1']"
        sock.close()


def test_a_silent_client_is_closed_after_the_setup_time() -> None:
    listener = Listener("127.0.0.1", setup_time=0.05)
    listener.start(Reception(PY, lambda *_: Status.OK, lambda _: "secret", lambda *_: None))
    with socket.create_connection(("127.0.0.1", listener.port)) as client:
        client.setblocking(False)
        until(lambda: is_closed(client))
    listener.stop()
