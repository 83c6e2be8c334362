"""Our EPMD under real nodes, and our node at the real EPMD."""

import os
import signal
from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event
from gevent.queue import Queue
from gevent.subprocess import DEVNULL, Popen

from interop_tests.plain_erl import node, run
from pyerlnode.dist.epmd import NodeEntry
from pyerlnode.errors import EpmdError, NameTaken
from pyerlnode.net.epmd_client import Epmd, EpmdService, Registration, RegistrationState, find_or_start_epmd
from pyerlnode.net.epmd_server import EpmdServer
from pyerlnode.testing.epmd import free_port
from pyerlnode.testing.patience import patience


@pytest.fixture
def ours() -> Iterator[EpmdServer]:
    with EpmdServer(free_port()) as server:
        yield server


class RealEpmd:
    """OTP's daemon on a port of its own, in the foreground."""

    def __init__(self, port: int) -> None:
        env = {**os.environ, "ERL_EPMD_PORT": str(port), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        self.port = port
        self.process = Popen(["epmd"], env=env, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
        self.epmd = Epmd(port)
        until(self.epmd.is_running)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def real() -> Iterator[RealEpmd]:
    daemon = RealEpmd(free_port())
    yield daemon
    daemon.stop()


def until(condition) -> None:
    with gevent.Timeout(patience()):
        while not condition():
            gevent.sleep(0.01)


# --- real nodes at our EPMD --------------------------------------------------------------------
def test_a_beam_registers_is_listed_and_looked_up_at_our_epmd(ours: EpmdServer) -> None:
    with node("x@127.0.0.1", ours.port) as erl:
        ((name, port),) = Epmd(ours.port).names()
        assert name == "x"
        assert run(["epmd", "-names"], ours.port) == (
            f"epmd: up and running on port {ours.port} with data:\nname x at port {port}\n"
        )
        assert erl.eval("net_adm:names('127.0.0.1').") == f"{{ok,[{{[120],{port}}}]}}"
        assert erl.eval('erl_epmd:port_please("x", {127,0,0,1}).') == f"{{port,{port},6}}"
        assert erl.eval('erl_epmd:port_please("y", {127,0,0,1}).') == "noport"
        creation = erl.eval("erlang:system_info(creation).")
        assert int(creation) > 3


def test_two_beams_find_each_other_by_our_epmd(ours: EpmdServer) -> None:
    with node("a@127.0.0.1", ours.port) as a, node("b@127.0.0.1", ours.port):
        assert a.eval("net_adm:ping('b@127.0.0.1').") == "pong"
        assert a.eval("net_adm:ping('c@127.0.0.1').") == "pang"


def test_a_name_that_a_beam_holds_is_taken_and_free_again_when_it_was_killed(ours: EpmdServer) -> None:
    epmd = Epmd(ours.port)
    with node("x@127.0.0.1", ours.port) as erl:
        with pytest.raises(NameTaken, match=r"the name x is taken at EPMD 127.0.0.1"):
            epmd.register(NodeEntry("x", 1))
        erl.process.kill()
        until(lambda: not epmd.names())
    registration = Registration(epmd, NodeEntry("x", 1))
    registration.start()
    with pytest.raises(AssertionError, match="in use by another Erlang node"):
        node("x@127.0.0.1", ours.port).__enter__()
    registration.stop()
    until(lambda: not epmd.names())


def test_a_beam_registers_again_when_our_epmd_comes_back(ours: EpmdServer) -> None:
    with node("x@127.0.0.1", ours.port) as erl:
        creation = erl.eval("erlang:system_info(creation).")
        ours.stop()
        with EpmdServer(ours.port) as again:
            until(lambda: [name for name, _ in Epmd(again.port).names()] == ["x"])
            assert erl.eval("erlang:system_info(creation).") == creation


def test_epmd_kill_ends_our_server_when_no_name_is_registered(ours: EpmdServer) -> None:
    with node("x@127.0.0.1", ours.port):
        assert "living nodes" in run(["epmd", "-kill"], ours.port)
    until(lambda: not Epmd(ours.port).names())
    assert "Killed" in run(["epmd", "-kill"], ours.port)
    assert ours.stopped.wait(patience())
    assert not Epmd(ours.port).is_running()


def test_a_stop_request_does_no_harm(ours: EpmdServer) -> None:
    with node("x@127.0.0.1", ours.port):
        run(["epmd", "-stop", "x"], ours.port)
        assert [name for name, _ in Epmd(ours.port).names()] == ["x"]


# --- our node at the real EPMD -----------------------------------------------------------------
def test_our_registration_is_seen_by_the_real_epmd(real: RealEpmd) -> None:
    registration = Registration(real.epmd, NodeEntry("py", 4711))
    creation = registration.start()
    assert creation > 3
    assert real.epmd.names() == [("py", 4711)]
    assert real.epmd.lookup("127.0.0.1", "py") == NodeEntry("py", 4711)
    assert real.epmd.lookup("127.0.0.1", "nobody") is None
    with pytest.raises(NameTaken):
        Registration(real.epmd, NodeEntry("py", 4712)).start()
    registration.stop()
    until(lambda: not real.epmd.names())
    second = Registration(real.epmd, NodeEntry("py", 4711))
    assert second.start() == creation + 1
    second.stop()


def test_we_register_again_with_our_creation_when_the_real_epmd_was_restarted(real: RealEpmd) -> None:
    states: Queue[RegistrationState] = Queue()
    registration = Registration(real.epmd, NodeEntry("py", 4711), on_change=states.put, retry=0.02)
    creation = registration.start()
    real.stop()
    assert states.get(timeout=patience()) is RegistrationState.LOST
    again = RealEpmd(real.port)
    try:
        assert states.get(timeout=patience()) is RegistrationState.REGISTERED
        assert again.epmd.names() == [("py", 4711)]
        assert registration.creation == creation
    finally:
        registration.stop()
        again.stop()


# --- finding and starting ----------------------------------------------------------------------
def test_auto_uses_a_running_epmd(real: RealEpmd) -> None:
    service = find_or_start_epmd("auto", real.epmd)
    assert (service.how, service.server) == ("running", None)
    service.stop()
    assert real.epmd.is_running()


def test_auto_starts_the_machines_own_epmd() -> None:
    port = free_port()
    service = find_or_start_epmd("auto", Epmd(port))
    try:
        assert service.how == "daemon"
        assert service.epmd.names() == []
    finally:
        assert "Killed" in run(["epmd", "-kill"], port)


def test_auto_embeds_one_on_a_machine_without_erlang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    service = find_or_start_epmd("auto", Epmd(free_port()))
    assert service.how == "embedded"
    service.stop()
    assert not service.epmd.is_running()


def test_external_starts_nothing() -> None:
    with pytest.raises(EpmdError, match=r"no EPMD answers at 127.0.0.1"):
        find_or_start_epmd("external", Epmd(free_port()))


def test_when_the_embedded_epmd_ends_the_next_node_takes_its_place() -> None:
    port = free_port()
    first = find_or_start_epmd("embedded", Epmd(port))
    second = find_or_start_epmd("embedded", Epmd(port))
    assert (first.how, second.how) == ("embedded", "running")
    back = Event()
    registration = Registration(
        second.epmd,
        NodeEntry("two", 2),
        locate=second.ensure,
        retry=0.02,
        on_change=lambda state: back.set() if state is RegistrationState.REGISTERED else None,
    )
    registration.start()
    first.stop()
    assert back.wait(patience())
    assert second.how == "embedded"
    assert second.epmd.names() == [("two", 2)]
    registration.stop()
    second.stop()


def test_no_epmd_at_all_is_a_mode() -> None:
    service: EpmdService = find_or_start_epmd("none", Epmd(free_port()))
    assert service.how == "none"
