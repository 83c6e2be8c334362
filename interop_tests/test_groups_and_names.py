"""`pg` and `global` from a hidden node: members and names are the same on all nodes, whoever comes and goes."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.servers import Desk
from pyerlnode import A, ExternalFun
from pyerlnode.errors import AlreadyStarted, UsageError
from pyerlnode.runtime.names import Global
from pyerlnode.term import Bitstring, ImproperList, TermMap
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for
from tests.helpers.hostile import deep

SCOPE = "pyerlnode_groups"
STARTED = f"""case whereis({SCOPE}) of undefined -> {{ok, S}} = pg:start({SCOPE}), S; S -> S end"""


ALIKE: dict[str, Any] = {
    "0": 0, "1": 1, "1.0": 1.0, "true": True, "nil": None, "[1]": [1], "{1}": (1,), "[]": [], "#{}": {},
    "#{1 => 1}": {1: 1}, "#{1.0 => 1}": {1.0: 1}, "#{1 => true}": {1: True}, '<<"a">>': b"a", '"a"': [97], "a": A.a,
    "[a | b]": ImproperList((A.a,), A.b), "1 bsl 61 - 1": 2**61 - 1, "(1 bsl 61 - 1) * 2": 2 * (2**61 - 1),
    "#{[1] => #{true => []}}": TermMap([([1], {True: []})]), "<<1:3>>": Bitstring(b"\x20", 3), "fun lists:map/2":
    ExternalFun(A.lists, A.map, 2), "[[[[1.0]]]]": [[[[1.0]]]], "[[[[1]]]]": [[[[1]]]],
    "lists:foldl(fun(_, T) -> {T} end, 1, lists:seq(1, 500))": deep("tuple", 500, 1),
    "lists:foldl(fun(_, T) -> {T} end, 1.0, lists:seq(1, 500))": deep("tuple", 500, 1.0),
}  # fmt: skip
"""Terms that Python takes for one, or for no key at all."""


@pytest.fixture
def scope(beam: Beam) -> Any:
    """The scope's process on the BEAM; it must live through each test."""
    pid = beam.eval(f"{STARTED}, unlink(S), S")
    yield pid
    assert beam.eval(f"whereis({SCOPE})") == pid, "the scope of the BEAM has crashed"
    beam.eval("exit(S, kill)", S=pid)


def members(beam: Beam, group: Any) -> list[Any]:
    return list(beam.eval(f"pg:get_members({SCOPE}, G)", G=group))


def sleeper(node: Any) -> Any:
    return node.spawn(lambda: node.receive())


def test_members_of_both_sides_are_seen_on_both_sides(beam: Beam, node: Any, scope: Any) -> None:
    theirs = beam.eval(f"P = spawn(fun() -> timer:sleep(infinity) end), ok = pg:join({SCOPE}, room, P), P")
    node.connect(beam.name)
    ours = sleeper(node)
    node.pg.join(A.room, ours, scope=SCOPE)
    wait_for(lambda: set(node.pg.get_members(A.room, scope=SCOPE)) == {ours, theirs})
    wait_for(lambda: set(members(beam, A.room)) == {ours, theirs})
    assert node.pg.get_local_members(A.room, scope=SCOPE) == [ours]
    assert node.pg.which_groups(scope=SCOPE) == [A.room]
    beam.eval("exit(P, kill)", P=theirs)
    wait_for(lambda: node.pg.get_members(A.room, scope=SCOPE) == [ours])
    node.exit(ours, A.kill)
    wait_for(lambda: members(beam, A.room) == [])
    assert node.pg.which_groups(scope=SCOPE) == []


def test_who_joins_twice_is_a_member_twice_and_leaves_twice(beam: Beam, node: Any, scope: Any) -> None:
    node.connect(beam.name)
    ours = sleeper(node)
    for _ in range(2):
        node.pg.join((A.tuple, 1.0), ours, scope=SCOPE)
    wait_for(lambda: members(beam, (A.tuple, 1.0)) == [ours, ours])
    assert node.pg.leave((A.tuple, 1.0), ours, scope=SCOPE) is True
    wait_for(lambda: members(beam, (A.tuple, 1.0)) == [ours])
    assert node.pg.leave((A.tuple, 1), ours, scope=SCOPE) is False  # 1 is not 1.0
    node.pg.join((A.tuple, 1.0), [ours, ours], scope=SCOPE)
    wait_for(lambda: members(beam, (A.tuple, 1.0)) == [ours] * 3)
    node.exit(ours, A.kill)
    wait_for(lambda: members(beam, (A.tuple, 1.0)) == [])


def test_groups_are_told_apart_as_on_the_beam(beam: Beam, node: Any, scope: Any) -> None:
    names, erlang = list(ALIKE.values()), f"[{', '.join(ALIKE)}]"
    node.connect(beam.name)
    ours = [sleeper(node) for _ in names]
    for name, pid in zip(names, ours, strict=True):
        node.pg.join(name, pid, scope=SCOPE)
    start = f"fun(Id) -> P = spawn(fun() -> timer:sleep(infinity) end), ok = pg:join({SCOPE}, Id, P), P end"
    theirs = beam.eval(f"lists:map({start}, {erlang})")
    both = [{one, other} for one, other in zip(ours, theirs, strict=True)]

    def here() -> list[set[Any]]:
        return [set(node.pg.get_members(name, scope=SCOPE)) for name in names]

    def there() -> list[set[Any]]:
        return [set(found) for found in beam.eval(f"[pg:get_members({SCOPE}, Id) || Id <- {erlang}]")]

    wait_for(lambda: here() == both)
    wait_for(lambda: there() == both)
    assert beam.eval(f"length(pg:which_groups({SCOPE}))") == len(node.pg.which_groups(scope=SCOPE)) == len(names)
    for name, pid in list(zip(names, ours, strict=True))[::2]:
        assert node.pg.leave(name, pid, scope=SCOPE) is True
    left = [found - set(ours[::2]) for found in both]
    wait_for(lambda: there() == left)
    beam.eval("[exit(P, kill) || P <- Ps]", Ps=theirs)
    wait_for(lambda: here() == [found - set(theirs) for found in left])


def test_leaving_what_was_never_joined_is_not_told_to_anybody(beam: Beam, node: Any, scope: Any) -> None:
    node.connect(beam.name)
    ours = sleeper(node)
    assert node.pg.leave(A.nowhere, ours, scope=SCOPE) is False
    node.pg.join(A.somewhere, ours, scope=SCOPE)
    wait_for(lambda: members(beam, A.somewhere) == [ours])
    with pytest.raises(UsageError):
        node.pg.join(A.somewhere, scope, scope=SCOPE)


def test_a_new_connection_is_a_new_beginning(beam: Beam, node: Any, scope: Any) -> None:
    node.connect(beam.name)
    ours = sleeper(node)
    node.pg.join(A.room, ours, scope=SCOPE)
    wait_for(lambda: members(beam, A.room) == [ours])
    node.disconnect(beam.name)
    wait_for(lambda: members(beam, A.room) == [])
    theirs = beam.eval(f"P = spawn(fun() -> timer:sleep(infinity) end), ok = pg:join({SCOPE}, room, P), P")
    node.connect(beam.name)
    wait_for(lambda: set(members(beam, A.room)) == {ours, theirs})
    wait_for(lambda: set(node.pg.get_members(A.room, scope=SCOPE)) == {ours, theirs})


def test_a_scope_that_is_started_anew_is_found_again(beam: Beam, node: Any) -> None:
    node.connect(beam.name)
    beam.eval(f"{STARTED}, unlink(S), S")
    ours = sleeper(node)
    node.pg.join(A.room, ours, scope=SCOPE)
    wait_for(lambda: members(beam, A.room) == [ours])
    beam.eval(f"S = whereis({SCOPE}), R = monitor(process, S), exit(S, kill), receive {{'DOWN', R, _, _, _}} -> ok end")
    last = beam.eval(f"{STARTED}, unlink(S), S")
    wait_for(lambda: members(beam, A.room) == [ours])
    beam.eval("exit(S, kill)", S=last)


def test_membership_is_watched(beam: Beam, node: Any, scope: Any) -> None:
    node.connect(beam.name)
    ref, now = node.pg.monitor(A.room, scope=SCOPE)
    assert now == []
    theirs = beam.eval(f"P = spawn(fun() -> timer:sleep(infinity) end), pg:join({SCOPE}, room, P), P")
    assert node.receive(timeout=patience()) == (ref, A.join, A.room, [theirs])
    every, groups = node.pg.monitor_scope(scope=SCOPE)
    assert list(groups.items()) == [(A.room, [theirs])]
    beam.eval(f"ok = pg:leave({SCOPE}, room, P), exit(P, kill)", P=theirs)
    got = [node.receive(timeout=patience()) for _ in range(2)]
    assert sorted(got, key=str) == sorted([(r, A.leave, A.room, [theirs]) for r in (ref, every)], key=str)
    assert node.pg.demonitor(ref, scope=SCOPE) is True
    assert node.pg.demonitor(ref, scope=SCOPE) is False


def test_garbage_to_a_scope_of_python_changes_nothing(beam: Beam, node: Any, scope: Any) -> None:
    node.connect(beam.name)
    ours = sleeper(node)
    node.pg.join(A.room, ours, scope=SCOPE)
    pid = node.pg.start(SCOPE)
    beam.eval(
        """[P ! M || M <- [garbage, {join, self(), g, [1]}, {leave, self(), [x], [g]}, {update, self(), y},
            {'$gen_cast', {sync, self(), [1]}}, {'$gen_cast', {local_data, self(), 1, z}}, {discover, 7}]]""",
        P=pid,
    )
    wait_for(lambda: members(beam, A.room) == [ours])
    assert node.whereis(SCOPE) == pid


def test_version_1_is_spoken_to_a_peer_that_begins_with_it(python: Callable[..., Any]) -> None:
    one, other = python(), python()
    ours = sleeper(one)
    one.pg.join(A.room, ours, scope=SCOPE)
    me = other.self_()
    other.send((SCOPE, one.name), (A.discover, me, 1))
    cast, (what, scope, version, groups) = other.receive(timeout=patience())
    assert (cast, what, version, list(groups.items())) == (A["$gen_cast"], A.local_data, 1, [(A.room, [ours])])
    assert other.receive(timeout=patience()) == (A.discover, scope, 1)
    one.pg.join(A.room, ours, scope=SCOPE)
    assert other.receive(timeout=patience()) == (A.update, scope, [(A.room, [ours], [])])
    other.send(scope, (A.update, me, [(A.hall, [me], [])]))
    wait_for(lambda: one.pg.get_members(A.hall, scope=SCOPE) == [me])


# --- global ------------------------------------------------------------------------------------------
def test_a_python_server_has_a_global_name(beam: Beam, node: Any) -> None:
    node.connect(beam.name)
    pid = node.start(Desk, name=Global("py desk"))
    assert node.whereis(Global("py desk")) == pid
    assert beam.eval('gen_server:call({global, <<"py desk">>}, self)') == pid
    assert node.call(Global("py desk"), A.self) == pid
    with pytest.raises(AlreadyStarted):
        node.start(Desk, name=Global("py desk"))
    node.exit(pid, A.kill)
    beam.wait_until('global:whereis_name(<<"py desk">>) =:= undefined')
    assert node.whereis(Global("py desk")) is None


def test_a_global_name_of_the_beam_is_a_destination(beam: Beam, node: Any, helper: Callable[[str], Beam]) -> None:
    helper("desk.erl")
    node.connect(beam.name)
    pid = beam.eval("{ok, P} = gen_server:start({global, {desk, 1}}, desk, [], []), P")
    assert node.whereis(Global((A.desk, 1))) == pid
    assert node.call(Global((A.desk, 1)), (A.echo, 7)) == 7
    with pytest.raises(AlreadyStarted):
        node.start(Desk, name=Global((A.desk, 1)))
    beam.eval("exit(P, kill)", P=pid)


def test_a_global_name_moves_to_another_node_when_its_home_is_lost(
    beam: Beam, node: Any, beam_factory: Callable[..., Beam]
) -> None:
    second = beam_factory(cookie=beam.cookie)
    second.start()
    node.connect(beam.name)
    pid = node.start(Desk, name=Global("moving"))
    node.connect(second.name)
    node.disconnect(beam.name)
    second.wait_until('global:whereis_name(<<"moving">>) =:= P', P=pid)
    node.connect(beam.name)
    assert node.system.global_names.unregister_name(b"moving") is True
    assert second.eval('global:whereis_name(<<"moving">>)') is A.undefined


def test_a_name_registered_without_a_peer_is_known_when_one_comes(beam: Beam, node: Any) -> None:
    pid = node.start(Desk, name=Global("early"))
    assert node.call(Global("early"), A.self) == pid
    node.connect(beam.name)
    beam.wait_until('global:whereis_name(<<"early">>) =:= P', P=pid)
