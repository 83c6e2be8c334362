"""A BEAM throws what it can at every registered process of a node, and kills each: its services stay."""

from collections.abc import Callable
from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.runtime.names import Global
from pyerlnode.term.atom import Atom
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

Helper = Callable[[str], Beam]
SCOPE = "pyerlnode_hostile"
SOON = 30.0


class Served:
    """What a BEAM asks of the node: one question for each of its processes."""

    def __init__(self, beam: Beam, node: Any, output: Callable[[], str]) -> None:
        self.beam = beam
        self.node = node
        self.name = A[node.name]
        self.output = output
        self._number = 0

    def ask_all(self) -> None:
        self._number += 1
        number, beam = self._number, self.beam
        assert beam.eval("net_adm:ping(N)", N=self.name) is A.pong
        assert beam.eval("rpc:call(N, m, echo, [X])", N=self.name, X=number) == number
        assert (
            beam.eval("gen_server:call({rex, N}, {call, m, echo, [X], user}, 30000)", N=self.name, X=number) == number
        )
        user = self.node.whereis("user")
        assert beam.eval('io:put_chars(P, io_lib:format("<~p>", [X]))', P=user, X=number) is A.ok
        assert f"<{number}>" in self.output()
        self._group((A.asked, number))
        if self.node.whereis("global_name_server") is not None:
            self._name((A.asked, number))

    def _group(self, group: Any) -> None:
        pid = self.node.spawn(lambda: self.node.receive())
        self.node.pg.join(group, pid, scope=SCOPE)
        self.beam.wait_until(f"pg:get_members({SCOPE}, G) == [P]", SOON, G=group, P=pid)
        self.node.exit(pid, A.kill)
        self.beam.wait_until(f"pg:get_members({SCOPE}, G) == []", SOON, G=group)

    def _name(self, name: Any) -> None:
        pid = self.node.spawn(lambda: self.node.receive())
        assert self.node.system.global_names.register_name(name, pid)
        self.beam.wait_until("global:whereis_name(X) == P", SOON, X=name, P=pid)
        self.node.exit(pid, A.kill)
        self.beam.wait_until("global:whereis_name(X) == undefined", SOON, X=name)


@pytest.fixture(params=[True, False], ids=["hidden", "visible"])
def served(request: Any, helper: Helper, python: Callable[..., Any], capsys: Any) -> Any:
    beam = helper("hostile.erl")
    scope = beam.eval(f"{{ok, S}} = pg:start({SCOPE}), S")
    node = python(hidden=request.param)
    node.export("m", lambda term: term, name="echo")
    node.pg.start(SCOPE)
    node.receive_logs("test.erlang")
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    yield Served(beam, node, lambda: capsys.readouterr().out)
    assert beam.eval(f"whereis({SCOPE})") == scope, "the scope of the BEAM has crashed"
    beam.eval("exit(S, kill)", S=scope)


def names_of(node: Any) -> dict[Atom, Any]:
    return {name: process.pid for name, process in node.system.registry.names.items()}


def test_net_kernel_is_not_killed_by_a_cast_nor_user_nor_rex(served: Served) -> None:
    for name in names_of(served.node):
        served.beam.eval("gen_server:cast({X, N}, hello), {X, N} ! hello", X=name, N=served.name)
    served.ask_all()


SYSTEM_REQUESTS = """[junk, {debug, junk}, {debug, [junk | x]}, {debug, {log, junk}}, {debug, {log, {true, -1}}},
    {debug, {log, {true, 0}}}, {debug, {log_to_file, 1}}, {debug, {statistics, junk}}, {debug, {install, junk}},
    {debug, {install, {}}}, {debug, {install, {1, 2, 3, 4}}}, {debug, {remove, junk}}, {debug, {remove, [a | b]}},
    {debug, {trace, junk}}, {debug, {statistics, get}}, {debug, {log, get}}, {debug, no_debug}, {change_code, a, b, c},
    {terminate}, [], #{}, {debug}]"""
ASK = f"""[begin R = make_ref(), To ! {{system, {{self(), R}}, M}}, receive {{R, A}} -> A after 60000 -> none end end
    || M <- {SYSTEM_REQUESTS}]"""


@pytest.mark.parametrize("name", ["net_kernel", "rex"])
def test_system_requests_of_any_shape_are_answered_as_its_own_server_answers_them(served: Served, name: str) -> None:
    own = served.beam.eval(ASK, To=A[name])
    ours = served.beam.eval(ASK, To=(A[name], served.name))
    assert len(own) == 22
    assert ours == own


@pytest.mark.parametrize("name", ["net_kernel", "rex"])
def test_unknown_calls_stay_unanswered_as_at_its_own_server(served: Served, name: str) -> None:
    """Behind each a call that is known: when that is answered, the one before was taken, and was not."""
    known = {"net_kernel": "{is_auth, node()}", "rex": "{call, erlang, node, [], group_leader()}"}[name]
    ask = f"""R = make_ref(), [To ! {{'$gen_call', {{self(), R}}, M}} || M <- [junk, {{a, b}}, [x | y], {{call, 1}}]],
        K = make_ref(), To ! {{'$gen_call', {{self(), K}}, {known}}},
        receive {{K, _}} -> receive {{R, A}} -> {{answered, A}} after 0 -> unanswered end after 60000 -> lost end"""
    assert served.beam.eval(ask, To=A[name]) is A.unanswered
    assert served.beam.eval(ask, To=(A[name], served.name)) is A.unanswered


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_beam_sends_to_them_all_processes_serve(served: Served, seed: int) -> None:
    before = names_of(served.node)
    assert served.beam.eval("hostile:at(N, Names, S, 300)", N=served.name, Names=list(before), S=seed) is A.ok
    served.ask_all()
    assert names_of(served.node) == before


def test_what_is_killed_by_a_beam_is_there_for_its_next_question(served: Served) -> None:
    for name, pid in names_of(served.node).items():
        served.beam.eval("exit(P, kill)", P=pid)
        served.ask_all()
        assert names_of(served.node)[name] != pid


def test_a_member_that_leaves_just_when_the_scope_is_back_does_not_crash_the_beams_scope(served: Served) -> None:
    node = served.node
    pid = node.spawn(lambda: node.receive())
    node.pg.join(A.room, pid, scope=SCOPE)
    served.beam.wait_until(f"pg:get_members({SCOPE}, room) == [P]", SOON, P=pid)
    wait_for(lambda: node.system.process(node.whereis(SCOPE)).handler.remotes, SOON)
    node.exit(node.whereis(SCOPE), A.kill)
    node.pg.leave(A.room, pid, scope=SCOPE)
    served.ask_all()
    served.beam.wait_until(f"pg:get_members({SCOPE}, room) == []", SOON)


def test_members_and_names_survive_the_end_of_who_keeps_them(served: Served) -> None:
    node, beam = served.node, served.beam
    pid = node.spawn(lambda: node.receive())
    theirs = beam.eval(f"P = spawn(fun() -> timer:sleep(infinity) end), ok = pg:join({SCOPE}, room, P), P")
    node.pg.join(A.room, [pid, pid], scope=SCOPE)
    beam.wait_until(f"length(pg:get_members({SCOPE}, room)) == 3", SOON)
    wait_for(lambda: len(node.pg.get_members(A.room, scope=SCOPE)) == 3, SOON)
    named = node.whereis("global_name_server") is not None
    if named:
        assert node.system.global_names.register_name(A.survivor, pid)
    old = node.whereis(SCOPE)
    for name in (SCOPE, "global_name_server"):
        if node.whereis(name) is not None:
            beam.eval("exit(P, kill)", P=node.whereis(name))
            beam.eval("net_adm:ping(N)", N=served.name)
    assert old != node.whereis(SCOPE) is not None
    assert sorted(map(str, node.pg.get_members(A.room, scope=SCOPE))) == sorted(map(str, [pid, pid, theirs]))
    beam.wait_until(f"lists:sort(pg:get_members({SCOPE}, room)) == lists:sort(L)", SOON, L=[pid, pid, theirs])
    if named:
        assert node.whereis(Global(A.survivor)) == pid
        beam.wait_until("global:whereis_name(survivor) == P", SOON, P=pid)
        node.exit(pid, A.kill)
        beam.wait_until("global:whereis_name(survivor) == undefined", SOON)
    beam.eval("exit(P, kill)", P=theirs)
    wait_for(lambda: theirs not in node.pg.get_members(A.room, scope=SCOPE), SOON)
