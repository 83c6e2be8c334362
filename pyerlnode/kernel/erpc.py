"""Remote functions: spawn requests from peers, `erpc` and `rpc` both ways (protocol.md C.6 Spawn, E.6).

On every current OTP ``erpc:call`` and ``rpc:call`` arrive as a request to spawn ``erpc:execute_call/4`` with a monitor,
and the answer is the reason with which that process ends:

    {Res, return, V}   {Res, throw, V}   {Res, exit, R}   {Res, error, R, Stack}   {Res, error, {erpc, R}}

A request to spawn anything else is carried out when it names an exported function; the process of one that is not
exported starts and dies of ``{undef, [{M, F, Args, []}]}``, as on a BEAM.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from pyerlnode.errors import (
    ConnectError,
    Exit,
    RemoteError,
    RemoteExit,
    RemoteThrow,
    RpcError,
    RpcFailed,
    Throw,
)
from pyerlnode.kernel.exports import Exports
from pyerlnode.otp import gen
from pyerlnode.runtime.mailbox import DOWN, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.reason_core import erlang_stack, python_error
from pyerlnode.runtime.router import RemoteNode, RemoteWatcher
from pyerlnode.runtime.system import System
from pyerlnode.signal import Demonitor, SpawnReply, SpawnRequest
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.rpc")

LINKED: Final = 1
MONITORED: Final = 2
RETURN: Final = A["return"]
_IGNORED_OPTIONS: Final = frozenset(
    A[name]
    for name in (
        "priority", "fullsweep_after", "min_heap_size", "min_bin_vheap_size", "max_heap_size", "message_queue_data",
        "async_dist", "scheduler",
    )
)  # fmt: skip


# --- called by peers ---------------------------------------------------------------------------
class SpawnServer:
    """Answers spawn requests; `System.on_spawn_request` of a node."""

    def __init__(self, system: System, exports: Exports) -> None:
        self.system = system
        self.exports = exports
        system.on_spawn_request = self.spawn

    def spawn(self, peer: RemoteNode, request: SpawnRequest) -> None:
        options = spawn_options(request.opts)
        args = request.args
        if options is None or not isinstance(args, list):
            peer.tell(SpawnReply(request.ref, request.from_, 0, A.badopt))
            return
        process = self.system.new_process(request.group_leader)
        if options & LINKED:
            peer.add_link(process, request.from_)
        if options & MONITORED:
            watcher = RemoteWatcher(peer, request.from_, request.ref, process.pid)
            process.monitored_by = {request.ref: watcher}
            peer.watchers[request.ref] = process
        # The answer goes out before anything that the process may send: DOWN before it costs the connection.
        peer.tell(SpawnReply(request.ref, request.from_, options, process.pid))
        module, function, _ = request.mfa
        body = self._body(process, peer.node, module, function, args)
        if body is not None:
            process.start_function(body, (), {})

    def _body(
        self, process: Process, node: Atom, module: Atom, function: Atom, args: list[Any]
    ) -> Callable[[], object] | None:
        """What the new process runs; None when its end is known without running it."""
        if module is A.erpc and function is A.execute_call and len(args) == 4:
            tag, module, function, args = args
            called = self._find(node, module, function, args)
            if called is None:
                process.exit((tag, A.error, A.undef, undef(module, function, args)))
                return None
            run = called
            return lambda: process.exit(execute(tag, run, args))
        if module is A.erpc and function is A.execute_cast and len(args) == 3:
            module, function, args = args
        found = self._find(node, module, function, args)
        if found is not None:
            return lambda: found(*args)
        process.exit((A.undef, undef(module, function, args)))
        return None

    def _find(self, node: Atom, module: Any, function: Any, args: Any) -> Callable[..., Any] | None:
        found = self.exports.find(module, function, len(args)) if isinstance(args, list) else None
        if found is None:
            count = len(args) if isinstance(args, list) else "?"
            log.info("%s asked for %s:%s/%s, which is not exported", node, module, function, count)
        return found

    def call(self, node: Atom, module: Any, function: Any, args: Any) -> Any:
        """`rex`: the value, or what ``rpc:call`` makes of anything else."""
        found = self._find(node, module, function, args)
        if found is None:
            return A.badrpc, (A.EXIT, (A.undef, undef(module, function, args)))
        match execute(None, found, args):
            case (_, kind, value) if kind is RETURN or kind is A.throw:
                return value
            case (_, A.exit, reason):
                return A.badrpc, (A.EXIT, reason)
            case (_, A.error, reason, stack):
                return A.badrpc, (A.EXIT, (reason, stack))


def spawn_options(options: Any) -> int | None:
    """The flags that an option list asks for; None for a list with an option that OTP does not have."""
    if not isinstance(options, list):
        return None
    flags = 0
    for option in options:
        name = option[0] if type(option) is tuple and option else option
        if name is A.link:
            flags |= LINKED
        elif name is A.monitor:
            flags |= MONITORED
        elif name not in _IGNORED_OPTIONS:
            return None
    return flags


def undef(module: Any, function: Any, args: Any) -> list[tuple[Any, ...]]:
    return [(module, function, args, [])]


def execute(tag: Any, function: Callable[..., Any], args: list[Any]) -> tuple[Any, ...]:
    """Run an exported function and say how it ended, as `erpc` does."""
    try:
        return tag, RETURN, function(*args)
    except Throw as thrown:
        return tag, A.throw, thrown.value
    except Exit as ended:
        return tag, A.exit, ended.reason
    except RemoteError as error:  # of a third node: handed on as it is
        return tag, A.error, error.reason, error.stack
    except Exception as error:
        kind, name, message, _ = python_error(error)
        trace = error.__traceback__
        return tag, A.error, (kind, name, message), erlang_stack(trace.tb_next if trace else None)


# --- calls made --------------------------------------------------------------------------------
def call(system: System, node: Atom, module: Any, function: Any, args: list[Any], timeout: float | None = 5.0) -> Any:
    """``erpc:call``: the value, or `RemoteError`, `RemoteExit`, `RemoteThrow`; `RpcFailed` when the call itself failed.

    Args:
        timeout: seconds, None for ever. The remote function goes on when it is over.
    """
    ref, tag = system.new_ref(), system.new_ref()
    mfa = (A.erpc, A.execute_call, 4)
    try:
        route = system.route(node)
        pending = _Request(system, system.peer(node), ref)
        route.send(
            SpawnRequest(
                ref,
                pending.caller,
                pending.group_leader,
                mfa,
                [A.monitor],
                [tag, Atom(str(module)), Atom(str(function)), args],
            )
        )
    except ConnectError as error:
        raise RpcFailed(A.noconnection, str(error)) from error
    except BaseException:
        system.peer(node).monitors.pop(ref.words, None)
        raise
    try:
        state = pending.waiter.wait(timeout)
    finally:
        pending.abandon()
    if state != DOWN:
        raise RpcFailed(A.timeout, f"{module}:{function}/{len(args)} on {node} did not return within {timeout} s")
    return outcome(tag, pending.waiter.value, f"{module}:{function}/{len(args)} on {node}")


class _Request:
    """A spawn request under way: the waiter for its end, and what must be undone when nobody waits any more."""

    def __init__(self, system: System, peer: RemoteNode, ref: Reference) -> None:
        caller = system.myself()
        self.caller = caller.pid
        self.group_leader = caller.group_leader or caller.pid
        self.peer = peer
        self.ref = ref
        self.child: Pid | None = None
        self.answered = False
        self.waiter = Waiter(system.scheduler, system.timers)
        peer.monitors[ref.words] = (self.waiter, ref, None)
        peer.spawns[ref.words] = self.replied

    def replied(self, reply: SpawnReply | None) -> None:
        """SPAWN_REPLY; None when the connection was lost before it."""
        self.answered = True
        if reply is None:
            return
        if isinstance(reply.result, Pid):
            self.child = reply.result
            if self.ref.words not in self.peer.monitors:  # given up in the meantime
                self.peer.tell(Demonitor(self.caller, self.child, self.ref))
        elif self.peer.monitors.pop(self.ref.words, None) is not None:
            self.waiter.settle(DOWN, _SpawnError(reply.result))

    def abandon(self) -> None:
        """Nobody waits: a monitor that is still there goes now, or when the reply says what to demonitor."""
        if self.peer.monitors.pop(self.ref.words, None) is not None and self.child is not None:
            self.peer.tell(Demonitor(self.caller, self.child, self.ref))


class _SpawnError:
    """The peer refused to spawn, and says why by an atom."""

    def __init__(self, reason: Any) -> None:
        self.reason = reason


def outcome(tag: Reference, reason: Any, what: str) -> Any:
    """The value in a result of `erpc`, or the exception that it stands for."""
    match reason:
        case (ref, kind, value) if ref == tag and kind is RETURN:
            return value
        case (ref, A.throw, value) if ref == tag:
            raise RemoteThrow(value)
        case (ref, A.exit, value) if ref == tag:
            raise RemoteExit(value)
        case (ref, A.error, (A.erpc, value)) if ref == tag:
            raise RpcFailed(value, f"{what} could not be called: {value!r}")
        case (ref, A.error, value, stack) if ref == tag:
            raise RemoteError(value, stack, f"{what} raised {_brief(value)}")
    raise failed(reason, what)


def failed(reason: Any, what: str) -> RpcError:
    if isinstance(reason, _SpawnError):
        return RpcFailed(reason.reason, f"{what} could not be called: {reason.reason}")
    if reason is A.noconnection:
        return RpcFailed(reason, f"the connection was lost during {what}")
    return RpcFailed((A.signal, reason), f"{what} was ended by a signal: {_brief(reason)}")


def _brief(value: Any) -> str:
    if value is A.undef:
        return "undef: there is no such function"
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


def call_by_rex(system: System, node: Atom, request: tuple[Any, ...], timeout: float | None) -> Any:
    """The older form, for peers that take no spawn requests: a call to `rex`."""
    return gen.call(system, (A.rex, node), request, timeout)
