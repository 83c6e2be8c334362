"""Presences of Python's processes: each node a replica of the tracker, whatever becomes of the others."""

import pytest
from simulated_host import SimulatedHost

from pyerlnode.bridges.phoenix.presence import Presence, PresenceError
from pyerlnode.bridges.phoenix.pubsub import Broadcast, PubSub
from pyerlnode.bridges.phoenix.tracker import Tracker
from pyerlnode.errors import CallTimeout, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.term import A
from pyerlnode.testing.patience import patience
from pyerlnode.testing.virtual import Simulation

NAME, TRACKER = "MyApp.Presence", A["Elixir.MyApp.Presence"]


class Place:
    """A node with its presence."""

    def __init__(self, simulation, name, **options):
        self.simulation = simulation
        self.host = SimulatedHost(simulation, name)
        self.presence = Presence(self.host, NAME, **options)

    def worker(self):
        return self.host.system.spawn(lambda: self.host.system.myself().receive(None, None))

    def run(self, function, *args, **options):
        found = self.simulation.run(lambda: function(*args, **options))
        self.simulation.run_until_idle()
        return found

    def track(self, key, at=None, pid=None):
        worker = pid or self.worker()
        self.run(self.presence.track, "room", key, {A.at: at}, pid=worker)
        return worker

    def there(self):
        found = self.run(self.presence.list, "room")
        return sorted((key, meta[A.at]) for key, metas in found.items() for meta in metas)

    def shard(self):
        [name] = Tracker.of(self.host, TRACKER).shards
        return behaviour_of(self.host.system.registry.whereis(name))


class World:
    """Ours, that is told nothing, and others that know how the tracker is configured."""

    def __init__(self, simulation, *names):
        self.simulation = simulation
        self.ours = Place(simulation, "py@sim")
        self.others = [Place(simulation, name, pubsub="MyApp.PubSub") for name in names]
        self.links = {}
        for number, other in enumerate(self.others):
            other.there()
            for one in (self.ours, *self.others[:number]):
                self.links[one, other] = one.host.linked(simulation, other.host)
        simulation.run_until_idle()

    def everybody(self):
        return [self.ours, *self.others]

    def lose(self, one, other):
        self.links[one, other].cut()
        one.host.lost(other.host)
        other.host.lost(one.host)
        self.simulation.run_until_idle()

    def join(self, one, other):
        self.links[one, other] = one.host.linked(self.simulation, other.host)


@pytest.fixture(params=[None, 1])
def simulation(request):
    with Simulation(seed=request.param) as simulation:
        yield simulation


@pytest.fixture
def world(simulation):
    return World(simulation, "app@sim")


def watching(place, heard, *topics):
    """A process that watches, and keeps (joins, leaves) of what it is told."""

    def body():
        me = place.host.system.myself()
        heard.append([place.presence.watch(topic) for topic in topics])
        while (message := me.receive(None, None)) is not A.end:
            payload = Broadcast.of(message).payload
            sides = (payload[A.joins], payload[A.leaves])
            heard.append(tuple({key: [m.get(A.at) for m in what[A.metas]] for key, what in s.items()} for s in sides))
        place.presence.unwatch(topics[0])

    return place.host.system.spawn(body)


def test_a_process_is_present_on_all_nodes_until_it_ends(world):
    ours, [other] = world.ours, world.others
    pid = ours.worker()
    ref = ours.run(ours.presence.track, "room", "ann", {A.at: 1}, pid=pid)
    assert ours.run(ours.presence.list, "room") == {b"ann": [{A.at: 1, A.phx_ref: ref}]}
    assert ours.run(ours.presence.get_by_key, "room", "bob") == []
    world.simulation.advance(0.2)
    assert other.run(other.presence.list, "room") == {b"ann": [{A.at: 1, A.phx_ref: ref}]}
    ours.run(ours.presence.update, "room", "ann", {A.at: 2}, pid=pid)
    world.simulation.advance(0.2)
    [meta] = other.run(other.presence.get_by_key, "room", "ann")
    assert (meta[A.at], meta[A.phx_ref_prev]) == (2, ref)
    ours.host.system.exit(pid, A.kill)
    world.simulation.advance(0.2)
    assert (ours.there(), other.there(), ours.shard().monitors) == ([], [], {})


def test_who_comes_later_knows_all_and_is_known_at_once(simulation):
    world = World(simulation, "app@sim")
    [other] = world.others
    other.track("bob", 2)
    world.ours.track("ann", 1)
    assert world.ours.there() == [(b"ann", 1), (b"bob", 2)]
    third = Place(simulation, "web@sim")
    for place in world.everybody():
        place.host.linked(simulation, third.host)
    simulation.run_until_idle()
    third.track("eve", 3)
    simulation.advance(0.2)
    for place in (*world.everybody(), third):
        assert place.there() == [(b"ann", 1), (b"bob", 2), (b"eve", 3)]


def test_a_node_that_is_lost_for_a_while_takes_nobody_away(world):
    ours, [other] = world.ours, world.others
    heard = []
    ours.track("ann", 1)
    world.simulation.advance(0.2)
    watching(other, heard, "room")
    world.simulation.run_until_idle()
    world.lose(ours, other)
    ours.track("bob", 2)
    gone = ours.worker()
    ours.track("eve", 3, pid=gone)
    ours.host.system.exit(gone, A.kill)
    world.simulation.advance(20.0)
    world.join(ours, other)
    world.simulation.advance(0.2)
    assert other.there() == ours.there() == [(b"ann", 1), (b"bob", 2)]
    assert heard[1:] == [({b"bob": [2]}, {})]


def test_who_is_silent_for_long_is_hidden_and_shown_when_he_is_back(world):
    ours, [other] = world.ours, world.others
    ours.track("ann", 1)
    other.track("bob", 2)
    world.simulation.advance(0.2)
    world.lose(ours, other)
    world.simulation.advance(40.0)
    assert (ours.there(), other.there()) == ([(b"ann", 1)], [(b"bob", 2)])
    world.join(ours, other)
    world.simulation.advance(0.2)
    assert ours.there() == other.there() == [(b"ann", 1), (b"bob", 2)]
    world.lose(ours, other)
    world.simulation.advance(1300.0)
    assert len(other.shard().state.entries) == 1
    world.join(ours, other)
    world.simulation.advance(0.2)
    assert ours.there() == other.there() == [(b"ann", 1), (b"bob", 2)]


def test_the_loss_of_one_node_changes_nothing_for_the_others(simulation):
    world = World(simulation, "app@sim", "web@sim")
    app, web = world.others
    heard = []
    world.ours.track("ann", 1)
    simulation.advance(0.2)
    watching(web, heard, "room")
    simulation.run_until_idle()
    world.lose(world.ours, app)
    world.lose(app, web)
    simulation.advance(100.0)
    assert (web.there(), heard[1:]) == ([(b"ann", 1)], [])


def test_a_shard_that_is_killed_tracks_again_and_is_in_step_again(world):
    ours, [other] = world.ours, world.others
    ours.track("ann", 1)
    other.track("bob", 2)
    world.simulation.advance(0.2)
    for place in world.everybody():
        place.host.system.exit(place.shard().pid, A.kill)
        world.simulation.advance(0.3)
        assert ours.there() == other.there() == [(b"ann", 1), (b"bob", 2)]


def test_what_was_lost_on_the_way_is_asked_for(world):
    ours, [other] = world.ours, world.others
    ours.track("ann", 1)
    shard = other.shard()
    world.simulation.advance(0.2)
    merge, shard._merge = shard._merge, lambda _: None
    ours.track("bob", 2)
    world.simulation.advance(0.2)
    shard._merge = merge
    assert other.there() == [(b"ann", 1)]
    world.simulation.advance(20.0)
    assert other.there() == [(b"ann", 1), (b"bob", 2)]


def test_a_key_is_taken_back_and_the_others_stay(world):
    ours, [other] = world.ours, world.others
    pid = ours.worker()
    for key in ("ann", "bob"):
        ours.track(key, 1, pid=pid)
    ours.run(ours.presence.untrack, "room", "ann", pid=pid)
    ours.run(ours.presence.untrack, "room", "nobody", pid=pid)
    world.simulation.advance(0.2)
    assert other.there() == ours.there() == [(b"bob", 1)]
    assert list(ours.shard().monitors) == [pid]


def test_topics_fall_to_shards_and_all_presences_of_a_node_are_one(simulation):
    world = World(simulation)
    other = Place(simulation, "app@sim", pubsub="MyApp.PubSub", pool_size=3)
    other.there()
    world.ours.host.linked(simulation, other.host)
    simulation.run_until_idle()
    second = Presence(world.ours.host, NAME)
    pid = world.ours.worker()
    for number in range(20):
        world.ours.run(second.track, f"room:{number}", "ann", pid=pid)
    simulation.advance(0.2)
    for number in range(20):
        assert list(other.run(other.presence.list, f"room:{number}")) == [b"ann"]
    assert all(Tracker.of(world.ours.host, TRACKER).kept)


def test_the_programs_own_pubsub_takes_the_place_of_a_lent_one(world):
    ours, [other] = world.ours, world.others
    ours.track("ann", 1)
    lent = PubSub.of(ours.host, "MyApp.PubSub")
    own = ours.run(PubSub, ours.host, "MyApp.PubSub")
    world.simulation.advance(0.2)
    assert PubSub.of(ours.host, "MyApp.PubSub") is own is not lent
    ours.track("bob", 2)
    other.track("eve", 3)
    world.simulation.advance(0.2)
    assert ours.there() == other.there() == [(b"ann", 1), (b"bob", 2), (b"eve", 3)]
    ours.run(ours.presence.stop)
    assert PubSub.of(ours.host, "MyApp.PubSub") is own


@pytest.mark.parametrize("permdown", [True, False])
def test_the_end_of_a_node_is_told_or_waited_for(simulation, permdown):
    world = World(simulation, "app@sim")
    ours, [other] = world.ours, world.others
    ours.presence.permdown_on_shutdown = permdown
    ours.track("ann", 1)
    simulation.advance(0.2)
    assert other.there() == [(b"ann", 1)]
    ours.run(ours.presence.stop)
    simulation.advance(0.2)
    assert other.there() == ([] if permdown else [(b"ann", 1)])
    simulation.advance(31.5)
    assert other.there() == []
    assert PubSub.of(ours.host, "MyApp.PubSub") is None


def test_a_node_is_awaited_until_either_knows_all(world):
    ours, [other] = world.ours, world.others
    other.track("bob", 2)
    ours.run(ours.presence.await_node, "app@sim")
    assert ours.there() == [(b"bob", 2)]
    with pytest.raises(CallTimeout):
        ours.run(ours.presence.await_node, "gone@sim", 0.5)


def test_who_has_given_up_awaiting_a_node_is_kept_no_longer_than_until_the_next_one_waits(world):
    ours = world.ours
    ours.there()
    for _ in range(5):
        with pytest.raises(CallTimeout):
            ours.run(ours.presence.await_node, "gone@sim", 0.5)
    assert len(ours.shard().waiting) == 1


class Odd(GenServer):
    """Has the tracker's name, and is none."""

    def init(self, answer):
        self.answer = answer

    def handle_call(self, request, from_):
        return NoReply() if self.answer is A.silence else Reply(self.answer)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "app@sim has no tracker Elixir.MyApp.Presence"),
        ((A.error, A.not_found), "that is something else"),
        (A.silence, "app@sim could not be asked"),
    ],
)
def test_each_failure_says_whose_it_is(simulation, answer, says):
    world, other = World(simulation), SimulatedHost(simulation, "app@sim")
    world.ours.host.linked(simulation, other)
    if answer is not None:
        gen_server.start(other.system, Odd, (answer,), name=TRACKER)
    with pytest.raises(PresenceError, match=says):
        world.ours.run(world.ours.presence.list, "room", timeout=patience())


def test_without_a_node_there_is_an_error_at_once(simulation):
    world = World(simulation)
    with pytest.raises(PresenceError, match="no node is connected"):
        world.ours.there()
    named = Presence(world.ours.host, NAME, via="gone@sim")
    with pytest.raises(PresenceError, match="gone@sim could not be asked"):
        world.ours.run(named.track, "room", "ann", pid=world.ours.worker())


def test_what_would_end_a_tracker_is_refused_here(world):
    presence, pid = world.ours.presence, world.ours.worker()
    for key, meta in (("ann", {A.at: (1, 2)}), ("ann", [1]), (7, {}), (b"\xff", {})):
        with pytest.raises(UsageError, match="of a presence"):
            presence.track("room", key, meta, pid=pid)
    with pytest.raises(UsageError, match="live process of this node"):
        presence.track("room", "ann", pid=world.others[0].worker())


def test_who_is_tracked_twice_or_not_at_all_is_told_so(world):
    ours = world.ours
    pid = ours.track("ann")
    for function, args, says in (
        (ours.presence.track, ("room", "ann"), "already"),
        (ours.presence.update, ("room", "bob", {}), "not tracked"),
    ):
        with pytest.raises(PresenceError, match=says):
            ours.run(function, *args, pid=pid)


def test_a_watcher_is_told_each_change_once(world):
    ours, [other] = world.ours, world.others
    heard = []
    pid = ours.track("ann", 1)
    watcher = watching(ours, heard, "room", "hall")
    world.simulation.run_until_idle()
    assert [list(state) for state in heard.pop()] == [[b"ann"], []]
    theirs = other.track("bob", 2)
    world.simulation.advance(0.2)
    other.run(other.presence.update, "room", "bob", {A.at: 3}, pid=theirs)
    world.simulation.advance(0.2)
    ours.host.system.exit(pid, A.kill)
    world.simulation.advance(0.2)
    assert heard == [({b"bob": [2]}, {}), ({b"bob": [3]}, {b"bob": [2]}), ({}, {b"ann": [1]})]
    ours.host.send(watcher, A.end)
    world.simulation.run_until_idle()
    other.track("eve", 1)
    world.simulation.advance(0.2)
    assert (len(heard), ours.shard().monitors) == (3, {})


def test_garbage_to_our_own_processes_ends_nothing(world):
    ours = world.ours
    pid = ours.track("ann", 1)
    watching(ours, [], "room")
    world.simulation.run_until_idle()
    tracker = Tracker.of(ours.host, TRACKER)
    for dest in (*tracker.shards, TRACKER):
        before = ours.host.system.whereis(dest)
        for message in (A.garbage, (A.DOWN, 1), (A.EXIT, 1, 2), (gen.CAST, 1), [], (A.EXIT, pid, A.normal), (A.pub, 1)):
            ours.host.send(before, message)
        assert ours.run(ours.host.call, dest, A.what)[0] is A.error
        assert ours.host.system.whereis(dest) == before
    assert ours.there() == [(b"ann", 1)]
