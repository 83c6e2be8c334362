"""Reading slows down when this node's own mailboxes are full.

A process with a mailbox limit and the policy `suspend` makes local senders wait. No sender at a peer can be, but
its connection can be left unread: then the peer's own send buffer fills, and its senders are suspended there. Reading
goes on when half of the mailbox is free, or after `PAUSE` seconds whatever the mailbox does: the answer to a call that
the full process is waiting for comes over the same connection. So a flood is slowed to one read per `PAUSE`, and
nothing waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pyerlnode.net.connection import Connection
from pyerlnode.runtime.system import System
from pyerlnode.runtime.timer_core import Timer

PAUSE = 0.5
"""Seconds: how long a full mailbox keeps a connection unread at a time."""

Told = Callable[[str, Connection, Any], None]


class _Pause:
    """One connection that is left unread; stands among the senders that wait for room in a mailbox."""

    __slots__ = ("connection", "over", "pressure", "timer")

    def __init__(self, pressure: Pressure, connection: Connection) -> None:
        self.pressure = pressure
        self.connection = connection
        self.over = False
        self.timer: Timer | None = None

    def settle(self, _state: int, _value: Any) -> None:
        """There is room (or the process has ended, or the time is up)."""
        if not self.over:
            self.over = True
            if self.timer is not None:
                self.timer.cancel()
            self.pressure.end(self.connection)

    def expire(self) -> None:
        self.settle(0, None)


class Pressure:
    """Pauses connections of one node. `told` learns of ``paused`` and ``resumed``."""

    def __init__(self, system: System, connections: Callable[[], Iterable[Connection]], told: Told) -> None:
        self._system = system
        self._connections = connections
        self._told = told
        self._paused: dict[Connection, _Pause] = {}

    def mailbox_full(self, process: Any) -> None:
        """A message was taken although the mailbox of `process` is full; called where it was delivered."""
        for connection in self._connections():
            if connection.is_reading and connection not in self._paused:
                pause = self._paused[connection] = _Pause(self, connection)
                pause.timer = self._system.timers.start(PAUSE, pause.expire)
                connection.pause_reading()
                process.senders.append(pause)
                self._told("paused", connection, process)
                return

    def end(self, connection: Connection) -> None:
        if self._paused.pop(connection, None) is not None:
            connection.resume_reading()
            self._told("resumed", connection, None)

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""
        pause = self._paused.pop(connection, None)
        if pause is not None:
            pause.settle(0, None)
