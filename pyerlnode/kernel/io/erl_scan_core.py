"""The tokens of Erlang text, as ``erl_scan:tokens/2,3`` gives them: what `io:read` and shells want from a device.

    {atom, A, a}  {var, A, 'X'}  {integer, A, 1}  {float, A, 1.0}  {char, A, 97}  {string, A, "…"}  {'{', A}  {'end', A}
    {dot, A}

`A` is the line, or ``{Line, Column}`` where the caller begins with that; with the option `text` a list of both that and
the token's text. Words are those of OTP 25 and 26: `maybe` is an atom.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isinf
from typing import Any, Final

from pyerlnode.term.atom import A, Atom

WORDS: Final = frozenset((
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case", "catch", "cond",
    "div", "end", "fun", "if", "let", "not", "of", "or", "orelse", "receive", "rem", "try", "when", "xor",
))  # fmt: skip
_ESCAPES: Final = {"b": 8, "d": 127, "e": 27, "f": 12, "n": 10, "r": 13, "s": 32, "t": 9, "v": 11}
_ESCAPE: Final = r"\\(?:\^[\s\S]|x\{[0-9A-Fa-f]*\}?|x[0-9A-Fa-f]{0,2}|[0-7]{1,3}|[^\^x0-7])"
_NAME: Final = "[0-9A-Za-z_@À-ÖØ-öø-ÿ]*"
_TOKEN: Final = re.compile(
    rf"""(?P<blank>[\x00-\x20\x80-\xa0]+|%[^\n]*)
    |(?P<atom>[a-zß-öø-ÿ]{_NAME})|(?P<var>[A-Z_À-ÖØ-Þ]{_NAME})
    |(?P<float>\d+(?:_\d+)*\.\d+(?:_\d+)*(?:[eE][+-]?(?:\d+(?:_\d+)*)?)?)
    |(?P<based>\d+(?:_\d+)*)\#(?P<digits>[0-9A-Za-z]+(?:_[0-9A-Za-z]+)*)?|(?P<integer>\d+(?:_\d+)*)
    |(?P<char>\$(?:{_ESCAPE}|[^\\])?)
    |(?P<string>"(?:[^"\\]|\\[\s\S])*"?)|(?P<quoted>'(?:[^'\\]|\\[\s\S])*'?)
    |(?P<dot>\.(?:[\x00-\x20\x80-\xa0]|(?=%)|\Z))
    |(?P<sign>\.\.\.|\.\.|<<|<-|<=|>>|>=|->|--|\+\+|=:=|=/=|=<|=>|==|/=|\|\||:=|::|[!-~×÷¡-¿])""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a device answers, and where the text goes on."""

    answer: Any
    end: int


class _Wrong(Exception):
    """Text that is no token: the reason, and where scanning would go on."""

    def __init__(self, reason: Any, end: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.end = end


def tokens(text: str, start: Any, options: list[Any], at_end: bool) -> Scanned | None:
    """The tokens of `text` up to a dot; None while it has none and is not `at_end`.

    `start` is a line or ``(line, column)``. The answer is ``{ok, Tokens, Location}``, ``{eof, Location}`` or
    ``{error, {Location, erl_scan, Reason}, Location}``.
    """
    found: list[Any] = []
    place, at, with_text = start, 0, A.text in options
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is not None and not at_end and _may_go_on(match):
            return None
        try:
            made, end = _made_at(match, at)
        except _Wrong as wrong:
            if wrong.end >= len(text) and not at_end:
                return None
            after = place if text[at : wrong.end] == "$" else _moved(place, text[at : wrong.end])
            return Scanned((A.error, (place, A.erl_scan, wrong.reason), after), wrong.end)
        if made is not None:
            where = [(A.text, [*map(ord, text[at:end])]), (A.location, place)] if with_text else place
            found.append((made[0], where, *made[1:]))
        place, at = _moved(place, text[at:end]), end
        if made == (A.dot,):
            return Scanned((A.ok, found, place), at)
    if not at_end:
        return None
    return Scanned((A.ok, found, place) if found else (A.eof, place), at)


def _may_go_on(match: re.Match[str]) -> bool:
    """Whether more text could make another token of it."""
    return match.end() == len(match.string) and (match.lastgroup != "dot" or match.group() == ".")


def _made_at(match: re.Match[str] | None, at: int) -> tuple[tuple[Any, ...] | None, int]:
    """The token without its place, None for blanks, and its end."""
    if match is None:
        raise _Wrong((A.illegal, A.character), at + 1)
    made = None if match.lastgroup == "blank" else _made(match)
    based = match.lastgroup in ("based", "digits")
    return made, match.start("digits") + len(_digits(match)) if based else match.end()


def _moved(place: Any, over: str) -> Any:
    lines = over.count("\n")
    if type(place) is not tuple:
        return place + lines
    line, column = place
    return (line + lines, len(over) - over.rfind("\n")) if lines else (line, column + len(over))


def _made(match: re.Match[str]) -> tuple[Any, ...]:  # noqa: C901  # the table of the kinds
    """The token, without its place."""
    text, end = match.group(), match.end()
    match match.lastgroup:
        case "atom":
            return (Atom(text),) if text in WORDS else (A.atom, Atom(text))
        case "var":
            return A.var, Atom(text)
        case "integer":
            return A.integer, _number(text, 10, end)
        case "based" | "digits":
            return A.integer, _based(match)
        case "float":
            try:
                value = float(text)
            except ValueError:
                raise _Wrong((A.illegal, A.float), end) from None
            if isinf(value):
                raise _Wrong((A.illegal, A.float), end)
            return A.float, value
        case "char":
            if text in ("$", "$\\"):
                raise _Wrong(A.char, end)
            return A.char, _escaped(text[1:], end) if text[1] == "\\" else ord(text[1])
        case "string" | "quoted":
            return _quoted(text, end)
        case "dot":
            return (A.dot,)
    return (Atom(text),)


def _quoted(text: str, end: int) -> tuple[Any, ...]:
    quote = text[0]
    body = _closed(text)
    if body is None:
        head = [ord(c) for c in text[1:17]]
        raise _Wrong((A.string, ord(quote), head), end)
    codes: list[int] = []
    at = 0
    for escape in re.finditer(_ESCAPE, body):
        codes += map(ord, body[at : escape.start()])
        codes.append(_escaped(escape.group(), end))
        at = escape.end()
    codes += map(ord, body[at:])
    if quote == '"':
        return A.string, codes
    if len(codes) > 255:
        raise _Wrong((A.illegal, A.atom), end)
    return A.atom, Atom("".join(map(chr, codes)))


def _closed(text: str) -> str | None:
    """What stands between the quotes; None where the second one is missing."""
    found = re.fullmatch(r"([\"'])((?:(?!\1)[^\\]|\\[\s\S])*)\1", text)
    return None if found is None else found.group(2)


def _escaped(escape: str, end: int) -> int:
    """The character that an escape, with its backslash, stands for."""
    first = escape[1]
    if first == "^":
        return ord(escape[2]) & 31
    if first == "x":
        digits = escape[2:].strip("{}")
        braced = escape[2:3] == "{"
        code = int(digits, 16) if digits and (escape[-1] == "}") == braced and (braced or len(digits) == 2) else -1
        if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise _Wrong((A.illegal, A.character), end)
        return code
    return int(escape[1:], 8) if first in "01234567" else _ESCAPES.get(first, ord(first))


def _digits(match: re.Match[str]) -> str:
    """Those that the base has: behind them another token begins."""
    base = int(match.group("based"))
    good = 0
    for digit in match.group("digits") or "":
        if digit != "_" and int(digit, 36) >= base:
            break
        good += 1
    return (match.group("digits") or "")[:good].rstrip("_")


def _based(match: re.Match[str]) -> int:
    base = int(match.group("based"))
    if not 2 <= base <= 36:
        raise _Wrong((A.base, base), match.end("based"))
    digits = _digits(match)
    if not digits:
        raise _Wrong((A.illegal, A.integer), match.end("based") + 1)
    return _number(digits, base, match.end())


def _number(digits: str, base: int, end: int) -> int:
    try:
        return int(digits, base)
    except ValueError:  # longer than Python reads
        raise _Wrong((A.illegal, A.integer), end) from None
