"""Crowds at the port of a node, by sockets: what they cost a real peer, and what they leave behind."""

import logging
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from pyerlnode import A, Node
from pyerlnode.dist.channel import Channel
from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.dist.handshake import Initiator, OwnIdentity
from pyerlnode.errors import ConnectError
from pyerlnode.limits import Limits
from pyerlnode.net.connector import connect
from pyerlnode.signal import Link, Message, Monitor
from pyerlnode.term.atom import Atom, existing
from pyerlnode.term.pid import Pid, Reference
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

APP = OwnIdentity("app@127.0.0.1", 9, HIDDEN_FLAGS)


@pytest.fixture
def node() -> Iterator[Node]:
    with (
        gevent.Timeout(patience()),
        Node("door@127.0.0.1", cookie="secret", epmd="none", limits=Limits(pending_handshakes=20)) as made,
    ):
        yield made


def claim(node: Node, name: str) -> Any:
    """A socket that says it is `name`, and has been challenged; it knows no cookie."""
    sock = gevent.socket.create_connection(("127.0.0.1", node.port))
    sock.sendall(Initiator(OwnIdentity(name, 5, HIDDEN_FLAGS), node.name, "", 1).data_to_send())
    assert sock.recv(4096)
    return sock


def get_in(node: Node, own: OwnIdentity = APP, cookie: str = "secret") -> Any:
    return connect(node.name, own=own, cookie=cookie, epmd=("127.0.0.1", node.port), setup_time=patience())[0]


def test_crowds_that_drip_and_crowds_that_say_a_name_and_stop_keep_no_peer_out(node: Node) -> None:
    strangers = []
    for number in range(60):
        strangers.append(gevent.socket.create_connection(("127.0.0.1", node.port)))
        strangers[-1].sendall(b"\0")
        strangers.append(claim(node, f"crowd{number}@127.0.0.1"))
        if number % 20 == 10:
            get_in(node).close()
            wait_for(lambda: not node.nodes(), what="the end of the connection")
    assert node.kernel._accepting.total() <= 20
    for sock in strangers:
        sock.close()


def test_who_claims_the_name_of_a_peer_keeps_it_neither_out_nor_from_being_dialled(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    squatters = [claim(node, APP.name) for _ in range(4)]
    peer = get_in(node)
    wait_for(lambda: node.nodes() == [APP.name], what="the one that proved the cookie")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    for sock in (peer, *squatters):
        sock.close()


def test_a_dial_goes_on_beside_those_who_claim_to_be_the_peer(node: Node) -> None:
    at = {node.name: ("127.0.0.1", node.port)}
    with Node("aa@127.0.0.1", cookie="secret", epmd="none", addresses=at) as one:
        squatters = [claim(one, node.name) for _ in range(4)]
        assert one.ping(node.name)
        for sock in squatters:
            sock.close()
        wait_for(lambda: not one.kernel._accepting, what="the end of the claims")
        assert one.nodes() == [node.name]


def test_one_that_proves_the_cookie_while_the_peer_is_there_already_is_refused(node: Node) -> None:
    late = gevent.socket.create_connection(("127.0.0.1", node.port))
    machine = Initiator(APP, node.name, "secret", 1)
    late.sendall(machine.data_to_send())
    while not machine._out:
        machine.receive_data(late.recv(4096))
    peer = get_in(node)
    wait_for(lambda: node.nodes() == [APP.name], what="the peer")
    late.sendall(machine.data_to_send())
    assert late.recv(4096) == b""
    assert node.nodes() == [APP.name]
    for sock in (late, peer):
        sock.close()


def test_nothing_of_a_peer_that_has_not_proved_the_cookie_outlives_its_socket(node: Node) -> None:
    names = [f"ghost_of_the_crowd_{number}@127.0.0.1" for number in range(30)]
    for name in names:
        claim(node, name).close()
        with pytest.raises(ConnectError):
            get_in(node, OwnIdentity(name, 1, HIDDEN_FLAGS), cookie="wrong")
        with pytest.raises(ConnectError):
            get_in(node, OwnIdentity(f"x@{name[:-10]}", 1, HIDDEN_FLAGS | DistFlags.NAME_ME), cookie="wrong")
    wait_for(lambda: not node.kernel._accepting and not node._parts[2].pending, what="the end of the handshakes")
    assert [name for name in names if existing(name) is not None] == []
    assert (node.kernel._budgets, node.system.peers, node.kernel._given._out, node.kernel._given._free) == (
        {},
        {},
        {},
        {},
    )


def bring(node: Node, own: OwnIdentity, names: list[str]) -> Any:
    """Connect, and send a message for each of these names, none of which is an atom here yet."""
    name = Atom(own.name)  # it counts for nothing, then
    sock, peer, _ = connect(node.name, own=own, cookie="secret", epmd=("127.0.0.1", node.port), setup_time=patience())
    channel = Channel(peer)
    message = Message(Pid(name, 1, 0, own.creation), Pid(A[node.name], 1, 0, 1), 1)
    for atom in names:
        head = b"".join(channel.send(message))[4:-2]
        data = head + b"w" + bytes((len(atom),)) + atom.encode()
        sock.sendall(len(data).to_bytes(4, "big") + data)
    return sock


@pytest.mark.parametrize("again", ["one_of_them@127.0.0.1", "another@127.0.0.1"])
def test_atoms_are_counted_for_each_peer_over_all_its_connections_and_for_all_peers(
    again: str, caplog: pytest.LogCaptureFixture
) -> None:
    same = again.startswith("one")
    limits = Limits(atoms=15 if same else 100, all_atoms=100 if same else 15)
    with gevent.Timeout(patience()), Node("thrifty@127.0.0.1", cookie="secret", epmd="none", limits=limits) as node:
        first = bring(node, OwnIdentity("one_of_them@127.0.0.1", 1, HIDDEN_FLAGS), [f"{again}_a{n}" for n in range(10)])
        wait_for(lambda: existing(f"{again}_a9") is not None, what="the atoms of the first connection")
        first.close()
        wait_for(lambda: not node.nodes(), what="its end")
        second = bring(node, OwnIdentity(again, 2, HIDDEN_FLAGS), [f"{again}_b{n}" for n in range(10)])
        text = f"more than 15 new atoms from {'one peer' if same else 'all peers'}"
        wait_for(lambda: text in caplog.text and not node.nodes(), what="the end of the one that brought too many")
        second.close()
    assert existing(f"{again}_b4") is not None
    assert existing(f"{again}_b5") is None


@pytest.mark.parametrize("what", ["monitors", "links"])
def test_monitors_and_links_of_a_peer_are_bounded_and_end_with_its_connection(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(relations=5)
    with gevent.Timeout(patience()), Node("watched@127.0.0.1", cookie="secret", epmd="none", limits=limits) as node:
        desk = node.spawn(lambda: gevent.sleep(patience()))
        process = node.system.process(desk)
        assert process is not None
        sock, peer, _ = connect(node.name, own=APP, cookie="secret", epmd=("127.0.0.1", node.port))
        channel = Channel(peer)

        def relate(number: int) -> None:
            they = Pid(A[APP.name], number, 0, APP.creation)
            ref = Reference(A[APP.name], APP.creation, (number, 1, 1))
            sock.sendall(b"".join(channel.send(Monitor(they, desk, ref) if what == "monitors" else Link(they, desk))))

        def made() -> int:
            return len((process.monitored_by if what == "monitors" else process.links) or ())

        for number in range(5):
            relate(number)
        wait_for(lambda: made() == 5, what="as many as may be")
        relate(5)
        wait_for(lambda: not node.nodes(), what="the end of the connection")
        wait_for(lambda: made() == 0, what="the end of what it had")
        assert f"5 {what} of one peer; raise Limits.relations" in caplog.text
        sock.close()
