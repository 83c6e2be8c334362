"""Visible Python nodes in a cluster: in the list of nodes, and with names that the whole cluster shares."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.servers import Desk
from pyerlnode import A
from pyerlnode.runtime.names import Global
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]


@pytest.fixture
def peer(beam: Beam, beam_factory: Factory) -> Beam:
    return beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])


def synced(node: Any, *beams: Beam) -> None:
    for beam in beams:
        beam.wait_until("lists:member(N, gen_server:call(global_name_server, get_known))", 15.0, N=A[node.name])
    server = node.system.global_names.server
    wait_for(lambda: {beam.name for beam in beams} <= {other.name for other in server.nodes}, 15)
    wait_for(lambda: not server.is_locked(), 15)


def test_a_visible_node_is_in_the_list_and_synchronises_with_global(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    assert node.ping(peer.name)
    assert peer.eval("nodes()") == [A[node.name]]
    synced(node, peer)
    assert peer.eval("global:sync()", 10.0) is A.ok


def test_names_registered_before_the_meeting_are_known_to_both_after_it(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    ours = node.start(Desk, name=Global(A.ours))
    theirs = peer.eval("P = desk:start(), yes = global:register_name(theirs, P), P")
    assert peer.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    synced(node, peer)
    assert peer.eval("global:whereis_name(ours)") == ours
    assert node.whereis(Global(A.theirs)) == theirs
    assert node.call(Global(A.theirs), (A.echo, 1)) == 1
    assert peer.eval("gen_server:call({global, ours}, {echo, 2})") == 2


def test_names_registered_after_the_meeting_are_known_at_once_and_go_with_their_process(
    peer: Beam, python: Factory
) -> None:
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer)
    ours = node.start(Desk, name=Global(A.ours))
    assert peer.eval("global:whereis_name(ours)") == ours
    theirs = peer.eval("P = desk:start(), yes = global:register_name(theirs, P), P", 10.0)
    wait_for(lambda: node.whereis(Global(A.theirs)) == theirs)
    assert peer.eval("global:register_name(ours, self())", 10.0) is A.no
    assert peer.eval("global:unregister_name(theirs)", 10.0) is not None
    wait_for(lambda: node.whereis(Global(A.theirs)) is None)
    node.exit(ours, A.kill)
    peer.wait_until("global:whereis_name(ours) =:= undefined")


def test_a_name_may_be_any_term_and_a_text_is_a_binary(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer)
    for name, erlang in (("counter", '<<"counter">>'), ((A.room, [7, {1: 2}]), "{room, [7, #{1 => 2}]}")):
        ours = node.start(Desk, name=Global(name))
        assert peer.eval(f"global:whereis_name({erlang})") == ours
    theirs = peer.eval('P = desk:start(), yes = global:register_name(<<"theirs">>, P), P', 10.0)
    assert node.whereis(Global("theirs")) == theirs


def test_a_node_that_is_lost_takes_its_names_along_and_may_come_back(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer)
    node.start(Desk, name=Global(A.ours))
    peer.eval("yes = global:register_name(theirs, desk:start())", 10.0)
    wait_for(lambda: node.whereis(Global(A.theirs)) is not None)
    node.disconnect(peer.name)
    wait_for(lambda: node.whereis(Global(A.theirs)) is None)
    peer.wait_until("global:whereis_name(ours) =:= undefined")
    node.connect(peer.name)
    synced(node, peer)
    wait_for(lambda: node.whereis(Global(A.theirs)) is not None)
    assert peer.eval("global:whereis_name(ours) =/= undefined") is True


def test_a_visible_node_joins_the_whole_mesh_and_all_share_names(
    peer: Beam, beam: Beam, beam_factory: Factory, python: Factory
) -> None:
    second = beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])
    assert second.eval("net_adm:ping(N)", N=peer.node) is A.pong
    assert second.eval("global:sync()", 10.0) is A.ok
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer, second)
    wait_for(lambda: sorted(node.nodes("visible")) == sorted([peer.name, second.name]), 5, "the whole mesh")
    node.start(Desk, name=Global(A.ours))
    for member in (peer, second):
        assert member.eval("gen_server:call({global, ours}, {echo, 3})") == 3
    second.eval("yes = global:register_name(theirs, desk:start())", 10.0)
    assert node.call(Global(A.theirs), (A.echo, 4)) == 4
    assert peer.eval("gen_server:call({global, theirs}, {echo, 4})") == 4


def test_a_name_that_two_have_when_they_meet_is_left_to_one(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    ours = node.start(Desk, name=Global(A.same))
    theirs = peer.eval("P = desk:start(), yes = global:register_name(same, P), P", 10.0)
    node.connect(peer.name)
    synced(node, peer)
    wait_for(lambda: node.whereis(Global(A.same)) is not None)
    winner = peer.eval("global:whereis_name(same)")
    assert winner in (ours, theirs)
    assert node.whereis(Global(A.same)) == winner
    loser = theirs if winner == ours else ours
    if loser == theirs:
        peer.wait_until("not is_process_alive(P)", 5.0, P=theirs)
    else:
        wait_for(lambda: node.system.process(ours) is None)


def test_two_visible_python_nodes_share_names(python: Factory) -> None:
    one, other = python(hidden=False), python(hidden=False)
    pid = one.start(Desk, name=Global(A.desk))
    one.connect(other.name)
    wait_for(lambda: other.whereis(Global(A.desk)) == pid, 15)
    assert other.call(Global(A.desk), (A.echo, 5)) == 5
