"""A node at one moment, in sums, and what has changed between two: to find what leaks.

before = node.snapshot()
...
for change in compare(before, node.snapshot()): print(change.what, change.by)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.inspect import text_core as text
from pyerlnode.term.text import format_term

FORMAT = "pyerlnode snapshot 1"
KINDS = 500
"""Kinds of processes and names of tables that a snapshot has, the most numerous first."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Sums by what they are of: ``memory``, ``count``, ``begun gen_server:init_it/6 queue``, ``table ac_tab size``, …

    `at` is in seconds of the epoch.
    """

    node: str
    at: float
    sums: Mapping[str, int]

    def dump(self) -> str:
        """As JSON text, for `load`."""
        return json.dumps({"format": FORMAT, "node": self.node, "at": self.at, "sums": dict(self.sums)}, indent=1)


@dataclass(frozen=True, slots=True)
class Change:
    what: str
    before: int
    after: int

    @property
    def by(self) -> int:
        return self.after - self.before


def snapshot(answer: dict[Any, Any], at: float) -> Snapshot:
    told = text.fields(answer)
    return Snapshot(told["node"].name, at, dict(_sums(told)))


def _sums(told: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for name, count in text.fields(told["memory"]).items():
        yield f"memory {name}", count
    for name, count in text.fields(told["counts"]).items():
        yield f"count {name}", count
    for call, (count, queue, memory) in told["begun"]:
        of = f"processes of {text.mfa(call)}"
        yield from ((of, count), (f"messages at {of}", queue), (f"memory of {of}", memory))
    for name, (count, size, memory) in told["tables"]:
        of = f"tables {format_term(name, width=0)}"
        yield from ((of, count), (f"rows of {of}", size), (f"memory of {of}", memory))


def load(dumped: str) -> Snapshot:
    """What `dump` gave. Raises `UsageError` when it is something else."""
    try:
        document = json.loads(dumped)
        sums = {str(what): int(count) for what, count in document["sums"].items()}
        if document["format"] == FORMAT:
            return Snapshot(str(document["node"]), float(document["at"]), sums)
    except (ValueError, TypeError, KeyError, AttributeError):
        pass  # said below, as for another format
    raise UsageError("that is no snapshot: `pyerlnode record NODE` makes one")


def compare(before: Snapshot, after: Snapshot) -> tuple[Change, ...]:
    """What is not as before, by how much, in proportion to what it was: the most first."""
    names = {*before.sums, *after.sums}
    changes = [Change(name, before.sums.get(name, 0), after.sums.get(name, 0)) for name in names]
    moved = [change for change in changes if change.by]
    return tuple(sorted(moved, key=lambda c: (-abs(c.by) / (max(c.before, 0) + 10), -abs(c.by), c.what)))
