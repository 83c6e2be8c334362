"""Nodes come, go, die and keep silent; sessions move with their state, and no request is lost or done twice."""

import random
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from session_world import KEYS, Cart, Forgetful, World, reason_of

from pyerlnode.cluster.sessions.ring_core import Ring
from pyerlnode.cluster.sessions.sessions import Session, Sessions
from pyerlnode.errors import CallTimeout, ConnectError, Exit, NodeDown, NoProc, ServerExit
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply
from pyerlnode.term import A
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


# --- nodes come and go ---------------------------------------------------------------------------
def test_who_joins_gets_its_share_with_all_state(world):
    world.join("a")
    for key in KEYS:
        world.call("a", key, (A.add, key))
    world.join("b")
    stats = world.stats("a")
    assert 0 < stats["handed_over"] < len(KEYS)
    assert world.stats("b")["taken_over"] == stats["handed_over"] == world.stats("b")["sessions"]
    for name in "ab":
        for key in KEYS:
            assert world.call(name, key, A.get) == [key]
            assert world.call(name, key, A.where) is A[world.sessions["a"].owner(key)]


def test_who_leaves_in_order_hands_everything_over(world):
    for name in "abc":
        world.join(name)
    for key in KEYS:
        world.call("a", key, (A.add, key))
    world.simulation.run(world.sessions["b"].stop)
    assert world.hosts["b"].system.whereis("carts") is None
    for key in KEYS:
        assert {world.call(name, key, A.where) for name in "ac"} == {A[world.sessions["a"].owner(key)]}
        assert world.call("c", key, A.get) == [key]
    with pytest.raises(NoProc):
        world.call("b", KEYS[0], A.get)
    world.simulation.run(world.sessions["b"].stop)  # a second time: nothing


def test_the_last_one_stops_at_once_and_its_sessions_end_in_order(calm):
    ended = []

    class Tidy(Cart):
        def terminate(self, reason):
            ended.append((self.key, reason))

    calm.join("a", Tidy)
    calm.call("a", A.k, A.get)
    calm.simulation.run(calm.sessions["a"].stop)
    assert ended == [(A.k, A.shutdown)]


def test_a_node_that_stops_hands_over_before_it_ends(world):
    world.join("a")
    world.join("b")
    for key in KEYS:
        world.call("a", key, (A.add, key))
    system = world.hosts["a"].system
    world.simulation.run(lambda: system.shut_down(20.0, [system.whereis("pyerlnode_sessions")]))
    assert system.whereis("carts") is None
    assert all(world.call("b", key, A.get) == [key] for key in KEYS)


def test_requests_during_a_hand_over_are_carried_out_once_and_in_order(world):
    """Callers on two nodes never pause while others come and go; each session has seen each request once."""
    world.join("a")
    results: dict[str, list[Any]] = {key: [] for key in KEYS[:12]}

    def caller(name: str, key: str) -> None:
        for number in range(12):
            results[key].append(world.sessions[name].call(key, (A.add, number), None))

    jobs = [world.simulation.start(caller, "a", key) for key in results]
    world.join("b")
    world.join("c")
    leaving = world.simulation.start(world.sessions["b"].stop)
    world.simulation.advance(1.0)
    assert all(job.ready() for job in [*jobs, leaving])
    for key, counts in results.items():
        assert counts == list(range(1, 13))
        assert world.call("c", key, A.get) == list(range(12))


def test_who_is_waited_for_in_a_session_is_answered_by_the_next_owner(world):
    world.join("a")
    waiting = {key: world.begin("a", key, A.later) for key in KEYS}
    world.join("b")
    moved = world.key_of("b")
    through = world.simulation.start(world.through, "b", "a", (A.session, moved, A.later))
    world.simulation.run_until_idle()
    assert world.call("a", moved, A.answer) == 2
    assert world.simulation.run(through.get) == waiting[moved].get() == (A.answered, A["b@sim"])
    other = next(k for k in KEYS if k != moved and world.sessions["a"].owner(k) == "b@sim")
    with pytest.raises(ServerExit):
        world.call("b", other, A.crash)
    world.simulation.run_until_idle()
    assert reason_of(waiting[other].get()) == (A.broken, other)


def test_a_forwarded_call_is_answered_by_the_next_owner_when_its_owner_leaves_in_order(world):
    for name in "abc":
        world.join(name)
    theirs = [key for key in KEYS if world.sessions["a"].owner(key) == "c@sim"]
    waiting = {key: world.begin_through("b", "a", (A.session, key, A.later)) for key in theirs}
    leaving = world.simulation.start(world.sessions["c"].stop)
    world.simulation.advance(2.0)
    assert leaving.ready()
    assert not any(job.ready() for job in waiting.values())
    for key in theirs:
        assert world.call("b", key, A.answer) == 1
        world.simulation.run_until_idle()
        assert waiting[key].get() == (A.answered, A[world.sessions["a"].owner(key)])


def test_a_forwarded_call_of_a_session_without_handoff_is_told_of_its_end(world):
    class Rests(Forgetful):
        def handle_call(self, request, from_):
            return NoReply() if request is A.later else super().handle_call(request, from_)

    for name in "abc":
        world.join(name, Rests)
    key = world.key_of("b")
    job = world.begin_through("c", "a", (A.session, key, A.later))
    leaving = world.simulation.start(world.sessions["b"].stop)
    world.simulation.advance(2.0)
    assert leaving.ready()
    assert reason_of(job.get()) == (A.shutdown, A.handoff)


def test_a_session_without_handoff_starts_afresh_at_the_new_owner(world):
    world.join("a", Forgetful)
    for key in KEYS:
        assert world.call("a", key, A.count) == 1
    world.join("b", Forgetful)
    for key in KEYS:
        assert world.call("a", key, A.count) == (1 if world.sessions["a"].owner(key) == "b@sim" else 2)
    assert world.stats("a")["handed_over"] == world.stats("a")["crashed"] == 0


def test_a_state_that_has_no_form_on_the_wire_costs_this_session_alone(world):
    class Odd(Cart):
        def handoff(self):
            return self.items, [object()] if b"odd" in self.items else []

    world.join("a", Odd)
    for key in KEYS:
        world.call("a", key, (A.add, key))
    probe = {key: world.begin("a", key, A.later) for key in KEYS}
    theirs = [key for key in KEYS if Ring(["a@sim", "b@sim"]).owner_of(key) == "b@sim"]
    world.call("a", theirs[0], (A.add, b"odd"))
    world.join("b", Odd)
    assert world.stats("a")["lost"] == 1
    assert reason_of(probe[theirs[0]].get()) is A.session_lost
    assert world.call("a", theirs[0], A.get) == []
    assert all(world.call("a", key, A.get) == [key] for key in theirs[1:])


@pytest.mark.parametrize("way", ["crash", "hang"])
def test_a_session_that_does_not_hand_over_starts_afresh(world, way):
    class Bad(Cart):
        def handoff(self):
            if way == "crash":
                raise ValueError("no")
            return gen.call(self.process.system, "nobody_answers", A.x, None)

    class Silent(GenServer):
        def handle_call(self, request, from_):
            return NoReply()

    world.join("a", Bad)
    gen_server.start(world.hosts["a"].system, Silent, name="nobody_answers")
    for key in KEYS:
        world.call("a", key, (A.add, 1))
    world.join("b", Bad)
    key = world.key_of("b")
    assert world.call("b", key, A.get, 30.0) == []
    assert world.stats("a")["moving"] == 0


def test_a_node_of_more_weight_has_more_partitions(calm):
    calm.join("a", weight=3)
    calm.join("b")
    assert [calm.stats(name)["owned"] for name in "ab"] == [192, 64]
    assert calm.sessions["a"]._router().own.ring.owners == calm.sessions["b"]._router().own.ring.owners


def test_seeds_are_connected_to_and_lead_to_the_others(calm):
    calm.join("a")
    calm.join("b")
    calm.join("c", alone=True, seeds=("a@sim",))
    assert {name: calm.stats(name)["members"] for name in "abc"} == {
        name: ["a@sim", "b@sim", "c@sim"] for name in "abc"
    }


def test_a_ring_of_another_size_is_refused(calm, caplog):
    calm.join("a")
    calm.call("a", "k", (A.add, 1))
    calm.join("b", partitions=64)
    with pytest.raises(NoProc):
        calm.sessions["b"].stats()
    assert "have 64 partitions, and 256 here" in caplog.text
    assert calm.stats("a")["members"] == ["a@sim"]
    assert calm.call("a", "k", A.get) == [1]


# --- nodes die, and are silent -------------------------------------------------------------------
def test_the_keys_of_a_dead_node_start_afresh_at_the_next_owner(world):
    for name in "abc":
        world.join(name)
    for key in KEYS:
        world.call("a", key, (A.add, key))
    lost = [key for key in KEYS if world.sessions["a"].owner(key) == "b@sim"]
    waits_at_b = world.begin("a", lost[0], A.later)
    forwarded = world.begin_through("c", "a", (A.session, lost[0], A.later))
    world.die("b")
    assert isinstance(waits_at_b.get(), NodeDown)
    assert reason_of(forwarded.get()) == (A.session_node_down, A["b@sim"])
    for key in KEYS:
        assert world.call("c", key, A.get) == ([] if key in lost else [key])
        assert world.call("a", key, A.where) is A[world.sessions["c"].owner(key)]


def test_a_hand_over_that_comes_too_late_is_merged(world):
    world.join("a")
    for key in KEYS:
        world.call("a", key, (A.add, 1))
    router = world.sessions["a"]._router()
    router.process.parked = False  # a's router does not come to its messages
    world.join("b", handoff_timeout=3.0)
    key = next(k for k in KEYS if world.sessions["b"].owner(k) == "b@sim")
    assert world.stats("b")["awaited"] == 128
    job = world.begin("b", key, (A.add, 2))
    assert not job.ready()
    world.simulation.advance(3.5)
    assert job.get() == 1, "served without a's state"
    assert world.stats("b")["late"] == 128
    router.process.system.scheduler.wake(router.process)
    world.simulation.run_until_idle()
    assert world.call("b", key, A.get) == [1, 2]
    assert world.stats("b")["merged"] == 1


def test_two_halves_serve_every_key_and_merge_when_they_meet(world):
    for name in "ab":
        world.join(name)
    for key in KEYS:
        world.call("a", key, (A.add, 0))
    world.apart("a", "b")
    for key in KEYS:
        world.call("a", key, (A.add, 1))
        world.call("b", key, (A.add, 2))
    world.meet("a", "b")
    for key in KEYS:
        assert world.call("a", key, A.where) is world.call("b", key, A.where) is A[world.sessions["a"].owner(key)]
        assert world.call("a", key, A.get) == [0, 1, 2]
    stats = [world.stats(name) for name in "ab"]
    assert sum(s["merged"] for s in stats) == len(KEYS)
    assert sum(s["held"] for s in stats) == 256
    assert sum(s["sessions"] for s in stats) == len(KEYS)


def test_without_merge_the_owner_wins(calm):
    class Plain(Cart):
        merge = Session.merge

    for name in "ab":
        calm.join(name, Plain)
    calm.apart("a", "b")
    key = calm.key_of("a")
    calm.call("a", key, (A.add, 1))
    calm.call("b", key, (A.add, 2))
    owner = "a"
    calm.meet("a", "b")
    expected = [1] if calm.sessions["a"].owner(key) == f"{owner}@sim" else [2]
    assert calm.call("b", key, A.get) == expected


def test_who_begins_alone_in_a_corner_merges_when_it_meets_the_others(world):
    world.join("a")
    world.join("b", alone=True)
    for name in "ab":
        for key in KEYS:
            world.call(name, key, (A.add, name.encode()))
    world.meet("a", "b")
    assert all(world.call("a", key, A.get) == [b"a", b"b"] for key in KEYS)


def test_a_router_that_crashes_takes_its_sessions_along_and_its_keys_go_on_elsewhere(world):
    for name in "ab":
        world.join(name)
    key = world.key_of("b")
    job = world.begin("a", key, A.later)
    system = world.hosts["b"].system
    session = system.process(world.simulation.run(world.sessions["b"].whereis, key))
    system.exit(world.sessions["b"].pid, A.kill)
    world.simulation.run_until_idle()
    assert reason_of(job.get()) is A.killed
    assert not session.alive
    assert world.call("a", key, A.where) is A["a@sim"]
    with pytest.raises(NoProc):
        world.sessions["b"].call(key, A.get)


def test_a_router_that_leaves_forwards_until_it_is_quiet(world):
    for name in "abc":
        world.join(name)
    key = world.key_of("c")
    waiting = world.begin_through("b", "a", (A.session, key, A.later))
    leaving = world.simulation.start(world.sessions["a"].stop)
    world.simulation.run_until_idle()
    assert not leaving.ready(), "somebody waits for an answer through it"
    assert world.through("b", "a", (A.session, key, (A.add, 1))) == 1
    assert world.call("c", key, A.answer) == 1
    world.simulation.run_until_idle()
    assert waiting.get() == (A.answered, A["c@sim"])
    world.simulation.advance(2.0)
    assert leaving.ready()


def test_members_that_were_lost_are_looked_for(world):
    for name in "ab":
        world.join(name)
    link = world.links[frozenset("ab")]
    world.apart("a", "b")
    assert world.stats("a")["members"] == ["a@sim"]
    world.simulation.advance(20.0)
    link.mend()
    world.simulation.advance(15.0)
    assert world.stats("a")["members"] == world.stats("b")["members"] == ["a@sim", "b@sim"]
    assert sum(world.stats(name)["held"] for name in "ab") == 256
    link.cut()
    world.simulation.advance(700.0)
    assert world.sessions["a"]._router().lost_nodes == {}, "not for ever"


@pytest.mark.parametrize("seed", range(6))
def test_whoever_comes_and_goes_in_order_each_request_is_done_once(seed):
    """Callers on the node that stays, while others join and leave at moments that the seed draws."""
    draw = random.Random(seed)
    with Simulation(seed) as simulation:
        world = World(simulation)
        world.join("a")
        told: dict[bytes, list[int]] = {key: [] for key in KEYS[:10]}
        stop: list[bool] = []

        def caller(key: bytes) -> None:
            while not stop:
                told[key].append(world.sessions["a"].call(key, (A.add, len(told[key])), None))
                gevent.sleep(0)

        jobs = [simulation.start(caller, key) for key in told]
        leaving = []
        for name in "bcdef":
            world.host(name)
            for other in world.hosts:
                if other != name:
                    world.links[frozenset((name, other))].connect()
            world.sessions[name] = Sessions(world.hosts[name], "carts", Cart)
            for _ in range(draw.randrange(30)):
                gevent.sleep(0)
            if draw.random() < 0.6:
                leaving.append(simulation.start(world.sessions[draw.choice(list(world.sessions)[1:])].stop))
        stop.append(True)
        simulation.advance(3.0)
        assert all(job.ready() for job in [*jobs, *leaving])
        for key, counts in told.items():
            assert counts == list(range(1, len(counts) + 1))
            assert world.call("a", key, A.get) == list(range(len(counts)))
        assert sum(world.stats("a")[what] for what in ("late", "lost", "merged")) == 0


@pytest.mark.parametrize("seed", range(4))
def test_however_the_network_breaks_each_call_ends_and_the_nodes_agree_in_the_end(seed):
    """Links are cut and mended at random under calls from everywhere; when all stand again one node serves each key."""
    draw = random.Random(seed)
    with Simulation(seed) as simulation:
        world = World(simulation)
        for name in "abcd":
            world.join(name)
        told: list[Any] = []
        stop: list[bool] = []

        def caller(call: Any) -> None:
            while not stop:
                try:
                    told.append(call())
                except (Exit, ConnectError) as error:
                    told.append(error)
                gevent.sleep(0)

        calls = [
            lambda n=name, k=key: world.sessions[n].call(k, (A.add, 1), 8.0) for name in "abcd" for key in KEYS[:4]
        ]
        for here, there in ("ab", "bc", "cd", "da"):
            system, dest = world.hosts[here].system, ("carts", f"{there}@sim")
            calls.append(lambda s=system, d=dest: gen.call(s, d, (A.session, draw.choice(KEYS), (A.add, 1)), 8.0))
        jobs = [simulation.start(caller, call) for call in calls]
        for _ in range(6):
            for _ in range(draw.randrange(40)):
                gevent.sleep(0)
            simulation.clock.set(simulation.clock.now() + draw.choice([0.0, 0.3, 1.0, 6.0]))
            simulation._fire()
            link = draw.choice(list(world.links.values()))
            draw.choice([link.cut, link.mend])()
        stop.append(True)
        for link in world.links.values():
            link.mend()
        simulation.advance(60.0)
        assert all(job.ready() for job in jobs)
        assert all(type(one) in (int, NodeDown, ServerExit, CallTimeout, ConnectError) for one in told)
        stats = [world.stats(name) for name in "abcd"]
        assert all(len(one["members"]) == 4 and one["held"] == one["owned"] == 64 for one in stats)
        assert all(not (one["queued"] or one["moving"] or one["outgoing"]) for one in stats)
        running = [key for name in "abcd" for key in world.sessions[name]._router().sessions]
        assert len(running) == len(set(running))
        for key in KEYS[:4]:
            assert {world.call(name, key, A.where) for name in "abcd"} == {A[world.sessions["a"].owner(key)]}
