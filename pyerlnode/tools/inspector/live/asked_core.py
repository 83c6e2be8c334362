"""What a live view asks a node, and what each page of a view is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid
from pyerlnode.term.text import Style, format_term
from pyerlnode.tools.inspector.live.frame_core import Line, Size


@dataclass(frozen=True, slots=True)
class Ranked:
    """`Ranking`: by what they are, or by what is `added` to it between two looks."""

    by: str
    added: bool
    limit: int
    match: str


@dataclass(frozen=True, slots=True)
class Supervised:
    """The `Application`s that run, or the one that `root` names, or the `Child` that it is."""

    root: str | None
    limit: int
    depth: int


@dataclass(frozen=True, slots=True)
class Looked:
    """One part of a process: ``info``, ``state`` or ``mailbox``."""

    pid: Pid | Atom
    part: str


@dataclass(frozen=True, slots=True)
class Killed:
    """``exit(Pid, kill)``."""

    pid: Pid | Atom


Question = Ranked | Supervised | Looked | Killed


@dataclass(frozen=True, slots=True)
class Words:
    """How terms are written: in which dialect, and pids as which node prints them."""

    style: Style
    node: Atom

    def term(self, term: Any, limit: int | None = 12) -> str:
        return format_term(term, style=self.style, width=0, limit=limit, node=self.node)

    def pretty(self, term: Any, columns: int) -> str:
        return format_term(term, style=self.style, width=max(20, columns), limit=1000, node=self.node)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A process that a key means, by its pid or by its name."""

    pid: Pid | Atom
    name: str


class Page(Protocol):
    """One page of a view; all of it is a value."""

    @property
    def keys(self) -> str:
        """What the last line says of the keys that count here."""
        ...

    def question(self, rows: int) -> Question: ...
    def once(self) -> bool:
        """Whether the answer stays as it is, so that it is not asked for again and again."""
        ...

    def take(self, question: Question, answer: Any) -> Page: ...
    def failed(self, question: Question, why: str) -> Page: ...
    def press(self, key: str, size: Size) -> Page:
        """`size` is that of the body."""
        ...

    def filtered(self, text: str) -> Page: ...
    def filter(self) -> str | None:
        """The text that leaves only some rows; None where there is no such thing."""
        ...

    def chosen(self, words: Words) -> Chosen | None:
        """What `k` kills."""
        ...

    def opens(self, words: Words) -> Chosen | None:
        """What Enter opens."""
        ...

    def title(self, words: Words) -> str: ...
    def head(self, words: Words, columns: int) -> str: ...
    def body(self, words: Words, columns: int, rows: int) -> list[Line]: ...


def moved(at: int, key: str, count: int, rows: int) -> int:
    """Where the keys that move lead from `at`, of `count` lines."""
    steps = {"up": -1, "down": 1, "page up": 1 - rows, "page down": rows - 1, "home": -count, "end": count}
    return max(0, min(count - 1, at + steps.get(key, 0)))


def first_shown(first: int, at: int, rows: int) -> int:
    """The first line on the screen, so that line `at` is on it."""
    return max(0, at - rows + 1, min(first, at))
