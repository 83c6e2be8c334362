"""One node of those that know each other serves a partition; what changes hands is waited for, within a deadline."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyerlnode.cluster.sessions.core import (
    HERE,
    MOST_STRANGERS,
    WAIT,
    Claim,
    Done,
    Elsewhere,
    HandOver,
    Held,
    Member,
    Offer,
    Ownership,
    Withdraw,
)

ALL = list(range(8))


def members(*names: str) -> dict[str, Member]:
    return {name: Member(name.upper()) for name in names}


def node(name: str = "a") -> Ownership:
    return Ownership(name, 8, deadline=5.0)


def test_who_is_alone_serves_everything_at_once():
    a = node()
    assert a.where(3) is None
    assert a.change(members("a"), [], 0.0) == [Held(ALL)]
    assert {a.where(p) for p in ALL} == {HERE}


def test_who_joins_claims_its_share_and_waits_for_everybody():
    c = node("c")
    effects = c.change(members("a", "b", "c"), [], 0.0)
    mine = c.ring.owned_by("c")
    assert sorted(effects) == [Claim("A", 1, mine), Claim("B", 1, mine)]
    assert {c.where(p) for p in mine} == {WAIT}
    assert c.done("A", 1, mine) == []
    assert c.done("B", 1, mine[1:]) == [Held(mine[1:])]
    assert c.done("B", 1, mine) == [Held(mine[:1])]
    assert c.where(mine[0]) == HERE


def test_an_owner_serves_on_until_the_new_one_claims():
    a, c = node("a"), node("c")
    a.change(members("a"), [], 0.0)
    c.change(members("a", "c"), [], 0.0)
    theirs = c.ring.owned_by("c")
    assert a.change(members("a", "c"), [], 1.0) == [Offer("C", theirs)]
    assert a.where(theirs[0]) == HERE
    assert a.claimed("C", 1, theirs) == [HandOver("C", 1, theirs)]
    assert a.where(theirs[0]) == "C"


def test_a_claim_that_comes_before_the_view_waits_for_the_view():
    a = node("a")
    a.change(members("a"), [], 0.0)
    assert a.claimed("C", 1, ALL) == [], "of somebody whom nobody knows yet"
    effects = a.change(members("a", "c"), [], 1.0)
    theirs = a.ring.owned_by("c")
    assert effects == [HandOver("C", 1, theirs)]
    assert a.where(theirs[0]) == "C"
    [rest] = a.change(members("c"), [], 2.0)
    assert rest == HandOver("C", 1, others := [p for p in ALL if p not in theirs])
    assert a.where(others[0]) == "C"


def test_the_claims_of_strangers_are_bounded():
    a = node("a")
    a.change(members("a"), [], 0.0)
    for number in range(MOST_STRANGERS + 10):
        assert a.claimed(number, 1, ALL) == []
        assert a.offered(number, ALL, 0.0) == []
    assert len(a.claims) == len(a.offers) == MOST_STRANGERS
    a.forget(0)
    assert len(a.claims) == len(a.offers) == MOST_STRANGERS - 1


def test_answers_to_an_earlier_claim_and_of_strangers_change_nothing():
    a = node("a")
    a.change(members("a", "b"), [], 0.0)
    mine = a.ring.owned_by("a")
    assert a.done("B", 99, mine) == []
    assert a.done("X", 1, mine) == []
    assert a.done("B", 1, [77]) == []
    assert a.claimed("B", 1, [-1, 8, 1000]) == []
    assert a.offered("X", mine, 0.0) == []
    assert a.offered("B", [-1, 8], 0.0) == []
    assert {a.where(p) for p in mine} == {WAIT}


def test_nobody_waits_for_the_dead():
    a = node("a")
    a.change(members("a", "b"), [], 0.0)
    mine = a.ring.owned_by("a")
    effects = a.change(members("a"), [], 0.0)
    assert sorted(p for effect in effects if isinstance(effect, Held) for p in effect.partitions) == ALL
    assert not [effect for effect in effects if isinstance(effect, Claim)]
    assert set(mine) <= a.held


def test_who_leaves_in_order_is_asked_although_it_is_no_member():
    a = node("a")
    a.change(members("a", "b"), [], 0.0)
    a.done("B", 1, ALL)
    theirs = a.ring.owned_by("b")
    assert a.change(members("a"), ["B"], 0.0) == [Claim("B", 2, theirs)]
    assert a.where(theirs[0]) == WAIT
    assert a.done("B", 2, theirs) == [Held(theirs)]


def test_who_never_answers_costs_the_deadline():
    a = node("a")
    a.change(members("a", "b"), [], 0.0)
    mine = a.ring.owned_by("a")
    assert a.tick(4.9) == []
    assert a.tick(5.0) == [Held(mine, late=True)]
    assert a.done("B", 1, mine) == [], "the late answer"
    assert {a.where(p) for p in mine} == {HERE}


def test_what_is_lost_while_it_is_waited_for_goes_elsewhere():
    a = node("a")
    a.change(members("a"), ["B"], 0.0)
    assert a.where(0) == WAIT
    effects = a.change(members("a", "c"), ["B"], 0.0)
    [elsewhere] = [effect for effect in effects if isinstance(effect, Elsewhere)]
    assert elsewhere == Elsewhere(a.ring.owned_by("c"))
    assert a.where(elsewhere.partitions[0]) == "C"


def test_what_comes_back_while_it_is_handed_over_is_held_when_that_is_done():
    a = node("a")
    a.change(members("a"), [], 0.0)
    a.change(members("a", "c"), [], 0.0)
    theirs = a.ring.owned_by("c")
    a.claimed("C", 1, theirs)
    [claim] = a.change(members("a"), ["C"], 1.0)
    assert claim == Claim("C", 1, theirs)
    assert a.done("C", 1, theirs) == [], "their sessions are ending here"
    assert a.tick(100.0) == []
    assert a.where(theirs[0]) == WAIT
    assert a.given(theirs) == [Held(theirs)]


def test_who_lost_interest_answers_others_when_nothing_can_come_any_more():
    a = node("a")
    a.change(members("a"), ["B"], 0.0)
    effects = a.change(members("c"), ["B"], 1.0)
    assert [effect for effect in effects if isinstance(effect, Withdraw)] == [Withdraw("B", 1, [p]) for p in ALL]
    assert a.claimed("C", 7, ALL) == [], "what b has may be on its way to a"
    assert a.done("B", 1, ALL) == [HandOver("C", 7, ALL)]


def test_a_claim_that_is_withdrawn_is_answered_once():
    a = node("a")
    a.change(members("a", "c"), [], 0.0)
    mine = a.ring.owned_by("a")
    a.claimed("C", 1, mine)
    assert a.withdraw("C", 2, mine) == []
    assert a.withdraw("C", 1, mine) == [Done("C", 1, mine)]
    assert a.withdraw("C", 1, mine) == []
    assert a.withdraw("X", 1, mine) == []


def test_two_halves_that_meet_give_each_partition_to_one():
    a, b = node("a"), node("b")
    a.change(members("a"), [], 0.0)
    b.change(members("b"), [], 0.0)
    both = members("a", "b")
    ours, theirs = a.ring.owned_by("a"), []
    [offer] = a.change(both, [], 0.0)
    theirs = offer.partitions
    [back] = b.change(both, [], 0.0)
    ours = back.partitions
    assert sorted(ours + theirs) == ALL
    [claim] = b.offered("A", theirs, 0.0)
    assert claim == Claim("A", 1, theirs)
    assert a.claimed("B", 1, theirs) == [HandOver("B", 1, theirs)]
    assert set(theirs) <= b.held, "what is held already is served meanwhile"


def test_an_offer_before_the_view_is_taken_with_the_view():
    a = node("a")
    a.change(members("a"), [], 0.0)
    a.change(members("a", "b"), [], 0.0)
    theirs = a.ring.owned_by("b")
    a.claimed("B", 1, theirs)
    assert a.offered("B", theirs, 0.0) == []
    effects = a.change(members("a"), ["B"], 0.0)
    assert [effect.partitions for effect in effects if isinstance(effect, Claim)] == [theirs]


def test_an_offer_that_is_not_taken_is_repeated():
    a = node("a")
    a.change(members("a"), [], 0.0)
    [offer] = a.change(members("a", "b"), [], 0.0)
    assert a.tick(1.0) == [offer]


class World:
    """Nodes that learn of each other at different moments; messages between two keep their order."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.nodes = {name: Ownership(name, 8, deadline=1e9) for name in names}
        self.channels: dict[tuple[str, str], deque] = {}
        self.state: dict[str, dict[int, set[str]]] = {name: {p: set() for p in ALL} for name in names}
        """Which pieces of state each node has, by partition; they are only ever moved."""
        self.alive: set[str] = set()
        self.views: dict[str, frozenset[str]] = {}

    def see(self, name: str, others: frozenset[str]) -> None:
        self.views[name] = others
        leaving = [n.upper() for n in self.alive - others if n != name]
        self.run(name, self.nodes[name].change(members(*sorted(others)), leaving, 0.0))

    def run(self, name: str, effects: list) -> None:
        for effect in effects:
            match effect:
                case Claim(to, number, partitions):
                    self.send(name, to, "claimed", number, partitions)
                case Offer(to, partitions):
                    self.send(name, to, "offered", partitions, 0.0)
                case Withdraw(to, number, partitions):
                    self.send(name, to, "withdraw", number, partitions)
                case Done(to, number, partitions):
                    self.send(name, to, "done", number, partitions)
                case HandOver(to, number, partitions):
                    for partition in partitions:
                        pieces, self.state[name][partition] = self.state[name][partition], set()
                        self.send(name, to, "states", partition, pieces)
                    self.send(name, to, "done", number, partitions)
                    self.run(name, self.nodes[name].given(partitions))

    def send(self, from_: str, to: str, *message) -> None:
        self.channels.setdefault((from_, to.lower()), deque()).append(message)

    def deliver(self, channel: tuple[str, str]) -> None:
        (from_, to), (kind, *arguments) = channel, self.channels[channel].popleft()
        if not self.channels[channel]:
            del self.channels[channel]
        if kind == "states":
            self.state[to][arguments[0]] |= arguments[1]
            if self.nodes[to].where(arguments[0]) not in (HERE, WAIT) and arguments[1]:
                self.run(to, self.nodes[to].offer([arguments[0]]))
        else:
            self.run(to, getattr(self.nodes[to], kind)(from_.upper(), *arguments))

    def settle(self) -> None:
        for _ in range(10_000):
            if not self.channels:
                return
            self.deliver(min(self.channels))
        raise AssertionError("the nodes do not come to an end")

    def double(self) -> list[int]:
        """Partitions that two nodes hold."""
        return [p for p in ALL if sum(p in self.nodes[name].held for name in self.alive) > 1]


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_the_order_each_partition_has_one_holder_and_no_state_is_lost(data):
    names = ["a", "b", "c", "d"]
    world = World(names)
    world.alive = {"a"}
    world.see("a", frozenset("a"))
    for partition in ALL:
        world.state["a"][partition] = {f"piece {partition}"}
    present = {"a"}
    for _ in range(data.draw(st.integers(1, 4), label="changes")):
        # One joins or leaves in order; who knows of it, and what has arrived, is up to the draw.
        who = data.draw(st.sampled_from(names))
        present = present ^ {who} or present
        world.alive |= present
        to_tell = sorted(world.alive)
        while to_tell:
            choices = [("see", name) for name in to_tell] + [("deliver", channel) for channel in sorted(world.channels)]
            kind, what = data.draw(st.sampled_from(choices))
            if kind == "see":
                to_tell.remove(what)
                world.see(what, frozenset(present))
            else:
                world.deliver(what)
            assert world.double() == []
        for _ in range(data.draw(st.integers(0, 6))):
            if world.channels:
                world.deliver(data.draw(st.sampled_from(sorted(world.channels))))
                assert world.double() == []
    while world.channels:
        world.deliver(data.draw(st.sampled_from(sorted(world.channels))))
        assert world.double() == []
    for partition in ALL:
        [holder] = [name for name in world.alive if partition in world.nodes[name].held]
        assert holder == world.nodes["a"].ring.owner(partition)
        assert world.state[holder][partition] == {f"piece {partition}"}
    assert not any(n.waiting for n in world.nodes.values())


@pytest.mark.parametrize("dead", ["a", "b"])
def test_a_death_in_the_middle_of_a_move_leaves_nobody_waiting(dead):
    world = World(["a", "b", "c"])
    world.alive = {"a", "b"}
    for name in "ab":
        world.see(name, frozenset("ab"))
    world.settle()
    world.alive.add("c")
    world.see("c", frozenset("abc"))
    world.alive.discard(dead)
    world.channels = {c: m for c, m in world.channels.items() if dead not in c}
    left = frozenset("abc") - {dead}
    for name in sorted(left):
        world.see(name, left)
    world.settle()
    assert sorted(p for name in left for p in world.nodes[name].held) == ALL
