"""`Worker`: a function or a `GenServer` in an OS process of its own, behind a pid.

    node.start(Worker, "model:predict", name="model")         # GenServer.call(:model, x) gives predict(x)
    Supervise([{"id": "model", "start": (Worker, [Model, ["weights.bin"]], {"time_limit": 5.0, "spares": 1})}])

The pid is an ordinary one: it can be called, linked, monitored, supervised, and killed, and ``exit(Pid, kill)`` is
SIGKILL. Messages are handed on as they are, so the server inside sees who called, and answers the caller directly.

A function is asked and answers: what it raises, `SystemExit` too, and a result that no term can be, end that one call
by an exit with the reason, and the OS process takes the next. A server lives and dies as any server does.

    it ended by                      exit reason
    the server's own stop or crash   as of any server
    SIGSEGV, SIGKILL, …              {os_signal, sigsegv}, {os_signal, sigkill}: the kernel's out-of-memory killer too
    more than `memory` bytes         out_of_memory
    more than `time_limit` seconds   time_limit: for one message, kept by the kernel
    os._exit(N)                      {exit_status, N}

A warm start: `spares` OS processes that have imported the target stand by, and one of them is taken by the next start.
Between node and OS process go terms, never pickles, and NumPy arrays by shared memory (`channel`). Inside, links to
other processes do not exist, and `self_()` is not the pid that others know; monitors and sends to any process of the
cluster work, and calls do by `inside`.
"""

from __future__ import annotations

from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.cluster.load import callers
from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.otp import gen
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Ignore, Stop
from pyerlnode.otp.where import system_of
from pyerlnode.term import exact
from pyerlnode.term.atom import A
from pyerlnode.term.containers import ImproperList
from pyerlnode.term.pid import Pid, Reference
from pyerlnode.workers.os_process import OsProcess
from pyerlnode.workers.spares import BOOT, Spares, shelf_of

GRACE: Final = 2.0
"""Seconds that the server inside has to end in when its parent has; then the OS process is killed."""


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
        system, named = self.process.system, name_of(target)
        self._inner = None
        self._watched: dict[tuple[int, ...], tuple[Reference, Reference]] = {}
        self._answers: dict[tuple[int, ...], _Answer] = {}
        shelf = shelf_of(system)
        self._os = shelf.take(named, self.process) or OsProcess(system, self.process)
        self._os.on_term, self._os.on_end = self._hear, self._ended
        limits = {A.memory: memory, A.time: time_limit}
        given = {key: value for key, value in limits.items() if value is not None}
        answer = self._os.request("start", [self.pid, named.encode(), list(args), given], BOOT)
        if spares:
            shelf.want(named, spares)
        if answer is A.ignore:
            return Ignore()
        if answer[0] is A.error:
            return Stop(answer[1])
        self._inner = answer[1]
        self.process.trap_exit = True  # not before: until then whatever ends its parent ends the start, and at once
        return None

    @staticmethod
    def spares(target: Any, *, on: Any = None) -> Spares:
        """How many OS processes stand by for `target` on the node `on`: `ready`, and `coming`."""
        return shelf_of(system_of(on)).count(name_of(target))

    @staticmethod
    def keep_spares(target: Any, count: int, *, on: Any = None) -> None:
        """Have `count` OS processes stand by for `target` on the node `on`, before the first worker is started."""
        shelf_of(system_of(on)).want(name_of(target), count)

    @staticmethod
    def await_spares(target: Any, *, on: Any = None, timeout: float | None = 30.0) -> Spares:
        """`spares`, when as many stand by as are wanted, or no more can be made; at most `timeout` seconds later."""
        shelf_of(system_of(on)).wait(name_of(target), timeout)
        return Worker.spares(target, on=on)

    @property
    def os_pid(self) -> int:
        return self._os.pid

    def handle(self, message: Any) -> None:
        """Everything goes to the server inside; of exits and monitors the half that is ours is done here."""
        match message:
            case (A.EXIT, Pid() as from_, reason):
                # The server inside traps exits or does not: it decides. To it the parent is this process.
                self._tell((A.exit2, self.pid if from_ == self.process.parent else from_, A.server), reason)
                if from_ == self.process.parent and self._orphaned(reason):
                    system = self.process.system
                    system.timers.start(GRACE, self.process.exit, reason)
            case (A.DOWN, Reference() as ref, _, _, reason) if ref.words in self._watched:
                _, theirs = self._watched.pop(ref.words)
                self._tell((A.down, theirs), reason)
            case _Answered():
                try:
                    self._os.say((A.send, gen.alias_of(message.tag), (message.tag, message.value)))
                except EncodeError as error:
                    self._os.say((A.send, gen.alias_of(message.tag), (message.tag, _unencodable(error))))
            case _:
                try:
                    self._os.say((A.send, A.server, message))
                except EncodeError as error:
                    self._refuse(message, error)

    def _orphaned(self, reason: Any) -> bool:
        """Whether the parent is gone: then nobody will lose patience with code that computes and does not hear."""
        parent, system = self.process.parent, self.process.system
        if isinstance(parent, Pid) and system.is_local(parent):
            return system.process(parent) is None
        return reason is A.killed or reason is A.noconnection

    def _tell(self, signal: tuple[Any, ...], reason: Any) -> None:
        """A signal that ends with a reason, which a local process chose freely."""
        try:
            self._os.say((*signal, reason))
        except EncodeError as error:
            self._os.say((*signal, (A.unencodable_reason, str(error).encode())))

    def _refuse(self, message: Any, error: EncodeError) -> None:
        """A local caller's argument that no term can be: its call ends with the error, and the worker lives."""
        if type(message) is tuple and len(message) == 3 and message[0] is gen.CALL:
            gen.reply(self.process.system, message[1], _unencodable(error))

    def _hear(self, term: tuple[Any, ...]) -> None:
        """What the OS process says, in its reader's greenlet."""
        system = self.process.system
        match term:
            case (A.send, to, (gen.CALL, (Pid(), tag), request)) if (ours := self._watches(tag)) is not None:
                # A call made inside. Its reference is not one of this node, so the monitor of the call, which is,
                # stands for it, and the answer is handed in.
                self._answers[ours.words] = system.aliases[ours.words] = _Answer(self, ours, tag)
                system.send(to, (gen.CALL, (self.pid, ImproperList((A.alias,), ours)), request))
            case (A.send, to, message):
                system.send(to, message)
            case (A.failed, from_, reason):
                self.failed(from_, reason)
            case (A.exit, _, Pid() as to, reason) if to == self.pid:
                self.process.exit(plain(reason))
            case (A.exit2, _, to, reason):
                system.exit(to, reason)
            case (A.monitor, ref, _, to) if self.process.alive:
                ours = system.monitor(self.process, to)
                self._watched[ours.words] = (ours, ref)
            case (A.demonitor, ref):
                for ours, theirs in list(self._watched.values()):
                    if exact.same(theirs, ref):
                        del self._watched[ours.words]
                        system.demonitor(self.process, ours, flush=True)
                        self.answered(ours)

    def failed(self, from_: Any, reason: Any) -> None:
        """The function raised in the call of `from_`: the call exits, and nobody else notices."""
        callers.end_call(self.process, from_, False, (A.error, reason), reason)

    def _watches(self, tag: Any) -> Reference | None:
        """Our monitor for a call inside with `tag`."""
        alias = gen.alias_of(tag)
        return next((ours for ours, theirs in self._watched.values() if theirs == alias), None)

    def answered(self, ours: Reference) -> None:
        """The call inside that `ours` stands for is over, or this process is."""
        if self._answers.pop(ours.words, None) is not None:
            self.process.system.aliases.pop(ours.words, None)

    def _ended(self, reason: Any) -> None:
        """The OS process has, and so has this one, or does now."""
        self.process.exit(reason)
        for answer in list(self._answers.values()):
            self.answered(answer.ours)


class _Answered:
    """In the mailbox of a worker: an answer to a call that was made inside."""

    __slots__ = ("tag", "value")

    def __init__(self, tag: Any, value: Any) -> None:
        self.tag = tag
        self.value = value


class _Answer:
    """What an alias of ours stands for: a call that is waited for inside."""

    __slots__ = ("ours", "tag", "worker")

    def __init__(self, worker: Worker, ours: Reference, tag: Any) -> None:
        self.worker = worker
        self.ours = ours
        self.tag = tag

    def reply(self, message: Any) -> None:
        """By way of the mailbox, as who delivers it may not wait until the OS process reads."""
        self.worker.answered(self.ours)
        if type(message) is tuple and len(message) == 2:
            self.worker.process.deliver(_Answered(self.tag, message[1]))


def _unencodable(error: EncodeError) -> Any:
    return A.error, (A.unencodable, str(error))


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
        raise UsageError(f"a worker imports what it runs: {short(target)} is not a name of a module; put it into one")
    return f"{module}:{name}"
