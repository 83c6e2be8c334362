"""Priority messages in a mailbox: before all ordinary ones, behind the priority messages that wait there already.

Reference: OTP 28's priority messages (EEP 76): they come by way of an alias that its owner made with the option
``priority``, from a sender that asked for it; all other messages are ordinary.

The mailbox holds messages and nothing beside them, so what stands at its head is told by identity: `ahead` lists the
priority messages that were put there, in their order, some of which may have been received since. An ordinary message
that is the same object (an atom) as one of them, and stands right behind, counts as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def waiting(queue: Iterable[Any], ahead: list[Any]) -> int:
    """How many messages at the head of `queue` are of `ahead`."""
    rest = iter(ahead)
    count = 0
    for message in queue:
        if not any(message is one for one in rest):
            break
        count += 1
    return count


def advance(process: Any, message: Any, table: dict[Any, list[Any]]) -> None:
    """Move `message`, which has just come to `process`, to its place, and bring its list in `table` up to date.

    A full mailbox may have taken the message for none: then there is nothing to move.
    """
    queue = process.queue
    if queue and queue[-1] is message:
        queue.pop()
        ahead = table.setdefault(process, [])
        place = waiting(queue, ahead)
        ahead[:] = [queue[index] for index in range(place)]
        ahead.append(message)
        process.put_at(place, message)
