"""The writing half of a connection: from `send` to the socket, in one gathered call for all that was sent in a turn.

Laws:
- Signals leave in the order of `send` (per sender: see `dist.send_queue`).
- `send` encodes at once: a term without a form on the wire raises there, and nothing has been queued.
- A peer that does not read suspends the senders of messages: beyond `limits.send_buffer` bytes that wait before
  its own `send` waits until half of that has left. Other signals, and the hub itself, never wait.
- A tick of the native thread never cuts into a packet: it takes the same lock, and goes on with a packet half written.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from sys import maxsize
from typing import Any

from gevent.event import Event
from gevent.monkey import get_original
from greenlet import getcurrent

from pyerlnode.dist.channel import Channel
from pyerlnode.dist.fragment import Buffer, Packet
from pyerlnode.dist.framing import TICK
from pyerlnode.dist.send_queue import AFTER_ALL, SendQueue
from pyerlnode.net.transport import Transport
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.process import current
from pyerlnode.signal import GroupLeader, Message, Signal, SpawnReply
from pyerlnode.term.pid import Pid

WRITE_SIZE = 256 * 1024
"""Taken from the queue at a time; also what a small message waits behind at most."""
TURN_SIZE = 2 * 1024 * 1024
"""Written in one turn of the hub, so that a large transfer does not keep it from everything else."""

EARLY_SIZE = 64 * 1024
"""Written before the turn of the hub is over, when a greenlet sends so much without a pause."""

_allocate_lock = get_original("_thread", "allocate_lock")


class Outgoing:
    """What waits for a peer, and how it is written. `Connection` adds what comes in, and the end."""

    _on_event: Callable[[str, Any, int], None]
    _in_read: bool

    def __init__(self, hub: Any, channel: Channel, transport: Transport, limit: int) -> None:
        self.hub = hub
        self.channel = channel
        self.peer = channel.peer
        self.closed = False
        self._usual = channel.usual
        self._transport = transport
        self._limit = limit
        self._queue = SendQueue()
        self._partial: list[Buffer] = []  # taken from the queue and not written; touched under the lock only
        self._partial_size = 0
        self._lock = _allocate_lock()
        self._room = Event()
        self._flush_planned = self._want_write = self._crowded = False
        self._bytes_seen = self._ticks_out = self._suspensions = 0

    def _write_failed(self) -> None:
        """The peer takes nothing any more."""
        raise NotImplementedError

    # --- queueing ----------------------------------------------------------------------------------
    def send(self, signal: Signal, nosuspend: bool = False) -> bool:
        """Queue `signal`. False when it was not: closed, no operation for it, or `nosuspend` and no room.

        A `Message` waits for room after it has been queued, unless the hub sends it.

        Raises:
            EncodeError: a term in it has no form on the wire.
        """
        if self.closed or (nosuspend and self._load(_sender(signal)) > self._limit):
            return False
        queue = self._queue
        packet = self._usual(signal, not queue.lanes)  # fragments that wait are passed: what is made now may be, too
        if type(packet) is bytes and not queue.lanes:
            queue.put_small(packet)
        elif not self._put(signal, packet):
            return False
        if queue.size > EARLY_SIZE:
            if not self._want_write:
                self._flush()  # so that the peer has something to do meanwhile
        elif not self._in_read and not self._flush_planned:
            self._flush_planned = True
            self.hub.loop.run_callback(self._planned_flush)
        if queue.size + self._partial_size > self._limit and type(signal) is Message and not nosuspend:
            self._wait_for_room(_sender(signal))
        return True

    def send_all(self, signals: Iterable[Signal], not_sent: Callable[[Signal], None]) -> None:
        """Queue what waited for this connection, in one go: nothing comes between, so nobody waits for room.

        `not_sent` is told of what the peer has no operation for. No term in it fails: `runtime.dialling` has encoded
        it, and refused what some releases refuse.
        """
        limit, self._limit = self._limit, maxsize
        try:
            for signal in signals:
                if not self.send(signal) and not self.closed:
                    not_sent(signal)
        finally:
            self._limit = limit

    def _put(self, signal: Signal, packet: Any) -> bool:
        """Queue what `channel.usual` gave for `signal`: what is no single packet, or has others to wait for."""
        queue = self._queue
        packets: list[Packet] = [[packet]] if type(packet) is bytes else self.channel.packets_of(signal, packet)
        if len(packets) == 1:
            queue.put(_sender(signal) if queue.lanes else None, packets[0])
        elif packets:
            queue.put_fragments(_sender(signal), packets)
        return bool(packets)

    def _load(self, sender: Hashable) -> int:
        return self._partial_size + self._queue.load(sender)

    def _wait_for_room(self, sender: Hashable) -> None:
        """Suspend the sender until half of the limit is free for it, or the connection is closed.

        The fragments of another's large message do not count: what this one sends will pass them.
        """
        if getcurrent() is self.hub or self._load(sender) <= self._limit:
            return
        process = current()
        if process is not None and process.async_dist:
            return
        self._flush()
        if self.closed or self._load(sender) <= self._limit:
            return
        self._suspensions += 1
        self._on_event("suspended", self, self._queue.size + self._partial_size)
        while not self.closed and self._load(sender) > self._limit // 2:
            self._room.clear()
            self._crowded = True
            self._room.wait()

    # --- writing -----------------------------------------------------------------------------------
    @edge
    def _planned_flush(self) -> None:
        self._flush_planned = False
        self._flush()

    def _writable(self) -> None:
        self._flush()

    def _flush(self) -> None:
        """Write what is queued, as far as the transport takes it."""
        if self.closed:
            return
        try:
            with self._lock:
                self._write(TURN_SIZE)
        except OSError:
            self._write_failed()
        waiting = self._partial_size + self._queue.size
        if bool(waiting) is not self._want_write:
            self._want_write = not self._want_write
            self._transport.want_write(self._want_write)
        if self._crowded and self._partial_size + self._queue.small_size <= self._limit // 2:
            self._crowded = False
            self._room.set()

    def _write(self, size: int) -> None:
        """Write up to about `size` bytes. The lock is held."""
        queue = self._queue
        while size > 0:
            partial = self._partial
            if not partial:
                if not queue.size:
                    return
                partial = self._partial = queue.take(WRITE_SIZE)
                self._partial_size = len(partial[0]) if len(partial) == 1 else sum(map(len, partial))
            written = self._transport.send(partial)
            if not written:
                return
            if written == self._partial_size:
                self.channel.bytes_out += written
                self._partial_size = 0
                self._partial = []
            else:
                self._advance(written)
            size -= written

    def _advance(self, written: int) -> None:
        self.channel.bytes_out += written
        self._partial_size -= written
        partial = self._partial
        if not self._partial_size:
            partial.clear()
            return
        done = 0
        while written >= len(partial[done]):
            written -= len(partial[done])
            done += 1
        del partial[:done]
        if written:
            partial[0] = memoryview(partial[0])[written:]

    # --- ticks -------------------------------------------------------------------------------------
    def _send_tick(self) -> None:
        self._ticks_out += 1
        if not self._queue.size and not self._partial_size:
            self._queue.put(AFTER_ALL, [TICK])
        self._flush()

    def tick_from_thread(self) -> None:
        """Write a tick if nothing was written since the last call. Called by the ticker's native thread.

        It never writes inside a packet: when one is half written it goes on with that one, which is a sign of
        life too. A lock that is taken means that the hub is writing just now.
        """
        if not self._transport.threadsafe or not self._lock.acquire(False):
            return
        try:
            if self.closed:
                return
            if self.channel.bytes_out == self._bytes_seen:
                self._write_tick()
            self._bytes_seen = self.channel.bytes_out
        except OSError:
            pass  # the hub will find out by itself
        finally:
            self._lock.release()

    def _write_tick(self) -> None:
        """A tick between two packets, or more of the packet that has begun. The lock is held."""
        if self._partial:
            written = self._transport.send(self._partial)
            if written:
                self._advance(written)
            return
        written = self._transport.send([TICK])
        if written:
            self._ticks_out += 1
            self.channel.bytes_out += written
        if 0 < written < len(TICK):
            self._partial = [memoryview(TICK)[written:]]
            self._partial_size = len(TICK) - written


def _sender(signal: Signal) -> Hashable:
    """Whose signal it is: only those of one process keep their order among each other."""
    if type(signal) is SpawnReply:
        return signal.result if type(signal.result) is Pid else AFTER_ALL
    if type(signal) is GroupLeader:
        return AFTER_ALL
    from_ = signal.from_  # type: ignore[union-attr] # all others have it
    return from_ if from_ is None or type(from_) is Pid else AFTER_ALL
