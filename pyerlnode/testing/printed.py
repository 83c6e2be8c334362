"""What a program of a test prints: it goes into a file without a name, which ends with the object that reads it."""

from __future__ import annotations

import os
import tempfile
import weakref

LAST_LINES = 12
"""Shown when the program has ended unexpectedly."""


class Printed:
    """The output of one program, its restarts included."""

    def __init__(self) -> None:
        number, path = tempfile.mkstemp()
        os.unlink(path)
        self._output = number
        weakref.finalize(self, os.close, number)

    @property
    def logs(self) -> str:
        """Everything it has printed since it was made, restarts included."""
        return self.logs_since(0)

    def logs_since(self, position: int) -> str:
        size = os.fstat(self._output).st_size
        return os.pread(self._output, max(0, size - position), position).decode(errors="replace")

    @property
    def log_position(self) -> int:
        """Where its output ends now, for `logs_since`."""
        return os.fstat(self._output).st_size

    def _last_lines(self) -> str:
        return "\n".join(self.logs.strip().splitlines()[-LAST_LINES:])
