"""What waits to be written on a connection, and in which order it leaves.

Small packets leave in the order in which they came. A fragmented message is put on a lane of its own, one per
sender, and small packets of *other* senders pass between its fragments: nobody waits for another's 64 MB. Signals
of the same sender queue up behind on its lane, because signals between two processes keep their order.

A signal that does not tell which process it comes from (a monitor's end that names the process by its registered
name) goes behind everything that is queued when it comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from pyerlnode.dist.fragment import Buffer, Packet

AFTER_ALL = object()
"""The sender of a signal that must not pass anything."""


class SendQueue:
    """Packets by sender. `size` is the bytes that wait; `lanes` holds the fragmented messages by sender."""

    __slots__ = ("_joinable", "_small", "lanes", "size", "small_size")

    def __init__(self) -> None:
        self._small: list[Buffer] = []
        self._joinable = True
        self.lanes: dict[Hashable, deque[tuple[Packet, int]]] = {}
        self.size = 0
        self.small_size = 0

    def load(self, sender: Hashable) -> int:
        """Bytes that a packet of `sender` has to wait for: fragments of others are none, it passes them."""
        return self.size if sender in self.lanes else self.small_size

    def put_small(self, packet: bytes) -> None:
        """Add one packet while nothing waits in `lanes`: who sends it plays no part then."""
        size = len(packet)
        self.size += size
        self.small_size += size
        self._small.append(packet)

    def put(self, sender: Hashable, packet: Packet) -> None:
        """Add one packet."""
        size = len(packet[0]) if len(packet) == 1 else sum(map(len, packet))
        self.size += size
        if self.lanes:
            lane = self.lanes.get(sender) if sender is not AFTER_ALL else self._longest()
            if lane is not None:
                lane.append((packet, size))
                return
        if len(packet) > 1:
            self._joinable = False
        self.small_size += size
        self._small += packet

    def put_fragments(self, sender: Hashable, packets: list[Packet]) -> None:
        """Add the packets of one fragmented message."""
        lane = self.lanes.setdefault(sender, deque())
        for packet in packets:
            size = sum(map(len, packet))
            self.size += size
            lane.append((packet, size))

    def take(self, limit: int) -> list[Buffer]:
        """Buffers to write next: all small packets, then fragments of each lane in turn up to `limit` bytes."""
        taken, self._small = self._small, []
        if self._joinable and len(taken) > 1:  # one buffer costs the system less than a list of hundreds
            taken = [b"".join(taken)]
        self._joinable = True
        small, self.small_size = self.small_size, 0
        self.size -= small
        room = limit - small
        while room > 0 and self.lanes:
            sender = next(iter(self.lanes))
            lane = self.lanes.pop(sender)
            packet, size = lane.popleft()
            taken += packet
            self.size -= size
            room -= size
            if lane:
                self.lanes[sender] = lane  # behind the others: its turn comes again
        return taken

    def clear(self) -> None:
        self._small.clear()
        self.lanes.clear()
        self.size = self.small_size = 0

    def __bool__(self) -> bool:
        return bool(self._small or self.lanes)

    def _longest(self) -> deque[tuple[Packet, int]]:
        """The lane that empties last, as each gives one packet in turn."""
        best = max(map(len, self.lanes.values()))
        return [lane for lane in self.lanes.values() if len(lane) == best][-1]
