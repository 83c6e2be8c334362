"""A Python node in an OS process of its own, in the hands of a test: to be killed, suspended and restarted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pyerlnode.term.atom import A, Atom
from pyerlnode.testing import waiting
from pyerlnode.testing.patience import patience

SCRIPT = Path(__file__).parent / "peers" / "desk.py"

SLICE_S = 0.1


class PythonPeer:
    """Runs `peers/desk.py`; `env` replaces settings of the environment (PATH, to be without Erlang)."""

    def __init__(self, name: str, cookie: str, epmd_port: int, mode: str = "auto", env: dict[str, str] | None = None):
        self.name = name
        root = str(SCRIPT.parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SCRIPT), name, cookie, str(epmd_port), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root, **(env or {})},
        )
        try:
            assert self._line() == "ready"
        except BaseException:
            self.kill9()
            raise

    @property
    def node(self) -> Atom:
        return A[self.name]

    def ping(self, name: str) -> bool:
        """What the peer's own `Node.ping` gives."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n".encode())
        self._process.stdin.flush()
        return self._line() == "True"

    def kill9(self) -> None:
        self._process.kill()
        self._reap()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def status(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def suspend(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._reap()

    def _reap(self) -> None:
        try:
            waiting.wait_for(lambda: self._process.poll() is not None, what=f"the end of {self.name}")
        finally:  # what does not end is the failure of this test, and of no other
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()

    def _line(self) -> str:
        """One line of its output; the hub of this process runs meanwhile."""
        assert self._process.stdout is not None
        number, line, end = self._process.stdout.fileno(), b"", time.monotonic() + patience()
        while not line.endswith(b"\n"):
            assert time.monotonic() < end, f"{self.name} says nothing"
            if waiting.wait_io(number, timeout=SLICE_S):
                byte: Any = os.read(number, 1)
                assert byte, f"{self.name} ended: status {self._process.wait()}"
                line += byte
        return line.decode().strip()
