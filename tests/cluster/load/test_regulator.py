"""The regulator as a process: who holds permits, who dies with them, and who asks from elsewhere."""

import functools

import gevent
import pytest

from pyerlnode.cluster.load.regulator import NotAdmitted, Regulator, RegulatorServer
from pyerlnode.cluster.load.regulator_core import Adaptive, Rules
from pyerlnode.errors import CallTimeout, NodeDown, NoProc, ServerExit, UsageError
from pyerlnode.otp import gen, sys
from pyerlnode.otp.requests import receive_response, send_request
from pyerlnode.term import A
from pyerlnode.term.containers import ImproperList
from pyerlnode.testing.virtual import Simulation

QUEUES = {
    "one": Rules(limit=1, max_wait=1.0),
    "none": Rules(limit=1, queue=0),
    "leased": Rules(limit=1, lease=2.0, max_wait=9.0, target=None),
}


@pytest.fixture(params=[None, 1, 2])
def simulation(request):
    with Simulation(seed=request.param) as simulation:
        yield simulation


@pytest.fixture
def system(simulation):
    return simulation.system("py@sim")


@pytest.fixture
def regulator(system):
    return Regulator.start(system, QUEUES, name="regulator")


@pytest.fixture
def away(simulation, system):
    """A system of another node that reaches ours."""
    other = simulation.system("app@sim")
    other.wire = simulation.link(other, system, delay=0.01)
    return other


DEST = ("regulator", "py@sim")


def hold(system, regulator, name="one", log=None):
    """A process that takes a permit and holds it until it is told something."""

    def body():
        with regulator.permit(name):
            if log is not None:
                log.append(system.myself().pid)
            system.myself().receive(None, None)

    return system.spawn(body)


def running(regulator, name="one"):
    return regulator._server().queues[A[name]].info(0.0)["running"]


def test_a_permit_is_held_in_a_with_block_and_by_run(regulator):
    with regulator.permit("one"):
        assert running(regulator) == 1
        with pytest.raises(NotAdmitted) as caught:
            regulator.permit("one", timeout=0)
    assert (caught.value.reason, caught.value.queue) == (A.overload, A.one)
    assert caught.value.retry_after > 0
    assert regulator.run("one", lambda a, b: (a, b, running(regulator)), 1, b=2) == (1, 2, 1)
    assert running(regulator) == 0


def test_who_waits_gets_the_permit_of_one_that_is_done(simulation, system, regulator):
    log = []
    first, second = hold(system, regulator, log=log), hold(system, regulator, log=log)
    simulation.run_until_idle()
    assert log == [first] or log == [second]
    system.send(log[0], A.go_on)
    simulation.run_until_idle()
    assert sorted(log, key=repr) == sorted([first, second], key=repr)
    assert running(regulator) == 1


def test_who_waits_in_vain_is_told_after_its_own_time_or_that_of_the_queue(simulation, system, regulator):
    hold(system, regulator)
    simulation.run_until_idle()
    for timeout, takes in ((0.25, 0.25), (None, 1.0), (7.0, 1.0)):
        begun = simulation.clock.now()
        with pytest.raises(NotAdmitted) as caught:
            simulation.run(functools.partial(regulator.permit, "one", timeout=timeout))
        assert caught.value.reason is A.timeout
        assert simulation.clock.now() - begun == pytest.approx(takes, abs=0.02)


def test_a_holder_that_dies_gives_its_permit_back_at_once(simulation, system, regulator):
    log = []
    holder = hold(system, regulator, log=log)
    simulation.run_until_idle()
    waits = hold(system, regulator, log=log)
    simulation.run_until_idle()
    system.exit(holder, A.kill)
    simulation.run_until_idle()
    assert log == [holder, waits]
    assert regulator.info("one")["lost"] == 1


def test_one_that_dies_while_it_waits_is_passed_over(simulation, system, regulator):
    log = []
    holder = hold(system, regulator, log=log)
    simulation.run_until_idle()
    waits = hold(system, regulator, log=log)
    simulation.run_until_idle()
    system.exit(waits, A.kill)
    simulation.run_until_idle()
    system.send(holder, A.go_on)
    simulation.run_until_idle()
    assert log == [holder]
    assert running(regulator) == 0
    assert regulator.info("one")["abandoned"] == 1


def test_the_work_of_a_process_killed_in_the_block_is_over_for_others_once(simulation, system, regulator):
    holder = hold(system, regulator)
    simulation.run_until_idle()
    system.exit(holder, A.kill)
    simulation.run_until_idle()
    info = regulator.info("one")
    assert (info["running"], info["lost"], info["done"]) == (0, 1, 0)


def test_nothing_is_left_at_the_holder_or_the_server_when_all_is_done(simulation, system, regulator):
    me = system.adopt()
    with regulator.permit("one"):
        assert len(me.monitored_by) == 1
        with pytest.raises(NotAdmitted):
            simulation.run(regulator.permit, "one")
    assert not me.monitored_by
    server = regulator._server()
    assert not server.process.monitored_by
    assert not server.asked
    assert not server.process.monitors


def test_work_that_fails_as_under_load_counts_as_dropped(system):
    regulator = Regulator.start(system, {"q": Rules(limit=Adaptive(target=1.0))})
    for error in (CallTimeout(A.timeout), ConnectionError(), KeyError()):
        with pytest.raises(type(error)), regulator.permit("q"):
            raise error
    assert regulator.info("q")["limit"] == 8  # 10 × 0.9 × 0.9


def test_a_remote_caller_asks_and_is_done(simulation, regulator, away):
    def body():
        ok, ref = gen.call(away, DEST, (A.ask, A.one))
        refused = gen.call(away, DEST, (A.ask, A.one, [(A.timeout, 0)]))
        held = running(regulator)
        gen.cast(away, DEST, (A.done, ref))
        again = gen.call(away, DEST, (A.ask, A.one, {A.timeout: 100, A.priority: 3}))
        return ok, refused, held, again

    ok, refused, held, again = simulation.run(body)
    assert (ok, held) == (A.ok, 1)
    error, (reason, milliseconds) = refused
    assert (error, reason) == (A.error, A.overload)
    assert milliseconds > 0
    assert again[0] is A.ok


def test_a_remote_regulator_is_used_as_a_local_one(simulation, regulator, away):
    far = Regulator(DEST, on=away)

    def body():
        with far.permit("one", timeout=0.5):
            assert running(regulator) == 1
            with pytest.raises(NotAdmitted) as caught:
                far.permit("one", timeout=0.1)
        with pytest.raises(UsageError, match="no queue"):
            far.permit("two")
        permit = far.permit("one")
        permit.done(dropped=True)
        permit.done()
        return caught.value.reason, far.info("one")["admitted"]

    assert simulation.run(body) == (A.timeout, 2)
    assert running(regulator) == 0


def test_a_remote_holder_that_dies_or_is_cut_off_gives_its_permit_back(simulation, system, regulator, away):
    def take():
        assert gen.call(away, DEST, (A.ask, A.one))[0] is A.ok
        away.myself().receive(None, None)

    for end in (lambda pid: away.exit(pid, A.kill), lambda pid: away.wire.cut()):
        pid = away.spawn(take)
        simulation.advance(0.1)
        assert running(regulator) == 1
        end(pid)
        simulation.advance(0.1)
        assert running(regulator) == 0
    assert not regulator._server().asked


def test_a_remote_caller_that_gave_up_gets_no_permit(simulation, system, regulator, away):
    holder = hold(system, regulator)
    simulation.run_until_idle()

    def impatient():
        with pytest.raises(CallTimeout):
            gen.call(away, DEST, (A.ask, A.one), 0.2)
        away.myself().receive(None, None)

    away.spawn(impatient)
    simulation.advance(0.5)
    system.send(holder, A.go_on)
    simulation.advance(0.1)
    assert running(regulator) == 0
    assert not regulator._server().asked
    assert not regulator._server().process.monitors


def test_one_that_gave_up_before_the_server_looked_is_not_even_queued(simulation, system, regulator, away):
    server = regulator._server()
    me = system.adopt()
    server.process.deliver((gen.CALL, (me.pid, ImproperList((A.alias,), system.new_ref())), (A.ask, A.one)))
    simulation.run_until_idle()
    sys.suspend(system, "regulator")
    with pytest.raises(CallTimeout):
        simulation.run(gen.call, away, DEST, (A.ask, A.one), 0.2)
    simulation.advance(0.1)
    sys.resume(system, "regulator")
    simulation.run_until_idle()
    assert regulator.info("one")["asked"] == 0


def test_done_twice_late_of_others_and_garbage_do_no_harm(simulation, system, regulator):
    ok, ref = gen.call(system, "regulator", (A.ask, A.one))
    waits = send_request(system, "regulator", (A.ask, A.one))
    simulation.run_until_idle()
    for message in ((A.done, system.new_ref()), (A.done, 7), A.nonsense, (A.done, ref, A.what), (A.ask, A.one)):
        gen.cast(system, "regulator", message)
    simulation.run_until_idle()
    assert running(regulator) == 1
    assert waits.state == 0
    assert gen.call(system, "regulator", (A.done, ref, A.dropped)) is A.ok
    assert gen.call(system, "regulator", (A.done, ref)) is A.ok
    gen.cast(system, "regulator", (A.done, ref))
    ok, second = simulation.run(receive_response, waits)
    assert ok is A.ok
    assert running(regulator) == 1
    assert second != ref


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ((A.ask, A.nowhere), (A.error, A.unknown_queue)),
        ((A.info, A.nowhere), (A.error, A.unknown_queue)),
        ((A.ask, A.one, [(A.timeout, b"5")]), (A.error, A.badarg)),
        ((A.ask, A.one, {A.priority: 1 << 80}), (A.error, A.badarg)),
        ((A.ask, A.one, {A.timeout: 1 << 2000}), (A.error, A.badarg)),
        ((A.ask, A.one, 7), (A.error, A.badarg)),
        ((A.ask, b"one"), (A.error, A.unknown_call)),
        ([1, 2], (A.error, A.unknown_call)),
        (A.queues, [A.one, A.none, A.leased]),
    ],
)
def test_garbage_is_answered_and_costs_nobody_a_permit(system, regulator, request_, answer):
    with regulator.permit("one"):
        assert gen.call(system, "regulator", request_) == answer
        assert running(regulator) == 1


def test_a_caller_that_is_no_pid_is_no_caller(simulation, regulator):
    process = regulator._server().process
    for from_ in (7, (A.x, 1), (1, 2, 3)):
        process.deliver((gen.CALL, from_, (A.ask, A.one)))
    simulation.run_until_idle()
    assert process.alive
    assert running(regulator) == 0


def test_the_end_of_the_regulator_is_an_outcome_for_all_that_wait(simulation, system, regulator):
    hold(system, regulator)
    simulation.run_until_idle()
    ends = []

    def wait():
        try:
            regulator.permit("one")
        except ServerExit as error:
            ends.append(error.reason[0])

    system.spawn(wait)
    simulation.run_until_idle()
    system.exit(regulator._server().process.pid, A.kill)
    simulation.run_until_idle()
    assert ends == [A.killed]
    with pytest.raises(NoProc):
        regulator.permit("one")
    with pytest.raises(NoProc):
        regulator.change("one", Rules())


def test_permits_of_a_regulator_that_was_restarted_are_given_back_to_nobody(simulation, system, regulator):
    permit = regulator.permit("one")
    system.exit(regulator._server().process.pid, A.kill)
    simulation.run_until_idle()
    Regulator.start(system, QUEUES, name="regulator")
    with regulator.permit("one"):
        permit.done()
        assert running(regulator) == 1


def test_a_look_at_the_clock_that_a_peer_made_up_leaves_one_timer(simulation, system, regulator):
    hold(system, regulator)
    send_request(system, "regulator", (A.ask, A.one))
    simulation.run_until_idle()
    timers = simulation.next_deadline()
    server = regulator._server()
    first = server.timers[A.one]
    for _ in range(3):
        server.process.deliver((A["$regulator_tick"], A.one))
        simulation.run_until_idle()
    assert not first.cancel()  # it was cancelled
    assert simulation.next_deadline() == pytest.approx(timers, abs=0.01)
    simulation.advance(1.1)
    assert not server.timers


def test_a_lease_that_is_over_takes_the_permit_back(simulation, system, regulator):
    log = []
    hold(system, regulator, "leased", log)
    simulation.run_until_idle()
    hold(system, regulator, "leased", log)
    simulation.advance(1.9)
    assert len(log) == 1
    simulation.advance(0.2)
    assert len(log) == 2
    waits = send_request(system, "regulator", (A.ask, A.leased))
    simulation.advance(2.1)
    assert simulation.run(receive_response, waits)[0] is A.ok
    simulation.advance(2.1)
    assert running(regulator, "leased") == 0
    assert not regulator._server().asked


def test_other_rules_let_those_in_that_wait(simulation, system, regulator):
    log = []
    for _ in range(3):
        hold(system, regulator, log=log)
    simulation.run_until_idle()
    assert len(log) == 1
    regulator.change("one", Rules(limit=3))
    simulation.run_until_idle()
    assert len(log) == 3
    regulator.change("new", {"limit": 1})
    with regulator.permit("new"):
        assert running(regulator, "new") == 1


def test_refusals_are_told(simulation, system):
    told = []

    class On:
        telemetry = type("T", (), {"emit": staticmethod(lambda *event, **about: told.append((event[0], about)))})

    On.system = system
    regulator = Regulator.start(On, {"q": Rules(limit=1, queue=0, lease=1.0)})
    system.adopt()
    regulator.permit("q")
    with pytest.raises(NotAdmitted):
        regulator.permit("q")
    assert gen.call(system, regulator.dest, (A.ask, A.q))[0] is A.error
    simulation.advance(1.0)
    refused = ("regulator.refused", {"queue": "q", "reason": "overload"})
    assert told == [refused, refused, ("regulator.revoked", {"queue": "q"})]


def test_a_queue_that_is_not_there_and_a_server_that_is_none(system, regulator):
    with pytest.raises(UsageError, match="has no queue two"):
        regulator.permit("two")
    with pytest.raises(UsageError, match="has no queue two"):
        regulator.info("two")
    with pytest.raises(NodeDown):
        Regulator(("regulator", "nowhere@sim"), on=system).permit("one")


def test_the_state_of_the_server_shows_its_queues(system, regulator):
    state = regulator._server().system_get_state()
    assert set(state) == {A.one, A.none, A.leased}
    assert state[A.one][A.running] == 0
    assert RegulatorServer.otp_module is A.gen_server


def test_callers_that_wait_by_the_hundred_are_served_in_order(simulation, system, regulator):
    log = []

    def body(n):
        with regulator.permit("one"):
            log.append(n)
            gevent.sleep(0)

    for n in range(200):
        system.spawn(body, n)
    simulation.run_until_idle()
    assert sorted(log) == list(range(200))
    if simulation.seed is None:
        assert log == list(range(200))
