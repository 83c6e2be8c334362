"""How a system comes to keep trace tokens, and what it does when they are none, too many, or too late."""

import gevent
import pytest

from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.system import System
from pyerlnode.signal import ExitSignal, Link, Message, SpawnRequest
from pyerlnode.term import A, Pid, Reference

THEIRS = Pid(A["peer@127.0.0.1"], 7, 0, 9)
TOKEN = (0, 17, 5, THEIRS, 4)


class Route(list):
    send = list.append


class Forward:
    """A handler that sends each message on."""

    def __init__(self, system):
        self.system = system

    def handle(self, message):
        self.system.send(THEIRS, message)


@pytest.fixture
def system():
    system = System("own@127.0.0.1", 3)
    yield system
    system.stop()


@pytest.fixture
def peer(system):
    peer = system.peer(THEIRS.node)
    peer.connected(Route())
    return peer


@pytest.fixture
def sent(peer):
    """What has left, without the wrapper that gives it tokens."""
    return peer.route


def forwarder(system, **options):
    handler = Forward(system)
    process = system.spawn_handler(handler, **options)
    handler.process = process
    return process


def tokens(sent):
    return [(signal.message, signal.token and signal.token[2:]) for signal in sent]


def test_the_first_token_makes_what_keeps_them_and_the_mailbox_keeps_its_order(system, peer, sent):
    one = forwarder(system)
    peer.deliver(Message(THEIRS, one.pid, "before"))
    assert system.trace_tokens is None
    peer.deliver(Message(THEIRS, one.pid, "traced", TOKEN))
    peer.deliver(Message(THEIRS, one.pid, "after"))
    gevent.idle()
    assert tokens(sent) == [("before", None), ("traced", (6, one.pid, 5)), ("after", None)]


def test_a_process_of_this_node_hands_it_on_to_another(system, peer, sent):
    last = forwarder(system)

    class Inner:
        def handle(self, message):
            system.send(last.pid, message)

    first = system.spawn_handler(Inner())
    peer.deliver(Message(THEIRS, first.pid, "m", TOKEN))
    gevent.idle()
    assert tokens(sent) == [("m", (7, last.pid, 6))]


@pytest.mark.parametrize("token", [A.nothing, (1, 2, 3), (0, 17, A.x, THEIRS, 4), b"x", (0, 17, 2**70, THEIRS, 1)])
def test_what_is_no_token_costs_nothing_and_is_not_handed_on(system, peer, sent, token):
    one = forwarder(system)
    peer.deliver(Message(THEIRS, one.pid, "m", token))
    gevent.idle()
    assert tokens(sent) == [("m", None)]


def test_a_full_mailbox_keeps_no_token_of_what_it_drops(system, peer, sent):
    one = forwarder(system, mailbox=MailboxLimit(2, "drop_newest"))
    for number in range(100):
        peer.deliver(Message(THEIRS, one.pid, [number], TOKEN))
    assert len(one.queue.noted) == 2
    gevent.idle()
    assert tokens(sent) == [([0], (6, one.pid, 5)), ([1], (7, one.pid, 5))]
    assert not one.queue


def test_two_messages_that_are_one_object_have_as_many_tokens_as_came(system, peer, sent):
    one = forwarder(system)
    for token in (TOKEN, TOKEN, None):
        peer.deliver(Message(THEIRS, one.pid, A.same, token))
    gevent.idle()
    assert [token is None for _, token in tokens(sent)] == [False, False, True]


def test_the_end_of_a_link_carries_it_and_nothing_is_left_of_the_process(system, peer, sent):
    class Dies:
        def handle(self, message):
            process.exit(message)

    process = system.spawn_handler(Dies())
    peer.deliver(Link(THEIRS, process.pid))
    peer.deliver(Message(THEIRS, process.pid, A.bye, TOKEN))
    gevent.idle()
    assert sent == [ExitSignal(process.pid, THEIRS, A.bye, (0, 17, 6, process.pid, 5))]
    assert not system.trace_tokens.states


def test_an_exit_with_a_token_comes_as_a_message_with_it(system, peer, sent):
    one = forwarder(system)
    one.trap_exit = True
    peer.deliver(Link(THEIRS, one.pid))
    peer.deliver(ExitSignal(THEIRS, one.pid, A.bye, TOKEN))
    gevent.idle()
    assert tokens(sent) == [((A.EXIT, THEIRS, A.bye), (6, one.pid, 5))]


def test_who_waits_for_an_answer_has_its_token_and_a_late_one_changes_nothing(system, peer, sent):
    ref = system.new_ref()

    def body():
        waiter = system.waiter(ref)
        assert waiter.wait(None)
        system.send(THEIRS, waiter.value)

    pid = system.spawn(body)
    gevent.idle()
    peer.deliver(Message(THEIRS, ref, (ref, "answer"), TOKEN))
    peer.deliver(Message(THEIRS, ref, (ref, "late"), TOKEN))
    peer.deliver(Message(THEIRS, Reference(system.node, 3, (9, 9, 9)), (ref, "nobody's"), TOKEN))
    gevent.idle()
    assert tokens(sent) == [("answer", (6, pid, 5))]


def test_a_peer_that_connects_later_is_told_tokens_too(system, peer, sent):
    one = forwarder(system)
    peer.deliver(Message(THEIRS, one.pid, "m", TOKEN))
    peer.lost()
    again = Route()
    peer.connected(again)
    gevent.idle()
    assert sent == []
    assert tokens(again) == [("m", (6, one.pid, 5))]


def test_what_a_peer_spawns_has_the_token_of_its_request(system, peer, sent):
    system.on_spawn_request = lambda _, request: made.append(system.new_process(None))
    made = []
    mfa = (A.m, A.f, 0)
    peer.deliver(SpawnRequest(Reference(THEIRS.node, 9, (1, 2, 3)), THEIRS, THEIRS, mfa, [], [], TOKEN))
    assert system.trace_tokens.states[made[0].pid].sent(made[0].pid) == (0, 17, 6, made[0].pid, 5)
