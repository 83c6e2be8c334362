"""What a new attempt to connect meets, told by a peer in the hands of the test."""

import logging
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from pyerlnode import A, Node
from pyerlnode.dist.flags import HIDDEN_FLAGS
from pyerlnode.dist.handshake import Initiator, OwnIdentity, Status
from pyerlnode.errors import ConnectError, Exit
from pyerlnode.kernel import net_kernel
from pyerlnode.net import tcp
from pyerlnode.net.connector import connect
from pyerlnode.net.listener import Listener, Reception
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

PEER = OwnIdentity("zz@127.0.0.1", 9, HIDDEN_FLAGS)


class Peer:
    """A peer with the greater name, that answers a dial when it is told to."""

    def __init__(self) -> None:
        self.asked = Event()
        self.go_on = Event()
        self.status = Status.OK
        self.failures: list[str] = []
        self.connections: list[Any] = []
        self.listener = Listener("127.0.0.1")
        self.listener.start(
            Reception(
                PEER,
                self._decide,
                lambda _: "secret",
                lambda sock, *_: self.connections.append(sock),
                on_failure=lambda _, error: self.failures.append(error.reason),
            )
        )

    def _decide(self, *_: Any) -> Status:
        self.asked.set()
        self.go_on.wait()
        return self.status

    def dial(self, node: Node) -> None:
        sock, *_ = connect(node.name, own=PEER, cookie="secret", epmd=("127.0.0.1", node.port))
        self.connections.append(sock)

    def stop(self) -> None:
        self.listener.stop()
        for sock in self.connections:
            sock.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    with gevent.Timeout(patience()):
        yield made
    made.stop()


@pytest.fixture
def node(peer: Peer) -> Iterator[Node]:
    addresses = {PEER.name: ("127.0.0.1", peer.listener.port)}
    with Node("aa@127.0.0.1", cookie="secret", epmd="none", addresses=addresses) as made:
        yield made


@pytest.mark.parametrize("status", [Status.ALIVE, Status.OK, Status.OK_SIMULTANEOUS, Status.NOK])
def test_a_dial_that_has_yielded_is_ended_and_the_connection_of_the_peer_stays(
    peer: Peer, node: Node, status: Status, caplog: pytest.LogCaptureFixture
) -> None:
    downs: list[Any] = []
    node.telemetry.append(lambda event, *rest: downs.append(rest) if event == "connection.down" else None)
    peer.status = status
    connecting = gevent.spawn(node.connect, PEER.name)
    peer.asked.wait()
    peer.dial(node)
    connecting.get()
    peer.go_on.set()
    wait_for(lambda: not peer.listener.pending, what="the end of the dial that has yielded")
    assert len(peer.connections) == 1
    assert (node.nodes(), downs) == ([PEER.name], [])
    if status in (Status.ALIVE, Status.NOK):  # what a node answers that dials us itself
        assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_the_dial_begins_anew_when_the_peer_to_which_it_has_yielded_does_not_come(peer: Peer, node: Node) -> None:
    connecting = gevent.spawn(node.connect, PEER.name)
    peer.asked.wait()
    with pytest.raises(ConnectError):
        connect(node.name, own=PEER, cookie="another", epmd=("127.0.0.1", node.port))
    peer.go_on.set()
    connecting.get()
    assert node.nodes() == [PEER.name]


def test_who_says_the_name_of_the_peer_and_knows_no_cookie_ends_no_dial_of_ours(peer: Peer, node: Node) -> None:
    connecting = gevent.spawn(node.connect, PEER.name)
    peer.asked.wait()
    peer.asked.clear()
    for _ in range(3):
        with pytest.raises(ConnectError):
            connect(node.name, own=PEER, cookie="another", epmd=("127.0.0.1", node.port))
    peer.go_on.set()
    connecting.get()
    assert not peer.asked.is_set()  # the first dial went on
    assert node.nodes() == [PEER.name]


def test_a_peer_whose_own_attempt_goes_first_and_never_comes_is_given_up_at_the_setup_time(peer: Peer) -> None:
    peer.status = Status.NOK
    peer.go_on.set()
    addresses = {PEER.name: ("127.0.0.1", peer.listener.port)}
    with Node("aa@127.0.0.1", cookie="secret", epmd="none", addresses=addresses, setup_time=0.5) as node:
        with pytest.raises(ConnectError, match="did not arrive"):
            node.connect(PEER.name)
        assert node.kernel._attempts == {}


@pytest.mark.parametrize("wanted", [True, False])
def test_a_dial_that_the_peer_breaks_off_is_no_warning_and_ours_follows_it(
    peer: Peer, node: Node, wanted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    peer.go_on.set()
    connecting = None
    with tcp.dial("127.0.0.1", node.port, patience()) as sock:
        sock.sendall(Initiator(PEER, node.name, "secret", 1).data_to_send())
        assert sock.recv(5) == b"\0\3sok"
        if wanted:
            connecting = gevent.spawn(node.connect, PEER.name)
            wait_for(lambda: node.system.peer(Atom(PEER.name)).dialling is not None)
    wait_for(lambda: "was refused" in caplog.text)
    if connecting is not None:
        connecting.get()
    assert node.nodes() == [PEER.name] * wanted
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_probes_of_the_port_are_counted_and_make_no_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []
    with Node("probed@127.0.0.1", cookie="secret", epmd="none") as node:
        node.telemetry.append(lambda *event: told.append(event))
        for said in (b"", b"GET /healthz HTTP/1.1\r\n\r\n"):
            with tcp.dial("127.0.0.1", node.port, patience()) as sock:
                sock.sendall(said)
        wait_for(lambda: len(told) == 2)
        assert node.kernel.strangers == 2
    assert told[1] == ("connection.stranger", {"count": 2}, {"address": "127.0.0.1"})
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_a_ping_with_a_wrong_cookie_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    at: dict[str, tuple[str, int]] = {}
    with (
        Node("right@127.0.0.1", cookie="right", epmd="none") as right,
        Node("wrong@127.0.0.1", cookie="wrong", epmd="none", addresses=at) as wrong,
    ):
        at[right.name] = ("127.0.0.1", right.port)
        assert not wrong.ping(right.name)
        assert not wrong.ping(right.name)
    said = [record for record in caplog.records if record.name == "pyerlnode.net_kernel"]
    assert [record.levelname for record in said] == ["WARNING"]
    assert "cookie" in said[0].getMessage()


def test_this_node_itself_is_always_connected_and_never_lost(node: Node) -> None:
    node.connect(node.name)
    node.keep_connected(node.name)
    assert not node.kernel.keeper.keeps(A[node.name])
    node.monitor_node(node.name)
    node.monitor_node(node.name, False)
    assert node.nodes() == []
    assert node.receive(timeout=0, default=None) is None


def test_each_call_of_monitor_nodes_counts_and_who_has_died_is_forgotten(peer: Peer, node: Node) -> None:
    def subscribe() -> None:
        node.monitor_nodes()
        node.monitor_nodes(info=True)

    dead = [node.spawn(subscribe) for _ in range(20)]
    wait_for(lambda: not any(node.system.process(pid) for pid in dead), what="their ends")
    node.monitor_nodes()
    node.monitor_nodes()
    node.monitor_nodes(info=True)
    assert [len(found) for found in node.kernel._subscribers.values()] == [1, 1]
    peer.go_on.set()
    peer.dial(node)
    up = (A.nodeup, A[PEER.name])
    got = [node.receive(timeout=patience()) for _ in range(3)]
    assert got == [up, up, (*up, {A.node_type: A.hidden})]
    node.monitor_nodes(False)
    node.disconnect(PEER.name)
    info = {A.node_type: A.hidden, A.nodedown_reason: A.disconnect}
    assert node.receive(timeout=patience()) == (A.nodedown, A[PEER.name], info)
    assert node.receive(timeout=0, default=None) is None
    node.monitor_nodes(False, info=True)
    assert not any(node.kernel._subscribers.values())


def test_of_nodes_that_can_not_be_reached_and_names_of_none_nothing_stays(
    monkeypatch: pytest.MonkeyPatch, node: Node
) -> None:
    monkeypatch.setattr(net_kernel, "REMEMBERED", 10)
    node.process_flag("trap_exit", True)
    names = [f"nobody{number}@127.0.0.1" for number in range(20)] + ["no name", "long@host.example.com", "@", "x@"]
    for name in names:
        for dest in (("desk", name), Pid(A[name], 1, 0, 1)):
            node.send(dest, 1)
            node.cast(dest, 1)
            node.monitor(dest)
            with pytest.raises(Exit):
                node.call(dest, A.hello)
        node.link(Pid(A[name], 1, 0, 1))
        node.exit(Pid(A[name], 1, 0, 1), A.over)
        node.monitor_node(name)
        assert not node.ping(name)
        assert not node.disconnect(name)
    wait_for(lambda: not node.kernel._attempts, what="the end of all attempts")
    assert node.system.peers == {}
    assert node.kernel._node_monitors == {}
    assert len(node.kernel._refused) == 10
