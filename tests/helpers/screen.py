"""A program at a terminal, and what it shows there.

The emulator knows what our live views send, and fails on anything else: so nothing is drawn that no test has met.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from unicodedata import combining, east_asian_width

import pexpect
from terminal import spawn

from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

ORDER = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|\x1b\](\d+);\?\x07")


class Emulator:
    """A grid of characters with a cursor: `alternate` is the other screen, `cursor` whether it shows."""

    def __init__(self, rows: int, columns: int) -> None:
        self.alternate = False
        self.cursor = True
        self.styles: set[str] = set()
        self.resizing = False  # what was drawn for the size before may still come, until all is drawn anew
        self._kept = ""
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0

    @property
    def lines(self) -> list[str]:
        return ["".join(row).rstrip() for row in self.cells]

    def feed(self, text: str) -> None:
        text = self._kept + text
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self._put(text[at])
                at += 1
            elif found := ORDER.match(text, at):
                self._obey(found)
                at = found.end()
            elif len(text) - at < 32:
                break  # the rest of it comes later
            else:
                raise AssertionError(f"not known to the emulator: {text[at : at + 32]!r}")
        self._kept = text[at:]

    def _put(self, character: str) -> None:
        if character in "\r\n":
            self.column = 0
            self.row = min(self.rows - 1, self.row + (character == "\n"))
            return
        wide = 0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        if self.resizing and self.column + wide > self.columns:
            return
        assert self.column + wide <= self.columns, f"wider than {self.columns} columns: {self.lines[self.row]!r}"
        if wide:
            self.cells[self.row][self.column] = character
            self.cells[self.row][self.column + 1 : self.column + wide] = [""] * (wide - 1)
            self.column += wide

    def _obey(self, found: re.Match[str]) -> None:
        _, numbers, order, question = found.groups()
        if question is not None:
            return
        match order:
            case "H":
                row, column = map(int, (numbers or "1;1").split(";"))
                assert row <= self.rows or self.resizing, f"row {row} of {self.rows}"
                self.row, self.column = min(row, self.rows) - 1, column - 1
            case "K":
                self.cells[self.row][self.column :] = [" "] * (self.columns - self.column)
            case "J" if numbers == "2":
                self.cells = [[" "] * self.columns for _ in range(self.rows)]
                self.resizing = False
            case "m":
                self.styles.add(numbers)
            case "h" | "l" if numbers == "1049":
                self.alternate = order == "h"
            case "h" | "l" if numbers == "25":
                self.cursor = order == "h"
            case _:
                raise AssertionError(f"not known to the emulator: {found[0]!r}")


class Screen:
    """A program that was started at a terminal of its own."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], rows: int = 24, columns: int = 80
    ) -> None:
        self.emulator = Emulator(rows, columns)
        self.program = spawn(
            command[0],
            list(command[1:]),
            env={"TERM": "xterm", **environment},
            dimensions=(rows, columns),
            encoding="utf-8",
            timeout=patience(),
        )

    def read(self) -> str:
        """What is on the screen now."""
        try:
            while True:
                self.emulator.feed(self.program.read_nonblocking(65536, timeout=0))
        except (pexpect.TIMEOUT, pexpect.EOF):
            return "\n".join(self.emulator.lines)

    def shows(self, *texts: str) -> str:
        """The screen, when it has all of `texts`."""
        return self._until(lambda: all(text in self.read() for text in texts), f"{texts} on the screen")

    def hides(self, text: str) -> str:
        return self._until(lambda: text not in self.read(), f"{text!r} to leave the screen")

    def _until(self, condition: Callable[[], bool], what: str) -> str:
        try:
            wait_for(condition, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.read()}") from None
        return self.read()

    def press(self, keys: str) -> None:
        self.program.send(keys)

    def resize(self, rows: int, columns: int) -> None:
        self.read()
        self.emulator.resize(rows, columns)
        self.emulator.resizing = True
        self.program.setwinsize(rows, columns)

    def ends(self) -> int:
        """Its exit status, or what a shell makes of a signal; the terminal is as it was."""
        self._until(lambda: (self.read(), not self.program.isalive())[1], "the program's end")
        self.read()
        assert not self.emulator.alternate
        assert self.emulator.cursor
        status = self.program.exitstatus
        return 128 + self.program.signalstatus if status is None else status

    def close(self) -> None:
        self.program.close(force=True)
