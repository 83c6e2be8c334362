"""When a hub counts as blocked: chains of looks, each with the time, the program's own time and the loop's turn."""

import pytest

from pyerlnode.kernel.blocked_core import LOOKS, Blocked, Free, NotRun, Watch

LIMIT = 1.0
STEP = LIMIT / LOOKS


class World:
    """A program that is looked at; `seconds` pass between two looks, in which it computes all the time or never."""

    def __init__(self):
        self.now, self.cpu, self.turns = 100.0, 5.0, 7
        self.watch = Watch(LIMIT, self.now, self.cpu)

    def look(self, *, idle=False, turned=0, seconds=STEP, computes=True):
        self.now += seconds
        self.cpu += seconds if computes else 0.0
        self.turns += turned
        return self.watch.look(self.now, self.cpu, self.turns, idle)

    def looks(self, count, **how):
        return [verdict for _ in range(count) for verdict in self.look(**how)]


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize("computes", [True, False])
def test_an_idle_hub_is_not_blocked_however_long_its_loop_stands(world, computes):
    assert world.looks(1000, idle=True, computes=computes) == []


def test_a_busy_hub_that_turns_is_not_blocked(world):
    assert world.looks(1000, turned=1) == []


@pytest.mark.parametrize("computes", [True, False])
def test_a_block_is_told_once_and_so_is_its_end(world, computes):
    """`time.sleep` blocks as well as computing does."""
    assert world.looks(3, turned=1) == []
    assert world.looks(LOOKS - 1, computes=computes) == []
    assert world.look(computes=computes) == [Blocked(pytest.approx(LIMIT))]
    assert world.looks(20, computes=computes) == []
    assert world.look(turned=1) == [Free(pytest.approx(LIMIT + 20 * STEP))]
    assert world.looks(20, turned=1) == []


def test_the_end_is_an_idle_hub_too(world):
    world.looks(3)
    assert world.looks(LOOKS + 5) == [Blocked(pytest.approx(LIMIT))]
    assert [type(verdict) for verdict in world.look(idle=True)] == [Free]
    assert world.looks(50, idle=True) == []


def test_a_block_that_ends_before_the_limit_is_not_told(world):
    for _ in range(50):
        assert world.looks(LOOKS - 1) == []
        assert world.look(turned=1) == []


def test_each_block_is_told(world):
    for _ in range(3):
        verdicts = world.looks(LOOKS + 2)
        verdicts += world.look(turned=1)
        assert [type(verdict) for verdict in verdicts] == [Blocked, Free]
        assert world.look(idle=True) == []


def test_what_runs_when_an_idle_hub_wakes_is_counted_from_there(world):
    """The loop counts a turn when it goes to sleep, not when it wakes: the turn is the same."""
    world.looks(100, idle=True)
    assert world.looks(LOOKS) == []
    assert world.look() == [Blocked(pytest.approx(LIMIT))]


# --- the machine ---------------------------------------------------------------------------------
def test_a_program_that_was_stopped_accuses_nobody(world):
    """SIGSTOP in the midst of a callback."""
    world.looks(2)
    assert world.look(seconds=30.0, computes=False) == [NotRun(pytest.approx(30.0 - STEP))]
    assert world.look(turned=1) == []


def test_time_in_which_the_program_did_not_run_does_not_count(world):
    world.looks(2)
    for _ in range(2):
        assert [type(verdict) for verdict in world.look(seconds=2.0, computes=False)] == [NotRun]
    assert world.look() == [Blocked(pytest.approx(LIMIT))]


def test_a_machine_that_is_always_a_little_late_accuses_nobody_of_its_delays(world):
    """Every look comes late by more than its interval, and the callback ends after four of them."""
    for _ in range(10):
        verdicts = world.looks(LOOKS - 1, seconds=STEP + 0.9, computes=False)
        assert verdicts == []
        assert world.look(turned=1) == []


def test_a_block_on_a_late_machine_is_told_when_the_rest_is_long_enough(world):
    verdicts = world.looks(LOOKS + 2, seconds=STEP + 0.9, computes=False)
    assert [type(verdict) for verdict in verdicts] == [Blocked]


def test_code_that_computes_with_the_interpreters_lock_is_a_block(world):
    """No look can be taken meanwhile; the first one afterwards finds the same code."""
    world.looks(10, idle=True)
    assert world.look(seconds=3.0) == [Blocked(pytest.approx(3.0 - STEP))]
    assert [type(verdict) for verdict in world.look(turned=1)] == [Free]


def test_such_code_in_another_thread_accuses_no_idle_hub(world):
    assert world.look(seconds=3.0, idle=True) == []
    assert world.looks(10, idle=True) == []


def test_an_idle_program_that_was_stopped_says_so_and_accuses_nobody(world):
    assert world.look(seconds=3.0, idle=True, computes=False) == [NotRun(pytest.approx(3.0 - STEP))]
