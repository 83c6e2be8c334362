"""How a dataclass looks as a term, and the errors of decoding into one.

A decorated class carries its `Form` in ``__term_form__``. A field's name on the BEAM is its Python name without a
trailing underscore (``from_`` is ``from``), or what ``field(metadata={"atom": "ok?"})`` says.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Literal, NamedTuple

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Bitstring, ImproperList, NativeRecord, Struct
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.pid import Pid, Port, Reference

Kind = Literal["struct", "record", "map", "plain"]
FORM = "__term_form__"
LAYOUT = "_term_layout"
"""Where an instance that came from a peer keeps the order of its fields and the fields that its class does not know."""


class Form(NamedTuple):
    """`kind` of term, and its `tag`: the module of a struct, the first element of a record."""

    kind: Kind
    tag: Atom | None = None


class FieldSpec(NamedTuple):
    """A field of a dataclass: its names in Python and on the BEAM, whether it may be absent, and is for `__init__`."""

    name: str
    atom: Atom
    optional: bool
    init: bool


def form_of(cls: type) -> Form:
    """The form of a dataclass itself (it is not inherited); "plain" when it was not decorated."""
    form = cls.__dict__.get(FORM)
    return form if isinstance(form, Form) else Form("plain")


def fields_of(cls: type) -> list[FieldSpec]:
    """The fields of a dataclass in their order. Raises `UsageError` when `cls` is none."""
    if not dataclasses.is_dataclass(cls):
        raise UsageError(f"{cls.__name__} is not a dataclass; put @dataclass below the decorator")
    return [
        FieldSpec(
            field.name,
            Atom(field.metadata.get("atom") or field.name.rstrip("_") or field.name),
            field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING,
            field.init,
        )
        for field in dataclasses.fields(cls)
    ]


def hints_of(cls: type) -> dict[str, Any]:
    """The annotations of a class. Raises `UsageError` when one names what is not there."""
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise UsageError(f"an annotation of {cls.__name__} names what its module does not have: {error}") from None


class Mismatch(Exception):
    """Inside the room: a term is not what was expected. The path is filled in, from the inside out, as it rises."""

    def __init__(self, wanted: str, term: Any = None, got: str | None = None) -> None:
        super().__init__()
        self.wanted = wanted
        self.got = got or kind_of(term)
        self.path: list[str] = []

    def within(self, step: str) -> Mismatch:
        self.path.append(step)
        return self

    @property
    def where(self) -> str:
        return "".join(reversed(self.path))


_KINDS: dict[type, str] = {
    Atom: "an atom", bool: "a boolean", type(None): "nil", int: "an integer", float: "a float", bytes: "a binary",
    str: "text", list: "a list", dict: "a map", Pid: "a pid", Port: "a port", Reference: "a reference",
    Bitstring: "a bit string", ImproperList: "an improper list", ExternalFun: "a function", Fun: "a function",
    NativeRecord: "a native record",
}  # fmt: skip


def kind_of(term: Any) -> str:
    """What a term is, in words and without its content."""
    if type(term) is Struct:
        return f"%{term.module.name.removeprefix('Elixir.')}{{}}"
    if isinstance(term, tuple):
        return f"a tuple of {len(term)}"
    for base in type(term).__mro__:
        if base in _KINDS:
            return _KINDS[base]
    return type(term).__name__
