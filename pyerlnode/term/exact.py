"""Which terms are one term: Erlang's ``=:=`` for Python's tables.

Python takes 1, 1.0 and True for one key, has no hash for a list, calls the text's and the dataclass's own methods
and hashes on the C stack. So no process of ours puts a term into a table or compares two of them as they are:

    >>> from pyerlnode.term.exact import ExactDict, key, same
    >>> same(1, 1.0), same(1, True), same("a", b"a"), same({1: [2]}, {1: [2]})
    (False, False, True, True)
    >>> timers = {key(1): "one", key(1.0): "one point nought", key([1]): "a list"}
    >>> timers[key(1)], timers[key([1])]
    ('one', 'a list')
    >>> ExactDict([(True, "atom"), (1, "integer")])
    ExactDict([(True, 'atom'), (1, 'integer')])

The law:

- `key(one) == key(other)` exactly when the terms that the two encode to are ``=:=``, as OTP 27 and later have it:
  0.0 and -0.0 are two terms (before, a BEAM takes them for one), as they are two keys of a `TermMap`. Maps have no
  order; references that differ in zeros at their end are one, and so is a closure whichever process made it.
- A value of Python counts as what it encodes to: `str` as the binary, a `NamedTuple` as the tuple, an Enum's member
  as its value, a registered class as its struct; `None` as ``nil``.
- `key` is total: no value makes it raise. What has no form as a term is known to this program alone, and is the same
  as itself only; a dataclass without a form is the same as one of its class with the same fields, and a bound method
  as one of the same object. The key of such a value keeps it alive.
- No term costs more than its size: nothing recurses, and what stands in a term at many places is looked at once. No
  peer can choose many keys of one hash: they are numbers below 65,536, identifiers, binaries, or digests (BLAKE2,
  256 bits) in Python's keyed hash of bytes.
- A key is made of what the term holds now; it does not follow what changes later.

Atoms, binaries, small integers, pids, ports and references are their own keys.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from hashlib import blake2b
from types import MethodType
from typing import Any, NewType, TypeVar

from pyerlnode.term.atom import A, Atom
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.hooks import encoder_for
from pyerlnode.term.pid import Pid, Port, Reference, significant

Key = NewType("Key", object)
"""What `key` gives: for tables and for ``==``, and for nothing else."""
V = TypeVar("V")

_ITSELF = frozenset({Atom, bytes, Pid, Port, Reference, ExternalFun})
_SMALL = 1 << 16
_DIGEST_SIZE = 32
_ENCODERS = 16
"""How many encoders may stand behind each other before a value is taken for one without a form."""
_MISSING: Any = object()

_float = struct.Struct(">cd").pack
_size = struct.Struct(">cQ").pack
_HEAD = 9
_word = struct.Struct(">cq").pack
_WORD = 1 << 63


def key(term: Any) -> Key:
    """A value for Python's tables that stands for `term` and for no other one."""
    kind = type(term)
    found: Any
    if kind in _ITSELF or (kind is int and -_SMALL < term < _SMALL):
        found = term
    elif kind is bool or term is None:
        found = _SPECIAL[term]
    elif kind is float or kind is int:
        found = (LEAVES[kind](term),)
    else:
        found = _flat(term, kind) if kind is tuple or kind is list else _simple_key(term)
    return found  # type: ignore[no-any-return]  # a NewType that is called would cost more than most keys


def same(one: Any, other: Any) -> bool:
    """Erlang's ``one =:= other``."""
    if one is other:
        return True
    if type(one) is Atom and type(other) is Atom:
        return False  # there is one object for each: states and reasons, mostly
    return key(one) == key(other)


class ExactDict(MutableMapping[Any, V]):
    """A dict whose keys are terms, told apart by `key`; they come out as they were given."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[Any, V]] = ()) -> None:
        self._pairs: dict[Key, tuple[Any, V]] = {key(term): (term, value) for term, value in pairs}

    def __getitem__(self, term: Any) -> V:
        found = self._pairs.get(key(term))
        if found is None:
            raise KeyError(term)
        return found[1]

    def get(self, term: Any, default: Any = None) -> Any:
        found = self._pairs.get(key(term))
        return default if found is None else found[1]

    def __setitem__(self, term: Any, value: V) -> None:
        self._pairs[key(term)] = (term, value)

    def __delitem__(self, term: Any) -> None:
        if self._pairs.pop(key(term), None) is None:
            raise KeyError(term)

    def pop(self, term: Any, default: Any = _MISSING) -> Any:
        found = self._pairs.pop(key(term), None)
        if found is not None:
            return found[1]
        if default is _MISSING:
            raise KeyError(term)
        return default

    def __contains__(self, term: object) -> bool:
        return key(term) in self._pairs

    def __iter__(self) -> Iterator[Any]:
        return (term for term, _ in self._pairs.values())

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        theirs = other if isinstance(other, ExactDict) else ExactDict(other.items())
        return len(self) == len(theirs) and all(
            mark in theirs._pairs and theirs._pairs[mark][1] == value for mark, (_, value) in self._pairs.items()
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"ExactDict({list(self._pairs.values())!r})"


# --- tokens: bytes that tell their own length, so that a row of them can be read in one way only -----------------
def _integer(term: int) -> bytes:
    if -_WORD <= term < _WORD:
        return _word(b"n", term)
    data = term.to_bytes((term.bit_length() + 8) // 8, "big", signed=True)
    return _size(b"i", len(data)) + data


def _binary(term: bytes) -> bytes:
    return _size(b"m", len(term)) + term


def bits_token(data: bytes, bits: int) -> bytes:
    """A bit string of which the last byte has `bits` bits; with 8 of them it is a binary."""
    return _binary(data) if bits == 8 else _size(b"M", len(data)) + bits.to_bytes(1, "big") + data


def _text(term: str) -> bytes:
    try:
        return _binary(term.encode())
    except UnicodeEncodeError:  # a lone surrogate: no term
        data = term.encode("utf-8", "surrogatepass")
        return _size(b"s", len(data)) + data


def _reference(term: Reference) -> bytes:
    words = significant(term.words)
    return b"".join((_size(b"r", len(words)), term.node.wire, _integer(term.creation), *map(_integer, words)))


def _pid(term: Pid) -> bytes:
    return b"p" + term.node.wire + _integer(term.id) + _integer(term.serial) + _integer(term.creation)


_SPECIAL: dict[bool | None, Atom] = {True: Atom("true"), False: Atom("false"), None: Atom("nil")}
LEAVES: dict[type, Callable[[Any], bytes]] = {
    Atom: lambda term: term.wire,
    bool: lambda term: _SPECIAL[term].wire,
    type(None): lambda _term: _SPECIAL[None].wire,
    int: _integer,
    float: lambda term: _float(b"f", term),
    bytes: _binary,
    str: _text,
    Pid: _pid,
    Port: lambda term: b"P" + term.node.wire + _integer(term.id) + _integer(term.creation),
    Reference: _reference,
    ExternalFun: lambda term: b"q" + term.module.wire + term.function.wire + _integer(term.arity),
}
"""The token of a term that has no parts, by its type. Modules of types add theirs."""


class Known(bytes):
    """The token of a part that is known from its `key`, in place of the part."""

    __slots__ = ()


LEAVES[Known] = bytes

Parts = tuple[bytes, Iterable[Any]]
PARTS: dict[type, Callable[[Any], Parts]] = {}
"""What a term with parts begins with, and the parts; those of a `MAP` come as a key and its value, in any order."""
MAP = b"t"


def list_parts(items: Iterable[Any]) -> Parts:
    return b"l", items


def map_parts(pairs: Iterable[tuple[Any, Any]]) -> Parts:
    return MAP, [part for pair in pairs for part in pair]


def _fun_parts(term: Fun) -> Parts:
    numbers = (term.arity, term.index, term.old_index, term.old_uniq)
    head = b"".join((b"F", term.module.wire, _binary(term.uniq), *map(_integer, numbers)))
    return head, term.free


def _range_parts(term: range) -> Parts:
    """Elixir's range, which includes its end."""
    first, last = (term[0], term[-1]) if term else (term.start, term.start - term.step)
    return range_parts(first, last, term.step)


def range_parts(first: int, last: int, step: int) -> Parts:
    return map_parts(zip(_RANGE, (A["Elixir.Range"], first, last, step), strict=True))


_RANGE = (Atom("__struct__"), A.first, A.last, A.step)
_BUILT_IN: dict[type, Callable[[Any], Parts]] = {
    tuple: lambda term: (b"h", term),
    list: list_parts,
    dict: lambda term: map_parts(term.items()),
    range: _range_parts,
    Fun: _fun_parts,
}
PARTS.update(_BUILT_IN)


# --- the walk ------------------------------------------------------------------------------------------------------
def _joined(head: bytes, tokens: list[bytes]) -> bytes:
    """The token of a term with parts."""
    count = len(tokens)
    if head == MAP:
        tokens = sorted([name + value for name, value in zip(tokens[::2], tokens[1::2], strict=True)])
    return b"#" + blake2b(_size(b"#", count) + head + b"".join(tokens), digest_size=_DIGEST_SIZE).digest()


class _Frame:
    """A term of which some parts have their tokens."""

    __slots__ = ("head", "rest", "term", "tokens")

    def __init__(self, term: Any, head: bytes, parts: Iterable[Any]) -> None:
        self.term = term
        self.head = head
        self.rest = iter(parts)
        self.tokens: list[bytes] = []


_OPEN = b""
"""The token of a term that is being looked at: one that stands in itself, and so is no term."""


class _Pinned(list[Any]):
    """Keeps alive what a key knows by its address; says nothing of its own to a comparison."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is _Pinned

    def __hash__(self) -> int:  # type: ignore[override]  # list says None
        return 0


def _flat(term: Any, kind: type) -> Any:
    """The key of a tuple or list: at once when no part has parts."""
    tokens = []
    for part in term:
        leaf = LEAVES.get(type(part))
        if leaf is None:
            return _walked(term)
        try:
            tokens.append(leaf(part))
        except Exception:  # an identifier that was made of things that it can not be made of
            return _walked(term)
    return (_joined(b"h" if kind is tuple else b"l", tokens),)


def _simple_key(term: Any) -> Any:
    """The key of a value of any other type."""
    try:
        if type(term) is str:
            return term.encode()
        seen = _simplified(term)
    except Exception:  # a lone surrogate, or whatever an encoder of the user's raises: it has no form
        seen = term
    return _walked(term) if seen is term else key(seen)


def _walked(term: Any) -> Any:
    strangers = _Pinned()
    try:
        token = _token(term, strangers)
    except Exception:  # a pid or a record that was made of things that it can not be made of
        token = _stranger(term, strangers)
    if token[:1] == b"m":  # a bit string of whole bytes
        return token[_HEAD:]
    return (token, strangers) if strangers else (token,)


def _token(term: Any, strangers: _Pinned) -> bytes:
    done: dict[int, bytes] = {}
    made: list[Any] = []  # while the ids of what encoders made stand in `done`, nothing else may get them
    frame = _Frame(None, b"", (term,))
    waiting: list[_Frame] = []
    while True:
        for part in frame.rest:
            leaf = LEAVES.get(type(part))
            token = leaf(part) if leaf is not None else done.get(id(part))
            if token is None:
                opened = _opened(part, made, strangers)
                if type(opened) is _Frame:
                    done[id(part)] = _OPEN
                    waiting.append(frame)
                    frame = opened
                    break
                token = done[id(part)] = opened
            frame.tokens.append(token or _stranger(part, strangers))
        else:
            if not waiting:
                return frame.tokens[0]
            token = done[id(frame.term)] = _joined(frame.head, frame.tokens)
            frame = waiting.pop()
            frame.tokens.append(token)


def _opened(part: Any, made: list[Any], strangers: _Pinned) -> Any:
    """A frame for a term with parts; the token of anything else."""
    try:
        seen = _simplified(part)
        if seen is not part:
            made.append(seen)
        leaf = LEAVES.get(type(seen))
        if leaf is not None:
            return leaf(seen)
        parts = PARTS.get(type(seen))
        head, inner = _foreign(seen, strangers) if parts is None else parts(seen)
        return _Frame(part, head, inner)
    except Exception:  # what an encoder or an attribute of the user's raises: then it has no form
        return _stranger(part, strangers)


def _simplified(term: Any) -> Any:
    """A value of a type in `LEAVES` or `PARTS` that encodes to the same; `term` itself when there is none."""
    seen = term
    for _ in range(_ENCODERS):
        kind = type(seen)
        if kind in LEAVES or kind in PARTS:
            return seen
        encode = encoder_for(kind) or next((convert for base, convert in _BASES if isinstance(seen, base)), None)
        if encode is None:
            break
        seen = encode(seen)
    return term


_BASES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (int, int.__index__),
    (float, float.__float__),
    (str, str.__str__),
    (bytes, lambda value: bytes.join(b"", (value,))),
    ((bytearray, memoryview), bytes),
    (tuple, lambda value: tuple(iter(value))),
    (list, lambda value: list(iter(value))),
    (Mapping, lambda value: dict(value.items())),
)
"""As the codec does with a subclass of a built-in type."""


def _foreign(value: Any, strangers: _Pinned) -> Parts:
    """The parts of a value that has no form as a term and is yet not the same as itself alone."""
    kind = type(value)
    if kind is MethodType:
        return b"B" + _stranger(value.__func__, strangers) + _stranger(value.__self__, strangers), ()
    if dataclasses.is_dataclass(kind):
        fields = [getattr(value, field.name) for field in dataclasses.fields(kind) if field.compare]
        return b"D" + _stranger(kind, strangers), fields
    return b"O" + _stranger(value, strangers), ()


def _stranger(value: Any, strangers: _Pinned) -> bytes:
    strangers.append(value)
    return b"o" + id(value).to_bytes(8, "big")
