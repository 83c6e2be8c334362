"""Selective receive against the simplest mailbox there is: a list, looked through from the first message on each time.

Scripts at random of everything that a mailbox meets: ordinary, urgent and priority messages, notes that go first,
receives of patterns and functions, references made in between, matchers that raise, messages taken out of the middle.
"""

import os
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyerlnode.runtime import process as process_module
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.priority_core import advance
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.pattern import ANY, match
from pyerlnode.testing.waiting import settle
from tests.helpers import hostile

RUNS = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 300

CONTENT = st.one_of(
    st.sampled_from([1, True, 1.0, A.a, A.b, b"a", "a", None, (A.a,), (A.a, 1), (A.b, 1.0), (A.a, A.b), [1]]),
    hostile.alike(),
    hostile.terms(),
)
REFS = st.integers(0, 3)
PATTERNS = st.sampled_from(
    [
        1, 1.0, True, A.a, b"a", None, int, float, tuple, bytes | str, (A.a,), (A.a, ANY), (ANY, 1), (ANY, int),
        (A.a, (ANY, 1)), [int], [1], {}, lambda m: m is A.b, (ANY, lambda m: m is A.b), ANY,
    ]
)  # fmt: skip
STEP = st.one_of(
    st.tuples(st.just("send"), CONTENT),
    st.tuples(st.just("send"), CONTENT),
    st.tuples(st.just("many"), st.integers(1, 30)),
    st.tuples(st.just("urgent"), CONTENT),
    st.tuples(st.just("first"), CONTENT),
    st.tuples(st.just("priority"), CONTENT),
    st.tuples(st.just("ref"), REFS),
    st.tuples(st.just("send_ref"), REFS),
    st.tuples(st.just("receive_ref"), REFS),
    st.tuples(st.just("receive_since"), REFS),
    st.tuples(st.just("receive"), PATTERNS),
    st.tuples(st.just("receive"), PATTERNS),
    st.tuples(st.just("receive"), PATTERNS),
    st.tuples(st.just("next"), st.none()),
    st.tuples(st.just("raise"), st.integers(0, 5)),
    st.tuples(st.just("down"), REFS),
    st.tuples(st.just("take_at"), st.integers(0, 40)),
)


class Naive:
    """The mailbox as a list; `ahead` are the priority messages in it."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.ahead: list[Any] = []

    def urgent(self, message: Any, flooded: int) -> None:
        if len(self.messages) < flooded:
            self.messages.append(message)
            return
        index = 0
        while index < len(self.messages) and self.is_system(self.messages[index]):
            index += 1
        self.messages.insert(index, message)

    @staticmethod
    def is_system(message: Any) -> bool:
        return type(message) is tuple and len(message) == 3 and message[0] in (A.system, A.EXIT)

    def priority(self, message: Any) -> None:
        index = 0
        while index < len(self.messages) and any(self.messages[index] is one for one in self.ahead):
            index += 1
        self.messages.insert(index, message)
        self.ahead = [*self.messages[:index], message]

    def take(self, matches: Callable[[Any], Any]) -> Any:
        for index, message in enumerate(self.messages):
            if matches(message):
                return self.messages.pop(index)
        return NOTHING


class Script:
    """One run: every step on the process and on the list, which must give and keep the same."""

    def __init__(self, system: System, me: Any, flooded: int) -> None:
        self.system, self.me, self.flooded = system, me, flooded
        self.naive = Naive()
        self.refs: dict[int, Any] = {}
        self.count = 0

    def run(self, steps: list[tuple[str, Any]]) -> None:
        for name, argument in steps:
            getattr(self, name)(argument)
            assert [id(m) for m in self.me.queue or ()] == [id(m) for m in self.naive.messages]

    def fresh(self, content: Any) -> Any:
        """A tuple is made anew, so that equal messages are two."""
        return (*content,) if type(content) is tuple and len(content) > 1 else content

    def send(self, content: Any) -> None:
        message = self.fresh(content)
        self.me.deliver(message)
        self.naive.messages.append(message)

    def many(self, count: int) -> None:
        for _ in range(count):
            self.send((A.filler, self.next_number()))

    def next_number(self) -> int:
        self.count += 1
        return self.count

    def urgent(self, content: Any) -> None:
        message = (A.system, self.next_number(), content)
        self.me.deliver_urgent(message)
        self.naive.urgent(message, self.flooded)

    def first(self, content: Any) -> None:
        message = (A.note, self.next_number(), content)
        self.me.deliver_first(message)
        self.naive.messages.insert(0, message)

    def priority(self, content: Any) -> None:
        message = (A.priority, self.next_number(), content)
        self.me.deliver(message)
        advance(self.me, message, self.system.ahead)
        self.naive.priority(message)

    def ref(self, number: int) -> None:
        self.refs[number] = self.system.new_ref()
        self.me.mark(self.refs[number])

    def send_ref(self, number: int) -> None:
        if number in self.refs:
            self.send((self.refs[number], self.next_number()))

    def receive_ref(self, number: int) -> None:
        if number in self.refs:
            self.receive((self.refs[number], ANY))
            self.receive((ANY, ANY, (self.refs[number], ANY)))

    def receive_since(self, number: int) -> None:
        if number in self.refs:
            ref = self.refs[number]

            def matches(message: Any) -> bool:
                return type(message) is tuple and bool(message) and message[0] == ref

            assert self.me.receive(matches, 0, since=ref) is self.naive.take(matches)

    def receive(self, pattern: Any) -> None:
        assert self.me.receive_pattern(pattern, 0) is self.naive.take(lambda message: match(pattern, message))

    def next(self, _: None) -> None:
        assert self.me.receive(None, 0) is self.naive.take(lambda _: True)

    def raise_(self, at: int) -> None:
        seen = []

        def matches(message: Any) -> bool:
            seen.append(message)
            if len(seen) > at:
                raise ZeroDivisionError
            return False

        if len(self.naive.messages) > at:
            with pytest.raises(ZeroDivisionError):
                self.me.receive(matches, 0)
        else:
            assert self.me.receive(matches, 0) is NOTHING

    def down(self, number: int) -> None:
        if number not in self.refs:
            self.ref(number)
        ref = self.refs[number]
        if number % 2:
            message = (A.DOWN, ref, A.process, self.me.pid, A.normal)
            self.me.deliver(message)
            self.naive.messages.append(message)
        else:
            assert self.system.demonitor(self.me, ref, flush=True) is False
            self.naive.take(lambda m: type(m) is tuple and len(m) == 5 and m[0] is A.DOWN and m[1] == ref)

    def take_at(self, index: int) -> None:
        if index < len(self.naive.messages):
            assert self.me.take_at(index) is self.naive.messages.pop(index)


setattr(Script, "raise", Script.raise_)


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.mark.parametrize("kind", ["plain", "bounded", "traced"])
@pytest.mark.parametrize("flooded", [3, 10_000])
def test_any_script_gives_what_a_look_from_the_first_message_on_would(system, monkeypatch, kind, flooded):
    monkeypatch.setattr(process_module, "FLOODED", flooded)
    monkeypatch.setattr("pyerlnode.runtime.mailbox_core.ONE_BY_ONE", 4)
    if kind == "traced":
        system.tracing()

    @settings(max_examples=RUNS // 3, deadline=None)
    @given(st.lists(STEP, max_size=60))
    def scripts(steps):
        me = system.new_process(None, MailboxLimit(1_000_000) if kind == "bounded" else None)
        Script(system, me, flooded).run(steps)
        me.exit(A.normal)

    scripts()


def test_a_receiver_that_waits_takes_what_comes_in_the_middle_of_its_look(system):
    """What comes while it waits may be put before what it has looked at."""
    got = []

    def body():
        me = system.myself()
        me.deliver(1)
        me.deliver(2)
        got.append(me.receive_pattern((ANY, A.wanted), None))
        got.append(me.receive(lambda m: type(m) is tuple, None))
        got.append(list(me.queue))

    pid = system.spawn(body)
    process = system.process(pid)
    settle(system)
    process.deliver_first((A.x, A.other))
    process.deliver_first((A.x, A.wanted))
    settle(system)
    assert got == [(A.x, A.wanted), (A.x, A.other), [1, 2]]
