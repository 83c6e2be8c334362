"""The pool as a process: whom it hands calls to, what a crash costs, who borrows its members."""

import functools

import pytest

from pyerlnode.cluster.load.pool import RETRY, Pool, PoolBusy
from pyerlnode.errors import CallTimeout, ServerExit, StartFailed, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.requests import receive_response, send_request
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation


class Member(GenServer):
    """Answers `wait` when it is told to go on, and everything else at once with its pid and the request."""

    started = 0
    fails = False

    def init(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs
        self.casts = []
        if Member.fails:
            return Stop(A.no_model)
        Member.started += 1
        return None

    def handle_call(self, request, from_):
        match request:
            case A.crash:
                return Stop(A.oops)
            case A.given:
                return Reply((self.args, self.kwargs))
            case A.later:
                return NoReply()
            case A.casts:
                return Reply(self.casts)
            case (A.wait, *_):
                self.process.receive(lambda message: message is A.go_on, None)
        return Reply((self.process.pid, request))

    def handle_cast(self, request):
        self.casts.append(request)

    def handle_info(self, message):
        pass


@pytest.fixture(params=[None, 1, 2])
def simulation(request):
    Member.fails = False
    with Simulation(seed=request.param) as simulation:
        yield simulation


@pytest.fixture
def system(simulation):
    return simulation.system("py@sim")


@pytest.fixture
def start(simulation, system):
    def start(*args, cls=Member, **options):
        pid = gen_server.start(system, Pool, (cls, *args), options, name="pool")
        simulation.run_until_idle()
        return pid

    return start


def members(system):
    return system.process(system.whereis("pool")).handler.pool.members()


def stats(simulation, system):
    return simulation.run(functools.partial(Pool.stats, "pool", on=system))


def test_calls_go_to_members_that_are_free_and_come_straight_back(simulation, system, start):
    start(size=3)
    waiting = [send_request(system, "pool", (A.wait, n)) for n in range(3)]
    simulation.run_until_idle()
    assert stats(simulation, system)["busy"] == 3
    for pid in members(system):
        system.send(pid, A.go_on)
    answers = [simulation.run(receive_response, request) for request in waiting]
    assert {pid for pid, _ in answers} == set(members(system))
    simulation.run_until_idle()
    found = stats(simulation, system)
    assert (found["busy"], found["in_flight"], found["finished"]) == (0, 0, 3)


def test_a_member_is_given_what_the_pool_was_given(system, start):
    start(1, 2, size=1, weight=3)
    assert gen.call(system, "pool", A.given) == ((1, 2), {"weight": 3})


def test_a_call_waits_for_a_free_member_and_a_full_queue_refuses_at_once(simulation, system, start):
    start(size=1, queue=1, max_wait=3.0)
    busy, waits = (send_request(system, "pool", (A.wait, n)) for n in range(2))
    simulation.run_until_idle()
    assert gen.call(system, "pool", 3) == (A.error, A.overload)
    [member] = members(system)
    system.send(member, A.go_on)
    assert simulation.run(receive_response, busy) == (member, (A.wait, 0))
    system.send(member, A.go_on)
    assert simulation.run(receive_response, waits) == (member, (A.wait, 1))


def test_who_waits_too_long_is_told(simulation, system, start):
    start(size=1, max_wait=1.0)
    send_request(system, "pool", (A.wait, 0))
    late = send_request(system, "pool", 1)
    simulation.advance(1.1)
    assert late.outcome() == (A.error, A.timeout)


def test_a_call_whose_caller_gave_up_or_died_is_not_run(simulation, system, start):
    start(size=1, max_wait=9.0)
    send_request(system, "pool", (A.wait, 0))
    simulation.run_until_idle()
    with pytest.raises(CallTimeout):
        simulation.run(gen.call, system, "pool", (A.wait, 1), 0.5)
    caller = system.spawn(gen.call, system, "pool", (A.wait, 2), None)
    simulation.run_until_idle()
    system.exit(caller, A.kill)
    [member] = members(system)
    system.send(member, A.go_on)
    simulation.run_until_idle()
    found = stats(simulation, system)
    assert (found["busy"], found["finished"], found["abandoned"]) == (0, 1, 2)
    assert gen.call(system, "pool", 3) == (member, 3)


def test_a_crash_ends_the_members_own_calls_and_it_is_replaced(simulation, system, start):
    start(size=2, in_flight=2)
    before = set(members(system))
    one = send_request(system, "pool", (A.wait, 1))
    other = send_request(system, "pool", (A.wait, 2))
    simulation.run_until_idle()
    crashed = next(p for p in before if system.process(p).greenlet is not None)
    system.exit(crashed, A.kill)
    simulation.run_until_idle()
    ends = [request for request in (one, other) if request.state != 0]
    assert len(ends) == 1
    with pytest.raises(ServerExit) as caught:
        ends[0].outcome()
    assert caught.value.reason[0] is A.killed
    after = set(members(system))
    assert len(after) == 2
    assert after - before
    assert stats(simulation, system)["lost"] == 1
    [survivor] = before & after
    system.send(survivor, A.go_on)
    simulation.run_until_idle()
    assert (one if ends[0] is other else other).outcome()[0] == survivor


def test_a_member_that_stops_during_its_call_gives_its_reason(simulation, system, start):
    start(size=1)
    with pytest.raises(ServerExit) as caught:
        simulation.run(gen.call, system, "pool", A.crash)
    assert caught.value.reason[0] is A.oops
    simulation.run_until_idle()
    assert simulation.run(gen.call, system, "pool", 7)[1] == 7


def test_too_many_crashes_end_the_pool_and_all_that_wait_are_told(simulation, system, start):
    pool = start(size=1, max_restarts=1)
    first = send_request(system, "pool", A.crash)
    second = send_request(system, "pool", A.crash)
    simulation.run_until_idle()
    assert system.process(pool) is None
    for request in (first, second):
        with pytest.raises(ServerExit):
            request.outcome()


def test_a_pool_is_a_child_as_any_other_and_comes_back(simulation, system):
    me = system.adopt()
    me.trap_exit = True
    child = {"id": "pool", "start": (Pool, [Member], {"size": 2, "max_restarts": 0, "name": "pool"})}
    supervisor = Supervisor.start_link([child], on=system)
    simulation.run_until_idle()
    before = system.whereis("pool")
    system.exit(members(system)[0], A.kill)
    simulation.run_until_idle()
    assert system.whereis("pool") not in (None, before)
    assert simulation.run(gen.call, system, "pool", 1)[1] == 1
    everybody = [system.whereis("pool"), *members(system)]
    simulation.run(gen.stop, system, supervisor, A.shutdown)
    assert all(system.process(pid) is None for pid in everybody)


def test_a_member_that_does_not_start_is_the_error_of_the_pools_start(simulation, system):
    Member.fails = True
    with pytest.raises(StartFailed):
        gen_server.start(system, Pool, (Member,), {"size": 2})
    simulation.run_until_idle()
    assert len(system.processes) == 1  # the root


def test_the_end_of_the_pool_is_the_end_of_its_members(simulation, system, start):
    pool = start(size=3)
    everybody = [*members(system), system.process(pool).handler.supervisor]
    simulation.run(gen.stop, system, pool)
    assert all(system.process(pid) is None for pid in everybody)


def test_casts_go_to_members_too(simulation, system, start):
    start(size=1)
    gen.cast(system, "pool", 1)
    gen.cast(system, "pool", (A["$pool"], A.nonsense))
    gen.cast(system, "pool", 2)
    assert simulation.run(gen.call, system, "pool", A.casts) == [1, 2]


def test_a_member_that_answers_later_is_free_at_once(simulation, system, start):
    start(size=1)
    send_request(system, "pool", A.later)
    assert simulation.run(gen.call, system, "pool", 1)[1] == 1


def test_calls_with_one_key_come_to_one_member(simulation, system, start):
    start(size=4, strategy="hash", key=lambda request: request[0])
    homes = {n: {gen.call(system, "pool", (n, m))[0] for m in range(3)} for n in range(8)}
    assert all(len(found) == 1 for found in homes.values())
    assert {next(iter(found)) for found in homes.values()} == set(members(system))
    assert gen.call(system, "pool", 7) == (A.error, A.bad_key)


def test_it_grows_and_shrinks_at_run_time(simulation, system, start):
    start(size=2)
    Pool.resize("pool", 4, on=system)
    simulation.run_until_idle()
    assert len(members(system)) == 4
    busy = [send_request(system, "pool", (A.wait, n)) for n in range(4)]
    simulation.run_until_idle()
    four = members(system)
    Pool.resize("pool", 1, on=system)
    simulation.run_until_idle()
    assert stats(simulation, system)["retiring"] == 3
    for pid in four:
        system.send(pid, A.go_on)
    simulation.run_until_idle()
    assert {request.outcome()[0] for request in busy} == set(four)
    assert len(members(system)) == 1
    assert sum(system.process(pid) is not None for pid in four) == 1
    with pytest.raises(UsageError):
        Pool.resize("pool", 0, on=system)


def test_a_member_that_can_not_be_started_is_tried_again(simulation, system, start, caplog):
    start(size=1)
    Member.fails = True
    Pool.resize("pool", 3, on=system)
    simulation.run_until_idle()
    assert len(members(system)) == 1
    assert "again in 1 s" in caplog.text
    Member.fails = False
    simulation.advance(RETRY)
    assert len(members(system)) == 3


def test_a_borrowed_member_is_its_borrowers_alone(simulation, system, start):
    start(size=2, in_flight=3, queue=2)
    with Pool.checkout("pool", on=system) as mine:
        others = {gen.call(system, "pool", n)[0] for n in range(6)}
        assert others == set(members(system)) - {mine}
        with Pool.checkout("pool", on=system) as second:
            assert {mine, second} == set(members(system))
            with pytest.raises(PoolBusy) as caught:
                Pool.checkout("pool", timeout=0, on=system)
            assert caught.value.reason is A.overload
            with pytest.raises(PoolBusy) as caught:
                simulation.run(functools.partial(Pool.checkout, "pool", timeout=0.5, on=system))
            assert caught.value.reason is A.timeout
    simulation.run_until_idle()
    assert stats(simulation, system)["lent"] == 0
    assert not system.process(system.whereis("pool")).handler.loans


def test_a_borrower_that_dies_gives_its_member_back(simulation, system, start):
    start(size=1, max_wait=9.0)

    def borrow():
        Pool.checkout("pool", on=system)
        system.myself().receive(None, None)

    first, second = system.spawn(borrow), system.spawn(borrow)
    simulation.run_until_idle()
    third = send_request(system, "pool", 3)
    simulation.run_until_idle()
    system.exit(first, A.kill)
    simulation.run_until_idle()
    system.exit(second, A.kill)
    simulation.run_until_idle()
    assert third.outcome()[1] == 3
    handler = system.process(system.whereis("pool")).handler
    assert not handler.loans
    assert len(handler.process.monitors) == 1  # its member


def test_a_borrower_that_gave_up_waiting_borrows_nothing(simulation, system, start):
    start(size=1, max_wait=9.0)
    loan = Pool.checkout("pool", on=system)
    with pytest.raises(CallTimeout):
        simulation.run(gen.call, system, "pool", (A["$pool"], A.checkout), 0.2)
    loan.checkin()
    simulation.run_until_idle()
    handler = system.process(system.whereis("pool")).handler
    assert not handler.loans
    assert len(handler.process.monitors) == 1  # its member
    assert stats(simulation, system)["abandoned"] == 1


def test_a_member_that_dies_while_it_is_lent_ends_the_loan(simulation, system, start):
    start(size=1)
    loan = Pool.checkout("pool", on=system)
    system.exit(loan.pid, A.kill)
    simulation.run_until_idle()
    [new] = members(system)
    assert gen.call(system, "pool", 1) == (new, 1)
    loan.checkin()
    loan.checkin()
    simulation.run_until_idle()
    assert gen.call(system, "pool", 2) == (new, 2)


def test_a_member_that_is_given_back_finishes_first_what_its_borrower_asked(simulation, system, start):
    start(size=1)
    loan = Pool.checkout("pool", on=system)
    asked = send_request(system, loan.pid, (A.wait, 1))
    loan.checkin()
    simulation.run_until_idle()
    assert stats(simulation, system)["lent"] == 1
    system.send(loan.pid, A.go_on)
    simulation.run_until_idle()
    assert asked.outcome()[1] == (A.wait, 1)
    assert stats(simulation, system)["lent"] == 0


@pytest.mark.parametrize(
    "request_",
    [(A["$pool"],), (A["$pool"], A.what), (A["$pool"], A.checkout, -1), (A["$pool"], A.resize, b"3")],
)
def test_garbage_is_answered_and_does_no_harm(simulation, system, start, request_):
    pool = start(size=1)
    assert gen.call(system, "pool", request_) == (A.error, A.badarg)
    process = system.process(pool)
    process.deliver((gen.CALL, 7, 8))
    gen.cast(system, "pool", (A["$pool"], A.checkin, system.new_ref()))
    simulation.run_until_idle()
    assert gen.call(system, "pool", 1)[1] == 1


def test_what_can_not_be_a_pool_is_refused(simulation, system, start):
    for options in ({"size": 0}, {"strategy": "hash"}, {"key": len}, {"in_flight": 0}):
        with pytest.raises(StartFailed):
            gen_server.start(system, Pool, (Member,), options)
    simulation.run_until_idle()
    other = gen_server.start(system, Member)
    with pytest.raises(UsageError):
        Pool.checkout(other, on=system)


def test_callers_of_another_node_and_the_loss_of_it(simulation, system, start):
    start(size=1, max_wait=9.0)
    away = simulation.system("app@sim")
    wire = simulation.link(away, system, delay=0.01)
    dest = ("pool", "py@sim")
    [member] = members(system)
    assert simulation.run(gen.call, away, dest, 1) == (member, 1)
    assert simulation.run(gen.call, away, dest, (A["$pool"], A.resize, 9)) == (A.error, A.not_allowed)
    with pytest.raises(ServerExit) as caught:
        simulation.run(gen.call, away, dest, A.crash)
    assert caught.value.reason[0] is A.oops
    simulation.advance(0.1)
    loan = simulation.run(functools.partial(Pool.checkout, dest, on=away))
    waits = send_request(away, dest, 2)
    simulation.advance(0.1)
    assert stats(simulation, system)["lent"] == 1
    wire.cut()
    simulation.advance(0.1)
    found = stats(simulation, system)
    assert (found["lent"], found["in_flight"]) == (0, 0)
    assert waits.state != 0
    assert loan.pid == members(system)[0]


def test_refusals_and_crashes_are_told(simulation, system):
    told = []
    options = {"size": 1, "queue": 0, "telemetry": lambda event, numbers, **about: told.append((event, about))}
    gen_server.start(system, Pool, (Member,), options, name="pool")
    simulation.run_until_idle()
    send_request(system, "pool", (A.wait, 1))
    simulation.run_until_idle()
    assert gen.call(system, "pool", 1) == (A.error, A.overload)
    system.exit(members(system)[0], A.kill)
    simulation.run_until_idle()
    assert told == [("pool.refused", {"pool": A.pool, "reason": "overload"}), ("pool.crashed", {"pool": A.pool})]


def test_nothing_is_left_of_many_calls(simulation, system, start):
    start(size=3, in_flight=2)
    requests = [send_request(system, "pool", n) for n in range(300)]
    simulation.run_until_idle()
    assert [request.outcome()[1] for request in requests] == list(range(300))
    handler = system.process(system.whereis("pool")).handler
    assert not handler.pings
    assert not handler.pool.given
    assert not handler.pool.waiting
