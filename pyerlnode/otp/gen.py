"""What all behaviours share: a call and its answer, and how a process is started (OTP's `gen`; protocol.md E.1).

A call monitors the server and sends ``{'$gen_call', {Pid, [alias|Ref]}, Request}``; `Ref` is the monitor's. The
answer comes to the alias and wakes the caller directly; whatever the outcome, alias and monitor are gone when `call`
returns, so a late answer is dropped and no DOWN is left over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pyerlnode.errors import (
    AlreadyStarted,
    CallTimeout,
    ConnectError,
    Exit,
    NameRegistered,
    NodeDown,
    NoProc,
    ServerExit,
    StartFailed,
)
from pyerlnode.otp.results import Ignore, Stop
from pyerlnode.runtime.mailbox import DOWN, PENDING, REPLY, Waiter
from pyerlnode.runtime.process import Process, run_as
from pyerlnode.runtime.reason_core import exit_reason
from pyerlnode.runtime.scheduler import ProcessKilled
from pyerlnode.runtime.system import System
from pyerlnode.signal import Message
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import ImproperList
from pyerlnode.term.pid import Pid, Reference

CALL: Final = A["$gen_call"]
CAST: Final = A["$gen_cast"]
_ALIAS: Final = (A.alias,)
DEFAULT_TIMEOUT: Final = 5.0


def call(system: System, dest: Any, request: Any, timeout: float | None = DEFAULT_TIMEOUT, label: Atom = CALL) -> Any:
    """Send `request` and wait for the answer, at most `timeout` seconds (None: for ever).

    Raises `NoProc`, `ServerExit`, `NodeDown`, `CallTimeout` (all of them `Exit`, with OTP's reason) and `EncodeError`.
    """
    ref = system.new_ref()
    waiter = system.waiter(ref)
    handle = None
    try:
        caller = system.myself()
        handle = system.watch(waiter, ref, dest)
        if handle is caller:
            raise Exit((A.calling_self, _mfa(dest, request, timeout)), "a process can not call itself")
        if waiter.state == PENDING:
            system.send(dest, (label, (caller.pid, ImproperList(_ALIAS, ref)), request))
        state = waiter.wait(timeout)
    except ConnectError as error:
        reason = ((A.nodedown, Atom(error.node)), _mfa(dest, request, timeout))
        raise NodeDown(reason, str(error)) from error
    finally:
        system.unwatch(ref, handle)
    if state == REPLY:
        return waiter.value
    raise _failure(state, waiter.value, dest, request, timeout)


def _mfa(dest: Any, request: Any, timeout: float | None) -> tuple[Any, ...]:
    """``{gen_server, call, Args}`` of OTP's exit reasons."""
    if isinstance(dest, str):
        dest = Atom(dest)
    elif type(dest) is tuple:
        dest = tuple(Atom(part) if isinstance(part, str) else part for part in dest)
    return A.gen_server, A.call, [dest, request, A.infinity if timeout is None else round(timeout * 1000)]


def _failure(state: int, value: Any, dest: Any, request: Any, timeout: float | None) -> Exit:
    where = _mfa(dest, request, timeout)
    if state != DOWN:
        return CallTimeout((A.timeout, where), f"{dest!r} did not answer within {timeout} s")
    if value is A.noproc:
        return NoProc((A.noproc, where), f"there is no process {dest!r}")
    if value is A.noconnection:
        node = dest.node if type(dest) is Pid else Atom(str(dest[1]))
        return NodeDown(((A.nodedown, node), where), f"the connection to {node} was lost during a call to {dest!r}")
    return ServerExit((value, where), f"{dest!r} ended before it answered: {_brief(value)}")


def _brief(reason: Any) -> str:
    """A reason in one line: of a Python error its type and message, of a long term its beginning."""
    match reason:
        case (A.python_error, bytes(kind), bytes(message), *_):
            return f"{kind.decode()}: {message.decode('utf-8', 'replace')}"
    text = repr(reason)
    return text if len(text) <= 200 else text[:200] + "…"


def alias_of(tag: Any) -> Reference | None:
    """The alias in a tag ``[alias|Ref]`` or ``[[alias|Ref]|_]``, else None."""
    if type(tag) is ImproperList and len(tag.items) == 1:
        head = tag.items[0]
        if head is A.alias:
            return tag.tail if type(tag.tail) is Reference else None
        return alias_of(head)
    return None


def reply(system: System, from_: tuple[Any, Any], value: Any) -> None:
    """Answer the caller `from_` with `value`. To a caller that is gone, or no longer waits, it is dropped."""
    pid, tag = from_
    alias = alias_of(tag)
    node = pid.node if alias is None else alias.node
    if node is system.node:
        system.send(pid if alias is None else alias, (tag, value))
        return
    peer = system.peers.get(node)
    if peer is not None and peer.route is not None:
        peer.route.send(Message(system.myself().pid, pid if alias is None else alias, (tag, value)))


def cast(system: System, dest: Any, message: Any) -> None:
    """Send ``{'$gen_cast', Message}``."""
    system.send(dest, (CAST, message))


def start(
    system: System, handler: Any, init: Callable[[], Any], *, name: Any = None, link: Process | None = None
) -> Any:
    """Start a process with a handler body and run its `init`, as the new process, before this returns.

    Gives the `Process`, or None when `init` gives `Ignore`. Raises `AlreadyStarted` and `StartFailed`.
    """
    process = system.spawn_handler(handler, link=link)
    process.parked = False  # messages that arrive during init wait for its end
    handler.process = process
    if name is not None:
        _register(system, name, process)
    try:
        result = run_as(process, init)
    except ProcessKilled:
        if process.alive:  # it was the caller that was killed; what it began to start ends with it
            process.exit(A.killed)
            raise
        raise StartFailed(process.exit_reason, f"killed during init: {_brief(process.exit_reason)}") from None
    except Exception as error:
        reason = exit_reason(error)
        process.crashed(error)
        raise StartFailed(reason, f"init of {type(handler).__name__} failed: {_brief(reason)}") from error
    if not process.alive:
        raise StartFailed(process.exit_reason, f"killed during init: {_brief(process.exit_reason)}")
    if isinstance(result, Ignore):
        process.exit(A.normal)
        return None
    if isinstance(result, Stop):
        process.exit(result.reason)
        raise StartFailed(result.reason, f"init of {type(handler).__name__} stopped: {_brief(result.reason)}")
    begun(process)
    handler.initialised(result)
    return process


def begun(process: Process) -> None:
    """The process takes messages from now on."""
    if process.queue:
        process.system.scheduler.wake(process)
    else:
        process.parked = True


def _register(system: System, name: Any, process: Process) -> None:
    try:
        system.registry.register(name, process)
    except NameRegistered as error:
        process.exit(A.normal)
        holder = system.whereis(name)
        if holder is None:
            raise
        raise AlreadyStarted((A.already_started, holder), str(error), holder) from error


__all__ = ["CALL", "CAST", "DEFAULT_TIMEOUT", "Waiter", "alias_of", "begun", "call", "cast", "reply", "start"]
