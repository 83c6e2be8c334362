"""When a pause before the next read pays: chains of reads, without a clock."""

from dataclasses import dataclass

from pyerlnode.net.moderation import ENOUGH, FEW, MOST, WINDOW, Moderation


@dataclass
class Way:
    """What reads are like: signals of each, and seconds from one to the next."""

    signals: int
    gap: float

    @property
    def rate(self):
        return self.signals / self.gap


class Load:
    """Reads that come in one way while the hub pauses and in another while it does not."""

    def __init__(self):
        self.now = 0.0
        self.moderation = Moderation(self.now)
        self.paused = 0.0
        """Seconds of all in which it paused."""

    def run(self, plain, paused, seconds):
        """The share of the time in which it paused."""
        ends, before, began = self.now + seconds, self.paused, self.now
        while self.now < ends:
            way = paused if self.moderation.pausing else plain
            self.now += way.gap
            self.paused += way.gap if self.moderation.pausing else 0
            self.moderation.read(way.signals, self.now)
        return (self.paused - before) / (self.now - began)


MANY = Way(2, 15e-6), Way(20, 120e-6)
"""50 callers: a read that waits gathers ten times as much, and a quarter more comes per second."""
ONE = Way(1, 20e-6), Way(3, 110e-6)
"""One caller, as measured."""


def test_many_callers_are_gathered():
    load = Load()
    load.run(*MANY, 0.1)
    assert load.run(*MANY, 2.0) > 0.9


def test_one_caller_hardly_ever_waits():
    load = Load()
    load.run(*ONE, 0.1)
    share = load.run(*ONE, 2.0)
    assert 0 < share < ENOUGH * ONE[1].gap / (MOST * WINDOW) * 1.2  # a trial of a few reads, now and then


def test_what_is_as_fast_both_ways_is_gathered_for_it_needs_less_of_the_processor():
    same = Way(4, 40e-6), Way(FEW + 2, (FEW + 2) * 10e-6)
    load = Load()
    load.run(*same, 0.1)
    assert load.run(*same, 2.0) > 0.9


def test_a_pause_by_which_less_comes_is_left_alone_though_it_gathers_much():
    slower = Way(4, 20e-6), Way(20, 150e-6)
    load = Load()
    load.run(*slower, 0.1)
    assert load.run(*slower, 2.0) < 1.5 / MOST


def test_one_caller_after_many_is_noticed_within_a_few_reads():
    load = Load()
    load.run(*MANY, 1.0)
    while not load.moderation.pausing:
        load.run(*MANY, 1e-4)
    began = load.now
    while load.moderation.pausing:
        load.run(*ONE, 1e-5)
        assert load.now - began < WINDOW + 2 * ENOUGH * ONE[1].gap


def test_many_callers_after_one_are_noticed():
    load = Load()
    load.run(*ONE, 5.0)
    load.run(*MANY, 2 * MOST * WINDOW)
    assert load.run(*MANY, 1.0) > 0.8


def test_after_silence_all_begins_anew():
    load = Load()
    load.run(*MANY, 1.0)
    load.now += 1.0
    load.moderation.read(1, load.now)
    assert not load.moderation.pausing


def test_one_bad_window_does_not_end_it_for_long():
    load = Load()
    load.run(*MANY, 1.0)
    load.run(Way(1, 1e-5), Way(1, 1e-4), 0.002)  # a peer that collected its garbage
    load.run(*MANY, 4 * WINDOW)
    assert load.run(*MANY, 1.0) > 0.8
