"""A place for programs under test: an EPMD of its own, a HOME of its own with the cookie `secret`, unique ports.

Every program runs as its user runs it, in an OS process; all of them are gone when the place is left.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyerlnode.testing.beam import SLEEPS
from pyerlnode.testing.epmd import ADDRESS, names_at
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
COOKIE = "secret"
UP = "app is up"
"""What an application prints when everything of it is registered."""
PYERLNODE = (sys.executable, "-m", "pyerlnode")
BLOCKED = re.compile(
    r"^(?:(?:the hub of \S+ has been blocked|\S+ did not run) for .*|.*; lost messages: \d+)\n?", re.MULTILINE
)


class Place:
    """Where programs meet: `environment` leads them to the EPMD on `epmd_port` and to the HOME `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.epmd_port = 0
        cookie = home / ".erlang.cookie"
        cookie.write_text(COOKIE)
        cookie.chmod(0o400)
        self._programs: list[subprocess.Popen[str]] = []

    @property
    def environment(self) -> dict[str, str]:
        other = ("ERL_", "RELEASE_", "PYERLNODE_COOKIE", "PYERLNODE_NODE", "PYTHONDONTWRITEBYTECODE")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(other)}
        return {
            **kept,
            "HOME": str(self.home),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_AFLAGS": " ".join(SLEEPS),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
        }

    def run(
        self, command: Sequence[str], *, timeout: float = 60, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, and leave out what it says when a busy machine let its hub stand still."""
        settings = {"cwd": self.home, "env": self.environment, "capture_output": True, "text": True, **options}
        done = subprocess.run(list(command), timeout=patience(timeout), check=False, **settings)  # type: ignore[call-overload]
        done.stdout, done.stderr = (text and BLOCKED.sub("", text) for text in (done.stdout, done.stderr))
        return done  # type: ignore[no-any-return]

    def pyerlnode(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run the command `pyerlnode`."""
        return self.run((*PYERLNODE, *arguments), **options)

    def start(self, command: Sequence[str], ready: str) -> subprocess.Popen[str]:
        """Start a program and wait for the line of its output that holds `ready` ("" waits for none)."""
        program = subprocess.Popen(
            list(command),
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._programs.append(program)
        if not ready:
            return program
        said = []
        assert program.stdout is not None
        for line in program.stdout:
            said.append(line)
            if ready in line:
                program.said = "".join(said)  # type: ignore[attr-defined]
                return program
        raise AssertionError(f"{command[0]} ended before it was ready:\n{''.join(said)}")

    def end(self, program: subprocess.Popen[str], number: int = signal.SIGKILL) -> int:
        """Send a signal to the program's process group and wait for its end."""
        if program.poll() is None:
            os.killpg(program.pid, number)
        status = program.wait(timeout=patience())
        for stream in (program.stdin, program.stdout):
            if stream is not None and not stream.closed:
                stream.close()
        return status

    def close(self) -> None:
        for program in reversed(self._programs):
            self.end(program)

    # --- who can be met there ------------------------------------------------------------------
    def names(self) -> list[str]:
        return re.findall(r"^(\S+) +port", self.pyerlnode("names").stdout, re.MULTILINE)

    def python_app(self) -> subprocess.Popen[str]:
        """The stand-in for an Elixir application: a Python node `app@127.0.0.1`."""
        return self.start((sys.executable, str(ROOT / "tests" / "helpers" / "app.py")), UP)

    def elixir_app(self, script: Path, *options: str) -> "subprocess.Popen[str]":
        """The Elixir node `app@127.0.0.1` of `script`, started as the documents say, once its `stock` is registered."""
        command = ("elixir", *options, "--name", "app@127.0.0.1", "--cookie", COOKIE, "--no-halt", str(script))
        if UP in script.read_text():
            return self.start(command, UP)
        program = self.start(command, "")
        wait_for(lambda: "<" in self.pyerlnode("rpc", "app@127.0.0.1", "erlang", "whereis", "[stock]").stdout)
        return program


@contextmanager
def place(home: Path, epmd_port: int = 0) -> Iterator[Place]:
    """A place, with its EPMD running; or with one that is there already, which has forgotten it at the end."""
    made = Place(home)
    try:
        if epmd_port == 0:
            epmd = made.start((*PYERLNODE, "epmd", "--port", "0"), "EPMD serves")
            made.epmd_port = int(re.search(r":(\d+);", epmd.said).group(1))  # type: ignore[attr-defined, union-attr]
        else:
            made.epmd_port = epmd_port
        yield made
    finally:
        made.close()
        if epmd_port:
            wait_for(lambda: not names_at(epmd_port, ADDRESS), what="EPMD to have dropped all names")
