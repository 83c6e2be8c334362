"""Who still waits for an answer, as the server that is to give it sees it."""

import gevent
import pytest

from pyerlnode.cluster.load import callers
from pyerlnode.errors import ServerExit
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.requests import send_request
from pyerlnode.otp.results import NoReply
from pyerlnode.term import A
from pyerlnode.term.containers import ImproperList
from pyerlnode.testing.virtual import Simulation


class Silent(GenServer):
    def init(self):
        self.calls = []

    def handle_call(self, request, from_):
        self.calls.append(from_)
        return NoReply()


@pytest.fixture
def simulation():
    with Simulation() as simulation:
        yield simulation


@pytest.fixture
def system(simulation):
    return simulation.system("py@sim")


@pytest.fixture
def server(system):
    return system.process(gen_server.start(system, Silent)).handler


def given_up(server, watched=True):
    return [callers.has_given_up(server.process, from_, watched) for from_ in server.calls]


def test_who_is_dead_has_given_up_before_its_greenlet_is_unwound(simulation, system, server):
    caller = system.spawn(gen.call, system, server.pid, 1, None)
    simulation.run_until_idle()
    assert given_up(server) == [False]
    system.exit(caller, A.kill)
    assert given_up(server) == [True]


def test_a_greenlet_that_was_ended_in_its_call_has_given_up(simulation, system, server):
    greenlet = gevent.spawn(gen.call, system, server.pid, 1, None)
    simulation.run_until_idle()
    assert given_up(server) == [False]
    greenlet.kill()
    assert given_up(server) == [True]


def test_a_request_of_another_node_is_watched_until_it_is_abandoned_or_the_node_is_lost(simulation, system, server):
    away = simulation.system("app@sim")
    wire = simulation.link(away, system, delay=0.01)
    first, second = (send_request(away, server.pid, n) for n in range(2))
    simulation.advance(0.1)
    assert given_up(server) == [False, False]
    first.abandon()
    simulation.advance(0.1)
    assert given_up(server) == [True, False]
    wire.cut()
    simulation.advance(0.1)
    assert given_up(server) == [True, True]
    assert second.state != 0


def test_who_never_had_a_monitor_waits_for_ever_unless_its_alias_is_of_this_node_and_gone(simulation, system, server):
    away = simulation.system("app@sim")
    me, ref, far = system.adopt().pid, system.new_ref(), away.new_ref()
    tags = [ref, (A.tag, 1), ImproperList((A.alias,), far), ImproperList((A.alias,), ref)]
    server.calls += [(me, tag) for tag in tags]
    assert given_up(server, watched=False) == [False, False, False, True]
    alias = system.alias(system.adopt())
    assert not callers.has_ended(system, (me, ImproperList((A.alias,), alias)))


def test_whom_another_node_monitors_for_its_call_is_seen_whichever_process_it_is(simulation, system, server):
    away = simulation.system("app@sim")
    simulation.link(away, system, delay=0.01)
    request = send_request(away, server.pid, 1)
    simulation.advance(0.1)
    [from_] = server.calls
    assert callers.is_watched(system, from_)
    request.abandon()
    simulation.advance(0.1)
    assert not callers.is_watched(system, from_)
    assert callers.is_watched(system, (from_[0], system.new_ref()))


def test_one_call_is_ended_by_an_exit_and_the_server_goes_on(simulation, system, server):
    away = simulation.system("app@sim")
    simulation.link(away, system, delay=0.01)
    requests = [send_request(home, server.pid, 1) for home in (system, away)]
    requests.append(send_request(away, server.pid, 1))
    simulation.advance(0.1)
    for from_ in list(server.calls[:2]):
        callers.end_call(server.process, from_, True, A.unused, A.oops)
        callers.end_call(server.process, from_, True, A.unused, A.twice)
    simulation.advance(0.1)
    for request in requests[:2]:
        with pytest.raises(ServerExit) as caught:
            request.outcome()
        assert caught.value.reason[0] is A.oops
    assert requests[2].state == 0
    assert server.process.alive


def test_one_without_a_monitor_is_answered_instead(simulation, system, server):
    me, ref = system.adopt(), system.new_ref()
    callers.end_call(server.process, (me.pid, ref), False, (A.error, A.oops), A.oops)
    callers.end_call(server.process, (me.pid, ref), True, (A.error, A.oops), A.oops)
    assert list(me.queue) == [(ref, (A.error, A.oops))]


def test_from_is_a_pid_and_a_tag(system):
    assert callers.is_from((system.root.pid, 1))
    for wrong in (7, (1, 2), (system.root.pid,), [system.root.pid, 1]):
        assert not callers.is_from(wrong)
