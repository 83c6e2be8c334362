"""Agents: a value in a process."""

import gevent
import pytest

from pyerlnode.errors import ServerExit
from pyerlnode.otp import gen, gen_server, sys
from pyerlnode.otp.agent import Agent
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.runtime.system import System
from pyerlnode.term import A


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def agent(system):
    return Agent.start(lambda start: start, 40, name="agent", on=system)


def test_get_update_and_get_and_update(system, agent):
    assert Agent.get(agent, lambda v: v, on=system) == 40
    Agent.update("agent", lambda v, by: v + by, 2, on=system)
    assert Agent.get_and_update(agent, lambda v: (v, v * 10), on=system) == 42
    Agent.cast(agent, lambda v: v + 1, on=system)
    assert Agent.get(agent, lambda v: v, on=system) == 421


def test_a_function_that_raises_ends_the_agent(system, agent, caplog):
    with pytest.raises(ServerExit, match="ZeroDivisionError"):
        Agent.get(agent, lambda v: v / 0, on=system)
    assert system.process(agent) is None


def test_a_bad_answer_of_get_and_update_ends_the_agent_as_elixirs(system, agent, caplog):
    with pytest.raises(ServerExit) as caught:
        Agent.get_and_update(agent, lambda v: v, on=system)
    assert caught.value.reason[0] == (A.bad_return_value, 40)


def test_elixirs_request_with_an_exported_function(system, agent):
    system.exported = lambda module, name, count: pow if (module, name, count) == (A.m, A.pow, 2) else None
    assert gen.call(system, agent, (A.get, (A.m, A.pow, [2]))) == 1600
    assert gen.call(system, agent, (A.update, (A.m, A.pow, [2]))) is A.ok
    assert Agent.get(agent, lambda v: v, on=system) == 1600
    with pytest.raises(ServerExit) as caught:
        gen.call(system, agent, (A.get, (A.m, A.secret, [])))
    assert caught.value.reason[0][0] is A.undef


def test_sys_sees_the_value(system, agent):
    assert sys.get_state(system, agent) == 40
    assert sys.replace_state(system, agent, lambda v: v + 1) == 41


def test_an_agent_as_a_child(system):
    gen_server.start(system, Supervisor, ([Agent.child_spec(dict, name="cache", id="cache"), (Agent, list)],))
    assert Agent.get("cache", lambda v: v, on=system) == {}
