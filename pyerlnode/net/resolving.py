"""Looking hosts up, each in a native thread of its own: one whose name server hangs delays nobody else.

A look-up can not be broken off. Who gave it up leaves its thread behind, for as long as the system's resolver goes on
trying; gevent's own pool has ten of those, and then every look-up waits. All who ask for a host meanwhile wait for one.
"""

from __future__ import annotations

import socket as plain
from typing import Any

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from pyerlnode.net.native_thread import start_thread
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.forks import ours

Found = list[tuple[int, tuple[Any, ...]]]
"""Family and address, without a port, of each way to a host; the best one first."""


class _LookUp:
    """One under way; `found` is its outcome once `done` is set."""

    def __init__(self, host: str, hub: Any) -> None:
        self.done = Event()
        self.found: Found | Exception | None = None
        self._hub = hub
        self._host = host

    @edge
    def run(self) -> None:
        """In the thread."""
        try:
            resolve = get_original("socket", "getaddrinfo")
            found = resolve(self._host, 0, 0, plain.SOCK_STREAM)
            self.found = [(family, address) for family, _, _, _, address in found]
        except Exception as error:
            self.found = error
        self._hub.loop.run_callback_threadsafe(self._tell)

    @edge
    def _tell(self) -> None:
        _UNDER_WAY.ended(self)
        self.done.set()


class _UnderWay:
    def __init__(self) -> None:
        self._look_ups: dict[tuple[Any, str], _LookUp] = {}

    def of(self, host: str) -> _LookUp:
        """The look-up of `host` for this hub; a new one unless there is one already."""
        hub = gevent.get_hub()
        found = self._look_ups.get((hub, host))
        if found is None:
            found = self._look_ups[hub, host] = _LookUp(host, hub)
            ours(self)
            start_thread(found.run)
        return found

    def ended(self, look_up: _LookUp) -> None:
        for key in [key for key, value in self._look_ups.items() if value is look_up]:
            del self._look_ups[key]

    def forsake(self) -> None:
        """In a fork there are no threads, hence no outcomes."""
        self._look_ups.clear()


_UNDER_WAY = _UnderWay()


def look_up(host: str, timeout: float) -> Found:
    """The addresses of `host`.

    Raises:
        TimeoutError: there was no answer for so many seconds.
        OSError, UnicodeError: there is no such host.
    """
    under_way = _UNDER_WAY.of(host)
    under_way.done.wait(max(0.0, timeout))
    found = under_way.found
    if found is None:
        raise TimeoutError
    if isinstance(found, Exception):
        raise found.with_traceback(None)
    return found
