"""GenServer: starts that fail, ends that are reported, and what is left behind."""

import gc
import logging

import gevent
import greenlet
import pytest
from gevent.event import Event

from pyerlnode.errors import AlreadyStarted, Exit, NoProc, StartFailed, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Continue, Ignore, NoReply, Reply, Stop, Timeout
from pyerlnode.runtime import api
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation
from pyerlnode.testing.waiting import settle


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


class Server(GenServer):
    def init(self, result=None):
        if isinstance(result, Exception):
            raise result
        return result

    def handle_call(self, request, from_):
        return request()

    def handle_info(self, message):
        return message()


def test_start_monitor_gives_the_pid_and_one_down(system):
    me = system.adopt()
    pid, ref = gen_server.start_monitor(system, Server, by=me)
    system.exit(pid, A.kill)
    assert me.receive(None, 0) == (A.DOWN, ref, A.process, pid, A.killed)
    assert gen_server.start_monitor(system, Server, (Ignore(),), by=me) is None
    assert not me.queue


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Stop(A.oops), A.oops),
        (Exit(A.gone), A.gone),
        (A.bad, (A.bad_return_value, A.bad)),
        (Reply(1), None),
    ],
)
def test_a_start_that_fails_tells_the_caller_and_leaves_nothing(system, result, reason, caplog):
    me = system.adopt()
    me.trap_exit = True
    with pytest.raises(StartFailed) as caught:
        gen_server.start(system, Server, (result,), name="x", link=me)
    if reason is not None:
        assert caught.value.reason == reason
    assert not me.queue
    assert not me.links
    assert system.whereis("x") is None
    assert set(system.processes.values()) == {system.root, me}


def test_a_failed_start_ends_a_parent_that_does_not_trap_exits(system):
    ended = []

    def parent():
        try:
            gen_server.start(system, Server, (Stop(A.oops),), link=system.myself())
        except StartFailed:
            gevent.sleep(0)
            ended.append("went on")

    process = system.spawn_function(parent, (), {})
    settle(system)
    assert process.exit_reason is A.oops
    assert ended == []


def test_init_that_takes_too_long_is_ended_at_its_time_out():
    class Slow(GenServer):
        def init(self):
            self.process.receive(None, None)

    with Simulation() as simulation:
        system = simulation.system()

        def start():
            me = system.adopt()
            with pytest.raises(StartFailed, match="did not return in time"):
                gen_server.start(system, Slow, name="slow", timeout=60, link=me)
            assert me.alive
            assert system.whereis("slow") is None

        simulation.run(start)
        assert 60 <= simulation.clock.now() - 1000 < 61


def test_ignore_is_no_error_and_leaves_no_exit_behind(system):
    me = system.adopt()
    me.trap_exit = True
    assert gen_server.start(system, Server, (Ignore(),), name="x", link=me) is None
    assert not me.queue
    assert system.whereis("x") is None


@pytest.mark.parametrize("depth", [1, 3])
def test_who_is_killed_while_it_starts_another_goes_no_further_and_takes_it_along(system, depth):
    course = []

    class Waits(GenServer):
        def init(self, left):
            self.process.trap_exit = True
            course.append("begun")
            return api.receive() if left == 1 else gen_server.start(system, Waits, (left - 1,))

    def start():
        try:
            gen_server.start(system, Waits, (depth,))
            course.append("went on")
        finally:
            course.append("unwound")

    before = len(system.processes)
    starter = system.spawn_function(start, (), {})
    while course != ["begun"] * depth:
        gevent.sleep(0)
    starter.exit(A.kill)
    gevent.idle()
    assert course == ["begun"] * depth + ["unwound"]
    assert len(system.processes) == before


def test_init_may_go_on_behind_the_start(system):
    seen = []

    class Later(GenServer):
        def init(self):
            return Continue(1)

        def handle_continue(self, value):
            seen.append(value)
            return NoReply(timeout=0)

        def handle_info(self, message):
            seen.append(message)

    gen_server.start(system, Later)
    assert seen == []
    settle(system)
    assert seen == [1, A.timeout]


def test_a_crash_is_reported_with_otps_fields_and_without_the_message(system, caplog):
    pid = gen_server.start(system, Server, name="server")

    def secret():
        raise ValueError("broken")

    system.send(pid, secret)
    settle(system)
    (record,) = caplog.records
    assert record.name == "pyerlnode.gen_server"
    assert record.levelno == logging.ERROR
    assert "server terminates" in record.getMessage()
    report = record.erlang
    assert report["label"] == (A.gen_server, A.terminate)
    assert report["name"] is A.server
    assert report["last_message"] == "function"
    fields = report["report"]
    assert fields["pid"] == pid
    assert fields["registered_name"] is A.server
    assert fields["error_info"][1][:3] == (A.python_error, b"ValueError", b"broken")
    assert fields["ancestors"] == [system.root.pid]
    assert fields["initial_call"][1:] == (A.init, 1)


def test_an_exception_in_terminate_is_reported_and_ends_with_its_reason(system, caplog):
    class Bad(Server):
        def terminate(self, reason):
            raise RuntimeError("in terminate")

    me = system.adopt()
    pid, _ = gen_server.start_monitor(system, Bad, by=me)
    with pytest.raises(Exit):
        gen.stop(system, pid, A.shutdown)
    assert me.receive(None, 0)[4][1] == b"RuntimeError"
    assert "in terminate" in caplog.text
    pid = gen_server.start(system, Bad)
    with pytest.raises(Exit):
        gen.call(system, pid, lambda: 1 / 0)
    assert system.process(pid) is None


def test_stop_waits_for_the_end_and_raises_for_another_one(system):
    pid = gen_server.start(system, Server, name="x")
    gen.stop(system, "x")
    assert system.process(pid) is None
    with pytest.raises(NoProc):
        gen.stop(system, "x")
    pid = gen_server.start(system, Server)
    with pytest.raises(Exit):
        gen.call(system, pid, lambda: gen.stop(system, pid))


def test_a_call_to_a_name_of_another_node_is_not_served_here(system):
    gen_server.start(system, Server, name="x")
    with pytest.raises(Exit) as caught:
        gen.call(system, ("x", "other@local"), lambda: Reply(1))
    assert caught.value.reason[0][0] is A.nodedown


def test_what_start_is_given_is_checked(system):
    with pytest.raises(UsageError):
        gen_server.start(system, object)
    gen_server.start(system, Server, name="x")
    with pytest.raises(AlreadyStarted):
        gen_server.start(system, Server, name="x")


def test_a_time_out_that_fires_behind_a_message_does_not_count():
    seen = []

    class Idle(GenServer):
        def init(self):
            return Timeout(10)

        def handle_info(self, message):
            seen.append(message)

    with Simulation() as simulation:
        system = simulation.system()
        pid = gen_server.start(system, Idle)
        simulation.advance(9)
        system.send(pid, 1)
        simulation.advance(100)
        assert seen == [1]


def test_ten_thousand_servers_that_crash_leave_nothing_behind(system, caplog):
    caplog.set_level(logging.CRITICAL)

    class Crash(GenServer):
        def init(self, number):
            if number % 4 == 0:
                self.process.system.registry.register(f"n{number}", self.process)

        def handle_info(self, message):
            return NoReply(timeout=60) if message else 1 / 0

    me = system.adopt()
    me.trap_exit = True
    gc.collect()
    before = sum(isinstance(found, (Process, Crash)) for found in gc.get_objects())
    for number in range(10_000):
        pid = gen_server.start(system, Crash, (number,), link=me if number % 2 else None)
        system.send(pid, True)
        system.send(pid, False)
        if number % 100 == 0:
            gevent.sleep(0)
    while len(system.processes) > 2:
        gevent.sleep(0)
    settle(system)
    assert sum(1 for message in me.queue if message[0] is A.EXIT) == 5_000
    me.queue.clear()
    assert not me.links
    assert system.registry.names == {}
    assert len(system.timers.wheel) == 0
    assert system.aliases == {}
    gc.collect()
    assert sum(isinstance(found, (Process, Crash)) for found in gc.get_objects()) <= before


def test_ten_thousand_functions_that_crash_leave_no_greenlet_behind(system, caplog):
    caplog.set_level(logging.CRITICAL)

    def body():
        api.receive()
        raise ValueError("as asked")

    gc.collect()
    before = sum(isinstance(found, (Process, greenlet.greenlet)) for found in gc.get_objects())
    for _ in range(10):
        for pid in [system.spawn(body) for _ in range(1_000)]:
            system.send(pid, A.go)
        while len(system.processes) > 1:
            gevent.sleep(0)
    settle(system)
    gc.collect()
    assert sum(isinstance(found, (Process, greenlet.greenlet)) for found in gc.get_objects()) <= before
    assert len(system.timers.wheel) == 0


def test_a_handler_that_blocks_delays_nobody_else():
    class Blocks(Server):
        def handle_cast(self, gate):
            gevent.sleep(0)
            gate.wait()

    with Simulation() as simulation:
        system = simulation.system()
        blocked = [gen_server.start(system, Blocks) for _ in range(10)]
        others = [gen_server.start(system, Server) for _ in range(10)]
        gate = Event()
        for pid in blocked:
            gen.cast(system, pid, gate)
        behind = [simulation.start(gen.call, system, pid, lambda: Reply(A.late), None) for pid in blocked]
        simulation.run_until_idle()
        before = simulation.clock.now()
        assert [simulation.run(gen.call, system, pid, lambda: Reply(A.ok)) for pid in others] == [A.ok] * 10
        assert simulation.clock.now() == before
        simulation.advance(10)
        assert [simulation.run(gen.call, system, pid, lambda: Reply(A.ok)) for pid in others] == [A.ok] * 10
        assert simulation.clock.now() == before + 10
        assert not any(job.ready() for job in behind)
        gate.set()
        simulation.run_until_idle()
        assert [job.get() for job in behind] == [A.late] * 10
