"""What peers may start here: their spawn requests, and with them `erpc` and `rpc` (protocol.md C.6 Spawn, E.6).

On every current OTP ``erpc:call`` and ``rpc:call`` arrive as a request to spawn ``erpc:execute_call/4`` with a monitor,
and the answer is the reason with which that process ends:

    {Res, return, V}   {Res, throw, V}   {Res, exit, R}   {Res, error, R, Stack}   {Res, error, {erpc, R}}

A request to spawn anything else is carried out when it names an exported function; the process of one that is not
exported starts and dies of ``{undef, [{M, F, Args, []}]}``, as on a BEAM. ``erlang:apply`` is the function that it
names: that one is run, or refused, and stands in the log and in the answer; a closure of a peer is never run.

Peers without SPAWN_REQUEST (OTP 22 and older) ask `net_kernel` by a call instead: `spawn_for`.

A function runs on a worker greenlet of the scheduler, as a handler body does: one that returns at once costs no
greenlet, one that waits keeps its worker. What is refused costs neither, and one line of the log per name.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.errors import Exit
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.kernel.remote.giving import GIVEN, give
from pyerlnode.otp import gen, requests
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.handler import Applied
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.reason_core import caught_class, python_error
from pyerlnode.runtime.router import RemoteNode, RemoteWatcher
from pyerlnode.runtime.system import System
from pyerlnode.signal import MonitorExit, SpawnReply, SpawnRequest
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.fun import ExternalFun
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.rpc")

LINKED: Final = 1
MONITORED: Final = 2
RETURN: Final = A["return"]
LOGGED_NAMES: Final = 100
"""Names of functions that are not exported, each logged when it is first asked for; the rest are not logged."""


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_heap(value: Any) -> bool:
    """A heap is bounded by a number of words, 0 for no bound, or by a map that has it as `size`."""
    size = value.get(A.size) if isinstance(value, dict) else value
    return type(size) is int and (size == 0 or size >= MIN_HEAP)


MIN_HEAP: Final = 233
_SETTINGS: Final[dict[Atom, Callable[[Any], bool]]] = {
    A.priority: lambda value: type(value) is Atom and value.name in ("low", "normal", "high", "max"),
    A.fullsweep_after: _is_size,
    A.min_heap_size: _is_size,
    A.min_bin_vheap_size: _is_size,
    A.max_heap_size: _is_heap,
    A.message_queue_data: lambda value: value is A.on_heap or value is A.off_heap,
    A.async_dist: lambda value: type(value) is bool,
    A.scheduler: _is_size,
}
"""Options that tune a BEAM process; taken, and without meaning here."""
_RUN: Final = object()


class Call(Applied):
    """The handler body of a process that runs one function and ends with it."""

    __slots__ = ("args", "function", "process", "tag")

    def __init__(
        self, process: Process, mfa: tuple[Atom, Atom, Any], function: Callable[..., Any], args: list[Any], tag: Any
    ) -> None:
        self.process = process
        self.mfa = mfa
        self.function = function
        self.args = args
        self.tag = tag
        """The `Res` of erpc; None when the caller wants no value."""

    def handle(self, message: Any) -> None:
        """The one message that starts it; whatever else arrives is for the function's own `receive`."""
        del message
        reason: Any = A.normal
        if self.tag is None:
            self.function(*self.args)
        else:
            reason = execute(self.tag, self.function, self.args, self.caller)
        self.process.finish(reason)

    def caller(self) -> Process | Pid:
        """Who asked for it: of a remote call the process that made it. Raises `Exit` when there is none (any more)."""
        for watcher in (self.process.monitored_by or {}).values():
            if isinstance(watcher, RemoteWatcher):
                return watcher.pid
            if isinstance(watcher, requests.Request):  # a node that asks itself
                return watcher._caller
        for other in self.process.links or ():
            return other
        return no_caller()

    def start(self) -> None:
        process = self.process
        process.handler = self
        process.context = Context()  # what it sets ends with it: its worker serves others
        process.queue = deque((_RUN,))
        process.system.scheduler.wake(process)


class CallWatcher(RemoteWatcher):
    """The monitor of an `erpc` call: a result that has no form on the wire is an error of the call."""

    __slots__ = ("mfa", "tag")
    mfa: tuple[Atom, Atom, int]
    tag: Any

    def down(self, reason: Any) -> None:
        node = self.node
        node.watchers.pop(self.ref.words, None)
        if node.route is None:
            return
        try:
            node.route.send(MonitorExit(self.named, self.pid, self.ref, reason))
        except BaseException as error:  # `EncodeError`, or whatever a method of the value raised
            caught(error)
            report(
                log, "the value of %s:%s/%d can not be sent, and its call fails: %s", *self.mfa, type(error).__name__
            )
            node.tell(MonitorExit(self.named, self.pid, self.ref, (self.tag, *not_encodable(error, self.mfa))))


def not_encodable(error: BaseException, mfa: tuple[Atom, Atom, int]) -> tuple[Any, ...]:
    """``error, Reason, Stack`` of a call whose value can not be sent."""
    kind, name, message, _ = python_error(error)
    return A.error, (kind, name, message), [(*mfa, [])]


class SpawnServer:
    """Answers spawn requests; `System.on_spawn_request` of a node."""

    def __init__(self, system: System, exports: Exports) -> None:
        self.system = system
        self.exports = exports
        self._refused: set[tuple[Any, Any, Any]] = set()
        system.on_spawn_request = self.spawn

    def spawn(self, peer: RemoteNode, request: SpawnRequest) -> None:
        """Carry out a request of `peer`: answer, then run. In the hub."""
        options, args = spawn_options(request.opts), request.args
        if options is None or type(args) is not list:
            peer.tell(SpawnReply(request.ref, request.from_, 0, A.badopt))
            return
        process = self.system.new_process(request.group_leader)
        if options & LINKED:
            peer.add_link(process, request.from_)
        module, function, _ = request.mfa
        tag = None
        if module is A.erpc:
            if function is A.execute_call and len(args) == 4:
                tag, module, function, args = args
            elif function is A.execute_cast and len(args) == 3:
                module, function, args = args
        if module is A.erlang:
            module, function, args = self._applied(module, function, args)
        if options & MONITORED:
            self._watch(peer, request, process, tag, module, function, args)
        # The answer goes out before anything that the process may send: DOWN before it costs the connection.
        peer.tell(SpawnReply(request.ref, request.from_, options, process.pid))
        found = self.find(peer.node, module, function, args)
        if found is None:
            process.exit(refusal(tag, module, function, args))
        else:
            Call(process, (module, function, len(args)), found, args, tag).start()

    def spawn_for(self, from_: Any, mfa: tuple[Any, Any, Any], options: list[Any], leader: Pid) -> None:
        """As `spawn`, for a peer that asked `net_kernel` by a call: link, answer with the pid, then run.

        A monitor is not among what such peers may ask for.
        """
        flags = spawn_options(options)
        if flags is None or flags & MONITORED:
            gen.reply(self.system, from_, (A.EXIT, (A.badarg, [])))
            return
        module, function, args = self._applied(*mfa)
        process = self.system.new_process(leader)
        if flags & LINKED:
            self.system.link(process, from_[0])
        gen.reply(self.system, from_, process.pid)
        found = self.find(from_[0].node, module, function, args)
        if found is None:
            process.exit(refusal(None, module, function, args))
        else:
            Call(process, (module, function, len(args)), found, args, None).start()

    @staticmethod
    def _watch(
        peer: RemoteNode, request: SpawnRequest, process: Process, tag: Any, module: Any, function: Any, args: Any
    ) -> None:
        watcher: RemoteWatcher
        if tag is None:
            watcher = RemoteWatcher(peer, process, request.from_, request.ref, process.pid)
        else:
            watcher = CallWatcher(peer, process, request.from_, request.ref, process.pid)
            watcher.tag = tag
            watcher.mfa = (module, function, len(args) if type(args) is list else 0)
        peer.watch(watcher)

    # --- finding -------------------------------------------------------------------------------
    def find(self, node: Atom, module: Any, function: Any, args: Any) -> Callable[..., Any] | None:
        """The exported function that a peer means, or None and a line in the log."""
        count = len(args) if type(args) is list else "?"
        found = None if count == "?" else self.exports.find(module, function, len(args))
        if found is None:
            self._note(node, module, function, count)
        return found

    def _applied(self, module: Any, function: Any, args: Any) -> tuple[Any, Any, Any]:
        return applied(self.exports.find, module, function, args)

    def _note(self, node: Atom, module: Any, function: Any, count: Any) -> None:
        """Say once per name that it is not exported; a peer can not fill the log."""
        refused = self._refused
        if type(module) is not Atom or type(function) is not Atom:
            module = function = "?"
        name = (module, function, count)
        if name in refused or len(refused) > LOGGED_NAMES:
            return
        refused.add(name)
        if len(refused) > LOGGED_NAMES:
            log.warning("peers asked for %d functions that are not exported; more are not logged", LOGGED_NAMES)
        else:
            log.warning("%s asked for %s:%s/%s, which is not exported", node, module, function, short(count))

    # --- for rex -------------------------------------------------------------------------------
    def call(self, caller: Pid, module: Any, function: Any, args: Any) -> Any:
        """The value, or what ``rpc:call`` makes of anything else."""
        module, function, args = self._applied(module, function, args)
        found = self.find(caller.node, module, function, args)
        if found is None:
            return A.badrpc, (A.EXIT, refusal(None, module, function, args))
        return badrpc(execute(None, found, args, lambda: caller))


def applied(exported: Callable[[Any, Any, int], Any], module: Any, function: Any, args: Any) -> tuple[Any, Any, Any]:
    """What ``apply(fun M:F/A, Args)`` and ``apply(M, F, Args)`` name, however often it is wrapped in the same."""
    while module is A.erlang and function is A.apply and type(args) is list:
        if exported(module, function, len(args)) is not None:
            break  # the program has an `apply` of its own for others
        if len(args) == 2 and type(args[0]) is ExternalFun and type(args[1]) is list:
            target, inner = args
            if target.arity != len(inner):
                break  # `refusal` knows it
            module, function, args = target.module, target.function, inner
        elif len(args) == 3 and type(args[2]) is list:
            module, function, args = args
        else:
            break
    return module, function, args


def badrpc(result: tuple[Any, ...]) -> Any:
    """What ``rpc:call`` gives for a result of `execute`."""
    match result:
        case (_, A.exit, reason):
            return A.badrpc, (A.EXIT, reason)
        case (_, A.error, reason, stack):
            return A.badrpc, (A.EXIT, (reason, stack))
    return result[2]


def spawn_options(options: Any) -> int | None:
    """The flags that an option list asks for; None for a list with an option that OTP does not have."""
    if type(options) is not list:
        return None
    flags = 0
    for option in options:
        match option:
            case A.link | (A.link, []):
                flags |= LINKED
            case A.monitor | (A.monitor, []):
                flags |= MONITORED
            case (A.monitor, list(more)) if all(map(_is_monitor_option, more)):
                flags |= MONITORED
            case (Atom() as name, value) if name in _SETTINGS and _SETTINGS[name](value):
                continue
            case _:
                return None
    return flags


def _is_monitor_option(option: Any) -> bool:
    return type(option) is tuple and len(option) == 2 and (option[0] is A.tag or option[0] is A.alias)


def undef(module: Any, function: Any, args: Any) -> list[tuple[Any, ...]]:
    return [(module, function, args, [])]


def refusal(tag: Any, module: Any, function: Any, args: Any) -> tuple[Any, ...]:
    """The exit reason of a process whose function is not exported."""
    stack = undef(module, function, args)
    reason: Any = A.undef
    match module, function, args:
        case A.erlang, A.apply, [ExternalFun(), [*_]]:
            reason = A.badarity, tuple(args)
    return (reason, stack) if tag is None else (tag, A.error, reason, stack)


def no_caller() -> Process | Pid:
    raise Exit(A.noproc, "the caller has given up, or did not wait (cast, spawn)")


def execute(
    tag: Any, function: Callable[..., Any], args: list[Any], caller: Callable[[], Process | Pid] = no_caller
) -> tuple[Any, ...]:
    """Run an exported function and say how it ended, as `erpc` does. `giving` says what `caller` gets of no term."""
    try:
        value = function(*args)
        if type(value) in GIVEN:
            value = give(value, caller)
        return tag, RETURN, value
    except BaseException as error:
        caught(error)
        if not isinstance(error, Exception):  # nobody means to answer by it: `sys.exit`, the panic of an extension
            report(log, "an exported function was ended by %s", type(error).__name__, exc_info=error)
        trace = error.__traceback__
        error.__traceback__ = trace and trace.tb_next
        kind, reason, stack = caught_class(error)
        return (tag, kind, reason, stack) if kind is A.error else (tag, kind, reason)
