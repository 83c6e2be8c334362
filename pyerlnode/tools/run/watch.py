"""For ``--reload``: which file of the program has changed since it was last asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SKIPPED = ("__pycache__", "node_modules", "site-packages")


class Watch:
    """The files ``*.py`` and ``*.toml`` below `root`, by their times; virtual environments and hidden folders aside."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._times = dict(self._look())

    def changed(self) -> str:
        """The first file that is new, gone or another; empty when none is."""
        before, self._times = self._times, dict(self._look())
        return next((name for name in {**before, **self._times} if before.get(name) != self._times.get(name)), "")

    def _look(self) -> Iterator[tuple[str, int]]:
        for folder, inner, files in os.walk(self._root):
            inner[:] = [name for name in inner if name[0] != "." and name not in SKIPPED]
            if "pyvenv.cfg" in files:
                inner.clear()
                continue
            for name in files:
                if name.endswith((".py", ".toml")):
                    path = os.path.join(folder, name)
                    try:
                        yield os.path.relpath(path, self._root), os.stat(path).st_mtime_ns
                    except OSError:
                        pass  # it was removed meanwhile
