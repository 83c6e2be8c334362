"""Heartbeats over UDP: what is sent, what is heard, and that nobody makes atoms here by sending packets."""

import socket
import sys
from collections.abc import Iterator

import pytest
from each import each

from pyerlnode.errors import UsageError
from pyerlnode.net import gossip
from pyerlnode.net.gossip import Gossip
from pyerlnode.net.gossip_cipher import Secret
from pyerlnode.net.gossip_core import heartbeat, node_of
from pyerlnode.term.atom import existing
from pyerlnode.testing.waiting import wait_for

IV = bytes(range(16))
PLAIN = b"heartbeat::\x83t\x00\x00\x00\x01w\x04nodew\x07app@sim"


OURS = Secret("s3cret")


def heard(data: bytes, secret: Secret) -> str | None:
    return node_of(secret.decrypted(data) or b"")


def test_a_heartbeat_is_a_map_with_the_node() -> None:
    assert heartbeat("app@sim") == PLAIN
    for name in ("app@sim", "ä@sim", "app@" + "h" * 300):
        assert node_of(heartbeat(name)) == name
        assert heard(OURS.encrypted(heartbeat(name), IV), OURS) == name


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
    OURS.encrypted(PLAIN, IV),
]  # fmt: skip


@each(GARBAGE)
def test_anything_else_is_nothing(data: bytes) -> None:
    assert node_of(data) is None
    assert heard(data, Secret("other")) is None


def test_another_secret_hears_nothing() -> None:
    made = OURS.encrypted(PLAIN, IV)
    assert made[:16] == IV
    assert OURS.encrypted(PLAIN) != OURS.encrypted(PLAIN), "each has an IV of its own"
    assert heard(OURS.encrypted(PLAIN), OURS) == "app@sim"
    for text in ("other", ""):
        assert heard(made, Secret(text)) is None


@each([b"", IV, IV + b"x" * 15, IV + b"x" * 16, PLAIN, OURS.encrypted(PLAIN, IV)[:-1]])
def test_what_was_not_encrypted_with_the_secret_is_nothing(data: bytes) -> None:
    assert heard(data, OURS) is None


def test_without_the_package_a_secret_is_refused_when_the_strategy_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(UsageError, match=r"pip install 'pyerlnode\[gossip\]'"):
        Gossip(secret="s3cret")
    Gossip()


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def listening(peer: socket.socket) -> Iterator[tuple[Gossip, int]]:
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
    listening: tuple[Gossip, int], peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, port = listening
    for data in (b"garbage", heartbeat("unheard_of@sim"), *map(OURS.encrypted, map(heartbeat, ("py@sim", "app@sim")))):
        peer.sendto(data, ("127.0.0.1", port))
    wait_for(lambda: strategy() == ["app@sim"])
    assert heard(peer.recv(1000), OURS) == "py@sim"
    assert existing("unheard_of@sim") is None
    strategy.silent = -1.0
    assert strategy() == []


def test_no_more_names_are_remembered_than_the_bound(
    listening: tuple[Gossip, int], peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, port = listening
    monkeypatch.setattr(gossip, "MOST", 2)
    for number in range(4):
        peer.sendto(OURS.encrypted(heartbeat(f"n{number}@sim")), ("127.0.0.1", port))
    peer.sendto(OURS.encrypted(heartbeat("n0@sim")), ("127.0.0.1", port))
    wait_for(lambda: len(strategy()) == 2)
    assert strategy() == ["n0@sim", "n1@sim"]
