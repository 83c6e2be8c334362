"""The presences of a cluster as a set that nobody loses: what the library's own state does is in `interop_tests`."""

import itertools
import random

import pytest
from each import each

from pyerlnode.bridges.phoenix import tracker_core as core
from pyerlnode.bridges.phoenix.tracker_core import DOWN, PERMDOWN, UP, Other, Replicas, State, Value, place
from pyerlnode.term import A
from pyerlnode.term.pid import Pid

ONE, TWO, THREE = REFS = [(A[f"n{number}@sim"], number) for number in range(1, 4)]
PID = Pid(A["n1@sim"], 7, 0, 1)


def value(key=b"ann", meta=1, topic=b"room", pid=PID):
    return Value(pid, topic, key, {A.at: meta})


def delta(state):
    made = state.delta
    state.reset_delta()
    state.compact()
    return Other(made.values, made.clouds, {})


def pair():
    one, two = State(ONE), State(TWO)
    one.replica_up(TWO)
    two.replica_up(ONE)
    return one, two


def there(state, topic=b"room"):
    return sorted((value.key, value.meta[A.at]) for value in state.of_topic(topic))


def test_what_one_puts_there_is_there_for_the_other_until_it_leaves():
    one, two = pair()
    one.join(value())
    assert two.merge(delta(one)) == ([value()], [])
    one.leave_join(value(meta=2))
    assert two.merge(delta(one)) == ([value(meta=2)], [value()])
    assert there(two) == [(b"ann", 2)]
    one.leave(place(value()))
    assert two.merge(delta(one)) == ([], [value(meta=2)])
    assert (there(one), there(two)) == ([], [])
    assert two.context[ONE] == one.context[ONE] == 4


def test_a_delta_may_come_twice_and_late_and_in_another_order():
    one, two = pair()
    deltas = []
    for step in (lambda: one.join(value()), lambda: one.leave_join(value(meta=2)), lambda: one.leave(place(value()))):
        step()
        deltas.append(delta(one))
    for index in (1, 2, 0, 1, 2, 0):
        two.merge(deltas[index])
    assert (there(two), two.context[ONE]) == ([], 4)


def test_keys_that_python_takes_for_one_are_told_apart():
    one, two = pair()
    for key in (1, 1.0, True, b"1", [1]):
        one.join(value(key=key))
    assert len(list(one.of_topic(b"room"))) == 5
    joins, _ = two.merge(one.extract(two.context))
    assert len(joins) == len(two.entries) == 5
    one.leave(place(value(key=1.0)))
    assert two.merge(delta(one)) == ([], [value(key=1.0)])


def test_nothing_is_taken_of_a_replica_that_is_not_known_or_gone_for_good():
    one, two = State(ONE), State(TWO)
    one.join(value())
    first = delta(one)
    assert two.merge(first) == ([], [])
    two.replica_up(ONE)
    assert two.merge(first) == ([value()], [])
    assert two.replica_down(ONE) == [value()]
    assert (there(two), two.clocks()) == ([], {TWO: 0})
    assert two.replica_up(ONE) == [value()]
    two.remove_replica(ONE)
    assert (there(two), two.entries, two.context) == ([], {}, {TWO: 0})
    assert two.merge(first) == ([], [])


def test_who_has_not_seen_an_entry_does_not_remove_it():
    one, two = pair()
    three = State(THREE)
    one.replica_up(THREE)
    two.replica_up(THREE)
    one.join(value())
    assert two.merge(delta(one)) == ([value()], [])
    assert two.merge(three.extract([ONE, TWO, THREE])) == ([], [])
    assert one.merge(two.extract(one.context)) == ([], [])
    assert there(one) == there(two) == [(b"ann", 1)]


def others(ref):
    return [other for other in REFS if other != ref]


def change(chance, state, step):
    """One entry more, or less. No place is taken twice: late news of who was there before hides who is there now."""
    own = state.of_replica(state.ref)
    if not own or chance.random() < 0.6:
        state.join(value(key=b"%d" % step, meta=step, pid=Pid(state.ref[0], 7, 0, 1)))
    else:
        state.leave(place(chance.choice(own)))


@each(range(30))
def test_all_see_the_same_whatever_was_lost_on_the_way(seed):
    chance = random.Random(seed)
    states = {ref: State(ref) for ref in REFS}
    for ref, other in itertools.permutations(REFS, 2):
        states[ref].replica_up(other)
    for step in range(80):
        ref = chance.choice(REFS)
        change(chance, states[ref], step)
        if chance.random() < 0.4:
            sent = delta(states[ref])
            for other in others(ref):
                if chance.random() < 0.5:
                    states[other].merge(sent)
    own = {ref: sorted(value.meta[A.at] for value in states[ref].of_replica(ref)) for ref in REFS}
    for ref, other in itertools.permutations(REFS, 2):
        states[ref].merge(states[other].extract(states[ref].context))
    for state in states.values():
        assert {ref: sorted(value.meta[A.at] for value in state.of_replica(ref)) for ref in REFS} == own


# --- clocks ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("known", "new", "made"),
    [
        ([], (ONE, {}), []),
        ([], (ONE, {ONE: 1}), [(ONE, {ONE: 1})]),
        ([(ONE, {ONE: 1})], (TWO, {ONE: 1, TWO: 1}), [(TWO, {ONE: 1, TWO: 1})]),
        ([(ONE, {ONE: 2, TWO: 2})], (TWO, {ONE: 1, TWO: 1}), [(ONE, {ONE: 2, TWO: 2})]),
        ([(ONE, {ONE: 2, TWO: 1})], (TWO, {ONE: 1, TWO: 2}), [(TWO, {ONE: 1, TWO: 2}), (ONE, {ONE: 2, TWO: 1})]),
    ],
)
def test_of_clocks_those_are_kept_of_which_no_other_knows_all(known, new, made):
    assert core.append_clock(known, *new) == made


# --- who is up -------------------------------------------------------------------------------------
def test_a_replica_is_up_until_it_says_nothing_and_down_for_good_after_longer():
    replicas = Replicas(30.0, 100.0)
    assert replicas.heard(ONE, 0.0) == [(UP, ONE)]
    assert replicas.heard(ONE, 20.0) == []
    assert (replicas.overdue(50.0), replicas.refs()) == ([], [ONE])
    assert (replicas.overdue(51.0), replicas.overdue(52.0)) == ([(DOWN, ONE)], [])
    assert replicas.heard(ONE, 53.0) == [(UP, ONE)]
    assert replicas.overdue(154.0) == [(DOWN, ONE), (PERMDOWN, ONE)]
    assert replicas.overdue(500.0) == []


def test_the_next_tracker_of_a_node_is_the_end_of_the_one_before():
    replicas, later = Replicas(30.0, 100.0), (ONE[0], 99)
    replicas.heard(ONE, 0.0)
    assert replicas.heard(later, 1.0) == [(DOWN, ONE), (PERMDOWN, ONE), (UP, later)]
    assert replicas.ended(ONE) == []
    assert replicas.ended(later) == [(DOWN, later), (PERMDOWN, later)]
    assert replicas.ended(later) == []
    replicas.heard(ONE, 2.0)
    replicas.overdue(40.0)
    assert replicas.heard(later, 41.0) == [(PERMDOWN, ONE), (UP, later)]
