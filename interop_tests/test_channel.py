"""The connected phase against a real node: every encoding, large messages, signals, ticks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import gevent
import pytest
from gevent.event import Event

from pyerlnode.dist.channel import Channel
from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.dist.handshake import OwnIdentity
from pyerlnode.dist.ticks import TickSettings
from pyerlnode.net.connection import Connection
from pyerlnode.net.connector import connect
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.net.ticker import Ticker
from pyerlnode.signal import ExitSignal, Link, Message, Monitor, MonitorExit, Unlink, UnlinkAck
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference
from pyerlnode.testing.patience import patience, promise

F = DistFlags
FLAG_SETS = {
    "pass-through": HIDDEN_FLAGS & ~(F.DIST_HDR_ATOM_CACHE | F.FRAGMENTS),
    "cache": HIDDEN_FLAGS & ~F.FRAGMENTS,
    "fragments": HIDDEN_FLAGS & ~F.DIST_HDR_ATOM_CACHE,
    "both": HIDDEN_FLAGS,
}
ECHO = """
spawn(fun() ->
  register(channel_echo, self()),
  (fun Loop() -> receive stop -> ok; {From, Term} -> From ! {self(), Term}, Loop() end end)()
end)
"""
OWN = "channel@127.0.0.1"
ME = Pid(Atom(OWN), 1, 0, 7)


class Session:
    """A connection to a BEAM, with all that came from it."""

    def __init__(self, beam: Any, flags: DistFlags, ticker: Ticker) -> None:
        own = OwnIdentity(OWN, 7, flags)
        sock, peer, leftover = connect(beam.name, own=own, cookie=beam.cookie, epmd=Epmd(beam.epmd_port))
        self.got: list[Any] = []
        self.down: Any = None
        self.changed = Event()
        channel = Channel(peer, ticks=ticker.settings, now=time.monotonic())
        self.connection = Connection(sock, channel, deliver=self._deliver, on_down=self._down, ticker=ticker)
        self.connection.start(leftover)

    def _deliver(self, signal: Any) -> None:
        self.got.append(signal)
        self.changed.set()

    def _down(self, _connection: Connection, reason: Any) -> None:
        self.down = reason
        self.changed.set()

    def wait(self, condition: Callable[[], Any]) -> None:
        with gevent.Timeout(patience()):
            while not condition():
                assert self.down is None
                self.changed.wait()
                self.changed.clear()

    def next(self) -> Any:
        self.wait(lambda: self.got)
        return self.got.pop(0)

    def send(self, to: Any, message: Any) -> None:
        assert self.connection.send(Message(ME, to, message))


@contextmanager
def session(beam: Any, flags: DistFlags = HIDDEN_FLAGS, ticks: TickSettings | None = None) -> Iterator[Session]:
    ticker = Ticker(ticks)
    made = Session(beam, flags, ticker)
    try:
        yield made
    finally:
        made.connection.close()
        ticker.stop()


@contextmanager
def echo(beam: Any) -> Iterator[Pid]:
    beam.eval(ECHO)
    beam.wait_until("whereis(channel_echo) =/= undefined")
    try:
        yield Atom("channel_echo")
    finally:
        beam.eval("channel_echo ! stop")
        beam.wait_until("whereis(channel_echo) =:= undefined")


@pytest.mark.parametrize("flags", FLAG_SETS.values(), ids=FLAG_SETS)
def test_terms_of_every_size_come_back_as_they_went(beam: Any, flags: DistFlags) -> None:
    terms = [
        0, [], False, None, b"", -(2**70), 1.5, A.atom, "é".encode(), (A.ok, [1, 2, [3]]), {b"k": [None, True]}, ME,
        Reference(Atom(OWN), 7, (1, 2, 3)), list(range(500)), b"x" * 65536, b"y" * 1_000_000, [b"z" * 300_000] * 40,
        tuple(Atom(f"channel_atom_{n}") for n in range(300)),
    ]  # fmt: skip
    with echo(beam) as name, session(beam, flags) as here:
        for term in terms:
            here.send(name, (ME, term))
        for term in terms:
            assert here.next().message[1] == term
        assert here.connection.stats.undecodable == 0


def test_many_small_messages_pass_between_the_fragments_of_a_large_one(beam: Any) -> None:
    other = Pid(Atom(OWN), 2, 0, 7)
    with echo(beam) as name, session(beam) as here:
        large = gevent.spawn(here.send, name, (ME, b"L" * 20_000_000))
        for number in range(500):
            here.connection.send(Message(other, name, (other, number)))
        here.wait(lambda: len(here.got) == 501)
        large.join(patience())
        numbers = [signal.message[1] for signal in here.got if type(signal.message[1]) is int]
        assert numbers == list(range(500))


def test_signals_are_answered_as_the_protocol_says(beam: Any) -> None:
    dead = beam.eval("spawn(fun() -> ok end)")
    with echo(beam) as name, session(beam) as here:
        ref = Reference(Atom(OWN), 7, (9, 9, 9))
        here.connection.send(Monitor(ME, A.nobody_is_called_so, ref))
        assert here.next() == MonitorExit(A.nobody_is_called_so, ME, ref, A.noproc)
        here.connection.send(Link(ME, dead))
        assert here.next() == ExitSignal(dead, ME, A.noproc)
        here.send(name, (ME, 1))
        live = here.next().message[0]
        here.connection.send(Link(ME, live))
        here.connection.send(Unlink(2**64 - 1, ME, live))
        assert here.next() == UnlinkAck(2**64 - 1, live, ME)


def test_the_node_keeps_a_connection_whose_hub_is_blocked_longer_than_the_ticktime(beam_factory: Any) -> None:
    ticktime = ceil(promise(2))
    beam = beam_factory(args=("-kernel", "net_ticktime", str(ticktime)))
    with echo(beam) as name, session(beam, ticks=TickSettings(ticktime, 4)) as here:
        end = time.monotonic() + 2 * ticktime
        while time.monotonic() < end:  # a program that computes: no greenlet runs
            sum(range(10_000))
        here.send(name, (ME, A.still_here))
        assert here.next().message[1] is A.still_here
        assert here.connection.stats.ticks_out > 0
