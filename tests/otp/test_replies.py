"""Law: an answer that has no form on the wire costs its call, which exits at once; the server goes on as it is."""

import logging

import pytest

from pyerlnode.errors import ServerExit
from pyerlnode.otp import gen, gen_event, gen_server, gen_statem
from pyerlnode.otp.agent import Agent
from pyerlnode.otp.gen_event import EventHandler
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.gen_statem import GenStatem, KeepState, ReplyTo
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.runtime import api
from pyerlnode.term import A
from pyerlnode.testing.pair import NodePair


@pytest.fixture
def pair():
    with NodePair() as made:
        yield made


class Thing:
    """No term."""


class Server(GenServer):
    def init(self):
        self.count = 0

    def handle_call(self, request, from_):
        self.count += 1
        match request:
            case A.thing:
                return Reply(Thing())
            case A.early:
                self.reply(from_, [1, Thing()])  # the line that the log names
                self.count += 10
                return NoReply()
            case A.stop:
                return Stop(A.bye, reply=Thing())
        return Reply(self.count)


class Machine(GenStatem):
    def init(self):
        return A.open

    def open(self, kind, content):
        return KeepState(ReplyTo(kind[1], Thing() if content is A.thing else 1))


class Handler(EventHandler):
    def handle_call(self, request):
        return Reply(Thing() if request is A.thing else 1)


def fails(pair, dest, request):
    """The reason with which the call exits, at once: the virtual clock stands still."""
    began = pair.simulation.clock.now()
    with pytest.raises(ServerExit) as caught:
        pair.left.call(dest, request)
    assert pair.simulation.clock.now() - began < 1.0
    kind, name, message, [(module, function, _, [(_, _), (_, line)])] = caught.value.reason[0]
    assert (kind, name) == (A.python_error, b"pyerlnode.errors.EncodeError")
    assert b"Thing" in message
    return module, function, line


def test_the_caller_learns_at_once_and_the_server_goes_on_with_its_state(pair, caplog):
    pid = pair.right.start(Server, name="server")
    pair.left.monitor(pid)
    for dest in (pid, ("server", pair.right.name)):
        module, function, line = fails(pair, dest, A.thing)
        assert (module, function) == (A[__name__], A.handle_call)
        assert line == Server.handle_call.__code__.co_firstlineno
    assert pair.left.call(pid, A.count) == 3
    pair.left.assert_nothing_received()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "Server" in caplog.text
    assert "Thing" in caplog.text
    assert f"line {line}, in handle_call" in caplog.text


def test_of_an_early_reply_the_log_names_the_line(pair, caplog):
    pid = pair.right.start(Server)
    _, _, line = fails(pair, pid, A.early)
    with open(__file__, encoding="utf-8") as file:
        assert "the line that the log names" in file.readlines()[line - 1]
    assert pair.left.call(pid, A.count) == 12
    assert f"line {line}, in handle_call" in caplog.text


def test_a_stop_with_such_an_answer_still_stops(pair):
    pid = pair.right.start(Server)
    pair.left.monitor(pid)
    fails(pair, pid, A.stop)
    pair.left.assert_down(pid, A.bye, within=1.0)


def test_a_state_machine_goes_on(pair):
    pid = gen_statem.start(pair.right.system, Machine)
    _, function, _ = fails(pair, pid, A.thing)
    assert function is A.open
    assert pair.left.call(pid, A.x) == 1


def test_an_event_handler_stays(pair):
    manager = gen_event.start(pair.right.system, handlers=[Handler])
    assert gen_event.add_handler(pair.right.system, manager, Handler) is A.ok
    ask = lambda what: gen_event.call(pair.left.system, manager, A[f"{__name__}.Handler"], what)  # noqa: E731
    with pytest.raises(ServerExit) as caught:
        pair.run(lambda: ask(A.thing))
    assert caught.value.reason[0][1] == b"pyerlnode.errors.EncodeError"
    assert pair.run(lambda: ask(A.x)) == 1


def test_an_agent_keeps_its_value(pair):
    agent = pair.run(lambda: Agent.start(Thing, on=pair.right.system))
    pair.right.system.exported = lambda module, name, count: lambda value: value
    fails(pair, agent, (A.get, (A.m, A.same, [])))
    assert pair.right.system.process(agent) is not None


def test_between_processes_of_one_node_anything_is_an_answer(pair):
    pid = pair.right.start(Server)
    assert type(pair.right.call(pid, A.thing)) is Thing


def test_who_monitors_nothing_gets_an_error_as_the_answer(pair):
    pid = pair.right.start(Server)
    me = pair.left.self_()
    tag = pair.left.system.new_ref()
    pair.left.send(pid, (gen.CALL, (me, tag), A.thing))
    got, (error, reason) = pair.left.assert_received((object, object), within=1.0)
    assert got == tag
    assert error is A.error
    assert reason[1] == b"pyerlnode.errors.EncodeError"


def test_a_helper_of_the_server_may_answer_so_too(pair):
    class Delegates(GenServer):
        def handle_call(self, request, from_):
            api.spawn(self.reply, from_, Thing())
            return NoReply()

    pid = gen_server.start(pair.right.system, Delegates)
    with pytest.raises(ServerExit) as caught:
        pair.left.call(pid, A.x)
    assert caught.value.reason[0][1] == b"pyerlnode.errors.EncodeError"
    assert pair.right.system.process(pid) is not None
