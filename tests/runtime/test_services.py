"""Process dictionary, process_info, timers by reference, context variables, offload."""

import contextvars
import os
import threading

import gevent
import pytest

from pyerlnode.errors import Exit, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.runtime import api, info
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.pid import Pid
from pyerlnode.testing.patience import deadline, patience
from pyerlnode.testing.waiting import settle
from tests.helpers.hostile import ALIKE

who = contextvars.ContextVar("who", default="nobody")


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


class Server(GenServer):
    def init(self):
        api.put(A.born, True)

    def handle_call(self, request, from_):
        return Reply((who.get(), api.get(A.born), request()))


def test_keys_of_the_process_dictionary_are_told_apart_whatever_they_are(system):
    system.adopt()
    for number, key in enumerate(ALIKE):
        assert api.put(key, number) is None
    assert [api.get(key) for key in ALIKE] == list(range(len(ALIKE)))
    assert list(api.get().values()) == list(range(len(ALIKE)))
    assert [api.erase(key) for key in ALIKE] == list(range(len(ALIKE)))
    assert api.get() == {}


def test_the_process_dictionary_is_each_process_own(system):
    system.adopt()
    assert api.put(A.a, 1) is None
    assert api.put(A.a, 2) == 1
    assert api.get() == {A.a: 2}
    assert api.get(A.b, 7) == 7
    pid = gen_server.start(system, Server)
    assert gen.call(system, pid, lambda: api.get(A.a))[1:] == (True, None)
    assert api.erase(A.a) == 2
    assert api.erase(A.a) is None


def test_process_info_tells_of_a_live_process_and_none_of_a_dead_one(system):
    me = system.adopt()
    pid = gen_server.start(system, Server, name="server", link=me)
    ref = system.monitor(me, pid)
    known = api.process_info(pid)
    assert known[A.registered_name] is A.server
    assert known[A.links] == [me.pid]
    assert known[A.initial_call][1:] == (A.init, 1)
    assert known[A.status] is A.waiting
    assert api.process_info(pid, A.monitored_by) == [me.pid]
    assert api.process_info(me.pid, [A.monitors, A.trap_exit]) == {
        A.monitors: [(A.process, pid)],
        A.trap_exit: False,
    }
    system.send(pid, A.hello)
    assert api.process_info(pid, "message_queue_len") == 1
    assert api.process_info(pid, "messages") == [A.hello]
    assert api.process_info(pid, "status") is A.runnable
    assert dict(api.process_info(pid, A.dictionary))[A.born] is True
    assert api.process_info(pid, A.memory) > 100
    assert api.process_info(pid, A.current_function)[1] is A.loop
    assert pid in api.processes()
    system.demonitor(me, ref)
    system.unlink(me, pid)
    system.exit(pid, A.kill)
    assert api.process_info(pid) is None
    with pytest.raises(UsageError, match="no item what"):
        api.process_info(me.pid, "what")
    with pytest.raises(UsageError, match="ask there"):
        api.process_info(Pid(A["other@host"], 1, 0, 1))


def test_a_blocked_callback_shows_where_it_stands(system):
    pid = gen_server.start(system, Server)
    job = gevent.spawn(gen.call, system, pid, lambda: gevent.sleep(5))
    settle(system)
    assert info.process_info(system, pid, "status") is A.running
    job.kill()


def test_a_timer_is_read_and_cancelled_by_its_reference(system):
    me = system.adopt()
    ref = api.start_timer(0.001, me.pid, A.hello)
    assert 0 <= api.read_timer(ref) <= 0.001
    assert me.receive(None, 60) == (A.timeout, ref, A.hello)
    assert api.read_timer(ref) is None
    assert api.cancel_timer(ref) is None
    ref = api.start_timer(60, me.pid, A.hello)
    assert 59 < api.cancel_timer(ref) <= 60
    assert api.read_timer(ref) is None
    assert len(system.timers.wheel) == 0
    assert system.timer_refs == {}
    with pytest.raises(UsageError):
        api.start_timer(1, Pid(A["other@host"], 1, 0, 1), A.hello)


def test_context_variables_are_those_of_where_the_process_was_started(system):
    def run():
        who.set("starter")
        pid = gen_server.start(system, Server)
        child = []
        system.spawn(lambda: child.append(who.get()))
        gevent.sleep(0)
        who.set("later")
        return gen.call(system, pid, lambda: who.set("changed") and who.get())[0::2], child, pid

    first, child, pid = contextvars.copy_context().run(run)
    assert first == ("starter", "changed")
    assert child == ["starter"]
    assert gen.call(system, pid, lambda: None)[0] == "changed"
    assert gen.call(system, gen_server.start(system, Server), lambda: None)[0] == "nobody"
    assert who.get() == "nobody"


def test_offload_runs_in_a_thread_with_the_callers_context_and_others_go_on(system):
    ticks = []
    gevent.spawn(ticks.append, 1)
    gate = threading.Event()
    gevent.spawn(gate.set)
    who.set("caller")
    try:
        thread, seen = api.offload(lambda: (gate.wait(patience()) and threading.get_ident(), who.get()))
    finally:
        who.set("nobody")
    assert thread != threading.get_ident()
    assert seen == "caller"
    assert ticks == [1]
    with pytest.raises(ZeroDivisionError):
        api.offload(lambda: 1 / 0)
    assert system.offload(int, "7") == 7


def test_offload_in_process_needs_a_node_and_computes_elsewhere(system):
    assert system.offload(os.getpid, in_process=True) != os.getpid()
    system.os_processes.close()
    job = gevent.spawn(api.offload, os.getpid, in_process=True)
    with pytest.raises(UsageError, match="use node"):
        job.get()
    system.adopt()


def test_a_stop_runs_terminate_of_everybody_and_tells_who_was_stuck(system):
    ended = []

    class Ends(GenServer):
        def init(self, name):
            self.name = name

        def handle_cast(self, request):
            gevent.sleep(60)

        def terminate(self, reason):
            ended.append((self.name, reason))

    first = gen_server.start(system, Ends, (1,))
    gen_server.start(system, Ends, (2,))
    system.spawn(api.receive)
    settle(system)
    report = system.shut_down(1.0, keep=[first])
    assert report
    assert report.asked == 2
    assert ended == [(2, A.shutdown)]
    assert [p for p in system.processes.values() if p is not system.root] == [system.process(first)]
    gen.cast(system, first, A.block)
    settle(system)
    with deadline(1.0, "a shutdown of a hundredth of a second"):
        report = system.shut_down(0.01)
    assert not report
    assert report.stuck[0].pid == first
    assert any("handle_cast" in line for line in report.stuck[0].stack)
    assert report.seconds >= 0.01


@pytest.mark.parametrize("hurry", [False, True])
def test_in_a_hurry_a_mailbox_is_not_worked_off(system, hurry):
    done = []

    class Works(GenServer):
        def handle_cast(self, request):
            done.append(request)

        def terminate(self, reason):
            done.append(reason)

    pid = gen_server.start(system, Works)
    for number in range(3):
        gen.cast(system, pid, number)
    assert system.shut_down(1.0, hurry=hurry)
    assert done == ([A.shutdown] if hurry else [0, 1, 2, A.shutdown])


@pytest.mark.parametrize("graceful", [0.0, 1.0])
def test_who_calls_without_a_time_out_is_told_when_the_system_stops(system, graceful):
    class Silent(GenServer):
        def handle_call(self, request, from_):
            return NoReply()

    pid = gen_server.start(system, Silent)
    caller = gevent.spawn(gen.call, system, pid, A.get, None)
    settle(system)
    system.shut_down(graceful)
    system.stop()
    with pytest.raises(Exit) as told:
        caller.get(timeout=patience())
    assert told.value.reason[0] is A.shutdown


def test_children_without_a_supervisor_end_behind_their_parent(system):
    ended = []

    class Parent(GenServer):
        def init(self, depth):
            self.depth = depth
            if depth:
                gen_server.start(self.process.system, Parent, (depth - 1,))

        def terminate(self, reason):
            ended.append(self.depth)

    gen_server.start(system, Parent, (3,))
    assert system.shut_down(1.0).asked == 4
    assert ended == [3, 2, 1, 0]


def flooded(system, policy, size=3):
    pid = gen_server.start(system, Collector, mailbox=MailboxLimit(size, policy))
    return pid, system.process(pid)


class Collector(GenServer):
    def init(self):
        self.got = []

    def handle_call(self, request, from_):
        return Reply(list(self.got))

    def handle_info(self, message):
        self.got.append(message)


def test_a_full_mailbox_drops_the_newest_or_the_oldest_and_counts(system):
    for policy, left in (("drop_newest", [1, 2, 3]), ("drop_oldest", [3, 4, 5])):
        pid, process = flooded(system, policy)
        for number in range(1, 6):
            system.send(pid, number)
        settle(system)  # until the mailbox is empty: the call is a message that a full one would not take as it is
        assert gen.call(system, pid, A.got) == left
        assert process.dropped == 2
        assert info.process_info(system, pid, A.mailbox)[A.dropped] == 2


def test_a_full_mailbox_that_crashes_ends_the_receiver(system):
    me = system.adopt()
    pid, _ = flooded(system, "crash")
    ref = system.monitor(me, pid)
    for number in range(5):
        system.send(pid, number)
    assert me.receive(None, 0) == (A.DOWN, ref, A.process, pid, (A.mailbox_full, 3))


def test_a_full_mailbox_makes_its_local_senders_wait_and_loses_nothing(system):
    pid, process = flooded(system, "suspend")

    def sender(base):
        for number in range(10):
            system.send(pid, base + number)

    jobs = [gevent.spawn(sender, base) for base in (0, 100)]
    gevent.joinall(jobs, timeout=patience())
    settle(system)
    got = gen.call(system, pid, A.got)
    assert [n for n in got if n < 100] == list(range(10))
    assert [n for n in got if n >= 100] == list(range(100, 110))
    assert process.suspended > 0
    assert not process.senders


def test_the_end_of_a_full_process_lets_its_senders_go(system):
    def deaf():
        gevent.sleep(60)

    process = system.spawn_function(deaf, (), {}, mailbox=MailboxLimit(1))
    settle(system)
    job = gevent.spawn(lambda: [system.send(process.pid, n) for n in range(3)])
    settle(system)
    assert not job.ready()
    system.exit(process.pid, A.kill)
    job.get(timeout=patience())


def test_exits_downs_and_system_messages_enter_a_full_mailbox(system):
    pid, process = flooded(system, "drop_newest", 1)
    process.trap_exit = True
    system.send(pid, 1)
    me = system.adopt()
    system.exit(pid, A.soft)
    system.monitor(process, A.nobody)
    settle(system)
    got = gen.call(system, pid, A.got)
    assert got[:2] == [1, (A.EXIT, me.pid, A.soft)]
    assert got[2][0] is A.DOWN


def test_a_limit_is_a_size_and_a_policy():
    for bad in ((0, "suspend"), (1, "what")):
        with pytest.raises(UsageError):
            MailboxLimit(*bad)
