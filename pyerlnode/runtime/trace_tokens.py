"""Sequential trace tokens: kept by the process that receives one, and passed on with all that it sends.

A node that never sees a token pays nothing for them: with the first one that arrives its `System` makes a
`TraceTokens`, which turns processes into `TracedProcess` and routes into `TokenRoute`. From then on a message that
carries a token is noted beside the mailbox, and when its process takes it out the token becomes that of the process.

What is not done: nothing is reported to a system tracer of this node (it has none; a BEAM reports what it sends and
receives itself), an answer to a call within this node leaves the caller's token as it was, and of a message that is
the same object as another one in the same mailbox (an atom, a small integer) the first to be taken has the token. A
server that was in a callback when the very first token of the node came learns of tokens with its next empty mailbox.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from pyerlnode.runtime.bounded import BoundedProcess, BoundedQueue
from pyerlnode.runtime.mailbox import Waiter
from pyerlnode.runtime.process import Process, current
from pyerlnode.runtime.router import Route
from pyerlnode.runtime.trace_core import TokenState, is_token
from pyerlnode.signal import ExitSignal, Message, Signal, SpawnReply, SpawnRequest, Token
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference


class _Noting(deque[Any]):
    """A mailbox that tells its owner with which token each message came."""

    __slots__ = ()
    owner: Any
    noted: dict[int, tuple[Any, deque[Token]]]

    def note(self, message: Any, token: Token) -> None:
        """The last message carries `token`."""
        self.noted.setdefault(id(message), (message, deque()))[1].append(token)

    def _taken(self, message: Any) -> None:
        token = None
        if self.noted:
            known = self.noted.get(id(message))
            if known is not None:
                token = known[1].popleft()
                if not known[1]:
                    del self.noted[id(message)]
        self.owner.system.trace_tokens.received(self.owner, token)

    def popleft(self) -> Any:
        message = super().popleft()
        self._taken(message)
        return message

    def __delitem__(self, index: Any) -> None:
        message = self[index]
        super().__delitem__(index)
        self._taken(message)


class TracedQueue(_Noting):
    __slots__ = ("noted", "owner")

    def __init__(self, owner: Process) -> None:
        super().__init__()
        self.owner = owner
        self.noted = {}


class TracedBoundedQueue(_Noting, BoundedQueue):
    __slots__ = ("noted",)

    def __init__(self, owner: BoundedProcess) -> None:
        BoundedQueue.__init__(self, owner)
        self.noted = {}


class _Traced(Process):
    """A process of a node that has seen a token."""

    __slots__ = ()
    queue_type: ClassVar[Any] = TracedQueue

    def deliver(self, message: Any) -> None:
        token = self.system.trace_tokens.of_delivery(message)
        if self.queue is None:
            self.queue = self.queue_type(self)
        super().deliver(message)
        if token is not None:
            queue = self.queue
            if isinstance(queue, _Noting) and queue and queue[-1] is message:  # a full mailbox may have dropped it
                queue.note(message, token)


class TracedProcess(_Traced):
    __slots__ = ()


class TracedBoundedProcess(_Traced, BoundedProcess):
    __slots__ = ()
    queue_type: ClassVar[Any] = TracedBoundedQueue


class TokenRoute:
    """A route that gives what is sent along it the token of its sender."""

    __slots__ = ("_route", "_tokens")

    def __init__(self, route: Route, tokens: TraceTokens) -> None:
        self._route = route
        self._tokens = tokens

    def send(self, signal: Signal, /) -> object:
        return self._route.send(self._tokens.stamped(signal))


class TraceTokens:
    """The tokens of the processes of one system, by pid. Made by `System.tracing` when the first one arrives."""

    def __init__(self, system: Any) -> None:
        self.system = system
        self.states: dict[Pid, TokenState] = {}
        self._arriving: Token = None
        for process in system.processes.values():
            self.adopt(process)
        for peer in system.peers.values():
            if peer.route is not None:
                peer.route = self.route(peer.route)

    def route(self, route: Route) -> Route:
        """`route`, with tokens."""
        return TokenRoute(route, self)

    def adopt(self, process: Process) -> None:
        """From now on `process` notes tokens."""
        kind = TracedBoundedProcess if isinstance(process, BoundedProcess) else TracedProcess
        process.__class__ = kind
        if process.queue is not None and (process.handler is None or process.greenlet is None):
            queue, process.queue = process.queue, kind.queue_type(process)
            process.queue.extend(queue)

    def born(self, process: Process) -> None:
        """`process` was made, by the current one or for a peer's request: it has the token of that.

        A BEAM counts a spawn as a message to the new process, and once more in that; towards a peer it counts the
        request twice, and its answer not at all.
        """
        self.adopt(process)
        token = self.of_delivery(None)
        if token is not None:
            self.received(process, token)
            if self._arriving is None:
                self.states[process.pid].clock += 1

    def forget(self, process: Process) -> None:
        self.states.pop(process.pid, None)

    def received(self, process: Process, token: Token) -> None:
        """`process` takes a message that carries `token`, or None."""
        state = self.states.get(process.pid)
        if state is not None:
            state.received(token)
        elif token is not None and process is not self.system.root:  # it stands for many, who have nothing in common
            state = self.states[process.pid] = TokenState()
            state.received(token)

    def arriving(self, token: Token, deliver: Callable[..., object], *args: Any) -> None:
        """Call ``deliver(*args)``: what it delivers came from a peer with `token`."""
        self._arriving = token if is_token(token) else None
        try:
            deliver(*args)
        finally:
            self._arriving = None

    def answered(self, alias: Any, token: Token) -> None:
        """A message with `token` comes to `alias`: if a call waits there, its caller has received it."""
        waiter = self.system.aliases.get(alias.words) if type(alias) is Reference else None
        if isinstance(waiter, Waiter) and is_token(token):
            process = getattr(waiter.greenlet, "erl_process", None)
            if process is not None and process.system is self.system:
                self.received(process, token)

    def of_delivery(self, message: Any) -> Token:
        """The token of a message that is delivered just now: the peer's, else that of the current process."""
        if self._arriving is not None:
            return self._arriving
        sender = current()
        if sender is None or sender.system is not self.system:
            return None
        if type(message) is tuple and message and message[0] is A.DOWN:  # monitors carry none
            return None
        return self._next(sender.pid)

    def _next(self, pid: Any) -> Token:
        state = self.states.get(pid)
        return None if state is None else state.sent(pid)

    def stamped(self, signal: Signal) -> Signal:
        """`signal` with the token of its sender, if that has one."""
        if isinstance(signal, (Message, ExitSignal)):
            signal.token = self._next(signal.from_)
        elif isinstance(signal, SpawnRequest):
            self._next(signal.from_)
            signal.token = self._next(signal.from_)
        elif isinstance(signal, SpawnReply):
            signal.token = self._arriving
        return signal
