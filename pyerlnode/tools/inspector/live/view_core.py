"""A live view: the pages that are open, what is asked, what a key does, and the screen that comes of it.

    view = press(view, "d")                 a key
    view = began(view, question, now)       what `due` and `wanted` said was asked
    view = answered(view, answer, now)      and has an answer, or `failed`
    lines(view, now)                        the screen

One question is under way at a time. What a page asks is a value, `wanted`: when it is another than the one that was
answered last it is due at once, else after `interval` seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pyerlnode.inspect.node_core import NodeInfo
from pyerlnode.inspect.text_core import duration, number, size
from pyerlnode.tools.inspector.live.asked_core import Chosen, Killed, Page, Question, Words
from pyerlnode.tools.inspector.live.frame_core import Line, Size, bar, cut, line
from pyerlnode.tools.inspector.live.process_core import Process

AROUND = 4
"""Lines that are not the page's body: the node, the page, its columns, the keys."""
SLOW = 1.0
"""Seconds that an answer may take before the screen says that it is waited for."""
DEEPEST = 50
"""Pages that may be open, one above the other."""

HELP = """\
up, down, page up, page down, home, end   move
Enter           open the process (its stack, state, mailbox, links)
Esc, Backspace  back
/               leave only what has a text: Enter takes it, Esc leaves it
space           hold the screen, and go on
k               kill the process, after a question
+ -             slower, faster
?               these keys
q, Ctrl-C       leave

top             r reductions, m memory, b binary, Q queue, h heap, s stack
                d what is added between two looks, or all there is
tree            left and right fold and unfold
a process       i info, s state, m mailbox, l links; in links Enter or l
                follows the one chosen; r asks again"""


@dataclass(frozen=True, slots=True)
class Typing:
    """The text of the filter is typed."""

    text: str


@dataclass(frozen=True, slots=True)
class Sure:
    """A process is to be killed, if the next key is ``y``."""

    chosen: Chosen


@dataclass(frozen=True, slots=True)
class Answer:
    """What `question` gave; `info` is the node's, where it was asked for."""

    question: Question
    value: Any
    info: NodeInfo | None = None


@dataclass(frozen=True, slots=True)
class View:
    node: str
    words: Words
    size: Size
    pages: tuple[Page, ...]
    interval: float = 1.0
    read_only: bool = False
    info: NodeInfo | None = None
    held: bool = False
    help: bool = False
    prompt: Typing | Sure | None = None
    kill: Killed | None = None
    asked: Question | None = None
    since: float = 0.0
    last: Question | None = None
    at: float = 0.0
    note: str = ""
    trouble: str = ""
    left: bool = False

    @property
    def page(self) -> Page:
        return self.pages[-1]

    @property
    def body(self) -> Size:
        return Size(self.size.columns, max(1, self.size.rows - AROUND))


# --- asking ----------------------------------------------------------------------------------------
def wanted(view: View) -> Question:
    return view.kill or view.page.question(view.body.rows)


def due(view: View, now: float) -> float | None:
    """In how many seconds `wanted` is to be asked; None while it is not."""
    if view.asked is not None:
        return None
    if wanted(view) != view.last:
        return 0.0
    if view.held or view.page.once():
        return None
    return max(0.0, view.at + view.interval - now)


def began(view: View, question: Question, now: float) -> View:
    return replace(view, asked=question, since=now)


def answered(view: View, answer: Answer, now: float) -> View:
    done = replace(view, asked=None, last=answer.question, at=now, trouble="", info=answer.info or view.info)
    if isinstance(answer.question, Killed):
        return replace(done, kill=None, note=f"{view.words.term(answer.question.pid)} was killed")
    return _with_page(done, done.page.take(answer.question, answer.value))


def failed(view: View, question: Question, why: str, now: float) -> View:
    done = replace(view, asked=None, last=question, at=now, trouble=why)
    if isinstance(question, Killed):
        return replace(done, kill=None, note="")
    return _with_page(done, done.page.failed(question, why))


# --- keys ------------------------------------------------------------------------------------------
def press(view: View, key: str) -> View:
    view = replace(view, note="")
    if isinstance(view.prompt, Typing):
        return _typed(view, view.prompt.text, key)
    if isinstance(view.prompt, Sure):
        sure = view.prompt.chosen
        view = replace(view, prompt=None)
        return replace(view, kill=Killed(sure.pid)) if key in ("y", "Y") else replace(view, note="nothing was killed")
    if view.help:
        return replace(view, help=False, left=key in ("q", "end of input"))
    return _pressed(view, key)


def _pressed(view: View, key: str) -> View:
    match key:
        case "q" | "end of input":
            return replace(view, left=True)
        case "?":
            return replace(view, help=True)
        case " ":
            return replace(view, held=not view.held)
        case "+" | "-":
            return replace(view, interval=max(0.2, min(60.0, view.interval * (2.0 if key == "+" else 0.5))))
        case "/" if view.page.filter() is not None:
            return replace(view, prompt=Typing(view.page.filter() or ""))
        case "k":
            return _asked_to_kill(view)
        case "escape" | "backspace":
            return _back(view)
        case "enter":
            return _opened(view)
        case "l" if view.page.opens(view.words) is not None and isinstance(view.page, Process):
            return _opened(view)
    return _with_page(view, view.page.press(key, view.body))


def _typed(view: View, text: str, key: str) -> View:
    match key:
        case "enter":
            return _with_page(replace(view, prompt=None), view.page.filtered(text.strip()))
        case "escape":
            return replace(view, prompt=None)
        case "backspace":
            return replace(view, prompt=Typing(text[:-1]))
    return replace(view, prompt=Typing((text + key)[:80])) if len(key) == 1 else view


def _asked_to_kill(view: View) -> View:
    chosen = view.page.chosen(view.words)
    if chosen is None:
        return replace(view, note="no process is chosen")
    if view.read_only:
        return replace(view, note="this view only reads (--read-only)")
    return replace(view, prompt=Sure(chosen))


def _opened(view: View) -> View:
    chosen = view.page.opens(view.words)
    if chosen is None:
        return replace(view, note="that is no process to open")
    if len(view.pages) > DEEPEST:
        return replace(view, note="so many pages are open: Esc goes back")
    return replace(view, pages=(*view.pages, Process(view.words, chosen.pid, chosen.name)), trouble="")


def _back(view: View) -> View:
    if len(view.pages) > 1:
        return replace(view, pages=view.pages[:-1], trouble="")
    return _with_page(view, view.page.filtered("")) if view.page.filter() else view


def _with_page(view: View, page: Page) -> View:
    return replace(view, pages=(*view.pages[:-1], page))


# --- the screen ------------------------------------------------------------------------------------
def lines(view: View, now: float) -> list[Line]:
    """The screen from top to bottom."""
    columns, rows = view.size.columns, view.body.rows
    if view.help:
        body = [line(text) for text in HELP.split("\n")]
        middle = [bar("KEYS", columns, "head"), *_filled(body, rows)]
        return [_node(view), line("any key goes back"), *middle, line("")]
    head = bar(view.page.head(view.words, columns), columns, "head")
    body = _filled(view.page.body(view.words, columns, rows), rows)
    return [_node(view), _state(view, now), head, *body, _foot(view)]


def _filled(body: list[Line], rows: int) -> list[Line]:
    return [*body[:rows], *[line("")] * (rows - len(body))]


def _node(view: View) -> Line:
    """What the node is; in red what is near its limit."""
    info = view.info
    if info is None:
        return line(view.node, "title")
    near = [f" {name} {100 * limit.used // (limit.most or 1)} %" for name, limit in info.limits.items() if limit.near]
    elixir = f" Elixir {info.elixir}" if info.elixir else ""
    facts = f"  {size(info.memory['total'])}  {number(info.run_queue)} ready to run  up {duration(info.uptime)}"
    return (view.node, "title"), ("".join(near), "bad"), (f"{facts}  OTP {info.otp}{elixir}", "")


def _state(view: View, now: float) -> Line:
    columns = view.size.columns
    if view.trouble:
        return line(cut(view.trouble, columns), "bad")
    waits = now - view.since if view.asked is not None else 0.0
    if view.held:
        state = "held"
    elif waits >= SLOW:
        state = f"no answer for {waits:.0f} s"
    else:
        state = f"every {view.interval:g} s"
    text = cut(view.page.title(view.words), max(0, columns - len(state) - 2))
    return (text, "note"), (f"  {state}", "bad" if waits >= SLOW else "dim")


def _foot(view: View) -> Line:
    if isinstance(view.prompt, Typing):
        return ("/", "note"), (view.prompt.text, ""), ("▏", "dim")
    if isinstance(view.prompt, Sure):
        chosen = view.prompt.chosen
        return line(
            f"kill {view.words.term(chosen.pid)} {_short(chosen.name)}? y kills it, any other key does not", "bad"
        )
    if view.note:
        return line(view.note, "note")
    return line(f"? keys  q leave  {view.page.keys}", "dim")


def _short(name: str) -> str:
    return cut(name, 20)
