"""The tick time of a node, which may be changed while it runs: ``net_kernel:set_net_ticktime/1,2``.

Peers have tick times of their own and may be told of a new one later, so there is a transition: until it is over ticks
are as frequent as the shorter time wants, and a silent peer is given up as late as the longer one says.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf
from typing import Any

from pyerlnode.dist.ticks import TickSettings
from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A, Atom

TRANSITION = 60.0


class TickTime:
    """Args: `change` is given the settings for all connections; `after` calls a function so many seconds later."""

    def __init__(
        self,
        settings: TickSettings,
        change: Callable[[TickSettings], None],
        after: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.current = settings
        """What connections go by now."""
        self._change = change
        self._after = after
        self._coming: TickSettings | None = None

    def get(self) -> float | tuple[Atom, float]:
        return self.current.ticktime if self._coming is None else (A.ongoing_change_to, self._coming.ticktime)

    def set(self, ticktime: float, transition: float = TRANSITION) -> Any:
        if not 0 < ticktime < inf or not 0 <= transition < inf:
            raise UsageError("a tick time is seconds, more than 0, and a transition seconds, 0 or more")
        if self._coming is not None:
            return A.ongoing_change_to, self._coming.ticktime
        before = self.current
        if ticktime == before.ticktime:
            return A.unchanged
        self._coming = TickSettings(ticktime, before.intensity)
        self._go_by(between(before, self._coming))
        self._after(transition, self._settle)
        return A.change_initiated

    def _settle(self) -> None:
        settings, self._coming = self._coming, None
        assert settings is not None
        self._go_by(settings)

    def _go_by(self, settings: TickSettings) -> None:
        self.current = settings
        self._change(settings)


def between(one: TickSettings, other: TickSettings) -> TickSettings:
    """As frequent as the more frequent, as patient as the more patient."""
    longer = max(one.ticktime, other.ticktime)
    return TickSettings(longer, ceil(longer / min(one.interval, other.interval)))
