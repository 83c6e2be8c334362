"""What a connection needs from whatever carries its bytes, and the one over a socket.

A transport never blocks and never waits: `receive` and `send` do what can be done now. It calls `readable` and
`writable` in the hub, as long as they are wanted (level-triggered). `send` touches nothing but the socket, so
that a native thread may call it too while it holds the connection's lock (`threadsafe`).
"""

from __future__ import annotations

import _socket
from collections.abc import Callable
from typing import Any, Protocol

import gevent

from pyerlnode.dist.fragment import Buffer
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.forks import ours

READ_SIZE = 256 * 1024
MAX_BUFFERS = 1024
"""IOV_MAX of Linux and the BSDs: what one `sendmsg` takes."""
_BULK = 64 * 1024


class Transport(Protocol):
    """A stream of bytes to a peer."""

    name: str
    """Where it leads, for logs: ``127.0.0.1:4370``."""
    threadsafe: bool
    """Whether `send` may be called by another thread."""

    def start(self, readable: Callable[[], None], writable: Callable[[], None]) -> None:
        """Call `readable` whenever there are bytes or an end to receive, `writable` when `want_write` asked."""

    def receive(self) -> bytes | None:
        """What is there, at most `READ_SIZE` bytes: b"" at the end of the stream, None when nothing is there yet.

        Raises:
            OSError: the stream broke.
        """

    def send(self, buffers: list[Buffer]) -> int:
        """Hand over as many bytes as fit now and give their number.

        Raises:
            OSError: the stream broke.
        """

    def want_read(self, wanted: bool) -> None:
        """Start or stop calling `readable`."""

    def want_write(self, wanted: bool) -> None:
        """Start or stop calling `writable`."""

    def close(self) -> None:
        """Let go of everything. No callback comes after it."""


class SocketTransport:
    """A connected stream socket. It takes the descriptor over: `sock` (plain or gevent's) is spent."""

    __slots__ = (
        "__weakref__", "_bulk", "_read", "_readable", "_sock", "_view", "_writable", "_write", "name", "threadsafe",
    )  # fmt: skip

    def __init__(self, sock: Any, hub: Any = None) -> None:
        self.name = peer_name(sock)
        self.threadsafe = True
        # The C socket itself: never patched, never waiting, and its methods are the system calls.
        self._sock = _socket.socket(fileno=sock.detach())
        self._sock.setblocking(False)
        loop = (hub or gevent.get_hub()).loop
        self._read = loop.io(self._sock.fileno(), 1)
        self._write = loop.io(self._sock.fileno(), 2)
        self._view = memoryview(bytearray(READ_SIZE))
        self._bulk = False
        self._readable: Callable[[], None] | None = None
        self._writable: Callable[[], None] | None = None
        ours(self)

    def start(self, readable: Callable[[], None], writable: Callable[[], None]) -> None:
        self._readable, self._writable = edge(readable), edge(writable)
        self._read.start(self._readable)

    def receive(self) -> bytes | None:
        try:
            if self._bulk:  # a large read is not copied out of the reused buffer
                data = self._sock.recv(READ_SIZE)
                self._bulk = len(data) >= _BULK
                return data
            size = self._sock.recv_into(self._view)
        except (BlockingIOError, InterruptedError):
            return None
        self._bulk = size >= _BULK
        return bytes(self._view[:size])

    def send(self, buffers: list[Buffer]) -> int:
        try:
            if len(buffers) == 1:
                return self._sock.send(buffers[0])
            return self._sock.sendmsg(buffers if len(buffers) <= MAX_BUFFERS else buffers[:MAX_BUFFERS])
        except (BlockingIOError, InterruptedError):
            return 0

    def want_read(self, wanted: bool) -> None:
        if not wanted:
            self._read.stop()
        elif not self._read.active:
            self._read.start(self._readable)

    def want_write(self, wanted: bool) -> None:
        if not wanted:
            self._write.stop()
        elif not self._write.active:
            self._write.start(self._writable)

    def close(self) -> None:
        for watcher in (self._read, self._write):
            watcher.stop()
            watcher.close()
        self._sock.close()

    forsake = close  # it tells the peer nothing: that has the parent's descriptor still


def peer_name(sock: Any) -> str:
    """Where a socket leads, for logs."""
    try:
        address = sock.getpeername()
    except OSError:
        return "a closed socket"
    if isinstance(address, tuple) and len(address) >= 2:
        return f"{address[0]}:{address[1]}"
    return str(address) or "a socket pair"
