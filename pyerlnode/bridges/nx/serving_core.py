"""Batching as `Nx.Serving` does it, as a value: which rows of which request run together, where and when.

Reference: `Nx.Serving` 0.6 to 0.13, `handle_info/2` of the serving process and its stacks.

The law. Requests of one key are gathered in a *stack* of at most `limit` rows. A stack is *closed* when it is full, and
is *due* `timeout` seconds after its first row came. What is closed or due stands in one line for a free partition, and
what is due and still waits goes on growing. A request of exactly `limit` rows runs alone, behind what its key had
gathered. A request that does not fit is split, its rows in order; with ``split=False`` (streaming from inside a
batch, which Nx calls hooks) it begins a new stack, and more than `limit` rows are refused.

Beside Nx: rows that wait are bounded, and who finds no room is refused at once, whole; a request can be withdrawn; and
rows that come back from several partitions are put in order (`Ordered`), where Nx gives them as they come.

Time is an argument, in seconds. Keys and requests are any hashable values.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from pyerlnode.errors import UsageError
from pyerlnode.term.order import sort_key

FULL: Final = "serving_full"
TOO_LARGE: Final = "batch_too_large"


@dataclass(frozen=True, slots=True)
class Part:
    """`size` rows of `request`, from its row `first` on; in the batch they begin at `start`."""

    request: Any
    first: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Execution:
    """A batch that a partition is to run. `pad` rows are to be added to its `size`."""

    number: int
    key: Any
    partition: int
    size: int
    pad: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The request has not been taken: `why` is `FULL` or `TOO_LARGE`, `limit` the bound that it met."""

    request: Any
    why: str
    limit: int


Outcome = Execution | Refused


@dataclass(slots=True)
class _Stack:
    key: Any
    deadline: float
    count: int = 0
    due: bool = False
    open: bool = True
    rows: list[tuple[Any, int, int, int]] = field(default_factory=list)
    """(request, first, size, pad) in the order of coming."""


class Batcher:
    """The decisions of one serving.

    Args:
        limit: rows of a batch (Nx: `batch_size`).
        timeout: seconds for which a row waits for company (Nx: `batch_timeout`).
        partitions: batches that may run at once.
        waiting: rows that may wait, those that run not counted.
        split: whether a request may be divided among batches.
        pad: add rows to each batch up to `limit`, for models of a fixed shape.
    """

    def __init__(
        self,
        limit: int,
        timeout: float,
        *,
        partitions: int = 1,
        waiting: int = 10_000,
        split: bool = True,
        pad: bool = False,
    ) -> None:
        if limit < 1 or partitions < 1 or waiting < 1 or timeout < 0:
            raise UsageError("batch_size, partitions and waiting are at least 1, and batch_timeout is not negative")
        self.limit = limit
        self.timeout = timeout
        self.bound = waiting
        self.waiting = 0
        """Rows that wait now."""
        self._split = split
        self._pad = pad
        self._numbers = 0
        self._free = deque(range(partitions))
        self._stacks: dict[Hashable, _Stack] = {}
        self._line: deque[_Stack] = deque()
        self._running: dict[int, Execution] = {}

    # --- what happens --------------------------------------------------------------------------
    def add(self, request: Hashable, key: Hashable, size: int, now: float, *, pad: int = 0) -> list[Outcome]:
        """A request of `size` rows has come; `pad` rows are to follow its last one when its batch is run."""
        if size < 1 or pad < 0:
            raise UsageError("a batch has at least one row")
        if not self._split and size > self.limit:
            return [Refused(request, TOO_LARGE, self.limit)]
        if self.waiting + size > self.bound:
            return [Refused(request, FULL, self.bound)]
        self.waiting += size
        held = self._stacks.get(key)
        if held is not None and (size == self.limit or (not self._split and held.count + size > self.limit)):
            self._close(held)
        first = 0
        while first < size:
            stack = self._stack(key, now)
            taken = min(size - first, self.limit - stack.count)
            stack.rows.append((request, first, taken, pad if first + taken == size else 0))
            stack.count += taken
            first += taken
            if stack.count == self.limit:
                self._close(stack)
        return self._run_due(now)

    def expire(self, now: float) -> list[Outcome]:
        """Time has passed."""
        return self._run_due(now)

    def done(self, number: int) -> list[Outcome]:
        """The execution `number` has ended, however it did."""
        ended = self._running.pop(number, None)
        if ended is not None:
            self._free.append(ended.partition)
        return self._run()

    def withdraw(self, request: Hashable) -> int:
        """Forget the rows of `request` that wait; how many there were."""
        gone = 0
        for stack in {id(stack): stack for stack in (*self._stacks.values(), *self._line)}.values():
            kept = [row for row in stack.rows if row[0] != request]
            count = sum(row[2] for row in kept)
            gone += stack.count - count
            stack.rows, stack.count = kept, count
            if not count and stack.open:
                self._close(stack)
        self.waiting -= gone
        return gone

    def stop(self) -> list[Any]:
        """Forget all that waits; the requests, each once. What runs goes on, and those may be among them."""
        stacks = {id(stack): stack for stack in (*self._line, *self._stacks.values())}.values()
        requests = dict.fromkeys(row[0] for stack in stacks for row in stack.rows)
        self._stacks.clear()
        self._line.clear()
        self.waiting = 0
        return list(requests)

    def next_deadline(self) -> float | None:
        """When `expire` is to be called, None when there is nothing to wait for."""
        return min((stack.deadline for stack in self._stacks.values() if not stack.due), default=None)

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def keys(self) -> int:
        """Keys that have rows waiting for company."""
        return len(self._stacks)

    # --- stacks --------------------------------------------------------------------------------
    def _stack(self, key: Hashable, now: float) -> _Stack:
        stack = self._stacks.get(key)
        if stack is None:
            stack = self._stacks[key] = _Stack(key, now + self.timeout)
        return stack

    def _close(self, stack: _Stack) -> None:
        stack.open = False
        del self._stacks[stack.key]
        if not stack.due and stack.count:
            self._line.append(stack)

    def _run_due(self, now: float) -> list[Outcome]:
        for stack in self._stacks.values():
            if not stack.due and stack.deadline <= now:
                stack.due = True
                self._line.append(stack)
        return self._run()

    def _run(self) -> list[Outcome]:
        begun: list[Outcome] = []
        while self._free and self._line:
            stack = self._line.popleft()
            if stack.open:
                stack.open = False
                del self._stacks[stack.key]
            if stack.count:
                begun.append(self._begin(stack))
        return begun

    def _begin(self, stack: _Stack) -> Execution:
        parts, start, pad = [], 0, 0
        for request, first, size, padding in stack.rows:
            parts.append(Part(request, first, start, size))
            start += size
            pad += padding
        if self._pad:
            pad = max(pad, self.limit - start)
        self._numbers += 1
        self.waiting -= start
        execution = Execution(self._numbers, stack.key, self._free.popleft(), start, pad, tuple(parts))
        self._running[execution.number] = execution
        return execution


class Ordered:
    """The results of one request, whose pieces may come in any order, given in the order of its rows."""

    __slots__ = ("_ahead", "_next", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._next = 0
        self._ahead: dict[int, tuple[int, Any]] = {}

    def add(self, first: int, size: int, value: Any) -> list[Any]:
        """`value` are the `size` rows from `first` on; those that are next in order now."""
        self._ahead[first] = size, value
        given = []
        while self._next in self._ahead:
            size, value = self._ahead.pop(self._next)
            self._next += size
            given.append(value)
        return given

    @property
    def complete(self) -> bool:
        return self._next == self.size


# --- containers: what Nx calls a tensor, or a tuple or map of containers --------------------------
def leaves(container: Any) -> list[Any]:
    """What stands in a container, in the order in which Nx traverses it: maps by their keys in term order."""
    if type(container) is tuple:
        return [leaf for item in container for leaf in leaves(item)]
    if isinstance(container, dict):
        return [leaf for key in sorted(container, key=sort_key) for leaf in leaves(container[key])]
    return [container]


def rebuild(container: Any, given: Iterable[Any]) -> Any:
    """A container of the same form with other leaves."""
    return _rebuild(container, iter(given))


def _rebuild(container: Any, given: Any) -> Any:
    if type(container) is tuple:
        return tuple(_rebuild(item, given) for item in container)
    if isinstance(container, dict):
        return {key: _rebuild(container[key], given) for key in sorted(container, key=sort_key)}
    return next(given)


def mapped(function: Callable[[Any], Any], container: Any) -> Any:
    """`function` of each leaf."""
    return rebuild(container, map(function, leaves(container)))


def rows(container: Any, start: int, size: int) -> Any:
    """`size` rows from `start` on of each leaf, along its first axis. Copies nothing of an array."""
    return mapped(lambda leaf: leaf[start : start + size], container)


def form(container: Any, of: Callable[[Any], Hashable]) -> Hashable:
    """A hashable value that is equal for containers of one form whose leaves are alike, as `of` sees them."""
    if type(container) is tuple:
        return ("tuple", *(form(item, of) for item in container))
    if isinstance(container, dict):
        return ("map", *((key, form(container[key], of)) for key in sorted(container, key=sort_key)))
    return of(container)
