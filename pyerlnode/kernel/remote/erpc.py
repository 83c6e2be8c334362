"""``erpc``: functions of other nodes, called from here (protocol.md E.6).

Each call is a request to spawn ``erpc:execute_call/4`` with a monitor; the outcome is in the reason with which that
process ends. A peer that takes no spawn requests is asked by its `rex` instead; what a function of it threw then looks
like its value, and an error can not be told from an exit with a pair, as with OTP's `rpc`.

    call                one call, waits                       multicall    many nodes, all results
    cast                no result                             multicast    many nodes, no result
    send_request        a call whose result is fetched later, by receive_response, wait_response, check_response

What is called on this node itself are its exported functions: here as there nothing else can be reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pyerlnode.errors import CallTimeout, ConnectError, Exit, PyerlnodeError, RpcFailed
from pyerlnode.kernel.remote.errors import as_term, outcome
from pyerlnode.kernel.remote.spawn_server import RETURN, Call, applied, refusal
from pyerlnode.otp import gen, requests
from pyerlnode.otp.requests import NO_REPLY, NO_REQUEST, PENDING_RESPONSE, RequestIds
from pyerlnode.runtime.mailbox import DOWN, PENDING, TIMEOUT
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.signal import Demonitor, SpawnReply, SpawnRequest
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

_CALL = (A.erpc, A.execute_call, 4)
_CAST = (A.erpc, A.execute_cast, 3)
_MONITOR = [A.monitor]


class Request(requests.Request):
    """One call under way. Its outcome is the reason with which the process of the call ended."""

    __slots__ = ("child", "mfa", "tag")

    def __init__(self, system: System, node: Atom, module: Any, function: Any, args: Iterable[Any]) -> None:
        self.mfa = (Atom(str(module)), Atom(str(function)), list(args))
        super().__init__(system, node, self.mfa)
        self.tag: Reference = system.new_ref()
        self.child: Pid | Process | None = None

    def __repr__(self) -> str:
        return f"<erpc.Request {self.what}>"

    @property
    def what(self) -> str:
        module, function, args = self.mfa
        return f"{module}:{function}/{len(args)} on {self.dest}"

    def start(self) -> None:
        """Send it. Raises `EncodeError`; what else fails is the outcome."""
        if self.dest is self.system.node:
            self._start_here()
            return
        system, words = self.system, self.ref.words
        try:
            route = system.route(self.dest)
        except ConnectError as error:
            self.settle(DOWN, RpcFailed(A.noconnection, str(error)))
            return
        peer = system.peer(self.dest)
        peer.monitors[words] = (self, self.ref, None)
        peer.spawns[words] = self.replied
        caller = self._caller
        leader = caller.group_leader or system.root.group_leader or caller.pid
        try:
            taken = route.send(SpawnRequest(self.ref, caller.pid, leader, _CALL, _MONITOR, [self.tag, *self.mfa]))
        except BaseException:
            peer.monitors.pop(words, None)
            peer.spawns.pop(words, None)
            raise
        if taken is False and peer.spawns.pop(words, None) is not None:
            peer.monitors.pop(words, None)
            self._start_by_rex()

    def _start_here(self) -> None:
        module, function, args = applied(self.system.exported, *self.mfa)
        found = self.system.exported(module, function, len(args)) if type(args) is list else None
        if found is None:
            self.settle(DOWN, refusal(self.tag, module, function, args))
            return
        process = self.system.new_process(self._caller.group_leader)
        process.monitored_by = {self.ref.words: self}
        self.child = process
        Call(process, (module, function, len(args)), found, args, self.tag).start()

    def _start_by_rex(self) -> None:
        """The older form: a call to `rex`, by a process that this request monitors."""
        process = self.system.spawn_function(self._ask_rex, (), {})
        process.monitored_by = {self.ref.words: self}
        self.child = process

    def _ask_rex(self) -> None:
        leader = self._caller.group_leader or self.system.root.group_leader or self._caller.pid
        try:
            answer = gen.call(self.system, (A.rex, self.dest), (A.call, *self.mfa, leader), None)
        except Exit as error:
            connected = self.system.is_connected(self.dest)
            self.settle(DOWN, RpcFailed(A.notsup if connected else A.noconnection, f"{self.what}: {error}"))
            return
        self.settle(DOWN, from_rex(self.tag, answer))

    def replied(self, reply: SpawnReply | None) -> None:
        """SPAWN_REPLY; None when the connection was lost before it. In the hub."""
        if reply is None:
            return
        peer, words = self.system.peer(self.dest), self.ref.words
        if isinstance(reply.result, Pid):
            self.child = reply.result
            if words not in peer.monitors:  # given up in the meantime
                peer.tell(Demonitor(self._caller.pid, reply.result, self.ref))
        elif peer.monitors.pop(words, None) is None:
            return
        elif reply.result is A.notsup:  # it takes no spawn requests, as was found out when it was connected to
            self._start_by_rex()
        else:
            self.settle(DOWN, RpcFailed(reply.result, f"{self.what} could not be called: {reply.result}"))

    def down(self, reason: Any) -> None:
        peer = self.system.peers.get(self.dest) if reason is A.noconnection else None
        if peer is not None and peer.refusal is not None:
            reason = RpcFailed(A.noconnection, str(peer.refusal))
        super().down(reason)

    def _as_message(self, state: int, value: Any) -> Any:
        del state
        pid = self.child.pid if isinstance(self.child, Process) else self.child
        return A.DOWN, self.ref, A.process, pid, getattr(value, "reason", value)

    def outcome(self) -> Any:
        if isinstance(self.value, PyerlnodeError):
            raise self.value
        return outcome(self.tag, self.value, self.what, self._ask)

    def _ask(self, module: str, function: str, args: list[Any]) -> Any:
        return call(self.system, self.dest, module, function, args)

    def as_term(self) -> tuple[Any, Any]:
        """The outcome as ``erpc:multicall`` has it."""
        if isinstance(self.value, RpcFailed):
            return A.error, (A.erpc, self.value.reason)
        return as_term(self.tag, self.value)

    def drop_message(self) -> None:
        """Take the answer out of the mailbox of a process that fetches it otherwise."""
        if self._message is not None:
            with suppress(PyerlnodeError):
                self.taken()

    def abandon(self) -> None:
        """Nobody wants the result any more; the function goes on."""
        self.state = DOWN
        child = self.child
        if isinstance(child, Process):
            if child.monitored_by is not None:
                child.monitored_by.pop(self.ref.words, None)
            return
        peer = self.system.peer(self.dest)
        if peer.monitors.pop(self.ref.words, None) is not None and child is not None:
            peer.tell(Demonitor(self._caller.pid, child, self.ref))


def from_rex(tag: Any, answer: Any) -> Any:
    """The result of `erpc` for an answer of `rex`."""
    match answer:
        case (A.badrpc, (A.EXIT, (reason, [*stack]))):
            return tag, A.error, reason, stack
        case (A.badrpc, (A.EXIT, reason)):
            return tag, A.exit, reason
        case (A.badrpc, reason):
            return RpcFailed(reason)
    return tag, RETURN, answer


def call(
    system: System, node: Atom, module: Any, function: Any, args: Iterable[Any] = (), timeout: float | None = 5.0
) -> Any:
    """``erpc:call``: the value, or `RemoteError`, `RemoteExit`, `RemoteThrow`; `RpcFailed` when the call itself failed.

    Args:
        timeout: seconds, None for ever. The remote function goes on when it is over.
    """
    request = Request(system, node, module, function, args)
    request.start()
    try:
        state = request.wait(timeout)
    except BaseException:
        request.abandon()
        raise
    if state == TIMEOUT:
        request.abandon()
        raise timed_out(request, timeout)
    return request.taken()


def timed_out(request: Request, timeout: float | None) -> RpcFailed:
    return RpcFailed(A.timeout, f"{request.what} did not return within {timeout} s")


def cast(system: System, node: Atom, module: Any, function: Any, args: Iterable[Any] = ()) -> None:
    """``erpc:cast``: run it and forget it. A node that can not be reached is passed over; raises `EncodeError`."""
    caller, args = system.myself(), list(args)
    leader = caller.group_leader or system.root.group_leader or caller.pid
    module, function = Atom(str(module)), Atom(str(function))
    if node is system.node:
        module, function, given = applied(system.exported, module, function, args)
        found = system.exported(module, function, len(given))
        if found is not None:
            process = system.new_process(leader)
            Call(process, (module, function, len(given)), found, given, None).start()
        return
    try:
        route = system.route(node)
    except ConnectError:
        return
    request = SpawnRequest(system.new_ref(), caller.pid, leader, _CAST, [], [module, function, args])
    if route.send(request) is False and system.is_connected(node):
        gen.cast(system, (A.rex, node), (A.cast, module, function, args, leader))


def multicast(system: System, nodes: Iterable[Atom], module: Any, function: Any, args: Iterable[Any] = ()) -> None:
    """``erpc:multicast``."""
    args = list(args)
    for node in nodes:
        cast(system, node, module, function, args)


def multicall(
    system: System,
    nodes: Iterable[Atom],
    module: Any,
    function: Any,
    args: Iterable[Any] = (),
    timeout: float | None = 5.0,
) -> list[tuple[Any, Any]]:
    """``erpc:multicall``: for each of `nodes`, in their order, one of

    ``(A.ok, value)``, ``(A.throw, value)``, ``(A.exit, (A.exception, reason))``, ``(A.exit, (A.signal, reason))``,
    ``(A.error, (A.exception, reason, stack))``, ``(A.error, (A.erpc, reason))``.
    """
    args = list(args)
    return [request.as_term() for request in started(system, nodes, module, function, args, timeout)]


def started(
    system: System, nodes: Iterable[Atom], module: Any, function: Any, args: list[Any], timeout: float | None
) -> list[Request]:
    """A request to each node, each with its outcome: those that took too long with `timeout`."""
    made = [Request(system, node, module, function, args) for node in nodes]
    deadline = None if timeout is None else system.timers.now() + timeout
    for request in made:
        request.start()
    for request in made:
        left = None if deadline is None else max(0.0, deadline - system.timers.now())
        state = PENDING
        try:
            state = request.wait(left)
        finally:
            if state == PENDING:  # interrupted
                for other in made:
                    if other.state == PENDING:
                        other.abandon()
        if state == TIMEOUT:
            request.abandon()
            request.value = timed_out(request, timeout)
        else:
            request.drop_message()
    return made


# --- calls whose result is fetched later -------------------------------------------------------
def send_request(system: System, node: Atom, module: Any, function: Any, args: Iterable[Any] = ()) -> Request:
    """``erpc:send_request``. Raises `EncodeError` only: what else fails is the request's outcome."""
    request = Request(system, node, module, function, args)
    request.start()
    return request


def receive_response(what: Request | RequestIds, timeout: float | None = None, *, delete: bool = True) -> Any:
    """Wait for the value, or raise as `call`; after `timeout` seconds the request is given up.

    For a collection: ``(value, label, collection)`` of the first that is there, or `NO_REQUEST`.
    """
    try:
        return requests.receive_response(what, timeout, delete=delete)
    except CallTimeout as late:
        if isinstance(what, Request):
            raise timed_out(what, timeout) from late
        raise RpcFailed(A.timeout, f"none of the calls returned within {timeout} s") from late


def wait_response(what: Request | RequestIds, timeout: float | None = 0.0, *, delete: bool = True) -> Any:
    """As `receive_response`; after the time-out it gives `PENDING_RESPONSE`, and one may wait again."""
    return requests.wait_response(what, timeout, delete=delete)


def check_response(message: Any, what: Request | RequestIds, *, delete: bool = True) -> Any:
    """The value that `message` carries, or `NO_REPLY`; raises as `call`."""
    return requests.check_response(message, what, delete=delete)


__all__ = [
    "NO_REPLY",
    "NO_REQUEST",
    "PENDING_RESPONSE",
    "Request",
    "RequestIds",
    "call",
    "cast",
    "check_response",
    "from_rex",
    "multicall",
    "multicast",
    "receive_response",
    "send_request",
    "started",
    "wait_response",
]
