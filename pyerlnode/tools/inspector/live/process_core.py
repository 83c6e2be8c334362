"""The page of one process: what it is, its state, its mailbox, and whom it is tied to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pyerlnode.inspect.process_core import Cut, Mailbox, ProcessInfo
from pyerlnode.inspect.text_core import mfa, number, size
from pyerlnode.inspect.things_core import State
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid
from pyerlnode.tools.inspector.live.asked_core import Chosen, Looked, Question, Words, first_shown, moved
from pyerlnode.tools.inspector.live.frame_core import Line, Size, bar, line, wrapped

PARTS = ("info", "state", "mailbox", "links")
LETTERS = {"i": "info", "s": "state", "m": "mailbox", "l": "links"}
ASKED = {"links": "info"}
"""Parts that come with another."""
MOST = 400
"""Characters of a message that are shown."""


@dataclass(frozen=True, slots=True)
class Process:
    """`told` are the answers by part, or why there is none; `at` is the first line shown, or the link chosen."""

    words: Words
    pid: Pid | Atom
    name: str = ""
    part: str = "info"
    at: int = 0
    told: Mapping[str, Any] = field(default_factory=dict)
    keys: str = "i info  s state  m mailbox  l links  r again  Esc back"

    def question(self, rows: int) -> Question:
        return Looked(self.pid, ASKED.get(self.part, self.part))

    def once(self) -> bool:
        """A state costs its process a message, a mailbox is copied: they are asked for once, and again by `r`."""
        return self.part in ("state", "mailbox") and self.part in self.told

    def take(self, question: Question, answer: Any) -> Process:
        if not isinstance(question, Looked) or question.pid != self.pid:
            return self
        return replace(self, told={**self.told, question.part: answer})

    def failed(self, question: Question, why: str) -> Process:
        return self.take(question, why) if isinstance(question, Looked) and question.part != "info" else self

    def press(self, key: str, size: Size) -> Process:
        if self.part == "links" and key == "l":
            return self  # follows the one that is chosen: `opens`
        if key in LETTERS:
            return replace(self, part=LETTERS[key], at=0)
        if key in ("tab", "right", "left"):
            step = -1 if key == "left" else 1
            return replace(self, part=PARTS[(PARTS.index(self.part) + step) % len(PARTS)], at=0)
        if key == "r":
            return replace(self, told={part: told for part, told in self.told.items() if part != self.part})
        count = len(self._ties()) if self.part == "links" else len(self._text(size.columns)) - size.rows + 1
        return replace(self, at=moved(self.at, key, max(1, count), size.rows))

    def filtered(self, text: str) -> Process:
        return self

    def filter(self) -> str | None:
        return None

    def chosen(self, words: Words) -> Chosen | None:
        return Chosen(self.pid, self.name)

    def opens(self, words: Words) -> Chosen | None:
        ties = self._ties() if self.part == "links" else []
        tied = ties[self.at][1] if self.at < len(ties) else None
        # A name is one of the node of this process, and read on the node that the view is of.
        here = not isinstance(self.pid, Pid) or self.pid.node is words.node
        return Chosen(tied, "") if isinstance(tied, Pid) or (isinstance(tied, Atom) and here) else None

    # --- the screen ---------------------------------------------------------------------------------
    def title(self, words: Words) -> str:
        info = self.told.get("info")
        known = info if isinstance(info, ProcessInfo) else None
        name = words.term(known.name) if known is not None and known.name is not None else ""
        label = known.label if known is not None else None
        return f"process {words.term(self.pid)}  {name or label or self.name}".rstrip()

    def head(self, words: Words, columns: int) -> str:
        return "  ".join(f"[{part}]" if part == self.part else f" {part} " for part in PARTS)

    def body(self, words: Words, columns: int, rows: int) -> list[Line]:
        if self.part != "links":
            return [line(text) for text in self._text(columns)[self.at :][:rows]]
        ties = self._ties()
        if not ties:
            return [line("nobody", "dim") if "info" in self.told else line("…", "dim")]
        first = first_shown(0, self.at, rows)
        texts = [f"{how:13} {tied if isinstance(tied, str) else words.term(tied)}" for how, tied in ties]
        shown = list(enumerate(texts))[first : first + rows]
        return [bar(text, columns, "chosen") if at == self.at else line(text) for at, text in shown]

    def _text(self, columns: int) -> list[str]:
        told = self.told.get(self.part)
        match told:
            case None:
                return ["…"]
            case str():
                text = told
            case State():
                text = _state(told, self.words, columns)
            case Mailbox():
                text = _mailbox(told, self.words)
            case _:
                text = _info(told, self.words)
        return wrapped(text, columns)

    def _ties(self) -> list[tuple[str, Any]]:
        """How it is tied, and to whom; a text of what was left out."""
        info = self.told.get("info")
        if not isinstance(info, ProcessInfo):
            return []
        rows = [("ancestor", one) for one in info.ancestors] + [("group leader", info.group_leader)]
        for how, some in (("link", info.links), ("monitors", info.monitors), ("monitored by", info.monitored_by)):
            rows += [(how, one) for one in some.items]
            rows += [(how, f"… {some.cut} more")] if some.cut else []
        return rows


def _info(info: ProcessInfo, words: Words) -> str:
    facts = (
        ("application", info.application or "-"),
        ("initial call", mfa(info.initial_call, words.style)),
        ("current", mfa(info.current_function, words.style)),
        ("status", f"{info.status}, priority {info.priority}{', traps exits' if info.trap_exit else ''}"),
        ("messages", number(info.queue)),
        ("memory", f"{size(info.memory)}, heap {number(info.heap_words)}, stack {number(info.stack_words)} words"),
        ("reductions", number(info.reductions)),
        (
            "tied to",
            f"{info.links.length} links, {info.monitors.length} monitors, {info.monitored_by.length} by others",
        ),
        ("dictionary", " ".join(key.decode("utf-8", "replace") for key in info.dictionary.items) or "-"),
    )
    stack = [f"  {mfa(call, words.style)}  {where}".rstrip() for call, where in info.stack]
    return "\n".join([*(f"{what:13} {text}" for what, text in facts), "stack", *stack])


def _state(told: State, words: Words, columns: int) -> str:
    head = f"{told.status} in {mfa(told.current_function, words.style)}, {number(told.queue)} messages"
    if isinstance(told.state, Cut):
        return f"{head}\n({size(told.state.size)}) {told.state.text} …"
    return f"{head}\n{words.pretty(told.state, columns)}"


def _mailbox(told: Mailbox, words: Words) -> str:
    shapes = [f"{number(count):>9}  {shape}" for shape, count in told.shapes]
    if told.looked < told.length and shapes:
        shapes.append(f"(shapes of the first {number(told.looked)})")
    messages = [_message(message, words) for message in told.first]
    more = [f"… {number(told.cut)} more"] if told.cut else []
    return "\n".join([f"{number(told.length)} messages", *shapes, *messages, *more])


def _message(message: Any, words: Words) -> str:
    text = f"({size(message.size)}) {message.text}" if isinstance(message, Cut) else words.term(message, 100)
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"
