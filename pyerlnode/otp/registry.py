"""Registry: processes found by keys, with a value each (Elixir's `Registry`).

    Registry.start_link(name="rooms", keys="unique")
    Registry.register("rooms", 7, {"topic": "tea"})     # the calling process
    Registry.lookup("rooms", 7)                         # [(pid, {"topic": "tea"})]
    node.start(Room, name=Registry.via("rooms", 8, on=node))

`unique`: one process per key; `duplicate`: any number, and `dispatch` hands them to a function. A process that ends
loses its keys. The registry is linked to those that registered: they end with it, as in Elixir.

Reads and writes are done where they are asked for, in the table of the registry's process; they do not wait for it.
A registry is local: processes of other nodes are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import NoProc, PyerlnodeError, UsageError
from pyerlnode.otp import gen, where
from pyerlnode.otp.child_spec import ChildSpec, child_spec
from pyerlnode.otp.service import Service
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.runtime.names import Via
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pid import Pid

Entry = tuple[Pid, Any]
SERVICE = A.Elixir.Registry


class AlreadyRegistered(PyerlnodeError):
    """The key belongs to `pid` (Elixir: ``{:already_registered, pid}``)."""

    def __init__(self, key: Any, pid: Pid) -> None:
        super().__init__(f"the key {gen.brief(key)} is registered by {pid}")
        self.pid = pid


class RegistryServer(Service):
    """The process of a registry, and its tables."""

    __slots__ = ("by_key", "by_pid", "listeners", "meta", "unique")

    def init(self, keys: str = "unique", listeners: Iterable[Any] = (), meta: Any = None) -> None:
        if str(keys) not in ("unique", "duplicate"):
            raise UsageError("the keys of a registry are 'unique' or 'duplicate'")
        self.process.trap_exit = True
        self.unique = str(keys) == "unique"
        self.by_key: ExactDict[list[Entry]] = ExactDict()
        self.by_pid: dict[Pid, ExactDict[None]] = {}
        self.listeners = list(listeners)
        self.meta: ExactDict[Any] = ExactDict(dict(meta or {}).items())
        system = self.process.system
        system.name_services.setdefault(SERVICE, _Names(system))

    def handle_info(self, message: Any) -> None:
        match message:
            case (A.EXIT, Pid() as pid, _):
                for key in self.by_pid.pop(pid, ()):
                    self._remove(key, pid)

    def system_get_state(self) -> Any:
        return {A.keys: A.unique if self.unique else A.duplicate, A.count: self.count()}

    # --- the table -----------------------------------------------------------------------------
    def alive(self, key: Any) -> list[Entry]:
        """Those registered under `key` that live: an exit that the registry has not seen yet counts already."""
        process = self.process.system.process
        return [entry for entry in self.by_key.get(key, ()) if process(entry[0]) is not None]

    def add(self, process: Process, key: Any, value: Any) -> None:
        taken = self.alive(key)
        if self.unique and taken:
            raise AlreadyRegistered(key, taken[0][0])
        if self.unique:
            self.by_key.pop(key, None)
        keys: ExactDict[None] | None = self.by_pid.get(process.pid)
        if keys is None:
            keys = self.by_pid[process.pid] = ExactDict()
            self.process.system.link(process, self.process.pid)
        keys[key] = None
        self.by_key.setdefault(key, []).append((process.pid, value))
        self._tell((A.register, self.name, key, process.pid, value))

    def drop(self, process: Process, key: Any) -> None:
        keys: ExactDict[None] | None = self.by_pid.get(process.pid)
        if keys is None or key not in keys:
            return
        del keys[key]
        self._remove(key, process.pid)
        if not keys:
            del self.by_pid[process.pid]
            self.process.system.unlink(process, self.process.pid)

    def _remove(self, key: Any, pid: Pid) -> None:
        left = [entry for entry in self.by_key.get(key, ()) if entry[0] != pid]
        if left:
            self.by_key[key] = left
        else:
            self.by_key.pop(key, None)
        self._tell((A.unregister, self.name, key, pid))

    def _tell(self, event: Any) -> None:
        for listener in self.listeners:
            self.process.system.send(listener, event)

    @property
    def name(self) -> Any:
        return self.process.name or self.process.pid

    def count(self) -> int:
        process = self.process.system.process
        return sum(process(pid) is not None for entries in self.by_key.values() for pid, _ in entries)


def _server(registry: Any, system: System) -> RegistryServer:
    process = system.resolve(registry)[1]
    server = None if process is None else behaviour_of(process)
    if not isinstance(server, RegistryServer):
        raise NoProc((A.noproc, registry), f"there is no registry {short(registry)} here")
    return server


class Registry:
    """The functions of registries. `on`: the node, where the caller is no process of it."""

    @staticmethod
    def start_link(
        *, name: Any = None, keys: str = "unique", listeners: Iterable[Any] = (), meta: Any = None, on: Any = None
    ) -> Pid:
        """A registry, linked to the caller.

        `listeners` are pids or names: they get ``{register, Registry, Key, Pid, Value}`` and
        ``{unregister, Registry, Key, Pid}``.
        """
        return where.started(where.start_link(RegistryServer, keys, listeners, meta, name=name, on=on))

    @staticmethod
    def child_spec(**options: Any) -> ChildSpec:
        """A registry as a child of a supervisor: ``Registry.child_spec(name="rooms", keys="unique")``."""
        name = options.get("name")
        args = (options.get("keys", "unique"), options.get("listeners", ()), options.get("meta"))
        return child_spec(RegistryServer, *args, name=name, id=name or SERVICE)

    @staticmethod
    def register(registry: Any, key: Any, value: Any = None, *, on: Any = None) -> None:
        """The calling process is to be found under `key`. Raises `AlreadyRegistered` where keys are unique."""
        me = where.caller(on)
        _server(registry, me.system).add(me, key, value)

    @staticmethod
    def unregister(registry: Any, key: Any, *, on: Any = None) -> None:
        """Every entry of the calling process under `key`."""
        me = where.caller(on)
        _server(registry, me.system).drop(me, key)

    @staticmethod
    def lookup(registry: Any, key: Any, *, on: Any = None) -> list[Entry]:
        """(pid, value) of each, in the order of their registration."""
        return _server(registry, where.system_of(on)).alive(key)

    @staticmethod
    def dispatch(registry: Any, key: Any, function: Callable[[list[Entry]], Any], *, on: Any = None) -> None:
        """Call ``function([(pid, value), …])`` in the caller; not at all when there are none."""
        entries = Registry.lookup(registry, key, on=on)
        if entries:
            function(entries)

    @staticmethod
    def keys(registry: Any, pid: Pid, *, on: Any = None) -> list[Any]:
        """The keys of a process; one that it has twice is named twice."""
        server = _server(registry, where.system_of(on))
        return [key for key in server.by_pid.get(pid, ()) for entry in server.by_key.get(key, ()) if entry[0] == pid]

    @staticmethod
    def values(registry: Any, key: Any, pid: Pid, *, on: Any = None) -> list[Any]:
        """The values of a process under `key`."""
        return [value for owner, value in Registry.lookup(registry, key, on=on) if owner == pid]

    @staticmethod
    def update_value(registry: Any, key: Any, function: Callable[[Any], Any], *, on: Any = None) -> tuple[Any, Any]:
        """Put ``function(value)`` in place of the caller's value under a unique key; gives (new, old).

        Raises `UsageError` when the caller has not registered `key`, or the keys are not unique.
        """
        me = where.caller(on)
        server = _server(registry, me.system)
        entries = server.by_key.get(key, [])
        if not server.unique or not entries or entries[0][0] != me.pid:
            raise UsageError(f"{me.pid} has no unique key {gen.brief(key)} whose value it could change")
        old = entries[0][1]
        new = function(old)
        server.by_key[key] = [(me.pid, new)]
        return new, old

    @staticmethod
    def count(registry: Any, *, on: Any = None) -> int:
        """How many registrations there are."""
        return _server(registry, where.system_of(on)).count()

    @staticmethod
    def meta(registry: Any, key: Any, default: Any = None, *, on: Any = None) -> Any:
        """What was stored for the registry itself under `key`."""
        return _server(registry, where.system_of(on)).meta.get(key, default)

    @staticmethod
    def put_meta(registry: Any, key: Any, value: Any, *, on: Any = None) -> None:
        _server(registry, where.system_of(on)).meta[key] = value

    @staticmethod
    def via(registry: Any, key: Any, value: Any = None, *, on: Any = None) -> Via:
        """A name for `start` and a destination for `call`: who is registered under the unique `key`."""
        where_to = (registry, key) if value is None else (registry, key, value)
        return Via(_Names(where.system_of(on)), where_to)


class _Names:
    """OTP's ``via`` functions for ``{via, Registry, {Registry, Key}}`` or ``{Registry, Key, Value}``."""

    def __init__(self, system: System) -> None:
        self._system = system

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Names) and other._system is self._system

    def __hash__(self) -> int:
        return id(self._system)

    def register_name(self, name: tuple[Any, ...], pid: Pid) -> bool:
        registry, key, value = name if len(name) == 3 else (*name, None)
        process = self._system.process(pid)
        if process is None:
            return False
        server = _server(registry, self._system)
        if not server.unique:
            raise UsageError("a name is looked for in a registry with unique keys")
        try:
            server.add(process, key, value)
        except AlreadyRegistered:
            return False
        return True

    def unregister_name(self, name: tuple[Any, ...]) -> None:
        server = _server(name[0], self._system)
        for pid, _ in server.alive(name[1]):
            process = self._system.process(pid)
            if process is not None:
                server.drop(process, name[1])

    def whereis_name(self, name: tuple[Any, ...]) -> Pid | None:
        entries = _server(name[0], self._system).alive(name[1])
        return entries[0][0] if entries else None
