"""A screen as lines of words in styles, and the bytes that bring it to a terminal.

Only the lines that have changed are sent. Nothing is wider than the terminal, whatever it holds: wide characters take
two columns, what orders a terminal is replaced.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyerlnode.tools.inspector.table import plain

Line = tuple[tuple[str, str], ...]
"""Texts, each with the name of its style; "" is none."""

STYLES = {"title": "1", "head": "7", "chosen": "1;7", "dim": "2", "bad": "1;31", "note": "1"}
DARK = {**STYLES, "title": "1;36", "good": "32", "note": "33"}
LIGHT = {**STYLES, "title": "1;34", "good": "32", "note": "35"}
PLAIN = {"head": "7", "chosen": "7", "title": "1", "bad": "1", "note": "1"}
"""Without colours: what is chosen is to be seen all the same."""


@dataclass(frozen=True, slots=True)
class Size:
    columns: int
    rows: int


def line(text: str, style: str = "") -> Line:
    return ((text, style),)


def width(text: str) -> int:
    """Columns that `text` takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """`text` in at most `columns` columns, with ``…`` where it was cut."""
    if width(text) <= columns:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used > columns - 1:
            break
        kept.append(character)
    return "".join(kept) + "…" if columns > 0 else ""


def left(text: str, columns: int) -> str:
    text = cut(text, columns)
    return text + " " * (columns - width(text))


def right(text: str, columns: int) -> str:
    text = cut(text, columns)
    return " " * (columns - width(text)) + text


def wrapped(text: str, columns: int) -> list[str]:
    """`text` in lines of at most `columns` columns."""
    lines = []
    for part in map(plain, text.split("\n")):
        rest = part
        while width(rest) > columns > 1:
            piece = cut(rest, columns + 1)[:-1]
            piece = piece if piece and width(piece) <= columns else rest[: max(1, columns // 2)]
            lines.append(piece)
            rest = rest[len(piece) :]
        lines.append(rest)
    return lines


def paint(content: Line, columns: int, palette: Mapping[str, str]) -> str:
    """A line in at most `columns` columns; a style that reaches over all of it is that of its last text."""
    parts, free = [], columns
    for text, style in content:
        shown = cut(plain(text), free)
        free -= width(shown)
        codes = palette.get(style, "")
        parts.append(f"\x1b[{codes}m{shown}\x1b[0m" if codes and shown else shown)
    return "".join(parts)


def bar(text: str, columns: int, style: str) -> Line:
    """A line of one style from edge to edge."""
    return line(left(plain(text), columns), style)


def frame(lines: Iterable[Line], size: Size, palette: Mapping[str, str]) -> list[str]:
    """Exactly as many lines as the terminal has."""
    painted = [paint(content, size.columns, palette) for content in lines][: size.rows]
    return painted + [""] * (size.rows - len(painted))


def update(before: Sequence[str], after: Sequence[str]) -> str:
    """What changes the screen of `before` to that of `after`; with another count of lines the whole is drawn."""
    whole = len(before) != len(after)
    parts = ["\x1b[2J"] if whole else []
    for number, text in enumerate(after):
        if whole or text != before[number]:
            parts.append(f"\x1b[{number + 1};1H\x1b[K{text}")
    return "".join(parts)
