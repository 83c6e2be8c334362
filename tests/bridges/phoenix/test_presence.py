"""Presences of Python's processes in the tracker of another node: as long as the process, whatever happens between."""

import pytest
from simulated_host import SimulatedHost

from pyerlnode.bridges.phoenix.presence import Presence, PresenceError
from pyerlnode.bridges.phoenix.pubsub import Broadcast
from pyerlnode.errors import UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.term import A
from pyerlnode.testing.patience import patience
from pyerlnode.testing.virtual import Simulation

TRACKER = A["Elixir.MyApp.Presence"]


class Rex(GenServer):
    """A node's `rex`, with a tracker behind it that links to what it tracks, as Phoenix's shard does."""

    def init(self):
        self.process.trap_exit = True
        self.tracked = {}
        self.asked = 0
        self.answers = None

    def handle_call(self, request, from_):
        call, module, function, (tracker, *args), leader = request
        assert (call, module, tracker, leader) == (A.call, A["Elixir.Phoenix.Tracker"], TRACKER, A.user)
        self.asked += 1
        if self.answers is not None:
            return NoReply() if self.answers is A.silence else Reply(self.answers)
        return Reply(getattr(self, f"do_{function}")(*args))

    def do_track(self, pid, topic, key, meta):
        if (pid, topic, key) in self.tracked:
            return A.error, (A.already_tracked, pid, topic, key)
        self.process.system.link(self.process, pid)
        return self._put(pid, topic, key, meta)

    def do_update(self, pid, topic, key, meta):
        return self._put(pid, topic, key, meta) if (pid, topic, key) in self.tracked else (A.error, A.nopresence)

    def do_untrack(self, pid, topic, key):
        self.tracked.pop((pid, topic, key), None)
        return A.ok

    def do_list(self, topic):
        return [(key, meta) for (_, name, key), meta in self.tracked.items() if name == topic]

    def _put(self, pid, topic, key, meta):
        ref = b"ref%d" % self.asked
        self.tracked[pid, topic, key] = {**meta, A.phx_ref: ref}
        return A.ok, ref

    def handle_info(self, message):
        tag, pid, _ = message
        assert tag is A.EXIT
        for entry in [entry for entry in self.tracked if entry[0] == pid]:
            del self.tracked[entry]

    def there(self):
        return sorted((key, meta.get(A.at)) for (_, _, key), meta in self.tracked.items())


class World:
    """Our node, and others with a tracker each."""

    def __init__(self, simulation, *names):
        self.simulation = simulation
        self.host = SimulatedHost(simulation, "py@sim")
        self.others, self.links = {}, {}
        for name in names:
            self.others[name] = SimulatedHost(simulation, name)
            self.start(name)
            self.links[name] = self.host.linked(simulation, self.others[name])
        self.presence = Presence(self.host, "MyApp.Presence", retry=1.0, every=1.0)

    def start(self, name):
        gen_server.start(self.others[name].system, Rex, (), name="rex")

    def rex(self, name):
        system = self.others[name].system
        return system.process(system.whereis("rex")).handler

    def worker(self):
        return self.host.system.spawn(lambda: self.host.system.myself().receive(None, None))

    def run(self, function, *args, **options):
        found = self.simulation.run(lambda: function(*args, **options))
        self.simulation.run_until_idle()
        return found

    def lose(self, name):
        self.links[name].cut()
        self.host.lost(self.others[name])
        self.simulation.run_until_idle()


@pytest.fixture(params=[None, 1])
def simulation(request):
    with Simulation(seed=request.param) as simulation:
        yield simulation


@pytest.fixture
def world(simulation):
    return World(simulation, "app@sim")


def test_a_process_is_present_until_it_ends(world):
    pid, presence, rex = world.worker(), world.presence, world.rex("app@sim")
    assert world.run(presence.track, "room", "ann", {A.at: 1}, pid=pid) == b"ref1"
    assert world.run(presence.list, "room") == {b"ann": [{A.at: 1, A.phx_ref: b"ref1"}]}
    assert world.run(presence.get_by_key, "room", "bob") == []
    world.run(presence.update, "room", "ann", {A.at: 2}, pid=pid)
    assert rex.there() == [(b"ann", 2)]
    world.host.system.exit(pid, A.kill)
    world.simulation.run_until_idle()
    assert (rex.there(), presence.stand_ins) == ([], {})


def test_a_key_is_taken_back_and_the_others_stay(world):
    pid, presence = world.worker(), world.presence
    for key in ("ann", "bob"):
        world.run(presence.track, "room", key, pid=pid)
    world.run(presence.untrack, "room", "ann", pid=pid)
    world.run(presence.untrack, "room", "nobody", pid=pid)
    assert world.rex("app@sim").there() == [(b"bob", None)]


def test_what_a_tracker_did_not_do_is_not_taken_for_done(world):
    pid, presence, rex = world.worker(), world.presence, world.rex("app@sim")
    world.run(presence.track, "room", "ann", {A.at: 1}, pid=pid)
    rex.answers = A.badrpc, A.nodedown
    with pytest.raises(PresenceError):
        world.run(presence.update, "room", "ann", {A.at: 2}, pid=pid)
    with pytest.raises(PresenceError):
        world.run(presence.untrack, "room", "ann", pid=pid)
    rex.answers = None
    assert rex.there() == [(b"ann", 1)]
    world.run(presence.untrack, "room", "ann", pid=pid)
    assert rex.there() == []


def test_the_tracker_links_to_a_stand_in_and_not_to_the_process(world):
    pid = world.worker()
    world.run(world.presence.track, "room", "ann", {A.at: 1}, pid=pid)
    world.lose("app@sim")
    assert world.host.system.process(pid) is not None
    assert world.rex("app@sim").there() == []
    world.run(world.presence.update, "room", "ann", {A.at: 2}, pid=pid)
    world.simulation.advance(3.0)
    world.links["app@sim"].mend()
    world.host.linked(world.simulation, world.others["app@sim"])
    world.simulation.advance(1.0)
    assert world.rex("app@sim").there() == [(b"ann", 2)]


def test_another_node_takes_over_what_one_has_lost(simulation):
    world = World(simulation, "app@sim", "web@sim")
    pid = world.worker()
    world.run(world.presence.track, "room", "ann", {A.at: 1}, pid=pid)
    assert (world.rex("app@sim").there(), world.rex("web@sim").there()) == ([(b"ann", 1)], [])
    world.lose("app@sim")
    assert world.rex("web@sim").there() == [(b"ann", 1)]


def test_a_tracker_that_ended_is_asked_every_second_until_it_is_there(world):
    pid = world.worker()
    world.run(world.presence.track, "room", "ann", {A.at: 1}, pid=pid)
    other = world.others["app@sim"]
    other.system.exit(other.system.whereis("rex"), A.kill)
    world.simulation.advance(2.5)
    world.start("app@sim")
    world.simulation.advance(1.0)
    assert world.rex("app@sim").there() == [(b"ann", 1)]


def test_an_attempt_whose_answer_was_lost_counts(world):
    pid = world.worker()
    world.run(world.presence.track, "room", "ann", pid=pid)
    world.rex("app@sim").answers = A.error, (A.already_tracked, pid, b"room", b"bob")
    assert world.run(world.presence.track, "room", "bob", pid=pid) == b""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((A.badrpc, (A.EXIT, (A.undef, []))), "app@sim has no tracker Elixir.MyApp.Presence"),
        ((A.error, A.nopresence), "refused: nopresence"),
        (A.silence, "app@sim could not be asked"),
        (A.ok, "gave no list"),
    ],
)
def test_each_failure_says_whose_it_is(world, answer, says):
    world.rex("app@sim").answers = answer
    with pytest.raises(PresenceError, match=says):
        world.run(world.presence.list, "room")
    if answer is not A.ok:
        with pytest.raises(PresenceError, match=says):
            world.run(world.presence.track, "room", "ann", pid=world.worker(), timeout=patience())


def test_without_a_node_there_is_an_error_at_once(simulation):
    world = World(simulation)
    with pytest.raises(PresenceError, match="no node is connected"):
        world.run(world.presence.list, "room")
    named = Presence(world.host, "MyApp.Presence", via="gone@sim")
    with pytest.raises(PresenceError, match="gone@sim could not be asked"):
        world.run(named.track, "room", "ann", pid=world.worker())


def test_what_would_end_a_tracker_is_refused_here(world):
    presence, pid = world.presence, world.worker()
    for key, meta in (("ann", {A.at: (1, 2)}), ("ann", [1]), (7, {}), (b"\xff", {})):
        with pytest.raises(UsageError, match="of a presence"):
            presence.track("room", key, meta, pid=pid)
    with pytest.raises(UsageError, match="live process of this node"):
        presence.track("room", "ann", pid=world.others["app@sim"].system.whereis("rex"))
    assert world.rex("app@sim").asked == 0


def test_who_is_tracked_twice_or_not_at_all_is_told_so(world):
    pid = world.worker()
    world.run(world.presence.track, "room", "ann", pid=pid)
    for function, args, says in (
        (world.presence.track, ("room", "ann"), "already"),
        (world.presence.update, ("room", "bob", {}), "not tracked"),
    ):
        with pytest.raises(PresenceError, match=says):
            world.run(function, *args, pid=pid)


def watching(world, heard, *topics):
    """A process that watches, and keeps (joins, leaves) of what it is told."""

    def body():
        me = world.host.system.myself()
        heard.append([world.presence.watch(topic) for topic in topics])
        while (message := me.receive(None, None)) is not A.end:
            payload = Broadcast.of(message).payload
            sides = (payload[A.joins], payload[A.leaves])
            heard.append(tuple({key: [m.get(A.at) for m in what[A.metas]] for key, what in s.items()} for s in sides))
        world.presence.unwatch(topics[0])

    return world.host.system.spawn(body)


def test_a_watcher_is_told_what_has_changed_and_asks_no_more_when_nobody_watches(world):
    presence, heard, pid = world.presence, [], world.worker()
    world.run(presence.track, "room", "ann", {A.at: 1}, pid=pid)
    watcher = watching(world, heard, "room", "hall")
    world.simulation.run_until_idle()
    assert [list(state) for state in heard.pop()] == [[b"ann"], []]
    world.run(presence.track, "room", "bob", {A.at: 2}, pid=pid)
    world.simulation.advance(1.1)
    world.run(presence.update, "room", "bob", {A.at: 3}, pid=pid)
    world.simulation.advance(1.1)
    world.rex("app@sim").answers = A.badrpc, A.nodedown
    world.simulation.advance(3.0)
    world.rex("app@sim").answers = None
    world.host.system.exit(pid, A.kill)
    world.simulation.advance(1.1)
    assert heard == [({b"bob": [2]}, {}), ({b"bob": [3]}, {b"bob": [2]}), ({}, {b"ann": [1], b"bob": [3]})]
    world.host.send(watcher, A.end)
    world.simulation.advance(1.1)
    asked = world.rex("app@sim").asked
    world.simulation.advance(10.0)
    assert world.rex("app@sim").asked == asked


def test_after_stop_nobody_is_present_and_nothing_is_asked(world):
    heard, pid = [], world.worker()
    world.run(world.presence.track, "room", "ann", pid=pid)
    watching(world, heard, "room")
    world.simulation.run_until_idle()
    world.run(world.presence.stop)
    asked = world.rex("app@sim").asked
    world.simulation.advance(5.0)
    assert (world.rex("app@sim").there(), world.rex("app@sim").asked) == ([], asked)
    assert world.host.system.process(pid) is not None


def test_garbage_to_our_own_processes_ends_nothing(world):
    pid, presence = world.worker(), world.presence
    world.run(presence.track, "room", "ann", pid=pid)
    watching(world, [], "room")
    world.simulation.run_until_idle()
    system = world.host.system
    for dest in (presence.stand_ins[pid], presence._watcher):
        for message in (A.garbage, (A.DOWN, 1), (A.EXIT, 1, 2), (gen.CAST, 1), [], (A.EXIT, pid, A.normal)):
            world.host.send(dest, message)
        assert world.run(world.host.call, dest, A.what)[:2] == (A.error, A.unknown_call)
        assert system.process(dest) is not None
    assert world.rex("app@sim").there() == [(b"ann", None)]
