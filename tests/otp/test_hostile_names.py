"""A destination, a name, a state may be any term: who can not be reached by it is told so in a few words."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from each import each

from pyerlnode.brief import BRIEF, TOLD
from pyerlnode.cluster.load.breaker import BreakerOpen
from pyerlnode.errors import AlreadyStarted, CallTimeout, Exit, NameRegistered, NoProc, PyerlnodeError, UsageError
from pyerlnode.otp import gen, gen_server, gen_statem, sys
from pyerlnode.otp.registry import Registry
from pyerlnode.otp.results import Continue, Reply, Stop, Timeout
from pyerlnode.runtime.names import Global, Via
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from tests.helpers import hostile


class Broken:
    """An object without a text."""

    def __repr__(self) -> str:
        raise RuntimeError("on purpose")

    __str__ = __repr__


VALUES: dict[str, Any] = {
    "deep": hostile.deep("list"),
    "deep key": hostile.deep_key(),
    "digits": 10**5000,
    "broken": Broken(),
    "broken within": [(Broken(),)],
    "wide": list(range(100_000)),
}


@pytest.fixture
def system() -> Iterator[System]:
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def me(system: System) -> Any:
    return system.adopt()


DOORS: dict[str, tuple[type[PyerlnodeError], Callable[[System, Any], Any]]] = {
    "a message": (UsageError, lambda system, value: system.send(value, A.hello)),
    "a call": (UsageError, lambda system, value: gen.call(system, value, A.hello)),
    "a call of a global name": (NoProc, lambda system, value: gen.call(system, Global(value), A.hello)),
    "a call by a way that is none": (UsageError, lambda system, value: gen.call(system, Via(value, value), A.hello)),
    "sys": (UsageError, lambda system, value: sys.get_state(system, value)),
    "a name": (NameRegistered, lambda system, value: system.registry.register(value, system.adopt())),
    "a class": (UsageError, lambda system, value: gen_server.start(system, value)),
    "a class of a machine": (UsageError, lambda system, value: gen_statem.start(system, value)),
    "a registry": (PyerlnodeError, lambda _, value: Registry.lookup(value, A.key)),
    "a breaker": (Exit, lambda _, value: _raise(BreakerOpen(value, 1.0))),
    "no answer": (CallTimeout, lambda _, value: _raise(gen.failure(-1, None, value, A.hello, 1.0))),
    "a reason": (Exit, lambda _, value: _raise(gen.failure(3, value, value, A.hello, 1.0))),
}


def _raise(error: Exception) -> None:
    raise error


@each(DOORS)
def test_what_is_no_destination_and_no_name_is_told_in_a_few_words(system: System, me: Any, door: str) -> None:
    kind, enter = DOORS[door]
    for name, value in VALUES.items():
        with pytest.raises(kind) as caught:
            enter(system, value)
        assert len(str(caught.value)) < 3 * BRIEF, name


def test_a_global_name_of_any_nesting_is_taken_once(system: System, me: Any) -> None:
    for value in (hostile.deep("list"), 10**5000):
        gen_server.start(system, gen_server.GenServer, name=Global(value))
        with pytest.raises(AlreadyStarted) as caught:
            gen_server.start(system, gen_server.GenServer, name=Global(value))
        assert len(str(caught.value)) < 3 * BRIEF


@each(VALUES)
def test_objects_that_hold_any_term_have_a_repr(name: str) -> None:
    value = VALUES[name]
    for made in (Reply(value), Stop(value), Continue(value), Timeout(value), Global(value), Via(value, value)):
        assert repr(made).startswith(type(made).__name__ + "(")
        assert len(repr(made)) < TOLD + 100


def test_small_ones_are_shown_as_they_are_written() -> None:
    assert repr(Global("counter")) == "Global(name='counter')"
    assert repr(Via(A.rooms, ("room", 7))) == "Via(A.rooms, ('room', 7))"
    assert repr(Reply([1])) == "Reply([1])"
