"""`node.global_` beside BEAMs: names and locks that both sides want, methods of Python, and leaving a cluster."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.servers import Desk
from interop_tests.test_global import held, synced
from pyerlnode import A
from pyerlnode.runtime.names import Global
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]


@pytest.fixture
def peer(beam: Beam, beam_factory: Factory) -> Beam:
    return beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])


def joined(python: Factory, *beams: Beam) -> Any:
    node = python(hidden=False)
    node.connect(beams[0].name)
    synced(node, *beams)
    return node


def test_names_are_given_moved_and_taken_away_from_both_sides(peer: Beam, python: Factory) -> None:
    node = joined(python, peer)
    names = node.global_
    ours, other, theirs = node.start(Desk), node.start(Desk), peer.eval("desk:start()")
    assert names.register_name(A.ours, ours) is True
    assert peer.eval("global:register_name(ours, P)", P=theirs) is A.no
    assert names.register_name(A.theirs, theirs) is True  # a process of the BEAM
    assert peer.eval("global:whereis_name(theirs)") == theirs
    assert peer.eval("global:register_name(second, P)", P=ours) is A.no  # it has a name
    assert names.register_name(A.second, theirs) is False
    assert peer.eval("global:register_name(other, P)", P=other) is A.yes  # a process of Python
    assert names.whereis_name(A.other) == other
    assert set(names.registered_names()) == set(peer.eval("global:registered_names()"))
    assert names.re_register_name(A.ours, theirs) is True
    assert peer.eval("global:whereis_name(ours)") == theirs
    assert peer.eval("global:re_register_name(ours, P)", P=ours) is A.yes
    assert names.whereis_name(A.ours) == ours
    assert names.unregister_name(A.theirs) is None
    assert peer.eval("global:whereis_name(theirs)") is A.undefined
    assert peer.eval("global:unregister_name(ours)") is A.ok
    assert names.whereis_name(A.ours) is None
    assert names.send(A.other, A.hello) == other
    wait_for(lambda: node.call(other, A.kept) == [(A.info, A.hello)])
    node.exit(other, A.kill)
    peer.wait_until("global:registered_names() =:= []")


def test_a_hidden_node_gives_moves_and_takes_away_names_by_its_home(peer: Beam, python: Factory) -> None:
    node = python()
    node.connect(peer.name)
    names = node.global_
    ours, theirs = node.start(Desk), peer.eval("desk:start()")
    assert names.register_name(A.ours, ours) is True
    assert peer.eval("global:register_name(ours, P)", P=theirs) is A.no
    assert names.register_name(A.theirs, theirs) is True
    assert names.re_register_name(A.theirs, ours) is True
    assert peer.eval("global:whereis_name(theirs)") == ours
    assert peer.eval("P = desk:start(), yes = global:register_name(third, P), P") == names.whereis_name(A.third)
    assert names.unregister_name(A.third) is None
    assert peer.eval("global:whereis_name(third)") is A.undefined
    assert set(names.registered_names()) == {A.ours, A.theirs}
    assert names.disconnect() == []
    node.exit(ours, A.kill)
    peer.wait_until("global:registered_names() =:= []")


# --- locks --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("hidden", [False, True], ids=["visible", "hidden"])
def test_a_lock_of_one_side_keeps_the_other_out(hidden: bool, peer: Beam, python: Factory) -> None:
    node = python(hidden=hidden)
    node.connect(peer.name)
    if not hidden:
        synced(node, peer)
    names = node.global_
    at = [peer.node] if hidden else [A[node.name], peer.node]
    assert names.set_lock((A.printer, node.self_())) is True
    assert peer.eval("global:set_lock({printer, self()}, Nodes, 0)", Nodes=at) is False
    assert peer.eval("global:trans({printer, self()}, fun() -> got_it end, Nodes, 0)", Nodes=at) is A.aborted
    # who shares the requester shares the lock
    assert (
        peer.eval("global:trans({printer, Me}, fun() -> got_it end, Nodes, 0)", Me=node.self_(), Nodes=at) is A.got_it
    )
    assert names.del_lock((A.printer, node.self_())) is True
    holder = held(peer, node, A.printer) if not hidden else peer.eval(HOLD_THERE)
    assert names.set_lock((A.printer, node.self_()), retries=0) is False
    assert names.trans((A.printer, node.self_()), lambda: A.got_it, retries=0) is A.aborted
    node.send(holder, A.let_go)
    assert names.trans((A.printer, node.self_()), lambda: A.got_it) is A.got_it  # it waits
    me = node.self_()
    held_here = node.spawn(lambda: (names.set_lock((A.printer, 1)), node.send(me, A.set), node.receive()))
    assert node.receive(timeout=patience()) is A.set
    assert peer.eval("global:set_lock({printer, 2}, Nodes, 0)", Nodes=at) is False
    node.exit(held_here, A.kill)
    assert peer.eval("global:trans({printer, 2}, fun() -> got_it end, Nodes)", Nodes=at) is A.got_it


HOLD_THERE = """
Me = self(),
Holder = spawn(fun() ->
    Me ! {self(), global:set_lock({printer, self()}, [node()], 0)},
    receive let_go -> global:del_lock({printer, self()}, [node()]) end
end),
receive {Holder, true} -> Holder end
"""

WORK = """
spawn(fun() ->
    [global:trans({till, self()}, fun() ->
        [] = ets:lookup(till, inside),
        true = ets:insert_new(till, {inside, I}),
        ets:update_counter(till, count, 1),
        true = ets:delete(till, inside)
    end) || I <- lists:seq(1, 4)],
    ets:insert(till, {beam, done})
end)
"""
TILL = """
Me = self(),
spawn(fun() ->
    till = ets:new(till, [named_table, public]),
    ets:insert(till, {count, 0}),
    Me ! made,
    receive stop -> ok end
end),
receive made -> ok end
"""


def test_transactions_of_both_sides_never_overlap(peer: Beam, python: Factory) -> None:
    node = joined(python, peer)
    peer.eval(TILL)
    peer.eval(WORK)

    def work() -> None:
        assert node.rpc(peer.name, "ets", "lookup", [A.till, A.inside]) == []
        assert node.rpc(peer.name, "ets", "insert_new", [A.till, (A.inside, A.python)]) is True
        node.rpc(peer.name, "ets", "update_counter", [A.till, A.count, 1])
        assert node.rpc(peer.name, "ets", "delete", [A.till, A.inside]) is True

    for _ in range(4):
        node.global_.trans((A.till, node.self_()), work)
    peer.wait_until("ets:lookup(till, beam) =/= []")
    assert peer.eval("ets:lookup(till, count)") == [(A.count, 8)]


# --- methods of Python --------------------------------------------------------------------------------------
def first(_name: Any, his: Any, _mine: Any) -> Any:
    return his


def second(_name: Any, _his: Any, mine: Any) -> Any:
    return mine


def neither(_name: Any, _his: Any, _mine: Any) -> Any:
    return None


def fails(_name: Any, his: Any, _mine: Any) -> Any:
    raise ValueError(his)


METHODS = {A.first: first, A.second: second, A.neither: neither, A.fails: fails}


@pytest.mark.parametrize("hidden", [False, True], ids=["visible", "hidden"])
def test_a_beam_that_judges_asks_the_method_of_python(
    hidden: bool, beam: Beam, beam_factory: Factory, python: Factory
) -> None:
    """The node of the process is asked, so one that is behind the BEAM that meets another one, too."""
    beams = [beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"]) for _ in range(2)]
    judge, far = sorted(beams, key=lambda one: one.name)
    node = python(hidden=hidden)
    node.connect(judge.name)
    if not hidden:
        synced(node, judge)
    asked: list[Any] = []

    def noted(method: Any) -> Any:
        def asks(name: Any, his: Any, mine: Any) -> Any:
            asked.append((name, his, mine))
            return method(name, his, mine)

        return asks

    ours, theirs = {}, {}
    for name, method in METHODS.items():
        ours[name] = node.start(Desk)
        assert node.global_.register_name(name, ours[name], noted(method)) is True
        theirs[name] = far.eval("P = desk:start(), yes = global:register_name(Name, P), P", Name=name)
    assert far.eval("net_adm:ping(N)", N=judge.node) is A.pong
    far.wait_until("lists:member(N, gen_server:call(global_name_server, get_known))", N=judge.node)
    judge.wait_until("lists:member(N, gen_server:call(global_name_server, get_known))", N=far.node)
    assert set(asked) == {(name, theirs[name], ours[name]) for name in METHODS}
    assert len(asked) == len(METHODS)
    expected = [theirs[A.first], ours[A.second], A.undefined, theirs[A.fails]]
    for one in (judge, far):
        one.wait_until("[global:whereis_name(N) || N <- [first, second, neither, fails]] =:= E", E=expected)
    seen = [None if pid is A.undefined else pid for pid in expected]
    wait_for(lambda: [node.global_.whereis_name(name) for name in METHODS] == seen)
    assert all(node.system.process(pid) is not None for pid in ours.values())  # a method kills nobody by itself


def test_the_method_of_python_settles_what_python_judges(peer: Beam, python: Factory) -> None:
    node = python("aa_judges_itself@127.0.0.1", hidden=False)
    ours, theirs = {}, {}
    for name, method in METHODS.items():
        ours[name] = node.start(Desk)
        assert node.global_.register_name(name, ours[name], method) is True
        theirs[name] = peer.eval("P = desk:start(), yes = global:register_name(Name, P), P", Name=name)
    node.connect(peer.name)
    synced(node, peer)
    expected = [theirs[A.first], ours[A.second], None, theirs[A.fails]]
    assert [node.global_.whereis_name(name) for name in METHODS] == expected
    seen = [A.undefined if pid is None else pid for pid in expected]
    peer.wait_until("[global:whereis_name(N) || N <- [first, second, neither, fails]] =:= E", E=seen)


# --- leaving ------------------------------------------------------------------------------------------------
def test_who_leaves_takes_its_names_along_and_the_others_stay_together(
    peer: Beam, beam: Beam, beam_factory: Factory, python: Factory
) -> None:
    second_peer = beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])
    assert second_peer.eval("net_adm:ping(N)", N=peer.node) is A.pong
    node = joined(python, peer, second_peer)
    node.start(Desk, name=Global(A.ours))
    theirs = peer.eval("P = desk:start(), yes = global:register_name(theirs, P), P")
    assert sorted(node.global_.disconnect()) == sorted([peer.name, second_peer.name])
    assert node.nodes() == []
    wait_for(lambda: node.global_.registered_names() == [A.ours])
    for one, other in ((peer, second_peer), (second_peer, peer)):
        one.wait_until("global:registered_names() =:= [theirs]")
        assert one.nodes() == [other.name]
        assert one.eval("global:whereis_name(theirs)") == theirs
    assert node.global_.disconnect() == []
    node.connect(peer.name)
    synced(node, peer, second_peer)
    wait_for(lambda: node.global_.whereis_name(A.theirs) == theirs)


def test_a_beam_that_leaves_is_no_partition(peer: Beam, beam: Beam, beam_factory: Factory, python: Factory) -> None:
    third = beam_factory(cookie=beam.cookie)
    assert third.eval("net_adm:ping(N)", N=peer.node) is A.pong
    node = joined(python, peer, third)
    assert set(peer.eval("global:disconnect()")) == {third.node, A[node.name]}
    wait_for(lambda: node.nodes() == [third.name])
    assert third.nodes() == [node.name]
