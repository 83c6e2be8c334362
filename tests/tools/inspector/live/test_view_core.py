"""Live views as chains of values: keys and answers in, questions and screens out."""

from dataclasses import replace
from typing import Any

import pytest
from screen import Emulator

from pyerlnode import A
from pyerlnode.inspect.process_core import Cut, Mailbox, ProcessInfo, Some
from pyerlnode.inspect.rank_core import Ranking, Row
from pyerlnode.inspect.things_core import State
from pyerlnode.inspect.tree_core import Application, Child
from pyerlnode.term.pid import Pid
from pyerlnode.tools.inspector.live.asked_core import Killed, Looked, Ranked, Supervised, Words
from pyerlnode.tools.inspector.live.frame_core import PLAIN, Size, frame, update
from pyerlnode.tools.inspector.live.top_core import Top
from pyerlnode.tools.inspector.live.tree_core import Tree
from pyerlnode.tools.inspector.live.view_core import (
    HELP,
    Answer,
    View,
    answered,
    began,
    due,
    failed,
    lines,
    press,
    wanted,
)
from tests.helpers.hostile import EDGES

NODE = A["app@h"]
WORDS = Words("erlang", NODE)
SIZES = [(40, 10), (80, 24), (200, 60), (1, 1), (5, 3)]


def pid(number: int, node: Any = NODE) -> Pid:
    return Pid(node, number, 0, 1)


def ranking(*numbers: int, names: tuple[str, ...] = (), by: str = "memory") -> Ranking:
    call = (A.gen_server, A.loop, 7)
    rows = tuple(
        Row(pid(n), 1000 * n, A[names[i]] if i < len(names) else None, call, call, "waiting", n, n, n, None)
        for i, n in enumerate(numbers)
    )
    return Ranking("app@h", by, 0.0, rows, len(rows), len(rows), 0)


def info(number: int, **changes: Any) -> ProcessInfo:
    none = Some(0, ())
    told = ProcessInfo(
        pid(number), A.server, None, "kernel", (A.server, A.init, 1), (A.gen_server, A.loop, 7), "waiting", 0, 100, 10,
        5, 1000, "normal", True, pid(1), (A.kernel_sup,), none, none, none, Some(1, (b"'$initial_call'",)),
        (((A.gen_server, A.loop, 7), "gen_server.erl:1"),),
    )  # fmt: skip
    return replace(told, **changes)


def view(page: Any = None, columns: int = 80, rows: int = 24, **options: Any) -> View:
    return View("app@h", WORDS, Size(columns, rows), (page or Top(),), **options)


def ask(shown: View, value: Any, now: float = 0.0) -> View:
    """The view when what it wants has been asked, and was answered by `value`."""
    question = wanted(shown)
    return answered(began(shown, question, now), Answer(question, value), now)


def keys(shown: View, *pressed: str) -> View:
    for key in pressed:
        shown = press(shown, key)
    return shown


def screen(shown: View, now: float = 0.0) -> str:
    emulator = Emulator(shown.size.rows, shown.size.columns)
    emulator.feed(update((), frame(lines(shown, now), shown.size, PLAIN)))
    return "\n".join(emulator.lines)


# --- when what is asked ----------------------------------------------------------------------------
def test_the_first_question_is_due_at_once_and_the_next_after_the_interval() -> None:
    shown = view(interval=2.0)
    assert due(shown, 5.0) == 0.0
    shown = began(shown, wanted(shown), 5.0)
    assert due(shown, 6.0) is None
    shown = answered(shown, Answer(wanted(shown), ranking(1)), 6.0)
    assert due(shown, 7.0) == pytest.approx(1.0)
    assert due(shown, 9.0) == 0.0


@pytest.mark.parametrize(
    ("key", "by"), [("r", "reductions"), ("b", "binary"), ("Q", "queue"), ("h", "heap"), ("s", "stack")]
)
def test_a_key_of_another_order_asks_at_once(key: str, by: str) -> None:
    shown = press(ask(view(), ranking(1)), key)
    assert due(shown, 0.0) == 0.0
    assert wanted(shown) == Ranked(by, False, 50, "")
    shown = press(ask(shown, ranking(1, by=by)), "m")
    assert wanted(shown) == Ranked("memory", False, 50, "")


def test_an_answer_to_what_is_asked_no_more_is_dropped() -> None:
    shown = view()
    old = wanted(shown)
    shown = press(began(shown, old, 0.0), "r")
    shown = answered(shown, Answer(old, ranking(1, names=("stale",))), 1.0)
    assert "stale" not in screen(shown)
    assert due(shown, 1.0) == 0.0


def test_d_ranks_by_what_is_added_and_back() -> None:
    shown = press(view(), "d")
    assert wanted(shown) == Ranked("memory", True, 50, "")
    assert "measuring" in screen(ask(shown, None))
    assert "+MEMORY" in screen(ask(shown, ranking(1)))
    assert wanted(press(shown, "d")) == Ranked("memory", False, 50, "")


def test_space_holds_the_screen_and_a_new_order_asks_once_all_the_same() -> None:
    shown = press(ask(view(), ranking(1)), " ")
    assert due(shown, 100.0) is None
    assert "held" in screen(shown)
    shown = press(shown, "r")
    assert due(shown, 100.0) == 0.0
    shown = ask(shown, ranking(1, by="reductions"), 100.0)
    assert due(shown, 200.0) is None
    assert due(press(shown, " "), 200.0) == 0.0


def test_slower_and_faster_stay_within_five_looks_a_second_and_one_a_minute() -> None:
    assert keys(view(), *["-"] * 20).interval == 0.2
    assert keys(view(), *["+"] * 20).interval == 60.0


# --- what can not be asked ---------------------------------------------------------------------------
def test_trouble_is_shown_above_the_last_answer_until_there_is_another() -> None:
    shown = ask(view(), ranking(1, names=("kept",)))
    shown = failed(began(shown, wanted(shown), 1.0), wanted(shown), "the connection to app@h was lost", 2.0)
    assert "the connection to app@h was lost" in screen(shown)
    assert "kept" in screen(shown)
    assert due(shown, 2.0) == pytest.approx(1.0)
    shown = ask(shown, ranking(2), 3.0)
    assert "lost" not in screen(shown)


def test_an_answer_that_is_waited_for_says_for_how_long() -> None:
    shown = began(view(), wanted(view()), 10.0)
    assert "every 1 s" in screen(shown, 10.5)
    assert "no answer for 3 s" in screen(shown, 13.1)


# --- moving and filtering ----------------------------------------------------------------------------
def test_the_cursor_follows_its_process_when_the_order_changes() -> None:
    shown = press(ask(view(), ranking(1, 2, 3)), "down")
    assert shown.page.chosen(WORDS).pid == pid(2)  # type: ignore[union-attr]
    shown = ask(shown, ranking(3, 1, 2))
    assert shown.page.chosen(WORDS).pid == pid(2)  # type: ignore[union-attr]
    shown = ask(shown, ranking(3, 1))
    assert shown.page.chosen(WORDS).pid == pid(1)  # type: ignore[union-attr]


def test_moving_down_beyond_what_was_asked_for_asks_for_more() -> None:
    shown = ask(view(), ranking(*range(1, 51)))
    shown = press(shown, "end")
    assert "<0.50.0>" in screen(shown)
    assert "<0.1.0>" not in screen(shown)
    assert wanted(shown) == Ranked("memory", False, 100, "")
    assert "<0.1.0>" in screen(press(shown, "home"))


@pytest.mark.parametrize(
    "key", ["up", "down", "page up", "page down", "home", "end", "left", "right", "tab", "enter", "k"]
)
def test_no_key_troubles_a_view_that_has_nothing_yet(key: str) -> None:
    for page in (Top(), Tree(WORDS)):
        assert press(view(page), key).prompt is None
        assert press(ask(view(page), ranking() if isinstance(page, Top) else ()), key).prompt is None


def test_a_filter_is_typed_and_taken_by_enter() -> None:
    shown = keys(ask(view(), ranking(1)), "/", "q", "x", "backspace", "ü")
    assert "/qü" in screen(shown)
    assert wanted(shown) == Ranked("memory", False, 50, "")
    shown = press(shown, "enter")
    assert wanted(shown) == Ranked("memory", False, 50, "qü")
    assert wanted(keys(shown, "/", "z", "escape")) == Ranked("memory", False, 50, "qü")
    assert wanted(press(shown, "escape")) == Ranked("memory", False, 50, "")


# --- a process ---------------------------------------------------------------------------------------
def test_enter_opens_a_process_and_escape_goes_back() -> None:
    shown = keys(ask(view(), ranking(7, 8)), "down", "enter")
    assert wanted(shown) == Looked(pid(8), "info")
    text = screen(ask(shown, info(8)))
    for told in ("process <0.8.0>  server", "gen_server:loop/7  gen_server.erl:1", "kernel", "traps exits"):
        assert told in text
    assert wanted(press(shown, "escape")) == Ranked("memory", False, 50, "")
    assert keys(shown, "escape", "escape").pages


def test_a_state_and_a_mailbox_are_asked_for_once_and_again_by_r() -> None:
    shown = ask(keys(ask(view(), ranking(7)), "enter"), info(7))
    shown = press(shown, "s")
    assert wanted(shown) == Looked(pid(7), "state")
    shown = ask(shown, State(3, "waiting", (A.gen_server, A.loop, 7), {A.count: 41}))
    assert "count" in screen(shown)
    assert due(shown, 1e6) is None
    assert due(press(shown, "r"), 1e6) == 0.0
    shown = press(shown, "m")
    assert wanted(shown) == Looked(pid(7), "mailbox")
    shown = ask(shown, Mailbox(pid(7), 30, (A.hello, Cut(10**6, "{large,")), (("{tag,_}", 30),), 20))
    for told in ("30 messages", "{tag,_}", "hello", "(1 MB) {large,", "first 20", "28 more"):
        assert told in screen(shown)
    assert due(shown, 1e6) is None


def test_a_state_that_is_refused_says_why_and_is_not_asked_for_again_and_again() -> None:
    shown = press(ask(keys(ask(view(), ranking(7)), "enter"), info(7)), "s")
    shown = failed(began(shown, wanted(shown), 0.0), wanted(shown), "only --force asks it", 0.0)
    assert screen(shown).count("only --force asks it") == 2
    assert due(shown, 1e6) is None


def test_l_shows_the_links_and_follows_the_one_that_is_chosen() -> None:
    other = pid(9, A["py@h"])
    told = info(7, links=Some(2, (pid(8), other)), monitored_by=Some(60, ((A.name, A["py@h"]),)))
    shown = ask(keys(ask(view(), ranking(7)), "enter"), told)
    shown = press(shown, "l")
    assert "… 59 more" in screen(shown)
    shown = keys(shown, "down", "down")
    assert wanted(press(shown, "l")) == Looked(pid(8), "info")
    assert wanted(keys(shown, "down", "enter")) == Looked(other, "info")
    assert wanted(keys(shown, "home", "enter")) == Looked(A.kernel_sup, "info")
    assert len(keys(shown, "end", "enter").pages) == 2
    assert len(keys(shown, "l", "escape").pages) == 2


def test_a_name_on_a_page_of_another_node_is_not_looked_for_here() -> None:
    shown = keys(ask(view(), ranking(7)), "enter")
    shown = keys(ask(shown, info(7, links=Some(1, (pid(9, A["py@h"]),)))), "l", "down", "down", "l")
    shown = keys(ask(shown, info(9, pid=pid(9, A["py@h"]))), "l", "enter")
    assert len(shown.pages) == 3
    assert "no process to open" in screen(shown)


def test_a_long_page_scrolls_to_its_end_and_no_further() -> None:
    stack = tuple(((A.m, A[f"f{n}"], 0), "") for n in range(50))
    shown = ask(keys(ask(view(), ranking(7)), "enter"), info(7, stack=stack))
    assert "m:f49/0" not in screen(shown)
    shown = keys(shown, "end", "page down", "down")
    assert "m:f49/0" in screen(shown)
    assert "m:f48/0" in screen(press(shown, "up"))
    assert "m:f49/0" not in screen(press(shown, "up"))


# --- killing -------------------------------------------------------------------------------------------
def test_k_kills_the_process_it_has_asked_about_also_when_another_has_come_to_its_place() -> None:
    shown = press(ask(view(), ranking(7, 8, names=("seven",))), "k")
    assert "kill <0.7.0> seven?" in screen(shown)
    shown = ask(shown, ranking(8, 9))
    shown = press(shown, "y")
    assert wanted(shown) == Killed(pid(7))
    assert due(shown, 0.0) == 0.0
    shown = ask(shown, None)
    assert "<0.7.0> was killed" in screen(shown)
    assert wanted(shown) == Ranked("memory", False, 50, "")
    assert due(shown, 0.0) == 0.0


@pytest.mark.parametrize("key", ["n", "enter", "escape", "k", "q", " "])
def test_any_other_key_does_not_kill(key: str) -> None:
    shown = keys(ask(view(), ranking(7)), "k", key)
    assert shown.kill is None
    assert not shown.left
    assert "nothing was killed" in screen(shown)


def test_a_kill_that_fails_is_told_and_not_tried_again() -> None:
    shown = keys(ask(view(), ranking(7)), "k", "y")
    shown = failed(began(shown, wanted(shown), 0.0), Killed(pid(7)), "there is no such process on app@h", 0.0)
    assert "no such process" in screen(shown)
    assert wanted(shown) == Ranked("memory", False, 50, "")


def test_a_view_that_only_reads_kills_nothing() -> None:
    shown = keys(ask(view(read_only=True), ranking(7)), "k", "y")
    assert shown.kill is None
    assert "only reads" in screen(keys(ask(view(read_only=True), ranking(7)), "k"))


# --- a tree ----------------------------------------------------------------------------------------------
def child(id: Any, number: int | None, *children: Child, trouble: str = "", count: int = 0) -> Child:
    kind = "supervisor" if children or trouble else "worker"
    running = None if number is None else pid(number)
    return Child(id, running, kind, None, None, children, max(count, len(children)), trouble)


APPS = (
    Application("app", child(A.app, 1, child(A.sup, 2, child(A.w1, 3), child(A.w2, None)), child(A.other, 4)), False),
    Application("hung", None, True),
    Application("library", None, False),
)


def tree(*apps: Application, **options: Any) -> View:
    return ask(view(Tree(WORDS), **options), apps or APPS)


def test_a_tree_is_drawn_with_its_branches() -> None:
    assert wanted(view(Tree(WORDS))) == Supervised(None, 100, 20)
    assert screen(tree()).split("\n")[3:10] == [
        "app",
        "└─ <0.1.0>  app  (2 children)",
        "   ├─ <0.2.0>  sup  (2 children)",
        "   │  ├─ <0.3.0>  w1",
        "   │  └─ not running  w2",
        "   └─ <0.4.0>  other",
        "hung  (does not answer)",
    ]


def test_left_folds_and_goes_up_and_right_unfolds() -> None:
    shown = keys(tree(), "down", "down", "left")
    assert "w1" not in screen(shown)
    assert "sup  (2 children) …" in screen(shown)
    assert "w1" in screen(press(shown, "right"))
    shown = keys(shown, "left")
    assert shown.page.chosen(WORDS).pid == pid(1)  # type: ignore[union-attr]


def test_the_cursor_stays_at_its_child_when_that_is_started_again_or_others_come() -> None:
    shown = keys(tree(), "down", "down", "down")
    again = replace(APPS[0], top=child(A.app, 1, child(A.new, 8), child(A.sup, 12, child(A.w1, 13)), child(A.other, 4)))
    shown = ask(shown, (again,))
    assert shown.page.chosen(WORDS).pid == pid(13)  # type: ignore[union-attr]


def test_a_filter_leaves_what_has_the_text_and_what_that_is_below() -> None:
    shown = keys(tree(), "/", "W", "1", "enter")
    assert screen(shown).split("\n")[3:8] == [
        "app",
        "└─ <0.1.0>  app  (2 children)",
        "   ├─ <0.2.0>  sup  (2 children)",
        "   │  ├─ <0.3.0>  w1",
        "",
    ]
    assert "nothing has that text" in screen(keys(tree(), "/", "z", "z", "enter"))


def test_a_supervisor_that_does_not_answer_is_one_line() -> None:
    shown = tree(Application("app", child(A.app, 1, child(A.stuck, 2, trouble="late"), child(A.ok, 3)), False))
    assert "└─ … does not answer" in screen(shown)
    assert "<0.3.0>  ok" in screen(shown)


def test_children_of_a_simple_one_for_one_are_told_apart() -> None:
    same = tuple(child(A.undefined, n) for n in (5, 6, 7))
    shown = keys(tree(Application("app", child(A.app, 1, *same), False)), "down", "down", "down")
    assert shown.page.chosen(WORDS).pid == pid(6)  # type: ignore[union-attr]
    shown = ask(shown, (Application("app", child(A.app, 1, *same[1:]), False),))
    assert shown.page.chosen(WORDS).pid == pid(6)  # type: ignore[union-attr]


def test_enter_on_what_is_no_process_says_so() -> None:
    assert "no process to open" in screen(press(tree(), "enter"))
    assert "no process is chosen" in screen(press(tree(), "k"))


# --- every size ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_every_page_fits_every_size(columns: int, rows: int) -> None:
    hostile = "it's \x1b[31m\n漢字" + "x" * 100
    top = ask(view(columns=columns, rows=rows), ranking(*range(1, 50), names=(hostile,)))
    opened = ask(press(top, "enter"), info(1, name=A[hostile], links=Some(2, (pid(3), pid(4)))))
    state = ask(press(opened, "s"), State(0, "waiting", (A.m, A.f, 1), [hostile] * 20))
    branches = tree(Application(hostile, child(A[hostile], 1, child(A.w, 2)), False), columns=columns, rows=rows)
    for shown in (
        top,
        keys(top, "k"),
        keys(top, "/", "漢"),
        keys(top, "?"),
        opened,
        keys(opened, "l"),
        state,
        branches,
    ):
        screen(shown)  # the emulator fails on a line that is too wide and on a row too many


@pytest.mark.parametrize(
    ("columns", "sees"), [(40, "PID NAME"), (80, "PID QUEUE NAME CURRENT"), (200, "PID QUEUE NAME CURRENT")]
)
def test_a_narrow_terminal_has_the_columns_that_matter(columns: int, sees: str) -> None:
    head = screen(ask(view(columns=columns), ranking(1))).split("\n")[2].split()
    assert [word for word in sees.split() if word not in head] == []
    assert "MEMORY" in head


def test_hostile_terms_are_shown_as_any_other() -> None:
    opened = ask(press(ask(view(), ranking(1)), "enter"), info(1))
    for term in EDGES:
        shown = tree(Application("app", child(A.app, 1, child(term, 2), child((A.x, term), 3)), False))
        assert "<0.3.0>" in screen(shown)
        screen(ask(press(opened, "s"), State(0, "waiting", (A.m, A.f, 1), term)))
        screen(ask(press(opened, "m"), Mailbox(pid(1), 1, (term,), (), 1)))


def test_the_help_names_every_key_and_any_key_leaves_it() -> None:
    shown = press(view(), "?")
    text = screen(shown)
    assert "kill the process" in text
    assert len(HELP.split("\n")) <= shown.body.rows
    assert not press(shown, "x").help


@pytest.mark.parametrize("before", [(), ("?",)])
@pytest.mark.parametrize("key", ["q", "end of input"])
def test_q_leaves(before: tuple[str, ...], key: str) -> None:
    assert keys(view(), *before, key).left
