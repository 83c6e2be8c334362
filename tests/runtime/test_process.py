"""Links, monitors, exits and mail between local processes, by OTP's rules."""

import gevent
import pytest

from pyerlnode.errors import CallTimeout, NoProc, ServerExit, StartFailed
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.waiting import settle


class Counter(GenServer):
    def init(self, start=0):
        self.value = start
        self.waiting = None
        if start == "bad":
            raise ValueError("no number")

    def handle_call(self, request, from_):
        match request:
            case A.get:
                return Reply(self.value)
            case (A.add, int(n)):
                self.value += n
                return Reply(A.ok)
            case A.crash:
                raise RuntimeError("as asked")
            case A.stop:
                return Stop(A.normal, reply=A.bye)
            case A.later:
                self.waiting = from_
                return NoReply()
            case A.block:
                gevent.sleep(0)
                return Reply(A.done)

    def handle_cast(self, request):
        if request == A.answer:
            self.reply(self.waiting, A.late)


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


def test_call_and_cast(system):
    pid = gen_server.start(system, Counter, (41,), name="counter")
    assert gen.call(system, "counter", (A.add, 1)) is A.ok
    assert gen.call(system, pid, A.get) == 42
    assert gen.call(system, pid, A.block) is A.done
    assert system.aliases == {}
    assert system.processes[pid.id].monitored_by == {}


def test_late_reply(system):
    pid = gen_server.start(system, Counter)
    job = gevent.spawn(gen.call, system, pid, A.later)
    settle(system)
    gen.cast(system, pid, A.answer)
    assert job.get() is A.late


def test_call_that_times_out_leaves_nothing(system):
    pid = gen_server.start(system, Counter)
    with pytest.raises(CallTimeout):
        gen.call(system, pid, A.later, timeout=0.01)
    gen.cast(system, pid, A.answer)
    assert gen.call(system, pid, A.get) == 0
    assert system.aliases == {}


def test_crash_reaches_caller_links_and_monitors(system, caplog):
    pid = gen_server.start(system, Counter)
    me = system.adopt()
    me.trap_exit = True
    system.link(me, pid)
    ref = system.monitor(me, pid)
    with pytest.raises(ServerExit) as caught:
        gen.call(system, pid, A.crash)
    (reason, _) = caught.value.reason
    assert reason[:3] == (A.python_error, b"RuntimeError", b"as asked")
    assert me.receive(None, 0) == (A.EXIT, pid, reason)
    assert me.receive(None, 0) == (A.DOWN, ref, A.process, pid, reason)
    with pytest.raises(NoProc):
        gen.call(system, pid, A.get)
    assert "as asked" in caplog.text


def test_init_that_raises(system, caplog):
    with pytest.raises(StartFailed, match="ValueError: no number"):
        gen_server.start(system, Counter, ("bad",), name="x")
    assert system.whereis("x") is None


def test_kill_of_blocked_function_body(system):
    unwound = []

    def body():
        try:
            gevent.sleep(100)
        finally:
            unwound.append(True)

    me = system.adopt()
    pid = system.spawn(body)
    ref = system.monitor(me, pid)
    settle(system)
    system.exit(pid, A.kill)
    assert me.receive(None, 0) == (A.DOWN, ref, A.process, pid, A.killed)
    settle(system)
    assert unwound == [True]


def test_long_chain_of_links_falls_at_once(system):
    def body():
        system.myself().receive(None, None)

    first = last = system.spawn_function(body, (), {})
    for _ in range(3000):
        last = system.spawn_function(body, (), {}, link=last)
    me = system.adopt()
    ref = system.monitor(me, last.pid)
    settle(system)
    system.exit(first.pid, A.boom)
    assert me.receive(lambda m: m[1] == ref, 1) == (A.DOWN, ref, A.process, last.pid, A.boom)


def test_what_each_message_asks_of_its_system_is_found_fast(system):
    """CPython keeps the values of up to 29 attributes in the object itself; with more, each look-up costs a search."""
    system.end_call = system.end_call  # a node sets it
    assert len(vars(system)) < 29


def test_a_process_has_no_more_slots_than_a_million_of_them_can_afford():
    assert len(Process.__slots__) <= 24
