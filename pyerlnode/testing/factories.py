"""What makes further BEAMs and nodes for a test: the values of the fixtures `beam_factory`, `cluster`, `python_node`.

A factory ends what it has made with its scope: the fixtures without an ending are of a test, those with ``_module`` and
``_session`` of that.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import pytest

from pyerlnode.term.atom import A
from pyerlnode.testing.supply import Supply, load_all, unmet

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pyerlnode.node import Node
    from pyerlnode.testing.beam import Beam
    from pyerlnode.testing.python_node import PythonNode
    from pyerlnode.testing.systems import RabbitMQ

Files = Sequence["str | os.PathLike[str]"]


class BeamOptions(TypedDict, total=False):
    """How a further BEAM is: what it needs, what it loads, and how `erl` is started."""

    otp: int
    elixir: bool
    tls: bool
    files: Files
    own_epmd: bool
    name: str
    cookie: str
    hidden: bool
    args: Sequence[str]
    env: dict[str, str]
    apps: Sequence[str]
    mix: str


class BeamFactory:
    """Makes BEAMs: ``beam_factory(files=["echo.erl"], args=["-kernel", "net_ticktime", "5"])``.

    `otp`, `elixir` and `tls` are what it must have, else the test is skipped; `files` are looked for beside the test.
    """

    def __init__(
        self, supply: Supply, release: int | None, directory: Path, or_skip: Callable[[Callable[[], Any]], Any]
    ) -> None:
        self._supply, self._release, self._directory, self._or_skip = supply, release, directory, or_skip
        self._made: list[Beam] = []

    def __call__(self, **options: Unpack[BeamOptions]) -> Beam:
        return self.several(1, **options)[0]

    def several(self, count: int, **options: Unpack[BeamOptions]) -> list[Beam]:
        """That many, which boot side by side."""
        given: dict[str, Any] = dict(options)
        otp, elixir, files = (given.pop(name, None) for name in ("otp", "elixir", "files"))
        release = otp if otp is not None and self._supply.settings.matrix else self._release
        booting = []
        for _ in range(count):
            booting.append(self._or_skip(lambda: self._supply.booting(release, **given)))
            self._made.append(booting[-1])
        for beam in booting:
            self._or_skip(beam.ready)
            missing = unmet(beam, {"otp": otp, "elixir": elixir, "tls": given.get("tls")})
            if missing is not None:
                pytest.skip(missing[0])
            load_all(beam, files or (), self._directory)
        return booting

    def close(self) -> None:
        for beam in self._made:
            self._supply.end(beam)


class BeamSystems:
    """Makes nodes that are systems of others: ``beam_system("rabbitmq", cookie=beam.cookie)``.

    Where such a system is not installed, the test is skipped, or fails when a BEAM is required.
    """

    def __init__(self, supply: Supply, release: int | None, or_skip: Callable[[Callable[[], Any]], Any]) -> None:
        self._supply, self._release, self._or_skip = supply, release, or_skip
        self._made: list[Beam] = []

    def __call__(
        self, name: Literal["rabbitmq"], *, cookie: str | None = None, env: dict[str, str] | None = None
    ) -> RabbitMQ:
        from pyerlnode.testing import systems

        kind = systems.of(name)
        made: RabbitMQ = self._or_skip(lambda: self._supply.system(kind, self._release, cookie=cookie, env=env))
        self._made.append(made)
        return made.ready()

    def close(self) -> None:
        for made in self._made:
            self._supply.end(made)


@dataclass
class Cluster:
    """What `cluster` makes: `beams`, and Python nodes of this process (`nodes`) and in processes of their own
    (`processes`), each connected to each BEAM."""

    beams: list[Beam]
    nodes: list[Node]
    processes: list[PythonNode] = field(default_factory=list)

    def __getitem__(self, at: int) -> Beam:
        return self.beams[at]

    def stop(self, beam: Beam) -> None:
        """Take a BEAM out of it: the others are told as of a machine that is shut down."""
        beam.stop()
        self.beams.remove(beam)


class ClusterFactory:
    """Makes clusters: ``cluster(3)`` BEAMs that know each other, ``cluster(beams=2, nodes=1)`` with Python nodes.

    Further options are those of `beam_factory`.
    """

    def __init__(self, beams: BeamFactory, processes: PythonNodes) -> None:
        self._beams, self._processes = beams, processes
        self._nodes = ExitStack()

    def __call__(self, beams: int = 2, nodes: int = 1, processes: int = 0, **options: Unpack[BeamOptions]) -> Cluster:
        options.setdefault("cookie", uuid.uuid4().hex)
        made = self._beams.several(beams, **options)
        for at, beam in enumerate(made):
            for other in made[:at]:
                beam.eval("true = net_kernel:connect_node(Node)", Node=other.node)
        joined = [self._nodes.enter_context(node_beside(*made)) for _ in range(nodes)]
        apart = self._processes.several(processes, made)
        everybody: list[Node | PythonNode] = [*joined, *apart]
        for node in everybody:
            for beam in made:
                node.connect(beam.name)
                beam.wait_until("lists:member(Node, nodes(connected))", Node=A[node.name])  # it is the last to know
        return Cluster(made, joined, apart)

    def close(self) -> None:
        self._nodes.close()


class PythonNodes:
    """Makes nodes in OS processes of their own: ``python_node(serve, 41)`` runs ``serve(node, 41)`` there.

    They have the cookie of the run's BEAM and its EPMD, unless told otherwise.
    """

    def __init__(self, beam: Callable[[], Beam], alive: list[Any]) -> None:
        self._beam, self._alive = beam, alive
        self._made: list[PythonNode] = []

    def __call__(
        self,
        function: Callable[..., object] | None = None,
        *args: object,
        name: str | None = None,
        cookie: str | None = None,
        epmd_port: int | None = None,
        env: Mapping[str, str] | None = None,
        **options: object,
    ) -> PythonNode:
        return self._boot([self._beam()], function, args, name, cookie, epmd_port, env, options).ready()

    def several(self, count: int, beams: list[Beam]) -> list[PythonNode]:
        """That many, which start side by side, beside `beams`."""
        booting = [self._boot(beams) for _ in range(count)]
        return [process.ready() for process in booting]

    def _boot(
        self, beams: list[Beam], function: Any = None, args: Any = (), name: Any = None, cookie: Any = None,
        epmd_port: Any = None, env: Any = None, options: Any = None,
    ) -> PythonNode:  # fmt: skip
        from pyerlnode.testing.python_node import PythonNode

        beam = beams[0]
        made = PythonNode(
            name or python_name(), cookie or beam.cookie, beam.epmd_port if epmd_port is None else epmd_port,
            function, args, env, {**way_to(*beams), **(options or {})},
        )  # fmt: skip
        self._made.append(made)
        self._alive.append(made)
        return made.boot()

    def close(self) -> None:
        for process in self._made:
            process.stop()
            self._alive.remove(process)


@contextmanager
def node_beside(*beams: Beam) -> Iterator[Node]:
    """A Python node with the cookie of the first of `beams`, at its EPMD. Connected only when they can not dial it."""
    from pyerlnode import Node

    first = beams[0]
    way = way_to(*beams)
    with Node(python_name(), cookie=first.cookie, epmd_port=first.epmd_port, tls=first.tls, **way) as node:
        if way["epmd"] == "none":
            for beam in beams:
                node.connect(beam.name)
        yield node


def way_to(*beams: Beam) -> dict[str, Any]:
    """How a node is told where `beams` are.

    The EPMD of a test is the test's to start, and no node's. Where this machine has none, as beside a node that runs
    elsewhere, or where ports are mapped, the node is in no list, and it is the one that dials.
    """
    from pyerlnode.testing.epmd import ADDRESS, is_listening

    addresses = {beam.name: beam.listens_at for beam in beams if beam.listens_at is not None}
    if addresses:
        return {"epmd": "none", "addresses": addresses}
    return {"epmd": "external" if is_listening(beams[0].epmd_port, ADDRESS) else "none"}


def python_name() -> str:
    """A node name that no other test has."""
    return f"py_{uuid.uuid4().hex[:10]}@127.0.0.1"
