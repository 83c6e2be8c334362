"""Who waits for an answer of a session, and how a session's end reaches them.

A caller monitors the process that it calls, the router; the answer comes straight from the session. So that a crash
of the session is seen as in OTP, a DOWN of the caller's own monitor, the monitor is moved to the session's process when
that runs here: from then on the runtime does all. For a request that was forwarded the router that took it remembers
the caller under a number, and the node where the session ran tells it what became of the numbers it has had.

A caller that was answered, or gave up, has taken its monitor back: that is how it is known here, so nothing has to be
told when all goes well. What is remembered is looked through whenever it has doubled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pyerlnode.otp.gen import CALL, LocalCall, alias_of
from pyerlnode.runtime.mailbox import PENDING, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.router import RemoteWatcher
from pyerlnode.term.exact import Key
from pyerlnode.term.pid import Pid, Reference

Caller = Waiter | RemoteWatcher
FIRST_LOOK = 1_000


def is_caller(from_: Any) -> bool:
    return type(from_) is tuple and len(from_) == 2 and type(from_[0]) is Pid


def caller_of(process: Process, from_: Any) -> Caller | None:
    """Who waits for the answer to `from_` and watches `process`; None for one that does not watch it."""
    pid, tag = from_
    if type(tag) is LocalCall:
        return tag
    ref = tag if type(tag) is Reference else alias_of(tag)
    if ref is None:
        return None
    if pid.node is process.system.node:
        waiter = (process.monitored_by or {}).get(ref.words)
        return waiter if isinstance(waiter, Waiter) else None
    peer = process.system.peers.get(pid.node)
    watcher = None if peer is None else peer.watchers.get(ref.words)
    return watcher if watcher is not None and watcher.process is process else None


def waits(caller: Caller) -> bool:
    """Whether it has neither been answered nor given up."""
    if isinstance(caller, Waiter):
        return caller.state == PENDING
    return caller.node.watchers.get(caller.ref.words) is caller


def fail(caller: Caller, reason: Any) -> None:
    """End its wait: for it the server that it called has ended with `reason`."""
    if not waits(caller):
        return
    if isinstance(caller, RemoteWatcher) and caller.process.monitored_by is not None:
        caller.process.monitored_by.pop(caller, None)
    caller.down(reason)


def move(caller: RemoteWatcher, process: Process) -> None:
    """Let it watch `process` instead."""
    if caller.process.monitored_by is not None:
        caller.process.monitored_by.pop(caller, None)
    if process.monitored_by is None:
        process.monitored_by = {}
    process.monitored_by[caller] = caller
    caller.process = process


def moved_from(session: Process, router: Process) -> list[RemoteWatcher]:
    """Callers of `router` whose monitors were moved to `session`."""
    named = (router.pid, router.name)
    return [w for w in session.monitored_by or () if type(w) is RemoteWatcher and w.named in named]


def take_direct(session: Process) -> list[Caller]:
    """Callers of this node that called `session` itself and whom it has not answered; they watch it no more.

    Those whose request it will not come to any more are left to it: its end is told to them.
    """
    watchers = session.monitored_by or {}
    unread = {
        id(m[1][1])
        for m in session.queue or ()
        if type(m) is tuple and len(m) == 3 and m[0] is CALL and is_caller(m[1])
    }
    taken = [w for w in watchers if type(w) is LocalCall and w.state == PENDING and id(w) not in unread]
    for waiter in taken:
        del watchers[waiter]
    return list(taken)


class Sent(NamedTuple):
    number: int
    caller: Caller
    to: Pid


class Outgoing:
    """Callers whose requests are on other nodes, by the key of the session."""

    __slots__ = ("_look_at", "_number", "count", "sent")

    def __init__(self) -> None:
        self.sent: dict[Key, list[Sent]] = {}
        self.count = 0
        self._number = 0
        self._look_at = FIRST_LOOK

    def add(self, key: Key, caller: Caller | None, to: Pid) -> int:
        """Remember a caller, if there is one; gives the request's number."""
        self._number += 1
        if caller is not None:
            self.sent.setdefault(key, []).append(Sent(self._number, caller, to))
            self.count += 1
            if self.count >= self._look_at:
                self._keep(lambda one: waits(one.caller))
                self._look_at = max(FIRST_LOOK, 2 * self.count)
        return self._number

    def waiting(self) -> int:
        """How many still wait."""
        return sum(waits(one.caller) for sent in self.sent.values() for one in sent)

    def failed(self, key: Key, first: int, last: int, reason: Any) -> None:
        """What became of the requests `first`..`last` for a key."""
        for one in self._take(key, first, last):
            fail(one.caller, reason)

    def moved(self, key: Key, first: int, last: int, to: Pid) -> None:
        """They are with another node now."""
        taken = [one._replace(to=to) for one in self._take(key, first, last)]
        if taken:
            self.sent.setdefault(key, []).extend(taken)
            self.count += len(taken)

    def lost(self, to: Pid, reason: Any) -> None:
        """The node with which they were is gone."""
        gone = [one for sent in self.sent.values() for one in sent if one.to == to]
        self._keep(lambda one: one.to != to)
        for one in gone:
            fail(one.caller, reason)

    def all_lost(self, reason: Any) -> None:
        for sent in list(self.sent.values()):
            for one in sent:
                fail(one.caller, reason)
        self.sent, self.count = {}, 0

    def _take(self, key: Key, first: int, last: int) -> list[Sent]:
        sent = self.sent.get(key, [])
        taken = [one for one in sent if first <= one.number <= last]
        if taken:
            self.count -= len(taken)
            rest = [one for one in sent if not first <= one.number <= last]
            if rest:
                self.sent[key] = rest
            else:
                del self.sent[key]
        return taken

    def _keep(self, wanted: Any) -> None:
        kept = {key: [one for one in sent if wanted(one)] for key, sent in self.sent.items()}
        self.sent = {key: sent for key, sent in kept.items() if sent}
        self.count = sum(map(len, self.sent.values()))
