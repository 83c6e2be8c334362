"""How a process stops others: an exit signal, a time for them to end in, then `kill` (OTP's supervisor and gen).

A process to be stopped may be on any node, so nothing is asked of it but what a link, a monitor and an exit signal
tell. Many are stopped at once: all get their signal first, then all are waited for, each within its own time. Links
stay until the others have ended: the end of the one who stops them meanwhile ends them.

What is waited for does not pass through the mailbox of `me`. Their exit messages do, as they are linked; `Exits` takes
these out, and looks at no message twice, however many are stopped one behind the other.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from heapq import heapify, heappop
from typing import Any

from pyerlnode.errors import ConnectError
from pyerlnode.runtime.mailbox import DOWN, PENDING, Waiter
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference


def stop_processes(
    me: Process, targets: Iterable[tuple[Pid, float | Atom]], exits: Exits | None = None
) -> dict[Pid, Any]:
    """Stop each pid with its shutdown (seconds, `infinity`, `brutal_kill`); give the reason with which each ended.

    A link to it is gone afterwards, and no exit message of it is left in the mailbox of `me`. `exits` is given by who
    stops one behind the other.
    """
    wanted = dict(targets)
    if exits is None:
        exits = Exits(me, lambda: wanted)
    stop = _Stop(me, exits)
    try:
        for pid, shutdown in wanted.items():
            stop.order(pid, shutdown)
        return stop.wait()
    finally:
        stop.forget()


class Exits:
    """The exit messages of those who are stopped, taken out of the mailbox of `me`, the current process.

    `pids` gives all whose messages may be taken; it is asked once, and not before one had ended by itself.
    """

    __slots__ = ("_before", "_known", "_me", "_pids", "_reasons", "_seen")

    def __init__(self, me: Process, pids: Callable[[], Container[Pid]]) -> None:
        self._me = me
        self._pids = pids
        self._known: Container[Pid] | None = None
        self._reasons: dict[Pid, Any] = {}
        self._before = self._seen = len(me.queue or ())
        """How many messages at the head were there before, and how many have been looked at, those among them."""

    def take(self, pid: Pid, *, ended_before: bool) -> Any:
        """The reason in the exit message of `pid`, `NOTHING` when there is none.

        One who was alive when we began, here, has left it behind what was in the mailbox then.
        """
        if self._known is None:
            self._known = self._pids()
        self._look(self._seen)
        if pid not in self._reasons and ended_before and self._before:
            self._before = 0
            self._look(0)
        return self._reasons.pop(pid, NOTHING)

    def _look(self, seen: int) -> None:
        """Look at the messages behind the first `seen`."""
        queue, known = self._me.queue, self._known
        assert known is not None
        kept = []
        while queue and len(queue) > seen:
            message = queue.pop()
            if _is_exit(message) and message[1] in known:
                self._reasons[message[1]] = message[2]
            else:
                kept.append(message)
        if queue is not None:
            queue.extend(reversed(kept))
            self._seen = len(queue)
            self._me.places = None  # they may count what was taken out


def _is_exit(message: Any) -> bool:
    return type(message) is tuple and len(message) == 3 and message[0] is A.EXIT and type(message[1]) is Pid


class _End(Waiter):
    """Watches one who is stopped, told of its end as every watcher is."""

    __slots__ = ("handle", "pid", "ref", "stop", "target")
    ref: Reference | None
    handle: Any

    def __init__(self, stop: _Stop, target: Pid) -> None:
        self.stop = stop
        self.target = target
        self.pid = stop.me.pid
        """Who watches, for those who ask the process for its monitors."""
        self.state = PENDING
        self.ref = self.handle = None

    def settle(self, state: int, value: Any) -> None:
        if self.state == PENDING:
            self.state = state
            self.stop.ended(self, value)


class _Stop:
    """One stop of many, under way."""

    __slots__ = ("_deadlines", "_exits", "_left", "_maybe_before", "_reasons", "_waiter", "me")

    def __init__(self, me: Process, exits: Exits) -> None:
        self.me = me
        self._exits = exits
        self._reasons: dict[Pid, Any] = {}
        self._maybe_before: set[Pid] = set()
        """Who had ended before its signal, or may have, as far as can be known here."""
        self._left: dict[_End, Process | None] = {}
        """Who has not ended, with its process when it is one of this system."""
        self._deadlines: list[tuple[float, int, _End]] = []
        self._waiter: Waiter | None = None

    def order(self, pid: Pid, shutdown: float | Atom) -> None:
        """Watch `pid` and send its signal."""
        system = self.me.system
        end = _End(self, pid)
        signal = A.kill if shutdown is A.brutal_kill else A.shutdown
        if system.is_local(pid):
            self._order_here(end, system.process(pid), signal)
        else:
            self._order_away(end, signal)
        if end.state == PENDING and not isinstance(shutdown, Atom):
            self._deadlines.append((system.timers.now() + shutdown, len(self._deadlines), end))

    def _order_here(self, end: _End, process: Process | None, signal: Atom) -> None:
        if process is None:
            self._maybe_before.add(end.target)
            end.down(A.noproc)
            return
        self._left[end] = process
        if process.monitored_by is None:
            process.monitored_by = {}
        process.monitored_by[end] = end
        process.exit_signal(self.me.pid, signal)

    def _order_away(self, end: _End, signal: Atom) -> None:
        system = self.me.system
        self._maybe_before.add(end.target)
        self._left[end] = None
        end.ref = system.new_ref()
        try:
            end.handle = system.watch(end, end.ref, end.target)
            system.exit(end.target, signal)
        except ConnectError:
            end.down(A.noconnection)

    def ended(self, end: _End, reason: Any) -> None:
        """Told by `end`, wherever the other one ends."""
        self._reasons[end.target] = reason
        if self._left.pop(end, self) is None:
            self.me.system.unlink(self.me, end.target)
        if not self._left and self._waiter is not None:
            self._waiter.settle(DOWN, None)

    def wait(self) -> dict[Pid, Any]:
        """Until all have ended; who is late is killed. Gives the reasons."""
        system, deadlines = self.me.system, self._deadlines
        heapify(deadlines)
        while self._left:
            while deadlines and (deadlines[0][2].state != PENDING or deadlines[0][0] <= system.timers.now()):
                self._kill(heappop(deadlines)[2])
            if self._left:
                self._waiter = Waiter(system.scheduler, system.timers)
                self._waiter.wait(max(0.0, deadlines[0][0] - system.timers.now()) if deadlines else None)
                self.me.check_alive()
        for pid in self._reasons:
            told = self._exits.take(pid, ended_before=pid in self._maybe_before)
            if told is not NOTHING:
                self._reasons[pid] = told
        return self._reasons

    def _kill(self, end: _End) -> None:
        if end.state != PENDING:
            return
        process = self._left[end]
        if process is not None:
            process.exit_signal(self.me.pid, A.kill)
            return
        try:
            self.me.system.exit(end.target, A.kill)
        except ConnectError:
            pass  # its node is gone: the monitor says so

    def forget(self) -> None:
        """Watch nobody any more: the one who stops them has been ended itself."""
        for end, process in self._left.items():
            if process is None and end.ref is not None:
                self.me.system.unwatch(end.ref, end.handle)
            elif process is not None and process.monitored_by is not None:
                process.monitored_by.pop(end, None)
