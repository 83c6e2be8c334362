"""Elixir's other built-in structs: `MapSet`, `Range`, `Decimal` and exceptions.

The law: what is decoded encodes to the same bytes, so what Python's types do not carry is kept beside them, and what
they can not hold stays a `Struct`: a set in which Python finds two elements equal (1, 1.0 and true), a decimal beyond
Python's exponents.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from pyerlnode.errors import EncodeError, Error, PyerlnodeError
from pyerlnode.schema.layout import Layout, layout, layout_of
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Range, Struct, freeze
from pyerlnode.term.hooks import register_encoder, register_struct
from pyerlnode.term.text.print import format_integer
from pyerlnode.term.view import core_range

MAP_SET, RANGE, DECIMAL = A["Elixir.MapSet"], A["Elixir.Range"], A["Elixir.Decimal"]
_MAP, _EXCEPTION, _MESSAGE = Atom("map"), Atom("__exception__"), Atom("message")
_FIRST, _LAST, _STEP = Atom("first"), Atom("last"), Atom("step")
_COEF, _EXP, _SIGN = Atom("coef"), Atom("exp"), Atom("sign")
_NAN, _INF = Atom("NaN"), Atom("inf")


class MapSet(frozenset[Any]):
    """``%MapSet{}``: a frozenset of frozen elements, in the shape of the release that made it.

    Elixir 1.14 keeps a ``version`` beside the elements, later ones do not; sets of two shapes are not ``==`` there.
    ``MapSet(items, like=peer.struct("MapSet"))`` takes the peer's shape; without it the newer one is made.
    """

    __slots__ = ("_shape",)
    _shape: Struct | None

    def __new__(cls, items: Iterable[Any] = (), like: Struct | None = None) -> MapSet:
        made = super().__new__(cls, [freeze(item) for item in items])
        made._shape = like
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return MapSet, (list(self), self._shape)


def _decode_set(struct: Struct) -> Any:
    elements = struct.fields.get(_MAP)
    if not isinstance(elements, dict) or not all(value == [] and type(value) is list for value in elements.values()):
        return struct
    try:
        made = MapSet(elements, struct)
    except PyerlnodeError:
        return struct
    return made if len(made) == len(elements) else struct


def _encode_set(value: Any) -> Struct:
    shape: Struct | None = getattr(value, "_shape", None)
    if shape is None:
        return Struct(MAP_SET, {_MAP: {freeze(item): [] for item in value}})
    elements = shape.fields.get(_MAP)
    if isinstance(elements, dict) and elements.keys() == value:
        return shape  # in the order it came in
    return Struct(MAP_SET, {**shape.fields, _MAP: {item: [] for item in value}}, shape.at)


class _Range(Range):
    """A range that came from a peer, with the order of its fields."""

    __slots__ = ("_layout",)
    _layout: Layout


_OF_RANGE = layout("first", "last", "step")
_RANGE_KEYS = frozenset(_OF_RANGE.keys)


def _decode_range(struct: Struct) -> Any:
    values = struct.fields
    if values.keys() != _RANGE_KEYS or any(type(value) is not int for value in values.values()) or not values[_STEP]:
        return struct
    made = _Range(values[_FIRST], values[_LAST], values[_STEP])
    made._layout = layout_of(struct)
    return made


def _encode_range(value: Range | range) -> Struct:
    struct = core_range(value)
    return value._layout.struct(RANGE, struct.fields) if type(value) is _Range else struct


class _Decimal(Decimal):
    """A decimal that came from a peer with its fields in another order than Python would write them."""

    __slots__ = ("_layout",)
    _layout: Layout


_OF_DECIMAL = layout("coef", "exp", "sign")
_DECIMAL_KEYS = frozenset(_OF_DECIMAL.keys)
MAX_EXPONENT = 10**17


def _decode_decimal(struct: Struct) -> Any:
    values = struct.fields
    if values.keys() != _DECIMAL_KEYS or values[_SIGN] not in (1, -1) or type(values[_SIGN]) is not int:
        return struct
    text = _decimal_text(values[_COEF], values[_EXP])
    if text is None:
        return struct
    order = layout_of(struct)
    try:
        made = (Decimal if order == _OF_DECIMAL else _Decimal)(("-" if values[_SIGN] < 0 else "") + text)
    except (InvalidOperation, ValueError):
        return struct
    if type(made) is _Decimal:
        made._layout = order
    return made


def _decimal_text(coefficient: Any, exponent: Any) -> str | None:
    if coefficient in (_NAN, _INF):
        return "NaN" if coefficient is _NAN and exponent == 0 else "Infinity" if exponent == 0 else None
    if type(coefficient) is not int or type(exponent) is not int or coefficient < 0 or abs(exponent) > MAX_EXPONENT:
        return None
    return f"{format_integer(coefficient)}E{exponent}"


def _encode_decimal(value: Decimal) -> Struct:
    sign, digits, exponent = value.as_tuple()
    coefficient: Any
    if value.is_nan():
        if value.is_snan() or digits:
            raise EncodeError("a signalling or numbered NaN has no form in Elixir")
        coefficient, exponent = _NAN, 0
    elif value.is_infinite():
        coefficient, exponent = _INF, 0
    else:
        coefficient = int(Decimal((0, digits, 0)))
    values = {_COEF: coefficient, _EXP: exponent, _SIGN: -1 if sign else 1}
    return getattr(value, "_layout", _OF_DECIMAL).struct(DECIMAL, values)


class ElixirError(Error):
    """An exception of Elixir: `struct` as it came, `module` its name, the text its message where it carries one.

    Raised in a process it is what ``raise`` is in Elixir. Many exceptions compute their message on their own node; ask
    it by ``Exception.message/1``.
    """

    def __init__(self, struct: Struct) -> None:
        message = struct.fields.get(_MESSAGE)
        text = message.decode(errors="replace") if isinstance(message, bytes) else ""
        name = struct.module.name.removeprefix("Elixir.")
        super().__init__(struct, message=f"{name}: {text}" if text else name)
        self.struct = struct

    @property
    def module(self) -> Atom:
        return self.struct.module

    def __reduce__(self) -> tuple[Any, ...]:
        return ElixirError, (self.struct,)


def is_exception(term: Any) -> bool:
    """Whether `term` is an exception of Elixir: a struct with ``__exception__: true``."""
    return type(term) is Struct and term.fields.get(_EXCEPTION) is True


register_struct(MAP_SET, _decode_set)
register_struct(RANGE, _decode_range)
register_struct(DECIMAL, _decode_decimal)
register_encoder(set, _encode_set)
register_encoder(frozenset, _encode_set)
register_encoder(Range, _encode_range)
register_encoder(range, _encode_range)
register_encoder(Decimal, _encode_decimal)
register_encoder(ElixirError, lambda error: error.struct)
register_encoder(UUID, str)
