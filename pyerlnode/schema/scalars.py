"""Decoders of the types that hold no other terms: text, numbers, identifiers, enums, literals, dates.

Each is a function from a term to a value that raises `Mismatch`. There are two of most: the strict one takes only
what encodes back to the same bytes, and serves structs that are decoded as they arrive; the lenient one, for
`decode_as`, also takes what can mean nothing else (an integer for a float, ISO text for a date).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from pyerlnode.errors import UsageError
from pyerlnode.schema.elixir import ElixirError, is_exception
from pyerlnode.schema.forms import Mismatch
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Charlist, charlist_to_str

Decoder = Callable[[Any], Any]

UNDEFINED = A.undefined


class AtomEnum(enum.Enum):
    """An enum whose members are atoms on the BEAM, by their values.

    >>> class Level(AtomEnum):
    ...     DEBUG = "debug"
    ...     INFO = "info"

    ``Level.INFO`` encodes to ``info``; ``decode_as(A.info, Level)`` is ``Level.INFO``. With `enum.auto` the value is
    the name in lower case.
    """

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[Any]) -> str:  # noqa: ARG004
        return name.lower()

    @property
    def atom(self) -> Any:
        """The atom that stands for the member."""
        return A[str(self.value)]


def _text(term: Any) -> str:
    if isinstance(term, bytes):
        try:
            return term.decode()
        except UnicodeDecodeError:
            raise Mismatch("str (a UTF-8 binary)", got="a binary that is not UTF-8") from None
    if type(term) is str:
        return term
    hint = "; a charlist decodes as Charlist" if isinstance(term, list) else ""
    raise Mismatch(f"str (a UTF-8 binary{hint})", term)


def _charlist(term: Any) -> Charlist:
    if isinstance(term, list) and all(type(char) is int for char in term):
        try:
            return Charlist(charlist_to_str(term))
        except UsageError:
            pass
    raise Mismatch("Charlist (a list of code points)", term)


def _int(term: Any) -> int:
    if type(term) is int:
        return term
    raise Mismatch("int", term)


def _float(term: Any) -> float:
    if type(term) is float:
        return term
    if type(term) is int:
        try:
            return float(term)
        except OverflowError:
            raise Mismatch("float", got="an integer beyond 1.8e308") from None
    raise Mismatch("float", term)


def _none(term: Any) -> None:
    if term is None or term is UNDEFINED:
        return
    raise Mismatch("None (nil or undefined)", term)


def _decimal(term: Any) -> Decimal:
    if isinstance(term, Decimal):
        return term
    if type(term) is int:
        return Decimal(term)
    if isinstance(term, bytes):
        try:
            return Decimal(term.decode("ascii"))
        except (InvalidOperation, UnicodeDecodeError):
            raise Mismatch("Decimal", got="a binary that is no number") from None
    raise Mismatch("Decimal", term)


def _uuid(term: Any) -> UUID:
    if isinstance(term, bytes):
        try:
            return UUID(bytes=term) if len(term) == 16 else UUID(term.decode("ascii"))
        except ValueError:
            pass
    raise Mismatch("UUID (36 characters or 16 bytes)", term)


def _uuid_strict(term: Any) -> UUID:
    found = _uuid(term)
    if str(found).encode() != term:
        raise Mismatch("UUID (36 characters)", term)
    return found


def _iso(kind: type, term: bytes) -> Any:
    try:
        return kind.fromisoformat(term.decode("ascii"))  # type: ignore[attr-defined]  # date, time and datetime have it
    except ValueError:
        raise Mismatch(kind.__name__, got="a binary that is no ISO 8601") from None


def _calendar(kind: type, make: Callable[[tuple[Any, ...]], Any]) -> Decoder:
    def decode(term: Any) -> Any:
        if isinstance(term, kind) and (kind is not date or not isinstance(term, datetime)):
            return term
        if isinstance(term, bytes):
            return _iso(kind, term)
        if type(term) is tuple:
            try:
                return make(term)
            except (TypeError, ValueError):
                pass
        raise Mismatch(f"{kind.__name__} (Elixir's, Erlang's tuple or ISO 8601)", term)

    return decode


def _numbers(term: tuple[Any, ...], size: int) -> tuple[int, ...]:
    if len(term) != size or any(type(part) is not int for part in term):
        raise ValueError
    return term


def _datetime(term: tuple[Any, ...]) -> datetime:
    day, clock = term
    return datetime(*_numbers(day, 3), *_numbers(clock, 3))  # type: ignore[arg-type]  # six numbers


def _time(term: tuple[Any, ...]) -> time:
    hour, minute, second = _numbers(term, 3)
    return time(hour, minute, second)


def _error(term: Any) -> ElixirError:
    if is_exception(term):
        return ElixirError(term)
    raise Mismatch("ElixirError (an exception of Elixir)", term)


STRICT: dict[Any, Decoder] = {
    str: _text,
    int: _int,
    Charlist: _charlist,
    UUID: _uuid_strict,
    ElixirError: _error,
}
LENIENT: dict[Any, Decoder] = {
    **STRICT,
    float: _float,
    type(None): _none,
    Decimal: _decimal,
    UUID: _uuid,
    date: _calendar(date, lambda term: date(*_numbers(term, 3))),
    time: _calendar(time, _time),
    datetime: _calendar(datetime, _datetime),
}


def exactly(kind: type) -> Decoder:
    """The decoder of a type whose values decode to it already."""
    name = kind.__name__
    if kind in (bool, float, bytes, type(None), Atom):  # nothing else is one of these
        name = "None (nil)" if kind is type(None) else name

        def decode_exact(term: Any) -> Any:
            if type(term) is kind:
                return term
            raise Mismatch(name, term)

        return decode_exact

    def decode(term: Any) -> Any:
        if isinstance(term, kind) and type(term) is not bool:
            return term
        raise Mismatch(name, term)

    return decode


def enum_decoder(kind: type[enum.Enum], strict: bool) -> Decoder:
    """Members by their values; a text value is a binary, and unless `strict` an atom too."""
    members: dict[Any, enum.Enum] = {}
    for member in kind:
        if isinstance(member, AtomEnum):
            members[member.atom] = member
            continue
        value = member.value
        members[_key(value.encode() if isinstance(value, str) else value)] = member
        if isinstance(value, str) and not strict:
            members[A[value]] = member
    names = ", ".join(str(member.value) for member in kind)

    def decode(term: Any) -> Any:
        try:
            found = members.get(_key(term))
        except TypeError:
            found = None
        if found is None:
            if type(term) is kind:
                return term
            raise Mismatch(
                f"{kind.__name__} (one of {names})", term, got=None if type(term) is not Atom else "another atom"
            )
        return found

    return decode


def literal_decoder(values: tuple[Any, ...], strict: bool) -> Decoder:
    """One of some values; text as in `enum_decoder`."""
    table: dict[Any, Any] = {}
    for value in values:
        table[_key(value.encode() if isinstance(value, str) else value)] = value
        if isinstance(value, str) and not strict:
            table.setdefault(A[value], value)
        if isinstance(value, AtomEnum):
            table[value.atom] = value
    wanted = "one of " + ", ".join(map(repr, values))
    missing = object()

    def decode(term: Any) -> Any:
        try:
            found = table.get(_key(term), missing)
        except TypeError:
            found = missing
        if found is missing:
            raise Mismatch(wanted, term, got="another one" if isinstance(term, (bytes, int, Atom)) else None)
        return found

    return decode


def _key(value: Any) -> Any:
    """1, 1.0 and True are three values."""
    return (type(value), value) if isinstance(value, (int, float)) else value
