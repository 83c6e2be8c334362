"""What happens on a node's connections, and to its hub, told to whoever wants to count it.

A handler is called as ``handler(event, measurements, metadata)``: a dotted name, numbers, and what they are about.
Events are told in a turn of the hub after the one in which they happened, never on the path of a message; a handler
must not wait. One that raises is taken off the list, with one line in the log.

    connection.up            {}                               peer, hidden, tls
    connection.down          the counters of `ConnectionStats`  peer, reason
    connection.failed        {}                               peer, reason, text     (a dial that did not come about)
    connection.stranger      count                            address       (it has ended without having said a name)
    connection.suspended     queued                           peer          (a sender waits for room)
    connection.undecodable   count                            peer          (the 1st, 2nd, 4th, 8th …)
    connection.paused        messages                         peer, pid     (a mailbox of ours is full)
    connection.resumed       {}                               peer
    hub.blocked              seconds                          pid, name, initial_call, callback, stack  (it is over now)
    hub.not_run              seconds                          (nobody ran: stopped, swapped out)
    follow.found, follow.gone    {}                           peer          (`kernel.follow`)
    follow.failed            {}                               reason
    alarm.set, alarm.clear   {}                               alarm, description   (`kernel.alarms`)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from pyerlnode.runtime.edges import caught, edge, report

log = logging.getLogger("pyerlnode.telemetry")

Handler = Callable[[str, Mapping[str, float], Mapping[str, Any]], object]


class Telemetry(list[Handler]):
    """The handlers of one node. `later` has a callable run in a later turn of the hub."""

    def __init__(self, later: Callable[..., object]) -> None:
        super().__init__()
        self._later = later

    def emit(self, event: str, measurements: Mapping[str, float], **metadata: Any) -> None:
        """Tell all handlers, soon."""
        if self:
            self._later(self._tell, event, measurements, metadata)

    @edge
    def _tell(self, event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
        for handler in tuple(self):
            self._call(handler, event, measurements, metadata)

    def _call(
        self, handler: Handler, event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]
    ) -> None:
        try:
            handler(event, measurements, metadata)
        except BaseException as error:
            caught(error)
            report(log, "a telemetry handler failed at %s and is called no more", event, exc_info=error)
            if handler in self:
                self.remove(handler)
