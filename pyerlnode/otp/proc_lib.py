"""proc_lib: function bodies that start like OTP processes do (protocol.md E.4).

    def acceptor(port):
        socket = listen(port)                  # an error here is the starter's error
        proc_lib.init_ack((A.ok, self_()))     # start returns this
        while True: ...

    proc_lib.start_link(system, acceptor, 4000)

`start` and `start_link` wait until the new process calls `init_ack`, and give what it was given. A process that ends
before, or takes too long, is a `StartFailed`. `$ancestors` and `$initial_call` of every process are in its
`process_info` dictionary; `set_label` names one for whoever looks at it (OTP 27's labels).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyerlnode.errors import StartFailed
from pyerlnode.otp import gen
from pyerlnode.runtime import api, info
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.mailbox import DOWN, REPLY, TIMEOUT, Waiter
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pid import Pid

LABEL = A["$process_label"]
_STARTER = object()
"""Key in the process dictionary of the one who waits for `init_ack`; no term is it, so nobody sees it by chance."""


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
    waiter = Waiter(system.scheduler, system.timers)
    process = system.spawn_function(function, args, kwargs, link=link, mailbox=mailbox)
    process.dictionary = ExactDict([(_STARTER, waiter)])
    process.monitored_by = {waiter: waiter}
    state = waiter.wait(timeout)
    if process.monitored_by is not None:
        process.monitored_by.pop(waiter, None)
    if state == REPLY:
        return waiter.value
    if state == TIMEOUT:
        if link is not None:
            system.unlink(link, process.pid)
        process.exit(A.killed)
        raise StartFailed(A.timeout, f"{process.pid} did not call init_ack within {timeout} s")
    assert state == DOWN
    raise StartFailed(waiter.value, f"{process.pid} ended before init_ack: {gen.brief(waiter.value)}")


def start_link(system: System, function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
    """`start`, linked to the current process."""
    return start(system, function, *args, link=system.myself(), **kwargs)


def init_ack(value: Any) -> None:
    """Let `start` return `value`; the new process goes on. A second call does nothing."""
    waiter = (require_current().dictionary or ExactDict()).pop(_STARTER, None)
    if waiter is not None:
        waiter.settle(REPLY, value)


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
