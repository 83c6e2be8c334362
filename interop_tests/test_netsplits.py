"""What a network does to a cluster: packets that are lost both ways or one way, lines that are slow, torn or bad.

Each test of the lab runs with proxies in user space and, where the rights exist, with a namespace and nftables; the
report's header says which.
"""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import ceil
from typing import Any

import gevent
import pytest

from interop_tests.conftest import BEAM_SRC, lab_kinds
from interop_tests.servers import mailbox, next_message
from pyerlnode import A, self_
from pyerlnode.errors import ConnectError, NodeDown
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.lab import HERE, THERE, Lab, two_hosts
from pyerlnode.testing.patience import patience, promise
from pyerlnode.testing.proxy import BOTH, DOWN, UP, Proxy
from pyerlnode.testing.waiting import deadline, wait_for

TICKTIME = ceil(promise(2.0))
NOTICED_S = 1.25 * TICKTIME + 0.75
SETUP_S = promise(2.0)
"""OTP's own bound for a peer that is silent, and what a crowded machine adds."""


class Split:
    """A Python node and a BEAM on two hosts, each with a process that links and monitors one of the other side."""

    def __init__(self, lab: Lab, beam: Beam, node: Any) -> None:
        self.lab, self.beam, self.node = lab, beam, node
        for name in ("desk.erl", "probe.erl"):
            beam.load(BEAM_SRC / name)
        self.desk = beam.eval("desk:start(desk)")
        self.probe = beam.eval("probe:start(probe)")
        beam.eval("probe:run(P, fun() -> net_kernel:monitor_nodes(true, #{node_type => all}) end)", P=self.probe)
        node.process_flag("trap_exit", True)
        node.monitor_nodes()
        self.watch()

    def watch(self) -> None:
        """Link and monitor both ways."""
        self.ref = self.node.monitor(self.desk)
        self.node.link(self.probe)
        self.there = self.beam.eval("probe:run(P, fun() -> monitor(process, D) end)", P=self.probe, D=self_())
        assert self.node.call(self.desk, (A.echo, 1)) == 1
        assert set(mailbox()) <= {(A.nodeup, self.beam.node)}

    def messages_there(self) -> list[Any]:
        return list(self.beam.eval("probe:messages(P)", P=self.probe))

    def seen_there(self, message: Any) -> bool:
        return message in self.messages_there()


@pytest.fixture(params=lab_kinds())
def lab(request: pytest.FixtureRequest, beam_session: Beam) -> Iterator[Lab]:
    with two_hosts(beam_session.launcher, request.param) as made:
        yield made


@pytest.fixture
def split(lab: Lab) -> Iterator[Split]:
    beam = lab.beam(args=["-kernel", "net_ticktime", str(TICKTIME)])
    with lab.node(ticktime=TICKTIME, setup_time=SETUP_S) as node:
        yield Split(lab, beam, node)
        lab.mend()


def down_here(split: Split) -> list[Any]:
    return sorted(
        [
            (A.DOWN, split.ref, A.process, split.desk, A.noconnection),
            (A.EXIT, split.probe, A.noconnection),
            (A.nodedown, split.beam.node),
        ],
        key=str,
    )


def lost(split: Split) -> list[Any]:
    """The next three messages on this side."""
    return sorted((next_message() for _ in range(3)), key=str)


def healed(split: Split) -> None:
    split.lab.mend()
    wait_for(lambda: split.node.ping(split.beam.name), what="the two sides to meet again")


@pytest.mark.parametrize("towards", [None, HERE, THERE], ids=["both ways", "to here", "to there"])
def test_both_sides_learn_of_a_silent_network_within_the_tick_time_and_once(split: Split, towards: str | None) -> None:
    split.lab.cut(towards)
    with deadline(NOTICED_S, "noticing the split"):
        assert lost(split) == down_here(split)
    wait_for(lambda: split.seen_there((A.nodedown, A[split.node.name], {A.node_type: A.hidden})))
    assert split.seen_there((A.DOWN, split.there, A.process, self_(), A.noconnection))
    healed(split)
    assert split.node.call(split.desk, (A.echo, 2)) == 2
    assert [message for message in mailbox() if message != (A.nodeup, split.beam.node)] == []
    kinds = [message[0] for message in split.messages_there()]
    assert kinds.count(A.DOWN) == 1
    assert kinds.count(A.EXIT) == 1
    assert kinds.count(A.nodedown) == 1


def test_a_split_shorter_than_the_tick_time_loses_nothing_and_nobody_is_told(split: Split) -> None:
    split.lab.cut()
    job = gevent.spawn(split.node.call, split.desk, (A.echo, A.late), timeout=patience())
    split.node.send(split.probe, (A.n, 1))
    gevent.sleep(TICKTIME / 8)
    split.lab.mend()
    assert job.get(timeout=patience()) is A.late
    wait_for(lambda: split.seen_there((A.n, 1)))
    assert mailbox() == []
    assert [message[0] for message in split.messages_there()] == [A.nodeup, A.n]


def test_what_is_sent_before_during_and_after_a_split_is_never_reordered_or_doubled(split: Split) -> None:
    sent = 0

    def send(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            sent += 1
            try:
                split.node.send(split.probe, (A.n, sent))
            except ConnectError:
                pass  # told at the sender while the line is cut: that one is not sent

    send(200)
    wait_for(lambda: split.seen_there((A.n, sent)))
    split.lab.cut()
    send(200)
    for _ in range(3):
        next_message()
    healed(split)
    send(200)
    wait_for(lambda: split.seen_there((A.n, sent)))
    arrived = [message[1] for message in split.messages_there() if message[0] is A.n]
    assert all(one < other for one, other in pairwise(arrived))
    assert set(range(1, 201)) <= set(arrived)
    assert set(range(401, 601)) <= set(arrived)


def test_watches_of_a_second_life_are_told_of_the_second_split_only(split: Split) -> None:
    for _ in range(2):
        split.lab.cut()
        assert lost(split) == down_here(split)
        wait_for(lambda: split.node.name not in split.beam.nodes(), what="the BEAM to notice")
        healed(split)
        split.watch()
    downs = [message for message in split.messages_there() if message[0] is A.DOWN]
    assert len(downs) == len(set(map(str, downs))) == 2


def test_a_call_during_a_split_ends_within_the_tick_time(split: Split) -> None:
    split.lab.cut()
    with deadline(NOTICED_S, "the end of the call"), pytest.raises(NodeDown):
        split.node.call(split.desk, (A.echo, 1), timeout=patience())
    assert lost(split) == down_here(split)
    with deadline(SETUP_S + 1.0, "a connection that does not come about"):
        assert split.node.ping(split.beam.name) is False


# --- bad lines ------------------------------------------------------------------------------------------
@pytest.fixture
def wired(beam: Beam, python: Callable[..., Any]) -> Iterator[tuple[Proxy, Beam, Any]]:
    """A node that reaches the BEAM through a proxy."""
    beam.load(BEAM_SRC / "desk.erl")
    beam.eval("desk:start(desk)")
    with Proxy(("127.0.0.1", beam.epmd.names()[beam.name.partition("@")[0]])) as wire:
        node = python(addresses={beam.name: wire.address}, setup_time=SETUP_S)
        yield wire, beam, node
        node.stop()


def test_a_handshake_and_calls_byte_by_byte(wired: Any) -> None:
    wire, beam, node = wired
    wire.dribble(1)
    assert node.call(("desk", beam.name), (A.echo, b"x" * 300)) == b"x" * 300
    assert wire.connections == 1


def test_a_large_message_in_small_pieces_comes_whole(wired: Any) -> None:
    wire, beam, node = wired
    wire.dribble(1300)  # about a packet of an Ethernet
    data = bytes(range(256)) * 4096
    assert node.call(("desk", beam.name), (A.echo, data)) == data


def test_a_slow_line_is_slow_and_nothing_else(wired: Any) -> None:
    wire, beam, node = wired
    node.connect(beam.name)
    wire.delay(0.1)
    start = time.monotonic()
    jobs = [gevent.spawn(node.call, ("desk", beam.name), (A.echo, i)) for i in range(50)]
    with deadline(2.0, "fifty calls at once"):
        assert [job.get(timeout=patience()) for job in jobs] == list(range(50))
    assert time.monotonic() - start >= 0.2  # one way there, one back; the calls do not wait for each other


def test_a_line_that_breaks_in_the_middle_of_a_message_is_noconnection_once(wired: Any) -> None:
    wire, beam, node = wired
    pid = beam.eval("whereis(desk)")
    ref = node.monitor(pid)
    assert node.call(pid, (A.echo, 1)) == 1
    wire.hold((DOWN,))
    job = gevent.spawn(node.call, pid, (A.echo, b"x" * 3_000_000), timeout=patience())
    wait_for(lambda: wire.passed[UP] > 3_000_000)
    assert wire.cut() == 1
    with pytest.raises(NodeDown):
        job.get(timeout=patience())
    assert next_message() == (A.DOWN, ref, A.process, pid, A.noconnection)
    wire.mend()
    assert node.call(pid, (A.echo, 2)) == 2
    assert mailbox() == []
    assert wire.connections == 2


@pytest.mark.parametrize("direction", BOTH)
def test_a_byte_that_is_changed_during_the_handshake_is_a_refusal_and_the_next_try_succeeds(
    wired: Any, direction: str
) -> None:
    wire, beam, node = wired
    wire.corrupt(direction, skip=25)
    with deadline(2 * SETUP_S, "the refusal"), pytest.raises(ConnectError):
        node.connect(beam.name)
    wire.mend()
    wait_for(lambda: node.ping(beam.name))


def test_garbage_in_a_connection_closes_that_one_and_the_node_lives(wired: Any) -> None:
    wire, beam, node = wired
    node.monitor_nodes()
    pid = beam.eval("whereis(desk)")
    assert node.call(pid, (A.echo, 1)) == 1
    assert next_message() == (A.nodeup, beam.node)
    wire.corrupt(DOWN, skip=4)  # the byte after the length: which kind of packet it is
    with pytest.raises(NodeDown):
        node.call(pid, (A.echo, 2), timeout=patience())
    assert next_message() == (A.nodedown, beam.node)
    assert node.call(pid, (A.echo, 3)) == 3


def test_a_recorded_session_holds_every_byte_and_no_cookie(
    beam: Beam, python: Callable[..., Any], tmp_path: Any
) -> None:
    from pyerlnode.testing import corpus

    recording = corpus.Recording()
    at = "127.0.0.1", beam.epmd.names()[beam.name.partition("@")[0]]
    with Proxy(at, recording=recording) as wire:
        node = python(addresses={beam.name: wire.address})
        assert node.ping(beam.name)
        node.stop()
        wait_for(lambda: beam.nodes() == [])
        recording.save(tmp_path / "ping.session", about=f"OTP {beam.otp}: one ping")
        passed = dict(wire.passed)
    [session] = corpus.load(tmp_path / "ping.session")
    assert {way: len(session.sent(way)) for way in BOTH} == passed
    said = session.sent(UP) + session.sent(DOWN)
    assert beam.name.encode() in said
    assert beam.cookie.encode() not in said
