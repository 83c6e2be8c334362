"""Identifiers that a node gives out: pids, ports and references.

They are values: two are equal when node, numbers and creation are. The creation tells the lives of a
node apart, so an identifier of an earlier life equals nothing of a later one. Printed as Erlang prints
them; a local pid and a foreign one look alike, as the node's table of atoms is not ours to number.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from pyerlnode.term.atom import Atom

Words: TypeAlias = tuple[int, ...]
"""The numbers of a reference: what one of this node goes by in a table."""


class Pid:
    """A process: `node` (an atom), `id` and `serial` (32 bits each), `creation` (32 bits)."""

    __slots__ = ("creation", "id", "node", "serial")
    __match_args__ = ("node", "id", "serial", "creation")

    def __init__(self, node: Atom, id: int, serial: int, creation: int) -> None:
        self.node = node
        self.id = id
        self.serial = serial
        self.creation = creation

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Pid
            and self.id == other.id
            and self.node is other.node
            and self.serial == other.serial
            and self.creation == other.creation
        )

    def __hash__(self) -> int:
        return hash((self.node, self.id, self.serial, self.creation))

    def __repr__(self) -> str:
        return f"<{self.node}.{self.id}.{self.serial}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Pid, (self.node, self.id, self.serial, self.creation)


class Port:
    """A port of some node: `id` up to 64 bits."""

    __slots__ = ("creation", "id", "node")
    __match_args__ = ("node", "id", "creation")

    def __init__(self, node: Atom, id: int, creation: int) -> None:
        self.node = node
        self.id = id
        self.creation = creation

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Port and self.id == other.id and self.node is other.node and self.creation == other.creation
        )

    def __hash__(self) -> int:
        return hash((self.node, self.id, self.creation))

    def __repr__(self) -> str:
        return f"#Port<{self.node}.{self.id}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Port, (self.node, self.id, self.creation)


def significant(words: tuple[int, ...]) -> tuple[int, ...]:
    """The words without zeros at their end."""
    while words and not words[-1]:
        words = words[:-1]
    return words


class Reference:
    """A reference: `words` is a tuple of up to five 32-bit integers, in the order of the wire.

    As on a BEAM, words that are not there are 0: references that differ in zeros at the end alone are one term.
    """

    __slots__ = ("creation", "node", "words")
    __match_args__ = ("node", "creation", "words")

    def __init__(self, node: Atom, creation: int, words: tuple[int, ...]) -> None:
        self.node = node
        self.creation = creation
        self.words = words

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Reference
            and (
                self.words == other.words
                or (len(self.words) != len(other.words) and significant(self.words) == significant(other.words))
            )
            and self.node is other.node
            and self.creation == other.creation
        )

    def __hash__(self) -> int:
        return hash((significant(self.words), self.node, self.creation))

    def __repr__(self) -> str:
        return f"#Ref<{self.node}.{'.'.join(map(str, reversed(self.words)))}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Reference, (self.node, self.creation, self.words)
