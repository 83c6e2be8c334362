"""Requests whose answers are fetched later, and calls to several nodes."""

import gevent
import pytest

from pyerlnode.errors import CallTimeout, NoProc, ServerExit
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.requests import (
    NO_REPLY,
    NO_REQUEST,
    PENDING_RESPONSE,
    RequestIds,
    abcast,
    check_response,
    multi_call,
    receive_response,
    send_request,
    wait_response,
)
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.containers import ImproperList
from pyerlnode.testing.waiting import settle


class Echo(GenServer):
    def init(self):
        self.owed = []
        self.casts = []

    def handle_call(self, request, from_):
        match request:
            case A.later:
                self.owed.append(from_)
                return NoReply()
            case A.pay:
                for number, owed in enumerate(self.owed):
                    self.reply(owed, number)
            case A.stop:
                return Stop(A.gone)
            case A.casts:
                return Reply(self.casts)
        return Reply(request)

    def handle_cast(self, request):
        self.casts.append(request)


class Asker(GenServer):
    """Asks another server and gets the answer as a message."""

    def init(self, other, request):
        self.ids = RequestIds([(send_request(self.process.system, other, request), A.mine)])
        self.got = []

    def handle_call(self, request, from_):
        return Reply(self.got)

    def handle_info(self, message):
        try:
            found = check_response(message, self.ids)
        except ServerExit as error:
            found = error.reason[0]
        self.got.append(found if found is NO_REPLY else found[:2] if type(found) is tuple else found)


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def pid(system):
    return gen_server.start(system, Echo)


def test_an_answer_is_received_whether_it_came_before_or_comes_while_one_waits(system, pid):
    for me in (None, system.adopt()):
        early, late = send_request(system, pid, 1), send_request(system, pid, A.later)
        gevent.sleep(0)
        assert receive_response(early) == 1
        assert wait_response(late) is PENDING_RESPONSE
        assert wait_response(late, 0.001) is PENDING_RESPONSE
        job = gevent.spawn(receive_response, late, 1)
        gevent.sleep(0)
        gen.call(system, pid, A.pay)
        assert job.get() == 0
        system.process(pid).handler.owed.clear()
        if me is not None:
            assert not me.queue
    assert system.aliases == {}
    assert not system.process(pid).monitored_by


def test_a_request_that_fails_raises_what_a_call_raises(system, pid):
    with pytest.raises(NoProc):
        receive_response(send_request(system, "nobody", 1))
    with pytest.raises(ServerExit) as caught:
        receive_response(send_request(system, pid, A.stop))
    assert caught.value.reason[0] is A.gone


def test_a_request_that_was_given_up_leaves_nothing_and_its_late_answer_is_dropped(system, pid):
    me = system.adopt()
    request = send_request(system, pid, A.later)
    with pytest.raises(CallTimeout):
        receive_response(request, 0.001)
    gen.call(system, pid, A.pay)
    assert not me.queue
    assert system.aliases == {}
    assert not system.process(pid).monitored_by


def test_a_server_gets_the_answer_as_a_message_that_check_response_knows(system, pid):
    asker = gen_server.start(system, Asker, (pid, 42))
    system.send(asker, A.other)
    settle(system)
    assert gen.call(system, asker, A.got) == [NO_REPLY, (42, A.mine)]
    asker = gen_server.start(system, Asker, (pid, A.stop))
    settle(system)
    assert gen.call(system, asker, A.got) == [A.gone]


def test_a_collection_gives_answers_as_they_come(system, pid):
    ids = RequestIds()
    assert receive_response(ids) is NO_REQUEST
    for label in "abc":
        ids.add(send_request(system, pid, A.later if label == "a" else label), label)
    assert len(ids) == 3
    assert receive_response(ids, 1)[:2] == ("b", "b")
    assert wait_response(ids, 1)[:2] == ("c", "c")
    assert wait_response(ids, 0) is PENDING_RESPONSE
    gen.call(system, pid, A.pay)
    assert receive_response(ids, 1) == (0, "a", ids)
    assert len(ids) == 0


def test_a_collection_that_times_out_gives_its_requests_up(system, pid):
    ids = RequestIds([(send_request(system, pid, A.later), 1), (send_request(system, pid, A.later), 2)])
    with pytest.raises(CallTimeout):
        receive_response(ids, 0.001)
    assert receive_response(ids) is NO_REQUEST
    assert system.aliases == {}


def test_multi_call_sorts_answers_and_nodes_that_gave_none(system):
    gen_server.start(system, Echo, name="echo")
    assert multi_call(system, ["t@local", "t@local", "nobody@local"], "echo", 5) == (
        {A["t@local"]: 5},
        [A["nobody@local"]],
    )
    assert multi_call(system, ["t@local"], "echo", A.later, timeout=0.001) == ({}, [A["t@local"]])
    assert multi_call(system, ["t@local"], "nobody", 5) == ({}, [A["t@local"]])


def test_abcast_passes_over_nodes_that_are_not_there(system):
    gen_server.start(system, Echo, name="echo")
    abcast(system, ["nobody@local", "t@local"], "echo", 1)
    assert gen.call(system, "echo", A.casts) == [1]


def test_a_server_answers_both_tag_forms_of_multi_call(system, pid):
    me = system.adopt()
    ref, monitor = system.new_ref(), system.new_ref()
    old = (ref, A["t@local"])
    system.send(pid, (gen.CALL, (me.pid, old), 1))
    assert me.receive(None, 1) == (old, 1)
    alias = system.alias(me, once=True)
    tag = ImproperList((ImproperList((A.alias,), alias),), monitor)
    system.send(pid, (gen.CALL, (me.pid, tag), 2))
    assert me.receive(None, 1) == (tag, 2)
    assert not system.aliases
