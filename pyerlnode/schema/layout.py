"""The order of a struct's fields, kept so that a value encodes to the bytes that it came from.

Up to OTP 25 a BEAM writes the keys of a small map in the order of their terms, later ones in the order in which the
node came to know the atoms: any order is possible, and ``__struct__`` may stand anywhere. A `Layout` is such an
order; all values of one struct from one peer share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Struct

MAX_KEPT = 4_096


class Layout(NamedTuple):
    """The keys of a struct in their order; `at` says before which of them ``__struct__`` stands."""

    keys: tuple[Atom, ...]
    at: int

    def struct(self, module: Atom, values: Mapping[Atom, Any]) -> Struct:
        """A struct of `values` in this order; what the order does not name comes last."""
        fields = {key: values[key] for key in self.keys if key in values}
        if len(fields) < len(values):
            fields.update(values)
        return Struct(module, fields, self.at)


_kept: dict[Layout, Layout] = {}


def layout_of(struct: Struct) -> Layout:
    """The order of `struct`: one object for all that have it, for the first some thousands."""
    made = Layout(tuple(struct.fields), struct.at)
    known = _kept.get(made)
    if known is not None:
        return known
    if len(_kept) < MAX_KEPT:
        _kept[made] = made
    return made


def layout(*names: str) -> Layout:
    """The order of a struct that Python makes."""
    return Layout(tuple([Atom(name) for name in names]), 0)
