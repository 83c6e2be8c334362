"""Rankings of processes: what may be asked, and what an answer says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.inspect import text_core as text
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

KEYS = {
    "memory": "memory",
    "reductions": "reductions",
    "queue": "message_queue_len",
    "binary": "binary",
    "heap": "total_heap_size",
    "stack": "stack_size",
}
"""Words for the items of `process_info/2` by which processes are ranked."""
HUGE = 100_000
"""Messages in a mailbox from which on its process is not asked for what walks all of them."""
MOST = 10_000
"""The most rows of one answer."""


@dataclass(frozen=True, slots=True)
class Row:
    """A process in a ranking; `value` and `memory` are None where they were not asked for, as its mailbox is huge."""

    pid: Pid
    value: int | None
    name: Atom | None
    initial_call: Any
    current_function: Any
    status: str
    queue: int
    reductions: int
    memory: int | None
    label: str | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """A page of processes, largest first: of `matched` that the filter left, of `all` on the node.

    `per` is the seconds in which the values grew, 0.0 of absolute ones.
    """

    node: str
    by: str
    per: float
    rows: tuple[Row, ...]
    matched: int
    all: int
    skip: int

    @property
    def cut(self) -> int:
        """How many more there are."""
        return max(0, self.matched - self.skip - len(self.rows))


def question(by: str, mode: Any, limit: int, skip: int, match: str) -> dict[Atom, Any]:
    if by not in KEYS:
        raise UsageError(f"processes are ranked by {', '.join(KEYS)}, not by {by!r}")
    if not 0 < limit <= MOST or skip < 0:
        raise UsageError(f"a page has 1 to {MOST} rows, and skips 0 or more")
    return {
        A.mode: mode,
        A.key: Atom(KEYS[by]),
        A.limit: limit,
        A.skip: skip,
        A["filter"]: match,
        A.huge: HUGE,
    }


def ranking(answer: dict[Any, Any], node: str, by: str, per: float, skip: int) -> Ranking:
    told = text.fields(answer)
    rows = tuple(_row(row) for row in told["rows"])
    return Ranking(node, by, per, rows, told["matched"], told["all"], skip)


def _row(row: tuple[Any, ...]) -> Row:
    pid, value, name, first, now, status, queue, reductions, memory, label = row
    return Row(
        pid,
        value if isinstance(value, int) else None,
        text.name(name),
        first,
        now,
        status.name,
        queue,
        reductions,
        memory if isinstance(memory, int) else None,
        text.text(label),
    )
