"""Reading slows down when this node's own mailboxes are more than full.

A process with a mailbox limit and the policy `suspend` makes local senders wait. No sender at a peer can be, but
its connection can be left unread: then the peer's own send buffer fills, and its senders are suspended there, those to
other processes here among them. So that these go on, what a peer sends to full mailboxes is taken first, up to
`Limits.overflow` bytes of it. Only a peer that has filled that is left unread, until some of it has been handled; one
read in `PAUSE` seconds happens whatever the mailboxes do: the answer to a call that the full process is waiting for
comes over the same connection. So a flood is slowed, and nothing waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pyerlnode.kernel.pressure_core import Overflow
from pyerlnode.net.connection import Connection
from pyerlnode.runtime.bounded import BoundedProcess
from pyerlnode.runtime.system import System

PAUSE = 0.5
"""Seconds: how long full mailboxes keep a connection unread at a time."""
LOOKS = 25
"""How often it is looked meanwhile whether some of it has been handled."""

Told = Callable[[str, Connection, Any], None]


class Pressure:
    """Pauses connections of one node. `told` learns of ``paused`` and ``resumed``."""

    def __init__(self, system: System, connections: Callable[[], Iterable[Connection]], limit: int, told: Told) -> None:
        self._system = system
        self._connections = connections
        self._limit = limit
        self._told = told
        self._overflows: dict[Connection, Overflow] = {}
        self._paused: set[Connection] = set()

    def mailbox_full(self, process: BoundedProcess) -> None:
        """A message was taken although the mailbox of `process` is full; called where it was delivered."""
        for connection in self._connections():
            if connection.is_reading:
                self._took(connection, process)
                return

    def _took(self, connection: Connection, process: BoundedProcess) -> None:
        overflow = self._overflows.get(connection)
        if overflow is None:
            overflow = self._overflows[connection] = Overflow()
        channel = connection.channel
        if not overflow.add(process, channel.bytes_in, channel.assembled) or connection in self._paused:
            return
        if overflow.total > self._limit and overflow.held() > self._limit:
            self._paused.add(connection)
            connection.pause_reading()
            self._system.timers.start(PAUSE / LOOKS, self._look, connection, LOOKS - 1)
            self._told("paused", connection, process)

    def _look(self, connection: Connection, looks: int) -> None:
        """Go on to read when there is room, or when there was none for so long."""
        if connection not in self._paused:
            return  # it is gone
        if looks and self._overflows[connection].held() > self._limit:
            self._system.timers.start(PAUSE / LOOKS, self._look, connection, looks - 1)
            return
        self._paused.remove(connection)
        connection.resume_reading()
        self._told("resumed", connection, None)

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""
        self._overflows.pop(connection, None)
        self._paused.discard(connection)
