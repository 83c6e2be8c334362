"""Python generators that Elixir and Erlang read by demand, with the companion; and the ends of either side."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from interop_tests.test_awaited import serving
from pyerlnode import A, GenServer, Reply, aio, streamed
from pyerlnode.kernel.streams.server import StreamServer
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

COMPANION = Path(__file__).parents[1] / "beam"
pytestmark = pytest.mark.beam(elixir=True)


class Maker:
    """Generators, and what they have done."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = 0

    def numbers(self, most: int = 1_000_000_000, hang: bool = False) -> Iterator[int]:
        try:
            for n in range(most):
                self.made += 1
                yield n
            if hang:
                gevent.sleep(3600)
        finally:
            self.closed += 1

    def fails(self) -> Iterator[int]:
        try:
            yield 1
            raise ValueError("as asked")
        finally:
            self.closed += 1


@pytest.fixture
def maker(beam: Beam, node: Any) -> Iterator[Maker]:
    beam.load(COMPANION / "pyerlnode" / "lib" / "pyerlnode.ex")
    beam.load(COMPANION / "pyerlnode.erl")
    made = Maker()
    node.export("Elixir.Maker", {"numbers": made.numbers, "fails": made.fails})
    yield made
    wait_for(lambda: not any(type(p.handler) is StreamServer for p in node.system.processes.values()))


ASK = "ask = fn args -> :erpc.call(node, Maker, :numbers, args) end; "
CLEAN = "; {:messages, []} = Process.info(self(), :messages); {:monitors, []} = Process.info(self(), :monitors); got"


def test_elixir_enumerates_it_and_nothing_is_left(beam: Beam, node: Any, maker: Maker) -> None:
    job = ASK + "got = ask.([500]) |> Stream.map(&(&1 * 2)) |> Enum.sum()" + CLEAN
    assert beam.elixir(job, node=A[node.name]) == 2 * sum(range(500))
    one = ASK + "got = Enum.to_list(%{ask.([70]) | demand: 1})" + CLEAN
    assert beam.elixir(one, node=A[node.name]) == list(range(70))
    both = ASK + "got = Enum.zip(ask.([40]), ask.([])) |> length()" + CLEAN
    assert beam.elixir(both, node=A[node.name]) == 40
    assert beam.elixir(ASK + "got = Enum.count(ask.([40]))" + CLEAN, node=A[node.name]) == 40
    wait_for(lambda: maker.closed == 5)


def test_elixir_stops_early_and_the_generator_is_closed(beam: Beam, node: Any, maker: Maker) -> None:
    job = ASK + "got = Enum.take(%{ask.([]) | demand: 8}, 3)" + CLEAN
    assert beam.elixir(job, node=A[node.name]) == [0, 1, 2]
    wait_for(lambda: maker.closed == 1)
    assert maker.made <= 3 + 8
    waits = ASK + "got = Enum.take(ask.([2, true]), 2)" + CLEAN
    assert beam.elixir(waits, node=A[node.name]) == [0, 1]
    wait_for(lambda: maker.closed == 2)


def test_elixir_gets_its_error_behind_the_items(beam: Beam, node: Any, maker: Maker) -> None:
    job = """
    me = self()
    stream = :erpc.call(node, Maker, :fails, [])
    {_, ref} = spawn_monitor(Enum, :each, [stream, &send(me, {:seen, &1})])  # Elixir's eval would cut the stack
    {error, stack} = receive do {:DOWN, ^ref, _, _, reason} -> reason end
    receive do {:seen, 1} -> :ok end
    got = {error.__struct__ == Pyerlnode.PythonError && error.type, error.text, inspect(stack)}
    """
    kind, text, frame = beam.elixir(job + CLEAN.removeprefix(";"), node=A[node.name])
    assert (kind, text) == (b"ValueError", b"as asked")
    assert b"fails" in frame


def test_an_elixir_reader_or_caller_that_dies_closes_it(beam: Beam, node: Any, maker: Maker) -> None:
    job = ASK + "spawn(fn -> Enum.each(ask.([5, true]), & &1) end)"
    reader = beam.elixir(job, node=A[node.name])
    wait_for(lambda: maker.made == 5)
    node.exit(reader, A.kill)
    wait_for(lambda: maker.closed == 1)
    beam.elixir(ASK + "spawn(fn -> ask.([]) end); :ok", node=A[node.name])  # the fixture waits for its end


def test_a_link_that_is_cut_ends_both_sides(beam: Beam, node: Any, maker: Maker) -> None:
    job = """
    spawn(fn ->
      stream = :erpc.call(node, Maker, :numbers, [5, true])
      why = try do Enum.each(stream, & &1) catch :exit, {reason, _} -> reason end
      :persistent_term.put(:cut_stream, why)
    end)
    spawn(fn -> :erpc.call(node, Maker, :numbers, []); Process.sleep(:infinity) end)
    """
    beam.elixir(job, node=A[node.name])
    wait_for(lambda: maker.made == 5)
    node.disconnect(beam.name)
    wait_for(lambda: maker.closed == 1)
    wait_for(lambda: beam.elixir(":persistent_term.get(:cut_stream, nil)") is A.noconnection)
    beam.elixir(":persistent_term.erase(:cut_stream)")


def test_a_second_read_exits_with_noproc(beam: Beam, node: Any, maker: Maker) -> None:
    job = (
        ASK
        + """
    stream = ask.([3])
    [0, 1, 2] = Enum.to_list(stream)
    got = try do Enum.to_list(stream) catch :exit, {reason, _} -> reason end
    """
    )
    assert beam.elixir(job + CLEAN.removeprefix(";"), node=A[node.name]) is A.noproc


def test_a_server_of_python_replies_with_one(beam: Beam, node: Any, maker: Maker) -> None:
    class Table(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            return Reply((A.ok, streamed(maker.numbers(request), from_)))

    pid = node.start(Table)
    assert beam.elixir("{:ok, s} = GenServer.call(pid, 4); Enum.to_list(s)", pid=pid) == [0, 1, 2, 3]


def test_erlang_folds_it_and_reads_it_item_by_item(beam: Beam, node: Any, maker: Maker) -> None:
    job = """
    Stream = erpc:call(Node, 'Elixir.Maker', numbers, [300]),
    Sum = pyerlnode:stream_fold(fun(X, Acc) -> X + Acc end, 0, Stream),
    Reader = pyerlnode:stream_open(erpc:call(Node, 'Elixir.Maker', numbers, [])),
    {ok, 0, R1} = pyerlnode:stream_next(Reader),
    {ok, 1, R2} = pyerlnode:stream_next(R1),
    ok = pyerlnode:stream_close(R2),
    Fails = erpc:call(Node, 'Elixir.Maker', fails, []),
    Why = try pyerlnode:stream_fold(fun(X, _) -> X end, none, Fails) catch error:E:S -> {E, element(2, hd(S))} end,
    {messages, []} = process_info(self(), messages),
    {Sum, Why}.
    """
    total, (reason, function) = beam.eval(job, Node=A[node.name])
    assert total == sum(range(300))
    assert reason == (A.python_error, b"ValueError", b"as asked")
    assert "fails" in function.name
    wait_for(lambda: maker.closed == 3)


def test_elixir_enumerates_an_async_generator(beam: Beam) -> None:
    beam.load(COMPANION / "pyerlnode" / "lib" / "pyerlnode.ex")
    closed: list[int] = []

    async def letters(most):
        try:
            for n in range(most):
                yield n
        finally:
            closed.append(most)

    async def body(cluster: aio.Cluster, elixir: Any) -> Any:
        await cluster.export("Elixir.Pages", letters)
        whole = await elixir("Enum.to_list(:erpc.call(node, Pages, :letters, [100]))")
        return whole, await elixir("Enum.take(:erpc.call(node, Pages, :letters, [1000]), 2)")

    assert serving(beam, body) == (list(range(100)), [0, 1])
    assert closed == [100, 1000]
