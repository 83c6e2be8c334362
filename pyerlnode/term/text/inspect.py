"""Terms as Elixir's `inspect` prints them.

Reference: Elixir's Inspect protocol, 1.14 to 1.18 (charlists as the newer ones: ``~c"abc"``). The law:

- A binary of printable UTF-8 is a string, a list of printable ASCII is a charlist, a list of pairs with atoms first is
  a keyword list, and a map with such keys prints like one.
- A struct prints as ``%Module{…}`` with all its fields in the order it has, or in the one that `fields` tells; only
  its own node knows whether that is how it would print there. Ranges, sets, regular expressions and ISO dates and times
  have their short forms. Of ``%…Error{}`` the field ``__exception__`` is not printed, as it is known.
- `limit` counts elements: each container goes on with what its place in the outer one has left (Elixir 1.19 and
  later count otherwise, and break some lines otherwise too).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Bitstring, ImproperList, NativeRecord, Struct
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.order import sort_key, spread
from pyerlnode.term.pid import Pid, Port, Reference
from pyerlnode.term.text.algebra import Break, Cat, Doc, Group, Nest
from pyerlnode.term.text.chars import NEWEST
from pyerlnode.term.text.print import format_float, format_integer
from pyerlnode.term.text.sigils import is_error, letters_of
from pyerlnode.term.view import ATOMS, LISTS, MAPS, atom_of, core, pairs_of, turned

Pairs = list[tuple[Any, Any]]

TURNED = 29
"""The OTP release from which on ``maps:to_list/1`` gives a large map as ``maps:iterator/1`` walks it."""

_OPERATORS = frozenset(
    (
        *("+", "-", "*", "/", "=", "!", "<", ">", "&", "|", "^", "@", ".", "%", "++", "--", "->", "**", "==", "=~"),
        *("!=", "<-", "<=", "<>", "<~", ">=", "&&", "|>", "||", "~>", "..", "\\\\", "{}", "+++", "---", "===", "!=="),
        *("<<<", "<<~", "<~>", ">>>", "&&&", "|||", "~>>", "...", "%{}", "..//", "<<>>"),
    )
)
_NOT_CALLED = frozenset(("%", "%{}", "{}", "<<>>", "...", "..", ".", "..//", "->"))
_ALIAS = re.compile(r"Elixir(\.[A-Z][A-Za-z0-9_]*)*\Z")
_PLAIN = re.compile(r"\w+")  # what else Unicode allows in identifiers is quoted, as old readers do not take it
_CHARLIST = frozenset((*range(32, 127), 7, 8, 9, 10, 11, 12, 13, 27, 127))
_PRINTABLE = re.compile(r"[\x07-\x0d\x1b\x20-\x7f\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*\Z")
_HIDDEN = r"\xa0\u034f\u061c\u2000-\u200f\u2028-\u202e\u205f-\u2064\u2066-\u2069\ufeff\ufff9-\ufffc"
_ESCAPE = re.compile(rf"[\x00-\x1f\x7f-\x9f{_HIDDEN}\\\"]|#\{{")
_NAMED = {
    "\0": "\\0", "\a": "\\a", "\b": "\\b", "\x7f": "\\d", "\x1b": "\\e", "\f": "\\f", "\n": "\\n", "\r": "\\r",
    "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"', "#{": "\\#{",
}  # fmt: skip


def escaped(text: str) -> str:
    """`text` as it stands between double quotes in Elixir."""

    def escape(found: re.Match[str]) -> str:
        named = _NAMED.get(found[0])
        if named is not None:
            return named
        code = ord(found[0])
        return f"\\x{code:02X}" if code < 0x80 else f"\\u{code:04X}"

    return _ESCAPE.sub(escape, text)


def is_alias(name: str) -> bool:
    return _ALIAS.match(name) is not None


def _bare(name: str) -> bool:
    """Whether an atom needs no quotes after its colon."""
    if name in _OPERATORS:
        return True
    word = (name[:-1] if name[-1:] in ("?", "!") else name).replace("@", "_")
    return (
        word.isidentifier()
        and _PLAIN.fullmatch(word) is not None
        and name[0] != "@"
        and unicodedata.normalize("NFKC", word) == word
    )


def inspect_atom(name: str) -> str:
    """An atom as a literal: ``:ok``, ``:"a b"``, ``MyApp.User``, ``nil``."""
    if name in ("nil", "true", "false"):
        return name
    if is_alias(name):
        return name.removeprefix("Elixir.") if not name.startswith("Elixir.Elixir") else name
    return f":{name}" if _bare(name) else f':"{escaped(name)}"'


def inspect_key(name: str) -> str:
    """An atom as a key of a keyword list: ``ok:``, ``"a b":``."""
    return f"{name}:" if _bare(name) and not is_alias(name) else f'"{escaped(name)}":'


class _Container:
    """A container whose elements are being printed."""

    __slots__ = ("after", "before", "break_", "docs", "improper", "left", "right", "simple", "todo")

    def __init__(
        self, left: str, right: str, todo: Iterator[tuple[str, Any, int | None]], break_: str = "maybe"
    ) -> None:
        self.left = left
        self.right = right
        self.todo = todo  # what stands before an element, the element (or _DOTS), its limit
        self.break_ = break_  # "strict", "flex", or "maybe": flex when all elements are simple
        self.docs: list[Doc] = []
        self.simple = break_ == "maybe"
        self.improper = False
        self.before = ""
        self.after = ""

    def add(self, before: str, doc: Doc) -> None:
        self.simple = self.simple and isinstance(doc, str)
        if isinstance(doc, str):
            self.docs.append(before + doc)
        else:
            self.docs.append(Cat((before, doc)) if before else doc)

    def doc(self) -> Doc:
        flex = self.simple or self.break_ == "flex"
        last = len(self.docs) - 1
        parts: list[Doc] = []
        for at, doc in enumerate(self.docs):
            parts.append(doc)
            if at < last:
                parts += (" |" if self.improper and at == last - 1 else ",", Break(" ", flex))
        if flex:
            doc = Group(Cat((self.left, Nest(1, Cat(tuple(parts))), self.right)))
        else:
            doc = Group(Cat((Nest(2, Cat((self.left, Break("", False), *parts))), Break("", False), self.right)))
        return Cat((self.before, doc, self.after)) if self.before else doc


class _Assoc(_Container):
    """A key and its value in a map that is no keyword list."""

    __slots__ = ()

    def doc(self) -> Doc:
        key, value = self.docs
        return Cat((key, " => ", value))


_DOTS = object()


class Inspector:
    """How to inspect: `limit` elements (`None`: all), maps in their own order or sorted, which node is local."""

    __slots__ = ("deepest", "fields", "limit", "node", "order", "sort_maps")

    def __init__(
        self,
        *,
        limit: int | None = None,
        sort_maps: bool = False,
        node: Atom | None = None,
        fields: Mapping[Atom, Sequence[Atom]] | None = None,
        release: int = NEWEST,
    ) -> None:
        self.order: Callable[[Pairs], Pairs] = turned if release >= TURNED else list
        self.fields = fields or {}
        self.limit = limit
        self.sort_maps = sort_maps
        self.node = node
        self.deepest = 0  # levels that the last document had

    def doc(self, term: Any) -> Doc:
        """`term` as a document, built without recursion."""
        open_: list[tuple[str, _Container]] = []
        before, made = "", self._begin(term, self.limit)
        while True:
            if isinstance(made, _Container):
                open_.append((before, made))
                self.deepest = max(self.deepest, len(open_))
            elif not open_:
                return made
            else:
                open_[-1][1].add(before, made)
            following = next(open_[-1][1].todo, None)
            if following is None:
                before, container = open_.pop()
                made = container.doc()
            else:
                before, term, limit = following
                made = "..." if term is _DOTS else self._begin(term, limit)

    def _begin(self, term: Any, limit: int | None) -> Doc | _Container:
        if type(term) is _Pair:
            return _Assoc("", "", iter((("", term.key, limit), ("", term.value, limit))))
        term = core(term)
        kind = type(term)
        leaf = _LEAVES.get(kind)
        if leaf is not None:
            return leaf(self, term)
        if kind is tuple:
            return _Container("{", "}", _limited(term, limit), "flex") if term else "{}"
        if kind in LISTS or kind is ImproperList:
            return self._list(term, limit)
        if kind in MAPS:
            return self._map(term, limit)
        if kind is NativeRecord:
            fields = [(name, value) for name, value in zip(term.names, term.values, strict=True)]
            left = f"%{inspect_atom(term.module.name)}.{term.name.name}{{"
            return _Container(left, "}", _keyword(fields, limit), "strict")
        return self._binary(term, limit)

    def _list(self, term: Any, limit: int | None) -> Doc | _Container:
        items, tail = spread(term)
        if tail != [] or type(tail) is not list:
            made = _Container("[", "]", iter(()))
            made.todo = _improper(made, items, tail, limit)
            return made
        if not items:
            return "[]"
        if all(type(item) is int and item in _CHARLIST for item in items):
            return f'~c"{escaped("".join(map(chr, items)))}"'
        if _is_keyword(items):
            return _Container("[", "]", _keyword(items, limit), "strict")
        return _Container("[", "]", _limited(items, limit))

    def _map(self, term: Any, limit: int | None) -> Doc | _Container:
        if type(term) is Struct:
            short = _SHORT.get(term.module.name)
            made = short(self, term, limit) if short else None
            if made is not None:
                return made
            left, pairs = self._struct(term)
        else:
            left, pairs = "%{", pairs_of(term)
        pairs = self.order(pairs)
        if self.sort_maps:
            pairs.sort(key=lambda pair: sort_key(pair[0], exact=True))
        if not pairs:
            return left + "}"
        if _is_keyword(pairs):
            return _Container(left, "}", _keyword(pairs, limit), "strict")
        return _Container(left, "}", self._pairs(pairs, limit), "strict")

    def _struct(self, term: Struct) -> tuple[str, list[tuple[Any, Any]]]:
        """How a struct begins, and its fields; written as a map where text can not say it otherwise."""
        pairs = list(term.fields.items())
        exception = term.fields.get(_EXCEPTION) is True
        if not is_alias(term.module.name) or not _is_keyword(pairs) or (is_error(term.module) and not exception):
            return "%{", pairs_of(term)
        order = self.fields.get(term.module)
        if order is not None:
            places = {name: at for at, name in enumerate(order)}
            pairs.sort(key=lambda pair: places.get(pair[0], len(places)))
        if is_error(term.module):
            pairs = [pair for pair in pairs if pair[0] is not _EXCEPTION]
        return f"%{inspect_atom(term.module.name)}{{", pairs

    def _pairs(self, pairs: list[tuple[Any, Any]], limit: int | None) -> Iterator[tuple[str, Any, int | None]]:
        for key, value in pairs:
            if limit == 0:
                yield "", _DOTS, 0
                return
            limit = None if limit is None else limit - 1
            yield "", _Pair(key, value), limit

    def _binary(self, term: bytes | Bitstring, limit: int | None) -> Doc:
        if type(term) is bytes:
            text = _printable(term)
            if text is not None:
                return f'"{escaped(text)}"'
            parts = [str(byte) for byte in term]
        else:
            assert type(term) is Bitstring
            parts = [str(byte) for byte in term.data[:-1]]
            parts.append(f"{term.data[-1] >> (8 - term.bits)}::size({term.bits})")
        if limit is not None and len(parts) > limit:
            parts[limit:] = ["..."]
        docs: list[Doc] = []
        for part in parts[:-1]:
            docs += (part + ",", Break(" ", True))
        return Group(Cat(("<<", Nest(2, Cat((*docs, parts[-1]))), ">>")))

    def host(self, node: Atom) -> str:
        return "0" if node is self.node else node.name

    def _set(self, term: Struct, limit: int | None) -> _Container | None:
        elements = term.fields.get(_MAP)
        if type(elements) not in MAPS or type(elements) is Struct:
            return None
        pairs = pairs_of(elements)
        if any(value != [] for _, value in pairs):
            return None
        items = [item for item, _ in self.order(pairs)]
        if items and _is_keyword(items):
            made = _Container("[", "]", _keyword(items, limit), "strict")
        else:
            made = _Container("[", "]", _limited(items, limit))
        made.before, made.after = "MapSet.new(", ")"
        return made


class _Pair:
    __slots__ = ("key", "value")

    def __init__(self, key: Any, value: Any) -> None:
        self.key = key
        self.value = value


_EXCEPTION = Atom("__exception__")
_MAP = Atom("map")
_ISO = Atom("Elixir.Calendar.ISO")


def _limited(items: Any, limit: int | None) -> Iterator[tuple[str, Any, int | None]]:
    for item in items:
        if limit == 0:
            yield "", _DOTS, 0
            return
        limit = None if limit is None else limit - 1
        yield "", item, limit


def _improper(made: _Container, items: Any, tail: Any, limit: int | None) -> Iterator[tuple[str, Any, int | None]]:
    """The last element and the tail share one place of the limit."""
    for found in _limited(items, limit):
        yield found
        limit = found[2]
        if found[1] is _DOTS:
            return
    made.improper = True
    yield "", tail, limit


def _keyword(pairs: Any, limit: int | None) -> Iterator[tuple[str, Any, int | None]]:
    for key, value in pairs:
        if limit == 0:
            yield "", _DOTS, 0
            return
        limit = None if limit is None else limit - 1
        yield inspect_key(atom_of(key).name) + " ", value, limit


def _is_keyword(pairs: Any) -> bool:
    return all(
        type(pair) is tuple
        and len(pair) == 2
        and type(pair[0]) in ATOMS
        and not atom_of(pair[0]).name.startswith("Elixir.")
        for pair in pairs
    )


def _printable(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if _PRINTABLE.match(text) else None


def _float(value: float) -> str:
    whole = 1.0 <= abs(value) < 1.0e16 and value == int(value)
    return f"{int(value)}.0" if whole else format_float(value)


def _external(fun: ExternalFun) -> str:
    name = fun.function.name
    called = (_bare(name) or name == "::") and name not in _NOT_CALLED
    shown = name if called and "@" not in name and not name[:1].isupper() else f'"{escaped(name)}"'
    return f"&{inspect_atom(fun.module.name)}.{shown}/{fun.arity}"


def _range(_inspector: Inspector, term: Struct, _limit: int | None) -> str | None:
    first, last, step = (term.fields.get(Atom(name)) for name in ("first", "last", "step"))
    if not (type(first) is int and type(last) is int and (step is None or type(step) is int)):
        return None
    plain = step is None or (step == 1 and first <= last)
    return f"{first}..{last}" if plain else f"{first}..{last}//{step}"


def _iso(name: str) -> Callable[[Inspector, Struct, int | None], str | None]:
    """The sigil of a calendar type of Elixir, when its fields are those of the ISO calendar."""

    def inspect(_inspector: Inspector, term: Struct, _limit: int | None) -> str | None:
        fields = {key.name: value for key, value in term.fields.items()}
        if fields.get("calendar") is not _ISO:
            return None
        try:
            parts = []
            if name != "T":
                year = fields["year"]
                parts.append(f"{'-' if year < 0 else ''}{abs(year):04}-{fields['month']:02}-{fields['day']:02}")
            if name != "D":
                microsecond, precision = fields["microsecond"]
                if not 0 <= precision <= 6 or microsecond % 10 ** (6 - precision):  # the text would lose something
                    return None
                fraction = f".{microsecond:06}"[: precision + 1] if precision else ""
                parts.append(f"{fields['hour']:02}:{fields['minute']:02}:{fields['second']:02}{fraction}")
        except (KeyError, TypeError, ValueError):
            return None
        text = " ".join(parts)
        return _zoned(text, fields) if name == "U" else f"~{name}[{text}]"

    return inspect


def _zoned(text: str, fields: dict[str, Any]) -> str | None:
    zone, abbreviation = fields.get("time_zone"), fields.get("zone_abbr")
    utc, std = fields.get("utc_offset"), fields.get("std_offset")
    if not (type(zone) is bytes and type(abbreviation) is bytes and type(utc) is int and type(std) is int):
        return None
    if zone == b"Etc/UTC" and utc == std == 0:
        return f"~U[{text}Z]"
    sign, minutes = "-" if utc + std < 0 else "+", abs(utc + std) // 60
    offset = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return f"#DateTime<{text}{offset} {abbreviation.decode(errors='replace')} {zone.decode(errors='replace')}>"


def _regex(_inspector: Inspector, term: Struct, _limit: int | None) -> str | None:
    """Where the source is text that can stand between slashes; Elixir 1.14 keeps the options as letters."""
    source, opts = term.fields.get(Atom("source")), letters_of(term.fields.get(Atom("opts")))
    if type(source) is not bytes or opts is None:
        return None
    text = _printable(source)
    if text is None or "\n" in text or text.endswith("\\") or "\\/" in text:
        return None
    return f"~r/{text.replace('/', chr(92) + '/')}/{opts}"


_LEAVES: dict[type, Callable[[Inspector, Any], str]] = {
    **{kind: lambda _inspector, term: inspect_atom(atom_of(term).name) for kind in ATOMS},
    int: lambda _inspector, term: format_integer(term),
    float: lambda _inspector, term: _float(term),
    Pid: lambda inspector, term: f"#PID<{inspector.host(term.node)}.{term.id}.{term.serial}>",
    Port: lambda inspector, term: f"#Port<{inspector.host(term.node)}.{term.id}>",
    Reference: lambda inspector, term: (
        f"#Reference<{inspector.host(term.node)}.{'.'.join(map(str, reversed(term.words)))}>"
    ),
    ExternalFun: lambda _inspector, term: _external(term),
    Fun: lambda _inspector, term: (
        f"#Function<{term.old_index}.{term.old_uniq}/{term.arity} in {inspect_atom(term.module.name)}>"
    ),
}
_SHORT: dict[str, Callable[[Inspector, Struct, int | None], Doc | _Container | None]] = {
    "Elixir.MapSet": Inspector._set,
    "Elixir.Range": _range,
    "Elixir.Date": _iso("D"),
    "Elixir.Time": _iso("T"),
    "Elixir.NaiveDateTime": _iso("N"),
    "Elixir.DateTime": _iso("U"),
    "Elixir.Regex": _regex,
}
