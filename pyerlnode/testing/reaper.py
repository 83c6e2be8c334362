"""A small process that outlives a killed test run and ends what the run had started.

A test run that gets SIGKILL runs no fixture's end. The reaper is a child of it that only reads its
standard input, a pipe whose other end nobody but the test run has: the end of that pipe is the end of
the test run, however it came about, and then the reaper carries out what it was told to.

Lines it understands: ``+ KEY COMMAND…`` (carry out COMMAND, words quoted as for a shell, at the end)
and ``- KEY`` (it is not needed any more). `kill -9 PID` is carried out without a process.
"""

from __future__ import annotations

import atexit
import io
import itertools
import os
import shlex
import signal
import subprocess
import sys
import threading

END_S = 60
"""What its list may take."""


class Reaper:
    """One for a test run; started by the first `add`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: io.FileIO | None = None
        self._owner = 0
        self._keys = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, *command: str) -> int:
        """Carry out `command` when this process ends without `remove` of the key that this gives."""
        with self._lock:
            if self._owner != os.getpid():
                self._start()
            key = next(self._keys)
            self._say(f"+ {key} {shlex.join(command)}")
            return key

    def add_pid(self, pid: int) -> int:
        """Kill `pid`. Remove the key before the process is waited for, as its number is free afterwards."""
        return self.add("kill", "-9", str(pid))

    def remove(self, key: int) -> None:
        with self._lock:
            if self._owner == os.getpid():
                self._say(f"- {key}")

    @property
    def pid(self) -> int:
        """Its process id; 0 when nothing has needed it yet."""
        return self._process.pid if self._process is not None else 0

    def stop(self) -> None:
        """End it; whatever is still on its list is carried out."""
        with self._lock:
            if self._process is not None and self._owner == os.getpid():
                assert self._pipe is not None
                self._pipe.close()
                self._process.wait(END_S)
                self._process, self._owner = None, 0

    def _say(self, line: str) -> None:
        assert self._pipe is not None
        self._pipe.write(line.encode() + b"\n")

    def _start(self) -> None:
        read, write = os.pipe()
        # Files, not numbers: in a program that gevent has patched, `os.close` waits for the next turn of the hub.
        self._pipe = io.FileIO(write, "w")
        self._process = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, "-I", "-S", os.path.abspath(__file__)],
            stdin=read,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the test run
        )
        io.FileIO(read).close()
        atexit.register(self.stop)
        self._owner = os.getpid()


def main() -> None:
    """Read until the pipe ends, then carry out what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    todo: dict[str, list[str]] = {}
    for line in sys.stdin:
        sign, key, *rest = line.split(None, 2)
        if sign == "+":
            todo[key] = shlex.split(rest[0])
        else:
            todo.pop(key, None)
    for command in todo.values():
        if command[:2] == ["kill", "-9"]:
            try:
                os.kill(int(command[2]), signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended by itself
        else:
            _run(command)


def _run(command: list[str]) -> None:
    quiet = subprocess.DEVNULL
    try:
        subprocess.run(command, stdout=quiet, stderr=quiet, check=False, timeout=60)  # noqa: S603 - the run's own
    except (OSError, subprocess.TimeoutExpired):
        pass  # nobody is left to be told, and the rest of the list waits


REAPER = Reaper()

if __name__ == "__main__":
    main()
