"""The node for asyncio: its loop is never blocked, a cancelled task ends its call, nothing is left behind."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from pyerlnode import A, GenServer, NoReply, Reply, UsageError, aio
from pyerlnode.errors import CallTimeout, ConnectError, RemoteError


class Counter(GenServer):
    def init(self, start: int = 0) -> None:
        self.value = start

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case A.get:
                return Reply(self.value)
            case A.never:
                return NoReply()

    def handle_cast(self, request: Any) -> None:
        self.value += request


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert "pyerlnode-hub" not in [thread.name for thread in threading.enumerate()]


def run(body: Callable[[aio.Cluster], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with aio.connect(cookie="secret", epmd="none") as cluster:
            return await body(cluster)

    return asyncio.run(main())


def test_a_server_is_started_and_called_by_coroutines() -> None:
    async def body(cluster: aio.Cluster) -> list[Any]:
        counter = cluster.server(await cluster.start(Counter, 40))
        await counter.cast(2)
        return [await counter.call(A.get), *await asyncio.gather(*(counter.call(A.get) for _ in range(50)))]

    assert run(body) == [42] * 51


def test_calls_that_wait_do_not_block_the_loop() -> None:
    async def body(cluster: aio.Cluster) -> int:
        counter = cluster.server(await cluster.start(Counter))
        waiting = asyncio.create_task(counter.call(A.never, None))
        ticks = 0
        for _ in range(5):
            await counter.call(A.get)
            ticks += 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return ticks

    assert run(body) == 5


def test_a_cancelled_task_ends_its_call_in_the_hub() -> None:
    async def body(cluster: aio.Cluster) -> None:
        pid = await cluster.start(Counter)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(cluster.call(pid, A.never, None), 0.02)
        await cluster.call(pid, A.get)
        assert not await cluster.run(lambda node: node.system.aliases)

    run(body)


def test_errors_of_the_node_reach_the_coroutine() -> None:
    async def body(cluster: aio.Cluster) -> None:
        pid = await cluster.start(Counter)
        with pytest.raises(CallTimeout):
            await cluster.server(pid, timeout=0.01).call(A.never)
        with pytest.raises(RemoteError):
            await cluster.rpc(cluster.name, "os", "system", [b"true"])
        with pytest.raises(UsageError):
            await cluster.ping()

    run(body)


def test_exported_functions_are_called() -> None:
    async def body(cluster: aio.Cluster) -> Any:
        await cluster.export("py", lambda n: n * 2, name="twice")
        return await cluster.rpc(cluster.name, "py", "twice", [21]), await cluster.multicall(
            [cluster.name], "py", "twice", [1]
        )

    assert run(body) == (42, [(A.ok, 2)])


def test_messages_to_a_mailbox_are_awaited_in_order() -> None:
    async def body(cluster: aio.Cluster) -> list[Any]:
        async with cluster.mailbox("events") as box:
            assert await cluster.whereis("events") == box.pid
            for number in range(3):
                await cluster.send("events", number)
            got = [await box.get()]
            async for message in box:
                got.append(message)
                if len(got) == 3:
                    break
        assert await cluster.whereis("events") is None
        return got

    assert run(body) == [0, 1, 2]


def test_a_mailbox_with_a_bound_drops_and_counts() -> None:
    async def body(cluster: aio.Cluster) -> tuple[int, Any]:
        async with cluster.mailbox(size=2) as box:
            for number in range(5):
                await cluster.send(box.pid, number)
            await cluster.run(lambda _: None)
            return box.dropped, await box.get()

    assert run(body) == (3, 0)


def test_a_peer_that_can_not_be_reached_leaves_nothing_running() -> None:
    async def main() -> None:
        with pytest.raises(ConnectError):
            await aio.connect(
                "nobody@127.0.0.1", cookie="secret", epmd="none", addresses={"nobody@127.0.0.1": ("127.0.0.1", 9)}
            )

    asyncio.run(main())


def test_a_cluster_that_is_awaited_is_closed_by_hand_and_twice_is_fine() -> None:
    async def main() -> None:
        cluster = await aio.connect(cookie="secret", epmd="none")
        assert await cluster.nodes() == []
        await cluster.close()
        await cluster.close()
        with pytest.raises(UsageError):
            await cluster.nodes()

    asyncio.run(main())
