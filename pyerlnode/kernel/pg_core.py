"""The members of process groups: multisets of pids per group, and how one state differs from another.

Reference: OTP's pg. A pid that joined twice is a member twice, and leaves twice. Groups are any terms, told apart as
Erlang does. A table holds what one scope process has announced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pyerlnode.term import exact
from pyerlnode.term.containers import TermMap
from pyerlnode.term.exact import Key
from pyerlnode.term.pid import Pid

Change = tuple[Any, list[Pid], list[Pid]]
"""A group, who joined, who left."""


class Table:
    """Groups and their members, as one node announced them."""

    __slots__ = ("groups",)

    def __init__(self, groups: Iterable[tuple[Any, Iterable[Pid]]] = ()) -> None:
        self.groups: dict[Key, tuple[Any, list[Pid]]] = {}
        for group, pids in groups:
            self.add(group, pids)

    def add(self, group: Any, pids: Iterable[Pid]) -> None:
        name = exact.key(group)
        known = self.groups.get(name)
        if known is None:
            known = self.groups[name] = (group, [])
        known[1].extend(pids)
        if not known[1]:
            del self.groups[name]

    def remove(self, group: Any, pids: Iterable[Pid]) -> list[Pid]:
        """Take each of `pids` out once; gives those that were there."""
        name = exact.key(group)
        known = self.groups.get(name)
        removed: list[Pid] = []
        if known is None:
            return removed
        for pid in pids:
            if pid in known[1]:
                known[1].remove(pid)
                removed.append(pid)
        if not known[1]:
            del self.groups[name]
        return removed

    def members(self, group: Any) -> list[Pid]:
        known = self.groups.get(exact.key(group))
        return [] if known is None else list(known[1])

    def names(self) -> list[Any]:
        return [group for group, _ in self.groups.values()]

    def pairs(self) -> list[tuple[Any, list[Pid]]]:
        """``[{Group, [Pid]}]`` of a `sync`."""
        return [(group, list(pids)) for group, pids in self.groups.values()]

    def as_map(self) -> TermMap:
        """``#{Group => [Pid]}`` of a `local_data`."""
        return TermMap(self.pairs())

    def pids(self) -> set[Pid]:
        """Everybody who is a member of something."""
        return {pid for _, pids in self.groups.values() for pid in pids}

    def groups_of(self, pid: Pid) -> list[Any]:
        """The groups of a member, each as often as it has joined."""
        return [group for group, pids in self.groups.values() for member in pids if member == pid]

    def difference(self, newer: Table) -> list[Change]:
        """What has changed from this table to `newer`, by group."""
        changes: list[Change] = []
        for name in {**self.groups, **newer.groups}:
            group, before = self.groups.get(name, (None, []))
            now_group, now = newer.groups.get(name, (group, []))
            joined, left = Counter(now), Counter(before)
            common = joined & left
            change = list((joined - common).elements()), list((left - common).elements())
            if change[0] or change[1]:
                changes.append((now_group, *change))
        return changes


def pid_list(term: Any) -> list[Pid] | None:
    """The pids in ``Pid | [Pid]``; None for anything else."""
    if isinstance(term, Pid):
        return [term]
    if isinstance(term, list) and all(isinstance(item, Pid) for item in term):
        return list(term)
    return None


def group_pairs(term: Any) -> list[tuple[Any, list[Pid]]] | None:
    """The groups of a `sync` (a list of pairs) or of a `local_data` (a map); None for anything else."""
    items = list(term.items()) if isinstance(term, Mapping) else term
    if not isinstance(items, list):
        return None
    made = []
    for item in items:
        pids = pid_list(item[1]) if isinstance(item, tuple) and len(item) == 2 else None
        if pids is None:
            return None
        made.append((item[0], pids))
    return made


def changes(term: Any) -> list[Change] | None:
    """The changes of an `update`; None for anything else."""
    if not isinstance(term, list):
        return None
    made: list[Change] = []
    for item in term:
        if not isinstance(item, tuple) or len(item) != 3:
            return None
        joined, left = pid_list(item[1]), pid_list(item[2])
        if joined is None or left is None:
            return None
        made.append((item[0], joined, left))
    return made
