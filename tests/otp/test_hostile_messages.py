"""No message ends an OTP process but those that are meant to: any term in any envelope, at every behaviour.

What the answers are was asked of OTP 25 (`gen_server`, `sys`); where its processes end, and a kernel's takes the node
with it, as by ``{system, junk, get_state}``, ours drop the message.
"""

import logging
from random import Random

import gevent
import pytest

from pyerlnode.otp import gen, gen_event, gen_server, gen_statem, sys
from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
from pyerlnode.otp.gen_event import EventHandler
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.gen_statem import GenStatem, KeepState, ReplyTo
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.otp.service import Service
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.runtime.system import System
from pyerlnode.term import A, ImproperList, Pid, Reference, Struct
from tests.helpers import hostile


class Server(GenServer):
    """Answers whatever is asked, also later, and looks at who asks: a handler as users write it."""

    def init(self):
        self.last = None

    def handle_call(self, request, from_):
        pid, _tag = from_
        self.last = pid.node
        if request is A.later:
            self.reply(from_, request)
            return NoReply()
        return Reply(request)

    def handle_cast(self, request):
        self.cast = request

    def handle_info(self, message):
        self.info = message


class Machine(GenStatem):
    def init(self):
        return A.on

    def on(self, kind, content):
        match kind:
            case (A.call, (pid, _) as from_):
                self.last = pid.node
                return KeepState(ReplyTo(from_, content))
        return KeepState()


class Kept(EventHandler):
    def init(self, args):
        self.args = args

    def handle_event(self, event):
        self.event = event


def manager(system):
    pid = gen_event.start(system, handlers=[Kept])
    assert gen_event.add_handler(system, pid, Kept) is A.ok
    return pid


STARTS = {
    "gen_server": lambda system: gen_server.start(system, Server),
    "gen_statem": lambda system: gen_statem.start(system, Machine),
    "gen_event": manager,
    "supervisor": lambda system: gen_server.start(system, Supervisor, ([],)),
    "dynamic_supervisor": lambda system: gen_server.start(system, DynamicSupervisor),
}
ASK = {
    "gen_server": lambda system, pid: gen.call(system, pid, A.ping, 30) is A.ping,
    "gen_statem": lambda system, pid: gen.call(system, pid, A.ping, 30) is A.ping,
    "gen_event": lambda system, pid: len(gen_event.which_handlers(system, pid, 30)) >= 1,
    "supervisor": lambda system, pid: gen.call(system, pid, A.which_children, 30) == [],
    "dynamic_supervisor": lambda system, pid: gen.call(system, pid, A.which_children, 30) == [],
}


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture(params=STARTS)
def served(system, request, caplog):
    """(send, ask): to send a message to a process of a behaviour, and to ask whether it still serves."""
    caplog.set_level(logging.CRITICAL)
    pid = STARTS[request.param](system)
    process = system.process(pid)

    def ask():
        assert process.alive, process.exit_reason
        assert ASK[request.param](system, pid)

    return lambda message: system.send(pid, message), ask


ALIAS = ImproperList((A.alias,), Reference(A["t@local"], 7, (99, 0, 0)))
FROMS = [
    A.junk, (), (A.junk,), (A.junk, 1), (A.junk, ALIAS), ({}, {}), [1, 2], b"ab", {1: 2, 3: 4}, 0, None, (1, 2, 3),
    (Pid(A["t@local"], 9_999, 0, 7), 1), (Pid(A["t@local"], 1, 0, 6), [1]), (Pid(hostile.OTHER, 1, 0, 1), {}),
    (Pid(hostile.OTHER, 1, 0, 1), ALIAS), (Pid(A["t@local"], 9_999, 0, 7), ALIAS),
    (Pid(A["t@local"], 9_999, 0, 7), ImproperList((ALIAS,), 1)), (ALIAS, ALIAS),
    (Pid(A["t@local"], 9_999, 0, 7), hostile.deep("improper")), (hostile.deep("tuple"), 1), hostile.deep("list"),
    (Pid(A["t@local"], 9_999, 0, 7), ImproperList((A.alias,), 1)),
]  # fmt: skip


@pytest.mark.parametrize("label", [gen.CALL, A.system], ids=str)
def test_a_caller_that_is_none_costs_its_message_and_nothing_else(served, label):
    send, ask = served
    for from_ in FROMS:
        for request in (A.get_state, A.later, A.get_status, A.which_children, (A.debug, A.junk), 7):
            send((label, from_, request))
        send((Pid(hostile.OTHER, 1, 0, 1), from_, A.which_handlers))
        ask()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (A.junk, (A.error, (A.unknown_system_msg, A.junk))),
        ((A.terminate,), (A.error, (A.unknown_system_msg, (A.terminate,)))),
        ((A.change_code, 1, 2, 3), (A.error, (A.unknown_system_msg, (A.change_code, 1, 2, 3)))),
        ((A.debug, A.junk), A.unknown_debug),
        ((A.debug, ImproperList((A.junk,), 1)), A.unknown_debug),
        ((A.debug, (A.log, A.junk)), A.unknown_debug),
        ((A.debug, (A.log, (True, -1))), A.unknown_debug),
        ((A.debug, (A.log, (True, 0))), A.unknown_debug),
        ((A.debug, (A.log, (True, 1.0))), A.unknown_debug),
        ((A.debug, (A.log, (True, 10**400))), A.ok),
        ((A.debug, (A.log_to_file, 1)), (A.error, A.open_file)),
        ((A.debug, (A.log_to_file, Struct(A.x, {A.y: 1}))), (A.error, A.open_file)),
        ((A.debug, (A.log_to_file, {1: 2})), (A.error, A.open_file)),
        ((A.debug, (A.log_to_file, ImproperList((1,), 2))), (A.error, A.open_file)),
        ((A.debug, (A.log_to_file, b"a\x00b")), (A.error, A.open_file)),
        ((A.debug, (A.log_to_file, [0x110000])), (A.error, A.open_file)),
        ((A.debug, (A.log_to_file, hostile.deep("list"))), (A.error, A.open_file)),
        ((A.debug, (A.statistics, A.junk)), A.unknown_debug),
        ((A.debug, (A.install, A.junk)), A.unknown_debug),
        ((A.debug, (A.install, ())), A.unknown_debug),
        ((A.debug, (A.install, (1, 2, 3, 4))), A.unknown_debug),
        ((A.debug, (A.install, (A.junk, 1))), (A.error, (A.badfun, A.junk))),
        ((A.debug, (A.remove, [A.junk])), A.ok),
        ((A.debug, (A.remove, {1: [2]})), A.ok),
        ((A.debug, (A.remove, hostile.deep("tuple"))), A.ok),
        ((A.debug, A.no_debug), A.ok),
    ],
)
def test_a_system_request_is_answered_as_otp_answers_it(system, request_, answer, tmp_path):
    pid = STARTS["gen_server"](system)
    sys.allow_log_files(system, tmp_path)
    assert gen.call(system, pid, request_, 30, A.system) == answer
    assert gen.call(system, pid, A.ping) is A.ping


def test_replace_state_by_no_function_is_refused(served, system):
    _, ask = served
    pid = next(reversed(system.processes.values())).pid
    for fun in (A.junk, (), hostile.deep("list")):
        answer = gen.call(system, pid, (A.replace_state, fun), 30, A.system)
        assert answer[0] is A.error
        assert answer[1][0] is A.callback_failed
    ask()


def test_a_traced_and_logged_process_survives_what_python_can_not_print(served, system, tmp_path, caplog):
    caplog.set_level(logging.INFO, "pyerlnode.sys")
    send, ask = served
    pid = next(reversed(system.processes.values())).pid
    sys.trace(system, pid, True)
    sys.log_events(system, pid, True)
    sys.statistics(system, pid, True)
    sys.allow_log_files(system, tmp_path)
    assert gen.call(system, pid, (A.debug, (A.log_to_file, b"log")), 30, A.system) is A.ok
    for term in (hostile.deep("list"), hostile.deep("tuple"), 10**5000, hostile.deep("map")):
        for message in (term, (gen.CAST, term), (A.notify, term)):
            send(message)
        ask()
    (tmp_path / "log").unlink()
    (tmp_path / "log").mkdir()  # can not be written to any more
    send(A.hello)
    ask()


@pytest.mark.parametrize("seed", range(4))
def test_any_term_in_any_envelope_ends_no_process(served, seed):
    send, ask = served
    rng = Random(seed)
    for _ in range(150):
        send(hostile.message(rng))
    send((A.system, (Pid(hostile.OTHER, 1, 0, 1), 1), A.resume))
    ask()


def test_a_service_answers_what_it_can_not_handle_and_goes_on_with_what_it_has(system, caplog):
    class Table(Service):
        def init(self):
            self.seen = []

        def handle_call(self, request, from_):
            self.seen.append(request)
            return Reply({request: 1})

        def handle_info(self, message):
            self.seen.append(message["x"])

    pid = gen_server.start(system, Table, name="table")
    assert gen.call(system, pid, 1) == {1: 1}
    answer = gen.call(system, pid, [2])
    assert answer[0] is A.error
    assert answer[1][:3] == (A.python_error, b"TypeError", b"unhashable type: 'list'")
    system.send(pid, A.junk)
    assert sys.get_state(system, pid)[A.seen] == [1, [2]]
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        "table could not handle a message ($gen_call) and goes on",
        "table could not handle a message (Atom) and goes on",
    ]
