"""Which nodes of a cluster to be connected to: what a `follow` has found, how long it is wanted, and the bound.

found by a strategy, or told by a node that is followed     →  keep it connected
more than `limit`                                           →  not; said once
not connected, and not found for `forget` seconds           →  let go
"""

from __future__ import annotations

from collections.abc import Iterable

from pyerlnode.term.atom import Atom


class Wanted:
    """The nodes that are followed, each with when it was found last or was there."""

    __slots__ = ("_forget", "_limit", "known", "left_out")

    def __init__(self, limit: int, forget: float) -> None:
        self._limit = limit
        self._forget = forget
        self.known: dict[Atom, float] = {}
        self.left_out = 0
        """How many were found last time and not taken."""

    def is_full(self) -> bool:
        return len(self.known) >= self._limit

    def found(self, names: Iterable[Atom], now: float) -> list[Atom]:
        """Those that are new, as far as there is room."""
        new: list[Atom] = []
        left_out: set[Atom] = set()
        for name in names:
            if name not in self.known:
                if len(self.known) >= self._limit:
                    left_out.add(name)
                    continue
                new.append(name)
            self.known[name] = now
        self.left_out = len(left_out)
        return new

    def gone(self, connected: Iterable[Atom], now: float) -> list[Atom]:
        """Those that are there no more, for nobody and for long."""
        there = set(connected)
        for name in self.known:
            if name in there:
                self.known[name] = now
        gone = [name for name, at in self.known.items() if now - at > self._forget]
        for name in gone:
            del self.known[name]
        return gone
