"""Erlang term text read as terms: what ``file:consult/1`` reads.

Reference: the Erlang reference manual, "Data Types", and OTP's erl_parse (`normalise`). Read are atoms, numbers,
strings (lists of code points; adjacent ones are one), sigils, binaries with sizes and types, tuples, lists, maps,
``fun M:F/A``, all of them in parentheses too, and comments. What is not a term (a variable, a call, a pid) is refused
with the position and a line that says so.

The reader is a loop over the tokens of `scan` with a stack of open brackets: nothing recurses but binaries in binaries,
and the nesting is bounded by `Limits.nesting`.
"""

from __future__ import annotations

from typing import Any, Final

from pyerlnode.errors import TermSyntaxError
from pyerlnode.limits import DEFAULT_LIMITS
from pyerlnode.term import exact
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Bitstring, ImproperList, TermMap, TooDeepKey, freeze
from pyerlnode.term.fun import ExternalFun
from pyerlnode.term.text.binary import Segment, build_binary
from pyerlnode.term.text.chars import NEWEST
from pyerlnode.term.text.identifiers import Owner
from pyerlnode.term.text.scan import Token, scan
from pyerlnode.term.view import SMALL_MAP, turned

MAX_BINARY_NESTING: Final = 100


class Open:
    """A bracket that is open: what it holds so far, and what may follow an element."""

    __slots__ = ("close", "items", "kind", "start")

    def __init__(self, kind: str, close: str, start: int) -> None:
        self.kind = kind  # "list", "tuple", "map", "parentheses"; "tail" behind a bar, "value" behind an arrow
        self.close = close
        self.start = start
        self.items: list[Any] = []


def make_map(pairs: list[tuple[Any, Any]]) -> Any:
    """A map of pairs of which a later one replaces an earlier one of the same key, as in Erlang source.

    Its order is that in which a BEAM that has printed it would send it.
    """
    frozen = pairs
    try:
        frozen = [(freeze(key), value) for key, value in pairs]
        plain = dict(frozen)
        if len(plain) == len(frozen):
            return plain if len(plain) <= SMALL_MAP else dict(reversed(frozen))
    except TooDeepKey:  # no key of a dict
        plain = {}
    last = {exact.key(key): (key, value) for key, value in frozen}
    if len(last) == len(plain):
        return dict(turned(list(plain.items())))
    return TermMap(turned(list(last.values())))


def make_list(items: list[Any], tail: Any) -> Any:
    if isinstance(tail, list):
        return items + tail
    if type(tail) is ImproperList:
        return ImproperList((*items, *tail.items), tail.tail)
    return ImproperList(tuple(items), tail)


class Reader:
    """Reads terms from the tokens of one text."""

    def __init__(self, text: str, release: int = NEWEST, owner: Owner | None = None) -> None:
        self.text = text
        self.tokens = scan(text, release, owner)
        self.ahead: Token | None = None
        self.binaries = 0

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
                if opened.kind != "parentheses" and self.accept(opened.close):
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
        if kind == "text":
            return (list(map(ord, value)),)
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
        if mark == "," and opened.kind not in ("tail", "parentheses"):
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
        if opened.kind == "parentheses":
            return items[0]
        return make_map(list(zip(items[::2], items[1::2], strict=True)))

    # --- parts ----------------------------------------------------------------------------------
    def adjacent(self, text: str) -> str:
        """Strings that follow each other are one."""
        while self.peek().kind == "string":
            text += self.next().value
        return text

    def parentheses(self) -> int:
        """How many open here."""
        count = 0
        while self.accept("("):
            count += 1
        return count

    def close(self, parentheses: int) -> None:
        for _ in range(parentheses):
            self.expect(")")

    def signed(self, sign: str) -> Any:
        parentheses = self.parentheses()
        token = self.next()
        if token.kind != "value" or type(token.value) not in (int, float):
            raise expected("a number", token)
        self.close(parentheses)
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
        if not self.is_integer(token) or not 0 <= token.value <= 255:
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
        start = self.peek().start
        value = self.segment_value()
        size = self.size() if self.accept(":") else None
        unit: int | None = None
        types: list[str] = []
        if self.accept("/"):
            while True:
                name = self.next()
                if name.kind != "value" or type(name.value) is not Atom:
                    raise expected("a type of a segment", name)
                if name.value.name == "unit" and self.accept(":"):
                    unit = self.unit(unit)
                else:
                    types.append(name.value.name)
                if not self.accept("-"):
                    break
        return Segment(value, size, unit, tuple(types), start)

    def segment_value(self) -> int | float | str | bytes | Bitstring:
        parentheses = self.parentheses()
        token = self.next()
        kind, value = token.kind, token.value
        if kind == "string":
            value = self.adjacent(value)
        elif kind == "mark" and value in ("+", "-"):
            value = self.signed(value)
        elif kind == "mark" and value == "<<":
            value = self.inner_binary(token)
        elif kind != "text" and (kind != "value" or type(value) not in (int, float, bytes)):
            raise expected("a number, a string or a binary", token)
        self.close(parentheses)
        segment: int | float | str | bytes | Bitstring = value
        return segment

    def inner_binary(self, token: Token) -> Any:
        self.binaries += 1
        if self.binaries > MAX_BINARY_NESTING:
            raise TermSyntaxError(f"more than {MAX_BINARY_NESTING} binaries in each other", token.start)
        value = self.binary()
        self.binaries -= 1
        return value

    def size(self) -> int:
        parentheses = self.parentheses()
        token = self.next()
        size = token.value
        if parentheses and token.kind == "mark" and size in ("+", "-"):
            size = self.signed(size)
        if type(size) is not int or size < 0:
            raise expected("a size", token)
        self.close(parentheses)
        return size

    def is_integer(self, token: Token) -> bool:
        """Whether it is a number, and no character: both are integers."""
        return type(token.value) is int and not self.text.startswith("$", token.start)

    def unit(self, before: int | None) -> int:
        token = self.next()
        if not self.is_integer(token):
            raise expected("a unit", token)
        if before not in (None, token.value):
            raise TermSyntaxError("two units in one segment", token.start)
        return int(token.value)


_BRACKETS = {"[": ("list", "]"), "{": ("tuple", "}"), "(": ("parentheses", ")")}
_FOLLOW = {
    "list": "',', '|' or '{0}'", "tail": "'{0}'", "tuple": "',' or '{0}'", "value": "',' or '{0}'",
    "parentheses": "'{0}'",
}  # fmt: skip


def expected(what: str, token: Token) -> TermSyntaxError:
    """The error that names what should stand where `token` does."""
    if token.kind == "end":
        return TermSyntaxError(f"expected {what}, not the end of the text,", token.start)
    shown = repr(token.value) if token.kind in ("mark", "word", "dot") else "what follows"
    return TermSyntaxError(f"expected {what}, not {shown},", token.start)


def parse_erlang(text: str, release: int = NEWEST, owner: Owner | None = None) -> Any:
    """The one term in `text`, with or without a final dot. Raises `TermSyntaxError`."""
    reader = Reader(text, release, owner)
    term = reader.term()
    if reader.peek().kind == "dot":
        reader.next()
    token = reader.next()
    if token.kind != "end":
        raise expected("the end of the text", token)
    return term


def consult(text: str, release: int = NEWEST) -> list[Any]:
    """All terms of `text`, each ended by a dot, as ``file:consult/1`` reads a file. Raises `TermSyntaxError`."""
    reader = Reader(text, release)
    terms = []
    while reader.peek().kind != "end":
        terms.append(reader.term())
        token = reader.next()
        if token.kind != "dot":
            raise expected("'.'", token)
    return terms
