"""Selective receive over an ordered mailbox: the first message that matches, the others stay in order.

The mailbox is a `deque`. A receiver that waits remembers how far it has looked, so a mailbox of a million
messages that do not match is scanned once, not once per arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

NOTHING: Final = object()
"""What `take` gives when no message matches; no term is this object."""


def take(queue: deque[Any], matches: Callable[[Any], Any], start: int = 0) -> Any:
    """Remove and return the first message at or behind index `start` that `matches`, else `NOTHING`.

    An exception of `matches` leaves the mailbox as it was.
    """
    for index, message in enumerate(islice(queue, start, None), start):
        if matches(message):
            del queue[index]
            return message
    return NOTHING
