"""`Worker`: a function or a `GenServer` in an OS process of its own, behind a pid.

    node.start(Worker, "model:predict", name="model")         # GenServer.call(:model, x) gives predict(x)
    Supervise([{"id": "model", "start": (Worker, [Model, ["weights.bin"]], {"time_limit": 5.0, "spares": 1})}])

The pid is an ordinary one: it can be called, linked, monitored, supervised, and killed, and ``exit(Pid, kill)`` is
SIGKILL. Messages are handed on as they are, so the server inside sees who called, and answers the caller directly.

    it ended by                      exit reason
    the server's own stop or crash   as of any server
    SIGSEGV, SIGKILL, …              {os_signal, sigsegv}, {os_signal, sigkill}: the kernel's out-of-memory killer too
    more than `memory` bytes         out_of_memory
    more than `time_limit` seconds   time_limit: for one message, kept by the kernel
    exit(), os._exit()               {exit_status, N}

A warm start: `spares` OS processes that have imported the target stand by, and one of them is taken by the next start.
Between node and OS process go terms, never pickles. Inside, links to other processes do not exist, and `self_()` is not
the pid that others know; monitors, calls and sends to any process of the cluster work.
"""

from __future__ import annotations

import logging
from typing import Any, Final
from weakref import WeakKeyDictionary

import gevent

from pyerlnode.errors import EncodeError, StartFailed, UsageError
from pyerlnode.otp import gen
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Ignore, Stop
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference
from pyerlnode.workers.os_process import OsProcess

log = logging.getLogger("pyerlnode.workers")
BOOT: Final = 30.0
_spares: WeakKeyDictionary[System, dict[str, list[OsProcess]]] = WeakKeyDictionary()


class Worker(GenServer):
    """The process that stands for an OS process.

    ``init(target, args=(), memory=None, time_limit=None, spares=0)``: `target` is a function of one argument, a class
    of `GenServer`, or its ``module:name``; `args` those of the class's `init`; `memory` in bytes of address space.

    Export a subclass that says what it runs, not `Worker` itself. A peer that could name any function could run it; its
    texts are `bytes`, which are refused here.
    """

    _os: OsProcess
    _inner: Pid | None

    def init(
        self,
        target: Any,
        args: Any = (),
        memory: int | None = None,
        time_limit: float | None = None,
        spares: int = 0,
    ) -> Any:
        self.process.trap_exit = True
        system, named = self.process.system, name_of(target)
        self._inner = None
        self._watched: dict[tuple[int, ...], tuple[Reference, Reference]] = {}
        self._os = taken(system, named) or OsProcess(system)
        self._os.hold(self.process)
        self._os.on_term, self._os.on_end = self._hear, self._ended
        limits = {A.memory: memory, A.time: time_limit}
        given = {key: value for key, value in limits.items() if value is not None}
        answer = self._os.request("start", [self.pid, named.encode(), list(args), given], BOOT)
        if spares:
            gevent.spawn(stock, system, named, spares)
        if answer is A.ignore:
            return Ignore()
        if answer[0] is A.error:
            return Stop(answer[1])
        self._inner = answer[1]
        return None

    @property
    def os_pid(self) -> int:
        return self._os.pid

    def handle(self, message: Any) -> None:
        """Everything goes to the server inside; of exits and monitors the half that is ours is done here."""
        match message:
            case (A.EXIT, from_, reason):
                # The server inside traps exits or does not: it decides. To it the parent is this process.
                self._os.say((A.exit2, self.pid if from_ == self._parent else from_, A.server, reason))
                return
            case (A.DOWN, Reference() as ref, _, _, reason) if ref.words in self._watched:
                _, theirs = self._watched.pop(ref.words)
                self._os.say((A.down, theirs, reason))
                return
        try:
            self._os.say((A.send, A.server, message))
        except EncodeError as error:
            self._refuse(message, error)

    def _refuse(self, message: Any, error: EncodeError) -> None:
        """A local caller's argument that no term can be: its call ends with the error, and the worker lives."""
        if type(message) is tuple and len(message) == 3 and message[0] is gen.CALL:
            gen.reply(self.process.system, message[1], (A.error, (A.unencodable, str(error))))

    def _hear(self, term: tuple[Any, ...]) -> None:
        """What the OS process says, in its reader's greenlet."""
        system = self.process.system
        match term:
            case (A.send, to, message):
                system.send(to, message)
            case (A.exit, _, to, reason) if to == self.pid:
                self.process.exit(plain(reason))
            case (A.exit2, _, to, reason):
                system.exit(to, reason)
            case (A.monitor, ref, _, to) if self.process.alive:
                ours = system.monitor(self.process, to)
                self._watched[ours.words] = (ours, ref)
            case (A.demonitor, ref):
                for ours, theirs in list(self._watched.values()):
                    if theirs == ref:
                        del self._watched[ours.words]
                        system.demonitor(self.process, ours, flush=True)

    def _ended(self, reason: Any) -> None:
        self.process.exit(reason)


def plain(reason: Any) -> Any:
    """Running out of the memory that it may have is no ordinary exception of a worker."""
    match reason:
        case (A.python_error, b"MemoryError", *_):
            return A.out_of_memory
    return reason


def name_of(target: Any) -> str:
    """``module:qualified.name`` of a function or class that another interpreter can import."""
    if isinstance(target, str) and target.partition(":")[2]:
        return target
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", "<")
    if not module or module == "__main__" or "<" in name:
        raise UsageError(f"a worker imports what it runs: {target!r} is not a name of a module; put it into one")
    return f"{module}:{name}"


# --- spares ------------------------------------------------------------------------------------------
class _Shelf:
    """The handler of the process that holds a spare until it is taken."""

    def handle(self, message: Any) -> None:
        """Nobody knows its pid."""


def stock(system: System, target: str, count: int) -> None:
    """Have `count` OS processes stand by that have imported `target`; fewer when one does not come up."""
    try:
        _fill(system, target, count)
    except StartFailed as error:
        if not system.stopped:
            log.warning("no more spares for %s: %s", target, error)


def _fill(system: System, target: str, count: int) -> None:
    shelf = _spares.setdefault(system, {}).setdefault(target, [])
    shelf[:] = [spare for spare in shelf if spare.ended is None]
    while not system.stopped and sum(spare.ended is None for spare in shelf) < count:
        spare = OsProcess(system)
        shelf.append(spare)
        spare.hold(system.spawn_handler(_Shelf()))
        spare.request("load", [target.encode()], BOOT)


def taken(system: System, target: str) -> OsProcess | None:
    """A spare for `target`, if one stands by."""
    shelf = _spares.get(system, {}).get(target, [])
    while shelf:
        spare = shelf.pop(0)
        holder = spare._owner
        if spare.ended is None and holder is not None and holder.alive:
            return spare
    return None
