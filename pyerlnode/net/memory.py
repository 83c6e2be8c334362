"""Two transports joined in memory: a connection without sockets, for tests and simulations.

    >>> left, right = memory_pair()
    >>> left.send([b"hello"])
    5
    >>> right.receive()
    b'hello'

Each direction holds at most `capacity` bytes; beyond, `send` takes nothing until the reader has made room, like
a full socket. Hooks change what the reader sees: `dribble` bytes at a time, each `delay` seconds later, or
another text by `tamper`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from pyerlnode.dist.fragment import Buffer
from pyerlnode.net.transport import READ_SIZE
from pyerlnode.runtime.edges import edge


class MemoryTransport:
    """One end. `dribble`, `delay` and `tamper` are about the bytes that this end receives."""

    def __init__(self, name: str, hub: Any, capacity: int) -> None:
        self.name = name
        self.threadsafe = False
        self.capacity = capacity
        self.dribble = READ_SIZE
        self.delay = 0.0
        self.tamper: Callable[[bytes], bytes] | None = None
        self._peer: MemoryTransport = self
        self._loop = hub.loop
        self._inbox = bytearray()
        self._on_the_way = 0
        self._timers: set[Any] = set()
        self._ended = False
        self._closed = False
        self._reading = self._writing = False
        self._calling = False
        self._readable: Callable[[], None] | None = None
        self._writable: Callable[[], None] | None = None

    def start(self, readable: Callable[[], None], writable: Callable[[], None]) -> None:
        self._readable, self._writable = readable, writable
        self._reading = True
        self._wake()

    def receive(self) -> bytes | None:
        data = bytes(self._inbox[: self.dribble])
        if data:
            del self._inbox[: len(data)]
            self._peer._wake()
            self._wake()
            return data
        return b"" if self._ended and not self._on_the_way else None

    def send(self, buffers: list[Buffer]) -> int:
        peer = self._peer
        if self._closed or peer._closed:
            raise BrokenPipeError(f"{peer.name} is closed")
        data = b"".join(buffers)[: max(0, self.capacity - len(peer._inbox) - peer._on_the_way)]
        if data:
            peer._arrive(data)
        return len(data)

    def want_read(self, wanted: bool) -> None:
        self._reading = wanted
        self._wake()

    def want_write(self, wanted: bool) -> None:
        self._writing = wanted
        self._wake()

    def close(self) -> None:
        """Close this end; the other one reads what is under way and then the end of the stream."""
        if not self._closed:
            self._closed = self._ended = True
            for timer in self._timers:
                timer.close()
            self._timers.clear()
            self._inbox.clear()
            self._peer._ended = True
            self._peer._wake()

    def _arrive(self, data: bytes) -> None:
        if self.tamper is not None:
            data = self.tamper(data)
        if not self.delay:
            self._inbox += data
            self._wake()
            return
        self._on_the_way += len(data)
        timer = self._loop.timer(self.delay)
        self._timers.add(timer)
        timer.start(self._late, timer, data)

    @edge
    def _late(self, timer: Any, data: bytes) -> None:
        self._timers.discard(timer)
        timer.close()
        self._on_the_way -= len(data)
        self._inbox += data
        self._wake()

    def _wake(self) -> None:
        """Level-triggered, as a socket's watcher: called again and again while there is something to do."""
        if not self._calling and not self._closed and (self._can_read() or self._can_write()):
            self._calling = True
            self._loop.run_callback(self._call)

    @edge
    def _call(self) -> None:
        self._calling = False
        if self._can_read() and self._readable is not None:
            self._readable()
        if self._can_write() and self._writable is not None:
            self._writable()

    def _can_read(self) -> bool:
        ended = self._ended and not self._on_the_way
        return not self._closed and self._reading and bool(self._inbox or ended)

    def _can_write(self) -> bool:
        peer = self._peer
        full = len(peer._inbox) + peer._on_the_way >= self.capacity
        return not self._closed and self._writing and (peer._closed or not full)


def memory_pair(
    hub: Any = None, *, capacity: int = 1024 * 1024, names: tuple[str, str] = ("memory:left", "memory:right")
) -> tuple[MemoryTransport, MemoryTransport]:
    """Two ends of one stream."""
    hub = hub or gevent.get_hub()
    left, right = MemoryTransport(names[0], hub, capacity), MemoryTransport(names[1], hub, capacity)
    left._peer, right._peer = right, left
    return left, right
