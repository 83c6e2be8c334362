"""Look-ups of hosts: those that hang keep nobody else waiting, and one host is asked for once at a time."""

import socket
import threading
from collections.abc import Iterator

import gevent
import pytest

from pyerlnode.net import resolving
from pyerlnode.net.resolving import look_up
from pyerlnode.testing.patience import patience

ANSWER = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))


class NameServer:
    """Answers for hosts with a dot; for others when `open` is set."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, *_: object) -> list[object]:
        self.asked.append(host)
        if "." not in host and not self.open.wait(patience()):
            raise AssertionError("nobody opened it")
        if host.startswith("no"):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [ANSWER]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(resolving, "get_original", lambda *_: server)
    yield server
    server.open.set()


def test_forty_look_ups_that_hang_delay_no_other_one(server: NameServer) -> None:
    hung = [gevent.spawn(look_up, f"hung{number}", patience()) for number in range(40)]
    gevent.idle()
    assert look_up("good.test", patience()) == [(socket.AF_INET, ("192.0.2.1", 0))]
    assert not any(greenlet.ready() for greenlet in hung)
    server.open.set()
    gevent.joinall(hung, timeout=patience(), raise_error=True)
    assert {greenlet.value[0] for greenlet in hung} == {(socket.AF_INET, ("192.0.2.1", 0))}


def test_who_asks_for_a_host_that_is_being_looked_up_waits_for_that_and_each_for_his_own_time(
    server: NameServer,
) -> None:
    others = [gevent.spawn(look_up, "hung", patience()) for _ in range(20)]
    with pytest.raises(TimeoutError):
        look_up("hung", 0.01)
    server.open.set()
    gevent.joinall(others, timeout=patience(), raise_error=True)
    assert server.asked == ["hung"]
    look_up("hung", patience())
    assert server.asked == ["hung", "hung"]


def test_a_host_that_is_not_there_is_an_error_for_all_who_asked(server: NameServer) -> None:
    asking = [gevent.spawn(look_up, "nobody", patience()) for _ in range(3)]
    gevent.idle()
    server.open.set()
    gevent.joinall(asking, timeout=patience())
    assert [type(greenlet.exception) for greenlet in asking] == [socket.gaierror] * 3


def test_the_system_s_own_answer_comes() -> None:
    assert look_up("localhost", patience())[0][1][0] in ("127.0.0.1", "::1")
