"""Net ticks for all connections of a node: a timer in the hub, and a native thread behind it.

The hub's timer runs the tick rule (`dist.ticks`) of each connection when it is due. A program that computes
without letting the hub run would fall silent, and its peers would give it up; so a native thread wakes once per
interval and writes a tick for every connection on which nothing was written since it last woke. In the normal case it
finds that the hub did so and goes back to sleep. It never cuts into a packet: see `Connection.tick_from_thread`.

The thread is native also in a program that gevent has patched, starts with the first connection and ends
in `stop`. It touches sockets under the connection's lock, never anything of gevent's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent

from pyerlnode.dist.ticks import TickSettings
from pyerlnode.net.native_thread import NativeThread
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.forks import ours


class Ticked(Protocol):
    """A connection, as far as ticks go."""

    def next_deadline(self) -> float: ...
    def on_timer(self, now: float) -> None: ...
    def tick_from_thread(self) -> None: ...
    def change_ticks(self, settings: TickSettings, now: float) -> None: ...


class Ticker:
    """The ticks of one node. All calls come from the hub's thread; `now` is a monotonic clock in seconds."""

    def __init__(
        self, settings: TickSettings | None = None, *, hub: Any = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings or TickSettings()
        self.now = now
        self._loop = (hub or gevent.get_hub()).loop
        self._connections: dict[Ticked, None] = {}
        self._timer: Any = None
        self._due = 0.0
        self.thread = NativeThread(self._tick, self.settings.interval)
        ours(self)

    def add(self, connection: Ticked) -> None:
        """Keep this one alive and watched from now on."""
        self._connections[connection] = None
        self.thread.start()
        if self._timer is None or connection.next_deadline() < self._due:
            self._schedule()

    def remove(self, connection: Ticked) -> None:
        """Forget it; unknown ones are ignored."""
        self._connections.pop(connection, None)
        if not self._connections:
            self._cancel()

    def change(self, settings: TickSettings) -> None:
        """Another tick time for all connections, from now on."""
        self.settings = settings
        now = self.now()
        for connection in self._connections:
            connection.change_ticks(settings, now)
        self.thread.change(settings.interval)
        self._schedule()

    def stop(self) -> None:
        """End the timer and the thread; the ticker may be used again."""
        self._connections.clear()
        self._cancel()
        self.thread.stop()

    def forsake(self) -> None:
        """In a fork: the thread is the parent's, and so is what it ticks."""
        self._connections.clear()
        self._cancel()

    def _schedule(self) -> None:
        self._cancel()
        if self._connections:
            self._due = min(connection.next_deadline() for connection in self._connections)
            self._timer = self._loop.timer(max(0.0, self._due - self.now()))
            self._timer.start(self._on_timer, update=True)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    @edge
    def _on_timer(self) -> None:
        now = self.now()
        for connection in list(self._connections):
            if connection.next_deadline() <= now:
                edge(connection.on_timer)(now)
        self._schedule()

    def _tick(self) -> None:
        for connection in list(self._connections):
            edge(connection.tick_from_thread)()
