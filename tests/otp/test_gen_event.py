"""Event managers and their handlers."""

import gevent
import pytest

from pyerlnode.errors import Throw, UsageError
from pyerlnode.otp import gen, gen_event, sys
from pyerlnode.otp.gen_event import EventHandler, RemoveHandler, SwapHandler
from pyerlnode.otp.results import Reply, Stop
from pyerlnode.runtime.info import module_atom
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.pid import Pid

calls = []


class Audit(EventHandler):
    def init(self, args):
        self.args = args
        self.seen = []
        if args is A.raise_:
            raise ValueError("no")
        if args is A.stop:
            return Stop(A.unwanted)
        return None

    def handle_event(self, event):
        calls.append((self.args, event))
        match event:
            case A.crash:
                raise RuntimeError("as asked")
            case A.remove:
                return RemoveHandler()
            case A.swap:
                return SwapHandler(A.why, Other, A.new)
            case A.bad:
                return 17
        self.seen.append(event)
        return None

    def handle_call(self, request):
        if request is A.remove:
            return RemoveHandler(reply=A.gone)
        if request is A.crash:
            raise RuntimeError("as asked")
        return Reply((request, self.seen))

    def handle_info(self, message):
        self.seen.append((A.info, message))

    def terminate(self, why):
        calls.append((A.terminate, self.args, why))
        if why is A.crash:
            raise ValueError("in terminate")
        return A.bye


class Other(Audit):
    pass


@pytest.fixture
def system():
    calls.clear()
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def manager(system):
    return gen_event.start(system, name="events", handlers=[Audit, Other])


def ended(system, pid):
    """Wait for the end of a process, not for a number of turns of the hub: a turn that took too long is cut short."""
    me = system.adopt()
    ref = system.monitor(me, pid)
    assert me.receive(lambda message: message[1] == ref, 5)[0] is A.DOWN


def test_every_handler_gets_every_event_the_last_added_first(system, manager):
    assert gen_event.add_handler(system, manager, Audit, 1) is A.ok
    assert gen_event.add_handler(system, "events", (Audit, A.second), 2) is A.ok
    gen_event.notify(system, manager, A.a)
    assert gen_event.sync_notify(system, manager, A.b) is A.ok
    assert calls == [(2, A.a), (1, A.a), (2, A.b), (1, A.b)]
    audit = module_atom(Audit)
    assert gen_event.which_handlers(system, manager) == [(audit, A.second), audit]
    assert gen_event.call(system, manager, Audit, A.q) == (A.q, [A.a, A.b])
    assert gen_event.call(system, manager, (audit, A.second), A.q) == (A.q, [A.a, A.b])
    assert gen_event.call(system, manager, Other, A.q) == (A.error, A.bad_module)


def test_other_messages_are_info_for_every_handler(system, manager):
    gen_event.add_handler(system, manager, Audit, 1)
    for message in (A.hello, (A.DOWN, 1, 2, 3, 4)):
        system.send(manager, message)
    assert gen_event.call(system, manager, Audit, A.q)[1] == [(A.info, A.hello), (A.info, (A.DOWN, 1, 2, 3, 4))]


def test_a_handler_is_deleted_with_the_answer_of_its_terminate(system, manager, caplog):
    gen_event.add_handler(system, manager, Audit, 1)
    assert gen_event.delete_handler(system, manager, Audit, A.args) is A.bye
    assert gen_event.delete_handler(system, manager, Audit, A.args) == (A.error, A.module_not_found)
    gen_event.add_handler(system, manager, Audit, 1)
    assert gen_event.delete_handler(system, manager, Audit, A.crash)[0] is A.EXIT


@pytest.mark.parametrize(("event", "why"), [(A.remove, A.remove_handler), (A.bad, (A.error, 17))])
def test_a_handler_removes_itself_or_is_removed_for_a_bad_result(system, manager, event, why):
    gen_event.add_handler(system, manager, Audit, 1)
    gen_event.sync_notify(system, manager, event)
    assert calls[-1] == (A.terminate, 1, why)
    assert gen_event.which_handlers(system, manager) == []


def test_a_handler_that_raises_is_removed_and_the_others_go_on(system, manager, caplog):
    gen_event.add_handler(system, manager, Audit, 1)
    gen_event.add_handler(system, manager, Other, 2)
    assert gen_event.call(system, manager, Other, A.crash)[0] is A.error
    assert gen_event.which_handlers(system, manager) == [module_atom(Audit)]
    gen_event.sync_notify(system, manager, A.crash)
    assert calls[-1][2][0] is A.error
    assert gen_event.which_handlers(system, manager) == []
    assert "as asked" in caplog.text


def test_a_call_may_remove_the_handler_and_answer(system, manager):
    gen_event.add_handler(system, manager, Audit, 1)
    assert gen_event.call(system, manager, Audit, A.remove) is A.gone
    assert gen_event.which_handlers(system, manager) == []


def test_a_handler_that_does_not_begin_is_not_added(system, manager, caplog):
    assert gen_event.add_handler(system, manager, Audit, A.raise_)[0] is A.EXIT
    assert gen_event.add_handler(system, manager, Audit, A.stop) == (A.error, A.unwanted)
    assert gen_event.add_handler(system, manager, A.unknown, 1)[1][0] is A.undef
    assert gen_event.which_handlers(system, manager) == []


def test_swap_hands_the_old_ones_word_to_the_new_one(system, manager):
    gen_event.add_handler(system, manager, Audit, 1)
    assert gen_event.swap_handler(system, manager, (Audit, A.why), (Other, A.new)) is A.ok
    assert calls == [(A.terminate, 1, A.why)]
    assert sys.get_state(system, manager) == [(module_atom(Other), False, {A.args: (A.new, A.bye), A.seen: []})]
    assert gen_event.swap_handler(system, manager, (Audit, A.why), (Audit, A.new)) is A.ok
    assert sys.get_state(system, manager)[0][2][A.args] == (A.new, A.error)
    gen_event.sync_notify(system, manager, A.swap)
    assert all(state[0] is module_atom(Other) for state in sys.get_state(system, manager))


def test_a_supervised_handler_goes_with_its_process_and_that_is_told_of_its_removal(system, manager):
    me = system.adopt()
    assert gen_event.add_sup_handler(system, manager, Audit, 1) is A.ok
    gen_event.delete_handler(system, manager, Audit, A.x)
    audit = module_atom(Audit)
    assert me.receive(None, 1) == (A["gen_event_EXIT"], audit, A.normal)
    assert [end.pid for end in me.links] == [manager]  # the link stays, as OTP's does
    gen_event.add_sup_handler(system, manager, Audit, 1)
    gen_event.swap_sup_handler(system, manager, (Audit, 1), (Other, 2))
    gen_event.sync_notify(system, manager, A.remove)
    swapped = (A.swapped, module_atom(Other), me.pid)
    assert me.receive(None, 1) == (A["gen_event_EXIT"], audit, swapped)
    assert me.receive(None, 1) == (A["gen_event_EXIT"], module_atom(Other), A.normal)

    def body():
        gen_event.add_sup_handler(system, manager, Audit, 2)

    ended(system, system.spawn(body))
    assert gen_event.which_handlers(system, manager) == []
    assert calls[-1] == (A.terminate, 2, (A.stop, A.normal))


def test_a_handler_of_elixirs_genevent_is_monitored(system, manager):
    def body():
        gen.call(system, manager, (A.add_mon_handler, Audit, 3, system.myself().pid), label=system.myself().pid)

    ended(system, system.spawn(body))
    assert gen_event.which_handlers(system, manager) == []
    assert calls[-1] == (A.terminate, 3, (A.stop, A.normal))


def test_the_end_of_the_manager_stops_its_handlers(system, manager):
    me = system.adopt()
    gen_event.add_sup_handler(system, manager, Audit, 1)
    gen_event.stop(system, manager)
    assert calls == [(A.terminate, 1, A.stop)]
    assert me.receive(None, 1) == (A["gen_event_EXIT"], module_atom(Audit), A.shutdown)
    other = gen_event.start(system)
    assert gen.call(system, other, A.stop, label=me.pid) is A.ok
    assert not system.process(other)


def test_get_modules_and_an_unknown_request_are_answered(system, manager):
    gen_event.add_handler(system, manager, Audit, 1)
    gen_event.add_handler(system, manager, (Audit, 2), 2)
    me = system.adopt()
    assert gen.call(system, manager, A.get_modules, label=me.pid) == [module_atom(Audit)]
    assert gen.call(system, manager, A.what, label=me.pid) == (A.error, A.bad_request)


def test_a_class_is_not_sent_to_another_node(system):
    with pytest.raises(UsageError, match="by an atom"):
        gen_event.add_handler(system, Pid(A["other@host"], 1, 0, 1), Audit)


def test_replace_state_maps_each_handlers_state(system, manager):
    gen_event.add_handler(system, manager, Audit, 1)
    sys.replace_state(system, manager, lambda s: (s[0], s[1], {**s[2], A.args: 9}))
    assert sys.get_state(system, manager)[0][2][A.args] == 9
    assert sys.get_status(system, manager)[2] == (A.module, A.gen_event)


def test_a_handler_for_which_replace_state_fails_stays_as_it_is(system, manager):
    for args in (1, 2, 3):
        gen_event.add_handler(system, manager, (Audit, args), args)

    def replaced(handler):
        module, id, state = handler
        assert id != 2
        return (module, id if id == 1 else 1.0, {**state, A.seen: [A.replaced]})

    assert [(id, state[A.seen]) for _, id, state in sys.replace_state(system, manager, replaced)] == [
        (3, []),
        (2, []),
        (1, [A.replaced]),
    ]
    assert gen_event.call(system, manager, (Audit, 1), A.get) == (A.get, [A.replaced])
    assert gen_event.call(system, manager, (Audit, 2), A.get) == (A.get, [])


class Converted(EventHandler):
    def init(self, args):
        self.args = args
        self.version = 1

    def code_change(self, old_vsn, extra):
        self.version = (old_vsn, extra)
        if extra is self.args:
            raise Throw(A.ball)


def test_a_change_of_code_is_for_the_handlers_of_its_module_and_for_all_or_none(system):
    manager = gen_event.start(system)
    gen_event.add_handler(system, manager, Audit, 1)
    for id in (A.a, A.b):
        gen_event.add_handler(system, manager, (Converted, id), id)
    sys.suspend(system, manager)
    module = module_atom(Converted)

    def versions(asked, extra):
        told = gen.call(system, manager, (A.change_code, asked, 1, extra), label=A.system)
        return told, [state.get(A.version) for _, _, state in sys.get_state(system, manager)]

    assert versions(A.another, A.x) == (A.ok, [1, 1, None])
    assert versions(module, A.a) == ((A.error, A.ball), [1, 1, None])
    assert versions(module, A.x) == (A.ok, [(1, A.x), (1, A.x), None])
