"""No line is wider than the terminal, nothing in it gives an order, and only what has changed is sent."""

from hypothesis import given
from hypothesis import strategies as st
from screen import Emulator

from pyerlnode.tools.inspector.live.frame_core import (
    DARK,
    PLAIN,
    Size,
    cut,
    frame,
    left,
    line,
    paint,
    right,
    update,
    width,
    wrapped,
)

TEXT = st.text(st.one_of(st.characters(), st.sampled_from("aé漢字\u0301\x1b\n…")), max_size=30)


@given(TEXT, st.integers(0, 20))
def test_a_text_is_cut_to_its_columns(text: str, columns: int) -> None:
    assert width(cut(text, columns)) <= columns
    assert cut(text, columns) == text or cut(text, columns).endswith("…") or columns == 0


@given(TEXT, st.integers(0, 20))
def test_a_cell_has_exactly_its_columns(text: str, columns: int) -> None:
    assert width(left(text, columns)) == columns
    assert width(right(text, columns)) == columns


@given(TEXT, st.integers(2, 20))
def test_a_text_that_is_wrapped_loses_nothing(text: str, columns: int) -> None:
    lines = wrapped(text, columns)
    assert all(width(one) <= columns for one in lines)
    assert "".join(lines) == "".join("".join(c if c.isprintable() else "�" for c in part) for part in text.split("\n"))


@given(st.lists(TEXT, max_size=6), st.integers(1, 12), st.integers(1, 4))
def test_a_frame_is_as_large_as_the_terminal(texts: list[str], columns: int, rows: int) -> None:
    size = Size(columns, rows)
    screen = Emulator(rows, columns)
    painted = frame([(("漢", "bad"), (text, "")) for text in texts], size, DARK)
    screen.feed(update((), painted))  # which fails when a line is too wide, or on an order that is not ours
    assert len(painted) == rows


def test_only_the_lines_that_have_changed_are_sent() -> None:
    assert update(["a", "b", "c"], ["a", "x", "c"]) == "\x1b[2;1H\x1b[Kx"
    assert update(["a"], ["a"]) == ""


def test_another_size_draws_the_whole_screen() -> None:
    screen = Emulator(3, 5)
    screen.feed(update((), ["aaaaa", "bbbbb", "ccccc"]))
    screen.resize(2, 5)
    screen.feed(update(["aaaaa", "bbbbb", "ccccc"], ["a", "c"]))
    assert screen.lines == ["a", "c"]


def test_without_colours_what_is_chosen_is_told_by_the_terminals_own_reverse() -> None:
    assert paint(line("x", "chosen"), 5, PLAIN) == "\x1b[7mx\x1b[0m"
    assert paint(line("x", "dim"), 5, PLAIN) == "x"


def test_what_orders_a_terminal_is_replaced() -> None:
    assert paint(line("a\x1b[31mb\u202e"), 20, PLAIN) == "a�[31mb�"
