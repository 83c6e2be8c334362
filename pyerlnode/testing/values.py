"""Values of the control channel: erlang-py's classes to plain Python and back.

The channel to a test's BEAM must not use the codec under test, so erlang-py decodes and encodes it.
What it gives is turned into the values that a test compares and hands on: atoms, pids and references
are pyerlnode's own types, `nil` is None, a binary is `bytes`, a list (a charlist too) is a `list`.
What erlang-py can not hold apart (the keys 1, 1.0 and true of one map) is compared as text instead:
`Beam.text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import erlang

from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Port, Reference


class Opaque:
    """A term without a Python form here (a closure, a bitstring): kept whole, it can be sent back."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and self.value.binary() == other.value.binary()

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"Opaque({self.value!r})"


def decode(data: bytes) -> Any:
    """An answer's External Term Format as plain Python."""
    return plain(erlang.binary_to_term(data))


def encode(value: Any) -> bytes:
    """A request as External Term Format."""
    encoded: bytes = erlang.term_to_binary(foreign(value))
    return encoded


def plain(term: Any) -> Any:
    """What erlang-py decoded, in the types of `docs/terms.md`."""
    if term is None:
        return A.undefined
    if isinstance(term, bytes):
        return list(term)  # STRING_EXT: a list of small integers
    if isinstance(term, bool | int | float):
        return term
    if isinstance(term, list):
        return [plain(item) for item in term]
    if isinstance(term, tuple):
        return tuple(plain(item) for item in term)
    if isinstance(term, dict):
        return {_key(key): plain(value) for key, value in term.items()}
    return _plain_object(term)


def _plain_object(term: Any) -> Any:
    number = int.from_bytes
    if isinstance(term, erlang.OtpErlangAtom):
        return _atom(term)
    if isinstance(term, erlang.OtpErlangBinary) and term.bits == 8:
        return term.value
    if isinstance(term, erlang.OtpErlangList) and not term.improper:
        return [plain(item) for item in term.value]
    if isinstance(term, erlang.OtpErlangPid):
        return Pid(_atom(term.node), number(term.id, "big"), number(term.serial, "big"), number(term.creation, "big"))
    if isinstance(term, erlang.OtpErlangPort):
        return Port(_atom(term.node), number(term.id, "big"), number(term.creation, "big"))
    if isinstance(term, erlang.OtpErlangReference):
        words = tuple(number(term.id[at : at + 4], "big") for at in range(0, len(term.id), 4))
        return Reference(_atom(term.node), number(term.creation, "big"), words)
    return Opaque(term)


def _key(term: Any) -> Any:
    key = plain(term)
    return tuple(key) if isinstance(key, list) else key


def _atom(term: Any) -> Any:
    value = term.value
    return A[value if isinstance(value, str) else value.decode("latin-1")]


def foreign(value: Any) -> Any:
    """A Python value in erlang-py's classes; `str` is a binary, as everywhere in pyerlnode."""
    if value is None:
        return erlang.OtpErlangAtom("nil")
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return erlang.OtpErlangBinary(value.encode())
    if isinstance(value, bytes | bytearray | memoryview):
        return erlang.OtpErlangBinary(bytes(value))
    if isinstance(value, list):
        return erlang.OtpErlangList([foreign(item) for item in value])
    if isinstance(value, tuple):
        return tuple(foreign(item) for item in value)
    if isinstance(value, Mapping):
        return {foreign(key): foreign(item) for key, item in value.items()}
    return _foreign_object(value)


def _foreign_object(value: Any) -> Any:
    def big(number: int, size: int = 4) -> bytes:
        return number.to_bytes(size, "big")

    if isinstance(value, Atom):
        return erlang.OtpErlangAtom(value.name)
    if isinstance(value, Opaque):
        return value.value
    if isinstance(value, Pid):
        node = erlang.OtpErlangAtom(value.node.name)
        return erlang.OtpErlangPid(node, big(value.id), big(value.serial), big(value.creation))
    if isinstance(value, Port):
        return erlang.OtpErlangPort(erlang.OtpErlangAtom(value.node.name), big(value.id, 8), big(value.creation))
    if isinstance(value, Reference):
        words = b"".join(map(big, value.words))
        return erlang.OtpErlangReference(erlang.OtpErlangAtom(value.node.name), words, big(value.creation))
    raise TypeError(
        f"a {type(value).__name__} can not go over the control channel; bind atoms, numbers, bytes, pids, …"
    )
