"""Registries: keys, values, ends of processes, names."""

import gevent
import pytest

from pyerlnode.errors import AlreadyStarted, NoProc, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.agent import Agent, AgentServer
from pyerlnode.otp.registry import AlreadyRegistered, Registry
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.runtime import api
from pyerlnode.runtime.names import Via
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.waiting import settle


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def me(system):
    me = system.adopt()
    me.trap_exit = True
    return me


@pytest.fixture
def rooms(system, me):
    return Registry.start_link(name="rooms", on=system)


@pytest.fixture
def topics(system, me):
    return Registry.start_link(name="topics", keys="duplicate", on=system)


def member(system, registry, *keys):
    """A process that registers under `keys` and waits."""

    def body():
        for key in keys:
            Registry.register(registry, key, ("value of", key))
        api.receive()

    pid = system.spawn(body)
    gevent.sleep(0)
    return pid


def test_a_unique_key_has_one_process(system, me, rooms):
    Registry.register("rooms", 7, "tea", on=system)
    assert Registry.lookup("rooms", 7, on=system) == [(me.pid, "tea")]
    with pytest.raises(AlreadyRegistered):
        Registry.register("rooms", 7, "coffee", on=system)
    assert Registry.update_value("rooms", 7, str.upper, on=system) == ("TEA", "tea")
    Registry.unregister("rooms", 7, on=system)
    assert Registry.lookup("rooms", 7, on=system) == []
    with pytest.raises(UsageError):
        Registry.update_value("rooms", 7, str.upper, on=system)


def test_a_process_that_ends_loses_its_keys(system, me, rooms):
    pid = member(system, "rooms", 1, 2)
    assert Registry.keys("rooms", pid, on=system) == [1, 2]
    assert Registry.count("rooms", on=system) == 2
    system.exit(pid, A.kill)
    assert Registry.lookup("rooms", 1, on=system) == []
    Registry.register("rooms", 1, on=system)  # before the registry has seen the exit
    settle(system)
    assert Registry.keys("rooms", pid, on=system) == []
    assert Registry.lookup("rooms", 1, on=system) == [(me.pid, None)]
    assert Registry.count("rooms", on=system) == 1


def test_duplicate_keys_and_dispatch(system, me, topics):
    one, two = member(system, "topics", "news"), member(system, "topics", "news")
    Registry.register("topics", "news", on=system)
    Registry.register("topics", "news", "twice", on=system)
    seen = []
    Registry.dispatch("topics", "news", seen.extend, on=system)
    assert [pid for pid, _ in seen] == [one, two, me.pid, me.pid]
    Registry.dispatch("topics", "silence", lambda entries: pytest.fail("nobody is there"), on=system)
    assert Registry.values("topics", "news", me.pid, on=system) == [None, "twice"]
    Registry.unregister("topics", "news", on=system)
    assert [pid for pid, _ in Registry.lookup("topics", "news", on=system)] == [one, two]


def test_registered_processes_end_with_the_registry(system, me, rooms):
    pid = member(system, "rooms", 1)
    system.exit(rooms, A.kill)
    assert system.process(pid) is None


def test_keys_may_be_lists_and_maps(system, me, rooms):
    Registry.register("rooms", [1, {A.a: [2]}], on=system)
    assert Registry.lookup("rooms", [1, {A.a: [2]}], on=system) == [(me.pid, None)]


def test_listeners_are_told(system, me):
    Registry.start_link(name="loud", listeners=[me.pid], on=system)
    pid = member(system, "loud", 1)
    assert me.receive(None, 0) == (A.register, A.loud, 1, pid, ("value of", 1))
    system.exit(pid, A.kill)
    assert me.receive(None, 1) == (A.unregister, A.loud, 1, pid)


def test_meta(system, me, rooms):
    assert Registry.meta("rooms", "limit", 3, on=system) == 3
    Registry.put_meta("rooms", "limit", 4, on=system)
    assert Registry.meta("rooms", "limit", on=system) == 4


def test_via_is_a_name_for_start_and_call(system, me, rooms):
    name = Registry.via("rooms", ("user", 1), on=system)
    pid = Agent.start(lambda: 42, name=name, on=system)
    assert Agent.get(name, lambda v: v, on=system) == 42
    assert system.whereis(name) == pid
    with pytest.raises(AlreadyStarted) as caught:
        gen_server.start(system, AgentServer, (int,), name=name)
    assert caught.value.pid == pid
    assert system.whereis(Via(A.Elixir.Registry, ("rooms", ("user", 1)))) == pid
    with pytest.raises(NoProc):
        gen.call(system, Registry.via("rooms", "nobody", on=system), A.get)


def test_a_registry_as_a_child(system, me):
    gen_server.start(system, Supervisor, ([Registry.child_spec(name="kids", keys="duplicate")],))
    Registry.register("kids", 1, on=system)
    assert Registry.lookup("kids", 1, on=system) == [(me.pid, None)]


def test_a_registry_that_is_not_there_is_noproc(system, me):
    with pytest.raises(NoProc):
        Registry.lookup("nowhere", 1, on=system)
