"""Sessions kept as files: what went over a connection, chunk by chunk, to be played again without either end.

    recording = Recording()
    with Proxy(("127.0.0.1", port), recording=recording) as wire:
        ...                                        # connect to wire.address
    recording.save("calls.session", about="OTP 27, ten calls")

    for session in load("calls.session"):          # one for each connection
        session.sent("up"), session.sent("down")   # everything that one side said

The file has a JSON object on each line: first what it is about, then ``{"n": connection, "d": "up" | "down", "t":
seconds since the first byte, "x": hexadecimal bytes}``. A session holds whatever the peers said, message bodies too:
record with made-up data. A cookie is never in it, only digests of one.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FORMAT = "pyerlnode session 1"


@dataclass
class Session:
    """One connection: (direction, bytes) in the order in which they were seen."""

    number: int
    chunks: list[tuple[str, bytes]] = field(default_factory=list)

    def sent(self, direction: str) -> bytes:
        """Everything that was said in one direction."""
        return b"".join(data for way, data in self.chunks if way == direction)


class Recording:
    """Collects what proxies pass on; may be shared by several."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, int, str, bytes]] = []
        self._lock = threading.Lock()

    def add(self, number: int, direction: str, data: bytes) -> None:
        with self._lock:
            self._rows.append((time.monotonic(), number, direction, data))

    def sessions(self) -> list[Session]:
        with self._lock:
            return _grouped((number, direction, data) for _, number, direction, data in self._rows)

    def save(self, path: str | os.PathLike[str], about: str = "") -> None:
        """Write everything so far to `path`."""
        with self._lock:
            rows = list(self._rows)
        lines = [json.dumps({"format": FORMAT, "about": about})]
        for at, number, direction, data in rows:
            row = {"n": number, "d": direction, "t": round(at - rows[0][0], 6), "x": data.hex()}
            lines.append(json.dumps(row))
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(path: str | os.PathLike[str]) -> list[Session]:
    """The sessions of a file, in the order of their connections.

    Raises:
        ValueError: it is no such file; says so.
    """
    first, *rows = Path(path).read_text(encoding="utf-8").splitlines() or [""]
    try:
        is_ours = json.loads(first).get("format") == FORMAT
    except (ValueError, AttributeError):
        is_ours = False
    if not is_ours:
        raise ValueError(f"{path} is no recorded session: its first line does not say {FORMAT!r}")
    parsed = map(json.loads, rows)
    return _grouped((row["n"], row["d"], bytes.fromhex(row["x"])) for row in parsed)


def _grouped(rows: Iterator[tuple[int, str, bytes]]) -> list[Session]:
    found: dict[int, Session] = {}
    for number, direction, data in rows:
        found.setdefault(number, Session(number)).chunks.append((direction, data))
    return [found[number] for number in sorted(found)]
