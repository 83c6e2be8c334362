"""A TCP proxy with faults: it delays, dribbles, holds, cuts, corrupts, refuses, and records what goes through it.

    with Proxy(("127.0.0.1", port)) as wire:       # connect to wire.address instead
        wire.delay(0.2)                            # everything arrives 0.2 s later
        wire.dribble(1)                            # one byte at a time
        wire.hold(); wire.release()                # a line that is silent: connections stay, nothing comes through
        wire.cut()                                 # a line that breaks: both ends get a reset
        wire.corrupt(DOWN, skip=100)               # one byte is another one
        wire.refuse(); wire.accept()               # nobody answers at this address

`UP` is from whoever connected to the proxy towards its target, `DOWN` is back. It runs in a native thread of its own,
so it goes on while the thread under test computes, and it reads no more than it may pass on: back-pressure is the
target's. A fault holds for connections that stand and for new ones, until `mend`.

`Recording` keeps a session as a file that can be replayed: `corpus.py` tells how.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from pyerlnode.testing.patience import patience

if TYPE_CHECKING:
    from pyerlnode.testing.corpus import Recording

UP, DOWN = "up", "down"
BOTH = UP, DOWN
CHUNK = 64 * 1024
HELD = 1024 * 1024
"""Bytes that one direction of one connection may keep before the proxy stops to read."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes `close` a reset."""


class Flow:
    """One direction of one connection: bytes read from `source`, due at some time, to be written to `sink`."""

    def __init__(self, number: int, direction: str, source: socket.socket, sink: socket.socket) -> None:
        self.number, self.direction, self.source, self.sink = number, direction, source, sink
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.size = 0
        self.ended = False
        self.shut = False

    def take(self, due: float, data: bytes) -> None:
        self.waiting.append((due, data))
        self.size += len(data)

    def write(self, now: float, most: int) -> int:
        """Write what is due, `most` bytes at most; gives how many were written."""
        if not self.waiting or self.waiting[0][0] > now:
            return 0
        due, data = self.waiting.popleft()
        try:
            count = self.sink.send(data[:most])
        except BlockingIOError:
            count = 0
        if count < len(data):
            self.waiting.appendleft((due, data[count:]))
        self.size -= count
        return count

    def finish(self) -> None:
        """Pass the end of the source on, once everything before it is written."""
        if self.ended and not self.waiting and not self.shut:
            self.shut = True
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)


class Proxy:
    """Listens on loopback and passes everything on to `target`; `recording` gets a copy of what is passed.

    Args:
        target: (host, port) to connect to, once for each connection that comes.
        recording: a `corpus.Recording`, or None.
        timeout: seconds for connecting to the target.
    """

    def __init__(
        self, target: tuple[str, int], *, recording: Recording | None = None, timeout: float = 5.0, port: int = 0
    ) -> None:
        self.target = target
        self.connections = 0
        self.passed = {UP: 0, DOWN: 0}
        self._recording = recording
        self._timeout = timeout
        self._wanted_port = port
        self._lock = threading.Lock()
        self._flows: list[Flow] = []
        self._mend()
        self._thread: threading.Thread | None = None

    # --- life ----------------------------------------------------------------------------------------
    def start(self) -> Proxy:
        self._listener = socket.create_server(("127.0.0.1", self._wanted_port), backlog=128)
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._running = True
        self._thread = threading.Thread(target=self._run, name=f"proxy to {self.target}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close everything and end the thread."""
        if self._thread is not None:
            self._running = False
            self._poke()
            self._thread.join(patience())
            self._thread = None
            for sock in (self._listener, self._woken, self._wake):
                sock.close()

    def __enter__(self) -> Proxy:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        return self.address[1]

    # --- faults ----------------------------------------------------------------------------------------
    def delay(self, seconds: float, directions: tuple[str, ...] = BOTH) -> None:
        """What is read from now on is passed on that much later; the order stays."""
        with self._lock:
            self._delays.update(dict.fromkeys(directions, seconds))

    def dribble(self, size: int = 1, directions: tuple[str, ...] = BOTH) -> None:
        """Pass on at most `size` bytes at a time, each in a packet of its own."""
        with self._lock:
            self._sizes.update(dict.fromkeys(directions, size))
        self._poke()

    def hold(self, directions: tuple[str, ...] = BOTH) -> None:
        """Pass nothing on; connections stand, and new ones are taken and left without an answer."""
        with self._lock:
            self._held.update(directions)

    def release(self, directions: tuple[str, ...] = BOTH) -> None:
        """Pass on again, beginning with what has come in meanwhile."""
        with self._lock:
            self._held.difference_update(directions)
        self._poke()

    def cut(self) -> int:
        """Break every connection that stands, by a reset of both ends; gives how many."""
        with self._lock:
            broken = len(self._flows) // 2
            for flow in self._flows:
                with contextlib.suppress(OSError):
                    flow.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                flow.source.close()
            self._flows.clear()
        self._poke()
        return broken

    def corrupt(self, direction: str = DOWN, skip: int = 0, mask: int = 0xFF) -> None:
        """Change one byte: the one after `skip` more bytes of that direction, by exclusive or with `mask`."""
        with self._lock:
            self._corrupt[direction] = [skip, mask]

    def refuse(self) -> None:
        """Close new connections at once."""
        with self._lock:
            self._refusing = True

    def accept(self) -> None:
        with self._lock:
            self._refusing = False

    def mend(self) -> None:
        """No fault any more; what was held goes on."""
        with self._lock:
            self._mend()
        self._poke()

    def _mend(self) -> None:
        self._delays: dict[str, float] = {UP: 0.0, DOWN: 0.0}
        self._sizes: dict[str, int] = {UP: CHUNK, DOWN: CHUNK}
        self._held: set[str] = set()
        self._corrupt: dict[str, list[int]] = {}
        self._refusing = False

    # --- the thread --------------------------------------------------------------------------------------
    def _poke(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # not started yet
            self._wake.send(b"x")

    def _run(self) -> None:
        while self._running:
            with self._lock:
                reads = [flow.source for flow in self._flows if self._may_read(flow)]
                now = time.monotonic()
                ready = [flow for flow in self._flows if flow.waiting and flow.direction not in self._held]
                writes = [flow.sink for flow in ready if flow.waiting[0][0] <= now]
                pause = min((max(0.0, flow.waiting[0][0] - now) for flow in ready), default=1.0)
            try:
                may_read, may_write, _ = select.select(
                    [self._listener, self._woken, *reads], writes, [], 1.0 if writes else pause
                )
            except (OSError, ValueError):
                continue  # a socket that `cut` has closed meanwhile
            self._turn(set(may_read), set(may_write))
        self.cut()

    def _may_read(self, flow: Flow) -> bool:
        return not flow.ended and flow.size < HELD and flow.direction not in self._held

    def _turn(self, may_read: set[socket.socket], may_write: set[socket.socket]) -> None:
        if self._woken in may_read:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        if self._listener in may_read:
            self._welcome()
        with self._lock:
            for flow in tuple(self._flows):
                if not self._move(flow, flow.source in may_read, flow.sink in may_write):
                    self._drop(flow.number)
            finished = {flow.number for flow in self._flows if flow.shut}
            for number in finished:
                if all(flow.shut for flow in self._flows if flow.number == number):
                    self._drop(number)

    def _welcome(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        try:
            if self._refusing:
                raise ConnectionRefusedError
            server = socket.create_connection(self.target, self._timeout)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            return
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self.connections += 1
            self._flows += [
                Flow(self.connections, UP, client, server),
                Flow(self.connections, DOWN, server, client),
            ]

    def _move(self, flow: Flow, may_read: bool, may_write: bool) -> bool:
        """Read and write what is possible; False when one end is gone by a reset: then so is the other."""
        try:
            if flow.direction not in self._held:
                self._pass(flow, may_read, may_write)
        except OSError:
            return False
        return True

    def _pass(self, flow: Flow, may_read: bool, may_write: bool) -> None:
        if may_read:
            data = flow.source.recv(CHUNK)
            if data:
                data = self._changed(flow.direction, data)
                if self._recording is not None:
                    self._recording.add(flow.number, flow.direction, data)
                flow.take(time.monotonic() + self._delays[flow.direction], data)
            else:
                flow.ended = True
        if may_write or may_read:
            self.passed[flow.direction] += flow.write(time.monotonic(), self._sizes[flow.direction])
        flow.finish()

    def _changed(self, direction: str, data: bytes) -> bytes:
        if direction not in self._corrupt:
            return data
        skip, mask = self._corrupt[direction]
        if skip >= len(data):
            self._corrupt[direction][0] -= len(data)
            return data
        del self._corrupt[direction]
        return data[:skip] + bytes([data[skip] ^ mask]) + data[skip + 1 :]

    def _drop(self, number: int) -> None:
        for flow in [flow for flow in self._flows if flow.number == number]:
            flow.source.close()
            self._flows.remove(flow)
