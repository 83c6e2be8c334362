"""What a supervisor of many like children decides: simple_one_for_one, and Elixir's `DynamicSupervisor`.

The children are found by pid and have no order. There may be a million of them, so the table is changed in place:
each method takes an event and gives the effects of `supervisor_core`, at most one `Start` and that last, to be
answered with `started`, `ignored` or `failed`.

A child whose restart fails stays in the table as `Restarting` and is tried again, which counts as a restart.
All children are stopped at once, each within its own time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pyerlnode.otp.child_spec import ChildSpec
from pyerlnode.otp.children_core import Child, Restarting, Restarts
from pyerlnode.otp.supervisor_core import (
    Again,
    Flags,
    Halt,
    Report,
    Start,
    counts,
    is_reported,
    is_restarted,
    stopped_well,
    which,
)
from pyerlnode.term.atom import A
from pyerlnode.term.exact import Key, key
from pyerlnode.term.pid import Pid

Effects = tuple[Any, ...]


class Pool:
    """The children of one dynamic supervisor."""

    __slots__ = ("_due", "_restarting", "children", "flags", "restarts")

    def __init__(self, flags: Flags) -> None:
        self.flags = flags
        self.children: dict[Pid, ChildSpec] = {}
        """By pid; of one that is restarting, by the pid that it had last."""
        self.restarts = Restarts()
        self._restarting: set[Pid] = set()
        self._due: Child | None = None
        """What the `Start` under way is for."""

    def __len__(self) -> int:
        return len(self.children)

    # --- starts --------------------------------------------------------------------------------
    def add(self, spec: ChildSpec) -> Effects:
        """A new child is to be started."""
        self._due = Child(spec)
        return (Start(self._due),)

    def started(self, pid: Pid) -> None:
        """The child under way runs as `pid`."""
        child = self._settled()
        self.children[pid] = child.spec.forgetting()

    def ignored(self) -> None:
        """Its start function gave `ignore`: there is nothing to supervise."""
        self._settled()

    def failed(self, reason: Any) -> Effects:
        """It did not start; a restart is tried again."""
        child = self._settled()
        if child.pid is None:
            return ()
        old = child.pid.pid if isinstance(child.pid, Restarting) else child.pid
        assert old is not None
        self.children[old] = child.spec
        self._restarting.add(old)
        return Report(A.start_error, reason, child), Again(old)

    def _settled(self) -> Child:
        child, self._due = self._due, None
        assert child is not None
        if child.pid is not None:
            old = child.pid.pid if isinstance(child.pid, Restarting) else child.pid
            assert old is not None
            self.forget(old)
        return child

    # --- exits ---------------------------------------------------------------------------------
    def exited(self, pid: Pid, reason: Any, now: float) -> Effects:
        """The linked process `pid` has ended."""
        spec = self.children.get(pid)
        if spec is None or pid in self._restarting:
            return ()
        child = Child(spec, pid)
        report = (Report(A.child_terminated, reason, child),) if is_reported(spec.restart, reason) else ()
        if is_restarted(spec.restart, reason):
            return report + self._restart(child, now)
        self.forget(pid)
        return report

    def try_again(self, pid: Pid, now: float) -> Effects:
        """What `Again` asked for; nothing, when it has been terminated meanwhile."""
        if pid not in self._restarting:
            return ()
        return self._restart(Child(self.children[pid], Restarting(pid)), now)

    def _restart(self, child: Child, now: float) -> Effects:
        if self.restarts.add(now, self.flags.period) > self.flags.intensity:
            self.forget(child.pid.pid if isinstance(child.pid, Restarting) else child.pid)
            return Report(A.shutdown, A.reached_max_restart_intensity, child), Halt(A.shutdown)
        self._due = child
        return (Start(child),)

    def forget(self, pid: Pid | None) -> None:
        if pid is not None:
            self.children.pop(pid, None)
            self._restarting.discard(pid)

    # --- stops ---------------------------------------------------------------------------------
    def running(self) -> Iterator[tuple[Pid, ChildSpec]]:
        """Each child that runs."""
        return ((pid, spec) for pid, spec in self.children.items() if pid not in self._restarting)

    def is_running(self, pid: Pid) -> bool:
        return pid in self.children and pid not in self._restarting

    @property
    def restarting(self) -> int:
        """How many children wait to be tried again."""
        return len(self._restarting)

    # --- what is told --------------------------------------------------------------------------
    def which_children(self) -> list[tuple[Any, ...]]:
        return [
            which(Child(spec, Restarting(pid) if pid in self._restarting else pid), A.undefined)
            for pid, spec in self.children.items()
        ]

    def count_children(self, specs: int | None = None) -> list[tuple[Any, int]]:
        """`specs` is what is told as such: 1 of a simple_one_for_one, else the number of children."""
        supervisors = sum(spec.type is A.supervisor for spec in self.children.values())
        total = len(self.children)
        active = total - len(self._restarting)
        return counts(total if specs is None else specs, active, supervisors, total - supervisors)


def shutdown_errors(
    children: Mapping[Pid, ChildSpec],
    reasons: Mapping[Pid, Any],
    well: Callable[[ChildSpec, Any], bool] = stopped_well,
) -> Iterator[Report]:
    """A report for each child that was stopped and did not end as it should."""
    for pid, reason in reasons.items():
        spec = children[pid]
        if not well(spec, reason):
            yield Report(A.shutdown_error, reason, Child(spec, pid))


def alike(reports: Iterable[Report]) -> Iterator[tuple[Report, int]]:
    """One report for all children of a simple_one_for_one that ended with the same reason, and of how many."""
    groups: dict[Key, list[Report]] = {}
    for report in reports:
        groups.setdefault(key(report.reason), []).append(report)
    return ((group[0], len(group)) for group in groups.values())


def with_arguments(spec: ChildSpec, extra: list[Any], *, before: bool = False) -> ChildSpec:
    """`spec` with further arguments of its start function: behind its own, or before them."""
    return replace(spec, start=spec.start.with_more(extra, before=before)) if extra else spec
