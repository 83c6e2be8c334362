"""BEAMs in containers on a network of their own, as `beam_network` gives them: a split without a rule of a firewall.

Where no Docker engine or no image of this project's is (`make interop` builds them), these are skipped, and say so;
every BEAM of the other tests is one without Docker.
"""

import os
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from interop_tests.test_plugin import Run
from pyerlnode import A, CallTimeout, Exit, NodeDown
from pyerlnode.testing import docker
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.containers import BeamNetwork
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.patience import patience, promise
from pyerlnode.testing.waiting import wait_for

IMAGE = os.environ.get("PYERLNODE_BEAM_IMAGE", "pyerlnode-beam:trixie")


def why_no_containers() -> str:
    try:
        docker.launcher(IMAGE, pull=False)
    except BeamUnavailable as error:
        return str(error)
    return ""


MISSING = why_no_containers()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture(autouse=True)
def image(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytestconfig.option, "beam_image", IMAGE)


def test_a_container_without_a_network_is_down_within_the_tick_time_and_comes_back_under_its_name(
    beam_network: BeamNetwork, python: Callable[..., Any]
) -> None:
    one, two = beam_network.beam(), beam_network.beam()
    node = python(
        beam_network.python_name(),
        cookie=one.cookie,
        epmd="embedded",
        epmd_port=beam_network.epmd_port,
        ticktime=ceil(promise(2)),
    )
    assert node.ping(one.name)
    assert node.ping(two.name)
    assert one.eval("net_adm:ping(Two)", Two=two.node) is A.pong
    assert two.eval("net_adm:ping(Python)", Python=A[node.name]) is A.pong
    held = node.rpc(one.name, "erlang", "whereis", [A.kernel_sup])
    reference = node.monitor(held)

    one.disconnect_network()
    assert node.receive((A.DOWN, reference, A.process, held, A.noconnection), timeout=patience())
    assert node.nodes() == [two.name]
    assert one.eval("1 + 1") == 2  # it is well, and obeys without a network

    one.connect_network()
    wait_for(lambda: node.ping(one.name), what="the way back")
    assert node.rpc(one.name, "erlang", "whereis", [A.kernel_sup]) == held


def test_a_killed_container_is_noconnection_at_once_and_its_restart_is_reached(
    beam_network: BeamNetwork, python: Callable[..., Any]
) -> None:
    beam = beam_network.beam()
    node = python(beam_network.python_name(), cookie=beam.cookie, epmd="embedded", epmd_port=beam_network.epmd_port)
    assert node.ping(beam.name)
    beam.kill9()
    with pytest.raises((NodeDown, Exit)):
        node.call(("nobody", beam.name), A.get)
    beam.restart()
    assert node.ping(beam.name)
    beam.stop_epmd()
    assert not beam.epmd.running()
    assert node.ping(beam.name)  # the connection stands
    beam.start_epmd()
    assert beam.epmd.running()
    assert beam.container.startswith("pyerlnode-")


def test_a_frozen_container_lets_a_call_time_out(beam_network: BeamNetwork, python: Callable[..., Any]) -> None:
    beam = beam_network.beam()
    node = python(beam_network.python_name(), cookie=beam.cookie, epmd="embedded", epmd_port=beam_network.epmd_port)
    assert node.ping(beam.name)
    with beam.suspended_for_block(), pytest.raises(CallTimeout):
        node.call(("kernel_sup", beam.name), A.which_children, timeout=0.2)
    assert node.ping(beam.name)


def test_what_beams_of_a_network_say_is_reported_and_what_their_tests_leave_is_found(
    tmp_path: Path, beam_session: Beam
) -> None:
    run = Run(tmp_path, beam_session)
    run.beam = "docker"
    source = """
import socket
from pyerlnode.testing import leaks
leaks.SETTLE_S = 1.0  # what is left here stays
left = []
def test_it(beam_network):
    beam_network.beam().eval('io:format("these words~n")')
    assert False
def test_leak(beam_network):
    left.append(socket.socket())
"""
    status, output = run(source, "--beam-image", IMAGE, "--beam-leaks")
    assert "these words" in output.partition("Output of <Beam")[2], output
    assert "left behind by the test:\n" in output
    assert "socket:[" in output
    assert "1 failed, 1 passed, 1 error" in output
    assert status == 1


@pytest.mark.parametrize("fixture", ["beam", "beam_factory", "cluster", "beam_network"])
def test_mapped_ports_lead_to_beams_that_know_no_way_to_this_machine(
    tmp_path: Path, beam_session: Beam, fixture: str
) -> None:
    """As with an engine elsewhere: a node here dials them, and from then on both sides talk."""
    run = Run(tmp_path, beam_session)
    run.beam = "docker"
    made = {
        "beam": "beam",
        "beam_factory": "beam_factory(cookie=beam.cookie)",
        "cluster": "cluster(beams=2, nodes=1, processes=1)[1]",
        "beam_network": "beam_network.beam()",
    }[fixture]
    source = f"""
from pyerlnode import A, Node
from pyerlnode.testing.factories import node_beside
def test_it(beam, {fixture if fixture != "beam" else "erl_node"}):
    made = {made}
    host, port = made.listens_at
    assert (host, made.address) != (made.host, host) and port != 4370
    with node_beside(made) as node:
        assert made.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
        assert node.rpc(made.name, "erlang", "node", []) is made.node
        if {fixture == "cluster"}:
            assert len(made.nodes()) == 4  # the other BEAM, a node, a process and this one
        assert made.name.partition("@")[0] in made.epmd.names()
    if {fixture != "beam"}:  # of the shared one that is another process than before the test
        made.restart()
        with node_beside(made) as node:
            assert node.ping(made.name)
"""
    status, output = run(source, "--beam-image", IMAGE, "--beam-mapped", "--beam-leaks")
    assert (status, "1 passed" in output) == (0, True), output


def test_a_network_of_a_module_is_gone_after_it_and_one_of_the_session_lasts(
    tmp_path: Path, beam_session: Beam
) -> None:
    run = Run(tmp_path, beam_session)
    run.beam = "docker"
    source = """
def test_it(beam_network_module, beam_network_session):
    for name, network in (("module", beam_network_module), ("session", beam_network_session)):
        assert network.beam().eval("1 + 1") == 2
        with open(f"{name}.txt", "a") as file:
            file.write(network.name + "\\n")
"""
    (tmp_path / "test_last.py").write_text(source)
    status, output = run(source, "--beam-image", IMAGE)
    assert (status, "2 passed" in output) == (0, True), output
    of = {name: (tmp_path / f"{name}.txt").read_text().split() for name in ("module", "session")}
    assert [len(set(of[name])) for name in ("module", "session")] == [2, 1]
    for name in (*of["module"], of["session"][0]):
        assert docker.docker("network", "inspect", name), "it is still there"
