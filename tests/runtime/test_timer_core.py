"""The timer wheel as values: no clock, no loop."""

from pyerlnode.runtime.timer_core import TimerWheel


def fired(wheel, now):
    return [timer.args[0] for timer in wheel.expire(now)]


def test_timers_fire_in_order_of_their_deadlines_and_once():
    wheel = TimerWheel()
    for delay in (0.3, 0.1, 0.2):
        wheel.start(0.0, delay, print, delay)
    assert fired(wheel, 0.25) == [0.1, 0.2]
    assert fired(wheel, 0.25) == []
    assert fired(wheel, 1.0) == [0.3]


def test_a_timer_never_fires_early_and_at_most_a_tick_late():
    wheel = TimerWheel()
    wheel.start(0.0, 0.0104, print, "fine")
    wheel.start(0.0, 2.0001, print, "coarse")
    assert fired(wheel, 0.0104 - 1e-6) == []
    assert fired(wheel, 0.0114) == ["fine"]
    assert fired(wheel, 2.0001 - 1e-6) == []
    assert fired(wheel, 2.0051) == ["coarse"]


def test_a_cancelled_timer_is_forgotten_at_once():
    wheel = TimerWheel()
    timer = wheel.start(0.0, 5.0, print, 1)
    assert timer.active
    assert timer.cancel()
    assert not timer.cancel()
    assert len(wheel) == 0
    assert wheel.next_deadline() is None
    assert fired(wheel, 9.0) == []


def test_a_fired_timer_can_not_be_cancelled():
    wheel = TimerWheel()
    timer = wheel.start(0.0, 0.1, print, 1)
    wheel.expire(1.0)
    assert not timer.cancel()


def test_the_next_deadline_skips_what_was_cancelled():
    wheel = TimerWheel()
    first = wheel.start(0.0, 0.1, print, 1)
    wheel.start(0.0, 0.5, print, 2)
    first.cancel()
    assert wheel.next_deadline() == 0.5


def test_a_hundred_thousand_calls_a_second_leave_no_dead_timers():
    wheel = TimerWheel()
    for n in range(1000):
        wheel.start(n * 1e-5, 5.0, print, n).cancel()
    assert len(wheel) == 0


def test_many_timers_that_are_due_at_once_fire_in_portions_and_the_rest_may_still_be_cancelled():
    wheel = TimerWheel()
    timers = [wheel.start(0.0, delay, print, (delay, n)) for delay in (0.1, 0.2) for n in range(250)]
    order = []
    while due := wheel.expire(1.0, 100):
        assert len(due) <= 100
        assert not any(timer.active or timer.cancel() for timer in due)
        order += [timer.args[0] for timer in due]
        if len(order) == 300:
            assert timers[299].cancel() is False
            assert timers[300].cancel() is True
            assert wheel.next_deadline() == 0.2
    assert order == [timer.args[0] for at, timer in enumerate(timers) if at != 300]
    assert len(wheel) == 0
