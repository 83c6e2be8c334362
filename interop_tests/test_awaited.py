"""Coroutines that serve Elixir: GenServers of an asyncio program, and functions by :erpc."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pyerlnode import A, Reply, aio, kw
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

pytestmark = pytest.mark.beam(elixir=True)


class Pages(aio.GenServer):
    async def handle_call(self, request, from_):
        await asyncio.sleep(0)
        if request is A.crash:
            raise ValueError("as asked")
        return Reply((A.ok, request))


def serving(beam: Beam, body: Callable[[aio.Cluster, Any], Coroutine[Any, Any, Any]]) -> Any:
    """What ``body(cluster, elixir)`` gives in an asyncio program; `elixir` evaluates text on the BEAM."""

    async def main() -> Any:
        async with aio.connect(beam.name, cookie=beam.cookie, epmd_port=beam.epmd_port) as cluster:

            async def elixir(job: str, **given: Any) -> Any:
                given["node"] = A[cluster.name]
                value, _ = await cluster.rpc(beam.name, "Elixir.Code", "eval_string", [job, kw(**given)], None)
                return value

            return await body(cluster, elixir)

    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(asyncio.run, main())
        wait_for(ran.done)  # this thread's hub has the EPMD of the tests to run
        return ran.result()


def test_elixir_calls_a_server_of_coroutines(beam: Beam) -> None:
    async def body(cluster: aio.Cluster, elixir: Any) -> Any:
        await cluster.start(Pages, name="pages")
        return await elixir("for n <- 1..20, do: GenServer.call({:pages, node}, n)")

    assert serving(beam, body) == [(A.ok, n) for n in range(1, 21)]


def test_elixir_learns_by_its_monitor_what_a_coroutine_raised(beam: Beam) -> None:
    job = """
    ref = Process.monitor(pid)
    called = try do GenServer.call(pid, :crash) catch :exit, _ -> :exited end
    receive do {:DOWN, ^ref, :process, ^pid, reason} -> {called, inspect(reason), node} end
    """

    async def body(cluster: aio.Cluster, elixir: Any) -> Any:
        return await elixir(job, pid=await cluster.start(Pages))

    called, reason, _ = serving(beam, body)
    assert called is A.exited
    assert b"ValueError" in reason
    assert b"as asked" in reason


def test_elixir_calls_a_coroutine_function(beam: Beam) -> None:
    async def double(x: int) -> int:
        await asyncio.sleep(0)
        return 2 * x

    async def body(cluster: aio.Cluster, elixir: Any) -> Any:
        await cluster.export("Elixir.Pages", double)
        return await elixir("for n <- 1..20, do: :erpc.call(node, Pages, :double, [n])")

    assert serving(beam, body) == [2 * n for n in range(1, 21)]


def test_an_exit_from_elixir_cancels_what_a_server_of_coroutines_awaits(beam: Beam) -> None:
    told: list[str] = []

    class Hanging(aio.GenServer):
        async def handle_cast(self, request):
            try:
                told.append("hangs")
                await asyncio.Event().wait()
            finally:
                told.append("cancelled")

    async def body(cluster: aio.Cluster, elixir: Any) -> None:
        pid = await cluster.start(Hanging)
        await elixir("GenServer.cast(pid, :hang)", pid=pid)
        await asyncio.to_thread(wait_for, lambda: told)
        await elixir("Process.exit(pid, :kill)", pid=pid)
        await asyncio.to_thread(wait_for, lambda: told == ["hangs", "cancelled"])

    serving(beam, body)
