"""What observer and the like ask of a node about its processes, by rpc (`erlang` and `proc_lib`).

    erlang:process_info(Pid)            [{Item, Value}], undefined for a process that is not alive
    erlang:process_info(Pid, Item)      {Item, Value}; [] for registered_name of a process without a name
    erlang:process_info(Pid, Items)     [{Item, Value}]
    erlang:processes(), registered(), whereis(Name), is_process_alive(Pid), node(), nodes(), nodes(Kinds)
    proc_lib:translate_initial_call(Pid)        {Module, Function, Arity}

What has no form on the wire (a message in a mailbox, a value of a dictionary) is told as a text. What a program exports
under one of these names goes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyerlnode.errors import Error, UsageError
from pyerlnode.etf.encodable import encodable
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.runtime import info
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

NAME = A.registered_name
KINDS = (A.visible, A.hidden, A.connected, A.this, A.known)


class Inspection:
    """The functions of one system."""

    def __init__(self, system: System, nodes: Callable[[list[str]], list[Atom]]) -> None:
        self.system = system
        self._nodes = nodes

    def install(self, exports: Exports) -> None:
        """Add them, where the program has none of its own."""
        functions: tuple[tuple[str, str, int, Callable[..., Any]], ...] = (
            ("erlang", "process_info", 2, self.process_info),
            ("erlang", "processes", 0, self.processes),
            ("erlang", "registered", 0, self.registered),
            ("erlang", "node", 0, self.node),
            ("erlang", "nodes", 1, self.nodes),
            ("erlang", "whereis", 1, self.whereis),
            ("erlang", "is_process_alive", 1, self.is_process_alive),
            ("proc_lib", "translate_initial_call", 1, self.translate_initial_call),
        )
        for module, name, count, function in functions:
            if exports.find(Atom(module), Atom(name), count) is None:
                exports.add(module, function, name)

    def process_info(self, pid: Any, items: Any = None) -> Any:
        if type(pid) is not Pid or not self.system.is_local(pid):
            raise Error(A.badarg)
        try:
            found = info.process_info(self.system, pid, items)
            alive = self.system.process(pid) is not None
        except UsageError:  # an item that there is not
            raise Error(A.badarg) from None
        if not alive:
            return A.undefined
        if type(items) in (Atom, tuple):
            return [] if items is NAME and found in (None, []) else encodable((items, found))
        return [encodable((name, [] if name is NAME and value is None else value)) for name, value in found.items()]

    def processes(self) -> list[Pid]:
        return [process.pid for process in self.system.processes.values()]

    def registered(self) -> list[Atom]:
        return list(self.system.registry.names)

    def node(self) -> Atom:
        return self.system.node

    def nodes(self, kinds: Any = A.visible) -> list[Atom]:
        """``nodes(Kind)``, ``nodes([Kind])``."""
        if type(kinds) is not list:
            kinds = [kinds]
        if any(type(kind) is not Atom or kind not in KINDS for kind in kinds):
            raise Error(A.badarg)
        return self._nodes([kind.name for kind in kinds])

    def whereis(self, name: Any) -> Pid | Atom:
        if type(name) is not Atom:
            raise Error(A.badarg)
        return self.system.whereis(name) or A.undefined

    def is_process_alive(self, pid: Any) -> bool:
        if type(pid) is not Pid or not self.system.is_local(pid):
            raise Error(A.badarg)
        return self.system.process(pid) is not None

    def translate_initial_call(self, pid: Any) -> Any:
        found = self.process_info(pid, A.initial_call)
        return (A.proc_lib, A.init_p, 5) if found is A.undefined else found[1]
