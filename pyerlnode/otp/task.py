"""Task: a function that runs in a process of its own, and its result (Elixir's `Task`).

    task = Task.async_(fetch, url)
    ...
    page = task.await_(timeout=5.0)

    for outcome in Task.async_stream(urls, fetch, max_concurrency=8): ...

The task is linked to the one who made it and monitored by it; its result comes as the message ``(ref, result)``. So a
server need not wait: the result, or the DOWN, arrives in its `handle_info`. Only the owner may await.

A task that raises ends with Python's exception as its reason, and its owner with it, unless that traps exits; with
`TaskSupervisor.async_nolink` it is only told. On the network, a task is a process like any other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from pyerlnode.brief import BRIEF, told
from pyerlnode.errors import CallTimeout, Exit, UsageError
from pyerlnode.otp import where
from pyerlnode.otp.child_spec import ChildSpec, child_spec
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.process import Process, current
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

TASK = A.Elixir.Task
Run = Callable[["Process", Callable[..., Any], tuple[Any, ...]], "Task"]


class Task:
    """A task under way, as its owner holds it."""

    __slots__ = ("owner", "pid", "ref")

    def __init__(self, pid: Pid, ref: Reference, owner: Pid) -> None:
        self.pid = pid
        self.ref = ref
        self.owner = owner

    def __repr__(self) -> str:
        return f"<Task {self.pid} of {self.owner}>"

    # --- starting ------------------------------------------------------------------------------
    @staticmethod
    def async_(fn: Callable[..., Any], *args: Any, on: Any = None, **kwargs: Any) -> Task:
        """Run ``fn(*args, **kwargs)`` in a process linked to the caller."""
        return begin(where.caller(on), fn, args, kwargs)

    @staticmethod
    def start(fn: Callable[..., Any], *args: Any, on: Any = None, **kwargs: Any) -> Pid:
        """Run it for its effects alone, linked to nobody."""
        return where.system_of(on).spawn(fn, *args, **kwargs)

    @staticmethod
    def start_link(fn: Callable[..., Any], *args: Any, on: Any = None, **kwargs: Any) -> Pid:
        """As `start`, linked to the caller: for supervisors."""
        me = where.caller(on)
        system: System = me.system
        return system.spawn_function(fn, args, kwargs, link=me).pid

    @staticmethod
    def child_spec(fn: Callable[..., Any], *args: Any, **overrides: Any) -> ChildSpec:
        """``(Task, fn, *args)`` as a child: temporary, as a task that has ended is done."""
        return child_spec(Task.start_link, fn, *args, **{"id": TASK, "restart": A.temporary, **overrides})

    # --- its result ----------------------------------------------------------------------------
    def await_(self, timeout: float | None = 5.0) -> Any:
        """The result. Raises `CallTimeout` (the task runs on), or `Exit` with the reason it ended with."""
        me = self._owner()
        found = self._outcome(me, timeout)
        if found is None:
            me.system.demonitor(me, self.ref, flush=True)
            raise CallTimeout((A.timeout, self._where(timeout)), f"{self} did not end within {timeout} s")
        return self._value(found, timeout)

    def _value(self, found: tuple[Atom, Any], timeout: float | None) -> Any:
        what, value = found
        if what is A.ok:
            return value
        raise Exit((value, self._where(timeout)), f"{self} ended: {told(value, 2 * BRIEF)}")

    def yield_(self, timeout: float | None = 5.0) -> tuple[Atom, Any] | None:
        """``(A.ok, result)``, ``(A.exit, reason)``, or None when it still runs after `timeout`."""
        return self._outcome(self._owner(), timeout)

    def shutdown(self, timeout: float | str | Atom | None = 5.0) -> tuple[Atom, Any] | None:
        """End it: the exit signal `shutdown`, `kill` after `timeout` seconds, ``"brutal_kill"`` at once.

        Gives its result when that had come already, ``(A.exit, reason)`` when it ended by something else, else None.
        """
        me = self._owner()
        brutal = str(timeout) == "brutal_kill"
        found = self._outcome(me, 0)
        if found is None:
            me.system.exit(self.pid, A.kill if brutal else A.shutdown)
            wait = None if brutal or isinstance(timeout, (str, Atom)) else timeout
            found = self._outcome(me, wait)
            if found is None:
                me.system.exit(self.pid, A.kill)
                found = self._outcome(me, None)
        me.system.unlink(me, self.pid)
        take_exit(me, self.pid)
        return None if found in ((A.exit, A.shutdown), (A.exit, A.killed)) else found

    def ignore(self) -> tuple[Atom, Any] | None:
        """Let it run on alone: no message of it will come. Gives what had come already."""
        me = self._owner()
        found = self._outcome(me, 0)
        me.system.demonitor(me, self.ref, flush=True)
        me.system.unlink(me, self.pid)
        return found

    @staticmethod
    def await_many(tasks: Iterable[Task], timeout: float | None = 5.0) -> list[Any]:
        """The results, in the order of `tasks`; the time-out is for all of them together."""
        tasks = list(tasks)
        deadline = _Deadline(tasks[0]._owner().system, timeout) if tasks else None
        return [task.await_(deadline.left()) for task in tasks if deadline is not None]

    @staticmethod
    def yield_many(tasks: Iterable[Task], timeout: float | None = 5.0) -> list[tuple[Task, tuple[Atom, Any] | None]]:
        """Each task with what `yield_` gives for it, after at most `timeout` seconds."""
        tasks = list(tasks)
        deadline = _Deadline(tasks[0]._owner().system, timeout) if tasks else None
        return [(task, task.yield_(deadline.left())) for task in tasks if deadline is not None]

    def _owner(self) -> Process:
        me = current()
        if me is None or me.pid != self.owner:
            raise UsageError(f"{self} is awaited by {me and me.pid}; only its owner can")
        return me

    def _outcome(self, me: Process, timeout: float | None) -> tuple[Atom, Any] | None:
        ref = self.ref

        def is_ours(message: Any) -> bool:
            if type(message) is not tuple:
                return False
            if len(message) == 2:
                return type(message[0]) is Reference and message[0] == ref
            return len(message) == 5 and message[0] is A.DOWN and type(message[1]) is Reference and message[1] == ref

        message = me.receive(is_ours, timeout, since=ref)
        if message is NOTHING:
            return None
        if len(message) == 2:
            me.system.demonitor(me, ref, flush=True)
            return A.ok, message[1]
        return A.exit, message[4]

    def _where(self, timeout: float | None) -> tuple[Any, ...]:
        return TASK, A["await"], [self.pid, A.infinity if timeout is None else round(timeout * 1000)]

    # --- many ----------------------------------------------------------------------------------
    @staticmethod
    def async_stream(
        items: Iterable[Any],
        fn: Callable[..., Any],
        *args: Any,
        max_concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = 5.0,
        on_timeout: str = "exit",
        on: Any = None,
    ) -> Iterator[tuple[Atom, Any]]:
        """``(A.ok, fn(item, *args))`` for each item, each in a task, at most `max_concurrency` at a time.

        Items are taken as they are needed. Results that were not fetched count as under way, so nothing piles up.

        Args:
            max_concurrency: the number of processors unless given.
            ordered: results in the order of the items; else as they come.
            timeout: seconds for each task. `on_timeout`: ``exit`` ends the caller, ``kill_task`` gives ``(A.exit,
                A.timeout)`` for it.
        """
        me = where.caller(on)

        def run(item: Any) -> Task:
            return begin(me, fn, (item, *args), {})

        return stream(me, items, run, max_concurrency, ordered, timeout, on_timeout)


class _Deadline:
    def __init__(self, system: System, timeout: float | None) -> None:
        self.now = system.timers.now
        self.ends = None if timeout is None else self.now() + timeout

    def left(self) -> float | None:
        return None if self.ends is None else max(0.0, self.ends - self.now())


def begin(me: Process, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task:
    """A task linked to and monitored by `me`. It does not run before its monitor stands."""
    system: System = me.system
    if not callable(fn):
        raise UsageError(f"a task runs a function, not {type(fn).__name__}")
    refs: list[Reference] = []
    process = system.spawn_function(_run, (system, me.pid, refs, fn, args, kwargs), {}, link=me)
    ref = system.monitor(me, process.pid)
    refs.append(ref)
    return Task(process.pid, ref, me.pid)


def _run(
    system: System, owner: Pid, refs: list[Reference], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any
) -> None:
    system.send(owner, (refs[0], fn(*args, **kwargs)))


def take_exit(me: Process, pid: Pid) -> None:
    """Remove the exit message of `pid`, if it is there."""
    if me.queue:
        me.receive(lambda m: _is_exit(m) and type(m[1]) is Pid and m[1] == pid, 0)


def _is_exit(message: Any) -> bool:
    return type(message) is tuple and len(message) == 3 and message[0] is A.EXIT


# --- streams -----------------------------------------------------------------------------------
def stream(
    me: Process,
    items: Iterable[Any],
    run: Callable[[Any], Task],
    most: int | None,
    ordered: bool,
    timeout: float | None,
    on_timeout: str,
) -> Iterator[tuple[Atom, Any]]:
    """See `Task.async_stream`; `run` makes the task of an item. The arguments are checked at once."""
    most = (os.cpu_count() or 1) if most is None else most
    if type(most) is not int or most < 1:
        raise UsageError("max_concurrency is an integer, 1 or more")
    if on_timeout not in ("exit", "kill_task"):
        raise UsageError("on_timeout is 'exit' or 'kill_task'")
    return _Stream(me, iter(items), run, most, ordered, timeout, on_timeout == "kill_task").outcomes()


class _Stream:
    def __init__(
        self,
        me: Process,
        items: Iterator[Any],
        run: Callable[[Any], Task],
        most: int,
        ordered: bool,
        timeout: float | None,
        kills: bool,
    ) -> None:
        self.me = me
        self.items = items
        self.run = run
        self.most = most
        self.ordered = ordered
        self.timeout = timeout
        self.kills = kills
        self.running: dict[tuple[int, ...], tuple[int, Task, float | None]] = {}
        """By the words of the reference: position, task, deadline; in the order of their start."""
        self.done: dict[int, tuple[Atom, Any]] = {}
        self.begun = 0
        self.given = 0
        self.exhausted = False

    def outcomes(self) -> Iterator[tuple[Atom, Any]]:
        try:
            while True:
                self._fill()
                if self.ordered and self.given in self.done:
                    yield self._give(self.given)
                elif not self.ordered and self.done:
                    yield self._give(next(iter(self.done)))
                elif self.running:
                    self._wait()
                else:
                    return
        finally:
            for _, task, _ in list(self.running.values()):
                self._drop(task, A.kill)

    def _fill(self) -> None:
        while not self.exhausted and len(self.running) + len(self.done) < self.most:
            try:
                item = next(self.items)
            except StopIteration:
                self.exhausted = True
                return
            task = self.run(item)
            deadline = None if self.timeout is None else self.me.system.timers.now() + self.timeout
            self.running[task.ref.words] = self.begun, task, deadline
            self.begun += 1

    def _give(self, position: int) -> tuple[Atom, Any]:
        self.given += 1
        return self.done.pop(position)

    def _wait(self) -> None:
        """Until one has an outcome. All have the same time, so the first that runs is the first that is late."""
        first, task, deadline = next(iter(self.running.values()))
        left = None if deadline is None else max(0.0, deadline - self.me.system.timers.now())
        message = self.me.receive(self._is_ours, left)
        if message is NOTHING:
            self._drop(task, A.kill)
            if not self.kills:
                self._timed_out()
            self.done[first] = A.exit, A.timeout
        elif len(message) == 2:
            position, task, _ = self.running[message[0].words]
            self._drop(task, None)
            self.done[position] = A.ok, message[1]
        else:
            position, task, _ = self.running[message[1].words]
            self._drop(task, None)
            self.done[position] = A.exit, message[4]

    def _is_ours(self, message: Any) -> bool:
        if type(message) is not tuple:
            return False
        if len(message) == 2:
            return type(message[0]) is Reference and message[0].words in self.running
        if len(message) != 5 or message[0] is not A.DOWN or type(message[1]) is not Reference:
            return False
        return message[1].words in self.running

    def _timed_out(self) -> NoReturn:
        milliseconds = round((self.timeout or 0.0) * 1000)
        reason = (A.timeout, (A.Elixir.Task.Supervised, A.stream, [milliseconds]))
        raise CallTimeout(reason, f"a task of the stream did not end within {self.timeout} s")

    def _drop(self, task: Task, signal: Atom | None) -> None:
        """No message of `task` comes any more, not even its exit, which Elixir keeps from the caller, too."""
        me = self.me
        self.running.pop(task.ref.words, None)
        me.system.demonitor(me, task.ref, flush=True)
        me.system.unlink(me, task.pid)
        if signal is not None:
            me.system.exit(task.pid, signal)
        if me.trap_exit:
            take_exit(me, task.pid)
