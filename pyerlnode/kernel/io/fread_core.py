"""Formatted input: what ``io:fread`` asks of a device (`io_lib_fread`), line by line.

    ~d ~u ~- ~# ~f    an integer, one without a sign (of a base: ~16u), a sign, a based one (16#ff), a float
    ~s ~a ~c          a word as a string or as an atom, characters
    ~l                how many characters were read;  ~~ is a tilde, white space is any amount of it, all else itself

``~*d`` reads and drops, ``~5s`` takes five characters, ``~ts`` and ``~tc`` take those beyond Latin-1.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pyerlnode.term.atom import A, Atom

WHITE: Final = " \t\r\n"
_FIELD: Final = re.compile(r"(\*?)(\d*)(t?)")
_INTEGER: Final = re.compile(r"[+-]?[0-9]*")
_FLOAT: Final = re.compile(r"[+-]?[0-9]*(?:\.[0-9]*(?:[eE][+-]?[0-9]*)?)?")
_BASE: Final = re.compile(r"([+-]?[0-9]+)#")


class _Failed(Exception):
    """The input, or the format, is not as it should be; `what` is OTP's word."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = Atom(what)


class Reader:
    """One ``io:fread``: `line` is given lines until it gives an answer; `rest` is then what goes back."""

    def __init__(self, format: str) -> None:
        self._format = format
        self._at = 0
        self._count = 0
        self._results: list[Any] = []
        self._line: str | None = ""
        self.rest = ""

    def line(self, line: str | None) -> Any:
        """The answer, or None when another line is wanted. `line` has its end; None is the end of the input."""
        body = None if line is None else line.rstrip("\n") if not line.endswith("\r\n") else line[:-2]
        newline = "" if line is None or body is None else line[len(body) :]
        self._line = body
        try:
            answer = self._read()
        except _Failed as failed:
            return A.error, (A.fread, failed.what)
        if answer is None:
            self._count += len(newline)
            return None if newline else self.line(None)
        if self._line and type(answer) is tuple:
            self.rest = self._line + newline
        return answer

    def _read(self) -> Any:
        """As far as this line goes; None: it is not enough."""
        format = self._format
        while self._at < len(format):
            mark = format[self._at]
            if mark in WHITE:
                self._at += 1
                self._skip_white()
            elif mark == "~":
                if not self._directive():
                    return A.eof if self._line is None else None
            elif not self._line:
                if self._line is None and (self._results or self._count):
                    raise _Failed("input")
                return A.eof if self._line is None else None
            elif self._line[0] != mark:
                raise _Failed("input")
            else:
                self._at += 1
                self._take(1)
        return A.ok, self._results

    def _directive(self) -> bool:
        """One of them; False when there is nothing to read it from."""
        field = _FIELD.match(self._format, self._at + 1)
        assert field is not None  # it matches nothing, too
        drop, width, wide = field.group(1) == "*", int(field.group(2)) if field.group(2) else None, bool(field.group(3))
        what = self._format[field.end() : field.end() + 1]
        if what == "l":
            value: Any = self._count
        elif not self._line:
            if self._line is None and self._results:
                raise _Failed("input")
            return False
        else:
            value = self._value(what, width, wide)
        self._at = field.end() + 1
        if not drop and what != "~":
            self._results.append(value)
        return True

    def _value(self, what: str, width: int | None, wide: bool) -> Any:  # noqa: C901  # the table of the directives
        match what:
            case "s":
                return [*map(ord, self._word(width, wide, "string"))]
            case "c":
                text = self._take_exactly(1 if width is None else width, wide, "character")
                return [*map(ord, text)]
            case _ if wide:
                raise _Failed("format")
            case "a":
                return Atom(self._word(width, False, "atom"))
            case "d":
                return self._number(_INTEGER, width, "integer")
            case "f":
                return self._number(_FLOAT, width, "float")
            case "u" if width is None or 2 <= width <= 36:
                return self._based(self._digits(width or 10), width or 10, "unsigned")
            case "-":
                sign = self._take(1) if self._peek() in ("-", "+") else ""
                return -1 if sign == "-" else 1
            case "#":
                return self._with_base(width)
            case "~" if self._peek() == "~":
                self._take(1)
                return None
        raise _Failed("format")

    # --- characters ----------------------------------------------------------------------------
    def _peek(self) -> str:
        return (self._line or "")[:1]

    def _take(self, count: int) -> str:
        line = self._line or ""
        taken, self._line = line[:count], line[count:]
        self._count += len(taken)
        return taken

    def _skip_white(self) -> None:
        if self._line:
            self._take(len(self._line) - len(self._line.lstrip(WHITE)))

    def _take_exactly(self, count: int, wide: bool, what: str) -> str:
        text = (self._line or "")[:count]
        if len(text) < count or (not wide and any(ord(c) > 255 for c in text)):
            raise _Failed(what)
        return self._take(count)

    def _word(self, width: int | None, wide: bool, what: str) -> str:
        if width is not None:
            return self._take_exactly(width, wide, what).strip(WHITE)
        self._skip_white()
        found = re.match(r"[^ \t\r\n]*" if wide else r"[^ \t\r\n\u0100-\U0010ffff]*", self._line or "")
        word = self._take(found.end() if found else 0)
        if not word and self._peek() and ord(self._peek()) > 255:
            raise _Failed(what)
        return word

    def _number(self, shape: re.Pattern[str], width: int | None, what: str) -> int | float:
        if width is not None:
            text = self._take_exactly(width, False, what).lstrip(WHITE)
        else:
            self._skip_white()
            found = shape.match(self._line or "")
            text = self._take(found.end() if found else 0)
        whole = re.fullmatch(r"[+-]?[0-9]+" if what == "integer" else r"[+-]?[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?", text)
        if whole is None:
            raise _Failed(what)
        try:
            return int(text) if what == "integer" else float(text)
        except ValueError:  # longer than Python reads
            raise _Failed(what) from None

    def _digits(self, base: int) -> str:
        line, count = self._line or "", 0
        while count < len(line) and line[count].isascii() and line[count].isalnum() and int(line[count], 36) < base:
            count += 1
        return self._take(count)

    def _based(self, digits: str, base: int, what: str) -> int:
        try:
            return int(digits, base) if digits and "_" not in digits else _refuse(what)
        except ValueError:
            raise _Failed(what) from None

    def _with_base(self, width: int | None) -> int:
        whole = self._line or ""
        if width is not None:
            self._line = self._take_exactly(width, False, "based")
            behind = whole[width:]
        else:
            behind = ""
        self._line = (self._line or "").lstrip(WHITE) if width is not None else self._line
        if width is None:
            self._skip_white()
        found = _BASE.match(self._line or "")
        base = abs(int(found.group(1))) if found else 0
        if found is None or not 2 <= base <= 36:
            raise _Failed("based")
        negative = found.group(1).startswith("-")
        if width is None:
            self._take(found.end())
            value = self._based(self._digits(base), base, "based")
        else:
            value = self._based((self._line or "")[found.end() :], base, "based")
            self._line = behind
        return -value if negative else value


def _refuse(what: str) -> int:
    raise _Failed(what)
