"""What runs the generator of a stream: `Pulled` one of plain Python; `looped` one of coroutines."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, Protocol

from pyerlnode.runtime.edges import caught
from pyerlnode.runtime.mailbox import REPLY, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.reason_core import caught_class
from pyerlnode.term.atom import A

# What a source tells: objects, which no peer can send.
ITEM: Final = object()
DONE: Final = object()
FAILED: Final = object()


class Source(Protocol):
    """What runs the generator for a stream."""

    def run(self, count: int) -> None:
        """Make so many items more, and tell each."""

    def down(self, reason: Any) -> None:
        """The stream has ended: close the generator. Never waits."""


class Pulled:
    """The source that is a generator of plain Python."""

    def __init__(self, process: Process, generator: Generator[Any, None, None]) -> None:
        self.stream = process
        self.generator = generator
        self.body: Process | None = None
        self.credit = 0
        self.waiter: Waiter | None = None

    def run(self, count: int) -> None:
        self.credit += count
        if self.body is None:
            body = self.body = self.stream.system.spawn_function(self._pull, (), {})
            body.monitored_by = {self: _Ended(self)}
        elif self.waiter is not None:
            self.waiter.settle(REPLY, None)

    def down(self, reason: Any) -> None:
        del reason
        if self.body is None:
            self.generator.close()  # it has not begun, so nothing of it runs
        else:
            self.body.exit(A.shutdown)

    def _pull(self) -> None:
        tell = self.stream.deliver
        try:
            while True:
                self._wait()
                self.credit -= 1
                try:
                    value = next(self.generator)
                except StopIteration:
                    break
                tell((ITEM, value))
        except BaseException as error:
            caught(error)  # goes on as what it is when this process was ended
            tell((FAILED, as_failure(error)))
        else:
            tell(DONE)
        finally:
            self.generator.close()

    def _wait(self) -> None:
        system = self.stream.system
        while self.credit <= 0:
            self.waiter = Waiter(system.scheduler, system.timers)
            self.waiter.wait(None)


class _Ended:
    """Tells a stream of the end of its generator's process: if that was ended from outside, it has not said so."""

    def __init__(self, source: Pulled) -> None:
        self.source = source

    def down(self, reason: Any) -> None:
        self.source.stream.deliver((FAILED, (A.exit, reason, [])))


def as_failure(error: BaseException) -> tuple[Any, Any, Any]:
    """``Class, Reason, Stack`` of what a generator raised."""
    trace = error.__traceback__
    error.__traceback__ = trace and trace.tb_next
    return caught_class(error)
