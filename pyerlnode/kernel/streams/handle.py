"""A stream as a term: ``%Pyerlnode.Stream{pid: Pid, demand: 32}``, which the companion makes an `Enumerable`."""

from __future__ import annotations

from dataclasses import dataclass
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final

from pyerlnode.term.atom import A
from pyerlnode.term.containers import Struct
from pyerlnode.term.hooks import register_encoder, register_struct
from pyerlnode.term.pid import Pid

MODULE: Final = A["Elixir.Pyerlnode.Stream"]
DEMAND: Final = 32
"""Items that a reader asks for ahead, unless it says otherwise."""
GENERATORS: Final = frozenset((GeneratorType, AsyncGeneratorType))


@dataclass(frozen=True, slots=True)
class Stream:
    """A generator of some node. Read it once, by ``for item in node.stream(it)``, or hand it on to who does."""

    pid: Pid
    demand: int = DEMAND
    """How many items are made ahead of the one that is looked at."""


def _encoded(stream: Stream) -> Struct:
    return Struct(MODULE, {A.pid: stream.pid, A.demand: stream.demand})


def _decoded(struct: Struct) -> Any:
    fields = struct.fields
    pid, demand = fields.get(A.pid), fields.get(A.demand)
    if len(fields) != 2 or type(pid) is not Pid or type(demand) is not int or demand < 1:
        return struct
    return Stream(pid, demand)


register_encoder(Stream, _encoded)
register_struct(MODULE, _decoded)
