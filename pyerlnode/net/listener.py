"""Being reached: a listening socket, and the handshake as acceptor for each socket that comes in.

Reference: OTP's `inet_tcp_dist` (accept loop) and `dist_util` (handshake_other_started).

The socket listens from its construction, since EPMD must be told the port before the node knows its
creation; connections wait in the backlog until `start`. One that says nothing has a watcher, and a greenlet from its
first message on. Who gets a place, who leaves for another and whose turn it is decides `admission_core`: ten thousand
silent connections, or as many that say a name and stop there, do not keep a real peer out. What fails is one warning
in the log, but for a peer that gives way to our own attempt, and for who has not said a name: probes of the port, port
scanners, what speaks another protocol. Anybody can make those, so they are a line for debugging, and counted.
"""

from __future__ import annotations

import _socket
import errno
import logging
import socket as plain
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import gevent
from gevent.socket import socket as Socket  # noqa: N812 - a class that gevent spells like its module

from pyerlnode.dist.handshake import SETUP_TIME
from pyerlnode.errors import HandshakeError
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.net import tcp
from pyerlnode.net.admission_core import Admission, source_of
from pyerlnode.net.guest import Caller, Guest, Reception, has_spoken
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.forks import ours

__all__ = ["Listener", "Reception"]

log = logging.getLogger("pyerlnode.net")

BATCH: Final = 32
"""Connections that are taken, and handshakes that are begun, before others have their turn."""
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE: Final = 0.1
"""Seconds until the next try where a connection can not be taken, and nobody can leave for it."""
_GONE: Final = ("closed the connection while we waited for its name", "closed the connection before it said anything")
"""Without and with TLS."""
_LATE: Final = ("did not say its name in time", "did not finish the handshake of TLS in time")
_REPEAT: Final = 60.0
"""Seconds between two lines about a crowd."""


class Listener:
    """Listens on the first free one of `ports` (0: the system chooses; a range for a firewall).

    Args:
        host: that of the node: it says where (`tcp.bind_addresses`); or the addresses themselves.

    Raises:
        NetworkError: no port is free there.
    """

    def __init__(
        self,
        host: str | Sequence[str],
        ports: int | Iterable[int] = 0,
        *,
        limits: Limits = DEFAULT_LIMITS,
        setup_time: float = SETUP_TIME,
    ) -> None:
        found = tcp.listen_at(tcp.bind_addresses(host) if isinstance(host, str) else host, ports)
        self.port: int = found[0].getsockname()[1]
        self._listening = [_bare(sock) for sock in found]
        self._limits = limits
        self._setup_time = setup_time
        self._reception: Reception | None = None
        self._admission: Admission[Caller] = Admission(limits.pending_handshakes)
        self._loop = gevent.get_hub().loop
        self._watchers: list[Any] = []
        self._clock: Any = None
        """Runs while somebody is silent."""
        self._begins = False
        """Callers that have spoken are about to have their turn."""
        self._left = 0
        """Who had to leave for others since the log was told."""
        self._told = float("-inf")
        ours(self)

    @property
    def pending(self) -> int:
        """Connections that have not become one to a peer yet."""
        return len(self._admission)

    def start(self, reception: Reception) -> None:
        """Take the connections that wait, and those to come."""
        self._reception = reception
        for listening in self._listening:
            watcher = self._loop.io(listening.fileno(), 1)
            watcher.start(self._acceptable, watcher, listening)
            self._watchers.append(watcher)

    def stop(self, *, wait: bool = True) -> None:
        """Close the port and every handshake under way; finished connections are not touched.

        Without `wait` no other greenlet runs meanwhile.
        """
        self.forsake()
        callers = self._admission.guests
        for caller in callers:
            self._admission.gone(caller)
            caller.close()
        me = gevent.getcurrent()
        gevent.killall([c.greenlet for c in callers if c.greenlet is not None and c.greenlet is not me], block=wait)

    def forsake(self) -> None:
        """Listen no more."""
        for watcher in (*self._watchers, self._clock):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._watchers, self._clock = [], None
        for listening in self._listening:
            listening.close()

    # --- in the hub ----------------------------------------------------------------------------
    @edge
    def _acceptable(self, watcher: Any, listening: Any) -> None:
        for _ in range(BATCH):
            if not self._take_one(watcher, listening):
                return

    def _take_one(self, watcher: Any, listening: Any) -> bool:
        """Whether there may be more."""
        try:
            descriptor, address = listening._accept()
        except ConnectionAbortedError:
            return True
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if error.errno in _NO_ROOM and self._make_room():
                return True
            if error.errno not in (errno.EBADF, errno.EINVAL):
                log.warning("no connection can be accepted: %s", error.strerror)
                self._pause(watcher, listening)
            return False
        self._welcome(descriptor, address[0])
        return True

    def _pause(self, watcher: Any, listening: Any) -> None:
        watcher.stop()
        timer = self._loop.timer(_PAUSE)
        self._watchers.append(timer)
        timer.start(self._go_on, timer, watcher, listening)

    @edge
    def _go_on(self, timer: Any, watcher: Any, listening: Any) -> None:
        self._watchers.remove(timer)
        timer.close()
        watcher.start(self._acceptable, watcher, listening)

    def _make_room(self) -> bool:
        """For want of descriptors or memory somebody leaves; False when nobody can."""
        caller = self._admission.displace()
        if caller is not None:
            self._dismiss(caller)
        return caller is not None

    def _welcome(self, descriptor: int, address: str) -> None:
        now = time.monotonic()
        watcher = self._loop.io(descriptor, 1)
        caller = Caller(descriptor, address, watcher, now)
        for other in self._admission.came(caller, source_of(address), now + self._setup_time):
            self._dismiss(other)
        watcher.start(self._readable, caller)
        if self._clock is None:
            self._wind(self._setup_time)

    def _dismiss(self, caller: Caller) -> None:
        """It leaves for another."""
        caller.dismissed = True
        caller.close()
        if caller.greenlet is not None:
            caller.greenlet.kill(block=False)
        self._left += 1
        now = time.monotonic()
        if now - self._told >= _REPEAT:
            text = "%d connections have not proved the cookie, as many as may be: those that do not go on give way (%d)"
            log.warning(text, self._limits.pending_handshakes, self._left)
            self._told, self._left = now, 0

    @edge
    def _readable(self, caller: Caller) -> None:
        """A caller that has not said its first message whole says something, or goes."""
        try:
            data = caller.sock.recv(self._limits.handshake_message)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._admission.gone(caller)
            self._silent_end(caller, _GONE[self._speaks_tls])
            return
        caller.heard += data
        # A session of TLS has begun with its first byte: to put its records together is OpenSSL's work.
        if self._speaks_tls or has_spoken(caller.heard, self._limits.handshake_message):
            caller.stop_watching()
            self._admission.spoke(caller)
            if not self._begins:
                self._begins = True
                self._loop.run_callback(self._begin)

    @property
    def _speaks_tls(self) -> bool:
        return self._reception is not None and self._reception.tls is not None

    def _silent_end(self, caller: Caller, words: str) -> None:
        caller.close()
        log.debug("a connection from %s was refused: the peer %s", caller.address, words)
        if self._reception is not None:
            self._reception.on_stranger(caller.address)

    @edge
    def _overdue(self) -> None:
        self._clock.close()
        self._clock = None
        now = time.monotonic()
        for caller in self._admission.overdue(now):
            self._silent_end(caller, _LATE[self._speaks_tls])
        deadline = self._admission.next_deadline()
        if deadline is not None:
            self._wind(deadline - now)

    def _wind(self, seconds: float) -> None:
        self._clock = self._loop.timer(seconds)
        self._clock.start(self._overdue)

    @edge
    def _begin(self) -> None:
        """Those whose turn it is; the others after what else has become ready."""
        now = time.monotonic()
        for _ in range(BATCH):
            caller = self._admission.next_turn(now)
            if caller is None:
                self._begin_later(now)
                return
            caller.greenlet = gevent.Greenlet(self._receive, caller)
            caller.greenlet.link(lambda _, caller=caller: self._admission.gone(caller))
            caller.greenlet.start()
        self._loop.run_callback(self._begin)

    def _begin_later(self, now: float) -> None:
        """Those that wait have begun as many as they may for now."""
        then = self._admission.next_second()
        self._begins = then is not None
        if then is not None:
            timer = self._loop.timer(max(0.0, then - now))
            self._watchers.append(timer)
            timer.start(self._begin_again, timer)

    @edge
    def _begin_again(self, timer: Any) -> None:
        self._watchers.remove(timer)
        timer.close()
        self._begin()

    # --- greenlets -----------------------------------------------------------------------------
    @edge
    def _receive(self, caller: Caller) -> None:
        reception, address = self._reception, caller.address
        assert reception is not None
        guest = Guest(reception, lambda: self._admission.proven(caller))
        family = plain.AF_INET6 if ":" in address else plain.AF_INET
        guest.stream = caller.sock = sock = Socket(family, plain.SOCK_STREAM, fileno=caller.sock.detach())
        try:
            try:
                tcp.accepted(sock)
            except OSError:
                pass  # it is gone, as the handshake will find
            peer, leftover = guest.shake_hands(
                sock, address, self._setup_time, self._limits, caller.arrived, bytes(caller.heard)
            )
        except HandshakeError as error:
            guest.stream.close()
            log.log(guest.how_bad(error), "a connection from %s was refused: %s", address, guest.why or error)
            if guest.name:
                reception.on_failure(guest.name, error)
            elif guest.is_stranger():
                reception.on_stranger(address)
            return
        except BaseException:
            guest.stream.close()
            if guest.name:
                why = "it did not go on and gave way to others" if caller.dismissed else "the listener was stopped"
                reception.on_failure(guest.name, HandshakeError(f"{guest.name}: {why}", "stopped"))
            raise
        self._admission.gone(caller)
        stream = guest.stream
        transport = tcp.detach(stream) if reception.tls is None else stream.transport()
        try:
            reception.on_connection(transport, peer, leftover)
        except BaseException:
            transport.close()
            raise


def _bare(sock: Socket) -> Any:
    """The C socket under a gevent one, which is spent: its `accept` is the system call and no more."""
    bare = _socket.socket(fileno=sock.detach())
    bare.setblocking(False)
    return bare
