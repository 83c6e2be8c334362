"""A Python program as the port of a BEAM: no network, no EPMD, no cookie; it lives and dies with the port.

    from pyerlnode import A, GenServer, PortProgram, Reply

    with PortProgram() as program:
        program.export("math", math.sqrt)
        program.start(Counter, 41, name="counter")
        program.run()                       # until the BEAM closes the port

On the BEAM the port is owned by a process of `pyerlnode_port` (in `beam/`), which carries messages, calls, links and
monitors between its node and this program: ``pyerlnode_port:call(Owner, counter, get)``. Processes of the program are
reached through their owner; to Python the BEAM's pids are pids like any other.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from pyerlnode.brief import BRIEF, told
from pyerlnode.errors import (
    CallTimeout,
    DecodeError,
    EncodeError,
    Exit,
    NodeDown,
    NoProc,
    ProtocolError,
    UsageError,
)
from pyerlnode.etf import decode, encode
from pyerlnode.etf.codec import Codec
from pyerlnode.kernel.local import Local, read
from pyerlnode.kernel.remote.errors import outcome as outcome_of
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.kernel.remote.spawn_server import execute, undef
from pyerlnode.otp import gen
from pyerlnode.port.packets_core import Packets
from pyerlnode.port.speech_core import hear, say
from pyerlnode.port.stream import NOUSE_STDIO, STDIO, Stream, take_over
from pyerlnode.runtime.forks import made_before, ours
from pyerlnode.runtime.mailbox import DOWN, REPLY, Waiter
from pyerlnode.runtime.router import RemoteNode
from pyerlnode.runtime.system import System
from pyerlnode.runtime.threads import get_ident, wrong_thread
from pyerlnode.runtime.wakeup import attend
from pyerlnode.signal import Signal, Unlink, UnlinkAck
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Reference

log = logging.getLogger("pyerlnode.port")
T = TypeVar("T")

RETURN = A["return"]
BEAM = A.beam
"""The node part of a name on the BEAM: ``program.call(("stock", BEAM), …)``."""


class _OtherSide(dict[Atom, RemoteNode]):
    """`System.peers` of a port: whatever node a pid is of, the way to it is the port."""

    def __init__(self, peer: RemoteNode) -> None:
        super().__init__({peer.node: peer})
        self._peer = peer

    def get(self, key: Atom, default: Any = None) -> Any:
        del key, default
        return self._peer


class _Route:
    """`runtime.router.Route` over the port."""

    __slots__ = ("send",)

    def __init__(self, send: Callable[[Signal], None]) -> None:
        self.send = send


class PortProgram(Local):
    """The program on one end of a port.

    Args:
        packet: the `N` of the port's ``{packet, N}``: 1, 2 or 4.
        nouse_stdio: the port was opened with `nouse_stdio`.
        descriptors: others than these, for tests.
    """

    def __init__(
        self, packet: int = 4, *, nouse_stdio: bool = False, descriptors: tuple[int, int] | None = None
    ) -> None:
        self._packets = Packets(packet)
        self._descriptors = descriptors
        self._standard = NOUSE_STDIO if nouse_stdio else STDIO
        self.exports = Exports()
        self._system: System | None = None
        self._stream: Stream | None = None
        self._ended: Waiter | None = None
        self._broken: ProtocolError | None = None
        self._replies: dict[tuple[int, ...], Waiter] = {}
        self._forsaken = False
        ours(self)

    # --- life ----------------------------------------------------------------------------------
    def open(self) -> PortProgram:
        if self._system is not None:
            raise UsageError("this port program is open already")
        system = self._system = System(f"port_{os.getpid()}@nohost", secrets.randbits(32) | 4)
        self._peer = RemoteNode(system, BEAM)
        self._peer.connected(_Route(self._send_signal))
        system.peers = _OtherSide(self._peer)
        self._ended = Waiter(system.scheduler, system.timers)
        descriptors = take_over(self._standard) if self._descriptors is None else self._descriptors
        self._stream = self._open_stream(descriptors)
        self._stream.start()
        self._hears_no_more = attend(system.scheduler.loop)
        return self

    def run(self, function: Callable[..., T] | None = None, *args: Any, **kwargs: Any) -> T | None:
        """Serve until the BEAM closes the port, or `stop` is called. Raises `ProtocolError` for an owner's garbage.

        With a function: run it in the program's own thread, and wait for what it gives: the way in for other threads.
        """
        if function is not None:
            return self.anywhere.run(function, *args, **kwargs)
        if self._ended is None:
            raise UsageError("open the port program first: with PortProgram() as program: …")
        self._ended.wait(None)
        if self._broken is not None:
            raise self._broken
        return None

    def stop(self) -> None:
        """End every process and close the port. May be called twice."""
        system, self._system = self._system, None
        if system is not None:
            system.stop()
            if self._stream is not None:
                self._stream.close()
            self._hears_no_more()

    def forsake(self) -> None:
        """In a fork: the port is the parent's."""
        self._forsaken = self._system is not None
        self._system = None

    def __enter__(self) -> PortProgram:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def anywhere(self) -> System:
        if self._system is None:
            if self._forsaken:
                raise made_before("this port program")
            raise UsageError("this port program is not open: use `with PortProgram() as program:`")
        return self._system

    @property
    def system(self) -> System:
        """Raises `WrongThread` in another thread than the program's."""
        system = self.anywhere
        if get_ident() != system.scheduler.thread:
            raise wrong_thread(system)
        return system

    # --- calls ---------------------------------------------------------------------------------
    def call(self, dest: Any, request: Any, timeout: float | None = 5.0, *, codec: Codec | None = None) -> Any:
        """``GenServer.call``: of a process here, or of one of the BEAM by pid or ``(name, BEAM)``.

        Raises `NoProc`, `NodeDown`, `CallTimeout`, each an `Exit`; `Exit` with the BEAM's reason for other ends.
        """
        node, _, to = self.system.resolve(dest)
        if node is self.system.node:
            return read(gen.call(self.system, dest, request, timeout), codec)
        limit = A.infinity if timeout is None else round(timeout * 1000)
        outcome = self._request(A.gen_call, (to, request, limit), timeout, f"{dest!r}")
        match outcome:
            case (kind, value) if kind is RETURN:
                return read(value, codec)
            case (A.exit, (A.noproc, _) as reason):
                raise NoProc(reason, f"there is no process {dest!r}")
            case (A.exit, (A.timeout, _) as reason):
                raise CallTimeout(reason, f"{dest!r} did not answer within {timeout} s")
            case (A.exit, reason):
                raise Exit(reason, f"{dest!r} did not answer: {told(reason, BRIEF)}")
        raise ProtocolError("the port's owner gave an answer that is not in its vocabulary")

    def rpc(self, module: str | Atom, function: str | Atom, args: Any = (), timeout: float | None = 5.0) -> Any:
        """Call a function of the BEAM. Raises `RemoteError`, `RemoteExit`, `RemoteThrow`; `NodeDown`, `CallTimeout`."""
        what = f"{module}:{function}/{len(args)}"
        outcome = self._request(A.call, (Atom(str(module)), Atom(str(function)), list(args)), timeout, what)
        tag = self.system.new_ref()
        return outcome_of(tag, (tag, *outcome), what)

    def _request(self, kind: Atom, rest: tuple[Any, ...], timeout: float | None, what: str) -> tuple[Any, ...]:
        ref = self.system.new_ref()
        waiter = self._replies[ref.words] = Waiter(self.system.scheduler, self.system.timers)
        try:
            self._say((kind, ref, *rest))
            state = waiter.wait(timeout)
        finally:
            self._replies.pop(ref.words, None)
        if state == REPLY:
            outcome: tuple[Any, ...] = waiter.value
            return outcome
        if state == DOWN:
            raise NodeDown(A.noconnection, f"the port was closed during {what}")
        raise CallTimeout(A.timeout, f"{what} did not answer within {timeout} s")

    def export(
        self, module: str | Atom, function: Callable[..., Any] | Mapping[str, Callable[..., Any]], name: Any = None
    ) -> None:
        """Let the BEAM call `function`, or all of a mapping, as ``module:name``."""
        if isinstance(function, Mapping):
            self.exports.add_all(module, function)
        else:
            self.exports.add(module, function, name)

    # --- the stream ----------------------------------------------------------------------------
    def _open_stream(self, descriptors: tuple[int, int]) -> Stream:
        return Stream(descriptors, self._received, self._lost)

    def _send_signal(self, signal: Signal) -> None:
        """The route to the BEAM. Raises `EncodeError` before anything is written."""
        said = say(signal)
        if said is not None:
            self._say(said)
        if isinstance(signal, Unlink):  # the owner needs no protocol for a link: there is one stream
            self._peer.deliver(UnlinkAck(signal.id, signal.to, signal.from_))

    def _say(self, term: tuple[Any, ...]) -> None:
        if self._stream is not None:
            self._stream.write(self._packets.frame(encode(term)))

    def _received(self, data: bytes) -> None:
        try:
            for packet in self._packets.receive_data(data):
                self._hear(packet)
        except ProtocolError as error:
            log.error("the port is closed: %s", error)
            self._broken = error
            if self._stream is not None:
                self._stream.close()
            return
        self.system.scheduler.drain()

    def _hear(self, packet: bytes) -> None:
        try:
            term = decode(packet)
        except DecodeError as error:
            log.warning("a packet of the port's owner is dropped, it is no term: %s", error)
            return
        self._hear_term(term)

    def _hear_term(self, term: Any) -> None:
        signal = hear(term, self.system.root.pid)
        if signal is not None:
            self._peer.deliver(signal)
        elif term[0] is A.reply:
            waiter = self._replies.get(term[1].words)
            if waiter is not None:
                waiter.settle(REPLY, term[2])
        else:
            self.system.spawn(self._answer, *term[1:])

    def _answer(self, ref: Reference, module: Any, function: Any, args: list[Any]) -> None:
        found = self.exports.find(module, function, len(args))
        if found is None:
            log.info("the BEAM asked for %s:%s/%d, which is not exported", module, function, len(args))
            outcome: tuple[Any, ...] = (None, A.error, A.undef, undef(module, function, args))
        else:
            outcome = execute(None, found, args, _no_stream)
        try:
            self._say((A.reply, ref, outcome[1:]))
        except EncodeError as error:
            self._say((A.reply, ref, (A.error, (A.unencodable_reason, str(error).encode()), [])))

    def _lost(self) -> None:
        for waiter in self._replies.values():
            waiter.settle(DOWN, None)
        if self._system is not None:
            self._peer.lost()
        if self._ended is not None:
            self._ended.settle(REPLY, None)


def _no_stream() -> NoReturn:
    raise UsageError("a port carries no streams and no handles: answer terms, or be a node")


__all__ = ["BEAM", "PortProgram"]
