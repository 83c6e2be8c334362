"""An EPMD in this process, for machines without Erlang; it serves BEAM nodes as well.

The register and every rule are `pyerlnode.dist.epmd.EpmdServerCore`; here are the sockets: one greenlet
for each listening address, one for each client, one for the idle time. A node that is registered holds
its greenlet parked in `recv`, since the end of that socket is what unregisters it.

By default it listens on loopback alone. OTP's daemon listens everywhere; give `addresses` for that.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

import gevent
from gevent.event import Event
from gevent.socket import socket as Socket  # noqa: N812 - a class that gevent spells like its module

from pyerlnode.dist.epmd import DEFAULT_PORT, Close, Effect, EpmdServerCore, Send, Shutdown
from pyerlnode.errors import EpmdError, NetworkError
from pyerlnode.net import tcp
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.forks import ours

log = logging.getLogger("pyerlnode.epmd")

LOOPBACK = ("127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - chosen by a node with a public name only


def addresses_for(host: str) -> tuple[str, ...]:
    """Where an EPMD has to listen for a node with this host part; ERL_EPMD_ADDRESS overrules it."""
    given = os.environ.get("ERL_EPMD_ADDRESS", "")
    if given.strip():
        return tuple(dict.fromkeys((*LOOPBACK, *(part.strip() for part in given.split(",") if part.strip()))))
    return LOOPBACK if tcp.is_loopback(host) else EVERYWHERE


class EpmdServer:
    """Listens from its construction, serves from `start()` to `stop()`.

    Args:
        port: 0 lets the system choose (for tests); `port` then tells.
        addresses: the first must be free; of the others, those that this machine has.

    Raises:
        EpmdError: the port is taken, or the address is not one of this machine.
    """

    def __init__(
        self,
        port: int = DEFAULT_PORT,
        addresses: Sequence[str] = LOOPBACK,
        *,
        relaxed: bool | None = None,
        idle_time: float = 60.0,
        max_connections: int = 1024,
    ) -> None:
        self._listening = _listen_all(port, addresses)
        self.port: int = self._listening[0].getsockname()[1]
        if relaxed is None:
            relaxed = bool(os.environ.get("ERL_EPMD_RELAXED_COMMAND_CHECK"))
        self.core = EpmdServerCore(self.port, relaxed=relaxed, idle_time=idle_time, max_connections=max_connections)
        self.stopped = Event()
        """Set when the server has ended, by `stop()` or by a client's KILL."""
        self._clients: dict[int, tuple[Socket, gevent.Greenlet[..., Any]]] = {}
        self._greenlets: list[gevent.Greenlet[..., Any]] = []
        self._last = 0
        ours(self)

    def start(self) -> EpmdServer:
        self._greenlets = [gevent.spawn(self._accept, sock) for sock in self._listening]
        self._greenlets.append(gevent.spawn(self._sweep))
        return self

    def stop(self) -> None:
        """End the server and every registration with it. May be called twice."""
        for sock in self._listening:
            sock.close()
        clients = list(self._clients.values())
        self._clients.clear()
        for sock, _ in clients:
            sock.close()
        me = gevent.getcurrent()
        mine = [g for g in (*self._greenlets, *(g for _, g in clients)) if g is not me]
        self._greenlets.clear()
        gevent.killall(mine)
        self.stopped.set()

    def forsake(self) -> None:
        """In a fork: the parent serves."""
        self._clients.clear()

    def __enter__(self) -> EpmdServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- greenlets -----------------------------------------------------------------------------
    @edge
    def _accept(self, listening: Socket) -> None:
        while True:
            try:
                sock, address = listening.accept()
            except OSError as error:
                if error.errno in (errno.EBADF, errno.EINVAL):
                    return
                log.warning("EPMD can not accept a connection: %s", error.strerror)
                gevent.sleep(0.1)
                continue
            self._welcome(sock, address)

    @edge
    def _welcome(self, sock: Socket, address: Any) -> None:
        self._last += 1
        connection = self._last
        self._clients[connection] = (sock, gevent.spawn(self._serve, connection, tcp.accepted(sock)))
        local = tcp.is_loopback(address[0]) or address[0] == sock.getsockname()[0]
        self._perform(self.core.connected(connection, local, time.monotonic()))

    @edge
    def _serve(self, connection: int, sock: Socket) -> None:
        try:
            while data := sock.recv(4096):
                clock = int(time.time())
                self._perform(self.core.receive_data(connection, data, time.monotonic(), clock))
        except OSError:
            pass  # reset by the client, or closed by us: gone either way
        finally:
            self.core.closed(connection)
            self._clients.pop(connection, None)
            sock.close()

    @edge
    def _sweep(self) -> None:
        while True:
            gevent.sleep(self.core.idle_time / 8)
            edge(self._perform)(self.core.handle_timer(time.monotonic()))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(connection, data):
                    self._send(connection, data)
                case Close(connection):
                    known = self._clients.pop(connection, None)
                    if known is not None:
                        known[0].close()
                case Shutdown():
                    log.info("EPMD on port %d was told to end", self.port)
                    gevent.spawn(edge(self.stop))

    def _send(self, connection: int, data: bytes) -> None:
        known = self._clients.get(connection)
        if known is None:
            return
        known[0].settimeout(self.core.idle_time)
        known[0].sendall(data)
        known[0].settimeout(None)


def _listen_all(port: int, addresses: Sequence[str]) -> list[Socket]:
    """The first address is a must; another one may be missing on this machine (no IPv6)."""
    try:
        listening = [tcp.listen(addresses[0], port)]
    except NetworkError as error:
        raise EpmdError(f"the embedded EPMD can not start: {error}") from error
    for address in addresses[1:]:
        with contextlib.suppress(NetworkError):
            listening.append(tcp.listen(address, port or listening[0].getsockname()[1]))
    return listening
