"""Presences: the list of a tracker, and the difference of two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyerlnode.bridges.phoenix import presence_core as core
from pyerlnode.bridges.phoenix.pubsub_core import Broadcast
from pyerlnode.term import A
from pyerlnode.term.exact import same
from tests.helpers.hostile import ALIKE


def meta(ref, **more):
    return {A.phx_ref: ref, **{A[key]: value for key, value in more.items()}}


def test_presences_are_listed_by_key():
    one, two, other = meta(b"1"), meta(b"2"), meta(b"3")
    assert core.presences_of([(b"ann", one), (b"bob", other), (b"ann", two)]) == {b"ann": [one, two], b"bob": [other]}
    assert core.presences_of([]) == {}


@pytest.mark.parametrize("wrong", [A.error, (A.badrpc, 1), [1], [(1, 2)], [(1, {}, 3)], None, {b"ann": {}}])
def test_what_is_no_list_of_presences_is_told_apart(wrong):
    assert core.presences_of(wrong) is None


def test_an_update_is_a_leave_and_a_join():
    before, now = {b"ann": [meta(b"1", at=1), meta(b"2")]}, {b"ann": [meta(b"2"), meta(b"3", at=2)]}
    assert core.difference(before, now) == ({b"ann": [meta(b"3", at=2)]}, {b"ann": [meta(b"1", at=1)]})


def test_keys_of_presences_are_told_apart_whatever_they_are():
    listed = [(key, meta(number)) for number, key in enumerate(ALIKE)] + [(1, meta(A.again))]
    found = core.presences_of(listed)
    assert len(found) == len(ALIKE)
    assert [len(metas) for key, metas in found.items() if same(key, 1)] == [2]
    less = core.presences_of([(key, one) for key, one in listed if not same(key, True)])
    joins, leaves = core.difference(found, less)
    assert len(joins) == 0
    assert list(leaves) == [True]
    assert Broadcast.of(core.diff_message(b"room:1", found, less)) is not None


def test_a_reference_of_a_presence_may_be_any_term():
    before = {b"ann": [meta(key) for key in ALIKE]}
    now = {b"ann": [meta(key) for key in ALIKE[1:]]}
    assert core.difference(before, now) == ({}, {b"ann": [meta(ALIKE[0])]})


STATES = st.dictionaries(st.sampled_from([b"ann", b"bob"]), st.lists(st.integers(0, 4), unique=True, min_size=1))


@given(STATES, STATES)
def test_joins_and_leaves_lead_from_one_list_to_the_next(before, now):
    before, now = ({key: [meta(ref) for ref in refs] for key, refs in state.items()} for state in (before, now))
    joins, leaves = core.difference(before, now)
    made = {}
    for key in {*before, *joins}:
        left = leaves.get(key, [])
        kept = [one for one in before.get(key, []) if one not in left] + joins.get(key, [])
        if kept:
            made[key] = sorted(kept, key=lambda one: one[A.phx_ref])
    assert made == {key: sorted(metas, key=lambda one: one[A.phx_ref]) for key, metas in now.items()}
    assert core.difference(now, now) == ({}, {})


def test_a_difference_is_told_as_phoenix_tells_it():
    message = core.diff_message(b"room:1", {b"ann": [meta(b"1")]}, {})
    payload = {A.joins: {b"ann": {A.metas: [meta(b"1")]}}, A.leaves: {}}
    assert Broadcast.of(message) == Broadcast("room:1", "presence_diff", payload)
