"""Tests of a user: each fixture of the plugin by its public type."""

from pathlib import Path

import pytest
from service import Counter

from pyerlnode import A, Node, Pid
from pyerlnode.testing import (
    Beam,
    BeamError,
    BeamFactory,
    BeamNetwork,
    Cluster,
    ClusterFactory,
    ContainerBeam,
    NodePair,
    PythonNode,
    PythonNodes,
)


def test_beam(beam: Beam, erl_node: Node) -> None:
    pid: Pid = erl_node.start(Counter, 41, name="counter")
    assert beam.elixir("GenServer.call(pid, {:add, 1})", pid=pid) == 42
    assert beam.eval("X + 1", X=41, timeout=5) == 42
    name: str = beam.name
    assert beam.rpc("erlang", "node") is A[name]
    with pytest.raises(BeamError) as caught:
        beam.eval("1 / 0")
    kind: str = caught.value.kind
    assert kind == "error"


def test_factories(
    beam_factory: BeamFactory, cluster: ClusterFactory, python_node: PythonNodes, tmp_path: Path
) -> None:
    one: Beam = beam_factory(files=[tmp_path / "echo.erl"], args=["-kernel", "net_ticktime", "5"], otp=27)
    several: list[Beam] = beam_factory.several(2, cookie=one.cookie)
    made: Cluster = cluster(beams=2, nodes=1, tls=True)
    node: Node = made.nodes[0]
    ours: PythonNode = python_node(serve, 41)
    ours.kill9()
    assert {beam.otp for beam in (*several, *made.beams)} and node.ping(ours.name)


def serve(node: Node, start: int) -> None:
    node.start(Counter, start)


def test_network(beam_network: BeamNetwork) -> None:
    beam: ContainerBeam = beam_network.beam()
    beam.disconnect_network()
    address: tuple[str, int] | None = beam.listens_at
    assert address is None


def test_pair(node_pair: NodePair) -> None:
    pid: Pid = node_pair.right.start(Counter, 1)
    node_pair.left.monitor(pid)
    node_pair.run_until_idle()
    node_pair.left.assert_down(pid, A.killed, within=1)


@pytest.fixture(scope="module")
def lasting(beam_session: Beam, erl_node_module: Node, cluster_session: ClusterFactory) -> Pid:
    return erl_node_module.start(Counter, 1)
