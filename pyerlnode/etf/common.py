"""What both twins of the codec share: profiles, the budget of atoms, and every path that is not fast.

The twins decide the same way because what is rare is decided here, once: which term stands for a value of
an unusual type (`simplify`), how a map with unusual keys is built (`build_map`), which text an error has,
and where in a term the value stands that could not be encoded (`locate`).
"""

from __future__ import annotations

import dataclasses
import enum
import math
import operator
import re
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from pyerlnode.errors import DecodeError, EncodeError, LimitExceeded, UsageError
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.term.atom import MAX_CHARACTERS, Atom, by_utf8
from pyerlnode.term.containers import (
    Bitstring,
    ImproperList,
    NativeRecord,
    Struct,
    TermMap,
    freeze,
)
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.hooks import encoder_for, struct_decoders
from pyerlnode.term.pid import Pid, Port, Reference

Profile: TypeAlias = Literal["elixir", "erlang"]
"""Which atom is `None`: "elixir" says ``nil``, "erlang" says ``undefined`` (and keeps ``nil`` an atom)."""
Atoms: TypeAlias = Literal["new", "existing"]
"""Whether decoding may add atoms to the table. "existing" refuses names that nobody used before."""
AtomValue: TypeAlias = Atom | bool | None
"""What an atom decodes to."""
Data: TypeAlias = bytes | bytearray | memoryview
Buffer: TypeAlias = bytes | memoryview

ELIXIR: Final = "elixir"
ERLANG: Final = "erlang"

BIG_BINARY: Final = 64 * 1024
"""From this size on a binary is handed to the socket as it is, not copied into a frame."""
MAX_ARITY: Final = 16_777_215
MAX_DEPTH: Final = DEFAULT_LIMITS.nesting
"""Levels of a term that is encoded: beyond, it is a list that holds itself."""

STRUCT_KEY: Final = Atom("__struct__")
_SPECIAL: Final[dict[Profile, dict[bytes, AtomValue]]] = {
    ELIXIR: {b"true": True, b"false": False, b"nil": None},
    ERLANG: {b"true": True, b"false": False, b"undefined": None},
}
NONE_WIRE: Final[dict[Profile, bytes]] = {ELIXIR: Atom("nil").wire, ERLANG: Atom("undefined").wire}


class TooDeep(EncodeError):
    """Nesting beyond `MAX_DEPTH`: the one refusal that has no place, and would be long to look for."""


class AtomBudget:
    """Atoms that one connection may still add to the table: `limit` in all, `spent` so far."""

    __slots__ = ("limit", "spent")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.spent = 0

    def charge(self, offset: int) -> None:
        """Count one more atom. Raises `LimitExceeded`."""
        if self.spent >= self.limit:
            raise LimitExceeded(f"more than {self.limit} new atoms from one peer; raise Limits.atoms if meant", offset)
        self.spent += 1


NO_ATOMS = AtomBudget(0)
"""Marks ``atoms="existing"``: told apart by identity, its refusal has a text of its own."""


# --- atoms --------------------------------------------------------------------------------------
def atom_value(utf8: bytes, profile: Profile = ELIXIR, budget: AtomBudget | None = None, offset: int = 0) -> AtomValue:
    """What the atom with this text decodes to; a new one is charged to `budget`.

    Raises `DecodeError` at `offset` for text that is no atom, `LimitExceeded` when the budget is spent.
    """
    special = _SPECIAL[profile]
    return special[utf8] if utf8 in special else named_atom(utf8, budget, offset)


def named_atom(utf8: bytes, budget: AtomBudget | None, offset: int) -> Atom:
    """The `Atom` itself, also for ``true`` and ``nil``: names of nodes, modules and functions are never values."""
    known = by_utf8.get(utf8)
    if known is not None:
        return known
    try:
        name = utf8.decode()
    except UnicodeDecodeError:
        raise DecodeError("an atom that is not UTF-8", offset) from None
    if len(name) > MAX_CHARACTERS:
        raise DecodeError(f"an atom of {len(name)} characters", offset)
    if budget is NO_ATOMS:
        raise DecodeError('an atom that does not exist here (atoms="existing")', offset)
    if budget is not None:
        budget.charge(offset)
    return Atom(name)


_BOOLS: Final[dict[AtomValue, str]] = {True: "true", False: "false"}


def as_atom(value: AtomValue, profile: Profile) -> Atom:
    """The atom behind a decoded value: what `atom_value` turned into a value of Python, turned back."""
    if type(value) is Atom:
        return value
    return Atom("nil" if profile == ELIXIR else "undefined") if value is None else Atom(_BOOLS[value])


known_atoms: Final[dict[Profile, dict[bytes, AtomValue]]] = {
    profile: dict(special) for profile, special in _SPECIAL.items()
}
"""Per profile, what a text that was decoded before stands for: the decoder's first look."""


# --- decoding what is rare ----------------------------------------------------------------------
FLAT_KEYS: Final = frozenset({Atom, bytes, int, float, bool, type(None), Pid, Port, Reference, ExternalFun, Bitstring})
"""Types whose values hash without going down: they need not be frozen to be a key."""
_FLOAT_TEXT = re.compile(rb"[+-]?[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?")


def float_from_text(raw: bytes) -> float | None:
    """FLOAT_EXT's 31 bytes, ``1.50000000000000000000e+00`` and NULs; `None` when they are not a finite float."""
    body = raw.split(b"\0", 1)[0]
    value = float(body) if _FLOAT_TEXT.fullmatch(body) else math.inf
    return value if math.isfinite(value) else None


def build_map(keys: list[Any], values: list[Any], offset: int) -> dict[Any, Any] | TermMap:
    """A map with keys of any kind: frozen where they must be, a `TermMap` when Python would merge two.

    Raises `DecodeError` when a key comes twice, `LimitExceeded` when one is nested too deeply; `offset` is where
    the map ends.
    """
    try:
        frozen = [key if type(key) in FLAT_KEYS else freeze(key) for key in keys]
    except UsageError as error:
        raise LimitExceeded(str(error), offset) from None
    found = dict(zip(frozen, values, strict=True))
    if len(found) == len(frozen):
        return found
    try:
        return TermMap(zip(frozen, values, strict=True))
    except UsageError as error:
        raise DecodeError(str(error), offset) from None


def build_struct(fields: dict[Any, Any]) -> Any:
    """A map with ``__struct__``: a `Struct`, what its module's decoder makes of it, or the map when it is neither."""
    module = fields[STRUCT_KEY]
    if type(module) is not Atom:
        return fields
    at = 0
    for key in fields:
        if key is STRUCT_KEY:
            break
        at += 1
    del fields[STRUCT_KEY]
    made = Struct(module, fields, at)
    decode = struct_decoders.get(module)
    return made if decode is None else decode(made)


def inflate(data: Data, offset: int, limits: Limits) -> tuple[bytes, int]:
    """The body of the compressed term whose tag is at `offset`, and the offset after it.

    The size that is claimed is compared with the limit before, and with the truth while inflating.
    """
    body = bytes(memoryview(data)[offset + 1 :])
    size = int.from_bytes(body[:4], "big")
    if len(body) < 4 or size == 0:
        raise DecodeError("a compressed term without a size", offset)
    if size > limits.inflated_size:
        raise LimitExceeded(f"a compressed term of {size} bytes; Limits.inflated_size is less", offset)
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(body[4:], size + 1)
    except zlib.error:
        raise DecodeError("a compressed term that is no zlib stream", offset) from None
    if len(inflated) != size or not stream.eof:
        raise DecodeError(f"a compressed term that is not of the {size} bytes it claims", offset)
    return inflated, len(data) - len(stream.unused_data)


def deflate(body: bytes, level: int) -> bytes:
    """131 and `body`, compressed when that is shorter, as ``term_to_binary(T, [{compressed, Level}])`` decides."""
    squeezed = zlib.compress(body, level)
    if len(squeezed) + 5 < len(body):
        return b"\x83P" + len(body).to_bytes(4, "big") + squeezed
    return b"\x83" + body


# --- encoding what is rare ----------------------------------------------------------------------
def simplify(value: Any) -> Any:
    """A term of built-in types for a `value` of another type; what the codec does not know, asked in this order.

    A registered encoder, an Enum's value, a subclass of a built-in type, a Mapping, a UUID, anything that is
    an integer by ``__index__``. Raises `EncodeError` with a hint.
    """
    kind = type(value)
    encoder = encoder_for(kind)
    if encoder is not None:
        return _run(encoder, value)
    if isinstance(value, enum.Enum):
        return value.value
    for base, convert in _BASES:
        if isinstance(value, base):
            return _run(convert, value)
    if hasattr(kind, "__index__") and not hasattr(kind, "__len__") and not isinstance(value, type):  # no array of one
        return _run(operator.index, value)
    raise EncodeError(f"{_name(kind)} has no form on the wire; {_hint(kind)}")


_BASES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (int, int.__index__),
    (float, float.__float__),
    (str, lambda value: str.__str__(value)),
    (bytes, lambda value: bytes.join(b"", (value,))),
    (bytearray, bytes),
    (memoryview, bytes),
    (tuple, lambda value: tuple(iter(value))),
    (list, lambda value: list(iter(value))),
    (Mapping, lambda value: dict(value.items())),
    (uuid.UUID, str),
)


def _run(convert: Callable[[Any], Any], value: Any) -> Any:
    """`convert(value)`; anything it raises becomes an `EncodeError`, since encoding promises no other."""
    try:
        return convert(value)
    except EncodeError:
        raise
    except Exception as error:
        raise EncodeError(f"{_name(type(value))} could not be turned into a term: {type(error).__name__}") from error


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if kind.__module__ != "builtins" else kind.__qualname__


def _hint(kind: type) -> str:
    top = kind.__module__.partition(".")[0]
    if top == "numpy":
        return "wrap an array in nx(...), give a scalar as value.item()"
    if top == "pyarrow":
        return "wrap a table in arrow(...)"
    if dataclasses.is_dataclass(kind):
        return "decorate the class with @elixir_struct, @record or @atom_map"
    return "give a term, or register one with pyerlnode.term.register_encoder"


PLAIN_KEYS: Final = frozenset({Atom, bytes, int, float, Pid, Port, Reference})
"""Types of which values that differ in Python differ on the wire."""
_ONLY_STR: Final = {str}


def check_keys(keys: Iterable[Any], encode: Callable[[Any, Profile], bytes], profile: Profile) -> None:
    """Raise `EncodeError` when two keys that differ in Python are one on the wire, as ``"a"`` and ``b"a"`` are.

    A BEAM drops the connection over such a map. Keys of one plain type can not collide: they are not looked at.
    """
    kinds = set(map(type, keys))
    if kinds <= PLAIN_KEYS or kinds == _ONLY_STR:
        return
    written = [encode(key, profile) for key in keys]
    if len(set(written)) != len(written):
        raise EncodeError("a map with two keys that are the same term on the wire")


_PATH_LEVELS: Final = 64


def locate(term: Any, encode: Callable[[Any], object]) -> str:
    """The path in `term` of the first value that `encode` refuses. Only for the text of an error: it tries again."""
    path = ""
    for _ in range(_PATH_LEVELS):
        for step, part in _parts(term):
            try:
                encode(part)
            except EncodeError:  # noqa: PERF203  # an error is being told: nothing here is hot
                path += step
                term = part
                break
        else:
            return path
    return path + "…"


def _parts(term: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a container and how Python would reach them."""
    if isinstance(term, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(term))
    elif isinstance(term, Mapping):
        for index, (key, value) in enumerate(term.items()):
            yield f".keys()[{index}]", key
            yield f"[{_key_text(key)}]", value
    elif isinstance(term, Struct):
        yield from ((f".{key}", value) for key, value in term.fields.items())
    elif isinstance(term, ImproperList):
        yield from ((f".items[{index}]", part) for index, part in enumerate(term.items))
        yield ".tail", term.tail
    elif isinstance(term, NativeRecord):
        yield from ((f"[{str(name)!r}]", value) for name, value in zip(term.names, term.values, strict=False))
    elif isinstance(term, Fun):
        yield from ((f".free[{index}]", part) for index, part in enumerate(term.free))
    elif encoder_for(type(term)) is not None:  # a dataclass with a form, a set
        try:
            simpler = simplify(term)
        except EncodeError:  # it is the value itself
            return
        yield from _parts(simpler)


def _key_text(key: Any) -> str:
    """A key as it may stand in an error: names do, data does not."""
    return repr(key) if isinstance(key, (Atom, str, int)) and len(str(key)) <= 64 else f"<{type(key).__name__}>"
