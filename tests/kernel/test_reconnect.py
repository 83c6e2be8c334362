"""Keeping connections: when it is tried again, when it is given up, and that nothing is left."""

from typing import Any

import gevent
import pytest

from pyerlnode.errors import ConnectError
from pyerlnode.kernel import reconnect
from pyerlnode.kernel.reconnect import Keeper, next_delay
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import settle

APP = A["app@127.0.0.1"]


class Peer:
    """A system with a keeper, and a peer that answers as `outcomes` say: an error's reason, or None."""

    def __init__(self, *outcomes: str | None) -> None:
        self.system = System("py@127.0.0.1", 1)
        self.outcomes = list(outcomes)
        self.attempts = 0
        self.up = False
        self.waits: list[float] = []
        self.keeper = Keeper(self.system, self.connect, lambda _: self.up, chance=lambda: 0.0)
        self._start, self.system.timers.start = self.system.timers.start, self.start  # type: ignore[method-assign]

    def start(self, delay: float, callback: Any, *args: Any) -> Any:
        self.waits.append(delay)
        return self._start(0.0, callback, *args)

    def connect(self, node: Any) -> None:
        self.attempts += 1
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise ConnectError(f"{node}: {outcome}", node.name, outcome)
        self.up = True
        self.keeper.up(node)

    def lose(self) -> None:
        self.up = False
        self.keeper.down(APP)

    def tries(self, attempts: int) -> None:
        with gevent.Timeout(patience()):
            while self.attempts < attempts:
                gevent.sleep(0.001)
        gevent.idle()


@pytest.fixture(autouse=True)
def _slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timers has slots: let a test put its own `start` there."""
    from pyerlnode.runtime import tables, timer

    class Open(timer.Timers):
        pass

    monkeypatch.setattr(tables, "Timers", Open)


def test_delays_double_up_to_the_last() -> None:
    delay, seen = 0.0, []
    for _ in range(11):
        delay = next_delay(delay)
        seen.append(delay)
    assert seen[:3] == [0.1, 0.2, 0.4]
    assert seen[-2:] == [30.0, 30.0]
    assert next_delay(0.0, 0.01) == next_delay(5.0, 0.01) == 0.01


def test_it_is_tried_at_once_and_again_later_and_later_until_it_stands() -> None:
    peer = Peer("refused", "timeout", "unknown_node", None)
    peer.keeper.keep(APP)
    peer.tries(4)
    assert peer.waits == [0.1, 0.2, 0.4]
    assert peer.up


def test_a_loss_is_answered_by_a_new_attempt_each_time() -> None:
    peer = Peer(None, None, "refused", None)
    peer.keeper.keep(APP)
    peer.tries(1)
    for attempts in (2, 4):
        peer.lose()
        peer.tries(attempts)
    assert peer.up


@pytest.mark.parametrize("reason", ["not_allowed", "bad_cookie"])
def test_a_peer_that_will_not_have_us_is_tried_on_and_told_once_for_each_reason(
    reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    peer = Peer(reason, reason, "refused", reason, None, reason, None)
    peer.keeper.keep(APP)
    peer.tries(5)
    assert peer.up
    assert peer.waits == [0.1, 0.2, 0.4, 0.8]
    assert [record.levelname for record in caplog.records if "again and again" in record.message] == ["WARNING"] * 2
    peer.lose()
    peer.tries(7)
    assert peer.up
    assert len([text for text in caplog.messages if reason in text]) == 3


@pytest.mark.parametrize("reason", ["self", "bad_name"])
def test_what_can_be_no_peer_is_given_up_with_one_line(reason: str, caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(reason)
    peer.keeper.keep(APP)
    peer.tries(1)
    assert peer.waits == []
    assert len(caplog.messages) == 1
    assert peer.keeper.let_go(APP) is False


def test_let_go_and_stop_end_it() -> None:
    peer = Peer(None)
    peer.keeper.keep(APP)
    peer.keeper.keep(APP)
    peer.tries(1)
    peer.lose()
    assert peer.keeper.let_go(APP) is True
    peer.keeper.stop()
    settle(peer.system)
    assert peer.attempts == 1


def test_a_connection_that_stood_for_long_makes_the_next_loss_a_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer("refused", "refused", None, None)
    peer.keeper.keep(APP)
    peer.tries(3)
    now = peer.system.timers.now()
    monkeypatch.setattr(peer.system.timers, "now", lambda: now + reconnect.LAST + 1)
    peer.lose()
    assert peer.waits == [0.1, 0.2, 0.1]
    peer.keeper.stop()
