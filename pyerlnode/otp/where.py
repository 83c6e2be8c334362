"""In whose name a function of this room acts: the current process, or a greenlet's own in a given node.

Functions such as `Task.async_` or `Agent.start_link` act for the process that calls them. A greenlet that is no
process says where with ``on=node``; it becomes a process of that node, as with the node's own methods.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.errors import NotAProcess, StartFailed, UsageError
from pyerlnode.otp import gen, gen_event, gen_server, gen_statem
from pyerlnode.runtime.process import Process, adopt, current
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid


def system_of(on: Any = None) -> System:
    """The system of `on` (a node or a system), else that of the current process."""
    if on is not None:
        found = on if isinstance(on, System) else getattr(on, "system", None)
        if not isinstance(found, System):
            raise UsageError(f"on= takes a node, not {type(on).__name__}")
        return found
    process = current()
    if process is None:
        raise NotAProcess("this greenlet is no process: say on which node, with on=node")
    system: System = process.system
    return system


def caller(on: Any = None) -> Process:
    """The current process; a greenlet that is none becomes one of `on`."""
    process = current()
    if process is not None and not process.adopted:
        process.check_alive()  # it was killed while it waited: what it does now is done by nobody
    return adopt(system_of(on))


def call(dest: Any, request: Any, timeout: float | None, on: Any = None) -> Any:
    return gen.call(system_of(on), dest, request, timeout)


def start_link(cls: type, *args: Any, name: Any = None, on: Any = None, **kwargs: Any) -> Pid | None:
    """Start a behaviour linked to the calling process; its pid, or None when its `init` gave `Ignore`.

    For start functions of supervisors. Raises `StartFailed` and `AlreadyStarted`.
    """
    return start_class(caller(on), cls, args, {**kwargs, "name": name})


def start_class(me: Process, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pid | None:
    """Start a `GenServer`, `GenStatem` or `GenEvent` linked to `me`; `name` stands among `kwargs`."""
    name = kwargs.pop("name", None)
    if issubclass(cls, gen_statem.GenStatem):
        return gen_statem.start(me.system, cls, args, kwargs, name=name, link=me)
    if issubclass(cls, gen_event.GenEvent):
        return gen_event.start(me.system, name=name, link=me, **kwargs)
    return gen_server.start(me.system, cls, args, kwargs, name=name, link=me)


def started(pid: Pid | None) -> Pid:
    """The pid of a server whose `init` never ignores."""
    if pid is None:
        raise StartFailed(A.ignore, "the server's init gave Ignore")
    return pid
