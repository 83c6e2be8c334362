"""The connection over socket pairs and in memory: order, partial writes, back-pressure, ends, ticks."""

import logging
import socket
import time
from contextlib import contextmanager

import gevent
import pytest
from gevent.event import Event

from pyerlnode.dist.channel import Channel
from pyerlnode.dist.flags import HIDDEN_FLAGS
from pyerlnode.dist.handshake import PeerInfo
from pyerlnode.dist.ticks import TickSettings
from pyerlnode.errors import EncodeError
from pyerlnode.limits import Limits
from pyerlnode.net.connection import Connection
from pyerlnode.net.memory import memory_pair
from pyerlnode.net.ticker import Ticker
from pyerlnode.signal import Exit2, ExitSignal, Link, Message, MonitorExit
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference
from pyerlnode.testing.patience import patience

LEFT, RIGHT = "left@127.0.0.1", "right@127.0.0.1"
P1, P2 = Pid(Atom(LEFT), 1, 0, 1), Pid(Atom(LEFT), 2, 0, 1)
Q = Pid(Atom(RIGHT), 1, 0, 1)
NEVER = TickSettings(3600, 4)


class End:
    """A connection and what it told."""

    def __init__(self, transport, peer, *, now=0.0, ticks=NEVER, deliver=None, **options):
        info = PeerInfo(peer, 1, HIDDEN_FLAGS, HIDDEN_FLAGS, True, "x@127.0.0.1", 2)
        self.got, self.downs, self.reads = [], [], 0
        self.changed = Event()
        self.connection = Connection(
            transport,
            Channel(info, ticks=ticks, now=now),
            deliver=deliver or self.deliver,
            on_down=self.on_down,
            after_read=self.after_read,
            **options,
        )

    def deliver(self, signal):
        self.got.append(signal)
        self.changed.set()

    def on_down(self, connection, reason):
        assert connection is self.connection
        self.downs.append(reason)
        self.changed.set()

    def after_read(self):
        self.reads += 1

    def wait(self, condition):
        """Until `condition` holds; an event of this end wakes it."""
        with gevent.Timeout(patience()):
            while not condition():
                self.changed.wait()
                self.changed.clear()

    def messages(self):
        return [signal.message for signal in self.got if type(signal) is Message]


@contextmanager
def sockets(buffer=None, left=None, right=None):
    a, b = socket.socketpair()
    if buffer:
        for sock in (a, b):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    ends = End(a, RIGHT, **(left or {})), End(b, LEFT, **(right or {}))
    try:
        for end in ends:
            end.connection.start()
        yield ends
    finally:
        for end in ends:
            end.connection.close()


def test_what_is_sent_arrives_in_order_and_in_one_write():
    with sockets() as (left, right):
        for number in range(1000):
            assert left.connection.send(Message(P1, Q, number))
        assert right.got == []
        right.wait(lambda: len(right.got) == 1000)
        assert right.messages() == list(range(1000))
        assert right.reads <= 3
        assert left.connection.stats.queued == 0


def test_a_reply_sent_while_reading_leaves_at_the_end_of_that_read():
    with sockets() as (left, right):
        right.connection._deliver = lambda signal: right.connection.send(Message(Q, P1, signal.message + 1))
        for number in range(10):
            left.connection.send(Message(P1, Q, number))
        left.wait(lambda: len(left.got) == 10)
        assert left.messages() == list(range(1, 11))
        assert left.reads == 1


def test_who_answers_much_while_reading_does_not_keep_the_first_of_it_to_the_end():
    answer, queued = b"x" * 1000, []
    with sockets() as (left, right):

        def much(signal):
            for _ in range(1000):
                right.connection.send(Message(Q, P1, answer))
                queued.append(right.connection.channel.bytes_out)

        right.connection._deliver = much
        left.connection.send(Message(P1, Q, A.go))
        left.wait(lambda: len(left.got) == 1000)
        assert queued[-1] > 64 * 1024  # written before the read that caused it was over


def test_bytes_that_came_with_the_handshake_are_read_first():
    a, b = socket.socketpair()
    left, right = End(a, RIGHT), End(b, LEFT)
    early = b"".join(left.connection.channel.send(Message(P1, Q, A.early)))
    left.connection.start()
    right.connection.start(early[:30])
    left.connection._queue.put(None, [early[30:]])
    left.connection.send(Message(P1, Q, A.late))
    right.wait(lambda: len(right.got) == 2)
    assert right.messages() == [A.early, A.late]
    left.connection.close()
    right.connection.close()


def test_partial_writes_keep_every_byte_in_place():
    with sockets(buffer=4096) as (left, right):
        sent = [bytes([n]) * (n * 997) for n in range(1, 120)]
        for body in sent:
            left.connection.send(Message(P1, Q, body))
        right.wait(lambda: len(right.got) == len(sent))
        assert right.messages() == sent
        assert left.connection.stats.bytes_out == right.connection.stats.bytes_in


def test_small_messages_pass_a_large_one_but_not_that_of_their_own_sender():
    with sockets(buffer=65536) as (left, right):
        left.connection.send(Link(P1, Q))
        gevent.spawn(left.connection.send, Message(P1, Q, b"L" * 6_000_000))
        gevent.spawn(left.connection.send, Message(P1, Q, A.own))
        gevent.spawn(left.connection.send, Message(P2, Q, A.other))
        right.wait(lambda: len(right.got) == 4)
        kinds = [m if type(m) is Atom else len(m) for m in right.messages()]
        assert kinds == [A.other, 6_000_000, A.own]


def test_a_term_without_a_form_raises_at_the_sender_and_the_next_message_arrives():
    with sockets() as (left, right):
        with pytest.raises(EncodeError):
            left.connection.send(Message(P1, Q, object()))
        left.connection.send(Message(P1, Q, 1))
        right.wait(lambda: right.got)
        assert right.messages() == [1]


def test_a_peer_that_does_not_read_suspends_senders_at_a_bound():
    limits = Limits(send_buffer=100_000)
    with sockets(buffer=4096, left={"limits": limits}) as (left, right):
        right.connection.pause_reading()
        done = []

        def sender(name):
            for _ in range(50):
                left.connection.send(Message(P1, Q, b"x" * 10_000))
            done.append(name)

        senders = [gevent.spawn(sender, name) for name in range(5)]
        gevent.idle()
        gevent.idle()
        stats = left.connection.stats
        assert not done
        assert stats.suspensions == 5
        assert stats.queued < limits.send_buffer + 5 * 11_000
        assert left.connection.send(Message(P1, Q, 1), nosuspend=True) is False
        assert left.connection.send(Link(P1, Q)) is True  # other signals never wait
        right.connection.resume_reading()
        right.wait(lambda: len(right.got) == 251)
        gevent.joinall(senders, raise_error=True)


def test_a_suspended_sender_is_released_when_the_connection_ends():
    with sockets(buffer=4096, left={"limits": Limits(send_buffer=10_000)}) as (left, right):
        right.connection.pause_reading()
        sender = gevent.spawn(left.connection.send, Message(P1, Q, b"x" * 1_000_000))
        gevent.idle()
        assert not sender.ready()
        left.connection.close()
        sender.join(patience())
        assert sender.successful()


def test_closing_tells_both_ends_once_and_writes_what_was_queued():
    with sockets() as (left, right):
        left.connection.send(Message(P1, Q, A.last))
        left.connection.close()
        left.connection.close()
        assert left.downs == [A.disconnect]
        assert left.connection.send(Message(P1, Q, 1)) is False
        right.wait(lambda: right.downs)
        assert (right.messages(), right.downs) == ([A.last], [A.connection_closed])


def test_what_the_peer_said_before_it_went_is_delivered_although_writing_failed():
    a, b = socket.socketpair()
    left = End(a, RIGHT)
    other = End(b, LEFT)
    b2 = b"".join(other.connection.channel.send(Message(Q, P1, A.farewell)))
    other.connection._transport.send([b2])
    other.connection.close()
    left.connection.send(Message(P1, Q, 1))
    left.connection._transport.start(left.connection._readable, left.connection._writable)
    left.connection._transport.want_read(False)
    left.wait(lambda: left.downs)
    assert (left.messages(), left.downs) == ([A.farewell], [A.connection_closed])


def test_garbage_costs_that_connection_with_one_line_that_shows_no_bytes(caplog):
    a, b = socket.socketpair()
    end = End(b, LEFT)
    end.connection.start()
    a.send(b"\0\0\0\x06secret")
    with caplog.at_level(logging.INFO):
        end.wait(lambda: end.downs)
    assert end.downs == [A.protocol_error]
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text
    a.close()


def test_a_message_that_can_not_be_decoded_costs_the_connection_so_that_its_sender_learns_of_it(caplog):
    a, b = socket.socketpair()
    end = End(b, LEFT)
    end.connection.start()
    good = b"".join(end.connection.channel.send(Message(P1, Q, 77)))
    bad = good[:-2] + b"\xc8\x4d"
    with caplog.at_level(logging.INFO):
        a.send(good + bad + good)
        end.wait(lambda: end.downs)
    assert (end.messages(), end.downs) == ([77], [A.protocol_error])
    assert end.connection.stats.undecodable == 1
    assert "can not be decoded: tag 200, which is no term" in caplog.text
    a.close()


def test_an_exit_or_a_down_whose_reason_can_not_be_decoded_still_comes():
    a, b = socket.socketpair()
    end = End(b, LEFT)
    end.connection.start()
    channel = end.connection.channel
    ref = Reference(Atom(LEFT), 1, (1, 2, 3))
    signals = [ExitSignal(P1, Q, 7), Exit2(P1, Q, 7), MonitorExit(P1, Q, ref, 7)]
    for signal in signals:
        a.send(b"".join(channel.send(signal))[:-2] + b"\xc8\x07")
    end.wait(lambda: len(end.got) == 3)
    assert list(map(type, end.got)) == list(map(type, signals))
    assert all(signal.reason[0] is A.undecodable_reason for signal in end.got)
    assert end.connection.stats.undecodable == 3
    end.connection.close()
    a.close()


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit, gevent.Timeout])
def test_a_delivery_that_raises_closes_the_connection_and_leaves_the_hub_alone(caplog, error):
    def deliver(signal):
        raise error("a bug")

    with sockets(right={"deliver": deliver}) as (left, right):
        left.connection.send(Message(P1, Q, 1))
        with caplog.at_level(logging.INFO):
            right.wait(lambda: right.downs)
    assert right.downs == [A.system_error]


def test_a_signal_that_closes_the_connection_is_the_last_one_delivered():
    with sockets() as (left, right):
        right.connection._deliver = lambda signal: (right.deliver(signal), right.connection.close())
        for number in range(5):
            left.connection.send(Message(P1, Q, number))
        right.wait(lambda: right.downs)
        assert (right.messages(), right.downs) == ([0], [A.disconnect])


# --- in memory ---------------------------------------------------------------------------------------------
def test_the_memory_transport_carries_a_connection_byte_by_byte_and_late():
    one, two = memory_pair(capacity=5000)
    two.dribble = 3
    one.delay = 0.001
    left, right = End(one, RIGHT), End(two, LEFT)
    for end in (left, right):
        end.connection.start()
    for number in range(20):
        left.connection.send(Message(P1, Q, (number, b"x" * 500)))
    right.connection.send(Message(Q, P1, A.back))
    right.wait(lambda: len(right.got) == 20)
    left.wait(lambda: left.got)
    assert [message[0] for message in right.messages()] == list(range(20))
    left.connection.close()
    right.wait(lambda: right.downs)
    assert right.downs == [A.connection_closed]


# --- ticks -------------------------------------------------------------------------------------------------
def test_a_silent_connection_writes_a_tick_at_the_end_of_an_interval():
    with sockets(left={"ticks": TickSettings(60, 4)}) as (left, right):
        left.connection.on_timer(15.0)
        left.connection.on_timer(30.0)
        assert left.connection.stats.ticks_out == 2
        left.connection.send(Link(P1, Q))
        right.wait(lambda: right.got)
        assert right.connection.stats.ticks_in == 2


def test_a_silent_peer_is_given_up_with_net_tick_timeout(caplog):
    with sockets(left={"ticks": TickSettings(60, 4)}) as (left, _right), caplog.at_level(logging.INFO):
        for n in range(1, 5):
            left.connection.on_timer(15.0 * n)
        assert left.downs == [A.net_tick_timeout]
        assert "not responding" in caplog.text


def test_bytes_that_lie_unread_save_a_peer_that_seems_silent():
    with sockets(left={"ticks": TickSettings(60, 4)}) as (left, right):
        for n in range(1, 4):
            left.connection.on_timer(15.0 * n)
        right.connection._transport.send([b"\0\0\0\0"])
        left.connection.on_timer(60.0)
        assert (left.downs, left.connection.stats.ticks_in) == ([], 1)


def test_a_peer_is_not_given_up_while_we_do_not_read_ourselves():
    with sockets(left={"ticks": TickSettings(60, 4)}) as (left, _right):
        left.connection.pause_reading()
        for n in range(1, 9):
            left.connection.on_timer(15.0 * n)
        assert left.downs == []


def test_the_thread_writes_only_when_nothing_was_written_and_never_inside_a_packet():
    with sockets(buffer=4096) as (left, right):
        left.connection.tick_from_thread()
        left.connection.tick_from_thread()
        assert left.connection.stats.ticks_out == 2
        right.connection.pause_reading()
        left.connection.send(Message(P1, Q, b"y" * 50_000))
        gevent.idle()
        assert left.connection.stats.queued > 0
        for _ in range(3):
            left.connection.tick_from_thread()
        right.connection.resume_reading()
        right.wait(lambda: right.got)
        left.connection.tick_from_thread()
        assert right.messages() == [b"y" * 50_000]


def test_the_native_thread_ticks_while_the_hub_is_blocked():
    ticks = TickSettings(0.2, 4)
    ticker = Ticker(ticks)
    a, b = socket.socketpair()
    left = End(a, RIGHT, now=time.monotonic(), ticks=ticks, ticker=ticker)
    left.connection.start()
    try:
        b.setblocking(True)
        b.settimeout(10)
        got = b""
        while len(got) < 12:  # a plain blocking socket: the hub does not run here
            got += b.recv(100)
        assert not got.strip(b"\0")
        assert left.downs == []
    finally:
        left.connection.close()
        ticker.stop()
        b.close()


def test_the_hubs_timer_finds_a_dead_peer_without_anyone_asking(caplog):
    ticks = TickSettings(0.04, 4)
    ticker = Ticker(ticks)
    a, b = socket.socketpair()
    left = End(a, RIGHT, now=time.monotonic(), ticks=ticks, ticker=ticker)
    left.connection.start()
    try:
        left.wait(lambda: left.downs)
        assert left.downs == [A.net_tick_timeout]
    finally:
        ticker.stop()
        b.close()


def test_the_fragments_of_another_sender_do_not_suspend_a_small_message():
    with sockets(buffer=65536, left={"limits": Limits(send_buffer=500_000)}) as (left, right):
        right.connection.pause_reading()
        large = gevent.spawn(left.connection.send, Message(P1, Q, b"L" * 6_000_000))
        gevent.idle()
        assert not large.ready()
        assert left.connection.send(Message(P1, Q, A.own), nosuspend=True) is False
        assert left.connection.send(Message(P2, Q, A.small)) is True
        assert left.connection.stats.suspensions == 1
        right.connection.resume_reading()
        right.wait(lambda: len(right.got) == 2)
        assert right.messages()[0] is A.small
        large.join(patience())
