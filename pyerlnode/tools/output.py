"""How the command line speaks: lines or one JSON document on standard output, one line of trouble on standard error.

Colour appears on a terminal only, and never when `NO_COLOR` is set (https://no-color.org) or `TERM` is `dumb`.
With `--json` a command prints exactly one document, in success and in failure, so that a script can parse
either; the exit status tells them apart.

The JSON form of a term is for reading, not for going back: atoms and UTF-8 binaries become strings, tuples become
arrays, dates and times ISO 8601, decimals text, structs objects with ``__struct__``; an integer of more digits than
readers of JSON take is text, too. The document carries the term's text beside it, from which nothing is lost.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from collections.abc import Mapping
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from typing import Any, TextIO

from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Range, Struct
from pyerlnode.term.order import sort_key
from pyerlnode.term.text import Style, format_term
from pyerlnode.term.text.chars import NEWEST
from pyerlnode.term.text.print import format_integer

MOST_INTEGER = 10**4_300
"""Python's own reader of JSON takes no integer of more digits."""
STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def wants_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `stream` is a terminal whose user did not refuse colour."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def terminal_size() -> os.terminal_size:
    """Of the terminal, as it is now: `LINES` and `COLUMNS` tell how it was when somebody exported them."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    return size if size.columns > 0 and size.lines > 0 else shutil.get_terminal_size()


def jsonable(term: Any) -> Any:
    """The nearest JSON value: see the opening of this module for what is lost."""
    if isinstance(term, int) and abs(term) >= MOST_INTEGER:
        return format_integer(term)
    if term is None or isinstance(term, bool | int | float | str):
        return term
    if isinstance(term, Atom):
        return term.name
    if isinstance(term, bytes | bytearray):
        return _binary(bytes(term))
    if isinstance(term, set | frozenset):
        return [jsonable(item) for item in sorted(term, key=sort_key)]
    if isinstance(term, list | tuple):
        return [jsonable(item) for item in term]
    if isinstance(term, Mapping):
        return _object(term)
    return _rarer(term)


def _rarer(term: Any) -> Any:
    if isinstance(term, Struct):
        return {"__struct__": term.module.name.removeprefix("Elixir."), **_fields(term)}
    if isinstance(term, Range):
        return {"__struct__": "Range", "first": term.first, "last": term.last, "step": term.step}
    if isinstance(term, Decimal):
        return str(term)
    if isinstance(term, date | clock):
        return _iso(term)
    return format_term(term, width=0)


def _fields(struct: Struct) -> dict[str, Any]:
    return {str(jsonable(key)): jsonable(value) for key, value in struct.fields.items()}


def _iso(value: date | clock) -> str:
    """ISO 8601 as Elixir writes it: as many digits of the second as count."""
    if not isinstance(value, datetime | clock):
        return value.isoformat()
    precision = getattr(value, "precision", 6 if value.microsecond else 0)
    text = value.isoformat(timespec="microseconds")
    point = text.index(".")
    zone = text[point + 7 :]
    fraction = text[point : point + 1 + precision] if precision else ""
    return text[:point] + fraction + ("Z" if zone == "+00:00" else zone)


def _binary(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _object(term: Mapping[Any, Any]) -> Any:
    keys = [jsonable(key) for key in term]
    values = [jsonable(value) for value in term.values()]
    if all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys):
        return dict(zip(keys, values, strict=True))
    return [[key, value] for key, value in zip(keys, values, strict=True)]


class Output:
    """Where a command's results go: terms in the dialect `style`, in the order of a node of the OTP `release`."""

    def __init__(
        self,
        *,
        json_: bool = False,
        style: Style = "erlang",
        stream: TextIO | None = None,
        release: int = NEWEST,
    ) -> None:
        self.json = json_
        self.style = style
        self.release = release
        self.stream = sys.stdout if stream is None else stream
        self.colour = wants_colour(self.stream)

    def paint(self, text: str, *styles: str) -> str:
        """`text` in these styles on a terminal, and as it is elsewhere."""
        if not self.colour:
            return text
        return f"\x1b[{';'.join(STYLES[style] for style in styles)}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        """A line for a person; nothing with `--json`."""
        if not self.json:
            self._print(text)

    def document(self, **fields: Any) -> None:
        """The one document of `--json`; nothing otherwise."""
        if not self.json:
            return
        text = json.dumps(fields, ensure_ascii=False)
        try:
            text.encode(self.stream.encoding or "utf-8")
        except UnicodeEncodeError:  # what the terminal can not show is escaped as JSON escapes it
            text = json.dumps(fields)
        self._print(text)

    def term(self, term: Any, **fields: Any) -> None:
        """A result that is a term: its text, or a document of its text, its JSON form and `fields`."""
        if not self.json:
            self.line(format_term(term, style=self.style, release=self.release))
            return
        text = format_term(term, style=self.style, width=0, release=self.release)
        try:
            value = jsonable(term)
            json.dumps(value)
        except RecursionError:  # JSON's own readers take no such nesting either
            value = text
        self.document(ok=True, term=text, value=value, **fields)

    def _print(self, text: str) -> None:
        encoding = self.stream.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=self.stream, flush=True)


def complain(message: str, *, output: Output | None = None, kind: str = "") -> None:
    """One line on standard error (line breaks of `message` become spaces), or the document of a failure."""
    text = " ".join(message.split())
    if output is not None and output.json:
        output.document(ok=False, error=text, kind=kind)
    else:
        print(f"pyerlnode: {text}", file=sys.stderr, flush=True)
