"""One connection that comes in: first a socket that has not spoken, then a handshake, until it is known who it is."""

from __future__ import annotations

import _socket
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyerlnode.dist.flags import DistFlags
from pyerlnode.dist.handshake import Acceptor, Decide, GiveName, OwnIdentity, PeerInfo, Status
from pyerlnode.errors import HandshakeError
from pyerlnode.limits import Limits
from pyerlnode.net import handshaking
from pyerlnode.runtime.forks import ours

if TYPE_CHECKING:
    import socket as plain

    from pyerlnode.net.tls import TlsTransport
    from pyerlnode.net.tls_options import Side

__all__ = ["Caller", "Guest", "Reception", "has_spoken"]


def _nothing(*_args: object) -> None:
    return None


def _always(*_args: object) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Reception:
    """How peers that come in are received; the callables run in the greenlet of their handshake.

    Args:
        own: who we are.
        decide: status for a peer's name and flags; called once. Nobody has proved anything yet.
        cookie_for: the cookie for a peer's name.
        on_connection: takes the socket or the TLS session over: (socket, peer, leftover bytes).
        give_name: full name and creation for a nameless peer of a host, or None to refuse it.
        prove: told the name of a peer that has proved the cookie, and whether it replaces its old connection, before
            it learns that it may come in; False refuses it.
        replace: ends the old connection to a peer after the status `alive`; returns when it is gone.
        tls: the server side of TLS; a peer that does not speak it is refused.
        on_failure: told when the handshake of a peer that was let in, or given a name, failed after all; a refusal
            is none of these.
        on_stranger: told the address of one that went, or was sent away, before it had said its name.
    """

    own: OwnIdentity
    decide: Decide
    cookie_for: Callable[[str], str]
    on_connection: Callable[[plain.socket | TlsTransport, PeerInfo, bytes], None]
    give_name: GiveName = _nothing
    prove: Callable[[str, bool], bool] = _always
    replace: Callable[[str], None] = _nothing
    on_failure: Callable[[str, HandshakeError], None] = _nothing
    on_stranger: Callable[[str], None] = _nothing
    tls: Side | None = None


def has_spoken(heard: bytes | bytearray, limit: int) -> bool:
    """Whether the first message of a handshake is there whole, or can not be one any more."""
    if len(heard) < 2:
        return False
    size = int.from_bytes(heard[:2], "big")
    return not 1 <= size <= limit or len(heard) >= 2 + size


class Caller:
    """A socket that came in. While it says nothing whole it has a watcher, and no greenlet."""

    __slots__ = ("__weakref__", "address", "arrived", "dismissed", "greenlet", "heard", "sock", "watcher")

    def __init__(self, descriptor: int, address: str, watcher: Any, arrived: float) -> None:
        self.sock: Any = _socket.socket(fileno=descriptor)
        self.sock.setblocking(False)
        self.address = address
        self.watcher = watcher
        self.arrived = arrived
        self.heard = bytearray()
        self.greenlet: Any = None
        self.dismissed = False
        """It had to leave for another."""
        ours(self)

    def stop_watching(self) -> None:
        if self.watcher is not None:
            self.watcher.stop()
            self.watcher.close()
            self.watcher = None

    def close(self) -> None:
        self.stop_watching()
        self.sock.close()

    forsake = close


class Guest:
    """A caller that has spoken, until it is known who it is. `on_proof` is told when it has proved the cookie."""

    def __init__(self, reception: Reception, on_proof: Callable[[], None]) -> None:
        self.reception = reception
        self.stream: Any = None
        self.name = ""
        """The peer's, once it was let in."""
        self.why = ""
        """Why it was not, where the handshake can not know."""
        self.heard = False
        """It has said who it is."""
        self._on_proof = on_proof

    def how_bad(self, error: HandshakeError) -> int:
        """The level of the log for its refusal: of two that dial each other one gives way, and nobody has done wrong.

        That one says so (`nok`) or closes, as any probe of the port does, at whatever moment: it may be when our own
        connection has come, and gone again.
        """
        gave_way = error.reason in ("nok", "closed")
        return logging.DEBUG if gave_way or self.is_stranger() else logging.WARNING

    def is_stranger(self) -> bool:
        """Whether it has not said its name; where TLS is spoken, not a word."""
        return not self.heard and (self.reception.tls is None or not self.stream.heard)

    def shake_hands(
        self, sock: Any, address: str, setup_time: float, limits: Limits, arrived: float, heard: bytes
    ) -> tuple[PeerInfo, bytes]:
        """The handshake, of which `heard` came already; `arrived` is when the connection did."""
        reception = self.reception
        self.stream = sock
        length_bytes = 2
        if reception.tls is not None:
            from pyerlnode.net.tls import LENGTH_BYTES, TlsStream  # OpenSSL is loaded by the nodes that speak TLS

            length_bytes = LENGTH_BYTES
            self.stream = TlsStream(sock, reception.tls, who=f"the peer at {address}", heard=heard)
            self.stream.handshake(setup_time)
            heard = b""
        machine = Acceptor(
            reception.own,
            self._decide,
            reception.cookie_for,
            secrets.randbits(32),
            give_name=self._give_name,
            prove=self._prove,
            now=arrived,
            setup_time=setup_time,
            length_bytes=length_bytes,
            limit=limits.handshake_message,
        )
        return handshaking.run(self.stream, machine, replace=reception.replace, heard=heard)

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

    def _prove(self, name: str, replaces: bool) -> bool:
        self._on_proof()
        return self.reception.prove(name, replaces)
