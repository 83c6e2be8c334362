"""Terms in a form that is handier and loses something: for scripts that ask for it, per node or per call.

    >>> from pyerlnode.etf.codec import Codec
    >>> from pyerlnode.term import A
    >>> plain = Codec(binaries="str", atoms="str")
    >>> plain.read((A.ok, {A.name: b"Ann", b"photo": b"\\xff\\xd8"}))
    ('ok', {'name': 'Ann', 'photo': b'\\xff\\xd8'})

`Node(codec=plain)` reads so whatever its `call`, `rpc`, `apply` and `receive` give, ``codec=`` of each of them that one
answer. Handlers get terms as they are, and what is sent is written as ever: a `str` is a binary.

- ``binaries="str"``: a binary that is UTF-8 becomes `str`. One that is not stays `bytes`, so the type depends on the
  content, which is why nobody gets it without asking.
- ``atoms="str"``: an atom becomes its name. What has come as a binary and what as an atom can not be told apart.
- ``profile="erlang"``: `undefined` is None, and `nil` is an atom.

Keys of a map that would become one key stay what they were. The module of a `Struct` stays an atom, identifiers and
functions stay themselves, and so do the values of classes that the program has registered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pyerlnode.errors import UsageError
from pyerlnode.etf import ELIXIR, Profile, decode, encode
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.term import exact
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import (
    FrozenList,
    FrozenMap,
    NativeRecord,
    Struct,
    TermMap,
    TooDeepKey,
    freeze,
)
from pyerlnode.term.copying import parts_of, remade
from pyerlnode.term.fun import Fun

_NIL, _UNDEFINED = Atom("nil"), Atom("undefined")


@dataclass(frozen=True, slots=True)
class Codec:
    """How terms look: `binaries` as "bytes" or "str", `atoms` as "atom" or "str", and which atom is None.

    Raises `UsageError` for any other word.
    """

    binaries: Literal["bytes", "str"] = "bytes"
    atoms: Literal["atom", "str"] = "atom"
    profile: Profile = ELIXIR

    def __post_init__(self) -> None:
        for name, words in (
            ("binaries", ("bytes", "str")),
            ("atoms", ("atom", "str")),
            ("profile", ("elixir", "erlang")),
        ):
            if getattr(self, name) not in words:
                raise UsageError(f"Codec({name}=…) is {' or '.join(map(repr, words))}, not {getattr(self, name)!r}")

    def encode(self, term: Any) -> bytes:
        """`term` in the External Term Format. Raises `EncodeError`."""
        return encode(term, profile=self.profile)

    def decode(self, data: bytes | bytearray | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> Any:
        """The term that `data` is, as this codec reads it. Raises `DecodeError`."""
        return Codec(self.binaries, self.atoms).read(decode(data, profile=self.profile, limits=limits))

    def read(self, term: Any) -> Any:
        """A term as `decode` gives it, in this codec's form."""
        return remade(term, self._parts)

    def _parts(self, term: Any) -> tuple[list[Any], Callable[[list[Any]], Any]] | None:
        kind = type(term)
        if kind is dict or kind is FrozenMap or kind is TermMap:
            pairs = term.pairs if kind is TermMap else list(term.items())
            return [value for _, value in pairs], lambda values: self._map([key for key, _ in pairs], values)
        if kind is Struct:
            fields = list(term.fields)
            return list(term.fields.values()), lambda values: Struct(
                term.module, dict(zip(fields, values, strict=True)), term.at
            )
        if kind is NativeRecord:
            return list(term.values), lambda values: NativeRecord(
                term.module, term.name, term.names, tuple(values), term.exported
            )
        if kind is FrozenList:
            return list(term), list
        if kind is not Fun and (found := parts_of(term)) is not None:
            return found
        leaf = self._leaf(term)
        return None if leaf is term else ([], lambda _: leaf)

    def _leaf(self, term: Any) -> Any:
        kind = type(term)
        if kind is bytes and self.binaries == "str":
            try:
                return term.decode()
            except UnicodeDecodeError:
                return term
        if self.profile != ELIXIR:
            if term is None:
                term = _NIL
            elif term is _UNDEFINED:
                return None
        return term.name if type(term) is Atom and self.atoms == "str" else term

    def _map(self, keys: list[Any], values: list[Any]) -> Any:
        made = [self._key(key) for key in keys]
        known: dict[Any, int] = {}
        for key in made:
            mark = exact.key(key)
            known[mark] = known.get(mark, 0) + 1
        kept = [key if known[exact.key(key)] == 1 else before for key, before in zip(made, keys, strict=True)]
        pairs = list(zip(kept, values, strict=True))
        try:
            plain = dict(pairs)
        except (TypeError, RecursionError):  # a key that Python can not hash
            return TermMap(pairs)
        return plain if len(plain) == len(pairs) else TermMap(pairs)

    def _key(self, key: Any) -> Any:
        try:
            return freeze(self.read(key))
        except TooDeepKey:
            return key
