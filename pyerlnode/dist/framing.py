"""Frames of a connection: a length of four bytes, then so many bytes; an empty frame is a tick.

Implements "Protocol between Connected Nodes" of erl_dist_protocol, its outermost layer.

Laws:
- What arrives may be cut anywhere; the frames are the same.
- A frame that lies whole in what was read is not copied: it is told as (data, start, end). Only a frame that
  two reads share is put together, once, however many reads it takes.
- Nothing is allocated for a length that was claimed, only for bytes that came. A length above the limit is a
  `ProtocolError`: after it the stream can not be read on.
"""

from __future__ import annotations

from typing import TypeAlias

from pyerlnode.errors import ProtocolError

TICK = b"\0\0\0\0"
MAX_FRAME = 2**32 - 1

Frame: TypeAlias = tuple[bytes, int, int]
"""The bytes it lies in, where it starts, where it ends."""


class FrameReader:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_have", "_parts", "_whole", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._parts: list[bytes] = []  # the beginning of a frame, its length included
        self._have = 0
        self._whole = 0  # bytes of that frame with its length; 0 while the length itself is not complete

    def feed(self, data: bytes, frames: list[Frame]) -> None:
        """Append the frames that `data` completes to `frames`, in order.

        Raises:
            ProtocolError: a frame above the limit; the frames before it have been appended.
        """
        at = 0
        if self._have:
            frame, at = self.complete(data)
            if frame is not None:
                frames.append(frame)
        while (found := self.cut(data, at)) is not None:
            frames.append(found)
            at = found[2]

    def cut(self, data: bytes, at: int) -> Frame | None:
        """The frame at `at`; None when it is not whole, and what there is of it is kept. Raises as `feed`."""
        size = len(data)
        if size - at >= 4:
            start = at + 4
            end = start + int.from_bytes(data[at:start], "big")
            if end - start > self.limit:
                raise self._too_long(end - start)
            if end <= size:
                return data, start, end
        if at < size:
            self._keep(data[at:] if at else data)
        return None

    @property
    def pending(self) -> int:
        """Bytes held of a frame that has begun."""
        return self._have

    def _keep(self, rest: bytes) -> None:
        self._parts.append(rest)
        self._have = len(rest)
        self._whole = 4 + int.from_bytes(rest[:4], "big") if len(rest) >= 4 else 0

    def complete(self, data: bytes) -> tuple[Frame | None, int]:
        """Add to the frame that is `pending`: it, when it is whole now, and how much of `data` that took."""
        at = 0
        if not self._whole:
            at = min(4 - self._have, len(data))
            head = b"".join(self._parts) + data[:at]
            self._parts = [head]
            self._have = len(head)
            if self._have < 4:
                return None, at
            self._whole = 4 + int.from_bytes(head, "big")
            if self._whole - 4 > self.limit:
                raise self._too_long(self._whole - 4)
        end = at + self._whole - self._have
        if end > len(data):
            if at < len(data):
                self._parts.append(data[at:] if at else data)
                self._have += len(data) - at
            return None, len(data)
        self._parts.append(data[at:end])
        frame = b"".join(self._parts)
        self._parts = []
        self._have = 0
        return (frame, 4, len(frame)), end

    def _too_long(self, length: int) -> ProtocolError:
        return ProtocolError(f"the peer announced a packet of {length} bytes; the limit is {self.limit}")
