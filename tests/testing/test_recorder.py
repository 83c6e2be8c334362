"""`testing.recorder`: the last signals of both directions, and nothing on the way of a message without it."""

from typing import Any

from pyerlnode import A
from pyerlnode.net.connection import Connection
from pyerlnode.testing.pair import NodePair
from pyerlnode.testing.recorder import Recorder


def send(pair: NodePair, count: int) -> None:
    for number in range(count):
        pair.left.send(pair.right.self_(), (A.number, number))
    pair.run_until_idle()


def test_the_last_signals_of_each_way_are_kept_in_their_order() -> None:
    with Recorder(4) as recorder, NodePair() as pair:
        send(pair, 10)
        lines = list(recorder.lines())
    sent = [line for line in lines if "-> right@pair" in line]
    taken = [line for line in lines if "<- left@pair" in line]
    for kept in (sent, taken):
        assert len(kept) == 4
        assert [f"(A.number, {number})" in line for number, line in zip(range(6, 10), kept, strict=True)] == [True] * 4
    assert lines == sorted(lines, key=lambda line: float(line.split()[0]))


def test_nothing_is_on_the_way_of_a_message_without_it() -> None:
    def methods() -> list[Any]:
        return [Connection.__init__, Connection.send]

    before = methods()
    with Recorder(1):
        assert methods() != before
    assert methods() == before
    with NodePair() as pair:
        send(pair, 3)


def test_a_long_signal_is_told_short() -> None:
    with Recorder(4) as recorder, NodePair() as pair:
        pair.left.send(pair.right.self_(), list(range(10_000)))
        pair.run_until_idle()
        assert all(len(line) < 400 for line in recorder.lines())
