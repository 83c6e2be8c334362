"""Dialling and listening on loopback."""

import pytest

from pyerlnode.errors import ConnectError, NetworkError
from pyerlnode.net import tcp

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.9.9.9", "127.9.9.9"),
        ("localhost", "127.0.0.1"),
        ("::1", "::1"),
        ("10.0.0.1", "0.0.0.0"),
        ("box.example.org", "0.0.0.0"),
        ("fe80::1", "::"),
    ],
)
def test_a_loopback_name_listens_on_loopback_alone(host: str, bound: str) -> None:
    assert tcp.bind_address(host) == bound


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
    with tcp.listen("127.0.0.1") as listening:
        closed = listening.getsockname()[1]
    with pytest.raises(ConnectError, match="nothing listens at") as caught:
        tcp.dial("127.0.0.1", closed, 5.0, node="a@127.0.0.1")
    assert (caught.value.reason, caught.value.node) == ("refused", "a@127.0.0.1")
    with pytest.raises(ConnectError, match="did not accept a connection within 0 s") as caught:
        tcp.dial("127.0.0.1", closed, 0.0)
    assert caught.value.reason == "timeout"
    with pytest.raises(ConnectError, match=r"the host 'a\.\.b' is not known here") as caught:
        tcp.dial("a..b", closed, 5.0)
    assert caught.value.reason == "unknown_host"
