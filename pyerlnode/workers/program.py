"""The inner end of a worker: a port program whose port is a Unix socket to its node, with shared memory beside it.

Its node is one of many: a name there or elsewhere is ``(name, node)``, and what goes to another node the owner carries
on. The words are those of `port.speech_core`, with ``{Name, Node}`` where a signal goes to a name.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Callable
from typing import Any

from pyerlnode.brief import message
from pyerlnode.errors import DecodeError, ProtocolError
from pyerlnode.port.speech_core import say
from pyerlnode.port.stream import Stream
from pyerlnode.port_program import PortProgram
from pyerlnode.runtime.edges import close_now
from pyerlnode.runtime.router import RemoteNode
from pyerlnode.signal import Message, Monitor, Signal
from pyerlnode.term.atom import A, Atom
from pyerlnode.workers.channel import DESCRIPTORS, READ, Packer


class SocketStream(Stream):
    """A `Stream` over one socket that takes and gives descriptors too."""

    def __init__(
        self, descriptors: tuple[int, int], on_data: Callable[[bytes], None], on_end: Callable[[], None], packer: Packer
    ) -> None:
        super().__init__(descriptors, on_data, on_end)
        self._socket = socket.socket(fileno=os.dup(descriptors[0]))
        self._packer = packer
        self._beside: list[tuple[bytes, int]] = []

    def give(self, data: bytes, descriptor: int | None) -> None:
        """`write`, with a descriptor that goes with the first byte and is closed."""
        if descriptor is not None:
            if self.closed:
                close_now(descriptor)
                return
            self._beside.append((data, descriptor))
        self.write(data)

    def close(self) -> None:
        if not self.closed:
            self._socket.close()
            self._packer.close()
            for _, descriptor in self._beside:
                close_now(descriptor)
            self._beside.clear()
        super().close()

    def forsake(self) -> None:
        """In a fork: it has nothing to say to the node."""
        if not self.closed:
            self._socket.close()
        super().forsake()

    def _take(self) -> bytes:
        data, ancillary, _, _ = self._socket.recvmsg(READ, DESCRIPTORS)
        self._packer.take(ancillary)
        return data

    def _give(self, data: bytes | memoryview) -> int:
        if not self._beside or self._beside[0][0] is not data:
            return self._socket.send(data)
        descriptor = self._beside[0][1]
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        sent = self._socket.sendmsg([data], [rights])
        close_now(self._beside.pop(0)[1])
        return sent


class _Toward:
    """The owner, on the way to `node`: all that it is, but names are those of that node."""

    def __init__(self, owner: RemoteNode, node: Atom, send: Callable[[tuple[Any, ...]], None]) -> None:
        self._owner = owner
        self._node = node
        self._send = send
        self.route = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._owner, name)

    def send(self, signal: Signal) -> None:
        if isinstance(signal, (Message, Monitor)) and type(signal.to) is Atom:
            said = say(signal)
            assert said is not None
            place = 1 if isinstance(signal, Message) else 3
            self._send((*said[:place], (signal.to, self._node), *said[place + 1 :]))
        elif self._owner.route is not None:
            self._owner.route.send(signal)

    def tell(self, signal: Signal) -> None:
        """Of `RemoteNode`; after the end there is nobody to be told."""
        if self._owner.route is not None:
            self._owner.system.send_safely(self, signal)


class _Everywhere(dict[Atom, Any]):
    """`System.peers`: the way to every node is the owner."""

    def __init__(self, owner: RemoteNode, send: Callable[[tuple[Any, ...]], None]) -> None:
        super().__init__({owner.node: owner})
        self._owner = owner
        self._send = send

    def get(self, key: Atom, default: Any = None) -> Any:
        del default
        return _Toward(self._owner, key, self._send)


class WorkerProgram(PortProgram):
    """What `main` runs, with its socket as both descriptors."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)  # no program that is started here shall keep it open
        super().__init__(descriptors=(descriptor, os.dup(descriptor)))  # the stream closes each of the two
        self._packer = Packer()

    def open(self) -> WorkerProgram:
        super().open()
        self.system.peers = _Everywhere(self._peer, self._say)
        self.system.end_call = self.fail
        return self

    def fail(self, from_: Any, reason: Any) -> None:
        """Let the call of `from_` exit with `reason`, as text when no term can be made of it."""
        try:
            self._say((A.failed, from_, reason))
        except Exception as error:  # a reason is what anybody raised
            self._say((A.failed, from_, (A.unencodable_reason, message(error).encode("utf-8", "replace"))))

    def _open_stream(self, descriptors: tuple[int, int]) -> Stream:
        return SocketStream(descriptors, self._received, self._lost, self._packer)

    def _say(self, term: tuple[Any, ...]) -> None:
        stream = self._stream
        if isinstance(stream, SocketStream) and not stream.closed:
            stream.give(*self._packer.frame(term))

    def _received(self, data: bytes) -> None:
        try:
            for term in self._packer.terms(data):
                self._hear_term(term)
        except (ProtocolError, DecodeError) as error:  # our own node said that: there is nothing to go on with
            self._broken = ProtocolError(f"the worker's node: {error}")
            if self._stream is not None:
                self._stream.close()
            return
        self.system.scheduler.drain()
