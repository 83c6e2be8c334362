"""What goes wrong between machines: deaths without a goodbye, hangs, cut lines, wrong names and cookies, garbage."""

import logging
import socket
import time
from collections.abc import Callable
from math import ceil
from typing import Any

import gevent
import pytest

from interop_tests.servers import Desk, mailbox, next_message
from pyerlnode import A, GenServer, Reply
from pyerlnode.errors import ConnectError, Exit, NodeDown
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience, promise
from pyerlnode.testing.waiting import deadline, wait_for

Factory = Callable[..., Any]
TICKTIME = ceil(promise(1))
"""Seconds."""


@pytest.fixture
def victim(beam: Beam, beam_factory: Factory) -> Beam:
    """A BEAM to kill, with the cookie and the EPMD of the shared one."""
    return beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl", "beam_src/probe.erl"])


# --- death without a goodbye ---------------------------------------------------------------------------
def test_kill_9_of_the_beam_is_noconnection_and_nodedown_to_python_exactly_once(victim: Beam, node: Any) -> None:
    pid = victim.eval("desk:start()")
    node.process_flag("trap_exit", True)
    node.connect(victim.name)
    node.monitor_nodes()
    ref = node.monitor(pid)
    node.link(pid)
    assert node.call(pid, (A.echo, 1)) == 1
    victim.kill9()
    got = sorted([next_message() for _ in range(3)], key=lambda message: message[0].name)
    assert got == [
        (A.DOWN, ref, A.process, pid, A.noconnection),
        (A.EXIT, pid, A.noconnection),
        (A.nodedown, victim.node),
    ]
    victim.restart()
    assert node.ping(victim.name)
    assert mailbox() == [(A.nodeup, victim.node)]


def test_kill_9_of_a_python_process_is_noconnection_to_the_beam_exactly_once(
    helper: Factory, python_peer: Factory
) -> None:
    beam = helper("probe.erl")
    peer = python_peer()
    probe = beam.eval("probe:start()")
    pid = beam.eval("gen_server:call({desk, N}, self)", N=peer.node)
    ref = beam.eval(
        "probe:run(P, fun() -> link(D), R = monitor(process, D), pong = net_adm:ping(node(D)), R end)", P=probe, D=pid
    )
    peer.kill9()
    beam.wait_until("probe:count(P) >= 2 andalso not lists:member(N, nodes(connected))", P=probe, N=peer.node)
    again = python_peer(peer.name)
    assert beam.eval("net_adm:ping(N)", N=again.node) is A.pong
    messages = beam.eval("probe:messages(P)", P=probe)
    assert sorted(messages, key=lambda message: message[0].name) == [
        (A.DOWN, ref, A.process, pid, A.noconnection),
        (A.EXIT, pid, A.noconnection),
    ]


def test_a_call_in_flight_ends_when_the_beam_is_killed(victim: Beam, node: Any) -> None:
    pid = victim.eval("desk:start()")
    assert node.call(pid, (A.echo, 1)) == 1
    job = gevent.spawn(node.call, pid, A.never, timeout=patience())
    wait_for(lambda: victim.eval("length(gen_server:call(P, kept))", P=pid) == 1)
    victim.kill9()
    with deadline(2.0, "the end of the call"), pytest.raises(Exit) as caught:
        job.get(timeout=patience())
    assert isinstance(caught.value, NodeDown)


def test_a_call_of_the_beam_in_flight_ends_when_python_is_killed(beam: Beam, python_peer: Factory) -> None:
    peer = python_peer()
    job = gevent.spawn(beam.eval, "catch gen_server:call({desk, N}, never, 30000)", 20.0, N=peer.node)
    beam.wait_until("lists:member(N, nodes(connected))", N=peer.node)
    beam.eval("gen_server:call({desk, N}, kept)", N=peer.node)
    peer.kill9()
    reason = job.get(timeout=patience())
    assert reason[1][0] == (A.nodedown, peer.node)


def test_beam_killed_and_restarted_the_next_send_arrives(victim: Beam, node: Any) -> None:
    victim.eval("desk:start(desk)")
    assert node.call(("desk", victim.name), (A.echo, 1)) == 1
    victim.restart()
    victim.load(__file__.replace("test_faults.py", "beam_src/desk.erl"))
    victim.eval("desk:start(desk)")
    node.send(("desk", victim.name), A.first)
    assert node.call(("desk", victim.name), A.kept) == [(A.info, A.first)]


# --- those who hang ---------------------------------------------------------------------------------------
def test_a_beam_that_hangs_is_down_after_the_tick_time(victim: Beam, python: Factory) -> None:
    node = python(ticktime=TICKTIME)
    pid = victim.eval("desk:start()")
    ref = node.monitor(pid)
    assert node.call(pid, (A.echo, 1)) == 1
    with victim.suspended_for_block(), deadline(3 * TICKTIME, "noticing a peer that hangs"):
        assert next_message() == (A.DOWN, ref, A.process, pid, A.noconnection)


def test_a_beam_that_is_idle_is_kept_by_ticks(beam_factory: Factory, beam: Beam, python: Factory) -> None:
    quiet = beam_factory(cookie=beam.cookie, args=["-kernel", "net_ticktime", str(TICKTIME)])
    node = python(ticktime=TICKTIME)
    node.connect(quiet.name)
    node.monitor_nodes()
    assert node.receive(timeout=2.5 * TICKTIME, default=None) is None
    assert quiet.nodes() == [node.name]


def test_a_handler_that_blocks_longer_than_the_tick_time_does_not_lose_the_node(
    beam_factory: Factory, beam: Beam, python: Factory
) -> None:
    class Hog(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            end = time.monotonic() + 2.5 * TICKTIME
            while time.monotonic() < end:
                sum(range(10_000))  # Python's own work: the hub does not run
            return Reply(A.done)

    watcher = beam_factory(cookie=beam.cookie, args=["-kernel", "net_ticktime", str(TICKTIME)])
    node = python(ticktime=TICKTIME)
    node.start(Hog, name="hog")
    assert watcher.eval("gen_server:call({hog, N}, go, infinity)", N=A[node.name]) is A.done
    assert node.nodes() == [watcher.name]  # what came in meanwhile counts, too
    assert watcher.nodes() == [node.name]


# --- cut lines -----------------------------------------------------------------------------------------------
def test_a_cut_line_is_told_to_python_and_heals_when_the_line_does(beam: Beam, helper: Factory, node: Any) -> None:
    pid = helper("desk.erl").eval("desk:start()")
    node.monitor_nodes()
    ref = node.monitor(pid)
    assert node.call(pid, (A.echo, 1)) == 1
    assert next_message() == (A.nodeup, beam.node)
    beam.block_dist(node.name)
    got = {next_message(), next_message()}
    assert got == {(A.DOWN, ref, A.process, pid, A.noconnection), (A.nodedown, beam.node)}
    with pytest.raises(NodeDown):
        node.call(pid, (A.echo, 1))
    beam.unblock_dist(node.name)
    assert node.call(pid, (A.echo, 1)) == 1


# --- connections that do not come about ----------------------------------------------------------------------
def test_an_unknown_node_is_a_clear_error_at_every_door(node: Any) -> None:
    name = "nobody_here@127.0.0.1"
    with deadline(1.0, "the refusals"):
        with pytest.raises(ConnectError) as caught:
            node.connect(name)
        assert caught.value.reason == "unknown_node"
        assert "nobody_here" in str(caught.value)
        node.send(("desk", name), A.hello)
        with pytest.raises(NodeDown):
            node.call(("desk", name), A.hello)
        assert node.ping(name) is False


def test_an_unknown_host_is_a_clear_error(node: Any) -> None:
    with deadline(7.5, "looking up a host"), pytest.raises(ConnectError) as caught:
        node.connect("x@no-such-host.invalid")
    assert caught.value.reason in ("unknown_host", "no_epmd")


def test_a_wrong_cookie_is_a_clear_error_at_the_caller_and_the_cookie_is_not_told(
    beam: Beam, python: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    node = python(cookie="not_this_one")
    with deadline(2.0, "the refusal"), pytest.raises(ConnectError) as caught:
        node.connect(beam.name)
    assert caught.value.reason in ("bad_cookie", "not_allowed", "closed")
    node.send(("desk", beam.name), A.hello)
    with deadline(2.0, "the refusal of a call"), pytest.raises(NodeDown):
        node.call(("desk", beam.name), A.hello)
    for text in (str(caught.value), caplog.text):
        assert "not_this_one" not in text
        assert beam.cookie not in text
    assert node.ping(beam.name) is False


def test_a_beam_with_a_wrong_cookie_is_refused_and_the_node_lives(
    beam_factory: Factory, beam: Beam, node: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stranger = beam_factory(cookie="stranger_danger")
    assert stranger.eval("net_adm:ping(N)", N=A[node.name]) is A.pang
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    assert "stranger_danger" not in caplog.text
    assert sum(stranger.name in record.getMessage() for record in caplog.records) >= 1


def test_a_port_that_refuses_is_a_clear_error(beam: Beam, python: Factory) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        node = python(addresses={"gone@127.0.0.1": ("127.0.0.1", taken.getsockname()[1])})
        with deadline(1.0, "the refusal"), pytest.raises(ConnectError) as caught:
            node.connect("gone@127.0.0.1")
    assert caught.value.reason == "refused"


def test_a_peer_that_accepts_and_says_nothing_ends_at_the_setup_time(python: Factory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        node = python(setup_time=0.3, addresses={"mute@127.0.0.1": ("127.0.0.1", mute.getsockname()[1])})
        with deadline(2.0, "giving up"), pytest.raises(ConnectError) as caught:
            node.connect("mute@127.0.0.1")
    assert caught.value.reason == "timeout"


def test_two_hundred_first_sends_open_one_connection(helper: Factory, node: Any) -> None:
    beam = helper("desk.erl")
    beam.eval("desk:start(desk)")
    accepted = 'length([P || P <- erlang:ports(), {name, "tcp_inet"} =:= erlang:port_info(P, name)])'
    before = beam.eval(accepted)
    jobs = [gevent.spawn(node.send, ("desk", beam.name), i) for i in range(200)]
    gevent.joinall(jobs, timeout=patience(), raise_error=True)
    assert sorted(i for _, i in node.call(("desk", beam.name), A.kept)) == list(range(200))
    assert beam.eval(accepted) == before + 1
    assert beam.nodes() == [node.name]


def test_both_sides_connect_at_once_and_end_with_one_connection(helper: Factory, python: Factory) -> None:
    beam = helper("desk.erl")
    beam.eval("desk:start(desk)")
    for _ in range(10):
        node = python()
        node.start(Desk, name="desk")
        job = gevent.spawn(beam.eval, "gen_server:call({desk, N}, {echo, 1})", N=A[node.name])
        assert node.call(("desk", beam.name), (A.echo, 2)) == 2
        assert job.get(timeout=patience()) == 1
        assert beam.nodes() == [node.name]
        node.stop()
        beam.wait_until("nodes(connected) =:= []")


# --- garbage ---------------------------------------------------------------------------------------------------
GARBAGE = {
    "nothing": b"",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "huge length": b"\xff\xff" + b"x" * 100,
    "zero length": b"\0\0" * 100,
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "name message cut": b"\0\x17N" + b"\0" * 8,
    "name with garbage": b"\0\x1fN" + b"\xff" * 30,
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_closes_its_connection_and_disturbs_nobody(
    beam: Beam, node: Any, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    node.start(Desk, name="desk")
    assert beam.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1
    caplog.clear()
    from gevent import socket as green

    with green.create_connection(("127.0.0.1", node.port), timeout=patience()) as stranger:
        stranger.sendall(data)
        stranger.shutdown(socket.SHUT_WR)
        try:
            while stranger.recv(4096):
                pass  # whatever it answers, it closes
        except ConnectionResetError:
            pass  # closed with our bytes unread
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= 1
    assert beam.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1


def test_message_bodies_are_not_in_the_logs(beam: Beam, node: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    node.start(Desk, name="desk")
    secret = b"hunter2"
    beam.eval("{desk, N} ! S, {nobody, N} ! S, gen_server:cast({desk, N}, S)", N=A[node.name], S=secret)
    beam.eval("catch gen_server:call({nobody, N}, S)", N=A[node.name], S=secret)
    node.send(("nobody", beam.name), secret)
    node.call("desk", A.kept)
    assert "hunter2" not in caplog.text
