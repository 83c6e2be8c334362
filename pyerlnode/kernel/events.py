"""``node.gen_event``: the functions of `gen_event` for managers of any node, its own and a BEAM's.

    node.gen_event.notify(("events", "app@127.0.0.1"), (A.order, 7))
    node.gen_event.call(("events", "app@127.0.0.1"), A.audit, A.seen)

A manager is what a server is to `Node.call`: a pid, a name, ``(name, node)``, `Global`, `Via`. A handler is an atom, or
``(atom, id)``; of a manager of this node a class too. What a handler does wrong is a value, as in OTP, such as
``(A.error, A.bad_module)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyerlnode.otp import gen_event
from pyerlnode.runtime.process import adopt
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference


class Events:
    """``gen_event`` of one node."""

    def __init__(self, system: System) -> None:
        self._system = system

    def start(self, *, name: Any = None, handlers: Iterable[type[gen_event.EventHandler]] = ()) -> Pid:
        """A manager of this node. `handlers`: the classes that callers on other nodes may add, by their names."""
        return gen_event.start(self._system, name=name, handlers=handlers)

    def start_link(self, *, name: Any = None, handlers: Iterable[type[gen_event.EventHandler]] = ()) -> Pid:
        """`start`, linked to the current process."""
        return gen_event.start(self._system, name=name, handlers=handlers, link=adopt(self._system))

    def start_monitor(
        self, *, name: Any = None, handlers: Iterable[type[gen_event.EventHandler]] = ()
    ) -> tuple[Pid, Reference]:
        """`start`, monitored by the current process."""
        pid = self.start(name=name, handlers=handlers)
        return pid, self._system.monitor(adopt(self._system), pid)

    def notify(self, manager: Any, event: Any) -> None:
        """Send `event` to the handlers and do not wait; to a manager that is not there it is dropped."""
        gen_event.notify(self._system, manager, event)

    def sync_notify(self, manager: Any, event: Any, timeout: float | None = None) -> Any:
        """Send `event`, and wait until every handler has handled it. Raises as `Node.call`, as all below."""
        return gen_event.sync_notify(self._system, manager, event, timeout)

    def call(self, manager: Any, handler: Any, request: Any, timeout: float | None = 5.0) -> Any:
        """Ask one handler; its answer."""
        return gen_event.call(self._system, manager, handler, request, timeout)

    def add_handler(self, manager: Any, handler: Any, args: Any = None, timeout: float | None = None) -> Any:
        """``A.ok``, or what the `init` of the handler gave otherwise."""
        return gen_event.add_handler(self._system, manager, handler, args, timeout)

    def add_sup_handler(self, manager: Any, handler: Any, args: Any = None, timeout: float | None = None) -> Any:
        """`add_handler`, supervised by the current process, which hears of the handler's end."""
        adopt(self._system)
        return gen_event.add_sup_handler(self._system, manager, handler, args, timeout)

    def delete_handler(self, manager: Any, handler: Any, args: Any = None, timeout: float | None = None) -> Any:
        """What the `terminate` of the handler gave."""
        return gen_event.delete_handler(self._system, manager, handler, args, timeout)

    def swap_handler(
        self, manager: Any, old: tuple[Any, Any], new: tuple[Any, Any], timeout: float | None = None
    ) -> Any:
        """Put ``new = (handler, args)`` in place of ``old = (handler, args)``."""
        return gen_event.swap_handler(self._system, manager, old, new, timeout)

    def swap_sup_handler(
        self, manager: Any, old: tuple[Any, Any], new: tuple[Any, Any], timeout: float | None = None
    ) -> Any:
        adopt(self._system)
        return gen_event.swap_sup_handler(self._system, manager, old, new, timeout)

    def which_handlers(self, manager: Any, timeout: float | None = None) -> Any:
        """The names of the handlers, the one added last first."""
        return gen_event.which_handlers(self._system, manager, timeout)

    def stop(self, manager: Any, reason: Any = A.normal, timeout: float | None = None) -> None:
        """Let it terminate, and wait until it has. Raises as `Node.stop_process`."""
        gen_event.stop(self._system, manager, reason, timeout)
