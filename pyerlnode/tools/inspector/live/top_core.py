"""The page of `top`: processes by a number of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyerlnode.inspect.rank_core import MOST, Ranking, Row
from pyerlnode.inspect.text_core import mfa, number, size
from pyerlnode.term.pid import Pid
from pyerlnode.tools.inspector.live.asked_core import Chosen, Question, Ranked, Words, first_shown, moved
from pyerlnode.tools.inspector.live.frame_core import Line, Size, bar, left, line, right
from pyerlnode.tools.inspector.table import plain

SORTS = {"r": "reductions", "m": "memory", "b": "binary", "Q": "queue", "h": "heap", "s": "stack"}
BYTES = ("memory", "binary")
STEP = 50
"""Rows are asked for in so many, so that moving down does not begin anew with each row."""


@dataclass(frozen=True, slots=True)
class Top:
    """`at` is the row of the cursor, which, once moved, follows the process `of` while that is in the ranking."""

    by: str = "memory"
    added: bool = False
    match: str = ""
    at: int = 0
    first: int = 0
    of: Pid | None = None
    told: Ranking | None = None
    keys: str = "r m b Q h s sort  d added  / filter  Enter open  k kill"

    def question(self, rows: int) -> Question:
        seen = max(self.at, self.first) + rows + 1
        return Ranked(self.by, self.added, min(MOST, -(-seen // STEP) * STEP), self.match)

    def once(self) -> bool:
        return False

    def take(self, question: Question, answer: Any) -> Top:
        mine = isinstance(question, Ranked) and replace(question, limit=0) == Ranked(self.by, self.added, 0, self.match)
        if not mine or not isinstance(answer, Ranking):
            return self  # of another order, or nothing yet
        pids = [row.pid for row in answer.rows]
        at = pids.index(self.of) if self.of in pids else max(0, min(self.at, len(pids) - 1))
        return replace(self, told=answer, at=at, of=self.of if self.of in pids else None)

    def failed(self, question: Question, why: str) -> Top:
        return self

    def press(self, key: str, size: Size) -> Top:
        if key in SORTS and SORTS[key] != self.by:
            return Top(SORTS[key], self.added, self.match)
        if key == "d":
            return Top(self.by, not self.added, self.match)
        at = moved(self.at, key, len(self._rows), size.rows)
        if at == self.at and key not in ("up", "down", "home", "end"):
            return self
        of = self._rows[at].pid if self._rows else None
        return replace(self, at=at, of=of, first=first_shown(self.first, at, size.rows))

    def filtered(self, text: str) -> Top:
        return self if text == self.match else Top(self.by, self.added, text)

    def filter(self) -> str | None:
        return self.match

    @property
    def _rows(self) -> Sequence[Row]:
        return () if self.told is None else self.told.rows

    def chosen(self, words: Words) -> Chosen | None:
        if self.at >= len(self._rows):
            return None
        row = self._rows[self.at]
        return Chosen(row.pid, called(row, words))

    def opens(self, words: Words) -> Chosen | None:
        return self.chosen(words)

    def title(self, words: Words) -> str:
        of = f", with {self.match!r}" if self.match else ""
        if self.told is None:
            return f"by {self.by}{of}"
        count = f"{number(self.told.matched)} of {number(self.told.all)} processes"
        per = f" added in {self.told.per:.1f} s" if self.added else ""
        return f"{count} by {self.by}{per}{of}"

    def head(self, words: Words, columns: int) -> str:
        return _join(self._columns(columns))

    def body(self, words: Words, columns: int, rows: int) -> list[Line]:
        if self.told is None:
            return [line("the first look is under way …" if not self.added else "measuring …", "dim")]
        if not self.told.rows:
            return [line("nothing has grown" if self.added else "no such process", "dim")]
        first = first_shown(self.first, self.at, rows)
        shown = list(enumerate(self.told.rows))[first : first + rows]
        return [self._line(at, row, words, columns) for at, row in shown]

    def _line(self, at: int, row: Row, words: Words, columns: int) -> Line:
        texts = {
            "PID": words.term(row.pid),
            "QUEUE": number(row.queue),
            "MEMORY": size(row.memory),
            "NAME": called(row, words),
            "CURRENT": mfa(row.current_function, words.style),
            self._value: size(row.value) if self.by in BYTES else number(row.value),
        }
        text = _join([(plain(texts[name]), cells) for name, cells in self._columns(columns)])
        return bar(text, columns, "chosen") if at == self.at else line(text)

    @property
    def _value(self) -> str:
        return ("+" if self.added else "") + self.by.upper()

    def _columns(self, columns: int) -> list[tuple[str, int]]:
        """Names and widths: the narrower the terminal, the fewer; a width below 0 is aligned to the right."""
        kept = [("PID", 13 if columns >= 60 else 11), (self._value, -12)]
        more = [name for name in ("QUEUE", "MEMORY") if self.added or name != self._value]
        kept += [(name, -9) for name in more if columns >= 72]
        free = columns - sum(abs(cells) + 1 for _, cells in kept)
        if free < 42:
            return [*kept, ("NAME", max(1, free))]
        name = max(24, free // 2)
        return [*kept, ("NAME", name), ("CURRENT", free - name - 1)]


def _join(cells: list[tuple[str, int]]) -> str:
    return " ".join(right(text, -width) if width < 0 else left(text, width) for text, width in cells).rstrip()


def called(row: Row, words: Words) -> str:
    """Its name, else its label, else what it began with."""
    if row.name is not None:
        return words.term(row.name)
    return row.label or mfa(row.initial_call, words.style)
