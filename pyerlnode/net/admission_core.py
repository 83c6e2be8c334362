"""Who of those that knock gets a place, who has to leave for another, and whose turn it is: no sockets, no clock.

A node can not tell a peer from a stranger before the cookie was proved, and anybody can open sockets, as many as he
likes. So those who have not proved it share a bounded number of places, by how far they have come:

    SILENT   has not said its first message whole; it costs a descriptor and a watcher
    SPOKE    has, and was, or will be, answered; it costs a greenlet
    PROVEN   has answered our challenge: it needs no place any more, and nobody takes it away

Laws:
- For who comes when all places are taken, one leaves: a silent one, as long as these have more than a quarter of the
  places, else one that spoke. So neither a crowd that says nothing nor one that says names and stops there takes all.
- Of these the source (an address, or the network of an IPv6 address) with the most loses one, its oldest: who floods
  displaces himself, and a peer that goes on at once is not there any more when its turn to leave would come.
- Handshakes begin a few at a time, and the sources take turns: whoever speaks a thousand times waits longer, alone. Of
  one source the newest begins first: where there are more than can be served, those that came first are given up.
- One source begins `RATE` handshakes in a second, however many it asks for.
- A silent one has until its deadline.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from enum import IntEnum
from typing import Final, Generic, TypeVar

Guest = TypeVar("Guest")

RATE: Final = 200
"""Handshakes that one source may begin in a second. One costs some 0.3 ms, so a source takes a tenth of a processor."""
_SECOND: Final = 1.0
RESERVED: Final = 4
"""One place in so many is for those that have not spoken yet."""


class Stage(IntEnum):
    """How far one has come."""

    SILENT = 0
    SPOKE = 1
    PROVEN = 2


def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, the /64 of an IPv6 one."""
    if ":" not in address:
        return address
    network = int(ipaddress.IPv6Address(address.partition("%")[0])) >> 64
    return f"{network:x}/64"


class Admission(Generic[Guest]):
    """The guests of a listener that have not proved the cookie, at most `places` of them."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._known: dict[Guest, tuple[str, Stage]] = {}
        self._deadlines: dict[Guest, float] = {}
        """Of the silent ones, in the order in which they came."""
        self._by_source: dict[Stage, dict[str, dict[Guest, None]]] = {Stage.SILENT: {}, Stage.SPOKE: {}}
        self._counts = {Stage.SILENT: 0, Stage.SPOKE: 0}
        self._turns: dict[str, dict[Guest, None]] = {}
        """Who spoke and has not begun, by source; the first source is next."""
        self._begun: Counter[str] = Counter()
        """How many of each source have begun in this second."""
        self._next_second = float("-inf")

    def __len__(self) -> int:
        return len(self._known)

    @property
    def guests(self) -> list[Guest]:
        """All of them, the proven ones too."""
        return list(self._known)

    def stage(self, guest: Guest) -> Stage | None:
        """None for one that is gone."""
        known = self._known.get(guest)
        return None if known is None else known[1]

    # --- coming and going ----------------------------------------------------------------------
    def came(self, guest: Guest, source: str, deadline: float) -> list[Guest]:
        """A new one, silent until `deadline`; who has to leave for it, which is gone here."""
        leaving = []
        while self._counts[Stage.SILENT] + self._counts[Stage.SPOKE] >= self._places:
            leaving.append(self._displaced())
        self._deadlines[guest] = deadline
        self._enter(guest, source, Stage.SILENT)
        return leaving

    def spoke(self, guest: Guest) -> None:
        """Its first message is there: it waits for its turn."""
        known = self._known.get(guest)
        if known is not None and known[1] is Stage.SILENT:
            self._leave(guest, *known)
            self._enter(guest, known[0], Stage.SPOKE)
            self._turns.setdefault(known[0], {})[guest] = None

    def proven(self, guest: Guest) -> None:
        """It has answered the challenge."""
        known = self._known.get(guest)
        if known is not None and known[1] is not Stage.PROVEN:
            self._leave(guest, *known)
            self._known[guest] = known[0], Stage.PROVEN

    def gone(self, guest: Guest) -> None:
        """It has become a connection, or was refused, or has left."""
        known = self._known.pop(guest, None)
        if known is not None and known[1] is not Stage.PROVEN:
            self._leave(guest, *known)

    # --- whose turn, whose time ----------------------------------------------------------------
    def next_turn(self, now: float) -> Guest | None:
        """Who begins its handshake now; None when nobody who waits may."""
        if now >= self._next_second:
            self._next_second = now + _SECOND
            self._begun.clear()
        source = next((source for source in self._turns if self._begun[source] < RATE), None)
        if source is None:
            return None
        self._begun[source] += 1
        waiting = self._turns.pop(source)
        guest, _ = waiting.popitem()
        if waiting:
            self._turns[source] = waiting
        return guest

    def next_second(self) -> float | None:
        """When those that wait may begin, after `next_turn` gave nobody; None when nobody waits."""
        return self._next_second if self._turns else None

    def overdue(self, now: float) -> list[Guest]:
        """The silent ones whose time is over; they are gone here."""
        late = []
        for guest, deadline in self._deadlines.items():
            if deadline > now:
                break
            late.append(guest)
        for guest in late:
            self.gone(guest)
        return late

    def next_deadline(self) -> float | None:
        """When `overdue` has something to say next."""
        return next(iter(self._deadlines.values()), None)

    # --- places --------------------------------------------------------------------------------
    def displace(self) -> Guest | None:
        """Who leaves when there is no room for other reasons, as descriptors; None when nobody can."""
        return self._displaced() if self._counts[Stage.SILENT] or self._counts[Stage.SPOKE] else None

    def _displaced(self) -> Guest:
        silent, spoke = self._counts[Stage.SILENT], self._counts[Stage.SPOKE]
        stage = Stage.SILENT if silent and (silent > self._places // RESERVED or not spoke) else Stage.SPOKE
        most = max(self._by_source[stage].values(), key=len)
        guest = next(iter(most))
        self.gone(guest)
        return guest

    def _enter(self, guest: Guest, source: str, stage: Stage) -> None:
        self._known[guest] = source, stage
        self._by_source[stage].setdefault(source, {})[guest] = None
        self._counts[stage] += 1

    def _leave(self, guest: Guest, source: str, stage: Stage) -> None:
        self._deadlines.pop(guest, None)
        for table in (self._by_source[stage], self._turns):
            of_source = table.get(source)
            if of_source is not None:
                of_source.pop(guest, None)
                if not of_source:
                    del table[source]
        self._counts[stage] -= 1
