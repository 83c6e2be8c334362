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
not, goes to the caller as a stream (`kernel.streams`). When the process is ended meanwhile,
by a supervisor or an exit, the task is cancelled.
"""

from __future__ import annotations

import functools
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Callable
from contextlib import suppress
from inspect import isasyncgenfunction, iscoroutine, iscoroutinefunction
from types import FunctionType
from typing import Any, ClassVar

from pyerlnode.errors import UsageError
from pyerlnode.kernel.streams.handle import GENERATORS
from pyerlnode.kernel.streams.server import stream_for
from pyerlnode.otp import gen_server
from pyerlnode.otp.behaviour import CALLBACKS
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.mailbox import REPLY, Waiter


class GenServer(gen_server.GenServer):
    """A GenServer whose callbacks may be coroutine functions. Start it in a node that `aio.connect` has opened.

    Plain callbacks run in the hub's thread. In a coroutine, which runs in the loop's, `self.reply` may be called, and
    `self.cluster` has the rest of the node: ``await self.cluster.call(…)``.
    """

    __slots__ = ()
    _awaits: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        found = ((name, vars(cls).get(name)) for name in CALLBACKS)
        coroutines = [name for name, value in found if type(value) is FunctionType and iscoroutinefunction(value)]
        super().__init_subclass__(**kwargs)
        for name in coroutines:
            setattr(cls, name, _awaited(vars(cls)[name]))

    @property
    def cluster(self) -> Any:
        """The `aio.Cluster` in which it was started."""
        return self.process.system.beside


def _awaited(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        process = self.process
        result = wait_for(process.system, functools.partial(callback, self, *args, **kwargs))
        if type(result) is Reply and type(result.value) in GENERATORS:
            result.value = stream_for(process, result.value, args[1][0])
        return result

    called.__awaited__ = callback  # type: ignore[attr-defined]  # for `otp.unmatched`, which reads its source
    return called


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
