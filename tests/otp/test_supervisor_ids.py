"""An id of a child is any term, and two terms are one id exactly when they are ``=:=``."""

import gevent
import pytest

from pyerlnode import A, GenServer, ImproperList, TermMap, decode, encode
from pyerlnode.errors import StartFailed
from pyerlnode.otp import gen, sys
from pyerlnode.otp.child_spec import BadChildSpec, child_spec, children_of, from_wire
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.runtime.system import System
from pyerlnode.term.exact import key
from tests.helpers.hostile import EDGES, deep

ALIKE = [
    1, 1.0, True, A["1"], b"1", [1], [1.0], (1,), (True,), (1.0,), [[1]], {1: 1}, {1: 1.0}, TermMap([(1, 1), (1.0, 1)]),
    0, 0.0, -0.0, False, None, A["nil "], [], (), {}, b"", ImproperList((1,), 2), ImproperList((1,), 2.0),
]  # fmt: skip
"""Terms that Python's ``==`` and hash take for one another, or have no hash."""


class Worker(GenServer):
    pass


@pytest.fixture
def system(caplog):
    caplog.set_level("CRITICAL")
    system = System("t@local", 7)
    system.exported = lambda module, name, arity: lambda: Supervisor.start_link([])
    system.adopt().trap_exit = True
    yield system
    system.stop()
    gevent.sleep(0)


def spec(id):
    """As it comes from a BEAM."""
    return {A.id: id, A.start: (A.m, A.f, []), A.restart: A.transient}


def again(term):
    """The same term, made anew as by a peer that sends it a second time."""
    return decode(encode(term))


@pytest.mark.parametrize(
    ("strategy", "ids"),
    [
        ("one_for_one", EDGES),
        ("one_for_one", [deep("list"), deep("list", 3_001)]),
        ("one_for_one", ALIKE),
        ("one_for_all", ALIKE),
        ("rest_for_one", ALIKE),
    ],
    ids=["edges", "deep", "alike", "alike_all", "alike_rest"],
)
def test_every_term_is_an_id_of_its_own(system, strategy, ids):
    ids = list({key(again(id)): id for id in ids}.values())
    sup = Supervisor.start_link([], strategy=strategy, max_restarts=1000, on=system)
    pids = {}
    for id in ids:
        ok, pid = gen.call(system, sup, (A.start_child, spec(again(id))), 60.0)
        assert ok is A.ok
        pids[key(id)] = pid
    assert len(set(pids.values())) == len(ids)
    told = gen.call(system, sup, A.which_children, 60.0)
    assert [(key(id), pid) for id, pid, _, _ in reversed(told)] == list(pids.items())
    for id in ids:
        assert gen.call(system, sup, (A.start_child, spec(again(id)))) == (A.error, (A.already_started, pids[key(id)]))
        assert key(gen.call(system, sup, (A.get_childspec, again(id)))[1][A.id]) == key(id)
        assert gen.call(system, sup, (A.which_child, again(id)))[1][1] == pids[key(id)]
    state = sys.get_state(system, sup)
    assert len(state[3][1]) == len(ids)
    system.exit(pids[key(ids[-1])], A.kill)
    assert len(gen.call(system, sup, A.which_children, 60.0)) == len(ids)
    for id in ids:
        assert gen.call(system, sup, (A.delete_child, again(id))) == (A.error, A.running)
        assert gen.call(system, sup, (A.terminate_child, again(id)), 60.0) is A.ok
        assert gen.call(system, sup, (A.restart_child, again(id)))[0] is A.ok
        assert gen.call(system, sup, (A.terminate_child, again(id)), 60.0) is A.ok
        assert gen.call(system, sup, (A.delete_child, again(id))) is A.ok
        assert gen.call(system, sup, (A.delete_child, again(id))) == (A.error, A.not_found)
    assert gen.call(system, sup, A.which_children) == []


def test_ids_of_init_are_told_apart_as_well():
    assert len(children_of([child_spec(Worker, id=id) for id in ALIKE], A.never)) == len(ALIKE)
    with pytest.raises(BadChildSpec) as error:
        children_of([child_spec(Worker, id=[1, {2: [3]}]) for _ in range(2)], A.never)
    assert error.value.reason == (A.duplicate_child_name, [1, {2: [3]}])


def test_an_id_is_kept_as_it_was_given():
    for id in EDGES:
        assert encode(from_wire(spec(id)).id) == encode(id)


def test_a_child_with_a_deep_id_that_can_not_start_costs_its_start_alone(system):
    system.exported = lambda *_: lambda: (A.error, A.no)
    sup = Supervisor.start_link([], on=system)
    for id in EDGES:
        assert gen.call(system, sup, (A.start_child, spec(again(id))))[0] is A.error
    with pytest.raises(StartFailed):
        Supervisor.start_link([{"id": deep("list"), "start": lambda: (A.error, A.no)}], on=system)
    assert gen.call(system, sup, A.which_children) == []
