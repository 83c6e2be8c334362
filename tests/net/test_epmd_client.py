"""Asking EPMD, staying registered, finding or starting one."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.queue import Queue

from pyerlnode.dist.epmd import NodeEntry
from pyerlnode.errors import EpmdError, NameTaken, UsageError
from pyerlnode.net import epmd_client, tcp
from pyerlnode.net.epmd_client import (
    Epmd,
    Registration,
    RegistrationState,
    find_or_start_epmd,
    port_from_environment,
)
from pyerlnode.net.epmd_server import EpmdServer
from pyerlnode.testing.epmd import free_port
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

APP = NodeEntry("app", 5555)


@pytest.fixture
def server() -> Iterator[EpmdServer]:
    with gevent.Timeout(patience()), EpmdServer(free_port()) as server:
        yield server


@pytest.fixture
def epmd(server: EpmdServer) -> Epmd:
    return Epmd(server.port)


def test_the_port_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ERL_EPMD_PORT", raising=False)
    assert port_from_environment() == Epmd().port == 4369
    monkeypatch.setenv("ERL_EPMD_PORT", "14369")
    assert Epmd().port == 14369
    for bad in ("0", "65536", "x", "-1"):
        monkeypatch.setenv("ERL_EPMD_PORT", bad)
        with pytest.raises(UsageError, match="ERL_EPMD_PORT is"):
            Epmd()


def test_a_name_is_found_while_it_is_registered(epmd: Epmd) -> None:
    registration = Registration(epmd, APP)
    creation = registration.start()
    assert epmd.lookup("127.0.0.1", "app") == APP
    assert epmd.lookup("127.0.0.1", "other") is None
    assert epmd.names() == [("app", 5555)]
    registration.stop()
    registration.stop()
    while epmd.names():
        gevent.idle()
    assert registration.start() == creation + 1
    registration.stop()


def test_a_taken_name_is_a_clear_error(epmd: Epmd) -> None:
    first = Registration(epmd, APP)
    first.start()
    with pytest.raises(NameTaken, match=r"the name app is taken at EPMD 127.0.0.1:.*choose another name"):
        Registration(epmd, APP).start()
    first.stop()


def test_no_epmd_is_a_clear_error() -> None:
    epmd = Epmd(free_port())
    for ask in (epmd.names, lambda: epmd.lookup("127.0.0.1", "x"), lambda: epmd.register(APP)):
        with pytest.raises(EpmdError, match=r"no EPMD answers at 127.0.0.1:.*start a node there"):
            ask()
    assert not epmd.is_running()


def serve(answer: bytes, close: bool = True) -> tuple[Epmd, gevent.Greenlet]:
    """Something on a port that answers everything with `answer`."""
    listening = tcp.listen("127.0.0.1")

    def run() -> None:
        with listening:
            sock, _ = listening.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(answer)
                if not close:
                    sock.recv(1)

    return Epmd(listening.getsockname()[1]), gevent.spawn(run)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad\r\n", b"\0\0\0\1"])
def test_another_program_on_the_port_is_told_as_such(answer: bytes) -> None:
    epmd, other = serve(answer)
    with pytest.raises(EpmdError, match="is not EPMD: set ERL_EPMD_PORT"):
        epmd.is_running()
    other.join()


def test_an_epmd_that_closes_or_is_silent_is_told_as_such() -> None:
    epmd, other = serve(b"")
    with pytest.raises(EpmdError, match="closed the connection without an answer"):
        epmd.lookup("127.0.0.1", "x")
    other.join()
    epmd, other = serve(b"", close=False)
    with pytest.raises(EpmdError, match="did not answer in time"):
        epmd.register(APP, timeout=0.02)
    other.join()


def test_a_list_of_names_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epmd_client, "MAX_REPLY", 10)
    epmd, other = serve(b"x" * 11, close=False)
    with pytest.raises(EpmdError):
        epmd.names()
    other.join()


def test_the_name_is_registered_again_with_its_creation_when_epmd_comes_back(server: EpmdServer) -> None:
    states: Queue[RegistrationState] = Queue()
    registration = Registration(Epmd(server.port), APP, on_change=states.put, retry=0.01)
    creation = registration.start()
    server.stop()
    assert states.get(timeout=patience()) is RegistrationState.LOST
    with EpmdServer(server.port):
        assert states.get(timeout=patience()) is RegistrationState.REGISTERED
        assert registration.creation == creation
        assert registration.epmd.names() == [("app", 5555)]
        registration.stop()
    assert registration.state is RegistrationState.STOPPED


def test_a_name_that_was_taken_meanwhile_is_taken_back_when_it_is_free(server: EpmdServer) -> None:
    states: Queue[RegistrationState] = Queue()
    registration = Registration(Epmd(server.port), APP, on_change=states.put, retry=0.01)
    registration.start()
    server.stop()
    assert states.get(timeout=patience()) is RegistrationState.LOST
    with EpmdServer(server.port) as again:
        thief, _ = Epmd(again.port).register(APP)
        assert states.get(timeout=patience()) is RegistrationState.TAKEN
        thief.close()
        assert states.get(timeout=patience()) is RegistrationState.REGISTERED
        registration.stop()


def test_a_stopped_registration_leaves_no_greenlet(epmd: Epmd) -> None:
    registration = Registration(epmd, APP)
    registration.start()
    greenlet = registration._greenlet
    assert greenlet is not None
    registration.stop()
    assert greenlet.dead


# --- finding or starting -----------------------------------------------------------------------
def test_a_registration_that_comes_while_it_is_stopped_is_given_back(epmd: Epmd) -> None:
    given: list[Any] = []

    class Late:
        port = epmd.port

        def register(self, entry: Any, *_: Any) -> tuple[Any, int]:
            if given:
                registration.stop()
            sock, creation = epmd.register(entry)
            given.append(sock)
            return sock, creation

    registration = Registration(Late(), APP, retry=0.01)  # type: ignore[arg-type]
    registration.start()
    given[0].shutdown(2)  # as if EPMD had gone
    wait_for(lambda: len(given) == 2 and given[1].closed)
    assert given[0].closed


@pytest.mark.parametrize("mode", ["auto", "external", "embedded"])
def test_a_running_one_is_used_in_every_mode(epmd: Epmd, mode: epmd_client.Mode) -> None:
    service = find_or_start_epmd(mode, epmd)
    assert (service.how, service.server) == ("running", None)
    service.stop()
    assert epmd.is_running()


def test_external_starts_none() -> None:
    with pytest.raises(EpmdError, match="start `epmd -daemon`, or use epmd='auto'"):
        find_or_start_epmd("external", Epmd(free_port()))


def test_without_erlang_one_runs_embedded_until_the_service_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    service = find_or_start_epmd("auto", Epmd(free_port()))
    assert service.how == "embedded"
    assert service.epmd.names() == []
    service.ensure()
    assert service.how == "embedded"
    service.stop()
    service.stop()
    assert not service.epmd.is_running()


def test_the_next_process_takes_the_place_of_an_embedded_one_that_ended() -> None:
    port = free_port()
    first = find_or_start_epmd("embedded", Epmd(port))
    second = find_or_start_epmd("embedded", Epmd(port))
    states: Queue[RegistrationState] = Queue()
    registration = Registration(second.epmd, APP, locate=second.ensure, on_change=states.put, retry=0.01)
    registration.start()
    first.stop()
    assert [states.get(timeout=patience()), states.get(timeout=patience())] == [
        RegistrationState.LOST,
        RegistrationState.REGISTERED,
    ]
    assert second.how == "embedded"
    registration.stop()
    second.stop()


def test_none_asks_nobody() -> None:
    assert find_or_start_epmd("none", Epmd(free_port())).how == "none"


def test_an_unknown_mode_is_told_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'auto', 'external', 'embedded' or 'none'"):
        find_or_start_epmd("maybe", Epmd(1))  # type: ignore[arg-type] - what a program may well do
