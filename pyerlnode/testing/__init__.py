"""Testing against a real BEAM: a pytest plugin, and the classes behind its fixtures.

    def test_the_beam_reaches_us(beam: Beam, erl_node: Node) -> None:
        assert beam.eval("net_adm:ping(Node)", Node=A[erl_node.name]) is A.pong

See `docs/testing.md`. Importing this package is cheap: what its names stand for is imported when they are asked for,
and gevent by the fixtures that need it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyerlnode.testing.beam import Beam
    from pyerlnode.testing.containers import BeamNetwork, ContainerBeam
    from pyerlnode.testing.errors import BeamDown, BeamError, BeamTimeout, BeamUnavailable
    from pyerlnode.testing.factories import BeamFactory, BeamSystems, Cluster, ClusterFactory, PythonNodes
    from pyerlnode.testing.pair import NodePair
    from pyerlnode.testing.python_node import PythonNode, PythonNodeError
    from pyerlnode.testing.systems import RabbitMQ

_PLACES = {
    "Beam": "beam",
    "BeamDown": "errors",
    "BeamError": "errors",
    "BeamFactory": "factories",
    "BeamNetwork": "containers",
    "BeamSystems": "factories",
    "BeamTimeout": "errors",
    "BeamUnavailable": "errors",
    "Cluster": "factories",
    "ClusterFactory": "factories",
    "ContainerBeam": "containers",
    "NodePair": "pair",
    "PythonNode": "python_node",
    "PythonNodeError": "python_node",
    "PythonNodes": "factories",
    "RabbitMQ": "systems",
}

__all__ = [
    "Beam",
    "BeamDown",
    "BeamError",
    "BeamFactory",
    "BeamNetwork",
    "BeamSystems",
    "BeamTimeout",
    "BeamUnavailable",
    "Cluster",
    "ClusterFactory",
    "ContainerBeam",
    "NodePair",
    "PythonNode",
    "PythonNodeError",
    "PythonNodes",
    "RabbitMQ",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
