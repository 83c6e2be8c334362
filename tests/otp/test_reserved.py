"""Law: no attribute of a user's object is taken for one of ours, whatever its name.

Each behaviour gets an attribute of every name that our own classes know, and of some that our code once looked for.
What comes of it is one of two: the name is refused at once and named, or the process lives and dies as any other.
"""

import gevent
import pytest

from pyerlnode.bridges.gen_stage import Consumer, Producer, ProducerConsumer
from pyerlnode.cluster.load.regulated import Regulated
from pyerlnode.cluster.sessions.session import Session
from pyerlnode.errors import StartFailed, UsageError
from pyerlnode.otp import gen, gen_event, gen_server, gen_statem, sys
from pyerlnode.otp.behaviour import Behaviour
from pyerlnode.otp.dynamic_supervisor import Dynamic, DynamicSupervisor
from pyerlnode.otp.gen_event import EventHandler
from pyerlnode.otp.gen_fsm import GenFsm
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.gen_statem import GenStatem
from pyerlnode.otp.reserved import is_ours
from pyerlnode.otp.supervisor import Supervise, Supervisor
from pyerlnode.otp.where import start_class
from pyerlnode.runtime import info
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.waiting import settle

CALLBACKS = {
    "init", "handle_call", "handle_cast", "handle_info", "handle_continue", "handle_event", "terminate",
    "format_status", "code_change", "handle_events", "handle_demand", "handle_subscribe", "handle_cancel",
    "callback_mode", "state_enter", "handoff", "resume", "merge", "regulation", "regulated",
}  # fmt: skip
"""What a user is meant to define: an object in the place of a callback is an error of the callback."""
ONCE_LOOKED_FOR = {
    "server", "handler", "_sys", "_parent", "_timer", "_core", "_timers", "stop_rank", "initial_call", "process", "pid",
    "system", "queue", "alive", "exit", "reply", "deliver", "greenlet", "parent", "monitors", "links", "name",
    "context", "manager", "state", "reason", "handle", "func", "child_options", "trap_exit", "exit_reason", "mfa",
    "sys", "timer",
}  # fmt: skip


class Awkward:
    """Whatever is done with it raises."""

    def _raise(self, *_, **__):
        raise AssertionError("an attribute of the user's was used")

    __eq__ = __ne__ = __hash__ = __repr__ = __str__ = __bool__ = __len__ = __iter__ = __call__ = __getattr__ = _raise
    __lt__ = __gt__ = __int__ = __index__ = __getitem__ = __contains__ = __reduce__ = _raise


class Failing:
    """Mixed in before a behaviour: raises for a message."""

    def handle_info(self, message):
        raise ValueError("not today")

    def handle_event(self, *_):
        raise ValueError("not today")


GIVES = {
    GenServer: lambda: None, Regulated: lambda: None, Session: lambda: None, Producer: lambda: None,
    Consumer: lambda: None, ProducerConsumer: lambda: None, GenStatem: lambda: A.open, GenFsm: lambda: A.open,
    Supervisor: lambda: Supervise([]), DynamicSupervisor: Dynamic,
}  # fmt: skip
"""The behaviours that a user derives from, and what their `init` gives."""


def names_of(base):
    """Every name that a class of ours in `base` knows, and those of a `Process`; dunders are Python's own."""
    ours = {name for cls in base.__mro__ if is_ours(cls) for name in vars(cls)} | set(Process.__slots__)
    return sorted(name for name in ours | ONCE_LOOKED_FOR if not name.startswith("__") and name not in CALLBACKS)


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


def lives_and_dies(system, cls, expected=ValueError):
    """Start it, look at it in every way, let it fail, stop it: each has one outcome, and the right one."""
    me = system.adopt()
    me.trap_exit = True
    pid = start_class(me, cls, (), {})
    process = system.process(pid)
    system.monitor(me, pid)
    assert info.process_info(system, pid)[A.initial_call][1:] == (A.init, 1)
    assert info.process_info(system, pid, "memory") > 0
    assert gen.call(system, pid, A.get_state, 30, A.system)[0] is A.ok
    sys.suspend(system, pid)
    sys.resume(system, pid)
    if issubclass(cls, (Supervisor, DynamicSupervisor)):
        process.exit_signal(me.pid, A.oops)
        reasons = [A.oops]
    else:
        system.send(pid, A.fail)
        reasons = None
    arrived = [me.receive(None, 30) for _ in range(2)]
    assert sorted(str(message[0]) for message in arrived) == ["DOWN", "EXIT"]
    assert not me.queue
    for message in arrived:
        assert message[-1] in reasons if reasons else message[-1][1] == expected.__name__.encode()
    assert not process.alive
    again = start_class(me, cls, (), {})
    gen.stop(system, again, timeout=30)
    start_class(me, cls, (), {})
    assert system.shut_down(30)


@pytest.mark.parametrize("base", GIVES, ids=lambda base: base.__name__)
def test_an_attribute_of_any_name_is_refused_or_harmless(base):
    refused = set()
    for name in names_of(base):
        system = System("t@local", 7)

        def init(self, *_, name=name):
            setattr(self, name, Awkward())
            return GIVES[base]()

        cls = type("Users", (Failing, base), {"init": init, "__module__": "users", "open": Failing.handle_event})
        try:
            lives_and_dies(system, cls)
        except StartFailed as error:
            assert name in str(error), (name, str(error))  # noqa: PT017  # which it is, is the point
            refused.add(name)
        finally:
            system.stop()
            gevent.sleep(0)
    assert not refused & {
        "server",
        "_sys",
        "_parent",
        "_timer",
        "_core",
        "_timers",
        "handler",
        "system",
        "timer",
        "sys",
    }
    assert {"process", "pid"} <= refused


@pytest.mark.parametrize("base", GIVES, ids=lambda base: base.__name__)
def test_a_method_of_any_name_is_refused_or_harmless(base):
    for name in names_of(base):
        system = System("t@local", 7)
        body = {"init": lambda self, *_: GIVES[base](), "__module__": "users", "open": Failing.handle_event}
        try:
            cls = type("Users", (Failing, base), {**body, name: Awkward()})
        except UsageError as error:
            assert f"goes by the name {name} itself" in str(error)  # noqa: PT017
            continue
        finally:
            system.stop()
        if name in PUBLIC:
            continue  # of the class's own face: to override it is to mean it
        system = System("t@local", 7)
        lives_and_dies(system, cls)
        system.stop()


PUBLIC = {
    "system_get_state", "system_replace_state", "system_code_change", "system_misc", "system_terminate",
    "system_resumed", "start_link", "child_spec", "child_type", "child_options",
}  # fmt: skip


def test_a_user_can_not_take_a_private_name_by_accident():
    with pytest.raises(UsageError, match=r"GenServer goes by the name _stop itself: call what .*Bad has under it"):
        type("Bad", (GenServer,), {"_stop": lambda self: None})


def test_the_state_that_sys_shows_is_the_users_alone(system):
    class Plain(GenServer):
        def init(self):
            self.server, self._timer = 1, 2

    pid = gen_server.start(system, Plain)
    assert sys.get_state(system, pid) == {A.server: 1, A._timer: 2}
    sys.replace_state(system, pid, lambda state: {**state, A.server: 3})
    assert sys.get_state(system, pid)[A.server] == 3


def test_a_handler_of_events_with_attributes_of_our_names(system):
    class Odd(EventHandler):
        def init(self, args):
            for name in {*names_of(Behaviour), *names_of(EventHandler), *gen_event._Entry.__slots__} - {"process"}:
                setattr(self, name, Awkward())

        def handle_event(self, event):
            raise ValueError

    manager = gen_event.start(system)
    assert gen_event.add_handler(system, manager, Odd) is A.ok
    assert gen_event.which_handlers(system, manager) == [A[f"{Odd.__module__}.{Odd.__qualname__}"]]
    gen_event.sync_notify(system, manager, 1)
    assert gen_event.which_handlers(system, manager) == []
    gen_event.stop(system, manager, timeout=30)


def test_a_timer_of_the_users_is_not_cancelled_by_a_message(system):
    class Waits(GenStatem):
        def init(self):
            self._timers = self._core = None
            return A.open

        def open(self, kind, content):
            return gen_statem.KeepState()

    pid = gen_statem.start(system, Waits)
    system.send(pid, A.x)
    settle(system)
    assert system.process(pid) is not None
