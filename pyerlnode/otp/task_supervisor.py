"""Tasks under a supervisor: they outlive their callers, or not, and end with it (Elixir's `Task.Supervisor`).

    tasks = TaskSupervisor.start_link(name="tasks")
    task = TaskSupervisor.async_nolink("tasks", fetch, url)
    task.await_()

It answers Elixir's own ``{start_task, …}``, so ``Task.Supervisor.async({:tasks, python}, M, :f, args)`` of a BEAM runs
the function that the program exported as ``M.f`` in a Python task, awaited and cancelled like any other. Closures of a
BEAM can not be run here; a task that is given one ends with `badfun`.

Elixir's protocol: the supervisor starts a process, which monitors its owner and waits for ``{Owner, Ref, ReplyTo,
Callers, {M, F, Args}}``; then it sends ``{Ref, Result}`` to ``ReplyTo``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pyerlnode.errors import Exit
from pyerlnode.otp import funs, where
from pyerlnode.otp.agent import run
from pyerlnode.otp.child_spec import WORKER_SHUTDOWN, ChildSpec, Start, child_spec
from pyerlnode.otp.dynamic_supervisor import Dynamic, DynamicSupervisor
from pyerlnode.otp.supervisor import child_pid
from pyerlnode.otp.task import Task, stream
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

SUPERVISED = A.Elixir.Task.Supervised
ORDER_TIME = 5.0
"""Seconds within which a started task is told what to do, as in Elixir."""


class TaskSupervisor(DynamicSupervisor):
    """A supervisor of tasks; its `init` takes what `Dynamic` takes."""

    __slots__ = ()

    def init(self, **options: Any) -> Any:
        return Dynamic(**options)

    def _request(self, request: Any) -> Any:
        match request:
            case (A.start_task, list(args), restart, shutdown):
                return self._start_task(args, restart, shutdown)
        return super()._request(request)

    def _start_task(self, args: list[Any], restart: Any, shutdown: Any) -> Any:
        """Elixir's: ``[Owner, monitor | nomonitor]``, the order follows; or ``[Owner, Callers, {M, F, Args}]``."""
        order = args[-1] if isinstance(args[-1], tuple) else None
        owner = _pid_in(args[0])
        body = (_ordered, (owner, args[-1] is not A.nomonitor)) if order is None else (_run, (order,))
        seconds = WORKER_SHUTDOWN if shutdown is None else shutdown / 1000 if type(shutdown) is int else shutdown
        return self._add(_spec(body[0], body[1], restart or A.temporary, seconds))

    # --- from Python ---------------------------------------------------------------------------
    @staticmethod
    def start_child(
        supervisor: Any,
        fn: Callable[..., Any],
        *args: Any,
        restart: str | Atom = "temporary",
        shutdown: float | str | Atom = WORKER_SHUTDOWN,
        on: Any = None,
    ) -> Pid | None:
        """Run ``fn(*args)`` for its effects; nobody is linked to it but its supervisor."""
        return _start(supervisor, _spec(fn, args, restart, shutdown), on)

    @staticmethod
    def async_(supervisor: Any, fn: Callable[..., Any], *args: Any, on: Any = None) -> Task:
        """`Task.async_` under a supervisor of this node: linked to the caller, too."""
        me = where.caller(on)
        return _begin(me, supervisor, fn, args, link=True)

    @staticmethod
    def async_nolink(supervisor: Any, fn: Callable[..., Any], *args: Any, on: Any = None) -> Task:
        """As `async_`, but a task that fails does not take the caller with it."""
        me = where.caller(on)
        return _begin(me, supervisor, fn, args, link=False)

    @staticmethod
    def async_stream(
        supervisor: Any,
        items: Iterable[Any],
        fn: Callable[..., Any],
        *args: Any,
        link: bool = True,
        max_concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = 5.0,
        on_timeout: str = "exit",
        on: Any = None,
    ) -> Iterator[tuple[Atom, Any]]:
        """`Task.async_stream` with tasks under `supervisor`; ``link=False`` is Elixir's `async_stream_nolink`."""
        me = where.caller(on)

        def begin(item: Any) -> Task:
            return _begin(me, supervisor, fn, (item, *args), link=link)

        return stream(me, items, begin, max_concurrency, ordered, timeout, on_timeout)

    @staticmethod
    def children(supervisor: Any, *, on: Any = None) -> list[Pid]:
        """The pids of the tasks."""
        found = where.call(supervisor, A.which_children, None, on)
        return [pid for _, pid, _, _ in found if isinstance(pid, Pid)]


def _spec(fn: Callable[..., Any], args: tuple[Any, ...], restart: Any, shutdown: Any) -> ChildSpec:
    start = Start(Task.start_link, (fn, *args), SUPERVISED, A.start_link)
    spec = child_spec(Task.start_link, restart=restart, shutdown=shutdown, id=A.undefined, modules=[SUPERVISED])
    return ChildSpec(spec.id, start, spec.restart, spec.shutdown, spec.type, spec.modules)


def _start(supervisor: Any, spec: ChildSpec, on: Any) -> Pid | None:
    return child_pid(where.call(supervisor, (A.start_child, spec), None, on))


def _begin(me: Process, supervisor: Any, fn: Callable[..., Any], args: tuple[Any, ...], *, link: bool) -> Task:
    system = me.system
    pid = where.started(_start(supervisor, _spec(_ordered, (me.pid, True), "temporary", WORKER_SHUTDOWN), system))
    if link:
        system.link(me, pid)
    ref = system.monitor(me, pid)
    system.send(pid, (me.pid, ref, me.pid, [], (lambda: fn(*args))))
    return Task(pid, ref, me.pid)


# --- the body of a task ------------------------------------------------------------------------
def _ordered(owner: Pid | None, watch: bool) -> None:
    """Wait to be told what to do, do it, tell the result."""
    me = require_current()
    system = me.system
    ref = system.monitor(me, owner) if watch and owner is not None else None

    def is_order(message: Any) -> bool:
        if type(message) is not tuple or len(message) != 5:
            return False
        if message[0] is A.DOWN:
            return type(message[1]) is Reference and message[1] == ref
        return type(message[0]) is Pid and message[0] == owner

    message = me.receive(is_order, ORDER_TIME)
    if message is NOTHING:
        raise Exit(A.timeout)
    if message[0] is A.DOWN:
        raise Exit((A.shutdown, message[4]))
    _, answer, to, _, what = message
    if ref is not None:
        system.demonitor(me, ref, flush=True)
    system.send(to, (answer, _run(what)))


def _run(what: Any) -> Any:
    """Elixir sends a fun as ``{erlang, apply, [Fun, Args]}``."""
    system = require_current().system
    match what:
        case (Atom(name="erlang"), Atom(name="apply"), [fun, [*args]]):
            return funs.called(system, fun, args)
    return run(system, what, ())


def _pid_in(term: Any) -> Pid | None:
    """The owner's pid: alone, or in Elixir's ``{Node, PidOrName, Pid}``."""
    if isinstance(term, Pid):
        return term
    if isinstance(term, tuple):
        return next((part for part in reversed(term) if isinstance(part, Pid)), None)
    return None
