"""Monitors with options: ``erlang:monitor(process, Dest, [{alias, Kind}, {tag, Tag}])``.

    alias kind          the reference is an alias of the process
    explicit_unalias    until `unalias`
    demonitor           until `demonitor` or the DOWN, too
    reply_demonitor     until the first message to it, too, which ends the monitor

Monitors without options are most, and know nothing of these: `Relations.monitor`.
"""

from __future__ import annotations

from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.errors import ConnectError, UsageError
from pyerlnode.runtime.process import Process
from pyerlnode.signal import Monitor
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference

KINDS: Final = ("explicit_unalias", "demonitor", "reply_demonitor")


class OptedMonitor:
    """The monitor `ref` of `process`; in the place of the tuple, or the process, that a plain one is in its tables."""

    __slots__ = ("named", "process", "ref", "tag")

    def __init__(self, process: Process, ref: Reference, named: Any, tag: Any) -> None:
        self.process = process
        self.ref = ref
        self.named = named
        self.tag = tag

    @property
    def pid(self) -> Pid:
        return self.process.pid

    def down(self, reason: Any) -> None:
        process = self.process
        if process.monitors is not None and process.monitors.pop(self.ref.words, None) is not None:
            process.system.drop_tied(process, self.ref)
            process.deliver((self.tag, self.ref, A.process, self.named, reason))


def monitor(process: Process, dest: Any, alias: str | None, tag: Any) -> Reference:
    """Monitor `dest`; its end is one message ``(tag, ref, A.process, what, reason)``."""
    if alias is not None and alias not in KINDS:
        raise UsageError(f"the alias of a monitor is {', '.join(KINDS)}, not {short(alias)}")
    system = process.system
    ref: Reference = system.new_ref()
    process.mark(ref)
    node, local, to = system.resolve(dest)
    if local is process:  # as OTP: a reference, and nothing that it stands for
        return ref
    named = to if type(to) is Pid else (to, node)
    watcher = OptedMonitor(process, ref, named, tag)
    if alias is not None:
        system.add_alias(process, ref, once=alias == "reply_demonitor", tied=alias != "explicit_unalias")
    if process.monitors is None:
        process.monitors = {}
    process.monitors[ref.words] = (ref, named if local is None else local)
    if local is not None:
        if local.monitored_by is None:
            local.monitored_by = {}
        local.monitored_by[ref.words] = watcher
    elif node is system.node:
        watcher.down(A.noproc)
    else:
        try:
            route = system.route(node)
        except ConnectError:
            watcher.down(A.noconnection)
        else:
            system.peer(node).monitors[ref.words] = (watcher, ref, named)
            route.send(Monitor(process.pid, to, ref))
    return ref
