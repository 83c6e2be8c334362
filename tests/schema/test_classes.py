"""Decorated classes and Elixir's structs keep every byte on their way through Python."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.schema import (
    AtomEnum,
    Date,
    DateTime,
    ElixirError,
    MapSet,
    NaiveDateTime,
    Time,
    Zone,
    atom_map,
    decode_as,
    elixir_struct,
    record,
)
from pyerlnode.term import A, Atom, FrozenList, Range, Struct
from pyerlnode.term.text import format_term, parse_term

ISO = A["Elixir.Calendar.ISO"]


@elixir_struct("Test.User")
@dataclass
class User:
    name: str
    tags: list[Atom]
    age: int | None = None


@elixir_struct("Test.Slotted")
@dataclass(slots=True, frozen=True)
class Slotted:
    name: str


@record("point")
@dataclass
class Point:
    x: float
    y: float


@atom_map
@dataclass
class Options:
    class_: str
    size: int


class Color(AtomEnum):
    RED = "red"


def struct(module: str, at: int = 0, /, **fields: Any) -> Struct:
    return Struct(A["Elixir." + module], {Atom(name): value for name, value in fields.items()}, at)


def through(etf: Any, term: Any) -> Any:
    """`term` as it arrives, after it was seen that it leaves with the same bytes."""
    data = etf.encode(term)
    value = etf.decode(data)
    assert etf.encode(value) == data
    return value


def test_a_registered_struct_arrives_as_an_instance_and_leaves_as_it_came(etf: Any) -> None:
    assert through(etf, struct("Test.User", name=b"Ann", tags=[A.a], age=None)) == User("Ann", [A.a])
    assert through(etf, struct("Test.User", 2, age=3, name=b"Ann", tags=[])) == User("Ann", [], 3)
    assert through(etf, struct("Test.Slotted", name=b"x")) == Slotted("x")


def test_fields_that_the_class_does_not_know_travel_along(etf: Any) -> None:
    user = through(etf, struct("Test.User", 1, name=b"Ann", new=(1, 2), tags=[], age=1))
    assert user == User("Ann", [], 1)
    user.age = 2
    assert etf.encode(user) == etf.encode(struct("Test.User", 1, name=b"Ann", new=(1, 2), tags=[], age=2))


@pytest.mark.parametrize(
    "term",
    [
        struct("Test.User", name=b"\xff", tags=[], age=1),
        struct("Test.User", name=b"Ann", tags=[]),
        struct("Test.User", name=b"Ann", tags=[], age=1.0),
        struct("Test.User", name=b"Ann", tags=[], age=A.undefined),
        struct("Test.Slotted", name=b"x", more=1),
        struct("Test.Slotted", 1, name=b"x"),
    ],
)
def test_what_would_lose_something_stays_a_struct(etf: Any, term: Struct) -> None:
    assert type(through(etf, term)) is Struct


def test_encoders_of_decorated_classes_give_their_forms(etf: Any) -> None:
    assert through(etf, Point(1.0, 2.0)) == (A.point, 1.0, 2.0)
    assert through(etf, Options("x", 1)) == {A["class"]: b"x", A.size: 1}
    assert through(etf, [Color.RED]) == [A.red]
    assert through(etf, UUID(int=1)) == str(UUID(int=1)).encode()


def test_a_map_decoded_into_a_class_keeps_its_order_and_other_keys(etf: Any) -> None:
    term = {A.size: 1, A.other: 2, A["class"]: b"x"}
    assert etf.encode(decode_as(term, Options)) == etf.encode(term)


def test_a_dataclass_without_a_form_does_not_encode(etf: Any) -> None:
    @dataclass
    class Plain:
        a: int

    with pytest.raises(EncodeError):
        etf.encode(Plain(1))


def test_the_path_of_an_error_leads_through_decorated_classes(etf: Any) -> None:
    with pytest.raises(EncodeError, match=r"object has no form on the wire.* \(at term\[1\]\.tags\[0\]\)"):
        etf.encode([1, User("Ann", [object()])])  # type: ignore[list-item]  # that is the test


DATE = {"calendar": ISO, "day": 29, "month": 2, "year": 2020}
CLOCK = {"hour": 23, "microsecond": (120_000, 2), "minute": 59, "second": 58}
ZONE = {"std_offset": 3600, "time_zone": b"Europe/Paris", "utc_offset": 3600, "zone_abbr": b"CEST"}
VALUES: list[tuple[Struct, Any, type]] = [
    (struct("Date", **DATE), date(2020, 2, 29), Date),
    (struct("Date", 2, year=1, day=1, calendar=ISO, month=1), date(1, 1, 1), Date),
    (struct("Time", calendar=ISO, **CLOCK), time(23, 59, 58, 120_000), Time),
    (struct("NaiveDateTime", 3, **DATE, **CLOCK), datetime(2020, 2, 29, 23, 59, 58, 120_000), NaiveDateTime),
    (
        struct("DateTime", 5, **DATE, **CLOCK, **ZONE),
        datetime(2020, 2, 29, 21, 59, 58, 120_000, tzinfo=timezone.utc),
        DateTime,
    ),
    (struct("MapSet", map={1: [], b"a": []}), frozenset([1, b"a"]), MapSet),
    (struct("MapSet", version=2, map={(A.a, 1): []}), frozenset([(A.a, 1)]), MapSet),
    (struct("MapSet", map={}), frozenset(), MapSet),
    (struct("Range", first=1, last=9, step=2), Range(1, 9, 2), Range),
    (struct("Range", 2, step=-1, first=1, last=9), Range(1, 9, -1), Range),
    (struct("Decimal", coef=150, exp=-2, sign=-1), Decimal("-1.50"), Decimal),
    (struct("Decimal", 1, sign=1, coef=0, exp=5), Decimal("0E5"), Decimal),
    (struct("Decimal", coef=0, exp=0, sign=-1), Decimal("-0"), Decimal),
    (struct("Decimal", coef=A.inf, exp=0, sign=-1), Decimal("-Infinity"), Decimal),
    (struct("Decimal", coef=10**5000 + 1, exp=3, sign=1), Decimal((0, (1, *[0] * 4999, 1), 3)), Decimal),
]


@pytest.mark.parametrize(("term", "value", "kind"), VALUES)
def test_elixirs_structs_are_pythons_values_and_leave_as_they_came(
    etf: Any, term: Struct, value: Any, kind: type
) -> None:
    arrived = through(etf, term)
    assert isinstance(arrived, kind)
    assert arrived == value
    assert decode_as(arrived, kind) is arrived
    for twin in (copy.copy(arrived), copy.deepcopy(arrived), pickle.loads(pickle.dumps(arrived))):
        assert twin == arrived


def test_a_decimal_that_is_no_number_arrives(etf: Any) -> None:
    assert through(etf, struct("Decimal", coef=A.NaN, exp=0, sign=1)).is_nan()


@pytest.mark.parametrize(
    "term",
    [
        struct("Date", **{**DATE, "year": 12000}),
        struct("Date", **{**DATE, "year": 0}),
        struct("Date", **{**DATE, "calendar": A["Elixir.Julian"]}),
        struct("Date", **DATE, more=1),
        struct("Date", **{**DATE, "day": 2.0}),
        struct("Time", calendar=ISO, **{**CLOCK, "second": 60}),
        struct("Time", calendar=ISO, **{**CLOCK, "microsecond": (1, 7)}),
        struct("Time", calendar=ISO, **{**CLOCK, "microsecond": 1}),
        struct("DateTime", **DATE, **CLOCK, **{**ZONE, "zone_abbr": b"\xff"}),
        struct("DateTime", **DATE, **CLOCK, **{**ZONE, "utc_offset": 90_000}),
        struct("MapSet", map={1: [], 1.5: [2]}),
        struct("MapSet", map=1),
        struct("Range", first=1, last=2),
        struct("Range", first=1, last=2, step=0),
        struct("Range", first=1, last=True, step=1),
        struct("Decimal", coef=-1, exp=0, sign=1),
        struct("Decimal", coef=1, exp=10**20, sign=1),
        struct("Decimal", coef=A.other, exp=0, sign=1),
        struct("Decimal", coef=1, exp=0, sign=True),
    ],
)
def test_what_python_can_not_hold_stays_a_struct(etf: Any, term: Struct) -> None:
    assert type(through(etf, term)) is Struct


def test_a_set_of_elements_that_python_holds_equal_stays_a_struct(etf: Any) -> None:
    elements = parse_term("#{1 => [],1.0 => []}")
    assert type(through(etf, struct("MapSet", map=elements))) is Struct


PYTHONS: list[tuple[Any, str]] = [
    (date(2020, 2, 29), "~D[2020-02-29]"),
    (time(1, 2, 3), "~T[01:02:03]"),
    (time(1, 2, 3, 4), "~T[01:02:03.000004]"),
    (Time(1, 2, 3, 400_000, precision=1), "~T[01:02:03.4]"),
    (datetime(2020, 2, 29, 1, 2, 3), "~N[2020-02-29 01:02:03]"),
    (datetime(2020, 2, 29, 1, 2, 3, tzinfo=timezone.utc), "~U[2020-02-29 01:02:03Z]"),
    (datetime(2020, 2, 29, 1, tzinfo=timezone(timedelta(hours=2))), "~U[2020-02-28 23:00:00Z]"),
    (
        datetime(2020, 7, 1, 12, tzinfo=ZoneInfo("Europe/Paris")),
        "#DateTime<2020-07-01 12:00:00+02:00 CEST Europe/Paris>",
    ),
    ({1, 2}, "MapSet.new([1, 2])"),
    (frozenset(), "MapSet.new([])"),
    (Range(1, 5), "1..5"),
    (range(1, 5), "1..4"),
    (range(5, 0, -2), "5..1//-2"),
    (range(0), "0..-1//1"),
    (Decimal("1.50"), "%Decimal{coef: 150, exp: -2, sign: 1}"),
    (Color.RED, ":red"),
    (User("Ann", []), '%Test.User{name: "Ann", tags: [], age: nil}'),
]


@pytest.mark.parametrize(("value", "text"), PYTHONS)
def test_pythons_values_become_elixirs_structs(value: Any, text: str) -> None:
    assert format_term(value, style="elixir") == text


@pytest.mark.parametrize("value", [Decimal("sNaN"), time(1, tzinfo=timezone.utc)])
def test_what_elixir_can_not_hold_does_not_encode(etf: Any, value: Any) -> None:
    with pytest.raises(EncodeError):
        etf.encode(value)


def test_what_is_computed_from_a_decoded_time_encodes_by_its_own_value(etf: Any) -> None:
    arrived = through(etf, struct("NaiveDateTime", 3, **DATE, **CLOCK))
    later = arrived + timedelta(days=1)
    assert type(later) is NaiveDateTime
    assert format_term(later, style="elixir") == "~N[2020-03-01 23:59:58.120000]"
    assert format_term(arrived.replace(microsecond=0), style="elixir") == "~N[2020-02-29 23:59:58]"


def test_a_set_made_like_a_peers_has_its_shape(etf: Any) -> None:
    template = struct("MapSet", map={}, version=2)
    assert etf.encode(MapSet([1], like=template)) == etf.encode(struct("MapSet", map={1: []}, version=2))
    assert FrozenList([1]) in MapSet([[1]])


def test_a_precision_or_an_offset_out_of_range_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="precision"):
        Time(1, 2, 3, precision=7)
    with pytest.raises(UsageError, match="less than a day"):
        Zone("X", "X", 86_400)


def test_an_elixir_error_encodes_to_its_struct(etf: Any) -> None:
    error = struct("ArgumentError", message=b"no", __exception__=True)
    assert etf.encode(ElixirError(error)) == etf.encode(error)
    assert str(pickle.loads(pickle.dumps(ElixirError(error)))) == "ArgumentError: no"


def test_registration_reaches_subclasses(etf: Any) -> None:
    class Older(Point):
        pass

    make: Callable[..., Any] = Older
    assert etf.encode(make(1.0, 2.0)) == etf.encode((A.point, 1.0, 2.0))
