"""What both twins of the codec share: profiles, the budget of atoms, and every path that is not fast.

The twins decide the same way because what is rare is decided here, once: which term stands for a value of
an unusual type (`simplify`), how a map with unusual keys is built (`build_map`), which text an error has,
and what an error of the program's own methods becomes (`as_encode_error`).
"""

from __future__ import annotations

import dataclasses
import enum
import math
import operator
import re
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from pyerlnode.errors import DecodeError, EncodeError, LimitExceeded, UsageError
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.term.atom import MAX_CHARACTERS, Atom, by_utf8
from pyerlnode.term.containers import (
    Bitstring,
    Struct,
    TermMap,
    TooDeepKey,
    freeze,
)
from pyerlnode.term.fun import ExternalFun
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
SUSPICIOUS_DEPTH: Final = 64
"""From here on each level is looked at: is it one that is being written already?"""
MOST_ROUNDS: Final = 100
"""Encoders that may stand behind each other, each giving a value that needs another one."""
MAX_ENCODED: Final = 1 << 30
"""Bytes of a term that is encoded, without its binaries of `BIG_BINARY` and more: what stands in a term at many places
is written at each, so a short program makes a term that fills any memory."""
CONTAINER: Final = 64
"""Bytes that a container takes here, whatever is in it."""
PART: Final = 8
"""Bytes for each part of it."""
KEYED: Final = 160
"""Bytes more of a map that is not empty. Its parts take more than `PART`, but so they do on the wire."""
NO_MEMORY: Final = "a term for which there is no memory"
NOT_FINITE: Final = "a float that is not finite: a BEAM has none and drops the connection over it"

STRUCT_KEY: Final = Atom("__struct__")
_SPECIAL: Final[dict[Profile, dict[bytes, AtomValue]]] = {
    ELIXIR: {b"true": True, b"false": False, b"nil": None},
    ERLANG: {b"true": True, b"false": False, b"undefined": None},
}
NONE_WIRE: Final[dict[Profile, bytes]] = {ELIXIR: Atom("nil").wire, ERLANG: Atom("undefined").wire}


class NoPlace(EncodeError):
    """A refusal that is of no one place in a term, or would be long to look for."""


class TooDeep(NoPlace):
    """Nesting beyond `MAX_DEPTH`, or a term that holds itself."""


class TooLarge(NoPlace):
    """More than `MAX_ENCODED`."""

    def __init__(self) -> None:
        super().__init__(f"a term of more than {MAX_ENCODED >> 20} MiB; a part of it may stand at many places")


class Changed(NoPlace):
    """An encoder of the program changed a container that was being written."""

    def __init__(self) -> None:
        super().__init__("a container that was changed while it was encoded")


class SameKey(EncodeError):
    """A map with two keys that are one on the wire. A BEAM drops the connection over it."""

    def __init__(self) -> None:
        super().__init__("a map with two keys that are the same term on the wire")


class Refused(EncodeError):
    """A term that this peer does not take, with its path."""


class AtomBudget:
    """Atoms that one peer may still add to the table: `limit` in all, `spent` so far; all peers share `whole`."""

    __slots__ = ("limit", "spent", "whole")

    def __init__(self, limit: int, whole: AtomBudget | None = None) -> None:
        self.limit = limit
        self.spent = 0
        self.whole = whole

    def charge(self, offset: int) -> None:
        """Count one more atom. Raises `LimitExceeded`."""
        if self.spent >= self.limit:
            raise LimitExceeded(f"more than {self.limit} new atoms from one peer; raise Limits.atoms if meant", offset)
        whole = self.whole
        if whole is not None:
            if whole.spent >= whole.limit:
                text = f"more than {whole.limit} new atoms from all peers; raise Limits.all_atoms if meant"
                raise LimitExceeded(text, offset)
            whole.spent += 1
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


LARGE: Final = (1 << 61) - 1
"""From here on the hash of an integer is not itself, and whoever chooses integers chooses their hashes."""
MANY: Final = 256
"""Keys of a map from which on it matters when many have one hash."""
_COLLISIONS: Final = 64


def may_collide(keys: list[Any]) -> bool:
    """Whether a map with these keys, which are all flat, is one for `build_map`."""
    return len(keys) > MANY and any(type(key) is int and not -LARGE < key < LARGE for key in keys)


def _refuse_collisions(keys: list[Any], offset: int) -> None:
    """A `dict` of keys that all have one hash takes a time that grows with the square of their number."""
    if len(keys) > MANY:
        most = max(Counter(map(hash, keys)).values())
        if most > _COLLISIONS:
            raise LimitExceeded(f"a map with {most} keys that have one hash", offset)


def build_map(keys: list[Any], values: list[Any], offset: int) -> dict[Any, Any] | TermMap:
    """A map with keys of any kind: frozen where they must be, a `TermMap` when a `dict` can not hold them.

    Raises `DecodeError` when a key comes twice, `LimitExceeded` for many keys with one hash; `offset` is where the map
    ends.
    """
    frozen = keys
    try:
        frozen = [key if type(key) in FLAT_KEYS else freeze(key) for key in keys]
        _refuse_collisions(frozen, offset)
        found = dict(zip(frozen, values, strict=True))
        if len(found) == len(frozen):
            return found
    except TooDeepKey:  # Python hashes on the stack
        pass
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


def too_large(limits: Limits, offset: int) -> LimitExceeded:
    """The refusal of a term whose containers take too much."""
    return LimitExceeded(
        f"lists, tuples and maps of more than {limits.decoded_size} bytes; raise Limits.decoded_size if meant", offset
    )


def inflate(data: Data, offset: int, limits: Limits) -> tuple[bytes, int]:
    """The body of the compressed term whose tag is at `offset`, and the offset after it.

    The size that is claimed is compared with the limit before, and with the truth while inflating.
    """
    try:
        return _inflate(bytes(memoryview(data)[offset + 1 :]), len(data), offset, limits)
    except MemoryError:
        raise DecodeError(NO_MEMORY, offset) from None


def _inflate(body: bytes, end: int, offset: int, limits: Limits) -> tuple[bytes, int]:
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
    return inflated, end - len(stream.unused_data)


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
    try:
        convert = _converter(value)
    except Exception:  # the class's own __class__, its metaclass: a value that hides what it is has no form
        convert = None
    if convert is None:
        raise EncodeError(f"{name_of(type(value))} has no form on the wire; {_hint(type(value))}")
    return _run(convert, value)


def _converter(value: Any) -> Callable[[Any], Any] | None:
    kind = type(value)
    encoder = encoder_for(kind)
    if encoder is not None:
        return encoder
    for base, convert in _BASES:
        if isinstance(value, base):
            return convert
    if hasattr(kind, "__index__") and not hasattr(kind, "__len__") and not isinstance(value, type):  # no array of one
        return operator.index
    return None


_BASES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (enum.Enum, lambda value: value.value),
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
        raise EncodeError(f"{name_of(type(value))} could not be turned into a term: {name_of(type(error))}") from error


def _bare_name(kind: type) -> str:
    name: str = type.__dict__["__name__"].__get__(kind)
    return name[:_TYPE_NAME]


def is_dataclass(kind: type) -> bool:
    try:
        return dataclasses.is_dataclass(kind)
    except Exception:  # its metaclass is asked
        return False


_TYPE_NAME: Final = 200
"""Characters of a type's name in an error."""


def name_of(kind: type) -> str:
    """A type's name with its module, whatever its metaclass makes of the two."""
    try:
        module, name = str(kind.__module__), str(kind.__qualname__)
    except Exception:
        module, name = "builtins", _bare_name(kind)
    return name[:_TYPE_NAME] if module == "builtins" else f"{module}.{name}"[:_TYPE_NAME]


def _hint(kind: type) -> str:
    top = name_of(kind).partition(".")[0]
    if top == "numpy":
        return "wrap an array in nx(...), give a scalar as value.item()"
    if top == "pyarrow":
        return "wrap a table in arrow(...)"
    if is_dataclass(kind):
        return "decorate the class with @elixir_struct, @record or @atom_map"
    return "give a term, or register one with pyerlnode.term.register_encoder"


PLAIN_KEYS: Final = frozenset({Atom, bytes, int, float, Pid, Port, Reference})
"""Types of which values that differ in Python differ on the wire."""
ONLY_STR: Final = {str}


def as_encode_error(error: Exception, value: Any) -> EncodeError:
    """What encoding raises for an `error` that the program's own methods raised while `value` was written."""
    if isinstance(error, EncodeError):
        return error
    if isinstance(error, RuntimeError) and not isinstance(error, RecursionError) and "during iteration" in str(error):
        return Changed()
    if isinstance(error, MemoryError):
        return NoPlace(NO_MEMORY)
    return EncodeError(f"a {_bare_name(type(value))} that is made of wrong parts")
