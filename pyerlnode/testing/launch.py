"""Where the programs of an Erlang installation come from, and how they are started, stopped and killed.

A `Launcher` stands for one installation: the one on PATH, a directory with `bin/erl`, a root file
system to `chroot` into, or a command that is put before every program (``ssh box``, ``beam 27``). What it
starts is a `Program`: its process id is the program's own, so a signal reaches it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyerlnode.testing import waiting
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.patience import QUIET_S, patience
from pyerlnode.testing.reaper import REAPER
from pyerlnode.testing.release import erts_of, is_release, otp_of

FOREIGN_SETTINGS = ("ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ELIXIR_ERL_OPTIONS", "ERL_CRASH_DUMP")
"""Settings of the person who runs the tests that would change the BEAM under test."""


class Program:
    """A running program of an installation, killed when the test run ends in any way."""

    inside: tuple[str, ...] = ()
    """What is put before a command that is to run beside it; nothing where that is this machine."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._killed = False
        self._key = REAPER.add_pid(process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def status(self) -> str:
        """How it ended, for a person."""
        code = self._process.poll()
        if code is None:
            return "is running"
        if self._killed:
            # Not by its status: where gevent watches children, its handler takes that first, and 0 is left here.
            return "was ended by SIGKILL"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.running():
            self._killed = True
            self._process.kill()
        self.wait(QUIET_S)

    def keep(self) -> None:
        """Do not kill it at the end of the test run."""
        REAPER.remove(self._key)
        self._process.returncode = 0  # so that it is not missed when this object goes

    def suspend(self) -> None:
        """SIGSTOP, and wait until every thread of it has stopped."""
        self._process.send_signal(signal.SIGSTOP)
        waiting.wait_for(lambda: _thread_states(self.pid) <= {"T"}, what="the program to stop")

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def wait(self, timeout: float) -> bool:
        """Wait for its end; say whether it came."""
        try:
            waiting.wait_for(lambda: not self.running(), timeout, "the end of the program")
        except AssertionError:
            return False
        REAPER.remove(self._key)
        return True


def _thread_states(pid: int) -> set[str]:
    """The kernel's letter for each thread's state: R runs, S sleeps, T is stopped."""
    states = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
    return states


class Launcher:
    """An installation on this machine.

    Args:
        prefix: the command put before each program.
        path: a directory searched before PATH.
        label: how the report names it.
        root: the directory of an OTP release, when it is one (`release`).
    """

    kind = "local"

    def __init__(self, prefix: Sequence[str] = (), path: str = "", label: str = "local", root: str = "") -> None:
        self.prefix = tuple(prefix)
        self.path = path
        self.label = label
        self.root = root

    def __repr__(self) -> str:
        return f"Launcher({self.label})"

    def sharing(self, *_directories: str) -> Launcher:
        """The same where these directories of this machine can be read, too: here they can."""
        return self

    def start(self, command: Sequence[str], env: Mapping[str, str], **popen: Any) -> Program:
        """Start `command` of this installation; `popen` goes to `subprocess.Popen`."""
        try:
            process = subprocess.Popen(  # noqa: S603 - the installation's own programs
                [*self.prefix, *command], env=self.environment(env), start_new_session=True, **popen
            )
        except OSError as error:
            raise BeamUnavailable(f"{self.label}: {(*self.prefix, *command)[0]} can not be run: {error}") from None
        return Program(process)

    def epmd(self, *options: str) -> list[str]:
        """The command that is its `epmd`."""
        return ["epmd", *options]

    def reap_file(self, path: str, /) -> int | None:
        """Remove a file of this installation when the test run ends; gives the reaper's key, None if it goes anyhow."""
        return REAPER.add(*self.prefix, "rm", "-f", path)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """This process's environment without what would change the BEAM, and `more`."""
        env = {name: value for name, value in os.environ.items() if name not in FOREIGN_SETTINGS}
        env["ERL_CRASH_DUMP_BYTES"] = "0"
        if self.path:
            env["PATH"] = f"{self.path}{os.pathsep}{env.get('PATH', '')}"
        return {**env, **more}

    def release(self) -> int | None:
        """The newest OTP release installed there, read from its files in a few milliseconds; None if unclear."""
        if self.root:
            return otp_of(self.root)
        script = (
            'p=$(command -v erl) && p=$(readlink -f "$p") && ls "${p%/*/*}/releases" "${p%/*/*}/lib/erlang/releases"'
        )
        done = subprocess.run(  # noqa: S603 - a fixed script
            [*self.prefix, "sh", "-c", script],
            env=self.environment({}), capture_output=True, text=True, check=False, timeout=patience(),
        )  # fmt: skip
        found = re.findall(r"^\d+$", done.stdout, re.MULTILINE)
        return max(map(int, found), default=None)


def local() -> Launcher:
    """The installation on PATH."""
    if shutil.which("erl") is None:
        raise BeamUnavailable("no `erl` on PATH (Debian: apt install erlang-nox elixir)")
    return Launcher()


def from_prefix(text: str) -> Launcher:
    """A directory, or a command to put before each program.

    In the directory is `bin/erl`, or an OTP release, or it is a root file system with `usr/bin/erl`.

    Raises:
        BeamUnavailable: it is neither.
    """
    if os.path.isdir(text):
        root = os.path.abspath(text)
        if os.path.exists(os.path.join(root, "usr/bin/erl")) and os.path.isdir(os.path.join(root, "etc")):
            return Launcher(prefix=("chroot", root), label=text)
        if os.path.exists(os.path.join(root, "bin/erl")):
            return Launcher(path=os.path.join(root, "bin"), label=text)
        if is_release(root):
            if not erts_of(root) and shutil.which("erl") is None:
                raise BeamUnavailable(f"--beam {text}: a release without erts, and no `erl` on PATH")
            return Launcher(path=erts_of(root), label=text, root=root)
        raise BeamUnavailable(f"--beam {text}: no bin/erl and no release in that directory")
    words = shlex.split(text)
    if not words or shutil.which(words[0]) is None:
        raise BeamUnavailable(
            f"--beam {text}: neither a directory with bin/erl nor a command; give auto, local, docker, "
            "a directory, a command or name@host"
        )
    return Launcher(prefix=(os.path.abspath(words[0]) if "/" in words[0] else words[0], *words[1:]), label=text)
