"""One process and its mailbox, as the peer tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyerlnode.inspect import text_core as text
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid
from pyerlnode.term.text import format_term

COPIED = 10_000
"""Messages up to which a mailbox is copied to be looked at, unless forced."""
LOOKED = 10_000
"""Messages whose shapes are counted."""


@dataclass(frozen=True, slots=True)
class Some:
    """The first of `length` items."""

    length: int
    items: tuple[Any, ...]

    @property
    def cut(self) -> int:
        return self.length - len(self.items)


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """What one process is and does. `memory` is None when the mailbox is too long to be asked for it."""

    pid: Pid
    name: Atom | None
    label: str | None
    application: str | None
    initial_call: Any
    current_function: Any
    status: str
    queue: int
    memory: int | None
    heap_words: int
    stack_words: int
    reductions: int
    priority: str
    trap_exit: bool
    group_leader: Any
    ancestors: tuple[Any, ...]
    links: Some
    monitors: Some
    monitored_by: Some
    dictionary: Some
    stack: tuple[tuple[Any, str], ...]


def process_info(answer: dict[Any, Any]) -> ProcessInfo:
    told = text.fields(answer)
    application = told["application"]
    return ProcessInfo(
        pid=told["pid"],
        name=text.name(told["name"]),
        label=text.text(told["label"]),
        application=None if application is A.undefined else application.name,
        initial_call=told["initial"],
        current_function=told["current"],
        status=told["status"].name,
        queue=told["queue"],
        memory=told["memory"] if isinstance(told["memory"], int) else None,
        heap_words=told["heap_words"],
        stack_words=told["stack_words"],
        reductions=told["reductions"],
        priority=told["priority"].name,
        trap_exit=told["trap_exit"],
        group_leader=told["group_leader"],
        ancestors=tuple(told["ancestors"]),
        links=some(told["links"]),
        monitors=some(told["monitors"]),
        monitored_by=some(told["monitored_by"]),
        dictionary=some(told["dictionary"]),
        stack=tuple(((m, f, a), _where(file, line)) for m, f, a, file, line in told["stack"]),
    )


def some(counted: tuple[int, list[Any]]) -> Some:
    length, items = counted
    return Some(length, tuple(items))


def _where(file: Any, line: int) -> str:
    name = "".join(map(chr, file)) if isinstance(file, list) else str(file)
    return f"{name}:{line}" if name else ""


@dataclass(frozen=True, slots=True)
class Cut:
    """A message of `size` bytes, too large to be sent: the start of its text."""

    size: int
    text: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The first messages of `length`, and how many of the first `looked` have which shape, most first."""

    pid: Pid
    length: int
    first: tuple[Any, ...]
    shapes: tuple[tuple[str, int], ...]
    looked: int

    @property
    def cut(self) -> int:
        return self.length - len(self.first)


def mailbox(answer: dict[Any, Any]) -> Mailbox:
    told = text.fields(answer)
    first = tuple(m[1] if m[0] is A.whole else Cut(m[1], m[2].decode("utf-8", "replace")) for m in told["first"])
    shapes = tuple((shape(kind), count) for count, kind in told["shapes"])
    return Mailbox(told["pid"], told["length"], first, shapes, told["looked"])


def shape(kind: tuple[Atom, Atom, int]) -> str:
    """``{tag,_,_}`` of a tuple, an atom itself, else the type: ``<binary>``."""
    what, tag, arity = kind
    if what is A.tuple:
        first = [] if arity == 0 else ["_" if tag is A["_"] else format_term(tag)]
        return "{" + ",".join(first + ["_"] * (arity - 1)) + "}"
    return format_term(tag) if what is A.atom else f"<{tag.name}>"
