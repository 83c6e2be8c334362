"""Batches as chains of values; and a machine in which requests come, batches end in any order and time passes."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pyerlnode.bridges.nx.serving_core import (
    FULL,
    TOO_LARGE,
    Batcher,
    Execution,
    Ordered,
    Refused,
    form,
    leaves,
    mapped,
    rebuild,
    rows,
)
from pyerlnode.errors import UsageError
from pyerlnode.term import A


def seen(outcomes):
    """What runs: for each batch its parts as (request, first, start, size)."""
    return [[(p.request, p.first, p.start, p.size) for p in each.parts] for each in outcomes]


def test_rows_wait_for_others_until_the_batch_is_full():
    batcher = Batcher(4, 1.0)
    assert batcher.add("a", "key", 1, 0.0) == []
    assert batcher.add("b", "key", 2, 0.5) == []
    assert seen(batcher.add("c", "key", 1, 0.6)) == [[("a", 0, 0, 1), ("b", 0, 1, 2), ("c", 0, 3, 1)]]
    assert batcher.next_deadline() is None
    assert batcher.waiting == 0


def test_rows_wait_no_longer_than_the_timeout_after_the_first_of_them():
    batcher = Batcher(4, 1.0)
    batcher.add("a", "key", 1, 10.0)
    batcher.add("b", "key", 1, 10.9)
    assert batcher.next_deadline() == 11.0
    assert batcher.expire(10.99) == []
    assert seen(batcher.expire(11.0)) == [[("a", 0, 0, 1), ("b", 0, 1, 1)]]


def test_without_a_timeout_rows_run_as_soon_as_a_partition_is_free():
    batcher = Batcher(4, 0.0)
    [first] = batcher.add("a", "key", 1, 0.0)
    assert batcher.add("b", "key", 1, 0.0) == []
    assert batcher.add("c", "key", 1, 0.0) == []
    assert seen(batcher.done(first.number)) == [[("b", 0, 0, 1), ("c", 0, 1, 1)]]


def test_what_is_due_and_waits_for_a_partition_goes_on_growing():
    batcher = Batcher(2, 1.0)
    [running] = batcher.add("x", "key", 2, 0.0)
    batcher.add("a", "key", 1, 0.0)
    assert batcher.expire(5.0) == []
    assert batcher.next_deadline() is None
    assert batcher.add("b", "key", 1, 6.0) == []
    assert batcher.add("c", "key", 1, 6.0) == []
    assert seen(batcher.done(running.number)) == [[("a", 0, 0, 1), ("b", 0, 1, 1)]]
    assert batcher.next_deadline() == 7.0


def test_a_request_of_a_whole_batch_runs_alone_behind_what_was_gathered():
    batcher = Batcher(3, 1.0, partitions=2)
    batcher.add("a", "key", 1, 0.0)
    assert seen(batcher.add("b", "key", 3, 0.0)) == [[("a", 0, 0, 1)], [("b", 0, 0, 3)]]


def test_a_request_that_does_not_fit_is_split_in_order():
    batcher = Batcher(4, 1.0, partitions=3)
    batcher.add("a", "key", 3, 0.0)
    assert seen(batcher.add("b", "key", 6, 0.0)) == [[("a", 0, 0, 3), ("b", 0, 3, 1)], [("b", 1, 0, 4)]]
    assert seen(batcher.expire(1.0)) == [[("b", 5, 0, 1)]]


def test_when_batches_are_not_split_a_request_begins_a_new_one():
    batcher = Batcher(4, 1.0, split=False)
    batcher.add("a", "key", 3, 0.0)
    assert seen(batcher.add("b", "key", 2, 0.0)) == [[("a", 0, 0, 3)]]
    assert batcher.add("c", "key", 5, 0.0) == [Refused("c", TOO_LARGE, 4)]


def test_keys_are_gathered_each_for_itself_and_served_in_the_order_of_being_ready():
    batcher = Batcher(2, 1.0)
    [running] = batcher.add("x", "one", 2, 0.0)
    batcher.add("a", "one", 1, 0.0)
    batcher.add("b", "two", 2, 0.0)
    batcher.add("c", "one", 1, 0.0)
    [second] = batcher.done(running.number)
    assert (second.key, second.parts[0].request) == ("two", "b")
    assert seen(batcher.done(second.number)) == [[("a", 0, 0, 1), ("c", 0, 1, 1)]]


def test_padding_is_added_up_and_goes_with_the_last_rows_of_a_request():
    batcher = Batcher(4, 1.0, partitions=2)
    [full] = batcher.add("a", "key", 5, 0.0, pad=2)
    assert full.pad == 0
    batcher.add("b", "key", 1, 0.0, pad=1)
    [rest] = batcher.expire(1.0)
    assert (rest.size, rest.pad) == (2, 3)


def test_a_model_of_a_fixed_shape_gets_full_batches():
    batcher = Batcher(4, 0.0, pad=True)
    [one] = batcher.add("a", "key", 1, 0.0)
    assert (one.size, one.pad) == (1, 3)


def test_who_finds_no_room_is_refused_whole_and_at_once():
    batcher = Batcher(2, 1.0, waiting=3)
    batcher.add("x", "key", 2, 0.0)
    assert batcher.add("a", "key", 3, 0.0) == []
    assert batcher.add("b", "key", 1, 0.0) == [Refused("b", FULL, 3)]
    assert batcher.waiting == 3


def test_what_is_withdrawn_leaves_room_and_no_empty_batch():
    batcher = Batcher(2, 1.0, waiting=4)
    [running] = batcher.add("x", "key", 2, 0.0)
    batcher.add("a", "key", 3, 0.0)
    batcher.add("b", "key", 1, 0.0)
    assert batcher.withdraw("a") == 3
    assert batcher.withdraw("a") == 0
    assert batcher.waiting == 1
    assert seen(batcher.done(running.number)) == [[("b", 0, 0, 1)]]


def test_a_withdrawn_key_has_no_deadline():
    batcher = Batcher(2, 1.0)
    batcher.add("a", "key", 1, 0.0)
    batcher.withdraw("a")
    assert (batcher.next_deadline(), batcher.keys, batcher.expire(9.0)) == (None, 0, [])


def test_a_stop_names_each_who_waits_once_and_lets_run_what_runs():
    batcher = Batcher(2, 1.0)
    [running] = batcher.add("x", "key", 2, 0.0)
    batcher.add("a", "key", 3, 0.0)
    assert batcher.stop() == ["a"]
    assert (batcher.waiting, batcher.running) == (0, 1)
    assert batcher.done(running.number) == []


def test_an_end_that_is_told_twice_frees_one_partition():
    batcher = Batcher(1, 0.0)
    [first] = batcher.add("a", "key", 1, 0.0)
    batcher.add("b", "key", 1, 0.0)
    batcher.add("c", "key", 1, 0.0)
    assert len(batcher.done(first.number)) == 1
    assert batcher.done(first.number) == []


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"timeout": -1.0}, {"partitions": 0}, {"waiting": 0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UsageError):
        Batcher(**{"limit": 1, "timeout": 0.0, **wrong})
    with pytest.raises(UsageError):
        Batcher(1, 0.0).add("a", "key", 0, 0.0)


def test_pieces_that_come_in_any_order_are_given_in_that_of_the_rows():
    ordered = Ordered(5)
    assert ordered.add(3, 2, "d") == []
    assert ordered.add(0, 1, "a") == ["a"]
    assert not ordered.complete
    assert ordered.add(1, 2, "b") == ["b", "d"]
    assert ordered.complete


def test_a_container_is_traversed_as_nx_does_maps_by_their_keys_in_order():
    container = {A.z: "last", A.a: ("first", {A.b: "second"})}
    assert leaves(container) == ["first", "second", "last"]
    assert rebuild(container, [1, 2, 3]) == {A.a: (1, {A.b: 2}), A.z: 3}
    assert mapped(str.upper, ("x", "y")) == ("X", "Y")
    assert rows(("abcd", {A.k: "efgh"}), 1, 2) == ("bc", {A.k: "fg"})
    assert form(container, len) == form({A.a: ("FIRST", {A.b: "SECOND"}), A.z: "LAST"}, len)
    assert len({form((1,), type), form({A.a: 1}, type), form(1, type), form((1, 1), type)}) == 4


class Machine(RuleBasedStateMachine):
    """Each caller gets exactly its own rows, in order, once, and nobody waits longer than is said."""

    def __init__(self):
        super().__init__()
        self.limit, self.timeout, self.partitions = 4, 1.0, 2
        self.now = 0.0
        self.count = 0
        self.callers = {}
        self.came = {}
        self.got = {}
        self.running = []
        self.batcher = Batcher(self.limit, self.timeout, partitions=self.partitions, waiting=20)

    def note(self, outcomes):
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                assert self.batcher.waiting + self.callers.pop(outcome.request).size > 20
                continue
            assert isinstance(outcome, Execution)
            assert 0 < outcome.size <= self.limit
            assert outcome.size == sum(part.size for part in outcome.parts)
            assert [part.start for part in outcome.parts] == [
                sum(before.size for before in outcome.parts[:index]) for index in range(len(outcome.parts))
            ]
            self.running.append(outcome)
        assert len({each.partition for each in self.running}) == len(self.running) <= self.partitions

    @rule(size=st.integers(1, 9), key=st.sampled_from("ab"))
    def add(self, size, key):
        self.count += 1
        self.callers[self.count] = Ordered(size)
        self.came[self.count] = self.now
        self.got[self.count] = []
        self.note(self.batcher.add(self.count, key, size, self.now))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 1))
    def end(self, which):
        ended = self.running.pop(which % len(self.running))
        for part in ended.parts:
            caller = self.callers.get(part.request)
            if caller is not None:
                piece = range(part.first, part.first + part.size)
                self.got[part.request] += [row for given in caller.add(part.first, part.size, piece) for row in given]
        self.note(self.batcher.done(ended.number))

    @rule(seconds=st.sampled_from((0.1, 0.5, 2.0)))
    def wait(self, seconds):
        self.now += seconds
        self.note(self.batcher.expire(self.now))

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def withdraw(self, data):
        gone = data.draw(st.sampled_from(sorted(self.callers)))
        self.batcher.withdraw(gone)
        del self.callers[gone]

    @invariant()
    def rows_are_in_order_and_once(self):
        assert all(self.got[caller] == list(range(len(self.got[caller]))) for caller in self.callers)
        assert all(ordered.complete == (len(self.got[c]) == ordered.size) for c, ordered in self.callers.items())

    @invariant()
    def nobody_waits_beyond_the_timeout_while_a_partition_is_free(self):
        deadline = self.batcher.next_deadline()
        assert deadline is None or deadline > self.now
        if len(self.running) < self.partitions:
            under_way = {part.request for each in self.running for part in each.parts}
            waits = [c for c, ordered in self.callers.items() if not ordered.complete and c not in under_way]
            assert all(self.came[caller] + self.timeout > self.now for caller in waits)

    def teardown(self):
        while self.running or self.batcher.waiting:
            if self.running:
                self.end(0)
            else:
                self.wait(self.timeout)
        assert all(len(self.got[caller]) == ordered.size for caller, ordered in self.callers.items())


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
