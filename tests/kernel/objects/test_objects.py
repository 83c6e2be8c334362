"""Law: an object lives as long as its owner, or until that releases it; and is released once, whatever ends it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from pyerlnode import (
    A,
    GenServer,
    Kept,
    Node,
    ObjectHandle,
    Reply,
    Struct,
    Throw,
    UsageError,
    aio,
    decode,
    encode,
    keep,
    receive,
)
from pyerlnode.errors import NoProc, RemoteError, RemoteThrow, ServerExit
from pyerlnode.kernel.objects import server
from pyerlnode.kernel.objects.server import ObjectServer
from pyerlnode.testing.waiting import wait_for

KEEPER, USER = "object_keeper@127.0.0.1", "object_user@127.0.0.1"


class Account:
    """What is kept; `closed` are those that were released."""

    closed: list[Any]

    def __init__(self, balance: int) -> None:
        self.balance = balance

    def add(self, amount: int, *, twice: bool = False) -> int:
        self.balance += amount * (1 + twice)
        return self.balance

    def fail(self) -> None:
        raise ValueError("as asked")

    def toss(self) -> None:
        raise Throw(A.ball)

    def steps(self) -> Iterator[int]:
        yield from range(self.balance)

    def clone(self) -> Kept:
        return kept(Account(self.balance))

    def unsendable(self) -> Any:
        return object()

    def wait(self) -> None:
        gevent.sleep(3600)

    def secret(self) -> str:
        return "not for others"

    def close(self) -> None:
        self.closed.append(self.balance)


ALLOWED = ["add", "fail", "toss", "steps", "clone", "unsendable", "wait"]


def kept(account: Account, **options: Any) -> Kept:
    return Kept(account, ALLOWED, release=Account.close, **options)


@pytest.fixture(params=["local", "remote"])
def nodes(request: Any) -> Any:
    """Who keeps objects and who calls: the same node, and two."""
    Account.closed = []
    with Node(KEEPER, cookie="c", epmd="none") as keeper:
        keeper.export("m", {"open": lambda balance: kept(Account(balance))})
        if request.param == "local":
            yield keeper, keeper
        else:
            with Node(USER, cookie="c", epmd="none", addresses={KEEPER: ("127.0.0.1", keeper.port)}) as user:
                yield keeper, user
        wait_for(lambda: objects(keeper) == 0)


def objects(node: Node) -> int:
    return sum(type(process.handler) is ObjectServer for process in node.system.processes.values())


def opened(user: Node, balance: int = 1) -> ObjectHandle:
    handle = user.rpc(KEEPER, "m", "open", [balance])
    assert type(handle) is ObjectHandle
    return handle


def test_its_methods_are_called_until_it_is_released(nodes: Any) -> None:
    keeper, user = nodes
    handle = opened(user)
    assert [user.call_method(handle, "add", [n]) for n in (1, 2)] == [2, 4]
    assert objects(keeper) == 1
    user.release(handle)
    assert Account.closed == [4]
    with pytest.raises(NoProc):
        user.call_method(handle, "add", [1])
    user.release(handle)  # for the second time
    assert Account.closed == [4]


@pytest.mark.parametrize("name", ["secret", "close", "balance", "__init__", "nothing"])
def test_nothing_is_called_that_was_not_allowed(nodes: Any, name: str) -> None:
    _, user = nodes
    handle = opened(user)
    with pytest.raises(RemoteError) as raised:
        user.call_method(handle, name)
    assert raised.value.reason is A.undef
    assert user.call_method(handle, "add", [1]) == 2
    user.release(handle)


def test_what_a_method_raises_is_raised_at_the_caller_and_costs_the_object_nothing(nodes: Any) -> None:
    _, user = nodes
    handle = opened(user)
    with pytest.raises(RemoteError, match="ValueError: as asked"):
        user.call_method(handle, "fail")
    with pytest.raises(RemoteThrow):
        user.call_method(handle, "toss")
    with pytest.raises(RemoteError, match="TypeError"):
        user.call_method(handle, "add", [1, 2, 3])
    assert user.call_method(handle, "add", [1]) == 2
    user.release(handle)


def test_a_method_gives_a_stream_and_another_object(nodes: Any) -> None:
    _, user = nodes
    handle = opened(user, 3)
    assert list(user.stream(user.call_method(handle, "steps"))) == [0, 1, 2]
    other = user.call_method(handle, "clone")
    user.call_method(other, "add", [10])
    user.release(handle)
    assert user.call_method(other, "add", [0]) == 13
    user.release(other)
    assert Account.closed == [3, 13]


def test_a_result_without_a_form_on_the_wire_costs_its_call() -> None:
    Account.closed = []
    with (
        Node(KEEPER, cookie="c", epmd="none") as keeper,
        Node(USER, cookie="c", epmd="none", addresses={KEEPER: ("127.0.0.1", keeper.port)}) as user,
    ):
        keeper.export("m", {"open": lambda balance: kept(Account(balance))})
        handle = opened(user)
        with pytest.raises(ServerExit, match="EncodeError"):
            user.call_method(handle, "unsendable")
        assert user.call_method(handle, "add", [1]) == 2


@pytest.mark.parametrize("way", ["ends", "is_killed"])
def test_it_is_dropped_with_its_owner_and_with_nobody_else(nodes: Any, way: str) -> None:
    keeper, user = nodes
    handles: list[ObjectHandle] = []

    def owner() -> None:
        handles.append(opened(user, 7))
        receive()

    pid = user.spawn(owner)
    wait_for(lambda: handles)
    stranger = user.spawn(lambda: user.call_method(handles[0], "add", [1]))
    wait_for(lambda: user.system.process(stranger) is None)
    assert objects(keeper) == 1
    if way == "ends":
        user.send(pid, 1)
    else:
        user.exit(pid, A.kill)
    wait_for(lambda: Account.closed == [8])


def test_it_is_released_when_its_process_is_killed_even_in_a_method(nodes: Any) -> None:
    keeper, user = nodes
    handle = opened(user, 5)
    caller = user.spawn(lambda: user.call_method(handle, "wait", timeout=None))
    process = keeper.system.process(handle.pid)
    wait_for(lambda: not process.queue and process.greenlet is not None)
    keeper.exit(handle.pid, A.kill)
    wait_for(lambda: Account.closed == [5])
    wait_for(lambda: user.system.process(caller) is None)


def test_it_is_dropped_with_the_connection() -> None:
    Account.closed = []
    with Node(KEEPER, cookie="c", epmd="none") as keeper:
        keeper.export("m", {"open": lambda balance: kept(Account(balance))})
        with Node(USER, cookie="c", epmd="none", addresses={KEEPER: ("127.0.0.1", keeper.port)}) as user:
            handle = opened(user)
            keeper.disconnect(USER)
            wait_for(lambda: Account.closed == [1])
            wait_for(lambda: user.nodes("connected") == [])
            with pytest.raises(NoProc):  # it is connected to anew
                user.call_method(handle, "add", [1])


def test_a_node_that_stops_releases_what_it_keeps() -> None:
    Account.closed = []
    with Node(KEEPER, cookie="c", epmd="none") as keeper:
        keeper.export("m", {"open": lambda balance: kept(Account(balance))})
        opened(keeper, 9)
    assert Account.closed == [9]


def test_a_caller_has_so_many_at_most(nodes: Any) -> None:
    keeper, user = nodes
    keeper.export("m", {"open": lambda balance: kept(Account(balance), most=2)})
    handles = [opened(user, n) for n in range(2)]
    with pytest.raises(RemoteError) as raised:
        opened(user, 2)
    assert raised.value.reason is A.system_limit
    assert Account.closed == [2]  # the one too many
    other = user.spawn(lambda: handles.append(opened(user, 3)))  # of another caller, who ends
    wait_for(lambda: user.system.process(other) is None and len(handles) == 3)
    wait_for(lambda: Account.closed == [2, 3])
    user.release(handles[0])
    handles.append(opened(user, 4))
    for handle in handles:
        user.release(handle)
    assert sorted(Account.closed) == [0, 1, 2, 3, 4]


def test_a_node_has_so_many_at_most(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, user = nodes
    monkeypatch.setattr(server, "MOST", 1)
    handle = opened(user)
    with pytest.raises(RemoteError) as raised:
        opened(user, 2)
    assert raised.value.reason is A.system_limit
    user.release(handle)
    user.release(opened(user, 3))
    assert Account.closed == [2, 1, 3]


def test_a_server_replies_with_one_for_its_caller(nodes: Any) -> None:
    keeper, user = nodes

    class Bank(GenServer):
        def handle_call(self, request, from_):
            return Reply(keep(kept(Account(request), keywords=True), from_))

    bank = keeper.start(Bank)
    handles: list[ObjectHandle] = []

    def owner() -> None:
        handles.append(user.call(bank, 1))
        assert user.call_method(handles[0], "add", [1, [(A.twice, True)]]) == 3
        receive()

    pid = user.spawn(owner)
    wait_for(lambda: handles and objects(keeper) == 1)
    user.send(pid, 1)
    wait_for(lambda: Account.closed == [3])


def test_a_release_that_raises_is_told_in_the_log_and_ends_nobody_else(nodes: Any, caplog: Any) -> None:
    keeper, user = nodes

    def broken(account: Account) -> None:
        Account.closed.append("broken")
        raise ValueError("release")

    keeper.export("m", {"open": lambda balance: Kept(Account(balance), ["add"], release=broken)})
    handle = opened(user)
    user.release(handle)
    handle = opened(user)
    keeper.exit(handle.pid, A.kill)
    wait_for(lambda: Account.closed == ["broken"] * 2)
    wait_for(lambda: caplog.text.count("ValueError: release") >= 2)


@pytest.mark.parametrize("request_", [A.what, (A["$pyerlnode_method"], A.add, 1), (A["$pyerlnode_method"], 1, [])])
def test_what_is_no_request_ends_no_object(nodes: Any, request_: Any) -> None:
    _, user = nodes
    handle = opened(user)
    assert user.call(handle.pid, request_)[0] is A.error
    user.cast(handle.pid, request_)
    user.send(handle.pid, request_)
    user.send(handle.pid, (A.DOWN, 1, 2, 3, 4))
    user.send(handle.pid, (A.EXIT, handle.pid, A.kill))
    assert user.call_method(handle, "add", [1]) == 2
    user.release(handle)


def test_what_can_not_be_kept_is_said_at_once() -> None:
    for methods in ("missing", ["add", "_private"], ["balance"], [1]):
        with pytest.raises(UsageError, match="no method that others can call of Account"):
            Kept(Account(1), methods)  # type: ignore[arg-type]  # that is the point
    for most in (0, -1, 1.0):
        with pytest.raises(UsageError, match="most"):
            Kept(Account(1), "add", most=most)  # type: ignore[arg-type]
    with Node(KEEPER, cookie="c", epmd="none") as keeper, pytest.raises(UsageError, match="ObjectHandle"):
        keeper.call_method(1, "add")  # type: ignore[arg-type]


def test_its_handle_is_a_struct() -> None:
    with Node(KEEPER, cookie="c", epmd="none") as node:
        handle = ObjectHandle(node.spawn(receive))
        assert decode(encode(handle)) == handle
        other = Struct(A["Elixir.Pyerlnode.Object"], {A.pid: 1})
        assert decode(encode(other)) == other


class Cursor:
    """An object of coroutines."""

    def __init__(self) -> None:
        self.closed = False

    async def fetch(self, count):
        await asyncio.sleep(0)
        return list(range(count))

    def close(self) -> None:
        self.closed = True


def test_methods_may_be_coroutines_of_the_programs_loop() -> None:
    cursors = [Cursor(), Cursor()]

    async def open_() -> Kept:
        await asyncio.sleep(0)
        return Kept(cursors[0], ["fetch"], release=Cursor.close)

    class Table(aio.GenServer):
        async def handle_call(self, request, from_):
            return Reply(Kept(cursors[1], ["fetch"], release=Cursor.close))

    async def main() -> None:
        async with aio.connect(cookie="secret", epmd="none") as cluster:
            await cluster.export("m", open_, "open")
            handle = await cluster.rpc(cluster.name, "m", "open")
            assert await cluster.call_method(handle, "fetch", [3]) == [0, 1, 2]
            await cluster.release(handle)
            assert cursors[0].closed
            handle = await cluster.call(await cluster.start(Table), 1)
            assert await cluster.call_method(handle, "fetch", [1]) == [0]

    asyncio.run(main())
    assert cursors[1].closed  # its owner was no process of its own, so it lived as long as the node
    with Node(KEEPER, cookie="c", epmd="none") as node:
        node.export("m", {"open": lambda: Kept(Cursor(), ["fetch"])})
        with pytest.raises(RemoteError, match="async def"):
            node.rpc(KEEPER, "m", "open")
