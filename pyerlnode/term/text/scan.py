"""The tokens of Erlang term text, by the rules of one OTP release.

Reference: OTP's erl_scan, which the tests ask. Releases differ in what is quoted (see `quoted`), in the words `maybe`
and `else` (no atoms since 27), and in floats with a base (``16#1.8``, since 28).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

from pyerlnode.errors import TermSyntaxError, UsageError
from pyerlnode.term.atom import A
from pyerlnode.term.text.chars import NEWEST, RESERVED
from pyerlnode.term.text.identifiers import IDENTIFIER, Owner
from pyerlnode.term.text.quoted import BLANK, NAME, OTP_27, sigil, triple, unescape

OTP_28: Final = 28


class Token(NamedTuple):
    """One word of the text, and where it begins.

    `kind` is "value", "string" (adjacent ones are one), "text" (a sigil of characters), "mark", "word", "dot" or "end".
    """

    kind: str
    value: Any
    start: int


_SPACE = re.compile(rf"(?:[{BLANK}]|%[^\n]*)*")
_QUOTED = r"(?:[^{0}\\]|\\\^.|\\[^^])*"
_TOKEN = re.compile(
    rf"""
    (?P<based_float>[0-9]+(?:_[0-9]+)*\#(?:[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)?\.[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*(?:\#[eE][+-]?[0-9]+(?:_[0-9]+)*)?)
  | (?P<based>[0-9]+(?:_[0-9]+)*\#[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)
  | (?P<float>[0-9]+(?:_[0-9]+)*\.[0-9]+(?:_[0-9]+)*(?:[eE][+-]?[0-9]+(?:_[0-9]+)*)?)
  | (?P<integer>[0-9]+(?:_[0-9]+)*)
  | (?P<word>[a-z\xdf-\xf6\xf8-\xff][{NAME}]*)
  | (?P<variable>[A-Z_\xc0-\xd6\xd8-\xde][{NAME}]*)
  | (?P<string>"{_QUOTED.format('"')}")
  | (?P<quoted>'{_QUOTED.format("'")}')
  | (?P<char>\$(?:\\(?:x\{{[0-9a-fA-F]*\}}|x[0-9a-fA-F]{{0,2}}|[0-7]{{1,3}}|\^.|.)|[^\\]))
  | (?P<mark><<|>>|=>|[][(){{}}|,:/\#+-])
  | (?P<dot>\.(?=[{BLANK}%]|$))
    """,
    re.VERBOSE | re.DOTALL,
)
_BASED = re.compile(r"([0-9_]+)#([0-9a-zA-Z_]*)\.([0-9a-zA-Z_]+)(?:#[eE]([+-]?[0-9_]+))?")


def integer(text: str, base: int, start: int) -> int:
    """Digits, with underscores between, as a number of any size."""
    digits = text.replace("_", "")
    try:
        return int(Decimal(digits)) if base == 10 and len(digits) > 600 else int(digits, base)
    except ValueError:
        raise TermSyntaxError(f"not a number of base {base}", start) from None


def float_of(text: str, start: int) -> float:
    value = float(text.replace("_", ""))
    if value in (float("inf"), float("-inf")):
        raise TermSyntaxError("a float beyond 1.8e308", start)
    return value


def atom(name: str, start: int) -> Any:
    """The atom (or True, False, None) of a name. Raises `TermSyntaxError` for one that no atom can have."""
    try:
        return A[name]
    except UsageError as error:
        raise TermSyntaxError(str(error), start) from None


def scan(text: str, release: int = NEWEST, owner: Owner | None = None) -> Iterator[Token]:
    """The tokens of Erlang term text, one "end" token last; identifiers are `owner`'s. Raises `TermSyntaxError`."""
    at = 0
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty text
        if at == len(text):
            yield Token("end", "the end of the text", at)
            return
        found = IDENTIFIER.match(text, at) if owner is not None and text[at] in "<#" else None
        if owner is not None and found is not None:
            yield Token("value", owner.read(found), at)
            at = found.end()
            continue
        token, end = _next(text, at, release)
        yield token
        if release >= OTP_27 and text[end - 1] == '"' and text.startswith('"', end):
            raise TermSyntaxError("no white space between two strings", end)
        at = end


def _next(text: str, at: int, release: int) -> tuple[Token, int]:
    """The token at `at`, and where the text goes on."""
    if release >= OTP_27:
        if text.startswith('"""', at):
            characters, end = triple(text, at)
            return Token("string", characters, at), end
        if text[at] == "~":
            value, end = sigil(text, at)
            return Token("text" if isinstance(value, str) else "value", value, at), end
    found = _TOKEN.match(text, at)
    if found is not None and found.lastgroup == "based_float" and release < OTP_28:
        raise TermSyntaxError("a float with a base, which OTP 28 was the first to read,", at)
    if found is None:
        raise _unknown(text, at)
    assert found.lastgroup is not None
    return _READ[found.lastgroup](found[0], at, release), found.end()


def _unknown(text: str, at: int) -> TermSyntaxError:
    first = text[at]
    if first in "\"'":
        return TermSyntaxError(f"no closing {first} for the one", at)
    if re.match(r"<[\w@.-]+\.\d+\.\d+>", text[at:]):
        return TermSyntaxError("a pid is read relative to a node, and none is given", at)
    return TermSyntaxError(f"{first!r} begins no term", at)


def _base(text: str, start: int) -> int:
    base = integer(text, 10, start)
    if not 2 <= base <= 36:
        raise TermSyntaxError(f"the base of a number is 2..36, not {base}", start)
    return base


def _based(text: str, start: int, _: int) -> Token:
    mark = text.index("#")
    base = _base(text[:mark], start)
    return Token("value", integer(text[mark + 1 :], base, start), start)


def _based_float(text: str, start: int, _: int) -> Token:
    found = _BASED.fullmatch(text)
    assert found is not None  # the token is of this form
    base = _base(found[1], start)
    if not found[2] and base == 10:  # of the others OTP takes it
        raise TermSyntaxError("no digit before the point of a float", start)
    behind = found[3].replace("_", "")
    exponent = integer(found[4] or "0", 10, start)
    digits = integer((found[2] or "0") + behind, base, start)
    if base == 10:
        return Token("value", float_of(f"{digits}e{exponent - len(behind)}", start), start)
    try:  # rounded as OTP rounds it, which is not always the nearest float
        value = digits * math.pow(base, exponent - len(behind))
    except OverflowError:
        value = math.inf
    if value == math.inf:
        raise TermSyntaxError("a float beyond 1.8e308", start)
    return Token("value", value, start)


def _word(text: str, start: int, release: int) -> Token:
    if text in RESERVED and (release >= OTP_27 or text not in ("maybe", "else")):
        return Token("word", text, start)
    return Token("value", atom(text, start), start)


def _variable(text: str, start: int, _: int) -> Token:
    raise TermSyntaxError(f"{text} is a variable; an atom that begins so is written '{text}'", start)


def _inside(text: str, start: int, release: int) -> str:
    """What stands between the quotes."""
    return unescape(text[1:-1], start + 1, release)


_READ: dict[str, Callable[[str, int, int], Token]] = {
    "based_float": _based_float,
    "based": _based,
    "float": lambda text, start, _: Token("value", float_of(text, start), start),
    "integer": lambda text, start, _: Token("value", integer(text, 10, start), start),
    "word": _word,
    "variable": _variable,
    "string": lambda text, start, release: Token("string", _inside(text, start, release), start),
    "quoted": lambda text, start, release: Token("value", atom(_inside(text, start, release), start), start),
    "char": lambda text, start, release: Token("value", ord(unescape(text[1:], start + 1, release)), start),
    "mark": lambda text, start, _: Token("mark", text, start),
    "dot": lambda text, start, _: Token("dot", text, start),
}
