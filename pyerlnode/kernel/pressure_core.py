"""What the messages of one peer hold beyond the limits of full mailboxes, in bytes as they came.

Nobody knows how many bytes each message took. So the first message of a read that finds a mailbox full is charged with
the read, and with what was put together from fragments before it: an upper bound that is no more than a read too high
when messages are small. As a mailbox empties, the part of its charge that its messages leave behind is given back.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

READ = 256 * 1024
"""Bytes of one read of a connection, at most."""
SWEEP = 64
"""Mailboxes that are kept in mind before it is looked which of them are still full."""


class Full(Hashable, Protocol):
    """A process whose mailbox was full."""

    @property
    def excess(self) -> int:
        """Messages in its mailbox beyond the limit now."""
        ...


@dataclass(slots=True)
class _Charge:
    bytes: float = 0.0
    messages: int = 0


class Overflow:
    """Of one connection: what each full mailbox is charged with."""

    __slots__ = ("_assembled", "_charges", "_most", "_seen", "total")

    def __init__(self) -> None:
        self._charges: dict[Full, _Charge] = {}
        self._seen = self._assembled = 0
        self._most = SWEEP
        self.total = 0.0
        """Bytes that are charged, before anything is given back."""

    def add(self, process: Full, bytes_in: int, assembled: int) -> bool:
        """One message more. True for the first one of a read, which is charged.

        `bytes_in` and `assembled` are the connection's counters: bytes read, and bytes put together from fragments.
        """
        charge = self._charges.get(process)
        if charge is None:
            if len(self._charges) >= self._most:  # many of them may have ended, or be empty, long ago
                self.held()
                self._most = SWEEP + 2 * len(self._charges)
            charge = self._charges[process] = _Charge()
        charge.messages += 1
        if bytes_in == self._seen:
            return False
        more = min(bytes_in - self._seen, READ) + assembled - self._assembled
        self._seen, self._assembled = bytes_in, assembled
        charge.bytes += more
        self.total += more
        return True

    def held(self) -> float:
        """What still lies there; the rest is given back."""
        self.total = 0.0
        for process, charge in list(self._charges.items()):
            left = process.excess
            if left <= 0:
                del self._charges[process]
            elif left < charge.messages:
                charge.bytes *= left / charge.messages
                charge.messages = left
            self.total += charge.bytes if left > 0 else 0.0
        return self.total
