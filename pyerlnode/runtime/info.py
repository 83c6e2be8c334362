"""What can be asked of a process from outside: `process_info` and the fields of OTP's crash reports (proc_lib).

Memory is what its own objects take, without what a state refers to; reductions are not counted and are 0.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pyerlnode.brief import short, told
from pyerlnode.errors import UsageError
from pyerlnode.runtime.bounded import BoundedProcess
from pyerlnode.runtime.edges import report
from pyerlnode.runtime.handler import Applied, behaviour_of
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.reason_core import MAX_FRAMES, erlang_class, erlang_frame, exit_reason, module_atom
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pid import Pid, Reference

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


def dict_value(process: Process, key: Any) -> Any:
    """One value of the process dictionary; `undefined` for a key that is not there."""
    known: ExactDict[Any] = ExactDict(dictionary(process))
    return known.get(key, A.undefined)


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
    """``{process, Pid}``, or ``{process, {Name, Node}}`` where it was monitored by a name."""
    return [(A.process, _monitored(ref, target)) for ref, target in (process.monitors or {}).values()]


def _monitored(ref: Reference, target: Any) -> Any:
    if not isinstance(target, Process):
        return target
    known = (target.monitored_by or {}).get(ref.words)
    return known[2] if type(known) is tuple else getattr(known, "named", target.pid)


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


def _stack(process: Process) -> list[tuple[Any, ...]]:
    """Of a process that waits in its own greenlet its frames, innermost first; of an idle server OTP's loop."""
    frame = getattr(process.greenlet, "gr_frame", None)
    found: list[tuple[Any, ...]] = []
    while frame is not None and len(found) < MAX_FRAMES:
        found.append(erlang_frame(frame.f_globals.get("__name__", "?"), frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return found or [(A.gen_server, A.loop, 7, [])]


def _collection(_: Process) -> list[tuple[Atom, Any]]:
    """The settings of a garbage collector of a BEAM's; Python's is not a process's."""
    return [
        (A.max_heap_size, dict(_NO_LIMIT)), (A.min_bin_vheap_size, 46_422), (A.min_heap_size, 233),
        (A.fullsweep_after, 65_535), (A.minor_gcs, 0),
    ]  # fmt: skip


_NO_LIMIT = {A.error_logger: True, A.kill: True, A.size: 0}
_ITEMS: dict[str, Callable[[Process], Any]] = {
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
    "async_dist": lambda p: p.async_dist,
    "backtrace": lambda p: "".join(f"{told(frame)}\n" for frame in _stack(p)).encode(),
    "binary": lambda _: [],
    "catchlevel": lambda _: 0,
    "current_location": lambda p: _stack(p)[0],
    "current_stacktrace": _stack,
    "error_handler": lambda _: A.error_handler,
    "fullsweep_after": lambda _: 65_535,
    "garbage_collection": _collection,
    "garbage_collection_info": lambda _: [],
    "last_calls": lambda _: False,
    "max_heap_size": lambda _: dict(_NO_LIMIT),
    "message_queue_data": lambda _: A.on_heap,
    "min_bin_vheap_size": lambda _: 46_422,
    "min_heap_size": lambda _: 233,
    "priority_messages": lambda _: False,
    "sequential_trace_token": lambda _: [],
    "suspending": lambda _: [],
    "trace": lambda _: 0,
}
_DEFAULT = (
    "registered_name", "current_function", "initial_call", "status", "message_queue_len", "links", "dictionary",
    "trap_exit", "error_handler", "priority", "group_leader", "total_heap_size", "heap_size", "stack_size",
    "reductions", "garbage_collection", "suspending",
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
    if isinstance(items, (str, Atom, tuple)):
        return _item(process, items)
    if not isinstance(items, list):
        raise UsageError(f"process_info takes an item or a list of items, not {short(items)}")
    made = ((name if type(name) is tuple else Atom(str(name)), _item(process, name)) for name in items)
    return ExactDict(made) if any(type(name) is tuple for name in items) else dict(made)


def _item(process: Process, item: Any) -> Any:
    if type(item) is tuple and len(item) == 2 and item[0] in (A.dictionary, "dictionary"):
        return dict_value(process, item[1])
    name = str(item) if isinstance(item, (str, Atom)) else short(item)
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
