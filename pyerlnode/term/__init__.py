"""Erlang's and Elixir's values in Python: see `docs/terms.md` for the whole table.

`text(binary)` lives in `pyerlnode.term.containers` and is not named here, where `text` is the module that
prints and parses terms.
"""

from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import (
    Bitstring,
    Charlist,
    FrozenList,
    FrozenMap,
    ImproperList,
    NativeRecord,
    Range,
    Struct,
    TermMap,
    charlist_to_str,
    freeze,
    kw,
    kwget,
    kwmap,
)
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.hooks import register_encoder, register_struct
from pyerlnode.term.pid import Pid, Port, Reference

__all__ = [
    "A",
    "Atom",
    "Bitstring",
    "Charlist",
    "ExternalFun",
    "FrozenList",
    "FrozenMap",
    "Fun",
    "ImproperList",
    "NativeRecord",
    "Pid",
    "Port",
    "Range",
    "Reference",
    "Struct",
    "TermMap",
    "charlist_to_str",
    "freeze",
    "kw",
    "kwget",
    "kwmap",
    "register_encoder",
    "register_struct",
]
