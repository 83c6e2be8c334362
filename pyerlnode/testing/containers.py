"""BEAMs in containers on a network of their own, as on machines of their own: the fixture `beam_network`.

    def test_a_split(beam_network):
        beam = beam_network.beam()
        name, port = beam_network.python_name(), beam_network.epmd_port
        with Node(name, cookie=beam.cookie, epmd="embedded", epmd_port=port) as node:
            node.connect(beam.name)
            beam.disconnect_network()       # no packet passes; nobody is told
            ...
            beam.connect_network()          # the same address, so the same name

Each container has an address that it keeps, and an EPMD of its own; this process is their neighbour at the network's
gateway. `kill9` is `docker kill`, `suspend` is `docker pause`; `logs`, `eval` and the rest work as ever, without a
network too: they use the container's standard input and output.

Where the engine is on another machine, or the run says ``--beam-mapped``, the ports of a container are mapped: its
`listens_at` is where a Python node dials it. It is the Python node that dials: no container knows a way to it.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from pyerlnode.testing import docker as engine
from pyerlnode.testing import waiting
from pyerlnode.testing.beam import SCRIPT, Beam
from pyerlnode.testing.docker import Container, DockerLauncher, docker
from pyerlnode.testing.epmd import Epmd, is_listening
from pyerlnode.testing.errors import BeamDown, BeamUnavailable
from pyerlnode.testing.patience import patience
from pyerlnode.testing.reaper import REAPER
from pyerlnode.testing.release import START_EPMD

ATTEMPTS = 5
DISTRIBUTION_PORT = 4370
"""Of a BEAM with mapped ports: in its container nobody else is."""


class ContainerEpmd(Epmd):
    """The EPMD inside of a container; it ends with it."""

    def __init__(self, launcher: DockerLauncher, address: str, port: int) -> None:
        super().__init__(launcher, address)
        self.port = self.inside = port
        self.container: Container | None = None

    def start(self) -> ContainerEpmd:
        """Start it again and wait until it answers; the first time the container does."""
        if self.container is not None and not self.running():
            self._do("-relaxed_command_check", "-daemon")
            waiting.wait_for(self.running, what="epmd in the container")
        return self

    def stop(self) -> None:
        if self.container is not None and self.running():
            self._do("-kill")
            waiting.wait_for(lambda: not self.running(), what="epmd in the container to end")

    def _do(self, *options: str) -> None:
        assert self.container is not None
        _do("exec", "--env", f"ERL_EPMD_PORT={self.inside}", self.container.name, *self._launcher.epmd(*options))

    def keep(self) -> None:
        """Nothing: it lives as long as its container."""

    def running(self) -> bool:
        return self.container is not None and self.container.running() and is_listening(self.port, self.address)


class ContainerBeam(Beam):
    """A BEAM in a container of a `BeamNetwork`. `address` is the container's, and the host of its name.

    `engine` is the machine whose ports lead into it; empty when they are not mapped.
    """

    script = f"(set -- -relaxed_command_check -daemon{START_EPMD})\n{SCRIPT}"
    epmd: ContainerEpmd

    def __init__(
        self, launcher: DockerLauncher, network: str, address: str, epmd_port: int, engine: str,
        booted: Callable[[], None], **options: Any,
    ) -> None:  # fmt: skip
        ports = [DISTRIBUTION_PORT, epmd_port] if engine else []
        placed = launcher.at(
            "--network", network, "--ip", address, *(word for port in ports for word in ("--publish", str(port)))
        )  # fmt: skip
        if engine:
            fixed = f"-kernel inet_dist_listen_min {ports[0]} inet_dist_listen_max {ports[0]}".split()
            options["args"] = (*fixed, *options.get("args", ()))
        alive = options.pop("name", "").partition("@")[0] or f"beam_{uuid.uuid4().hex[:10]}"
        super().__init__(placed, ContainerEpmd(placed, address, epmd_port), name=f"{alive}@{address}", **options)
        self.address = address
        self._network, self._engine, self._booted = network, engine, booted

    @property
    def container(self) -> str:
        """The name of its container, for `docker` commands of your own."""
        return self._container().name

    def boot(self) -> ContainerBeam:
        super().boot()
        self._booted()
        return self

    def ready(self) -> ContainerBeam:
        super().ready()
        self.epmd.container = self._container()
        if self._engine:
            self.listens_at = self._engine, _mapped(self.container, DISTRIBUTION_PORT)
            self.epmd.address, self.epmd.port = self._engine, _mapped(self.container, self.epmd.inside)
        return self

    def _container(self) -> Container:
        if not isinstance(self._program, Container):
            raise BeamDown(f"{self.name} is not started")
        return self._program

    def _environment(self) -> dict[str, str]:
        environment = {**super()._environment(), "ERL_EPMD_PORT": str(self.epmd.inside)}
        del environment["ERL_EPMD_ADDRESS"]  # its neighbours ask too
        return environment

    def disconnect_network(self) -> None:
        """Take it off the network: no packet passes any more, and no connection is told."""
        _do("network", "disconnect", self._network, self.container)

    def connect_network(self) -> None:
        """Put it back, at its address."""
        _do("network", "connect", "--ip", self.address, self._network, self.container)


class BeamNetwork:
    """A network of containers; all of it is gone with `close`, and when the test run is killed.

    Args:
        alive: where its BEAMs are entered for as long as they are its own: of the plugin, which reports what they say.

    Attributes:
        name: the network's, for `docker` commands of your own.
        gateway: the address of this machine in it.
        epmd_port: where every EPMD in it listens: give it to nodes of this process.
        engine: the machine whose ports lead to its BEAMs, when they are mapped.

    Raises:
        BeamUnavailable: no docker, no engine, no such image, or no network can be made; one line says which.
    """

    def __init__(
        self, image: str | DockerLauncher, epmd_port: int, alive: list[Beam] | None = None, *, mapped: bool = False
    ) -> None:
        self._launcher = engine.launcher(image, pull=True) if isinstance(image, str) else image
        self.engine = engine.engine_host() or ("127.0.0.1" if mapped else "")
        self.name = f"pyerlnode-{uuid.uuid4().hex[:12]}"
        self.epmd_port = epmd_port
        self._beams: list[ContainerBeam] = []
        self._alive = alive if alive is not None else []
        self.gateway, self._free = _create(self.name)
        self._key = REAPER.add("docker", "network", "rm", self.name)

    def beam(self, **options: Any) -> ContainerBeam:
        """Boot a BEAM in a container of its own; `options` are those of `Beam`: cookie, hidden, args, env."""
        made = self.place(**options)
        self._alive.append(made)
        made.start()
        return made

    def place(self, **options: Any) -> ContainerBeam:
        """As `beam`, not booted yet, and not entered as alive."""
        options.setdefault("cookie", self._beams[0].cookie if self._beams else None)
        made = ContainerBeam(
            self._launcher, self.name, str(next(self._free)), self.epmd_port, self.engine, self._goes_last, **options
        )
        self._beams.append(made)
        return made

    def _goes_last(self) -> None:
        """What the reaper does it does in order, and a network goes when nobody is in it."""
        REAPER.remove(self._key)
        self._key = REAPER.add("docker", "network", "rm", self.name)

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where nodes of this process dial its BEAMs when their ports are mapped: for ``Node(addresses=…)``."""
        return {beam.name: beam.listens_at for beam in self._beams if beam.listens_at is not None}

    def python_name(self) -> str:
        """A name for a node of this process that the containers reach."""
        return f"py_{uuid.uuid4().hex[:10]}@{self.gateway}"

    def close(self) -> None:
        """End the containers, then the network."""
        for beam in self._beams:
            beam.stop()
            if beam in self._alive:
                self._alive.remove(beam)
        _do("network", "rm", self.name)
        REAPER.remove(self._key)

    def keep(self) -> None:
        """Let it stand when this process ends, for BEAMs that are kept."""
        REAPER.remove(self._key)


def _create(name: str) -> tuple[str, Iterator[ipaddress.IPv4Address]]:
    """A network of this name: its gateway, and addresses that are free in it.

    The engine lets containers choose an address only where somebody has chosen the subnet: the one that it gives is
    asked for once more by name.
    """
    for _ in range(ATTEMPTS):
        _do("network", "create", name)
        subnet = ipaddress.IPv4Network(json.loads(_ask("network", "inspect", name))[0]["IPAM"]["Config"][0]["Subnet"])
        _do("network", "rm", name)
        gateway, *rest = (subnet[number] for number in range(1, min(subnet.num_addresses - 1, 250)))
        if not docker("network", "create", "--subnet", str(subnet), "--gateway", str(gateway), name):
            return str(gateway), iter(rest)
    raise BeamUnavailable("Docker gives no subnet that stays free: `docker network prune` removes unused ones")


def _mapped(container: str, port: int) -> int:
    """The port of the engine's machine that leads to `port` of a container."""
    return int(_ask("port", container, f"{port}/tcp").split()[0].rpartition(":")[2])


def _do(*words: str) -> None:
    if error := docker(*words):
        raise BeamUnavailable(f"docker {words[0]} {words[1]}: {error}")


def _ask(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 - docker, with words of this module
        ["docker", *words],  # noqa: S607 - the one on PATH
        capture_output=True, text=True, check=True, timeout=patience(engine.ASK_S), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout
