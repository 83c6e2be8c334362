"""The plugin's settings, from the command line, the environment or pytest's ini file, in this order."""

from __future__ import annotations

import glob
import os
import shlex
from dataclasses import dataclass
from typing import Any

# name, default, help; the option is --NAME, the ini key NAME with underscores, the variable PYERLNODE_NAME
_TEXTS = (
    (
        "beam",
        "auto",
        "auto (erl on PATH, else Docker), local, docker, a directory with bin/erl, a command put before each "
        "program ('{otp}' in it becomes the release), or name@host of a running node",
    ),
    ("beam-image", "elixir:1.18", "the Docker image with erl (and elixir); '{otp}' in it becomes the release"),
    (
        "beam-patience",
        "auto",
        "how much longer than on a quiet machine a test waits before it fails: a factor, or auto (measured)",
    ),
    ("beam-matrix", "", "run every test that uses a BEAM on each of these OTP releases: 25,27,29"),
    ("beam-args", "", "further arguments of the shared BEAM's `erl`, quoted as for a shell"),
    ("beam-pa", "", "directories of compiled code for every BEAM, as '_build/default/lib/*/ebin'"),
    ("beam-env", "", "the shared BEAM's environment: COLOUR=red SIZE=3"),
    ("beam-apps", "", "applications that run on the shared BEAM: crypto ssl"),
    (
        "beam-signals",
        "auto",
        "tell the last N signals of each connection of a Python node when a test fails; auto: 40 for a test that "
        "failed the last time, else none are kept",
    ),
    ("beam-cookie", "", "the shared BEAM's cookie"),
    ("beam-address", "", "HOST:PORT where the node of --beam name@host listens, if no EPMD tells"),
    (
        "beam-mix",
        "",
        "the directory of a Mix project: compiled in its environment `test` and started on the shared BEAM; its "
        "`test/**/*_test.exs` are tests of this run",
    ),
)
_SWITCHES = (
    (
        "beam-required",
        "a missing BEAM fails the tests that need one, instead of skipping them; one that --beam, --beam-image or "
        "--beam-matrix names does so anyhow",
    ),
    (
        "beam-leaks",
        "fail a test with a BEAM that leaves something behind: a greenlet, a thread, a socket, an OS process, a name "
        "at EPMD, or what its Python nodes have started on the BEAM",
    ),
    (
        "beam-mapped",
        "BEAMs in containers are reached by mapped ports, as they are anyhow where DOCKER_HOST is another machine",
    ),
    ("beam-keep", "leave the BEAMs of this run running at its end, and print how to reach them"),
)
_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Settings:
    beam: str = "auto"
    image: str = "elixir:1.18"
    patience: str = "auto"
    matrix: tuple[int, ...] = ()
    required: bool = False
    leaks: bool = False
    keep: bool = False
    mapped: bool = False
    args: tuple[str, ...] = ()
    pa: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    apps: tuple[str, ...] = ()
    cookie: str = ""
    address: tuple[str, int] | None = None
    signals: int | None = None
    """How many signals are kept; None: a few for a test that failed the last time."""
    mix: str = ""
    image_named: bool = False
    """Whether somebody has chosen `image`; the default is nobody's choice."""

    @property
    def beam_named(self) -> bool:
        """Whether this run is to have a certain BEAM. One that cannot be had is then a failure: only `auto` skips."""
        return self.beam != "auto" or self.image_named or bool(self.matrix)

    @property
    def containers_named(self) -> bool:
        """The same of BEAMs in containers."""
        return self.beam == "docker" or self.image_named


def add_options(parser: Any) -> None:
    """Declare every setting as an option and as an ini key."""
    group = parser.getgroup("beam", "a real BEAM in tests (pyerlnode)")
    for name, default, help in _TEXTS:
        group.addoption(f"--{name}", default=None, help=f"{help} (default: {default or 'none'})")
        parser.addini(_key(name), f"as --{name}", default="")
    for name, help in _SWITCHES:
        group.addoption(f"--{name}", action="store_true", default=None, help=help)
        parser.addini(_key(name), f"as --{name}", default="")


def read(config: Any) -> Settings:
    """The settings of this run.

    Raises:
        ValueError: a release in the matrix is no number, a variable has no value; says which.
    """

    def text(name: str, default: str) -> str:
        given = config.getoption(f"--{name}")
        for value in (given, os.environ.get(f"PYERLNODE_{_key(name).upper()}"), config.getini(_key(name))):
            if value not in (None, ""):
                return str(value)
        return default

    values = {name: text(name, default) for name, default, _ in _TEXTS}
    switches = {name: text(name, "").lower() in _TRUE for name, _ in _SWITCHES}
    root = str(config.rootpath)
    return Settings(
        args=tuple(shlex.split(values["beam-args"])),
        pa=tuple(path for word in shlex.split(values["beam-pa"]) for path in _directories(root, word)),
        env=tuple(_variable(word) for word in shlex.split(values["beam-env"])),
        apps=tuple(values["beam-apps"].replace(",", " ").split()),
        cookie=values["beam-cookie"],
        address=_address(values["beam-address"]),
        signals=_signals(values["beam-signals"]),
        mix=os.path.join(root, values["beam-mix"]) if values["beam-mix"] else "",
        beam=values["beam"],
        image=values["beam-image"],
        patience=values["beam-patience"],
        matrix=_releases(values["beam-matrix"]),
        required=switches["beam-required"],
        leaks=switches["beam-leaks"],
        keep=switches["beam-keep"],
        mapped=switches["beam-mapped"],
        image_named=bool(text("beam-image", "")),
    )


def _key(name: str) -> str:
    return name.replace("-", "_")


def _releases(text: str) -> tuple[int, ...]:
    words = [word for word in text.replace(",", " ").split() if word]
    for word in words:
        if not word.isdigit():
            raise ValueError(f"--beam-matrix: {word!r} is not an OTP release; write 25,27,29")
    return tuple(map(int, words))


def _directories(root: str, word: str) -> list[str]:
    """What a pattern finds; what finds nothing stays as it is, and is for the BEAM to complain about."""
    path = os.path.join(root, word)
    return sorted(glob.glob(path)) or [path]


def _signals(text: str) -> int | None:
    if text != "auto" and not text.isdigit():
        raise ValueError(f"--beam-signals: {text!r} is no number, nor `auto`")
    return None if text == "auto" else int(text)


def _address(text: str) -> tuple[str, int] | None:
    host, colon, port = text.rpartition(":")
    if text and not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"--beam-address: {text!r} is no HOST:PORT")
    return (host.strip("[]"), int(port)) if text else None


def _variable(word: str) -> tuple[str, str]:
    name, sign, value = word.partition("=")
    if not name or not sign:
        raise ValueError(f"--beam-env: {word!r} is no NAME=VALUE")
    return name, value
