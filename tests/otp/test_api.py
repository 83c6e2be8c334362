"""The functions of the current process: a server needs no node at hand."""

import gevent
import pytest

from pyerlnode import (
    A,
    GenServer,
    NoReply,
    Reply,
    alias,
    call,
    cast,
    receive,
    register,
    reply,
    self_,
    send,
    send_after,
    unalias,
    unregister,
    whereis,
)  # fmt: skip
from pyerlnode.errors import NotAProcess, ReceiveTimeout, UsageError
from pyerlnode.otp import gen_server
from pyerlnode.otp.child_spec import child_of
from pyerlnode.runtime.system import System
from pyerlnode.term import Atom
from pyerlnode.testing.waiting import wait_for


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def me(system):
    return system.adopt()


class Relay(GenServer):
    """Asks another server, and answers later."""

    def init(self, other):
        self.other, self.owed, self.told = other, None, []

    def handle_call(self, request, from_):
        match request:
            case A.told:
                return Reply(self.told)
            case A.later:
                self.owed = from_
                cast(self_(), A.pay)
                return NoReply()
        return Reply(call(self.other, request))

    def handle_cast(self, request):
        if request is A.pay:
            reply(self.owed, A.paid)
            send_after(0.001, self_(), A.rang)
        else:
            self.told.append(request)

    def handle_info(self, message):
        self.told.append(message)


class Double(GenServer):
    def handle_call(self, request, from_):
        return Reply(2 * request)


def test_a_server_calls_casts_and_answers_without_a_node(system, me):
    relay = gen_server.start(system, Relay, (gen_server.start(system, Double),))
    assert call(relay, 21) == 42
    assert call(relay, A.later) is A.paid
    cast(relay, A.x)
    wait_for(lambda: sorted(map(str, call(relay, A.told))) == ["rang", "x"])


def test_an_alias_of_the_kind_reply_takes_one_message(me):
    ref = alias("reply")
    send(ref, 1)
    send(ref, 2)
    assert receive(timeout=0) == 1
    with pytest.raises(ReceiveTimeout):
        receive(timeout=0)
    assert unalias(ref) is False


def test_an_explicit_alias_takes_messages_until_it_is_none(me):
    ref = alias()
    send(ref, 1)
    send(ref, 2)
    assert unalias(ref) is True
    send(ref, 3)
    assert [receive(timeout=0), receive(timeout=0)] == [1, 2]
    with pytest.raises(ReceiveTimeout):
        receive(timeout=0)
    with pytest.raises(UsageError):
        alias("once")


def test_a_name_is_given_back(me):
    register("here")
    assert whereis("here") == me.pid
    assert unregister("here") is True
    assert unregister("here") is False
    assert whereis("here") is None


def test_outside_of_a_process_it_is_an_error():
    for function in (lambda: call("x", 1), lambda: cast("x", 1), alias, lambda: unregister("x")):
        with pytest.raises(NotAProcess):
            gevent.spawn(function).get()


def test_shutdown_of_an_otp_map_is_in_milliseconds_and_of_pythons_in_seconds():
    start = (Double, [])
    assert child_of({A.id: A.x, A.start: start, A.shutdown: 500}).shutdown == 0.5
    assert child_of({"id": "x", "start": start, "shutdown": 500}).shutdown == 500.0
    assert child_of({A.id: A.x, A.start: start, A.shutdown: A.infinity}).shutdown is A.infinity
    assert child_of({A.id: A.x, A.start: start}).shutdown == 5.0
    assert child_of({A.id: A.x, A.start: start, A.shutdown: 500}).to_wire()[Atom("shutdown")] == 500
