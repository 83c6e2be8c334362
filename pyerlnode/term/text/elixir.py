"""Elixir term text read as terms: literals, no code.

Read are atoms (``:ok``, ``:"a b"``, ``MyApp.User``), numbers (``0xFF``, ``?a``, ``1_000``), strings (as binaries),
charlists (``~c"abc"``, ``'abc'``), ``<<1, 2::4, "x"::utf8>>``, lists and keyword lists, tuples, maps, structs, captures
(``&Mod.fun/1``), ranges and comments; dates, times, regular expressions and sets (`sigils`). ``%User{name: "Ann"}``
becomes a `Struct` with the fields that are written, and of ``%…Error{}`` with ``__exception__: true`` among them.
Interpolation, operators and calls are refused with their position. The reader is that of `parse`, with
other tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from pyerlnode.errors import TermSyntaxError
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Range
from pyerlnode.term.fun import ExternalFun
from pyerlnode.term.text.binary import Segment, build_binary
from pyerlnode.term.text.identifiers import IDENTIFIER, Owner
from pyerlnode.term.text.parse import Open, Reader, expected, make_list, make_map
from pyerlnode.term.text.scan import Token, atom, float_of, integer
from pyerlnode.term.text.sigils import REGEX, SIGIL, built, of_map, read_regex, read_set, read_sigil
from pyerlnode.term.view import atom_of

_SPACE = re.compile(r"(?:\s|#(?!(?:PID|Ref|Reference|Port|Function|DateTime)<)[^\n]*)*")
_WORD = r"[^\W\d]\w*(?:@\w*)*[?!]?"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ALIAS = r"[A-Z]\w*(?:\.[A-Z]\w*)*"
_OPERATOR = r"%\{\}|\{\}|<<>>|[-+*/=!<>&|^@.~\\%]+"
_TOKEN = re.compile(
    rf"""
    (?P<key>(?:{_WORD}|{_QUOTED}|{_OPERATOR}):(?=\s))
  | (?P<capture>&(?::(?:{_WORD}|{_QUOTED}|{_OPERATOR})|{_ALIAS})\.(?:{_WORD}|{_QUOTED}|{_OPERATOR})/\d+)
  | (?P<based>0x[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0o[0-7]+|0b[01]+)
  | (?P<float>\d+(?:_\d+)*\.\d+(?:_\d+)*(?:[eE][+-]?\d+)?)
  | (?P<integer>\d+(?:_\d+)*)
  | (?P<atom>:(?:{_WORD}|{_QUOTED}|{_OPERATOR}))
  | (?P<set>MapSet\.new\()
  | (?P<alias>{_ALIAS})
  | (?P<sigil>{SIGIL})
  | (?P<regex>{REGEX})
  | (?P<string>{_QUOTED})
  | (?P<charlist>~c{_QUOTED}|'(?:[^'\\]|\\.)*')
  | (?P<char>\?(?:\\x[0-9a-fA-F]{{1,2}}|\\u\{{[0-9a-fA-F]+\}}|\\u[0-9a-fA-F]{{4}}|\\.|[^\\]))
  | (?P<word>{_WORD})
  | (?P<mark><<|>>|=>|::|\.\.|//|[][(){{}}|,%/.+-])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|x\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]+)\}|(\n)|(.))", re.DOTALL
)
_NAMED = {"0": 0, "a": 7, "b": 8, "d": 127, "e": 27, "f": 12, "n": 10, "r": 13, "s": 32, "t": 9, "v": 11}
_KINDS = frozenset(("integer", "float", "binary", "bytes", "bitstring", "bits", "utf8", "utf16", "utf32"))
_LITERALS = {"nil": "nil", "true": "true", "false": "false"}


def unescape(text: str, start: int) -> str:
    r"""The characters that `text`, which began at `start` of the whole, stands for.

    A byte above 127 (``\xE9``) is a lone surrogate there, as of Python's "surrogateescape".
    """
    if re.search(r"(?<!\\)#\{", text):
        raise TermSyntaxError("interpolation is code, not a term", start)

    def character(found: re.Match[str]) -> str:
        *codes, newline, plain = found.groups()
        if newline:
            return ""
        if codes[0] and int(codes[0], 16) > 127:
            return chr(0xDC00 + int(codes[0], 16))
        code = next((int(code, 16) for code in codes if code), None)
        if code is None:
            code = _NAMED.get(plain, ord(plain))
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise TermSyntaxError(f"\\u{{{code:X}}} is not a character", start + found.start())
        return chr(code)

    return _ESCAPE.sub(character, text) if "\\" in text else text


def _binary(text: str, start: int) -> bytes:
    """What stands between the first quote of `text` and its last character."""
    at = min(found for found in (text.find('"'), text.find("'")) if found >= 0)
    return unescape(text[at + 1 : -1], start + at + 1).encode("utf-8", "surrogateescape")


def _content(text: str, start: int) -> str:
    try:
        return _binary(text, start).decode()
    except UnicodeDecodeError:
        raise TermSyntaxError("bytes that are no UTF-8", start) from None


def _name(text: str, start: int) -> Any:
    return atom(_content(text, start) if text.endswith(('"', "'")) else text, start)


_CAPTURE = re.compile(
    rf"&(?::(?P<atom>{_WORD}|{_QUOTED}|{_OPERATOR})|(?P<alias>{_ALIAS}))\.(?P<function>{_WORD}|{_QUOTED}|{_OPERATOR})/(\d+)",
    re.DOTALL,
)


def _alias(text: str, start: int) -> Any:
    return atom(text if text.startswith("Elixir.") or text == "Elixir" else "Elixir." + text, start)


def _capture(text: str, start: int) -> Token:
    found = _CAPTURE.fullmatch(text)
    assert found is not None  # the token is of this form
    arity = int(found[4][:4])
    if arity > 255:
        raise TermSyntaxError("an arity is 0..255", start)
    module = _name(found["atom"], start) if found["atom"] else _alias(found["alias"], start)
    fun = ExternalFun(atom_of(module), atom_of(_name(found["function"], start)), arity)
    return Token("value", fun, start)


def _word(text: str, start: int) -> Token:
    if text in _LITERALS:
        return Token("value", atom(text, start), start)
    return Token("word", text, start)


_BASES = {"x": 16, "o": 8, "b": 2}
_READ: dict[str, Callable[[str, int], Token]] = {
    "key": lambda text, start: Token("key", _name(text[:-1], start), start),
    "capture": _capture,
    "based": lambda text, start: Token("value", integer(text[2:], _BASES[text[1]], start), start),
    "float": lambda text, start: Token("value", float_of(text, start), start),
    "integer": lambda text, start: Token("value", integer(text, 10, start), start),
    "atom": lambda text, start: Token("value", _name(text[1:], start + 1), start),
    "alias": lambda text, start: Token("alias", _alias(text, start), start),
    "set": lambda text, start: Token("mark", text, start),
    "sigil": lambda text, start: Token("value", read_sigil(text, start), start),
    "regex": lambda text, start: Token("value", read_regex(text, start), start),
    "string": lambda text, start: Token("string", _binary(text, start), start),
    "charlist": lambda text, start: Token("value", list(map(ord, _content(text, start))), start),
    "char": lambda text, start: Token("value", ord(unescape(text[1:], start + 1)), start),
    "word": _word,
    "mark": lambda text, start: Token("mark", text, start),
}


def scan(text: str, owner: Owner | None = None) -> Iterator[Token]:
    """The tokens of Elixir term text, one "end" token last. Raises `TermSyntaxError`."""
    at = 0
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty text
        if at == len(text):
            yield Token("end", None, at)
            return
        found = IDENTIFIER.match(text, at) if owner is not None and text[at] in "<#" else None
        if owner is not None and found is not None:
            yield Token("value", owner.read(found), at)
            at = found.end()
            continue
        found = _TOKEN.match(text, at)
        if found is None:
            raise _unknown(text, at)
        assert found.lastgroup is not None
        yield _READ[found.lastgroup](found[0], at)
        at = found.end()


def _unknown(text: str, at: int) -> TermSyntaxError:
    first = text[at]
    if first == "&":
        return TermSyntaxError("'&' begins a function, &Module.name/arity", at)
    if first == "#":
        if text.startswith(("#PID", "#Ref", "#Port"), at):
            return TermSyntaxError("an identifier is read relative to a node, and none is given", at)
        return TermSyntaxError("a closure or a time of another zone can not be read from text", at)
    return TermSyntaxError(f"no closing {first} for the one" if first in "\"'" else f"{first!r} begins no term", at)


class _Open(Open):
    """A bracket of Elixir: `keys` are those of a keyword tail, `module` that of a struct."""

    __slots__ = ("keys", "module")

    def __init__(self, kind: str, close: str, start: int, module: Atom | None = None) -> None:
        super().__init__(kind, close, start)
        self.keys: list[Any] = []
        self.module = module


class ElixirReader(Reader):
    """Reads one Elixir term."""

    def __init__(self, text: str, owner: Owner | None = None) -> None:
        super().__init__("")
        self.tokens = scan(text, owner)

    def begin(self) -> Open | tuple[Any]:
        token = self.next()
        kind, value, start = token
        if kind in ("value", "alias"):
            return (self.range(value) if type(value) is int else value,)
        if kind == "string":
            return (value,)
        if kind == "mark":
            if value in "[{":
                return self.opened(_Open("list" if value == "[" else "tuple", "]" if value == "[" else "}", start))
            if value == "MapSet.new(":
                return self.opened(_Open("set", ")", start))
            if value == "%":
                return self.opened(self.map(start))
            if value == "<<":
                return (self.binary(),)
            if value in "+-":
                signed = self.signed(value)
                return (self.range(signed) if type(signed) is int else signed,)
        raise expected("a term", token)

    def range(self, first: int) -> Any:
        if not self.accept(".."):
            return first
        last = self.bound()
        return Range(first, last, self.bound() if self.accept("//") else (1 if first <= last else -1))

    def bound(self) -> int:
        token = self.next()
        sign = 1
        if token.kind == "mark" and token.value == "-":
            sign, token = -1, self.next()
        if type(token.value) is not int:
            raise expected("the end of a range", token)
        return sign * token.value

    def opened(self, opened: _Open) -> _Open:
        """A keyword may follow an opening bracket or a comma: then the value is what follows it."""
        if self.peek().kind == "key":
            opened.keys.append(self.next().value)
            token = self.peek()
            if token.kind == "mark" and token.value == opened.close:
                raise expected("a term", token)
        elif opened.keys or opened.module is not None:
            token = self.peek()
            if not (token.kind == "mark" and token.value == opened.close):
                raise expected("a key", token)
        elif opened.kind == "value":
            opened.kind = "map"
        return opened

    def map(self, start: int) -> _Open:
        module = self.next().value if self.peek().kind == "alias" else None
        self.expect("{")
        return _Open("value", "}", start, module)

    def goes_on(self, opened: Open) -> bool:
        assert isinstance(opened, _Open)
        token = self.next()
        mark = token.value if token.kind == "mark" else None
        if opened.kind == "map":
            if mark != "=>":
                raise expected("'=>'", token)
            opened.kind = "value"
            return True
        if mark == opened.close:
            return False
        if mark == "," and opened.kind != "tail":
            if self.accept(opened.close):
                return False
            self.opened(opened)
            return True
        if mark == "|" and opened.kind == "list" and not opened.keys:
            opened.kind = "tail"
            return True
        bar = ", '|'" if opened.kind == "list" else ""
        raise expected(f"','{bar} or '{opened.close}'" if opened.kind != "tail" else f"'{opened.close}'", token)

    def finish(self, opened: Open) -> Any:
        assert isinstance(opened, _Open)
        items, keys = opened.items, opened.keys
        plain = len(items) - len(keys)
        keyword = list(zip(keys, items[plain:], strict=True))
        if opened.kind == "tail":
            return make_list(items[:-1], items[-1])
        if opened.kind == "list":
            return items[:plain] + keyword
        if opened.kind == "tuple":
            return tuple(items[:plain]) + ((keyword,) if keyword else ())
        if opened.kind == "set":
            return read_set(items, opened.start, make_map)
        if opened.module is not None:
            return built(opened.module, dict(keyword))
        return of_map(make_map([*zip(items[:plain:2], items[1:plain:2], strict=True), *keyword]))

    def binary(self) -> Any:
        segments: list[Segment] = []
        if self.accept(">>"):
            return b""
        while True:
            segments.append(self.segment())
            token = self.next()
            if token.kind == "mark" and token.value == ">>":
                return build_binary(segments)
            if token.kind != "mark" or token.value != ",":
                raise expected("',' or '>>'", token)

    def segment(self) -> Segment:
        token = self.next()
        value = token.value
        if token.kind == "mark" and value in ("+", "-"):
            value = self.signed(value)
        elif token.kind != "string" and type(value) not in (int, float):
            raise expected("a number or a string", token)
        size, unit, types = self.modifiers() if self.accept("::") else (None, None, [])
        if token.kind == "string" and any(name.startswith("utf") for name in types):
            value = value.decode("utf-8", "surrogateescape")  # its characters, else its bytes
        elif not _KINDS.intersection(types):
            types += ["binary"] if token.kind == "string" else ["float"] if type(value) is float else []
        return Segment(value, size, unit, tuple(types), token.start)

    def modifiers(self) -> tuple[int | None, int | None, list[str]]:
        """The size, the unit and the types of a segment."""
        size, unit, types = None, None, []
        while True:
            part = self.next()
            if type(part.value) is int:
                size = part.value
            elif part.kind == "word" and part.value in ("size", "unit"):
                self.expect("(")
                number = self.bound()
                self.expect(")")
                size, unit = (number, unit) if part.value == "size" else (size, number)
            elif part.kind == "word":
                types.append(part.value)
            else:
                raise expected("a size or a type", part)
            if not self.accept("-"):
                return size, unit, types


def parse_elixir(text: str, owner: Owner | None = None) -> Any:
    """The one term in `text`. Raises `TermSyntaxError`."""
    reader = ElixirReader(text, owner)
    term = reader.term()
    token = reader.next()
    if token.kind != "end":
        raise expected("the end of the text", token)
    return term
