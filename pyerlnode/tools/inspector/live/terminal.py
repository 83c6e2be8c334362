"""The terminal of a live view: single keys by the package `term`, another screen, and all as it was afterwards.

It is given back however the block ends: by a key, an error, Ctrl-C, SIGTERM or SIGHUP; also while the program is
stopped by Ctrl-Z.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.tools.inspector.live.frame_core import DARK, LIGHT, PLAIN, Line, Size, frame, update
from pyerlnode.tools.inspector.live.keys_core import Keys
from pyerlnode.tools.output import terminal_size, wants_colour

ALTERNATE, NORMAL = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
FOLLOWS = 0.05
"""Seconds within which the rest of a key follows its ESC."""


def package() -> Any:
    """The package `term`, which is not the other one of that name."""
    import term

    if not hasattr(term, "cbreakmode"):
        raise UsageError(
            f"the module `term` of this environment ({term.__file__}) is another package of that name: "
            "pip uninstall it, then pip install --force-reinstall 'term>=3.0'"
        )
    return term


def palette() -> dict[str, str]:
    """Colours for this terminal; it is asked for its background, which may take 0.2 s: once, before anything runs."""
    if not wants_colour(sys.stdout):
        return PLAIN
    return LIGHT if package().islightmode() else DARK


class Terminal:
    """Draws lines, waits for keys, and can be woken by another thread. For a `with` block of the main thread."""

    def __init__(self, palette: dict[str, str]) -> None:
        self.resized = False
        self._palette = palette
        self._keys = Keys()
        self._drawn: Sequence[str] = ()
        self._input = sys.stdin.fileno()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._open = threading.RLock()
        self._closed = False
        self._mode: Any = None
        self._handlers: dict[int, Any] = {}

    @property
    def size(self) -> Size:
        return Size(*terminal_size())

    def __enter__(self) -> Terminal:
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGWINCH: self._on_resize,
            signal.SIGTSTP: self._on_stop,
            signal.SIGTERM: _on_end,
            signal.SIGHUP: _on_end,
        }
        self._handlers = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _begin(self) -> None:
        self._mode = package().cbreakmode(self._input, min=0)
        self._mode.__enter__()
        self._write(ALTERNATE)

    def _end(self) -> None:
        try:
            self._write(NORMAL)
        finally:
            self._mode.__exit__(None, None, None)

    def draw(self, lines: Sequence[Line], size: Size) -> None:
        """Bring `lines` to the screen; all of them when `forget` was called."""
        shown = frame(lines, size, self._palette)
        text = update(self._drawn, shown)
        self._drawn = shown
        if text:
            self._write(text)

    def forget(self) -> None:
        """What was drawn is there no more, as the size is another."""
        self.resized = False
        self._drawn = ()

    def wake(self) -> None:
        """Let `keys` return at once; from any thread, and from a signal's handler."""
        with self._open, suppress(BlockingIOError):  # it may be full of such orders
            if not self._closed:
                os.write(self._wake, b".")

    def keys(self, timeout: float | None) -> list[str]:
        """The keys that came; none after `timeout` seconds, when the size has changed or by `wake`."""
        kept = self._keys.waiting
        ready, _, _ = select.select([self._input, self._woken], [], [], FOLLOWS if kept else timeout)
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._input not in ready:
            return self._keys.rest() if kept and not ready else []
        data = os.read(self._input, 4096)
        return self._keys.feed(data) if data else ["end of input"]

    def _write(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()

    def _on_resize(self, number: int, frame: FrameType | None) -> None:
        self.resized = True
        self.wake()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the terminal is the shell's until the program goes on."""
        self._end()
        mine = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, mine)
        self._begin()
        self._on_resize(number, frame)

    def close(self) -> None:
        """It is woken no more; a thread that waits for an answer may still try."""
        with self._open:
            self._closed = True
            os.close(self._woken)
            os.close(self._wake)


def _on_end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
