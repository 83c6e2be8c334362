"""A node for `asyncio` programs: FastAPI, aiohttp, scripts with ``asyncio.run``.

    async with aio.connect("app@127.0.0.1", cookie="secret") as cluster:
        stock = cluster.server(("stock", "app@127.0.0.1"))
        await stock.call((A.get, "sku"))
        await cluster.rpc("app@127.0.0.1", "lists", "reverse", [[1, 2, 3]])

The node lives in a gevent hub in a thread of its own, as with `pyerlnode.connect`; each method here hands its work
over and awaits the outcome, so the event loop is never blocked and any number of calls are under way at once. When an
awaiting task is cancelled, or times out, the call in the hub is ended too. A `Mailbox` is a process whose messages a
coroutine awaits. A `GenServer`, `GenStatem` or `EventHandler` of this module has callbacks that are coroutines, and so
may be what is exported: they run in the program's loop. Other functions run in the hub's thread; `Cluster.run` reaches
everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from gevent.monkey import is_module_patched

from pyerlnode import facade
from pyerlnode.awaited import EventHandler, GenServer, GenStatem, awaitable
from pyerlnode.errors import UsageError
from pyerlnode.etf.codec import Codec
from pyerlnode.facade import HubThread, Job
from pyerlnode.kernel.objects.handle import ObjectHandle
from pyerlnode.kernel.streams.handle import Stream
from pyerlnode.kernel.streams.reading import Reader
from pyerlnode.node import Node
from pyerlnode.otp import gen_server
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

T = TypeVar("T")


class Cluster:
    """A node in a hub of its own, for coroutines. Made by `connect`; the methods are those of `Node`, to be awaited."""

    def __init__(self, hub: HubThread, node: Node, default: str | None) -> None:
        self._hub = hub
        self.node = node
        self.default = default
        self.loop = asyncio.get_running_loop()
        """In which coroutines of its servers and exports run."""
        node.anywhere.beside = self

    def __repr__(self) -> str:
        return f"<aio.Cluster {self.name}{f' at {self.default}' if self.default else ''}>"

    @property
    def name(self) -> str:
        return self.node.name

    async def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run ``function(node, *args)`` in the node's hub: for everything that has no method here."""
        return await _in_hub(self._hub, lambda: function(self.node, *args, **kwargs))

    async def call(self, dest: Any, request: Any, timeout: float | None = 5.0, *, codec: Codec | None = None) -> Any:
        """``GenServer.call``. Raises as `Node.call`."""
        return await _in_hub(self._hub, lambda: self.node.call(dest, request, timeout, codec=codec))

    async def cast(self, dest: Any, message: Any) -> None:
        await _in_hub(self._hub, lambda: self.node.cast(dest, message))

    async def send(self, dest: Any, message: Any) -> None:
        await _in_hub(self._hub, lambda: self.node.send(dest, message))

    async def rpc(
        self,
        name: str | Atom,
        module: str | Atom,
        function: str | Atom,
        args: Iterable[Any] = (),
        timeout: float | None = 5.0,
        *,
        codec: Codec | None = None,
    ) -> Any:
        """``erpc:call`` on the node `name`. Raises as `Node.rpc`."""
        return await _in_hub(self._hub, lambda: self.node.rpc(name, module, function, args, timeout, codec=codec))

    async def multicall(
        self,
        names: Iterable[str | Atom],
        module: str | Atom,
        function: str | Atom,
        args: Iterable[Any] = (),
        timeout: float | None = 5.0,
    ) -> list[tuple[Any, Any]]:
        """``erpc:multicall``."""
        return await _in_hub(self._hub, lambda: self.node.erpc.multicall(names, module, function, args, timeout))

    async def ping(self, name: str | None = None) -> bool:
        """The node given to `connect` unless another is named."""
        where = name if name is not None else self.default
        if where is None:
            raise UsageError("name a node: this cluster was opened without one")
        return await _in_hub(self._hub, lambda: self.node.ping(where))

    async def connect(self, name: str, timeout: float | None = None) -> None:
        """Wait until the node `name` is connected. Raises `ConnectError`, after `timeout` seconds too."""
        await _in_hub(self._hub, lambda: self.node.connect(name, timeout))

    async def disconnect(self, name: str) -> bool:
        """True when there was a connection, or an attempt to make one."""
        return await _in_hub(self._hub, lambda: self.node.disconnect(name))

    async def nodes(self, kind: str = "connected") -> list[str]:
        return await _in_hub(self._hub, lambda: self.node.nodes(kind))

    async def start(self, cls: type[gen_server.GenServer], *args: Any, name: Any = None, **kwargs: Any) -> Any:
        """Start a server in the node."""
        return await _in_hub(self._hub, lambda: self.node.start(cls, *args, name=name, **kwargs))

    async def spawn(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
        """A process of the node; its function runs in the hub's thread and must not block it."""
        return await _in_hub(self._hub, lambda: self.node.spawn(function, *args, **kwargs))

    async def export(
        self, module: str | Atom, function: Any, name: str | Atom | None = None, *, keywords: bool = False
    ) -> None:
        """Let other nodes call `function`: a coroutine function runs in the program's loop, others in the hub.

        So does an async generator, which the caller gets as a stream. `keywords` as for `Node.export`.
        """
        system = self.node.anywhere
        if isinstance(function, Mapping):
            function = {key: awaitable(system, value) for key, value in function.items()}
        else:
            function = awaitable(system, function)
        await _in_hub(self._hub, lambda: self.node.export(module, function, name, keywords=keywords))

    async def stream(
        self, stream: Stream, demand: int | None = None, timeout: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """The items of a generator of another node: ``async for item in cluster.stream(it)``; see `Node.stream`."""
        reader = await _in_hub(self._hub, lambda: Reader(self.node.system, stream, demand))
        try:
            while batch := await _in_hub(self._hub, lambda: reader.take(timeout)):
                for item in batch:
                    yield item
        finally:
            with suppress(UsageError):  # the hub is closed
                await _in_hub(self._hub, reader.close)

    async def call_method(
        self, handle: ObjectHandle, method: str | Atom, args: Iterable[Any] = (), timeout: float | None = 5.0
    ) -> Any:
        """Call a method of an object that another node keeps; see `Node.call_method`."""
        return await _in_hub(self._hub, lambda: self.node.call_method(handle, method, args, timeout))

    async def release(self, handle: ObjectHandle, timeout: float | None = 5.0) -> None:
        await _in_hub(self._hub, lambda: self.node.release(handle, timeout))

    def awaitable(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What a process of the node calls in the place of a coroutine function, which runs in the loop."""
        return awaitable(self.node.anywhere, function)

    async def whereis(self, name: Any) -> Pid | None:
        return await _in_hub(self._hub, lambda: self.node.whereis(name))

    def server(self, dest: Any, timeout: float | None = 5.0) -> Server:
        """A client of one GenServer."""
        return Server(self, dest, timeout)

    def mailbox(self, name: str | Atom | None = None, *, size: int = 0) -> Mailbox:
        """A process whose messages are awaited; open it with ``async with``.

        Args:
            name: registered under it. size: messages that may wait, more are dropped and counted; 0 is no bound.
        """
        return Mailbox(self, name, size)

    async def close(self) -> None:
        """Stop the node and its hub. May be called twice."""
        with suppress(UsageError):  # closed already
            if not await asyncio.get_running_loop().run_in_executor(None, self._hub.end, self.node.stop):
                facade.log.error(facade.NOT_STOPPED, self.name, facade.STOP_TIMEOUT)

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Server:
    """A GenServer of any node, as an object with coroutines."""

    def __init__(self, cluster: Cluster, dest: Any, timeout: float | None) -> None:
        self.cluster = cluster
        self.dest = dest
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<aio.Server {self.dest!r}>"

    async def call(self, request: Any, timeout: float | None = -1.0) -> Any:
        """`timeout` in seconds: that of the client unless given, None for ever."""
        return await self.cluster.call(self.dest, request, self.timeout if timeout == -1.0 else timeout)

    async def cast(self, message: Any) -> None:
        await self.cluster.cast(self.dest, message)


class Mailbox:
    """A process of the node whose messages come to a coroutine.

    async with cluster.mailbox("events") as box:
        async for message in box: ...
    """

    def __init__(self, cluster: Cluster, name: str | Atom | None, size: int) -> None:
        self._cluster = cluster
        self._name = name
        self._queue: asyncio.Queue[Any] = asyncio.Queue(size)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: Process | None = None
        self.dropped = 0

    @property
    def pid(self) -> Pid:
        """To give to others. Raises `UsageError` before it is opened."""
        if self._process is None:
            raise UsageError("open the mailbox first: async with cluster.mailbox() as box")
        return self._process.pid

    def handle(self, message: Any) -> None:
        """The body of the process: in the hub's thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._put, message)

    def _put(self, message: Any) -> None:
        if self._queue.full() and self._queue.maxsize:
            self.dropped += 1
        else:
            self._queue.put_nowait(message)

    async def get(self) -> Any:
        """The next message; waits for one."""
        return await self._queue.get()

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            yield await self._queue.get()

    async def __aenter__(self) -> Mailbox:
        self._loop = asyncio.get_running_loop()
        self._process = await self._cluster.run(self._open)
        return self

    def _open(self, node: Node) -> Process:
        process = node.system.spawn_handler(self)
        if self._name is not None:
            try:
                node.register(self._name, process.pid)
            except BaseException:
                process.exit(A.normal)
                raise
        return process

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None:
            await self._cluster.run(lambda _: process.exit(A.normal))


class _Opening:
    """What `connect` gives: to be awaited, or entered with ``async with``."""

    def __init__(
        self, peer: str | None, name: str | None, options: dict[str, Any], timeout: float | None = None
    ) -> None:
        self._peer = peer
        self._name = name
        self._timeout = timeout
        self._options = options
        self._cluster: Cluster | None = None

    def __await__(self) -> Any:
        return self._open().__await__()

    async def _open(self) -> Cluster:
        if is_module_patched("threading"):
            raise UsageError("this program is patched by gevent, which asyncio does not survive: use pyerlnode.connect")
        loop = asyncio.get_running_loop()
        hub = await loop.run_in_executor(None, HubThread)
        try:
            opening = partial(facade.open_node, self._peer, self._name, self._options, self._timeout)
            node = await _in_hub(hub, opening)
        except BaseException:
            await loop.run_in_executor(None, hub.stop)
            raise
        return Cluster(hub, node, self._peer)

    async def __aenter__(self) -> Cluster:
        self._cluster = await self._open()
        return self._cluster

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cluster is not None:
            await self._cluster.close()


def connect(
    peer: str | None = None, *, name: str | None = None, timeout: float | None = None, **options: Any
) -> _Opening:
    """A node in a hub of its own, connected to `peer`: ``async with connect(…) as cluster``, or ``await connect(…)``.

    Args:
        peer: the node to connect to; None only opens our own.
        name: ours; unique and of the peer's kind unless given. `options`: those of `Node`.
        timeout: seconds for connecting to `peer`; None: as long as each step of it may take.

    Raises:
        ConnectError: `peer` can not be reached; nothing is left running.
    """
    return _Opening(None if peer is None else facade.whole(peer), name, options, timeout)


async def _in_hub(hub: HubThread, job: Callable[[], T]) -> T:
    """Run `job` in a greenlet of the hub; when the awaiting task is cancelled the greenlet is ended."""
    work: Job = hub.submit(job)
    try:
        result: T = await asyncio.wrap_future(work.future)
    except asyncio.CancelledError:
        hub.abandon(work)
        raise
    return result


__all__ = ["Cluster", "EventHandler", "GenServer", "GenStatem", "Mailbox", "Server", "connect"]
