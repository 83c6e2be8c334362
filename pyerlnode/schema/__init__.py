"""Typed terms: annotations decode, decorated classes encode, Elixir's own structs become Python's values.

Importing this package registers its encoders and struct decoders with `pyerlnode.term.hooks`, where the codec asks.
"""

from pyerlnode.errors import SchemaError
from pyerlnode.schema.arrays import arrow, nx
from pyerlnode.schema.calendar import Date, DateTime, NaiveDateTime, Time, Zone
from pyerlnode.schema.classes import atom_map, elixir_struct, record
from pyerlnode.schema.decode import decode_as
from pyerlnode.schema.elixir import ElixirError, MapSet, is_exception
from pyerlnode.schema.scalars import AtomEnum

__all__ = [
    "AtomEnum",
    "Date",
    "DateTime",
    "ElixirError",
    "MapSet",
    "NaiveDateTime",
    "SchemaError",
    "Time",
    "Zone",
    "arrow",
    "atom_map",
    "decode_as",
    "elixir_struct",
    "is_exception",
    "nx",
    "record",
]
