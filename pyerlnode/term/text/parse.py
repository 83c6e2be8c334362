"""Erlang term text read as terms: what ``file:consult/1`` reads.

Reference: the Erlang reference manual, "Data Types", and OTP's erl_scan. Read are atoms, numbers (``16#FF``,
``$a``, ``1_000``), strings with their escapes (lists of code points; adjacent ones are one), binaries with
sizes and types, tuples, lists, maps, ``fun M:F/A`` and comments. What is not a term (a variable, a call, a pid) is
refused with the position and a line that says so.

The reader is a loop over tokens with a stack of open brackets: nothing recurses, and the nesting is bounded by
`Limits.nesting`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from pyerlnode.errors import TermSyntaxError, UsageError
from pyerlnode.limits import DEFAULT_LIMITS
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import ImproperList, TermMap, TooDeepKey, freeze
from pyerlnode.term.fun import ExternalFun
from pyerlnode.term.text.binary import Segment, build_binary
from pyerlnode.term.text.chars import RESERVED

MAX_TEXT_ATOM = 255


class Token(NamedTuple):
    """One word of the text: `kind` "value", "string", "mark", "word" or "end", and where it begins."""

    kind: str
    value: Any
    start: int


_SPACE = re.compile(r"(?:[\s\x00-\x20\x7f-\xa0]|%[^\n]*)*")
_TOKEN = re.compile(
    r"""
    (?P<based>\d+(?:_\d+)*\#[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)
  | (?P<float>\d+(?:_\d+)*\.\d+(?:_\d+)*(?:[eE][+-]?\d+(?:_\d+)*)?)
  | (?P<integer>\d+(?:_\d+)*)
  | (?P<word>[a-zß-öø-ÿ][\w@]*)
  | (?P<variable>[A-Z_À-ÖØ-Þ][\w@]*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<quoted>'(?:[^'\\]|\\.)*')
  | (?P<char>\$(?:\\(?:x\{[0-9a-fA-F]*\}|x[0-9a-fA-F]{0,2}|[0-7]{1,3}|\^.|.)|[^\\]))
  | (?P<mark><<|>>|=>|[][(){}|,:/#+-])
  | (?P<dot>\.(?=[\s\x00-\x20\x7f-\xa0%]|$))
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|([0-7]{1,3})|\^(.)|\n|(.))", re.DOTALL)
_NAMED = {"n": 10, "r": 13, "t": 9, "v": 11, "b": 8, "f": 12, "e": 27, "s": 32, "d": 127}

_IDENTIFIERS = {"#Ref": "a reference", "#Port": "a port", "#Fun": "a closure"}


def unescape(text: str, start: int) -> str:
    """The characters that `text`, which began at `start` of the whole, stands for."""
    if "\\" not in text:
        return text

    def character(found: re.Match[str]) -> str:
        _, wide, two, octal, control, plain = found.groups()
        code = None
        if wide or two:
            code = int(wide or two, 16)
        elif octal:
            code = int(octal, 8)
        elif control:
            code = ord(control) & 31 if control != "?" else 127
        elif plain is not None:
            code = _NAMED.get(plain, ord(plain))
            if plain == "x":
                raise TermSyntaxError(r"\x is followed by two hexadecimal digits or by {…}", start + found.start())
        if code is None:
            return "\n"
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise TermSyntaxError(f"\\x{{{code:X}}} is not a character", start + found.start())
        return chr(code)

    return _ESCAPE.sub(character, text)


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


def scan(text: str) -> Iterator[Token]:
    """The tokens of Erlang term text, one "end" token last. Raises `TermSyntaxError`."""
    at = 0
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty text
        if at == len(text):
            yield Token("end", "the end of the text", at)
            return
        found = _TOKEN.match(text, at)
        if found is None:
            raise _unknown(text, at)
        assert found.lastgroup is not None
        yield _READ[found.lastgroup](found[0], at)
        at = found.end()


def _unknown(text: str, at: int) -> TermSyntaxError:
    first = text[at]
    if first in "\"'":
        return TermSyntaxError(f"no closing {first} for the one", at)
    if re.match(r"<[\w@.-]+\.\d+\.\d+>", text[at:]):
        return TermSyntaxError("a pid can not be read from text", at)
    return TermSyntaxError(f"{first!r} begins no term", at)


def _based(text: str, start: int) -> Token:
    base_text, _, digits = text.partition("#")
    base = integer(base_text, 10, start)
    if not 2 <= base <= 36:
        raise TermSyntaxError(f"the base of a number is 2..36, not {base}", start)
    return Token("value", integer(digits, base, start), start)


def _word(text: str, start: int) -> Token:
    if text in RESERVED and text not in ("maybe", "else"):
        return Token("word", text, start)
    return Token("value", atom(text, start), start)


def atom(name: str, start: int) -> Any:
    """The atom (or True, False, None) of a name. Raises `TermSyntaxError` for one that no atom can have."""
    try:
        return A[name]
    except UsageError as error:
        raise TermSyntaxError(str(error), start) from None


def _variable(text: str, start: int) -> Token:
    raise TermSyntaxError(f"{text} is a variable; an atom that begins so is written '{text}'", start)


_READ: dict[str, Callable[[str, int], Token]] = {
    "based": _based,
    "float": lambda text, start: Token("value", float_of(text, start), start),
    "integer": lambda text, start: Token("value", integer(text, 10, start), start),
    "word": _word,
    "variable": _variable,
    "string": lambda text, start: Token("string", unescape(text[1:-1], start + 1), start),
    "quoted": lambda text, start: Token("value", atom(unescape(text[1:-1], start + 1), start), start),
    "char": lambda text, start: Token("value", ord(unescape(text[1:], start + 1)), start),
    "mark": lambda text, start: Token("mark", text, start),
    "dot": lambda text, start: Token("dot", text, start),
}


class Open:
    """A bracket that is open: what it holds so far, and what may follow an element."""

    __slots__ = ("close", "items", "kind", "start", "wants")

    def __init__(self, kind: str, close: str, start: int) -> None:
        self.kind = kind  # "list", "tuple", "map"; "tail" after the bar of a list; "value" after the arrow of a map
        self.close = close
        self.start = start
        self.items: list[Any] = []


def make_map(pairs: list[tuple[Any, Any]]) -> Any:
    """A map of pairs of which a later one replaces an earlier one of the same key, as in Erlang source."""
    frozen = pairs
    try:
        frozen = [(freeze(key), value) for key, value in pairs]
        plain = dict(frozen)
        if len(plain) == len(frozen):
            return plain
    except TooDeepKey:  # no key of a dict
        plain = {}
    last = {exact.key(key): (key, value) for key, value in frozen}
    return plain if len(last) == len(plain) else TermMap(last.values())


def make_list(items: list[Any], tail: Any) -> Any:
    if isinstance(tail, list):
        return items + tail
    if type(tail) is ImproperList:
        return ImproperList((*items, *tail.items), tail.tail)
    return ImproperList(tuple(items), tail)


class Reader:
    """Reads terms from the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.tokens = scan(text)
        self.ahead: Token | None = None

    def next(self) -> Token:
        if self.ahead is not None:
            token, self.ahead = self.ahead, None
            return token
        return next(self.tokens)

    def peek(self) -> Token:
        if self.ahead is None:
            self.ahead = next(self.tokens)
        return self.ahead

    def accept(self, mark: str) -> bool:
        token = self.peek()
        if token.kind == "mark" and token.value == mark:
            self.ahead = None
            return True
        return False

    def expect(self, mark: str) -> None:
        token = self.next()
        if token.kind != "mark" or token.value != mark:
            raise expected(f"'{mark}'", token)

    # --- terms ----------------------------------------------------------------------------------
    def term(self) -> Any:
        """The next term, of any nesting within the limit."""
        stack: list[Open] = []
        while True:
            opened = self.begin()
            if isinstance(opened, Open):
                if self.accept(opened.close):
                    value = self.finish(opened)
                else:
                    stack.append(opened)
                    if len(stack) > DEFAULT_LIMITS.nesting:
                        raise TermSyntaxError(f"more than {DEFAULT_LIMITS.nesting} levels", opened.start)
                    continue
            else:
                value = opened[0]
            while stack:
                stack[-1].items.append(value)
                if self.goes_on(stack[-1]):
                    break
                value = self.finish(stack.pop())
            else:
                return value

    def begin(self) -> Open | tuple[Any]:
        """A bracket that opens here, or a whole value (in a tuple of one)."""
        token = self.next()
        kind, value, start = token
        if kind == "value":
            return (value,)
        if kind == "string":
            return (list(map(ord, self.adjacent(value))),)
        if kind == "mark":
            if value in _BRACKETS:
                return Open(*_BRACKETS[value], start)
            if value == "#":
                return self.hash(start)
            if value == "<<":
                return (self.binary(),)
            if value in "+-":
                return (self.signed(value),)
        elif kind == "word" and value == "fun":
            return (self.function(),)
        raise expected("a term", token)

    def goes_on(self, opened: Open) -> bool:
        """After an element: whether another one follows (its separator is taken), or the bracket closed."""
        token = self.next()
        mark = token.value if token.kind == "mark" else None
        if opened.kind == "map":
            if mark == "=>":
                opened.kind = "value"
                return True
            raise expected("'=>'", token)
        if mark == opened.close:
            return False
        if mark == "," and opened.kind != "tail":
            if opened.kind == "value":
                opened.kind = "map"
            return True
        if mark == "|" and opened.kind == "list":
            opened.kind = "tail"
            return True
        raise expected(_FOLLOW[opened.kind].format(opened.close), token)

    def finish(self, opened: Open) -> Any:
        items = opened.items
        if opened.kind == "tuple":
            return tuple(items)
        if opened.kind == "list":
            return items
        if opened.kind == "tail":
            return make_list(items[:-1], items[-1])
        return make_map(list(zip(items[::2], items[1::2], strict=True)))

    # --- parts ----------------------------------------------------------------------------------
    def adjacent(self, text: str) -> str:
        """Strings that follow each other are one."""
        while self.peek().kind == "string":
            text += self.next().value
        return text

    def signed(self, sign: str) -> Any:
        token = self.next()
        if token.kind != "value" or type(token.value) not in (int, float):
            raise expected("a number", token)
        return -token.value if sign == "-" else token.value

    def hash(self, start: int) -> Open:
        token = self.next()
        if token.kind == "mark" and token.value == "{":
            return Open("map", "}", start)
        raise TermSyntaxError("'#' begins a map, #{…}; records and identifiers can not be read from text", start)

    def function(self) -> ExternalFun:
        module = self.name("the module of a function")
        self.expect(":")
        function = self.name("the name of a function")
        self.expect("/")
        token = self.next()
        if type(token.value) is not int or not 0 <= token.value <= 255:
            raise expected("an arity of 0..255", token)
        return ExternalFun(module, function, token.value)

    def name(self, what: str) -> Atom:
        token = self.next()
        if token.kind != "value" or type(token.value) not in (Atom, bool, type(None)):
            raise expected(what, token)
        return (
            token.value if type(token.value) is Atom else Atom({True: "true", False: "false"}.get(token.value, "nil"))
        )

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
        if token.kind == "string":
            value = self.adjacent(value)
        elif token.kind == "mark" and value in ("+", "-"):
            value = self.signed(value)
        elif token.kind != "value" or type(value) not in (int, float):
            raise expected("a number or a string", token)
        size = None
        if self.accept(":"):
            sized = self.next()
            if type(sized.value) is not int:
                raise expected("a size in bits", sized)
            size = sized.value
        types = []
        if self.accept("/"):
            types.append(str(self.next().value))
            while self.accept("-"):
                types.append(str(self.next().value))
        return Segment(value, size, tuple(types), token.start)


_BRACKETS = {"[": ("list", "]"), "{": ("tuple", "}")}
_FOLLOW = {"list": "',', '|' or '{0}'", "tail": "'{0}'", "tuple": "',' or '{0}'", "value": "',' or '{0}'"}


def expected(what: str, token: Token) -> TermSyntaxError:
    """The error that names what should stand where `token` does."""
    if token.kind == "end":
        return TermSyntaxError(f"expected {what}, not the end of the text,", token.start)
    shown = repr(token.value) if token.kind in ("mark", "word", "dot") else "what follows"
    return TermSyntaxError(f"expected {what}, not {shown},", token.start)


def parse_erlang(text: str) -> Any:
    """The one term in `text`, with or without a final dot. Raises `TermSyntaxError`."""
    reader = Reader(text)
    term = reader.term()
    if reader.peek().kind == "dot":
        reader.next()
    token = reader.next()
    if token.kind != "end":
        raise expected("the end of the text", token)
    return term


def consult(text: str) -> list[Any]:
    """All terms of `text`, each ended by a dot, as ``file:consult/1`` reads a file. Raises `TermSyntaxError`."""
    reader = Reader(text)
    terms = []
    while reader.peek().kind != "end":
        terms.append(reader.term())
        token = reader.next()
        if token.kind != "dot":
            raise expected("'.'", token)
    return terms
