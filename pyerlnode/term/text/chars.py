"""Characters of term text: what prints, what is quoted, how it is escaped.

Reference: OTP's io_lib (`write_atom`, `write_string`, `printable_list`) and Elixir's `Macro.inspect_atom` and
`Code.Identifier`. Tables only; `print` and `inspect` use them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

NEWEST = 29
"""The OTP release by whose rules text is read, if no other is named."""

RESERVED = frozenset(
    (
        *("after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case", "catch", "cond"),
        *("div", "else", "end", "fun", "if", "let", "maybe", "not", "of", "or", "orelse", "receive", "rem", "try"),
        *("when", "xor"),
    )
)
"""Words that are no atom unless quoted; `else` and `maybe` since OTP 27, and older readers take them quoted too."""

_CONTROL = r"\n\r\t\v\b\f\x1b"
_PRINTABLE = {
    "latin1": rf"[{_CONTROL}\x20-\x7e\xa0-\xff]*",
    "unicode": rf"[{_CONTROL}\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*",
}
_BARE_ATOM = re.compile(r"[a-zß-öø-ÿ][a-zA-Z0-9_@À-ÖØ-öø-ÿ]*\Z")

_ESCAPES = {8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 27: "\\e", 127: "\\d"}
_COMMON = {code: f"\\{code:03o}" for code in range(32)} | _ESCAPES | {0x5C: "\\\\"}
_TABLES = {quote: _COMMON | {ord(quote): "\\" + quote} for quote in "'\""}
_ABOVE_LATIN1 = "[\u0100-\U0010ffff]"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Ranges over all of Unicode take milliseconds to compile: when they are first needed, not at each start."""
    return re.compile(pattern)


def printable_prefix(text: str, charset: str) -> int:
    """How many characters of `text`, from its start, ``~p`` ("latin1") or ``~tp`` under ``+pc unicode`` shows."""
    return _compiled(_PRINTABLE[charset]).match(text).end()  # type: ignore[union-attr]  # it matches the empty text


def is_printable(text: str, charset: str) -> bool:
    """Whether all of `text` is shown as text."""
    return printable_prefix(text, charset) == len(text)


def quoted(text: str, quote: str, *, unicode: bool = True) -> str:
    """`text` between quotes as Erlang writes it; without `unicode`, what is above latin-1 becomes ``\\x{…}``."""
    escaped = text.translate(_TABLES[quote])
    if not unicode:
        escaped = _compiled(_ABOVE_LATIN1).sub(lambda found: f"\\x{{{ord(found[0]):X}}}", escaped)
    return quote + escaped + quote


def erlang_atom(name: str, *, unicode: bool = True) -> str:
    """An atom as Erlang writes it, quoted where it must be."""
    if _BARE_ATOM.match(name) and name not in RESERVED:
        return name
    return quoted(name, "'", unicode=unicode)


def text_width(text: str) -> int:
    """Characters as a reader counts them: a mark that combines with the one before it takes no room of its own.

    OTP counts grapheme clusters; this counts the same for all text but joined emoji and Hangul letters.
    """
    if text.isascii():
        return len(text)
    return sum(char < "\u0300" or unicodedata.category(char)[0] != "M" for char in text)
