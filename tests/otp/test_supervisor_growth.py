"""What supervisors do for one child does not depend on how many there are.

Counted are steps of the interpreter and bytes, never seconds: a table that is walked shows in the steps, one that is
copied shows in the bytes.
"""

import sys
import tracemalloc

import gevent
import pytest

from pyerlnode import A, Continue, GenServer
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
from pyerlnode.otp.partition_supervisor import PartitionSupervisor
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.otp.task_supervisor import TaskSupervisor
from pyerlnode.runtime.system import System
from pyerlnode.testing.waiting import wait_for

FEW, MANY = 30, 240
COPY = 16_384
"""Bytes: what one operation may take at most. A copy of a table of `CROWD` children takes more."""
CROWD = 3_000
MOST = 10**9


class Polite(GenServer):
    """Traps exits, so it is waited for."""

    def init(self):
        self.process.trap_exit = True


class Abrupt(GenServer):
    pass


class Sup:
    """A supervisor of one kind in a system of its own, and what can be asked of it."""

    strategy = "one_for_one"

    def __init__(self, child=Abrupt):
        self.system = System("t@local", 7)
        self.me = self.system.adopt()
        self.me.trap_exit = True
        self.ids = 0
        self.child = child
        self.pid = self._start()

    def _start(self):
        return Supervisor.start_link([], strategy=self.strategy, max_restarts=MOST, on=self.system)

    def start(self, count):
        for _ in range(count):
            self.ids += 1
            Supervisor.start_child(self.pid, child_spec(self.child, id=self.ids), on=self.system)

    def children(self):
        return [pid for _, pid, _, _ in Supervisor.which_children(self.pid, on=self.system)]

    def count(self):
        return Supervisor.count_children(self.pid, on=self.system)["active"]

    def kill(self, pids):
        for pid in pids:
            self.system.exit(pid, A.kill)
        gen.call(self.system, self.pid, A.anything)  # answered behind the exits

    def remove(self, pids):
        for _ in pids:
            id, self.ids = self.ids, self.ids - 1
            Supervisor.terminate_child(self.pid, id, on=self.system)
            Supervisor.restart_child(self.pid, id, on=self.system)
            Supervisor.terminate_child(self.pid, id, on=self.system)
            Supervisor.delete_child(self.pid, id, on=self.system)

    def stop(self):
        gen.stop(self.system, self.pid)

    def close(self):
        self.system.stop()
        gevent.sleep(0)


class Pool(Sup):
    def _start(self):
        children = [child_spec(self.child, id=A.child)]
        return Supervisor.start_link(children, strategy="simple_one_for_one", max_restarts=MOST, on=self.system)

    def start(self, count):
        for _ in range(count):
            Supervisor.start_child(self.pid, [], on=self.system)

    def remove(self, pids):
        for pid in pids:
            Supervisor.terminate_child(self.pid, pid, on=self.system)


class Dynamic(Pool):
    def _start(self):
        return DynamicSupervisor.start_link(max_restarts=MOST, on=self.system)

    def start(self, count):
        for _ in range(count):
            DynamicSupervisor.start_child(self.pid, child_spec(self.child), on=self.system)


class Tasks(Pool):
    def _start(self):
        return TaskSupervisor.start_link(max_restarts=MOST, on=self.system)

    def start(self, count):
        for _ in range(count):
            TaskSupervisor.start_child(self.pid, self._wait, restart="permanent", on=self.system)

    def _wait(self):
        self.system.myself().receive(lambda _: False, None)


class Rest(Sup):
    strategy = "rest_for_one"


class All(Sup):
    strategy = "one_for_all"


def steps(job, *args):
    """How many lines `job` runs, in whatever greenlet; each turn of a comprehension is one."""
    count = 0

    def trace(_frame, event, _arg):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        job(*args)
    finally:
        sys.settrace(before)
    return count


def grown(history):
    """The operations whose steps for one child grow with their number.

    `history(number)` gives steps by operation, each for all of `number` children.
    """
    history(FEW)  # what is done once only
    few, many = history(FEW), history(MANY)
    return {name: many[name] / MANY / (few[name] / FEW) for name in few if many[name] / MANY > 1.25 * few[name] / FEW}


KINDS = [Sup, Rest, Pool, Dynamic, Tasks]


@pytest.mark.parametrize("kind", [*KINDS, All])
def test_starts_stops_and_questions_take_steps_in_the_number_of_children(kind):
    def history(number, child=Abrupt):
        sup = kind(child)
        try:
            found = {"start": steps(sup.start, number), "which": steps(sup.children), "count": steps(sup.count)}
            assert sup.count() == number
            found["stop"] = steps(sup.stop)
            assert len(sup.system.processes) == 2  # the root and this greenlet
            return found
        finally:
            sup.close()

    assert not grown(history)
    if kind is not Tasks:
        assert not grown(lambda number: history(number, Polite))


@pytest.mark.parametrize("kind", [*KINDS, All])
def test_a_storm_of_kills_takes_steps_in_the_number_of_the_killed(kind):
    def history(number):
        sup = kind()
        try:
            sup.start(number)
            killed = sup.children()
            # Of Rest the last one alone: no other is concerned. Of All the first exit restarts them all.
            found = {"kill": steps(sup.kill, killed[:1]) * number if kind is Rest else steps(sup.kill, killed)}
            assert sup.count() == number
            return found
        finally:
            sup.close()

    assert not grown(history)


@pytest.mark.parametrize("kind", [Sup, Pool, Dynamic])
def test_children_are_terminated_and_deleted_one_by_one_in_constant_steps(kind):
    def history(number):
        sup = kind()
        try:
            sup.start(number)
            return {"remove": steps(sup.remove, sup.children())}
        finally:
            sup.close()

    assert not grown(history)


@pytest.mark.parametrize("kind", [Sup, All, Pool, Dynamic])
def test_a_stop_takes_as_long_when_all_children_are_dead_already(kind):
    """Their exit messages lie before the order to stop, each is looked at once."""

    def history(number):
        sup = kind()
        try:
            sup.start(number)
            server = sup.system.process(sup.pid)
            killed = sup.children()

            def kill_and_stop():
                for pid in killed:
                    sup.system.exit(pid, A.kill)
                server.queue.appendleft((A.system, (sup.me.pid, sup.system.new_ref()), (A.terminate, A.shutdown)))
                sup.me.receive(lambda message: message[:2] == (A.EXIT, sup.pid), 60.0)

            found = {"stop": steps(kill_and_stop)}
            assert sup.system.process(sup.pid) is None
            return found
        finally:
            sup.close()

    assert not grown(history)


def test_partitions_start_and_stop_in_steps_in_their_number():
    def history(number):
        system = System("t@local", 7)
        try:
            system.adopt().trap_exit = True
            started = []

            def start():
                started.append(PartitionSupervisor.start_link(Abrupt, partitions=number, on=system))

            found = {"start": steps(start)}
            found["find"] = steps(
                lambda: [PartitionSupervisor.whereis(started[0], key, on=system) for key in range(number)]
            )
            found["stop"] = steps(gen.stop, system, started[0])
            return found
        finally:
            system.stop()
            gevent.sleep(0)

    assert not grown(history)


@pytest.mark.parametrize("linked", [False, True])
def test_a_node_asks_its_processes_to_end_in_steps_in_their_number(linked):
    """One alone, or a chain in which each is asked when its parent has ended."""

    def history(number):
        system = System("t@local", 7)
        system.adopt()

        class Chain(GenServer):
            def init(self, left):
                self.process.trap_exit = True
                return Continue(left)

            def handle_continue(self, left):
                if linked and left:
                    gen_server.start(system, Chain, (left - 1,))

        try:
            for left in [number - 1] if linked else [0] * number:
                gen_server.start(system, Chain, (left,))
            wait_for(lambda: len(system.processes) == number + 2)
            found = {"stop": steps(system.shut_down, 60.0)}
            assert len(system.processes) == 2
            return found
        finally:
            system.stop()
            gevent.sleep(0)

    assert not grown(history)


@pytest.mark.parametrize("kind", KINDS)
def test_no_operation_copies_the_table_of_children(kind):
    sup = kind()
    try:
        sup.start(CROWD)
        last = sup.children()[:30]

        def least(job):
            """Of some, as a table that grows by itself now and then is moved."""
            found = []
            for _ in range(5):
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
                job()
                found.append(tracemalloc.get_traced_memory()[1] - before)
            return min(found)

        tracemalloc.start()
        try:
            assert least(lambda: sup.start(1)) < COPY
            assert least(lambda: sup.kill([last.pop(0)])) < COPY
            assert least(lambda: sup.remove([last.pop()])) < COPY
        finally:
            tracemalloc.stop()
    finally:
        sup.close()
