"""Peers that a node wants to be connected to all the time.

Whenever there is no connection to such a peer one is tried, first after `FIRST` seconds, then twice as late each time,
at most `LAST`, each with up to a quarter taken off so that a hundred nodes do not come back in one moment. A connection
that stood for `LAST` seconds makes the next loss a first one. No peer is given up: one that closes at a bad moment
looks as if its cookie were another, and cookies and lists are put right while nodes run. The log says why it fails,
once for each change of the reason. Only what can never be a peer, as a name of the wrong kind, is not tried again.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

from pyerlnode.errors import ConnectError
from pyerlnode.runtime.system import System
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import Atom

log = logging.getLogger("pyerlnode.net_kernel")

FIRST, LAST = 0.1, 30.0
UNWANTED = ("not_allowed", "bad_cookie")
_FINAL = ("self", "bad_name")


def next_delay(delay: float, last: float = LAST) -> float:
    """How long to wait after an attempt that came `delay` seconds after the one before (0: the first)."""
    return min(last, 2 * delay) if delay else min(FIRST, last)


class _Kept:
    __slots__ = ("delay", "last", "timer", "up_at", "why")

    def __init__(self, last: float) -> None:
        self.last = last
        self.delay = 0.0
        self.timer: Timer | None = None
        self.up_at: float | None = None
        self.why = ""
        """Why the last attempt failed, as the log was told; empty after a connection."""


class Keeper:
    """Keeps connections. `connect` makes one or raises `ConnectError`; `is_up` tells whether there is one."""

    def __init__(
        self,
        system: System,
        connect: Callable[[Atom], Any],
        is_up: Callable[[Atom], bool],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.system = system
        self._connect = connect
        self._is_up = is_up
        self._chance = chance
        self._kept: dict[Atom, _Kept] = {}

    def keep(self, node: Atom, last: float = LAST) -> None:
        """Connect to `node` now, and again whenever it is lost; `last` bounds the seconds between attempts.

        This node is always there.
        """
        if node not in self._kept and node is not self.system.node:
            kept = self._kept[node] = _Kept(last)
            if self._is_up(node):
                self.up(node)
            else:
                self.system.spawn(self._attempt, node, kept)

    def let_go(self, node: Atom) -> bool:
        """Try no more; a connection that stands stays. True when it was kept."""
        kept = self._kept.pop(node, None)
        if kept is not None and kept.timer is not None:
            kept.timer.cancel()
        return kept is not None

    def keeps(self, node: Atom) -> bool:
        return node in self._kept

    def stop(self) -> None:
        for node in list(self._kept):
            self.let_go(node)

    def up(self, node: Atom) -> None:
        """A connection to `node` came up, whoever made it."""
        kept = self._kept.get(node)
        if kept is not None:
            kept.why = ""
            kept.up_at = self.system.timers.now()

    def down(self, node: Atom) -> None:
        """The connection to `node` is lost."""
        kept = self._kept.get(node)
        if kept is None:
            return
        if kept.up_at is not None and self.system.timers.now() - kept.up_at >= kept.last:
            kept.delay = 0.0
        kept.up_at = None
        self._plan(node, kept)

    def _plan(self, node: Atom, kept: _Kept) -> None:
        if kept.timer is None:
            kept.delay = next_delay(kept.delay, kept.last)
            wait = kept.delay * (1 - self._chance() / 4)
            kept.timer = self.system.timers.start(wait, self._due, node, kept)

    def _due(self, node: Atom, kept: _Kept) -> None:
        kept.timer = None
        if self._kept.get(node) is kept and not self._is_up(node):
            self.system.spawn(self._attempt, node, kept)

    def _attempt(self, node: Atom, kept: _Kept) -> None:
        try:
            self._connect(node)
        except ConnectError as error:
            if self._kept.get(node) is not kept:
                return
            if error.reason in _FINAL:
                log.error("no longer trying to keep a connection to %s: %s", node, error)
                del self._kept[node]
            else:
                if error.reason != kept.why:
                    kept.why = error.reason
                    level = logging.WARNING if error.reason in UNWANTED else logging.INFO
                    log.log(level, "a connection to %s is tried again and again: %s", node, error)
                self._plan(node, kept)
