"""Typed terms: what a type encodes it decodes, and any term as any type gives a value of it or one documented error."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NamedTuple, TypedDict, get_args, get_origin
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyerlnode import etf
from pyerlnode.schema import AtomEnum, SchemaError, atom_map, decode_as, elixir_struct, record
from pyerlnode.term import A, Atom
from tests.helpers import hostile
from tests.property.test_etf import generously, terms

pytestmark = [
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
    pytest.mark.timeout(1800),  # the long profile
]


class Color(AtomEnum):
    red = A.red
    green = A.green


class Size(Enum):
    small = 1
    large = 2


class Place(NamedTuple):
    x: int
    y: float


class Options(TypedDict, total=False):
    depth: int
    names: list[str]


@elixir_struct("Shop.Item")
@dataclass
class Item:
    sku: str
    price: Decimal
    tags: list[Atom] = field(default_factory=list)


@record("row")
@dataclass
class Row:
    key: int
    value: bytes | None
    next: "Row | None" = None


@atom_map
@dataclass
class Order:
    items: list[Item]
    placed: datetime
    color: Color = Color.red


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
instants = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=timezone.utc))
items = st.builds(
    Item,
    text,
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4),
    st.lists(st.sampled_from([A.new, A.sale]), max_size=3),
)
rows = st.recursive(
    st.builds(Row, st.integers(), st.none() | st.binary(max_size=8)),
    lambda inner: st.builds(Row, st.integers(), st.none() | st.binary(max_size=8), inner),
    max_leaves=4,
)
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (str, text),
    (bytes, st.binary(max_size=10)),
    (Atom, st.sampled_from([A.ok, A.error])),
    (None, st.none()),
    (Color, st.sampled_from(list(Color))),
    (Size, st.sampled_from(list(Size))),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=3)),
    (date, st.dates(date(1, 1, 1), date(9999, 12, 31))),
    (time, st.times()),
    (datetime, instants),
    (Place, st.builds(Place, st.integers(), st.floats(allow_nan=False, allow_infinity=False))),
    (Item, items),
    (Row, rows),
    (Order, st.builds(Order, st.lists(items, max_size=2), instants, st.sampled_from(list(Color)))),
]
Typed = tuple[Any, st.SearchStrategy[Any]]
KEYS: list[Typed] = [pair for pair in LEAVES if pair[0] in (int, str, bytes, Color)]


def _around(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def listed(typed: Typed) -> Typed:
        return list[typed[0]], st.lists(typed[1], max_size=4)

    def optional(typed: Typed) -> Typed:
        wanted, values = typed
        return (wanted, values) if wanted is None else (wanted | None if isinstance(wanted, type) else wanted, values)

    def mapped(key: Typed, typed: Typed) -> Typed:
        return dict[key[0], typed[0]], st.dictionaries(key[1], typed[1], max_size=4)

    def paired(one: Typed, other: Typed) -> Typed:
        return tuple[one[0], other[0]], st.tuples(one[1], other[1])

    return st.one_of(
        inner.map(listed), inner.map(optional), st.builds(mapped, st.sampled_from(KEYS), inner),
        st.builds(paired, inner, inner),
    )  # fmt: skip


typed = st.recursive(st.sampled_from(LEAVES), _around, max_leaves=5)
ANY: list[Any] = [
    *(wanted for wanted, _ in LEAVES),
    Options, UUID, timedelta, list, dict, tuple, set[int], frozenset[bytes], list[Item], dict[str, Row | None],
    tuple[int, ...], tuple[Atom, str], int | str, Item | Row, Row | Place | int, Literal[1, "one", True], Any,
    dict[Color, list[Order]],
]  # fmt: skip


def belongs(value: Any, wanted: Any) -> bool:
    """Whether `value` is of the type, as far as its outside goes."""
    if wanted is Any or wanted is None:
        return wanted is Any or value is None
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if isinstance(wanted, type) and get_origin(wanted) is None:
        return isinstance(value, dict if wanted is Options else wanted)
    outer = get_origin(wanted)
    return isinstance(value, outer) if isinstance(outer, type) and outer.__module__ == "builtins" else True


def taken(term: Any, wanted: Any) -> tuple[Any, SchemaError | None]:
    """The value, or why there is none."""
    try:
        return decode_as(term, wanted), None
    except SchemaError as error:
        return None, error


@generously
@given(st.data())
def test_what_a_type_encodes_it_decodes(data: st.DataObject) -> None:
    wanted, values = data.draw(typed)
    value = data.draw(values)
    assert decode_as(etf.decode(etf.encode(value)), wanted) == value


@generously
@given(st.one_of(terms, hostile.terms()), st.sampled_from(ANY))
def test_any_term_is_a_value_of_the_type_or_a_schema_error_that_shows_nothing_of_it(term: Any, wanted: Any) -> None:
    value, error = taken(term, wanted)
    assert len(str(error)) < 2000 if error else belongs(value, wanted)


@generously
@given(st.binary(min_size=6, max_size=12).map(lambda secret: b"#" + secret.hex().encode()), st.sampled_from(ANY))
def test_an_error_never_shows_what_the_term_holds(secret: bytes, wanted: Any) -> None:
    shapes: list[Callable[[bytes], Any]] = [
        lambda s: s, lambda s: [s], lambda s: (s, s), lambda s: {s: s}, lambda s: {A.sku: s, A.price: s},
        lambda s: (A.row, s, 1, 2), lambda s: {A.items: [s], A.placed: s},
    ]  # fmt: skip
    for shape in shapes:
        _, error = taken(shape(secret), wanted)
        assert secret.decode() not in str(error)
