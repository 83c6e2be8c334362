"""Sessions on simulated nodes: one process for a key, and each request has one outcome."""

from collections.abc import Iterator
from typing import Any

import pytest
from session_world import KEYS, Cart, World, reason_of

from pyerlnode.cluster.sessions.sessions import Session
from pyerlnode.errors import CallTimeout, ServerExit, StartFailed, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Continue, Ignore, NoReply, Reply, Stop
from pyerlnode.term import A, NativeRecord
from pyerlnode.testing.virtual import Simulation


@pytest.fixture(params=[None, 1, 2])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with Simulation(request.param) as simulation:
        yield World(simulation)


@pytest.fixture
def calm() -> Iterator[World]:
    """In one order, for what does not depend on it."""
    with Simulation() as simulation:
        yield World(simulation)


# --- one process for a key -----------------------------------------------------------------------
def test_every_node_reaches_one_process_for_a_key_on_its_owner(world):
    names = "abc"
    for name in names:
        world.join(name)
    for key in KEYS:
        places = {world.call(name, key, A.where) for name in names}
        assert places == {A[world.sessions["a"].owner(key)]}
        assert len({world.simulation.run(world.sessions[name].whereis, key) for name in names}) == 1
    assert sum(world.stats(name)["sessions"] for name in names) == len(KEYS)


def test_a_router_that_does_not_own_the_key_forwards_and_the_answer_comes_from_the_owner(world):
    for name in "abc":
        world.join(name)
    key = world.key_of("c")
    assert world.through("a", "b", (A.session, key, A.where)) is A["c@sim"]
    assert world.stats("b")["forwarded"] == 1
    world.simulation.run(lambda: gen.cast(world.hosts["a"].system, ("carts", "b@sim"), (A.session, key, 7)))
    assert world.through("a", "b", (A.session, key, A.get)) == [7]
    pid = world.through("a", "b", (A.whereis, key))
    assert pid == world.simulation.run(world.sessions["c"].whereis, key)
    assert world.through("a", "b", (A.whereis, world.key_of("a"))) is None


def test_casts_and_calls_of_one_process_keep_their_order(world):
    for name in "ab":
        world.join(name)
    key = world.key_of("b")

    def talk():
        for number in range(20):
            world.sessions["a"].cast(key, number)
        return world.sessions["b"].call(key, A.get)

    world.simulation.run(talk)
    assert world.call("a", key, A.get) == list(range(20))


def test_a_key_is_what_other_nodes_see_of_it(calm):
    calm.join("a")
    assert calm.call("a", "user-7", A.key) == b"user-7"
    assert calm.call("a", b"user-7", (A.add, 1)) == 1
    assert calm.call("a", "user-7", (A.add, 1)) == 2
    assert calm.call("a", ("user", 7), (A.add, 1)) == 1
    assert calm.call("a", (b"user", 7), (A.add, 1)) == 2
    for key in (1, 1.0, True, [1], {"a": 1}):
        assert calm.call("a", key, (A.add, key)) == 1


@pytest.mark.parametrize("key", [object(), lambda: None])
def test_what_is_no_term_is_no_key(calm, key):
    calm.join("a")
    with pytest.raises(UsageError):
        calm.call("a", key, A.get)


def test_a_key_of_any_nesting_has_its_session(calm):
    calm.join("a")
    for bottom in (1, 1.0):
        deep: Any = [bottom]
        for _ in range(1000):
            deep = [deep]
        assert calm.call("a", deep, (A.add, 1)) == 1
        assert calm.through("a", "a", (A.session, deep, (A.add, 1))) == 2


@pytest.mark.parametrize("key", [object(), NativeRecord(A.m, A.r, (), ())])
def test_a_router_alone_tells_of_a_key_that_can_not_be_one(calm, key):
    calm.join("a")
    with pytest.raises(ServerExit) as raised:
        calm.through("a", "a", (A.session, key, A.get))
    assert reason_of(raised.value) is A.bad_session_key


# --- the life of a session -----------------------------------------------------------------------
def test_a_crash_is_the_exit_of_its_caller_and_the_next_request_starts_anew(world):
    for name in "ab":
        world.join(name)
    key = world.key_of("b")
    assert world.call("a", key, (A.add, 1)) == 1
    for ask in (
        lambda: world.call("a", key, A.crash),
        lambda: world.call("b", key, A.crash),
        lambda: world.through("b", "a", (A.session, key, A.crash)),
        lambda: world.through("a", "a", (A.session, key, A.crash)),
        lambda: world.through("b", "b", (A.session, key, A.crash)),
    ):
        with pytest.raises(ServerExit) as raised:
            ask()
        assert reason_of(raised.value) == (A.broken, key)
        assert world.call("a", key, (A.add, 1)) == 1
    assert world.stats("b")["crashed"] == 5


def test_all_who_wait_for_a_session_that_crashes_are_told(world):
    for name in "ab":
        world.join(name)
    key = world.key_of("b")
    waiting = [world.begin(name, key, A.later) for name in "abab"]
    waiting.append(world.begin_through("b", "a", (A.session, key, A.later)))
    with pytest.raises(ServerExit):
        world.call("a", key, A.crash)
    world.simulation.run_until_idle()
    assert [reason_of(job.get()) for job in waiting] == [(A.broken, key)] * 5


def test_a_session_may_stop_and_start_again(world):
    world.join("a")
    assert world.call("a", "k", (A.add, 1)) == 1
    assert world.call("a", "k", A.stop) is A.stopped
    assert world.call("a", "k", (A.add, 1)) == 1
    stats = world.stats("a")
    assert (stats["started"], stats["ended"], stats["crashed"]) == (2, 1, 0)


@pytest.mark.parametrize(
    ("result", "reason"),
    [(Ignore(), (A.shutdown, A.ignored)), (Stop(A.no_such_user), A.no_such_user), ("nonsense", None)],
)
def test_an_init_that_does_not_start_a_session_is_told_to_its_callers(calm, result, reason):
    class Picky(Session):
        def init(self, key):
            return result

    calm.join("a", Picky)
    for _ in range(2):
        with pytest.raises(ServerExit) as raised:
            calm.call("a", "k", A.get)
        assert reason is None or reason_of(raised.value) == reason
    assert calm.stats("a")["sessions"] == 0


def test_an_init_may_continue(calm):
    class Loading(Session):
        def init(self, key):
            return Continue(key)

        def handle_continue(self, value):
            self.loaded = value

        def handle_call(self, request, from_):
            return Reply(self.loaded)

    calm.join("a", Loading)
    assert calm.call("a", A.k, A.get) is A.k


def test_a_slow_init_holds_up_nobody_else(calm):
    class Slow(Cart):
        def init(self, key):
            super().init(key)
            if key == b"slow":
                gen.call(self.process.system, "gate", A.open, None)

    class Gate(GenServer):
        def init(self):
            self.waiting = []

        def handle_call(self, request, from_):
            self.waiting.append(from_)
            return NoReply()

        def handle_cast(self, request):
            for from_ in self.waiting:
                self.reply(from_, A.ok)

    calm.join("a", Slow)
    system = calm.hosts["a"].system
    gen_server.start(system, Gate, name="gate")
    slow = calm.begin("a", "slow", (A.add, 1))
    assert calm.call("a", "quick", (A.add, 1)) == 1
    assert not slow.ready()
    gen.cast(system, "gate", A.open)
    calm.simulation.run_until_idle()
    assert slow.get() == 1


def test_who_is_idle_rests_and_is_started_at_the_next_request(world):
    world.join("a", idle=10.0)
    for key in KEYS:
        world.call("a", key, (A.add, 1))
    world.simulation.advance(8.0)
    assert world.call("a", KEYS[0], (A.add, 2)) == 2
    world.simulation.advance(7.0)
    stats = world.stats("a")
    assert (stats["sessions"], stats["passivated"], stats["crashed"]) == (1, len(KEYS) - 1, 0)
    assert world.call("a", KEYS[0], A.get) == [1, 2]
    assert world.call("a", KEYS[1], A.get) == []


def test_a_request_that_meets_a_session_going_to_rest_waits_for_the_next_one(calm):
    calm.join("a", idle=10.0)
    calm.call("a", "k", (A.add, 1))
    router = calm.sessions["a"]._router()
    router.sweeps += 10
    router.sweep()
    job = calm.begin("a", "k", (A.add, 2))
    assert job.get() == 1
    assert calm.stats("a")["passivated"] == 1


# --- bounds --------------------------------------------------------------------------------------
def test_the_sessions_of_a_node_are_bounded(calm):
    calm.join("a", max_sessions=3)
    calm.join("b", max_sessions=3)
    mine = [key for key in KEYS if calm.sessions["a"].owner(key) == "a@sim"][:4]
    for key in mine[:3]:
        calm.call("b", key, (A.add, 1))
    for ask in (
        lambda: calm.call("a", mine[3], A.get),
        lambda: calm.call("b", mine[3], A.get),
        lambda: calm.through("a", "b", (A.session, mine[3], A.get)),
    ):
        with pytest.raises(ServerExit) as raised:
            ask()
        assert reason_of(raised.value) == (A.session_limit, A["a@sim"], 3)
    assert calm.call("b", mine[0], A.get) == [1]
    assert calm.stats("a")["refused"] == 3


def test_what_waits_for_a_hand_over_is_bounded(calm):
    calm.join("a")
    silent = calm.sessions["a"]._router().process
    silent.parked = False  # a's router does not come to its messages
    calm.join("b", max_waiting=5)
    theirs = [key for key in KEYS if calm.sessions["b"].owner(key) == "b@sim"][:6]
    jobs = [calm.begin("b", key, (A.add, 1)) for key in theirs]
    assert reason_of(jobs[5].get()) == (A.session_overload, A["b@sim"], 5)
    assert calm.stats("b")["queued"] == 5
    silent.system.scheduler.wake(silent)
    calm.simulation.run_until_idle()
    assert [job.get() for job in jobs[:5]] == [1] * 5
    assert calm.stats("b")["queued"] == 0


def test_a_request_that_nobody_takes_is_given_up_after_some_hops(calm):
    for name in "ab":
        calm.join(name)
    key = calm.key_of("a")
    partition = calm.sessions["a"].partition(key)
    for name in "ab":  # each thinks that the other has it
        own = calm.sessions[name]._router().own
        own.held.discard(partition)
        other = "b@sim" if name == "a" else "a@sim"
        owners = list(own.ring.owners)
        owners[partition] = other
        own.ring.owners = tuple(owners)
    with pytest.raises(ServerExit) as raised:
        calm.through("b", "a", (A.session, key, A.get))
    reason, _, hops = reason_of(raised.value)
    assert (reason, hops) == (A.session_no_owner, 4)


GARBAGE = [
    A.hello, (), (A.session_claim,), (A.session_claim, 1, 2, 3, 4), (A.session_offer, A.x, [1]),
    (A.session_states, 1, 2),
    (A.session_done, 1, 1, 1),
    (A.session_withdraw, 1, 1, [1]), (A.session_forward, 1), (A.session_forward, 1, 2, 3, A.call, (1, 2), 4, 5),
    (A.session_failed, 1), (A.session_moved, b"k", 1), (A.session_refused, 1, 2), (A.session_heard, b"x", []),
    (A.EXIT, 1),
    (A.session_dialled, A.x), b"text", 7, (A.DOWN, 1, 2, 3, 4),
]  # fmt: skip  # a list of shapes


def test_garbage_to_a_router_changes_nothing(calm):
    calm.join("a")
    calm.join("b")
    key = calm.key_of("b")
    calm.call("a", key, (A.add, 1))
    pid, here = calm.sessions["b"].pid, calm.hosts["a"].system
    mine = calm.sessions["a"].pid
    of_a_peer = [
        (A.session_claim, mine, 256, 1, [b"x"]), (A.session_claim, mine, 256, 99, [-1, 4000]),
        (A.session_done, mine, 99, [0, 4000]),
        (A.session_withdraw, mine, 99, [0, 4000]), (A.session_offer, mine, 256, [4000]),
        (A.session_states, mine, [(1, 2)]),
        (A.session_states, mine, [(1, 2, [(3, 4)])]), (A.session_failed, b"k", 1, 2, A.x), (A.EXIT, pid, A.x),
        (A.EXIT, calm.simulation.run(calm.sessions["b"].whereis, key), A.gone),
        (A.session_forward, mine, 1, -1, A.call, (mine, 1), b"k", 1), (A.session_moved, b"k", 1, pid),
    ]  # fmt: skip  # a list of shapes
    for message in GARBAGE + of_a_peer:
        here.send(pid, message)
        here.send(pid, (A["$gen_cast"], message))
    calm.simulation.run_until_idle()
    assert calm.through("a", "b", A.nonsense) == (A.error, A.unknown_request)
    assert calm.call("a", key, A.get) == [1]
    assert calm.stats("b")["held"] == 128
    assert calm.stats("b")["garbage"] > 10


def test_an_answer_that_comes_after_the_callers_time_out_is_dropped(calm):
    for name in "ab":
        calm.join(name)
    key = calm.key_of("b")
    with pytest.raises(CallTimeout):
        calm.call("a", key, A.later, 1.0)
    assert calm.call("a", key, A.answer) == 1
    assert calm.stats("a")["outgoing"] == 0


def test_callers_that_were_answered_are_not_remembered(calm):
    for name in "ab":
        calm.join(name)
    key = calm.key_of("b")

    def many():
        for number in range(3000):
            gen.call(calm.hosts["b"].system, ("carts", "a@sim"), (A.session, key, (A.add, number)))

    calm.simulation.run(many)
    router = calm.sessions["a"]._router()
    assert router.outgoing.count < 1001
    assert router.stats()["outgoing"] == 0


def test_the_owner_connects_to_a_caller_that_it_does_not_know(world):
    for name in "ab":
        world.join(name)
    world.host("c")
    world.meet("a", "c")
    key = world.key_of("b")
    assert world.through("c", "a", (A.session, key, A.where)) is A["b@sim"]


def test_a_caller_that_the_owner_can_not_reach_is_told_so(world):
    for name in "ab":
        world.join(name)
    world.host("c")
    world.meet("a", "c")
    world.links[frozenset("bc")].cut()
    with pytest.raises(ServerExit) as raised:
        world.through("c", "a", (A.session, world.key_of("b"), A.where))
    assert reason_of(raised.value) == (A.session_can_not_answer, A["b@sim"], A["c@sim"])


# --- what is refused at the start ----------------------------------------------------------------
@pytest.mark.parametrize(
    "options", [{"partitions": 3}, {"weight": 0}, {"idle": 0.0}, {"max_sessions": 0}, {"handoff_timeout": 0.0}]
)
def test_options_that_make_no_sense_are_refused(calm, options):
    with pytest.raises((UsageError, StartFailed)):
        calm.join("a", **options)


def test_sessions_are_of_a_class_of_sessions(calm):
    with pytest.raises(UsageError):
        calm.join("a", GenServer)
