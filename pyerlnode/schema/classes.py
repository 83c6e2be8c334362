"""Decorators that give a dataclass a form as a term: `elixir_struct`, `record`, `atom_map`.

    >>> from dataclasses import dataclass
    >>> from pyerlnode.etf import decode, encode
    >>> from pyerlnode.schema import decode_as, elixir_struct, record
    >>> @elixir_struct("MyApp.User")
    ... @dataclass
    ... class User:
    ...     name: str
    ...     age: int | None = None
    >>> decode(encode(User("Ann", 40)))
    User(name='Ann', age=40)
    >>> @record("point")
    ... @dataclass
    ... class Point:
    ...     x: float
    ...     y: float
    >>> decode_as(decode(encode(Point(1.0, 2.0))), Point)
    Point(x=1.0, y=2.0)

The law: encoding what was decoded gives the same bytes. A struct of a registered module becomes an instance as it
arrives when nothing is lost by it: every field is there and decodes exactly; else it stays a `Struct`, which
`decode_as` may still take. Fields that the class does not know travel with the instance (not with ``slots=True``).
Records and maps look like other tuples and maps, so they become instances only by `decode_as`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, TypeVar

from pyerlnode.errors import UsageError
from pyerlnode.schema.decode import decoder_of
from pyerlnode.schema.forms import FORM, LAYOUT, FieldSpec, Form, Mismatch, fields_of
from pyerlnode.schema.objects import Kept
from pyerlnode.schema.scalars import AtomEnum
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Struct
from pyerlnode.term.hooks import register_encoder, register_struct

_C = TypeVar("_C", bound=type)


def elixir_struct(module: str) -> Callable[[_C], _C]:
    """The dataclass is ``%module{}`` (``"MyApp.User"``), sent as one and made from one that arrives.

    Raises `UsageError` when the class is no dataclass. A later class of the same module replaces an earlier one.
    """
    _check_name("elixir_struct", module)
    tag = Atom(module if module.startswith("Elixir.") else "Elixir." + module)

    def decorate(cls: _C) -> _C:
        fields = _mark(cls, Form("struct", tag))
        register_encoder(cls, lambda value: _struct(value, tag, fields))
        decode = decoder_of(cls, True)

        def arriving(struct: Struct) -> Any:
            try:
                return decode(struct)
            except (Mismatch, RecursionError):
                return struct
            except Exception:  # the class's own code (a __post_init__, an annotation); a peer must not see it
                return struct

        register_struct(tag, arriving)
        return cls

    return decorate


def record(tag: str) -> Callable[[_C], _C]:
    """The dataclass is an Erlang record: the tuple ``{tag, Field1, …}``."""
    _check_name("record", tag)
    atom = Atom(tag)

    def decorate(cls: _C) -> _C:
        names = [spec.name for spec in _mark(cls, Form("record", atom))]
        register_encoder(cls, lambda value: (atom, *[getattr(value, name) for name in names]))
        return cls

    return decorate


def atom_map(cls: _C) -> _C:
    """The dataclass is a map whose keys are its fields' names as atoms."""
    fields = _mark(cls, Form("map"))
    register_encoder(cls, lambda value: _map(value, fields))
    return cls


def _check_name(decorator: str, name: Any) -> None:
    if not isinstance(name, str):
        raise UsageError(f'@{decorator} takes the name on the BEAM, as in @{decorator}("name")')


def _mark(cls: type, form: Form) -> list[FieldSpec]:
    fields = fields_of(cls)
    setattr(cls, FORM, form)
    if form.kind != "record" and len({spec.atom for spec in fields}) != len(fields):
        raise UsageError(f"{cls.__name__} has two fields of one name")
    return fields


def _values(value: Any, fields: list[FieldSpec]) -> dict[Any, Any]:
    return {spec.atom: getattr(value, spec.name) for spec in fields}


def _kept(value: Any) -> Kept | None:
    return getattr(value, "__dict__", {}).get(LAYOUT)


def _struct(value: Any, tag: Atom, fields: list[FieldSpec]) -> Struct:
    values, kept = _values(value, fields), _kept(value)
    return Struct(tag, values) if kept is None else kept.layout.struct(tag, values | kept.extra)


def _map(value: Any, fields: list[FieldSpec]) -> dict[Any, Any]:
    values, kept = _values(value, fields), _kept(value)
    return values if kept is None else dict(kept.layout.struct(Atom(""), values | kept.extra).fields)


register_encoder(enum.Enum, lambda member: member.value)
register_encoder(AtomEnum, lambda member: member.atom)
