"""Being reached: a listening socket, and the handshake as acceptor for each socket that comes in.

Reference: OTP's `inet_tcp_dist` (accept loop) and `dist_util` (handshake_other_started).

The socket listens from its construction, since EPMD must be told the port before the node knows its
creation; connections wait in the backlog until `start`. Each one is handled in a greenlet of its own.
Sockets that have not said who they are are bounded: when the bound is reached the oldest one is closed,
so that ten thousand silent connections do not keep a real peer out. What fails is one warning in the log, but for
a peer that gives way to our own attempt, and for who has not said a name: probes of the port, port scanners, what
speaks another protocol. Anybody can make those, so they are a line for debugging, and counted.
"""

from __future__ import annotations

import errno
import logging
import secrets
import socket as plain
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent
from gevent.socket import socket as Socket  # noqa: N812 - a class that gevent spells like its module

from pyerlnode.dist.flags import DistFlags
from pyerlnode.dist.handshake import (
    SETUP_TIME,
    Acceptor,
    Decide,
    GiveName,
    OwnIdentity,
    PeerInfo,
    Status,
)
from pyerlnode.errors import HandshakeError
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.net import handshaking, tcp
from pyerlnode.runtime.edges import edge

if TYPE_CHECKING:
    from pyerlnode.net.tls import TlsTransport
    from pyerlnode.net.tls_options import Side

log = logging.getLogger("pyerlnode.net")


def _nothing(*_args: object) -> None:
    return None


def _never(_name: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Reception:
    """How peers that come in are received; the callables run in the greenlet of their handshake.

    Args:
        own: who we are.
        decide: status for a peer's name and flags; called once.
        cookie_for: the cookie for a peer's name.
        on_connection: takes the socket or the TLS session over: (socket, peer, leftover bytes).
        give_name: full name and creation for a nameless peer of a host, or None to refuse it.
        replace: ends the old connection to a peer after the status `alive`; returns when it is gone.
        tls: the server side of TLS; a peer that does not speak it is refused.
        on_failure: told when the handshake of a peer that was let in, or given a name, failed after all; a refusal
            is none of these.
        on_stranger: told the address of one that went, or was sent away, before it had said its name.
        goes_on: whether a connection with a peer is up, or an attempt of ours goes on, whose end is told: then one
            that the peer closes is the one of two that gave way.
    """

    own: OwnIdentity
    decide: Decide
    cookie_for: Callable[[str], str]
    on_connection: Callable[[plain.socket | TlsTransport, PeerInfo, bytes], None]
    give_name: GiveName = _nothing
    replace: Callable[[str], None] = _nothing
    on_failure: Callable[[str, HandshakeError], None] = _nothing
    on_stranger: Callable[[str], None] = _nothing
    goes_on: Callable[[str], bool] = _never
    tls: Side | None = None


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
        self._listening = tcp.listen_at(tcp.bind_addresses(host) if isinstance(host, str) else host, ports)
        self.port: int = self._listening[0].getsockname()[1]
        self._limits = limits
        self._setup_time = setup_time
        self._reception: Reception | None = None
        self._greenlets: list[gevent.Greenlet[..., Any]] = []
        self._pending: dict[gevent.Greenlet[..., Any], Socket] = {}
        self._flooded = False

    @property
    def pending(self) -> int:
        """Handshakes under way."""
        return len(self._pending)

    def start(self, reception: Reception) -> None:
        """Take the connections that wait, and those to come."""
        self._reception = reception
        self._greenlets = [gevent.spawn(self._accept, reception, listening) for listening in self._listening]

    def stop(self, *, wait: bool = True) -> None:
        """Close the port and every handshake under way; finished connections are not touched.

        Without `wait` no other greenlet runs meanwhile.
        """
        for listening in self._listening:
            listening.close()
        me = gevent.getcurrent()
        ending = [g for g in (*self._greenlets, *self._pending) if g is not me]
        self._greenlets = []
        for sock in self._pending.values():
            sock.close()
        gevent.killall(ending, block=wait)
        self._pending.clear()

    # --- greenlets -----------------------------------------------------------------------------
    @edge
    def _accept(self, reception: Reception, listening: Socket) -> None:
        while True:
            try:
                sock, address = listening.accept()
            except OSError as error:
                if error.errno in (errno.EBADF, errno.EINVAL):
                    return
                log.warning("no connection can be accepted: %s", error.strerror)
                gevent.sleep(0.1)
                continue
            self._welcome(reception, sock, address)

    @edge
    def _welcome(self, reception: Reception, sock: Socket, address: Any) -> None:
        self._make_room()
        greenlet = gevent.Greenlet(self._receive, reception, tcp.accepted(sock), address[0])
        self._pending[greenlet] = sock
        greenlet.link(self._forget)
        greenlet.start()

    def _make_room(self) -> None:
        if len(self._pending) < self._limits.pending_handshakes:
            self._flooded = False
            return
        if not self._flooded:
            self._flooded = True
            log.warning("%d connections have not said who they are; the oldest are closed", len(self._pending))
        greenlet, sock = next(iter(self._pending.items()))
        del self._pending[greenlet]
        sock.close()
        greenlet.kill(block=False)

    @edge
    def _forget(self, greenlet: gevent.Greenlet[..., Any]) -> None:
        self._pending.pop(greenlet, None)

    @edge
    def _receive(self, reception: Reception, sock: Any, address: str) -> None:
        guest = _Guest(reception)
        try:
            peer, leftover = guest.shake_hands(sock, address, self._setup_time, self._limits)
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
                reception.on_failure(guest.name, HandshakeError(f"{guest.name}: the listener was stopped", "stopped"))
            raise
        self._pending.pop(gevent.getcurrent(), None)
        stream = guest.stream
        transport = tcp.detach(stream) if reception.tls is None else stream.transport()
        try:
            reception.on_connection(transport, peer, leftover)
        except BaseException:
            transport.close()
            raise


class _Guest:
    """One connection that comes in, until it is known who it is."""

    def __init__(self, reception: Reception) -> None:
        self.reception = reception
        self.stream: Any = None
        self.name = ""
        """The peer's, once it was let in."""
        self.why = ""
        """Why it was not, where the handshake can not know."""
        self.heard = False
        """It has said who it is."""

    def how_bad(self, error: HandshakeError) -> int:
        """The level of the log for its refusal: of two that dial each other one gives way, and nobody has done wrong.

        That one says so (`nok`), or closes before it has said who it is, as any probe of the port does; or later, when
        there is another connection or attempt.
        """
        closed = error.reason == "closed"
        gave_way = error.reason == "nok" or (closed and (not self.heard or self.reception.goes_on(self.name)))
        return logging.DEBUG if gave_way or self.is_stranger() else logging.WARNING

    def is_stranger(self) -> bool:
        """Whether it has not said its name; where TLS is spoken, not a word."""
        return not self.heard and (self.reception.tls is None or not self.stream.heard)

    def shake_hands(self, sock: Any, address: str, setup_time: float, limits: Limits) -> tuple[PeerInfo, bytes]:
        reception = self.reception
        self.stream = sock
        length_bytes = 2
        if reception.tls is not None:
            from pyerlnode.net.tls import LENGTH_BYTES, TlsStream  # OpenSSL is loaded by the nodes that speak TLS

            length_bytes = LENGTH_BYTES
            self.stream = TlsStream(sock, reception.tls, who=f"the peer at {address}")
            self.stream.handshake(setup_time)
        machine = Acceptor(
            reception.own,
            self._decide,
            reception.cookie_for,
            secrets.randbits(32),
            give_name=self._give_name,
            now=time.monotonic(),
            setup_time=setup_time,
            length_bytes=length_bytes,
            limit=limits.handshake_message,
        )
        return handshaking.run(self.stream, machine, replace=reception.replace)

    def _vouched_for(self, host: str, who: str) -> bool:
        """Whether the certificate of the peer, if it has to show one, is for its host."""
        stream = self.stream
        if self.reception.tls is not None and stream.checks_host and not stream.is_for(host):
            self.why = f"{who}: its certificate is not for the host {host}"
            return False
        return True

    def _give_name(self, host: str) -> tuple[str, int] | None:
        self.heard = True
        given = self.reception.give_name(host) if self._vouched_for(host, f"a nameless peer of {host}") else None
        if given is not None:
            self.name = given[0]
        return given

    def _decide(self, name: str, flags: DistFlags) -> Status:
        self.heard = True
        if not self._vouched_for(name.rpartition("@")[2], name):
            return Status.NOT_ALLOWED
        status = self.reception.decide(name, flags)
        if status in (Status.OK, Status.OK_SIMULTANEOUS, Status.ALIVE):
            self.name = name
        return status
