"""What the command line prints: JSON that keeps the shape, colour for terminals only, one line of trouble."""

import io
import json
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

import pytest

from pyerlnode.brief import told
from pyerlnode.schema import MapSet, NaiveDateTime, Time
from pyerlnode.term import A, ImproperList, Pid, Range, Struct
from pyerlnode.tools.output import Output, complain, jsonable, wants_colour


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("term", "value"),
    [
        (A.ok, "ok"),
        (None, None),
        (True, True),
        (1, 1),
        (1.5, 1.5),
        (b"caf\xc3\xa9", "café"),
        (b"\xff\x00", {"base64": "/wA="}),
        ((A.ok, [1, b"x"]), ["ok", [1, "x"]]),
        ({A.a: 1, b"b": 2}, {"a": 1, "b": 2}),
        ({A.a: 1, b"a": 2}, [["a", 1], ["a", 2]]),
        ({1: A.one}, [[1, "one"]]),
        (ImproperList((1,), 2), "[1|2]"),
        (10**4_200, 10**4_200),
        (-(10**5_000), "-1" + "0" * 5_000),
        ({10**5_000: 1}, {"1" + "0" * 5_000: 1}),
        (date(2020, 2, 29), "2020-02-29"),
        (Time(1, 2, 3, 500_000, precision=3), "01:02:03.500"),
        (time(1, 2), "01:02:00"),
        (NaiveDateTime(2020, 2, 29, 1, 2, 3, precision=2), "2020-02-29T01:02:03.00"),
        (datetime(2020, 2, 29, 1, 2, 3, 4, timezone.utc), "2020-02-29T01:02:03.000004Z"),
        (Decimal("-1.50"), "-1.50"),
        (Decimal("NaN"), "NaN"),
        pytest.param(MapSet([3, b"a", 1]), [1, 3, "a"], id="a set"),
        (Range(1, 9, 2), {"__struct__": "Range", "first": 1, "last": 9, "step": 2}),
        (Struct(A["Elixir.M.U"], {A.name: b"Ann"}), {"__struct__": "M.U", "name": "Ann"}),
    ],
    ids=lambda value: told(value, 40),
)
def test_a_term_becomes_the_nearest_json_value(term: Any, value: Any) -> None:
    assert jsonable(term) == value
    assert json.loads(json.dumps(value)) == value


def document(term: Any, encoding: str = "utf-8") -> Any:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    Output(json_=True, stream=stream).term(term)
    return json.loads(raw.getvalue())


def test_a_term_of_any_nesting_is_one_document() -> None:
    term: Any = 1
    for _ in range(20_000):
        term = [term]
    assert document(term)["value"] == "[" * 20_000 + "1" + "]" * 20_000


def test_what_the_terminal_can_not_show_is_json_all_the_same() -> None:
    assert document("é☺".encode(), "ascii")["value"] == "é☺"


def test_an_identifier_becomes_its_text() -> None:
    assert "1.2" in jsonable(Pid(A["a@b"], 1, 2, 3))


def test_colour_is_for_terminals_and_gives_way_to_no_color() -> None:
    assert wants_colour(Terminal(), {"TERM": "xterm"})
    assert not wants_colour(io.StringIO(), {"TERM": "xterm"})
    assert not wants_colour(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})


def test_with_json_lines_for_people_are_silent_and_the_document_is_one_line() -> None:
    stream = io.StringIO()
    output = Output(json_=True, stream=stream)
    output.line("for people")
    output.term((A.ok, b"x"), node="app@h")
    assert json.loads(stream.getvalue()) == {
        "ok": True, "term": '{ok,<<"x">>}', "value": ["ok", "x"], "node": "app@h",
    }  # fmt: skip


def test_a_term_is_printed_in_the_dialect_that_was_asked_for() -> None:
    stream = io.StringIO()
    Output(style="elixir", stream=stream).term((A.ok, b"x"))
    assert stream.getvalue() == '{:ok, "x"}\n'


def test_text_that_the_terminal_can_not_show_is_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    Output(stream=stream).line("é")
    assert raw.getvalue() == b"\\xe9\n"


def test_a_complaint_is_one_line_whatever_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    complain("first\nsecond\n\n  third")
    assert capsys.readouterr().err == "pyerlnode: first second third\n"
