"""The tick rule."""

from pyerlnode.dist.ticks import TickAction, TickClock, TickSettings

TICK, DOWN = [TickAction.SEND_TICK], [TickAction.PEER_DOWN]


def clock(hidden=False):
    return TickClock(TickSettings(60, 4), hidden, 0.0)


def test_a_tick_is_written_when_nothing_else_was():
    machine = clock()
    assert machine.check(15, 10, 0) == TICK
    assert machine.check(30, 20, 10) == []
    assert machine.check(45, 30, 10) == TICK


def test_a_hidden_peer_is_ticked_also_when_it_is_silent():
    assert clock(hidden=True).check(15, 0, 10) == TICK
    assert clock(hidden=False).check(15, 0, 10) == []


def test_a_peer_is_down_after_four_silent_intervals_and_not_before():
    machine = clock()
    assert [machine.check(15 * n, 5, n) for n in range(1, 6)] == [[], [], [], [], DOWN]


def test_intervals_that_were_slept_through_count_once():
    machine = clock()
    assert machine.check(15, 1, 1) == []
    assert machine.check(1000, 1, 1) == TICK
    assert machine.deadline == 1015


def test_a_peer_that_was_heard_after_all_starts_anew():
    machine = clock()
    for n in range(1, 4):
        machine.check(15 * n, 0, n)
    assert machine.check(60, 0, 4) == DOWN
    machine.revive()
    assert [machine.check(60 + 15 * n, 0, 4 + n) for n in range(1, 4)] == [[], [], []]


def test_a_clock_that_jumps_ahead_costs_one_interval_and_one_that_goes_back_ends_nobody():
    machine = clock()
    heard = 0
    for jump in (1e3, 1e6, 1e9):  # a machine that slept: one silent interval each, and the peer speaks again
        assert machine.check(jump, heard, heard) == TICK
        heard += 1
        assert machine.check(jump + 15, heard, heard) == []
    deadline = machine.deadline
    for back in (0.0, -1e9):
        assert machine.check(back, heard, heard) == []
    assert machine.deadline == deadline
    assert machine.check(deadline, heard + 1, heard + 1) == []
