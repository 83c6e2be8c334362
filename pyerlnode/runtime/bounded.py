"""Bounded mailboxes: what happens when a process gets messages faster than it handles them.

    policy         a message that finds the mailbox full
    suspend        makes its sender wait, when that is a greenlet of this node; one from a peer or from the hub is taken
                   (and a peer that sends too many is read no further: `kernel.pressure`)
    drop_newest    is dropped
    drop_oldest    is taken; the oldest one that may be dropped goes
    crash          ends the receiver with ``{mailbox_full, Size}``

Exit signals as messages, DOWNs and system messages are never dropped and wait for nobody: they are outcomes that
somebody was promised. An unbounded process is an instance of another class, so it pays nothing for this one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pyerlnode.errors import UsageError
from pyerlnode.runtime.mailbox import REPLY, Waiter
from pyerlnode.runtime.process import Process, current
from pyerlnode.runtime.process_core import ALIVE
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

Policy = Literal["suspend", "drop_newest", "drop_oldest", "crash"]
_POLICIES = ("suspend", "drop_newest", "drop_oldest", "crash")
_KEPT = (A.EXIT, A.DOWN, A.system)


@dataclass(frozen=True, slots=True)
class MailboxLimit:
    """At most `size` messages wait in a mailbox; `policy` says what becomes of one more."""

    size: int
    policy: Policy = "suspend"

    def __post_init__(self) -> None:
        if self.size < 1 or self.policy not in _POLICIES:
            raise UsageError(f"a mailbox limit is a size of 1 or more and one of {', '.join(_POLICIES)}")


class BoundedQueue(deque[Any]):
    """Tells its process when there is room again."""

    __slots__ = ("owner",)

    def __init__(self, owner: BoundedProcess) -> None:
        super().__init__()
        self.owner = owner

    def popleft(self) -> Any:
        message = deque.popleft(self)
        if self.owner.senders:
            self.owner.room_made(len(self))
        return message

    def __delitem__(self, index: Any) -> None:
        deque.__delitem__(self, index)
        if self.owner.senders:
            self.owner.room_made(len(self))


class BoundedProcess(Process):
    """A process whose mailbox has a limit.

    Attributes:
        dropped: messages that were dropped.
        suspended: times that a sender had to wait.
        over: messages taken although the mailbox was full.
    """

    __slots__ = ("dropped", "limit", "over", "senders", "suspended")
    queue_type: ClassVar[Any] = BoundedQueue

    def __init__(self, system: Any, pid: Pid, group_leader: Pid | None, limit: MailboxLimit) -> None:
        super().__init__(system, pid, group_leader)
        self.limit = limit
        self.senders: deque[Waiter] = deque()
        self.dropped = self.suspended = self.over = 0

    @property
    def excess(self) -> int:
        """Messages in the mailbox beyond its limit."""
        queue = self.queue
        return 0 if queue is None or self.exit_reason is not ALIVE else max(0, len(queue) - self.limit.size)

    def deliver(self, message: Any) -> None:
        queue = self.queue
        if queue is None:
            self.queue = self.queue_type(self)
        elif len(queue) >= self.limit.size and not _is_kept(message) and not self._may_enter(queue):
            return
        elif self.queue is None:  # emptied while the sender waited
            self.queue = self.queue_type(self)
        super().deliver(message)

    def _may_enter(self, queue: deque[Any]) -> bool:
        """Whether one more message may come in; may wait, drop another one, or end the process."""
        policy = self.limit.policy
        if policy == "suspend":
            return self._wait_for_room()
        if policy == "drop_oldest" and self._drop_oldest(queue):
            self.dropped += 1
            return True
        if policy == "crash":
            self.exit((A.mailbox_full, self.limit.size))
            return False
        self.dropped += 1
        return False

    def _wait_for_room(self) -> bool:
        scheduler = self.system.scheduler
        if scheduler.in_hub() or current() is self:
            self.over += 1
            self.system.mailbox_full(self)
            return True
        self.suspended += 1
        while self.exit_reason is ALIVE and self.queue is not None and len(self.queue) >= self.limit.size:
            waiter = Waiter(scheduler, self.system.timers)
            self.senders.append(waiter)
            waiter.wait(None)
        return self.exit_reason is ALIVE

    def _drop_oldest(self, queue: deque[Any]) -> bool:
        for index, message in enumerate(queue):
            if not _is_kept(message):
                self.take_at(index)
                return True
        return False

    def room_made(self, length: int) -> None:
        """Wake as many senders as there is room for, once half of it is free: not one switch per message."""
        if length <= self.limit.size // 2:
            for _ in range(min(len(self.senders), self.limit.size - length)):
                self.senders.popleft().settle(REPLY, None)

    def exit(self, reason: Any) -> None:
        super().exit(reason)
        while self.senders:
            self.senders.popleft().settle(REPLY, None)


def _is_kept(message: Any) -> bool:
    return type(message) is tuple and len(message) >= 3 and type(message[0]) is Atom and message[0] in _KEPT
