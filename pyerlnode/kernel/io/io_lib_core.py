"""``io_lib:format``: what a device must do with ``{put_chars, Encoding, io_lib, format, [Format, Args]}``.

Reference: OTP's io_lib and io_lib_format. ``~F.P.PadModC``: field width, precision (each a number or ``*``), padding
character, modifiers ``t`` (unicode), ``l`` (lists are no strings), ``k K`` (order of maps), and the control:

    ~w ~W  a term as it is            ~s ~c      text, a character      ~B ~b  an integer in base P
    ~p ~P  a term broken into lines   ~e ~f ~g   a float                ~X ~x  with a prefix    ~# ~+  with 16#
    ~n     a new line                 ~~         a tilde                ~i     one argument less

What does not fit its field is cut (text) or becomes stars (everything else), as in OTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import ImproperList
from pyerlnode.term.text.layout import pretty
from pyerlnode.term.text.print import Node, Printer, format_integer
from pyerlnode.term.view import ATOMS, atom_of

_DIRECTIVE = re.compile(r"~(-?\d+|-?\*)?(?:\.(\d+|\*)?)?(?:\.(\*|.))?([tlkK]*)(.)", re.DOTALL)
LINE_WIDTH = 80
MAX_FIELD = 1_000_000
"""Characters that the fields of a format may make together, and bits of its large integers: a peer chooses both."""
LARGE = 10_000
"""Bits of an integer from which on its digits are counted as work."""


class BadFormat(UsageError):
    """A format and its arguments that do not fit (OTP: `badarg`)."""


def chars(data: Any, encoding: str = "utf-8") -> str:
    """The text of ``chardata``: a binary, a string, or a list of characters and chardata; `encoding` of its binaries.

    Raises `BadFormat` for anything else.
    """
    parts: list[str] = []
    todo = [data]
    while todo:
        item = todo.pop()
        kind = type(item)
        if kind is int:
            parts.append(_character(item))
        elif kind is bytes:
            parts.append(_decoded(item, encoding))
        elif isinstance(item, str):
            parts.append(item)
        elif isinstance(item, list):
            todo.extend(reversed(item))
        elif kind is ImproperList:
            todo.append(item.tail)
            todo.extend(reversed(item.items))
        else:
            raise BadFormat(f"text is a binary or a list of characters, not {kind.__name__}")
    return "".join(parts)


def _character(code: int) -> str:
    if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise BadFormat("a character is a Unicode code point")
    return chr(code)


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")  # OTP prints what is no UTF-8 as latin-1


def format(template: str, args: list[Any], *, width: int = LINE_WIDTH, node: Atom | None = None) -> str:
    """``io_lib:format(Template, Args)`` as text.

    Args:
        width: characters of a line, for ``~p``. node: whose identifiers print as local.

    Raises `BadFormat` for a directive that there is not, and for arguments too few, too many or of another type.
    """
    left = iter(args)
    out = _Output(width, node)
    at = 0
    while (found := template.find("~", at)) >= 0:
        out.add(template[at:found])
        directive = _DIRECTIVE.match(template, found)
        if directive is None:
            raise BadFormat(f"a directive at {found} in the format is cut off")
        out.directive(directive, left)
        at = directive.end()
    out.add(template[at:])
    if next(left, _NONE) is not _NONE:
        raise BadFormat("there are more arguments than directives")
    return "".join(out.parts)


_NONE = object()


class _Plain(Printer):
    """``~w``: no lists and no binaries as text."""

    __slots__ = ()

    def _string(self, items: list[Any]) -> str | None:  # noqa: ARG002  # the printer's shape
        return None

    def _binary_text(self, data: bytes, depth: int) -> str | None:  # noqa: ARG002  # the printer's shape
        return None


class _Output:
    """The text so far, and the column that it has reached."""

    def __init__(self, width: int, node: Atom | None) -> None:
        self.parts: list[str] = []
        self.width = width
        self.node = node
        self.column = 0
        self._left = MAX_FIELD

    def charge(self, amount: int) -> None:
        """Raises `BadFormat` when the fields of the format are more than they may be together."""
        self._left -= amount
        if self._left < 0:
            raise BadFormat(f"the fields of a format have at most {MAX_FIELD} characters together")

    def add(self, text: str) -> None:
        self.parts.append(text)
        line = text.rfind("\n")
        self.column = len(text) - line - 1 if line >= 0 else self.column + len(text)

    def directive(self, found: re.Match[str], args: Iterator[Any]) -> None:
        field, precision, pad, modifiers, control = found.groups()
        width = _number(field, args)
        digits = _number(precision, args)
        self.charge(max(abs(width or 0), abs(digits or 0)))
        if pad == "*":
            pad = _character(_next(args))
        write = _CONTROLS.get(control)
        if write is None:
            raise BadFormat(f"~{control} is no directive")
        self.add(write(_Directive(self, width, digits, pad or " ", modifiers, args)))

    # --- terms ---------------------------------------------------------------------------------
    def printer(self, plain: bool, modifiers: str, depth: int) -> Printer:
        unicode = "t" in modifiers
        made = _Plain if plain or "l" in modifiers else Printer
        ordered = "k" in modifiers
        return made(charset="latin1", unicode=unicode, depth=depth, sort_maps=ordered, node=self.node)

    def in_lines(self, term: Node, width: int | None, digits: int | None) -> str:
        """``~p``: lines of `width` characters; those after the first begin in the column of the first."""
        columns = abs(width) if width is not None else self.width
        indent = self.column if digits is None else max(0, digits - 1)
        text = pretty(term, columns and max(columns - indent, 10))
        self.charge(text.count("\n") * indent)
        return text.replace("\n", "\n" + " " * indent)


class _Directive(NamedTuple):
    """One directive of a format: what stands between its tilde and its letter, and the arguments that are left."""

    out: _Output
    width: int | None
    digits: int | None
    pad: str
    modifiers: str
    args: Iterator[Any]


def _number(text: str | None, args: Iterator[Any]) -> int | None:
    if not text:
        return None
    number = _integer(_next(args)) * (-1 if text[0] == "-" else 1) if text.endswith("*") else int(text)
    if abs(number) > MAX_FIELD:
        raise BadFormat(f"a field has at most {MAX_FIELD} characters")
    return number


def _next(args: Iterator[Any]) -> Any:
    value = next(args, _NONE)
    if value is _NONE:
        raise BadFormat("there are fewer arguments than directives")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise BadFormat("an integer was wanted")
    return value


def _field(text: str, width: int | None, digits: int | None, pad: str) -> str:
    """A term in its field; stars when it is longer."""
    limit = digits if digits is not None else None if width is None else abs(width)
    if limit is not None and len(text) > limit:
        text = "*" * limit
    return _justify(text, width, pad)


def _justify(text: str, width: int | None, pad: str) -> str:
    if width is None:
        return text
    return text.ljust(-width, pad) if width < 0 else text.rjust(width, pad)


def _text(d: _Directive) -> str:
    value = _next(d.args)
    encoding = "utf-8" if "t" in d.modifiers else "latin-1"
    text = atom_of(value).name if type(value) in ATOMS else chars(value, encoding)
    if "t" not in d.modifiers and any(ord(c) > 255 for c in text):
        raise BadFormat("~s takes latin-1 only: write ~ts")
    if d.digits is not None:
        text = _justify(text[: d.digits], d.digits if d.width is None or d.width > 0 else -d.digits, d.pad)
    elif d.width is not None:
        text = text[: abs(d.width)]
    return _justify(text, d.width, d.pad)


def _char(d: _Directive) -> str:
    code = _integer(_next(d.args))
    char = _character(code) if "t" in d.modifiers else chr(code & 255)
    if d.digits is None:
        return char * (1 if d.width is None else abs(d.width))
    return _justify(char * d.digits, d.width, d.pad)


def _newline(d: _Directive) -> str:
    return "\n" * (1 if d.width is None else abs(d.width))


def _tilde(d: _Directive) -> str:
    return "~" * (1 if d.width is None else abs(d.width))


def _ignore(d: _Directive) -> str:
    _next(d.args)
    return ""


# --- numbers -----------------------------------------------------------------------------------
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def based(value: int, base: int) -> str:
    """`value` in `base` 2..36, with capital letters."""
    if not 2 <= base <= 36:
        raise BadFormat("a base is 2 to 36")
    if base == 10:
        return format_integer(value)
    if base in _FAST:
        return f"{value:{_FAST[base]}}"
    sign, rest = ("-", -value) if value < 0 else ("", value)
    powers = [base]
    while powers[-1] <= rest:
        powers.append(powers[-1] ** 2)
    return sign + (_in_halves(rest, powers, len(powers) - 1).lstrip("0") or "0")


def _in_halves(value: int, powers: list[int], level: int) -> str:
    """2 ** `level` digits: one division by a large number costs less than many by a small one."""
    if level == 0:
        return _DIGITS[value]
    high, low = divmod(value, powers[level - 1])
    return _in_halves(high, powers, level - 1) + _in_halves(low, powers, level - 1)


_FAST = {2: "b", 8: "o", 16: "X"}


def _whole(kind: str, lower: bool) -> Callable[..., str]:
    def write(d: _Directive) -> str:
        value = _integer(_next(d.args))
        d.out.charge(value.bit_length() if value.bit_length() > LARGE else 0)
        base = 10 if d.digits is None else d.digits
        text = based(abs(value), base)
        prefix = chars(_prefix(_next(d.args))) if kind == "X" else f"{base}#" if kind == "#" else ""
        text = text.lower() if lower else text
        return _field(("-" if value < 0 else "") + prefix + text, d.width, None, d.pad)

    return write


def _prefix(value: Any) -> Any:
    return value.name if isinstance(value, Atom) else value


def _float(kind: str) -> Callable[..., str]:
    def write(d: _Directive) -> str:
        value = _next(d.args)
        if type(value) is int:
            value = float(value)
        if type(value) is not float:
            raise BadFormat("a number was wanted")
        precision = 6 if d.digits is None else d.digits
        form = kind if kind != "g" else ("f" if 0.1 <= abs(value) < 10_000 else "e")
        if kind == "g" and form == "f":  # significant digits: those before the point count
            precision = max(1, precision - len(str(int(abs(value))).lstrip("0")))
        if precision < (1 if form == "f" else 2):
            raise BadFormat("a float has more digits")
        text = f"{value:.{precision}f}" if form == "f" else _exponent(value, precision)
        return _field(text, d.width, None, d.pad)

    return write


def _exponent(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(exponent):+d}"


def _term(plain: bool, limit: bool) -> Callable[..., str]:
    def write(d: _Directive) -> str:
        term = _next(d.args)
        depth = _integer(_next(d.args)) if limit else -1
        printer = d.out.printer(plain, d.modifiers, depth)
        if plain:
            return _field(pretty(printer.tree(term), 0), d.width, d.digits, d.pad)
        return d.out.in_lines(printer.tree(term), d.width, d.digits)

    return write


_CONTROLS: dict[str, Callable[..., str]] = {
    "w": _term(True, False), "W": _term(True, True), "p": _term(False, False), "P": _term(False, True),
    "s": _text, "c": _char, "n": _newline, "~": _tilde, "i": _ignore,
    "B": _whole("B", False), "b": _whole("B", True), "X": _whole("X", False), "x": _whole("X", True),
    "#": _whole("#", False), "+": _whole("#", True),
    "e": _float("e"), "f": _float("f"), "g": _float("g"),
}  # fmt: skip
