"""Back-pressure both ways against a real node, counters, telemetry, and connections that are kept."""

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from interop_tests.servers import Desk
from pyerlnode import A
from pyerlnode.errors import ConnectError, EncodeError, UsageError
from pyerlnode.limits import Limits
from pyerlnode.otp import gen_server
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.names import Global
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]
MB = b"x" * 1_000_000


@pytest.fixture
def victim(beam: Beam, beam_factory: Factory) -> Beam:
    return beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])


# --- a peer that does not read -----------------------------------------------------------------------------
def test_a_beam_that_does_not_read_suspends_senders_at_a_bound_and_nosuspend_says_false(
    victim: Beam, python: Factory
) -> None:
    node = python(limits=Limits(send_buffer=2_000_000))
    events: list[Any] = []
    node.telemetry.append(lambda *event: events.append(event))
    pid = victim.eval("desk:start()")
    node.call(pid, (A.echo, 1))
    sent = 0

    def flood() -> None:
        nonlocal sent
        for _ in range(60):
            node.send(pid, MB)
            sent += 1

    with victim.suspended_for_block():
        sender = gevent.spawn(flood)
        wait_for(lambda: node.stats()[victim.name].suspensions > 0)
        assert node.stats()[victim.name].queued < 4_000_000
        refused = [node.send_nosuspend(pid, MB) for _ in range(4)]
        assert refused[-1] is False
        assert sent < 60
    sender.get(timeout=patience())
    assert node.call(pid, (A.echo, 2)) == 2
    assert node.send_nosuspend(pid, A.again) is True
    names = {event for event, *_ in events}
    assert {"connection.up", "connection.suspended"} <= names


def test_a_process_with_async_dist_is_not_suspended(victim: Beam, python: Factory) -> None:
    node = python(limits=Limits(send_buffer=100_000))
    before = [node.process_flag("async_dist", flag) for flag in (True, False)]
    assert before == [False, True]
    if victim.otp > 25:  # the first ones of 25 have no such flag
        assert before == victim.eval("[process_flag(async_dist, F) || F <- [true, false]]")
    pid = victim.eval("desk:start()")
    node.call(pid, (A.echo, 1))

    def flood() -> None:
        node.process_flag("async_dist", True)
        assert node.process_info(node.self_(), "async_dist") is True
        for _ in range(30):
            node.send(pid, MB)

    with victim.suspended_for_block():
        gevent.spawn(flood).get(timeout=patience())
        stats = node.stats()[victim.name]
        assert stats.suspensions == 0
        assert stats.queued > 1_000_000
    assert node.call(pid, (A.echo, 2), patience()) == 2


def test_a_peer_that_never_reads_again_is_down_after_the_tick_time_and_its_senders_are_free(
    victim: Beam, python: Factory
) -> None:
    node = python(limits=Limits(send_buffer=100_000), ticktime=1.0, setup_time=1.0)
    pid = victim.eval("desk:start()")
    node.call(pid, (A.echo, 1))
    with victim.suspended_for_block():
        sender = gevent.spawn(lambda: [node.send(pid, MB) for _ in range(20)])
        sender.get(timeout=patience())  # what goes to a node that is not there is dropped, as on a BEAM
        assert node.nodes() == []


# --- a node that does not keep up --------------------------------------------------------------------------
def test_a_flood_to_a_full_mailbox_stops_reading_and_every_message_arrives(victim: Beam, python: Factory) -> None:
    class Slow(Desk):
        def handle_info(self, message: Any) -> Any:
            gevent.sleep(0.0005)
            return super().handle_info(message)

    node = python(limits=Limits(overflow=200_000))
    events: list[str] = []
    node.telemetry.append(lambda event, *_: events.append(event))
    pid = gen_server.start(node.system, Slow, name="slow", mailbox=MailboxLimit(20))
    victim.eval("P ! N", P=pid, N=0)
    victim.eval("[P ! {N, binary:copy(<<1>>, 1000)} || N <- lists:seq(1, 3000)], ok", P=pid)
    wait_for(lambda: "connection.resumed" in events)
    wait_for(lambda: len(node.call(pid, A.kept, timeout=patience())) == 3001)
    numbers = [m[1] if type(m[1]) is int else m[1][0] for m in node.call(pid, A.kept)]
    assert numbers == list(range(3001))
    assert "connection.paused" in events
    assert victim.nodes() == [node.name]


def test_a_full_process_that_calls_the_peer_it_is_flooded_by_gets_its_answer(victim: Beam, python: Factory) -> None:
    class Asker(Desk):
        def handle_info(self, message: Any) -> Any:
            if len(self.kept) < 3:
                self.kept.append(node.rpc(victim.name, "erlang", "abs", [-7], timeout=patience()))
            return super().handle_info(message)

    node = python(limits=Limits(overflow=1))
    pid = gen_server.start(node.system, Asker, name="asker", mailbox=MailboxLimit(5))
    victim.eval("[P ! N || N <- lists:seq(1, 2000)], ok", P=pid)
    wait_for(lambda: len(node.call(pid, A.kept, timeout=patience())) >= 2000)
    assert node.call(pid, A.kept)[0] == 7


@pytest.mark.parametrize("overflow", [Limits().overflow, 1_000_000])
def test_who_calls_another_server_does_not_wait_for_a_flood_to_a_full_one(
    victim: Beam, python: Factory, overflow: int
) -> None:
    """The full one handles nothing at all, until the others were served beside 2.5 MB for it."""
    go_on = gevent.event.Event()

    class Stuck(Desk):
        def handle_info(self, message: Any) -> Any:
            go_on.wait()
            return super().handle_info(message)

    node = python(limits=Limits(overflow=overflow))
    events: list[str] = []
    node.telemetry.append(lambda event, *_: events.append(event))
    stuck = gen_server.start(node.system, Stuck, mailbox=MailboxLimit(10))
    other = gen_server.start(node.system, Desk)
    victim.eval("spawn(fun() -> [P ! {N, binary:copy(<<1>>, 1000)} || N <- lists:seq(1, 2500)] end), ok", P=stuck)
    called = "[element(2, erpc:call(node(), gen_server, call, [P, {echo, {ok, N}}, 120000])) || N <- lists:seq(1, 20)]"
    assert victim.eval(called, P=other) == list(range(1, 21))
    if overflow == 1_000_000:
        wait_for(lambda: "connection.paused" in events)
    go_on.set()
    wait_for(lambda: len(node.call(stuck, A.kept, timeout=patience())) == 2500)
    assert [message[1][0] for message in node.call(stuck, A.kept)] == list(range(1, 2501))


# --- counters ----------------------------------------------------------------------------------------------
def test_stats_count_what_went_over_a_connection(victim: Beam, python: Factory) -> None:
    node = python()
    pid = victim.eval("desk:start()")
    for number in range(10):
        node.call(pid, (A.echo, number))
    node.call(pid, (A.echo, MB))
    wait_for(lambda: node.stats()[victim.name].queued == 0)
    found = node.stats()[victim.name]
    assert found.messages_in >= 11
    assert found.messages_out >= 11
    assert found.bytes_in > 1_000_000 < found.bytes_out
    assert found.fragments_in > 10 < found.fragments_out
    assert (found.queued, found.undecodable, found.pending_fragments) == (0, 0, 0)


def test_ups_downs_and_failures_are_told_with_their_reasons(victim: Beam, python: Factory) -> None:
    node = python()
    events: list[Any] = []
    node.telemetry.append(lambda *event: events.append(event))
    node.connect(victim.name)
    node.disconnect(victim.name)
    with pytest.raises(ConnectError):
        node.connect("nobody_here@127.0.0.1")
    wait_for(lambda: len(events) == 3)
    assert [(event, data["peer"]) for event, _, data in events] == [
        ("connection.up", victim.name),
        ("connection.down", victim.name),
        ("connection.failed", "nobody_here@127.0.0.1"),
    ]
    assert events[1][2]["reason"] is A.disconnect
    assert events[1][1]["bytes_in"] >= 0
    assert events[2][2]["reason"] == "unknown_node"


# --- kept connections ----------------------------------------------------------------------------------------
def test_a_kept_connection_comes_back_after_each_loss(victim: Beam, python: Factory) -> None:
    node = python()
    node.keep_connected(victim.name, longest=0.5)
    wait_for(lambda: node.nodes() == [victim.name])
    node.disconnect(victim.name)
    wait_for(lambda: node.nodes() == [victim.name])
    victim.kill9()
    wait_for(lambda: node.nodes() == [])
    victim.restart()
    wait_for(lambda: node.nodes() == [victim.name])
    node.keep_connected(victim.name, False)
    node.disconnect(victim.name)
    end = time.monotonic() + 0.8
    wait_for(lambda: time.monotonic() > end)
    assert node.nodes() == []


def test_a_kept_connection_with_a_wrong_cookie_is_tried_again_and_told_once(
    beam: Beam, python: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    here = beam.log_position
    node = python(cookie="not_this_one")
    node.keep_connected(beam.name)
    wait_for(lambda: beam.logs_since(here).count("Invalid challenge reply") >= 3)
    assert sum("cookie" in record.getMessage() for record in caplog.records) == 1


def test_who_would_rather_not_connect_is_told_and_nothing_is_sent(victim: Beam, node: Any) -> None:
    pid = victim.eval("desk:start()")
    assert node.send_nosuspend(pid, A.lost, noconnect=True) is False
    assert node.send_with(pid, A.lost, noconnect=True) is A.noconnect
    assert node.nodes() == []
    assert node.send_nosuspend(pid, A.first) is True
    assert node.send_nosuspend(pid, A.second, noconnect=True) is True
    assert node.call(pid, A.kept) == [(A.info, A.first), (A.info, A.second)]
    assert node.send_nosuspend(("desk", "nobody@127.0.0.1"), 1) is True  # it waits for the attempt, and is lost with it
    for wrong in (7, None, ("a", "b", "c")):
        with pytest.raises(UsageError, match="destination"):
            node.send_nosuspend(wrong, 1)


def test_every_kind_of_destination_takes_a_message_without_waiting(victim: Beam, node: Any) -> None:
    there = victim.eval("P = desk:start(), register(desk_there, P), yes = global:register_name(shared, P), P")
    node.connect(victim.name)
    for dest in (there, ("desk_there", victim.name), Global(A.shared)):
        assert node.send_nosuspend(dest, A.hello) is True
    assert node.call(there, A.kept) == [(A.info, A.hello)] * 3
    node.register("me", node.self_())
    for dest in (node.self_(), "me", ("me", node.name), node.alias(), "nobody", Global(A.nobody)):
        assert node.send_nosuspend(dest, A.here) is True
    assert [node.receive(timeout=0, default=None) for _ in range(5)] == [A.here] * 4 + [None]
    with pytest.raises(EncodeError):
        node.send_nosuspend(there, float("nan"))
