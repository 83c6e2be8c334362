"""Function bodies that acknowledge their start."""

import gevent
import pytest

from pyerlnode.errors import StartFailed
from pyerlnode.otp import proc_lib
from pyerlnode.runtime.api import receive, self_
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.waiting import settle
from tests.helpers import hostile


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


def test_start_gives_what_init_ack_was_given_and_the_process_goes_on(system):
    went_on = []

    def body(x, y=0):
        proc_lib.init_ack((A.ok, self_(), x + y))
        proc_lib.init_ack(A.second)
        went_on.append(receive())

    word, pid, value = proc_lib.start(system, body, 1, y=2)
    assert (word, value) == (A.ok, 3)
    system.send(pid, A.go)
    settle(system)
    assert went_on == [A.go]


def test_a_process_that_ends_before_init_ack_is_a_failed_start(system, caplog):
    def body():
        raise ValueError("no port")

    with pytest.raises(StartFailed, match="no port"):
        proc_lib.start(system, body)
    me = system.adopt()
    me.trap_exit = True
    with pytest.raises(StartFailed):
        proc_lib.start_link(system, body)
    assert not me.queue


def test_a_process_that_does_not_acknowledge_in_time_is_killed_and_unlinked(system):
    me = system.adopt()
    with pytest.raises(StartFailed, match="init_ack within"):
        proc_lib.start_link(system, receive, timeout=0.001)
    settle(system)
    assert set(system.processes.values()) == {system.root, me}
    assert me.alive


def test_labels_ancestors_and_initial_calls_are_known(system):
    def child():
        proc_lib.set_label((A.child, 1))
        proc_lib.init_ack(self_())
        receive()

    def parent():
        proc_lib.init_ack((self_(), proc_lib.start_link(system, child)))
        receive()

    above, below = proc_lib.start(system, parent)
    assert proc_lib.get_label(system, below) == (A.child, 1)
    assert proc_lib.get_label(system, above) is A.undefined
    assert system.process(below).ancestors == [above, system.root.pid]
    module, function, arity = proc_lib.initial_call(system, below)
    assert module.name.endswith("test_proc_lib")
    assert function.name.endswith("child")
    assert arity == 0


@pytest.mark.parametrize("label", [hostile.deep("list"), 10**5000, hostile.deep_key(), object()], ids=lambda _: "")
def test_a_crash_of_a_process_with_any_label_is_reported(system, caplog, label):
    def crash():
        proc_lib.set_label(label)
        raise ValueError("on purpose")

    process = system.spawn_function(crash, (), {})
    settle(system)
    assert not process.alive
    [line] = [record.getMessage() for record in caplog.records if record.name == "pyerlnode.process"]
    assert f"process {process.pid} (" in line
    assert "could not be made" not in line
    assert len(line) < 600
