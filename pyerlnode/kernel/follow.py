"""Following a cluster: a hidden node that stays connected to every visible one.

Nodes of a cluster tell each other of visible nodes, but not hidden ones: a hidden node knows the nodes that it has
dialled, and what it publishes reaches no others. So it asks. Every `every` seconds the strategy is asked for names
(`net.discovery`), and one of the connected nodes, another one each time, for its `nodes()`; at once when a node is
lost or comes. Each that is found is kept connected, with growing distances between attempts (`kernel.reconnect`),
until it was neither found nor connected for `forget` seconds.

Telemetry: ``follow.found`` and ``follow.gone`` with the peer; ``follow.failed`` with the reason, once for each change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from pyerlnode import brief
from pyerlnode.dist.node_name import parse_peer
from pyerlnode.errors import BadName, ConnectError, Exit, PyerlnodeError
from pyerlnode.kernel.follow_core import Wanted
from pyerlnode.kernel.net_kernel import NetKernel
from pyerlnode.kernel.remote import erpc
from pyerlnode.otp import gen_server
from pyerlnode.otp.service import Service
from pyerlnode.otp.where import started
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom, existing
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.follow")

EVERY, FORGET, LIMIT = 2.0, 120.0, 100
ASKED = 5.0
"""Seconds that a node has to tell its nodes."""


class Follower(Service):
    """The process that asks."""

    def init(self, kernel: NetKernel, following: Following) -> None:
        self.kernel = kernel
        self.following = following
        self.why = ""
        """Why the strategy, or a node, gave no names last time."""
        self.left_out = 0
        self.turn = 0
        self._again: Timer | None = None
        kernel.monitor_nodes(self.process, True)
        self._look()

    def handle_info(self, message: Any) -> None:
        match message:
            case A.look | (A.nodeup | A.nodedown, Atom()):
                self._look()

    def _look(self) -> None:
        wanted = self.following.wanted
        names = [*self._found(), *self._told()]
        now = self.process.system.timers.now()
        for node in wanted.found(names, now):
            self.kernel.telemetry.emit("follow.found", {}, peer=node.name)
            if not self.kernel.keeper.keeps(node):
                self.following.kept.add(node)
                self.kernel.keeper.keep(node)
        for node in wanted.gone(self.kernel.nodes(), now):
            self.kernel.telemetry.emit("follow.gone", {}, peer=node.name)
            self.following.let_go(node)
        if wanted.left_out > self.left_out:
            log.warning("%d nodes are not followed: the limit is %d", wanted.left_out, len(wanted.known))
        self.left_out = wanted.left_out
        if self._again is not None:
            self._again.cancel()
        self._again = self.process.system.send_after(self.following.every, self.pid, A.look)

    def _found(self) -> list[Atom]:
        """What the strategy gives; nothing when it fails."""
        try:
            names = [str(name) for name in self.following.strategy()]
        except BaseException as error:
            caught(error)
            if isinstance(error, (OSError, PyerlnodeError, UnicodeError)):
                self._failed(f"{type(error).__name__}: {brief.message(error)}")
            else:
                report(log, "the strategy of a follow failed, and is asked again", exc_info=error)
            return []
        self._failed("")
        own, room = self.process.system.node.name, not self.following.wanted.is_full()
        return [Atom(name) for name in names if name != own and _is_name(name) and (room or existing(name))]

    def _failed(self, why: str) -> None:
        if why and why != self.why:
            log.warning("nodes to follow could not be found, and are looked for again: %s", why)
            self.kernel.telemetry.emit("follow.failed", {}, reason=why)
        self.why = why

    def _told(self) -> list[Atom]:
        """The visible nodes that one of those knows that are connected."""
        there = [node for node in self.following.wanted.known if node in self.kernel.nodes()]
        if not there:
            return []
        self.turn = (self.turn + 1) % len(there)
        node, me = there[self.turn], self.process.system.node
        try:
            told = erpc.call(self.process.system, node, "erlang", "nodes", [], ASKED)
        except (Exit, ConnectError, PyerlnodeError) as error:
            log.debug("%s did not tell its nodes: %s", node, error)
            return []
        known = [one for one in told if type(one) is Atom and one is not me] if isinstance(told, list) else []
        return [node, *(one for one in known if _is_name(one.name))]


def _is_name(name: str) -> bool:
    try:
        parse_peer(name)
    except BadName:
        return False
    return True


class Following:
    """A cluster that is followed, until `stop`.

    Args:
        kernel: the node's.
        strategy: gives the names of nodes.
        every: seconds between two looks.
        limit: how many nodes are followed at most.
        forget: seconds after which a node is let go that is neither found nor connected.
    """

    def __init__(
        self,
        kernel: NetKernel,
        strategy: Callable[[], Iterable[str]],
        every: float = EVERY,
        limit: int = LIMIT,
        forget: float = FORGET,
    ) -> None:
        self.kernel = kernel
        self.strategy = strategy
        self.every = every
        self.wanted = Wanted(limit, forget)
        self.kept: set[Atom] = set()
        self.pid: Pid = started(gen_server.start(kernel.system, Follower, (kernel, self)))

    def __repr__(self) -> str:
        return f"<Following {', '.join(self.nodes()) or 'nobody yet'}>"

    def nodes(self) -> list[str]:
        """The nodes that are followed, connected or not."""
        return sorted(node.name for node in self.wanted.known)

    def let_go(self, node: Atom) -> None:
        """Keep it connected no more, unless somebody else wants that; a connection that stands stays."""
        if node in self.kept:
            self.kept.discard(node)
            self.kernel.keeper.let_go(node)

    def stop(self) -> None:
        """Look for nobody any more, and keep nobody connected. Connections that stand stay.

        A strategy that has a `close` is closed.
        """
        self.kernel.system.exit(self.pid, A.kill)
        close = getattr(self.strategy, "close", None)
        if close is not None:
            close()
        for node in list(self.kept):
            self.let_go(node)


__all__ = ["Following"]
