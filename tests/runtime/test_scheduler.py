"""Slices end by time as well as by count, and sockets are looked at between turns. The clock is the test's own."""

import gevent
import pytest

from pyerlnode.otp import gen, gen_event, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.mailbox import Waiter
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.scheduler import MOST_WATCHED, SLICE, SLICE_TIME, TURN, WATCHED, Scheduler
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.pid import Pid


class Clock:
    """Goes on by itself by nothing; `work` is what a callback takes. Counts how often it is read."""

    def __init__(self):
        self.now = 1000.0
        self.read = 0

    def __call__(self):
        self.read += 1
        return self.now

    def work(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def system(clock):
    system = System("t@local", 7, scheduler=Scheduler(clock))
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def done():
    """Who has handled something, in order."""
    return []


@pytest.fixture
def worker(system, clock, done):
    """Starts a server whose every cast takes so long, and which answers calls at once."""

    class Worker(GenServer):
        def init(self, name):
            self.name = name

        def handle_call(self, request, from_):
            done.append((self.name, request))
            return Reply(request)

        def handle_cast(self, seconds):
            clock.work(seconds)
            done.append((self.name, seconds))

    return lambda name: gen_server.start(system, Worker, (name,))


def backlog(system, pid, *seconds):
    for each in seconds:
        gen.cast(system, pid, each)


def test_an_idle_server_waits_for_one_slice_and_its_caller_for_another_of_who_has_a_backlog(system, worker, done):
    busy, idle = worker("busy"), worker("idle")
    backlog(system, busy, *[0.02] * 150)
    gen.cast(system, idle, 0.0)
    assert gen.call(system, idle, A.get, None) is A.get
    assert done == [("busy", 0.02), ("idle", 0.0), ("idle", A.get), ("busy", 0.02)]


def test_a_call_that_comes_during_a_slice_waits_for_its_end_and_no_second_one(system, worker, done):
    busy, idle = worker("busy"), worker("idle")
    backlog(system, busy, *[0.02] * 150)
    gevent.sleep(0)
    for _ in range(10):
        before = len(done)
        gen.call(system, idle, A.get, None)
        assert len(done) - before <= 3, "two slices of one callback each, and the call"
    assert len(done) < 50


def test_among_many_with_a_backlog_each_has_one_slice(system, worker, done):
    busy = [worker(number) for number in range(5)]
    idle = worker("idle")
    for pid in busy:
        backlog(system, pid, *[0.02] * 50)
    gen.call(system, idle, A.get, None)
    assert [name for name, _ in done] == [0, 1, 2, 3, 4, "idle", 0, 1, 2, 3, 4]


@pytest.mark.parametrize("seconds", [SLICE_TIME / 3, SLICE_TIME / 7, SLICE_TIME / 40])
def test_a_slice_of_short_messages_ends_by_time_too(system, worker, done, seconds):
    busy, idle = worker("busy"), worker("idle")
    backlog(system, busy, *[seconds] * 1000)
    gen.call(system, idle, A.get, None)
    handled = done.index(("idle", A.get))
    assert handled * seconds + seconds > SLICE_TIME
    assert handled * seconds <= SLICE_TIME + 8 * seconds, "the clock is read after every eighth at the latest"


def test_messages_that_cost_nothing_end_their_slice_by_count_and_read_the_clock_seldom(system, worker, done, clock):
    busy, idle = worker("busy"), worker("idle")
    backlog(system, busy, *[0.0] * 3 * SLICE)
    before = clock.read
    gen.call(system, idle, A.get, None)
    assert done.index(("idle", A.get)) == SLICE
    assert len(done) == 2 * SLICE + 1
    assert clock.read - before <= 2 * SLICE // 8 + 20


def test_a_slow_message_among_cheap_ones_ends_the_slice_soon(system, worker, done):
    busy, idle = worker("busy"), worker("idle")
    backlog(system, busy, *[0.0] * 20, *[0.02] * 100)
    gen.call(system, idle, A.get, None)
    assert done.index(("idle", A.get)) <= 24


def slow_ones_before_each_answer(system, idle, done, calls):
    """How many slow callbacks an idle server's callers wait for, one call after the other."""
    found = []
    for _ in range(calls):
        before = done.count(("busy", 0.02))
        gen.call(system, idle, A.get, None)
        found.append(done.count(("busy", 0.02)) - before)
    return found


def test_slow_callbacks_among_quick_ones_hold_the_others_up_by_one_of_them_and_not_by_eight(system, worker, done):
    busy, idle = worker("busy"), worker("idle")
    backlog(system, busy, *([0.0] * 8 + [0.02] * 8) * 10)
    first, *later = slow_ones_before_each_answer(system, idle, done, 30)
    assert first == 9, "the clock is read after every eighth message: these were eight slow ones; one was in the second"
    assert max(later) == 2, "two slices of one slow callback each"


def test_a_process_whose_slices_are_in_time_again_reads_the_clock_as_seldom_as_others(system, worker, done, clock):
    busy, idle = worker("busy"), worker("idle")
    backlog(system, busy, *[0.0] * 8, *[0.02] * 9)
    assert slow_ones_before_each_answer(system, idle, done, 1) == [9]
    for _ in range(WATCHED + 1):
        assert busy in system.scheduler.watched
        backlog(system, busy, 0.0, 0.0)
        gen.call(system, busy, A.get, None)
    assert busy not in system.scheduler.watched
    backlog(system, busy, *[0.0] * SLICE)
    before = clock.read
    gen.call(system, busy, A.get, None)
    assert clock.read - before <= SLICE // 8 + 20


def test_those_who_are_watched_are_bounded_in_number(system, worker):
    scheduler = system.scheduler
    for number in range(3 * MOST_WATCHED):
        process = system.new_process(None)
        scheduler.watch(process)
        assert process.pid in scheduler.watched, number
        assert len(scheduler.watched) <= MOST_WATCHED


def test_sockets_and_timers_are_looked_at_when_a_turn_is_over(system, worker, done):
    """By the count of the loop's rounds: gevent runs up to fifty callbacks in a row before it looks."""
    busy = worker("busy")
    backlog(system, busy, *[TURN * 2] * 30)
    rounds = []
    loop = gevent.get_hub().loop
    check = loop.check()
    check.start(lambda: rounds.append(len(done)))
    while len(done) < 30:
        gevent.sleep(0)
    check.stop()
    check.close()
    assert max(after - before for before, after in zip([0, *rounds], [*rounds, 30], strict=True)) == 1


def test_a_function_body_with_a_backlog_lets_others_run(system, worker, done, clock):
    def body():
        while True:
            clock.work(system.myself().receive(None, None))
            done.append("body")

    idle = worker("idle")
    pid = system.spawn(body)
    for _ in range(150):
        system.send(pid, 0.02)
    gen.call(system, idle, A.get, None)
    assert done.count("body") <= 2
    gen.call(system, idle, A.get, None)
    assert done.count("body") <= 4
    while done.count("body") < 150:
        gevent.sleep(0)


def test_a_function_body_that_pauses_can_be_killed_and_loses_nothing_before(system, clock):
    taken = []

    def body():
        while True:
            taken.append(system.myself().receive(None, None))
            clock.work(0.02)

    pid = system.spawn(body)
    me = system.adopt()
    ref = system.monitor(me, pid)
    for number in range(100):
        system.send(pid, number)
    gevent.sleep(0)
    assert 0 < len(taken) < 100
    system.exit(pid, A.kill)
    assert me.receive(lambda m: m[1] == ref, None) == (A.DOWN, ref, A.process, pid, A.killed)
    count = len(taken)
    for _ in range(5):
        gevent.sleep(0)
    assert taken == list(range(count))


def test_a_loop_in_a_callback_that_breathes_lets_others_run(system, worker, done, clock):
    class Long(GenServer):
        def handle_cast(self, steps):
            for _ in range(steps):
                system.scheduler.breathe()
                clock.work(0.02)
                done.append("long")

    long = gen_server.start(system, Long)
    idle = worker("idle")
    gen.cast(system, long, 100)
    gen.cast(system, idle, 0.0)
    gen.call(system, idle, A.get, None)
    assert done.count("long") <= 2
    gen.stop(system, long)
    assert done.count("long") == 100, "its next message waits for the end of the callback"


# --- a peer that is lost -------------------------------------------------------------------------
class Told(Waiter):
    """A call to the lost peer; it takes a millisecond to tell it."""

    __slots__ = ("clock", "told")

    def __init__(self, system, clock, told):
        super().__init__(system.scheduler, system.timers)
        self.clock, self.told = clock, told

    def down(self, reason):
        self.clock.work(0.001)
        self.told.append((self, reason))
        super().down(reason)


class NoRoute:
    def send(self, signal):
        """Takes everything."""


@pytest.fixture
def peer(system):
    peer = system.peer(A["x@y"])
    peer.connected(NoRoute())
    return peer


def remote(number):
    return Pid(A["x@y"], number, 0, 1)


def calls(system, clock, peer, number):
    told = []
    for _ in range(number):
        ref = system.new_ref()
        peer.monitors[ref.words] = (Told(system, clock, told), ref, remote(1))
    return told


def test_a_thousand_who_learn_of_a_lost_peer_let_others_run_and_are_told_once_each(system, clock, worker, done, peer):
    told = calls(system, clock, peer, 1000)
    idle = worker("idle")
    peer.lost()
    assert len(told) < 200
    gen.call(system, idle, A.get, None)
    assert len(told) < 400
    while len(told) < 1000:
        gevent.sleep(0)
    assert len({waiter for waiter, _ in told}) == 1000
    assert {reason for _, reason in told} == {A.noconnection}


def test_few_are_told_at_once(system, clock, peer):
    told = calls(system, clock, peer, 5)
    peer.lost()
    assert len(told) == 5


def test_all_are_told_before_the_peer_is_connected_again(system, clock, peer):
    told = calls(system, clock, peer, 1000)
    me = system.adopt()
    me.trap_exit = True
    peer.lost()
    peer.connected(NoRoute())
    assert len(told) == 1000
    system.link(me, remote(7))
    for _ in range(3):
        gevent.sleep(0)
    assert me.receive(None, 0) is NOTHING
    peer.lost()
    assert me.receive(None, 0) == (A.EXIT, remote(7), A.noconnection)


def test_what_ends_between_the_turns_is_told_of_nothing(system, clock, peer):
    calls(system, clock, peer, 1000)  # told before the monitors of processes: they were made first
    me = system.adopt()
    kept, dropped = system.monitor(me, remote(1)), system.monitor(me, remote(2))
    dying = system.spawn_function(lambda: me.receive(None, None), (), {})
    system.monitor(dying, remote(3))
    peer.lost()
    assert me.receive(None, 0) is NOTHING
    system.demonitor(me, dropped)
    system.exit(dying.pid, A.kill)
    assert me.receive(None, None) == (A.DOWN, kept, A.process, remote(1), A.noconnection)
    for _ in range(3):
        gevent.sleep(0)
    assert me.receive(None, 0) is NOTHING
    assert not dying.queue


def test_a_system_that_stops_has_told_everybody(system, clock, peer):
    told = calls(system, clock, peer, 1000)
    peer.lost()
    system.stop()
    peer.lost()
    assert len(told) == 1000


def test_an_event_with_many_handlers_lets_others_run_between_them(system, clock, worker, done):
    class Handler(gen_event.EventHandler):
        def handle_event(self, event):
            clock.work(0.02)
            done.append(event)

    manager = gen_event.start(system)
    for number in range(50):
        assert gen_event.add_handler(system, manager, (Handler, number)) is A.ok
    idle = worker("idle")
    gen_event.notify(system, manager, A.event)
    gen.call(system, idle, A.get, None)
    assert done.count(A.event) <= 2
    assert gen_event.sync_notify(system, manager, A.second, None) is A.ok
    assert done.count(A.event) == done.count(A.second) == 50
    assert done.index(A.second) > max(at for at, what in enumerate(done) if what is A.event)
