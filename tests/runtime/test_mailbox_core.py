"""Selective receive keeps the order of what it leaves."""

from collections import deque

import pytest

from pyerlnode.runtime.mailbox_core import NOTHING, take


def test_the_first_match_is_taken_and_the_others_keep_their_order():
    queue = deque([1, "a", 2, "b", 3])
    assert take(queue, lambda m: isinstance(m, str)) == "a"
    assert list(queue) == [1, 2, "b", 3]


def test_what_was_looked_at_is_not_looked_at_again():
    queue = deque([1, 2, 3])
    seen = []
    assert take(queue, lambda m: seen.append(m), 2) is NOTHING
    assert seen == [3]


def test_a_matcher_that_raises_changes_nothing():
    queue = deque([1, 2])
    with pytest.raises(ZeroDivisionError):
        take(queue, lambda m: 1 / (m - 1))
    assert list(queue) == [1, 2]


def test_none_is_a_message():
    assert take(deque([None]), lambda m: m is None) is None
