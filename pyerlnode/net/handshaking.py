"""Drives one handshake machine over one socket: writes what it says, feeds it, keeps its deadline.

Shared by the connector and the listener. It reads no further than the handshake needs: the bytes that
came along with its last message are handed on as `leftover`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from pyerlnode.dist.handshake import Acceptor, AliveConfirmed, Established, Initiator, PeerInfo
from pyerlnode.errors import HandshakeError

READ = 4096


class Stream(Protocol):
    """What a handshake needs of a socket; gevent's plain and TLS sockets have it."""

    def settimeout(self, value: float | None, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...


def run(
    sock: Stream,
    machine: Initiator | Acceptor,
    *,
    end: float = float("inf"),
    replace: Callable[[str], None] | None = None,
    heard: bytes = b"",
) -> tuple[PeerInfo, bytes]:
    """The handshake from its first byte to its last; what was found out, and the bytes that came after it.

    Args:
        end: a bound on the whole, in the time of `time.monotonic`, beside the machine's own for each step.
        replace: ends the connection that we hold to this peer, and returns when it is gone.
        heard: what was read from the socket already.

    Raises:
        HandshakeError: it failed; the caller closes the socket.
    """
    try:
        if heard:
            machine.receive_data(heard, time.monotonic())
        while True:
            _write(sock, machine)
            match machine.next_event():
                case Established(peer):
                    _write(sock, machine)
                    return peer, machine.leftover()
                case AliveConfirmed(name) if isinstance(machine, Acceptor):
                    if replace is not None:
                        replace(name)
                    machine.confirm(time.monotonic())
                case _:
                    _read(sock, machine, end)
    except HandshakeError:
        _last_words(sock, machine)
        raise


def _write(sock: Stream, machine: Initiator | Acceptor) -> None:
    try:
        for message in machine.messages_to_send():
            sock.sendall(message)
    except TimeoutError:
        machine.handle_timer(float("inf"))
    except OSError:
        machine.receive_eof()


def _read(sock: Stream, machine: Initiator | Acceptor, end: float) -> None:
    now = time.monotonic()
    deadline = machine.next_deadline()
    until = end if deadline is None else min(deadline, end)
    if until <= now:
        machine.handle_timer(float("inf"))
    sock.settimeout(None if until == float("inf") else until - now)
    try:
        data = sock.recv(READ)
    except TimeoutError:
        machine.handle_timer(float("inf"))
        return
    except OSError:
        data = b""
    if not data:
        machine.receive_eof()
    machine.receive_data(data, time.monotonic())


def _last_words(sock: Stream, machine: Initiator | Acceptor) -> None:
    """A refusing status is worth telling, but nobody waits for it to arrive."""
    data = machine.data_to_send()
    if data:
        try:
            sock.settimeout(1.0)
            sock.sendall(data)
        except OSError:
            pass  # the peer is gone; the refusal stands without it
