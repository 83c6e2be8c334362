"""What a program says to its processes and to others, whoever carries it: a node, or the port of a BEAM.

`Local` holds the methods that need a `System` and nothing else; `Node` and `PortProgram` build one and inherit them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pyerlnode.etf.codec import Codec
from pyerlnode.otp import gen, gen_server, requests
from pyerlnode.otp.behaviour import Behaviour
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.requests import Request
from pyerlnode.runtime import api
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.info import process_info
from pyerlnode.runtime.process import Process, adopt
from pyerlnode.runtime.system import System
from pyerlnode.runtime.threads import get_ident
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

if TYPE_CHECKING:
    from pyerlnode.kernel.events import Events
    from pyerlnode.otp.starts import Starts

T = TypeVar("T")


def read(term: Any, codec: Codec | None) -> Any:
    """A term as `codec` reads it; without one as it is."""
    return term if codec is None else codec.read(term)


def _starter(cls: Any) -> Callable[..., Any]:
    if isinstance(cls, type) and issubclass(cls, GenServer):
        return gen_server.start
    from pyerlnode.otp import gen_statem  # loaded by those who have one

    return gen_statem.start if isinstance(cls, type) and issubclass(cls, gen_statem.GenStatem) else gen_server.start


class Local(ABC):
    """The processes of `system`, as methods. `codec` says how what they give looks, unless they are given another."""

    codec: Codec | None = None

    @property
    @abstractmethod
    def system(self) -> System: ...

    @property
    def anywhere(self) -> System:
        """`system`, also for other threads than its own."""
        return self.system

    @property
    def _home(self) -> Any:
        """`anywhere`; where messages are many, an attribute."""
        return self.anywhere

    @property
    def gen_event(self) -> Events:
        """The functions of ``gen_event``, for managers of any node (`kernel.events`)."""
        from pyerlnode.kernel.events import Events  # for those who have events

        return Events(self.system)

    # --- messages ------------------------------------------------------------------------------
    def send(self, dest: Any, message: Any) -> None:
        """``Dest ! Message``; to what is not there it is dropped. Raises `EncodeError` for a bad term.

        From any thread, as `cast` and `reply`: from another one it returns when the node has sent the message.
        """
        home = self._home
        if get_ident() == home.scheduler.thread:
            home.send(dest, message)
        else:
            home.run(home.send, dest, message)

    def call(self, dest: Any, request: Any, timeout: float | None = 5.0, *, codec: Codec | None = None) -> Any:
        """``GenServer.call``. Raises `NoProc`, `ServerExit`, `NodeDown` or `CallTimeout`, each an `Exit`."""
        return read(gen.call(self.system, dest, request, timeout), codec or self.codec)

    def cast(self, dest: Any, message: Any) -> None:
        """``GenServer.cast``. From any thread."""
        home = self._home
        if get_ident() == home.scheduler.thread:
            home.send(dest, (gen.CAST, message))
        else:
            home.run(gen.cast, home, dest, message)

    def reply(self, from_: tuple[Any, Any], value: Any) -> None:
        """Answer a call whose `handle_call` gave `NoReply`; from any greenlet of any thread."""
        gen.answer(self.anywhere, from_, value)

    def send_after(self, delay: float, dest: Any, message: Any) -> Timer:
        """Send `message` to a local pid or name after `delay` seconds; `cancel()` what it gives."""
        return self.system.send_after(delay, dest, message)

    # --- processes -----------------------------------------------------------------------------
    @overload
    def start(self, cls: type[Starts], *args: Any, name: Any = None, **kwargs: Any) -> Pid: ...
    @overload
    def start(self, cls: type[Behaviour], *args: Any, name: Any = None, **kwargs: Any) -> Pid | None: ...
    def start(self, cls: Any, *args: Any, name: Any = None, **kwargs: Any) -> Pid | None:
        """Start a server and wait for its `init`; its pid, or None when `init` gave `Ignore`.

        Raises `StartFailed`, or `AlreadyStarted` when `name` is taken.
        """
        pid: Pid | None = _starter(cls)(self.system, cls, args, kwargs, name=name)
        return pid

    @overload
    def start_link(self, cls: type[Starts], *args: Any, name: Any = None, **kwargs: Any) -> Pid: ...
    @overload
    def start_link(self, cls: type[Behaviour], *args: Any, name: Any = None, **kwargs: Any) -> Pid | None: ...
    def start_link(self, cls: Any, *args: Any, name: Any = None, **kwargs: Any) -> Pid | None:
        """`start`, linked to the current process from before its `init`."""
        pid: Pid | None = _starter(cls)(self.system, cls, args, kwargs, name=name, link=self._me())
        return pid

    @overload
    def start_monitor(
        self, cls: type[Starts], *args: Any, name: Any = None, **kwargs: Any
    ) -> tuple[Pid, Reference]: ...
    @overload
    def start_monitor(
        self, cls: type[Behaviour], *args: Any, name: Any = None, **kwargs: Any
    ) -> tuple[Pid, Reference] | None: ...
    def start_monitor(self, cls: Any, *args: Any, name: Any = None, **kwargs: Any) -> tuple[Pid, Reference] | None:
        """`start`, monitored by the current process: (pid, monitor), or None when `init` gave `Ignore`."""
        pid = _starter(cls)(self.system, cls, args, kwargs, name=name)
        return None if pid is None else (pid, self.system.monitor(self._me(), pid))

    def stop_process(self, dest: Any, reason: Any = A.normal, timeout: float | None = None) -> None:
        """``gen_server:stop``: let `dest` terminate with `reason`, and wait until it has. Raises as `gen.stop`."""
        gen.stop(self.system, dest, reason, timeout)

    def send_request(self, dest: Any, request: Any) -> Request:
        """A call whose answer `otp.requests.receive_response`, `wait_response` or `check_response` fetches."""
        return requests.send_request(self.system, dest, request)

    def multi_call(
        self, nodes: Iterable[str | Atom], name: Any, request: Any, timeout: float | None = None
    ) -> tuple[dict[Atom, Any], list[Atom]]:
        """Call the server `name` on each of `nodes`: (answers by node, nodes that gave none)."""
        return requests.multi_call(self.system, nodes, name, request, timeout)

    def abcast(self, nodes: Iterable[str | Atom], name: Any, message: Any) -> None:
        """Cast to the server `name` on each of `nodes`; one that can not be reached is passed over."""
        requests.abcast(self.system, nodes, name, message)

    def spawn(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
        return self.system.spawn(function, *args, **kwargs)

    def spawn_opt(
        self,
        function: Callable[..., object],
        *args: Any,
        link: bool = False,
        mailbox: MailboxLimit | None = None,
        **kwargs: Any,
    ) -> Pid:
        """`spawn` with options: `link` with the current process, a bound on the `mailbox`."""
        parent = self._me() if link else None
        return self.system.spawn_function(function, args, kwargs, link=parent, mailbox=mailbox).pid

    def spawn_link(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
        return self.system.spawn_function(function, args, kwargs, link=self._me()).pid

    def spawn_monitor(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> tuple[Pid, Reference]:
        pid = self.system.spawn(function, *args, **kwargs)
        return pid, self.monitor(pid)

    def self_(self) -> Pid:
        """The pid of the current greenlet, which becomes a process of this node unless it is one."""
        return self._me().pid

    def receive(
        self,
        pattern: Any = api.ANYTHING,
        timeout: float | None = None,
        default: Any = api.RAISE,
        *,
        codec: Codec | None = None,
    ) -> Any:
        """`pyerlnode.receive` for a greenlet that becomes a process of this node unless it is one."""
        message = api.receive_as(self._me(), pattern, timeout, default)
        return message if message is default else read(message, codec or self.codec)

    def link(self, pid: Pid) -> None:
        """Raises `NoProc` for a process of this node that is not alive, unless the caller traps exits."""
        api.link_as(self._me(), pid)

    def unlink(self, pid: Pid) -> None:
        self.system.unlink(self._me(), pid)

    def monitor(self, dest: Any, *, alias: str | None = None, tag: Any = A.DOWN) -> Reference:
        """Exactly one ``(A.DOWN, ref, A.process, what, reason)`` to the current process; options as `api.monitor`."""
        return api.monitor_as(self._me(), dest, alias, tag)

    def demonitor(self, ref: Reference, *, flush: bool = False) -> bool:
        return self.system.demonitor(self._me(), ref, flush=flush)

    def exit(self, pid: Pid, reason: Any) -> None:
        """``exit(Pid, Reason)``."""
        self.system.exit(pid, reason)

    def process_flag(self, flag: str | Atom, value: Any) -> Any:
        return api.set_flag(self._me(), flag, value)

    def alias(self, kind: str = "explicit", *, priority: bool = False) -> Reference:
        """A reference to which others may send, until `unalias`; of the kind ``reply`` only the first message comes.

        With `priority`, OTP 28's: what is sent to it with the option ``priority`` comes before all ordinary messages.
        """
        return api.alias_as(self._me(), kind, priority)

    def unalias(self, alias: Reference) -> bool:
        return self.system.unalias(self._me(), alias)

    def processes(self) -> list[Pid]:
        """The pids of all processes of this node."""
        return [process.pid for process in self.system.processes.values()]

    def process_info(self, pid: Pid, items: Any = None) -> Any:
        """What is known of a process of this node: a dict, one item's value, or None when it is not alive."""
        return process_info(self.system, pid, items)

    def offload(self, function: Callable[..., T], *args: Any, in_process: bool = False, **kwargs: Any) -> T:
        """Run `function` in a thread, or in an OS process, and wait for what it gives; the node goes on."""
        return self.system.offload(function, *args, in_process=in_process, **kwargs)

    def register(self, name: Any, pid: Pid | None = None) -> None:
        """Register `pid`, or the current process, under `name`."""
        api.register_in(self.system, name, self._me().pid if pid is None else pid)

    def unregister(self, name: Any) -> bool:
        return self.system.registry.unregister(name)

    def whereis(self, name: Any) -> Pid | None:
        return self.system.whereis(name)

    def _me(self) -> Process:
        return adopt(self.system)
