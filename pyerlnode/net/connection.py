"""A live connection: the channel's machine joined to a transport and to the hub.

One read, all its frames, one write. There is no greenlet per connection: a watcher calls `_readable` in the hub,
which reads what the socket has, gives every signal to `deliver`, calls `after_read` (the scheduler lets the
processes run that became ready; `before_read` told it that this will come) and writes what they sent in one gathered
call. What is sent at other times is
written once per turn of the hub.

Laws:
- Signals leave in the order of `send` (per sender: see `dist.send_queue`), arrive in the order of the stream.
- `send` encodes at once: a term without a form on the wire raises there, and nothing has been queued.
- A peer that does not read suspends the senders of messages: beyond `limits.send_buffer` bytes that wait before
  its own `send` waits until half of that has left. Other signals, and the hub itself, never wait.
- A message that can not be decoded costs the connection, as on a BEAM: who sent it may wait for an answer, and nobody
  here can tell who that is; it learns of it by `noconnection`. An exit or a DOWN comes all the same, with the reason
  ``{undecodable_reason, Why}``, and so does a spawn request, which is answered by an error. What breaks the protocol
  costs the connection too, with one log line. No line shows a message.
- `on_down` is called exactly once, after all signals that came, whoever ended the connection and why. Its reason
  is an atom: `connection_closed`, `net_tick_timeout`, `protocol_error`, `system_error` or what `close` was given.
- Nothing that goes wrong here reaches the hub.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event
from gevent.monkey import get_original
from greenlet import getcurrent

from pyerlnode.dist.channel import Channel, Undecodable
from pyerlnode.dist.fragment import Buffer, Packet
from pyerlnode.dist.framing import TICK
from pyerlnode.dist.send_queue import AFTER_ALL, SendQueue
from pyerlnode.dist.ticks import TickAction
from pyerlnode.errors import ProtocolError
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.net.busy_wait import BusyWait
from pyerlnode.net.ticker import Ticker
from pyerlnode.net.transport import SocketTransport, Transport
from pyerlnode.runtime.edges import edge, escaped, report, stop_program, stops_program
from pyerlnode.signal import Exit2, ExitSignal, GroupLeader, Message, MonitorExit, Signal, SpawnReply, SpawnRequest
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid

logger = logging.getLogger("pyerlnode.net.connection")

WRITE_SIZE = 256 * 1024
"""Taken from the queue at a time; also what a small message waits behind at most."""
TURN_SIZE = 2 * 1024 * 1024
"""Written in one turn of the hub, so that a large transfer does not keep it from everything else."""

EARLY_SIZE = 64 * 1024
"""Written before the turn of the hub is over, when a greenlet sends so much without a pause."""

DRAIN_READS = 1024
"""Reads of what a peer said before it was gone."""

_allocate_lock = get_original("_thread", "allocate_lock")


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """Counters since the connection came up; sizes in bytes."""

    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    fragments_in: int
    fragments_out: int
    ticks_in: int
    ticks_out: int
    undecodable: int
    """Messages whose payload was no term."""
    queued: int
    """Bytes that wait to be written."""
    pending_fragments: int
    """Fragmented messages of the peer that have not ended."""
    suspensions: int
    """How often a sender had to wait for room."""
    ticks_missed: int
    """Intervals of a quarter of the tick time in which nothing came."""


def _nothing() -> None:
    pass


def _no_event(_name: str, _connection: Connection, _count: int) -> None:
    pass


class Connection:
    """The connection to `channel.peer` over `transport` (a `Transport`, or a connected socket to take over).

    All methods are for the hub's own thread. `deliver` and `after_read` are called in the hub and must not wait;
    `on_event` is told of ``suspended`` (bytes that wait) and ``undecodable`` (how many so far).
    """

    def __init__(
        self,
        transport: Any,
        channel: Channel,
        *,
        deliver: Callable[[Signal], None],
        on_down: Callable[[Connection, Any], None],
        before_read: Callable[[], None] = _nothing,
        after_read: Callable[[], None] = _nothing,
        ticker: Ticker | None = None,
        busy_wait: BusyWait | None = None,
        limits: Limits = DEFAULT_LIMITS,
        on_event: Callable[[str, Connection, int], None] = _no_event,
        hub: Any = None,
    ) -> None:
        self.hub = hub or gevent.get_hub()
        self.channel = channel
        self.peer = channel.peer
        self.closed = False
        self._usual = channel.usual
        self._transport: Transport = SocketTransport(transport, self.hub) if hasattr(transport, "detach") else transport
        self._deliver = deliver
        self._on_down = on_down
        self._on_event = on_event
        self._before_read = before_read
        self._after_read = after_read
        self._ticker = ticker
        self._busy_wait = busy_wait
        self._limit = limits.send_buffer
        self._queue = SendQueue()
        self._partial: list[Buffer] = []  # taken from the queue and not written; touched under the lock only
        self._partial_size = 0
        self._lock = _allocate_lock()
        self._room = Event()
        self._leftover = b""
        self._in_read = self._flush_planned = self._paused = self._want_write = False
        self._pipe_broken = self._crowded = False
        self._bytes_seen = 0
        self._ticks_out = self._suspensions = self._undecodable = 0

    def __repr__(self) -> str:
        return f"<Connection to {self.peer.name} at {self._transport.name}{' (closed)' if self.closed else ''}>"

    # --- life --------------------------------------------------------------------------------------
    def start(self, leftover: bytes = b"") -> None:
        """Begin to read; `leftover` is what came together with the end of the handshake."""
        self._leftover = leftover
        if leftover:
            self.hub.loop.run_callback(edge(self._readable))
        self._transport.start(self._readable, self._writable)
        if self._ticker is not None:
            self._ticker.add(self)

    def close(self, reason: Any = A.disconnect) -> None:
        """End the connection now. What was queued is written as far as the transport takes it at once."""
        if self.closed:
            return
        if reason is not A.connection_closed:
            self._last_words()
        self._end(reason)

    def _last_words(self) -> None:
        try:
            with self._lock:
                self._write(self._limit)
        except OSError:
            pass  # it is going down anyway

    def _end(self, reason: Any) -> None:
        self.closed = True
        if self._ticker is not None:
            self._ticker.remove(self)
        with self._lock:  # the ticker's thread must not write to a descriptor that is gone
            self._transport.close()
            self._partial.clear()
            self._partial_size = 0
        self._queue.clear()
        self._room.set()
        try:
            self._on_down(self, reason)
        except BaseException as error:
            escaped(f"what is told of the end of the connection to {self.peer.name}", error)

    @property
    def is_reading(self) -> bool:
        """True while signals of it are delivered."""
        return self._in_read

    def pause_reading(self) -> None:
        """Stop taking bytes from the peer: it will feel it as we feel a peer that does not read."""
        self._paused = True
        if not self.closed:
            self._transport.want_read(False)

    def resume_reading(self) -> None:
        self._paused = False
        if not self.closed:
            self._transport.want_read(True)

    # --- reading -----------------------------------------------------------------------------------
    def _readable(self) -> None:
        """One read and all that follows from it. Called in the hub."""
        if self.closed or self._in_read:
            return
        self._in_read = True
        before = self.channel.messages_in
        reason = None
        try:
            reason = self._read_once()
        except BaseException as error:
            reason = self._failed(error)
        finally:
            self._in_read = False
        if reason is None:
            self._flush()
            if self._busy_wait is not None:
                self._busy_wait.rest(self.channel.messages_in - before)
        elif not self.closed:
            self.close(reason)

    def _read_once(self) -> Any:
        """Deliver what one read gave; the reason when that was the last one."""
        data: bytes | None
        if self._leftover:
            data, self._leftover = self._leftover, b""
        else:
            try:
                data = self._transport.receive()
            except OSError:
                data = b""
        if data is None:
            return None
        if self._busy_wait is not None:
            self._busy_wait.woke()
        channel = self.channel
        deliver = self._deliver
        events = channel.receive(data)
        self._before_read()
        try:
            for event in events:
                if type(event) is Undecodable:
                    self._report(event)
                    if not self._without_payload(event, deliver):
                        text = f"the peer sent a message that can not be decoded: {event.text}"
                        return self._broken(ProtocolError(text))
                else:
                    deliver(event)  # type: ignore[arg-type] # what is not Undecodable is a Signal
                if self.closed:  # by this signal
                    return None
        finally:
            self._after_read()
        if channel.failed is not None:
            return self._broken(channel.failed)
        return None if data else A.connection_closed

    def _failed(self, error: BaseException) -> Any:
        """A signal could not be delivered. What Ctrl-C raised just here is no reason to close."""
        if stops_program(error):
            stop_program(error)
            return None
        report(
            logger, "the connection to %s is closed: a signal could not be delivered", self.peer.name, exc_info=error
        )
        return A.system_error

    def _broken(self, error: ProtocolError) -> Any:
        logger.error("the connection to %s (%s) is closed: %s", self.peer.name, self._transport.name, error)
        return A.protocol_error

    def _report(self, event: Undecodable) -> None:
        self._undecodable += 1
        count = self._undecodable
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th …: a peer must not fill the log
            kind = type(event.signal).__name__
            text = "the term of a %s from %s can not be decoded: %s (%d so far)"
            logger.warning(text, kind, self.peer.name, event.text, count)
            self._on_event("undecodable", self, count)

    @staticmethod
    def _without_payload(event: Undecodable, deliver: Callable[[Signal], None]) -> bool:
        """Deliver what has an outcome without its payload: the end of a link or a monitor, a spawn request."""
        signal = event.signal
        if isinstance(signal, (ExitSignal, Exit2, MonitorExit)):
            signal.reason = (A.undecodable_reason, event.text.encode())
        elif not isinstance(signal, SpawnRequest):  # that goes without arguments: it is answered by an error
            return False
        deliver(signal)
        return True

    # --- writing -----------------------------------------------------------------------------------
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
        self._flush()
        if self.closed or self._load(sender) <= self._limit:
            return
        self._suspensions += 1
        self._on_event("suspended", self, self._queue.size + self._partial_size)
        while not self.closed and self._load(sender) > self._limit // 2:
            self._room.clear()
            self._crowded = True
            self._room.wait()

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

    def _write_failed(self) -> None:
        """The peer takes nothing any more, but what it said before that may still lie here: read to the end."""
        with self._lock:
            self._partial.clear()
            self._partial_size = 0
        self._queue.clear()
        if not self._pipe_broken:
            self._pipe_broken = True
            self.hub.loop.run_callback(self._drain)

    @edge
    def _drain(self, reads: int = DRAIN_READS) -> None:
        """One read of the rest, and so on in later turns of the loop: what each of them brings has its time, too."""
        before = self.channel.bytes_in
        self._readable()
        if self.closed:
            return
        if reads == 1 or self.channel.bytes_in == before:
            self.close(A.connection_closed)
            return
        later = self.hub.loop.timer(0.0)
        later.start(self._drain_on, later, reads - 1)

    @edge
    def _drain_on(self, timer: Any, reads: int) -> None:
        timer.close()
        self._drain(reads)

    # --- ticks -------------------------------------------------------------------------------------
    def next_deadline(self) -> float:
        """When `on_timer` is due."""
        return self.channel.next_deadline()

    def on_timer(self, now: float) -> None:
        """The end of a tick interval. Called in the hub."""
        if self.closed:
            return
        for action in self.channel.handle_timer(now):
            if action is TickAction.SEND_TICK:
                self._send_tick()
            elif self._paused:
                self.channel.revive()  # the silence is ours
            else:
                self._silent()

    def _silent(self) -> None:
        """No byte for so long; unless this program was busy itself and they lie in the socket."""
        before = self.channel.bytes_in
        self._readable()
        if self.closed:
            return
        if self.channel.bytes_in != before:
            self.channel.revive()
            return
        text = "** Node %s not responding ** Removing (timedout) connection"
        logger.error(text, self.peer.name)
        self.close(A.net_tick_timeout)

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

    @property
    def stats(self) -> ConnectionStats:
        """The counters now."""
        channel = self.channel
        return ConnectionStats(
            messages_in=channel.messages_in,
            messages_out=channel.messages_out,
            bytes_in=channel.bytes_in,
            bytes_out=channel.bytes_out,
            fragments_in=channel.fragments_in,
            fragments_out=channel.fragments_out,
            ticks_in=channel.ticks_in,
            ticks_out=self._ticks_out,
            undecodable=channel.undecodable,
            queued=self._queue.size + self._partial_size,
            pending_fragments=channel.pending_fragments,
            suspensions=self._suspensions,
            ticks_missed=channel.ticks_missed,
        )


def _sender(signal: Signal) -> Hashable:
    """Whose signal it is: only those of one process keep their order among each other."""
    if type(signal) is SpawnReply:
        return signal.result if type(signal.result) is Pid else AFTER_ALL
    if type(signal) is GroupLeader:
        return AFTER_ALL
    from_ = signal.from_  # type: ignore[union-attr] # all others have it
    return from_ if from_ is None or type(from_) is Pid else AFTER_ALL
