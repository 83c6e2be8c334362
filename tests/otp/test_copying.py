"""Messages as copies: each side has its own, and what either changes is found."""

import dataclasses
import gc

import gevent
import pytest

from pyerlnode import A, GenServer, ImproperList, NoReply, Reply, Struct, TermMap, call, cast, receive, self_, send
from pyerlnode.otp import gen_server
from pyerlnode.otp.copying import copied, copied_messages
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def me(system):
    return system.adopt()


class Keeper(GenServer):
    def init(self):
        self.kept = []

    def handle_call(self, request, from_):
        if request is A.kept:
            return Reply(self.kept)
        if request is A.late:
            self.reply(from_, self.kept)
            return NoReply()
        self.kept = request
        return Reply(A.ok)

    def handle_cast(self, request):
        request.append(A.mine)


def test_without_it_a_message_is_shared(me):
    message = [1]
    send(self_(), message)
    message.append(2)
    assert receive() == [1, 2]


def test_what_the_sender_changes_is_not_seen_and_is_found(me):
    with copied_messages() as changes:
        message = [1, {A.a: [2]}]
        send(self_(), message)
        assert changes() == []
        message[1][A.a].append(3)
        assert receive() == [1, {A.a: [2]}]
        [change] = changes()
    assert (change.side, __file__ in change.place) == ("sender", True)
    send(self_(), message)
    assert receive() is message


def test_what_the_receiver_changes_is_found(me):
    with copied_messages() as changes:
        message = [1]
        send(self_(), message)
        receive().append(2)
        assert message == [1]
        assert [change.side for change in changes()] == ["receiver"]


@pytest.mark.parametrize("how", [A.kept, A.late])
def test_a_call_and_its_answer_are_copies(system, me, how):
    with copied_messages() as changes:
        server = gen_server.start(system, Keeper)
        given = [1]
        call(server, given)
        given.append(2)
        assert call(server, how) == [1]
        call(server, how).append(3)
        assert call(server, how) == [1]
        assert sorted(change.side for change in changes()) == ["receiver", "sender"]


def test_a_cast_that_a_server_changes_is_found(system, me):
    with copied_messages() as changes:
        server = gen_server.start(system, Keeper)
        given = []
        cast(server, given)
        call(server, [])
        assert given == []
        assert [change.side for change in changes()] == ["receiver"]


def test_a_change_is_told_once_and_in_the_log(me, caplog):
    with copied_messages() as changes:
        for _ in range(3):
            message = [1]
            send(self_(), message)
            message.append(2)
        assert len(set(changes())) == 1
        assert len(changes()) == 3
    [record] = [record for record in caplog.records if record.name == "pyerlnode.copying"]
    assert "the sender of a message" in record.getMessage()


@dataclasses.dataclass
class Point:
    xs: list


def test_every_container_is_copied_and_nothing_else():
    def function():
        return None

    holds_itself = []
    holds_itself.append(holds_itself)
    term = ([1], {"a": {2}}, bytearray(b"x"), ImproperList(([1],), [2]), TermMap([(1, [2]), (1.0, 3)]), Point([1]),
            Struct(A.M, {A.x: [1]}))  # fmt: skip
    again = copied(term)
    assert again == term
    for one, other in zip(term, again, strict=True):
        assert one is not other
    assert again[1]["a"] is not term[1]["a"]
    assert again[5].xs is not term[5].xs
    assert copied(function) is function
    assert copied(holds_itself) is holds_itself


def test_what_nobody_changes_is_no_change(me):
    with copied_messages() as changes:
        for term in (
            {1, 2},
            {A.a: [{1}]},
            frozenset({1}),
            [Point([1])],
            float("nan"),
            (1, [2.5, None]),
            object(),
            bytearray(b"x"),
        ):
            send(self_(), term)
            receive()
        assert changes() == []
        sent = {A.a: {1}}
        send(self_(), sent)
        sent[A.a].add(2)
        assert len(changes()) == 1


def test_it_leaves_nothing_behind():
    before = Process.deliver
    with copied_messages():
        assert Process.deliver is not before
    assert Process.deliver is before
    gc.collect()
