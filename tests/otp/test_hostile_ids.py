"""What goes by a term is told apart as Erlang tells terms apart, whatever term it is.

A BEAM beside is asked in `interop_tests/test_behaviours_gen_statem.py` and `test_behaviours_gen_event.py`.
"""

import gevent
import pytest

from pyerlnode.otp import gen, gen_event, gen_server, gen_statem, sys
from pyerlnode.otp.gen_event import EventHandler
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.gen_statem import GenStatem, KeepState, NextState, ReplyTo, state_timeout, timeout
from pyerlnode.otp.gen_statem_core import CancelTimer, Core, Invoke, StartTimer
from pyerlnode.otp.registry import AlreadyRegistered, Registry
from pyerlnode.otp.results import Reply, Stop
from pyerlnode.otp.task import Task
from pyerlnode.runtime import api
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.exact import key, same
from pyerlnode.testing.patience import patience
from tests.helpers import hostile
from tests.helpers.hostile import ALIKE as IDS


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


class Named(EventHandler):
    def init(self, args):
        self.args = args

    def handle_call(self, request):
        return Reply(self.args)


def test_handlers_of_one_class_by_any_id(system):
    manager = gen_event.start(system, handlers=[Named])
    ids = [id for id in IDS if id is not False]  # OTP's own mark of a handler without an id
    assert gen_event.add_handler(system, manager, Named, A.plain) is A.ok
    for number, id in enumerate(ids):
        assert gen_event.add_handler(system, manager, (Named, id), number) is A.ok
    for number, id in enumerate(ids):
        assert gen_event.call(system, manager, (Named, id), A.who) == number
    assert gen_event.call(system, manager, Named, A.who) is A.plain
    assert gen_event.call(system, manager, (Named, "a"), A.who) == ids.index(b"a")
    assert gen_event.call(system, manager, (Named, [1.0]), A.who) == (A.error, A.bad_module)
    for id in ids:
        assert gen_event.delete_handler(system, manager, (Named, id)) is A.ok
        assert gen_event.delete_handler(system, manager, (Named, id)) == (A.error, A.module_not_found)
    assert len(gen_event.which_handlers(system, manager)) == 1


def test_a_down_of_nobody_is_info_of_an_event_manager(system):
    manager = gen_event.start(system, handlers=[Named])
    gen_event.add_handler(system, manager, Named, 1)
    for ref in (None, [1], {}, hostile.deep("list")):
        system.send(manager, (A.DOWN, ref, A.process, 1, A.x))
    assert gen_event.call(system, manager, Named, A.who) == 1


# --- state machines --------------------------------------------------------------------------------
def test_time_outs_by_any_name():
    core = Core(A.on)
    core.arrived(A.cast, A.go)
    effects, _ = core.returned(KeepState(*(timeout(id, 1.0, number) for number, id in enumerate(IDS))))
    assert [effect.turn for effect in effects if type(effect) is StartTimer] == list(range(1, len(IDS) + 1))
    core.arrived(A.cast, A.go)
    effects, _ = core.returned(KeepState(*(timeout(id, None) for id in IDS[::2])))
    assert len([effect for effect in effects if type(effect) is CancelTimer]) == len(IDS[::2])
    for number, id in enumerate(IDS):
        effects, invoke = core.fired((A.timeout, id), number + 1)
        if number % 2 == 0:
            assert invoke is None
        else:
            assert type(invoke) is Invoke
            assert same(invoke.kind, (A.timeout, id))
            assert invoke.content == number
            core.returned(None)


def test_the_last_of_several_actions_for_one_time_out_counts_and_of_another_none():
    core = Core(A.on)
    core.arrived(A.cast, A.go)
    effects, _ = core.returned(KeepState(timeout(1, 1.0), timeout(1.0, 2.0), timeout([1], 3.0), timeout(1, 4.0)))
    assert [effect.seconds for effect in effects] == [2.0, 3.0, 4.0]


def test_states_of_any_term():
    core = Core(A.start)
    for state in IDS:
        core.arrived(A.cast, A.go)
        core.returned(KeepState(state_timeout(1.0)))
        core.arrived(A.cast, A.go)
        effects, _ = core.returned(NextState(state))
        assert [type(effect) for effect in effects] == [CancelTimer], state


class Timed(GenStatem):
    callback_mode = A.handle_event_function

    def init(self):
        self.fired = []
        return 1

    def handle_event(self, kind, content, state):
        match kind, content:
            case (A.call, from_), A.fired:
                return KeepState(ReplyTo(from_, self.fired))
            case A.cast, (A.start, name, seconds):
                return KeepState(timeout(name, seconds, A.late))
            case (A.timeout, name), _:
                self.fired.append(name)
                return Stop(A.normal, reply=name) if name is A.stop else None
        return None


def test_timers_of_a_machine_by_any_name(system):
    machine = gen_statem.start(system, Timed)
    for id in IDS:
        gen.cast(system, machine, (A.start, id, 60.0))
    for id in IDS:
        gen.cast(system, machine, (A.start, id, 0.001))
    with gevent.Timeout(patience()):
        while len(fired := gen.call(system, machine, A.fired)) < len(IDS):
            gevent.sleep(0.001)
    assert {key(name) for name in fired} == {key(name) for name in IDS}
    with gevent.Timeout(patience()):
        while len(system.timers.wheel):  # those of a minute were cancelled; that of the waits is soon over
            gevent.sleep(0.001)


def test_the_name_of_a_time_out_is_nobody_to_answer(system, caplog):
    """``{timeout, Name}`` is a pair like ``{call, From}``; a stop with a reply in it answers nobody."""
    machine = gen_statem.start(system, Timed)
    me = system.adopt()
    ref = system.monitor(me, machine)
    gen.cast(system, machine, (A.start, A.stop, 0.001))
    assert me.receive(lambda message: message[0] is A.DOWN and message[1] == ref, 30)[4] is A.normal


class Record:
    """A state that has no form as a term, and may not be compared."""

    def __eq__(self, other):
        raise AssertionError

    __hash__ = None


def test_a_state_that_is_no_term_is_the_same_as_itself_only():
    one = Record()
    core = Core(one)
    core.arrived(A.cast, A.go)
    core.returned(KeepState(state_timeout(1.0)))
    core.arrived(A.cast, A.go)
    assert core.returned(NextState(one))[0] == []
    core.arrived(A.cast, A.go)
    assert [type(effect) for effect in core.returned(NextState(Record()))[0]] == [CancelTimer]


# --- registries ------------------------------------------------------------------------------------
def test_keys_of_a_registry(system):
    me = system.adopt()
    me.trap_exit = True
    api_registry = Registry.start_link(name="ids", on=me)
    for number, name in enumerate(IDS):
        Registry.register("ids", name, number, on=me)
    for number, name in enumerate(IDS):
        assert Registry.lookup("ids", name, on=system) == [(me.pid, number)]
        with pytest.raises(AlreadyRegistered):
            Registry.register("ids", name, 0, on=me)
    keys = Registry.keys("ids", me.pid, on=system)
    assert all(same(one, other) for one, other in zip(keys, IDS, strict=True))
    assert Registry.update_value("ids", 1.0, lambda _: A.new, on=me) == (A.new, 2)
    assert Registry.lookup("ids", 1, on=system) == [(me.pid, 1)]
    for name in IDS[::2]:
        Registry.unregister("ids", name, on=me)
    assert Registry.count("ids", on=system) == len(IDS[1::2])
    Registry.put_meta("ids", [1], A.list, on=system)
    Registry.put_meta("ids", 1, A.one, on=system)
    assert Registry.meta("ids", [1], on=system) is A.list
    assert Registry.meta("ids", True, on=system) is None
    assert api_registry is not None


# --- sys, exits and tasks ----------------------------------------------------------------------------
class Quiet(GenServer):
    def handle_cast(self, request):
        return None


def test_debug_functions_by_any_id(system):
    pid = gen_server.start(system, Quiet)
    seen = []

    def note(state, event, who):
        seen.append(state)
        return state

    for number, id in enumerate(IDS):
        assert gen.call(system, pid, (A.debug, (A.install, (id, note, number))), None, sys.SYSTEM) is A.ok
    for id in IDS[::2]:
        assert gen.call(system, pid, (A.debug, (A.remove, id)), None, sys.SYSTEM) is A.ok
    gen.cast(system, pid, A.hello)
    sys.get_state(system, pid)
    assert sorted(set(seen)) == list(range(1, len(IDS), 2))


def test_a_bound_method_is_removed_as_what_it_was_installed_as(system):
    class Watcher:
        def __init__(self):
            self.seen = []

        def note(self, state, event, who):
            self.seen.append(event)
            return state

    pid = gen_server.start(system, Quiet)
    watcher = Watcher()
    sys.install(system, pid, watcher.note, 1)
    sys.remove(system, pid, watcher.note)
    gen.cast(system, pid, A.hello)
    sys.get_state(system, pid)
    assert watcher.seen == []


@pytest.mark.parametrize("cls", [Quiet, Timed])
@pytest.mark.parametrize("suspended", [False, True])
def test_an_exit_of_nobody_is_not_that_of_a_parent(system, cls, suspended):
    """``{'EXIT', nil, …}`` took a process without a parent for its child."""
    start = gen_server.start if cls is Quiet else gen_statem.start
    pid = start(system, cls)
    if suspended:
        sys.suspend(system, pid)
    for who in (None, True, 1, [1], {}, hostile.deep("tuple")):
        system.send(pid, (A.EXIT, who, A.shutdown))
    if suspended:
        sys.resume(system, pid)
    assert sys.get_state(system, pid) is not None
    assert system.process(pid) is not None


def test_who_waits_for_a_task_is_not_ended_by_the_messages_before(system):
    def body():
        me = api.self_()
        for what in (None, [1], {}, A.x, hostile.deep("list")):
            for message in ((A.EXIT, what, A.x), (A.DOWN, what, A.process, what, A.x), (what, what)):
                system.send(me, message)
        api.process_flag("trap_exit", True)
        found.append(list(Task.async_stream([1, 2, 3], lambda n: n * 2)))
        task = Task.async_(lambda: A.done)
        found.append(task.await_())

    found = []
    me = system.adopt()
    process = system.spawn_function(body, (), {})
    ref = system.monitor(me, process.pid)
    assert me.receive(lambda message: message[0] is A.DOWN and message[1] == ref, 30)[4] is A.normal
    assert found == [[(A.ok, 2), (A.ok, 4), (A.ok, 6)], A.done]
