"""The rules of exits and links as chains of values."""

import pytest

from pyerlnode.runtime.process_core import DIE, IGNORE, MESSAGE, LinkEnd, exit2, link_exit
from pyerlnode.term import A


@pytest.mark.parametrize(
    ("trap", "reason", "outcome"),
    [
        (False, A.normal, (IGNORE, None)),
        (False, A.kill, (DIE, A.kill)),
        (False, A.boom, (DIE, A.boom)),
        (True, A.normal, (MESSAGE, A.normal)),
        (True, A.kill, (MESSAGE, A.kill)),
        (True, A.boom, (MESSAGE, A.boom)),
    ],
)
def test_end_of_a_link(trap, reason, outcome):
    assert link_exit(trap, reason) == outcome


@pytest.mark.parametrize(
    ("trap", "reason", "from_self", "outcome"),
    [
        (False, A.normal, False, (IGNORE, None)),
        (False, A.normal, True, (DIE, A.normal)),
        (False, A.boom, False, (DIE, A.boom)),
        (True, A.normal, False, (MESSAGE, A.normal)),
        (True, A.boom, False, (MESSAGE, A.boom)),
        (True, A.kill, False, (DIE, A.killed)),
        (False, A.kill, False, (DIE, A.killed)),
    ],
)
def test_exit_2(trap, reason, from_self, outcome):
    assert exit2(trap, reason, from_self=from_self) == outcome


def test_unlink_is_settled_by_its_acknowledgement():
    end = LinkEnd()
    assert end.unlink(7)
    assert not end.exit_received(), "an exit that crossed our unlink is ignored"
    assert not end.ack_received(6), "another unlink's acknowledgement"
    assert end.ack_received(7)


def test_linking_again_while_an_unlink_travels_survives_its_acknowledgement():
    end = LinkEnd()
    end.unlink(7)
    assert end.link(), "LINK must be sent again"
    assert not end.ack_received(7)
    assert end.exit_received()


def test_a_link_of_the_peer_that_crossed_our_unlink_is_ignored():
    end = LinkEnd()
    end.unlink(7)
    end.link_received()
    assert not end.active
    assert end.ack_received(7)


def test_the_peer_unlinks_first():
    end = LinkEnd()
    assert end.unlink_received(), "forgotten at once"
    end = LinkEnd()
    end.unlink(7)
    assert not end.unlink_received(), "kept until our own unlink is acknowledged"
    assert end.ack_received(7)


def test_a_second_unlink_sends_nothing():
    end = LinkEnd()
    assert end.unlink(7)
    assert not end.unlink(8)


def test_a_link_that_the_peer_made_anew_after_the_end_of_the_old_one_is_one():
    end = LinkEnd()
    assert end.unlink_received() is True
    assert end.active is False
    end.link_received()
    assert end.active is True
