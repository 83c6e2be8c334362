"""The handle of an object that stays in Python, as a term: ``%Pyerlnode.Object{pid: Pid}``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.term.atom import A
from pyerlnode.term.containers import Struct
from pyerlnode.term.hooks import register_encoder, register_struct
from pyerlnode.term.pid import Pid

MODULE: Final = A["Elixir.Pyerlnode.Object"]
METHOD: Final = A["$pyerlnode_method"]
RELEASE: Final = A["$pyerlnode_release"]


@dataclass(frozen=True, slots=True)
class ObjectHandle:
    """An object of some node. `node.call_method` calls a method of it; it may be handed on while its owner lives."""

    pid: Pid


def _encoded(handle: ObjectHandle) -> Struct:
    return Struct(MODULE, {A.pid: handle.pid})


def _decoded(struct: Struct) -> Any:
    pid = struct.fields.get(A.pid)
    return ObjectHandle(pid) if len(struct.fields) == 1 and type(pid) is Pid else struct


register_encoder(ObjectHandle, _encoded)
register_struct(MODULE, _decoded)
