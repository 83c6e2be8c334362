"""Visible Python nodes in a cluster: in the list of nodes, and with names that the whole cluster shares."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.servers import Desk
from interop_tests.test_groups_and_names import ALIKE
from pyerlnode import A
from pyerlnode.kernel.global_.locker import del_lock, set_lock
from pyerlnode.runtime.names import Global
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]


@pytest.fixture
def peer(beam: Beam, beam_factory: Factory) -> Beam:
    return beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])


def synced(node: Any, *beams: Beam) -> None:
    for beam in beams:
        beam.wait_until("lists:member(N, gen_server:call(global_name_server, get_known))", N=A[node.name])
    server = node.system.global_names.server
    wait_for(lambda: {beam.name for beam in beams} <= {other.name for other in server.nodes})
    wait_for(lambda: not server.is_locked())


def test_a_visible_node_is_in_the_list_and_synchronises_with_global(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    assert node.ping(peer.name)
    assert peer.eval("nodes()") == [A[node.name]]
    synced(node, peer)
    assert peer.eval("global:sync()") is A.ok


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
    theirs = peer.eval("P = desk:start(), yes = global:register_name(theirs, P), P")
    wait_for(lambda: node.whereis(Global(A.theirs)) == theirs)
    assert peer.eval("global:register_name(ours, self())") is A.no
    assert peer.eval("global:unregister_name(theirs)") is not None
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
    theirs = peer.eval('P = desk:start(), yes = global:register_name(<<"theirs">>, P), P')
    assert node.whereis(Global("theirs")) == theirs


def test_names_are_told_apart_as_on_the_beam(peer: Beam, python: Factory) -> None:
    names, erlang = list(ALIKE.values()), f"[{', '.join(ALIKE)}]"
    node = python(hidden=False)
    before = [node.start(Desk, name=Global((A.before, name))) for name in names]
    node.connect(peer.name)
    synced(node, peer)
    ours = [node.start(Desk, name=Global((A.ours, name))) for name in names]
    assert peer.eval(f"[global:whereis_name({{before, Name}}) || Name <- {erlang}]") == before
    assert peer.eval(f"[global:whereis_name({{ours, Name}}) || Name <- {erlang}]") == ours
    register = "fun(Name) -> P = desk:start(), yes = global:register_name({theirs, Name}, P), P end"
    theirs = peer.eval(f"lists:map({register}, {erlang})")
    wait_for(lambda: [node.whereis(Global((A.theirs, name))) for name in names] == theirs)
    peer.eval(f"[global:unregister_name({{theirs, Name}}) || Name <- {erlang}, Name == 1]")
    gone = [pid if name not in (1, True) or name is True else None for name, pid in zip(names, theirs, strict=True)]
    wait_for(lambda: [node.whereis(Global((A.theirs, name))) for name in names] == gone)


def test_a_node_that_is_lost_takes_its_names_along_and_may_come_back(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer)
    node.start(Desk, name=Global(A.ours))
    peer.eval("yes = global:register_name(theirs, desk:start())")
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
    assert second.eval("global:sync()") is A.ok
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer, second)
    wait_for(lambda: sorted(node.nodes("visible")) == sorted([peer.name, second.name]), what="the whole mesh")
    node.start(Desk, name=Global(A.ours))
    for member in (peer, second):
        assert member.eval("gen_server:call({global, ours}, {echo, 3})") == 3
    second.eval("yes = global:register_name(theirs, desk:start())")
    assert node.call(Global(A.theirs), (A.echo, 4)) == 4
    assert peer.eval("gen_server:call({global, theirs}, {echo, 4})") == 4


def test_a_name_that_two_have_when_they_meet_is_left_to_one(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    ours = node.start(Desk, name=Global(A.same))
    theirs = peer.eval("P = desk:start(), yes = global:register_name(same, P), P")
    node.connect(peer.name)
    synced(node, peer)
    wait_for(lambda: node.whereis(Global(A.same)) is not None)
    winner = peer.eval("global:whereis_name(same)")
    assert winner in (ours, theirs)
    assert node.whereis(Global(A.same)) == winner
    loser = theirs if winner == ours else ours
    if loser == theirs:
        peer.wait_until("not is_process_alive(P)", P=theirs)
    else:
        wait_for(lambda: node.system.process(ours) is None)


def test_two_visible_python_nodes_share_names(python: Factory) -> None:
    one, other = python(hidden=False), python(hidden=False)
    pid = one.start(Desk, name=Global(A.desk))
    one.connect(other.name)
    wait_for(lambda: other.whereis(Global(A.desk)) == pid)
    assert other.call(Global(A.desk), (A.echo, 5)) == 5


# --- locks of both ---------------------------------------------------------------------------------------------
HOLD = """
Me = self(),
Holder = spawn(fun() ->
    Me ! {self(), global:set_lock(Id, Nodes, 0)},
    receive let_go -> global:del_lock(Id, Nodes) end
end),
receive {Holder, true} -> Holder end
"""


def held(peer: Beam, node: Any, resource: Any) -> Any:
    """A process of the BEAM that holds a lock on both nodes until it is told `let_go`."""
    return peer.eval(HOLD, Id=(resource, A.me), Nodes=[peer.node, A[node.name]])


RACE = """
spawn(fun() ->
    Took = [I || I <- lists:seq(1, 30), global:register_name({race, I}, desk:start()) =:= yes],
    receive {tell, To} -> To ! {took, Took} end,
    receive stop -> ok end
end)
"""


def test_of_a_beam_and_python_that_want_the_same_names_at_once_each_name_goes_to_one(
    peer: Beam, python: Factory
) -> None:
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer)
    ours = {number: node.start(Desk) for number in range(1, 31)}
    runner = peer.eval(RACE)
    took = {number for number, pid in ours.items() if node.global_.register_name((A.race, number), pid)}
    node.send(runner, (A.tell, node.self_()))
    tag, theirs = node.receive(timeout=patience())
    assert tag is A.took
    assert sorted([*took, *theirs]) == list(range(1, 31))
    for number, pid in ours.items():
        seen = peer.eval("global:whereis_name({race, I})", I=number)
        assert node.whereis(Global((A.race, number))) == seen
        assert (seen == pid) == (number in took)


def test_a_lock_that_a_beam_holds_keeps_python_from_registering_until_it_is_let_go(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer)
    holder = held(peer, node, A["global"])
    asked = node.spawn(lambda: node.start(Desk, name=Global(A.late)))
    assert node.receive(timeout=0.5, default=None) is None
    assert node.system.process(asked) is not None  # it waits
    assert node.whereis(Global(A.late)) is None
    node.send(holder, A.let_go)
    wait_for(lambda: node.whereis(Global(A.late)) is not None)
    assert peer.eval("global:whereis_name(late)") == node.whereis(Global(A.late))


def test_a_lock_goes_with_the_beam_that_held_it(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer)
    held(peer, node, A["global"])
    assert node.system.global_names.server.is_locked()
    peer.kill9()
    assert node.start(Desk, name=Global(A.after)) == node.whereis(Global(A.after))


def test_python_may_not_lock_what_a_beam_has_locked_nor_a_beam_what_python_has(peer: Beam, python: Factory) -> None:
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer)
    lock = (A.printer, node.self_())
    both = [A[node.name], peer.node]
    assert set_lock(node.system, lock, both) is True
    assert peer.eval("global:set_lock({printer, self()}, [node(), N], 0)", N=A[node.name]) is False
    del_lock(node.system, lock, both)
    held(peer, node, A.printer)
    assert set_lock(node.system, lock, both) is False


# --- conflicts ---------------------------------------------------------------------------------------------------
CLASH = "P = desk:start(), yes = global:register_name(same, P, fun global:{0}/3), P"


@pytest.mark.parametrize("alive", ["aa_judges", "zz_is_judged"])
@pytest.mark.parametrize("method", ["random_exit_name", "random_notify_name", "notify_all_name"])
def test_a_conflict_ends_by_the_method_of_the_lesser_node_as_seen_by_both(
    alive: str, method: str, peer: Beam, python: Factory
) -> None:
    node = python(f"{alive}_{method}@127.0.0.1", hidden=False)
    ours = node.start(Desk)
    assert node.global_.register_name(A.same, ours, getattr(node.global_, method)) is True
    theirs = peer.eval(CLASH.format(method))
    node.connect(peer.name)
    synced(node, peer)
    seen = peer.eval("global:whereis_name(same)")
    wait_for(lambda: node.whereis(Global(A.same)) == (None if seen is A.undefined else seen))
    both = sorted((ours, theirs), key=lambda pid: pid.node.name)
    kept = {pid: node.call(pid, A.kept) for pid in both if is_alive(node, peer, pid)}
    if method == "notify_all_name":
        assert seen is A.undefined
        assert kept == {
            ours: [(A.info, (A.global_name_conflict, A.same, theirs))],
            theirs: [(A.info, (A.global_name_conflict, A.same, ours))],
        }
    elif method == "random_notify_name":
        assert sum(messages == [(A.info, (A.global_name_conflict, A.same))] for messages in kept.values()) == 1
        assert kept[seen] == []
    else:
        assert kept == {seen: []}


def is_alive(node: Any, peer: Beam, pid: Any) -> bool:
    if pid.node.name == node.name:
        return node.system.process(pid) is not None
    return bool(peer.eval("is_process_alive(P)", P=pid))


# --- partitions ------------------------------------------------------------------------------------------------------
def overlaps(node: Any, *beams: Beam) -> bool:
    """Whether two nodes that do not see each other are both seen by a third."""
    sees = {node.name: set(node.nodes("visible"))}
    sees |= {beam.name: set(beam.nodes()) for beam in beams}
    return any(a in sees[c] and b in sees[c] and b not in sees[a] for a in sees for b in sees for c in sees if a != b)


def test_a_line_that_is_cut_parts_the_mesh_without_overlap_and_healed_it_is_one_again(
    peer: Beam, beam: Beam, beam_factory: Factory, python: Factory
) -> None:
    second = beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])
    assert second.eval("net_adm:ping(N)", N=peer.node) is A.pong
    node = python(hidden=False)
    node.connect(peer.name)
    synced(node, peer, second)
    wait_for(lambda: len(node.nodes("visible")) == 2)
    ours = node.start(Desk, name=Global(A.ours))
    node.disconnect(peer.name)
    wait_for(lambda: not overlaps(node, peer, second), what="partitions that do not overlap")
    wait_for(lambda: peer.name not in node.nodes())

    def healed() -> bool:
        """A late request of the cut may part two that have just met again; `global` leaves the next try to others."""
        met = [node.ping(peer.name), node.ping(second.name), peer.eval("net_adm:ping(N) =:= pong", N=second.node)]
        return all(met) and all(beam.eval("global:whereis_name(ours) =:= P", P=ours) for beam in (peer, second))

    wait_for(healed, what="one mesh that knows the name")
    synced(node, peer, second)
    assert not overlaps(node, peer, second)


def test_names_of_both_halves_are_there_after_the_heal_and_a_clash_is_left_to_one(
    peer: Beam, beam: Beam, beam_factory: Factory, python: Factory
) -> None:
    second = beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])
    assert second.eval("net_adm:ping(N)", N=peer.node) is A.pong
    node = python(hidden=False)
    ours, same = node.start(Desk, name=Global(A.ours)), node.start(Desk, name=Global(A.same))
    theirs = second.eval("P = desk:start(), yes = global:register_name(theirs, P), P")
    other = second.eval("P = desk:start(), yes = global:register_name(same, P), P")
    node.connect(peer.name)
    synced(node, peer, second)
    for member in (peer, second):
        member.wait_until("global:whereis_name(ours) =:= P", P=ours)
    wait_for(lambda: node.whereis(Global(A.theirs)) == theirs)
    winner = node.whereis(Global(A.same))
    assert winner in (same, other)
    assert {peer.eval("global:whereis_name(same)"), second.eval("global:whereis_name(same)")} == {winner}


# --- connect_all -----------------------------------------------------------------------------------------------------
def test_without_connect_all_a_visible_node_joins_no_mesh_and_its_names_are_its_own(
    peer: Beam, beam: Beam, beam_factory: Factory, python: Factory
) -> None:
    second = beam_factory(cookie=beam.cookie)
    assert second.eval("net_adm:ping(N)", N=peer.node) is A.pong
    node = python(hidden=False, connect_all=False)
    ours = node.start(Desk, name=Global(A.ours))
    assert node.ping(peer.name)
    assert peer.eval("lists:member(N, nodes())", N=A[node.name]) is True
    assert peer.eval("global:register_name(theirs, self())") is A.yes  # nobody waits for us
    assert peer.eval("global:whereis_name(ours)") is A.undefined
    assert node.whereis(Global(A.ours)) == ours
    assert node.whereis(Global(A.theirs)) is None
    assert node.nodes("visible") == [peer.name]
    assert A[node.name] not in second.eval("nodes()")
    node.disconnect(peer.name)
    peer.wait_until("not lists:member(N, nodes())", N=A[node.name])
    assert peer.nodes() == [second.name]  # and no loss of ours parts others


def test_a_beam_without_connect_all_is_met_by_nobody(beam: Beam, beam_factory: Factory, python: Factory) -> None:
    alone = beam_factory(cookie=beam.cookie, args=["-connect_all", "false"])
    node = python(hidden=False)
    ours = node.start(Desk, name=Global(A.ours))
    assert node.ping(alone.name)
    assert alone.eval("nodes()") == [A[node.name]]
    assert alone.eval("yes = global:register_name(theirs, whereis(init)), global:whereis_name(ours)") is A.undefined
    assert node.whereis(Global(A.theirs)) is None
    assert node.start(Desk, name=Global(A.later)) == node.whereis(Global(A.later))
    assert node.whereis(Global(A.ours)) == ours


def test_without_prevention_a_loss_parts_nobody(beam: Beam, beam_factory: Factory, python: Factory) -> None:
    args = ["-kernel", "prevent_overlapping_partitions", "false"]
    peer, second = (beam_factory(cookie=beam.cookie, args=args) for _ in range(2))
    assert second.eval("net_adm:ping(N)", N=peer.node) is A.pong
    node = python(hidden=False, prevent_overlapping_partitions=False)
    node.connect(peer.name)
    synced(node, peer, second)
    wait_for(lambda: len(node.nodes("visible")) == 2)
    node.disconnect(peer.name)
    peer.wait_until("not lists:member(N, nodes())", N=A[node.name])
    assert node.start(Desk, name=Global(A.ours)) == node.whereis(Global(A.ours))  # a transaction with who is left
    assert node.nodes("visible") == [second.name]
    assert sorted(second.nodes()) == sorted([peer.name, node.name])
