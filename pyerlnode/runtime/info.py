"""What can be asked of a process from outside: `process_info` and the fields of OTP's crash reports (proc_lib).

Memory is what its own objects take, without what a state refers to; reductions are not counted and are 0.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import UsageError
from pyerlnode.runtime.bounded import BoundedProcess
from pyerlnode.runtime.edges import report
from pyerlnode.runtime.handler import Applied, behaviour_of
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.reason_core import erlang_class, exit_reason, module_atom
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.process")


def initial_call(process: Process) -> tuple[Atom, Atom, int]:
    """``{Module, Function, Arity}`` with which `process` began."""
    handler = behaviour_of(process)
    if issubclass(type(handler), Applied):
        mfa: tuple[Atom, Atom, int] = handler.mfa
        return mfa
    return process.initial_call() if handler is None else (module_atom(type(handler)), A.init, 1)


def dictionary(process: Process) -> list[tuple[Any, Any]]:
    """The process dictionary as OTP shows it, with what `proc_lib` keeps there."""
    kept = [(A["$initial_call"], initial_call(process)), (A["$ancestors"], list(process.ancestors or ()))]
    return [*kept, *(process.dictionary or {}).items()]


def message_queue(process: Process) -> list[Any]:
    """The messages that wait, those held back while `sys` has suspended it first."""
    held = () if process.sys is None else process.sys.waiting
    return [*held, *(process.queue or ())]


def status(process: Process) -> Atom:
    if process.greenlet is None:
        return A.runnable if process.queue else A.waiting
    return A.waiting if process.parked else A.running


def _links(process: Process) -> list[Pid]:
    return [end.pid if isinstance(end, Process) else end for end in process.links or ()]


def _monitors(process: Process) -> list[tuple[Atom, Any]]:
    targets = (target for _, target in (process.monitors or {}).values())
    return [(A.process, target.pid if isinstance(target, Process) else target) for target in targets]


def _monitored_by(process: Process) -> list[Pid]:
    found = []
    for watcher in (process.monitored_by or {}).values():
        if type(watcher) is tuple:
            found.append(watcher[0].pid)
        elif isinstance(getattr(watcher, "pid", None), Pid):
            found.append(watcher.pid)
    return found


def _mailbox(process: Process) -> Any:
    if not isinstance(process, BoundedProcess):
        return A.unbounded
    counts = {A.dropped: process.dropped, A.suspended: process.suspended, A.over: process.over}
    return {A.size: process.limit.size, A.policy: Atom(process.limit.policy), **counts}


def _memory(process: Process) -> int:
    parts = (process, process.pid, process.handler, process.links)
    return sum(object.__sizeof__(part) for part in parts if part is not None)


def _current_function(process: Process) -> tuple[Atom, Atom, int]:
    frame = getattr(process.greenlet, "gr_frame", None)
    if frame is None:
        return A.gen_server, A.loop, 7
    code = frame.f_code
    return Atom(str(frame.f_globals.get("__name__", "?"))[-255:]), Atom(code.co_name[-255:]), code.co_argcount


_ITEMS = {
    "registered_name": lambda p: p.name if p.name is not None else [],
    "current_function": _current_function,
    "initial_call": initial_call,
    "status": status,
    "message_queue_len": lambda p: len(message_queue(p)),
    "messages": message_queue,
    "links": _links,
    "monitors": _monitors,
    "monitored_by": _monitored_by,
    "dictionary": dictionary,
    "label": lambda p: A.undefined if p.dictionary is None else p.dictionary.get(A["$process_label"], A.undefined),
    "trap_exit": lambda p: p.trap_exit,
    "group_leader": lambda p: p.group_leader or p.pid,
    "priority": lambda _: A.normal,
    "reductions": lambda _: 0,
    "memory": _memory,
    "total_heap_size": lambda _: 0,
    "heap_size": lambda _: 0,
    "stack_size": lambda _: 0,
    "parent": lambda p: (p.ancestors or [A.undefined])[0],
    "mailbox": _mailbox,
}
_DEFAULT = (
    "registered_name", "current_function", "initial_call", "status", "message_queue_len", "links", "dictionary",
    "trap_exit", "group_leader", "priority", "total_heap_size", "heap_size", "stack_size", "reductions",
)  # fmt: skip


def process_info(system: Any, pid: Pid, items: Any = None) -> Any:
    """``erlang:process_info``: a dict of the usual items, or of those in a list; one item gives its value.

    None for a process that is not alive. Raises `UsageError` for a pid of another node or an item that there is not.
    """
    if not system.is_local(pid):
        raise UsageError(f"{pid} is a process of {pid.node}: ask there, by rpc erlang:process_info")
    process = system.process(pid)
    if process is None:
        return None
    if items is None:
        return {Atom(name): _item(process, name) for name in _DEFAULT if name != "registered_name" or process.name}
    if isinstance(items, (str, Atom)):
        return _item(process, str(items))
    return {Atom(str(name)): _item(process, str(name)) for name in items}


def _item(process: Process, name: str) -> Any:
    if name not in _ITEMS:
        raise UsageError(f"process_info has no item {name}; it has {', '.join(_ITEMS)}")
    return _ITEMS[name](process)


def crash_fields(process: Process, error: BaseException) -> dict[str, Any]:
    """OTP's fields of a crash report. No message body and no value of the dictionary is among them."""
    return {
        "initial_call": initial_call(process),
        "pid": process.pid,
        "registered_name": process.name if process.name is not None else [],
        "process_label": _ITEMS["label"](process),
        "error_info": erlang_class(error) or (A.error, exit_reason(error)),
        "ancestors": list(process.ancestors or ()),
        "message_queue_len": len(message_queue(process)),
        "links": _links(process),
        "monitors": _monitors(process),
        "dictionary": [key for key, _ in dictionary(process)],
        "trap_exit": process.trap_exit,
        "status": status(process),
    }


def crash_report(process: Process, error: BaseException) -> Callable[[], None]:
    """``crash_report`` of proc_lib, to be logged once the end of `process` has been told.

    One record; its ``erlang`` attribute has the fields, as `crash_fields`, of the process while it lived.
    """
    try:
        name = process.name or _ITEMS["label"](process)
        shown = "" if name is A.undefined else f" ({name if type(name) is Atom else short(name)})"
        who = (process.pid, shown, *initial_call(process))
        fields = {"label": (A.proc_lib, A.crash), "report": crash_fields(process, error)}
    except BaseException as broken:
        text, kinds = "process %s ended by %s; its crash report could not be made: %s", (type(error), type(broken))
        return lambda: report(log, text, process.pid, *(kind.__name__ for kind in kinds))
    text = "process %s%s, started as %s:%s/%s, ended by an exception"
    return lambda: report(log, text, *who, exc_info=error, extra={"erlang": fields})
