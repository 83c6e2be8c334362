"""Names for nameless peers: unlike each other, given again, bounded."""

from collections.abc import Callable

import pytest

from pyerlnode.kernel import given_names
from pyerlnode.kernel.given_names import GivenNames


def counted(start: int = 35) -> Callable[[int], int]:
    numbers = iter(range(start, 10**6))
    return lambda bits: next(numbers) % 2**bits


def test_a_name_has_an_alive_part_in_base_36_and_the_peers_host() -> None:
    names = GivenNames(counted())
    assert names.give("127.0.0.1") == ("Z@127.0.0.1", 40)
    assert names.give("127.0.0.1") == ("11@127.0.0.1", 42)


def test_a_name_comes_back_with_the_next_creation_and_for_its_host_only() -> None:
    names = GivenNames(counted())
    name, creation = names.give("a.example") or ("", 0)
    assert name in names
    names.back(name)
    assert name not in names
    assert (names.give("b.example") or ("", 0))[0] != name
    assert names.give("a.example") == (name, creation + 1)


def test_a_name_comes_back_once_and_strangers_never() -> None:
    names = GivenNames(counted())
    name, _ = names.give("a.example") or ("", 0)
    for gone in (name, name, "stranger@a.example"):
        names.back(gone)
    given = {(names.give("a.example") or ("", 0))[0] for _ in range(3)}
    assert len(given) == 3
    assert "stranger@a.example" not in given


def test_creations_wrap_past_those_that_mean_something() -> None:
    names = GivenNames(lambda bits: 2**bits - 5 if bits == 32 else 1)
    for _ in range(3):
        name, creation = names.give("a.example") or ("", 0)
        assert 4 <= creation < 2**32
        names.back(name)


def test_a_host_part_that_no_name_can_have_gets_none() -> None:
    names = GivenNames()
    for host in ("", "a host", "x\n", "h" * 250):
        assert names.give(host) is None


def test_of_peers_that_never_proved_the_cookie_nothing_is_kept() -> None:
    names = GivenNames(counted())
    for number in range(5):
        name, _ = names.give(f"host{number}") or ("", 0)
        names.back(name, proven=False)
    assert (names._out, names._free) == ({}, {})
    name, creation = names.give("a.example") or ("", 0)
    names.back(name)
    assert names.give("a.example") == (name, creation + 1)
    names.back(name, proven=False)
    assert names.give("a.example") == (name, creation + 2)


def test_hosts_for_which_names_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_names, "HOSTS", 3)
    names = GivenNames(counted())
    given = [(names.give(f"host{number}") or ("", 0))[0] for number in range(5)]
    for name in given:
        names.back(name)
    assert list(names._free) == ["host2", "host3", "host4"]
