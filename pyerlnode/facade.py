"""A node for programs that do not run gevent: scripts, threads, IPython, Django, FastAPI.

    cluster = pyerlnode.connect("app@127.0.0.1", cookie="secret")
    cluster.call(("stock", "app@127.0.0.1"), (A.get, "sku"))

The hub, and with it the node, runs in a native thread of its own, so the node answers its peers while the program
computes, sleeps or waits at a prompt. Nothing is patched. Every method may be called from any thread and blocks only
its caller. In a program whose threads gevent has patched there is a hub already, and the node runs in that one.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import gevent
from gevent.event import Event
from gevent.monkey import is_module_patched

from pyerlnode.errors import ConnectError, UsageError
from pyerlnode.etf.codec import Codec
from pyerlnode.kernel import release_core as release
from pyerlnode.kernel.objects.handle import ObjectHandle
from pyerlnode.kernel.remote.peer import Peer
from pyerlnode.kernel.streams.handle import Stream
from pyerlnode.node import Node, this_host
from pyerlnode.runtime.edges import edge, escaped
from pyerlnode.runtime.forks import made_before, ours
from pyerlnode.runtime.wakeup import TURN
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid

if TYPE_CHECKING:
    from pyerlnode.otp.behaviour import Behaviour
    from pyerlnode.otp.starts import Starts

T = TypeVar("T")
STOP_TIMEOUT = 10.0
NOT_STOPPED = "%s was not stopped in order within %g s: something in its hub computes and lets nothing else run"

log = logging.getLogger("pyerlnode.facade")


class Job:
    """A function on its way into the hub, and back."""

    __slots__ = ("function", "future", "greenlet")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.future: Future[Any] = Future()
        self.greenlet: Any = None

    def start(self) -> None:
        """In the hub."""
        self.greenlet = gevent.spawn(self._perform)

    def end(self) -> None:
        """In the hub: nobody waits for it any more."""
        if self.greenlet is not None:
            self.greenlet.kill(block=False)

    @edge
    def _perform(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function()
        except gevent.GreenletExit:
            self.future.set_exception(CancelledError())
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class HubThread:
    """A gevent hub in a native thread, and the way to run functions in it."""

    def __init__(self) -> None:
        self._todo: deque[Callable[[], object]] = deque()
        self._ready: Future[None] = Future()
        self._watcher: Any = None
        self._stopping = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="pyerlnode-hub", daemon=True)
        self._forsaken = False
        ours(self)
        self._thread.start()
        self._ready.result()

    def forsake(self) -> None:
        """In a fork, which has no such thread: whoever used it would wait for ever."""
        self._lock = threading.Lock()  # the one before may be held, by a thread that is not here
        self._forsaken = self._stopping = True
        self._todo.clear()

    def run(self, job: Callable[[], T]) -> T:
        """Run `job` in a greenlet of the hub and wait for it; an interrupt of the caller ends it."""
        if threading.current_thread() is self._thread:
            return job()
        work = self.submit(job)
        try:
            while not work.future.done():
                with suppress(NotYet):
                    work.future.exception(TURN)
            result: T = work.future.result()
        except BaseException:
            self.abandon(work)  # the caller was interrupted while it waited
            raise
        return result

    def submit(self, job: Callable[[], Any]) -> Job:
        """Have `job` run in a greenlet of the hub; its `future` has the outcome. From any thread; never waits."""
        work = Job(job)
        self._tell(work.start)
        return work

    def abandon(self, work: Job) -> None:
        """Nobody waits for `work` any more: end it, unless it is done."""
        if not work.future.done():
            work.future.cancel()
            with suppress(UsageError):  # the hub has ended meanwhile, and the job with it
                self._tell(work.end)

    def _tell(self, action: Callable[[], object]) -> None:
        """Have `action` called in the hub."""
        with self._lock:
            if self._forsaken:
                raise made_before("this connection to the cluster")
            if self._stopping:
                raise UsageError("this connection to the cluster is closed")
            self._todo.append(action)
            self._watcher.send()

    def end(self, job: Callable[[], object]) -> bool:
        """Run `job` as the last one. False when it has not ended in time: then the hub ends when it has."""
        if threading.current_thread() is self._thread:
            job()
            return True
        work = self.submit(job)
        try:
            work.future.result(STOP_TIMEOUT)
        except BaseException as error:
            work.future.add_done_callback(lambda _: self.stop(0.0))
            if work.future.done() or not isinstance(error, NotYet):
                raise
            return False
        self.stop()
        return True

    def stop(self, within: float = STOP_TIMEOUT) -> None:
        """End the hub as soon as it runs, and wait for that, at most `within` seconds."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            self._watcher.send()
        if threading.current_thread() is not self._thread:
            self._thread.join(within)

    @edge
    def _run(self) -> None:
        hub = gevent.get_hub()
        stopped = Event()
        self._watcher = hub.loop.async_()
        self._watcher.start(self._act, stopped)
        self._ready.set_result(None)
        while not stopped.is_set():
            try:
                stopped.wait()
            except BaseException as error:  # noqa: PERF203  # `SystemExit` of a greenlet that the program spawned
                escaped("the hub's thread", error)
        self._watcher.close()
        hub.destroy(destroy_loop=True)

    @edge
    def _act(self, stopped: Event) -> None:
        while self._todo:
            edge(self._todo.popleft())()
        if self._stopping:
            stopped.set()


class _SameHub:
    """A program that gevent has patched runs in its own hub."""

    @staticmethod
    def run(job: Callable[[], T]) -> T:
        return job()

    @staticmethod
    def end(job: Callable[[], object]) -> bool:
        job()
        return True

    @staticmethod
    def stop() -> None:
        pass


class Cluster:
    """A node in a hub of its own, connected to a cluster. Close it, or use it in a `with` block.

    The methods are those of `Node`. `default` is the node given to `connect`, which `ping`, `peer` and `disconnect`
    mean when no node is named.
    """

    def __init__(self, hub: HubThread | _SameHub, node: Node, default: str | None) -> None:
        self._hub = hub
        self.node = node
        self.default = default

    def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run ``function(node, *args)`` in the node's hub: for everything that has no method here."""
        return self._hub.run(lambda: function(self.node, *args, **kwargs))

    @property
    def name(self) -> str:
        return self.node.name

    def call(self, dest: Any, request: Any, timeout: float | None = 5.0, *, codec: Codec | None = None) -> Any:
        """``GenServer.call``."""
        return self._hub.run(lambda: self.node.call(dest, request, timeout, codec=codec))

    def cast(self, dest: Any, message: Any) -> None:
        self._hub.run(lambda: self.node.cast(dest, message))

    def send(self, dest: Any, message: Any) -> None:
        self._hub.run(lambda: self.node.send(dest, message))

    def send_nosuspend(self, dest: Any, message: Any, *, noconnect: bool = False) -> bool:
        """As `send`, but False, and nothing sent, where it would have to wait; with `noconnect` to connect."""
        return self._hub.run(lambda: self.node.send_nosuspend(dest, message, noconnect=noconnect))

    def rpc(
        self,
        name: str | Atom,
        module: str | Atom,
        function: str | Atom,
        args: Iterable[Any] = (),
        timeout: float | None = 5.0,
        *,
        codec: Codec | None = None,
    ) -> Any:
        """``erpc:call`` on the node `name`."""
        return self._hub.run(lambda: self.node.rpc(name, module, function, args, timeout, codec=codec))

    def peer(self, name: str | None = None, timeout: float | None = 5.0) -> Peer:
        """A node as an object: ``cluster.peer().lists.reverse([1, 2])``."""
        return Peer(Atom(self._node(name)), self.rpc, timeout)

    def ping(self, name: str | None = None) -> bool:
        where = self._node(name)
        return self._hub.run(lambda: self.node.ping(where))

    def nodes(self, kind: str = "connected") -> list[str]:
        return self._hub.run(lambda: self.node.nodes(kind))

    def connect(self, name: str, timeout: float | None = None) -> None:
        self._hub.run(lambda: self.node.connect(name, timeout))

    def disconnect(self, name: str | None = None) -> bool:
        where = self._node(name)
        return self._hub.run(lambda: self.node.disconnect(where))

    @overload
    def start(self, cls: type[Starts], *args: Any, name: Any = None, **kwargs: Any) -> Pid: ...
    @overload
    def start(self, cls: type[Behaviour], *args: Any, name: Any = None, **kwargs: Any) -> Pid | None: ...
    def start(self, cls: Any, *args: Any, name: Any = None, **kwargs: Any) -> Pid | None:
        """Start a server in the node."""
        pid: Pid | None = self._hub.run(lambda: self.node.start(cls, *args, name=name, **kwargs))
        return pid

    def spawn(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
        """A process of the node; its function runs in the hub's thread and must not block it."""
        return self._hub.run(lambda: self.node.spawn(function, *args, **kwargs))

    def export(
        self, module: str | Atom, function: Any, name: str | Atom | None = None, *, keywords: bool = False
    ) -> Any:
        """Let other nodes call `function`; it runs in the hub's thread. `keywords` as for `Node.export`."""
        return self._hub.run(lambda: self.node.export(module, function, name, keywords=keywords))

    def stream(self, stream: Stream, demand: int | None = None, timeout: float | None = None) -> Iterator[Any]:
        """The items of a generator of another node: ``for item in cluster.stream(it)``; see `Node.stream`."""
        from pyerlnode.kernel.streams.reading import Reader

        reader = self._hub.run(lambda: Reader(self.node.system, stream, demand))
        try:
            while batch := self._hub.run(lambda: reader.take(timeout)):
                yield from batch
        finally:
            with suppress(UsageError):  # the hub is closed
                self._hub.run(reader.close)

    def call_method(
        self, handle: ObjectHandle, method: str | Atom, args: Iterable[Any] = (), timeout: float | None = 5.0
    ) -> Any:
        """Call a method of an object that another node keeps; see `Node.call_method`."""
        return self._hub.run(lambda: self.node.call_method(handle, method, args, timeout))

    def release(self, handle: ObjectHandle, timeout: float | None = 5.0) -> None:
        self._hub.run(lambda: self.node.release(handle, timeout))

    def whereis(self, name: Any) -> Pid | None:
        return self._hub.run(lambda: self.node.whereis(name))

    def close(self) -> None:
        """Stop the node and its hub. May be called twice.

        When code of the node computes and lets nothing else run, it returns all the same, after 10 seconds.
        """
        with suppress(UsageError):  # closed already
            if not self._hub.end(self.node.stop):
                log.error(NOT_STOPPED, self.name, STOP_TIMEOUT)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Cluster {self.name}{f' at {self.default}' if self.default else ''}>"

    def _node(self, name: str | None) -> str:
        if name is not None:
            return str(name)
        if self.default is None:
            raise UsageError("name a node: this cluster was opened without one")
        return self.default


def connect(
    peer: str | None = None, *, name: str | None = None, timeout: float | None = None, **options: Any
) -> Cluster:
    """A node in a hub of its own, connected to `peer`.

    Args:
        peer: the node to connect to; None only opens our own.
        name: ours; unique, and of the same kind (long or short, loopback or not) as the peer's, unless given.
        timeout: seconds for connecting to `peer`; None: as long as each step of it may take (`setup_time`).
        options: those of `Node`.

    Raises:
        ConnectError: `peer` can not be reached; nothing is left running.
    """
    peer = None if peer is None else whole(peer)
    hub: HubThread | _SameHub = _SameHub() if is_module_patched("threading") else HubThread()
    try:
        node = hub.run(lambda: open_node(peer, name, options, timeout))
    except BaseException:
        hub.stop()
        raise
    return Cluster(hub, node, peer)


def whole(peer: str) -> str:
    """The name of a peer; where the environment says which names there are, this machine is meant without a host."""
    return release.complete(peer, os.environ, this_host)


def open_node(peer: str | None, name: str | None, options: dict[str, Any], timeout: float | None = None) -> Node:
    """A node that is connected to `peer`; in the hub."""
    node = Node(name if name is not None else own_name(peer), **options).open()
    try:
        if peer is not None:
            node.connect(peer, timeout)
    except BaseException:
        node.stop()
        raise
    return node


def own_name(peer: str | None) -> str | None:
    """A unique name that fits the peer's: on loopback like it, else on this host, long or short like it."""
    import socket  # only here: most programs connect on loopback or give a name

    from pyerlnode.dist.node_name import parse
    from pyerlnode.node import unique_name

    if peer is None:
        return None
    host = parse(peer).host
    if host.startswith("127.") or host in ("localhost", "::1"):
        return unique_name(host)
    full = socket.getfqdn() if "." in host or ":" in host else socket.gethostname().partition(".")[0]
    return unique_name(full if "." in full or "." not in host else _address_towards(host))


def _address_towards(host: str) -> str:
    """This machine's own address on the way to `host`; nothing is sent."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError as error:
            raise ConnectError(f"the host {host} can not be found: {error.strerror}", host, "unknown_host") from error
        return str(probe.getsockname()[0])
