"""Processes that this node starts on others: ``spawn``, ``spawn_request``, and what becomes of them (protocol.md C.6).

A request goes out with a reference, which is also the monitor's. The answer is a message ``{Tag, Ref, ok, Pid}`` or
``{Tag, Ref, error, Reason}``; link and monitor stand from the moment at which the peer has started the process:

    the peer answers         link, monitor                                message, unless `reply` leaves it out
    with a pid               stand; of a requester that has ended or      ok
                             given up: exit signal, demonitor
    with an atom             none                                         error: badopt, system_limit, notsup
    not: connection lost     none                                         error: noconnection
    it takes no requests     none                                         error: notsup

A process whose function does not exist starts and dies of ``undef``: that is no error of the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.errors import CallTimeout, ConnectError, NotAProcess, RpcFailed, UsageError
from pyerlnode.kernel.remote.spawn_server import LINKED, MONITORED, Call, refusal
from pyerlnode.runtime.mailbox import REPLY, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.process_core import ALIVE
from pyerlnode.runtime.router import RemoteNode
from pyerlnode.runtime.system import System
from pyerlnode.signal import Demonitor, ExitSignal, SpawnReply, SpawnRequest
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

Mfa = tuple[str | Atom, str | Atom, Iterable[Any]]
SPAWN_REPLY: Final = A.spawn_reply
REPLIES: Final = ("yes", "no", "error_only", "success_only")


class Pending:
    """A request of `process` that the peer has not answered."""

    __slots__ = ("abandoned", "peer", "process", "ref", "reply", "tag", "waiter")

    def __init__(self, process: Process, peer: RemoteNode, ref: Reference, reply: str, tag: Any) -> None:
        self.process = process
        self.peer = peer
        self.ref = ref
        self.reply = reply
        self.tag = tag
        self.waiter: Waiter | None = None
        self.abandoned = False

    def answered(self, signal: SpawnReply | None) -> None:
        """SPAWN_REPLY; None when the connection was lost before it. In the hub."""
        if signal is None:
            self.failed(A.noconnection)
        elif isinstance(signal.result, Pid):
            self._started(signal.result, signal.flags)
        else:
            self.failed(signal.result)

    def failed(self, reason: Any) -> None:
        if not self.abandoned:
            self._tell(A.error, reason, "error_only")

    def _started(self, child: Pid, flags: int) -> None:
        process, peer = self.process, self.peer
        wanted = process.exit_reason is ALIVE and not self.abandoned
        if flags & LINKED:
            if wanted:
                peer.add_link(process, child)
            else:
                reason = A.abandoned if process.exit_reason is ALIVE else process.exit_reason
                peer.tell(ExitSignal(process.pid, child, reason))
        if flags & MONITORED:
            if wanted:
                monitored(process, peer, self.ref, child)
            else:
                peer.tell(Demonitor(process.pid, child, self.ref))
        if wanted:
            self._tell(A.ok, child, "success_only")

    def _tell(self, what: Atom, value: Any, only: str) -> None:
        if self.waiter is not None:
            self.waiter.settle(REPLY, (what, value))
        elif self.reply in ("yes", only) and self.process.exit_reason is ALIVE:
            self.process.deliver((self.tag, self.ref, what, value))


def monitored(process: Process, peer: RemoteNode, ref: Reference, child: Pid) -> None:
    """`process` monitors `child` with `ref`: the peer knows already."""
    peer.monitors[ref.words] = (process, ref, child)
    if process.monitors is None:
        process.monitors = {}
    process.monitors[ref.words] = (ref, child)


def send_request(
    system: System,
    process: Process,
    node: Atom,
    mfa: tuple[Atom, Atom, list[Any]],
    options: list[Any],
    pending: Pending,
) -> None:
    """Send a request for `process`; every outcome but an `EncodeError` reaches `pending`."""
    module, function, args = mfa
    peer = pending.peer
    request = SpawnRequest(
        pending.ref,
        process.pid,
        process.group_leader or system.root.group_leader or process.pid,
        (module, function, len(args)),
        options,
        args,
    )
    try:
        route = system.route(node)
    except ConnectError:
        pending.failed(A.noconnection)
        return
    peer.spawns[pending.ref.words] = pending.answered
    try:
        taken = route.send(request)
    except BaseException:
        peer.spawns.pop(pending.ref.words, None)
        raise
    if taken is False and peer.spawns.pop(pending.ref.words, None) is not None:
        pending.failed(A.notsup if peer.route is not None else A.noconnection)


def spawn_request(
    system: System, process: Process, node: Atom, mfa: Mfa, options: list[Any], reply: str, reply_tag: Any
) -> Reference:
    """``spawn_request(Node, M, F, Args, Options)``: the reference, at once; the answer is a message to `process`.

    Raises `EncodeError` for arguments that have no form on the wire, `UsageError` for another `reply`.
    """
    if reply not in REPLIES:
        raise UsageError(f"reply is one of {', '.join(REPLIES)}, not {short(reply)}")
    ref = system.new_ref()
    pending = Pending(process, system.peer(node), ref, reply, reply_tag)
    _send(system, process, node, listed(mfa), options, pending)
    return ref


def spawn_on(
    system: System, process: Process, node: Atom, mfa: Mfa, options: list[Any], timeout: float | None = 5.0
) -> Any:
    """``spawn_opt(Node, M, F, Args, Options)``: the pid, with ``monitor`` (pid, monitor).

    Raises:
        RpcFailed: the peer did not start it; `reason` is noconnection, badopt, notsup or system_limit.
        CallTimeout: no answer within `timeout` seconds; what it starts later is ended when it was to be linked.
    """
    ref = system.new_ref()
    pending = Pending(process, system.peer(node), ref, "yes", A.spawn_reply)
    pending.waiter = waiter = Waiter(system.scheduler, system.timers)
    _send(system, process, node, listed(mfa), options, pending)
    state = 0
    try:
        state = waiter.wait(timeout)
    finally:
        if state != REPLY:
            pending.abandoned = True
    if state != REPLY:
        raise CallTimeout(A.timeout, f"{node} did not start {mfa[0]}:{mfa[1]} within {timeout} s")
    what, value = waiter.value
    if what is A.error:
        raise RpcFailed(value, f"{node} did not start {mfa[0]}:{mfa[1]}: {value}")
    return (value, ref) if A.monitor in options else value


def spawn_request_abandon(system: System, ref: Reference) -> bool:
    """``spawn_request_abandon(Ref)``: no answer, link or monitor will come of it. False when it was answered."""
    for peer in system.peers.values():
        answered = peer.spawns.get(ref.words)
        pending = getattr(answered, "__self__", None)
        if isinstance(pending, Pending) and not pending.abandoned:
            pending.abandoned = True
            return True
    return False


def listed(mfa: Mfa) -> tuple[Atom, Atom, list[Any]]:
    module, function, args = mfa
    return Atom(str(module)), Atom(str(function)), list(args)


def option_list(link: bool, monitor: bool, options: Iterable[Any]) -> list[Any]:
    return [*([A.link] if link else ()), *([A.monitor] if monitor else ()), *options]


def _send(
    system: System,
    process: Process,
    node: Atom,
    mfa: tuple[Atom, Atom, list[Any]],
    options: list[Any],
    pending: Pending,
) -> None:
    if process is system.root and (A.link in options or A.monitor in options):
        raise NotAProcess("this greenlet is no process that could link or monitor: use the methods of a node")
    if node is not system.node:
        send_request(system, process, node, mfa, options, pending)
        return
    child = spawn_here(system, process, mfa, link=A.link in options)
    if A.monitor in options:
        _monitor_here(process, child, pending.ref)
    pending._tell(A.ok, child.pid, "success_only")


def spawn_here(system: System, caller: Process, mfa: tuple[Atom, Atom, list[Any]], *, link: bool) -> Process:
    """A request of a node to itself reaches what its peers can reach: the exported functions."""
    module, function, args = mfa
    process = system.new_process(caller.group_leader or system.root.group_leader)
    if link:
        system.link(caller, process.pid)
    found = system.exported(module, function, len(args))
    if found is None:
        system.timers.start(0, process.exit, refusal(None, module, function, args))
    else:
        Call(process, (module, function, len(args)), found, args, None).start()
    return process


def _monitor_here(process: Process, child: Process, ref: Reference) -> None:
    if process.monitors is None:
        process.monitors = {}
    process.monitors[ref.words] = (ref, child)
    child.monitored_by = {ref.words: (process, ref, child.pid)}
