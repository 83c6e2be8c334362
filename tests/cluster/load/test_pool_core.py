"""Pools as chains of values; and a machine in which members come and go while jobs are asked for."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pyerlnode.cluster.load.pool_core import Give, Pool, PoolRules, Refuse, Stop, Want
from pyerlnode.errors import UsageError
from pyerlnode.term import A


def pool(size=2, **rules):
    made = Pool(PoolRules(**rules), size)
    for number in range(size):
        assert made.joined(f"m{number}", 0.0) == []
    return made


def given(effects):
    return {effect.job: effect.member for effect in effects if isinstance(effect, Give)}


def refused(effects):
    return {effect.job: effect.reason for effect in effects if isinstance(effect, Refuse)}


def ask_all(made, jobs, **how):
    found = {}
    for job in jobs:
        found |= given(made.ask(job, 0.0, **how))
    return found


def test_the_least_loaded_gets_it_and_the_longest_idle_of_these():
    made = pool(3, in_flight=2)
    assert ask_all(made, "abcd") == {"a": "m0", "b": "m1", "c": "m2", "d": "m0"}
    made.finished("b", 0.0)
    assert ask_all(made, "e") == {"e": "m1"}


def test_round_robin_passes_over_those_without_room():
    made = pool(3, strategy="round_robin")
    assert ask_all(made, "abc") == {"a": "m0", "b": "m1", "c": "m2"}
    made.finished("c", 0.0)
    made.finished("b", 0.0)
    assert ask_all(made, "de") == {"d": "m1", "e": "m2"}


def test_a_key_belongs_to_one_member_and_waits_for_it():
    made = pool(2, strategy="hash")
    assert ask_all(made, "a", hash=7) == {"a": "m1"}
    assert ask_all(made, "b", hash=7) == {}
    assert ask_all(made, "c", hash=8) == {"c": "m0"}
    made.finished("c", 0.0)
    assert given(made.finished("a", 0.0)) == {"b": "m1"}
    assert ask_all(made, "d") == {"d": "m0"}


def test_calls_of_a_key_wait_while_its_member_is_replaced():
    made = pool(2, strategy="hash")
    assert made.left("m1", 0.0) == ([], [])
    assert ask_all(made, "a", hash=1) == {}
    assert given(made.joined("new", 0.5)) == {"a": "new"}


def test_those_that_wait_are_served_in_order_and_the_queue_is_bounded():
    made = pool(1, queue=2)
    ask_all(made, "abc")
    assert refused(made.ask("d", 0.0)) == {"d": A.overload}
    assert refused(pool(1, queue=0).ask("x", 0.0)) == {}
    assert made.finished("a", 0.5) == [Give("b", "m0", 0.5)]
    assert given(made.finished("b", 0.5)) == {"c": "m0"}


def test_nobody_waits_longer_than_it_may_or_would():
    made = pool(1, max_wait=1.0)
    made.ask("a", 0.0)
    made.ask("b", 0.0)
    made.ask("c", 0.0, patience=0.5)
    assert refused(made.ask("d", 0.0, patience=0.0)) == {"d": A.overload}
    assert made.next_deadline() == 0.5
    assert refused(made.expire(0.5)) == {"c": A.timeout}
    assert refused(made.finished("a", 1.0)) == {"b": A.timeout}
    assert made.next_deadline() is None


def test_a_member_that_ends_takes_its_jobs_with_it_and_another_fills_its_place():
    made = pool(2, in_flight=2)
    ask_all(made, "abcdx")
    jobs, effects = made.left("m0", 0.1)
    assert (sorted(jobs), effects) == (["a", "c"], [])
    assert made.finished("a", 0.1) == []
    assert given(made.joined("new", 0.2)) == {"x": "new"}
    assert made.left("m0", 0.3) == made.left("stranger", 0.3) == ([], [])
    assert (made.counts["crashed"], made.counts["lost"]) == (1, 2)


def test_one_that_is_lent_has_no_other_job_and_is_lent_when_it_is_idle():
    made = pool(2, in_flight=2)
    assert ask_all(made, "a") == {"a": "m0"}
    assert ask_all(made, "L", alone=True) == {"L": "m1"}
    assert ask_all(made, "b") == {"b": "m0"}
    assert ask_all(made, "K", alone=True) == {}
    assert ask_all(made, "c") == {}
    assert made.finished("a", 0.0) == []
    assert given(made.finished("b", 0.0)) == {"K": "m0"}
    assert given(made.finished("L", 0.0)) == {"c": "m1"}
    assert made.info()["lent"] == 1


def test_who_gives_up_in_front_of_others_lets_them_pass():
    made = pool(1, in_flight=2)
    ask_all(made, "a")
    ask_all(made, "L", alone=True)
    ask_all(made, "b")
    assert given(made.gone("L", 0.0)) == {"b": "m0"}
    assert made.gone("L", 0.0) == made.gone("a", 0.0) == []


def test_a_larger_pool_wants_members_and_a_smaller_one_lets_them_finish():
    made = pool(2)
    assert made.resize(4, 0.0) == [Want(2)]
    made.joined("m2", 0.0)
    ask_all(made, "abcd")
    assert made.resize(1, 0.0) == []
    assert made.members() == ["m0", "m1", "m2"]
    assert made.finished("b", 0.0) == [Stop("m1")]
    assert made.joined("late", 0.0) == [Stop("late")]
    assert made.left("m2", 0.0) == (["c"], [])
    assert given(made.finished("a", 0.0)) == {"d": "m0"}
    assert made.resize(1, 0.0) == []


def test_an_idle_member_is_stopped_at_once_and_keys_move():
    made = pool(2, strategy="hash")
    ask_all(made, "ab", hash=0)
    ask_all(made, "c", hash=1)
    ask_all(made, "d", hash=1)
    made.finished("c", 0.0)
    made.finished("d", 0.0)
    assert made.resize(1, 0.0) == [Stop("m1")]
    assert ask_all(made, "e", hash=1) == {}
    assert given(made.finished("a", 0.0)) == {"b": "m0"}
    assert given(made.finished("b", 0.0)) == {"e": "m0"}


def test_what_can_not_be_is_refused():
    for wrong in ({"in_flight": 0}, {"queue": -1}, {"max_wait": -1}, {"strategy": "any"}):
        with pytest.raises(UsageError):
            PoolRules(**wrong)
    with pytest.raises(UsageError):
        Pool(PoolRules(), 0)
    made = pool(1)
    made.ask("a", 0.0)
    with pytest.raises(UsageError):
        made.ask("a", 0.0)
    with pytest.raises(UsageError):
        made.resize(True, 0.0)


def test_deadlines_of_those_that_left_do_not_pile_up():
    made = pool(1, max_wait=1000.0)
    made.ask("a", 0.0)
    for n in range(5000):
        made.ask(n, 0.0)
        made.gone(n, 0.0)
    assert len(made._deadlines) < 200


class Jobs(RuleBasedStateMachine):
    """Each job has one outcome; no member has too much; nobody waits beside a member that has room."""

    @initialize(
        strategy=st.sampled_from(["least_loaded", "round_robin", "hash"]),
        in_flight=st.integers(1, 3),
        queue=st.integers(0, 4),
    )
    def begin(self, **rules):
        self.now = 0.0
        self.serial = 0
        self.members = {}
        self.open = set()
        self.ended = set()
        self.pool = Pool(PoolRules(max_wait=1.0, **rules), 2)

    def took(self, effects):
        for effect in effects:
            match effect:
                case Give(job, member, waited):
                    assert job in self.open
                    assert waited <= 1.0
                    self.members[member].add(job)
                case Refuse(job, _):
                    self.open.remove(job)
                    self.ended.add(job)
                    assert not any(job in jobs for jobs in self.members.values())
                case Stop(member):
                    assert not self.members.pop(member)
                case Want(members):
                    assert members > 0

    @rule(hash=st.one_of(st.none(), st.integers(0, 5)), alone=st.booleans(), patience=st.sampled_from([None, 0.0, 0.4]))
    def ask(self, **how):
        self.serial += 1
        self.open.add(self.serial)
        before = len(self.pool.waiting)
        self.took(self.pool.ask(self.serial, self.now, **how))
        assert len(self.pool.waiting) <= max(before, self.pool.rules.queue)

    @rule(data=st.data())
    def finished(self, data):
        busy = sorted(self.pool.given)
        if busy:
            job = data.draw(st.sampled_from(busy))
            self.open.discard(job)
            self.ended.add(job)
            for jobs in self.members.values():
                jobs.discard(job)
            self.took(self.pool.finished(job, self.now))

    @rule(data=st.data())
    def gone(self, data):
        if self.pool.waiting:
            job = data.draw(st.sampled_from(sorted(self.pool.waiting)))
            self.open.discard(job)
            self.ended.add(job)
            self.took(self.pool.gone(job, self.now))

    @rule(data=st.data())
    def too_late(self, data):
        if self.ended:
            job = data.draw(st.sampled_from(sorted(self.ended)))
            assert self.pool.finished(job, self.now) == self.pool.gone(job, self.now) == []

    @rule()
    def joins(self):
        self.serial += 1
        self.members[f"m{self.serial}"] = set()
        self.took(self.pool.joined(f"m{self.serial}", self.now))

    @rule(data=st.data())
    def crashes(self, data):
        if self.members:
            member = data.draw(st.sampled_from(sorted(self.members)))
            lost, effects = self.pool.left(member, self.now)
            assert set(lost) == self.members.pop(member)
            self.open -= set(lost)
            self.ended |= set(lost)
            self.took(effects)

    @rule(size=st.integers(1, 4))
    def resize(self, size):
        self.took(self.pool.resize(size, self.now))

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0]))
    def time_passes(self, seconds):
        end = self.now + seconds
        while (due := self.pool.next_deadline()) is not None and due <= end:
            self.now = due
            self.took(self.pool.expire(self.now))
        self.now = end

    @invariant()
    def nothing_is_lost(self):
        made = self.pool
        assert set(made.given) | set(made.waiting) == self.open
        assert not set(made.given) & set(made.waiting)
        count = made.counts
        refusals = count["overload"] + count["timeout"] + count["abandoned"]
        assert count["asked"] == count["given"] + refusals + len(made.waiting)
        assert count["given"] == count["finished"] + count["lost"] + len(made.given)
        assert sorted(made.members()) == sorted(self.members)

    @invariant()
    def no_member_has_too_much(self):
        made = self.pool
        for place in [*(p for p in made.places if p is not None), *made.retiring.values()]:
            assert place.jobs == self.members[place.member]
            assert len(place.jobs) <= (1 if place.alone else made.rules.in_flight)

    @invariant()
    def nobody_waits_for_nothing(self):
        made = self.pool
        for lane in made._lanes:
            if lane:
                assert made._room(next(iter(lane.values()))) is None
        assert not made.waiting or made.next_deadline() is not None


TestJobs = Jobs.TestCase
TestJobs.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
