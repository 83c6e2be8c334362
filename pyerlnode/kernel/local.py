"""What a program says to its processes and to others, whoever carries it: a node, or the port of a BEAM.

`Local` holds the methods that need a `System` and nothing else; `Node` and `PortProgram` build one and inherit them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.runtime import api
from pyerlnode.runtime.process import Process, adopt
from pyerlnode.runtime.system import System
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid, Reference


class Local(ABC):
    """The processes of `system`, as methods."""

    @property
    @abstractmethod
    def system(self) -> System: ...

    # --- messages ------------------------------------------------------------------------------
    def send(self, dest: Any, message: Any) -> None:
        """``Dest ! Message``. Raises `ConnectError` when the node can not be reached, `EncodeError` for a bad term."""
        self.system.send(dest, message)

    def call(self, dest: Any, request: Any, timeout: float | None = 5.0) -> Any:
        """``GenServer.call``. Raises `NoProc`, `ServerExit`, `NodeDown` or `CallTimeout`, each an `Exit`."""
        return gen.call(self.system, dest, request, timeout)

    def cast(self, dest: Any, message: Any) -> None:
        """``GenServer.cast``."""
        gen.cast(self.system, dest, message)

    def reply(self, from_: tuple[Any, Any], value: Any) -> None:
        """Answer a call whose `handle_call` gave `NoReply`; from any greenlet."""
        gen.reply(self.system, from_, value)

    def send_after(self, delay: float, dest: Any, message: Any) -> Timer:
        """Send `message` to a local pid or name after `delay` seconds; `cancel()` what it gives."""
        return self.system.send_after(delay, dest, message)

    # --- processes -----------------------------------------------------------------------------
    def start(self, cls: type[GenServer], *args: Any, name: Any = None, **kwargs: Any) -> Any:
        """Start a server and wait for its `init`; its pid, or None when `init` gave `Ignore`.

        Raises `StartFailed`, or `AlreadyStarted` when `name` is taken.
        """
        return gen_server.start(self.system, cls, args, kwargs, name=name)

    def start_link(self, cls: type[GenServer], *args: Any, name: Any = None, **kwargs: Any) -> Any:
        """`start`, linked to the current process from before its `init`."""
        return gen_server.start(self.system, cls, args, kwargs, name=name, link=self._me())

    def start_monitor(self, cls: type[GenServer], *args: Any, name: Any = None, **kwargs: Any) -> Any:
        """`start`, monitored by the current process: (pid, monitor), or None when `init` gave `Ignore`."""
        return gen_server.start_monitor(self.system, cls, args, kwargs, by=self._me(), name=name)

    def spawn(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
        return self.system.spawn(function, *args, **kwargs)

    def spawn_link(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
        return self.system.spawn_function(function, args, kwargs, link=self._me()).pid

    def spawn_monitor(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> tuple[Pid, Reference]:
        pid = self.system.spawn(function, *args, **kwargs)
        return pid, self.monitor(pid)

    def self_(self) -> Pid:
        """The pid of the current greenlet, which becomes a process of this node unless it is one."""
        return self._me().pid

    def receive(self, pattern: Any = api.ANYTHING, timeout: float | None = None, default: Any = api.RAISE) -> Any:
        """`pyerlnode.receive` for a greenlet that becomes a process of this node unless it is one."""
        return api.receive_as(self._me(), pattern, timeout, default)

    def link(self, pid: Pid) -> None:
        self.system.link(self._me(), pid)

    def unlink(self, pid: Pid) -> None:
        self.system.unlink(self._me(), pid)

    def monitor(self, dest: Any) -> Reference:
        """Exactly one ``(A.DOWN, ref, A.process, what, reason)`` to the current process."""
        return self.system.monitor(self._me(), dest)

    def demonitor(self, ref: Reference, *, flush: bool = False) -> bool:
        return self.system.demonitor(self._me(), ref, flush=flush)

    def exit(self, pid: Pid, reason: Any) -> None:
        """``exit(Pid, Reason)``."""
        self.system.exit(pid, reason)

    def process_flag(self, flag: str | Atom, value: Any) -> Any:
        return api.set_flag(self._me(), flag, value)

    def alias(self) -> Reference:
        """A reference to which others may send, until `unalias`."""
        return self.system.alias(self._me())

    def unalias(self, alias: Reference) -> bool:
        return self.system.unalias(self._me(), alias)

    def register(self, name: Any, pid: Pid | None = None) -> None:
        """Register `pid`, or the current process, under `name`."""
        api.register_in(self.system, name, self._me().pid if pid is None else pid)

    def unregister(self, name: Any) -> bool:
        return self.system.registry.unregister(name)

    def whereis(self, name: Any) -> Pid | None:
        return self.system.whereis(name)

    def _me(self) -> Process:
        return adopt(self.system)
