"""Names beyond the local table: `Global(name)` and `Via(module, name)`, as destinations and to register under.

A *name service* is whatever keeps such names: OTP's four functions (`NameService`). The one behind `Global` is
`System.global_names`; a kernel that joins a cluster installs its own there, until then a `LocalNames` keeps the names
of this system alone. `Via` carries its service with it, or the atom under which `System.name_services` knows it.

    node.start(Counter, name=Global("counter"))
    node.call(Via(registry, ("room", 7)), A.get)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pyerlnode.brief import PARTS, call, row, short, told
from pyerlnode.errors import UsageError
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import Key
from pyerlnode.term.pid import Pid


@dataclass(frozen=True, slots=True, repr=False)
class Global:
    """``{global, Name}``: a name of the whole cluster; any term that can be hashed."""

    name: Any

    def __repr__(self) -> str:
        return told(self)


@dataclass(frozen=True, slots=True, repr=False)
class Via:
    """``{via, Module, Name}``: `module` is a `NameService`, or the name of one that the system knows."""

    module: Any
    name: Any

    def __repr__(self) -> str:
        return told(self)


PARTS[Global] = lambda dest: row("Global(name=", (dest.name,), ")")
PARTS[Via] = lambda dest: call("Via", dest.module, dest.name)


@runtime_checkable
class NameService(Protocol):
    """OTP's contract of a ``via`` module."""

    def register_name(self, name: Any, pid: Pid, /) -> bool:
        """True when `pid` has the name now, False (or OTP's ``no``) when another process has it."""
        ...

    def unregister_name(self, name: Any, /) -> object: ...

    def whereis_name(self, name: Any, /) -> Pid | None: ...


class LocalNames:
    """A name service of one system: a name goes when its process ends."""

    def __init__(self, system: Any) -> None:
        self._system = system
        self._names: dict[Key, tuple[Any, Pid]] = {}

    def register_name(self, name: Any, pid: Pid) -> bool:
        if self.whereis_name(name) is not None:
            return False
        process = self._system.process(pid)
        if process is None:
            raise UsageError(f"{pid} can not have the name {short(name)}: it is no live process of this node")
        holder = _Holder(self, exact.key(name))
        self._names[holder.name] = name, pid
        if process.monitored_by is None:
            process.monitored_by = {}
        process.monitored_by[holder] = holder
        return True

    def unregister_name(self, name: Any) -> bool:
        """True when the name was registered."""
        holder = _Holder(self, exact.key(name))
        _, pid = self._names.pop(holder.name, (None, None))
        process = None if pid is None else self._system.process(pid)
        if process is not None and process.monitored_by is not None:
            process.monitored_by.pop(holder, None)
        return pid is not None

    def whereis_name(self, name: Any) -> Pid | None:
        return self._names.get(exact.key(name), (None, None))[1]

    def registered_names(self) -> list[Any]:
        return [name for name, _ in self._names.values()]


@dataclass(frozen=True, slots=True)
class _Holder:
    """Watches the process that has a name; told of its end like every watcher."""

    names: LocalNames
    name: Key

    def __hash__(self) -> int:
        return hash((id(self.names), self.name))

    def down(self, reason: Any) -> None:
        del reason
        self.names._names.pop(self.name, None)


def name_service(system: Any, name: Global | Via) -> Any:
    """The service that keeps `name`. Raises `UsageError` for one that the system does not know."""
    if type(name) is Global:
        return system.global_names
    module = name.module  # type: ignore[union-attr]  # a Via
    if isinstance(module, (str, Atom)):
        atom = Atom(str(module))
        if atom is A["global"]:
            return system.global_names
        if atom not in system.name_services:
            raise UsageError(f"no name service {atom} is known here: add it to system.name_services")
        return system.name_services[atom]
    if not isinstance(module, NameService):
        raise UsageError(
            f"{type(module).__name__} is no name service: it needs register_name, unregister_name and whereis_name"
        )
    return module


def whereis_name(system: Any, name: Global | Via) -> Pid | None:
    """The pid behind `name`, of any node, or None."""
    pid = name_service(system, name).whereis_name(name.name)
    return pid if type(pid) is Pid else None
