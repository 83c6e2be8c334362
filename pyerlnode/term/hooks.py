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
- Elixir's own structs and Python's own values (dates, decimals, sets, ranges) do not depend on what was imported
  before: whoever meets the first of them imports `pyerlnode.schema`, which enters the rest.
- What the codec writes itself it never asks for here, so no encoder can be registered for such a type.
- NumPy's scalars have encoders of their own accord, in a program that has imported NumPy: booleans, integers and real
  numbers that a double holds exactly. Dates, durations, complex numbers and arrays have none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.term.atom import Atom

_WRITTEN: Final = frozenset({
    object, int, float, bool, type(None), str, bytes, bytearray, memoryview, tuple, list, dict, Atom,
})  # fmt: skip
_ROOMS: Final = ("pyerlnode.term.containers", "pyerlnode.term.fun", "pyerlnode.term.pid")

encoders: dict[type, Callable[[Any], Any]] = {}
"""Python type → function that gives a term for a value of it. Subclasses inherit; see `encoder_for`."""


def _taught(module: Atom) -> Callable[[Any], Any]:
    """A decoder that stands until `pyerlnode.schema` has entered its own."""

    def decode(struct: Any) -> Any:
        _teach()
        return struct_decoders[module](struct)

    return decode


def _teach() -> None:
    import_module("pyerlnode.schema")


_ELIXIRS_OWN: Final = ("Date", "Time", "NaiveDateTime", "DateTime", "MapSet", "Range", "Decimal")
_PYTHONS_OWN: Final = {
    "date": "datetime", "datetime": "datetime", "time": "datetime", "Decimal": "decimal", "Enum": "enum",
    "UUID": "uuid", "set": "builtins", "frozenset": "builtins", "range": "builtins",
    "Range": "pyerlnode.term.containers",
}  # fmt: skip
"""Types with encoders in `pyerlnode.schema` and their modules, which nobody is to import for this table."""

struct_decoders: dict[Atom, Callable[[Any], Any]] = {
    module: _taught(module) for module in (Atom(f"Elixir.{name}") for name in _ELIXIRS_OWN)
}
"""Module of an Elixir struct → function from `Struct` to a Python value (or the same `Struct`)."""

_found: dict[type, Callable[[Any], Any] | None] = {}


def encoder_for(cls: type) -> Callable[[Any], Any] | None:
    """The encoder of `cls` or of the nearest base that has one; `None` when there is none. Cached per class."""
    try:
        return _found[cls]
    except KeyError:
        found = _encoder(cls) or _numpy_scalar(cls)
        _found[cls] = found
        return found


def _encoder(cls: type) -> Callable[[Any], Any] | None:
    for base in cls.__mro__:
        if base not in encoders and _is_pythons_own(base):
            _teach()
        if base in encoders:
            return encoders[base]
    return None


def _is_pythons_own(cls: type) -> bool:
    name: str = type.__dict__["__name__"].__get__(cls)  # whatever its metaclass makes of it
    return name in _PYTHONS_OWN and getattr(sys.modules.get(_PYTHONS_OWN[name]), name, None) is cls


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
    """Values of `cls` and of its subclasses become the term that `encode(value)` gives.

    Raises `UsageError` for a type that has a form of its own, as `int` and `Pid` have: its subclasses may have others.
    """
    if not isinstance(cls, type):
        raise UsageError(f"an encoder is that of a type, not of a {type(cls).__name__}")
    if cls in _WRITTEN or (cls.__module__ in _ROOMS and cls.__name__ != "Range"):
        raise UsageError(f"{cls.__name__} has a form of its own as a term; register a subclass of it")
    if _is_pythons_own(cls):
        _teach()  # or its own one would replace this one when it comes
    encoders[cls] = encode
    _found.clear()


def register_struct(module: Atom, decode: Callable[[Any], Any]) -> None:
    """``%module{}`` from a peer becomes `decode(struct)`; a later registration replaces an earlier one."""
    if module in struct_decoders:
        _teach()
    struct_decoders[module] = decode
