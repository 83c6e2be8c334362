"""How a worker goes: who is waited for, and how long."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from pyerlnode import A, GenServer, Node, NoReply, Reply
from pyerlnode.testing.patience import patience
from pyerlnode.tools.run import drain as module
from pyerlnode.tools.run.drain import drain

GO = Event()


class Desk(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        if request is A.blocks:
            GO.wait()
            return Reply(A.ok)
        self.from_ = from_
        return NoReply()

    def handle_info(self, message: Any) -> None:
        self.reply(self.from_, message)


@pytest.fixture
def node() -> Iterator[Node]:
    GO.clear()
    with Node(epmd="none", cookie="secret") as made:
        made.pg.start()
        yield made


def test_a_node_without_work_leaves_its_groups_and_waits_for_nobody(node: Node) -> None:
    node.pg.join(A.desks, node.start(Desk))
    assert drain(node, "pg", limit=patience(), quiet=0.0)
    assert node.pg.which_local_groups() == []


def test_who_is_in_the_midst_of_a_callback_is_waited_for(node: Node) -> None:
    desk = node.start(Desk)
    call = gevent.spawn(node.call, desk, A.blocks, None)
    gevent.idle()
    draining = gevent.spawn(drain, node, "pg", limit=patience(), quiet=0.0)
    gevent.idle()
    assert not draining.ready()
    GO.set()
    assert draining.get() is True
    assert call.get() is A.ok


def test_no_longer_than_the_limit(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    desk = node.start(Desk)
    call = gevent.spawn(node.call, desk, A.blocks, None)
    gevent.idle()
    assert drain(node, "pg", limit=0.05, quiet=0.0) is False
    assert caplog.messages == [f"{node.name} is still busy after 0.05 s and is stopped"]
    GO.set()
    call.get()


def test_a_caller_whose_answer_comes_later_is_waited_for(node: Node) -> None:
    desk = node.start(Desk)
    node.pg.join(A.desks, desk)
    call = gevent.spawn(node.call, desk, A.later, None)
    gevent.idle()
    draining = gevent.spawn(drain, node, "pg", limit=patience(), quiet=0.0)
    gevent.idle()
    assert not draining.ready()
    node.send(desk, A.now)
    assert draining.get() is True
    assert call.get() is A.now


def test_who_only_watches_holds_nobody_for_long(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALLERS", 0.05)
    desk = node.start(Desk)
    node.pg.join(A.desks, desk)
    node.monitor(desk)
    assert drain(node, "pg", limit=patience(), quiet=0.0)
