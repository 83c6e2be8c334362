"""A private EPMD: a name server that no other test, and no BEAM of this machine, has a part in.

It is the installation's own `epmd`, on a port of its own and bound to loopback. What it is asked here
(the list of names) is asked by eight lines of socket code, not by the client under test.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
from pathlib import Path

from pyerlnode.testing import waiting
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.launch import Launcher, Program
from pyerlnode.testing.patience import patience
from pyerlnode.testing.reaper import REAPER

ADDRESS = "127.0.0.1"
ATTEMPTS = 5
LOWEST_PORT = 10_000
LISTENS = "0A"


class Epmd:
    """`start` picks a free port the first time and keeps it, so that an EPMD that comes back is found."""

    def __init__(self, launcher: Launcher, address: str = ADDRESS) -> None:
        self._launcher = launcher
        self.address = address
        self._program: Program | None = None
        self.port = 0
        self._taken = False
        self._keys: list[int] = []

    def start(self) -> Epmd:
        """Start it and wait until it answers; does nothing when it runs.

        One that a node has started at its port meanwhile, as they do when they find none, is taken instead.
        """
        if self._program is not None and self._program.running():
            return self
        if self.port and listeners(self.port):
            self._keys += map(REAPER.add_pid, _daemons(self.port))
            self._program, self._taken = None, True
            return self
        self._taken = False
        for _ in range(ATTEMPTS):
            port = self.port or free_port()
            self._program = self._launcher.start(
                self._launcher.epmd("-port", str(port)), {"ERL_EPMD_ADDRESS": self.address},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._answers(port):
                self.port = port
                return self
        raise BeamUnavailable(
            f"{self._launcher.label}: epmd did not start ({self._program and self._program.status()})"
        )

    def stop(self) -> None:
        """Kill it: every registration is gone with it. One that a node has started in its place is killed, too."""
        if self._program is not None:
            self._program.kill()
            self._program = None
        if self.port:
            _end_daemons(self.port)
        while self._keys:
            REAPER.remove(self._keys.pop())
        self._taken = False

    def keep(self) -> None:
        if self._program is not None:
            self._program.keep()

    def running(self) -> bool:
        if self._taken:
            return bool(listeners(self.port))
        return self._program is not None and self._program.running()

    def names(self) -> dict[str, int]:
        """The registered names (without host) and their ports."""
        return names_at(self.port, self.address)

    def _answers(self, port: int) -> bool:
        program = self._program
        assert program is not None

        def ready() -> bool:
            return not program.running() or is_listening(port, self.address)

        waiting.wait_for(ready, what="epmd")
        # Somebody else's answer: ours finds the port taken and ends.
        return program.running()


def _end_daemons(port: int) -> None:
    """Kill the `epmd` that somebody else has started at `port`: nodes do that when they find none.

    A node that runs may start the next one at once, so only those that were killed are waited for.
    """
    killed = _daemons(port)
    for pid in killed:
        with contextlib.suppress(OSError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
    waiting.wait_for(lambda: not set(killed) & set(_daemons(port)), what="the end of another epmd")


def _daemons(port: int) -> list[int]:
    found = []
    for pid in listeners(port):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "epmd":
                found.append(pid)
    return found


def listeners(port: int) -> list[int]:
    """The processes that listen at `port` in this network namespace; none where there is no ``/proc``."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == LISTENS and int(local.rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{inode}]")
    return [pid for pid in _pids() if sockets & _descriptors(pid)] if sockets else []


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _descriptors(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # it has just ended, or is another user's
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


def free_port(address: str = ADDRESS) -> int:
    """A port that nobody has at this moment, and that the system gives to nobody who asks for any.

    One that the system has given, and that is free again, may be given to the next: it may be gone before whoever is
    to listen there has started.
    """
    while True:
        # Not by `random`: runs of tests side by side begin with the same seed.
        port = LOWEST_PORT + secrets.randbelow(given_ports() - LOWEST_PORT)
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue  # somebody has it
            return port


def given_ports() -> int:
    """The lowest port that the system gives to who asks for any."""
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        lowest = 32768
    return lowest if lowest > LOWEST_PORT + 1000 else 65536


def is_listening(port: int, address: str) -> bool:
    """Whether an EPMD answers there."""
    try:
        names_at(port, address)
    except OSError:
        return False
    return True


def names_at(port: int, address: str) -> dict[str, int]:
    """The names (without host) that the EPMD there has, and their ports.

    Raises:
        OSError: none is there.
    """
    with socket.create_connection((address, port), timeout=patience()) as sock:
        sock.sendall(b"\0\x01n")
        data = b""
        # It may be a node of this thread that answers: one that embeds its EPMD.
        while waiting.wait_io(sock.fileno(), timeout=patience()) and (chunk := sock.recv(4096)):
            data += chunk
    return {name: int(at) for name, at in re.findall(r"^name (\S+) at port (\d+)$", data[4:].decode(), re.MULTILINE)}
