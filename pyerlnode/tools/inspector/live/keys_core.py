"""Keys from the bytes that a terminal sends.

    >>> from pyerlnode.tools.inspector.live.keys_core import Keys
    >>> Keys().feed(b"d\\x1b[A\\r")
    ['d', 'up', 'enter']

A key that has more than one byte may come in pieces, so what is not whole is kept. A lone ESC is whole only when
nothing follows it for a moment, which `rest` is told. What the terminal itself reports (OSC, as the colour of its
background) is no key.
"""

from __future__ import annotations

import re

NAMES = {
    b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left",
    b"\x1bOA": "up", b"\x1bOB": "down", b"\x1bOC": "right", b"\x1bOD": "left",
    b"\x1b[H": "home", b"\x1b[F": "end", b"\x1bOH": "home", b"\x1bOF": "end",
    b"\x1b[1~": "home", b"\x1b[4~": "end", b"\x1b[7~": "home", b"\x1b[8~": "end",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down", b"\x1b[Z": "left",
    b"\r": "enter", b"\n": "enter", b"\t": "tab", b"\x7f": "backspace", b"\x08": "backspace", b"\x04": "end of input",
    b"\x1b\x1b": "escape",
}  # fmt: skip
LONGEST = 64
"""Bytes of a sequence that does not end, from which on it is none."""
SEQUENCE = re.compile(rb"\x1b(\[[0-9;?<=>]*[ -/]*[@-~]|O[ -~]|\][^\x07\x1b]*(\x07|\x1b\\)|\x1b)")
BEGUN = re.compile(rb"\x1b(\[[0-9;?<=>]*[ -/]*|O|\][^\x07\x1b]*\x1b?)?\Z")


class Keys:
    """Takes bytes as they come, and gives the keys that are whole."""

    def __init__(self) -> None:
        self._kept = b""

    @property
    def waiting(self) -> bool:
        """Whether a key has begun that may be whole as it is."""
        return bool(self._kept)

    def feed(self, data: bytes) -> list[str]:
        """The keys of `data` and of what was kept."""
        data, keys = self._kept + data, []
        while data:
            length = _length(data)
            if length == 0 and len(data) < LONGEST:
                break
            key = _key(data[: length or len(data)])
            data = data[length or len(data) :]
            if key:
                keys.append(key)
        self._kept = data
        return keys

    def rest(self) -> list[str]:
        """The key that was kept, when no more of it has come: a lone ESC is one, half of another is not."""
        kept, self._kept = self._kept, b""
        return ["escape"] if kept == b"\x1b" else []


def _length(data: bytes) -> int:
    """Bytes of the first key; 0 when it is not whole."""
    if data[0] == 0x1B:
        if BEGUN.match(data):
            return 0
        found = SEQUENCE.match(data)
        return found.end() if found else 2  # Alt and a key
    size = 1 if data[0] < 0xC0 or data[0] > 0xF7 else 2 if data[0] < 0xE0 else 3 if data[0] < 0xF0 else 4
    return size if len(data) >= size else 0


def _key(data: bytes) -> str:
    if data in NAMES:
        return NAMES[data]
    text = data.decode("utf-8", "ignore")
    return text if text.isprintable() else ""
