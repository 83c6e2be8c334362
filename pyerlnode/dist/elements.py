"""The elements of a control tuple: each of the type that its operation says, or a `ProtocolError` that tells which one."""

from __future__ import annotations

from typing import Any, TypeAlias

from pyerlnode.errors import ProtocolError
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid, Reference

Control: TypeAlias = tuple[Any, ...]

_SPECIAL = {True: Atom("true"), False: Atom("false"), None: Atom("nil")}


def wrong(control: Control, index: int, wanted: str) -> ProtocolError:
    found = type(control[index]).__name__
    return ProtocolError(f"the peer sent control operation {control[0]} with a {found} where {wanted} belongs")


def pid_at(control: Control, index: int) -> Pid:
    value = control[index]
    if type(value) is not Pid:
        raise wrong(control, index, "a pid")
    return value


def ref_at(control: Control, index: int) -> Reference:
    value = control[index]
    if type(value) is not Reference:
        raise wrong(control, index, "a reference")
    return value


def name_at(control: Control, index: int) -> Atom:
    """An atom as an atom: the names `true`, `false` and `nil` decode to values of Python elsewhere."""
    value = control[index]
    if type(value) is Atom:
        return value
    if value is True or value is False or value is None:
        return _SPECIAL[value]
    raise wrong(control, index, "an atom")


def pid_or_name_at(control: Control, index: int) -> Pid | Atom:
    value = control[index]
    return value if type(value) is Pid else name_at(control, index)


def integer_at(control: Control, index: int, low: int, high: int) -> int:
    value = control[index]
    if type(value) is not int:
        raise wrong(control, index, "an integer")
    if not low <= value <= high:
        raise ProtocolError(f"the peer sent control operation {control[0]} with a number out of range")
    return value


def mfa_at(control: Control, index: int) -> tuple[Atom, Atom, int]:
    value = control[index]
    if type(value) is not tuple or len(value) != 3:
        raise wrong(control, index, "{module, function, arity}")
    if type(value[2]) is not int or not 0 <= value[2] <= 255:
        raise wrong(control, index, "{module, function, arity}")
    return name_at(value, 0), name_at(value, 1), value[2]
