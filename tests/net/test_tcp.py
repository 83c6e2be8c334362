"""Dialling and listening on loopback."""

import socket

import pytest
from machine import needs_ipv6

from pyerlnode.errors import ConnectError, NetworkError
from pyerlnode.net import tcp
from pyerlnode.testing.epmd import free_port

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("127.9.9.9", ["127.9.9.9"]),
        ("localhost", ["127.0.0.1"]),
        ("::1", ["::1"]),
        ("10.0.0.1", ["0.0.0.0"]),
        ("fe80::1", ["::"]),
        ("four.test", ["0.0.0.0"]),
        ("six.test", ["::"]),
        ("both.test", ["0.0.0.0", "::"]),
        ("nobody.test", ["0.0.0.0"]),
    ],
)
def test_a_node_listens_on_loopback_alone_or_by_each_family_that_its_host_has(
    host: str, bound: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "look_up", dns)
    assert tcp.bind_addresses(host) == bound


def dns(host: str, _timeout: float) -> list[tuple[int, tuple[object, ...]]]:
    """A resolver that knows three hosts."""
    known = {"four.test": ["192.0.2.1"], "six.test": ["2001:db8::1"], "both.test": ["2001:db8::1", "192.0.2.1"]}
    if host not in known:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    return [(socket.AF_INET6 if ":" in a else socket.AF_INET, (a, 0)) for a in known[host]]


@needs_ipv6
def test_both_families_are_listened_at_on_one_port_and_what_is_taken_in_one_is_passed_over() -> None:
    sockets = tcp.listen_at(["127.0.0.1", "::1"])
    port = sockets[0].getsockname()[1]
    try:
        assert [sock.getsockname()[:2] for sock in sockets] == [("127.0.0.1", port), ("::1", port)]
        sockets.pop(0).close()
        with pytest.raises(NetworkError, match=f"at ::1 .tried {port}.: Address already in use"):
            tcp.listen_at(["127.0.0.1", "::1"], port)
        sockets += tcp.listen_at(["127.0.0.1", "::1"], [port, 0])
        assert len({sock.getsockname()[1] for sock in sockets}) == 2
    finally:
        for sock in sockets:
            sock.close()


def test_a_connection_is_made_without_nagle_and_can_be_detached() -> None:
    with tcp.listen("127.0.0.1") as listening:
        ours = tcp.dial("127.0.0.1", listening.getsockname()[1], 5.0)
        theirs, _ = listening.accept()
        raw = tcp.detach(ours)
        with raw, theirs:
            assert raw.getsockopt(6, 1) != 0, "TCP_NODELAY"
            assert not raw.getblocking()
            theirs.sendall(b"x")
            assert raw.send(b"y") == 1
            assert theirs.recv(1) == b"y"
        assert ours.fileno() == -1


def test_a_range_is_tried_from_its_beginning() -> None:
    with tcp.listen("127.0.0.1") as first:
        taken = first.getsockname()[1]
        with tcp.listen("127.0.0.1", (taken, 0)) as second:
            assert second.getsockname()[1] != taken
        with pytest.raises(NetworkError, match=rf"at 127.0.0.1 .tried {taken}.: Address already in use"):
            tcp.listen("127.0.0.1", taken)
        with pytest.raises(NetworkError, match="none given"):
            tcp.listen("127.0.0.1", range(5, 5))


def test_an_address_of_another_machine_can_not_be_listened_on() -> None:
    with pytest.raises(NetworkError, match="Cannot assign requested address"):
        tcp.listen("192.0.2.1")


def test_what_keeps_a_connection_from_being_made_is_one_word_and_one_line() -> None:
    closed = free_port()
    with pytest.raises(ConnectError, match="nothing listens at") as caught:
        tcp.dial("127.0.0.1", closed, 5.0, node="a@127.0.0.1")
    assert (caught.value.reason, caught.value.node) == ("refused", "a@127.0.0.1")
    with pytest.raises(ConnectError, match="did not accept a connection within 0 s") as caught:
        tcp.dial("127.0.0.1", closed, 0.0)
    assert caught.value.reason == "timeout"
    with pytest.raises(ConnectError, match=r"the host 'a\.\.b' is not known here") as caught:
        tcp.dial("a..b", closed, 5.0)
    assert caught.value.reason == "unknown_host"
