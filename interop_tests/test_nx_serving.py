"""Callers on a BEAM and servings in Python: alone, side by side with a BEAM's, lost in the middle, and as streams.

`serving_peer.erl` calls as Nx.Serving does. With ``PYERLNODE_NX`` set to the directories of the compiled library and of
what it needs (as in PATH), the library itself calls, too.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import numpy
import pytest

from pyerlnode import A
from pyerlnode.bridges.nx.serving import Hook, Output, Serving
from pyerlnode.otp import gen
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for
from pyerlnode.workers.worker import Worker

NAME = A["Elixir.MyApp.Serving"]
NX = A["Elixir.Nx.Serving"]
READ = "(fun({ok, T, At}) -> {ok, serving_peer:floats(T), At}; (Other) -> Other end)"
LIBRARY = os.environ.get("PYERLNODE_NX", "")


@pytest.fixture
def peer(helper: Callable[[str], Beam]) -> Iterator[Beam]:
    """A BEAM with callers; its scope must live through the test."""
    beam = helper("serving_peer.erl")
    scope = beam.eval("serving_peer:start()")
    yield beam
    assert beam.eval("whereis('Elixir.Nx.Serving.PG')") == scope, "the scope of the BEAM has crashed"
    beam.eval("serving_peer:stop()")


def serve(node: Any, beam: Beam, handler: Any, **options: Any) -> Any:
    """A serving that callers on `beam` see."""
    pid = node.start(Serving, node, "MyApp.Serving", handler, **{"batch_size": 4, "batch_timeout": 0.02, **options})
    node.connect(beam.name)
    wait_for(lambda: pid in beam.eval("serving_peer:members(G)", G=NAME))
    return pid


def tensor(*numbers: float) -> str:
    """An Erlang expression for a tensor of one axis."""
    elements = ", ".join(f"{number}:64/float-native" for number in numbers)
    return f"serving_peer:tensor({{f, 64}}, {{{len(numbers)}}}, << {elements} >>)"


ONE = f"serving_peer:concatenate(default, [{tensor(1.0)}])"


def stack(*rows: str, key: str = "default") -> str:
    return f"serving_peer:stack({key}, [{', '.join(rows)}])"


def run(beam: Beam, batch: str, name: Any = NAME, group: Any = NAME) -> Any:
    """What one caller gets, tensors read."""
    return beam.eval(f"{READ}(serving_peer:batched_run(G, N, {batch}))", G=group, N=name)


def floats(shape: tuple[int, ...], *numbers: float) -> Any:
    return shape, list(numbers)


def test_tensors_go_to_python_and_come_back(peer: Beam, node: Any) -> None:
    serve(node, peer, lambda rows: rows * 2)
    got = run(peer, stack(tensor(1.0, 2.0), tensor(3.0, 4.0)))
    assert got == (A.ok, floats((2, 2), 2.0, 4.0, 6.0, 8.0), A[node.name])
    got = run(peer, f"serving_peer:concatenate(default, [{tensor(1.0, 2.0)}, {tensor(3.0)}])")
    assert got[1] == floats((3,), 2.0, 4.0, 6.0)


def test_callers_of_before_0_11_look_in_another_group(peer: Beam, node: Any) -> None:
    serve(node, peer, lambda rows: rows)
    assert run(peer, stack(tensor(1.0)), group=NX)[0] is A.ok


def test_a_batch_that_was_split_on_the_beam_is_run(peer: Beam, node: Any) -> None:
    serve(node, peer, lambda rows: rows)
    got = peer.eval(
        f"{{L, R}} = serving_peer:split(default, {tensor(1.0, 2.0, 3.0)}, 2), "
        "[begin {ok, T, _} = serving_peer:batched_run(N, B), serving_peer:floats(T) end || B <- [L, R]]",
        N=NAME,
    )
    assert got == [floats((2,), 1.0, 2.0), floats((1,), 3.0)]


def test_many_callers_at_once_share_batches_and_each_gets_its_own(peer: Beam, node: Any) -> None:
    pid = serve(node, peer, lambda rows: rows + 1, batch_size=16)
    got = peer.eval(
        "In = [serving_peer:stack(default, [serving_peer:tensor({f, 64}, {1}, <<(float(I)):64/float-native>>)]) "
        "      || I <- lists:seq(1, 100)], "
        "[serving_peer:floats(T) || {ok, T, _} <- serving_peer:many(N, N, In)]",
        N=NAME,
    )
    assert got == [floats((1, 1), n + 1.0) for n in range(1, 101)]
    assert node.call(pid, A.stats)[A.batches] < 100


def test_a_name_that_nobody_serves_is_noproc_at_once_and_after_three_attempts(peer: Beam, node: Any) -> None:
    assert run(peer, stack(tensor(1.0))) == (A.exit, A.noproc, [(A.retries, 3)], [])
    serve(node, peer, lambda rows: rows)
    got = run(peer, stack(tensor(1.0)), name=A.another)
    assert got == (A.exit, A.noproc, [(A.retries, 0)], [A[node.name]] * 3)


def test_a_handlers_error_is_the_exit_reason_of_its_callers_alone(peer: Beam, node: Any) -> None:
    serve(node, peer, {"bad": lambda rows: 1 // 0, "good": lambda rows: rows})
    kind, reason, retries, _ = run(peer, stack(tensor(1.0), key="bad"))
    assert (kind, reason[:2], retries) == (A.exit, (A.python_error, b"ZeroDivisionError"), [(A.retries, 3)])
    assert run(peer, stack(tensor(1.0), key="good"))[0] is A.ok
    assert run(peer, stack(tensor(1.0)))[1][0] is A.bad_batch


def test_overload_is_an_exit_that_says_so(peer: Beam, node: Any) -> None:
    serve(node, peer, lambda rows: rows, waiting=1)
    assert run(peer, stack(tensor(1.0), tensor(2.0)))[1] == (A.serving_full, 1)


@pytest.mark.parametrize(
    "junk", ["<<1>>", "[]", "#{'__struct__' => 'Elixir.Nx.Batch'}", "fun() -> ok end", "{a, [b | c]}"]
)
def test_garbage_is_told_and_harms_nobody(peer: Beam, node: Any, junk: str) -> None:
    serve(node, peer, lambda rows: rows)
    assert run(peer, junk)[1][0] is A.bad_batch
    peer.eval(f"[P ! {junk} || P <- serving_peer:members(N)]", N=NAME)
    assert run(peer, stack(tensor(1.0)))[0] is A.ok


class Gate:
    """A handler that waits to be let on."""

    def __init__(self) -> None:
        self.entered, self.leave = gevent.event.Event(), gevent.event.Event()

    def __call__(self, rows: Any) -> Any:
        self.entered.set()
        self.leave.wait()
        return rows


def begin(beam: Beam) -> Callable[[], Any]:
    """A caller; its outcome when there is one."""
    caller = beam.eval(f"serving_peer:begin_run(N, N, {ONE})", N=NAME)
    return lambda: beam.eval(f"{READ}(serving_peer:outcome(C))", C=caller)


def test_a_killed_serving_is_told_to_each_caller(peer: Beam, node: Any) -> None:
    gate = Gate()
    pid = serve(node, peer, gate, offload=False, batch_size=1)
    outcome = begin(peer)
    assert gate.entered.wait(patience())
    node.exit(pid, A.kill)
    assert outcome() == (A.exit, A.killed, [(A.retries, 3)], [])
    gate.leave.set()


def test_a_node_that_is_lost_in_the_middle_of_a_batch_is_told_to_each_caller(peer: Beam, node: Any) -> None:
    gate = Gate()
    serve(node, peer, gate, offload=False, batch_size=1)
    outcome = begin(peer)
    assert gate.entered.wait(patience())
    node.disconnect(peer.name)
    assert outcome() == (A.exit, A.noconnection, [(A.retries, 3)], [])
    assert run(peer, stack(tensor(1.0))) == (A.exit, A.noproc, [(A.retries, 3)], [])
    gate.leave.set()


def test_a_serving_that_stops_finishes_its_batch_and_the_next_callers_go_elsewhere(
    peer: Beam, node: Any, beam_factory: Callable[..., Beam]
) -> None:
    other = beam_factory(files=["beam_src/serving_peer.erl"], cookie=peer.cookie)
    other.eval("serving_peer:start()")
    gate = Gate()
    pid = serve(node, peer, gate, offload=False, batch_size=1, batch_timeout=0.0)
    running = begin(peer)
    assert gate.entered.wait(patience())
    waiting = begin(peer)
    wait_for(lambda: node.call(pid, A.stats)[A.waiting] == 1)
    assert peer.eval("net_kernel:connect_node(O)", O=A[other.name]) is True
    theirs = other.eval("serving_peer:serve(N, 10.0)", N=NAME)
    wait_for(lambda: set(peer.eval("serving_peer:members(N)", N=NAME)) == {pid, theirs})
    stopping = gevent.spawn(gen.stop, node.system, pid)
    assert waiting()[::2] == (A.ok, A[other.name])
    gate.leave.set()
    assert running()[::2] == (A.ok, A[node.name])
    stopping.get(timeout=patience())
    assert [member.node for member in peer.eval("serving_peer:members(N)", N=NAME)] == [A[other.name]]


def test_a_node_that_stops_serves_what_runs_and_sends_away_who_waits(peer: Beam, python: Callable[..., Any]) -> None:
    node, gate = python(), Gate()
    pid = serve(node, peer, gate, offload=False, batch_size=1, batch_timeout=0.0)
    running = begin(peer)
    assert gate.entered.wait(patience())
    waiting = begin(peer)
    wait_for(lambda: node.call(pid, A.stats)[A.waiting] == 1)
    stopping = gevent.spawn(node.stop)
    assert waiting()[:2] == (A.exit, A.noproc)
    gate.leave.set()
    assert running()[0] is A.ok
    stopping.get(timeout=patience())


def test_the_model_in_an_os_process_gets_arrays_and_its_end_is_told(peer: Beam, node: Any) -> None:
    worker = node.start(Worker, "numpy:negative")
    serve(node, peer, worker)
    assert run(peer, stack(tensor(1.0, 2.0)))[:2] == (A.ok, floats((1, 2), -1.0, -2.0))
    node.exit(worker, A.kill)
    assert run(peer, stack(tensor(1.0)))[1] is A.noproc


def test_python_and_a_beam_serve_side_by_side(peer: Beam, node: Any, beam_factory: Callable[..., Beam]) -> None:
    other = beam_factory(files=["beam_src/serving_peer.erl"], cookie=peer.cookie)
    other.eval("serving_peer:start()")
    assert peer.eval("net_kernel:connect_node(O)", O=A[other.name]) is True
    other.eval("serving_peer:serve(N, 2.0)", N=NAME)
    serve(node, peer, lambda rows: rows * 2, batch_timeout=0.0)
    wait_for(lambda: len(peer.eval("serving_peer:members(N)", N=NAME)) == 2)
    inputs = f"lists:duplicate(60, serving_peer:concatenate(default, [{tensor(3.0)}]))"
    got = peer.eval(f"[{{serving_peer:floats(T), At}} || {{ok, T, At}} <- serving_peer:many(N, N, {inputs})]", N=NAME)
    assert {shown for (_, [shown]), _ in got} == {6.0}
    assert {at for _, at in got} == {A[other.name], A[node.name]}


def test_batches_and_what_the_handler_yields_are_streamed(peer: Beam, node: Any) -> None:
    def handler(rows: Any) -> Any:
        yield Hook("token", rows + 1)
        return Output(rows, A.last)

    serve(node, peer, handler, streaming=["token"])
    kind, events, end = peer.eval(
        f"{{stream, Events, End}} = serving_peer:batched_run(N, {stack(tensor(1.0))}), "
        "Read = fun serving_peer:floats/1, "
        "{stream, [case E of {batch, T, M} -> {batch, Read(T), M}; {H, T} -> {H, Read(T)} end || E <- Events], End}",
        N=NAME,
    )
    assert (kind, end) == (A.stream, A.done)
    assert events == [(A.token, floats((1, 1), 2.0)), (A.batch, floats((1, 1), 1.0), A.last)]


def test_large_tensors_go_both_ways(peer: Beam, node: Any) -> None:
    serve(node, peer, lambda rows: numpy.negative(rows))
    got = peer.eval(
        "T = serving_peer:tensor({f, 64}, {1 bsl 19}, binary:copy(<<1.5:64/float-native>>, 1 bsl 19)), "
        "{ok, Back, _} = serving_peer:batched_run(N, serving_peer:stack(default, [T])), "
        "#{data := #{state := S}} = Back, S =:= binary:copy(<<-1.5:64/float-native>>, 1 bsl 19)",
        N=NAME,
    )
    assert got is True


STARTED = """
Application.put_env(:nx, :default_backend, {Nx.BinaryBackend, []})
Application.put_env(:nx, :default_defn_options, [])
{:ok, _} = Application.ensure_all_started(:telemetry)
{:ok, top} = Nx.Application.start(:normal, [])
Process.unlink(top)
"""
CALLS = [
    (
        "Nx.Serving.batched_run(MyApp.Serving, Nx.Batch.stack([Nx.tensor([1, 2]), Nx.tensor([3, 4])])) |> Nx.to_list()",
        [[2, 4], [6, 8]],
    ),
    (
        "b = Nx.Batch.concatenate([Nx.iota({3}), Nx.iota({4})]); "
        "Nx.Serving.batched_run(MyApp.Serving, b) |> Nx.to_list()",
        [0, 2, 4, 0, 2, 4, 6],
    ),
    (
        "{l, r} = Nx.Batch.split(Nx.Batch.concatenate([Nx.iota({5})]), 2); "
        "Enum.map([l, r], &(Nx.Serving.batched_run(MyApp.Serving, &1) |> Nx.to_list()))",
        [[0, 2], [4, 6, 8]],
    ),
    (
        "b = Nx.Batch.concatenate([Nx.iota({2})]); Nx.Serving.batched_run(MyApp.Serving, [b, b]) |> Nx.to_list()",
        [0, 2, 0, 2],
    ),
    (
        "b = Nx.Batch.stack([{Nx.tensor(1.5), %{y: 2, x: Nx.tensor([3])}}]) |> Nx.Batch.key(:pairs); "
        "{a, %{x: x, y: y}} = Nx.Serving.batched_run(MyApp.Serving, b); Enum.map([a, x, y], &Nx.to_list/1)",
        [[1.5], [[3]], [2]],
    ),
    (
        "1..20 |> Enum.map(fn i -> Task.async(fn -> Nx.Serving.batched_run({:distributed, MyApp.Serving}, "
        "Nx.Batch.stack([i])) |> Nx.to_list() end) end) |> Task.await_many()",
        [[2 * n] for n in range(1, 21)],
    ),
    (
        "b = Nx.Batch.stack([1]) |> Nx.Batch.key(:bad); "
        "try do Nx.Serving.batched_run(MyApp.Serving, b) catch :exit, {{kind, type, _, _}, {m, f, _}} -> "
        "{kind, type, m, f} end",
        (A.python_error, b"ZeroDivisionError", NX, A.distributed_batched_run),
    ),
    (
        "try do Nx.Serving.batched_run(Nobody, 1) catch :exit, {reason, {m, f, _}} -> {reason, m, f} end",
        (A.noproc, NX, A.distributed_batched_run),
    ),
    (
        "Nx.Serving.batched_run(MyApp.Streams, Nx.Batch.stack([1, 2])) |> Enum.map(fn "
        "{:batch, t, m} -> {:batch, Nx.to_list(t), m}; {hook, t} -> {hook, Nx.to_list(t)} end)",
        [(A.token, [2, 3]), (A.batch, [1, 2], A.server_info)],
    ),
]  # fmt: skip

if LIBRARY:  # else there is no such test: the library is no part of this project

    @pytest.fixture
    def nx(beam_factory: Callable[..., Beam]) -> Beam:
        """A BEAM with the library."""
        return with_library(beam_factory(elixir=True))

    def with_library(beam: Beam) -> Beam:
        for directory in LIBRARY.split(os.pathsep):
            assert beam.eval("code:add_patha(D)", D=list(directory.encode())) is True
        beam.elixir(f"({STARTED}); :ok")
        return beam

    def yields(rows: Any) -> Any:
        yield Hook("token", rows + 1)
        return rows

    @pytest.mark.parametrize(("call", "expected"), CALLS)
    def test_the_library_itself_gets_what_it_gets_of_a_serving_of_its_own(
        nx: Beam, python: Callable[..., Any], call: str, expected: Any
    ) -> None:
        node = python(cookie=nx.cookie)
        handler = {"default": lambda rows: rows * 2, "pairs": lambda rows: rows, "bad": lambda rows: 1 // 0}
        options = {"batch_size": 8, "batch_timeout": 0.02}
        pids = {
            node.start(Serving, node, "MyApp.Serving", handler, **options),
            node.start(Serving, node, "MyApp.Streams", yields, streaming=["token"], **options),
        }
        node.connect(nx.name)
        scope = "Enum.flat_map([MyApp.Serving, MyApp.Streams, Nx.Serving], &:pg.get_members(Nx.Serving.PG, &1))"
        wait_for(lambda: pids <= set(nx.elixir(scope)))
        assert nx.elixir(call) == expected

    def test_a_serving_of_the_library_and_one_of_python_serve_side_by_side_until_one_stops(
        nx: Beam, python: Callable[..., Any], beam_factory: Callable[..., Beam]
    ) -> None:
        other = with_library(beam_factory(elixir=True, cookie=nx.cookie))
        other.elixir(
            "s = Nx.Serving.new(fn opts -> Nx.Defn.jit(&Nx.multiply(&1, 2), opts) end); "
            "{:ok, top} = Nx.Serving.start_link(name: MyApp.Serving, serving: s, batch_timeout: 0); Process.unlink(top)"
        )
        node = python(cookie=nx.cookie)
        pid = node.start(Serving, node, "MyApp.Serving", lambda rows: rows * 2, batch_timeout=0.0)
        node.connect(nx.name)
        assert nx.eval("net_kernel:connect_node(O)", O=A[other.name]) is True
        groups = "Enum.flat_map([MyApp.Serving, Nx.Serving], &:pg.get_members(Nx.Serving.PG, &1)) |> Enum.uniq()"
        wait_for(lambda: len(nx.elixir(groups)) == 2)
        calls = (
            "1..60 |> Enum.map(fn i -> Task.async(fn -> Nx.Serving.batched_run(MyApp.Serving, Nx.Batch.stack([i])) "
            "|> Nx.to_list() end) end) |> Task.await_many()"
        )
        expected = [[2 * n] for n in range(1, 61)]
        assert nx.elixir(calls) == expected
        assert 0 < node.call(pid, A.stats)[A.rows] < 60
        calling = gevent.spawn(nx.elixir, calls)
        gen.stop(node.system, pid)
        assert calling.get(timeout=patience()) == expected
        assert nx.elixir(calls) == expected
