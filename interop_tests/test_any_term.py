"""Terms that a BEAM takes as a matter of course, or not at all: neither side hangs, and the connection stays."""

from typing import Any

import pytest

from interop_tests.servers import Desk
from pyerlnode import A, GenServer
from pyerlnode.errors import EncodeError
from pyerlnode.term import TermMap
from pyerlnode.term.containers import NativeRecord
from pyerlnode.term.pid import Pid
from pyerlnode.testing.beam import Beam

DEEP = "lists:foldl(fun(_, T) -> {T} end, x, lists:seq(1, 3000))"
DEEP_MAP = "lists:foldl(fun(N, T) -> #{T => N, N => T} end, x, lists:seq(1, 12))"


@pytest.fixture
def desk(node: Any) -> Pid:
    return node.start(Desk, name="desk")


@pytest.mark.parametrize("key", [DEEP, f"[{DEEP}]", DEEP_MAP, f"#{{{DEEP} => y}}", f"#{{#{{{DEEP} => 1}} => y}}"])
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
        shown = "case sys:get_state(P) of {ok, S} -> S; S -> S end"  # up to OTP 26.1 sys gives the answer as it comes
        assert beam.eval(f'<<"loop">> =:= maps:get(name, {shown})', P=pid) is True
        assert beam.eval("element(1, sys:get_status(P))", P=pid) is A.status


def test_what_its_release_refuses_is_not_sent_and_the_connection_stays(beam: Beam, node: Any) -> None:
    release = int(beam.eval("list_to_binary(erlang:system_info(otp_release))"))
    here = beam.eval("self()")
    for term, first in [
        (TermMap([(0.0, 1), (-0.0, 2)]), 28),
        (TermMap([((0.0,), 1), ((-0.0,), 2)]), 28),
        (NativeRecord(A.m, A.r, (A.a,), (1,)), 29),
    ]:
        if release < first:
            with pytest.raises(EncodeError):
                node.send(here, [term])
        else:
            node.send(here, [term])
    assert beam.eval("lists:member(N, nodes(connected))", N=A[node.name]) is True
    assert node.rpc(beam.name, "erlang", "node", []) is A[beam.name]
