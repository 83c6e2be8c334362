"""Law: an exception is the end of the process whose code raised it, never more and never less, whatever its class."""

import asyncio
import logging
import sys

import gevent
import pytest
from gevent.event import Event

from pyerlnode.errors import CallTimeout, Exit, ServerExit, StartFailed
from pyerlnode.otp import gen, gen_event, gen_server, gen_statem
from pyerlnode.otp.agent import Agent
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.gen_event import EventHandler
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.gen_statem import GenStatem
from pyerlnode.otp.results import Continue, Reply
from pyerlnode.otp.supervisor import Supervise, Supervisor
from pyerlnode.otp.task import Task
from pyerlnode.runtime import api
from pyerlnode.runtime.edges import ProcessKilled
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import settle, wait_for


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


class Panic(BaseException):
    """As a Rust extension raises it."""


class Speechless(Panic):
    def __str__(self):
        raise Panic

    __repr__ = __str__


KINDS = [
    Panic, Speechless, ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError,
    gevent.GreenletExit, gevent.Timeout, pytest.fail.Exception, ProcessKilled, RecursionError, StopIteration,
]  # fmt: skip


def raised(kind):
    raise kind() if kind is not pytest.fail.Exception else kind("no")


def is_of(reason, kind):
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return reason[0] is A.python_error and reason[1] == name.encode()


def downs(me, count=1):
    """The reasons of `count` DOWNs, when they are all that have come."""
    found = [me.receive(None, 60) for _ in range(count)]
    assert not me.queue
    assert all(message[0] is A.DOWN for message in found), found
    return [message[4] for message in found]


class Server(GenServer):
    def init(self, kind, then=None):
        self.kind = kind
        return then

    def handle_call(self, request, from_):
        return raised(self.kind)

    def handle_cast(self, request):
        return raised(self.kind)

    def handle_info(self, message):
        return raised(self.kind)

    def handle_continue(self, value):
        return raised(self.kind)


class Last(Server):
    def handle_call(self, request, from_):
        raise ValueError

    handle_cast = handle_info = handle_call

    def terminate(self, reason):
        return raised(self.kind)


class Machine(GenStatem):
    def init(self, kind):
        self.kind = kind
        return A.open

    def open(self, kind, content):
        return raised(self.kind)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.mark.parametrize("message", [(A["$gen_cast"], A.x), A.x], ids=["cast", "info"])
def test_what_a_callback_raises_ends_its_server_with_one_down(system, kind, message):
    me = system.adopt()
    pid = gen_server.start(system, Server, (kind,))
    other = gen_server.start(system, Server, (ValueError,))
    system.monitor(me, pid)
    system.send(pid, message)
    (reason,) = downs(me)
    assert is_of(reason, kind)
    assert system.process(pid) is None
    assert system.process(other) is not None


def test_what_handle_call_raises_is_told_to_the_caller(system, kind):
    pid = gen_server.start(system, Server, (kind,))
    with pytest.raises(ServerExit) as caught:
        gen.call(system, pid, A.x, 60)
    assert is_of(caught.value.reason[0], kind)


def test_what_handle_continue_raises_ends_the_server(system, kind):
    me = system.adopt()
    pid = gen_server.start(system, Server, (kind, Continue(1)))
    system.monitor(me, pid)
    (reason,) = downs(me)
    assert is_of(reason, kind)


def test_what_terminate_raises_is_the_reason(system, kind):
    me = system.adopt()
    pid = gen_server.start(system, Last, (kind,))
    system.monitor(me, pid)
    with pytest.raises(ServerExit) as caught:
        gen.call(system, pid, A.x, 60)
    assert is_of(caught.value.reason[0], kind)
    assert is_of(downs(me)[0], kind)
    pid = gen_server.start(system, Last, (kind,))
    with pytest.raises(ServerExit):
        gen.stop(system, pid)


def test_what_a_state_machine_raises_ends_it(system, kind):
    pid = gen_statem.start(system, Machine, (kind,))
    with pytest.raises(ServerExit) as caught:
        gen.call(system, pid, A.x, 60)
    assert is_of(caught.value.reason[0], kind)


def test_what_init_raises_fails_the_start_and_not_the_supervisor(system, kind):
    class Fails(GenServer):
        def init(self):
            return raised(kind)

    class Top(Supervisor):
        def init(self):
            return Supervise([])

    top = []
    me = system.adopt()

    def starts():
        try:
            gen_server.start(system, Fails)
        except StartFailed as error:
            return error.reason
        return None

    task = Task.async_(starts, on=system)  # `init` runs on the greenlet of who starts it: of a process here
    assert is_of(task.await_(60), kind)
    top.append(Supervisor.start_link([], on=system))
    with pytest.raises(StartFailed):
        Supervisor.start_child(top[0], Fails, on=system)
    assert system.process(top[0]) is not None
    assert me.alive


def test_what_a_function_body_raises_ends_it_with_one_down(system, kind):
    me = system.adopt()
    pid = system.spawn(raised, kind)
    system.monitor(me, pid)
    (reason,) = downs(me)
    assert is_of(reason, kind)


def test_what_a_task_raises_is_its_outcome(system, kind):
    me = system.adopt()
    me.trap_exit = True
    task = Task.async_(raised, kind, on=system)
    what, reason = task.yield_(60)
    assert what is A.exit
    assert is_of(reason, kind)


def test_what_the_function_of_an_agent_raises_ends_the_agent(system, kind):
    agent = Agent.start(dict, on=system)
    with pytest.raises(ServerExit) as caught:
        Agent.get(agent, lambda _: raised(kind), on=system)
    assert is_of(caught.value.reason[0], kind)


@pytest.mark.parametrize("callback", ["init", "handle_event", "handle_call", "handle_info", "terminate"])
def test_what_an_event_handler_raises_removes_it_and_nothing_else(system, kind, callback):
    class Good(EventHandler):
        def init(self, args):
            self.seen = []

        def handle_event(self, event):
            self.seen.append(event)

        def handle_call(self, request):
            return Reply(self.seen)

    bad = type("Bad", (EventHandler,), {callback: lambda *_: raised(kind)})
    manager = gen_event.start(system)
    assert gen_event.add_handler(system, manager, Good) is A.ok
    added = gen_event.add_handler(system, manager, bad)
    assert (added is A.ok) is (callback != "init")
    if callback == "handle_event":
        gen_event.notify(system, manager, 1)
    elif callback == "handle_call":
        gen_event.call(system, manager, bad, 1)
    elif callback == "handle_info":
        system.send(manager, A.hello)
    elif callback == "terminate":
        assert gen_event.delete_handler(system, manager, bad)[0] is A.EXIT
    gen_event.sync_notify(system, manager, 2)
    assert gen_event.call(system, manager, Good, 1)[-1] == 2
    assert len(gen_event.which_handlers(system, manager)) == 1


def test_a_supervisor_starts_anew_what_any_exception_ended(system, kind):
    started = []

    class Child(Server):
        def init(self):
            self.kind = kind
            started.append(self.pid)

    Supervisor.start_link([Child], on=system)
    gen.cast(system, started[0], A.x)
    with gevent.Timeout(patience()):
        while len(started) < 2:
            gevent.sleep(0)
    assert started[1] != started[0]
    assert system.process(started[1]) is not None


def test_a_timer_whose_callback_raises_stops_no_other(system, kind):
    fired = Event()
    system.timers.start(0.0, raised, kind)
    system.timers.start(0.0, fired.set)
    system.timers.start(0.01, raised, kind)
    later = Event()
    system.timers.start(0.02, later.set)
    assert fired.wait(patience())
    assert later.wait(patience())


def test_a_log_that_raises_delays_and_changes_no_end(system, kind):
    class Broken(logging.Handler):
        def handle(self, record):
            raised(kind)

    broken = Broken()
    logging.getLogger("pyerlnode").addHandler(broken)
    try:
        me = system.adopt()
        pids = [gen_server.start(system, Server, (ValueError,)), gen_statem.start(system, Machine, (ValueError,))]
        for pid in pids:
            system.monitor(me, pid)
            with pytest.raises(ServerExit) as caught:
                gen.call(system, pid, A.x, 60)
            assert is_of(caught.value.reason[0], ValueError)
            assert is_of(downs(me)[0], ValueError)
        pid = system.spawn(raised, ValueError)
        system.monitor(me, pid)
        assert is_of(downs(me)[0], ValueError)
        with pytest.raises(StartFailed):
            gen_server.start(system, type("Bad", (GenServer,), {"init": lambda _: raised(ValueError)}))
    finally:
        logging.getLogger("pyerlnode").removeHandler(broken)


def test_a_log_that_raises_keeps_no_supervisor_from_its_work(system, kind):
    class Broken(logging.Handler):
        def handle(self, record):
            raised(kind)

    class Tree(Supervisor):
        def init(self):
            return Supervise([child_spec(Server, ValueError, id="one", name="one")])

    broken = Broken()
    logging.getLogger("pyerlnode").addHandler(broken)
    try:
        sup = gen_server.start(system, Tree)
        first = system.whereis("one")
        with pytest.raises(ServerExit):
            gen.call(system, "one", A.x, 60)
        wait_for(lambda: system.whereis("one") not in (None, first), what="the child that is started anew")
        system.send(sup, A.nonsense)
        assert gen.call(system, sup, A.count_children)
    finally:
        logging.getLogger("pyerlnode").removeHandler(broken)


def test_a_report_that_fails_says_so_in_one_line(system, caplog):
    class Once(logging.Handler):
        def handle(self, record):
            raised(Panic)

    broken = Once()
    me = system.adopt()
    logger = logging.getLogger("pyerlnode.gen_server")
    logger.addHandler(broken)
    try:
        pid = gen_server.start(system, Server, (ValueError,))
        system.monitor(me, pid)
        system.send(pid, A.x)
        assert is_of(downs(me)[0], ValueError)
        settle(system)
    finally:
        logger.removeHandler(broken)
    lines = [record.getMessage() for record in caplog.records if record.name == "pyerlnode.runtime"]
    assert lines == ["a report could not be logged ('%s %s terminates%s'): it raised Panic"]


def test_the_end_is_told_before_it_is_logged(system):
    order = []

    class Notes(logging.Handler):
        def handle(self, record):
            order.append([message[0] for message in me.queue or ()])

    notes = Notes()
    me = system.adopt()
    logging.getLogger("pyerlnode").addHandler(notes)
    try:
        starts = (lambda: gen_server.start(system, Server, (ValueError,)), lambda: system.spawn(raised, ValueError))
        for start in starts:
            pid = start()
            system.monitor(me, pid)
            system.send(pid, A.x)
            downs(me)
            gevent.sleep(0)
    finally:
        logging.getLogger("pyerlnode").removeHandler(notes)
    assert order == [[A.DOWN], [A.DOWN]]


class Awkward:
    """A reason whose every method raises."""

    def _raise(self, *_):
        raise Panic

    __eq__ = __ne__ = __hash__ = __repr__ = __str__ = __bool__ = __len__ = __reduce__ = __getattr__ = _raise


def test_a_reason_with_broken_methods_is_handed_on_as_it_is(system):
    reason = Awkward()

    class Ends(GenServer):
        def handle_info(self, message):
            raise Exit(reason)

    me = system.adopt()
    me.trap_exit = True
    for start in (lambda: gen_server.start(system, Ends, link=me), lambda: system.spawn(raise_, reason)):
        pid = start()
        system.monitor(me, pid)
        system.send(pid, A.x)
        found = [me.receive(lambda message: message[0] is A.DOWN, 60)]
        assert found[0][4] is reason


def raise_(reason):
    raise Exit(reason)


def test_an_exit_without_a_reason_ends_its_process_all_the_same(system):
    class Odd(Exit):
        def __init__(self):
            pass

    me = system.adopt()
    pid = system.spawn(raised, Odd)
    system.monitor(me, pid)
    assert downs(me)[0][0] is A.python_error


def test_sys_exit_in_a_handler_is_no_end_of_the_program(system, caplog):
    class Exits(GenServer):
        def handle_call(self, request, from_):
            sys.exit(3)

    pid = gen_server.start(system, Exits)
    with pytest.raises(ServerExit):
        gen.call(system, pid, A.x, 60)
    settle(system)
    assert "terminates" in caplog.text


def test_a_killed_process_is_unwound_wherever_it_waits(system):
    unwound = Event()

    class Waits(GenServer):
        def handle_info(self, message):
            try:
                api.receive(A.never)
            finally:
                unwound.set()

    pid = gen_server.start(system, Waits)
    system.send(pid, A.x)
    settle(system)
    with pytest.raises(CallTimeout):
        gen.call(system, pid, A.x, 0)
    system.exit(pid, A.kill)
    assert unwound.wait(patience())
    assert system.process(pid) is None
