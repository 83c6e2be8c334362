"""Decoders of types with named fields: dataclasses, `NamedTuple`, `TypedDict`.

A decorated dataclass takes its own form: a struct of its module, a record with its tag, a map of atoms. Any other one,
and a `TypedDict`, takes a map whose keys are the names as atoms or as text. Fields that the class does not know are
kept beside an instance that has a ``__dict__``, and dropped from one with slots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyerlnode.schema.forms import LAYOUT, FieldSpec, Form, Mismatch, fields_of, form_of, hints_of
from pyerlnode.schema.layout import Layout, layout_of
from pyerlnode.schema.scalars import Decoder
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Struct

DecoderOf = Callable[[Any, bool], Decoder]
_MISSING = object()


class Kept:
    """What an instance keeps of the struct or map that it was: the order, and the fields its class does not have."""

    __slots__ = ("extra", "layout")

    def __init__(self, layout: Layout, extra: dict[Any, Any]) -> None:
        self.layout = layout
        self.extra = extra


class _Class:
    """The compiled form of a dataclass; its annotations are read when the first term comes."""

    def __init__(self, cls: type, strict: bool, decoder_of: DecoderOf) -> None:
        self.cls = cls
        self.strict = strict
        self.decoder_of = decoder_of
        self.form: Form = form_of(cls)
        self.fields: list[tuple[FieldSpec, Decoder]] | None = None

    def compiled(self) -> list[tuple[FieldSpec, Decoder]]:
        if self.fields is None:
            hints = hints_of(self.cls)
            self.fields = [(spec, self.decoder_of(hints[spec.name], self.strict)) for spec in fields_of(self.cls)]
            self.names = {spec.atom for spec, _ in self.fields}
            self.order = tuple(spec.atom for spec, _ in self.fields)
        return self.fields

    def __call__(self, term: Any) -> Any:
        if isinstance(term, self.cls):
            return term
        fields = self.fields if self.fields is not None else self.compiled()
        if self.form.kind == "record":
            return self.record(term, fields)
        if self.form.kind == "struct":
            if type(term) is not Struct or term.module is not self.form.tag:
                raise Mismatch(f"{self.cls.__name__} (a %{str(self.form.tag).removeprefix('Elixir.')}{{}})", term)
            return self.keeping(term.fields, fields, layout_of(term))
        if type(term) is Struct and not self.strict:
            term = term.fields
        if not isinstance(term, Mapping):
            raise Mismatch(f"{self.cls.__name__} (a map)", term)
        if self.form.kind == "map":
            return self.keeping(term, fields, Layout(tuple(term), 0))
        if self.strict:
            raise Mismatch(f"{self.cls.__name__}, which has no form as a term", term)
        return self.build(self.values(term, fields))

    def record(self, term: Any, fields: list[tuple[FieldSpec, Decoder]]) -> Any:
        tag = self.form.tag
        if not isinstance(term, tuple) or len(term) != len(fields) + 1 or term[0] is not tag:
            raise Mismatch(f"{self.cls.__name__} (a record {{{tag}, …}} of {len(fields) + 1})", term)
        values: dict[str, Any] = {}
        try:
            for spec, decode in fields:
                values[spec.name] = decode(term[len(values) + 1])
        except Mismatch as error:
            raise error.within(f"[{len(values) + 1}]") from None
        return self.build(values)

    def values(self, term: Mapping[Any, Any], fields: list[tuple[FieldSpec, Decoder]]) -> dict[str, Any]:
        found = {}
        name = ""
        try:
            for spec, decode in fields:
                name = spec.name
                item = term.get(spec.atom, _MISSING)
                if item is _MISSING and self.form.kind == "plain":
                    item = term.get(spec.atom.utf8, _MISSING)
                if item is not _MISSING:
                    found[name] = decode(item)
                elif not spec.optional or self.strict:
                    got = "one whose name is a binary, no atom" if spec.atom.utf8 in term else "none"
                    raise Mismatch(f"a field {spec.atom}", got=got)
        except Mismatch as error:
            raise error.within(f".{name}") from None
        return found

    def keeping(self, term: Mapping[Any, Any], fields: list[tuple[FieldSpec, Decoder]], layout: Layout) -> Any:
        """An instance that encodes to the order of `term`, with the fields of it that its class does not have."""
        extra = {} if len(term) == len(fields) else {key: term[key] for key in term if key not in self.names}
        made = self.build(self.values(term, fields))
        if extra or layout.at or layout.keys != self.order:
            if hasattr(made, "__dict__"):
                made.__dict__[LAYOUT] = Kept(layout, extra)
            elif self.strict:
                raise Mismatch(
                    f"{self.cls.__name__} as it is declared (it has slots)", got="other fields or another order"
                )
        return made

    def build(self, values: dict[str, Any]) -> Any:
        late = [spec.name for spec, _ in self.compiled() if not spec.init and spec.name in values]
        try:
            made = self.cls(**{name: value for name, value in values.items() if name not in late})
        except (ValueError, TypeError) as error:
            raise Mismatch(
                f"what {self.cls.__name__} accepts", got=f"{type(error).__name__} from its constructor"
            ) from error
        for name in late:
            object.__setattr__(made, name, values[name])
        return made


def dataclass_decoder(cls: type, strict: bool, decoder_of: DecoderOf) -> Decoder:
    fields_of(cls)  # an unusable class is an error where it is named, not at its first term
    return _Class(cls, strict, decoder_of)


def namedtuple_decoder(cls: type, strict: bool, decoder_of: DecoderOf) -> Decoder:
    """A tuple of as many elements as the NamedTuple has fields."""
    names: tuple[str, ...] = cls._fields  # type: ignore[attr-defined]  # what makes a class a NamedTuple
    decoders: list[Decoder] = []

    def decode(term: Any) -> Any:
        if not isinstance(term, tuple) or len(term) != len(names):
            raise Mismatch(f"{cls.__name__} (a tuple of {len(names)})", term)
        if not decoders and names:
            hints = hints_of(cls)
            decoders.extend(decoder_of(hints.get(name, Any), strict) for name in names)
        made: list[Any] = []
        try:
            for each, item in zip(decoders, term, strict=True):
                made.append(each(item))
        except Mismatch as error:
            raise error.within(f"[{len(made)}]") from None
        return cls(*made)

    return decode


def typeddict_decoder(cls: Any, strict: bool, decoder_of: DecoderOf) -> Decoder:
    """A map whose keys are the names as atoms or text; a dict of text keys. What it does not name is left out."""
    required: frozenset[str] = cls.__required_keys__
    decoders: dict[str, tuple[Atom, Decoder]] = {}

    def decode(term: Any) -> Any:
        if strict or not isinstance(term, Mapping):
            raise Mismatch(f"{cls.__name__} (a map)", term)
        if not decoders:
            hints = hints_of(cls)
            decoders.update({name: (Atom(name), decoder_of(hint, strict)) for name, hint in hints.items()})
        made = {}
        for name, (atom, each) in decoders.items():
            item = term.get(atom, _MISSING)
            if item is _MISSING:
                item = term.get(atom.utf8, _MISSING)
            if item is _MISSING:
                if name in required:
                    raise Mismatch(f"a key {name}", got="none")
                continue
            try:
                made[name] = each(item)
            except Mismatch as error:
                raise error.within(f"[{name!r}]") from None
        return made

    return decode
