"""Where other rooms hook into the codec: Python types that become terms, Elixir structs that become values.

The codec knows the built-in types only. For a value of any other type it asks `encoder_for(type(value))`
and encodes what that gives; for a map with a ``__struct__`` it builds a `Struct` and, when the module is
in `struct_decoders`, hands it over and takes the result in its place. `pyerlnode.schema` fills both tables.

The law:

- An encoder takes the value and gives a term made of other types (or of types with encoders of their own).
  What it raises should be an `EncodeError`; the codec adds the path.
- A struct decoder takes a `Struct` and never raises: what it can not represent without loss it gives back
  as the `Struct` it was given.
- The tables are filled while modules are imported, and read by every message: they are plain dicts.
- NumPy's scalars have encoders of their own accord, in a program that has imported NumPy: booleans, integers and real
  numbers that a double holds exactly. Dates, durations, complex numbers and arrays have none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pyerlnode.errors import EncodeError
from pyerlnode.term.atom import Atom

encoders: dict[type, Callable[[Any], Any]] = {}
"""Python type → function that gives a term for a value of it. Subclasses inherit; see `encoder_for`."""

struct_decoders: dict[Atom, Callable[[Any], Any]] = {}
"""Module of an Elixir struct → function from `Struct` to a Python value (or the same `Struct`)."""

_found: dict[type, Callable[[Any], Any] | None] = {}


def encoder_for(cls: type) -> Callable[[Any], Any] | None:
    """The encoder of `cls` or of the nearest base that has one; `None` when there is none. Cached per class."""
    try:
        return _found[cls]
    except KeyError:
        found = next((encoders[base] for base in cls.__mro__ if base in encoders), None) or _numpy_scalar(cls)
        _found[cls] = found
        return found


def _numpy_scalar(cls: type) -> Callable[[Any], Any] | None:
    """The encoder of a class of NumPy's scalars; those that extend a built-in type are encoded as that."""
    numpy: Any = sys.modules.get("numpy")
    generic = getattr(numpy, "generic", None)
    if generic is None or not issubclass(cls, generic):
        return None
    if issubclass(cls, numpy.bool_):
        return bool
    if issubclass(cls, numpy.floating) and not issubclass(cls, float):
        return _exact_float
    if issubclass(cls, numpy.integer) and not issubclass(cls, numpy.timedelta64):
        return int
    return None


def _exact_float(value: Any) -> float:
    """A real number of NumPy's; a `longdouble` may hold more than a double."""
    made = float(value)
    if type(value)(made) != value and value == value:
        raise EncodeError(f"a {type(value).__name__} that no double holds exactly; give float(value)")
    return made


def register_encoder(cls: type, encode: Callable[[Any], Any]) -> None:
    """Values of `cls` and of its subclasses become the term that `encode(value)` gives."""
    encoders[cls] = encode
    _found.clear()


def register_struct(module: Atom, decode: Callable[[Any], Any]) -> None:
    """``%module{}`` from a peer becomes `decode(struct)`; a later registration replaces an earlier one."""
    struct_decoders[module] = decode
