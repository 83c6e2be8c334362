"""The last signals between this process's nodes and others, for the report of a test that failed.

    with Recorder(50) as recorder:
        ...
    print("\\n".join(recorder.lines()))

While none is entered nothing of it is on the way of a message: entering puts two methods around those of `Connection`,
leaving takes them away again. A connection that stands already is recorded from then on in what it sends, and, as what
it receives has its way already, in nothing else.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from pyerlnode.brief import told
from pyerlnode.net.connection import Connection
from pyerlnode.signal import Signal

SHOWN: int = 300
"""Characters of a signal in the report."""


class Recorder:
    """Keeps the last `size` signals of each connection, in both directions."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rings: dict[str, deque[tuple[float, str, Any]]] = {}
        self._began = time.monotonic()
        self._plain: tuple[Any, Any] | None = None

    def __enter__(self) -> Recorder:
        made, send = Connection.__init__, Connection.send
        self._plain = made, send
        keep = self._keep

        def recorded_init(
            connection: Connection, transport: Any, channel: Any, *, deliver: Callable[[Signal], None], **more: Any
        ) -> None:
            def arrived(signal: Signal) -> None:
                keep(channel.peer.name, "<-", signal)
                deliver(signal)

            made(connection, transport, channel, deliver=arrived, **more)

        def recorded_send(connection: Connection, signal: Signal, nosuspend: bool = False) -> bool:
            keep(connection.peer.name, "->", signal)
            return send(connection, signal, nosuspend)

        _put(recorded_init, recorded_send)
        return self

    def __exit__(self, *_: object) -> None:
        if self._plain is not None:
            _put(*self._plain)
            self._plain = None

    def _keep(self, peer: str, way: str, signal: Signal) -> None:
        ring = self._rings.get(peer)
        if ring is None:
            ring = self._rings[peer] = deque(maxlen=self._size)
        ring.append((time.monotonic(), way, signal))

    def lines(self) -> Iterator[str]:
        """One line for each signal, of all connections in the order of their times."""
        found = [(at, peer, way, signal) for peer, ring in self._rings.items() for at, way, signal in ring]
        for at, peer, way, signal in sorted(found, key=lambda row: row[0]):
            yield f"{at - self._began:9.4f} {way} {peer} {told(signal, SHOWN)}"


def _put(made: Any, send: Any) -> None:
    for name, method in (("__init__", made), ("send", send)):
        setattr(Connection, name, method)
