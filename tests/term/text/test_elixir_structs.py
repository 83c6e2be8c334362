"""Elixir's structs as text: what is printed is read back as the same value, and is what `decode` gives."""

from typing import Any

import pytest

from pyerlnode.errors import TermSyntaxError
from pyerlnode.etf import decode, encode
from pyerlnode.schema import Date, DateTime, MapSet, NaiveDateTime, Time
from pyerlnode.schema.calendar import UTC
from pyerlnode.term import A, FrozenList, Range, Struct, TermMap
from pyerlnode.term.order import identical
from pyerlnode.term.text import format_term, parse_term

ISO = A["Elixir.Calendar.ISO"]
REGEX = Struct(A["Elixir.Regex"], {A.opts: [A.caseless], A.re_pattern: None, A.re_version: b"", A.source: b"a/b"})
ARGUMENT = Struct(A["Elixir.ArgumentError"], {A["__exception__"]: True, A.message: b"x"})
ROWS: list[tuple[str, Any]] = [
    ("~D[2020-02-29]", Date(2020, 2, 29)),
    ("~D[-0001-01-01]", Struct(A["Elixir.Date"], {A.calendar: ISO, A.day: 1, A.month: 1, A.year: -1})),
    ("~D[12000-01-01]", Struct(A["Elixir.Date"], {A.calendar: ISO, A.day: 1, A.month: 1, A.year: 12000})),
    ("~T[23:59:59]", Time(23, 59, 59)),
    ("~T[23:59:59.120]", Time(23, 59, 59, 120_000, precision=3)),
    ("~T[23:59:59.00]", Time(23, 59, 59, precision=2)),
    ("~N[2020-02-29 10:00:00.000001]", NaiveDateTime(2020, 2, 29, 10, 0, 0, 1)),
    ("~U[2020-02-29 10:00:00.5Z]", DateTime(2020, 2, 29, 10, 0, 0, 500_000, UTC, precision=1)),
    ("MapSet.new([])", MapSet()),
    ('MapSet.new(["a"])', MapSet([b"a"])),
    ("MapSet.new([[1]])", MapSet([FrozenList([1])])),
    ("MapSet.new([a: 1])", MapSet([(A.a, 1)])),
    ("MapSet.new([1, 1.0])", Struct(A["Elixir.MapSet"], {A.map: TermMap([(1, []), (1.0, [])])})),
    ("1..9//2", Range(1, 9, 2)),
    ("~r/a\\/b/i", REGEX),
    ('%ArgumentError{message: "x"}', ARGUMENT),
    ("%ArgumentError{}", Struct(ARGUMENT.module, {A["__exception__"]: True})),
    ("%MyApp.Odd{__exception__: true, a: 1}", Struct(A["Elixir.MyApp.Odd"], {A["__exception__"]: True, A.a: 1})),
    ("%{__struct__: MyApp.NoError, a: 1}", Struct(A["Elixir.MyApp.NoError"], {A.a: 1})),
    ("%{__struct__: :foo, a: 1}", Struct(A.foo, {A.a: 1})),
    ("%{:__struct__ => MyApp.M, 1 => 2}", Struct(A["Elixir.MyApp.M"], {1: 2})),  # type: ignore[dict-item]
    ('%MyApp.User{name: "Ann", nested: %MyApp.User{name: [~D[2020-02-29]]}}', Struct(
        A["Elixir.MyApp.User"],
        {A.name: b"Ann", A.nested: Struct(A["Elixir.MyApp.User"], {A.name: [Date(2020, 2, 29)]})},
    )),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), ROWS, ids=[text for text, _ in ROWS])
def test_what_is_printed_is_read_back(text: str, value: Any) -> None:
    assert format_term(value, style="elixir", width=0) == text
    read = parse_term(text, style="elixir")
    assert identical(read, value)
    assert isinstance(decode(encode(value)), type(read))
    assert parse_term(format_term([{1: value}], style="elixir", width=20), style="elixir") == [{1: read}]


@pytest.mark.parametrize(
    "fields",
    [
        {A.microsecond: (123_456, 3)},
        {A.microsecond: (1, 0)},
        {A.microsecond: (1, 7)},
        {A.microsecond: 5},
        {A.hour: b"x"},
    ],
    ids=repr,
)
def test_a_time_that_text_would_change_is_printed_with_all_its_fields(fields: dict[Any, Any]) -> None:
    whole = {A.calendar: ISO, A.hour: 1, A.minute: 2, A.second: 3, A.microsecond: (0, 0)} | fields
    value = Struct(A["Elixir.Time"], whole)
    text = format_term(value, style="elixir")
    assert text.startswith("%Time{")
    assert identical(parse_term(text, style="elixir"), value)


def test_fields_are_in_the_order_that_the_peer_tells() -> None:
    user = Struct(A["Elixir.User"], {A.age: 1, A.name: b"Ann", A.more: []})
    fields = {A["Elixir.User"]: [A.name, A.age]}
    assert format_term([user], style="elixir", fields=fields) == '[%User{name: "Ann", age: 1, more: []}]'


@pytest.mark.parametrize(
    "text",
    ["~D[2020-02]", "~D[2020-02-29 ]", "~T[1:2:3]", "~T[10:00:00.1234567]", "~U[2020-02-29 10:00:00]", "~N[x]",
     "~U[2020-02-29 10:00:00+01:00]", "MapSet.new()", "MapSet.new([1], [2])", "MapSet.new(1)", "MapSet.new([1]",
     "~r/a", "~r/a/z", "MapSet.new(a: 1)", "#DateTime<2020-02-29 11:00:00+01:00 CET Europe/Paris>", "~X[1]"],
)  # fmt: skip
def test_what_is_none_of_them_is_refused(text: str) -> None:
    with pytest.raises(TermSyntaxError):
        parse_term(text, style="elixir")
