"""The decisions of a stream, as a chain of pure calls: who reads, how much is under way, what ends it."""

import random
from typing import Any

from pyerlnode import A, Pid, Reference
from pyerlnode.kernel.streams.core import IN_USE, WINDOW, End, Flow, Run, Tell, Watch

NODE = A["n@h"]
OWNER, READER, OTHER = (Pid(NODE, n, 0, 4) for n in (1, 2, 3))
REF, LATER = (Reference(NODE, 4, (n, 0, 0)) for n in (1, 2))


def reading(count: int) -> Flow:
    flow = Flow(OWNER)
    flow.begin()
    flow.asked(READER, REF, count)
    return flow


def test_until_somebody_reads_it_belongs_to_its_owner() -> None:
    flow = Flow(OWNER)
    assert flow.begin() == [Watch(OWNER)]
    assert flow.gone(OWNER) == [End()]
    assert Flow(OWNER).closed(REF) == [End()]


def test_the_first_who_asks_is_the_reader_and_its_end_alone_counts_from_then_on() -> None:
    flow = Flow(OWNER)
    assert flow.asked(READER, REF, 2) == [Watch(READER), Run(2)]
    assert flow.gone(OWNER) == []
    assert flow.asked(OTHER, LATER, 5) == [Tell(LATER, IN_USE)]
    assert flow.closed(LATER) == []
    assert flow.gone(READER) == [End()]


def test_an_owner_that_reads_is_watched_once() -> None:
    assert Flow(OWNER).asked(OWNER, REF, 1) == [Run(1)]


def test_it_makes_no_more_than_was_asked_for() -> None:
    flow = reading(2)
    assert flow.item(1) == [Tell(REF, (A.item, 1))]
    assert flow.item(2) == [Tell(REF, (A.item, 2))]
    assert flow.asked(READER, REF, 1) == [Run(1)]


def test_its_end_and_its_error_are_told() -> None:
    assert reading(1).finished() == [Tell(REF, A.done), End()]
    assert reading(1).failed(A.error, A.badarg, []) == [Tell(REF, (A.error, A.badarg, [])), End()]


def test_whatever_is_asked_for_a_window_is_under_way_and_every_item_is_made() -> None:
    chance = random.Random(14)
    for _ in range(50):
        flow, asked, given, told = Flow(OWNER), 0, 0, 0

        def note(effects: list[Any]) -> None:
            nonlocal given, told
            for effect in effects:
                given += effect.count if isinstance(effect, Run) else 0
                told += isinstance(effect, Tell)

        for _ in range(100):
            if chance.random() < 0.1:
                count = chance.choice((1, 2, WINDOW, 10**6))
                asked += count
                note(flow.asked(READER, REF, count))
            elif given > told:
                note(flow.item(0))
            assert told <= given <= asked
            assert given - told <= WINDOW
            assert given > told or asked == told  # somebody who waits is being served
