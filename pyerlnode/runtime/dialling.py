"""Signals to a node that is being connected to: they wait here, in their order, until it is known what came of it.

As on a BEAM nobody waits for a connection who only sends, links or monitors. When the connection is up everything
that waited goes out, before any later signal; when the attempt has failed it is dropped, and whoever made a link, a
monitor or a request of it is told `noconnection`, as if a connection had been lost.

Laws:
- `send` copies the terms of a signal: what its sender changes later is not seen. It raises for a term that has no form
  on the wire, or none that every release takes, as a connection does to its peer, and then nothing is kept.
- Beyond `limit` bytes the senders of messages wait for the end of the attempt; the hub, and other signals, never do.
- `end` comes once, and nothing waits after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyerlnode.errors import ConnectError
from pyerlnode.etf import decode, encode
from pyerlnode.etf.releases import check_for
from pyerlnode.limits import Limits
from pyerlnode.runtime.mailbox import DOWN, PENDING, REPLY, Waiter
from pyerlnode.runtime.process import current
from pyerlnode.signal import Exit2, ExitSignal, Message, MonitorExit, Signal, SpawnRequest

if TYPE_CHECKING:
    from pyerlnode.term.atom import Atom

_OWN = Limits(
    inflated_size=1 << 62, nesting=1 << 62, integer_digits=1 << 62, atoms=1 << 62
)  # our own terms: what could be encoded is read again
_OF_ANY_RELEASE = check_for(zeros=False, records=False)
"""The peer's release is not known yet; afterwards nobody would be there to be told."""
_SMALL = 64
"""Bytes that a signal without a term is taken for."""


class Dialling:
    """What waits for the connection to `node`; a `Route`."""

    def __init__(self, system: Any, node: Atom, limit: int) -> None:
        self.node = node
        self.messages = 0
        """How many have been sent."""
        self._system = system
        self._limit = limit
        self._signals: deque[Signal] = deque()
        self._size = 0
        self._waiters: list[Waiter] = []
        self.closed = False

    def send(self, signal: Signal, nosuspend: bool = False) -> bool:
        """Keep `signal`. False when it was not: the attempt is over, or `nosuspend` and no room.

        Raises `EncodeError` for a term without a form on the wire.
        """
        if self.closed or (nosuspend and self._size > self._limit):
            return False
        kept, size = _copied(signal)
        self._signals.append(kept)
        self._size += size
        if type(signal) is Message:
            self.messages += 1
            if self._size > self._limit and not nosuspend and not self._system.scheduler.in_hub():
                process = current()
                if process is None or not process.async_dist:
                    self._wait(None)
        return True

    def wait(self, timeout: float | None) -> None:
        """Until there is a connection. Raises `ConnectError`: the attempt failed, or is not over after `timeout`."""
        waiter = self._wait(timeout)
        if waiter.state == DOWN:
            error: ConnectError = waiter.value
            raise type(error)(str(error), self.node.name, error.reason)
        if waiter.state != REPLY:
            raise ConnectError(f"{self.node} was not connected to within {timeout} s", self.node.name, "timeout")

    def _wait(self, timeout: float | None) -> Waiter:
        waiter = Waiter(self._system.scheduler, self._system.timers)
        self._waiters.append(waiter)
        try:
            waiter.wait(timeout)
        finally:
            if waiter.state == PENDING or waiter in self._waiters:
                self._waiters.remove(waiter)
        return waiter

    def end(self, error: ConnectError | None) -> Iterator[Signal]:
        """The attempt is over, with a connection or by `error`: wake all who wait, and give what was kept."""
        self.closed = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.settle(REPLY if error is None else DOWN, error)
        kept, self._signals = self._signals, deque()
        return iter(kept)


def _copied(signal: Signal) -> tuple[Signal, int]:
    """`signal` with terms of its own, and about how many bytes it has."""
    if isinstance(signal, Message):
        term, size = _copy(signal.message)
        return replace(signal, message=term), size
    if isinstance(signal, (ExitSignal, Exit2, MonitorExit)):
        term, size = _copy(signal.reason)
        return replace(signal, reason=term), size
    if isinstance(signal, SpawnRequest):
        (opts, args), size = _copy([signal.opts, signal.args])
        return replace(signal, opts=opts, args=args), size
    return signal, _SMALL


def _copy(term: Any) -> tuple[Any, int]:
    data = encode(term)
    if _OF_ANY_RELEASE is not None:
        _OF_ANY_RELEASE(term)
    return decode(data, limits=_OWN), len(data)
