"""One look at any Python value as the term that it would encode to, one level deep.

Printing, ordering and hashing treat a value as the BEAM would see it, so they share this table: `str` is a
binary, a `NamedTuple` is a tuple, a `Struct` is a map with ``__struct__``. `core` gives a value of one of the
types in `CORE`; what stands inside it is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyerlnode.errors import EncodeError
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import (
    Bitstring,
    Charlist,
    FrozenList,
    FrozenMap,
    ImproperList,
    NativeRecord,
    Range,
    Struct,
    TermMap,
)
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.hooks import encoder_for
from pyerlnode.term.pid import Pid, Port, Reference

ATOMS = frozenset({Atom, bool, type(None)})
LISTS = frozenset({list, FrozenList})
MAPS = frozenset({dict, FrozenMap, TermMap, Struct})
CORE = ATOMS | LISTS | MAPS | {int, float, bytes, Bitstring, tuple, ImproperList, NativeRecord}
CORE |= {Pid, Port, Reference, ExternalFun, Fun}

_BASES: tuple[Any, ...] = (int, float, bytes, tuple, list)
_STRUCT = Atom("__struct__")
_SPECIAL = {True: Atom("true"), False: Atom("false"), None: Atom("nil")}


def core(term: Any) -> Any:
    """`term` as a value of a type in `CORE`. Raises `EncodeError` when it has no form as a term."""
    if type(term) in CORE:
        return term
    encode = encoder_for(type(term))
    if encode is not None:
        return core(encode(term))
    if isinstance(term, str):
        return list(map(ord, term)) if type(term) is Charlist else _utf8(term)
    if isinstance(term, (bytearray, memoryview)):
        return bytes(term)
    if isinstance(term, (Range, range)):
        return core_range(term)
    for base in _BASES:
        if isinstance(term, base):
            return base(term)
    if isinstance(term, Mapping):
        return dict(term)
    raise EncodeError(f"{type(term).__name__} has no form as a term; register an encoder or convert it")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise EncodeError("a str with a lone surrogate has no UTF-8; give bytes") from None


def core_range(term: Range | range) -> Struct:
    """The struct of a range; Python's `range` excludes its end, Elixir's does not."""
    step = term.step
    if isinstance(term, Range):
        first, last = term.first, term.last
    else:
        first, last = (term[0], term[-1]) if term else (term.start, term.start - step)
    return Struct(A["Elixir.Range"], {A.first: first, A.last: last, A.step: step})


def atom_of(term: Atom | bool | None) -> Atom:
    """The atom itself of a value of a type in `ATOMS`."""
    return term if type(term) is Atom else _SPECIAL[term]  # type: ignore[index]


SMALL_MAP = 32
"""More keys than these a BEAM keeps as a tree."""


def turned(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """From the order in which a BEAM sends the pairs of a map to that in which it prints them, and back.

    A small map has one order. A tree is printed from its first branch and sent from its last, on every release.
    """
    return pairs if len(pairs) <= SMALL_MAP else pairs[::-1]


def pairs_of(term: Any) -> list[tuple[Any, Any]]:
    """Keys and values of a value of a type in `MAPS`, in its order; of a `Struct` with ``__struct__`` in its place."""
    if type(term) is TermMap:
        return list(term.pairs)
    if type(term) is Struct:
        pairs = list(term.fields.items())
        pairs.insert(term.at, (_STRUCT, term.module))
        return pairs
    return list(term.items())
