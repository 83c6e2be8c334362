"""Quoted Erlang text: the escapes, and the strings that came with OTP 27.

Reference: EEP 64 (triple-quoted strings), EEP 66 (sigils), and OTP's erl_scan, which the tests ask.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pyerlnode.errors import TermSyntaxError

OTP_27: Final = 27
"""Strings in three quotes, sigils; `maybe` and `else` are no atoms; white space between strings."""

NAME: Final = r"a-zA-Z0-9_@\xc0-\xd6\xd8-\xf6\xf8-\xff"
BLANK: Final = r"\x00-\x20\x80-\xa0"
_BLANKS: Final = "".join(map(chr, (*range(0x21), *range(0x80, 0xA1))))

_ESCAPE = re.compile(r"\\(?:x\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|([0-7]{1,3})|\^(.)|(.))", re.DOTALL)
_NAMED = {"n": 10, "r": 13, "t": 9, "v": 11, "b": 8, "f": 12, "e": 27, "s": 32, "d": 127}
_CONTROL = re.compile(r"[@-_a-z?]")
_OPENING = re.compile(r'("{3,})([^\n]*)\n')
_SIGIL = re.compile(rf"~([{NAME}]*)(?=[(\[{{</|'`#\"])")
_SUFFIX = re.compile(rf"[{NAME}]+")
_CLOSING: Final = {"(": ")", "[": "]", "{": "}", "<": ">"}


class Quoted(NamedTuple):
    """What was read: characters, or the bytes of a sigil; and where the text goes on."""

    value: str | bytes
    end: int


def unescape(text: str, start: int, release: int) -> str:
    """The characters that `text`, which began at `start` of the whole, stands for."""
    if "\\" not in text:
        return text

    def character(found: re.Match[str]) -> str:
        wide, two, octal, control, plain = found.groups()
        if wide or two:
            code = int(wide or two, 16)
        elif octal:
            code = int(octal, 8)
        elif control:
            code = _control(control, start + found.start(), release)
        else:
            code = _NAMED.get(plain, ord(plain))
            if plain == "x":
                raise TermSyntaxError(r"\x is followed by two hexadecimal digits or by {…}", start + found.start())
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise TermSyntaxError(f"\\x{{{code:X}}} is not a character", start + found.start())
        return chr(code)

    return _ESCAPE.sub(character, text)


def _control(char: str, start: int, release: int) -> int:
    if release < OTP_27:
        return ord(char) & 31
    if not _CONTROL.match(char):
        raise TermSyntaxError(f"\\^{char} is not a character", start)
    return 127 if char == "?" else ord(char) & 31


def triple(text: str, start: int, *, raw: bool = True) -> Quoted:
    """The string in three quotes, or more, that begins at `start`: its lines, without the last one's indentation.

    If it is not `raw`, the escapes of each line are read before it is looked at, as OTP does: ``\\s`` indents, too.
    """

    def read(line: str) -> str:
        return line if raw else unescape(line + "\n", start, OTP_27)[:-1]

    opening = _OPENING.match(text, start)
    if opening is None:
        raise TermSyntaxError("no line that closes the string in three quotes", start)
    quotes, behind, at = opening[1], opening[2], opening.end()
    if read(behind).strip(_BLANKS):
        raise TermSyntaxError("something stands behind the quotes that open a string in three quotes", start)
    lines: list[str] = []
    while True:
        newline = text.find("\n", at)
        line = text[at:] if newline < 0 else text[at:newline]
        indentation = line[: len(line) - len(line.lstrip(_BLANKS))]
        if line.startswith(quotes, len(indentation)):
            break
        if newline < 0:
            raise TermSyntaxError("no line that closes the string in three quotes", start)
        lines.append(line)
        at = newline + 1
    value = "\n".join(_unindented(read(line), indentation, start) for line in lines).removesuffix("\r")
    return Quoted(value, at + len(indentation) + len(quotes))


def _unindented(line: str, indentation: str, start: int) -> str:
    if line.startswith(indentation):
        return line[len(indentation) :]
    if line.strip("\r"):
        raise TermSyntaxError("a line in three quotes is indented less than the one that closes them", start)
    return line


def sigil(text: str, start: int) -> Quoted:
    """The sigil at `start`: characters, or for ``~b`` and ``~B`` the bytes of their UTF-8."""
    opening = _SIGIL.match(text, start)
    if opening is None:
        raise TermSyntaxError("'~' begins a sigil, as ~\"text\" or ~b(text)", start)
    prefix, at = opening[1], opening.end()
    if prefix not in ("", "b", "B", "s", "S"):
        raise TermSyntaxError(f"~{prefix} is no sigil: there are ~b, ~B, ~s and ~S", start)
    if text.startswith('"""', at):
        value, end = triple(text, at, raw=prefix not in ("b", "s"))
    else:
        value, end = _between(text, at, prefix in ("B", "S"))
    suffix = _SUFFIX.match(text, end)
    if suffix is not None:
        raise TermSyntaxError(f"a sigil has nothing behind it as {suffix[0]}", end)
    assert isinstance(value, str)
    return Quoted(value if prefix in ("s", "S") else value.encode(), end)


def _between(text: str, start: int, raw: bool) -> Quoted:
    """What stands from the delimiter at `start` to the one that closes it."""
    opens = text[start]
    closes = _CLOSING.get(opens, opens)
    if raw:
        end = text.find(closes, start + 1)
    else:
        characters = rf"(?:[^\\{re.escape(closes)}]|\\x\{{[0-9a-fA-F]+\}}|\\\^.|\\[^^])*"
        found = re.compile(characters, re.DOTALL).match(text, start + 1)
        end = found.end() if found is not None and text.startswith(closes, found.end()) else -1
    if end < 0:
        raise TermSyntaxError(f"no closing {closes} for the one", start)
    value = text[start + 1 : end]
    return Quoted(value if raw else unescape(value, start + 1, OTP_27), end + 1)
