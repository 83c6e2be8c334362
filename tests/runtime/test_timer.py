"""Waits that get a timer late: most are over before."""

from pyerlnode.runtime.timer import YOUNG
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
