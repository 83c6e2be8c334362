"""What is known of the time that messages have spent in a mailbox."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from pyerlnode.cluster.load.regulated_core import Arrivals


def test_a_message_has_waited_since_the_first_look_at_which_it_was_there():
    arrivals = Arrivals()
    assert arrivals.taken(2, 0.0) == 0.0
    assert arrivals.taken(1, 1.0) == 1.0
    assert arrivals.taken(3, 2.0) == 2.0
    assert arrivals.taken(2, 3.0) == 1.0
    assert arrivals.taken(1, 4.0) == 2.0
    assert arrivals.taken(0, 5.0) == 3.0
    assert arrivals.taken(0, 9.0) == 0.0


def test_when_messages_leave_by_another_way_the_knowledge_is_thrown_away():
    arrivals = Arrivals()
    arrivals.taken(10, 0.0)
    assert arrivals.taken(2, 1.0) == 0.0
    assert arrivals.taken(1, 2.0) == 1.0


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.1, 1.0])), max_size=60))
def test_it_is_never_more_than_the_truth_nor_less_by_more_than_one_message_takes(steps):
    arrivals, mailbox, now = Arrivals(), deque(), 0.0
    for arriving, takes in steps:
        mailbox.extend([now] * arriving)
        now += takes  # it handles what it took before; meanwhile these arrived
        if mailbox:
            truth = now - mailbox.popleft()
            found = arrivals.taken(len(mailbox), now)
            assert found <= truth + 1e-9
            if len(mailbox) > 0 and found > 0:
                assert truth - found <= 1.0 + 1e-9
