"""The decisions of a supervisor as chains of values, and against a small model over random histories."""

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from pyerlnode.otp import supervisor_core as core
from pyerlnode.otp.child_spec import ChildSpec, Start
from pyerlnode.otp.children_core import Restarting
from pyerlnode.term import A, Atom
from pyerlnode.term.pid import Pid

NODE = Atom("t@local")


def pid(number: int) -> Pid:
    return Pid(NODE, number, 0, 1)


def spec(id: str, **options: Any) -> ChildSpec:
    return ChildSpec(Atom(id), Start(None, (), A.m, A.f), **options)


class Chain:
    """Takes events through the core, answering each `Start` and `Stop` from a script."""

    def __init__(self, specs, strategy="one_for_one", intensity=3, period=5.0, auto="never"):
        flags = core.Flags(Atom(strategy), intensity, period, Atom(auto))
        self.state = core.new(flags, tuple(specs))
        self.pids = 0
        self.fails: set[str] = set()
        self.ignores: set[str] = set()
        self.ends: dict[str, Any] = {}
        self.done: list[Any] = []

    def feed(self, event):
        """What was done in answer to `event`: 'start a', 'stop a', and the other effects as they are."""
        self.done = []
        while event is not None:
            effects = core.step(self.state, event)
            event = None
            for effect in effects:
                assert event is None, "a start or a stop is the last effect of a step"
                event = self._carry_out(effect)
        return self.done

    def _carry_out(self, effect):
        if isinstance(effect, core.Start):
            id = effect.child.spec.id.name
            self.done.append(f"start {id}")
            if id in self.fails:
                return core.Failed(A.broken)
            if id in self.ignores:
                return core.Ignored()
            self.pids += 1
            return core.Started(pid(self.pids), (A.ok, pid(self.pids)))
        if isinstance(effect, core.Stop):
            id = effect.child.spec.id.name
            self.done.append(f"stop {id}")
            return core.Stopped(
                self.ends.get(id, A.killed if effect.child.spec.shutdown is A.brutal_kill else A.shutdown)
            )
        if isinstance(effect, core.Report):
            self.done.append((effect.context, effect.reason, effect.child.spec.id))
        elif not isinstance(effect, core.Progress):
            self.done.append(effect)
        return None

    def boot(self):
        self.feed(core.Boot())
        return self

    def pid(self, id):
        return self.state.children[Atom(id)].pid

    def exit(self, id, reason=A.boom, now=0.0):
        return self.feed(core.Exited(self.pid(id), reason, now))


def died(id, reason=A.boom):
    return (A.child_terminated, reason, Atom(id))


def test_boot_starts_in_order():
    chain = Chain([spec("a"), spec("b")])
    assert chain.feed(core.Boot()) == ["start a", "start b"]
    assert (chain.pid("a"), chain.pid("b")) == (pid(1), pid(2))


def test_a_failed_boot_stops_in_reverse_and_halts_with_the_reason():
    chain = Chain([spec("a"), spec("b"), spec("c"), spec("d")])
    chain.fails = {"c"}
    failure = (A.shutdown, (A.failed_to_start_child, A.c, A.broken))
    assert chain.feed(core.Boot()) == [
        "start a", "start b", "start c", (A.start_error, A.broken, A.c), "stop b", "stop a", core.Halt(failure)
    ]  # fmt: skip


def test_end_stops_in_reverse():
    chain = Chain([spec("a"), spec("b")]).boot()
    assert chain.feed(core.End()) == ["stop b", "stop a"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["start b"]),
        ("rest_for_one", ["stop c", "start b", "start c"]),
        ("one_for_all", ["stop c", "stop a", "start a", "start b", "start c"]),
    ],
)
def test_a_restart_stops_in_reverse_and_starts_in_order(strategy, expected):
    chain = Chain([spec("a"), spec("b"), spec("c")], strategy).boot()
    assert chain.exit("b") == [died("b"), *expected]


@pytest.mark.parametrize(
    ("restart", "reason", "again", "reported"),
    [
        (A.permanent, A.normal, True, True),
        (A.permanent, A.shutdown, True, True),
        (A.permanent, A.boom, True, True),
        (A.transient, A.normal, False, False),
        (A.transient, A.shutdown, False, False),
        (A.transient, (A.shutdown, 1), False, False),
        (A.transient, A.boom, True, True),
        (A.temporary, A.normal, False, False),
        (A.temporary, A.boom, False, True),
    ],
)
def test_restart_types(restart, reason, again, reported):
    chain = Chain([spec("a", restart=restart)]).boot()
    assert chain.exit("a", reason) == [died("a", reason)] * reported + ["start a"] * again
    assert (A.a in chain.state.children) is (restart is not A.temporary)


def test_the_intensity_counts_restarts_within_the_period_only():
    chain = Chain([spec("a")], intensity=2, period=5.0).boot()
    assert chain.exit("a", now=0.0) == [died("a"), "start a"]
    assert chain.exit("a", now=4.0) == [died("a"), "start a"]
    assert chain.exit("a", now=5.5) == [died("a"), "start a"]
    over = (A.shutdown, A.reached_max_restart_intensity, A.a)
    assert chain.exit("a", now=6.0) == [died("a"), over, core.Halt(A.shutdown)]


def test_a_restart_that_fails_comes_back_and_counts():
    chain = Chain([spec("a")], intensity=2).boot()
    chain.fails = {"a"}
    old = chain.pid("a")
    assert chain.exit("a") == [died("a"), "start a", (A.start_error, A.broken, A.a), core.Again(A.a)]
    assert chain.pid("a") == Restarting(old)
    again = chain.feed(core.TryAgain(A.a, 0.0))
    assert again == ["start a", (A.start_error, A.broken, A.a), core.Again(A.a)]
    over = (A.shutdown, A.reached_max_restart_intensity, A.a)
    assert chain.feed(core.TryAgain(A.a, 0.0)) == [over, core.Halt(A.shutdown)]


def test_a_failed_restart_of_all_keeps_what_it_has_started_and_tries_the_one_that_failed():
    chain = Chain([spec("a"), spec("b"), spec("c")], "one_for_all").boot()
    chain.fails = {"b"}
    assert chain.exit("a")[1:] == [
        "stop c",
        "stop b",
        "start a",
        "start b",
        (A.start_error, A.broken, A.b),
        core.Again(A.b),
    ]
    assert chain.pid("b") == Restarting(None)
    assert chain.pid("c") is None
    chain.fails = set()
    assert chain.feed(core.TryAgain(A.b, 0.0)) == ["stop a", "start a", "start b", "start c"]


def test_try_again_for_a_child_that_was_terminated_meanwhile_does_nothing():
    chain = Chain([spec("a")]).boot()
    chain.fails = {"a"}
    chain.exit("a")
    assert chain.feed(core.TerminateChild(A.a)) == [core.OK]
    assert chain.feed(core.TryAgain(A.a, 0.0)) == []


def test_temporary_children_that_a_restart_stops_are_forgotten():
    chain = Chain([spec("a"), spec("t", restart=A.temporary)], "one_for_all").boot()
    assert chain.exit("a")[1:] == ["stop t", "start a"]
    assert [child.spec.id for child in chain.state.children] == [A.a]


def test_a_child_stopped_with_another_reason_is_reported():
    chain = Chain([spec("a"), spec("t", restart=A.transient), spec("k", shutdown=A.brutal_kill)]).boot()
    chain.ends = {"a": A.normal, "t": A.normal, "k": A.killed}
    assert chain.feed(core.End()) == ["stop k", "stop t", "stop a", (A.shutdown_error, A.normal, A.a)]


@pytest.mark.parametrize(
    ("auto", "halts"), [("never", [False, False]), ("any_significant", [True]), ("all_significant", [False, True])]
)
def test_auto_shutdown(auto, halts):
    children = [spec(id, restart=A.transient, significant=auto != "never") for id in "ab"]
    chain = Chain([*children, spec("c")], auto=auto).boot()
    for id, halt in zip("ab", halts, strict=False):
        assert chain.exit(id, A.normal) == [core.Halt(A.shutdown)] * halt


def test_a_significant_child_that_is_terminated_on_request_ends_nothing():
    chain = Chain([spec("a", restart=A.transient, significant=True)], auto="any_significant").boot()
    assert chain.feed(core.TerminateChild(A.a)) == ["stop a", core.OK]


def test_start_child_answers_what_the_start_gave():
    chain = Chain([]).boot()
    assert chain.feed(core.AddChild(spec("a"))) == ["start a", core.Reply((A.ok, pid(1)))]
    refusal = core.Reply((A.error, (A.already_started, pid(1))))
    assert chain.feed(core.AddChild(spec("a"))) == [refusal]
    chain.ignores = {"b", "t"}
    assert chain.feed(core.AddChild(spec("b"))) == ["start b", core.Reply((A.ok, A.undefined))]
    assert chain.feed(core.AddChild(spec("b"))) == [core.Reply((A.error, A.already_present))]
    assert chain.feed(core.AddChild(spec("t", restart=A.temporary))) == ["start t", core.Reply((A.ok, A.undefined))]
    assert A.t not in chain.state.children
    chain.fails = {"c"}
    failed = chain.feed(core.AddChild(spec("c")))
    record = (A.child, A.undefined, A.c, (A.m, A.f, []), A.permanent, False, 5000, A.worker, A.dynamic)
    assert failed == ["start c", core.Reply((A.error, (A.broken, record)))]
    assert A.c not in chain.state.children


def test_the_arguments_of_a_temporary_child_are_forgotten_once_it_runs():
    chain = Chain([]).boot()
    chain.feed(core.AddChild(spec("t", restart=A.temporary)))
    assert chain.state.children[A.t].spec.to_wire()[A.start] == (A.m, A.f, A.undefined)


def test_restart_and_delete_are_for_children_that_do_not_run():
    chain = Chain([spec("a")]).boot()
    for event in (core.RestartChild, core.DeleteChild):
        assert chain.feed(event(A.a)) == [core.Reply((A.error, A.running))]
        assert chain.feed(event(A.x)) == [core.NOT_FOUND]
    assert chain.feed(core.TerminateChild(A.x)) == [core.NOT_FOUND]
    chain.feed(core.TerminateChild(A.a))
    chain.fails = {"a"}
    assert chain.feed(core.RestartChild(A.a)) == ["start a", core.Reply((A.error, A.broken))]
    chain.fails = set()
    assert chain.feed(core.RestartChild(A.a))[0] == "start a"
    chain.fails = {"a"}
    chain.exit("a")
    for event in (core.RestartChild, core.DeleteChild):
        assert chain.feed(event(A.a)) == [core.Reply((A.error, A.restarting))]


def test_an_exit_of_a_stranger_is_nothing():
    assert Chain([spec("a")]).boot().feed(core.Exited(pid(99), A.boom, 0.0)) == []


def test_which_and_count_children():
    chain = Chain([spec("a"), spec("b", type=A.supervisor), spec("c")])
    chain.ignores = {"c"}
    chain.boot()
    assert core.which_children(chain.state) == [
        (A.c, A.undefined, A.worker, A.dynamic),
        (A.b, pid(2), A.supervisor, A.dynamic),
        (A.a, pid(1), A.worker, A.dynamic),
    ]
    counted = core.count_children(chain.state, lambda p: p == pid(1))
    assert counted == [(A.specs, 3), (A.active, 1), (A.supervisors, 1), (A.workers, 2)]


def test_a_code_change_keeps_who_runs():
    chain = Chain([spec("a"), spec("b")]).boot()
    flags = replace(chain.state.flags, intensity=9)
    core.change(chain.state, flags, (spec("c"), spec("b", shutdown=1.0)))
    changed = chain.state
    assert [(child.spec.id.name, child.pid) for child in changed.children] == [
        ("c", None),
        ("b", pid(2)),
        ("a", pid(1)),
    ]
    assert changed.flags.intensity == 9
    assert changed.children[A.b].spec.shutdown == 1.0


# --- against a model ---------------------------------------------------------------------------
class SupervisorMachine(RuleBasedStateMachine):
    """The model: a list of [id, restart type, running, incarnation]; what runs and in which order it was started."""

    ids = Bundle("ids")

    @initialize(strategy=st.sampled_from(["one_for_one", "rest_for_one", "one_for_all"]), intensity=st.integers(0, 4))
    def boot(self, strategy, intensity):
        self.strategy, self.intensity = strategy, intensity
        self.chain = Chain([], strategy, intensity, 10.0).boot()
        self.model: list[list[Any]] = []
        self.times: list[float] = []
        self.now = 0.0
        self.halted = False
        self.names = 0

    @precondition(lambda self: self.halted)
    @rule()
    def start_over(self):
        self.teardown()
        self.boot(self.strategy, self.intensity)

    def entry(self, id):
        return next((e for e in self.model if e[0] == id), None)

    @precondition(lambda self: not self.halted)
    @rule(target=ids, restart=st.sampled_from([A.permanent, A.transient, A.temporary]))
    def add(self, restart):
        self.names += 1
        id = f"c{self.names}"
        self.chain.feed(core.AddChild(spec(id, restart=restart)))
        self.model.append([id, restart, True])
        return id

    @precondition(lambda self: not self.halted)
    @rule(id=ids, reason=st.sampled_from([A.normal, A.shutdown, A.boom]), wait=st.sampled_from([0.0, 3.0, 11.0]))
    def crash(self, id, reason, wait):
        entry = self.entry(id)
        if entry is None or not entry[2]:
            return
        self.now += wait
        done = self.chain.exit(id, reason, self.now)
        if entry[1] is A.temporary:
            self.model.remove(entry)
        elif entry[1] is A.transient and reason is not A.boom:
            entry[2] = False
        else:
            self.times = [t for t in self.times if self.now - t <= 10.0] + [self.now]
            if len(self.times) > self.intensity:
                self.halted = True
                entry[2] = False
            else:
                self.restart(id)
        assert (core.Halt(A.shutdown) in done) is self.halted

    def restart(self, id):
        at = next(i for i, e in enumerate(self.model) if e[0] == id)
        span = {"one_for_one": slice(at, at + 1), "rest_for_one": slice(at, None), "one_for_all": slice(None)}
        affected = self.model[span[self.strategy]]
        for e in affected:
            if e[1] is A.temporary:
                self.model.remove(e)
            else:
                e[2] = True

    @precondition(lambda self: not self.halted)
    @rule(id=ids)
    def terminate(self, id):
        entry = self.entry(id)
        done = self.chain.feed(core.TerminateChild(A[id]))
        assert done[-1] == (core.OK if entry else core.NOT_FOUND)
        if entry and entry[1] is A.temporary:
            self.model.remove(entry)
        elif entry:
            entry[2] = False

    @precondition(lambda self: not self.halted)
    @rule(id=ids)
    def revive(self, id):
        entry = self.entry(id)
        answer = self.chain.feed(core.RestartChild(A[id]))[-1].value
        if entry is None:
            assert answer == (A.error, A.not_found)
        elif entry[2]:
            assert answer == (A.error, A.running)
        else:
            assert answer[0] is A.ok
            entry[2] = True

    @precondition(lambda self: not self.halted)
    @rule(id=consumes(ids))
    def delete(self, id):
        entry = self.entry(id)
        answer = self.chain.feed(core.DeleteChild(A[id]))[-1].value
        if entry is not None and not entry[2]:
            assert answer is A.ok
            self.model.remove(entry)
        else:
            assert answer == (A.error, A.running if entry else A.not_found)

    @invariant()
    def same_children(self):
        seen = [(c.spec.id.name, c.spec.restart, c.pid is not None) for c in self.chain.state.children]
        assert seen == [tuple(e) for e in self.model]
        assert self.chain.state.aim is core.Aim.IDLE
        assert self.chain.state.plan == []

    def teardown(self):
        if hasattr(self, "chain"):
            running = [e[0] for e in reversed(self.model) if e[2]]
            assert self.chain.feed(core.End()) == [f"stop {id}" for id in running]


TestAgainstTheModel = SupervisorMachine.TestCase
EXAMPLES = 3_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 60
TestAgainstTheModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
