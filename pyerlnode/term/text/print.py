"""Terms as Erlang prints them: the text of ``io:format("~0tp")``, and the tree that line breaking works on.

Reference: OTP's io_lib_pretty. The law:

- A list is a string when every element is a printable character, and a binary when all its bytes are (latin-1)
  or when it is UTF-8 of printable characters; then it is ``<<"é"/utf8>>``.
- What "printable" covers is `charset`: "latin1", or "unicode" as in a VM started with ``+pc unicode``.
- A float has the fewest digits that read back as the same float, fixed or scientific, whichever is shorter.
- With a depth limit (``~P``) each element of a list or tuple stands one level deeper than the one before it, and
  what is cut is ``...``.
- A map is printed in the order in which the peer that sent it prints it: one of up to 32 keys in the order that it
  has here, a larger one from its last key to its first.

Nothing recurses: a term of any nesting prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Bitstring, ImproperList, NativeRecord
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.order import sort_key
from pyerlnode.term.pid import Pid, Port, Reference
from pyerlnode.term.text.chars import erlang_atom, is_printable, printable_prefix, quoted, text_width
from pyerlnode.term.view import ATOMS, LISTS, MAPS, atom_of, core, pairs_of, turned

TEXT, BIN, LIST, TUPLE, MAP, PAIR, RECORD, FIELD = "text", "bin", "list", "tuple", "map", "pair", "record", "field"
OPENING = {LIST: "[", TUPLE: "{", MAP: "#{", PAIR: "", RECORD: "{", FIELD: " = "}
CLOSING = {LIST: "]", TUPLE: "}", MAP: "}", PAIR: "", RECORD: "}", FIELD: ""}
_BRACKETS = {LIST: 2, TUPLE: 2, MAP: 3, PAIR: 4, RECORD: 2, FIELD: 3}


class Node:
    """A printed term: its `text` (of a record and a field: the name) or its `items`; `size` on one line."""

    __slots__ = ("items", "kind", "size", "tagged", "tail", "text")

    def __init__(self, kind: str, text: str = "") -> None:
        self.kind = kind
        self.text = text
        self.size = text_width(text)
        self.items: list[Node] = []
        self.tail: Node | None = None
        """What follows the last item after ``|`` (or ``,`` in a tuple): an improper tail, or ``...``."""
        self.tagged = False

    def close(self) -> None:
        """All items are there: count the characters, with brackets, separators and the tail."""
        count = len(self.items) + (self.tail is not None)
        self.size += _BRACKETS[self.kind] + sum([item.size for item in self.items])
        if self.kind is not PAIR:
            self.size += (self.tail.size if self.tail else 0) + max(count - 1, 0)


class Printer:
    """How to print: `charset` "latin1" or "unicode", `unicode` as the ``t`` of ``~tp``, `depth` (-1: all), map order.

    Pids, ports and references of `node` print as local ones (``<0.1.2>``), others with their node's name.
    """

    __slots__ = ("charset", "deepest", "depth", "node", "sort_maps", "unicode")

    def __init__(
        self,
        *,
        charset: str = "unicode",
        unicode: bool = True,
        depth: int = -1,
        sort_maps: bool = False,
        node: Atom | None = None,
    ) -> None:
        self.charset = charset if unicode else "latin1"
        self.unicode = unicode
        self.depth = depth
        self.sort_maps = sort_maps
        self.node = node
        self.deepest = 0  # levels that the last tree had

    def tree(self, term: Any) -> Node:
        """`term` as nodes, built without recursion."""
        if self.depth == 0:
            return Node(TEXT, "...")
        open_: list[tuple[Node, Iterator[tuple[Any, int]]]] = []
        made = self._begin(term, self.depth)
        while True:
            if isinstance(made, Node):
                if not open_:
                    return made
                open_[-1][0].items.append(made)
            else:
                open_.append(made)
                self.deepest = max(self.deepest, len(open_))
            node, rest = open_[-1]
            following = next(rest, None)
            while following is None:
                open_.pop()
                self._end(node)
                if not open_:
                    return node
                open_[-1][0].items.append(node)
                node, rest = open_[-1]
                following = next(rest, None)
            made = self._begin(*following)

    def _begin(self, term: Any, depth: int) -> Node | tuple[Node, Iterator[tuple[Any, int]]]:
        """A finished node, or one to be filled with what the iterator gives (terms and their depths)."""
        if type(term) is _Pair:
            return Node(PAIR), iter(((term.key, depth), (term.value, depth)))
        if type(term) is _Field:
            return Node(FIELD, term.name), iter(((term.value, depth),))
        term = core(term)
        kind = type(term)
        leaf = _LEAVES.get(kind)
        if leaf is not None:
            return Node(TEXT, leaf(self, term))
        if kind is tuple:
            return self._tuple(term, depth)
        if kind in LISTS or kind is ImproperList:
            return self._list(term, depth)
        if kind in MAPS:
            return self._map(term, depth)
        if kind is NativeRecord:
            return self._record(term, depth)
        return self._binary(term, depth)

    @staticmethod
    def _end(node: Node) -> None:
        if node.tail is _PENDING_TAIL:
            node.tail = node.items.pop()
        node.close()

    def _tuple(self, items: tuple[Any, ...], depth: int) -> Node | tuple[Node, Iterator[tuple[Any, int]]]:
        if not items:
            return Node(TEXT, "{}")
        if depth == 1:
            return Node(TEXT, "{...}")
        node = Node(TUPLE)
        node.tagged = len(items) > 1 and type(items[0]) in ATOMS
        return node, self._elements(node, items, depth)

    def _list(self, term: Any, depth: int) -> Node | tuple[Node, Iterator[tuple[Any, int]]]:
        node = Node(LIST)
        if type(term) is ImproperList:
            if not term.items:
                return self._begin(term.tail, depth)
            items = (*term.items, term.tail)
            return node, self._elements(node, items, depth, improper=True)
        if not term:
            return Node(TEXT, "[]")
        if depth != 1:
            string = self._string(term)
            if string is not None:
                return Node(TEXT, string)
        return node, self._elements(node, term, depth)

    @staticmethod
    def _elements(node: Node, items: Any, depth: int, *, improper: bool = False) -> Iterator[tuple[Any, int]]:
        last = len(items) - 1
        for at, item in enumerate(items):
            if depth == 1:
                node.tail = Node(TEXT, "...")
                return
            if improper and at == last:
                node.tail = _PENDING_TAIL
            depth -= 1
            yield item, depth

    def _map(self, term: Any, depth: int) -> Node | tuple[Node, Iterator[tuple[Any, int]]]:
        pairs = pairs_of(term)
        if not pairs:
            return Node(TEXT, "#{}")
        if depth == 1:
            return Node(TEXT, "#{...}")
        pairs = turned(pairs)
        if self.sort_maps:
            pairs.sort(key=lambda pair: sort_key(pair[0], exact=True))
        node = Node(MAP)
        return node, self._pairs(node, pairs, depth)

    def _record(self, term: NativeRecord, depth: int) -> Node | tuple[Node, Iterator[tuple[Any, int]]]:
        """As OTP 29 prints its native records."""
        module, name, *names = (
            erlang_atom(atom.name, unicode=self.unicode) for atom in (term.module, term.name, *term.names)
        )
        if depth == 1:
            return Node(TEXT, f"#{module}:{name}{{...}}")
        node = Node(RECORD, f"#{module}:{name}")
        fields = [_Field(field, value) for field, value in zip(names, term.values, strict=True)]
        return node, self._elements(node, fields, depth - 1)

    @staticmethod
    def _pairs(node: Node, pairs: list[tuple[Any, Any]], depth: int) -> Iterator[tuple[Any, int]]:
        inner = depth - 1
        for key, value in pairs:
            if depth == 1:
                node.tail = Node(TEXT, "...")
                return
            depth -= 1
            yield _Pair(key, value), inner

    def _string(self, items: list[Any]) -> str | None:
        """A list of printable characters as a string."""
        if type(items[0]) is not int or set(map(type, items)) != {int}:  # most lists are told by their first element
            return None
        try:
            text = "".join(map(chr, items))
        except (ValueError, OverflowError):
            return None
        return quoted(text, '"') if is_printable(text, self.charset) else None

    def _binary(self, term: bytes | Bitstring, depth: int) -> Node:
        if type(term) is Bitstring:
            return Node(TEXT, "<<...>>") if depth == 1 else Node(BIN, _segments(term.data, depth, term.bits))
        assert type(term) is bytes
        if not term:
            return Node(TEXT, "<<>>")
        if depth == 1:
            return Node(TEXT, "<<...>>")
        text = self._binary_text(term, depth - 1)
        return Node(BIN, _segments(term, depth)) if text is None else Node(TEXT, text)

    def _binary_text(self, data: bytes, depth: int) -> str | None:
        """A binary of printable characters; `depth` characters of them are enough when `depth` is a limit."""
        text, limit = None, len(data)
        if depth >= 0:
            limit = min(4 * depth, limit)
        if self.unicode:
            text = _utf8(data, limit)
        if text is None:
            return self._latin1_text(data, limit, depth)
        count = printable_prefix(text[:limit], self.charset)
        used = len(text[:count].encode())
        suffix = "" if used == count else "/utf8"
        if used == len(data):
            return f"<<{quoted(text[:count], chr(34))}{suffix}>>"
        if 0 < depth <= count:
            return f"<<{quoted(text[:count], chr(34))}{suffix}...>>"
        return None

    @staticmethod
    def _latin1_text(data: bytes, limit: int, depth: int) -> str | None:
        text = data[:limit].decode("latin-1")
        count = printable_prefix(text, "latin1")
        if count == len(data):
            return f"<<{quoted(text, chr(34))}>>"
        if 0 < depth <= count:
            return f"<<{quoted(text[:count], chr(34))}...>>"
        return None

    def host(self, node: Atom) -> str:
        """The first part of an identifier: 0 for the local node, else the node's name (a BEAM has a number there)."""
        return "0" if node is self.node else node.name


class _Pair:
    __slots__ = ("key", "value")

    def __init__(self, key: Any, value: Any) -> None:
        self.key = key
        self.value = value


class _Field:
    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value


_PENDING_TAIL = Node(TEXT)


def _utf8(data: bytes, limit: int) -> str | None:
    """`data` as text when its first `limit` characters are UTF-8 (what follows them may be anything)."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        text = data[: error.start].decode()
        return text if len(text) >= limit else None


def _segments(data: bytes, depth: int, bits: int = 8) -> str:
    """``<<1,2,3:4>>``; `depth` segments and ``...`` when there are more."""
    whole = data if bits == 8 else data[:-1]
    parts = [str(byte) for byte in whole]
    if bits != 8:
        parts.append(f"{data[-1] >> (8 - bits)}:{bits}")
    if 0 < depth <= len(parts):
        parts[depth - 1 :] = ["..."]
    return f"<<{','.join(parts)}>>"


def format_integer(value: int) -> str:
    """Decimal digits of any number; Python's own conversion refuses more than some thousands."""
    return str(value) if value.bit_length() < 2_000 else str(Decimal(value))


def format_float(value: float) -> str:
    """The shortest text that reads back as `value`: fixed or scientific, whichever is shorter; fixed when equal."""
    text = repr(value)
    if text in ("nan", "inf", "-inf"):
        return text
    sign, text = ("-", text[1:]) if text[0] == "-" else ("", text)
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + len(whole) - (len(whole + fraction) - len(digits))
    if not digits:
        return sign + "0.0"
    digits = digits.rstrip("0")
    scientific = f"{digits[0]}.{digits[1:] or '0'}e{point - 1}"
    fixed = _fixed(digits, point) if -8 < point < 18 else None
    if fixed is None or len(scientific) < len(fixed) or abs(value) >= 2.0**53:
        return sign + scientific
    return sign + fixed


def _fixed(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    return digits[:point].ljust(point, "0") + "." + (digits[point:] or "0")


_LEAVES: dict[type, Callable[[Printer, Any], str]] = {
    int: lambda _printer, term: format_integer(term),
    float: lambda _printer, term: format_float(term),
    **{kind: lambda printer, term: erlang_atom(atom_of(term).name, unicode=printer.unicode) for kind in ATOMS},
    Pid: lambda printer, term: f"<{printer.host(term.node)}.{term.id}.{term.serial}>",
    Port: lambda printer, term: f"#Port<{printer.host(term.node)}.{term.id}>",
    Reference: lambda printer, term: f"#Ref<{printer.host(term.node)}.{'.'.join(map(str, reversed(term.words)))}>",
    ExternalFun: lambda printer, term: (
        f"fun {erlang_atom(term.module.name, unicode=printer.unicode)}:"
        f"{erlang_atom(term.function.name, unicode=printer.unicode)}/{term.arity}"
    ),
    Fun: lambda _printer, term: f"#Fun<{erlang_atom(term.module.name)}.{term.old_index}.{term.old_uniq}>",
}


def write(root: Node) -> str:
    """The whole of `root` on one line."""
    out: list[str] = []
    todo: list[Node | str] = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, str):
            out.append(node)
        elif node.kind is TEXT or node.kind is BIN:
            out.append(node.text)
        else:
            out.append(node.text + OPENING[node.kind])
            todo.append(CLOSING[node.kind])
            todo.extend(reversed(_separated(node)))
    return "".join(out)


def _separated(node: Node) -> list[Node | str]:
    between = " => " if node.kind is PAIR else ","
    parts: list[Node | str] = []
    for item in node.items:
        parts += (item, between)
    if parts:
        parts.pop()
    if node.tail is not None:
        if parts:
            parts.append("|" if node.kind is LIST else ",")
        parts.append(node.tail)
    return parts
