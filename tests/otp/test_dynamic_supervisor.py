"""DynamicSupervisor and PartitionSupervisor."""

import gevent
import pytest

from pyerlnode.errors import StartFailed
from pyerlnode.otp import gen, sys
from pyerlnode.otp.agent import Agent, AgentServer
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
from pyerlnode.otp.partition_supervisor import PartitionSupervisor
from pyerlnode.otp.supervisor import SupervisorError
from pyerlnode.otp.where import start_link
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.phash2 import phash2
from pyerlnode.testing.patience import deadline
from pyerlnode.testing.waiting import settle, wait_for


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture(autouse=True)
def me(system):
    me = system.adopt()
    me.trap_exit = True
    return me


def value(system, pid):
    return Agent.get(pid, lambda v: v, on=system)


def test_children_come_and_go(system):
    sup = DynamicSupervisor.start_link(name="pool", on=system)
    one = DynamicSupervisor.start_child("pool", (Agent, int, "7"), on=system)
    assert value(system, one) == 7
    assert DynamicSupervisor.which_children(sup, on=system) == [
        (A.undefined, one, A.worker, [A["pyerlnode.otp.agent.AgentServer"]])
    ]
    assert DynamicSupervisor.count_children(sup, on=system) == {
        "specs": 1, "active": 1, "supervisors": 0, "workers": 1
    }  # fmt: skip
    DynamicSupervisor.terminate_child(sup, one, on=system)
    with pytest.raises(SupervisorError, match="not_found"):
        DynamicSupervisor.terminate_child(sup, one, on=system)


def test_a_permanent_child_is_restarted_and_the_intensity_holds(system, caplog):
    sup = DynamicSupervisor.start_link(max_restarts=1, on=system)
    one = DynamicSupervisor.start_child(sup, (Agent, int, "7"), on=system)
    system.exit(one, A.kill)
    settle(system)
    ((_, two, _, _),) = DynamicSupervisor.which_children(sup, on=system)
    assert two != one
    assert value(system, two) == 7
    system.exit(two, A.kill)
    settle(system)
    assert system.process(sup) is None
    assert "reached_max_restart_intensity" in caplog.text


def test_max_children_and_extra_arguments(system):
    sup = DynamicSupervisor.start_link(max_children=1, extra_arguments=[max, 3], on=system)
    spec = child_spec(AgentServer, 8, id="x")
    one = DynamicSupervisor.start_child(sup, spec, on=system)
    assert value(system, one) == 8
    with pytest.raises(StartFailed) as caught:
        DynamicSupervisor.start_child(sup, spec, on=system)
    assert caught.value.reason is A.max_children
    system.exit(one, A.kill)
    settle(system)
    ((_, two, _, _),) = DynamicSupervisor.which_children(sup, on=system)
    assert value(system, two) == 8


def test_elixirs_request_starts_an_exported_function(system):
    def begin(x):
        return A.ok, start_link(AgentServer, int, x)

    system.exported = lambda module, name, count: begin if (module, name, count) == (A.m, A.f, 1) else None
    sup = DynamicSupervisor.start_link(on=system)
    spec = ((A.m, A.f, ["5"]), A.permanent, 5000, A.worker, [A.m])
    ok, pid = gen.call(system, sup, (A.start_child, spec))
    assert ok is A.ok
    assert value(system, pid) == 5
    bad = ((A.m, A.f, ["5"]), A.always, 5000, A.worker, [A.m])
    assert gen.call(system, sup, (A.start_child, bad)) == (A.error, (A.invalid_restart_type, A.always))
    assert sys.get_state(system, sup)[A.children] == {pid: spec}


def test_a_restart_that_fails_is_tried_again(system, caplog):
    results = iter([True, False, False, True])

    def begin():
        return start_link(AgentServer, int) if next(results) else (A.error, A.busy)

    sup = DynamicSupervisor.start_link(on=system)
    one = DynamicSupervisor.start_child(sup, begin, on=system)
    system.exit(one, A.kill)
    settle(system)
    ((_, two, _, _),) = DynamicSupervisor.which_children(sup, on=system)
    assert system.process(two) is not None
    assert caplog.text.count("start_error") == 2


def test_all_children_are_stopped_at_once(system, caplog):
    def stubborn():
        system.myself().trap_exit = True
        system.myself().receive(lambda m: False, None)

    sup = DynamicSupervisor.start_link(on=system)
    for shutdown in (0.02, 0.02, "brutal_kill"):
        DynamicSupervisor.start_child(
            sup, {"id": "x", "start": lambda: system.spawn_function(stubborn, (), {}, link=system.myself()).pid,
                  "shutdown": shutdown}, on=system,
        )  # fmt: skip
    settle(system)
    with deadline(0.2, "the end of all three, whose times run beside each other"):
        system.exit(sup, A.shutdown)
        wait_for(lambda: system.process(sup) is None)
    assert caplog.text.count("shutdown_error: A.killed") == 2


def test_partitions_share_the_keys_as_elixirs_do(system):
    PartitionSupervisor.start_link(
        (Agent, int), partitions=3, name="parts", with_arguments=lambda args, i: [*args, str(i)], on=system
    )
    assert PartitionSupervisor.partitions("parts", on=system) == 3
    for key in (0, 1, 5, -4):
        got = value(system, PartitionSupervisor.via("parts", key, on=system))
        assert got == abs(key) % 3
    assert value(system, PartitionSupervisor.via("parts", A.user, on=system)) == phash2(A.user, 3)
    children = gen.call(system, "parts", A.which_children)
    assert [id for id, *_ in children] == [2, 1, 0]
    assert PartitionSupervisor.whereis("parts", 1, on=system) == children[1][1]
