"""What `decode_as` takes and refuses, and that an error names the path and never the content."""

import enum
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, Union
from uuid import UUID

import pytest

from pyerlnode.errors import PeerError, SchemaError, UsageError
from pyerlnode.schema import AtomEnum, ElixirError, atom_map, decode_as, elixir_struct, record
from pyerlnode.term import A, Atom, Charlist, ImproperList, Pid, Struct, TermMap

ID = "123e4567-e89b-12d3-a456-426614174000"
PID = Pid(A["a@b"], 1, 0, 1)


class Level(AtomEnum):
    DEBUG = enum.auto()
    VERY_LOUD = "very-loud"


class Size(enum.Enum):
    SMALL = 1
    LARGE = "large"


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Options(TypedDict, total=False):
    name: str
    count: int


class Strict(TypedDict):
    name: str


@dataclass
class Plain:
    name: str
    tags: list[str] = field(default_factory=list)
    next: Optional["Plain"] = None


@record("user")
@dataclass(frozen=True)
class User:
    name: str
    age: int | None


@atom_map
@dataclass
class Order:
    from_: str
    valid: bool = field(metadata={"atom": "valid?"})
    user: User | None = None


@elixir_struct("Test.Decode.Car")
@dataclass
class Car:
    wheels: int
    owner: str | None = None


UserId = NewType("UserId", int)
ERROR = Struct(A["Elixir.RuntimeError"], {A.message: b"oops", A.__getitem__("__exception__"): True})

TAKEN: list[tuple[Any, Any, Any]] = [
    (str, b"\xc3\xa9", "é"),
    (bytes, b"\xff", b"\xff"),
    (int, 1 << 70, 1 << 70),
    (float, 1.5, 1.5),
    (float, 2, 2.0),
    (bool, True, True),
    (None, None, None),
    (None, A.undefined, None),
    (Any, [1], [1]),
    (object, (1,), (1,)),
    (Atom, A.ok, A.ok),
    (Pid, PID, PID),
    (Charlist, [97, 98], "ab"),
    (list[int], [1, 2], [1, 2]),
    (list, [1, b"x"], [1, b"x"]),
    (tuple[int, str], (1, b"a"), (1, "a")),
    (tuple[int, ...], (1, 2, 3), (1, 2, 3)),
    (tuple, (1, b"x"), (1, b"x")),
    (tuple[()], (), ()),
    (set[str], frozenset([b"a"]), {"a"}),
    (frozenset[int], [1, 1, 2], frozenset([1, 2])),
    (dict[str, int], {b"a": 1}, {"a": 1}),
    (dict[Atom, Any], [(A.a, 1), (A.b, 2), (A.a, 3)], {A.a: 1, A.b: 2}),
    (dict[float, str], TermMap([(1.5, b"a"), (2, b"b")]), {1.5: "a", 2.0: "b"}),
    (typing.Mapping[str, int], {b"a": 1}, {"a": 1}),
    (typing.Sequence[int], [1], [1]),
    (Optional[str], None, None),  # noqa: UP045  # the older spelling is a type of another kind
    (str | None, A.undefined, None),
    (Atom | None, A.undefined, A.undefined),
    (int | str, b"a", "a"),
    (Union[float, int], 1, 1),  # noqa: UP007
    (str | bytes, b"\xff", b"\xff"),
    (Literal["a", "b"], b"a", "a"),
    (Literal["a", "b"], A.b, "b"),
    (Literal[1, True, None], True, True),
    (Level, A.debug, Level.DEBUG),
    (Level, A["very-loud"], Level.VERY_LOUD),
    (Size, 1, Size.SMALL),
    (Size, b"large", Size.LARGE),
    (Size, A.large, Size.LARGE),
    (date, (2020, 2, 29), date(2020, 2, 29)),
    (date, b"2020-02-29", date(2020, 2, 29)),
    (time, (1, 2, 3), time(1, 2, 3)),
    (datetime, ((2020, 2, 29), (1, 2, 3)), datetime(2020, 2, 29, 1, 2, 3)),
    (Decimal, 5, Decimal(5)),
    (Decimal, b"1.50", Decimal("1.50")),
    (UUID, ID.encode(), UUID(ID)),
    (UUID, UUID(ID).bytes, UUID(ID)),
    (Point, (1, 2), Point(1, 2.0)),
    (Options, {A.name: b"x", A.other: 1}, {"name": "x"}),
    (Options, {b"count": 3}, {"count": 3}),
    (Plain, {A.name: b"x", A.next: {b"name": b"y", b"tags": [b"t"]}}, Plain("x", [], Plain("y", ["t"]))),
    (Plain, Struct(A["Elixir.P"], {A.name: b"x"}), Plain("x")),
    (User, (A.user, b"Ann", A.undefined), User("Ann", None)),
    (Order, {A["from"]: b"x", A["valid?"]: True, A.user: (A.user, b"A", 1)}, Order("x", True, User("A", 1))),
    (Car, Struct(A["Elixir.Test.Decode.Car"], {A.wheels: 4}), Car(4)),
    (Car, Car(3), Car(3)),
    (UserId, 7, 7),
    (Annotated[int, "positive"], 7, 7),
]


@pytest.mark.parametrize(("wanted", "term", "value"), TAKEN)
def test_a_term_becomes_a_value_of_the_type(wanted: Any, term: Any, value: Any) -> None:
    decoded = decode_as(term, wanted)
    assert decoded == value
    assert type(decoded) is type(value) or isinstance(decoded, str)


REFUSED: list[tuple[Any, Any, str, str]] = [
    (str, [97], "expected str (a UTF-8 binary; a charlist decodes as Charlist), got a list", ""),
    (str, b"\xff", "expected str (a UTF-8 binary), got a binary that is not UTF-8", ""),
    (str, A.a, "expected str (a UTF-8 binary), got an atom", ""),
    (int, True, "expected int, got a boolean", ""),
    (int, 1.0, "expected int, got a float", ""),
    (bool, 1, "expected bool, got an integer", ""),
    (float, 10**400, "expected float, got an integer beyond 1.8e308", ""),
    (bytes, A.a, "expected bytes, got an atom", ""),
    (None, A.other, "expected None (nil or undefined), got an atom", ""),
    (Pid, 1, "expected Pid, got an integer", ""),
    (list[int], (1,), "expected list, got a tuple of 1", ""),
    (list[int], [1, b"x"], "expected int, got a binary", "[1]"),
    (tuple[int, int], (1,), "expected tuple of 2, got a tuple of 1", ""),
    (tuple[int, int], (1, A.a), "expected int, got an atom", "[1]"),
    (dict[Atom, list[int]], {A.a: [1, 2.0]}, "expected int, got a float", "[A.a][1]"),
    (dict[str, int], {A.a: 1}, "expected str (a UTF-8 binary), got an atom", ".key(A.a)"),
    (set[int], {A.a: 1}, "expected set (a MapSet), got a map", ""),
    (str | None, 1, "expected str (a UTF-8 binary) or None, got an integer", ""),
    (int | str, 1.5, "expected int or str (a UTF-8 binary), got a float", ""),
    (list[int] | int, [1, b""], "expected int, got a binary", "[1]"),
    (Literal["a", 1], b"c", "expected one of 'a', 1, got another one", ""),
    (Level, A.info, "expected Level (one of debug, very-loud), got another atom", ""),
    (Size, True, "expected Size (one of 1, large), got a boolean", ""),
    (date, (2020, 2, 30), "expected date (Elixir's, Erlang's tuple or ISO 8601), got a tuple of 3", ""),
    (date, b"soon", "expected date, got a binary that is no ISO 8601", ""),
    (Decimal, 1.5, "expected Decimal, got a float", ""),
    (UUID, b"x", "expected UUID (36 characters or 16 bytes), got a binary", ""),
    (Point, (1, 2, 3), "expected Point (a tuple of 2), got a tuple of 3", ""),
    (Strict, {}, "expected a key name, got none", ""),
    (Options, {A.count: b"x"}, "expected int, got a binary", "['count']"),
    (Plain, {}, "expected a field name, got none", ".name"),
    (Plain, {A.name: b"x", A.next: {A.name: 1}}, "expected str (a UTF-8 binary), got an integer", ".next.name"),
    (User, (A.person, b"x", 1), "expected User (a record {user, …} of 3), got a tuple of 3", ""),
    (User, (A.user, b"x", 1.0), "expected int or None, got a float", "[2]"),
    (Order, {A["from"]: b"x"}, "expected a field valid?, got none", ".valid"),
    (Car, Struct(A["Elixir.Bike"], {}), "expected Car (a %Test.Decode.Car{}), got %Bike{}", ""),
    (ElixirError, 1, "expected ElixirError (an exception of Elixir), got an integer", ""),
    (
        dict,
        TermMap([(1, b"a"), (1.0, b"b")]),
        "expected dict of distinct keys, got a map with keys that Python holds equal",
        "",
    ),
    (list[int], ImproperList((1,), 2), "expected list, got an improper list", ""),
]


@pytest.mark.parametrize(("wanted", "term", "message", "path"), REFUSED)
def test_another_term_is_refused_with_the_path_and_what_was_expected(
    wanted: Any, term: Any, message: str, path: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        decode_as(term, wanted)
    assert str(caught.value) == message + (f" (at term{path})" if path else "")
    assert caught.value.path == path


def test_a_schema_error_is_the_peers_and_the_callers() -> None:
    assert issubclass(SchemaError, (PeerError, UsageError))
    assert issubclass(SchemaError, UsageError)


def test_an_error_holds_nothing_of_the_content() -> None:
    with pytest.raises(SchemaError) as caught:
        decode_as({b"secret": b"also secret"}, dict[str, int])
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("wanted", [Callable[[int], int], 5, "int"])
def test_what_is_no_type_of_terms_is_the_callers_error(wanted: Any) -> None:
    with pytest.raises((UsageError, SchemaError)):
        decode_as(1, wanted)


def test_a_constructor_that_refuses_is_a_schema_error() -> None:
    @atom_map
    @dataclass
    class Positive:
        n: int

        def __post_init__(self) -> None:
            if self.n < 0:
                raise ValueError(f"not {self.n}")

    with pytest.raises(SchemaError, match=r"expected what Positive accepts, got ValueError from its constructor"):
        decode_as({A.n: -1}, Positive)


def test_a_decorator_needs_a_dataclass() -> None:
    with pytest.raises(UsageError, match="is not a dataclass"):

        @elixir_struct("Test.NotOne")
        class NotOne: ...


def test_a_term_nested_beyond_a_recursive_type_is_refused() -> None:
    term: dict[Any, Any] = {A.name: b"x"}
    for _ in range(100_000):
        term = {A.name: b"x", A.next: term}
    with pytest.raises(SchemaError, match="nested deeper"):
        decode_as(term, Plain)


def test_an_exception_of_elixir_becomes_an_elixir_error() -> None:
    error = decode_as(ERROR, ElixirError)
    assert str(error) == "RuntimeError: oops"
    assert error.struct is ERROR
    assert error.module is A["Elixir.RuntimeError"]


def test_an_annotation_that_names_nothing_is_told_at_the_first_term() -> None:
    @dataclass
    class Ahead:
        name: "NoSuchClass"  # type: ignore[name-defined]  # noqa: F821  # that is the test

    with pytest.raises(UsageError, match=r"an annotation of Ahead names what its module does not have: .*NoSuchClass"):
        decode_as({A.name: 1}, Ahead)
    with pytest.raises(UsageError, match="no term is of the type 'int'; give the class itself"):
        decode_as(1, "int")


def test_keys_that_are_binaries_are_told_where_atoms_are_expected() -> None:
    @atom_map
    @dataclass
    class Order:
        sku: str

    with pytest.raises(SchemaError, match=r"expected a field sku, got one whose name is a binary, no atom"):
        decode_as({b"sku": b"tea"}, Order)


def test_a_union_names_each_member_once() -> None:
    with pytest.raises(SchemaError, match=r"expected int or str \(a UTF-8 binary\) or None \(nil or undefined\), got"):
        decode_as(1.5, int | str | None)


@pytest.mark.parametrize("decorator", [elixir_struct, record])
def test_a_decorator_without_its_name_says_how_it_is_written(decorator: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match=r'takes the name on the BEAM, as in @\w+\("name"\)'):
        decorator(Plain)
