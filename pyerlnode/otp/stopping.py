"""How a process stops others: an exit signal, a time for them to end in, then `kill` (OTP's supervisor and gen).

A process to be stopped may be on any node, so nothing is asked of it but what a link, a monitor and an exit signal
tell. Many are stopped at once: all get their signal first, then all are waited for, each within its own time.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop
from typing import Any

from pyerlnode.errors import ConnectError
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

Words = tuple[int, ...]


def stop_processes(me: Process, targets: Iterable[tuple[Pid, float | Atom]]) -> dict[Pid, Any]:
    """Stop each pid with its shutdown (seconds, `infinity`, `brutal_kill`); give the reason with which each ended.

    A link to it is gone afterwards, and no exit message of it is left in the mailbox of `me`.
    """
    system = me.system
    wanted = dict(targets)
    if len(wanted) > 1:  # else each would leave an exit message among the DOWNs that we look for
        for pid in wanted:
            system.unlink(me, pid)
    reasons = _exits(me, wanted)
    refs: dict[Words, Pid] = {}
    deadlines: list[tuple[float, int, Pid]] = []
    now = system.timers.now()
    for pid, shutdown in wanted.items():
        refs[system.monitor(me, pid).words] = pid
        _signal(system, pid, A.kill if shutdown is A.brutal_kill else A.shutdown)
        if not isinstance(shutdown, Atom):
            deadlines.append((now + shutdown, len(deadlines), pid))
    heapify(deadlines)
    for pid, reason in _wait(me, refs, deadlines).items():
        reasons.setdefault(pid, reason)
    for pid in wanted:
        system.unlink(me, pid)
    return {**reasons, **_exits(me, wanted)}


def _wait(me: Process, refs: dict[Words, Pid], deadlines: list[tuple[float, int, Pid]]) -> dict[Pid, Any]:
    """Every DOWN; who is late is killed."""
    system = me.system
    reasons: dict[Pid, Any] = {}

    def is_ours(message: Any) -> bool:
        return type(message) is tuple and len(message) == 5 and message[0] is A.DOWN and message[1].words in refs

    while refs:
        while deadlines and (deadlines[0][2] in reasons or deadlines[0][0] <= system.timers.now()):
            _, _, pid = heappop(deadlines)
            if pid not in reasons:
                _signal(system, pid, A.kill)
        wait = deadlines[0][0] - system.timers.now() if deadlines else None
        message = me.receive(is_ours, None if wait is None else max(0.0, wait))
        if message is not NOTHING:
            reasons[refs.pop(message[1].words)] = message[4]
    return reasons


def _exits(me: Process, pids: Iterable[Pid]) -> dict[Pid, Any]:
    """Exit messages of `pids` that are in the mailbox already; they are taken out."""
    found: dict[Pid, Any] = {}

    def is_exit(message: Any) -> bool:
        return type(message) is tuple and len(message) == 3 and message[0] is A.EXIT and message[1] in pids

    while me.queue and (message := me.receive(is_exit, 0)) is not NOTHING:
        found[message[1]] = message[2]
    return found


def _signal(system: Any, pid: Pid, reason: Atom) -> None:
    try:
        system.exit(pid, reason)
    except ConnectError:
        pass  # its node is gone: the monitor says so
