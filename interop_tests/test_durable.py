"""Requests that survive crashes, of OS processes that are killed: each accepted one has one effect and one outcome."""

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import blocks
from place import place

from pyerlnode import A
from pyerlnode.cluster.durable.core import OutboxLimits
from pyerlnode.cluster.durable.inbox import Inbox, Tx
from pyerlnode.cluster.durable.journal import Journal
from pyerlnode.cluster.durable.outbox import Outbox, Requests
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.launch import local
from pyerlnode.testing.patience import patience
from pyerlnode.testing.plugin import python_name
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]
ROOT = Path(__file__).parents[1]
MODULE = ROOT / "beam" / "pyerlnode_durable.erl"
PEER = Path(__file__).parent / "peers" / "durable.py"
COUNT = 300
START = """
    ok = filelib:ensure_dir(File),
    Me = self(),
    spawn(fun() ->
        process_flag(trap_exit, true),
        Me ! {started, pyerlnode_durable:start_link(Role, Options#{file => File})},
        receive stop -> ok end
    end),
    receive {started, Result} -> Result end
"""
COUNTER = """#{transaction => #{}, running => 8, handler => fun(N, #{id := Id}, Counts) when is_binary(Id) ->
    timer:sleep(1),  % it takes its time, so that most of it is still to come when somebody is killed
    {N * 2, maps:update_with(N, fun(C) -> C + 1 end, 1, Counts)} end}"""


class Erlang:
    """A BEAM with one durable server, whose journal is in a directory; `revive` starts both again."""

    def __init__(self, beam: Beam, place: Path) -> None:
        self.beam = beam
        self.place = place
        self.role, self.options = "", ""

    def start(self, role: str, name: str, options: str = "#{}", file: str | None = None) -> Any:
        self.role, self.name, self.options = role, name, options
        self.beam.load(MODULE)
        path = list(str(self.place / (file or f"{name}.log")).encode())
        return self.beam.eval(
            f"Role = {role}, Options = ({options})#{{name => {name}, sync => false}}, {START}", File=path
        )

    def revive(self) -> None:
        self.beam.restart()
        assert self.start(self.role, self.name, self.options)[0] is A.ok

    def kill(self) -> None:
        self.beam.kill9()

    def ask(self, source: str, **bindings: Any) -> Any:
        return self.beam.eval(source, **bindings)


@pytest.fixture
def erlang(beam: Beam, beam_factory: Factory, tmp_path: Path) -> Iterator[Erlang]:
    """One that sees this machine's files: of the release under test, or this machine's own."""
    if beam.eval("filelib:is_dir(D)", D=str(tmp_path).encode()):
        yield Erlang(beam_factory(cookie=beam.cookie), tmp_path)
    else:
        with Beam(local(), beam.epmd, cookie=beam.cookie) as own:
            yield Erlang(own, tmp_path)


@pytest.fixture
def durable_peer(python_peer: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """Starts `peers/durable.py`; again under the same name it has the same journals."""
    monkeypatch.setattr("interop_tests.python_peer.SCRIPT", PEER)
    monkeypatch.setenv("DURABLE_DIR", str(tmp_path))

    def start(name: str | None = None, dest: str | None = None) -> Any:
        env = {} if dest is None else {"DURABLE_DEST": dest, "DURABLE_COUNT": str(COUNT)}
        return python_peer(name, env=env)

    return start


@pytest.fixture
def requests(node: Any, tmp_path: Path) -> Iterator[Requests]:
    """An outbox on this test's node."""
    with Journal(tmp_path / "test_outbox.db", sync="off") as journal:
        node.start(Outbox, node, journal, name="outbox", limits=OutboxLimits(first_retry=0.1, last_retry=0.3))
        yield Requests(node)
        node.stop()


def thresholds(seed: int, kills: int = 4) -> list[tuple[int, str]]:
    """At how many outcomes to kill, and whom."""
    chance = random.Random(seed)
    counts = sorted(chance.sample(range(10, COUNT - 20), kills))
    return list(zip(counts, chance.sample(["python", "beam"] * (kills // 2), kills), strict=True))


# --- Python asks the BEAM --------------------------------------------------------------------------
def test_requests_of_python_to_a_beam_happen_once_while_both_are_killed(erlang: Erlang, durable_peer: Factory) -> None:
    erlang.start("inbox", "orders", COUNTER)
    name, dest = python_name(), f"orders {erlang.beam.name}"
    peer = durable_peer(name, dest)
    for count, victim in thresholds(1):
        wait_for(lambda count=count: erlang.ask("map_size(pyerlnode_durable:state(orders))") >= count)
        if victim == "python":
            peer.kill9()
            peer = durable_peer(name, dest)
        else:
            erlang.revive()
    wait_for(lambda: erlang.ask("map_size(pyerlnode_durable:state(orders))") == COUNT)
    assert set(erlang.ask("maps:values(pyerlnode_durable:state(orders))")) == {1}
    wait_for(lambda: erlang.ask("rpc:call(N, durable, pending, [])", N=A[name]) == [])
    answers = erlang.ask("[rpc:call(N, durable, result, [integer_to_binary(I)]) || I <- lists:seq(0, 299)]", N=A[name])
    assert answers == [(A.ok, number * 2) for number in range(COUNT)]


# --- the BEAM asks Python --------------------------------------------------------------------------
def test_requests_of_a_beam_to_python_happen_once_while_both_are_killed(erlang: Erlang, durable_peer: Factory) -> None:
    name = python_name()
    erlang.start("outbox", "outbox")
    submit = (
        "[pyerlnode_durable:submit(outbox, {orders, N}, I, #{id => integer_to_binary(I)}) || I <- lists:seq(0, 299)]"
    )
    spawn = f"spawn(fun() -> {submit} end)"
    erlang.ask(spawn, N=A[name])
    peer = durable_peer(name)
    done = (
        "length([I || I <- lists:seq(0, 299), "
        "case pyerlnode_durable:result(outbox, integer_to_binary(I)) of {ok, _} -> true; _ -> false end])"
    )
    for count, victim in thresholds(3):
        wait_for(lambda count=count: erlang.ask(done) >= count)
        if victim == "python":
            peer.kill9()
            peer = durable_peer(name)
        else:
            erlang.revive()
            erlang.ask(spawn, N=A[name])
    wait_for(lambda: erlang.ask(done) == COUNT)
    counts = erlang.ask(
        "I = pyerlnode_durable:submit(outbox, {orders, N}, counts), pyerlnode_durable:await_result(outbox, I, 60000)",
        N=A[name],
    )
    assert counts == (A.ok, [(number, 1) for number in range(COUNT)])


# --- single laws -----------------------------------------------------------------------------------
def test_answers_and_failures_of_python_reach_a_beam_that_was_down(erlang: Erlang, durable_peer: Factory) -> None:
    peer = durable_peer()
    erlang.start("outbox", "outbox")
    erlang.ask('pyerlnode_durable:submit(outbox, {notes, N}, {note, 1}, #{id => <<"a">>, key => k})', N=peer.node)
    erlang.revive()
    assert erlang.ask('pyerlnode_durable:await_result(outbox, <<"a">>, 60000)') == (A.ok, (A.k, (A.note, 1)))
    assert erlang.ask('pyerlnode_durable:take(outbox, <<"a">>)') == (A.ok, (A.k, (A.note, 1)))
    assert erlang.ask('pyerlnode_durable:result(outbox, <<"a">>)') == (A.error, A.unknown_request)
    kind, (word, name, text, _) = erlang.ask(
        "pyerlnode_durable:await_result(outbox, pyerlnode_durable:submit(outbox, {notes, N}, fail), 60000)", N=peer.node
    )
    assert (kind, word, name, text) == (A.error, A.python_error, b"ValueError", b"not today")


def test_a_failure_of_a_handler_on_the_beam_is_an_outcome(erlang: Erlang, requests: Requests) -> None:
    erlang.start("inbox", "orders", "#{handler => fun(stop, _) -> exit(enough); (N, #{key := K}) -> {K, 10 div N} end}")
    dest = ("orders", erlang.beam.name)
    kind, (reason, _) = requests.await_result(requests.submit(dest, 0), patience())
    assert (kind, reason) == (A.error, A.badarith)
    assert requests.await_result(requests.submit(dest, A.stop), patience()) == (A.error, A.enough)
    assert requests.await_result(requests.submit(dest, 5, key=b"k"), patience()) == (A.ok, (b"k", 2))


@pytest.mark.parametrize(("policy", "outcome"), [("fail", (A.error, A.interrupted)), ("retry", (A.ok, A.second))])
def test_a_beam_that_died_while_it_ran_a_request_does_as_it_was_told(
    erlang: Erlang, requests: Requests, policy: str, outcome: Any, tmp_path: Path
) -> None:
    mark = str(tmp_path / "ran")
    handler = (
        f'fun(_, _) -> case filelib:is_regular("{mark}") of true -> second; '
        f'false -> ok = file:write_file("{mark}", <<>>), receive never -> ok end end end'
    )
    erlang.start("inbox", "orders", f"#{{on_interrupted => {policy}, handler => {handler}}}")
    id = requests.submit(("orders", erlang.beam.name), 1)
    wait_for(lambda: Path(mark).exists())
    assert requests.result(id) is None
    erlang.revive()
    assert requests.await_result(id, patience()) == outcome


def test_a_cancelled_request_does_not_run_and_its_key_goes_on(erlang: Erlang, requests: Requests) -> None:
    erlang.start("inbox", "orders", "#{handler => fun(go, _) -> gone; (wait, _) -> receive go -> went end end}")
    dest = ("orders", erlang.beam.name)
    first, second = requests.submit(dest, A.wait, key=1), requests.submit(dest, A.wait, key=1)
    third = requests.submit(dest, A.go, key=1)
    assert requests.cancel(second)
    erlang.beam.wait_until("{links, L} = process_info(whereis(orders), links), length([P || P <- L, is_pid(P)]) >= 2")
    erlang.ask("{links, L} = process_info(whereis(orders), links), [P ! go || P <- L, is_pid(P)]")
    assert requests.await_result(first, patience()) == (A.ok, A.went)
    assert requests.await_result(third, patience()) == (A.ok, A.gone)
    assert requests.result(second) == (A.error, A.cancelled)


def test_both_sides_forget_what_is_over(erlang: Erlang, requests: Requests, node: Any) -> None:
    erlang.start("inbox", "orders", "#{handler => fun(N, _) -> N end}")
    ids = [requests.submit(("orders", erlang.beam.name), number) for number in range(50)]
    for id in ids:
        requests.await_result(id, patience())
        requests.take(id)
    kept = "length([I || {item, _, _} = I <- maps:keys(element(6, sys:get_state(orders)))]) =:= 0"
    erlang.beam.wait_until(kept)
    assert node.system.processes[node.whereis("outbox").id].handler.core.entries == {}


def test_a_log_of_the_beam_that_is_open_or_damaged_or_of_the_other_role_is_refused(
    erlang: Erlang, tmp_path: Path
) -> None:
    assert erlang.start("outbox", "outbox", file="x.log")[0] is A.ok
    assert erlang.start("outbox", "other", file="x.log")[1][0] is A.in_use
    erlang.ask("pyerlnode_durable:submit(outbox, {nobody, 'no@where'}, <<0:8000>>)")
    erlang.ask("pyerlnode_durable:submit(outbox, {nobody, 'no@where'}, <<0:8000>>)")
    erlang.kill()
    erlang.beam.start()
    whole = (tmp_path / "x.log").read_bytes()
    assert erlang.start("inbox", "orders", file="x.log")[1][0] is A.other_role
    (tmp_path / "damaged.log").write_bytes(whole[:700] + b"?" + whole[701:])
    assert erlang.start("outbox", "damaged", file="damaged.log")[1][0] is A.damaged
    (tmp_path / "cut.log").write_bytes(whole[:-10])
    assert erlang.start("outbox", "cut", file="cut.log")[0] is A.ok
    assert len(erlang.ask("pyerlnode_durable:pending(cut)")) == 1


def test_a_log_of_the_beam_is_rewritten_when_most_of_it_is_old(erlang: Erlang, tmp_path: Path) -> None:
    erlang.start("outbox", "outbox")
    for _ in range(2):
        erlang.ask(
            "[begin Id = pyerlnode_durable:submit(outbox, {nobody, 'no@where'}, <<0:8000000>>),"
            " pyerlnode_durable:cancel(outbox, Id), pyerlnode_durable:take(outbox, Id) end || _ <- lists:seq(1, 4)]"
        )
    kept = erlang.ask("pyerlnode_durable:submit(outbox, {nobody, 'no@where'}, 1)")
    assert (tmp_path / "outbox.log").stat().st_size < 6_000_000
    erlang.revive()
    assert erlang.ask("pyerlnode_durable:pending(outbox)") == [kept]


@pytest.mark.beam(elixir=True)
def test_elixir_uses_it_as_it_stands(beam: Beam, node: Any, tmp_path: Path) -> None:
    class Echo(Inbox):
        def handle_request(self, request: Any, tx: Tx) -> Any:
            return tx.key, request

    beam.load(MODULE)
    with Journal(tmp_path / "echo.db", sync="off") as journal:
        node.start(Echo, node, journal, name="echo")
        outcome = beam.elixir(
            """
            children = [:pyerlnode_durable.child_spec(:outbox, %{name: :outbox, file: file})]
            {:ok, top} = Supervisor.start_link(children, strategy: :one_for_one)
            id = :pyerlnode_durable.submit(:outbox, {:echo, node}, %{sku: "apples"}, %{key: 7, deadline: 60_000})
            outcome = :pyerlnode_durable.await_result(:outbox, id, 60_000)
            Supervisor.stop(top)
            outcome
            """,
            node=A[node.name],
            file=f"/tmp/{node.name}.log".encode(),
        )
        beam.eval("file:delete(F)", F=f"/tmp/{node.name}.log".encode())
        node.stop()
    assert outcome == (A.ok, (7, {A.sku: b"apples"}))


def test_the_documents_programs_do_what_they_say(tmp_path: Path) -> None:
    document = ROOT / "docs" / "durable-requests.md"
    with place(tmp_path) as here:
        here.elixir_app(ROOT / "examples" / "app.exs")
        for number, block in enumerate(blocks(document, "python")):
            (tmp_path / f"block_{number}.py").write_text(block.text)
            ran = here.run([sys.executable, f"block_{number}.py"])
            assert ran.returncode == 0, f"{document.name}:{block.line}\n{ran.stderr}"
