"""A BEAM in a container: the same pipes, with `docker run -i` between.

The container has the network of the host, so that names, ports and EPMD are those of a local BEAM; `containers` has
those with a network of their own, as they need where the engine is on another machine. What the image runs by default
is set aside; it needs `sh`, and `erl` (and `elixir`) on its PATH, or a release (`release`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.launch import Launcher, Program
from pyerlnode.testing.patience import QUIET_S, patience
from pyerlnode.testing.reaper import REAPER
from pyerlnode.testing.release import START_EPMD

PULL_S = 900.0
ASK_S = 30.0


class Container(Program):
    """A program in a container of its own; the process here is only `docker run`, which carries its pipes."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self.name = name
        self.inside = ("docker", "exec", "--interactive", "--tty", name)
        self._container_key = REAPER.add("docker", "rm", "--force", name)
        super().__init__(process)

    def kill(self) -> None:
        if self.running():
            self._killed = True
            docker("kill", self.name)
        if not self.wait(QUIET_S):
            super().kill()

    def status(self) -> str:
        """A shell's way to tell of a signal: 128 and its number."""
        code = self._process.poll()
        return (
            f"was ended by {signal.Signals(code - 128).name}" if code is not None and code > 128 else super().status()
        )

    def keep(self) -> None:
        REAPER.remove(self._container_key)
        super().keep()

    def suspend(self) -> None:
        docker("pause", self.name)

    def resume(self) -> None:
        docker("unpause", self.name)

    def wait(self, timeout: float) -> bool:
        if not super().wait(timeout):
            return False
        REAPER.remove(self._container_key)
        return True


class DockerLauncher(Launcher):
    """The programs of an image."""

    kind = "docker"

    def __init__(self, image: str, place: tuple[str, ...] = ("--network=host",)) -> None:
        super().__init__(label=f"docker {image}")
        self.image = image
        self._place = place

    def at(self, *place: str) -> DockerLauncher:
        """The same, with these options for where a container stands instead of the host's network."""
        return DockerLauncher(self.image, place)

    def sharing(self, *directories: str) -> DockerLauncher:
        """With these directories of this machine at their place in the container."""
        volumes = [word for path in directories for word in ("--volume", f"{path}:{path}")]
        return DockerLauncher(self.image, (*self._place, *volumes)) if volumes else self

    def start(self, command: Sequence[str], env: Mapping[str, str], **popen: Any) -> Container:
        name = f"pyerlnode-{uuid.uuid4().hex[:12]}"
        settings = [word for key, value in env.items() for word in ("--env", f"{key}={value}")]
        options = ["--interactive", "--rm", *self._place, "--entrypoint=", "--name", name, *settings]
        process = subprocess.Popen(  # noqa: S603 - docker, with the words of this class
            ["docker", "run", *options, self.image, *command],  # noqa: S607 - the one on PATH
            start_new_session=True,
            **popen,
        )
        return Container(process, name)

    def epmd(self, *options: str) -> list[str]:
        """That of a release, too: an image need not have one on PATH."""
        return ["sh", "-c", START_EPMD, "epmd", *options]

    def reap_file(self, _path: str, /) -> None:
        """Nothing to do: its files go with a container."""

    def release(self) -> int | None:
        """From the image's labels and name only: looking into it would start a container for a line of a header."""
        match = re.search(r"otp-?(\d\d)|erlang:(\d\d)|:(\d\d)$", self.image)
        return int(next(filter(None, match.groups()))) if match else None


def engine_host() -> str:
    """The machine of the engine where that is another one, as DOCKER_HOST says; empty where a file leads to it.

    One at a port of this machine counts as another: it may be the end of a tunnel.
    """
    found = urlsplit(os.environ.get("DOCKER_HOST", ""))
    return (found.hostname or "") if found.scheme in ("tcp", "http", "https", "ssh") else ""


def launcher(image: str, *, pull: bool) -> DockerLauncher:
    """The launcher for `image`; with `pull` it is fetched when it is not there.

    Raises:
        BeamUnavailable: no docker, no engine, or no such image; one line says which.
    """
    if shutil.which("docker") is None:
        raise BeamUnavailable("no `docker` on PATH")
    if error := docker("version", "--format", "{{.Server.Version}}"):
        raise BeamUnavailable(f"no Docker engine answers: {error}")
    if docker("image", "inspect", image):
        error = docker("pull", "--quiet", image, timeout=PULL_S) if pull else "it is not here; --beam docker pulls it"
        if error:
            raise BeamUnavailable(f"the image {image} can not be had: {error}")
    return DockerLauncher(image)


def docker(*words: str, timeout: float = ASK_S) -> str:
    """Run `docker WORDS`; what it complained about in one line, empty when it did not."""
    try:
        done = subprocess.run(  # noqa: S603 - docker, with words of this module
            ["docker", *words],  # noqa: S607 - the one on PATH
            capture_output=True, text=True, check=False, timeout=patience(timeout), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"`docker {words[0]}` did not end within {patience(timeout):g} s"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"`docker {words[0]}` ended with status {done.returncode}"
