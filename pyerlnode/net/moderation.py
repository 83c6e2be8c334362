"""Whether a short pause before the next read pays: the decision alone, a machine without clock or socket.

Where many send at once, a hub that reads as soon as there is something reads little each time: a system call, a turn of
the loop and an answer in a packet of its own for two or three signals. A pause of some 50 µs gathers ten times as many
(network cards call it interrupt moderation). Where one caller waits for its answer the same pause would only make it
wait longer. Nothing in the packets tells the two apart for certain, so it is tried: of both ways the one stays in
which more signals came per second, and when it makes no difference the one with the pause, which needs less of the
processor (measured with 50 callers on a BEAM: 50,000 against 46,000 calls per second, 11 against 21 µs of CPU time
each; with one caller 9,000 against 16,000, which is why that one is left alone).

Laws:
- A pause must gather `FEW` signals at least, else it ends with its window: one caller never pays for it for longer.
- The other way is tried for one window at a time, more and more seldom (every `MOST` windows at last) while it loses.
- A window in which nothing came for a while says nothing of the load: all begins anew, without pauses.
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = 0.004
"""Seconds in which signals are counted before anything is decided."""
FEW: Final = 8
"""Signals per read that a pause must gather: one caller's round of an OTP call is three."""
ENOUGH: Final = 8
"""Reads after which a pause that gathers too little is given up, before its window ends."""
MOST: Final = 16
"""Windows between two trials of the way that has lost again and again."""
_AS_GOOD: Final = 0.95


class Moderation:
    """Told of every read by `read`; `pausing` says whether to pause before the next one. Times in seconds."""

    __slots__ = ("_began", "_best", "_left", "_patience", "_rates", "_reads", "_signals", "pausing")

    def __init__(self, now: float) -> None:
        self.pausing = False
        self._best = False
        self._rates = [0.0, 0.0]
        """Signals per second without and with pauses: each window counts half of the one after it."""
        self._patience = self._left = 1
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._began = now
        self._signals = self._reads = 0

    def read(self, signals: int, now: float) -> None:
        """A read gave so many signals; what they caused was done at `now`."""
        self._signals += signals
        self._reads += 1
        if now - self._began >= WINDOW or (self.pausing and self._reads >= ENOUGH and self._is_sparse()):
            self._judge(now - self._began)
            self._begin(now)

    def _is_sparse(self) -> bool:
        return self._signals < FEW * self._reads

    def _judge(self, seconds: float) -> None:
        """The end of a window that took so long."""
        if seconds > 4 * WINDOW:
            self._rates = [0.0, 0.0]
            self._decide(False, anew=True)
            return
        rates, rate = self._rates, self._signals / seconds
        rates[self.pausing] = (rates[self.pausing] + rate) / 2 if rates[self.pausing] else rate
        if self.pausing and self._is_sparse():
            self._decide(False, anew=self._best)
        elif self.pausing is not self._best:  # a trial
            best = rates[True] >= rates[False] * _AS_GOOD
            self._decide(best, anew=best is not self._best)
        else:
            self._left -= 1
            if self._left <= 0:
                self.pausing = not self._best

    def _decide(self, best: bool, *, anew: bool) -> None:
        self._patience = 1 if anew else min(2 * self._patience, MOST)
        self._best = self.pausing = best
        self._left = self._patience
