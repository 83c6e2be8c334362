"""supervisor: starts, ends and requests under each strategy; the driver is `tree.erl`, whom children ask for plans."""

from __future__ import annotations

import logging
from collections import defaultdict
from random import Random
from typing import Any

from interop_tests.differential import words
from interop_tests.differential.kinds import Kind
from interop_tests.trees import Trees, shown, start_leaf
from pyerlnode import A, Atom
from pyerlnode.term import Pid, TermMap

IDS = (A.a, A.b, A.c, A.d)
ALIKE = (1, 1.0, True, [1], (1,), b"a", A.process, A.state, TermMap([(1, 1)]), TermMap([(1.0, 1)]))


class Script:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.ids: list[Any] = list(rng.sample(ALIKE, 4) if rng.random() < 0.3 else IDS)
        self.auto = rng.choice((A.never, A.never, A.any_significant, A.all_significant))

    def make(self) -> Any:
        rng = self.rng
        flags = TermMap(
            [
                (A.strategy, rng.choice((A.one_for_one, A.one_for_all, A.rest_for_one))),
                (A.intensity, rng.randrange(5)),
                (A.period, 3600),
                (A.auto_shutdown, self.auto),
            ]
        )
        known = self.ids[: rng.randrange(1, 5)]
        children = [self.child(id) for id in known]
        plans = TermMap([(id, self.plans()) for id in self.ids if rng.random() < 0.2])
        options = TermMap([(id, self.options()) for id in self.ids if rng.random() < 0.5])
        steps = [self.step() for _ in range(rng.randrange(1, 8))]
        if rng.random() < 0.3:
            steps.append(rng.choice((A.stop_supervisor, A.parent)))
            reason = rng.choice((A.shutdown, A.normal, A.over)) if steps[-1] is A.stop_supervisor else A.shutdown
            steps[-1] = steps[-1], reason
        return flags, children, plans, options, steps

    def id(self) -> Any:
        return self.rng.choice(self.ids)

    def child(self, id: Any) -> Any:
        rng = self.rng
        restart = rng.choice((A.permanent, A.permanent, A.transient, A.temporary))
        pairs = [(A.id, id), (A.start, A.leaf), (A.restart, restart)]
        if self.auto is not A.never and restart is not A.permanent and rng.random() < 0.6:
            pairs.append((A.significant, True))
        if rng.random() < 0.3:
            pairs.append((A.shutdown, rng.choice((A.brutal_kill, A.infinity, 3_600_000))))
        if rng.random() < 0.1:
            pairs.append((A.type, rng.choice((A.supervisor, A.worker))))
        if rng.random() < 0.1:
            pairs.append((A.modules, rng.choice(([A.x], A.dynamic))))
        return TermMap(pairs)

    def plans(self) -> list[Any]:
        """What the starts of a child give, in turn."""
        return [self.plan() for _ in range(self.rng.randrange(1, 4))]

    def plan(self) -> Any:
        rng = self.rng
        why = words.reason(rng)
        return rng.choice(
            (A.ok, A.ok, A.ignore, (A.stop, why), (A.exit, why), (A.info, words.term(rng)), (A.gives, A.x))
        )

    def options(self) -> list[Any]:
        return [A.trap] if self.rng.random() < 0.7 else [A.trap, (A.exit, words.reason(self.rng))]

    def step(self) -> Any:
        rng = self.rng
        match rng.choices(list(STEPS), list(STEPS.values()))[0]:
            case "stop":
                return A.stop, self.id(), rng.choice((A.normal, A.shutdown, (A.shutdown, A.x), words.reason(rng)))
            case "kill":
                return A.exit, self.id(), A.kill
            case "plan":
                return A.plan, self.id(), self.plans()
            case "start_child":
                return A.call, (A.start_child, self.child(self.id()))
            case "on_pid":
                return A.call, (A.on_pid, rng.choice((A.terminate_child, A.get_childspec)), self.id())
            case "which_children" | "count_children" as request:
                return A.call, Atom(request)
            case "send":
                return A.send, words.term(rng)
            case request:
                return A.call, (Atom(request), self.id())


STEPS = {
    "stop": 12, "kill": 8, "plan": 4, "start_child": 5, "terminate_child": 5, "restart_child": 5, "delete_child": 3,
    "get_childspec": 1, "on_pid": 1, "which_children": 1, "count_children": 1, "send": 1,
}  # fmt: skip


class Reports(logging.Handler):
    """The supervisor reports of each tree, by the recorder that its children were given."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: defaultdict[Any, list[Any]] = defaultdict(list)

    def emit(self, record: logging.LogRecord) -> None:
        report = getattr(record, "erlang", {}).get("report")
        if report is not None and (recorder := _recorder(report)) is not None:
            self.seen[recorder].append(shown(report))


def _recorder(report: Any) -> Any:
    _, _, args = dict(report["offender"]).get(A.mfargs, (None, None, None))
    return args[0] if isinstance(args, list) and args and type(args[0]) is Pid else None


def prepare(node: Any) -> None:
    reports = Reports()
    logging.getLogger("pyerlnode.supervisor").addHandler(reports)
    node.export("tree", start_leaf)
    node.export("diff_trees", lambda recorder: reports.seen.pop(recorder, []), name="reports")
    node.start(Trees, name="trees")


KIND = Kind("supervisor", ("diff_trees", "tree", "tree_sup"), lambda rng: Script(rng).make(), prepare, few=60)
