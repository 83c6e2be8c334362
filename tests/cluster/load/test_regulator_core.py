"""Queues of a regulator, as chains of values; and a machine that asks, ends and lets time pass at random."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyerlnode.cluster.load.regulator_core import Adaptive, Admitted, Queue, Refused, Revoked, Rules, rules_of
from pyerlnode.errors import UsageError
from pyerlnode.term import A


def full(**rules):
    """A queue in which `held` runs and nobody else may."""
    queue = Queue(Rules(limit=1, **rules))
    assert queue.admit("held", 0.0)
    return queue


def keys(outcomes, kind=Admitted):
    return [outcome.key for outcome in outcomes if isinstance(outcome, kind)]


def test_as_many_run_as_the_limit_says_and_the_next_one_when_one_is_done():
    queue = Queue(Rules(limit=2))
    assert [queue.ask(key, 0.0) for key in "abc"] == [[Admitted("a", 0.0)], [Admitted("b", 0.0)], []]
    assert queue.done("a", 0.5) == [Admitted("c", 0.5)]
    assert set(queue.running) == {"b", "c"}


def test_without_rules_all_are_admitted():
    queue = Queue(Rules())
    assert all(queue.admit(key, 0.0) for key in range(1000))
    assert queue.next_deadline() is None


def test_a_rate_admits_its_burst_at_once_and_then_one_by_one():
    queue = Queue(Rules(rate=10.0, burst=3))
    assert [len(queue.ask(key, 0.0)) for key in range(5)] == [1, 1, 1, 0, 0]
    assert queue.next_deadline() == pytest.approx(0.1)
    assert keys(queue.expire(queue.next_deadline())) == [3]
    assert keys(queue.expire(queue.next_deadline())) == [4]
    assert queue.next_deadline() is None
    assert [queue.admit(key, 100.0) for key in "abcd"] == [True, True, True, False]


def test_a_newcomer_does_not_overtake_those_that_wait():
    queue = Queue(Rules(rate=10.0))
    queue.ask("a", 0.0)
    queue.ask("b", 0.0)
    assert not queue.admit("c", 0.1)
    assert keys(queue.ask("c", 0.1)) == ["b"]


def test_a_full_queue_refuses_at_once_and_says_when_to_ask_again():
    queue = full(queue=1)
    assert queue.ask("waits", 0.0) == []
    [refused] = queue.ask("refused", 0.0)
    assert (refused.key, refused.reason) == ("refused", A.overload)
    assert refused.retry_after > 0
    queue.done("held", 0.4)
    [refused] = [*queue.ask("x", 0.4), *queue.ask("y", 0.4)]
    assert refused.retry_after == pytest.approx(2 * 0.4)


def test_who_would_not_wait_is_refused_at_once():
    queue = full()
    assert keys(queue.ask("a", 0.0, patience=0.0), Refused) == ["a"]
    assert keys(full(queue=0).ask("a", 0.0), Refused) == ["a"]


def test_who_has_waited_as_long_as_it_would_or_may_is_refused():
    queue = full(max_wait=1.0, target=None)
    queue.ask("patient", 0.0)
    queue.ask("hasty", 0.0, patience=0.2)
    assert queue.next_deadline() == 0.2
    assert [(o.key, o.reason) for o in queue.expire(0.2)] == [("hasty", A.timeout)]
    assert [(o.key, o.reason) for o in queue.expire(1.0)] == [("patient", A.timeout)]
    assert queue.next_deadline() is None


def test_a_late_one_is_not_admitted_though_its_timer_was_slow():
    queue = full(max_wait=1.0)
    queue.ask("late", 0.0)
    [outcome] = queue.done("held", 5.0)
    assert (outcome.key, outcome.reason) == ("late", A.timeout)


def test_the_more_urgent_come_first_and_take_the_place_of_the_least_urgent():
    queue = full(queue=3)
    queue.ask("a", 0.0)
    queue.ask("b", 0.0, priority=5)
    queue.ask("c", 0.0, priority=5)
    assert keys(queue.ask("d", 0.0, priority=1), Refused) == ["a"]
    assert keys(queue.ask("e", 0.0, priority=1), Refused) == ["e"]
    order = []
    key = "held"
    while queue.running:
        [key] = keys(queue.done(key, 0.1)) or [None]
        order.append(key)
    assert order == ["b", "c", "d", None]


def test_an_overloaded_queue_serves_the_newest_and_lets_newcomers_wait_the_target_only():
    queue = full(max_wait=1.0, target=0.1, interval=0.5)
    queue.ask("old", 0.0)
    queue.ask("newer", 0.5)
    assert queue.overloaded(0.5)
    assert queue.next_deadline() == 0.6
    assert keys(queue.done("held", 0.55)) == ["newer"]
    assert keys(queue.done("newer", 0.6)) == ["old"]
    queue.ask("calm", 0.6)
    assert queue.next_deadline() == pytest.approx(1.6)


def test_a_full_queue_that_serves_the_newest_refuses_the_oldest():
    queue = full(queue=2, order="lifo")
    queue.ask("a", 0.0)
    queue.ask("b", 0.0)
    assert keys(queue.ask("c", 0.0), Refused) == ["a"]
    assert keys(queue.done("held", 0.1)) == ["c"]


def test_fifo_stays_fifo_under_overload():
    queue = full(order="fifo", max_wait=9.0)
    queue.ask("a", 0.0)
    queue.ask("b", 5.0)
    assert keys(queue.done("held", 5.05)) == ["a"]


def test_done_twice_late_or_unknown_changes_nothing():
    queue = Queue(Rules(limit=1))
    queue.admit("a", 0.0)
    assert queue.done("a", 1.0) == queue.done("a", 2.0) == queue.done("nobody", 2.0) == queue.gone("a", 2.0) == []
    assert queue.counts["done"] == 1


def test_who_is_gone_frees_its_place_whether_it_waits_or_runs():
    queue = full()
    queue.ask("a", 0.0)
    queue.ask("b", 0.0)
    assert queue.gone("a", 0.1) == []
    assert queue.gone("held", 0.1) == [Admitted("b", 0.1)]
    assert (queue.counts["abandoned"], queue.counts["lost"]) == (1, 1)


def test_a_key_is_asked_for_once_at_a_time():
    queue = full()
    with pytest.raises(UsageError, match="not done"):
        queue.ask("held", 0.0)


def test_a_lease_that_is_over_gives_the_permit_to_the_next():
    queue = full(lease=2.0, max_wait=9.0, target=None)
    queue.ask("next", 0.0)
    assert queue.next_deadline() == 2.0
    assert queue.expire(2.0) == [Revoked("held"), Admitted("next", 2.0)]
    assert queue.done("held", 3.0) == []
    assert queue.next_deadline() == 4.0


def test_an_adaptive_limit_rises_with_timely_work_and_falls_once_for_one_congestion():
    queue = Queue(Rules(limit=Adaptive(target=0.1, start=10, least=2, most=12)))
    for n in range(10):
        assert queue.admit(n, 0.0)
    for n in range(5):
        queue.done(n, 1.0)  # slow
    assert queue.limit == 9
    for n in range(5, 10):
        queue.done(n, 1.0, dropped=True)
    assert queue.limit == 9
    now = 2.0
    for _ in range(100):
        batch = [n for n in range(int(queue.limit)) if queue.admit(n, now)]
        now += 0.05
        for n in batch:
            queue.done(n, now)
    assert queue.limit == 12
    for n in range(40):
        queue.admit(n, now)
        queue.done(n, now, dropped=True)
        now += 1.0
    assert queue.limit == 2


def test_an_adaptive_limit_that_nobody_reaches_does_not_rise():
    queue = Queue(Rules(limit=Adaptive(target=0.1, start=10)))
    for n in range(100):
        queue.admit(n, float(n))
        queue.done(n, n + 0.01)
    assert queue.limit == 10


def test_other_rules_take_effect_at_once():
    queue = full(target=None)
    queue.ask("a", 0.0)
    queue.ask("b", 0.0)
    assert keys(queue.change(Rules(limit=2, lease=1.0, target=None), 0.5)) == ["a"]
    assert queue.next_deadline() == 1.0
    assert keys(queue.change(Rules(), 0.6)) == ["b"]
    assert queue.info(0.6) == {
        "running": 3, "waiting": 0, "limit": None, "overloaded": False, "service": None, "asked": 3, "admitted": 3,
        "overload": 0, "timeout": 0, "abandoned": 0, "done": 0, "lost": 0, "revoked": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0}, {"limit": "3"}, {"burst": 0}, {"queue": -1}, {"rate": 0}, {"target": 0}, {"lease": 0},
        {"max_wait": -1}, {"interval": -1}, {"order": "random"}, {"size": 1},
    ],
)  # fmt: skip
def test_rules_that_can_not_be_are_refused(wrong):
    with pytest.raises(UsageError):
        rules_of(wrong)


def test_rules_come_as_a_mapping_too():
    assert rules_of({A.limit: 3, A.order: A.fifo}) == Rules(limit=3, order="fifo")
    assert rules_of(Rules(limit=3)) == Rules(limit=3)
    with pytest.raises(UsageError):
        rules_of(7)
    with pytest.raises(UsageError):
        Adaptive(target=0.1, start=0)


def test_deadlines_of_those_that_left_do_not_pile_up():
    queue = full(max_wait=1000.0, target=None)
    for n in range(10_000):
        queue.ask(n, 0.0)
        queue.gone(n, 0.0)
    assert len(queue._deadlines) < 200


class Requests(RuleBasedStateMachine):
    """Every request gets one outcome; no permit is lost, none is given twice; the queue is bounded."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.serial = 0
        self.asked = set()
        self.admitted = set()
        self.ended = set()
        self.queue = Queue(Rules(limit=2, queue=3))

    def took(self, outcomes):
        for outcome in outcomes:
            assert outcome.key not in self.ended
            if isinstance(outcome, Admitted):
                assert outcome.key not in self.admitted
                assert outcome.waited <= self.queue.rules.max_wait
                self.admitted.add(outcome.key)
            else:
                assert isinstance(outcome, Revoked) == (outcome.key in self.admitted)
                self.ended.add(outcome.key)

    @rule(
        limit=st.one_of(st.none(), st.integers(1, 4), st.just(Adaptive(target=0.5, start=3, least=1, most=5))),
        rate=st.sampled_from([None, 1.0, 7.0]),
        burst=st.integers(1, 3),
        queue=st.integers(0, 4),
        order=st.sampled_from(["fifo", "lifo", "adaptive"]),
        codel=st.sampled_from([None, 0.3]),
        lease=st.sampled_from([None, 2.0]),
    )
    def change(self, codel, **rules):

        self.took(self.queue.change(Rules(max_wait=1.0, interval=0.5, target=codel, **rules), self.now))

    @rule(priority=st.integers(0, 2), patience=st.sampled_from([None, 0.0, 0.4]))
    def ask(self, priority, patience):
        self.serial += 1
        self.asked.add(self.serial)
        before = len(self.queue.waiting)
        self.took(self.queue.ask(self.serial, self.now, priority=priority, patience=patience))
        assert len(self.queue.waiting) <= max(before, self.queue.rules.queue)

    @rule()
    def admit(self):
        self.serial += 1
        if self.queue.admit(self.serial, self.now):
            self.asked.add(self.serial)
            self.admitted.add(self.serial)

    @rule(data=st.data(), dropped=st.booleans())
    def done(self, data, dropped):
        if self.admitted - self.ended:
            key = data.draw(st.sampled_from(sorted(self.admitted - self.ended)))
            self.ended.add(key)
            self.took(self.queue.done(key, self.now, dropped=dropped))

    @rule(data=st.data())
    def gone(self, data):
        if self.asked - self.ended:
            key = data.draw(st.sampled_from(sorted(self.asked - self.ended)))
            self.ended.add(key)
            self.took(self.queue.gone(key, self.now))

    @rule(data=st.data())
    def too_late(self, data):
        if self.ended:
            key = data.draw(st.sampled_from(sorted(self.ended)))
            assert self.queue.done(key, self.now) == self.queue.gone(key, self.now) == []

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.3, 1.0, 5.0]))
    def time_passes(self, seconds):
        end = self.now + seconds
        for _ in range(1000):
            due = self.queue.next_deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.took(self.queue.expire(self.now))
        else:
            raise AssertionError("a deadline that nothing comes of")
        self.now = end

    @invariant()
    def nothing_is_lost(self):
        queue = self.queue
        assert set(queue.running) == self.admitted - self.ended
        assert set(queue.waiting) == self.asked - self.admitted - self.ended
        count = queue.counts
        assert count["asked"] == len(self.asked)
        refused = count["overload"] + count["timeout"] + count["abandoned"]
        assert count["asked"] == count["admitted"] + refused + len(queue.waiting)
        assert count["admitted"] == count["done"] + count["lost"] + count["revoked"] + len(queue.running)
        assert sum(map(len, queue._lanes.values())) == len(queue.waiting)
        assert sorted(queue._lanes) == queue._priorities

    @invariant()
    def nobody_waits_for_nothing(self):
        queue = self.queue
        if queue.waiting:
            assert len(queue.running) >= queue.limit or self.now < queue.free_at
            assert queue.next_deadline() is not None


class Limited(RuleBasedStateMachine):
    """With rules that stay, never more run than the limit, never more are admitted than the rate."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.serial = 0
        self.starts = []
        self.queue = Queue(Rules(limit=3, rate=5.0, burst=2, queue=5))

    def took(self, outcomes):
        self.starts += [self.now for outcome in outcomes if isinstance(outcome, Admitted)]

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.2, 1.0]), priority=st.integers(0, 1))
    def ask(self, seconds, priority):
        self.now += seconds
        self.serial += 1
        self.took(self.queue.ask(self.serial, self.now, priority=priority))

    @rule(data=st.data())
    def done(self, data):
        if self.queue.running:
            self.took(self.queue.done(data.draw(st.sampled_from(sorted(self.queue.running))), self.now))

    @invariant()
    def holds(self):
        assert len(self.queue.running) <= 3
        assert len(self.queue.waiting) <= 5
        for at in self.starts:
            assert sum(at <= start < at + 1.0 for start in self.starts) <= 2 + 5


TestRequests = Requests.TestCase
TestLimited = Limited.TestCase
for case in (TestRequests, TestLimited):
    case.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
