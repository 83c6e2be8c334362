"""PartitionSupervisor: one child many times over, so that callers need not queue at one (Elixir's).

    PartitionSupervisor.start_link((Agent, dict), name="caches", partitions=4)
    Agent.get(PartitionSupervisor.via("caches", user_id), …)

The children have the ids 0 … n-1. A key that is an integer goes to the child ``abs(key) % n``, any other to
``phash2(key, n)``, as in Elixir: all callers agree, on the BEAM and here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import NoProc, UsageError
from pyerlnode.otp import where
from pyerlnode.otp.child_spec import child_of
from pyerlnode.otp.supervisor import Supervise, Supervisor
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.runtime.names import Via
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid


class PartitionSupervisor(Supervisor):
    """Starts the same child `partitions` times."""

    __slots__ = ()

    def init(
        self,
        child: Any,
        *,
        partitions: int | None = None,
        with_arguments: Callable[[list[Any], int], list[Any]] | None = None,
        **flags: Any,
    ) -> Supervise:
        """`partitions`: the number of processors unless given; `with_arguments` makes each one's own arguments."""
        count = (os.cpu_count() or 1) if partitions is None else partitions
        if type(count) is not int or count < 1:
            raise UsageError("partitions is an integer, 1 or more")
        spec = child_of(child)
        children = []
        for number in range(count):
            args = list(spec.start.args or ())
            own = args if with_arguments is None else with_arguments(args, number)
            children.append(replace(spec, id=number, start=replace(spec.start, args=tuple(own))))
        return Supervise(children, **flags)

    def partition_of(self, key: Any) -> Pid | None:
        """The pid of the child that `key` belongs to; None while it is restarted."""
        children = self._state.children
        count = len(children)
        pid = children[abs(key) % count if type(key) is int else phash2(key, count)].pid
        return pid if isinstance(pid, Pid) else None

    @staticmethod
    def whereis(supervisor: Any, key: Any, *, on: Any = None) -> Pid | None:
        """The child for `key`, None while it is restarted."""
        return _server(supervisor, where.system_of(on)).partition_of(key)

    @staticmethod
    def partitions(supervisor: Any, *, on: Any = None) -> int:
        """How many there are."""
        return len(_server(supervisor, where.system_of(on))._state.children)

    @staticmethod
    def via(supervisor: Any, key: Any, *, on: Any = None) -> Via:
        """A destination for `call`, `cast` and `send`: the child for `key`."""
        return Via(_Names(where.system_of(on)), (supervisor, key))


def _server(supervisor: Any, system: System) -> PartitionSupervisor:
    process = system.resolve(supervisor)[1]
    server = None if process is None else behaviour_of(process)
    if not isinstance(server, PartitionSupervisor):
        raise NoProc((A.noproc, supervisor), f"there is no partition supervisor {short(supervisor)} here")
    return server


class _Names:
    """OTP's ``via`` functions: a child is found, not registered."""

    def __init__(self, system: System) -> None:
        self._system = system

    def register_name(self, name: Any, pid: Pid) -> bool:
        raise UsageError(
            f"{pid} can not be registered as {short(name)}: the children of a partition supervisor are its own"
        )

    def unregister_name(self, name: Any) -> None:
        raise UsageError(f"{short(name)} can not be unregistered: the children of a partition supervisor are its own")

    def whereis_name(self, name: tuple[Any, Any]) -> Pid | None:
        supervisor, key = name
        return _server(supervisor, self._system).partition_of(key)
