"""Selective receive looks at no message twice for one pattern. What it gives: tests/property/test_mailbox.py."""

from collections import deque

import gevent
import pytest

from pyerlnode.runtime import api
from pyerlnode.runtime.mailbox_core import MOST_PLACES, NOTHING, find, is_constant, same
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.containers import ImproperList
from pyerlnode.term.pattern import ANY
from pyerlnode.term.pid import Reference


class Counted(tuple):
    """A message that counts how often a matcher asks for its size."""

    __slots__ = ()
    looked = 0

    def __len__(self):
        Counted.looked += 1
        return 1


@pytest.fixture
def me():
    system = System("t@local", 7)
    Counted.looked = 0
    yield system.new_process(None)
    system.stop()
    gevent.sleep(0)


def fill(process, count):
    for _ in range(count):
        process.deliver(Counted((1,)))


@pytest.mark.parametrize("start", [0, 1, 600, 1100, 1999])
def test_find_gives_the_first_match_behind_the_start_from_either_end(start):
    queue = deque(range(2000))
    for wanted in (0, 1, 599, 600, 1099, 1100, 1101, 1601, 1998, 1999):
        assert find(queue, lambda m, wanted=wanted: m >= wanted, start) == max(start, wanted)
    assert find(queue, lambda m: m > 1999, start) == -1
    assert find(queue, lambda m: True, 2000) == -1


def test_each_message_is_looked_at_once_for_a_pattern_that_is_received_again_and_again(me):
    fill(me, 1000)
    for number in range(200):
        me.deliver((A.wanted, number))
        assert me.receive_pattern((A.wanted, ANY), 0) == (A.wanted, number)
    assert Counted.looked == 1000


def test_patterns_in_turns_have_a_place_each(me):
    fill(me, 1000)
    for number in range(100):
        for name in (A.one, A.two, A.three):
            me.deliver((name, number))
            assert me.receive_pattern((name, int), 0) == (name, number)
    assert Counted.looked == 3 * 1000


def test_the_place_survives_that_others_are_taken_before_it(me):
    fill(me, 500)
    for number in range(500):
        assert me.receive_pattern((A.wanted, ANY), 0) is NOTHING
        assert isinstance(me.receive(None, 0), Counted)
        me.deliver((A.wanted, number))
        assert me.receive_pattern((A.wanted, ANY), 0) == (A.wanted, number)
    assert Counted.looked == 500
    assert not me.queue


@pytest.mark.parametrize("kind", ["make_ref", "monitor", "alias", "start_timer"])
def test_a_pattern_with_a_new_reference_begins_behind_what_was_there_before_it(me, kind):
    system = me.system

    def body():
        fill(system.myself(), 1000)
        for number in range(50):
            target = system.spawn(api.receive)
            if kind == "make_ref":
                ref = api.make_ref()
                api.send(api.self_(), (A.answer, ref, number))
            elif kind == "monitor":
                ref = api.monitor(target)
                api.exit_(target, A.kill)
            elif kind == "alias":
                ref = system.alias(system.myself())
                api.send(ref, (A.answer, ref, number))
            else:
                ref = api.start_timer(0, api.self_(), number)
            got.append(api.receive((ANY, ref, ANY)) if kind != "monitor" else api.receive((A.DOWN, ref, ANY, ANY, ANY)))
        got.append(len(system.myself().queue))

    got = []
    system.spawn(body)
    while len(got) < 51:
        gevent.sleep(0)
    assert got[-1] == 1000
    assert Counted.looked == 0


def test_a_reference_of_others_and_a_forgotten_one_look_from_the_first_message_on(me):
    fill(me, 10)
    other = Reference(A["x@y"], 1, (1, 2, 3))
    me.deliver((other,))
    ours = me.system.new_ref()
    me.mark(ours)
    for _ in range(MOST_PLACES + 1):
        me.mark(me.system.new_ref())
    me.deliver((ours,))
    assert me.receive_pattern((other,), 0) == (other,)
    assert me.receive_pattern((ours,), 0) == (ours,)
    assert len(me.places) == MOST_PLACES


def test_a_function_is_asked_from_the_first_message_on_each_time(me):
    wanted = []
    for number in range(5):
        me.deliver(number)

    def matches(message):
        return message in wanted

    assert me.receive(matches, 0) is NOTHING
    wanted.append(2)
    assert me.receive(matches, 0) == 2
    assert me.receive_pattern(matches, 0) is NOTHING
    wanted.append(0)
    assert me.receive_pattern(matches, 0) == 0
    assert not me.places


def test_a_function_with_since_begins_behind_the_reference(me):
    fill(me, 1000)
    ref = me.system.new_ref()
    me.mark(ref)
    me.deliver((A.answer, 1))
    looked = []
    assert me.receive(lambda m: looked.append(m) or len(m) == 2, 0, since=ref) == (A.answer, 1)
    assert looked == [(A.answer, 1)]


def test_a_matcher_that_raises_changes_nothing(me):
    me.deliver(1)
    me.deliver(2)
    with pytest.raises(ZeroDivisionError):
        me.receive(lambda m: 1 / (2 - m) > 1, 0)
    assert list(me.queue) == [1, 2]
    assert not me.places


def test_a_matcher_that_changes_the_mailbox_is_refused_and_takes_nothing(me):
    me.deliver(1)
    with pytest.raises(RuntimeError):
        me.receive(lambda m: me.deliver(2) or m == 1, 0)
    assert list(me.queue) == [1, 2]


def test_none_is_a_message(me):
    me.deliver(None)
    assert me.receive_pattern(None, 0) is None


def test_the_callback_of_a_server_that_receives_keeps_no_place(me):
    """Its messages are taken by the scheduler, which knows of no places."""
    me.handler = object()
    me.deliver((A.a, 1))
    assert me.receive_pattern((A.b, ANY), 0) is NOTHING
    me.queue.popleft()
    me.deliver((A.b, 1))
    assert me.receive_pattern((A.b, ANY), 0) == (A.b, 1)


@pytest.mark.parametrize("pattern", [1, A.a, b"x", "x", None, True, int, ANY, (A.a, (int, ANY)), ()])
def test_constant_patterns(pattern):
    assert is_constant(pattern)
    assert same(pattern, pattern)


@pytest.mark.parametrize("pattern", [1.0, [1], {}, int | float, print, (A.a, [1]), (print,), ImproperList([1], 2)])
def test_what_may_change_or_has_a_function_in_it_is_not_constant(pattern):
    assert not is_constant(pattern)


def test_patterns_that_python_finds_equal_are_not_the_same():
    for one, other in [(1, True), (1, 1.0), ((1,), (True,)), ((1, 2), (1,)), (A.a, "a"), (b"a", "a"), (int, bool)]:
        assert not same(one, other)
        assert not same(other, one)
