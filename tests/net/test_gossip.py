"""Heartbeats over UDP: what is sent, what is heard, and that nobody makes atoms here by sending packets."""

import socket
from collections.abc import Iterator

import pytest
from each import each

from pyerlnode.net import gossip
from pyerlnode.net.gossip import Gossip
from pyerlnode.net.gossip_core import node_of, packet
from pyerlnode.term.atom import existing
from pyerlnode.testing.waiting import wait_for

IV = bytes(range(16))
PLAIN = b"heartbeat::\x83t\x00\x00\x00\x01w\x04nodew\x07app@sim"


def test_a_heartbeat_is_a_map_with_the_node() -> None:
    assert packet("app@sim") == PLAIN
    assert node_of(PLAIN) == "app@sim"
    long = "app@" + "h" * 300
    for secret in (None, "s3cret"):
        for name in ("app@sim", "ä@sim", long):
            assert node_of(packet(name, secret, IV), secret) == name


@each(
    [
        b"s\x04nodes\x07app@sim",
        b"d\x00\x04noded\x00\x07app@sim",
        b"v\x00\x04nodev\x00\x07app@sim",
        b"w\x04noded\x00\x07app@sim",
    ]
)
def test_atoms_of_all_releases_are_read(pair: bytes) -> None:
    assert node_of(b"heartbeat::\x83t\x00\x00\x00\x01" + pair) == "app@sim"


GARBAGE = [
    b"", b"heartbeat::", b"heartbeat:" + PLAIN[11:], PLAIN + b"x", *(PLAIN[:end] for end in range(12, len(PLAIN))),
    PLAIN.replace(b"node", b"nodf"), PLAIN.replace(b"\x00\x01w", b"\x00\x02w"), PLAIN.replace(b"app", b"\xff\xfep"),
    b"heartbeat::\x83t\x00\x00\x00\x01w\x04nodea\x07", b"heartbeat::\x83t\x00\x00\x00\x01w\x04noded\x00",
    packet("app@sim", "s3cret", IV),
]  # fmt: skip


@each(GARBAGE)
def test_anything_else_is_nothing(data: bytes) -> None:
    assert node_of(data) is None
    assert node_of(data, "other") is None


def test_another_secret_hears_nothing() -> None:
    made = packet("app@sim", "s3cret", IV)
    assert made[:16] == IV
    assert node_of(made, "s3cret") == "app@sim"
    for secret in ("other", "", None):
        assert node_of(made, secret) is None
    assert node_of(PLAIN, "s3cret") is None


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, peer: socket.socket) -> Iterator[tuple[Gossip, int]]:
    """A strategy that sends to `peer`, and the port at which it hears."""
    made = Gossip(secret="s3cret", port=0, address="127.0.0.1", broadcast_only=True)
    made()
    assert made._socket is not None
    port = made._socket.getsockname()[1]
    made.port, made.name = peer.getsockname()[1], "py@sim"
    yield made, port
    made.close()
    made.close()


def test_it_tells_of_itself_and_gives_whom_it_has_heard(
    heard: tuple[Gossip, int], peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, port = heard
    for data in (b"garbage", packet("unheard_of@sim"), packet("py@sim", "s3cret", IV), packet("app@sim", "s3cret", IV)):
        peer.sendto(data, ("127.0.0.1", port))
    wait_for(lambda: strategy() == ["app@sim"])
    assert node_of(peer.recv(1000), "s3cret") == "py@sim"
    assert existing("unheard_of@sim") is None
    strategy.silent = -1.0
    assert strategy() == []


def test_no_more_names_are_remembered_than_the_bound(
    heard: tuple[Gossip, int], peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, port = heard
    monkeypatch.setattr(gossip, "MOST", 2)
    for number in range(4):
        peer.sendto(packet(f"n{number}@sim", "s3cret", IV), ("127.0.0.1", port))
    peer.sendto(packet("n0@sim", "s3cret", IV), ("127.0.0.1", port))
    wait_for(lambda: len(strategy()) == 2)
    assert strategy() == ["n0@sim", "n1@sim"]
