"""Values that Erlang has and Python has not: improper lists, bit strings, exact maps, structs, records.

The law of the room (`docs/terms.md`): nothing is lost, and the type never depends on the content. So each
class here keeps what the wire said, in its order, and encodes back to the same bytes.

    >>> from pyerlnode.term import A, ImproperList, TermMap, kw, kwget
    >>> kwget(kw(a=1, b=2), "b")
    2
    >>> TermMap([(1, b"int"), (1.0, b"float"), (True, b"atom")])[1.0]
    b'float'

A key of a `dict` must be hashable and a list is not, so what stands inside a key is frozen: `freeze` gives
`FrozenList` for a list and `FrozenMap` for a map, equal to what they freeze. Hashing goes down the whole
key, so a key of a `dict` has at most `KEY_NESTING` levels. When one has more, or two are equal to Python and not to
Erlang (``1``, ``1.0`` and ``True``; ``0.0`` and ``-0.0``), the map is a `TermMap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NoReturn

from pyerlnode import brief
from pyerlnode.errors import UsageError
from pyerlnode.term import copying
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import LEAVES, PARTS, Key, Known, Parts, bits_token, list_parts, map_parts, range_parts
from pyerlnode.term.exact import key as exact
from pyerlnode.term.fun import Fun

KEY_NESTING = 64
"""Levels of a term inside a key of a `dict`. Python hashes tuples on the C stack, which a peer must not overflow."""

_MISSING: Any = object()


class ImproperList:
    """A list whose last tail is not a list: ``[a, b | tail]`` is ``ImproperList((a, b), tail)``."""

    __slots__ = ("items", "tail")
    __match_args__ = ("items", "tail")

    def __init__(self, items: tuple[Any, ...], tail: Any) -> None:
        self.items = items
        self.tail = tail

    def __eq__(self, other: object) -> bool:
        return type(other) is ImproperList and self.items == other.items and self.tail == other.tail

    def __hash__(self) -> int:
        return hash((ImproperList, self.items, self.tail))

    def __repr__(self) -> str:
        return brief.written(self)

    def __copy__(self) -> ImproperList:
        return ImproperList(self.items, self.tail)

    def __deepcopy__(self, memo: dict[int, Any]) -> ImproperList:
        copied: ImproperList = copying.deepcopy(self, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return copying.reduced(self)


class Bitstring:
    """A bit string that does not end at a byte: `bits` (1..7) counts the used bits, from the top, of the last byte."""

    __slots__ = ("bits", "data")
    __match_args__ = ("data", "bits")

    def __init__(self, data: bytes, bits: int) -> None:
        if not 1 <= bits <= 8 or not data:
            raise UsageError("a Bitstring has at least one byte, of which 1..8 bits are used; else it is bytes")
        last = data[-1] & (0xFF00 >> bits) & 0xFF
        self.data = data if data[-1] == last else bytes(data[:-1]) + bytes((last,))
        self.bits = bits

    def __len__(self) -> int:
        """The length in bits."""
        return len(self.data) * 8 - 8 + self.bits

    def __eq__(self, other: object) -> bool:
        return type(other) is Bitstring and self.bits == other.bits and self.data == other.data

    def __hash__(self) -> int:
        return hash((Bitstring, self.data, self.bits))

    def __repr__(self) -> str:
        return f"Bitstring({self.data!r}, {self.bits})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Bitstring, (self.data, self.bits)


class Charlist(str):
    """Text that encodes to a list of code points, where a plain `str` encodes to a binary."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Charlist({str.__repr__(self)})"


def charlist_to_str(chars: Iterable[int]) -> str:
    """A list of code points (a charlist, as it decodes) as `str`. Raises `UsageError` for anything else."""
    try:
        return "".join(map(chr, chars))
    except (TypeError, ValueError, OverflowError):
        raise UsageError("a charlist is a list of code points 0..1114111") from None


def text(data: bytes | bytearray | memoryview | str, errors: str = "strict") -> str:
    """A binary as `str`. Raises `UnicodeDecodeError` when it is not UTF-8 and `errors` is "strict"."""
    return data if isinstance(data, str) else bytes(data).decode("utf-8", errors)


def kw(**options: Any) -> list[tuple[Atom, Any]]:
    """A keyword list: ``kw(a=1)`` is ``[(A.a, 1)]``, Elixir's ``[a: 1]``."""
    return [(A[name], value) for name, value in options.items()]


def kwmap(**fields: Any) -> dict[Atom, Any]:
    """A map with atoms as keys: ``kwmap(a=1)`` is ``{A.a: 1}``, Elixir's ``%{a: 1}``."""
    return {A[name]: value for name, value in fields.items()}


def kwget(options: Iterable[Any], key: str | Atom, default: Any = None) -> Any:
    """The first value under `key` in a keyword list; a bare atom in a proplist counts as ``(atom, True)``.

    Of a map with atoms as keys it is the value under that key.
    """
    wanted = A[key] if isinstance(key, str) else key
    if isinstance(options, Mapping):
        return options.get(wanted, default)
    for option in options:
        if type(option) is tuple:
            if len(option) == 2 and option[0] is wanted:
                return option[1]
        elif option is wanted:
            return True
    return default


def _refuse(self: Any, *_args: Any, **_kwargs: Any) -> NoReturn:
    raise TypeError(f"{type(self).__name__} does not change; make a new one")


class FrozenList(list[Any]):
    """A list that can stand in a key: equal to the list it freezes, hashable, unchangeable."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]  # list says None; this one does not change
        return hash((FrozenList, *self))

    def __repr__(self) -> str:
        return brief.written(self)

    def __copy__(self) -> FrozenList:
        return FrozenList(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenList:
        copied: FrozenList = copying.deepcopy(self, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return copying.reduced(self)

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse


class FrozenMap(dict[Any, Any]):
    """A map that can stand in a key: equal to the dict it freezes, hashable, unchangeable, in the wire's order."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]  # dict says None; this one does not change
        return hash((FrozenMap, frozenset(self.items())))

    def __repr__(self) -> str:
        return brief.written(self)

    def __copy__(self) -> FrozenMap:
        return FrozenMap(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenMap:
        copied: FrozenMap = copying.deepcopy(self, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return copying.reduced(self)

    clear = pop = popitem = setdefault = update = _refuse
    __setitem__ = __delitem__ = __ior__ = _refuse


class TermMap(Mapping[Any, Any]):
    """A map whose keys are told apart as Erlang does: ``1``, ``1.0`` and ``True`` are three keys. Unchangeable.

    `pairs` keeps them in the order of the wire. A key has any number of levels; one of more than `KEY_NESTING` is kept
    as it is, not frozen, and must not be changed. Raises `UsageError` for a key that comes twice.
    """

    __slots__ = ("_fits", "_index", "deep", "pairs")

    def __init__(self, pairs: Iterable[tuple[Any, Any]] | Mapping[Any, Any] = ()) -> None:
        given = pairs.items() if isinstance(pairs, Mapping) else pairs
        kept: list[tuple[Any, Any]] = []
        self.deep = False
        """Whether a key has more levels than a key of a `dict` can have."""
        for key, value in given:
            try:
                kept.append((freeze(key), value))
            except TooDeepKey:  # noqa: PERF203  # each key by itself
                kept.append((key, value))
                self.deep = True
        self.pairs: tuple[tuple[Any, Any], ...] = tuple(kept)
        self._index: dict[Key, Any] = {exact(key): value for key, value in kept}
        self._fits = 0
        """All of it is frozen and has at most so many levels; 0: nobody has looked."""
        if len(self._index) != len(self.pairs):
            raise UsageError("a map has each key once")

    def frozen(self, nesting: int) -> TermMap:
        """It as a key, which has at most `nesting` levels: itself when its values are frozen. Raises `TooDeepKey`."""
        if self.deep:  # known, so that keys within keys are not gone through again and again
            raise TooDeepKey(f"a key of a map has more than {KEY_NESTING} levels")
        if 0 < self._fits <= nesting:
            return self
        pairs = tuple([(freeze(key, nesting - 1), freeze(value, nesting - 1)) for key, value in self.pairs])
        made = self
        if any(new[0] is not old[0] or new[1] is not old[1] for new, old in zip(pairs, self.pairs, strict=True)):
            made = TermMap.__new__(TermMap)  # its keys are frozen: `__init__` would do that once more, at each level
            made.deep = False
            made.pairs = pairs
            made._index = dict(zip(self._index, (value for _, value in pairs), strict=True))
        made._fits = nesting
        return made

    def __getitem__(self, key: Any) -> Any:
        found = self._index.get(exact(key), _MISSING)
        if found is _MISSING:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        return exact(key) in self._index

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        theirs = other if isinstance(other, TermMap) else TermMap(other)
        return self._index == theirs._index

    def __hash__(self) -> int:
        return hash((TermMap, frozenset(self._index.items())))

    def __repr__(self) -> str:
        return brief.written(self)

    def __copy__(self) -> TermMap:
        return TermMap(self.pairs)

    def __deepcopy__(self, memo: dict[int, Any]) -> TermMap:
        copied: TermMap = copying.deepcopy(self, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return copying.reduced(self)


class Struct:
    """An Elixir struct whose module is not registered: ``%M{a: 1}`` is ``Struct(A["Elixir.M"], {A.a: 1})``.

    ``struct.a`` and ``struct["a"]`` read a field. `fields` is the map without ``__struct__``, in the order of
    the wire; `at` says before which of them ``__struct__`` stood, so that it encodes to the same bytes.
    """

    __slots__ = ("at", "fields", "module")
    __match_args__ = ("module", "fields")

    def __init__(self, module: Atom, fields: Mapping[Atom, Any], at: int = 0) -> None:
        self.module = module
        self.fields = fields
        self.at = at

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle probe for dunder names
            raise AttributeError(name)
        found = self.fields.get(A[name], _MISSING)
        if found is _MISSING:
            raise AttributeError(f"{self.module} has no field {name!r}")
        return found

    def __getitem__(self, key: str | Atom) -> Any:
        return self.fields[A[key] if isinstance(key, str) else key]

    def __eq__(self, other: object) -> bool:
        return type(other) is Struct and self.module is other.module and self.fields == other.fields

    def __hash__(self) -> int:
        return hash((Struct, self.module, frozenset(self.fields.items())))

    def __repr__(self) -> str:
        return brief.written(self)

    def __copy__(self) -> Struct:
        return Struct(self.module, self.fields, self.at)

    def __deepcopy__(self, memo: dict[int, Any]) -> Struct:
        copied: Struct = copying.deepcopy(self, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return copying.reduced(self)


class NativeRecord:
    """A native record of OTP 29: ``#module:name{names[i] = values[i]}``, readable outside its module if `exported`."""

    __slots__ = ("exported", "module", "name", "names", "values")
    __match_args__ = ("module", "name", "names", "values")

    def __init__(
        self, module: Atom, name: Atom, names: tuple[Atom, ...], values: tuple[Any, ...], exported: bool = False
    ) -> None:
        self.module = module
        self.name = name
        self.names = names
        self.values = values
        self.exported = exported

    def __getitem__(self, name: str | Atom) -> Any:
        wanted = Atom(name) if isinstance(name, str) else name
        for known, value in zip(self.names, self.values, strict=True):
            if known is wanted:
                return value
        raise KeyError(name)

    def _key(self) -> tuple[Any, ...]:
        return self.module, self.name, self.names, self.values, self.exported

    def __eq__(self, other: object) -> bool:
        return type(other) is NativeRecord and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return brief.written(self)

    def __copy__(self) -> NativeRecord:
        return NativeRecord(*self._key())

    def __deepcopy__(self, memo: dict[int, Any]) -> NativeRecord:
        copied: NativeRecord = copying.deepcopy(self, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return copying.reduced(self)


class Range:
    """Elixir's ``first..last//step``: both ends belong to it, and it may be empty."""

    __slots__ = ("first", "last", "step")
    __match_args__ = ("first", "last", "step")

    def __init__(self, first: int, last: int, step: int = 1) -> None:
        if step == 0:
            raise UsageError("the step of a range is not 0")
        self.first = first
        self.last = last
        self.step = step

    def _range(self) -> range:
        return range(self.first, self.last + (1 if self.step > 0 else -1), self.step)

    def __iter__(self) -> Iterator[int]:
        return iter(self._range())

    def __len__(self) -> int:
        return len(self._range())

    def __contains__(self, value: object) -> bool:
        return value in self._range()

    def _key(self) -> tuple[int, int, int]:
        return self.first, self.last, self.step

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Range) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((Range, *self._key()))

    def __repr__(self) -> str:
        return f"Range({self.first}, {self.last}, {self.step})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Range, self._key()


# --- keys ---------------------------------------------------------------------------------------
class TooDeepKey(UsageError):
    """A term has too many levels to be frozen: in a `dict` it can not be a key, in a `TermMap` it can."""


def freeze(term: Any, nesting: int = KEY_NESTING) -> Any:
    """`term` in a form that hashes: lists and maps in it are frozen, everything else is what it was.

    Raises `TooDeepKey`, a `UsageError`, when it has more than `nesting` levels.
    """
    kind = type(term)
    if kind not in _FREEZERS:
        if isinstance(term, (list, tuple, dict)):  # NamedTuple, OrderedDict: frozen as what they extend
            kind = next(base for base in kind.__mro__ if base in _FREEZERS)
        else:
            return term
    if nesting == 0:
        raise TooDeepKey(f"a key of a map has more than {KEY_NESTING} levels")
    return _FREEZERS[kind](term, nesting - 1)


def _freeze_tuple(term: tuple[Any, ...], room: int) -> tuple[Any, ...]:
    items = tuple([freeze(item, room) for item in term])
    return term if type(term) is tuple and _are(items, term) else items


def _freeze_list(term: list[Any], room: int) -> FrozenList:
    items = [freeze(item, room) for item in term]
    return term if type(term) is FrozenList and _are(items, term) else FrozenList(items)


def _are(items: Iterable[Any], others: Iterable[Any]) -> bool:
    return all(one is other for one, other in zip(items, others, strict=True))


def _freeze_dict(term: dict[Any, Any], room: int) -> FrozenMap:
    pairs = [(freeze(key, room), freeze(value, room)) for key, value in term.items()]
    if type(term) is FrozenMap and _are((value for _, value in pairs), term.values()):
        return term
    return FrozenMap(pairs)


def _freeze_struct(term: Struct, room: int) -> Struct:
    return Struct(term.module, freeze(term.fields, room + 1), term.at)


def _freeze_fun(term: Fun, room: int) -> Fun:
    return term.with_free(tuple([freeze(item, room) for item in term.free]))


_FREEZERS: dict[type, Callable[[Any, int], Any]] = {
    tuple: _freeze_tuple,
    list: _freeze_list,
    dict: _freeze_dict,
    TermMap: lambda term, room: term.frozen(room + 1),
    ImproperList: lambda term, room: ImproperList(freeze(term.items, room + 1), freeze(term.tail, room)),
    NativeRecord: lambda term, room: NativeRecord(
        term.module, term.name, term.names, freeze(term.values, room + 1), term.exported
    ),
    Struct: _freeze_struct,
    Fun: _freeze_fun,
}
_FREEZERS[FrozenList] = _FREEZERS[list]
_FREEZERS[FrozenMap] = _FREEZERS[dict]


# --- identity (`pyerlnode.term.exact`) --------------------------------------------------------------
def _improper_parts(term: ImproperList) -> Parts:
    """``[1 | [2]]`` is a list, and ``[1 | [2 | 3]]`` one with a single tail."""
    items = list(term.items)
    tail = term.tail
    met: set[int] = set()
    while type(tail) is ImproperList and id(tail) not in met:
        met.add(id(tail))
        items += tail.items
        tail = tail.tail
    if isinstance(tail, (list, Charlist)):
        return list_parts([*items, *(map(ord, tail) if type(tail) is Charlist else tail)])
    return b"I", [*items, tail]


def _struct_parts(term: Struct) -> Parts:
    return map_parts([(_STRUCT, term.module), *term.fields.items()])


def _record_parts(term: NativeRecord) -> Parts:
    return b"R", (term.module, term.name, term.exported, len(term.names), *term.names, *term.values)


def _exact_map_parts(term: TermMap) -> Parts:
    """Its keys are known already, so keys within keys cost what they are long, not the square of it."""
    marks: Iterable[Any] = term._index
    return map_parts(
        [
            (Known(mark[0]) if type(mark) is tuple and len(mark) == 1 else key, value)
            for mark, (key, value) in zip(marks, term.pairs, strict=True)
        ]
    )


_STRUCT = Atom("__struct__")
LEAVES[Bitstring] = lambda term: bits_token(term.data, term.bits)
PARTS.update(
    {
        FrozenList: list_parts,
        FrozenMap: lambda term: map_parts(term.items()),
        TermMap: _exact_map_parts,
        ImproperList: _improper_parts,
        Struct: _struct_parts,
        NativeRecord: _record_parts,
        Charlist: lambda term: list_parts(map(ord, term)),
        Range: lambda term: range_parts(term.first, term.last, term.step),
    }
)


# --- in a few words (`pyerlnode.brief`) --------------------------------------------------------------
brief.PARTS.update(
    {
        FrozenList: lambda term: brief.row("FrozenList([", term, "])"),
        FrozenMap: lambda term: brief.pairs("FrozenMap({", term.items(), "})"),
        TermMap: lambda term: brief.row("TermMap([", term.pairs, "])"),
        ImproperList: lambda term: brief.call("ImproperList", term.items, term.tail),
        Struct: lambda term: brief.call("Struct", term.module, term.fields),
        NativeRecord: lambda term: brief.call("NativeRecord", *term._key()),
    }
)


# --- copies (`pyerlnode.term.copying`) -----------------------------------------------------------------
copying.KINDS.update(
    {
        FrozenList: (iter, FrozenList),
        FrozenMap: (lambda term: chain.from_iterable(term.items()), lambda parts: FrozenMap(copying.pairs(parts))),
        TermMap: (lambda term: chain.from_iterable(term.pairs), lambda parts: TermMap(copying.pairs(parts))),
        ImproperList: (lambda term: (term.items, term.tail), lambda parts: ImproperList(*parts)),
        Struct: (lambda term: (term.module, term.fields, term.at), lambda parts: Struct(*parts)),
        NativeRecord: (lambda term: term._key(), lambda parts: NativeRecord(*parts)),
        Fun: (lambda term: (*term._identity(), term.pid, term.free), lambda parts: Fun(*parts)),
    }
)
