"""The page of `tree`: applications, their supervisors, and whom these supervise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pyerlnode.inspect.tree_core import Application, Child, notes
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid
from pyerlnode.tools.inspector.live.asked_core import Chosen, Question, Supervised, Words, first_shown, moved
from pyerlnode.tools.inspector.live.frame_core import Line, Size, bar, line
from pyerlnode.tools.inspector.table import plain

Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the tree. `path` tells it from the others, also after a restart of its process."""

    path: Path
    indent: str
    text: str
    pid: Pid | None
    opens: bool
    note: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """`of` is the path of the line of the cursor, `at` where it is; `shut` are the lines whose children are hidden."""

    words: Words
    root: str | None = None
    limit: int = 100
    depth: int = 20
    match: str = ""
    at: int = 0
    first: int = 0
    of: Path | None = None
    shut: frozenset[Path] = frozenset()
    told: tuple[Application, ...] | Child | None = None
    lines: tuple[Branch, ...] = field(default=())
    keys: str = "← → fold  / filter  Enter open  k kill"

    def question(self, rows: int) -> Question:
        return Supervised(self.root, self.limit, self.depth)

    def once(self) -> bool:
        return False

    def take(self, question: Question, answer: Any) -> Tree:
        return self if answer is None or not isinstance(question, Supervised) else self._with(told=answer)

    def failed(self, question: Question, why: str) -> Tree:
        return self

    def press(self, key: str, size: Size) -> Tree:
        branch = self.lines[self.at] if self.lines else None
        if branch is not None and key == "left":
            return self._folded(branch)
        if branch is not None and key == "right" and branch.path in self.shut:
            return self._with(shut=self.shut - {branch.path}, of=branch.path)
        at = moved(self.at, key, len(self.lines), size.rows)
        of = self.lines[at].path if self.lines else None
        return replace(self, at=at, of=of, first=first_shown(self.first, at, size.rows))

    def _folded(self, branch: Branch) -> Tree:
        """Its children hidden, or where it has none the cursor at what it is below."""
        if branch.opens and branch.path not in self.shut:
            return self._with(shut=self.shut | {branch.path}, of=branch.path)
        return self._with(of=branch.path[:-1]) if len(branch.path) > 1 else self

    def filtered(self, text: str) -> Tree:
        return self._with(match=text)

    def filter(self) -> str | None:
        return self.match

    def _with(self, **changes: Any) -> Tree:
        """With other lines; the cursor stays where it was in them."""
        made = replace(self, **changes)
        lines = tuple(made._made())
        paths = [branch.path for branch in lines]
        at = paths.index(made.of) if made.of in paths else max(0, min(made.at, len(lines) - 1))
        return replace(made, lines=lines, at=at)

    # --- the lines ----------------------------------------------------------------------------------
    def _made(self) -> Iterator[Branch]:
        if isinstance(self.told, Child):
            yield from self._kept(list(self._of(self.told, (_id(self.told, 0, self.words),), "", "")))
        for application in self.told if isinstance(self.told, tuple) else ():
            path = (application.name,)
            note = "" if application.top else "  (does not answer)" if application.late else "  (no processes)"
            top = Branch(path, "", f"{application.name}{note}", None, application.top is not None)
            below = [] if application.top is None else list(self._of(application.top, (*path, A.top), "└─ ", "   "))
            shown = [] if path in self.shut else below
            yield from self._kept([top, *shown])

    def _of(self, child: Child, path: Path, mark: str, indent: str) -> Iterator[Branch]:
        rest = notes(child)
        yield Branch(path, mark, _told(child, self.words), child.pid, bool(child.children or rest))
        if path in self.shut:
            return
        for number, one in enumerate(child.children):
            last = number == len(child.children) - 1 and not rest
            deeper = indent + ("   " if last else "│  ")
            yield from self._of(one, (*path, _id(one, number, self.words)), indent + ("└─ " if last else "├─ "), deeper)
        for number, note in enumerate(rest):
            yield Branch((*path, note, number), f"{indent}└─ ", note, None, False, note=True)

    def _kept(self, lines: list[Branch]) -> Iterator[Branch]:
        """Those with the text of the filter, and what they are below."""
        if not self.match:
            yield from lines
            return
        wanted = self.match.lower()
        paths = {b.path[:n] for b in lines if wanted in b.text.lower() for n in range(1, len(b.path) + 1)}
        yield from (branch for branch in lines if branch.path in paths)

    # --- the screen ---------------------------------------------------------------------------------
    def chosen(self, words: Words) -> Chosen | None:
        branch = self.lines[self.at] if self.lines else None
        return None if branch is None or branch.pid is None else Chosen(branch.pid, branch.text)

    def opens(self, words: Words) -> Chosen | None:
        return self.chosen(words)

    def title(self, words: Words) -> str:
        of = f", with {self.match!r}" if self.match else ""
        if self.told is None:
            return f"supervision tree{of}"
        running = sum(branch.pid is not None for branch in self.lines)
        return f"supervision tree: {running} processes shown{of}"

    def head(self, words: Words, columns: int) -> str:
        return "APPLICATION, SUPERVISORS, WORKERS"

    def body(self, words: Words, columns: int, rows: int) -> list[Line]:
        if self.told is None:
            return [line("the first look is under way …", "dim")]
        if not self.lines:
            return [line("nothing has that text", "dim")]
        first = first_shown(self.first, self.at, rows)
        shown = list(enumerate(self.lines))[first : first + rows]
        return [self._line(at, branch, columns) for at, branch in shown]

    def _line(self, at: int, branch: Branch, columns: int) -> Line:
        text = f"{branch.text} …" if branch.path in self.shut else branch.text
        if at == self.at:
            return bar(branch.indent + text, columns, "chosen")
        style = "title" if not branch.indent else "dim" if branch.note or branch.pid is None else ""
        return (branch.indent, "dim"), (text, style)


def _id(child: Child, number: int, words: Words) -> Any:
    """What a child is known by: its id, else (as of simple_one_for_one) its pid."""
    if child.id is not A.undefined:
        return words.term(child.id, 50)
    return child.pid if child.pid is not None else number


def _told(child: Child, words: Words) -> str:
    pid = "not running" if child.pid is None else words.term(child.pid)
    name = words.term(child.name) if child.name is not None else child.label
    known = child.id is A.undefined or child.id is child.name
    id = "" if known else words.term(child.id, 8)[:60]
    count = f"  ({child.count} children)" if child.count else ""
    return plain("  ".join(part for part in (pid, name, id) if part) + count)
