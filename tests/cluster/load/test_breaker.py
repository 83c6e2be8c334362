"""The breaker as a process: what counts as a failure, who is told, who uses it from elsewhere."""

import functools

import pytest

from pyerlnode.cluster.load.breaker import Breaker, BreakerOpen, Thresholds
from pyerlnode.errors import CallTimeout, EncodeError, NodeDown, NoProc, ServerExit, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation


@pytest.fixture
def simulation():
    with Simulation() as simulation:
        yield simulation


@pytest.fixture
def system(simulation):
    return simulation.system("py@sim")


class Service(GenServer):
    def handle_call(self, request, from_):
        match request:
            case A.stop:
                return Stop(A.oops)
            case A.wait:
                return NoReply()
        return Reply(request)


@pytest.fixture
def service(system):
    return gen_server.start(system, Service)


@pytest.fixture
def breaker(system):
    return Breaker.start(system, Thresholds(failures=2, reset=5.0, jitter=0.0), name="breaker")


def fails(simulation, call, kind):
    with pytest.raises(kind):
        simulation.run(call)


def test_answers_pass_and_none_of_them_is_a_failure(breaker, service):
    for answer in (1, (A.error, A.no_such_user)):
        for _ in range(5):
            assert breaker.call(service, answer) == answer
    assert breaker.state is A.closed
    assert breaker.info()["succeeded"] == 10


@pytest.mark.parametrize(
    ("dest", "request_", "kind"),
    [
        ("nobody", A.x, NoProc),
        (("nobody", "nowhere@sim"), A.x, NodeDown),
        (None, A.wait, CallTimeout),
        (None, A.stop, ServerExit),
    ],
)
def test_what_is_no_answer_is_a_failure(simulation, system, breaker, dest, request_, kind):
    for _ in range(2):
        service = dest or gen_server.start(system, Service)
        fails(simulation, functools.partial(breaker.call, service, request_, 0.1), kind)
    assert breaker.state is A.open
    with pytest.raises(BreakerOpen) as caught:
        breaker.call("nobody", A.x)
    assert (caught.value.breaker, caught.value.retry_after) == (A.breaker, 5.0)
    assert caught.value.reason == (A.open, A.breaker)


def test_it_closes_again_by_a_probe_that_is_answered(simulation, breaker, service):
    for _ in range(2):
        fails(simulation, functools.partial(breaker.call, "nobody", A.x), NoProc)
    simulation.advance(5.0)
    assert breaker.state is A.open
    assert breaker.call(service, 1) == 1
    assert breaker.state is A.closed


def test_answers_are_judged_when_it_is_told_how(system, service):
    breaker = Breaker.start(system, Thresholds(failures=1), is_failure=lambda answer: answer == (A.error, A.busy))
    assert breaker.call(service, (A.error, A.other)) == (A.error, A.other)
    assert breaker.state is A.closed
    assert breaker.call(service, (A.error, A.busy)) == (A.error, A.busy)
    assert breaker.state is A.open


def test_what_is_the_callers_own_fault_leaves_it_as_it_is(simulation, system, breaker):
    other = simulation.system("app@sim")
    simulation.link(system, other)
    for _ in range(3):
        fails(simulation, functools.partial(breaker.call, ("x", "app@sim"), object()), EncodeError)
        fails(simulation, functools.partial(breaker.run, [].pop), IndexError)
    assert breaker.state is A.closed
    assert breaker.info()["unknown"] == 6


def test_a_function_fails_by_what_the_breaker_was_told_counts(system):
    breaker = Breaker.start(system, Thresholds(failures=1), failures=(IndexError,))
    assert breaker.run(max, 1, 2) == 2
    with pytest.raises(IndexError):
        breaker.run([].pop)
    assert breaker.state is A.open


def test_a_probe_whose_process_is_killed_gives_its_place_back(simulation, system, breaker, service):
    breaker.trip()
    simulation.advance(5.0)
    probe = system.spawn(breaker.call, service, A.wait, None)
    simulation.run_until_idle()
    with pytest.raises(BreakerOpen):
        breaker.call(service, 1)
    system.exit(probe, A.kill)
    simulation.run_until_idle()
    assert breaker.call(service, 1) == 1
    assert breaker.state is A.closed


def test_subscribers_are_told_until_they_want_no_more(simulation, system, breaker):
    me = system.adopt()
    assert breaker.subscribe() is A.closed
    assert breaker.subscribe() is A.closed
    breaker.trip()
    breaker.trip()
    breaker.reset()
    simulation.run_until_idle()
    assert list(me.queue) == [(A.breaker, A.breaker, A.open), (A.breaker, A.breaker, A.closed)]
    me.queue.clear()
    breaker.unsubscribe()
    breaker.unsubscribe()
    breaker.trip()
    simulation.run_until_idle()
    assert not me.queue


def test_a_subscriber_that_died_or_was_cut_off_is_forgotten(simulation, system, breaker):
    away = simulation.system("app@sim")
    wire = simulation.link(away, system, delay=0.01)
    heard = []

    def subscriber(home):
        assert gen.call(home, ("breaker", "py@sim"), A.subscribe) == (A.ok, A.closed)
        heard.append(home.myself().receive(None, None))
        home.myself().receive(None, None)

    here, there = system.spawn(subscriber, system), away.spawn(subscriber, away)
    simulation.advance(0.1)
    breaker.trip()
    simulation.advance(0.1)
    assert heard == [(A.breaker, A.breaker, A.open)] * 2
    server = breaker._server()
    assert set(server.subscribers) == {here, there}
    system.exit(here, A.kill)
    wire.cut()
    breaker.reset()
    simulation.advance(0.1)
    assert not server.subscribers
    assert not server.process.monitors


def test_it_is_used_from_another_node(simulation, system, breaker):
    away = simulation.system("app@sim")
    simulation.link(away, system, delay=0.01)
    dest = ("breaker", "py@sim")

    def body():
        def ask(request):
            return gen.call(away, dest, request)

        ok, ticket = ask(A.ask)
        assert ok is A.ok
        gen.cast(away, dest, (A.failed, ticket))
        gen.cast(away, dest, (A.succeeded, b"x"))
        gen.cast(away, dest, A.x)
        gen.cast(away, dest, (A.failed, ask(A.ask)[1]))
        assert ask(A.state) is A.open
        error, (why, milliseconds) = ask(A.ask)
        assert (error, why) == (A.error, A.open)
        assert 4900 < milliseconds <= 5000
        assert ask(A.reset) is A.ok
        assert ask(A.trip) is A.ok
        assert ask(A.unsubscribe) is A.ok
        assert ask(b"what") == (A.error, A.unknown_call)
        return ask(A.info)

    ok, info = simulation.run(body)
    assert (ok, info[A.state], info[A.failed]) == (A.ok, A.open, 2)


def test_changes_are_told_to_telemetry(system):
    told = []

    class On:
        telemetry = type("T", (), {"emit": staticmethod(lambda *event, **about: told.append((event[0], about)))})

    On.system = system
    breaker = Breaker.start(On, name="b")
    breaker.trip()
    assert told == [("breaker.state", {"breaker": A.b, "state": "open", "before": "closed"})]


def test_there_must_be_a_breaker(simulation, system, service, breaker):
    with pytest.raises(NoProc, match="no breaker"):
        Breaker("nobody", on=system).call(service, 1)
    with pytest.raises(UsageError, match="no breaker"):
        Breaker(service, on=system).trip()
    server = breaker._server()
    ticket = server.ask()
    server.process.deliver((gen.CALL, 7, A.ask))
    simulation.run_until_idle()
    system.exit(server.process.pid, A.kill)
    server.tell(A.failed, ticket)
    assert not server.process.alive
