"""The virtual clock and the systems under it."""

import time

import pytest

from pyerlnode.errors import CallTimeout, NodeDown, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply, Timeout
from pyerlnode.runtime.api import receive
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation


class Echo(GenServer):
    def init(self, idle=None):
        self.timeouts = 0
        return None if idle is None else Timeout(idle)

    def handle_call(self, request, from_):
        return NoReply() if request is A.never else Reply((request, self.timeouts))

    def handle_info(self, message):
        self.timeouts += message is A.timeout


def test_an_hour_passes_at_once_and_only_when_told():
    began = time.process_time()
    with Simulation() as simulation:
        system = simulation.system()
        pid = gen_server.start(system, Echo, (3600,))
        simulation.advance(3599.9)
        assert gen.call(system, pid, 1) == (1, 0)
        pid = gen_server.start(system, Echo, (3600,))
        simulation.advance(3600.1)
        assert gen.call(system, pid, 1) == (1, 1)
    assert time.process_time() - began < 5


def test_run_jumps_to_the_deadlines_that_somebody_waits_for():
    with Simulation() as simulation:
        system = simulation.system()
        pid = gen_server.start(system, Echo)
        start = simulation.clock.now()
        with pytest.raises(CallTimeout):
            simulation.run(gen.call, system, pid, A.never, 500.0)
        assert 500 <= simulation.clock.now() - start < 501
        with pytest.raises(UsageError, match="no timer is left"):
            simulation.run(gen.call, system, pid, A.never, None)


def test_two_systems_talk_over_a_slow_link_byte_by_byte():
    with Simulation(seed=1) as simulation:
        left, right = simulation.system("left@sim"), simulation.system("right@sim", 2)
        simulation.link(left, right, delay=0.2, dribble=1)
        gen_server.start(right, Echo, name="echo")
        job = simulation.start(gen.call, left, ("echo", "right@sim"), A.hello)
        simulation.advance(0.3)
        assert not job.ready()
        simulation.advance(0.2)
        assert job.get() == (A.hello, 0)


def test_a_cut_link_tells_both_sides_and_can_be_mended():
    with Simulation() as simulation:
        left, right = simulation.system("left@sim"), simulation.system("right@sim", 2)
        link = simulation.link(left, right)
        pid = gen_server.start(right, Echo, name="echo")
        me = left.adopt()
        ref = left.monitor(me, pid)
        simulation.run_until_idle()
        assert right.process(pid).monitored_by
        link.cut()
        simulation.run_until_idle()
        assert me.receive(None, 0) == (A.DOWN, ref, A.process, pid, A.noconnection)
        assert not right.process(pid).monitored_by
        with pytest.raises(NodeDown):
            simulation.run(gen.call, left, pid, 1)
        link.mend()
        assert simulation.run(gen.call, left, pid, 1) == (1, 0)


def test_a_held_link_delivers_nothing_until_it_is_released():
    with Simulation() as simulation:
        left, right = simulation.system("left@sim"), simulation.system("right@sim", 2)
        link = simulation.link(left, right)
        pid = gen_server.start(right, Echo)
        simulation.run(gen.call, left, pid, 1)
        link.hold()
        job = simulation.start(gen.call, left, pid, 2, None)
        simulation.advance(60)
        assert not job.ready()
        link.release()
        simulation.run_until_idle()
        assert job.get() == (2, 0)


def test_a_node_that_is_not_linked_is_unknown():
    with Simulation() as simulation, pytest.raises(NodeDown):
        gen.call(simulation.system("left@sim"), ("echo", "right@sim"), 1)


def order_of_arrival(seed):
    with Simulation(seed=seed) as simulation:
        system = simulation.system()
        seen = []

        def sender(name):
            for number in range(3):
                system.send("sink", (name, number))
                gen.call(system, echo, 1)

        def sink():
            while True:
                seen.append(receive())

        echo = gen_server.start(system, Echo)
        system.registry.register("sink", system.spawn_function(sink, (), {}))
        for name in "abcd":
            system.spawn(sender, name)
        simulation.run_until_idle()
        return seen


def test_a_seed_decides_the_order_of_processes_and_never_that_of_one_senders_messages():
    orders = [order_of_arrival(seed) for seed in range(20)]
    assert orders == [order_of_arrival(seed) for seed in range(20)]
    assert len({tuple(order) for order in orders}) > 5
    for order in orders:
        assert sorted(order) == [(name, number) for name in "abcd" for number in range(3)]
        for name in "abcd":
            assert [number for who, number in order if who == name] == [0, 1, 2]


def test_the_clock_does_not_go_back():
    with pytest.raises(UsageError):
        Simulation().clock.set(0)
