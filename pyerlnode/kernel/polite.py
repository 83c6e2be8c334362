"""What libraries of the BEAM ask every node of a cluster by rpc, hidden ones too, and take an answer to for granted.

    erlang:memory(), memory(Kind), statistics(Item), monotonic_time(), monotonic_time(Unit), system_time(…)
    application:which_applications()            this library
    'Elixir.Node':self(), list()      'Elixir.Process':'alive?'(Pid), info(Pid), info(Pid, Item)

Horde, for one, asks ``Process.alive?`` on the node of a process, and its caller raises where there is no such function.
Numbers are those of the operating system's process. What a program exports under one of these names goes first.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from typing import Any, Final

from pyerlnode.errors import Error
from pyerlnode.kernel.inspection import Inspection
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.term.atom import A, Atom

UNITS = {A.second: 1, A.millisecond: 10**3, A.microsecond: 10**6, A.nanosecond: 10**9, A.native: 10**9}
PARTS = (A.processes, A.processes_used, A.system, A.atom, A.atom_used, A.binary, A.code, A.ets)
EVERYTHING: Final[Any] = object()


class Polite:
    """The functions of one node."""

    def __init__(self, inspection: Inspection) -> None:
        self.inspection = inspection
        self._began = time.monotonic()
        self._told = {A.wall_clock: 0, A.runtime: 0}

    def install(self, exports: Exports) -> None:
        """Add them, where the program has none of its own."""
        asked = self.inspection
        functions: tuple[tuple[str, str, int, Callable[..., Any]], ...] = (
            ("erlang", "memory", 1, self.memory),
            ("erlang", "statistics", 1, self.statistics),
            ("erlang", "monotonic_time", 1, lambda unit=A.native: _in(unit, time.monotonic_ns())),
            ("erlang", "system_time", 1, lambda unit=A.native: _in(unit, time.time_ns())),
            ("application", "which_applications", 0, which_applications),
            ("Elixir.Node", "self", 0, asked.node),
            ("Elixir.Node", "list", 1, asked.nodes),
            ("Elixir.Process", "alive?", 1, asked.is_process_alive),
            ("Elixir.Process", "info", 2, self.process_info),
        )
        for module, name, count, function in functions:
            if exports.find(Atom(module), Atom(name), count) is None:
                exports.add(module, function, name)

    def memory(self, kinds: Any = EVERYTHING) -> Any:
        """``[{Kind, Bytes}]``, of all kinds or a list of them; of one kind the number. What nobody counts is 0."""
        bytes_of = {**dict.fromkeys(PARTS, 0), A.total: _resident()}
        if kinds is EVERYTHING:
            return list(bytes_of.items())
        wanted = kinds if type(kinds) is list else [kinds]
        if not all(type(kind) is Atom and kind in bytes_of for kind in wanted):
            raise Error(A.badarg)
        return [(kind, bytes_of[kind]) for kind in wanted] if type(kinds) is list else bytes_of[kinds]

    def statistics(self, item: Any) -> Any:
        match item:
            case A.wall_clock:
                return self._since(A.wall_clock, time.monotonic() - self._began)
            case A.runtime:
                return self._since(A.runtime, time.process_time())
            case A.run_queue | A.total_run_queue_lengths | A.total_active_tasks:
                return 0
            case A.garbage_collection:
                return sum(one["collections"] for one in gc.get_stats()), 0, 0
        raise Error(A.badarg)

    def _since(self, what: Atom, seconds: float) -> tuple[int, int]:
        """Milliseconds, and how many of them since somebody asked last."""
        now = int(seconds * 1000)
        before, self._told[what] = self._told[what], now
        return now, now - before

    def process_info(self, pid: Any, items: Any = None) -> Any:
        """As Elixir has it: nil for a process that is not alive."""
        found = self.inspection.process_info(pid, items)
        return None if found is A.undefined else found


def which_applications() -> list[tuple[Atom, list[int], list[int]]]:
    """``[{Name, Description, Vsn}]``, of this library alone."""
    from importlib import metadata  # only here: it is heavy, and few are asked

    version = metadata.version("pyerlnode")
    return [(Atom("pyerlnode"), [*b"An Erlang node in Python"], [*version.encode()])]


def _resident() -> int:
    """Bytes of memory of this program."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # no Linux: what it has been at most
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _in(unit: Any, nanoseconds: int) -> int:
    parts = unit if type(unit) is int else UNITS.get(unit) if type(unit) is Atom else None
    if parts is None or parts <= 0:
        raise Error(A.badarg)
    return nanoseconds * parts // 10**9
