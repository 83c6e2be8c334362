"""The peer of the demo: an OS process that runs a node, and a line of talk with it that is not our protocol.

The peer reads one command a line on its standard input and answers one line, ``demo: …``, on its standard
output, so what the other side saw is told by the other side. Its end of input is its end; so it never outlives us.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from gevent import subprocess

from pyerlnode.errors import UsageError
from pyerlnode.runtime.edges import edge
from pyerlnode.tools.demo.report import NotVerified

HERE = Path(__file__).parent
PREFIX = "demo: "
BOOT_TIMEOUT = 30.0
ANSWER_TIMEOUT = 10.0
GET_BEAM = "With Erlang and Elixir here, the same steps run against a BEAM: apt-get install erlang-nox elixir"


@dataclass(frozen=True, slots=True)
class Kind:
    """What the peer is: its `command` takes the node's name as its last argument."""

    name: str
    title: str
    command: tuple[str, ...]
    hint: str = ""


def find_peer(wish: str) -> Kind:
    """The peer that `wish` ("auto", "elixir", "erlang", "python") means on this machine.

    Raises: UsageError if it was named and is not here.
    """
    known = {
        "elixir": Kind("elixir", "an Elixir node", ("elixir", str(HERE / "peer.exs"))),
        "erlang": Kind("erlang", "an Erlang node", ("escript", str(HERE / "peer.escript"))),
        "python": Kind("python", "a second Python node", (sys.executable, "-m", "pyerlnode.tools.demo.peer"), GET_BEAM),
    }
    if wish == "auto":
        return next(kind for kind in known.values() if shutil.which(kind.command[0]))
    if shutil.which(known[wish].command[0]) is None:
        raise UsageError(f"{known[wish].command[0]} is not on PATH: apt-get install erlang-nox elixir, or --peer auto")
    return known[wish]


class Peer:
    """A running peer node."""

    def __init__(self, kind: Kind, name: str, home: Path, epmd_port: int) -> None:
        self.name = name
        self.trouble: deque[str] = deque(maxlen=20)
        self.process = subprocess.Popen(
            [*kind.command, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(home, epmd_port),
            start_new_session=True,  # Ctrl-C is for us; we end the peer
            text=True,
        )
        self._stderr = gevent.spawn(edge(self.trouble.extend), self.process.stderr)

    def ask(self, command: str, node: str = "-", timeout: float = ANSWER_TIMEOUT) -> str:
        """Send one command and give its answer.

        Raises: NotVerified if the peer ends or says nothing in time, with its last lines of trouble.
        """
        with contextlib.suppress(BrokenPipeError):  # its end shows where the answer is read
            self.process.stdin.write(f"{command} {node}\n")
            self.process.stdin.flush()
        return self._answer(timeout)

    def wait_ready(self) -> None:
        answer = self._answer(BOOT_TIMEOUT)
        if answer != "ready":
            raise NotVerified(f"the peer said {answer!r} instead of being ready")

    def _answer(self, timeout: float) -> str:
        with gevent.Timeout(timeout, False):
            for line in self.process.stdout:
                if line.startswith(PREFIX):
                    return str(line[len(PREFIX) :].strip())
                self.trouble.append(line)
            self._stderr.join(1.0)
            raise NotVerified(f"the peer ended; its last words: {self._last_words()}")
        raise NotVerified(f"the peer did not answer within {timeout:g} s; its last words: {self._last_words()}")

    def _last_words(self) -> str:
        return " | ".join(line.strip() for line in self.trouble if line.strip()) or "none"

    def kill(self) -> None:
        """SIGKILL to the OS process and whatever it started; waits for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        self._stderr.join()
        self.process.stderr.close()


def _environment(home: Path, epmd_port: int) -> dict[str, Any]:
    """A HOME of its own holds the cookie, so none is seen in `ps` and the user's own is not touched."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("ERL_", "ELIXIR_", "PYERLNODE_"))},
        "HOME": str(home),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_CRASH_DUMP_BYTES": "0",
        "LC_ALL": "C.UTF-8",
    }
