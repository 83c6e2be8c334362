"""For code that runs in a worker: calls and casts to any process of the cluster.

    from pyerlnode.workers.inside import call, node

    def price(sku):
        return call(("stock", node()), sku) * 1.19

`send` and `monitor` of `pyerlnode` work in a worker as well. Who is called sees the worker's public pid.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.otp import gen
from pyerlnode.runtime.process import current
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import Atom


def _system() -> System:
    process = current()
    if process is None or not hasattr(process.system, "worker_node"):
        raise UsageError("this is for what runs in a Worker; elsewhere use the methods of the node")
    system: System = process.system
    return system


def call(dest: Any, request: Any, timeout: float | None = 5.0) -> Any:
    """``GenServer.call`` of a pid or ``(name, node)``. Raises as `Node.call` does."""
    return gen.call(_system(), dest, request, timeout)


def cast(dest: Any, message: Any) -> None:
    """``GenServer.cast`` to a pid or ``(name, node)``."""
    gen.cast(_system(), dest, message)


def node() -> Atom:
    """The name of the node that this worker belongs to."""
    found: Atom = _system().worker_node  # type: ignore[attr-defined]  # `Main.start` puts it there
    return found
