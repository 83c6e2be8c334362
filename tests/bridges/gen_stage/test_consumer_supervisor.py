"""One process for each event, and no more of them than were asked for."""

import pytest

from pyerlnode.bridges.gen_stage.consumer_supervisor import ConsumerSupervisor
from pyerlnode.bridges.gen_stage.stage import Producer
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Stop
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation


class Counting(Producer):
    def init(self):
        self.next = 0

    def handle_demand(self, count):
        first, self.next = self.next, self.next + count
        return list(range(first, self.next))


class Child(GenServer):
    def init(self, event):
        self.event = event
        return Stop(A.odd) if event % 2 else None


@pytest.fixture
def simulation():
    with Simulation(seed=5) as simulation:
        yield simulation


@pytest.fixture
def system(simulation):
    return simulation.system("py@sim")


@pytest.fixture
def source(simulation, system):
    return behaviour_of(system.process(simulation.run(lambda: gen_server.start(system, Counting))))


def supervisor(simulation, system, source, child, **options):
    args = (child, [(source.pid, options)])
    pid = simulation.run(lambda: gen_server.start(system, ConsumerSupervisor, args))
    simulation.run_until_idle()
    return behaviour_of(system.process(pid))


def test_as_many_events_are_under_way_as_were_asked_for_and_each_end_makes_room(simulation, system, source, caplog):
    began = []

    def work(event):
        began.append(event)
        if system.myself().receive(None, None) is A.crash:
            raise ValueError(event)

    made = supervisor(simulation, system, source, work, max_demand=4, min_demand=2)
    assert sorted(began) == [0, 1, 2, 3]
    children = list(made.children)
    system.send(children[0], A.crash)
    simulation.run_until_idle()
    assert (len(began), source.next) == (4, 4)
    system.exit(children[1], A.kill)
    simulation.run_until_idle()
    assert sorted(began) == [0, 1, 2, 3, 4, 5]
    assert len(gen.call(system, made.pid, A.which_children)) == 4
    assert gen.call(system, made.pid, A.count_children)[A.active] == 4


def test_a_class_is_started_for_each_event_and_one_that_does_not_start_is_done(simulation, system, source, caplog):
    made = supervisor(simulation, system, source, Child, max_demand=3)
    assert sorted(behaviour_of(system.process(pid)).event for pid in made.children) == [0, 2, 4]
    assert "could not start a child" in caplog.text


def test_the_children_end_with_their_supervisor(simulation, system, source):
    made = supervisor(simulation, system, source, lambda _: system.myself().receive(None, None), max_demand=3)
    children = [system.process(pid) for pid in made.children]
    simulation.run(lambda: gen.stop(system, made.pid))
    simulation.run_until_idle()
    assert [child.exit_reason for child in children] == [A.shutdown] * 3
    assert not source._emitter.consumers


def test_a_subscription_that_ends_leaves_the_children_and_asks_no_more(simulation, system, source):
    child = lambda _: system.myself().receive(None, None)  # noqa: E731  # as users write it
    made = supervisor(simulation, system, source, child, max_demand=2, cancel=A.temporary)
    simulation.run(lambda: gen.stop(system, source.pid))
    simulation.run_until_idle()
    assert len(made.children) == 2
    system.send(next(iter(made.children)), A.done)
    simulation.run_until_idle()
    assert (len(made.children), made.shares) == (1, {})
    assert gen.call(system, made.pid, A.what) == (A.error, (A.unknown_call, A.what))
