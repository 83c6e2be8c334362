"""Terms that a BEAM takes as a matter of course, or not at all: neither side hangs, and the connection stays."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.servers import Desk
from pyerlnode import A, GenServer
from pyerlnode.errors import EncodeError
from pyerlnode.limits import Limits
from pyerlnode.term import TermMap
from pyerlnode.term.containers import NativeRecord
from pyerlnode.term.pid import Pid
from pyerlnode.testing.beam import Beam

DEEP = "lists:foldl(fun(_, T) -> {T} end, x, lists:seq(1, 3000))"
DEEP_MAP = "lists:foldl(fun(N, T) -> #{T => N, N => T} end, x, lists:seq(1, 12))"
EXACT_MAP = "lists:foldl(fun(_, T) -> #{1 => [a], 1.0 => b, T => c} end, x, lists:seq(1, 50))"


@pytest.fixture
def desk(node: Any) -> Pid:
    return node.start(Desk, name="desk")


@pytest.mark.parametrize(
    "key", [DEEP, f"[{DEEP}]", DEEP_MAP, EXACT_MAP, f"#{{{DEEP} => y}}", f"#{{#{{{DEEP} => 1}} => y}}"]
)
def test_a_call_with_a_key_of_any_nesting_is_answered_with_the_same_term(
    beam: Beam, node: Any, desk: Pid, key: str
) -> None:
    code = f"K = {key}, M = #{{K => 1, other => K}}, B = gen_server:call(P, {{echo, M}}, infinity), B =:= M"
    assert beam.eval(f"(fun() -> {code} end)()", P=desk) is True


class Loop(GenServer):
    """Its state holds itself, and what has no form."""

    def init(self) -> None:
        self.name = b"loop"
        self.itself: Any = [self]
        self.itself.append({A.again: self.itself})


def test_the_state_of_a_server_that_holds_itself_is_shown(beam: Beam, node: Any) -> None:
    pid = node.start(Loop)
    for _ in range(2):
        assert beam.eval('<<"loop">> =:= maps:get(name, sys:get_state(P))', P=pid) is True
        assert beam.eval("element(1, sys:get_status(P))", P=pid) is A.status


def test_what_its_release_refuses_is_not_sent_and_the_connection_stays(beam: Beam, node: Any) -> None:
    release = int(beam.eval("list_to_binary(erlang:system_info(otp_release))"))
    here = beam.eval("self()")
    for term, first in [
        (TermMap([(0.0, 1), (-0.0, 2)]), 28),
        (TermMap([((0.0,), 1), ((-0.0,), 2)]), 28),
        (NativeRecord(A.m, A.r, (A.a,), (1,)), 29),
    ]:
        node.disconnect(beam.name)
        with pytest.raises(EncodeError):  # nobody knows its release yet
            node.send(here, [term])
        node.connect(beam.name)
        if release < first:
            with pytest.raises(EncodeError):
                node.send(here, [term])
        else:
            node.send(here, [term])
    assert node.rpc(beam.name, "erlang", "node", []) is A[beam.name]
    assert beam.eval("lists:member(N, nodes(connected))", N=A[node.name]) is True


BEYOND = [
    (Limits(nesting=200), "lists:foldl(fun(_, T) -> [T] end, x, lists:seq(1, 300))", "levels of nesting"),
    (Limits(integer_digits=100), "1 bsl 10000", "integer"),
    (Limits(atoms=300), "[list_to_atom([$y, $z | integer_to_list(N)]) || N <- lists:seq(1, 1000)]", "atoms"),
    (Limits(frame_size=40_000), "<<0:400000>>", "bytes"),
    (Limits(fragmented_size=100_000), "lists:duplicate(300000, 7)", "unfinished messages"),
]
"""(what a node takes, a term beyond that, the word by which the log tells)"""


@pytest.mark.parametrize(("limits", "term", "why"), BEYOND, ids=[why for _, _, why in BEYOND])
def test_what_this_node_can_not_take_costs_the_connection_and_the_caller_learns_of_it(
    beam: Beam, python: Callable[..., Any], caplog: pytest.LogCaptureFixture, limits: Limits, term: str, why: str
) -> None:
    node = python(limits=limits)
    desk = node.start(Desk, name="desk")
    for call in ("gen_server:call(P, {echo, T}, infinity)", "gen_server:call({desk, node(P)}, {echo, T}, infinity)"):
        assert beam.eval("gen_server:call(P, {echo, hello}, infinity)", P=desk) is A.hello
        caplog.clear()
        ended = beam.eval(f"(fun() -> T = {term}, try {call} catch exit:{{R, _}} -> R end end)()", P=desk)
        assert ended == (A.nodedown, A[node.name])
        assert beam.eval("lists:member(N, nodes(connected))", N=A[node.name]) is False
        [line] = [one.getMessage() for one in caplog.records if "is closed:" in one.getMessage()]
        assert beam.name in line
        assert why in line
        assert len(line) < 400
    assert beam.eval("gen_server:call(P, {echo, hello}, infinity)", P=desk) is A.hello


def test_who_has_a_link_or_a_monitor_learns_of_a_message_that_this_node_can_not_take(
    beam: Beam, python: Callable[..., Any]
) -> None:
    node = python(limits=Limits(nesting=200))
    desk, other = node.start(Desk), node.start(Desk)
    code = (
        "fun() -> process_flag(trap_exit, true), link(P), R = monitor(process, P), "
        "P ! lists:foldl(fun(_, T) -> {T} end, x, lists:seq(1, 300)), "
        "receive {'EXIT', P, One} -> receive {'DOWN', R, process, P, Two} -> exit({One, Two}) end end end"
    )
    wait = f"(fun() -> {{_, M}} = spawn_monitor({code}), receive {{'DOWN', M, _, _, Why}} -> Why end end)()"
    assert beam.eval(wait, P=desk) == (A.noconnection, A.noconnection)
    assert node.process_info(desk) is None, "the connection was its link"
    assert beam.eval("gen_server:call(P, kept, infinity)", P=other) == []
