"""Sessions of Python nodes with a BEAM as their client: each call is answered or ends by a reason that says why."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import blocks
from place import ROOT, place

from interop_tests import python_peer as peers
from interop_tests.session_server import Cart
from pyerlnode import A
from pyerlnode.cluster.sessions.sessions import Sessions
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.plugin import python_name
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]
KEYS = [b"user-%d" % number for number in range(24)]
CALL = "gen_server:call({carts, N}, R)"
EXIT = "try gen_server:call({carts, N}, R) catch exit:{Why, _} -> Why end"


@pytest.fixture
def carts(python: Factory) -> Iterator[Callable[..., tuple[Any, Sessions]]]:
    """Makes a Python node in this process that takes part, connected to the one before."""
    made: list[tuple[Any, Sessions]] = []

    def make(**options: Any) -> tuple[Any, Sessions]:
        node = python()
        seeds = (made[0][0].name,) if made else ()
        made.append((node, Sessions(node, "carts", Cart, seeds=seeds, **options)))
        wait_for(lambda: all(len(sessions.stats()["members"]) >= len(made) for _, sessions in made))
        wait_for(lambda: all(not sessions.stats()["awaited"] for _, sessions in made))
        return made[-1]

    return make


@pytest.fixture
def peer(python_peer: Factory, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """Makes one in an OS process of its own; `seed` is a node that takes part."""
    monkeypatch.setattr(peers, "SCRIPT", Path(__file__).parent / "peers" / "carts.py")
    return lambda seed: python_peer(python_name(), mode=seed)


def test_a_beam_reaches_a_key_by_any_node(beam: Beam, carts: Any) -> None:
    (one, sessions), (two, _) = carts(), carts()
    nodes = [A[one.name], A[two.name]]
    for key in KEYS[:8]:
        assert sessions.partition(key) == beam.eval("erlang:phash2(K, 256)", K=key)
        assert [beam.eval(CALL, N=n, R=(A.session, key, (A.add, 1))) for n in nodes] == [1, 2]
        assert beam.eval(CALL, N=nodes[0], R=(A.session, key, A.get)) == (A[sessions.owner(key)], [1, 1])
        pids = {beam.eval(CALL, N=n, R=(A.whereis, key)) for n in nodes}
        assert pids == {sessions.whereis(key)}
        assert beam.eval("gen_server:call(P, get)", P=pids.pop()) == sessions.call(key, A.get)
    beam.eval("gen_server:cast({carts, N}, {session, K, 7})", N=nodes[1], K=KEYS[0])
    assert beam.eval(CALL, N=nodes[1], R=(A.session, KEYS[0], A.get))[1] == [1, 1, 7]
    assert beam.eval("maps:get(members, gen_server:call({carts, N}, stats))", N=nodes[0]) == sorted(
        [one.name.encode(), two.name.encode()]
    )
    assert beam.eval(CALL, N=nodes[0], R=(A.whereis, b"nobody")) is None


@pytest.mark.beam(elixir=True)
def test_the_call_of_the_documentation_works_in_elixir(beam: Beam, carts: Any) -> None:
    node, _ = carts()
    call = 'GenServer.call({:carts, node}, {:session, "user-7", {:add, "apples"}})'
    assert beam.elixir(call, node=A[node.name]) == 1
    assert beam.elixir(':erlang.phash2("user-7", 256)') == 116


def test_a_crash_is_an_exit_with_its_reason_also_through_another_node(beam: Beam, carts: Any) -> None:
    (one, sessions), (two, _) = carts(), carts()
    key = next(key for key in KEYS if sessions.owner(key) == two.name)
    for node in (one, two):
        asked = (A.session, key, (A.crash, (A.broken, 7)))
        assert beam.eval(EXIT, N=A[node.name], R=asked) == (A.broken, 7)
        assert beam.eval(CALL, N=A[node.name], R=(A.session, key, (A.add, 1))) == 1
    waiting = (
        "S = self(), P = [spawn(fun() -> S ! {told, try gen_server:call({carts, N}, {session, K, wait})"
        " catch exit:{W, _} -> W end} end) || N <- Ns],"
        " (fun F() -> gen_server:call({carts, hd(Ns)}, {session, K, owed}) =:= 2 orelse F() end)(),"
        " catch gen_server:call({carts, hd(Ns)}, {session, K, {crash, boom}}),"
        " [receive {told, W} -> W after 60000 -> hung end || _ <- P]"
    )
    assert beam.eval(waiting, Ns=[A[one.name], A[two.name]], K=key) == [A.boom, A.boom]


def test_limits_are_told_to_a_beam(beam: Beam, carts: Any) -> None:
    node, _ = carts(max_sessions=2)
    for key in KEYS[:2]:
        beam.eval(CALL, N=A[node.name], R=(A.session, key, (A.add, 1)))
    refused = beam.eval(EXIT, N=A[node.name], R=(A.session, KEYS[2], A.get))
    assert refused == (A.session_limit, A[node.name], 2)


def runs(told: list[Any]) -> list[list[int]]:
    """The answers of a session, split where it began anew."""
    made: list[list[int]] = [[]]
    for kind, what in told:
        if kind is A.ok:
            if what == 1 and made[-1]:
                made.append([])
            made[-1].append(what)
    return made


def test_nodes_that_come_and_go_in_order_cost_no_request_and_no_state(
    helper: Callable[[str], Beam], carts: Any, peer: Factory
) -> None:
    beam = helper("session_load.erl")
    node, sessions = carts()
    callers = beam.eval("session_load:start(carts, [N], Ks)", N=A[node.name], Ks=KEYS)
    other = peer(node.name)
    wait_for(lambda: sessions.stats()["handed_over"] > 0)
    third, _ = carts()
    wait_for(lambda: len(sessions.stats()["members"]) == 3)
    other.stop()
    wait_for(lambda: len(sessions.stats()["members"]) == 2 and not sessions.stats()["awaited"])
    seen = [sessions.call(key, A.get)[1][-1] for key in KEYS]
    wait_for(lambda: all(sessions.call(k, A.get)[1][-1] > s for k, s in zip(KEYS, seen, strict=True)))
    for key, told in beam.eval("session_load:stop(Cs)", Cs=callers):
        assert told == [(A.ok, number + 1) for number in range(len(told))]
        place, items = sessions.call(key, A.get)
        assert items == list(range(1, len(told) + 1))
        assert place in (A[node.name], A[third.name])


def test_a_node_that_is_killed_costs_its_calls_an_exit_and_its_keys_live_on(
    helper: Callable[[str], Beam], carts: Any, peer: Factory
) -> None:
    beam = helper("session_load.erl")
    node, sessions = carts()
    victim = peer(node.name)
    wait_for(lambda: len(sessions.stats()["members"]) == 2)
    lost = {key for key in KEYS if sessions.owner(key) == victim.name}
    unanswered = (
        "S = self(), spawn(fun() -> S ! {waits, catch gen_server:call({carts, N}, {session, K, wait}, infinity)} end)"
    )
    callers = beam.eval("session_load:start(carts, [N], Ks)", N=A[node.name], Ks=KEYS)
    beam.eval(f"register(waits, spawn(fun() -> {unanswered}, receive {{waits, W}} -> ok end, "
              "receive {ask, P} -> P ! {told, W} end end)), ok", N=A[node.name], K=min(lost))  # fmt: skip
    wait_for(lambda: all(len(sessions.call(key, A.get)[1]) > 3 for key in KEYS))
    victim.kill9()
    wait_for(lambda: sessions.stats()["members"] == [node.name])
    told = beam.eval("waits ! {ask, self()}, receive {told, W} -> W after 60000 -> hung end")
    assert told[1][0] == (A.session_node_down, A[victim.name])
    wait_for(lambda: all(len(sessions.call(key, A.get)[1]) > 3 for key in KEYS))
    for key, told in beam.eval("session_load:stop(Cs)", Cs=callers):
        assert all(run == list(range(1, len(run) + 1)) for run in runs(told)), "each request once, in order"
        ended = [what for kind, what in told if kind is A.exit]
        assert ended in ([], [(A.session_node_down, A[victim.name])] if key in lost else [])
        assert len(runs(told)) == (2 if key in lost else 1)
    assert lost


DOCUMENT = ROOT / "docs" / "sessions.md"


def test_the_documents_program_runs(tmp_path: Path) -> None:
    [program] = blocks(DOCUMENT, "python")
    (tmp_path / "sessions.py").write_text(program.text)
    with place(tmp_path) as here:
        here.elixir_app(ROOT / "examples" / "app.exs")
        ran = here.run([sys.executable, "sessions.py"])
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
