"""Columns are aligned, lines no wider than the terminal, and no cell gives a terminal an order."""

from pyerlnode.tools.inspector.table import layout


def test_columns_are_aligned_to_the_left_and_numbers_to_the_right() -> None:
    lines = layout(("PID", "QUEUE", "NAME"), [("<0.1.0>", "7", "init"), ("<0.858.0>", "1 000", "x")], (1,), 0)
    assert lines == [
        "PID        QUEUE  NAME",
        "<0.1.0>        7  init",
        "<0.858.0>  1 000  x",
    ]


def test_a_line_is_cut_at_the_width_of_the_terminal() -> None:
    [header, row] = layout(("A", "B"), [("x" * 10, "y" * 10)], (), 15)
    assert row == "xxxxxxxxxx  yy…"
    assert len(header) <= 15


def test_no_rows_leave_the_header() -> None:
    assert layout(("A", "B"), [], (), 80) == ["A  B"]


def test_what_orders_a_terminal_is_replaced() -> None:
    assert layout(("A",), [("a\x1b[31m\nb\u202e",)], (), 0)[1] == "a�[31m�b�"
