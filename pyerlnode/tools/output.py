"""How the command line speaks: lines or one JSON document on standard output, one line of trouble on standard error.

Colour appears on a terminal only, and never when `NO_COLOR` is set (https://no-color.org) or `TERM` is `dumb`.
With `--json` a command prints exactly one document, in success and in failure, so that a script can parse
either; the exit status tells them apart.

The JSON form of a term is for reading, not for going back: atoms and UTF-8 binaries become strings, tuples become
arrays. The document carries the term's Erlang text beside it, from which nothing is lost.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from pyerlnode.term.atom import Atom
from pyerlnode.term.text import Style, format_term

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def wants_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `stream` is a terminal whose user did not refuse colour."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def jsonable(term: Any) -> Any:
    """The nearest JSON value: see the opening of this module for what is lost."""
    if term is None or isinstance(term, bool | int | float | str):
        return term
    if isinstance(term, Atom):
        return term.name
    if isinstance(term, bytes | bytearray):
        return _binary(bytes(term))
    if isinstance(term, list | tuple | set | frozenset):
        return [jsonable(item) for item in term]
    if isinstance(term, Mapping):
        return _object(term)
    return format_term(term, width=0)


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
    """Where a command's results go. `style` is the dialect of terms: "erlang" or "elixir"."""

    def __init__(self, *, json_: bool = False, style: Style = "erlang", stream: TextIO | None = None) -> None:
        self.json = json_
        self.style = style
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
        if self.json:
            self._print(json.dumps(fields, ensure_ascii=False))

    def term(self, term: Any, **fields: Any) -> None:
        """A result that is a term: its text, or a document of its text, its JSON form and `fields`."""
        if self.json:
            self.document(ok=True, term=format_term(term, style=self.style, width=0), value=jsonable(term), **fields)
        else:
            self.line(format_term(term, style=self.style))

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
