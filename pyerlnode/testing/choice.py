"""Where the BEAMs of a run come from: what `--beam`, `--beam-image` and the machine say.

Cheap to import and to ask: the header of every pytest run does, whether or not a test needs a BEAM.
"""

from __future__ import annotations

import re
import shutil

from pyerlnode.testing import docker, launch
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.launch import Launcher
from pyerlnode.testing.settings import Settings

Release = int | None
"""An OTP release of the matrix, or None: the one that there is."""


def choose(settings: Settings, release: Release) -> Launcher:
    """The launcher that `--beam` asks for.

    Raises:
        BeamUnavailable: there is none such; one line says what was looked for.
    """
    wanted = settings.beam
    if "{otp}" in wanted:
        wanted = wanted.replace("{otp}", str(release or ""))
    elif release is not None and wanted not in ("auto", "docker"):
        raise BeamUnavailable(f"--beam {wanted} is one release; with --beam-matrix write {{otp}} in it")
    if is_a_node_name(wanted):
        return _beside(wanted)
    if wanted == "local" or (wanted == "auto" and release is None and shutil.which("erl")):
        return launch.local()
    if wanted in ("auto", "docker"):
        return _from_docker(settings.image, release, pull=wanted == "docker")
    return launch.from_prefix(wanted)


def _beside(name: str) -> Launcher:
    """Where further BEAMs come from: the node itself needs nothing of this machine."""
    try:
        return launch.local()
    except BeamUnavailable as error:
        raise BeamUnavailable(f"{name} runs already, but for a BEAM beside it there is {error}") from None


def is_a_node_name(text: str) -> bool:
    return re.fullmatch(r"[^\s/@]+@[^\s/@]+", text) is not None


def _from_docker(image: str, release: Release, *, pull: bool) -> Launcher:
    if release is not None and "{otp}" not in image:
        raise BeamUnavailable(f"--beam-image {image} is one release; with --beam-matrix write {{otp}} in it")
    try:
        return docker.launcher(image.replace("{otp}", str(release or "")), pull=pull)
    except BeamUnavailable as error:
        if pull:
            raise
        raise BeamUnavailable(f"no `erl` on PATH (Debian: apt install erlang-nox elixir); {error}") from None


def describe(settings: Settings) -> str:
    """What the header of the report says. No engine is asked for it, and no BEAM started."""
    releases: tuple[Release, ...] = settings.matrix or (None,)
    return "beam: " + "; ".join(_describe(settings, release) for release in releases)


def _describe(settings: Settings, release: Release) -> str:
    if settings.beam == "docker" or (settings.beam == "auto" and not shutil.which("erl")):
        how = "docker" if shutil.which("docker") else "none: no `erl` and no `docker` on PATH; docker"
        return f"{how} {settings.image.replace('{otp}', str(release or ''))}"
    if is_a_node_name(settings.beam):
        return f"{settings.beam}, which runs already"
    try:
        found = choose(settings, release)
    except BeamUnavailable as error:
        return f"none: {error}"
    return f"{found.label}, OTP {found.release() or release or '?'}"
