"""How long a message has waited in a mailbox, at least, without a time stamp on it.

Whoever takes messages out, one by one, sees how many are left behind. So after each look it is known that the messages
up to a certain number were there at that moment; the first such moment for a message is the latest at which it can have
arrived. It falls short of the true wait by the time between two looks, which is that of handling one message.

Messages that leave otherwise (dropped by a bounded mailbox, taken by a selective receive) make the count jump; when
that is seen the knowledge is thrown away, and waits seem shorter for a while.
"""

from __future__ import annotations

from collections import deque


class Arrivals:
    """The looks at one mailbox. Times are in seconds."""

    __slots__ = ("_looks", "_taken")

    def __init__(self) -> None:
        self._taken = 0
        self._looks: deque[tuple[int, float]] = deque()
        """(messages that had arrived, moment), both rising."""

    def taken(self, left: int, now: float) -> float:
        """A message was taken out and `left` remain; the seconds for which it has been there at least."""
        self._taken += 1
        looks = self._looks
        arrived = self._taken + left
        if looks and arrived < looks[-1][0]:
            looks.clear()
        while looks and looks[0][0] < self._taken:
            looks.popleft()
        waited = now - looks[0][1] if looks else 0.0
        if not looks or arrived > looks[-1][0]:
            looks.append((arrived, now))
        return waited
