"""The halves of a stage: demand, dispatchers, the buffer and subscriptions, as chains of values."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyerlnode.bridges.gen_stage.core import (
    GEN_CONSUMER,
    GEN_PRODUCER,
    MAX_DEMAND,
    BadOptions,
    Buffer,
    Demonitor,
    Discarded,
    Emitter,
    HandleCancel,
    HandleDemand,
    HandleEvents,
    Info,
    Receiver,
    Relay,
    Send,
    Settle,
    Unwatch,
    Upstream,
    Warn,
    Watch,
    demands_of,
)
from pyerlnode.bridges.gen_stage.dispatchers_core import Broadcast, Demand, Partition
from pyerlnode.errors import UsageError
from pyerlnode.term import A
from pyerlnode.term.containers import kw
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid
from tests.helpers.hostile import ALIKE

NODE = A["app@host"]
PIDS = [Pid(NODE, 100 + number, 0, 1) for number in range(4)]
P, Q, R, _ = PIDS


def subscribed(emitter, pid, tag, options=()):
    taken, effects = emitter.subscribe(pid, tag, None)
    assert taken
    return [*effects, *emitter.subscribed(tag, list(options))]


def sent(effects):
    """What goes to each tag, in the order."""
    return [(effect.tag, effect.body) for effect in effects if type(effect) is Send]


def emitter_with(*consumers, **options):
    emitter = Emitter(**{"dispatcher": Demand(max_demand=100), **options})
    for number, asks in enumerate(consumers):
        subscribed(emitter, PIDS[number], number)
        if asks:
            emitter.ask(PIDS[number], number, asks)
    return emitter


# --- a producer's half -------------------------------------------------------------------------
@pytest.mark.parametrize("dispatcher", [Demand, Broadcast])
def test_subscriptions_go_by_any_tag(dispatcher):
    emitter = Emitter(dispatcher=dispatcher())
    pids = [Pid(NODE, 500 + number, 0, 1) for number, _ in enumerate(ALIKE)]
    for pid, tag in zip(pids, ALIKE, strict=True):
        assert emitter.subscribe(pid, tag, None)[0]
        assert not emitter.subscribe(pid, tag, None)[0]
        emitter.subscribed(tag, [])
    for number, (pid, tag) in enumerate(zip(pids, ALIKE, strict=True)):
        emitter.ask(pid, tag, number)
    assert [consumer.demand for consumer in emitter.consumers.values()] == list(range(len(ALIKE)))
    for tag in ALIKE[::2]:
        assert emitter.cancel(tag, A.cancel, A.x)
        assert emitter.cancel(tag, A.cancel, A.x) == []
    assert [consumer.pid for consumer in emitter.consumers.values()] == pids[1::2]


@pytest.mark.parametrize("half", [Receiver, Relay])
def test_what_is_received_goes_by_any_tag(half):
    receiver = half()
    for tag in ALIKE:
        receiver.subscribe(P, tag, None, [])
        receiver.subscribed(tag, manual=False)
    for tag in ALIKE[::2]:
        assert receiver.cancel(tag, A.cancel, A.x)
        assert receiver.cancel(tag, A.cancel, A.x) == []
    assert len(receiver.producers) == len(ALIKE[1::2])
    for number, tag in enumerate(ALIKE):
        told = [effect for effect in receiver.receive(P, tag, [1]) if type(effect) is Send]
        assert bool(told) is (number % 2 == 0)  # to one that is not known: cancel


def test_partitions_are_any_terms_but_nil():
    names = [name for name in ALIKE if name is not None]
    emitter = Emitter(Partition(names, lambda event: (event, names[event])))
    for number, name in enumerate(names):
        subscribed(emitter, Pid(NODE, 500 + number, 0, 1), number, kw(partition=name))
        emitter.ask(Pid(NODE, 500 + number, 0, 1), number, 10)
    assert sorted(sent(emitter.emit(list(range(len(names)))))) == [(number, [number]) for number, _ in enumerate(names)]
    taken, _ = emitter.subscribe(P, A.more, None)
    assert taken
    assert any(type(effect) is Warn for effect in emitter.subscribed(A.more, kw(partition=2.0)))
    with pytest.raises(UsageError):
        Emitter(Partition([1, 2], lambda event: (event, True))).dispatcher.dispatch([7])


def test_a_subscription_is_watched_and_its_first_ask_is_passed_on():
    emitter = Emitter()
    assert subscribed(emitter, P, "t") == [Watch(P, "t")]
    assert emitter.ask(P, "t", 10) == [HandleDemand(10)]
    assert emitter.emit([1, 2]) == [Send(P, GEN_CONSUMER, "t", [1, 2])]
    assert emitter.ask(P, "t", 2) == [HandleDemand(2)]


def test_events_beyond_the_demand_are_buffered_and_sent_before_more_is_asked_for():
    emitter = emitter_with(2)
    assert sent(emitter.emit([1, 2, 3, 4, 5])) == [(0, [1, 2])]
    assert len(emitter.buffer) == 3
    assert emitter.ask(P, 0, 5) == [Send(P, GEN_CONSUMER, 0, [3, 4, 5]), HandleDemand(2)]
    assert emitter.emit([6, 7]) == [Send(P, GEN_CONSUMER, 0, [6, 7])]


def test_demand_that_a_cancelled_consumer_leaves_is_not_asked_for_twice():
    emitter = emitter_with(10)
    emitter.cancel(0, A.cancel, A.normal)
    subscribed(emitter, Q, 1)
    assert emitter.ask(Q, 1, 12) == [HandleDemand(2)]


def test_a_cancellation_unwatches_answers_and_tells_the_program_once():
    emitter = emitter_with(1)
    expected = [Unwatch(0), Send(P, GEN_CONSUMER, 0, (A.cancel, A.enough)), HandleCancel((A.cancel, A.enough), P, 0)]
    assert emitter.cancel(0, A.cancel, A.enough) == expected
    assert emitter.cancel(0, A.down, A.noproc) == []


def test_a_second_subscription_with_one_tag_is_refused_and_the_first_one_goes_on():
    emitter = emitter_with(1)
    taken, (warning, refusal) = emitter.subscribe(Q, 0, None)
    assert (taken, type(warning)) == (False, Warn)
    assert refusal == Send(Q, GEN_CONSUMER, 0, (A.cancel, A.duplicated_subscription))
    assert sent(emitter.emit([1])) == [(0, [1])]


def test_an_ask_for_a_subscription_that_is_not_known_is_answered_with_a_cancellation():
    assert Emitter().ask(P, 7, 1) == [Send(P, GEN_CONSUMER, 7, (A.cancel, A.unknown_subscription))]


def test_a_subscription_may_replace_an_older_one():
    emitter = emitter_with(3)
    taken, effects = emitter.subscribe(P, "new", (0, A.again))
    assert taken
    assert [type(effect) for effect in effects] == [Unwatch, Send, HandleCancel, Watch]
    assert list(emitter.consumers) == ["new"]


@pytest.mark.parametrize("count", [-1, MAX_DEMAND + 1, 1.0, True, None, A.all])
def test_an_ask_for_what_is_no_bounded_number_ends_the_subscription(count):
    emitter = emitter_with(1)
    effects = emitter.ask(P, 0, count)
    assert [type(effect) for effect in effects] == [Warn, Unwatch, Send, HandleCancel]
    assert effects[2].body[1][0] is A.bad_demand
    assert not emitter.consumers


def test_the_sum_of_asks_is_bounded_too():
    emitter = emitter_with(MAX_DEMAND)
    emitter.ask(P, 0, 1)
    assert not emitter.consumers


def test_tags_may_be_any_terms():
    emitter = Emitter()
    subscribed(emitter, P, ([1], {A.a: [2]}))
    assert emitter.ask(P, ([1], {A.a: [2]}), 1) == [HandleDemand(1)]
    assert sent(emitter.emit([9])) == [(([1], {A.a: [2]}), [9])]
    assert emitter.cancel(([1], {A.a: [2]}), A.cancel, A.ok)[0] == Unwatch(next(iter([([1], {A.a: [2]})])))


def test_an_accumulating_producer_asks_for_nothing_and_keeps_events_until_forward():
    emitter = emitter_with(5, accumulate=True)
    assert emitter.emit([1, 2]) == []
    assert emitter.forward() == [Send(P, GEN_CONSUMER, 0, [1, 2]), HandleDemand(3)]


def test_an_info_message_comes_behind_the_events_that_are_buffered():
    emitter = emitter_with(1)
    assert emitter.info(A.first) == [Info(A.first)]
    emitter.emit([1, 2, 3])
    assert emitter.info(A.second) == []
    assert sent(emitter.ask(P, 0, 1)) == [(0, [2])]
    effects = emitter.ask(P, 0, 3)
    assert effects == [Send(P, GEN_CONSUMER, 0, [3]), Info(A.second), HandleDemand(2)]


# --- the buffer --------------------------------------------------------------------------------
def test_a_full_buffer_keeps_the_last_or_the_first_and_counts_what_it_drops():
    last, first = Buffer(3), Buffer(3, keep_last=False)
    for buffer in (last, first):
        assert buffer.store([1, 2]) == 0
        assert buffer.store([3, 4, 5, 6, 7]) == 4
    assert (last.take(9), first.take(9)) == ([5, 6, 7], [1, 2, 3])


def test_events_that_are_dropped_let_the_info_messages_behind_them_through():
    emitter = Emitter(buffer=Buffer(2))
    emitter.emit([1])
    emitter.info(A.after_1)
    assert emitter.emit([2]) == []
    assert emitter.emit([3]) == [Discarded(1), Info(A.after_1)]


def test_a_buffer_of_no_size_keeps_nothing():
    emitter = Emitter(buffer=Buffer(0))
    assert emitter.emit([1, 2]) == [Discarded(2)]


# --- dispatchers -------------------------------------------------------------------------------
def test_demand_goes_to_the_largest_and_among_equals_to_who_has_waited_longest():
    emitter = emitter_with(5, 5, 3)
    assert sent(emitter.emit([1, 2, 3, 4])) == [(0, [1, 2, 3, 4])]
    assert sent(emitter.emit([5, 6, 7])) == [(1, [5, 6, 7])]
    assert sent(emitter.emit([8, 9, 10, 11])) == [(2, [8, 9, 10]), (1, [11])]


def test_a_greedy_consumer_is_logged():
    emitter = emitter_with(5, 0, dispatcher=Demand())
    assert type(emitter.ask(Q, 1, 6)[0]) is Warn
    assert Demand(max_demand=10).warning(None, 10) is None


def test_the_first_dispatch_may_be_shuffled():
    emitter = emitter_with(2, 2, dispatcher=Demand(shuffle=list.reverse))
    assert sent(emitter.emit([1])) == [(1, [1])]
    assert sent(emitter.emit([2])) == [(0, [2])]


def test_a_broadcast_goes_at_the_pace_of_the_slowest_and_faster_after_its_end():
    emitter = emitter_with(5, 0, dispatcher=Broadcast())
    assert emitter.emit([1, 2, 3]) == []
    assert sent(emitter.ask(Q, 1, 2)) == [(0, [1, 2]), (1, [1, 2])]
    assert sent(emitter.cancel(1, A.down, A.gone))[1:] == [(0, [3])]


def test_one_that_joins_a_broadcast_does_not_stop_what_the_others_have_asked_for():
    emitter = emitter_with(5, dispatcher=Broadcast())
    subscribed(emitter, Q, 1)
    assert emitter.emit([1, 2, 3, 4, 5]) == []
    assert sent(emitter.ask(Q, 1, 5)) == [(0, [1, 2, 3, 4, 5]), (1, [1, 2, 3, 4, 5])]


def test_a_process_subscribes_to_a_broadcast_once():
    emitter = emitter_with(1, dispatcher=Broadcast())
    effects = subscribed(emitter, P, "again")
    assert Send(P, GEN_CONSUMER, "again", (A.cancel, A.already_subscribed)) in effects
    assert list(emitter.consumers) == [0]


def test_a_selector_leaves_demand_for_others_events():
    emitter = Emitter(Broadcast())
    subscribed(emitter, P, "even", kw(selector=lambda n: n % 2 == 0))
    assert emitter.ask(P, "even", 2) == [HandleDemand(2)]
    assert emitter.emit([1, 3]) == [Settle()]
    assert emitter.settle() == [HandleDemand(2)]
    assert sent(emitter.emit([4, 6])) == [("even", [4, 6])]


@pytest.mark.parametrize("selector", [A.even, 7])
def test_a_selector_that_can_not_be_called_is_refused(selector):
    emitter = Emitter(Broadcast())
    subscribed(emitter, P, 1, kw(selector=selector))
    assert not emitter.consumers


def partitioned(count=2, hash=None):
    emitter = Emitter(Partition(count, hash))
    for number in range(2):
        subscribed(emitter, PIDS[number], number, kw(partition=number))
    return emitter


def test_partitions_get_the_events_that_phash2_says():
    emitter = partitioned()
    for number in range(2):
        emitter.ask(PIDS[number], number, 100)
    got = dict(sent(emitter.emit(list(range(100)))))
    assert got == {p: [n for n in range(100) if phash2(n, 2) == p] for p in range(2)}


def test_events_wait_for_their_partition_and_take_up_demand_so_that_they_are_bounded():
    emitter = partitioned(hash=lambda event: (event, 0))
    assert emitter.ask(Q, 1, 4) == [HandleDemand(4)]
    assert emitter.emit([1, 2, 3, 4]) == []
    assert emitter.settle() == []
    effects = emitter.ask(P, 0, 6)
    assert effects == [Send(P, GEN_CONSUMER, 0, [1, 2, 3, 4]), HandleDemand(6)]


def test_what_waits_for_a_partition_is_lost_with_its_consumer_and_asked_for_anew():
    emitter = partitioned(hash=lambda event: (event, 0))
    emitter.ask(Q, 1, 4)
    emitter.emit([1, 2, 3, 4])
    assert emitter.info(A.behind) == []
    effects = emitter.cancel(0, A.down, A.gone)
    assert [effect for effect in effects if type(effect) in (Discarded, Info, HandleDemand)] == [
        Discarded(4), Info(A.behind), HandleDemand(4),
    ]  # fmt: skip


def test_an_info_message_waits_for_the_events_in_partitions():
    emitter = partitioned(hash=lambda event: (event, 0))
    emitter.ask(Q, 1, 3)
    emitter.emit([1, 2, 3])
    emitter.info(A.behind)
    assert Info(A.behind) not in emitter.ask(P, 0, 2)
    assert Info(A.behind) in emitter.ask(P, 0, 1)


def test_a_hash_may_drop_events_and_their_demand_stays():
    emitter = partitioned(hash=lambda event: None)
    emitter.ask(P, 0, 2)
    assert emitter.emit([1, 2]) == [Settle()]
    assert emitter.settle() == [HandleDemand(2)]


def test_a_hash_that_gives_no_partition_is_an_error_and_no_event_is_taken():
    emitter = partitioned(hash=lambda event: (event, event))
    emitter.ask(P, 0, 3)
    with pytest.raises(UsageError, match="none of its partitions"):
        emitter.emit([0, 7])


@pytest.mark.parametrize("options", [[], kw(partition=5), kw(partition=[1]), kw(partition=0)])
def test_a_consumer_of_no_partition_or_of_a_taken_one_is_refused(options):
    emitter = partitioned()
    assert (A.cancel, A.bad_opts) == (lambda body: (body[0], body[1][0]))(
        sent(subscribed(emitter, R, 9, options))[0][1]
    )
    assert list(emitter.consumers) == [0, 1]


@pytest.mark.parametrize("made", [Demand(7, list.reverse), Broadcast(), Partition(3)])
def test_a_fresh_dispatcher_has_the_parameters_and_not_the_consumers(made):
    emitter = Emitter(made)
    subscribed(emitter, P, 0, kw(partition=0))
    emitter.ask(P, 0, 3)
    fresh = made.fresh()
    assert (type(fresh), fresh.capacity, fresh.consumers) == (type(made), 0, [])
    assert getattr(fresh, "max_demand", 7) == 7
    assert list(getattr(fresh, "_lanes", ())) == list(getattr(made, "_lanes", ()))


def test_partitions_have_to_be_known():
    for wrong in ((0,), ([],), ([A.a],)):
        with pytest.raises(UsageError):
            Partition(*wrong)
    assert Partition([A.a], lambda event: (event, A.a)).capacity == 0


# --- a consumer's half -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("most", "least", "events", "batches", "left"),
    [
        (10, 5, 10, [(5, 5), (5, 5)], 10),
        (10, 5, 3, [(3, 0)], 7),
        (10, 0, 10, [(10, 10)], 10),
        (10, 9, 3, [(1, 1), (1, 1), (1, 1)], 10),
        (1, 0, 1, [(1, 1)], 1),
        (4, 2, 7, [(2, 2), (2, 2), (2, 0), (1, 0)], 4),
    ],
)
def test_events_are_handled_in_chunks_and_asked_for_again_at_the_minimum(most, least, events, batches, left):
    upstream = Upstream(P, "t", most, least, A.permanent)
    upstream.demand = most
    found = list(upstream.batches(list(range(events))))
    assert [len(batch) for batch, _ in found] == [size for size, _ in batches]
    assert [event for batch, _ in found for event in batch] == list(range(events))
    assert upstream.demand == most - min(events, most) + sum(ask for _, ask in found)
    if events <= most:
        assert ([ask for _, ask in found], upstream.demand) == ([ask for _, ask in batches], left)


def receiver_with(cls=Receiver, **options):
    receiver = cls()
    receiver.subscribe(P, "t", None, kw(**{"max_demand": 4, **options}))
    receiver.subscribed("t", manual=False)
    return receiver


def test_a_consumer_subscribes_and_asks_for_its_maximum_at_once():
    receiver = Receiver()
    options = kw(max_demand=10, partition=1)
    assert receiver.subscribe(P, "t", None, options) == [Send(P, GEN_PRODUCER, "t", (A.subscribe, None, options))]
    assert receiver.subscribed("t", manual=False) == [Send(P, GEN_PRODUCER, "t", (A.ask, 10))]


def test_a_consumer_that_asks_by_hand_gets_each_message_whole():
    receiver = Receiver()
    receiver.subscribe(P, "t", None, [])
    assert receiver.subscribed("t", manual=True) == []
    assert receiver.receive(P, "t", [1, 2, 3]) == [HandleEvents([1, 2, 3], P, "t", 0)]


def test_events_in_excess_are_logged_and_handled():
    warning, *handled = receiver_with().receive(P, "t", [1, 2, 3, 4, 5, 6])
    assert type(warning) is Warn
    assert [effect.events for effect in handled] == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("tag", ["other", ["no", "key"]])
def test_events_of_an_unknown_subscription_are_answered_with_a_cancellation(tag):
    for cls in (Receiver, Relay):
        expected = [Send(Q, GEN_PRODUCER, tag, (A.cancel, A.unknown_subscription))]
        assert receiver_with(cls).receive(Q, tag, [1]) == expected
        assert receiver_with(cls).cancel(tag, A.cancel, A.x) == []


@pytest.mark.parametrize(
    ("mode", "reason", "stops"),
    [
        (A.permanent, A.normal, True),
        (A.permanent, A.already_subscribed, False),
        (A.transient, A.normal, False),
        (A.transient, A.shutdown, False),
        (A.transient, (A.shutdown, A.x), False),
        (A.transient, A.oops, True),
        (A.temporary, A.oops, False),
    ],
)
def test_what_the_end_of_a_subscription_does_is_its_modes(mode, reason, stops):
    effects = receiver_with(cancel=mode).cancel("t", A.down, reason)
    assert effects == [Demonitor("t"), HandleCancel((A.down, reason), P, "t", (reason,) if stops else None)]


@pytest.mark.parametrize(
    "options",
    [
        kw(max_demand=0), kw(max_demand=1.5), kw(max_demand=True), kw(max_demand=MAX_DEMAND + 1), kw(min_demand=1000),
        kw(min_demand=-1), kw(cancel=A.never), kw(cancel=1), A.options,
    ],
)  # fmt: skip
def test_wrong_options_of_a_subscription_are_refused(options):
    with pytest.raises(BadOptions):
        demands_of(options)


def test_the_options_of_a_subscription_have_genstages_defaults():
    assert demands_of([]) == (1000, 500, A.permanent)
    assert demands_of(kw(max_demand=1)) == (1, 0, A.permanent)


# --- a producer-consumer -----------------------------------------------------------------------
def test_events_wait_in_a_producer_consumer_until_somebody_wants_them():
    relay = receiver_with(Relay)
    assert relay.receive(P, "t", [1, 2, 3]) == []
    assert relay.next(0) == ([], None)
    effects, info = relay.next(1)
    assert ([effect.events for effect in effects], info) == ([[1, 2], [3]], None)
    assert relay.next(5) == ([], None)


def test_the_end_of_a_subscription_and_info_messages_stay_behind_the_events_that_wait():
    relay = receiver_with(Relay, cancel=A.temporary)
    assert not relay.info(A.at_once)
    relay.receive(P, "t", [1])
    assert relay.info(A.later)
    assert relay.cancel("t", A.down, A.gone) == [Demonitor("t")]
    assert relay.next(9) == ([HandleEvents([1], P, "t", 0)], None)
    assert relay.next(9) == ([], (A.later,))
    assert relay.next(9) == ([HandleCancel((A.down, A.gone), P, "t")], None)
    assert len(relay) == 0


# --- the laws, whatever happens ----------------------------------------------------------------
class Stages(RuleBasedStateMachine):
    """A producer of numbered events with consumers that come, ask and go."""

    @initialize(kind=st.sampled_from(["demand", "broadcast", "partition"]), size=st.sampled_from([3, 1000]))
    def begin(self, kind, size):
        made = {"demand": Demand, "broadcast": Broadcast, "partition": lambda: Partition(3)}[kind]()
        self.kind, self.size = kind, size
        self.emitter = Emitter(made, Buffer(size))
        self.asked, self.got, self.since = {}, {}, {}
        self.gone: list[int] = []
        self.next = self.wanted = self.dropped = self.tags = 0
        self.work = deque()

    def run(self, effects):
        for effect in effects:
            if type(effect) is Send and type(effect.body) is list:
                assert effect.body
                self.asked[effect.tag] -= len(effect.body)
                assert self.asked[effect.tag] >= 0, "more than was asked for"
                self.got[effect.tag] += effect.body
            elif type(effect) is HandleDemand:
                assert effect.count > 0
                self.wanted += effect.count
            elif type(effect) is Discarded:
                self.dropped += effect.count

    @rule(which=st.integers(0, 2))
    def subscribe(self, which):
        if any(tag % 3 == which for tag in self.asked):
            return
        tag = self.tags * 3 + which
        self.tags += 1
        self.asked[tag], self.got[tag], self.since[tag] = 0, [], self.next
        self.run(subscribed(self.emitter, PIDS[which], tag, kw(partition=which)))

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), count=st.integers(1, 8))
    def ask(self, data, count):
        tag = data.draw(st.sampled_from(sorted(self.asked)))
        self.asked[tag] += count
        self.run(self.emitter.ask(PIDS[tag % 3], tag, count))

    @rule(extra=st.integers(0, 4), part=st.integers(0, 12))
    def emit(self, extra, part):
        count = min(self.wanted, part) + extra
        self.wanted = max(0, self.wanted - count)
        self.run(self.emitter.emit(list(range(self.next, self.next + count))))
        self.next += count

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data):
        tag = data.draw(st.sampled_from(sorted(self.asked)))
        del self.asked[tag]
        self.gone += self.got[tag] if self.kind != "broadcast" else []
        self.run(self.emitter.cancel(tag, A.cancel, A.normal))
        self.got.pop(tag)

    @invariant()
    def the_buffer_is_bounded(self):
        if hasattr(self, "emitter"):
            assert len(self.emitter.buffer) <= self.size

    @invariant()
    def every_event_is_sent_once_in_order_or_waits(self):
        if not hasattr(self, "emitter"):
            return
        assert all(got == sorted(set(got)) for got in self.got.values())
        if self.kind == "broadcast":
            if self.size > 100:
                for tag, got in self.got.items():
                    assert not got or got == list(range(got[0], got[0] + len(got))), tag
            return
        sent = [event for got in self.got.values() for event in got] + self.gone
        assert len(sent) == len(set(sent))
        lanes = getattr(self.emitter.dispatcher, "_lanes", {})
        waits = len(self.emitter.buffer) + sum(len(lane.waiting) for lane in lanes.values())
        assert len(sent) + waits + self.dropped == self.next

    @invariant()
    def nobody_starves_while_events_wait(self):
        if hasattr(self, "emitter"):
            assert not (self.emitter.buffer and self.emitter.dispatcher.capacity)
            if not self.emitter.buffer:
                assert self.emitter.asked >= self.emitter.dispatcher.capacity


TestStages = Stages.TestCase
TestStages.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
