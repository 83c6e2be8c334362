"""Pids, ports and references read from text, relative to the node that printed it.

    >>> from pyerlnode.term import A
    >>> from pyerlnode.term.text import parse_identifier
    >>> parse_identifier("#PID<0.858.0>", A["app@host"], creation=7)
    <app@host.858.0>
    >>> parse_identifier("<rabbit@host.1630001234.858.0>")
    <rabbit@host.858.0>

Forms: ``<0.858.0>`` and ``#PID<0.858.0>``; ``#Port<0.6>``; ``#Ref<0.1.2.3>`` and ``#Reference<0.1.2.3>``; each with the
name of a node instead of the 0, as pyerlnode prints those of others, and as RabbitMQ does with the creation behind
it. The 0 is the node that printed the text, so it is to be named; other numbers there mean something to it alone.

Text does not say of which life of its node an identifier is: `creation` does. 0, where it is not known, is taken by a
BEAM for its present life.
"""

from __future__ import annotations

import re
from typing import Final

from pyerlnode.errors import TermSyntaxError
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid, Port, Reference

IDENTIFIER: Final = re.compile(r"(#PID|#Port|#Ref(?:erence)?)?<(?:([^<>\s@.]+)@)?([^<>\s@]+)>")
_NUMBER: Final = re.compile(r"[0-9]{1,20}")
_WORD: Final = 1 << 32
_IPV4: Final = 4
MAX_WORDS: Final = 5


class Owner:
    """Reads identifiers relative to `node`, in its life `creation`."""

    __slots__ = ("creation", "node")

    def __init__(self, node: Atom | None, creation: int = 0) -> None:
        self.node = node
        self.creation = creation

    def read(self, found: re.Match[str]) -> Pid | Port | Reference:
        """What a match of `IDENTIFIER` stands for. Raises `TermSyntaxError`."""
        kind, alive, rest = found.groups()
        labels = rest.split(".")
        if alive is None:
            node, numbers = self.here(labels, found), labels[1:]
        else:
            host = _host(labels)
            node, numbers = Atom(f"{alive}@{'.'.join(labels[:host])}"), labels[host:]
        if not numbers or not all(map(_NUMBER.fullmatch, numbers)):
            raise TermSyntaxError(f"{found[0]} has no numbers of an identifier", found.start())
        return self.made(kind or "#PID", node, [int(number) for number in numbers], alive is not None, found)

    def here(self, labels: list[str], found: re.Match[str]) -> Atom:
        if labels[0] != "0":
            raise TermSyntaxError(f"{found[0]} is of a node that is known by this number to another one alone; its "
                                  "name can stand there", found.start())  # fmt: skip
        if self.node is None:
            raise TermSyntaxError(f"{found[0]} is read relative to a node, and none is given", found.start())
        return self.node

    def made(
        self, kind: str, node: Atom, numbers: list[int], named: bool, found: re.Match[str]
    ) -> Pid | Port | Reference:
        creation = self.creation if node is self.node else 0
        wanted = {"#PID": 2, "#Port": 1}.get(kind)
        if wanted is None and len(numbers) <= MAX_WORDS and all(number < _WORD for number in numbers):
            return Reference(node, creation, tuple(reversed(numbers)))
        if wanted is not None and named and len(numbers) == wanted + 1 and numbers[0] < _WORD:
            creation, *numbers = numbers
        if len(numbers) == wanted == 2 and max(numbers) < _WORD:
            return Pid(node, numbers[0], numbers[1], creation)
        if len(numbers) == wanted == 1 and numbers[0] < 1 << 64:
            return Port(node, numbers[0], creation)
        raise TermSyntaxError(f"{found[0]} has not the numbers of an identifier", found.start())


def _host(labels: list[str]) -> int:
    """How many labels are the host's: all four of an address, else those up to the last that is no number."""
    if len(labels) > _IPV4 and all(map(_NUMBER.fullmatch, labels[:_IPV4])):
        return _IPV4
    return max((at + 1 for at, label in enumerate(labels) if not _NUMBER.fullmatch(label)), default=0)


def parse_identifier(text: str, node: Atom | str | None = None, *, creation: int = 0) -> Pid | Port | Reference:
    """The pid, port or reference that `text` is, as `node` printed it. Raises `TermSyntaxError`."""
    found = IDENTIFIER.fullmatch(text.strip())
    if found is None:
        raise TermSyntaxError(f"{text!r} is no identifier, such as <0.858.0>,", 0)
    return Owner(Atom(node) if isinstance(node, str) else node, creation).read(found)
