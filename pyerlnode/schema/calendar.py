"""Elixir's calendar types as Python's: `Date`, `Time`, `NaiveDateTime`, `DateTime` extend those of `datetime`.

    >>> from pyerlnode.schema import Time
    >>> Time(12, 30, 0, 500_000, precision=3).precision
    3

The law: nothing is lost. So the types carry what Python's do not: `precision`, the digits of the second that count, and
for `DateTime` a `Zone` with its name, abbreviation and both offsets. What Python can not hold (years outside
1..9999, another calendar, the second 60) stays a `Struct`. Whatever is computed from such a value is one too,
with the precision that its microseconds need. A plain value of `datetime` encodes as well: without microseconds with
precision 0, else with 6; an aware one under the name of its `zoneinfo` zone, or else converted to UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.schema.layout import Layout, layout, layout_of
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Struct
from pyerlnode.term.hooks import register_encoder, register_struct

ISO = A["Elixir.Calendar.ISO"]
DATE, TIME = A["Elixir.Date"], A["Elixir.Time"]
NAIVE, AWARE = A["Elixir.NaiveDateTime"], A["Elixir.DateTime"]
_OF_DATE = layout("calendar", "day", "month", "year")
_OF_TIME = layout("calendar", "hour", "microsecond", "minute", "second")
_OF_NAIVE = layout("calendar", "day", "hour", "microsecond", "minute", "month", "second", "year")
_OF_AWARE = layout(
    "calendar", "day", "hour", "microsecond", "minute", "month", "second", "std_offset", "time_zone", "utc_offset",
    "year", "zone_abbr",
)  # fmt: skip
_YEAR, _MONTH, _DAY = Atom("year"), Atom("month"), Atom("day")
_HOUR, _MINUTE, _SECOND, _MICROSECOND = Atom("hour"), Atom("minute"), Atom("second"), Atom("microsecond")
_ZONE, _ABBREVIATION, _UTC, _STD = Atom("time_zone"), Atom("zone_abbr"), Atom("utc_offset"), Atom("std_offset")
_CALENDAR = Atom("calendar")
_DAY_SECONDS = 86_400


class Zone(tzinfo):
    """A time zone at one instant: its `name` and `abbreviation`, the offset from UTC and of summer time in seconds."""

    __slots__ = ("_delta", "abbreviation", "name", "std_offset", "utc_offset")

    def __init__(self, name: str, abbreviation: str, utc_offset: int, std_offset: int = 0) -> None:
        if abs(utc_offset + std_offset) >= _DAY_SECONDS:
            raise UsageError("the offset of a time zone is less than a day")
        self.name = name
        self.abbreviation = abbreviation
        self.utc_offset = utc_offset
        self.std_offset = std_offset
        self._delta = timedelta(seconds=utc_offset + std_offset)

    def utcoffset(self, _when: datetime | None) -> timedelta:
        return self._delta

    def dst(self, _when: datetime | None) -> timedelta:
        return timedelta(seconds=self.std_offset)

    def tzname(self, _when: datetime | None) -> str:
        return self.abbreviation

    def fromutc(self, when: datetime) -> datetime:
        return when + self._delta

    def _key(self) -> tuple[str, str, int, int]:
        return self.name, self.abbreviation, self.utc_offset, self.std_offset

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zone) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Zone({self.name!r}, {self.abbreviation!r}, {self.utc_offset}, {self.std_offset})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Zone, self._key()


UTC = Zone("Etc/UTC", "UTC", 0)


@lru_cache(1024)
def _zone(name: bytes, abbreviation: bytes, utc_offset: int, std_offset: int) -> Zone:
    return Zone(name.decode(), abbreviation.decode(), utc_offset, std_offset)


class Date(date):
    """``%Date{}``: a `date` that encodes to the bytes it came from."""

    __slots__ = ("_layout",)
    _layout: Layout | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Date:
        made = super().__new__(cls, *args, **kwargs)
        made._layout = None
        return made


class _Precise:
    """What the three types with a time share: `precision`, the digits of the second's fraction that count (0..6)."""

    __slots__ = ()

    def __new__(cls, *args: Any, precision: int | None = None, **kwargs: Any) -> Any:
        made: Any = super().__new__(cls, *args, **kwargs)
        if precision is None:
            precision = 6 if made.microsecond else 0
        elif not 0 <= precision <= 6:
            raise UsageError(f"the precision of a second is 0..6 digits, not {precision}")
        made.precision = precision
        made._layout = None
        return made

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        parts: Any = super().__reduce_ex__(protocol)
        return _restored, (*parts[:2], getattr(self, "precision"))  # noqa: B009  # the slot is in the subclass

    def __reduce__(self) -> tuple[Any, ...]:
        return self.__reduce_ex__(2)


def _restored(make: Callable[..., Any], arguments: tuple[Any, ...], precision: int) -> Any:
    made = make(*arguments)
    made.precision = precision
    return made


class Time(_Precise, time):
    """``%Time{}``: a `time` with `precision`."""

    __slots__ = ("_layout", "precision")
    precision: int
    _layout: Layout | None


class NaiveDateTime(_Precise, datetime):
    """``%NaiveDateTime{}``: a naive `datetime` with `precision`."""

    __slots__ = ("_layout", "precision")
    precision: int
    _layout: Layout | None


class DateTime(_Precise, datetime):
    """``%DateTime{}``: an aware `datetime` with `precision`, its `tzinfo` a `Zone`."""

    __slots__ = ("_layout", "precision")
    precision: int
    _layout: Layout | None


# --- from structs ---------------------------------------------------------------------------------
def _decoder(make: Callable[[dict[Any, Any]], Any], fields: Layout) -> Callable[[Struct], Any]:
    """A decoder that gives the struct back when it is not what Python can hold, or has other fields."""
    names = frozenset(fields.keys)

    def decode(struct: Struct) -> Any:
        values: Any = struct.fields
        if values.keys() != names or values[_CALENDAR] is not ISO:
            return struct
        try:
            made = make(values)
        except (TypeError, ValueError, OverflowError, UsageError):
            return struct
        made._layout = layout_of(struct)
        return made

    return decode


def _integers(values: dict[Any, Any], *names: Atom) -> list[int]:
    found = [values[name] for name in names]
    if any(type(value) is not int for value in found):
        raise TypeError
    return found


def _fraction(values: dict[Any, Any]) -> tuple[int, int]:
    microsecond, precision = values[_MICROSECOND]
    if type(microsecond) is not int or type(precision) is not int:
        raise TypeError
    return microsecond, precision


def _make_date(values: dict[Any, Any]) -> Date:
    return Date(*_integers(values, _YEAR, _MONTH, _DAY))


def _make_time(values: dict[Any, Any]) -> Time:
    microsecond, precision = _fraction(values)
    made: Time = Time(*_integers(values, _HOUR, _MINUTE, _SECOND), microsecond, precision=precision)
    return made


def _make_naive(values: dict[Any, Any]) -> NaiveDateTime:
    microsecond, precision = _fraction(values)
    parts = _integers(values, _YEAR, _MONTH, _DAY, _HOUR, _MINUTE, _SECOND)
    made: NaiveDateTime = NaiveDateTime(*parts, microsecond, precision=precision)
    return made


def _make_aware(values: dict[Any, Any]) -> DateTime:
    microsecond, precision = _fraction(values)
    parts = _integers(values, _YEAR, _MONTH, _DAY, _HOUR, _MINUTE, _SECOND)
    name, abbreviation = values[_ZONE], values[_ABBREVIATION]
    if type(name) is not bytes or type(abbreviation) is not bytes:
        raise TypeError
    zone = _zone(name, abbreviation, *_integers(values, _UTC, _STD))
    made: DateTime = DateTime(*parts, microsecond, zone, precision=precision)
    return made


# --- to structs -----------------------------------------------------------------------------------
def _date_fields(value: date) -> dict[Atom, Any]:
    return {_CALENDAR: ISO, _YEAR: value.year, _MONTH: value.month, _DAY: value.day}


def _time_fields(value: time | datetime) -> dict[Atom, Any]:
    microsecond = value.microsecond
    precision = getattr(value, "precision", 6 if microsecond else 0)
    return {
        _CALENDAR: ISO, _HOUR: value.hour, _MINUTE: value.minute, _SECOND: value.second,
        _MICROSECOND: (microsecond, precision),
    }  # fmt: skip


def _ordered(value: Any, module: Atom, default: Layout, values: dict[Atom, Any]) -> Struct:
    return (getattr(value, "_layout", None) or default).struct(module, values)


def _encode_date(value: date) -> Struct:
    return _ordered(value, DATE, _OF_DATE, _date_fields(value))


def _encode_time(value: time) -> Struct:
    if value.tzinfo is not None:
        raise EncodeError("a time with a zone has no form in Elixir; send a datetime or a naive time")
    return _ordered(value, TIME, _OF_TIME, _time_fields(value))


def _encode_datetime(value: datetime) -> Struct:
    fields = _date_fields(value) | _time_fields(value)
    if value.tzinfo is None:
        return _ordered(value, NAIVE, _OF_NAIVE, fields)
    zone = value.tzinfo if isinstance(value.tzinfo, Zone) else _zone_of(value)
    if zone is None:
        return _encode_datetime(value.astimezone(timezone.utc).replace(tzinfo=UTC))
    fields |= {
        _ZONE: zone.name.encode(), _ABBREVIATION: zone.abbreviation.encode(),
        _UTC: zone.utc_offset, _STD: zone.std_offset,
    }  # fmt: skip
    return _ordered(value, AWARE, _OF_AWARE, fields)


def _zone_of(value: datetime) -> Zone | None:
    """The zone of an aware datetime at its instant; `None` when it has no name that Elixir would know."""
    offset, summer = value.utcoffset(), value.dst() or timedelta()
    name = getattr(value.tzinfo, "key", None)
    if (
        offset is None
        or not isinstance(name, str)
        or (offset % timedelta(seconds=1))
        or (summer % timedelta(seconds=1))
    ):
        return None
    std = summer // timedelta(seconds=1)
    return Zone(name, value.tzname() or name, offset // timedelta(seconds=1) - std, std)


register_struct(DATE, _decoder(_make_date, _OF_DATE))
register_struct(TIME, _decoder(_make_time, _OF_TIME))
register_struct(NAIVE, _decoder(_make_naive, _OF_NAIVE))
register_struct(AWARE, _decoder(_make_aware, _OF_AWARE))
register_encoder(date, _encode_date)
register_encoder(time, _encode_time)
register_encoder(datetime, _encode_datetime)
