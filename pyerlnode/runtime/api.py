"""What a process says of itself: `self_`, `receive`, `send` and their kin, for the process that the greenlet runs.

In a greenlet that is no process use the methods of a node, which make it one where that is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from pyerlnode.brief import short
from pyerlnode.errors import NoProc, ReceiveTimeout, UsageError
from pyerlnode.runtime import info, monitoring
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.offload import in_own_thread
from pyerlnode.runtime.process import Process, current, require_current
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pid import Pid, Reference

T = TypeVar("T")
RAISE: Final = object()
ANYTHING: Final = object()


def self_() -> Pid:
    """The pid of the current process."""
    return require_current().pid


def receive(
    pattern: Any = ANYTHING, timeout: float | None = None, default: Any = RAISE, *, since: Reference | None = None
) -> Any:
    """The first message in the mailbox that matches `pattern` (see `term.pattern`); waits for one.

    After `timeout` seconds (None: never; 0: only look) it gives `default`, or raises `ReceiveTimeout` without one.

    However many messages wait that do not match, they are looked at once for each pattern, not once for each message
    that comes, and for a pattern with a reference of `monitor`, `alias`, `start_timer` or `make_ref` in it only those
    that came after that was made. A pattern with a function in it is looked for from the first message on each time:
    give it, as `since`, the reference behind whose making it may begin.
    """
    return receive_as(require_current(), pattern, timeout, default, since)


def make_ref() -> Reference:
    """``make_ref()``: a reference that no other equals."""
    process = require_current()
    ref: Reference = process.system.new_ref()
    process.mark(ref)
    return ref


def receive_as(
    process: Process, pattern: Any, timeout: float | None, default: Any, since: Reference | None = None
) -> Any:
    if timeout is not None and timeout < 0:
        raise UsageError("a time-out is a number of seconds, 0 or more, or None")
    if pattern is ANYTHING:
        message = process.receive(None, timeout)
    else:
        message = process.receive_pattern(pattern, timeout, since=since)
    if message is not NOTHING:
        return message
    if default is RAISE:
        raise ReceiveTimeout(f"no message that matches arrived within {timeout} s")
    return default


def send(dest: Any, message: Any) -> None:
    """``Dest ! Message``: a pid, a name, ``(name, node)`` or an alias."""
    require_current().system.send(dest, message)


def exit_(pid: Pid, reason: Any) -> None:
    """``exit(Pid, Reason)``. To end oneself raise `Exit(reason)`."""
    require_current().system.exit(pid, reason)


def spawn(fn: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
    pid: Pid = require_current().system.spawn(fn, *args, **kwargs)
    return pid


def spawn_link(fn: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
    process = require_current()
    made: Process = process.system.spawn_function(fn, args, kwargs, link=process)
    return made.pid


def spawn_monitor(fn: Callable[..., object], *args: Any, **kwargs: Any) -> tuple[Pid, Reference]:
    process = require_current()
    pid = process.system.spawn(fn, *args, **kwargs)
    return pid, process.system.monitor(process, pid)


def link(pid: Pid) -> None:
    """``link(Pid)``. Raises `NoProc` for a process of this node that is not alive, unless the caller traps exits."""
    link_as(require_current(), pid)


def link_as(process: Process, pid: Pid) -> None:
    system = process.system
    if not process.trap_exit and system.is_local(pid) and system.process(pid) is None:
        raise NoProc(A.noproc, f"{pid} can not be linked: it is not alive")
    system.link(process, pid)


def unlink(pid: Pid) -> None:
    process = require_current()
    process.system.unlink(process, pid)


def monitor(dest: Any, *, alias: str | None = None, tag: Any = A.DOWN) -> Reference:
    """``monitor(process, Dest)``: one message ``(A.DOWN, ref, A.process, what, reason)`` when it ends.

    Args:
        alias: makes the reference an alias of the current process, too: ``explicit_unalias`` until `unalias`,
            ``demonitor`` until the monitor is over, ``reply_demonitor`` until then or the first message to it, which
            ends the monitor.
        tag: stands in the message in the place of ``A.DOWN``.
    """
    return monitor_as(require_current(), dest, alias, tag)


def monitor_as(process: Process, dest: Any, alias: str | None, tag: Any) -> Reference:
    if alias is None and tag is A.DOWN:
        ref: Reference = process.system.monitor(process, dest)
        return ref
    return monitoring.monitor(process, dest, alias, tag)


def demonitor(ref: Reference, *, flush: bool = False) -> bool:
    process = require_current()
    active: bool = process.system.demonitor(process, ref, flush=flush)
    return active


def process_flag(flag: str | Atom, value: Any) -> Any:
    """``process_flag(Flag, Value)`` for `trap_exit` and `async_dist`; gives the old value.

    A process with `async_dist` is never suspended by a peer that does not read: what it sends waits, without a bound.
    """
    return set_flag(require_current(), flag, value)


def set_flag(process: Process, flag: str | Atom, value: Any) -> Any:
    name = str(flag)
    if name not in ("trap_exit", "async_dist") or not isinstance(value, bool):
        raise UsageError("process_flag knows trap_exit and async_dist, True or False")
    before = getattr(process, name)
    setattr(process, name, value)
    return before


def put(key: Any, value: Any) -> Any:
    """Put into the process dictionary; gives the old value, or None."""
    process = require_current()
    if process.dictionary is None:
        process.dictionary = ExactDict()
    dictionary: ExactDict[Any] = process.dictionary
    before = dictionary.get(key)
    dictionary[key] = value
    return before


def get(key: Any = ANYTHING, default: Any = None) -> Any:
    """A value of the process dictionary; without a key a copy of all of it."""
    dictionary: ExactDict[Any] = require_current().dictionary or ExactDict()
    return ExactDict(dictionary.items()) if key is ANYTHING else dictionary.get(key, default)


def erase(key: Any) -> Any:
    """Take a value out of the process dictionary; None when there was none."""
    dictionary: ExactDict[Any] = require_current().dictionary or ExactDict()
    return dictionary.pop(key, None)


def process_info(pid: Pid, items: Any = None) -> Any:
    """What is known of a process of this node: a dict, one item's value, or None when it is not alive."""
    return info.process_info(require_current().system, pid, items)


def processes() -> list[Pid]:
    """The pids of all processes of this node."""
    return [process.pid for process in require_current().system.processes.values()]


def start_timer(delay: float, dest: Any, message: Any) -> Reference:
    """``(A.timeout, ref, message)`` to `dest` after `delay` seconds; gives `ref`."""
    ref: Reference = require_current().system.timer_refs.start(delay, dest, message)
    return ref


def read_timer(ref: Reference) -> float | None:
    left: float | None = require_current().system.timer_refs.read(ref)
    return left


def cancel_timer(ref: Reference) -> float | None:
    left: float | None = require_current().system.timer_refs.cancel(ref)
    return left


def offload(function: Callable[..., T], *args: Any, in_process: bool = False, **kwargs: Any) -> T:
    """Run a function that blocks in a thread, one that computes in an OS process (`in_process`), and wait for it.

    In a greenlet that is no process there are threads only.
    """
    process = current()
    if process is not None:
        result: T = process.system.offload(function, *args, in_process=in_process, **kwargs)
        return result
    if in_process:
        raise UsageError("use node.offload here: OS processes belong to a node, and this greenlet is no process of one")
    return in_own_thread(function, *args, **kwargs)


def register(name: Any, pid: Pid | None = None) -> None:
    """Register `pid` (the current process unless given) under `name` on this node."""
    process = require_current()
    register_in(process.system, name, process.pid if pid is None else pid)


def register_in(system: Any, name: Any, pid: Pid) -> None:
    process = system.process(pid)
    if process is None:
        raise UsageError(f"{pid} can not be registered as {short(name)}: it is no live process of this node")
    system.registry.register(name, process)


def whereis(name: Any) -> Pid | None:
    pid: Pid | None = require_current().system.whereis(name)
    return pid


def unregister(name: Any) -> bool:
    """``unregister(Name)`` on this node: True when it was registered."""
    done: bool = require_current().system.registry.unregister(name)
    return done


def alias(kind: str = "explicit", *, priority: bool = False) -> Reference:
    """``alias([Kind])``: a reference that stands for the current process, ``explicit`` until `unalias`, ``reply`` also
    until the first message to it. With `priority` see `Node.alias`.
    """
    return alias_as(require_current(), kind, priority)


def alias_as(process: Process, kind: str, priority: bool) -> Reference:
    if kind not in ("explicit", "reply"):
        raise UsageError(f"the kind of an alias is explicit or reply, not {short(kind)}")
    ref: Reference = process.system.alias(process, once=kind == "reply", priority=priority)
    return ref


def unalias(ref: Reference) -> bool:
    """``unalias(Alias)``: True when it was one of the current process; what is sent to it from now on is dropped."""
    process = require_current()
    was: bool = process.system.unalias(process, ref)
    return was


def send_after(delay: float, dest: Any, message: Any) -> Timer:
    """``send_after``: `message` to a pid or name of this node after `delay` seconds; `cancel()` what it gives."""
    timer: Timer = require_current().system.send_after(delay, dest, message)
    return timer
