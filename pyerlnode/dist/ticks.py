"""When a silent connection is ticked, and when a silent peer is given up.

Implements the tick rule of OTP's dist_util: time is cut into intervals of `net_ticktime / net_tickintensity`
seconds. At the end of each:
- Nothing was written in it (to a hidden peer: or nothing was read): an empty frame is written.
- Nothing was read in `intensity` intervals in a row: the peer is down, `net_tick_timeout`. With 60 s and 4 that
  is after 45 to 75 s of silence.
An interval whose end is noticed late counts once, so a program that computed for minutes does not take its own
silence for the peer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class TickAction(Enum):
    """What the end of an interval asks for."""

    SEND_TICK = auto()
    PEER_DOWN = auto()


@dataclass(frozen=True, slots=True)
class TickSettings:
    """`ticktime` in seconds (OTP: net_ticktime), cut into `intensity` intervals (OTP: net_tickintensity)."""

    ticktime: float = 60.0
    intensity: int = 4

    @property
    def interval(self) -> float:
        return self.ticktime / self.intensity


class TickClock:
    """The tick rule of one connection; it is told counters and never looks at a clock."""

    __slots__ = ("_bytes_in", "_bytes_out", "_hidden", "_silent", "deadline", "missed", "settings")

    def __init__(self, settings: TickSettings, hidden: bool, now: float) -> None:
        self.settings = settings
        self.deadline = now + settings.interval
        self._hidden = hidden
        self._bytes_in = 0
        self._bytes_out = 0
        self._silent = 0
        self.missed = 0
        """Intervals without a byte from the peer, since the connection came up."""

    def check(self, now: float, bytes_in: int, bytes_out: int) -> list[TickAction]:
        """What is due at `now`, when the connection has read and written so many bytes in all."""
        if now < self.deadline:
            return []
        self.deadline = now + self.settings.interval
        heard, spoke = bytes_in != self._bytes_in, bytes_out != self._bytes_out
        self._bytes_in, self._bytes_out = bytes_in, bytes_out
        if heard:
            self._silent = 0
        else:
            self._silent += 1
            self.missed += 1
        if self._silent >= self.settings.intensity:
            return [TickAction.PEER_DOWN]
        if not spoke or (self._hidden and not heard):
            return [TickAction.SEND_TICK]
        return []

    def change(self, settings: TickSettings, now: float) -> None:
        """Go by other settings: silence so far counts for as much time as it lasted."""
        self._silent = int(self._silent * self.settings.interval / settings.interval)
        self.settings = settings
        self.deadline = min(self.deadline, now + settings.interval)

    def revive(self) -> None:
        """The peer has been heard after all: bytes of it lay unread when it was given up."""
        self._silent = 0
