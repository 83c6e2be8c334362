"""Waits that get a timer late: most are over before."""

import gevent

from pyerlnode.runtime.timer import AT_ONCE, YOUNG, Timers
from pyerlnode.testing.virtual import VirtualClock, VirtualTimers


class Wait:
    """Something that waits, and how much time it was given at last."""

    def __init__(self):
        self.resumable = True
        self.given = []

    def arm_for(self, seconds):
        self.given.append(seconds)


def test_a_wait_that_is_over_soon_gets_no_timer_and_one_that_is_not_gets_what_is_left():
    clock = VirtualClock()
    timers = VirtualTimers(clock)
    began, short, long = clock.now(), Wait(), Wait()
    timers.start_late(5.0, short)
    timers.start_late(5.0, long)
    assert len(timers.wheel) == 1  # one for all
    short.resumable = False
    clock.set(began + YOUNG + 0.01)
    timers.fire_due()
    assert short.given == []
    assert [round(seconds, 6) for seconds in long.given] == [round(5.0 - YOUNG - 0.01, 6)]
    assert len(timers.wheel) == 0
    timers.start_late(5.0, short)
    assert len(timers.wheel) == 1


def test_closed_timers_forget_who_waits():
    clock = VirtualClock()
    timers = VirtualTimers(clock)
    wait = Wait()
    timers.start_late(5.0, wait)
    timers.close()
    clock.set(clock.now() + 10)
    timers.fire_due()
    assert wait.given == []
    timers.start_late(5.0, wait)
    assert len(timers.wheel) == 1


def test_timers_that_fire_at_once_let_sockets_be_looked_at_between_turns():
    """Each takes a millisecond of the clock; by the count of the loop's rounds."""
    fired, rounds, clock = [], [], VirtualClock(1000.0)

    def one(number):
        clock.set(clock.now() + 0.001)
        fired.append(number)

    loop = gevent.get_hub().loop
    timers = Timers(loop, clock.now)
    check = loop.check()
    check.start(lambda: rounds.append(len(fired)))
    for number in range(1000):
        timers.start(0.0, one, number)
    while len(fired) < 1000:
        gevent.sleep(0)
    check.stop()
    check.close()
    timers.close()
    assert fired == list(range(1000))
    assert max(after - before for before, after in zip([0, *rounds], [*rounds, 1000], strict=True)) == AT_ONCE
