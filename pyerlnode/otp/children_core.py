"""The children of a supervisor, and the restarts that count: tables that are changed in place.

There may be 100,000 children, so nothing here copies or walks them to find one: a child is found by the identity of its
id (`term.exact`: 1, 1.0 and true are three ids, and any term is one), or by its pid, and the order of their start is
the order of the table. What takes time in the number of children says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pyerlnode.otp.child_spec import ChildSpec
from pyerlnode.term.exact import Key, key
from pyerlnode.term.pid import Pid


@dataclass(frozen=True, slots=True)
class Restarting:
    """Stands for the pid of a child whose restart has failed and is tried again; `pid` is what it had last."""

    pid: Pid | None


@dataclass(slots=True)
class Child:
    """A child of the supervisor: its specification and, while it runs, its pid. Treated as frozen."""

    spec: ChildSpec
    pid: Pid | Restarting | None = None
    _key: Key | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> Key:
        """What stands for its id in tables; an id may be large, so it is looked at once."""
        if self._key is None:
            self._key = key(self.spec.id)
        return self._key

    def having(self, pid: Pid | Restarting | None, spec: ChildSpec | None = None) -> Child:
        """The same child with another pid; with another specification of the same id."""
        return Child(self.spec if spec is None else spec, pid, self._key)


class Children:
    """By id, in the order of their start, and by pid."""

    __slots__ = ("_by_key", "_by_pid", "_significant")

    def __init__(self, children: Iterable[Child] = ()) -> None:
        self._by_key: dict[Key, Child] = {}
        self._by_pid: dict[Pid, Key] = {}
        self._significant = 0
        for child in children:
            self.put(child)

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Child]:
        return iter(self._by_key.values())

    def __reversed__(self) -> Iterator[Child]:
        return reversed(self._by_key.values())

    def __contains__(self, id: Any) -> bool:
        return key(id) in self._by_key

    def get(self, id: Any) -> Child | None:
        return self._by_key.get(key(id))

    def __getitem__(self, id: Any) -> Child:
        return self._by_key[key(id)]

    def at(self, its: Key) -> Child | None:
        """The child with this `Child.key`."""
        return self._by_key.get(its)

    def of_pid(self, pid: Pid) -> Child | None:
        """The child that runs as `pid`."""
        its = self._by_pid.get(pid)
        return None if its is None else self._by_key.get(its)

    def put(self, child: Child) -> None:
        """Add `child` behind all others, or in the place of the one with its id."""
        mine = child.key
        old, pid = self._by_key.get(mine), child.pid
        if old is not None and old.pid is not None:
            self._left(mine, old)
        self._by_key[mine] = child
        if pid is not None:
            self._significant += child.spec.significant
            if type(pid) is Pid:
                self._by_pid[pid] = mine

    def drop(self, child: Child) -> None:
        self._left(child.key, self._by_key.pop(child.key))

    def _left(self, its: Key, old: Child) -> None:
        if old.pid is not None:
            self._significant -= old.spec.significant
            if type(old.pid) is Pid and self._by_pid.get(old.pid) == its:
                del self._by_pid[old.pid]

    @property
    def significant(self) -> int:
        """How many significant ones run, or wait to be tried again."""
        return self._significant

    def from_last(self, first: Child | None = None) -> list[Child]:
        """Those started after `first`, the last one first, and `first`; None: all. Takes time in their number."""
        found = []
        for child in reversed(self._by_key.values()):
            found.append(child)
            if child is first:
                break
        return found


class Restarts:
    """The moments of the restarts that count, the latest first; constant time for each restart."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[float]:
        return iter(self._times)

    def add(self, now: float, period: float) -> int:
        """A restart at `now`: how many there were within `period` seconds, this one among them."""
        times = self._times
        times.appendleft(now)
        while now - times[-1] > period:
            times.pop()
        return len(times)
