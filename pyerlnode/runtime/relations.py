"""How processes are bound to each other: exits, links, monitors, and the monitors of calls.

Local and remote are one code here, too. Who is told of an end, and by what, is decided in `process_core`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyerlnode.errors import ConnectError, UsageError
from pyerlnode.runtime.edges import report
from pyerlnode.runtime.info import crash_report
from pyerlnode.runtime.mailbox import DOWN, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.process_core import LinkEnd
from pyerlnode.runtime.router import RemoteNode
from pyerlnode.runtime.tables import PID_BITS, Tables
from pyerlnode.signal import (
    Demonitor,
    Exit2,
    ExitSignal,
    Link,
    Monitor,
    Unlink,
)
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

if TYPE_CHECKING:
    pass

log = logging.getLogger("pyerlnode.process")

_NOT_TOLD = "somebody was not told of the end of %s"


class Relations(Tables):
    """Exits, links and monitors of one node's processes."""

    # --- exits ---------------------------------------------------------------------------------
    def exit(self, pid: Pid, reason: Any) -> None:
        """``exit(Pid, Reason)``."""
        sender = self.myself()
        if not self.is_local(pid):
            self._send_away(pid.node, Exit2(sender.pid, pid, reason))
            return
        process = self.process(pid)
        if process is not None:
            process.exit_signal(sender.pid, reason)

    def bury(self, process: Process) -> None:
        """Tell everyone who is to know of a process that has ended. Iterative: a chain of links may be long."""
        self.processes.pop(process.pid.id | process.pid.serial << PID_BITS, None)
        if process.name is not None:
            self.registry.names.pop(process.name, None)
        if self.ending is not None:
            self.ending.process_ended(process)
        self._dying.append((process, process.exit_reason))
        if self._burying:
            return
        self._burying = True
        try:
            while self._dying:
                dead, why = self._dying.popleft()
                try:
                    self._tell(dead, why)
                    if self.trace_tokens is not None:
                        self.trace_tokens.forget(dead)
                except BaseException as error:  # nothing here raises; should it, the others are told all the same
                    report(log, _NOT_TOLD, dead.pid, exc_info=error)
        finally:
            self._burying = False

    def _tell(self, process: Process, reason: Any) -> None:  # noqa: C901  # one kind of relation behind the other
        pid = process.pid
        links, process.links = process.links, None
        monitors, process.monitors = process.monitors, None
        watchers, process.monitored_by = process.monitored_by, None
        process.queue = process.places = process.handler = None
        if self.aliases_of:
            for words in self.aliases_of.pop(process, ()):
                del self.aliases[words]
        if self.ahead:
            self.ahead.pop(process, None)
        if links:
            for other, end in links.items():
                try:
                    if not isinstance(other, Process):
                        self._remote_link_ended(process, other, end, reason)
                    elif other.links is not None and other.links.pop(process, self) is None:
                        other.link_broken(pid, reason)
                except BaseException as error:  # noqa: PERF203  # free while nothing raises
                    report(log, _NOT_TOLD, pid, exc_info=error)
        if monitors:
            for ref, target in monitors.values():
                self._drop_monitor(process, ref, target)
        if watchers:
            for watcher in watchers.values():
                try:
                    self._down(watcher, reason)
                except BaseException as error:  # noqa: PERF203  # free while nothing raises
                    report(log, _NOT_TOLD, pid, exc_info=error)

    def _remote_link_ended(self, process: Process, other: Pid, end: LinkEnd | None, reason: Any) -> None:
        if end is not None:
            peer = self.peer(other.node)
            peer.linked.pop((process, other), None)
            if end.active:
                peer.tell(ExitSignal(process.pid, other, reason))

    def _down(self, watcher: Any, reason: Any) -> None:
        if type(watcher) is not tuple:
            watcher.down(reason)
            return
        process, ref, named = watcher
        if process.monitors is not None and process.monitors.pop(ref.words, None) is not None:
            process.deliver((A.DOWN, ref, A.process, named, reason))

    @staticmethod
    def crash_report(process: Process, error: BaseException) -> Callable[[], None]:
        """What tells the log of a process that ends by `error`; to be called when it has ended."""
        return crash_report(process, error)

    # --- links ---------------------------------------------------------------------------------
    def link(self, process: Process, pid: Pid) -> None:
        """``link(Pid)`` by `process`; a pid that is not there ends in an exit signal `noproc` (OTP, remote form)."""
        if pid == process.pid:
            return
        if self.is_local(pid):
            other = self.process(pid)
            if other is None:
                process.link_broken(pid, A.noproc)
            else:
                link_local(process, other)
            return
        end = RemoteNode.link_end(process, pid)
        if end is not None and end.active:
            return
        try:
            route = self.route(pid.node)
        except ConnectError:
            process.link_broken(pid, A.noconnection)
            return
        if end is None or not end.link():
            self.peer(pid.node).add_link(process, pid)
        route.send(Link(process.pid, pid))

    def unlink(self, process: Process, pid: Pid) -> None:
        """``unlink(Pid)``: no exit signal of the old link arrives after it."""
        if self.is_local(pid):
            other = self.process(pid)
            if other is not None and process.links is not None and other.links is not None:
                process.links.pop(other, None)
                other.links.pop(process, None)
            return
        end: LinkEnd | None = RemoteNode.link_end(process, pid)
        if end is not None:
            self._unlinks += 1
            if end.unlink(self._unlinks):
                self.peer(pid.node).tell(Unlink(self._unlinks, process.pid, pid))

    # --- monitors ------------------------------------------------------------------------------
    def monitor(self, process: Process, dest: Any) -> Reference:
        """``monitor(process, Dest)``: exactly one DOWN, at once when there is nothing to monitor."""
        ref = self.new_ref()
        if process.queue:
            process.mark(ref)
        node, local, to = self.resolve(dest)
        named = to if type(to) is Pid else (to, node)
        if process.monitors is None:
            process.monitors = {}
        if node is not self.node:
            self._monitor_remote(process, ref, node, named)
        elif local is None:
            process.deliver((A.DOWN, ref, A.process, named, A.noproc))
        elif local is not process:  # who ends is told nothing of it
            process.monitors[ref.words] = (ref, local)
            if local.monitored_by is None:
                local.monitored_by = {}
            local.monitored_by[ref.words] = (process, ref, named)
        return ref

    def monitor_connected(self, process: Process, pid: Pid) -> Reference:
        """`monitor` that dials nobody: a process of a node that is not connected is down already (`noconnection`)."""
        if self.is_connected(pid.node):
            return self.monitor(process, pid)
        ref = self.new_ref()
        process.deliver((A.DOWN, ref, A.process, pid, A.noconnection))
        return ref

    def send_connected(self, dest: Pid, message: Any) -> bool:
        """`send` that dials nobody, for answers to whoever asked; False when its node is not connected."""
        if not self.is_connected(dest.node):
            return False
        self.send(dest, message)
        return True

    def _monitor_remote(self, process: Process, ref: Reference, node: Atom, named: Any) -> None:
        try:
            route = self.route(node)
        except ConnectError:
            process.deliver((A.DOWN, ref, A.process, named, A.noconnection))
            return
        self.peer(node).monitors[ref.words] = (process, ref, named)
        if process.monitors is None:
            process.monitors = {}
        process.monitors[ref.words] = (ref, named)
        route.send(Monitor(process.pid, named if type(named) is Pid else named[0], ref))

    def demonitor(self, process: Process, ref: Reference, *, flush: bool = False) -> bool:
        """``demonitor(Ref)``; `flush` also removes a DOWN that is already in the mailbox. True when it was active."""
        if ref.node is not self.node:
            raise UsageError(f"{ref} is a reference of {ref.node}: no monitor of this node has it")
        known = None if process.monitors is None else process.monitors.pop(ref.words, None)
        if known is not None:
            self._drop_monitor(process, *known)
            if self.aliases_of:
                self.drop_tied(process, ref)
        elif flush and process.queue:
            process.take_down(ref)
        return known is not None

    def _drop_monitor(self, process: Process, ref: Reference, target: Any) -> None:
        if isinstance(target, Process):
            if target.monitored_by is not None:
                target.monitored_by.pop(ref.words, None)
            return
        node = target.node if type(target) is Pid else target[1]
        peer = self.peers.get(node)
        if peer is not None and peer.monitors.pop(ref.words, None) is not None:
            peer.tell(Demonitor(process.pid, target if type(target) is Pid else target[0], ref))

    # --- calls ---------------------------------------------------------------------------------
    def waiter(self, ref: Reference) -> Waiter:
        """A waiter for what is sent to the alias `ref`; `release` it in each case."""
        waiter = self.aliases[ref.words] = Waiter(self.scheduler, self.timers)
        return waiter

    def watch(self, waiter: Waiter, ref: Reference, dest: Any) -> Any:
        """Monitor `dest` for `waiter` with `ref`; give the handle that `unwatch` takes.

        Raises `ConnectError` when the node can not be tried to reach.
        """
        node, local, to = self.resolve(dest)
        if node is self.node:
            if local is None:
                waiter.settle(DOWN, A.noproc)
                return None
            if local.monitored_by is None:
                local.monitored_by = {}
            local.monitored_by[ref.words] = waiter
            return local
        route = self.route(node)
        self.peer(node).monitors[ref.words] = (waiter, ref, to)
        route.send(Monitor(self.myself().pid, to, ref))
        return (node, to, self.myself().pid)

    def unwatch(self, ref: Reference, handle: Any) -> None:
        """End what `waiter` and `watch` began: nothing of the call is left, whatever its outcome was."""
        self.aliases.pop(ref.words, None)
        if isinstance(handle, Process):
            if handle.monitored_by is not None:
                handle.monitored_by.pop(ref.words, None)
        elif handle is not None:
            where, to, caller = handle
            node: Atom = where
            peer = self.peers.get(node)
            if peer is not None and peer.monitors.pop(ref.words, None) is not None:
                peer.tell(Demonitor(caller, to, ref))


def link_local(one: Process, other: Process) -> None:
    if one.links is None:
        one.links = {}
    if other.links is None:
        other.links = {}
    one.links[other] = None
    other.links[one] = None
