"""A change of the tick time: when it holds, and what it answers meanwhile; the answers are those of `net_kernel`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.dist.ticks import TickAction, TickClock, TickSettings
from pyerlnode.errors import UsageError
from pyerlnode.kernel.tick_time import TickTime, between


class Made:
    """A tick time of 60 s, what it told its connections, and what it does later."""

    def __init__(self) -> None:
        self.told: list[TickSettings] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.time = TickTime(TickSettings(60.0, 4), self.told.append, lambda *what: self.later.append(what))


@pytest.mark.parametrize(("to", "meanwhile"), [(120.0, TickSettings(120.0, 8)), (15.0, TickSettings(60.0, 16))])
def test_a_change_holds_after_its_transition(to: float, meanwhile: TickSettings) -> None:
    made = Made()
    assert made.time.set(60) is A.unchanged
    assert made.time.set(to, 30.0) is A.change_initiated
    assert made.time.set(7) == made.time.get() == (A.ongoing_change_to, to)
    [(seconds, end)] = made.later
    end()
    assert (seconds, made.time.get(), made.told) == (30.0, to, [meanwhile, TickSettings(to, 4)])
    assert made.time.current is made.told[-1]


def test_meanwhile_ticks_are_as_frequent_and_peers_as_silent_as_either_time_allows() -> None:
    for one, other in ((60.0, 7.0), (1.0, 1000.0), (3.0, 4.0)):
        both = between(TickSettings(one, 4), TickSettings(other, 4))
        assert both.ticktime == max(one, other)
        assert both.interval <= min(one, other) / 4
        assert both == between(TickSettings(other, 4), TickSettings(one, 4))


@pytest.mark.parametrize("wrong", [(0,), (-1,), (float("inf"),), (float("nan"),), (60, -1), (60, float("inf"))])
def test_what_is_no_time_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError):
        Made().time.set(*wrong)


def test_a_clock_that_is_changed_ticks_sooner_and_gives_up_by_the_new_time() -> None:
    clock = TickClock(TickSettings(60.0, 4), hidden=False, now=0.0)
    clock.change(TickSettings(4.0, 4), now=0.0)
    assert clock.deadline == 1.0
    actions = [clock.check(float(second), 0, 0) for second in range(1, 5)]
    assert actions == [[TickAction.SEND_TICK]] * 3 + [[TickAction.PEER_DOWN]]


def test_silence_counts_for_the_time_that_it_lasted() -> None:
    clock = TickClock(TickSettings(60.0, 4), hidden=False, now=0.0)
    clock.check(15.0, 0, 0)
    clock.check(30.0, 0, 0)
    clock.change(TickSettings(120.0, 4), now=30.0)
    assert [clock.check(time, 0, 0) for time in (45.0, 75.0, 105.0)][-1] == [TickAction.PEER_DOWN]
