"""Spares: OS processes that stand by with their target imported, so that a worker starts in milliseconds.

They belong to one process of the node, the *shelf*, which is made when the first is wanted, and end with it. Another,
the *stocker* of a target, starts them one after the other: what waits for an OS process is always a process of the
node, and ends with the node.

    worker starts → `take`: the oldest that is ready → else the one that is being made → else None
                  → `want(n)`: `PAUSE` later a stocker makes up for it, when the worker has long been running

A spare that does not come up, or ends while it stands by, is a line in the log; the next start tries again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import gevent
from gevent.event import Event

from pyerlnode.errors import StartFailed
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.workers.os_process import OsProcess

log = logging.getLogger("pyerlnode.workers")

BOOT: Final = 30.0
"""Seconds that an OS process has to start in, and another such to import what it runs."""
PAUSE: Final = 0.02
"""Seconds between a start and the making of the next spare, which would take its processor."""
NAME: Final = A.pyerlnode_worker_spares


@dataclass(frozen=True, slots=True)
class Spares:
    """How many stand by for a target: `ready` to be taken, and `coming`."""

    ready: int
    coming: int


class _Stock:
    """The spares of one target."""

    __slots__ = ("coming", "count", "done", "ready", "stocker")

    def __init__(self) -> None:
        self.count = 0
        self.ready: list[OsProcess] = []
        self.coming: OsProcess | None = None
        self.stocker: Process | None = None
        self.done = Event()
        """Set while there is no stocker."""
        self.done.set()

    def down(self, reason: Any) -> None:
        """The stocker has ended, whatever it was at."""
        del reason
        self.stocker = self.coming = None
        self.done.set()


class Shelf:
    """The handler of the process that owns the spares of one system."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.stocks: dict[str, _Stock] = {}
        self.process = system.spawn_handler(self)
        self.process.ancestors = None  # of the node, not of who happened to need it first
        system.registry.register(NAME, self.process)

    def handle(self, message: Any) -> None:
        """Nobody has anything to tell it."""

    def want(self, target: str, count: int) -> None:
        """Have `count` spares of `target` made and kept."""
        stock = self.stocks.setdefault(target, _Stock())
        stock.count = count
        if stock.stocker is None and self.process.alive:
            stock.done.clear()
            stock.stocker = self.system.spawn_function(self._fill, (target, stock), {})
            stock.stocker.ancestors = [self.process.pid]
            stock.stocker.monitored_by = {stock: stock}

    def _fill(self, target: str, stock: _Stock) -> None:
        """The stocker."""
        gevent.sleep(PAUSE)
        while self.process.alive and len(self._ready(stock)) < stock.count:
            stock.coming = spare = OsProcess(self.system, self.process)
            try:
                spare.request("load", [target.encode()], BOOT)
            except StartFailed as error:
                if stock.coming is spare:  # else it was taken while it loaded, and how it ended is another's matter
                    self._failed(target, spare, error)
                    return
            else:
                if stock.coming is spare:
                    stock.ready.append(spare)
            stock.coming = None

    def _failed(self, target: str, spare: OsProcess, error: StartFailed) -> None:
        if self.process.alive and not self.system.stopped:
            log.warning("no more spares for %s: %s", target, error)
        spare.down(A.normal)

    @staticmethod
    def _ready(stock: _Stock) -> list[OsProcess]:
        stock.ready[:] = [spare for spare in stock.ready if spare.ended is None]
        return stock.ready

    def take(self, target: str, owner: Process) -> OsProcess | None:
        """A spare for `target`, now owned by `owner`; the one that is being made, if there is no other."""
        stock = self.stocks.get(target)
        if stock is None:
            return None
        spare: OsProcess | None
        if self._ready(stock):
            spare = stock.ready.pop(0)
        else:
            spare, stock.coming = stock.coming, None
        if spare is not None:
            spare.hold(owner)
        return spare

    def wait(self, target: str, timeout: float | None) -> None:
        """Until no spare of `target` is being made any more."""
        stock = self.stocks.get(target)
        if stock is not None:
            stock.done.wait(timeout)

    def count(self, target: str) -> Spares:
        stock = self.stocks.get(target)
        if stock is None:
            return Spares(0, 0)
        ready = len(self._ready(stock))
        return Spares(ready, max(0, stock.count - ready) if stock.stocker is not None else 0)


def shelf_of(system: System) -> Shelf:
    """The shelf of `system`; made when there is none."""
    found = system.registry.names.get(NAME)
    return Shelf(system) if found is None or not isinstance(found.handler, Shelf) else found.handler
