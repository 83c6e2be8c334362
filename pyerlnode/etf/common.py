"""What both twins of the codec share: profiles, the budget of atoms, and every path that is not fast.

The twins decide the same way because what is rare is decided here, once: which term stands for a value of
an unusual type (`simplify`), how a map with unusual keys is built (`build_map`), which text an error has,
and where in a term the value stands that could not be encoded (`locate`).
"""

from __future__ import annotations

import enum
import math
import uuid
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

from pyerlnode.errors import DecodeError, EncodeError, LimitExceeded, UsageError
from pyerlnode.term.atom import MAX_CHARACTERS, Atom, by_utf8
from pyerlnode.term.containers import (
    Bitstring,
    Charlist,
    FrozenList,
    FrozenMap,
    ImproperList,
    NativeRecord,
    Struct,
    TermMap,
    freeze,
)
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.hooks import encoder_for
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
MAX_DEPTH: Final = 1_000_000
"""Levels of a term that is encoded: beyond, it is a list that holds itself."""

STRUCT_KEY: Final = Atom("__struct__")
_SPECIAL: Final[dict[Profile, dict[bytes, AtomValue]]] = {
    ELIXIR: {b"true": True, b"false": False, b"nil": None},
    ERLANG: {b"true": True, b"false": False, b"undefined": None},
}
NONE_WIRE: Final[dict[Profile, bytes]] = {ELIXIR: Atom("nil").wire, ERLANG: Atom("undefined").wire}


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
