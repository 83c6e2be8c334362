"""What all behaviours share: a call and its answer, and how a process is started (OTP's `gen`; protocol.md E.1).

A call monitors the server and sends ``{'$gen_call', {Pid, [alias|Ref]}, Request}``; `Ref` is the monitor's. The
answer comes to the alias and wakes the caller directly; whatever the outcome, alias and monitor are gone when `call`
returns, so a late answer is dropped and no DOWN is left over. Between processes of one node the tag is the wait itself.
"""

from __future__ import annotations

import logging
import sys as python
from collections.abc import Callable
from inspect import unwrap
from typing import Any, Final, NoReturn

from pyerlnode.brief import BRIEF, short, told
from pyerlnode.errors import (
    AlreadyStarted,
    CallTimeout,
    ConnectError,
    EncodeError,
    Exit,
    NodeDown,
    NoProc,
    ServerExit,
    StartFailed,
    Throw,
)
from pyerlnode.otp.results import Fail, Ignore, Stop
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.edges import GreenletExit, report, stop_program, stops_program
from pyerlnode.runtime.handler import OtpHandler, behaviour_of
from pyerlnode.runtime.mailbox import DOWN, PENDING, REPLY, Waiter
from pyerlnode.runtime.names import Global, Via, name_service
from pyerlnode.runtime.process import Process, acting, current, run_as
from pyerlnode.runtime.process_core import ALIVE
from pyerlnode.runtime.reason_core import erlang_frame, exit_reason, is_exit, message_of, python_cause
from pyerlnode.runtime.router import RemoteNode, RemoteWatcher
from pyerlnode.runtime.system import System
from pyerlnode.runtime.threads import get_ident
from pyerlnode.signal import Demonitor, Message, Monitor
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import ImproperList
from pyerlnode.term.hooks import register_encoder
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.gen")

CALL: Final = A["$gen_call"]
CAST: Final = A["$gen_cast"]
_ALIAS: Final = (A.alias,)
DEFAULT_TIMEOUT: Final = 5.0


class LocalCall(Waiter):
    """A call to a process of this node. It is its own tag: the answer needs no table to find who waits.

    Only when a server hands `from_` on to another node does it get an alias, by which that node can answer.
    """

    __slots__ = ("ref", "system")

    def __init__(self, system: System) -> None:  # not super().__init__: made for every call
        self.system = system
        self.scheduler = system.scheduler
        self.timers = system.timers
        self.state = PENDING
        self.resumable = False
        self.ref: Reference | None = None
        self.value = self.greenlet = self.timer = self.timeout = None

    def alias(self) -> ImproperList:
        """``[alias|Ref]``, for the wire."""
        if self.ref is None:
            self.ref = self.system.new_ref()
            if self.state == PENDING:
                self.system.aliases[self.ref.words] = self
        return ImproperList(_ALIAS, self.ref)


register_encoder(LocalCall, LocalCall.alias)


def call(system: System, dest: Any, request: Any, timeout: float | None = DEFAULT_TIMEOUT, label: Any = CALL) -> Any:
    """Send `request` and wait for the answer, at most `timeout` seconds (None: for ever).

    Raises `NoProc`, `ServerExit`, `NodeDown`, `CallTimeout` (all of them `Exit`, with OTP's reason) and `EncodeError`.
    """
    if type(dest) is Pid:
        node, server, to = dest.node, system.process(dest), dest
    else:
        node, server, to = system.resolve(dest)  # type: ignore[assignment]  # `to` may be a name now
    if server is None:
        return _call_away(system, dest, (node, to), request, timeout, label)
    caller = acting(system)
    if server is caller:
        raise Exit((A.calling_self, _mfa(dest, request, timeout)), "a process can not call itself")
    waiter = LocalCall(system)
    watchers = server.monitored_by
    if watchers is None:
        watchers = server.monitored_by = {}
    watchers[waiter] = waiter
    try:
        server.deliver((label, (caller.pid, waiter), request))
        state = waiter.wait(timeout)
    finally:
        watchers.pop(waiter, None)
        if waiter.ref is not None:
            system.aliases.pop(waiter.ref.words, None)
    if state == REPLY:
        return waiter.value
    raise failure(state, waiter.value, dest, request, timeout)


def _call_away(
    system: System, dest: Any, resolved: tuple[Atom, Any], request: Any, timeout: float | None, label: Any
) -> Any:
    """A call to another node, or to nobody; `resolved` is the node of `dest`, and its name or pid there."""
    node, to = resolved
    if node is system.node:
        raise failure(DOWN, A.noproc, dest, request, timeout)
    caller = acting(system).pid
    peer = system.peer(node)
    ref = system.new_ref()
    waiter = system.waiter(ref)
    try:
        route = peer.route or system.route(node)
        # Nobody has waited in between: whatever becomes of the route, this monitor is told.
        peer.monitors[ref.words] = (waiter, ref, to)
        route.send(Monitor(caller, to, ref))
        route.send(Message(caller, to, (label, (caller, ImproperList(_ALIAS, ref)), request)))
        state = waiter.wait(timeout)
    except ConnectError as error:
        peer.forget()  # what was asked for may be no node at all
        reason = ((A.nodedown, Atom(error.node)), _mfa(dest, request, timeout))
        raise NodeDown(reason, str(error)) from error
    finally:
        system.aliases.pop(ref.words, None)
        if peer.monitors.pop(ref.words, None) is not None and (way := peer.route or peer.way()) is not None:
            way.send(Demonitor(caller, to, ref))
    value, waiter.value = waiter.value, None  # the timers may know the waiter for a while: not what it was told
    if state == REPLY:
        return value
    raise failure(state, value, dest, request, timeout, peer.refusal)


def _mfa(dest: Any, request: Any, timeout: float | None) -> tuple[Any, ...]:
    """``{gen_server, call, Args}`` of OTP's exit reasons."""
    if isinstance(dest, str):
        dest = Atom(dest)
    elif type(dest) is tuple:
        dest = tuple(Atom(part) if isinstance(part, str) else part for part in dest)
    return A.gen_server, A.call, [dest, request, A.infinity if timeout is None else round(timeout * 1000)]


def failure(
    state: int, value: Any, dest: Any, request: Any, timeout: float | None, refusal: ConnectError | None = None
) -> Exit:
    """The error of a call that got no answer; `refusal`: why its node could not be connected to."""
    where = _mfa(dest, request, timeout)
    if state != DOWN:
        return CallTimeout((A.timeout, where), f"{short(dest)} did not answer within {timeout} s")
    if value is A.noproc:
        return NoProc((A.noproc, where), f"there is no process {short(dest)}")
    if value is A.noconnection:
        # Of a Global or Via name the node is not known any more: the name went with the connection.
        node = dest.node if isinstance(dest, Pid) else Atom(str(dest[1])) if isinstance(dest, tuple) else A.undefined
        if refusal is not None:
            down = NodeDown(((A.nodedown, Atom(refusal.node)), where), str(refusal))
            down.__cause__ = refusal
            return down
        return NodeDown(
            ((A.nodedown, node), where), f"the connection to {node} was lost during a call to {short(dest)}"
        )
    ended = ServerExit((value, where), f"{short(dest)} did not answer: {brief(value)}")
    ended.__cause__ = python_cause(value)
    return ended


def brief(reason: Any) -> str:
    """A reason in one line: of a Python error its type and message, of a long term its beginning."""
    match reason:
        case (A.python_error, bytes(kind), bytes(message), *_):
            return f"{kind.decode('utf-8', 'replace')}: {message.decode('utf-8', 'replace')}"[: 4 * BRIEF]
    return told(reason, BRIEF)


def alias_of(tag: Any) -> Reference | None:
    """The alias in a tag ``[alias|Ref]`` or ``[[alias|Ref]|_]``, else None."""
    if type(tag) is not ImproperList or len(tag.items) != 1:
        return None
    head = tag.items[0]
    if type(head) is ImproperList and len(head.items) == 1:
        tag, head = head, head.items[0]
    return tag.tail if head is A.alias and type(tag.tail) is Reference else None


def is_from(from_: Any) -> bool:
    """Whether `from_` is a caller as OTP's calls have it, ``{Pid, Tag}``: what a peer puts there may be anything."""
    return type(from_) is tuple and len(from_) == 2 and type(from_[0]) is Pid


def reply(
    system: System,
    from_: tuple[Any, Any],
    value: Any,
    unsent: Callable[[System, tuple[Any, Any], EncodeError], None] | None = None,
) -> None:
    """Answer the caller `from_` with `value`. To a caller that is gone, no longer waits or is none, it is dropped.

    A value that has no form on the wire costs this call: see `failed`, in the place of which `unsent` is called.
    """
    try:
        pid, tag = from_
    except (TypeError, ValueError):
        return  # nobody can be meant by it: OTP's `gen:reply/2` ends the server
    if type(tag) is LocalCall:
        tag.settle(REPLY, value)
        return
    simple = type(tag) is ImproperList and tag.items == _ALIAS and type(tag.tail) is Reference
    alias = tag.tail if simple else alias_of(tag)
    if alias is None and type(pid) is not Pid:
        return  # as OTP: the send to what is no pid fails, and nobody is told
    node = pid.node if alias is None else alias.node
    if node is system.node:
        system.send(pid if alias is None else alias, (tag, value))
        return
    peer = system.peers.get(node)
    if peer is not None and peer.route is not None:
        try:
            peer.route.send(Message(system.myself().pid, pid if alias is None else alias, (tag, value)))
        except EncodeError as error:
            (unsent or failed)(system, from_, error)


def answer(system: System, from_: tuple[Any, Any], value: Any) -> None:
    """`reply`, from any thread: from another one it returns when the answer is sent."""
    if get_ident() == system.scheduler.thread:
        reply(system, from_, value)
    else:
        system.run(reply, system, from_, value)


def failed(system: System, from_: tuple[Any, Any], error: EncodeError) -> None:
    """The answer to `from_` can not be sent: that call exits, the server goes on, and the log says whose code it was.

    The caller's monitor ends with ``{python_error, <<"pyerlnode.errors.EncodeError">>, Message, Stack}``, so its call
    exits as if the server had. A caller that monitors nothing here gets ``{error, Reason}`` as its answer.
    """
    process = system.myself()
    behaviour = behaviour_of(process)
    who = "a process" if behaviour is None else type(behaviour).__name__
    stack = [place_of(behaviour)]
    reason = (A.python_error, b"pyerlnode.errors.EncodeError", message_of(error), stack)
    module, function, _, [(_, file), (_, line)] = stack[0]
    text = "%s %s could not answer a call, which fails: %s (%s, line %s, in %s of %s)"
    report(log, text, who, process.name or process.pid, error, bytes(file).decode(), line, function, module)
    if system.end_call is None:
        end_call(system, from_, reason)
    else:
        system.end_call(from_, reason)


def end_call(system: System, from_: tuple[Any, Any], reason: Any) -> None:
    """End the call of `from_`, on another node, by an exit with `reason`: no process has ended, but its wait has."""
    peer = system.peers.get(from_[0].node)
    watcher = None if peer is None else _monitor_of(peer, *from_)
    if watcher is None:
        reply(system, from_, (A.error, reason))
        return
    if watcher.process.monitored_by is not None:
        watcher.process.monitored_by.pop(watcher, None)
    watcher.down(reason)


def _monitor_of(peer: RemoteNode, pid: Pid, tag: Any) -> RemoteWatcher | None:
    """The monitor that goes with the call of `pid`. Its reference is in the tag, but for OTP 25's ``multi_call``."""
    refs = (tag, alias_of(tag), tag.tail if type(tag) is ImproperList else None)
    found = [peer.watchers[ref.words] for ref in refs if type(ref) is Reference and ref.words in peer.watchers]
    if not found and type(tag) is tuple:  # ``{Ref, Node}``, of a process that is there for this call alone
        found = [watcher for watcher in peer.watchers.values() if watcher.pid == pid]
        return found[0] if len(found) == 1 else None
    return found[0] if found else None


def place_of(behaviour: Any) -> Any:
    """The frame, as Erlang has it, of the code outside of this library that runs just now, or ran last."""
    frame = python._getframe(1)
    while frame is not None:
        if not frame.f_globals.get("__name__", "?").startswith("pyerlnode."):
            return erlang_frame(frame.f_globals.get("__name__", "?"), frame.f_code, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    # The callback has returned: its first line stands for it.
    function: Any = unwrap(behaviour.answering()) if isinstance(behaviour, OtpHandler) else failed
    code = getattr(function, "__code__", failed.__code__)
    return erlang_frame(getattr(function, "__module__", "?"), code, code.co_firstlineno)


def cast(system: System, dest: Any, message: Any) -> None:
    """Send ``{'$gen_cast', Message}``."""
    system.send(dest, (CAST, message))


def stop(system: System, dest: Any, reason: Any = A.normal, timeout: float | None = None) -> None:
    """Order the process `dest` to end with `reason`, and wait until it has (``gen_server:stop``).

    Raises `NoProc` when there is none, `ServerExit` when it ended with another reason, `CallTimeout`, `NodeDown`.
    """
    server = system.resolve(dest)[1]
    if server is None:
        state, value = _stop_away(system, dest, reason, timeout)
    else:
        caller = acting(system)
        if server is caller:
            raise Exit((A.calling_self, (A.sys, A.terminate, [dest, reason])), "a process can not stop itself so")
        waiter, tag = Waiter(system.scheduler, system.timers), LocalCall(system)
        tag.state = DOWN  # only the end counts: the `ok` before it is dropped
        if server.monitored_by is None:
            server.monitored_by = {}
        server.monitored_by[waiter] = waiter
        try:
            server.deliver((A.system, (caller.pid, tag), (A.terminate, reason)))
            state = waiter.wait(timeout)
        finally:
            if server.monitored_by is not None:
                server.monitored_by.pop(waiter, None)
        value = waiter.value
    if state != DOWN or not exact.same(value, reason):
        raise failure(state, value, dest, (A.terminate, reason), timeout)


def _stop_away(system: System, dest: Any, reason: Any, timeout: float | None) -> tuple[int, Any]:
    """The order to a process of another node, or to nobody; how it went."""
    ref = system.new_ref()
    waiter = Waiter(system.scheduler, system.timers)  # behind no alias, as above
    handle = None
    try:
        handle = system.watch(waiter, ref, dest)
        if waiter.state == PENDING:
            system.send(dest, (A.system, (system.myself().pid, ImproperList(_ALIAS, ref)), (A.terminate, reason)))
        return waiter.wait(timeout), waiter.value
    except ConnectError as error:
        raise NodeDown((A.nodedown, Atom(error.node)), str(error)) from error
    finally:
        system.unwatch(ref, handle)


def start(  # noqa: C901  # one step behind the other; a function for some of them would cost each start a call
    system: System,
    handler: OtpHandler,
    init: Callable[[], Any],
    *,
    name: Any = None,
    link: Process | Pid | None = None,
    timeout: float | None = None,
    mailbox: MailboxLimit | None = None,
) -> Process | None:
    """Start a process with a handler body and run its `init`, as the new process, before this returns.

    Args:
        handler: a `Behaviour`.
        init: gives what `handler.initialised` takes, or `Ignore`, `Stop` or `Fail`.
        name: a local name, `Global` or `Via`; the process has it before `init` runs.
        link: the parent, linked before `init` runs. Whatever ends the start, it is told by the error alone: the link is
            gone, unless the parent does not trap exits, which then ends with it, as in OTP. The pid of a parent on
            another node is linked over the wire, and the link is always gone: what it traps is not known here.
        timeout: seconds for `init`; then the process is killed. None: no limit.
        mailbox: a bound on the mailbox.

    Gives the `Process`, or None when `init` gave `Ignore`. Raises `AlreadyStarted` and `StartFailed`.
    """
    if name is not None:
        _check_free(system, name)
    process = system.spawn_handler(handler, link=None if isinstance(link, Pid) else link, mailbox=mailbox)
    process.parked = False  # messages that arrive during init wait for its end
    handler.__process__ = process
    process.parent = link.pid if isinstance(link, Process) else link
    timer = None if timeout is None else system.timers.start(timeout, _init_timed_out, process, link)
    ended: StartFailed | Ignore | None = None
    try:
        if name is not None or isinstance(link, Pid):
            _prepare(process, name, link)
        try:
            result = run_as(process, init)
        except Throw as thrown:  # what is thrown is given back
            result = thrown.value
        if process.exit_reason is ALIVE and result is not None:
            if isinstance(result, (Ignore, Stop, Fail)):
                ended = _not_started(process, name, link, result)
            else:
                handler.initialised(result)
    except BaseException as error:
        if isinstance(error, GreenletExit) and _is_callers() and process.exit_reason is ALIVE:
            process.exit(A.killed)  # it is the caller that was killed; what it began to start ends with it
            raise
        if stops_program(error):
            stop_program(error)
        if process.exit_reason is ALIVE:
            _failed(process, name, link, error)
    finally:
        in_time = timer is None or timer.cancel()
    if process.exit_reason is not ALIVE:
        if ended is None:
            raise _killed(process, handler, in_time)
        if isinstance(ended, StartFailed):
            raise ended
        return None
    begun(process)
    return process


def returned(callback: Callable[..., Any], *args: Any) -> Any:
    """What a callback gives back, by returning or, as in OTP, by a throw."""
    try:
        return callback(*args)
    except Throw as thrown:
        return thrown.value


def _is_callers() -> bool:
    """Of a `GreenletExit`: whether it ends the one who starts a process, and not `init` alone, which runs on his."""
    caller = current()
    return caller is None or caller.adopted or not caller.alive


def _prepare(process: Process, name: Any, link: Process | Pid | None) -> None:
    """Before `init`: the link to a parent on another node, and the name."""
    if isinstance(link, Pid):
        process.ancestors = [link]
        process.system.link(process, link)
    if name is not None:
        _register(process.system, name, process)


def _init_timed_out(process: Process, link: Process | Pid | None) -> None:
    _unlink(process, link)
    process.exit(A.killed)


def _killed(process: Process, handler: Any, in_time: bool) -> StartFailed:
    """The process was ended from outside while its `init` ran; so may have been the one who starts it."""
    caller = current()
    if caller is not None and not caller.adopted:
        caller.check_alive()
    reason = process.exit_reason
    if not in_time:
        return StartFailed(A.timeout, f"init of {type(handler).__name__} did not return in time")
    return StartFailed(reason, f"{type(handler).__name__} was ended during init: {brief(reason)}")


def _not_started(
    process: Process, name: Any, link: Process | Pid | None, result: Ignore | Stop | Fail
) -> StartFailed | Ignore:
    _give_up(process, name, link, result.reason if isinstance(result, Stop) else A.normal)
    if isinstance(result, Ignore):
        return result
    how = "stopped" if isinstance(result, Stop) else "gave up"
    return StartFailed(result.reason, f"init of {type(process.handler).__name__} {how}: {brief(result.reason)}")


def _failed(process: Process, name: Any, link: Process | Pid | None, error: BaseException) -> NoReturn:
    handler = process.handler
    if isinstance(error, AlreadyStarted):
        _unlink(process, link)
        process.exit(A.normal)
        raise error
    reason = exit_reason(error)
    tell = None if is_exit(error) else process.system.crash_report(process, error)
    _give_up(process, name, link, reason)
    if tell is not None:
        tell()
    raise StartFailed(reason, f"init of {type(handler).__name__} failed: {brief(reason)}") from error


def _give_up(process: Process, name: Any, link: Process | Pid | None, reason: Any) -> None:
    if isinstance(link, Pid) or (link is not None and link.trap_exit):
        _unlink(process, link)  # OTP takes the EXIT out of the parent's mailbox: it learns by what start raises
    if isinstance(name, (Global, Via)):
        name_service(process.system, name).unregister_name(name.name)
    handler = process.handler
    process.exit(reason)
    process.handler = handler  # for the text of the error


def _unlink(process: Process, link: Process | Pid | None) -> None:
    if isinstance(link, Pid):
        process.system.unlink(process, link)
    elif link is not None:
        process.system.unlink(link, process.pid)


def begun(process: Process) -> None:
    """The process takes messages from now on."""
    if process.queue:
        process.system.scheduler.wake(process)
    else:
        process.parked = True


def _check_free(system: System, name: Any) -> None:
    holder = system.whereis(name)
    if holder is not None:
        raise AlreadyStarted((A.already_started, holder), f"the name {short(name)} is taken by {holder}", holder)


def _register(system: System, name: Any, process: Process) -> None:
    if not isinstance(name, (Global, Via)):
        system.registry.register(name, process)
        return
    # As the process itself: some services (Elixir's Registry) link the one who registers.
    taken = run_as(process, lambda: name_service(system, name).register_name(name.name, process.pid))
    if taken not in (True, A.yes):
        holder = system.whereis(name)
        raise AlreadyStarted((A.already_started, holder), f"the name {short(name)} is taken by {holder}", holder)


__all__ = [
    "CALL",
    "CAST",
    "DEFAULT_TIMEOUT",
    "Waiter",
    "alias_of",
    "begun",
    "brief",
    "call",
    "cast",
    "is_from",
    "reply",
    "returned",
    "start",
    "stop",
]
