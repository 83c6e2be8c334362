"""What the master of a run does when: chains of events, and what comes of each."""

import pytest

from pyerlnode.tools.run.core import FIRST, LAST, STEADY, Ask, Core, End, Kill, Notify, Start, State, Tell, worker_name

PATIENCE = 30.0


def up(count: int = 3, **options: bool) -> Core:
    core = Core(count, PATIENCE, **options)
    assert core.start(0.0) == [Start(slot) for slot in range(count)]
    told = [core.ready(slot, 1.0) for slot in range(count)]
    assert told == [[]] * (count - 1) + [[Notify("ready")]]
    assert core.is_ready
    return core


def states(core: Core) -> list[str]:
    return [slot.state.value for slot in core.slots]


def test_all_workers_start_at_once_and_the_last_one_makes_the_run_ready() -> None:
    core = Core(2, PATIENCE)
    core.start(0.0)
    assert not core.is_ready
    assert core.ready(1, 1.0) == []
    assert core.is_ready
    assert core.ready(0, 2.0) == [Notify("ready")]


def test_a_worker_that_ends_is_started_again_later_each_time_and_at_once_after_a_steady_life() -> None:
    core = up(1)
    now, delays = 1.0, []
    for _ in range(10):
        [told] = core.ended(0, -9, now)
        assert isinstance(told, Tell)
        assert told.text.startswith("worker 1 ended: signal 9; again in")
        delays.append(core.next_deadline() - now)
        assert core.tick(now) == []
        now = core.next_deadline()
        assert core.tick(now) == [Start(0)]
        core.ready(0, now)
    assert delays[:3] == pytest.approx([FIRST, 2 * FIRST, 4 * FIRST])
    assert delays[-1] == pytest.approx(LAST)
    core.ended(0, 1, now + STEADY)
    assert core.next_deadline() == pytest.approx(now + STEADY + FIRST)


def test_a_roll_replaces_one_worker_after_the_other_and_waits_for_each() -> None:
    core = up()
    assert core.roll(10.0) == [Notify("reloading"), Ask(0)]
    for slot in range(3):
        assert states(core).count("up") == 2
        assert core.ended(slot, 0, 20.0) == [Start(slot)]
        after = core.ready(slot, 30.0)
        assert after == ([Ask(slot + 1)] if slot < 2 else [Notify("ready")])
    assert states(core) == ["up"] * 3


def test_a_version_that_does_not_start_costs_one_worker() -> None:
    core = up()
    core.roll(10.0)
    core.ended(0, 0, 11.0)
    core.failed(0, "shop:make raised ValueError: no")
    [told] = core.ended(0, 1, 12.0)
    assert told == Tell("error", "worker 1 ended: shop:make raised ValueError: no; again in 0.2 s")
    assert states(core) == ["waiting", "up", "up"]
    assert core.roll(13.0) == []
    assert states(core) == ["waiting", "up", "up"]
    assert core.tick(20.0) == [Start(0)]
    assert core.ready(0, 21.0) == [Ask(1)]


def test_a_roll_during_a_roll_replaces_those_too_that_were_replaced() -> None:
    core = up(2)
    core.roll(1.0)
    core.ended(0, 0, 2.0)
    assert core.ready(0, 3.0) == [Ask(1)]
    assert core.roll(4.0) == []
    core.ended(1, 0, 5.0)
    assert core.ready(1, 6.0) == [Ask(0)]
    core.ended(0, 0, 7.0)
    assert core.ready(0, 8.0) == [Ask(1)]
    core.ended(1, 0, 9.0)
    assert core.ready(1, 10.0) == [Notify("ready")]


def test_a_stop_asks_all_and_ends_when_the_last_one_has() -> None:
    core = up(2)
    assert core.stop(5.0) == [Notify("stopping"), Ask(0), Ask(1)]
    assert not core.is_ready
    assert core.ended(1, 0, 6.0) == []
    assert core.ended(0, 0, 7.0) == [End(0)]


def test_who_does_not_end_in_time_is_killed() -> None:
    core = up(1)
    core.stop(5.0, 130)
    assert core.next_deadline() == 5.0 + PATIENCE
    told, kill = core.tick(5.0 + PATIENCE)
    assert isinstance(told, Tell)
    assert kill == Kill(0)
    assert core.tick(99.0) == []
    assert core.ended(0, -9, 99.0) == [End(130)]


def test_a_second_stop_kills() -> None:
    core = up(2)
    core.stop(5.0)
    core.ended(0, 0, 6.0)
    assert core.stop(7.0) == [Kill(1)]


def test_a_stop_while_a_worker_waits_for_its_next_life_ends_at_once() -> None:
    core = up(1)
    core.ended(0, 1, 2.0)
    assert core.stop(2.1) == [Notify("stopping"), End(0)]


def test_a_stop_during_a_roll_starts_nobody() -> None:
    core = up(2)
    core.roll(1.0)
    assert core.stop(2.0) == [Notify("stopping"), Ask(1)]
    assert core.ended(0, 0, 3.0) == []
    assert core.ended(1, 0, 4.0) == [End(0)]
    assert core.roll(5.0) == []


def test_a_worker_that_comes_back_is_no_news_to_the_service_manager() -> None:
    core = up(2)
    core.ended(0, 1, 2.0)
    core.tick(2.0 + FIRST)
    assert core.ready(0, 3.0) == []


def test_each_worker_waits_for_its_own_time() -> None:
    core = up(2)
    core.ended(1, 1, 2.0)
    core.ended(0, 1, 2.1)
    assert core.next_deadline() == pytest.approx(2.0 + FIRST)
    assert core.tick(2.0 + FIRST) == [Start(1)]
    assert core.tick(2.1 + FIRST) == [Start(0)]


def test_a_roll_gives_a_worker_that_waits_a_fresh_start() -> None:
    core = up(1)
    core.ended(0, 1, 2.0)
    core.tick(3.0)
    core.ended(0, 1, 4.0)
    assert core.roll(4.1) == [Notify("reloading"), Start(0)]
    core.ended(0, 1, 5.0)
    assert core.next_deadline() == pytest.approx(5.0 + FIRST)


@pytest.mark.parametrize(("status", "of_the_run"), [(2, 2), (1, 1), (0, 1), (-9, 1)])
def test_a_run_that_is_given_up_ends_at_once_and_never_well(status: int, of_the_run: int) -> None:
    core = Core(1, PATIENCE)
    core.start(0.0)
    core.failed(0, "no")
    assert core.ended(0, status, 1.0) == [Tell("critical", "no"), End(of_the_run)]


@pytest.mark.parametrize("status", [1, 2])
def test_a_worker_that_says_why_it_can_not_start_ends_a_run_in_which_none_was_ready(status: int) -> None:
    core = Core(2, PATIENCE)
    core.start(0.0)
    core.failed(0, "there is no module shop here")
    assert core.ended(0, status, 1.0) == [Tell("critical", "there is no module shop here"), Kill(1)]
    assert core.ended(1, -9, 1.0) == [End(status)]


def test_with_reload_it_is_tried_again() -> None:
    core = Core(1, PATIENCE, lasting=True)
    core.start(0.0)
    core.failed(0, "importing shop raised SyntaxError")
    core.ended(0, 1, 1.0)
    assert core.slots[0].state is State.WAITING
    assert core.roll(1.1) == [Notify("reloading"), Start(0)]


@pytest.mark.parametrize(
    ("name", "count", "names"),
    [
        (None, 2, [None, None]),
        ("shop@h", 1, ["shop@h"]),
        ("shop@h.d", 3, ["shop1@h.d", "shop2@h.d", "shop3@h.d"]),
    ],
)
def test_each_worker_has_a_name_of_its_own(name: str | None, count: int, names: list[str | None]) -> None:
    assert [worker_name(name, index, count) for index in range(count)] == names
