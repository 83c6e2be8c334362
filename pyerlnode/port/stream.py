"""The two descriptors of a port, on gevent's loop.

A BEAM gives a port program its descriptors 0 and 1 (with `nouse_stdio` 3 and 4). `take_over` keeps them for packets
alone: what the program, or a library, prints afterwards goes to standard error and never into the stream.

Reading and writing are done by watchers in the hub. A BEAM that does not read suspends who writes, beyond `BUFFER`
bytes.
"""

from __future__ import annotations

import errno
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from pyerlnode.runtime.edges import close_now, edge
from pyerlnode.runtime.forks import ours

READ = 65_536
BUFFER = 1024 * 1024
STDIO = (0, 1)
NOUSE_STDIO = (3, 4)


def take_over(descriptors: tuple[int, int]) -> tuple[int, int]:
    """Private copies of the port's descriptors; descriptors 0 and 1 then lead nowhere and to standard error."""
    mine = os.dup(descriptors[0]), os.dup(descriptors[1])
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDONLY)
    if descriptors == STDIO:
        os.dup2(null, 0)
        os.dup2(2, 1)
    else:
        for descriptor in descriptors:
            close_now(descriptor)
    close_now(null)
    return mine


class Stream:
    """Bytes in by `on_data`, bytes out by `write`; `on_end` once, when the other side is gone."""

    def __init__(
        self, descriptors: tuple[int, int], on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._in, self._out = descriptors
        self._on_data = on_data
        self._on_end = on_end
        self._queue: deque[bytes | memoryview] = deque()
        self._queued = 0
        self._room = Event()
        self._hub: Any = gevent.get_hub()
        self.closed = False
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._reader = self._hub.loop.io(self._in, 1)
        self._writer = self._hub.loop.io(self._out, 2)
        self._writing = False
        ours(self)

    def start(self) -> None:
        self._reader.start(self._readable)

    def write(self, data: bytes) -> None:
        """Queue and write; waits, unless the hub writes, while too much is queued."""
        if self.closed:
            return
        self._queue.append(data)
        self._queued += len(data)
        if not self._writing:
            self._writable()
        while self._queued > BUFFER and not self.closed and gevent.getcurrent() is not self._hub:
            self._room.clear()
            self._room.wait()

    def close(self) -> None:
        """End both ways; `on_end` is called unless it was."""
        if self.closed:
            return
        self.closed = True
        self._reader.close()
        self._writer.close()
        close_now(self._in)
        close_now(self._out)
        self._room.set()
        self._on_end()

    def forsake(self) -> None:
        """In a fork: let go of the descriptors; the port is the parent's."""
        if not self.closed:
            self.closed = True
            self._reader.close()
            self._writer.close()
            close_now(self._in)
            close_now(self._out)

    @edge
    def _readable(self) -> None:
        try:
            data = self._take()
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._on_data(data)
        else:
            self.close()

    def _take(self) -> bytes:
        return os.read(self._in, READ)

    def _give(self, data: bytes | memoryview) -> int:
        return os.write(self._out, data)

    @edge
    def _writable(self) -> None:
        while self._queue:
            try:
                written = self._give(self._queue[0])
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    self._wait_writable(True)
                    return
                self.close()  # the BEAM has closed the port
                return
            self._queued -= written
            first = self._queue.popleft()
            if written < len(first):
                self._queue.appendleft(memoryview(first)[written:])
            if self._queued <= BUFFER // 2:
                self._room.set()
        self._wait_writable(False)

    def _wait_writable(self, wanted: bool) -> None:
        if wanted is not self._writing:
            self._writing = wanted
            if wanted:
                self._writer.start(self._writable)
            else:
                self._writer.stop()
