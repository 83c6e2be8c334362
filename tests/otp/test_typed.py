"""Handlers with annotations get what they say; whoever sends something else is told so, and nobody dies of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gevent
import pytest

from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.system import System
from pyerlnode.schema import atom_map
from pyerlnode.term import A
from pyerlnode.testing.waiting import wait_for


class Shop(GenServer):
    def init(self):
        self.seen: list[Any] = []

    def handle_call(self, request: Order, from_):
        return Reply((request.sku, request.count))

    def handle_cast(self, request: list[int]):
        self.seen.append(request)

    def handle_info(self, message: Any):
        self.seen.append(message)


@atom_map
@dataclass
class Order:
    sku: str
    count: int


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


def test_a_request_is_decoded_as_the_annotation_says(system):
    pid = gen_server.start(system, Shop)
    assert gen.call(system, pid, {A.sku: b"x", A.count: 2}) == ("x", 2)


def test_a_request_of_another_type_is_answered_and_kills_nobody(system):
    pid = gen_server.start(system, Shop)
    for wrong in ({A.sku: b"x"}, 17, A.order, {A.sku: 1, A.count: 2}):
        word, (what, text) = gen.call(system, pid, wrong)
        assert (word, what) == (A.error, A.bad_request)
        assert text
    assert gen.call(system, pid, {A.sku: b"x", A.count: 2}) == ("x", 2)


def test_a_cast_of_another_type_is_logged_without_its_content_and_dropped(system, caplog):
    pid = gen_server.start(system, Shop)
    gen.cast(system, pid, [1, 2])
    gen.cast(system, pid, [b"secret"])
    system.send(pid, A.anything)
    wait_for(lambda: system.process(pid).handler.seen == [[1, 2], A.anything])
    assert "dropped a message: handle_cast takes list[int]" in caplog.text
    assert "secret" not in caplog.text


def test_a_handler_without_a_type_is_left_as_it_is():
    assert not hasattr(Shop.handle_info, "__wrapped__")
    assert hasattr(Shop.handle_cast, "__wrapped__")
