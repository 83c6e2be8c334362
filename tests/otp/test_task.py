"""Tasks: results, failures, time-outs, streams; alone and under a supervisor."""

import gevent
import pytest

from pyerlnode.errors import CallTimeout, Exit, StartFailed, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.otp.task import Task
from pyerlnode.otp.task_supervisor import TaskSupervisor
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.waiting import settle


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def me(system):
    """This test as a process that traps exits."""
    me = system.adopt()
    me.trap_exit = True
    return me


def double(x):
    return 2 * x


def forever(*_):
    gevent.sleep(60)


def fail(x=None):
    raise Exit(A.boom)


def mailbox(me):
    return list(me.queue or ())


def test_await_gives_the_result_and_leaves_nothing_but_the_exit(system, me):
    assert Task.async_(double, 21, on=system).await_() == 42
    assert all(message[0] is A.EXIT for message in mailbox(me))
    assert me.monitors == {}


def test_a_task_that_raises_ends_the_await_with_its_reason(system, me):
    task = Task.async_(fail, on=system)
    with pytest.raises(Exit) as caught:
        task.await_()
    reason, (module, name, _) = caught.value.reason
    assert (reason, module, name) == (A.boom, A.Elixir.Task, A["await"])


def test_await_times_out_and_the_task_runs_on(system, me):
    task = Task.async_(forever, on=system)
    with pytest.raises(CallTimeout):
        task.await_(timeout=0.001)
    assert system.process(task.pid) is not None


def test_yield_gives_none_while_it_runs(system, me):
    task = Task.async_(forever, on=system)
    assert task.yield_(0.001) is None
    assert task.shutdown("brutal_kill") is None
    assert Task.async_(double, 1, on=system).yield_() == (A.ok, 2)
    assert Task.async_(fail, on=system).yield_() == (A.exit, A.boom)


def test_shutdown_gives_a_result_that_had_come(system, me):
    task = Task.async_(double, 4, on=system)
    settle(system)
    assert task.shutdown() == (A.ok, 8)
    assert Task.async_(forever, on=system).shutdown() is None


def test_only_the_owner_may_await(system, me):
    task = Task.async_(double, 1, on=system)
    outcome = []

    def other():
        with pytest.raises(UsageError, match="only its owner"):
            task.await_()
        outcome.append(True)

    gevent.spawn(other).join()
    assert outcome == [True]
    task.await_()


def test_await_many_and_yield_many_share_one_time_out(system, me):
    tasks = [Task.async_(double, i, on=system) for i in range(5)]
    assert Task.await_many(tasks) == [0, 2, 4, 6, 8]
    tasks = [Task.async_(double, 1, on=system), Task.async_(forever, on=system)]
    assert [outcome for _, outcome in Task.yield_many(tasks, 0.01)] == [(A.ok, 2), None]
    tasks[1].ignore()


def test_a_failing_task_ends_an_owner_that_does_not_trap(system, me):
    def owner():
        Task.async_(fail)
        forever()

    pid = system.spawn(owner)
    ref = system.monitor(me, pid)
    assert me.receive(lambda m: m[0] is A.DOWN, 1) == (A.DOWN, ref, A.process, pid, A.boom)


def test_a_stream_keeps_the_order_and_the_bound(system, me):
    running, most = [], []

    def work(x):
        running.append(x)
        most.append(len(running))
        gevent.sleep(0.001 * (5 - x % 5))
        running.remove(x)
        return x

    outcomes = list(Task.async_stream(range(12), work, max_concurrency=3, on=system))
    assert outcomes == [(A.ok, x) for x in range(12)]
    assert max(most) == 3


def test_an_unordered_stream_gives_what_is_done_first(system, me):
    def work(delay):
        gevent.sleep(delay)
        return delay

    got = [value for _, value in Task.async_stream([0.02, 0.0], work, max_concurrency=2, ordered=False, on=system)]
    assert got == [0.0, 0.02]


def test_a_stream_takes_items_as_it_needs_them_and_ends_its_tasks_when_it_is_left(system, me):
    taken = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    before = len(system.processes)
    outcomes = Task.async_stream(items(), lambda x: forever() if x else x, max_concurrency=4, on=system)
    assert next(outcomes) == (A.ok, 0)
    outcomes.close()
    settle(system)
    assert len(taken) == 4
    assert len(system.processes) == before


def test_a_late_task_ends_the_caller_or_is_killed(system, me):
    with pytest.raises(CallTimeout):
        list(Task.async_stream([1], forever, timeout=0.001, on=system))
    late = Task.async_stream([1], forever, timeout=0.001, on_timeout="kill_task", on=system)
    assert list(late) == [(A.exit, A.timeout)]


def test_a_failed_task_of_a_stream_is_an_exit_for_a_caller_that_traps(system, me):
    assert list(Task.async_stream([1], fail, on=system)) == [(A.exit, A.boom)]
    assert list(Task.async_stream([1, 2], double, on=system)) == [(A.ok, 2), (A.ok, 4)]
    assert mailbox(me) == []


def test_a_task_as_a_child_is_temporary(system, me):
    sup = gen_server.start(system, Supervisor, ([(Task, forever)],))
    ((id, pid, _, _),) = gen.call(system, sup, A.which_children)
    assert id is A.Elixir.Task
    assert gen.call(system, sup, (A.get_childspec, id))[1][A.restart] is A.temporary
    system.exit(pid, A.kill)
    settle(system)
    assert gen.call(system, sup, A.which_children) == []


# --- under a supervisor ------------------------------------------------------------------------
@pytest.fixture
def tasks(system, me):
    return TaskSupervisor.start_link(name="tasks", on=system)


def test_supervised_tasks_give_their_results(system, me, tasks):
    assert TaskSupervisor.async_("tasks", double, 4, on=system).await_() == 8
    assert TaskSupervisor.async_nolink("tasks", double, 4, on=system).await_() == 8


def test_a_nolink_task_that_fails_only_tells(system, me, tasks):
    me.trap_exit = False
    task = TaskSupervisor.async_nolink("tasks", fail, on=system)
    assert task.yield_() == (A.exit, A.boom)
    me.trap_exit = True


def test_start_child_and_children(system, me, tasks):
    pid = TaskSupervisor.start_child("tasks", forever, on=system)
    assert TaskSupervisor.children("tasks", on=system) == [pid]
    TaskSupervisor.terminate_child("tasks", pid, on=system)
    assert TaskSupervisor.children("tasks", on=system) == []


def test_a_stream_under_a_supervisor(system, me, tasks):
    got = list(TaskSupervisor.async_stream("tasks", [1, 2, 3], double, max_concurrency=2, on=system))
    assert got == [(A.ok, 2), (A.ok, 4), (A.ok, 6)]
    me.trap_exit = False
    got = list(TaskSupervisor.async_stream("tasks", [1], fail, link=False, on=system))
    assert got == [(A.exit, A.boom)]
    me.trap_exit = True


def test_a_nolink_task_under_way_runs_on_when_its_owner_ends(system, me, tasks):
    def owner():
        TaskSupervisor.async_nolink("tasks", forever)
        forever()

    pid = system.spawn(owner)
    settle(system)
    (task,) = TaskSupervisor.children("tasks", on=system)
    assert system.process(task) is not None
    system.exit(pid, A.kill)
    settle(system)
    assert TaskSupervisor.children("tasks", on=system) == [task]  # it runs its function; only its result is unwanted


def test_max_children_refuses_tasks(system, me):
    TaskSupervisor.start_link(name="few", max_children=0, on=system)
    with pytest.raises(StartFailed) as caught:
        TaskSupervisor.async_("few", double, 1, on=system)
    assert caught.value.reason is A.max_children


def test_elixirs_order_runs_an_exported_function(system, me, tasks):
    system.exported = lambda module, name, count: double if (module, name, count) == (A.m, A.double, 1) else None
    ok, pid = gen.call(system, tasks, (A.start_task, [(A.node, me.pid), A.monitor], A.temporary, None))
    assert ok is A.ok
    alias = system.new_ref()
    system.send(pid, (me.pid, alias, me.pid, [], (A.m, A.double, [21])))
    assert me.receive(lambda m: m[0] == alias, 1) == (alias, 42)
