"""A message that no case of a callback takes: what None says, and what follows."""

import functools
import logging
from dataclasses import dataclass

import gevent
import pytest

from pyerlnode import A, Continue, GenServer, NoReply, Reply, atom_map
from pyerlnode.errors import ServerExit, UsageError
from pyerlnode.otp import gen, gen_event, gen_server, gen_statem, sys, unmatched
from pyerlnode.otp.gen_event import EventHandler
from pyerlnode.otp.gen_statem import GenStatem, KeepState, NextState, ReplyTo
from pyerlnode.otp.service import Service
from pyerlnode.runtime.system import System

HERE = "elsewhere"


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


def said(caplog):
    return [record.getMessage() for record in caplog.records if "no case of" in record.getMessage()]


# --- what the code says ------------------------------------------------------------------------
class Forms:
    """One callback of each form; each is asked with ``(A.add, 1)``, which it takes, and with `A.other`, which it does
    not, or of which nothing can be said."""

    tag = A.add

    def open_(self, request):
        match request:
            case (A.add, _):
                self.value = 1

    def open_in_with_and_try(self, request):
        with functools.partial, open("/dev/null"):  # never run: only its code counts
            try:
                match request:
                    case (A.add, _):
                        self.value = 1
            except ValueError:
                raise

    def open_behind_other_code(self, request):
        self.seen = request
        match request:
            case (A.add, value):
                self.value = value
            case A.nothing:
                pass

    def open_with_alternatives(self, request):
        match request:
            case (A.remove, _) | (A.add, _):
                self.value = 1

    def open_that_asks_a_class(self, request):
        match request:
            case tuple():
                self.value = 1

    def open_that_asks_an_attribute(self, request):
        match request:
            case (self.tag, _):
                self.value = 1

    def guarded_without_result(self, request):
        match request:
            case (A.add, value) if value > 100:
                self.value = 1

    def irrefutable(self, request):
        match request:
            case (A.add, _):
                self.value = 1
            case _:
                pass

    def captures_all(self, request):
        match request:
            case (A.add, _):
                self.value = 1
            case other:
                self.other = other

    def captures_all_as_one_of_some(self, request):
        match request:
            case (A.add, _) | _:
                self.value = 1

    def code_behind(self, request):
        match request:
            case (A.add, _):
                self.value = 1
        self.count = 1

    def says_none(self, request):
        match request:
            case (A.add, _):
                self.value = 1
        return None  # noqa: RET501  # said by the program

    def no_match(self, request):
        if request == (A.add, 1):
            self.value = 1

    def in_a_branch(self, request):
        if self.value:
            match request:
                case (A.add, _):
                    self.value = 1

    def empty(self, request):
        """Nothing."""

    @functools.lru_cache  # noqa: B019  # a decorator of the program's
    def decorated(self, request):
        match request:
            case (A.add, _):
                self.value = 1

    def guarded_with_result(self, request):
        match request:
            case (A.add, value) if value > 100:
                self.value = 1
                return NoReply()

    def guarded_with_results(self, request):
        match request:
            case (A.add, value) if value > 100:
                if value > 1000:
                    raise ValueError
                else:  # noqa: RET506  # the form in question
                    return Reply(1)

    def asks_a_local(self, request):
        wanted = self
        match request:
            case (wanted.tag, _):
                self.value = 1

    def changes_its_argument(self, request):
        request = (A.add, request)
        match request:
            case (A.add, A.add):
                self.value = 1

    def looks_at_something_else(self, request):
        del request
        match self.read():
            case (A.add, _):
                self.value = 1

    def read(self):
        return A.nothing


MISSES_ONE = [
    "open_", "open_in_with_and_try", "open_behind_other_code", "open_with_alternatives", "open_that_asks_a_class",
    "open_that_asks_an_attribute", "guarded_without_result",
]  # fmt: skip
MISSES_NOTHING = [
    "irrefutable", "captures_all", "captures_all_as_one_of_some", "code_behind", "says_none", "no_match", "in_a_branch",
    "empty", "decorated",
]  # fmt: skip
MISSES_ALL = [
    "guarded_with_result", "guarded_with_results", "asks_a_local", "changes_its_argument", "looks_at_something_else",
]  # fmt: skip


@pytest.mark.parametrize("term", [None, True, 1, b"", [], {}, (), A.add], ids=repr)
def test_a_pattern_of_any_kind_is_open(term):  # noqa: C901  # six callbacks
    class One:
        def of_none(self, request):
            match request:
                case None:
                    pass

        def of_true(self, request):
            match request:
                case True:
                    pass

        def of_map(self, request):
            match request:
                case {}:
                    pass

        def of_list(self, request):
            match request:
                case []:
                    pass

        def of_binary(self, request):
            match request:
                case b"":
                    pass

        def of_number(self, request):
            match request:
                case int() | float():
                    pass

    one = One()
    takes = {
        "of_none": term is None,
        "of_true": term is True,
        "of_map": term == {},
        "of_list": term in ([], ()),  # Python's sequences
        "of_binary": term == b"",
        "of_number": isinstance(term, int),
    }
    assert {name: not unmatched.is_missed(getattr(one, name), (term,)) for name in takes} == takes


@pytest.mark.parametrize(
    ("names", "misses"), [(MISSES_ONE, [False, True]), (MISSES_NOTHING, [False, False]), (MISSES_ALL, [True, True])]
)
def test_what_none_of_each_form_says(names, misses):
    forms = Forms()
    for name in names:
        found = [unmatched.is_missed(getattr(forms, name), (message,)) for message in ((A.add, 1), A.other)]
        assert found == misses, name


def test_every_form_is_in_a_table():
    assert {*MISSES_ONE, *MISSES_NOTHING, *MISSES_ALL, "read"} == {
        name for name, value in vars(Forms).items() if callable(value)
    }


def test_patterns_see_the_variables_around_the_callback():
    class Words:
        wanted = A.add

    class Inner:
        def handle(self, message):
            match message:
                case (Words.wanted, int()):
                    self.value = Words

    took = Inner().handle
    assert not unmatched.is_missed(took, ((A.add, 1),))
    assert unmatched.is_missed(took, ((A.add, b""),))


def test_a_callback_without_a_source_has_handled_what_it_gives_none_for():
    space = {"A": A}
    exec("class Made:\n def handle(self, m):\n  match m:\n   case A.add: pass\n", space)
    assert not unmatched.is_missed(space["Made"]().handle, (A.other,))


def test_what_a_pattern_asks_of_the_program_may_raise():
    class Odd:
        def __eq__(self, other):
            raise ValueError

        __hash__ = None

    class Holder:
        odd = Odd()

        def handle(self, message):
            match message:
                case self.odd:
                    self.value = 1

    assert not unmatched.is_missed(Holder().handle, (1,))


def test_the_code_is_read_once(monkeypatch):
    class Once:
        def handle(self, message):
            match message:
                case A.add:
                    self.value = 1

    reads = []
    read = unmatched._read
    monkeypatch.setattr(unmatched, "_read", lambda function: (reads.append(function), read(function))[1])
    for _ in range(3):
        assert unmatched.is_missed(Once().handle, (A.other,))
    assert reads == [Once.handle]


@pytest.mark.parametrize(
    ("term", "shape"),
    [
        (A.add, "add"),
        ((A.add, 1, b"secret", [1], {}, None), "{add, integer, binary, list, map, nil}"),
        ((1, A.secret), "{integer, atom}"),
        ((A.a, *range(9)), "{a, integer, integer, integer, integer, integer, … 10 in all}"),
        ((), "{}"),
        (1.5, "float"),
        (True, "boolean"),
        ("text", "binary"),
    ],
)
def test_a_shape_shows_tags_and_kinds(term, shape):
    assert unmatched.shape(term) == shape


# --- what follows ------------------------------------------------------------------------------
def server(wish, base=GenServer):  # noqa: C901  # four callbacks
    class Adder(base):
        unmatched = wish

        def init(self):
            self.value = 0

        def handle_call(self, request, from_):  # noqa: RET503  # the form in question
            match request:
                case A.get:
                    return Reply(self.value)
                case A.forgets:
                    self.value = -1

        def handle_cast(self, request):
            match request:
                case (A.add, int(n)):
                    self.value += n

        def handle_info(self, message):  # noqa: RET503  # the form in question
            match message:
                case (A.add, int(n)):
                    self.value += n
                case A.go_on:
                    return NoReply(continue_=A.unknown)

        def handle_continue(self, value):
            match value:
                case A.known:
                    self.value = 100

    return Adder


def send_all(system, pid):
    gen.cast(system, pid, (A.add, 1))
    system.send(pid, (A.add, 1))
    gen.cast(system, pid, (A.add, b"secret"))
    system.send(pid, A.surprise)
    gen.cast(system, pid, (A.add, b"again"))
    system.send(pid, A.go_on)
    return gen.call(system, pid, A.get)


def test_by_default_each_shape_is_told_once(system, caplog):
    cls = server("warn")
    for _ in range(2):
        pid = gen_server.start(system, cls)
        assert send_all(system, pid) == 2
    dropped = "which is dropped; this is told once"
    first = gen_server.start(system, cls).id - 2
    assert said(caplog) == [
        f"Adder <t@local.{first}.0>: no case of handle_cast takes {{add, binary}}, {dropped}",
        f"Adder <t@local.{first}.0>: no case of handle_info takes surprise, {dropped}",
        f"Adder <t@local.{first}.0>: no case of handle_continue takes unknown, {dropped}",
    ]


def test_shapes_that_are_told_are_bounded(system, caplog):
    pid = gen_server.start(system, server("warn"))
    for number in range(3 * unmatched.MOST_SHAPES):
        gen.cast(system, pid, (A[f"tag_{number}"],))
    assert gen.call(system, pid, A.get) == 0
    assert len(said(caplog)) == unmatched.MOST_SHAPES + 1
    assert said(caplog)[-1].endswith("and further shapes are not told")


def test_ignored_messages_are_told_nowhere(system, caplog):
    assert send_all(system, gen_server.start(system, server("ignore"))) == 2
    assert send_all(system, gen_server.start(system, server("ignore", Service))) == 2
    assert not caplog.records


@pytest.mark.parametrize(
    ("message", "callback", "arity"),
    [
        ((A["$gen_cast"], (A.add, b"")), "handle_cast", 2),
        (A.surprise, "handle_info", 2),
        (A.go_on, "handle_continue", 2),
    ],
)
def test_a_server_that_wants_to_crash_ends_as_on_the_beam(system, message, callback, arity):
    cls = server("crash")
    me = system.adopt()
    pid = gen_server.start(system, cls)
    ref = system.monitor(me, pid)
    system.send(pid, message)
    _, down, _, _, reason = me.receive(lambda _: True, 60.0)
    assert down == ref
    match reason:
        case (A.function_clause, [(module, name, count, where)]):
            assert str(module).endswith("Adder")
            assert (str(name), count) == (callback, arity)
            assert dict(where)[A.line] > 0
        case _:
            pytest.fail(repr(reason))


@pytest.mark.parametrize("wish", ["warn", "crash", "ignore"])
@pytest.mark.parametrize(("request_", "tag"), [(A.unknown, A.function_clause), (A.forgets, A.bad_return_value)])
def test_a_call_without_an_answer_ends_the_server_and_tells_the_caller_at_once(system, wish, request_, tag):
    pid = gen_server.start(system, server(wish))
    with pytest.raises(ServerExit) as error:
        gen.call(system, pid, request_, None)
    assert error.value.reason[0][0] is tag
    assert system.process(pid) is None


def test_a_service_answers_a_call_that_it_does_not_know_and_goes_on(system):
    pid = gen_server.start(system, server("ignore", Service))
    answer = gen.call(system, pid, A.unknown)
    assert answer[0] is A.error
    assert answer[1][0] is A.function_clause
    assert gen.call(system, pid, A.get) == 0


def test_the_default_callbacks_are_as_elixirs(system, caplog):
    class Bare(GenServer):
        unmatched = "crash"

    pid = gen_server.start(system, Bare)
    system.send(pid, A.surprise)
    me = system.adopt()
    ref = system.monitor(me, pid)
    gen.cast(system, pid, A.surprise)
    assert me.receive(lambda _: True, 60.0)[1:] == (ref, A.process, pid, (A.bad_cast, A.surprise))
    assert caplog.records[0].levelno == logging.WARNING


def test_a_process_whose_callbacks_are_done_is_not_asked_again(system):
    class Done(GenServer):
        def handle_cast(self, request):
            self.value = request

    class Heir(Done):
        def handle_cast(self, request):
            match request:
                case A.add:
                    pass

    for cls, asks in ((Done, False), (Heir, True), (type("Ignoring", (Heir,), {"unmatched": "ignore"}), False)):
        process = system.process(gen_server.start(system, cls))
        assert process.asks
        gen.cast(system, process.pid, A.add)
        sys.get_state(system, process.pid)
        assert process.asks is asks
    sys.suspend(system, process.pid)
    sys.change_code(system, process.pid, A.any, A.any, A.any)
    assert process.asks


def test_typed_callbacks_are_asked_with_what_they_were_given(system, caplog):
    @atom_map
    @dataclass
    class Order:
        count: int

    class Shop(GenServer):
        def handle_cast(self, order: Order):
            match order:
                case Order(count=1):
                    self.value = 1

    pid = gen_server.start(system, Shop)
    for count in (1, 2):
        gen.cast(system, pid, {A.count: count})
    gen.stop(system, pid)
    assert len(said(caplog)) == 1
    gen.cast(system, gen_server.start(system, Shop), A.no_order)
    assert len(said(caplog)) == 1


def test_a_word_that_is_no_choice_is_refused_and_other_attributes_mean_nothing():
    with pytest.raises(UsageError, match="warn, crash, ignore"):
        type("Wrong", (GenServer,), {"unmatched": "explode"})
    other = type("Other", (GenServer,), {"unmatched": property(lambda self: 1 / 0)})
    assert unmatched.choice(other) == "warn"


# --- the other behaviours ----------------------------------------------------------------------
def door(wish):
    class Door(GenStatem):
        unmatched = wish

        def init(self):
            return A.locked

        def locked(self, kind, content):  # noqa: RET503  # the form in question
            match kind, content:
                case (A.call, from_), A.code:
                    return NextState(A.open, ReplyTo(from_, A.ok))
                case A.cast, A.knock:
                    self.knocked = True

        def open(self, kind, content):
            match kind, content:
                case (A.call, from_), A.enter:
                    return KeepState(ReplyTo(from_, A.welcome))

    return Door


def test_a_state_machine_warns_of_an_event_and_refuses_a_call(system, caplog):
    pid = gen_statem.start(system, door("warn"))
    for event in (A.knock, A.kick, A.kick):
        gen.cast(system, pid, event)
    assert gen.call(system, pid, A.code) is A.ok
    assert [line.split(": ", 1)[1] for line in said(caplog)] == [
        "no case of locked takes cast: kick, which is dropped; this is told once"
    ]
    with pytest.raises(ServerExit) as error:
        gen.call(system, pid, A.unknown, None)
    assert error.value.reason[0][0] is A.function_clause


def test_a_state_machine_that_wants_to_crash(system):
    me = system.adopt()
    pid = gen_statem.start(system, door("crash"))
    gen.cast(system, pid, A.knock)
    system.monitor(me, pid)
    gen.cast(system, pid, A.kick)
    reason = me.receive(lambda _: True, 60.0)[4]
    assert reason[0] is A.function_clause
    assert reason[1][0][1:3] == (A.locked, 3)


def audit(wish):
    class Audit(EventHandler):
        unmatched = wish

        def init(self, args):
            self.seen = []

        def handle_event(self, event):
            match event:
                case (A.order, number):
                    self.seen.append(number)

        def handle_call(self, request):
            match request:
                case A.seen:
                    return Reply(self.seen)

    return Audit


def test_a_handler_of_events_warns_and_one_that_wants_to_crash_is_removed(system, caplog):
    for wish, kept in (("warn", True), ("ignore", True), ("crash", False)):
        cls = audit(wish)
        manager = gen_event.start(system)
        gen_event.add_handler(system, manager, cls)
        for event in ((A.order, 1), A.what, A.what, (A.order, 2)):
            gen_event.sync_notify(system, manager, event)
        assert bool(gen_event.which_handlers(system, manager)) is kept
        if kept:
            assert gen_event.call(system, manager, cls, A.seen) == [1, 2]
            tag, reason = gen_event.call(system, manager, cls, A.unknown)
            assert (tag, reason[0], reason[1][0]) == (A.error, A.EXIT, A.function_clause)
            assert gen_event.which_handlers(system, manager) == []
    assert len(said(caplog)) == 1


def test_continue_of_init_is_looked_at_too(system, caplog):
    class Starts(GenServer):
        def init(self):
            return Continue(A.unknown)

        def handle_continue(self, value):
            match value:
                case A.known:
                    self.value = 1

    gen.stop(system, gen_server.start(system, Starts))
    assert len(said(caplog)) == 1
