"""Servers and functions that are coroutines: they run in the program's asyncio loop, and are processes of the node.

    class Pages(aio.GenServer):
        async def init(self):
            self.session = aiohttp.ClientSession()
        async def handle_call(self, request, from_):
            async with self.session.get(text(request)) as answer:
                return Reply(await answer.read())
        async def terminate(self, reason):
            await self.session.close()

The process lives in the node's hub, as each of them; a callback that is a coroutine function becomes a task of the loop
in which `aio.connect` was awaited, and the process waits for it. So it handles one message at a time, is linked,
monitored, supervised and stopped as any other, and what a callback raises ends it. A generator in its `Reply`, async or
not, goes to the caller as a stream, a `Kept` object as a handle (`kernel.remote.giving`). When the process is ended
meanwhile, by a supervisor or an exit, the task is cancelled. `GenStatem` and `EventHandler` are the same for state
machines and handlers of events.
"""

from __future__ import annotations

import functools
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Callable
from contextlib import suppress
from inspect import isasyncgenfunction, iscoroutine, iscoroutinefunction
from typing import Any, ClassVar

from pyerlnode.errors import UsageError
from pyerlnode.kernel.remote.giving import GIVEN, give
from pyerlnode.otp import gen_event, gen_server, gen_statem
from pyerlnode.otp.coroutines import coroutines_of, is_state, refuse_coroutines
from pyerlnode.otp.reserved import is_ours
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.mailbox import REPLY, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.threads import get_ident


class Awaited:
    """Makes callbacks that are coroutine functions such as a process can call. Mixed in before the behaviour."""

    __slots__ = ()
    _awaits: ClassVar[tuple[str, ...]] = ()
    """Callbacks that may be coroutine functions."""
    _by_state: ClassVar[bool] = False
    """Whether state functions are callbacks."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        found = [(name, value) for name, value, _ in coroutines_of(cls) if cls._is_awaited(name, value)]
        super().__init_subclass__(**kwargs)
        for name, value in found:
            setattr(cls, name, _awaited(vars(cls).get(name, value)))

    @classmethod
    def _is_awaited(cls, name: str, value: Any) -> bool:
        """Whether the coroutine function `value` is called by us; an async generator, or no plain method, is not."""
        if not iscoroutinefunction(value):
            return False
        ours = any(name in vars(base) and is_ours(base) for base in cls.__mro__)
        return name in cls._awaits if ours else cls._by_state and is_state(name, value)

    @classmethod
    def _refuse_coroutines(cls) -> None:
        """What is awaited by now is none any more."""
        found = [name for name, value, _ in coroutines_of(cls) if cls._is_awaited(name, value)]
        refuse_coroutines(cls, found, by_state=cls._by_state)

    @property
    def cluster(self) -> Any:
        """The `aio.Cluster` in which it was started."""
        return _process_of(self).system.beside


class GenServer(Awaited, gen_server.GenServer):
    """A GenServer whose callbacks may be coroutine functions. Start it in a node that `aio.connect` has opened.

    Plain callbacks run in the hub's thread. In a coroutine, which runs in the loop's, `self.reply` may be called, and
    `self.cluster` has the rest of the node: ``await self.cluster.call(…)``.
    """

    __slots__ = ()
    _awaits = ("init", "handle_call", "handle_cast", "handle_info", "handle_continue", "terminate")


class GenStatem(Awaited, gen_statem.GenStatem):
    """A state machine whose callbacks, state functions among them, may be coroutine functions; else as `GenServer`."""

    __slots__ = ()
    _awaits = ("init", "handle_event", "terminate")
    _by_state = True


class EventHandler(Awaited, gen_event.EventHandler):
    """A handler of events whose callbacks may be coroutine functions.

    Its manager waits for each, as for any handler: other handlers and events come after it.
    """

    _awaits = ("init", "handle_event", "handle_call", "handle_info", "terminate")


def _process_of(callbacks: Any) -> Process:
    process: Process = (callbacks.manager if isinstance(callbacks, gen_event.EventHandler) else callbacks).process
    return process


def _awaited(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        process = _process_of(self)
        function = functools.partial(callback, self, *args, **kwargs)
        if process.system.scheduler.thread != get_ident():  # by a coroutine: ``await super().init()``
            return _direct(function)
        result = wait_for(process.system, function)
        if type(result) is Reply and type(result.value) in GIVEN and isinstance(self, GenServer):
            result.value = give(result.value, lambda: args[1][0])
        return result

    called.__awaited__ = callback  # type: ignore[attr-defined]  # for `otp.unmatched`, which reads its source
    return called


async def _direct(function: Callable[[], Any]) -> Any:
    value = function()  # the answer to a request that is not of its type is no coroutine
    return await value if iscoroutine(value) else value


def awaitable(system: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` itself, or for a coroutine function or an async generator what a process calls in its place."""
    if isasyncgenfunction(function):
        return functools.wraps(function)(lambda *args, **kwargs: function(*args, **kwargs))
    if not iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return wait_for(system, functools.partial(function, *args, **kwargs))

    return called


def wait_for(system: Any, function: Callable[[], Any]) -> Any:
    """In a process: run `function`, and what it gives to be awaited, in the loop; its outcome is that of the call."""
    cluster = system.beside
    if cluster is None:
        raise UsageError(f"{system.node} runs beside no asyncio loop: start what has coroutines by aio.Cluster")
    running = Running(cluster.loop, system)
    try:
        cluster.loop.call_soon_threadsafe(running.start, function)
    except RuntimeError as error:
        raise UsageError(f"the asyncio loop beside {system.node} is closed") from error
    try:
        running.waiter.wait(None)
    except BaseException:
        with suppress(RuntimeError):  # the loop is closed, and the task gone with it
            cluster.loop.call_soon_threadsafe(running.cancel)
        raise
    if running.error is not None:
        raise running.error
    return running.result


class Running:
    """One task of the loop, and the process that waits for it."""

    def __init__(self, loop: AbstractEventLoop, system: Any) -> None:
        self.loop = loop
        self.hub_loop = system.scheduler.loop
        self.waiter = Waiter(system.scheduler, system.timers)
        self.task: Task[Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def start(self, function: Callable[[], Any]) -> None:
        """In the loop."""
        try:
            value = function()
        except BaseException as error:
            self.error = error
            self.tell()
            return
        if iscoroutine(value):
            self.task = self.loop.create_task(value)
            self.task.add_done_callback(self.done)
        else:
            self.result = value
            self.tell()

    def done(self, task: Task[Any]) -> None:
        """In the loop."""
        if task.cancelled():
            self.error = CancelledError()
        else:
            self.error = task.exception()
            if self.error is None:
                self.result = task.result()
        self.tell()

    def tell(self) -> None:
        with suppress(ValueError):  # the hub has ended, and with it who waits
            self.hub_loop.run_callback_threadsafe(edge(self.waiter.settle), REPLY, None)

    def cancel(self) -> None:
        """In the loop: nobody waits for it any more."""
        if self.task is not None:
            self.task.cancel()
