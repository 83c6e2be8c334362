"""Registered names of one node: an atom for a live local process; a process may have one name, as on the BEAM."""

from __future__ import annotations

from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import NameRegistered
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import Atom


class Registry:
    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: dict[Atom, Process] = {}

    def register(self, name: Any, process: Process) -> None:
        """Raises `NameRegistered` where OTP has `badarg`: the name or the process has one, or the process is dead."""
        atom = as_name(name)
        if not process.alive:
            raise NameRegistered(f"{atom} can not be registered: {process.pid} is not alive")
        if atom in self.names:
            raise NameRegistered(f"the name {atom} is taken by {self.names[atom].pid}")
        if process.name is not None:
            raise NameRegistered(f"{process.pid} is already registered as {process.name}")
        self.names[atom] = process
        process.name = atom

    def unregister(self, name: Any) -> bool:
        """True when the name was registered."""
        process = self.names.pop(as_name(name), None)
        if process is not None:
            process.name = None
        return process is not None

    def whereis(self, name: Any) -> Process | None:
        return self.names.get(as_name(name))


def as_name(name: Any) -> Atom:
    """An atom of a name given as `Atom` or `str`; `undefined`, booleans and None are no names (OTP: `badarg`)."""
    if type(name) is Atom and name.name != "undefined":
        return name
    if isinstance(name, str) and name and name not in ("undefined", "true", "false", "nil"):
        return Atom(name)
    raise NameRegistered(f"a registered name is an atom or a str, not {short(name)}")
