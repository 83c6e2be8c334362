"""Circuit breakers as chains of values; and a machine that holds the table of their transitions."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyerlnode.cluster.load.breaker_core import SLICES, Circuit, Thresholds
from pyerlnode.errors import UsageError
from pyerlnode.term import A


def fail(circuit, now, times=1):
    for _ in range(times):
        circuit.failed(circuit.ask(now), now, 0.0)


def opened(**thresholds):
    circuit = Circuit(Thresholds(failures=1, reset=5.0, **thresholds))
    fail(circuit, 0.0)
    assert circuit.state is A.open
    return circuit


def test_so_many_failures_within_the_window_open_it():
    circuit = Circuit(Thresholds(failures=3, window=10.0))
    fail(circuit, 0.0, 2)
    circuit.succeeded(circuit.ask(0.0), 0.0)
    assert circuit.state is A.closed
    fail(circuit, 9.0)
    assert circuit.state is A.open


def test_failures_of_long_ago_do_not_count():
    circuit = Circuit(Thresholds(failures=3, window=10.0))
    fail(circuit, 0.0, 2)
    fail(circuit, 11.0, 2)
    assert circuit.state is A.closed
    assert circuit.info(11.0)["failures"] == 2
    assert circuit.info(31.0)["failures"] == 0
    assert len(circuit._slices) <= SLICES


def test_a_share_of_failures_opens_it_once_there_are_enough_calls():
    circuit = Circuit(Thresholds(failures=None, ratio=0.5, minimum=4))
    fail(circuit, 0.0, 3)
    assert circuit.state is A.closed
    fail(circuit, 0.0)
    assert circuit.state is A.open


def test_an_open_one_refuses_until_its_time_is_over_and_then_lets_a_probe_through():
    circuit = opened()
    assert circuit.ask(4.9) is None
    assert circuit.retry_after(4.0) == 1.0
    assert circuit.ask(5.0) is not None
    assert circuit.state is A.half_open
    assert circuit.ask(5.0) is None
    assert circuit.retry_after(6.0) == 4.0


def test_chance_lengthens_the_time_by_the_jitter_at_most():
    circuit = Circuit(Thresholds(failures=1, reset=10.0, jitter=0.5))
    circuit.failed(circuit.ask(0.0), 0.0, 0.5)
    assert circuit.until == 12.5


def test_a_probe_that_succeeds_closes_it_and_one_that_fails_opens_it_anew():
    circuit = opened()
    circuit.succeeded(circuit.ask(5.0), 5.1)
    assert circuit.state is A.closed
    fail(circuit, 6.0)
    fail(circuit, 11.0)
    assert (circuit.state, circuit.until) == (A.open, 16.0)


def test_as_many_probes_as_it_wants_go_through_at_once_and_all_must_succeed():
    circuit = opened(probes=2)
    first, second, third = circuit.ask(5.0), circuit.ask(5.0), circuit.ask(5.0)
    assert third is None
    circuit.succeeded(first, 5.0)
    assert circuit.state is A.half_open
    circuit.succeeded(first, 5.0)
    assert circuit.state is A.half_open
    circuit.succeeded(second, 5.0)
    assert circuit.state is A.closed


def test_calls_that_began_before_it_opened_do_not_count_after():
    circuit = Circuit(Thresholds(failures=1, reset=5.0))
    early = [circuit.ask(0.0) for _ in range(4)]
    circuit.failed(early[0], 0.0, 0.0)
    circuit.failed(early[1], 4.0, 0.0)
    assert circuit.until == 5.0
    probe = circuit.ask(5.0)
    circuit.failed(early[2], 5.0, 0.0)
    circuit.succeeded(early[3], 5.0)
    assert circuit.state is A.half_open
    circuit.succeeded(probe, 5.0)
    assert circuit.state is A.closed
    circuit.failed(probe, 5.0, 0.0)
    assert circuit.state is A.closed


def test_a_probe_without_an_outcome_loses_its_place():
    circuit = opened()
    lost = circuit.ask(5.0)
    assert circuit.ask(9.9) is None
    assert circuit.ask(10.0) is not None
    circuit.succeeded(lost, 10.0)
    assert circuit.state is A.half_open
    circuit.unknown(circuit._serial)
    assert circuit.ask(10.0) is not None


def test_by_hand_it_opens_and_closes():
    circuit = Circuit(Thresholds(reset=5.0))
    circuit.trip(0.0, 0.0)
    assert circuit.ask(1.0) is None
    circuit.reset()
    assert circuit.ask(1.0) is not None
    assert circuit.retry_after(1.0) == 0.0
    assert circuit.counts == {"passed": 1, "refused": 1, "succeeded": 0, "failed": 0, "unknown": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"failures": None}, {"failures": 0}, {"ratio": 0}, {"ratio": 1.5}, {"minimum": 0}, {"probes": 0},
        {"window": 0}, {"reset": 0}, {"jitter": -1},
    ],
)  # fmt: skip
def test_thresholds_that_can_not_be_are_refused(wrong):
    with pytest.raises(UsageError):
        Thresholds(**wrong)


LEGAL = {
    ("ask", A.open, A.half_open), ("failed", A.closed, A.open), ("failed", A.half_open, A.open),
    ("succeeded", A.half_open, A.closed), ("trip", A.closed, A.open), ("trip", A.half_open, A.open),
    ("reset", A.open, A.closed), ("reset", A.half_open, A.closed),
}  # fmt: skip


class Calls(RuleBasedStateMachine):
    """Only the table's transitions; never more probes than allowed; nothing passes an open one before its time."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.circuit = Circuit(Thresholds(failures=2, ratio=0.5, minimum=3, window=4.0, reset=2.0, probes=2))
        self.open_tickets = set()

    def step(self, name, *arguments):
        before = self.circuit.state
        until = self.circuit.until
        result = getattr(self.circuit, name)(*arguments)
        after = self.circuit.state
        assert before is after or (name, before, after) in LEGAL
        if before is A.open and name == "ask":
            assert (result is not None) == (self.now >= until)
        if after is A.open and before is not A.open:
            assert self.now + 2.0 <= self.circuit.until <= self.now + 2.0 * 1.2
        return result

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.5]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def ask(self):
        ticket = self.step("ask", self.now)
        if ticket is not None:
            self.open_tickets.add(ticket)

    @rule(data=st.data(), chance=st.floats(0, 0.99), how=st.sampled_from(["failed", "succeeded", "unknown"]))
    def ends(self, data, chance, how):
        if self.open_tickets:
            ticket = data.draw(st.sampled_from(sorted(self.open_tickets)))
            self.open_tickets.discard(ticket)
            more = {"failed": (self.now, chance), "succeeded": (self.now,), "unknown": ()}[how]
            self.step(how, ticket, *more)

    @rule(ticket=st.integers(-1, 50), chance=st.floats(0, 0.99))
    def an_outcome_of_nothing(self, ticket, chance):
        if ticket not in self.open_tickets:
            before = self.circuit.state
            if before is not A.closed:
                self.step("failed", ticket, self.now, chance)
                assert self.circuit.state is before

    @rule(chance=st.floats(0, 0.99))
    def trip(self, chance):
        if self.circuit.state is not A.open:
            self.step("trip", self.now, chance)

    @rule()
    def reset(self):
        self.step("reset")

    @invariant()
    def holds(self):
        circuit = self.circuit
        assert len(circuit._probes) <= 2
        assert circuit.state is A.half_open or not circuit._probes
        assert sum(part.failures for part in circuit._slices) < 2
        assert circuit.retry_after(self.now) >= 0


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
