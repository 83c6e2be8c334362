"""The source that is an async generator: one task of the program's loop runs it, and is cancelled to close it."""

from __future__ import annotations

from asyncio import CancelledError, Event, Task
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from pyerlnode.kernel.streams.source import DONE, FAILED, ITEM, as_failure
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.process import Process


class Looped:
    """Runs in two threads: `run` and `down` are called in the hub, the rest in the loop."""

    def __init__(self, process: Process, generator: AsyncGenerator[Any, None]) -> None:
        self.stream = process
        self.generator = generator
        self.hub_loop = process.system.scheduler.loop
        self.loop = process.system.beside.loop
        self.credit = 0
        self.more: Event | None = None
        self.task: Task[None] | None = None
        self.closed = False

    def run(self, count: int) -> None:
        with suppress(RuntimeError):  # the loop is closed: the program ends, and the node with it
            self.loop.call_soon_threadsafe(self._allow, count)

    def down(self, reason: Any) -> None:
        del reason
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._close)

    def _allow(self, count: int) -> None:
        self.credit += count
        if self.task is None and not self.closed:
            self.more = Event()
            self.task = self.loop.create_task(self._drive())
        if self.more is not None:
            self.more.set()

    def _close(self) -> None:
        self.closed = True
        if self.task is not None:
            self.task.cancel()

    async def _drive(self) -> None:
        assert self.more is not None
        try:
            while True:
                while self.credit <= 0:
                    self.more.clear()
                    await self.more.wait()
                self.credit -= 1
                try:
                    value = await self.generator.__anext__()
                except StopAsyncIteration:
                    break
                self._tell((ITEM, value))
        except BaseException as error:
            if isinstance(error, CancelledError) and self.closed:
                raise
            self._tell((FAILED, as_failure(error)))
            if not isinstance(error, Exception):
                raise
        else:
            self._tell(DONE)
        finally:
            await self.generator.aclose()

    def _tell(self, what: Any) -> None:
        with suppress(ValueError):  # the hub has ended
            self.hub_loop.run_callback_threadsafe(edge(self.stream.deliver), what)
