"""Rows in columns: aligned, and no wider than the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from pyerlnode.tools.output import Output

Cell = str


def table(output: Output, header: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: Sequence[int] = ()) -> None:
    """Print `rows` under `header`; the columns of the indices `numbers` are aligned to the right."""
    width = shutil.get_terminal_size().columns if output.stream.isatty() else 0
    lines = layout(header, rows, numbers, width)
    output.line(output.paint(lines[0], "bold"))
    for line in lines[1:]:
        output.line(line)


def layout(header: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: Sequence[int], width: int) -> list[str]:
    """The lines, each of at most `width` characters; 0 cuts nothing."""
    cells = [[plain(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        parts = [c.rjust(w) if i in numbers else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        line = "  ".join(parts).rstrip()
        lines.append(line if not width or len(line) <= width else f"{line[: width - 1]}…")
    return lines


def plain(text: str) -> str:
    """`text` on one line, and with nothing that a terminal takes for an order."""
    return "".join(c if c.isprintable() else "�" for c in text)
