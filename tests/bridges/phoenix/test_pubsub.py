"""Phoenix.PubSub as processes: who gets what, who ends with whom, and that nobody waits for a slow subscriber."""

import logging

import pytest
from gevent.event import Event
from simulated_host import SimulatedHost

from pyerlnode.bridges.phoenix.pubsub import CHANNELS, Broadcast, PubSub
from pyerlnode.errors import AlreadyStarted, CallTimeout, EncodeError, NoProc, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation

NAME = "MyApp.PubSub"
SCOPE = "Elixir.Phoenix.PubSub"


@pytest.fixture(params=[None, 1, 2])
def simulation(request):
    with Simulation(seed=request.param) as simulation:
        yield simulation


@pytest.fixture
def host(simulation):
    return SimulatedHost(simulation, "py@sim")


@pytest.fixture
def pubsub(host):
    return PubSub(host, NAME)


@pytest.fixture
def pair(simulation, host, pubsub):
    """Ours, and a second one on another node that knows it."""
    other = SimulatedHost(simulation, "app@sim")
    theirs = PubSub(other, NAME)
    link = host.linked(simulation, other)
    simulation.run_until_idle()
    assert (pubsub.nodes(), theirs.nodes()) == (["app@sim"], ["py@sim"])
    return pubsub, theirs, link


def subscriber(simulation, pubsub, *topics, metadata=None):
    """A process that subscribes, and keeps what it gets until it is told to end."""
    heard = []

    def body():
        me = pubsub.system.myself()
        for topic in topics:
            pubsub.subscribe(topic, metadata=metadata)
        while (message := me.receive(None, None)) is not A.end:
            heard.append(message)

    pid = pubsub.system.spawn(body)
    simulation.run_until_idle()
    return pid, heard


def test_subscribers_of_both_nodes_get_what_is_published(simulation, pair):
    ours, theirs, _ = pair
    _, here = subscriber(simulation, ours, "rooms")
    _, there = subscriber(simulation, theirs, "rooms")
    _, elsewhere = subscriber(simulation, theirs, "halls")
    simulation.run(ours.broadcast, "rooms", (A.opened, "lobby"))
    simulation.run_until_idle()
    assert here == there == [(A.opened, b"lobby")]  # as Elixir sees it, on either node
    assert elsewhere == []
    assert theirs.stats()["received"] == 1


def test_local_and_direct_broadcasts_reach_one_node(simulation, pair):
    ours, theirs, _ = pair
    _, here = subscriber(simulation, ours, "rooms")
    _, there = subscriber(simulation, theirs, "rooms")
    simulation.run(ours.local_broadcast, "rooms", 1)
    simulation.run(ours.direct_broadcast, "app@sim", "rooms", 2)
    simulation.run_until_idle()
    assert (here, there) == ([1], [2])


def test_a_broadcast_from_a_process_spares_it(simulation, pair):
    ours, theirs, _ = pair
    one, heard = subscriber(simulation, ours, "rooms")
    _, other = subscriber(simulation, ours, "rooms")
    _, there = subscriber(simulation, theirs, "rooms")
    simulation.run(lambda: ours.broadcast_from("rooms", 1, from_=one))
    simulation.run(lambda: ours.local_broadcast("rooms", 2, from_=one))
    simulation.run_until_idle()
    assert (heard, other, there) == ([], [1, 2], [1])


@pytest.mark.parametrize("pool", [1, 2, 5])
def test_every_group_has_a_worker_under_its_name(simulation, host, pool):
    pubsub = PubSub(host, NAME, pool_size=pool)
    for group in pubsub.groups:
        [worker] = host.pg.get_local_members(group, scope=SCOPE)
        assert host.system.whereis(group) == worker
    assert len(pubsub.groups) == pool


def test_a_pool_that_is_being_enlarged_listens_on_more_groups_than_it_publishes_to(simulation, host):
    other = SimulatedHost(simulation, "app@sim")
    old, new = PubSub(other, NAME), PubSub(host, NAME, pool_size=3, broadcast_pool_size=1)
    host.linked(simulation, other)
    simulation.run_until_idle()
    assert (new.nodes(), old.nodes()) == (["app@sim"], ["py@sim"])
    with pytest.raises(UsageError, match="broadcast_pool_size"):
        PubSub(host, "Other", pool_size=1, broadcast_pool_size=2)


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_the_pool_of_the_others_is_learnt(simulation, host, first):
    other = SimulatedHost(simulation, "app@sim")
    if first == "ours":
        pubsub, theirs = PubSub(host, NAME), PubSub(other, NAME, pool_size=4)
    else:
        theirs, pubsub = PubSub(other, NAME, pool_size=4), PubSub(host, NAME)
    PubSub(other, "MyApp.PubSub.Adapter_9", pool_size=9)  # another one, with a name that looks like a group's
    host.linked(simulation, other)
    simulation.run_until_idle()
    simulation.run(pubsub.await_node, "app@sim", 1.0)
    assert (pubsub.groups, pubsub.broadcast_groups) == (theirs.groups, theirs.groups[:1])
    _, heard = subscriber(simulation, pubsub, "rooms")
    for number in range(20):
        other.system.spawn(theirs.broadcast, "rooms", number)
    simulation.run_until_idle()
    assert sorted(heard) == list(range(20))
    assert theirs.nodes() == ["py@sim"]


def test_a_pool_that_is_too_small_is_a_warning(simulation, host, caplog):
    other = SimulatedHost(simulation, "app@sim")
    PubSub(other, NAME, pool_size=4)
    pubsub = PubSub(host, NAME, pool_size=2)
    host.linked(simulation, other)
    simulation.run_until_idle()
    with caplog.at_level(logging.WARNING, "pyerlnode.phoenix"):
        simulation.run(pubsub.await_node, "app@sim", 1.0)
    assert "a pool of 4" in caplog.text
    assert len(pubsub.groups) == 2


def test_a_node_with_a_smaller_pool_is_awaited_in_vain(simulation, host):
    other = SimulatedHost(simulation, "app@sim")
    PubSub(other, NAME, pool_size=1)
    pubsub = PubSub(host, NAME, pool_size=2)
    host.linked(simulation, other)
    simulation.run_until_idle()
    assert pubsub.nodes() == []
    with pytest.raises(CallTimeout):
        simulation.run(pubsub.await_node, "app@sim", 1.0)


def test_who_awaits_a_node_goes_on_when_it_is_there(simulation, host, pubsub):
    waits = [simulation.start(pubsub.await_node, name, 4.0) for name in ("app@sim", "nobody@sim")]
    simulation.run_until_idle()
    assert not waits[0].ready()
    other = SimulatedHost(simulation, "app@sim")
    PubSub(other, NAME)
    host.linked(simulation, other)
    simulation.run_until_idle()
    assert waits[0].successful()
    simulation.advance(5.0)
    assert isinstance(waits[1].exception, CallTimeout)
    simulation.run(pubsub.await_node, "app@sim")


@pytest.mark.parametrize("ends", [False, True])
def test_who_awaits_a_node_waits_until_its_scope_has_heard_of_ours(simulation, host, pubsub, ends):
    other = SimulatedHost(simulation, "app@sim")
    theirs = PubSub(other, NAME)
    scope = other.system.process(other.system.whereis(SCOPE)).handler
    gate, known = Event(), scope.handle_cast

    def busy(request):
        gate.wait()
        known(request)

    scope.handle_cast = busy  # it has told us its members, and is at something else when ours come
    host.linked(simulation, other)
    waits = simulation.start(pubsub.await_node, "app@sim", 60.0)
    simulation.run_until_idle()
    assert (pubsub.nodes(), theirs.nodes()) == (["app@sim"], [])
    assert not waits.ready()
    if ends:
        other.system.exit(scope.pid, A.kill)
        simulation.advance(30.0)
    gate.set()
    simulation.run_until_idle()
    waits.get()
    assert theirs.nodes() == ["py@sim"]


def test_subscriptions_end_with_their_process(simulation, host, pubsub):
    one, _ = subscriber(simulation, pubsub, "a", "b")
    other, _ = subscriber(simulation, pubsub, "b")
    assert pubsub.stats()["topics"] == 2
    host.send(one, A.end)
    host.system.exit(other, A.kill)
    simulation.run_until_idle()
    assert (pubsub.stats()["topics"], pubsub.stats()["subscribers"]) == (0, 0)
    assert pubsub.keeper.watched == {}


def test_who_unsubscribes_is_watched_no_more(simulation, host, pubsub):
    pid, heard = subscriber(simulation, pubsub, "a", "a", "b")
    pubsub.local_broadcast("a", 1)
    pubsub.unsubscribe("a", pid)
    pubsub.local_broadcast("a", 2)
    pubsub.local_broadcast("b", 3)
    pubsub.unsubscribe("b", pid)
    pubsub.unsubscribe("b", pid)
    simulation.run_until_idle()
    assert heard == [1, 1, 3]
    assert pubsub.keeper.watched == {}
    assert not host.system.process(pid).monitored_by


def test_a_callback_is_called_in_order_and_survives_what_it_raises(simulation, pubsub, caplog):
    heard = []

    def callback(message):
        heard.append(message)
        if message == 1:
            raise ValueError("not today")

    pid = pubsub.subscribe("a", callback)
    messages = [0, 1, (gen.CAST, 2), (gen.CALL, (pid, 1), 2), 3]
    with caplog.at_level(logging.ERROR):
        for message in messages:
            pubsub.local_broadcast("a", message)
        simulation.run_until_idle()
    assert heard == messages
    assert pubsub.stats()["failed"] == 1
    assert "a callback of" in caplog.text
    pubsub.unsubscribe("a", pid)
    simulation.run_until_idle()
    assert pubsub.system.process(pid) is None


def test_a_slow_subscriber_misses_messages_and_the_others_do_not(simulation, host):
    pubsub = PubSub(host, NAME, max_waiting=3)
    slow = host.system.spawn(
        lambda: (pubsub.subscribe("a"), host.system.myself().receive(lambda message: message is A.never, None))
    )
    simulation.run_until_idle()
    _, heard = subscriber(simulation, pubsub, "a")
    for number in range(5):
        pubsub.local_broadcast("a", number)
        simulation.run_until_idle()
    assert heard == [0, 1, 2, 3, 4]
    assert pubsub.stats()["missed"] == 2
    assert len(host.system.process(slow).queue) == 3


def test_what_a_slow_subscriber_has_missed_is_said_once_with_a_count(simulation, host, caplog):
    pubsub = PubSub(host, NAME, max_waiting=2)

    def body():
        pubsub.subscribe("a")
        me = host.system.myself()
        for _ in range(2):
            me.receive(lambda message: message is A.go, None)
            for _ in range(2):
                me.receive(None, None)
        me.receive(lambda message: message is A.go, None)

    slow = host.system.spawn(body)
    simulation.run_until_idle()
    with caplog.at_level(logging.WARNING, "pyerlnode.phoenix"):
        for _ in range(2):
            for number in range(5):
                pubsub.local_broadcast("a", number)
            host.send(slow, A.go)
            simulation.run_until_idle()
        host.send(slow, A.go)
        simulation.run_until_idle()
    misses, caught_up, again, ended = (record.getMessage() for record in caplog.records)
    assert "misses messages: 2 wait" in misses
    assert "misses messages: 2 wait" in again
    assert "has missed 3 messages" in caught_up
    assert "ended; it had missed 3 messages" in ended


def test_nobody_waits_for_a_subscriber_whose_mailbox_suspends_its_senders(simulation, host, pubsub):
    class Deaf(GenServer):
        def init(self):
            pubsub.subscribe("a")

        def handle_info(self, message):
            self.process.receive(lambda message: message is A.never, None)

    deaf = gen_server.start(host.system, Deaf, (), mailbox=MailboxLimit(2))
    _, heard = subscriber(simulation, pubsub, "a")
    for number in range(6):
        simulation.run(pubsub.broadcast, "a", number)
        simulation.run_until_idle()
    assert heard == [0, 1, 2, 3, 4, 5]
    assert host.system.process(deaf).suspended == 0
    assert pubsub.stats()["missed"] >= 3


def test_a_dispatcher_of_the_program_sees_entries_and_metadata(simulation, host, caplog):
    seen = []

    def dispatch(entries, from_, message):
        seen.append((entries, from_, message))
        raise ValueError("after all")

    pubsub = PubSub(host, NAME, dispatchers={"MyApp.Fast": dispatch, "MyApp.Usual": None})
    pid, heard = subscriber(simulation, pubsub, "a", metadata=A.meta)
    with caplog.at_level(logging.CRITICAL, "pyerlnode"):
        pubsub.local_broadcast("a", 1, dispatcher="MyApp.Fast", from_=pid)
        pubsub.local_broadcast("a", 2, dispatcher="MyApp.Usual")
    simulation.run_until_idle()
    assert seen == [(((pid, A.meta),), pid, 1)]
    assert heard == [2]
    assert pubsub.stats()["failed"] == 1


def test_a_dispatcher_that_others_may_not_have_is_refused(pubsub):
    for publish in (pubsub.broadcast, pubsub.local_broadcast, pubsub.broadcast_from):
        with pytest.raises(UsageError, match=r"PubSub\(dispatchers=…\)"):
            publish("a", 1, dispatcher="MyApp.Other")
    with pytest.raises(UsageError, match="dispatchers"):
        pubsub.direct_broadcast("app@sim", "a", 1, dispatcher="MyApp.Other")


def test_a_message_with_a_dispatcher_that_is_unknown_here_comes_as_it_is(simulation, host, pubsub):
    _, heard = subscriber(simulation, pubsub, "a")
    host.send(pubsub.groups[0], (A.forward_to_local, b"a", A.plain, A["Elixir.Who.Knows"]))
    simulation.run_until_idle()
    assert heard == [A.plain]


def test_an_endpoints_broadcast_is_a_struct_and_its_payload_is_json(simulation, pair):
    ours, theirs, _ = pair
    _, here = subscriber(simulation, ours, "room:1")
    _, there = subscriber(simulation, theirs, "room:1")
    simulation.run(ours.endpoint_broadcast, "room:1", "new", {"body": "é", A.n: 1})
    simulation.run_until_idle()
    assert here == there
    assert Broadcast.of(here[0]) == Broadcast("room:1", "new", {b"body": "é".encode(), A.n: 1})
    with pytest.raises(UsageError, match="payload is no JSON › at: tuple"):
        ours.endpoint_broadcast("room:1", "new", {"at": (1, 2)})
    with pytest.raises(UsageError, match="the topic of a broadcast is text"):
        ours.endpoint_broadcast(b"\xff", "new", {})
    with pytest.raises(UsageError, match="payload"):
        ours.broadcast("room:1", Broadcast("room:1", "new", [1]).as_struct(), dispatcher=CHANNELS)


def test_what_has_no_form_on_the_wire_fails_at_the_publisher(simulation, pair):
    ours, theirs, _ = pair
    _, there = subscriber(simulation, theirs, "a")
    _, here = subscriber(simulation, ours, "a")
    with pytest.raises(EncodeError):
        simulation.run(ours.broadcast, "a", object())
    simulation.run_until_idle()
    assert (here, there) == ([], [])


def test_garbage_is_counted_and_ends_nothing(simulation, host, pubsub):
    worker, keeper = host.system.whereis(pubsub.groups[0]), pubsub.keeper.pid
    garbage = [A.garbage, (A.forward_to_local, A.a, 1, A.b), (gen.CAST, 1), (A.DOWN, 1), [], {1: 2}]
    for message in garbage:
        host.send(worker, message)
        host.send(keeper, message)
    simulation.run_until_idle()
    assert pubsub.stats()["garbage"] == 2 * len(garbage)
    for dest in (worker, keeper):
        assert simulation.run(host.call, dest, A.what) == (A.error, A.unknown_call)
    assert host.system.whereis(pubsub.groups[0]) == worker


@pytest.mark.parametrize("victim", ["worker", "keeper", "scope"])
def test_what_is_killed_is_there_again_and_subscriptions_stay(simulation, pair, victim):
    ours, theirs, _ = pair
    _, here = subscriber(simulation, ours, "a")
    dest = {"worker": ours.groups[0], "keeper": ours.keeper.pid, "scope": SCOPE}[victim]
    pid = ours.system.whereis(dest) if victim != "keeper" else dest
    ours.system.exit(pid, A.kill)
    simulation.advance(1.0)
    simulation.run(ours.await_node, "app@sim")
    simulation.run(theirs.await_node, "py@sim")
    simulation.run(theirs.broadcast, "a", A.hello)
    simulation.run_until_idle()
    assert here == [A.hello]
    assert len(ours.keeper.watched) == 1


def test_a_lost_node_is_neither_reached_nor_dialled(simulation, pair):
    ours, theirs, link = pair
    link.cut()
    simulation.run_until_idle()
    assert ours.nodes() == []
    simulation.run(ours.broadcast, "a", 1)
    assert ours.system.peer(theirs.system.node).route is None


def test_after_stop_nothing_is_left(simulation, host, pubsub):
    heard = []
    pid = pubsub.subscribe("a", heard.append)
    with pytest.raises(AlreadyStarted, match=r"Elixir\.MyApp\.PubSub is started already"):
        PubSub(host, NAME)
    simulation.run(pubsub.stop)
    simulation.run_until_idle()
    assert host.system.process(pid) is None
    assert host.pg.get_members(pubsub.groups[0], scope=SCOPE) == []
    assert pubsub.stats()["subscribers"] == 0
    pubsub.stop()
    calls = (lambda: pubsub.broadcast("a", 1)), (lambda: pubsub.subscribe("a")), (lambda: pubsub.await_node("app@sim"))
    for call in calls:
        with pytest.raises(NoProc, match="runs on this node no more"):
            call()
    PubSub(host, NAME)
