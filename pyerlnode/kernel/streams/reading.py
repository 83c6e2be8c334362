"""Reading a stream of any node: a `Reader` asks for items and takes them as they come.

At most `demand` items are asked for and not taken, however fast the stream is. A reader monitors the stream, and the
stream whoever reads; so each learns of the other's end. Law: what a closed reader has asked for and not taken is
dropped, and no table knows it any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import (
    CallTimeout,
    ConnectError,
    NodeDown,
    NoProc,
    RemoteExit,
    RemoteThrow,
    ServerExit,
    UsageError,
)
from pyerlnode.kernel.remote.errors import remote_error
from pyerlnode.kernel.streams.handle import Stream
from pyerlnode.otp.gen import brief
from pyerlnode.runtime.mailbox import PENDING, REPLY, TIMEOUT, Waiter
from pyerlnode.runtime.process import acting
from pyerlnode.runtime.system import System
from pyerlnode.signal import Demonitor, Monitor
from pyerlnode.term.atom import A

ASK = A["$pyerlnode_ask"]
CLOSE = A["$pyerlnode_close"]


class Inbox(Waiter):
    """What arrives for a reader; unlike a `Waiter` it takes more than one answer."""

    __slots__ = ("arrived", "ref", "system")

    def __init__(self, system: System) -> None:
        super().__init__(system.scheduler, system.timers)
        self.system = system
        self.ref = system.new_ref()
        self.arrived: deque[Any] = deque()
        system.aliases[self.ref.words] = self

    def reply(self, message: Any) -> None:
        self.system.aliases[self.ref.words] = self
        if type(message) is tuple and len(message) == 2:
            self.arrived.append(message[1])
            self.settle(REPLY, None)

    def down(self, reason: Any) -> None:
        self.arrived.append((A.DOWN, reason))
        self.settle(REPLY, None)


class Reader:
    """One who reads `stream`, in the name of the process that makes it."""

    def __init__(self, system: System, stream: Stream, demand: int | None = None) -> None:
        if not isinstance(stream, Stream):
            raise UsageError(f"what is read is a Stream, not {short(stream)}")
        self.system = system
        self.stream = stream
        self.demand = stream.demand if demand is None else demand
        if type(self.demand) is not int or self.demand < 1:
            raise UsageError("demand is a number of items, 1 or more")
        self.caller = acting(system).pid
        self.inbox: Inbox | None = None
        self.asks = self.demand
        """Items to ask for at the next wait: those that were taken."""
        self.over = False

    def take(self, timeout: float | None = None) -> list[Any]:
        """The items that are there, at least one; none when the stream is through.

        Raises what the generator did, as a remote call does; `NoProc` for a stream that was read before, `NodeDown`,
        `ServerExit`, and `CallTimeout` after `timeout` seconds without an item.
        """
        if self.over:
            return []
        inbox = self.inbox or self._open()
        if self.asks:
            count, self.asks = self.asks, 0
            self.system.send(self.stream.pid, (ASK, (self.caller, inbox.ref), count))
        if not inbox.arrived:
            inbox.state = PENDING
            if inbox.wait(timeout) == TIMEOUT:
                raise CallTimeout((A.timeout, self.stream.pid), f"no item came within {timeout} s")
        return self._sorted(inbox.arrived)

    def _sorted(self, arrived: deque[Any]) -> list[Any]:
        items = []
        while arrived:
            match arrived[0]:
                case (A.item, value):
                    items.append(value)
                    arrived.popleft()
                case end:
                    if not items:
                        self.close()
                        self._raise(end)
                    break
        self.asks += len(items)
        return items

    def _raise(self, end: Any) -> None:
        pid = self.stream.pid
        match end:
            case A.done:
                return
            case (A.DOWN, A.noproc):
                raise NoProc((A.noproc, pid), f"{short(pid)} was read or closed before")
            case (A.DOWN, A.noconnection):
                raise NodeDown(
                    (A.noconnection, pid), f"the connection to {pid.node} was lost in the middle of a stream"
                )
            case (A.DOWN, reason):
                raise ServerExit((reason, pid), f"the stream ended: {brief(reason)}")
            case (A.exit, reason, _):
                raise RemoteExit(reason)
            case (A.throw, value, _):
                raise RemoteThrow(value)
            case (_, A.in_use, []):
                raise UsageError(f"{short(pid)} is read by somebody else")
            case (_, reason, stack):
                raise remote_error(reason, stack, f"the generator of {short(pid)}")

    def _open(self) -> Inbox:
        system, pid = self.system, self.stream.pid
        inbox = self.inbox = Inbox(system)
        if system.is_local(pid):
            process = system.process(pid)
            if process is None:
                inbox.down(A.noproc)
            else:
                if process.monitored_by is None:
                    process.monitored_by = {}
                process.monitored_by[inbox] = inbox
            return inbox
        try:
            route = system.route(pid.node)
        except ConnectError:
            inbox.down(A.noconnection)
        else:
            system.peer(pid.node).monitors[inbox.ref.words] = (inbox, inbox.ref, pid)
            route.send(Monitor(self.caller, pid, inbox.ref))
        return inbox

    def close(self) -> None:
        """Read no more: the generator is closed. May be called twice, never waits."""
        self.over = True
        inbox, self.inbox = self.inbox, None
        if inbox is None:
            return
        system, pid = self.system, self.stream.pid
        system.aliases.pop(inbox.ref.words, None)
        system.send_connected(pid, (CLOSE, (self.caller, inbox.ref)))
        if system.is_local(pid):
            process = system.process(pid)
            if process is not None and process.monitored_by is not None:
                process.monitored_by.pop(inbox, None)
            return
        peer = system.peers.get(pid.node)
        if peer is not None and peer.monitors.pop(inbox.ref.words, None) is not None:
            peer.tell(Demonitor(self.caller, pid, inbox.ref))


def items(
    system: System, stream: Stream, demand: int | None = None, timeout: float | None = None
) -> Generator[Any, None, None]:
    """The items of `stream`, as they are asked for; closing the generator closes it."""
    reader = Reader(system, stream, demand)
    try:
        while batch := reader.take(timeout):
            yield from batch
    finally:
        reader.close()
