"""Nodes that dial each other at the same time: one connection comes of it, and nobody loses what they asked."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import pytest
from certificates import Authority

from pyerlnode import A, Node
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]

ROUNDS = 15
AT_ONCE = (
    "Self = self(), spawn(fun() -> "
    "timer:sleep(max(0, T - 2 - erlang:system_time(millisecond))), "
    "Wait = fun W() -> case erlang:system_time(microsecond) < T * 1000 + Late of true -> W(); false -> ok end end, "
    "Wait(), Self ! {asked, catch erpc:call(N, m, twice, [21], 60000)} end), "
    "receive {asked, Answer} -> Answer after 60000 -> nothing end"
)


def dial_each_other(node: Any, beam: Beam, late: int) -> tuple[Any, Any]:
    """Both dial at the same time, the BEAM `late` microseconds later; what each was answered."""
    at = int(time.time() * 1000) + 30

    def ask() -> Any:
        gevent.sleep(max(0.0, at / 1000 - time.time()))
        return node.rpc(beam.name, "lists", "reverse", [[1, 2]], timeout=patience())

    asking = gevent.spawn(ask)
    theirs = beam.eval(AT_ONCE, N=A[node.name], T=at, Late=late)
    return asking.get(timeout=patience()), theirs


@pytest.fixture
def dialled(request: pytest.FixtureRequest, beam: Beam, beam_factory: Factory) -> Beam:
    """A BEAM that talks TCP or TLS, as the parameter says."""
    return beam if request.param == "tcp" else beam_factory(cookie=beam.cookie, tls=True)


@pytest.mark.parametrize("name", ["aa_first@127.0.0.1", "zz_last@127.0.0.1"])
@pytest.mark.parametrize("dialled", ["tcp", pytest.param("tls", marks=pytest.mark.beam(tls=True))], indirect=True)
def test_a_beam_and_python_that_dial_each_other_both_get_their_answers(
    name: str, dialled: Beam, python: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pyerlnode")
    beam, node = dialled, python(name, tls=dialled.tls)
    node.export("m", {"twice": lambda x: x * 2})
    downs: list[Any] = []
    node.telemetry.append(lambda event, *rest: downs.append(rest) if event == "connection.down" else None)
    step = 200 if beam.tls is None else 800
    for number in range(ROUNDS):
        before = len(downs)
        assert dial_each_other(node, beam, step * (number % 5 - 2)) == ([2, 1], 42), f"round {number}"
        assert len(downs) == before, f"round {number}: a good connection was dropped"
        assert node.nodes() == [beam.name]
        node.disconnect(beam.name)
        beam.wait_until("not lists:member(N, nodes(connected))", N=A[name])
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("speak_tls", [False, True])
def test_two_python_nodes_that_dial_each_other_both_get_their_answers(
    python: Factory, tmp_path: Path, caplog: pytest.LogCaptureFixture, speak_tls: bool
) -> None:
    options = {"tls": Authority(tmp_path).options()} if speak_tls else {}
    one, other = python("aa_one@127.0.0.1", **options), python("zz_other@127.0.0.1", **options)
    for node in (one, other):
        node.export("m", {"twice": lambda x: x * 2})
    for _ in range(ROUNDS):
        asking = [
            gevent.spawn(here.rpc, there.name, "m", "twice", [21]) for here, there in ((one, other), (other, one))
        ]
        assert [asked.get(timeout=patience()) for asked in asking] == [42, 42]
        assert (one.nodes(), other.nodes()) == ([other.name], [one.name])
        one.disconnect(other.name)
        wait_for(lambda: not other.nodes(), what="the end of the connection on the other side")
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(("beams", "pythons"), [(1, 1), (1, 2), (2, 3), (2, 6)])
def test_visible_nodes_of_both_kinds_that_start_at_once_become_a_mesh(
    beams: int, pythons: int, beam: Beam, beam_factory: Factory
) -> None:
    others = [beam_factory(cookie=beam.cookie) for _ in range(beams - 1)]
    all_beams = [beam, *others]
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                Node(f"mesh{number}@127.0.0.1", cookie=beam.cookie, epmd_port=beam.epmd_port, hidden=False)
            )
            for number in range(pythons)
        ]
        names = [node.name for node in nodes] + [each.name for each in all_beams]
        dials = [gevent.spawn(node.ping, name) for node in nodes for name in names if name != node.name]
        for each in all_beams:
            each.eval("[spawn(fun() -> net_kernel:connect_node(N) end) || N <- Ns], ok", Ns=[A[n] for n in names])
        gevent.joinall(dials, timeout=patience())

        whole = set(names)
        for node in nodes:
            wait_for(lambda node=node: {node.name, *node.nodes("visible")} == whole, what=f"the mesh at {node.name}")
        for each in all_beams:
            each.wait_until("lists:sort([node() | nodes()]) =:= lists:sort(Ns)", Ns=[A[name] for name in names])
