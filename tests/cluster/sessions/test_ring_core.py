"""The ring is the same for all who know the same members, balanced, and moves little."""

from collections import Counter
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyerlnode.cluster.sessions.ring_core import Ring
from pyerlnode.errors import UsageError
from pyerlnode.term import A
from tests.helpers import hostile

NAMES = st.sets(
    st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}", fullmatch=True)
    | st.sampled_from([f"{word}@host" for word in (*hostile.WORDS, *hostile.ATTRIBUTES)]),
    min_size=1,
    max_size=9,
)
SIZES = st.sampled_from([1, 4, 64, 128])


def nodes(count: int, start: int = 0) -> list[str]:
    return [f"py{number}@host" for number in range(start, start + count)]


def moved(one: Ring, other: Ring) -> int:
    return sum(a != b for a, b in zip(one.owners, other.owners, strict=True))


@given(names=NAMES, partitions=SIZES, data=st.data())
def test_the_order_in_which_members_are_known_does_not_matter(names, partitions, data):
    shuffled = data.draw(st.permutations(sorted(names)))
    assert Ring(shuffled, partitions).owners == Ring(names, partitions).owners


@given(names=NAMES, partitions=SIZES)
def test_members_differ_by_one_partition_at_most(names, partitions):
    load = Counter(Ring(names, partitions).owners)
    assert sum(load.values()) == partitions
    assert set(load) <= names
    assert max(load[name] for name in names) - min(load[name] for name in names) <= 1


@given(weights=st.dictionaries(st.sampled_from(nodes(6)), st.integers(1, 4), min_size=1), partitions=SIZES)
def test_a_member_has_partitions_by_its_weight(weights, partitions):
    load, least = Counter(Ring(weights, partitions).owners), partitions // sum(weights.values())
    assert all(least * weight <= load[name] <= (least + 1) * weight for name, weight in weights.items())


@given(names=NAMES, partitions=SIZES, data=st.data())
def test_a_preference_list_has_the_owner_and_then_others_once_each(names, partitions, data):
    ring, partition = Ring(names, partitions), data.draw(st.integers(0, partitions - 1))
    count = data.draw(st.integers(1, 10))
    found = ring.preference(partition, count)
    assert found[0] == ring.owner(partition)
    assert len(set(found)) == len(found) == min(count, len(names))


@pytest.mark.parametrize(
    ("count", "on_average", "at_most"),
    [(2, 1.01, 1.01), (3, 1.05, 1.1), (6, 1.2, 1.3), (9, 1.3, 1.5), (13, 1.5, 1.9)],
)
def test_who_joins_or_leaves_moves_little_more_than_its_share(count, on_average, at_most):
    """What moves between `count - 1` and `count` members, over the least that can move."""
    factors = []
    for start in range(0, 400, 40):
        names = nodes(count, start)
        full = Ring(names)
        factors += [moved(full, Ring([n for n in names if n != name])) / (256 / count) for name in names[:3]]
    assert mean(factors) <= on_average
    assert max(factors) <= at_most


def test_owners_stay_what_they_are_in_every_release():
    """A changed algorithm would give the nodes of a cluster that is upgraded one by one different owners."""
    assert [int(name[2]) for name in Ring(nodes(3), 32).owners] == PINNED


PINNED = [0, 1, 2, 0, 2, 2, 1, 2, 0, 0, 2, 2, 2, 0, 1, 0, 2, 1, 1, 0, 1, 1, 2, 1, 0, 2, 1, 1, 0, 0, 1, 0]


def test_a_key_has_the_partition_that_erlang_gives_it():
    ring = Ring(nodes(3), 256)
    # erl: [erlang:phash2(K, 256) || K <- [<<"user-7">>, user, {cart, 7}, 7, 7.0]].
    assert [ring.partition(key) for key in (b"user-7", A.user, (A.cart, 7), 7, 7.0)] == ERLANGS
    assert ring.partition("user-7") == ring.partition(b"user-7")
    assert ring.owner_of("user-7") == ring.owner(ring.partition("user-7"))


ERLANGS = [116, 194, 186, 30, 228]


def test_a_ring_of_nobody_has_no_owners():
    ring = Ring()
    assert ring.owner_of("user-7") is None
    assert ring.preference(0, 3) == []
    assert ring.owned_by("py1@host") == []


def test_the_successor_takes_over_for_the_most_part():
    names = nodes(5)
    full = Ring(names)
    smaller = Ring(names[1:])
    mine = full.owned_by(names[0])
    followed = [p for p in mine if smaller.owner(p) == full.preference(p, 2)[1]]
    assert len(followed) >= 0.8 * len(mine)


@pytest.mark.parametrize("partitions", [0, 3, 100, 8192])
def test_partitions_are_a_power_of_two(partitions):
    with pytest.raises(UsageError):
        Ring(nodes(2), partitions)


@pytest.mark.parametrize("weight", [0, 17])
def test_weights_are_bounded(weight):
    with pytest.raises(UsageError):
        Ring({"py1@host": weight})
