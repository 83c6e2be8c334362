"""The packets of a port, ``{packet, N}`` of `open_port`: a length of 1, 2 or 4 bytes, big-endian, and so many bytes."""

from __future__ import annotations

from pyerlnode.brief import short
from pyerlnode.errors import ProtocolError, UsageError

SIZES = (1, 2, 4)


class Packets:
    """Cuts a stream of bytes into packets, and frames those that go out."""

    __slots__ = ("_buffer", "_limit", "_width")

    def __init__(self, width: int = 4, limit: int = 256 * 1024 * 1024) -> None:
        if width not in SIZES:
            raise UsageError(f"a port has packets of 1, 2 or 4 bytes of length, not {short(width)}")
        self._width = width
        self._limit = limit
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> list[bytes]:
        """Every packet that `data` completes. Raises `ProtocolError` for one beyond the limit."""
        buffer, width = self._buffer, self._width
        buffer += data
        packets: list[bytes] = []
        start = 0
        while len(buffer) - start >= width:
            size = int.from_bytes(buffer[start : start + width], "big")
            if size > self._limit:
                raise ProtocolError(f"a packet of {size} bytes, where {self._limit} are allowed")
            end = start + width + size
            if end > len(buffer):
                break
            packets.append(bytes(buffer[start + width : end]))
            start = end
        del buffer[:start]
        return packets

    def frame(self, packet: bytes) -> bytes:
        """`packet` with its length. Raises `UsageError` when the length does not hold it."""
        if len(packet) >> 8 * self._width:
            raise UsageError(
                f"a packet of {len(packet)} bytes does not fit a length of {self._width}: "
                f"open the port with {{packet, 4}}, and PortProgram(packet=4)"
            )
        return len(packet).to_bytes(self._width, "big") + packet

    @property
    def broken_off(self) -> bool:
        """True when the stream, had it ended now, would have ended inside a packet."""
        return bool(self._buffer)
