"""`Supply`: the BEAMs of one test run. It chooses where they come from, shares one per release, ends all.

One for each pytest process (so one for each worker of ``pytest -n``): its EPMDs and nodes have names
and ports of their own, and nothing is shared with another run on the machine.
"""

from __future__ import annotations

import operator
import os
import re
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pyerlnode.testing.attach import AttachedBeam, FoundEpmd, beside
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.choice import Release, choose, is_a_node_name
from pyerlnode.testing.docker import engine_host
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.launch import Launcher
from pyerlnode.testing.settings import Settings
from pyerlnode.testing.tls import TlsFiles

if TYPE_CHECKING:
    from pyerlnode.testing.containers import BeamNetwork
    from pyerlnode.testing.docker import DockerLauncher
    from pyerlnode.testing.systems import RabbitMQ

EPMD_PORT = 4369
"""In a container, where nobody else has it."""

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


class Supply:
    """Made once per run; nothing is started before a fixture asks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.alive: list[Beam] = []
        self._launchers: dict[Release, Launcher | BeamUnavailable] = {}
        self._epmds: dict[Release, Epmd] = {}
        self._networks: dict[Release, BeamNetwork] = {}
        self._own_epmds: dict[Beam, Epmd] = {}
        self._shared: dict[Release, Beam] = {}
        self._tls = TlsFiles()

    def launcher(self, release: Release = None) -> Launcher:
        """Where BEAMs of `release` come from.

        Raises:
            BeamUnavailable: from nowhere; the text says why.
        """
        if release not in self._launchers:
            try:
                self._launchers[release] = choose(self.settings, release)
            except BeamUnavailable as error:
                self._launchers[release] = error  # the next test need not look again
        found = self._launchers[release]
        if isinstance(found, BeamUnavailable):
            raise found
        return found

    def epmd(self, release: Release = None) -> Epmd:
        """The EPMD that the BEAMs of `release` share; running."""
        if release not in self._epmds:
            self._epmds[release] = Epmd(self.launcher(release))
        return self._epmds[release].start()

    def shared(self, release: Release = None) -> Beam:
        """The BEAM that tests share: running, and not suspended."""
        beam = self._shared.get(release)
        if beam is None:
            beam = self._shared[release] = self._first(release)
            self.alive.append(beam)
        if not isinstance(beam, AttachedBeam) and self._mapped(release) is None:
            self.epmd(release)
        if beam.suspended:
            beam.resume()
        return beam.start()

    def _first(self, release: Release) -> Beam:
        if is_a_node_name(self.settings.beam):
            return AttachedBeam(self.settings.beam, self.settings.address)
        wanted = self.settings
        options: dict[str, Any] = {
            "cookie": wanted.cookie or None, "args": (*self._paths(), *wanted.args), "env": dict(wanted.env),
            "apps": wanted.apps, "mix": wanted.mix or None,
        }  # fmt: skip
        if (network := self._mapped(release)) is not None:
            return network.place(**options)
        return Beam(self._placed(release), self.epmd(release), **options)

    def _mapped(self, release: Release) -> BeamNetwork | None:
        """Where BEAMs with mapped ports are; None where they have this machine's network."""
        placed = self._placed(release)
        if placed.kind != "docker" or not (self.settings.mapped or engine_host()):
            return None
        if release not in self._networks:
            from pyerlnode.testing.containers import BeamNetwork

            self._networks[release] = BeamNetwork(cast("DockerLauncher", placed), EPMD_PORT, mapped=True)
        return self._networks[release]

    def _placed(self, release: Release) -> Launcher:
        """The launcher with what the run's own code is in, wherever the BEAM is."""
        return self.launcher(release).sharing(*self.settings.pa, *filter(None, [self.settings.mix]))

    def _paths(self) -> list[str]:
        return [word for path in self.settings.pa for word in ("-pa", path)]

    def fresh(self, release: Release = None, **options: Any) -> Beam:
        """A BEAM of its own, running; `options` are those of `booting`."""
        return self.booting(release, **options).ready()

    def booting(self, release: Release = None, *, own_epmd: bool = False, tls: bool = False, **options: Any) -> Beam:
        """A BEAM of its own that boots; `options` are those of `Beam`."""
        if tls:
            options["tls"] = self._tls.get()
        options["args"] = (*self._paths(), *options.get("args", ()))
        if (network := self._mapped(release)) is not None:  # each has an EPMD of its own
            options.setdefault("cookie", uuid.uuid4().hex)
            placed = network.place(**options)
            self.alive.append(placed)
            return placed.boot()
        epmd = Epmd(self.launcher(release)).start() if own_epmd else self._found_epmd(release)
        if isinstance(epmd, FoundEpmd):
            options.setdefault("name", beside(self.settings.beam))
        beam = Beam(self._placed(release), epmd, **options)
        if own_epmd:
            self._own_epmds[beam] = epmd
        self.alive.append(beam)
        return beam.boot()

    def system(self, kind: type[RabbitMQ], release: Release = None, **options: Any) -> RabbitMQ:
        """A system of somebody else that boots, at the EPMD of the BEAMs of `release`."""
        made = kind(self.launcher(release), self._found_epmd(release), **options)
        self.alive.append(made)
        return made.boot()

    def _found_epmd(self, release: Release) -> Epmd:
        """Where the BEAMs of `release` find each other: beside a node that runs already that is its EPMD."""
        return FoundEpmd(self.settings.beam) if is_a_node_name(self.settings.beam) else self.epmd(release)

    def end(self, beam: Beam) -> None:
        """End it now, unless the BEAMs of this run are to be kept."""
        if self.settings.keep and beam.running():
            return
        beam.stop()
        if (epmd := self._own_epmds.pop(beam, None)) is not None:
            epmd.stop()
        if beam in self.alive:
            self.alive.remove(beam)

    @property
    def kept(self) -> list[Beam]:
        """The BEAMs of this run that run; not one that was there before it."""
        return [beam for beam in self.alive if beam.running() and not isinstance(beam, AttachedBeam)]

    def stop(self) -> None:
        """End every BEAM and EPMD of the run."""
        for beam in tuple(self.alive):
            self.end(beam)
        for epmd in self._epmds.values():
            epmd.stop()
        for network in self._networks.values():
            network.close()
        self._tls.close()

    def keep(self) -> None:
        """Let them all run on after this process."""
        for beam in self.kept:
            beam.keep()
        for beam in self.alive:
            if isinstance(beam, AttachedBeam):
                beam.stop()  # it stays; what stood between does not
        for epmd in (*self._epmds.values(), *self._own_epmds.values()):
            epmd.keep()
        for network in self._networks.values():
            network.keep()


def unmet(beam: Beam, requirements: dict[str, Any]) -> tuple[str, bool] | None:
    """What of `@pytest.mark.beam(otp=…, elixir=…, tls=…)` this BEAM does not meet, and if it is a fault.

    An OTP release that the test is not for is no fault; a BEAM without Elixir, where Elixir is asked for, is.
    """
    otp = requirements.get("otp")
    if otp is not None and not _release_fits(beam.otp, str(otp)):
        return f"needs OTP {otp}, this BEAM is {beam.otp}", False
    if requirements.get("elixir") and not beam.elixir_version:
        return f"needs Elixir, {beam.launcher.label} has none (Debian: apt install elixir)", True
    if requirements.get("tls") and not beam.eval('code:where_is_file("ssl.app") =/= non_existing'):
        return f"needs TLS, {beam.launcher.label} has no ssl application", True
    return None


def _release_fits(release: int, text: str) -> bool:
    for part in text.split(","):
        match = re.fullmatch(r"\s*(>=|<=|==|!=|>|<|)\s*(\d+)\s*", part)
        if match is None:
            raise ValueError(f"@pytest.mark.beam(otp={text!r}): write a release or a comparison, as '>=27'")
        if not _COMPARE[match[1] or "=="](release, int(match[2])):
            return False
    return True


def load_all(beam: Beam, files: Sequence[str | os.PathLike[str]], directory: Path) -> None:
    """Load `files`, which are looked for beside the test."""
    for file in files:
        beam.load(directory / file)
