"""Serials of a sequential trace, as a BEAM counts them."""

from pyerlnode.runtime.trace_core import MOST, TokenState, is_token
from pyerlnode.term import A, Pid

ME, THEM = Pid(A["me@host"], 1, 0, 1), Pid(A["them@host"], 2, 0, 1)


def test_what_is_sent_counts_on_and_names_what_was_received_last():
    state = TokenState()
    assert state.sent(ME) is None
    state.received((1, 17, 5, THEM, 4))
    assert state.sent(ME) == (1, 17, 6, ME, 5)
    assert state.sent(ME) == (1, 17, 7, ME, 5)
    state.received((1, 17, 6, THEM, 1))  # behind what it has counted itself
    assert state.sent(ME) == (1, 17, 8, ME, 6)


def test_a_message_without_a_token_ends_it_and_the_count_goes_on():
    state = TokenState()
    state.received((0, A.label, 3, THEM, 2))
    state.received(None)
    assert state.sent(ME) is None
    state.received((0, A.label, 1, THEM, 0))
    assert state.sent(ME) == (0, A.label, 4, ME, 1)


def test_what_is_no_token_is_told_apart():
    assert MOST == (1 << 59) - 1
    assert is_token((0, A.any, 1, THEM, 0))
    assert is_token((0, A.any, MOST - 1, THEM, 0))
    for value in (None, (), (0, 1, 2, THEM), (0, 1, A.x, THEM, 0), (0, 1, -1, THEM, 0), (0, 1, MOST, THEM, 0), [1] * 5):
        assert not is_token(value)
