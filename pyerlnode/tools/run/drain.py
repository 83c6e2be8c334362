"""How a worker goes without anybody noticing: it leaves its groups, lets every caller have his answer, then ends.

1. Leave every group of the scope. Then ask the scope of each connected node something: its answer says that it has
   handled the leave before, so from now on `pg:get_members` there does not give our processes.
2. Who has read the members a moment ago still calls. Wait `quiet` seconds for these, and then until no process has a
   message waiting, and none is in the midst of one.
3. An answer may come later than the callback that took the call (`NoReply`, then `reply`). Every caller monitors whom
   he calls, so who monitors a process that was in a group is waited for, too; but for `CALLERS` seconds only, since
   others monitor for as long as they live.

All of it has `limit` seconds at most.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from typing import Any

import gevent

from pyerlnode.errors import ConnectError, Exit
from pyerlnode.kernel.pg import Pg
from pyerlnode.node import Node
from pyerlnode.otp import sys
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.info import initial_call
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.run")

LOOK, SYNC, CALLERS = 0.02, 2.0, 5.0


def drain(node: Node, scope: str, *, limit: float, quiet: float) -> bool:
    """True when nobody was left waiting after at most `limit` seconds."""
    end = time.monotonic() + limit
    left = _leave(node.pg, scope)
    _tell_all(node, scope, min(SYNC, limit))
    calm = _until_quiet(node, end, quiet)
    callers = min(end, time.monotonic() + CALLERS)
    while (waiting := _callers(node, left)) and time.monotonic() < callers:
        gevent.sleep(LOOK)
    if not calm:
        log.warning("%s is still busy after %g s and is stopped", node.name, limit)
    elif waiting:
        log.info("%d monitors of processes of %s are left", waiting, node.name)
    return calm


def _leave(pg: Pg, scope: str) -> set[Pid]:
    left: set[Pid] = set()
    for group in pg.which_local_groups(scope=scope):
        pids = pg.get_local_members(group, scope=scope)
        pg.leave(group, pids, scope=scope)
        left |= set(pids)
    return left


def _tell_all(node: Node, scope: str, timeout: float) -> None:
    """Return when the scope of each connected node has handled what was sent to it."""

    def ask(peer: str) -> None:
        try:
            sys.log_events(node.system, (scope, Atom(peer)), A.get, timeout)
        except (Exit, ConnectError):
            pass  # it has no such scope, or is gone: there is nobody to tell

    gevent.joinall([gevent.spawn(edge(ask), peer) for peer in node.nodes()])


def _until_quiet(node: Node, end: float, quiet: float) -> bool:
    gevent.sleep(min(quiet, max(0.0, end - time.monotonic())))
    while _busy(node) and time.monotonic() < end:
        gevent.sleep(LOOK)
    return not _busy(node)


def _busy(node: Node) -> bool:
    return any(_is_busy(process) for process in node.program_processes())


def _is_busy(process: Process) -> bool:
    if process.handler is not None:
        return bool(process.queue) or process.greenlet is not None
    return not _is_of_the_library(process) and (bool(process.queue) or not process.parked)


def _is_of_the_library(process: Process) -> bool:
    """A function body such as an attempt to connect: nobody waits for an answer of it."""
    return str(initial_call(process)[0]).startswith("pyerlnode.")


def _callers(node: Node, pids: Collection[Pid]) -> int:
    found: list[Any] = [node.system.process(pid) for pid in pids]
    return sum(len(process.monitored_by or ()) for process in found if process is not None)
