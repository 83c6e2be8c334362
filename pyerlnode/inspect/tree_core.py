"""Supervision trees: what the peer tells, and how it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyerlnode.inspect import text_core as text
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

SUPERVISED = 20_000
"""Children of one supervisor up to which it is asked for them."""


@dataclass(frozen=True, slots=True)
class Child:
    """A child and what is below it. `pid` is None of one that does not run.

    `trouble` is why the children of a supervisor are not here: ``late``, ``failed``, ``many`` or ``deep``.
    """

    id: Any
    pid: Pid | None
    kind: str
    name: Atom | None
    label: str | None
    children: tuple[Child, ...]
    count: int
    trouble: str

    @property
    def cut(self) -> int:
        """How many of its children are not here."""
        return self.count - len(self.children)


@dataclass(frozen=True, slots=True)
class Application:
    """An application that runs, and its top supervisor; None where it has no process, or gave no answer (`late`)."""

    name: str
    top: Child | None
    late: bool


def applications(rows: list[tuple[Any, ...]]) -> tuple[Application, ...]:
    return tuple(
        Application(name.name, child(top) if isinstance(top, tuple) else None, top is A.late) for name, _, top in rows
    )


def child(term: tuple[Any, ...]) -> Child:
    id, pid, kind, name, label, _, below = term
    children: tuple[Child, ...] = ()
    count, trouble = 0, ""
    match below:
        case (int(length), list(some), list(names), list(labels), list(supervisors)):
            count, children = length, tuple(_children(some, names, labels, supervisors))
        case (A.many, int(many)):
            count, trouble = many, "many"
        case (A.gone, _) | A.failed:
            trouble = "failed"
        case A.late | A.deep:
            trouble = below.name
    running = pid if isinstance(pid, Pid) else None
    return Child(id, running, kind.name, text.name(name), text.text(label), children, count, trouble)


def _children(
    some: list[tuple[Any, ...]], names: list[Any], labels: list[Any], supervisors: list[Any]
) -> Iterator[Child]:
    """Workers with their names and labels, and between them the supervisors, which were told whole."""
    told = iter(supervisors)
    for (id, pid, kind, modules), named, label in zip(some, names, labels, strict=True):
        if kind is A.supervisor:
            yield child(next(told))
        else:
            name = named[1] if isinstance(named, tuple) else []
            yield child((id, pid, kind, name, label, modules, A.none))


TROUBLE = {
    "late": "does not answer",
    "failed": "could not be asked",
    "many": "not asked for so many children",
    "deep": "more below (--depth)",
}


def lines(top: Child, tell: Any) -> Iterator[str]:
    """The tree, a line a child; `tell` gives the text of one."""
    yield tell(top)
    yield from _below(top, "", tell)


def _below(parent: Child, indent: str, tell: Any) -> Iterator[str]:
    rest = notes(parent)
    for number, one in enumerate(parent.children):
        last = number == len(parent.children) - 1 and not rest
        yield f"{indent}{'└─ ' if last else '├─ '}{tell(one)}"
        yield from _below(one, indent + ("   " if last else "│  "), tell)
    for note in rest:
        yield f"{indent}└─ {note}"


def notes(parent: Child) -> list[str]:
    """What is to be said below the children of `parent`."""
    if parent.trouble == "many":
        return [f"… {parent.count} children ({TROUBLE['many']})"]
    if parent.trouble:
        return [f"… {TROUBLE[parent.trouble]}"]
    return [f"… {parent.cut} more (--limit shows more)"] if parent.cut else []
