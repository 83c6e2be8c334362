"""The decisions of a dynamic supervisor, without processes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyerlnode.otp import supervisor_core as core
from pyerlnode.otp.child_spec import ChildSpec, Start
from pyerlnode.otp.children_core import Restarts
from pyerlnode.otp.dynamic_core import Pool, alike, shutdown_errors, with_arguments
from pyerlnode.term import A
from pyerlnode.term.pid import Pid


def pid(number):
    return Pid(A["t@local"], number, 0, 1)


def spec(**options):
    return ChildSpec(A.w, Start(None, (1,), A.m, A.f), **options)


def pool(intensity=3, **options):
    made = Pool(core.Flags(A.simple_one_for_one, intensity, 5.0))
    made.add(spec(**options))
    made.started(pid(1))
    return made


def kinds(effects):
    return [type(effect).__name__ for effect in effects]


def test_a_restart_takes_the_place_of_the_old_pid():
    p = pool()
    assert kinds(p.exited(pid(1), A.boom, 0.0)) == ["Report", "Start"]
    p.started(pid(2))
    assert list(p.children) == [pid(2)]


@pytest.mark.parametrize("restart", [A.transient, A.temporary])
def test_who_is_not_restarted_is_forgotten(restart):
    p = pool(restart=restart)
    assert p.exited(pid(1), A.normal, 0.0) == ()
    assert len(p) == 0


def test_a_failed_restart_is_kept_and_tried_again_until_the_intensity_ends_it():
    p = pool(intensity=2)
    p.exited(pid(1), A.boom, 0.0)
    assert kinds(p.failed(A.no)) == ["Report", "Again"]
    assert p.which_children() == [(A.undefined, A.restarting, A.worker, A.dynamic)]
    assert p.count_children(1) == [(A.specs, 1), (A.active, 0), (A.supervisors, 0), (A.workers, 1)]
    assert kinds(p.try_again(pid(1), 0.0)) == ["Start"]
    assert p.failed(A.no)[1] == core.Again(pid(1))
    assert kinds(p.try_again(pid(1), 0.0)) == ["Report", "Halt"]
    assert len(p) == 0


def test_trying_again_for_a_child_that_was_terminated_does_nothing():
    p = pool()
    p.exited(pid(1), A.boom, 0.0)
    p.failed(A.no)
    p.forget(pid(1))
    assert p.try_again(pid(1), 0.0) == ()


def test_a_restart_that_gives_ignore_forgets_the_child():
    p = pool()
    p.exited(pid(1), A.boom, 0.0)
    p.ignored()
    assert len(p) == 0


def test_a_start_that_fails_leaves_nothing():
    p = pool()
    p.add(spec())
    assert p.failed(A.no) == ()
    assert list(p.children) == [pid(1)]


def test_the_arguments_of_temporary_children_are_forgotten():
    assert pool(restart=A.temporary).children[pid(1)].start.args is None
    assert pool().children[pid(1)].start.args == (1,)


def test_further_arguments_stand_behind_or_before():
    assert with_arguments(spec(), [2]).start.args == (1, 2)
    assert with_arguments(spec(), [2], before=True).start.args == (2, 1)


def test_like_errors_of_a_shutdown_are_one_report():
    specs = {pid(n): spec() for n in range(4)}
    reasons = {pid(0): A.killed, pid(1): A.shutdown, pid(2): A.killed, pid(3): A.boom}
    reports = [(report.reason, many) for report, many in alike(shutdown_errors(specs, reasons))]
    assert reports == [(A.killed, 2), (A.boom, 1)]


@given(st.lists(st.tuples(st.floats(0, 4), st.booleans()), max_size=30), st.integers(0, 5))
def test_the_pool_ends_exactly_when_more_than_intensity_restarts_lie_within_the_period(history, intensity):
    p, now, times, running = pool(intensity=intensity), 0.0, [], 1
    for wait, starts in history:
        now += wait
        retry = bool(p.restarting)
        effects = p.try_again(pid(running), now) if retry else p.exited(pid(running), A.boom, now)
        times = [then for then in times if now - then <= 5.0] + [now]
        if len(times) > intensity:
            assert kinds(effects)[-1] == "Halt"
            return
        assert kinds(effects)[-1] == "Start"
        if starts:
            running += 1
            p.started(pid(running))
        else:
            p.failed(A.no)
        assert len(p) == 1


def test_who_is_unknown_or_waits_to_be_tried_again_has_no_end():
    p = pool()
    assert p.exited(pid(9), A.boom, 0.0) == ()
    p.exited(pid(1), A.boom, 0.0)
    p.failed(A.no)
    assert p.exited(pid(1), A.boom, 0.0) == ()


def test_who_waits_to_be_tried_again_does_not_run():
    p = pool()
    p.add(spec())
    p.started(pid(2))
    p.exited(pid(1), A.boom, 0.0)
    p.failed(A.no)
    assert [p.is_running(pid(number)) for number in (1, 2, 3)] == [False, True, False]
    assert [one for one, _ in p.running()] == [pid(2)]
    assert p.restarting == 1


def test_supervisors_are_counted_apart():
    p = pool()
    p.add(spec(type=A.supervisor))
    p.started(pid(2))
    assert p.count_children() == [(A.specs, 2), (A.active, 2), (A.supervisors, 1), (A.workers, 1)]


def test_a_restart_as_old_as_the_period_counts_and_an_older_one_does_not():
    restarts = Restarts()
    assert [restarts.add(now, 5.0) for now in (0.0, 5.0, 10.0, 16.0)] == [1, 2, 2, 1]
    assert (list(restarts), len(restarts)) == ([16.0], 1)
