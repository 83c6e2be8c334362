"""What waits for a connection: its order, its copies, its bound, and that everybody is told when none comes."""

from typing import Any

import gevent
import pytest

from pyerlnode.errors import ConnectError, EncodeError, NodeDown
from pyerlnode.otp import gen
from pyerlnode.runtime.dialling import Dialling
from pyerlnode.runtime.router import Route
from pyerlnode.runtime.system import System
from pyerlnode.signal import Demonitor, Link, Message, Monitor, SpawnRequest, Unlink
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid
from pyerlnode.testing.patience import patience

APP = A["app@h"]
DESK = Pid(APP, 5, 0, 1)
REFUSED = ConnectError("app@h: connection refused", "app@h", "refused")


class Wire:
    """A connection that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, signal: Any) -> bool:
        self.sent.append(signal)
        return True


class Kernel:
    """A system whose attempts to connect end when the test says so."""

    def __init__(self, limit: int = 1_000) -> None:
        self.system = System("py@h", 1)
        self.limit = limit
        self.dials = 0
        self.system.connector = self.begin

    def begin(self, node: Atom) -> Route:
        self.dials += 1
        return self.system.peer(node).dial(self.limit)

    def connect(self) -> list[Any]:
        wire = Wire()
        for signal in self.system.peer(APP).connected(wire):
            wire.send(signal)
        return wire.sent

    def refuse(self) -> int:
        return self.system.peer(APP).not_connected(REFUSED)

    def mailbox(self, process: Any) -> list[Any]:
        gevent.idle()
        return list(process.queue or ())


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_all_signals_wait_in_their_order_and_one_attempt_serves_them(kernel: Kernel) -> None:
    system = kernel.system
    process = system.adopt()
    system.link(process, DESK)
    ref = system.monitor(process, DESK)
    system.send(DESK, 1)
    system.send(("desk", APP), 2)
    system.demonitor(process, ref)
    system.unlink(process, DESK)
    gen.cast(system, DESK, 3)
    sent = kernel.connect()
    system.send(DESK, 4)
    assert kernel.dials == 1
    assert [type(signal) for signal in sent] == [Link, Monitor, Message, Message, Demonitor, Unlink, Message, Message]
    assert [signal.message for signal in sent if type(signal) is Message] == [1, 2, (gen.CAST, 3), 4]


def test_what_its_sender_changes_later_is_not_seen(kernel: Kernel) -> None:
    text = [1, {A.a: [2]}]
    kernel.system.send(DESK, text)
    text[1][A.a].append(3)
    text.append(4)
    assert [signal.message for signal in kernel.connect()] == [[1, {A.a: [2]}]]


def test_a_term_without_a_form_raises_and_leaves_nothing(kernel: Kernel) -> None:
    with pytest.raises(EncodeError):
        kernel.system.send(DESK, object())
    assert kernel.connect() == []


def test_nobody_who_is_told_of_a_connection_is_forgotten_when_none_comes(kernel: Kernel) -> None:
    system = kernel.system
    process = system.adopt()
    process.trap_exit = True
    system.link(process, DESK)
    ref = system.monitor(process, DESK)
    system.send(DESK, 1)
    calls = [gevent.spawn(gen.call, system, DESK, A.hello, timeout) for timeout in (None, 60.0)]
    gevent.idle()
    assert kernel.refuse() == 3
    for call in calls:
        with pytest.raises(NodeDown) as caught:
            call.get(timeout=patience())
        assert str(caught.value) == str(REFUSED)
        assert caught.value.reason[0] == (A.nodedown, APP)
    assert kernel.mailbox(process) == [
        (A.EXIT, DESK, A.noconnection), (A.DOWN, ref, A.process, DESK, A.noconnection),
    ]  # fmt: skip
    peer = system.peer(APP)
    assert (peer.linked, peer.monitors, peer.spawns, peer.route, peer.dialling) == ({}, {}, {}, None, None)


def test_the_next_signal_begins_the_next_attempt(kernel: Kernel) -> None:
    kernel.system.send(DESK, 1)
    kernel.refuse()
    kernel.system.send(DESK, 2)
    assert kernel.dials == 2
    assert [signal.message for signal in kernel.connect()] == [2]


def test_a_connection_that_dies_while_those_who_wait_for_it_wake_is_told_to_all(kernel: Kernel) -> None:
    system, told = kernel.system, []

    def ask() -> None:
        system.connect(APP)
        process = system.adopt()
        process.trap_exit = True
        system.link(process, DESK)
        system.monitor(process, DESK)
        told.append([process.receive(None, patience())[0] for _ in range(2)])

    asking = [gevent.spawn(ask) for _ in range(3)]
    calling = gevent.spawn(gen.call, system, DESK, A.hello, None)
    gevent.idle()
    kernel.connect()
    system.peer(APP).lost()
    with pytest.raises(NodeDown):
        calling.get(timeout=patience())
    kernel.refuse()  # of the attempt that the links and monitors have begun
    gevent.joinall(asking, timeout=patience(), raise_error=True)
    assert told == [[A.EXIT, A.DOWN]] * 3


@pytest.mark.parametrize("up", [True, False])
def test_beyond_the_bound_senders_wait_for_the_end_of_the_attempt(up: bool) -> None:
    kernel = Kernel(limit=500)
    done: list[int] = []

    def flood() -> None:
        for number in range(100):
            kernel.system.send(DESK, bytes(20))
            done.append(number)

    sender = gevent.spawn(flood)
    gevent.idle()
    stopped = len(done)
    assert 10 < stopped < 30
    sent = len(kernel.connect()) if up else kernel.refuse()
    assert sent == stopped + 1
    if up:
        sender.get(timeout=patience())
        assert len(done) == 100


def test_the_hub_and_signals_without_a_term_never_wait(kernel: Kernel) -> None:
    dialling = Dialling(kernel.system, APP, 10)
    hub = kernel.system.scheduler.hub
    hub.loop.run_callback(dialling.send, Message(None, DESK, bytes(100)))
    hub.loop.run_callback(dialling.send, Message(None, DESK, bytes(100)))
    gevent.idle()
    assert dialling.send(Link(DESK, DESK))
    assert not dialling.send(Message(None, DESK, 1), nosuspend=True)
    assert len(list(dialling.end(None))) == 3
    assert not dialling.send(Link(DESK, DESK))


def test_to_wait_for_a_connection_ends_by_its_time_out_and_the_attempt_goes_on(kernel: Kernel) -> None:
    with pytest.raises(ConnectError) as caught:
        kernel.system.connect(APP, 0.01)
    assert caught.value.reason == "timeout"
    waiting = gevent.spawn(kernel.system.connect, APP)
    gevent.idle()
    kernel.connect()
    waiting.get(timeout=patience())
    kernel.system.connect(APP)
    assert kernel.dials == 1


def test_a_request_that_the_peer_turns_out_not_to_know_is_answered(kernel: Kernel) -> None:
    answers: list[Any] = []
    peer, ref = kernel.system.peer(APP), kernel.system.new_ref()
    route = kernel.system.route(APP)
    peer.spawns[ref.words] = answers.append
    route.send(SpawnRequest(ref, DESK, DESK, (A.m, A.f, 1), [A.monitor], [[1]]))
    (request,) = kernel.connect()
    assert (request.opts, request.args) == ([A.monitor], [[1]])
    peer.not_sent(request)
    assert [answer.result for answer in answers] == [A.notsup]


def test_a_send_to_what_can_be_no_node_is_dropped(kernel: Kernel) -> None:
    def no_attempt(_node: Atom) -> Route:
        raise REFUSED

    kernel.system.connector = no_attempt
    process = kernel.system.adopt()
    kernel.system.send(DESK, 1)
    kernel.system.exit(DESK, A.normal)
    ref = kernel.system.monitor(process, DESK)
    assert kernel.mailbox(process) == [(A.DOWN, ref, A.process, DESK, A.noconnection)]


def test_peers_that_do_not_come_are_forgotten(kernel: Kernel) -> None:
    system = kernel.system
    process = system.adopt()
    for number in range(50):
        node = A[f"n{number}@h"]
        system.send(("desk", node), 1)
        ref = system.monitor(process, ("desk", node))
        system.peer(node).not_connected(REFUSED)
        assert kernel.mailbox(process)[-1] == (A.DOWN, ref, A.process, (A.desk, node), A.noconnection)
        assert not system.demonitor(process, ref)
    assert system.peers == {}


def test_of_a_peer_that_was_started_anew_meanwhile_old_links_are_not_told(kernel: Kernel) -> None:
    system = kernel.system
    process = system.adopt()
    system.link(process, DESK)
    ending = system.spawn_function(lambda: system.link(system.myself(), DESK), (), {})
    gevent.idle()
    assert not ending.alive
    system.unlink(process, DESK)
    system.peer(APP).creation = DESK.creation + 1
    assert [type(signal) for signal in kernel.connect()] == [Link, Link]
