"""proc_lib: function bodies that start like OTP processes do (protocol.md E.4).

    def acceptor(port):
        socket = listen(port)                  # an error here is the starter's error
        proc_lib.init_ack((A.ok, self_()))     # start returns this
        while True: ...

    proc_lib.start_link(system, acceptor, 4000)

`start` and `start_link` wait until the new process calls `init_ack`, and give what it was given. A process that ends
before, or takes too long, is a `StartFailed`; one that calls `init_fail` ends, too, and `start` gives what that was
given. `stop` orders a process that obeys `sys` to end. `$ancestors` and `$initial_call` of every process are in its
`process_info` dictionary; `set_label` names one for whoever looks at it (OTP 27's labels).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from pyerlnode.errors import StartFailed
from pyerlnode.otp import gen
from pyerlnode.runtime import api, info
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.mailbox import DOWN, REPLY, TIMEOUT, Waiter
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pattern import ANY
from pyerlnode.term.pid import Pid, Reference

LABEL = A["$process_label"]
_STARTER = object()
"""Key in the process dictionary of the one who waits for `init_ack`; no term is it, so nobody sees it by chance."""


class _Failed(StartFailed):
    """What `init_fail` was given for the one who starts it."""

    def __init__(self, value: Any) -> None:
        super().__init__(A.normal)
        self.value = value


def start(
    system: System,
    function: Callable[..., object],
    *args: Any,
    timeout: float | None = None,
    link: Process | None = None,
    mailbox: MailboxLimit | None = None,
    **kwargs: Any,
) -> Any:
    """Start `function` as a process and wait for its `init_ack`; gives what that was given.

    Raises `StartFailed` when the process ended before it, or `timeout` seconds passed; then it is killed.
    """
    process = system.spawn_function(function, args, kwargs, link=link, mailbox=mailbox)
    try:
        return _acknowledged(process, timeout, link)
    except _Failed as failed:
        return failed.value


def _acknowledged(process: Process, timeout: float | None, link: Process | None) -> Any:
    """Wait for the `init_ack` of `process`, which has not run yet."""
    system = process.system
    starter = _Starter(Waiter(system.scheduler, system.timers))
    process.dictionary = ExactDict([(_STARTER, starter)])
    process.monitored_by = {**(process.monitored_by or {}), starter.waiter: starter.waiter}
    state = starter.waiter.wait(timeout)
    if process.monitored_by is not None:
        process.monitored_by.pop(starter.waiter, None)
    if state == REPLY:
        return starter.waiter.value
    if link is not None:
        system.unlink(link, process.pid)
    if state == TIMEOUT:
        process.exit(A.killed)
        raise StartFailed(A.timeout, f"{process.pid} did not call init_ack within {timeout} s")
    assert state == DOWN
    if link is not None and link.queue:  # as OTP: what start raises tells it
        link.receive_pattern((A.EXIT, process.pid, ANY), 0)
    if starter.given is not _STARTER:
        raise _Failed(starter.given)
    reason = starter.waiter.value
    raise StartFailed(reason, f"{process.pid} ended before init_ack: {gen.brief(reason)}")


class _Starter:
    """Who waits for `init_ack`, and what `init_fail` was given."""

    __slots__ = ("given", "waiter")

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter
        self.given: Any = _STARTER


def start_monitor(
    system: System,
    function: Callable[..., object],
    *args: Any,
    timeout: float | None = None,
    mailbox: MailboxLimit | None = None,
    **kwargs: Any,
) -> tuple[Any, Reference]:
    """`start`, monitored by the current process: (what `start` gives, the monitor). It raises nothing.

    In the place of a `StartFailed` it gives ``(A.error, reason)``; the monitor's message comes in each case.
    """
    me = system.myself()
    process = system.spawn_function(function, args, kwargs, mailbox=mailbox)
    ref = system.monitor(me, process.pid)
    made: Any
    try:
        made = _acknowledged(process, timeout, None)
    except _Failed as failed:
        made = failed.value
    except StartFailed as error:
        made = (A.error, error.reason)
    return made, ref


def start_link(system: System, function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
    """`start`, linked to the current process."""
    return start(system, function, *args, link=system.myself(), **kwargs)


def init_ack(value: Any) -> None:
    """Let `start` return `value`; the new process goes on. A second call does nothing."""
    starter = (require_current().dictionary or ExactDict()).pop(_STARTER, None)
    if starter is not None:
        starter.waiter.settle(REPLY, value)


def init_fail(value: Any, exception: BaseException) -> NoReturn:
    """Let `start` return `value`, and end by `exception` (`Exit`, `Error`, …), before `start` returns (OTP 26)."""
    starter = (require_current().dictionary or ExactDict()).get(_STARTER)
    if starter is not None:
        starter.given = value
    raise exception


stop = gen.stop


def set_label(label: Any) -> None:
    """Name the current process for `process_info`, crash reports and observer."""
    api.put(LABEL, label)


def get_label(system: System, pid: Pid) -> Any:
    """The label of a process of this node, or ``undefined``."""
    return info.process_info(system, pid, "label")


def initial_call(system: System, pid: Pid) -> tuple[Atom, Atom, int] | None:
    """``{Module, Function, Arity}`` with which a process of this node began (``proc_lib:translate_initial_call``)."""
    found: tuple[Atom, Atom, int] | None = info.process_info(system, pid, "initial_call")
    return found
