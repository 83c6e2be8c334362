"""Servers that refuse the calls they have no time for."""

import pytest

from pyerlnode.cluster.load.pool import Pool
from pyerlnode.cluster.load.regulated import Regulated, Regulation
from pyerlnode.cluster.load.regulator import Regulator
from pyerlnode.cluster.load.regulator_core import Rules
from pyerlnode.errors import CallTimeout
from pyerlnode.otp import gen, gen_server, sys
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.requests import receive_response, send_request
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation

REFUSED = (A.error, A.overload)


class Slow(Regulated):
    """Takes a second for each call."""

    regulation = Regulation(max_wait=2.5, mailbox=5)

    def init(self):
        self.ran = []

    def handle_call(self, request, from_):
        self.process.receive(lambda message: False, 1.0)
        self.ran.append(request)
        return Reply(request)

    def handle_cast(self, request):
        self.ran.append(request)


class Permitted(Slow):
    regulation = Regulation(queue="q")


@pytest.fixture
def simulation():
    with Simulation() as simulation:
        yield simulation


@pytest.fixture
def system(simulation):
    return simulation.system("py@sim")


def start(system, cls=Slow):
    pid = gen_server.start(system, cls)
    return pid, system.process(pid).handler


def test_calls_that_have_waited_too_long_are_answered_without_running(simulation, system):
    pid, server = start(system)
    requests = [send_request(system, pid, n) for n in range(6)]
    simulation.advance(10.0)
    answers = [request.outcome() for request in requests]
    assert answers == [0, 1, 2, REFUSED, REFUSED, REFUSED]
    assert server.ran == [0, 1, 2]
    assert server.regulated == {"refused": 3, "dropped": 0}
    assert simulation.run(gen.call, system, pid, 7) == 7


def test_a_mailbox_that_is_too_long_is_shortened_at_once_from_its_old_end(simulation, system):
    pid, _ = start(system)
    requests = [send_request(system, pid, n) for n in range(50)]
    simulation.run_until_idle()
    refused = [n for n, request in enumerate(requests) if request.state != 0]
    assert refused == list(range(44))
    assert requests[0].outcome() == REFUSED


def test_calls_whose_callers_gave_up_or_died_are_dropped(simulation, system):
    pid, server = start(system)
    send_request(system, pid, 0)
    simulation.run_until_idle()
    caller = system.spawn(gen.call, system, pid, 1, None)
    simulation.run_until_idle()
    with pytest.raises(CallTimeout):
        simulation.run(gen.call, system, pid, 2, 0.5)
    system.exit(caller, A.kill)
    simulation.advance(5.0)
    assert server.ran == [0]
    assert server.regulated == {"refused": 0, "dropped": 2}


def test_other_messages_are_not_looked_at(simulation, system):
    pid, server = start(system)
    for n in range(20):
        gen.cast(system, pid, n)
    simulation.run_until_idle()
    assert server.ran == list(range(20))
    server.process.deliver((gen.CALL, 7, 8))
    simulation.run_until_idle()
    assert server.process.alive


def test_calls_run_with_a_permit_of_a_regulator_or_not_at_all(simulation, system):
    pid, server = start(system, Permitted)
    assert gen.call(system, pid, 0) == REFUSED  # there is no regulator
    regulator = Regulator.start(system, {"q": Rules(limit=1)}, name="regulator")
    assert simulation.run(gen.call, system, pid, 1) == 1
    with regulator.permit("q"):
        assert gen.call(system, pid, 2) == REFUSED
    assert simulation.run(gen.call, system, pid, 3) == 3
    assert server.ran == [1, 3]
    assert regulator.info("q")["running"] == 0


def test_a_server_that_is_traced_is_regulated_as_well(simulation, system):
    pid, _ = start(system)
    assert set(sys.get_state(system, pid)) == {A.ran}
    sys.statistics(system, pid, True)
    requests = [send_request(system, pid, n) for n in range(4)]
    simulation.advance(10.0)
    assert [request.outcome() for request in requests] == [0, 1, 2, REFUSED]


class Forwarded(Slow):
    regulation = Regulation(forwarded=True)


class Front(GenServer):
    """Hands calls on."""

    def init(self, dest):
        self.dest = dest

    def handle_call(self, request, from_):
        self.process.system.send(self.dest, (gen.CALL, from_, request))
        return NoReply()


def test_members_of_a_pool_may_be_regulated(simulation, system):
    gen_server.start(system, Pool, (Slow,), {"size": 2}, name="pool")
    away = simulation.system("app@sim")
    simulation.link(away, system, delay=0.01)
    assert simulation.run(gen.call, system, "pool", 1) == 1
    assert simulation.run(gen.call, away, ("pool", "py@sim"), 2) == 2
    assert simulation.run(receive_response, send_request(system, "pool", 3)) == 3


def test_calls_handed_on_by_another_node_are_answered_and_run_when_they_are_expected(simulation, system):
    away = simulation.system("app@sim")
    simulation.link(away, system, delay=0.01)
    for cls, answer in ((Slow, REFUSED), (Forwarded, 1)):
        pid, _ = start(system, cls)
        front = gen_server.start(away, Front, (pid,))
        assert simulation.run(gen.call, away, front, 1) == answer


def test_a_remote_caller_that_gave_up_is_dropped(simulation, system):
    away = simulation.system("app@sim")
    simulation.link(away, system, delay=0.01)
    pid, server = start(system)
    send_request(away, pid, 0)
    with pytest.raises(CallTimeout):
        simulation.run(gen.call, away, pid, 1, 0.5)
    simulation.advance(5.0)
    assert server.ran == [0]
    assert server.regulated == {"refused": 0, "dropped": 1}
