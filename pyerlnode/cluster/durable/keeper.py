"""What the servers of durable requests share: a journal, a core, and what stands between them and other nodes.

1. Group commit. A message changes the core alone; behind all that waits in the mailbox comes one `flush`: one
   transaction, one commit, then the core's actions and the answers to callers. So the more there is to do, the more
   share one sync of the disk. While a commit waits for the disk (`sync="full"`, in a thread) the hub runs.
2. A journal that can not be written ends the server: what it knows would no longer be what is kept. Its callers get an
   error, and the one that is started again begins with what the journal has.
3. Nobody waits for another node: messages to each node go by a carrier, a process that may wait until it is connected
   or has room. When a carrier is far behind, messages are dropped; they are repeated.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable
from typing import Any, ClassVar, Final, Literal

from pyerlnode.cluster.durable.core import Send
from pyerlnode.cluster.durable.journal import Journal
from pyerlnode.errors import NetworkError, UsageError
from pyerlnode.otp import gen
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.host import Host
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.process import require_current
from pyerlnode.runtime.system import System
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.durable")

FLUSH: Final = A.pyerlnode_flush
ALARM: Final = A.pyerlnode_alarm
BACKLOG: Final = 256
"""Batches that may wait for a node."""


class Carrier:
    """The process that carries messages to one node."""

    __slots__ = ("pid", "waiting")

    def __init__(self, server: Keeper, node: Atom) -> None:
        self.waiting = 0
        system = server.process.system
        self.pid = system.spawn_function(self._carry, (system, node), {}, link=server.process).pid

    def _carry(self, system: System, node: Atom) -> None:
        process = require_current()
        while True:
            batch = process.receive(None, None)
            self.waiting -= 1
            try:
                for name, message in batch:
                    system.send((name, node), message)
            except NetworkError:
                log.info("%s can not be reached; what was for it is sent again later", node)


class Keeper(GenServer):
    """Base class of `Outbox` and `Inbox`."""

    journal: Journal
    core: Any
    connects: ClassVar[bool] = True
    """Whether messages to a node that is not connected make it connect."""

    def keep(self, host: Host, journal: Journal, role: Literal["outbox", "inbox"]) -> tuple[Atom, Atom]:
        """The first part of `init`; gives name and node of this process."""
        name = self.process.name
        if name is None:
            raise UsageError(
                f"start the {role} under a local name: that is how it is found again when it was restarted"
            )
        journal.claim(role, self.process)
        self.journal = journal
        self.random = random.Random()  # noqa: S311  # jitter
        self.process.trap_exit = True
        system = self.process.system
        self._wall = time.time() - system.timers.now()  # a clock that is set meanwhile does not move the alarms
        self._dirty = False
        self._alarm: Timer | None = None
        self._alarm_at = 0.0
        self._later: list[tuple[Any, Any]] = []
        self._carriers: dict[Atom, Carrier] = {}
        host.monitor_nodes()
        return name, system.node

    def now(self) -> float:
        """Seconds since 1970, that never jump."""
        now: float = self._wall + self.process.system.timers.now()
        return now

    def changed(self) -> None:
        """The core has been changed: a flush comes behind what waits."""
        if not self._dirty:
            self._dirty = True
            self.process.deliver(FLUSH)

    def answer(self, from_: Any, value: Any) -> None:
        """Answer a call; behind the commit when there is something to commit."""
        if self._dirty:
            self._later.append((from_, value))
        else:
            gen.reply(self.process.system, from_, value)

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        return Reply((A.error, (A.unknown_call, request)))

    def handle_cast(self, request: Any) -> None:
        del request
        log.warning("%s %s received a cast, and knows none", type(self).__name__, self.process.name)

    def handle_info(self, message: Any) -> None:
        if message is FLUSH:
            self.flush()
            return
        if message is ALARM:
            self._alarm = None
            self.core.alarm(self.now())
            self.changed()
            return
        if type(message) is not tuple or not self.heard(message):
            log.warning("%s %s received a message that it does not understand", type(self).__name__, self.process.name)

    def heard(self, message: tuple[Any, ...]) -> bool:
        """A message; False when it is not understood."""
        match message:
            case (A.EXIT, Pid() as pid, _):
                for node, carrier in list(self._carriers.items()):
                    if carrier.pid == pid:
                        del self._carriers[node]
                return True
            case (A.nodedown, _):
                return True
        if self.core.heard(message, self.now()):
            self.changed()
            return True
        return False

    # --- writing -------------------------------------------------------------------------------
    def flush(self) -> None:
        """Commit what has changed, then do what was to be done behind that."""
        self._dirty = False
        later, self._later = self._later, []
        writes, actions = self.core.drain()
        left = self.left()
        if writes or left:
            self.journal.begin()
            self.journal.apply(writes)
            actions = self.within(left + actions)
            if self.journal.sync == "full":
                self.process.system.offload(self.journal.commit)
            else:
                self.journal.commit()
                if self.journal.checkpoint_due:
                    self.process.system.offload(self.journal.checkpoint)
        self.perform(actions)
        for from_, value in later:
            gen.reply(self.process.system, from_, value)
        self._arm()

    def left(self) -> list[Any]:
        """Actions of earlier flushes that have to be done inside of a transaction."""
        return []

    def within(self, actions: list[Any]) -> list[Any]:
        """What is done inside of the transaction; gives what is left to do behind it."""
        return actions

    def perform(self, actions: Iterable[Any]) -> None:
        """Do the core's actions."""
        raise NotImplementedError

    def post(self, sends: Iterable[Send]) -> None:
        """Send messages; those for other nodes by their carriers."""
        batches: dict[Atom, list[tuple[Atom, Any]]] = {}
        system = self.process.system
        for send in sends:
            if send.node is system.node:
                system.send(send.name, send.message)
            elif self.connects or ((peer := system.peers.get(send.node)) is not None and peer.route is not None):
                batches.setdefault(send.node, []).append((send.name, send.message))
        for node, batch in batches.items():
            carrier = self._carriers.get(node)
            if carrier is None:
                carrier = self._carriers[node] = Carrier(self, node)
            if carrier.waiting < BACKLOG:
                carrier.waiting += 1
                system.send(carrier.pid, batch)

    def _arm(self) -> None:
        when = self.core.next_alarm()
        if self._alarm is not None:
            if when is not None and when >= self._alarm_at:
                return  # it rings early, finds nothing and is set anew: cheaper than a timer per request
            self._alarm.cancel()
            self._alarm = None
        if when is not None:
            self._alarm_at = when
            self._alarm = self.process.system.timers.start(max(0.0, when - self.now()), self._ring)

    def _ring(self) -> None:
        if self.process.alive:
            self.process.deliver(ALARM)

    def terminate(self, reason: Any) -> None:
        del reason
        if self._alarm is not None:
            self._alarm.cancel()
        self.journal.rollback()
        for carrier in self._carriers.values():
            self.process.system.exit(carrier.pid, A.kill)
