"""A private EPMD: a name server that no other test, and no BEAM of this machine, has a part in.

It is the installation's own `epmd`, on a port of its own and bound to loopback. What it is asked here
(the list of names) is asked by eight lines of socket code, not by the client under test.
"""

from __future__ import annotations

import re
import socket
import subprocess

from pyerlnode.testing import waiting
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.launch import Launcher, Program
from pyerlnode.testing.patience import patience

ADDRESS = "127.0.0.1"
ATTEMPTS = 5


class Epmd:
    """`start` picks a free port the first time and keeps it, so that an EPMD that comes back is found."""

    def __init__(self, launcher: Launcher, address: str = ADDRESS) -> None:
        self._launcher = launcher
        self.address = address
        self._program: Program | None = None
        self.port = 0

    def start(self) -> Epmd:
        """Start it and wait until it answers; does nothing when it runs."""
        if self._program is not None and self._program.running():
            return self
        for _ in range(ATTEMPTS):
            port = self.port or free_port()
            self._program = self._launcher.start(
                ["epmd", "-port", str(port)], {"ERL_EPMD_ADDRESS": self.address},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._answers(port):
                self.port = port
                return self
        raise BeamUnavailable(
            f"{self._launcher.label}: epmd did not start ({self._program and self._program.status()})"
        )

    def stop(self) -> None:
        """Kill it: every registration is gone with it."""
        if self._program is not None:
            self._program.kill()
            self._program = None

    def keep(self) -> None:
        if self._program is not None:
            self._program.keep()

    def running(self) -> bool:
        return self._program is not None and self._program.running()

    def names(self) -> dict[str, int]:
        """The registered names (without host) and their ports."""
        return _ask_names(self.port, self.address)

    def _answers(self, port: int) -> bool:
        program = self._program
        assert program is not None

        def ready() -> bool:
            return not program.running() or is_listening(port, self.address)

        waiting.wait_for(ready, what="epmd")
        # Somebody else's answer: ours finds the port taken and ends.
        return program.running()


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int, address: str) -> bool:
    """Whether an EPMD answers there."""
    try:
        _ask_names(port, address)
    except OSError:
        return False
    return True


def _ask_names(port: int, address: str) -> dict[str, int]:
    with socket.create_connection((address, port), timeout=patience()) as sock:
        sock.sendall(b"\0\x01n")
        data = b""
        while chunk := sock.recv(4096):
            data += chunk
    return {name: int(at) for name, at in re.findall(r"^name (\S+) at port (\d+)$", data[4:].decode(), re.MULTILINE)}
