"""One script, two supervisors: what OTP's and the Python one let be seen of themselves must be the same.

A scenario is flags, children, what their starts give, and steps; `beam_src/tree.erl` runs it, once with OTP's
supervisor and children in Erlang, once with ours and children in Python. Compared are, after each step: its answer,
every start and every `terminate` in their order, every reason with which a process ended, which_children and
count_children, and in the end the supervisor reports.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from interop_tests.trees import Reports, Trees, start_leaf
from pyerlnode import A
from pyerlnode.term import Atom
from pyerlnode.term.pid import Pid
from pyerlnode.testing.beam import Beam

Helper = Callable[[str], Beam]


@dataclass
class Scenario:
    name: str
    children: list[Any]
    steps: list[Any]
    flags: dict[str, Any] = field(default_factory=dict)
    plans: dict[str, list[Any]] = field(default_factory=dict)
    """What the starts of a child give, in turn: ok, ignore, (stop, R), (exit, R), (gives, Term), (info, Term)."""
    options: dict[str, list[Any]] = field(default_factory=dict)
    """How a child is: trap, (sleep, ms) or (exit, R) in its terminate."""


def atoms(term: Any) -> Any:
    """Strings are atoms in these tables, to keep them short."""
    if isinstance(term, str):
        return Atom(term) if term not in ("true", "false") else term == "true"
    if isinstance(term, (list, tuple)):
        return type(term)(atoms(item) for item in term)
    if isinstance(term, dict):
        return {atoms(key): atoms(value) for key, value in term.items()}
    return term


def child(id: str, **options: Any) -> dict[str, Any]:
    return {"id": id, "start": "leaf", **options}


def call(*request: Any) -> tuple[Any, Any]:
    return "call", request if len(request) > 1 else request[0]


def crash(id: str, reason: Any = "boom") -> tuple[Any, ...]:
    return "exit" if reason == "kill" else "stop", id, reason


ABC = [child("a"), child("b"), child("c")]
TRAP = {"a": ["trap"], "b": ["trap"], "c": ["trap"]}
ONE = [child("a")]
SIMPLE = [child("s", args="none")]
S41 = {"strategy": "simple_one_for_one"}


def strategies(name: str, children: list[Any], steps: list[Any], **more: Any) -> list[Scenario]:
    flags = more.pop("flags", {})
    return [
        Scenario(f"{name} ({s})", children, steps, {"strategy": s, **flags}, **more)
        for s in ("one_for_one", "rest_for_one", "one_for_all")
    ]


SCENARIOS = [
    # --- start and stop
    Scenario("no children", [], [call("which_children"), ("stop_supervisor", "normal")]),
    Scenario("ordered start and reverse stop", ABC, [("stop_supervisor", "shutdown")], options=TRAP),
    Scenario("stop by the parent's exit", ABC, [("parent", "shutdown")], options=TRAP),
    Scenario("stop by the parent's kill", ABC, [("parent", "kill")], options=TRAP),
    Scenario("stop with another reason", ABC, [("stop_supervisor", "over")], options=TRAP),
    Scenario("children that do not trap", ABC, [("stop_supervisor", "shutdown")]),
    Scenario("a start that ignores", ABC, [call("which_children")], plans={"b": ["ignore"]}),
    Scenario("a temporary start that ignores", [child("a", restart="temporary")], [], plans={"a": ["ignore"]}),
    Scenario("a start with information", ONE, [], plans={"a": [("info", "extra")]}),
    Scenario("a start that stops fails the boot", ABC, [], plans={"b": [("stop", "broken")]}, options=TRAP),
    Scenario("the first start fails the boot", ABC, [], plans={"a": [("stop", "broken")]}),
    Scenario("a start that exits fails the boot", ABC, [], plans={"c": [("exit", "broken")]}),
    Scenario("a start that gives nonsense fails the boot", ONE, [], plans={"a": [("gives", "nonsense")]}),
    Scenario("a start that gives an error fails the boot", ONE, [], plans={"a": [("gives", ("error", ("x", 1)))]}),
    Scenario("a start that stops normally fails the boot", ONE, [], plans={"a": [("stop", "normal")]}),
    # --- bad specifications
    Scenario("a duplicate id", [child("a"), child("a")], []),
    Scenario("no id", [{"start": ("m", "f", [])}], []),
    Scenario("no start", [{"id": "a", "start": "none"}], []),
    Scenario("a start that is none", [{"id": "a", "start": ("m", "f", "a")}], []),
    Scenario("an unknown restart type", [child("a", restart="always")], []),
    Scenario("an unknown type", [child("a", type="helper")], []),
    Scenario("an unknown shutdown", [child("a", shutdown=-1)], []),
    Scenario("modules that are none", [child("a", modules="m")], []),
    Scenario("a module that is none", [child("a", modules=[1])], []),
    Scenario("a child that is no specification", ["what"], []),
    Scenario("an unknown strategy", ONE, [], {"strategy": "two_for_one"}),
    Scenario("an unknown intensity", ONE, [], {"intensity": "many"}),
    Scenario("an unknown period", ONE, [], {"period": 0}),
    Scenario("an unknown auto_shutdown", ONE, [], {"auto_shutdown": "maybe"}),
    Scenario("significant without auto_shutdown", [child("a", significant="true")], []),
    Scenario("significant and permanent", [child("a", significant="true")], [], {"auto_shutdown": "any_significant"}),
    Scenario("significant is no boolean", [child("a", significant="maybe")], []),
    # --- restarts
    *strategies("a crash of the middle", ABC, [crash("b")], options=TRAP),
    *strategies("a kill of the first", ABC, [crash("a", "kill")]),
    *strategies("a kill of the last", ABC, [crash("c", "kill")], options=TRAP),
    *strategies(
        "a restart that fails once", ABC, [("plan", "b", [("stop", "no")]), crash("b")], flags={"intensity": 5}
    ),
    *strategies(
        "a restart in which the next one fails",
        ABC,
        [("plan", "c", [("stop", "no")]), crash("b")],
        flags={"intensity": 5},
        options=TRAP,
    ),
    *strategies("a restart that fails for ever", ABC, [("plan", "a", [("stop", "no")] * 9), crash("a")], options=TRAP),
    *strategies(
        "temporary siblings",
        [child("a"), child("t", restart="temporary"), child("b")],
        [crash("a"), crash("b")],
        flags={"intensity": 5},
        options=TRAP,
    ),
    *strategies("a restart that ignores", ABC, [("plan", "b", ["ignore"]), crash("b")]),
    *[
        Scenario(f"{restart} ends with {reason}", [child("a", restart=restart)], [("stop", "a", reason)])
        for restart in ("permanent", "transient", "temporary")
        for reason in ("normal", "shutdown", ("shutdown", "why"), "boom")
    ],
    Scenario("intensity 0", ONE, [crash("a")], {"intensity": 0}),
    Scenario("intensity by default", ONE, [crash("a"), crash("a")]),
    Scenario("intensity 2", ABC, [crash("a"), crash("b"), crash("c")], {"intensity": 2}, options=TRAP),
    Scenario(
        "restarts outside of the period", ONE, [crash("a"), ("sleep", 2200), crash("a")], {"intensity": 1, "period": 1}
    ),
    # --- shutdown
    Scenario("brutal_kill", [child("a", shutdown="brutal_kill")], [call("terminate_child", "a")], options=TRAP),
    Scenario(
        "a shutdown that takes too long",
        [child("a", shutdown=30)],
        [call("terminate_child", "a")],
        options={"a": ["trap", ("sleep", 5000)]},
    ),
    Scenario(
        "a shutdown that takes its time",
        [child("a", shutdown="infinity")],
        [call("terminate_child", "a")],
        options={"a": ["trap", ("sleep", 50)]},
    ),
    Scenario(
        "shutdown 0", [child("a", shutdown=0)], [call("terminate_child", "a")], options={"a": ["trap", ("sleep", 99)]}
    ),
    Scenario(
        "a terminate that exits with another reason",
        ABC,
        [("stop_supervisor", "shutdown")],
        options={"b": ["trap", ("exit", "other")], **{x: ["trap"] for x in "ac"}},
    ),
    Scenario(
        "a transient child that ends normally when it is stopped",
        [child("a", restart="transient")],
        [call("terminate_child", "a")],
        options={"a": ["trap", ("exit", "normal")]},
    ),
    Scenario(
        "a permanent child that ends normally when it is stopped",
        ONE,
        [call("terminate_child", "a")],
        options={"a": ["trap", ("exit", "normal")]},
    ),
    # --- auto_shutdown
    *[
        Scenario(
            f"{auto}: the significant end one after the other",
            [child(x, restart="transient", significant="true") for x in "ab"] + [child("c")],
            [
                ("stop", "c", "normal"),
                ("stop", "a", "normal"),
                *([("stop", "b", "shutdown")] if auto == "all_significant" else []),
            ],
            {"auto_shutdown": auto, "intensity": 3},
            options=TRAP,
        )
        for auto in ("any_significant", "all_significant")
    ],
    Scenario(
        "a significant child that crashes is restarted",
        [child("a", restart="transient", significant="true")],
        [crash("a")],
        {"auto_shutdown": "any_significant"},
    ),
    Scenario(
        "a significant temporary child that crashes",
        [child("a", restart="temporary", significant="true"), child("b")],
        [crash("a")],
        {"auto_shutdown": "any_significant"},
    ),
    Scenario(
        "a significant child that is terminated",
        [child("a", restart="transient", significant="true"), child("b")],
        [call("terminate_child", "a")],
        {"auto_shutdown": "any_significant"},
    ),
    # --- requests
    Scenario(
        "terminate, restart, delete",
        ABC,
        [
            call("terminate_child", "b"),
            call("restart_child", "b"),
            call("terminate_child", "b"),
            call("delete_child", "b"),
            call("restart_child", "b"),
        ],
    ),
    Scenario(
        "what is not there",
        ABC,
        [
            call("terminate_child", "x"),
            call("restart_child", "x"),
            call("delete_child", "x"),
            call("get_childspec", "x"),
        ],
    ),
    Scenario("what runs", ONE, [call("restart_child", "a"), call("delete_child", "a")]),
    Scenario("terminate twice", ONE, [call("terminate_child", "a"), call("terminate_child", "a")]),
    Scenario(
        "terminate of a temporary child",
        [child("a", restart="temporary")],
        [
            call("terminate_child", "a"),
            call("restart_child", "a"),
        ],
    ),
    Scenario("terminate by pid", ONE, [call("on_pid", "terminate_child", "a")]),
    Scenario(
        "get_childspec",
        [child("a", shutdown=70, restart="transient", modules=["x", "y"])],
        [
            call("get_childspec", "a"),
        ],
    ),
    Scenario(
        "get_childspec of a supervisor",
        [child("a", type="supervisor", modules="dynamic")],
        [
            call("get_childspec", "a"),
            call("count_children"),
        ],
    ),
    Scenario(
        "start_child",
        ONE,
        [
            call("start_child", child("b")),
            call("start_child", child("b")),
            call("terminate_child", "b"),
            call("start_child", child("b")),
            call("delete_child", "b"),
            call("start_child", child("b")),
        ],
        options=TRAP,
    ),
    Scenario(
        "start_child of a tuple",
        ONE,
        [call("start_child", ("b", "tree", "permanent", 100, "worker", ["tree"]))],
    ),
    Scenario(
        "start_child with bad specifications",
        ONE,
        [
            call("start_child", {"id": "b", "start": "none"}),
            call("start_child", {"id": "b", "start": ("m", "f", "x")}),
            call("start_child", child("b", restart="x")),
            call("start_child", "nothing"),
            call("start_child", child("b", significant="true")),
            call("start_child", child("b", type="x")),
        ],
    ),
    Scenario(
        "start_child that ignores",
        [],
        [
            call("start_child", child("b")),
            call("start_child", child("t", restart="temporary")),
            call("restart_child", "b"),
        ],
        plans={"b": ["ignore", "ignore"], "t": ["ignore"]},
    ),
    Scenario(
        "start_child that fails",
        [],
        [
            call("start_child", child("b")),
            call("which_children"),
        ],
        plans={"b": [("stop", "no")]},
    ),
    Scenario("start_child with information", [], [call("start_child", child("b"))], plans={"b": [("info", (1, 2))]}),
    Scenario(
        "the arguments of a temporary child",
        [],
        [
            call("start_child", child("b", restart="temporary")),
            call("get_childspec", "b"),
        ],
    ),
    Scenario(
        "restart_child that fails, ignores and informs",
        ONE,
        [
            call("terminate_child", "a"),
            call("restart_child", "a"),
            call("restart_child", "a"),
            call("restart_child", "a"),
        ],
        plans={"a": ["ok", ("stop", "no"), "ignore", ("info", "i")]},
    ),
    Scenario(
        "an added child is the last to start in a restart",
        ONE,
        [
            call("start_child", child("b")),
            crash("a"),
            ("stop_supervisor", "shutdown"),
        ],
        {"strategy": "one_for_all"},
        options=TRAP,
    ),
    Scenario(
        "messages that nobody expects", ONE, [("send", "hello"), ("send", ("EXIT", "x", "y")), call("which_children")]
    ),
    Scenario("sys", ONE, [("sys", ["suspend", "resume"]), "callback_reported"]),
    # --- simple_one_for_one
    Scenario(
        "simple: start, crash, stop",
        SIMPLE,
        [
            call("start_child", ["x"]),
            call("start_child", ["y"]),
            crash("x"),
            ("stop_supervisor", "shutdown"),
        ],
        S41,
    ),
    Scenario(
        "simple: requests by id",
        SIMPLE,
        [
            call("terminate_child", "s"),
            call("restart_child", "s"),
            call("delete_child", "s"),
            call("get_childspec", "s"),
        ],
        S41,
    ),
    Scenario(
        "simple: requests by pid",
        SIMPLE,
        [
            call("start_child", ["x"]),
            call("on_pid", "get_childspec", "x"),
            call("on_pid", "terminate_child", "x"),
            call("on_pid", "terminate_child", "x"),
        ],
        S41,
        options={"x": ["trap"]},
    ),
    Scenario(
        "simple: starts that fail, ignore and inform",
        SIMPLE,
        [
            call("start_child", ["x"]),
            call("start_child", ["y"]),
            call("start_child", ["z"]),
        ],
        S41,
        plans={"x": [("stop", "no")], "y": ["ignore"], "z": [("info", 7)]},
    ),
    Scenario(
        "simple: a restart that fails once",
        SIMPLE,
        [
            call("start_child", ["x"]),
            ("plan", "x", [("stop", "no")]),
            crash("x"),
        ],
        {**S41, "intensity": 3},
    ),
    Scenario(
        "simple: a restart that fails for ever",
        SIMPLE,
        [
            call("start_child", ["x"]),
            ("plan", "x", [("stop", "no")] * 9),
            crash("x"),
        ],
        {**S41, "intensity": 2},
    ),
    *[
        Scenario(
            f"simple: {restart} ends with {reason}",
            [child("s", args="none", restart=restart)],
            [
                call("start_child", ["x"]),
                ("stop", "x", reason),
            ],
            S41,
        )
        for restart in ("transient", "temporary")
        for reason in ("normal", "boom")
    ],
    Scenario(
        "simple: a shutdown that takes too long",
        [child("s", args="none", shutdown=30)],
        [
            call("start_child", ["x"]),
            call("start_child", ["y"]),
            ("stop_supervisor", "shutdown"),
        ],
        S41,
        options={x: ["trap", ("sleep", 5000)] for x in "xy"},
    ),
    Scenario(
        "simple: brutal_kill",
        [child("s", args="none", shutdown="brutal_kill")],
        [
            call("start_child", ["x"]),
            ("stop_supervisor", "shutdown"),
        ],
        S41,
        options={"x": ["trap"]},
    ),
]


@pytest.fixture
def trees(helper: Helper, node: Any) -> Beam:
    beam = helper("tree.erl")
    helper("tree_sup.erl")
    node.export("tree", start_leaf)
    node.start(Trees, name="trees")
    node.connect(beam.name)
    return beam


@pytest.fixture
def reports() -> Any:
    handler = Reports()
    logger = logging.getLogger("pyerlnode.supervisor")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def named(term: Any, names: dict[Any, Any]) -> Any:
    """What the driver does with pids, for the reports that Python has collected."""
    if isinstance(term, Pid):
        return names.get(term, A.stranger)
    if isinstance(term, (list, tuple)):
        return type(term)(named(item, names) for item in term)
    return term


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_python_supervisor_lets_be_seen_what_otps_does(
    trees: Beam, node: Any, reports: Reports, scenario: Scenario
) -> None:
    table = {
        A.flags: atoms(scenario.flags),
        A.children: atoms(scenario.children),
        A.plans: atoms(scenario.plans),
        A.options: atoms(scenario.options),
    }
    run = "tree:run(Where, Scenario, Steps)"
    steps = atoms(scenario.steps)
    original, otp_reports, _ = trees.eval(run, Where=A.beam, Scenario=table, Steps=steps)
    assert reports.seen == []
    ours, _, names = trees.eval(run, Where=(A.trees, A[node.name]), Scenario=table, Steps=steps)
    assert ours == original
    assert named(reports.seen, names) == otp_reports
