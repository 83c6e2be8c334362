"""Supervisors as processes: order, restarts, stops, requests, reports."""

import logging
from typing import Any

import gevent
import pytest

from pyerlnode.errors import ServerExit, StartFailed
from pyerlnode.otp import gen, gen_event, gen_server, sys
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.gen_event import GenEvent
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.gen_statem import GenStatem, Started
from pyerlnode.otp.results import Ignore, Reply, Stop
from pyerlnode.otp.supervisor import Supervise, Supervisor, SupervisorError
from pyerlnode.otp.where import start_link
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.pid import Pid
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import settle

log: list[Any] = []


class Worker(GenServer):
    """Tells log of its start and its end."""

    def init(self, name, end=None):
        self.name = name
        self.end = end
        self.process.trap_exit = end is not None
        if end == "fail":
            raise ValueError("can not")
        if end == "ignore":
            return Ignore()
        log.append(("start", name))
        return None

    def handle_call(self, request, from_):
        match request:
            case (A.exit, reason):
                return Stop(reason, reply=A.ok)
            case A.crash:
                raise ValueError("as asked")
        return Reply(request)

    def terminate(self, reason):
        if self.end == "slow":
            gevent.sleep(30)
        log.append(("stop", self.name, reason))


@pytest.fixture(autouse=True)
def clean_log():
    log.clear()
    caught = logging.getLogger("pyerlnode").level
    yield
    logging.getLogger("pyerlnode").setLevel(caught)


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


def worker(id, *args, **options):
    return child_spec(Worker, id, *args, id=id, **options)


def start(system, children, **flags) -> Pid:
    pid = gen_server.start(system, Supervisor, (children,), {"max_restarts": 3, **flags}, link=system.adopt())
    system.adopt().trap_exit = True
    return pid


def pids(system, sup):
    return {str(id): pid for id, pid, _, _ in gen.call(system, sup, A.which_children)}


def crash(system, sup, id, reason=A.boom):
    system.exit(pids(system, sup)[id], reason)
    settle(system)


def test_children_start_in_order_and_stop_in_reverse(system):
    sup = start(system, [worker(x, "trap") for x in "abc"])
    assert log == [("start", "a"), ("start", "b"), ("start", "c")]
    log.clear()
    system.exit(sup, A.shutdown)
    settle(system)
    assert log == [("stop", "c", A.shutdown), ("stop", "b", A.shutdown), ("stop", "a", A.shutdown)]
    assert system.process(sup) is None


@pytest.mark.parametrize(("strategy", "again"), [("one_for_one", "b"), ("rest_for_one", "bc"), ("one_for_all", "abc")])
def test_a_crash_restarts_what_the_strategy_says(system, strategy, again):
    sup = start(system, [worker(x) for x in "abc"], strategy=strategy)
    before = pids(system, sup)
    crash(system, sup, "b")
    after = pids(system, sup)
    assert list(after) == ["c", "b", "a"]
    assert {x for x in "abc" if before[x] != after[x]} == set(again)
    assert all(system.process(pid) for pid in after.values())


def test_more_restarts_than_the_intensity_end_the_supervisor(system, caplog):
    sup = start(system, [worker("a")], max_restarts=1)
    crash(system, sup, "a")
    crash(system, sup, "a")
    assert system.process(sup) is None
    assert system.adopt().receive(None, 0) == (A.EXIT, sup, A.shutdown)
    assert "reached_max_restart_intensity" in caplog.text


def test_a_child_that_ignores_is_kept_without_a_pid(system):
    sup = start(system, [worker("a", "ignore"), worker("t", "ignore", restart="temporary")])
    assert pids(system, sup) == {"a": A.undefined}


def test_a_child_that_fails_at_boot_stops_those_before_it_and_fails_the_start(system, caplog):
    with pytest.raises(StartFailed) as caught:
        start(system, [worker("a", "trap"), worker("b", "fail")])
    what, (why, id, reason) = caught.value.reason
    assert (what, why, id) == (A.shutdown, A.failed_to_start_child, A.b)
    assert reason[:2] == (A.python_error, b"ValueError")
    assert log == [("start", "a"), ("stop", "a", A.shutdown)]
    assert "start_error" in caplog.text


def test_a_child_that_does_not_stop_in_time_is_killed(system, caplog):
    sup = start(system, [worker("a", "slow", shutdown=0.02)])
    pid = pids(system, sup)["a"]
    Supervisor.terminate_child(sup, "a", on=system)
    assert system.process(pid) is None
    assert "shutdown_error: A.killed" in caplog.text


def test_brutal_kill_runs_no_terminate(system, caplog):
    sup = start(system, [worker("a", "trap", shutdown="brutal_kill")])
    Supervisor.terminate_child(sup, "a", on=system)
    assert log == [("start", "a")]
    assert caplog.text == ""


def test_requests_are_refused_as_by_otp(system):
    sup = start(system, [worker("a")])
    ask = lambda *request: gen.call(system, sup, request)  # noqa: E731
    assert ask(A.restart_child, A.a) == (A.error, A.running)
    assert ask(A.delete_child, A.a) == (A.error, A.running)
    assert ask(A.terminate_child, A.nobody) == (A.error, A.not_found)
    assert ask(A.start_child, {A.id: A.x}) == (A.error, A.missing_start)
    assert ask(A.start_child, worker("a"))[1][0] is A.already_started
    assert ask(A.terminate_child, A.a) is A.ok
    assert ask(A.start_child, worker("a")) == (A.error, A.already_present)
    assert pids(system, sup) == {"a": A.undefined}
    assert ask(A.restart_child, A.a)[0] is A.ok
    assert ask(A.terminate_child, A.a) is A.ok
    assert ask(A.delete_child, A.a) is A.ok
    assert ask(A.which_child, A.a) == (A.error, A.not_found)
    assert gen.call(system, sup, A.nonsense)[0] is A.error


def test_a_start_function_of_the_beam_is_one_that_was_exported(system):
    def begin(x):
        return A.ok, start_link(Worker, x), A.info

    system.exported = lambda module, name, count: begin if (module, name, count) == (A.m, A.f, 1) else None
    sup = start(system, [])
    spec = {A.id: 1, A.start: (A.m, A.f, [A.x]), A.shutdown: 100}
    answer = gen.call(system, sup, (A.start_child, spec))
    assert answer[0] is A.ok
    assert answer[2] is A.info
    _, told = gen.call(system, sup, (A.get_childspec, 1))
    assert told == {
        A.id: 1, A.start: (A.m, A.f, [A.x]), A.restart: A.permanent, A.significant: False, A.shutdown: 100,
        A.type: A.worker, A.modules: [A.m],
    }  # fmt: skip
    bad = gen.call(system, sup, (A.start_child, {A.id: 2, A.start: (A.m, A.g, [])}))
    assert bad[1][0] == (A.EXIT, (A.undef, [(A.m, A.g, [], [])]))


def test_the_python_functions_raise_what_otp_answers(system):
    sup = start(system, [worker("a")])
    assert Supervisor.count_children(sup, on=system) == {"specs": 1, "active": 1, "supervisors": 0, "workers": 1}
    pid = Supervisor.start_child(sup, worker("b"), on=system)
    assert pids(system, sup)["b"] == pid
    with pytest.raises(SupervisorError, match="running"):
        Supervisor.delete_child(sup, "b", on=system)
    with pytest.raises(StartFailed) as caught:
        Supervisor.start_child(sup, worker("b"), on=system)
    assert caught.value.reason == (A.already_started, pid)
    assert Supervisor.get_childspec(sup, "b", on=system)[A.shutdown] == 5000


def test_a_restart_that_fails_is_tried_again_and_counts(system, caplog):
    attempts = []

    def begin():
        attempts.append(1)
        if len(attempts) in (2, 3):
            return A.error, A.not_yet
        return start_link(Worker, "a")

    sup = start(system, [{"id": "a", "start": begin}])
    crash(system, sup, "a")
    assert len(attempts) == 4
    assert isinstance(pids(system, sup)["a"], Pid)
    crash(system, sup, "a")
    assert system.process(sup) is None


@pytest.mark.parametrize(("auto", "ends"), [("any_significant", "a"), ("all_significant", "ab")])
def test_auto_shutdown_ends_the_supervisor_with_its_significant_children(system, auto, ends):
    children = [worker(x, restart="transient", significant=True) for x in "ab"]
    sup = start(system, children, auto_shutdown=auto)
    for id in ends:
        assert system.process(sup) is not None
        gen.call(system, pids(system, sup)[id], (A.exit, A.normal))
        settle(system)
    assert system.process(sup) is None


def test_simple_one_for_one_starts_with_further_arguments_and_stops_all_at_once(system):
    sup = start(system, [child_spec(Worker, id="w", shutdown=1)], strategy="simple_one_for_one")
    one = Supervisor.start_child(sup, ["x", "trap"], on=system)
    two = Supervisor.start_child(sup, ["y", "trap"], on=system)
    modules = [A[f"{__name__}.Worker"]]
    assert gen.call(system, sup, A.which_children) == [
        (A.undefined, one, A.worker, modules), (A.undefined, two, A.worker, modules)
    ]  # fmt: skip
    assert gen.call(system, sup, (A.terminate_child, A.w)) == (A.error, A.simple_one_for_one)
    assert gen.call(system, sup, (A.terminate_child, one)) is A.ok
    system.exit(two, A.kill)
    settle(system)
    assert gen.call(system, sup, A.count_children) == [
        (A.specs, 1), (A.active, 1), (A.supervisors, 0), (A.workers, 1)
    ]  # fmt: skip
    assert log == [("start", "x"), ("start", "y"), ("stop", "x", A.shutdown), ("start", "y")]
    system.exit(sup, A.shutdown)
    settle(system)
    assert log[-1] == ("stop", "y", A.shutdown)


def test_a_tree_is_described_and_falls_as_one(system):
    inner = child_spec(Supervisor, [worker("x", "trap")], id="inner")
    sup = start(system, [worker("a", "trap"), inner])
    assert [(str(id), type_) for id, _, type_, _ in gen.call(system, sup, A.which_children)] == [
        ("inner", A.supervisor), ("a", A.worker)
    ]  # fmt: skip
    assert gen.call(system, sup, (A.get_childspec, A.inner))[1][A.shutdown] is A.infinity
    log.clear()
    system.exit(sup, A.shutdown)
    settle(system)
    assert [entry[1] for entry in log] == ["x", "a"]
    assert len(system.processes) == 2  # the root and this test


def test_the_reports_have_otps_fields(system, caplog):
    sup = start(system, [worker("a")])
    pid = pids(system, sup)["a"]
    crash(system, sup, "a")
    record = next(r for r in caplog.records if r.name == "pyerlnode.supervisor")
    assert record.erlang["label"] == (A.supervisor, A.child_terminated)
    report = record.erlang["report"]
    assert list(report) == ["supervisor", "errorContext", "reason", "offender"]
    assert report["supervisor"] == (sup, A["pyerlnode.otp.supervisor.Supervisor"])
    assert report["offender"][:2] == [(A.pid, pid), (A.id, A.a)]


def test_sys_sees_otps_state_and_the_callback_module(system):
    sup = start(system, [worker("a")])
    state = sys.get_state(system, sup)
    assert state[0] is A.state
    assert state[2] is A.one_for_one
    assert state[3][0] == [A.a]
    status = sys.get_status(system, sup)
    assert status[2] == (A.module, A.gen_server)
    assert status[3][-1][-1][0] is A.supervisor


def test_a_supervisor_that_is_killed_while_a_child_starts_leaves_nothing(system):
    def begin():
        gevent.sleep(0)
        return start_link(Worker, "a")

    def run():
        me = system.adopt()
        me.trap_exit = True
        with pytest.raises(StartFailed):
            gen_server.start(system, Supervisor, ([{"id": "a", "start": begin}],), {})

    system.adopt()
    before = len(system.processes)
    job = gevent.spawn(run)
    settle(system)
    victim = max(system.processes)
    system.processes[victim].exit_signal(system.root.pid, A.kill)
    job.join(patience())
    settle(system)
    assert len(system.processes) <= before


def test_code_change_takes_new_flags_and_specifications(system):
    class Tree(Supervisor):
        wanted = ("a",)

        def init(self):
            return Supervise([worker(x) for x in self.wanted], max_restarts=len(self.wanted))

    sup = gen_server.start(system, Tree)
    pid = pids(system, sup)["a"]
    Tree.wanted = ("a", "b")
    sys.suspend(system, sup)
    sys.change_code(system, sup, A.tree, A.undefined, [])
    sys.resume(system, sup)
    assert pids(system, sup) == {"b": A.undefined, "a": pid}
    assert sys.get_state(system, sup)[5] == 2


def test_every_behaviour_can_be_a_child(system):
    class Switch(GenStatem):
        __erlang_module__ = "Elixir.Switch"

        def init(self):
            return Started(A.off)

        def handle_event(self, type, event, state):
            return None

    sup = start(system, [Switch, child_spec(GenEvent, name="events")])
    children = gen.call(system, sup, A.which_children)
    assert [(id, modules) for id, _, _, modules in children] == [
        (A.events, [A["pyerlnode.otp.gen_event.GenEvent"]]), (A.Elixir.Switch, [A.Elixir.Switch])
    ]  # fmt: skip
    assert gen_event.which_handlers(system, "events") == []


def test_bad_flags_and_children_fail_the_start_with_otps_reason(system):
    def reason(*args, **kwargs):
        with pytest.raises(StartFailed) as caught:
            gen_server.start(system, Supervisor, args, kwargs)
        return caught.value.reason

    assert reason([], strategy="none_for_one") == (A.supervisor_data, (A.invalid_strategy, A.none_for_one))
    assert reason([], max_restarts=-1) == (A.supervisor_data, (A.invalid_intensity, -1))
    assert reason([], max_seconds=0) == (A.supervisor_data, (A.invalid_period, 0))
    assert reason([worker("a"), worker("a")]) == (A.start_spec, (A.duplicate_child_name, A.a))
    assert reason([{"id": "x"}]) == (A.start_spec, A.missing_start)
    combination = [(A.auto_shutdown, A.never), (A.significant, True)]
    assert reason([worker("a", significant=True)]) == (A.start_spec, (A.bad_combination, combination))
    assert reason([], strategy="simple_one_for_one") == (A.bad_start_spec, [])


@pytest.mark.parametrize("where", ["init", "terminate", "format_status"])
def test_a_child_that_raises_in_any_callback_is_reported_and_never_wedges_its_supervisor(system, caplog, where):
    broken = []

    class Broken(GenServer):
        def init(self):
            self.process.trap_exit = True
            if where == "init" and broken:
                raise RuntimeError("in init")

        def handle_call(self, request, from_):
            raise ValueError("as asked")

        def terminate(self, reason):
            if where == "terminate":
                raise RuntimeError("in terminate")

        def format_status(self, status):
            if where == "format_status":
                raise RuntimeError("in format_status")
            return status

    sup = start(system, [child_spec(Broken, id="b"), worker("w")], max_restarts=3)
    first = pids(system, sup)["b"]
    if where == "format_status":
        assert "format_status raised RuntimeError" in repr(sys.get_status(system, first))
    broken.append(True)
    with pytest.raises(ServerExit):
        gen.call(system, first, A.crash)
    settle(system)
    if where == "init":  # it fails until the intensity is reached, and then the supervisor ends as OTP's does
        assert system.adopt().receive(None, 1) == (A.EXIT, sup, A.shutdown)
        assert "in init" in caplog.text
        return
    assert pids(system, sup)["b"] != first
    assert gen.call(system, pids(system, sup)["w"], A.hello) is A.hello
    assert Supervisor.terminate_child(sup, "b", on=system) in (None, A.ok)
    gen.stop(system, sup, A.shutdown)
    assert "as asked" in caplog.text
    assert ("in terminate" in caplog.text) is (where == "terminate")
