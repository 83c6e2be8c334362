"""Who gets a place among those that have not proved the cookie, as chains of values: no sockets, no clock."""

import random

import pytest

from pyerlnode.net.admission_core import RATE, Admission, Stage, source_of


def admission(places: int = 8) -> Admission[str]:
    return Admission(places)


def crowd(
    among: Admission[str], count: int, source: str = "10.0.0.1", name: str = "c", *, speaks: bool = False
) -> None:
    for number in range(count):
        among.came(f"{name}{number}", source, 7.0)
        if speaks:
            among.spoke(f"{name}{number}")


def test_while_there_are_places_nobody_leaves() -> None:
    among = admission()
    for number in range(8):
        assert among.came(f"g{number}", "10.0.0.1", 7.0) == []
    assert len(among) == 8


def test_of_silent_ones_the_oldest_of_the_source_with_the_most_leaves() -> None:
    among = admission()
    among.came("peer", "10.0.0.2", 7.0)
    crowd(among, 7)
    assert among.came("more", "10.0.0.1", 7.0) == ["c0"]
    assert among.came("other", "10.0.0.3", 7.0) == ["c1"]
    assert among.stage("peer") is Stage.SILENT


def test_who_has_spoken_stays_while_the_silent_ones_have_more_than_their_share() -> None:
    among = admission()
    among.came("peer", "10.0.0.1", 7.0)
    among.spoke("peer")
    crowd(among, 10_000)
    assert among.stage("peer") is Stage.SPOKE
    assert len(among) == 8


def test_a_crowd_that_speaks_and_stops_leaves_places_for_those_that_have_not_spoken_yet() -> None:
    among = admission()
    crowd(among, 8, speaks=True)
    assert among.came("one", "10.0.0.2", 7.0) == ["c0"]
    assert among.came("two", "10.0.0.2", 7.0) == ["c1"]
    assert among.came("three", "10.0.0.2", 7.0) == ["c2"]
    assert among.came("four", "10.0.0.2", 7.0) == ["one"]  # a quarter of the places is theirs, and they have more
    assert among.stage("two") is Stage.SILENT


def test_who_has_proved_the_cookie_is_never_displaced_and_takes_no_place() -> None:
    among = admission()
    for guest in ("peer", "friend"):
        among.came(guest, "10.0.0.1", 7.0)
        among.spoke(guest)
        among.proven(guest)
    crowd(among, 8)
    assert len(among) == 10
    crowd(among, 1000, name="d", speaks=True)
    assert among.stage("peer") is among.stage("friend") is Stage.PROVEN
    among.gone("peer")
    assert among.stage("peer") is None


def test_sources_take_turns_and_of_each_the_newest_comes_first() -> None:
    among = admission(100)
    crowd(among, 5, "10.0.0.1", "a", speaks=True)
    crowd(among, 2, "10.0.0.2", "b", speaks=True)
    assert [among.next_turn(0.0) for _ in range(8)] == ["a4", "b1", "a3", "b0", "a2", "a1", "a0", None]


def test_a_source_begins_so_many_handshakes_in_a_second_and_others_do_not_wait_for_it() -> None:
    among = admission(10_000)
    crowd(among, 3 * RATE, speaks=True)
    begun = [among.next_turn(1.0) for _ in range(RATE + 1)]
    assert begun[-1] is None
    assert None not in begun[:-1]
    among.came("peer", "10.0.0.2", 9.0)
    among.spoke("peer")
    assert [among.next_turn(1.5), among.next_turn(1.5)] == ["peer", None]
    assert among.next_second() == 2.0
    assert among.next_turn(2.0) == f"c{2 * RATE - 1}"


def test_who_is_gone_has_no_turn_and_one_that_speaks_twice_has_one() -> None:
    among = admission()
    for guest in ("one", "two"):
        among.came(guest, "10.0.0.1", 7.0)
        among.spoke(guest)
        among.spoke(guest)
    among.gone("one")
    assert [among.next_turn(0.0), among.next_turn(0.0)] == ["two", None]


def test_silent_ones_have_until_their_deadline_and_those_that_spoke_the_deadline_of_their_handshake() -> None:
    among = admission()
    among.came("one", "10.0.0.1", 7.0)
    among.came("two", "10.0.0.1", 8.0)
    among.came("three", "10.0.0.1", 9.0)
    among.spoke("one")
    assert among.next_deadline() == 8.0
    assert among.overdue(7.9) == []
    assert among.overdue(8.0) == ["two"]
    assert among.overdue(20.0) == ["three"]
    assert among.next_deadline() is None
    assert among.guests == ["one"]


def test_who_makes_room_for_want_of_descriptors_is_nobody_that_has_proved_anything() -> None:
    among = admission()
    among.came("peer", "10.0.0.1", 7.0)
    among.proven("peer")
    assert among.displace() is None
    among.came("silent", "10.0.0.2", 7.0)
    assert among.displace() == "silent"


@pytest.mark.parametrize("seed", range(20))
def test_no_more_than_the_places_ever_and_nothing_is_kept_of_who_is_gone(seed: int) -> None:
    chance, among, there = random.Random(seed), admission(12), set()
    for number in range(2000):
        guest = f"g{number}"
        there -= set(among.came(guest, f"10.0.0.{chance.randrange(5)}", number + chance.random()))
        there.add(guest)
        someone = chance.choice(sorted(there))
        chance.choice([among.spoke, among.proven, among.gone, lambda _: among.next_turn(0.0)])(someone)
        there = {one for one in there if among.stage(one) is not None}
        assert len([one for one in there if among.stage(one) is not Stage.PROVEN]) <= 12
        assert set(among.guests) == there
    for guest in there:
        among.gone(guest)
    assert len(among) == 0
    assert among.next_turn(0.0) is among.next_deadline() is among.displace() is None
    assert (among._known, among._deadlines, among._turns) == ({}, {}, {})
    assert set(map(len, among._by_source.values())) == {0}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8:0:0:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::1", "fe80::1", False),
    ],
)
def test_a_network_of_ipv6_is_one_source(one: str, other: str, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same
