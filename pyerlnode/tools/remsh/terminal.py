"""A terminal with line editing and history, between the thread of a program and the hub of its node.

Lines are read by readline in the program's main thread, since it blocks. A process of the node asks for one by `line`,
which parks its greenlet alone; what is printed meanwhile goes above the line that is being typed.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
from gevent.event import AsyncResult

try:
    import readline
except ImportError:  # a Python without it: lines can be typed, not edited
    readline = None  # type: ignore[assignment]

KEPT = 1000
"""Lines of history."""
DELIMITERS = " \t\n`~!#$%^&*()-=+[{]}\\|;:'\",<>/?."
Run = Callable[[Callable[[Any], object]], object]
"""Runs a function in the hub."""


class Terminal:
    """Standard input and output. `run` runs a function in the hub that `line` and `write` are called in."""

    def __init__(self, run: Run) -> None:
        self.prompt = ""
        self._run = run
        self._asked: queue.SimpleQueue[tuple[str, AsyncResult[str]] | None] = queue.SimpleQueue()
        self._reading = False
        self._ended = False
        self._serving = False
        self._lock = threading.Lock()
        """Held to signal the main thread, so that it is not once it takes signals as other programs do."""
        self._main = threading.main_thread().ident

    # --- in the hub --------------------------------------------------------------------------------
    def line(self, prompt: str) -> str:
        """The next line, with its end; never one once the user has left. Raises `EOFError` after `end`."""
        if self._ended:
            raise EOFError
        answer: AsyncResult[str] = AsyncResult()
        self._asked.put((prompt, answer))
        line: str = answer.get()
        return line

    def read(self, enough: Callable[[str], int]) -> str | None:
        """As the files of a `GroupLeader`; what is left of the last line is not kept."""
        text, prompt, self.prompt = "", self.prompt, ""
        while not (end := enough(text)):
            text += self.line(prompt)
        return text[:end]

    def write(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        text = text.encode(encoding, "replace").decode(encoding)
        if self._reading and sys.stdout.isatty():
            typed = readline.get_line_buffer() if readline is not None else ""
            newline = "" if text.endswith("\n") else "\n"
            text = f"\r\x1b[K{text}{newline}{self.prompt_now}{typed}"
        sys.stdout.write(text)
        sys.stdout.flush()

    def geometry(self) -> os.terminal_size | None:
        try:
            return os.get_terminal_size(sys.stdout.fileno())
        except (OSError, ValueError):
            return None

    def end(self) -> None:
        """There is nobody to type for any more: `serve` returns, also from the middle of a line."""
        self._ended = True
        self._asked.put(None)
        while self._woken():  # a signal that comes just before readline waits does not wake it
            gevent.sleep(0.05)

    def _woken(self) -> bool:
        with self._lock:
            if self._serving and self._main is not None:
                signal.pthread_kill(self._main, signal.SIGINT)
            return self._serving

    # --- in the main thread ------------------------------------------------------------------------
    prompt_now = ""

    def serve(self, interrupt: Callable[[int], bool]) -> bool:
        """Read a line whenever one is asked for; whether it was `end` that ended it, and not the user.

        `interrupt` is called at each Ctrl-C while nobody asks for a line, with their number; False leaves.
        """
        before = signal.signal(signal.SIGINT, self._interrupted)
        asked, times = None, 0
        self._serving = True
        try:
            while not self._ended:
                try:
                    asked = asked or self._asked.get()
                    if asked is None:
                        break
                    line, times = self._read(asked[0]), 0
                    if line is None:
                        break
                    self._answer(asked[1], line)
                    asked = None
                except KeyboardInterrupt:
                    times += 1
                    if asked is None and not interrupt(times):
                        break
            return self._ended
        finally:
            with self._lock:
                self._serving = False
            signal.signal(signal.SIGINT, before)

    def _answer(self, answer: AsyncResult[str], line: str) -> None:
        self._run(lambda _node: answer.set(line))

    def _read(self, prompt: str) -> str | None:
        """A line; None at the end of the input, or when there is nobody to type for."""
        while not self._ended:
            try:
                self.prompt_now, self._reading = prompt, True
                if self._ended:
                    break
                return input(prompt) + "\n"
            except EOFError:
                return None
            except KeyboardInterrupt:
                print(flush=True)
            finally:
                self._reading = False
        return None

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        if self._reading or not self._ended:
            raise KeyboardInterrupt


@contextmanager
def edited(complete: Callable[[str, str], list[str]], history: Path) -> Iterator[None]:
    """Lines are edited, completed by ``complete(word, text before the cursor)``, and kept in the file `history`."""
    if readline is None or not sys.stdin.isatty():
        yield
        return
    found: list[str] = []

    def completer(word: str, state: int) -> str | None:
        if state == 0:
            found[:] = complete(word, readline.get_line_buffer()[: readline.get_endidx()])
        return found[state] if state < len(found) else None

    readline.clear_history()
    with suppress(OSError):
        readline.read_history_file(history)
    before, delimiters = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(completer)
    readline.set_completer_delims(DELIMITERS)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    readline.parse_and_bind("set show-all-if-ambiguous on")
    try:
        yield
    finally:
        readline.set_completer(before)
        readline.set_completer_delims(delimiters)
        with suppress(OSError):  # a home that can not be written keeps no history
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.set_history_length(KEPT)
            os.close(os.open(history, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(history)
