"""`testing.epmd`: an EPMD that is found in the place of the test's own."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyerlnode.net.epmd_server import EpmdServer
from pyerlnode.testing.epmd import Epmd, free_port, is_listening, listeners
from pyerlnode.testing.launch import Launcher
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

EPMD = f"""#!{sys.executable}
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[2]))) as server:
    while True:
        sock, _ = server.accept()
        with sock:
            sock.recv(100)
            sock.sendall(b"\\0\\0\\0\\0")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "epmd"
    path.write_text(EPMD)
    path.chmod(0o755)
    return path


@pytest.fixture
def epmd(program: Path) -> Iterator[Epmd]:
    made = Epmd(Launcher(path=str(program.parent)))
    yield made
    made.stop()


def test_a_daemon_that_a_node_has_started_meanwhile_is_taken_and_stopped_as_its_own(epmd: Epmd, program: Path) -> None:
    epmd.start()
    epmd.stop()
    assert not epmd.running()
    with subprocess.Popen([program, "-port", str(epmd.port)]) as other:
        wait_for(lambda: is_listening(epmd.port, epmd.address), what="the other one")
        epmd.start()
        assert epmd.running()
        assert listeners(epmd.port) == [other.pid]
        epmd.stop()
        assert other.wait(patience()) < 0
    assert not epmd.running()
    epmd.start()
    assert epmd.running()


def test_a_daemon_in_its_place_is_stopped_with_it(epmd: Epmd, program: Path) -> None:
    epmd.start()
    epmd.stop()
    with subprocess.Popen([program, "-port", str(epmd.port)]) as other:
        wait_for(lambda: is_listening(epmd.port, epmd.address), what="the other one")
        epmd.stop()
        assert other.wait(patience()) < 0
    assert listeners(epmd.port) == []


def test_what_is_no_epmd_program_is_taken_and_left_alone(epmd: Epmd) -> None:
    """As a node of this process that embeds one."""
    epmd.start()
    epmd.stop()
    source = EPMD.partition("\n")[2].encode()
    with subprocess.Popen([sys.executable, "-c", source, "-port", str(epmd.port)]) as other:
        try:
            wait_for(lambda: is_listening(epmd.port, epmd.address), what="the other one")
            epmd.start()
            assert epmd.running()
            epmd.stop()
            assert other.poll() is None
        finally:
            other.kill()


def test_an_epmd_in_this_very_thread_is_asked_for_its_names(epmd: Epmd) -> None:
    server = EpmdServer(free_port(), ["127.0.0.1"]).start()
    try:
        epmd.port = server.port
        assert epmd.names() == {}
    finally:
        server.stop()


def test_listeners_are_those_of_one_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert len(listeners(server.getsockname()[1])) == 1
    assert listeners(free_port()) == []
