"""A live connection: the channel's machine joined to a transport and to the hub.

One read, all its frames, one write. There is no greenlet per connection: a watcher calls `_readable` in the hub,
which reads what the socket has, gives every signal to `deliver`, calls `after_read` (the scheduler lets the
processes run that became ready; `before_read` told it that this will come) and writes what they sent in one gathered
call. What is sent at other times is written once per turn of the hub.

Here are its life, reading and the tick's timer; how signals get to the socket is in `outgoing`.

Laws:
- Signals arrive in the order of the stream.
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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent

from pyerlnode.dist.channel import Channel, Undecodable
from pyerlnode.dist.ticks import TickAction, TickSettings
from pyerlnode.errors import ProtocolError
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.net.busy_wait import BusyWait
from pyerlnode.net.outgoing import Outgoing
from pyerlnode.net.ticker import Ticker
from pyerlnode.net.transport import SocketTransport, Transport
from pyerlnode.runtime.edges import edge, escaped, report, stop_program, stops_program
from pyerlnode.runtime.forks import ours
from pyerlnode.signal import Exit2, ExitSignal, MonitorExit, Signal, SpawnRequest
from pyerlnode.term.atom import A

logger = logging.getLogger("pyerlnode.net.connection")

DRAIN_READS = 1024
"""Reads of what a peer said before it was gone."""


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


class Connection(Outgoing):
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
        hub = hub or gevent.get_hub()
        taken: Transport = SocketTransport(transport, hub) if hasattr(transport, "detach") else transport
        super().__init__(hub, channel, taken, limits.send_buffer)
        self._deliver = deliver
        self._on_down = on_down
        self._on_event = on_event
        self._before_read = before_read
        self._after_read = after_read
        self._ticker = ticker
        self._busy_wait = busy_wait
        self._leftover = b""
        self._in_read = self._paused = self._pipe_broken = False
        self._undecodable = 0
        ours(self)

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

    def forsake(self) -> None:
        """In a fork: nothing is read or written any more, and nobody is told."""
        self.closed = True
        self._queue.clear()

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
        if isinstance(error, ProtocolError):  # of the peer, but for the limit that it is against
            return self._broken(error)
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

    # --- the other side is gone --------------------------------------------------------------------
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

    def change_ticks(self, settings: TickSettings, now: float) -> None:
        """Another tick time from now on."""
        self.channel.change_ticks(settings, now)

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
