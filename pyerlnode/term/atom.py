"""Atoms: interned names, a type of their own, never equal to a `str`.

    >>> from pyerlnode.term import A
    >>> A.ok is A["ok"]
    True
    >>> A.Elixir.MyApp.User
    A['Elixir.MyApp.User']

`A.name` gives what the wire gives: ``A.true`` is `True`, ``A.false`` is `False`, ``A.nil`` is `None`.
``Atom("nil")`` is the atom itself, for the profile that keeps it. Like the BEAM's table, this one never
shrinks; atoms that come from a peer are counted and capped where they are decoded, not here.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.errors import UsageError

MAX_CHARACTERS = 255

_table: dict[str, Atom] = {}
by_utf8: dict[bytes, Atom] = {}
"""Every atom by its UTF-8 text: a codec that finds a name here need not decode it. Read-only for others."""


class Atom:
    """One name. Two atoms of one name are one object, so `is`, `==` and `hash` are those of identity."""

    __slots__ = ("name", "utf8", "wire")
    __match_args__ = ("name",)
    name: str
    utf8: bytes
    wire: bytes
    """Its External Term Format (SMALL_ATOM_UTF8_EXT or ATOM_UTF8_EXT): made once, since every message names atoms."""

    def __new__(cls, name: str) -> Atom:
        known = _table.get(name)
        return known if known is not None else cls._intern(name)

    @classmethod
    def _intern(cls, name: str) -> Atom:
        if not isinstance(name, str):
            raise UsageError(f"an atom is made of str, not {type(name).__name__}")
        if len(name) > MAX_CHARACTERS:
            raise UsageError(f"an atom has at most {MAX_CHARACTERS} characters, this one {len(name)}")
        try:
            utf8 = name.encode()
        except UnicodeEncodeError:
            raise UsageError("an atom can not hold surrogates") from None
        made = object.__new__(cls)
        size = len(utf8)
        head = b"w" + size.to_bytes(1, "big") if size < 256 else b"v" + size.to_bytes(2, "big")
        object.__setattr__(made, "name", name)
        object.__setattr__(made, "utf8", utf8)
        object.__setattr__(made, "wire", head + utf8)
        made = _table.setdefault(name, made)
        by_utf8[utf8] = made
        return made

    def __getattr__(self, segment: str) -> Atom:
        """`A.Elixir.MyApp`: a capitalised attribute goes on to the next segment of a module's name."""
        if segment[:1].isupper():
            return Atom(f"{self.name}.{segment}")
        raise AttributeError(f"an atom has no attribute {segment!r}; write A[{self.name + '.' + segment!r}]")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("atoms do not change")

    def __repr__(self) -> str:
        return f"A.{self.name}" if self.name.isidentifier() else f"A[{self.name!r}]"

    def __str__(self) -> str:
        return self.name

    def __copy__(self) -> Atom:
        return self

    def __deepcopy__(self, _memo: object) -> Atom:
        return self

    def __reduce__(self) -> tuple[type[Atom], tuple[str]]:
        return Atom, (self.name,)


def existing(name: str) -> Atom | None:
    """The atom of this name when somebody has used it: a question that adds nothing to the table."""
    return _table.get(name)


_SPECIAL: dict[str, bool | None] = {"true": True, "false": False, "nil": None}


class _Atoms:
    """The namespace `A`. Typed as giving `Atom`: the three special names are values of Python."""

    def __getattr__(self, name: str) -> Atom:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # copy, inspect and doctest probe for dunder names
        # Kept as an attribute, so the next look costs what an attribute costs: `case A.get` is on every message's path.
        atom = self.__dict__[name] = self[name]
        return atom

    def __getitem__(self, name: str) -> Atom:
        return _SPECIAL[name] if name in _SPECIAL else Atom(name)  # type: ignore[return-value]

    def __repr__(self) -> str:
        return "A"


A = _Atoms()
