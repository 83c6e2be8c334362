"""How a process stops others, many at once, and what is left of it."""

import gevent
import pytest

from pyerlnode.errors import NotAProcess, UsageError
from pyerlnode.otp import where
from pyerlnode.otp.stopping import stop_processes
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.pid import Pid
from pyerlnode.testing.waiting import settle


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def me(system):
    me = system.adopt()
    me.trap_exit = True
    return me


def linked(system, me, *, stubborn=False):
    def body():
        system.myself().trap_exit = stubborn
        system.myself().receive(lambda message: False, None)

    return system.spawn_function(body, (), {}, link=me).pid


def test_each_ends_by_its_own_shutdown_and_leaves_no_message(system, me):
    polite, late, brutal = (linked(system, me, stubborn=x) for x in (False, True, True))
    settle(system)
    targets = [(polite, A.infinity), (late, 0.005), (brutal, A.brutal_kill)]
    assert stop_processes(me, targets) == {polite: A.shutdown, late: A.killed, brutal: A.killed}
    assert not me.queue
    assert not me.monitors
    assert me.links == {}


def test_one_alone_keeps_its_link_until_it_has_ended(system, me):
    pid = linked(system, me)
    settle(system)
    assert stop_processes(me, [(pid, 1.0)]) == {pid: A.shutdown}
    assert not me.queue


def test_who_has_ended_before_tells_its_own_reason(system, me):
    pids = [linked(system, me) for _ in range(3)]
    settle(system)
    system.exit(pids[0], A.boom)
    reasons = stop_processes(me, [(pid, 1.0) for pid in pids])
    assert reasons == {pids[0]: A.boom, pids[1]: A.shutdown, pids[2]: A.shutdown}
    assert not me.queue


def test_other_messages_stay_in_their_order(system, me):
    pids = [linked(system, me) for _ in range(2)]
    settle(system)
    system.send(me.pid, 1)
    system.send(me.pid, (A.EXIT, me.pid, A.other))
    stop_processes(me, [(pid, A.infinity) for pid in pids])
    assert list(me.queue) == [1, (A.EXIT, me.pid, A.other)]


def test_a_process_of_a_node_that_can_not_be_reached_has_ended_by_noconnection(system, me):
    stranger = Pid(A["far@away"], 1, 0, 1)
    assert stop_processes(me, [(stranger, A.infinity)]) == {stranger: A.noconnection}


def test_many_are_stopped_in_time_that_grows_with_their_number(system, me):
    pids = [linked(system, me) for _ in range(2000)]
    settle(system)
    reasons = stop_processes(me, [(pid, 5.0) for pid in pids])
    assert set(reasons.values()) == {A.shutdown}
    assert len(system.processes) == 2


def test_a_greenlet_that_is_no_process_says_where(system):
    def outside():
        with pytest.raises(NotAProcess, match="on=node"):
            where.system_of()
        with pytest.raises(UsageError, match="on= takes a node"):
            where.system_of("node")
        assert where.system_of(system) is system

    gevent.spawn(outside).get()
