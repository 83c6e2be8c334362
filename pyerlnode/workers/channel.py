"""The packets between a node and a worker's OS process: terms over a Unix socket, large memory beside it.

What `shared_core` takes out of a term is copied once, into a memfd that goes over the socket as a descriptor; the
other side maps it, read-only. A memfd has no name: it is gone with the last descriptor and mapping of it, however
those who had them ended, so nothing is ever left in /dev/shm. The sender seals it, lets go of it as soon as it is
sent, and the receiver keeps it for as long as an array or view over it lives. Where the system has no memfd everything
goes through the socket.
"""

from __future__ import annotations

import array
import fcntl
import mmap
import os
import socket
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from pyerlnode.errors import ProtocolError
from pyerlnode.etf import decode, encode
from pyerlnode.port.packets_core import Packets
from pyerlnode.runtime.edges import close_now
from pyerlnode.term.atom import A
from pyerlnode.workers import shared_core

READ: Final = 262_144
SHARES: Final = hasattr(os, "memfd_create")
DESCRIPTORS: Final = socket.CMSG_SPACE(16 * array.array("i").itemsize)
_SEALS: Final = 1 | 2 | 4 | 8 if SHARES else 0
"""F_SEAL_SEAL, SHRINK, GROW, WRITE: nobody can change or cut what another has mapped."""
_ADD_SEALS, _GET_SEALS = 1033, 1034


def packed(term: tuple[Any, ...]) -> tuple[bytes, int | None]:
    """A term as bytes, and the descriptor that has to go with their first; the caller closes it.

    Raises `EncodeError`, and `OSError` when there is no memory to share.
    """
    found = shared_core.find(term)
    if not found:
        return encode(term), None
    parcel = shared_core.Parcel(found, SHARES)
    rest = shared_core.without(term, [path for path, _ in found])
    data = encode((A.shared, parcel.parts, rest))
    return data, shared(parcel) if parcel.size else None


def shared(parcel: shared_core.Parcel) -> int:
    """A sealed memfd with the pieces of `parcel`."""
    descriptor = os.memfd_create("pyerlnode", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, parcel.size)
        for offset, piece in parcel.pieces:
            while piece:
                written = os.pwrite(descriptor, piece, offset)
                piece, offset = piece[written:], offset + written
        fcntl.fcntl(descriptor, _ADD_SEALS, _SEALS)
    except BaseException:
        close_now(descriptor)
        raise
    return descriptor


def mapped(descriptor: int) -> memoryview:
    """The memory behind a descriptor, which is closed. Raises `ProtocolError` unless it is sealed."""
    try:
        if fcntl.fcntl(descriptor, _GET_SEALS) != _SEALS:
            raise ProtocolError("a worker's shared memory is not sealed")
        return memoryview(mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ))
    finally:
        close_now(descriptor)


class Packer:
    """One side's stream: frames what goes out, gives the terms of what comes in."""

    def __init__(self) -> None:
        self._packets = Packets()
        self._descriptors: deque[int] = deque()

    def frame(self, term: tuple[Any, ...]) -> tuple[bytes, int | None]:
        data, descriptor = packed(term)
        return self._packets.frame(data), descriptor

    def receive(self, link: Any) -> Iterator[tuple[Any, ...]] | None:
        """The terms that the next bytes of the socket `link` complete; None at its end. Raises `OSError`."""
        data, ancillary, _, _ = link.recvmsg(READ, DESCRIPTORS)
        self.take(ancillary)
        return self.terms(data) if data else None

    def take(self, ancillary: Any) -> None:
        """The descriptors that have come beside some bytes."""
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                self._descriptors.extend(numbers)

    def terms(self, data: bytes) -> Iterator[tuple[Any, ...]]:
        """Raises `ProtocolError` and `DecodeError`, and then the stream is of no more use."""
        for packet in self._packets.receive_data(data):
            term = decode(packet)
            yield self._restored(term) if term[0] is A.shared else term

    def _restored(self, term: tuple[Any, ...]) -> Any:
        _, parts, rest = term
        shares = any(type(where) is tuple for _, _, _, where in parts)
        if shares and not self._descriptors:
            raise ProtocolError("a worker's packet has come without its shared memory")
        return shared_core.restored(parts, rest, mapped(self._descriptors.popleft()) if shares else None)

    def close(self) -> None:
        """Let go of what has arrived and was not taken."""
        while self._descriptors:
            close_now(self._descriptors.popleft())


def send_all(link: Any, data: bytes, descriptor: int | None) -> None:
    """Write a packet to a socket, and close the descriptor. Raises `OSError`."""
    if descriptor is None:
        link.sendall(data)
        return
    try:
        sent = link.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    finally:
        close_now(descriptor)
    if sent < len(data):
        link.sendall(memoryview(data)[sent:])
