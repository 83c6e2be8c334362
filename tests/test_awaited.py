"""Law: a server of coroutines is a process as each other: one message at a time, supervised, its task ends with it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pyerlnode import (
    A,
    Atom,
    Continue,
    KeepState,
    NextState,
    Node,
    NoReply,
    Postpone,
    Reply,
    ReplyTo,
    Stop,
    Supervise,
    Supervisor,
    UsageError,
    aio,
    atom_map,
)
from pyerlnode.errors import CallTimeout, NoProc, RemoteError, ServerExit, StartFailed
from pyerlnode.otp import gen_event
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.testing.waiting import wait_for


@atom_map
@dataclass
class Order:
    count: int


class Desk(aio.GenServer):
    async def init(self, seen: list[Any]):
        self.seen = seen
        self.process.trap_exit = True
        await asyncio.sleep(0)
        self.thread = threading.get_ident()
        return Continue("begun")

    async def handle_continue(self, value):
        await asyncio.sleep(0)
        self.seen.append(value)

    async def handle_call(self, request, from_):
        await asyncio.sleep(0)
        match request:
            case A.thread:
                return Reply((self.thread, threading.get_ident()))
            case A.raise_:
                raise ValueError("as asked")
            case A.later:
                asyncio.get_running_loop().call_soon(self.reply, from_, 7)
                return NoReply()
            case A.stop:
                return Stop(A.done, reply=1)
            case A.hang:
                try:
                    self.seen.append("hangs")
                    await asyncio.Event().wait()
                finally:
                    self.seen.append("cancelled")
            case (A.through, dest):
                return Reply(await self.cluster.call(dest, A.thread))
        return Reply(request)

    async def handle_cast(self, request):
        for _ in range(3):
            await asyncio.sleep(0)
        self.seen.append(request)

    def handle_info(self, message):
        self.seen.append((message, threading.get_ident()))

    async def terminate(self, reason):
        await asyncio.sleep(0)
        self.seen.append(("terminate", reason))


def run(body: Callable[[aio.Cluster], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with aio.connect(cookie="secret", epmd="none") as cluster:
            return await body(cluster)

    return asyncio.run(main())


async def until(condition: Callable[[], Any]) -> None:
    await asyncio.to_thread(wait_for, condition)


def test_its_coroutines_run_in_the_programs_loop() -> None:
    async def body(cluster: aio.Cluster) -> None:
        pid = await cluster.start(Desk, [])
        here = threading.get_ident()
        assert await cluster.call(pid, A.thread) == (here, here)
        assert await cluster.call(pid, A.later) == 7
        other = await cluster.start(Desk, [])
        assert await cluster.call(other, (A.through, pid)) == (here, here)

    run(body)


def test_it_handles_one_message_at_a_time_in_their_order() -> None:
    async def body(cluster: aio.Cluster) -> None:
        seen: list[Any] = []
        pid = await cluster.start(Desk, seen)
        for n in range(10):
            await cluster.cast(pid, n)
        await cluster.send(pid, A.info)
        assert await cluster.call(pid, 1) == 1
        assert seen[:-1] == ["begun", *range(10)]
        assert seen[-1][0] is A.info
        assert seen[-1][1] != threading.get_ident()  # a plain callback: in the hub

    run(body)


def test_many_of_them_wait_at_once() -> None:
    async def body(cluster: aio.Cluster) -> None:
        seen: list[Any] = []
        desks = [await cluster.start(Desk, seen) for _ in range(20)]
        calls = [asyncio.create_task(cluster.call(desk, A.hang, None)) for desk in desks]
        await until(lambda: seen.count("hangs") == 20)
        for desk in desks:
            await cluster.run(Node.exit, desk, A.kill)
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, ServerExit) for end in ends)

    run(body)


def test_what_a_coroutine_raises_ends_the_process_by_it() -> None:
    async def body(cluster: aio.Cluster) -> None:
        seen: list[Any] = []
        pid = await cluster.start(Desk, seen)
        with pytest.raises(ServerExit, match="ValueError: as asked"):
            await cluster.call(pid, A.raise_)
        assert seen[-1][0] == "terminate"
        pid = await cluster.start(Desk, seen)
        assert await cluster.call(pid, A.stop) == 1
        await until(lambda: seen[-1] == ("terminate", A.done))

    run(body)


def test_what_its_init_raises_is_that_of_the_start() -> None:
    class Broken(aio.GenServer):
        async def init(self):
            raise ValueError("no")

    async def body(cluster: aio.Cluster) -> None:
        with pytest.raises(StartFailed, match="ValueError: no"):
            await cluster.start(Broken)

    run(body)


def test_the_end_of_the_process_cancels_what_it_waits_for() -> None:
    async def body(cluster: aio.Cluster) -> None:
        seen: list[Any] = []
        pid = await cluster.start(Desk, seen)
        with pytest.raises(CallTimeout):
            await cluster.call(pid, A.hang, 0.05)
        await until(lambda: "hangs" in seen)
        await cluster.run(lambda node: node.exit(pid, A.kill))
        await until(lambda: seen[-1] == "cancelled")

    run(body)


def test_a_supervisor_starts_it_anew_and_stops_it_in_order() -> None:
    seen: list[Any] = []

    class Tree(Supervisor):
        def init(self):
            return Supervise([child_spec(Desk, seen, id="desk", name="desk")])

    async def body(cluster: aio.Cluster) -> None:
        await cluster.run(lambda node: node.start(Tree))
        first = await cluster.whereis("desk")
        with pytest.raises(ServerExit):
            await cluster.call("desk", A.raise_)
        await until(lambda: cluster.node.run(cluster.node.whereis, "desk") not in (None, first))
        assert await cluster.call("desk", 5) == 5

    run(body)
    assert seen[-1] == ("terminate", A.shutdown)


def test_typed_handlers_may_be_coroutines() -> None:
    class Shop(aio.GenServer):
        async def handle_call(self, order: Order, from_):
            await asyncio.sleep(0)
            return Reply(order.count)

    async def body(cluster: aio.Cluster) -> None:
        pid = await cluster.start(Shop)
        assert await cluster.call(pid, {A.count: 4}) == 4
        assert (await cluster.call(pid, 1))[0] is A.error

    run(body)


def test_a_message_that_no_case_of_a_coroutine_takes_is_one_as_elsewhere() -> None:
    class Picky(aio.GenServer):
        unmatched = "crash"

        async def handle_call(self, request, from_):
            match request:
                case int(n) if n > 0:
                    return Reply(n)

        async def handle_cast(self, request):
            match request:
                case A.known:
                    await asyncio.sleep(0)

    async def body(cluster: aio.Cluster) -> None:
        pid = await cluster.start(Picky)
        await cluster.cast(pid, A.known)
        assert await cluster.call(pid, 1) == 1
        with pytest.raises(ServerExit, match="function_clause"):
            await cluster.call(pid, 0)
        pid = await cluster.start(Picky)
        await cluster.cast(pid, A.unknown)
        with pytest.raises((ServerExit, NoProc)):
            await cluster.call(pid, 1)

    run(body)


def test_a_coroutine_function_is_exported() -> None:
    told: list[Any] = []

    async def double(x):
        await asyncio.sleep(0)
        return 2 * x, threading.get_ident()

    async def hang():
        try:
            told.append("begins")
            await asyncio.Event().wait()
        finally:
            told.append("cancelled")

    async def body(cluster: aio.Cluster) -> None:
        await cluster.export("m", {"double": double, "hang": hang})
        here = threading.get_ident()
        assert await cluster.rpc(cluster.name, "m", "double", [4]) == (8, here)
        ran = await cluster.run(lambda node: node.spawn(node.exports.find(A.m, A.hang, 0)))
        await until(lambda: told)
        await cluster.run(lambda node: node.exit(ran, A.kill))
        await until(lambda: told == ["begins", "cancelled"])

    run(body)


class Source:
    """An async generator, and what it has done."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.closed: list[int] = []

    async def numbers(self, most=1_000_000, *, hang=False):
        try:
            for n in range(most):
                self.made.append(n)
                yield n
                await asyncio.sleep(0)
            if hang:
                await asyncio.Event().wait()
        finally:
            self.closed.append(threading.get_ident())


def test_an_async_generator_is_read_by_demand_by_for_and_by_async_for() -> None:
    source = Source()

    async def body(cluster: aio.Cluster) -> None:
        await cluster.export("m", source.numbers, keywords=True)

        async def ask(*args: Any) -> Any:
            return await cluster.rpc(cluster.name, "m", "numbers", args)

        assert [item async for item in cluster.stream(await ask(300, []))] == list(range(300))
        assert await cluster.run(lambda node: list(node.stream(node.rpc(node.name, "m", "numbers", [90, []])))) == [
            *range(90)
        ]
        assert source.closed == [threading.get_ident()] * 2
        source.made.clear()
        stream = await ask([])
        assert source.made == []
        items = cluster.stream(stream, demand=4)
        assert await anext(items) == 0
        await until(lambda: source.made == [0, 1, 2, 3])
        await items.aclose()
        await until(lambda: len(source.closed) == 3)

    run(body)


@pytest.mark.parametrize("way", ["close", "kill", "cancel"])
def test_an_async_generator_is_closed_where_it_waits(way: str) -> None:
    source = Source()

    async def body(cluster: aio.Cluster) -> None:
        await cluster.export("m", source.numbers, keywords=True)
        stream = await cluster.rpc(cluster.name, "m", "numbers", [1, [(A.hang, True)]])
        items = cluster.stream(stream)
        assert await anext(items) == 0
        if way == "close":
            await items.aclose()
        elif way == "kill":
            await cluster.run(lambda node: node.exit(stream.pid, A.kill))
            with pytest.raises(ServerExit):
                await anext(items)
        else:
            waiting = asyncio.create_task(anext(items))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await until(lambda: source.closed)

    run(body)
    assert source.closed == [threading.get_ident()]


def test_what_an_async_generator_raises_comes_behind_its_items() -> None:
    async def fails():
        yield 1
        raise ValueError("as asked")

    async def body(cluster: aio.Cluster) -> None:
        await cluster.export("m", fails)
        items = cluster.stream(await cluster.rpc(cluster.name, "m", "fails"))
        assert await anext(items) == 1
        with pytest.raises(RemoteError, match="ValueError: as asked"):
            await anext(items)

    run(body)


def test_a_server_of_coroutines_replies_with_a_generator() -> None:
    source = Source()

    class Table(aio.GenServer):
        async def handle_call(self, request, from_):
            return Reply(source.numbers(request) if request else (n for n in range(5)))

    async def body(cluster: aio.Cluster) -> None:
        pid = await cluster.start(Table)
        assert [n async for n in cluster.stream(await cluster.call(pid, 3))] == [0, 1, 2]
        assert [n async for n in cluster.stream(await cluster.call(pid, 0))] == [*range(5)]

    run(body)


def test_coroutines_take_keywords_where_the_export_says_so() -> None:
    async def scale(x, *, by=1):
        await asyncio.sleep(0)
        return x * by

    async def body(cluster: aio.Cluster) -> None:
        await cluster.export("m", scale, keywords=True)
        assert await cluster.rpc(cluster.name, "m", "scale", [2, [(A.by, 5)]]) == 10
        with pytest.raises(RemoteError, match="TypeError"):
            await cluster.rpc(cluster.name, "m", "scale", [2])

    run(body)


class Lock(aio.GenStatem):
    """Opens by its code; `seen` says what ran, and in which thread."""

    state_enter = True

    async def init(self, seen: list[Any], code: int):
        await asyncio.sleep(0)
        self.process.trap_exit = True
        self.seen, self.code = seen, code
        return A.locked

    async def locked(self, kind, content):
        await self.note(kind, content)
        match kind, content:
            case (A.call, from_), A.hang:
                try:
                    await asyncio.Event().wait()
                finally:
                    self.seen.append("cancelled")
            case (A.call, from_), code:
                if code == self.code:
                    return NextState(A.open, ReplyTo(from_, A.ok))
                return KeepState(ReplyTo(from_, A.wrong))

    def open(self, kind, content):  # a plain one: in the hub
        self.seen.append((kind, threading.get_ident()))
        return (
            KeepState(Postpone()) if kind is A.cast else KeepState(ReplyTo(kind[1], content)) if content == 3 else None
        )

    async def note(self, kind, content):
        """Takes an event, and is awaited by a state function."""
        await asyncio.sleep(0)
        self.seen.append((kind if type(kind) is Atom else kind[0], threading.get_ident()))

    async def terminate(self, reason):
        await asyncio.sleep(0)
        self.seen.append(("terminate", self.state))


def test_state_functions_may_be_coroutines() -> None:
    async def body(cluster: aio.Cluster) -> None:
        seen: list[Any] = []
        here = threading.get_ident()
        lock = await cluster.start(Lock, seen, 7)
        assert await cluster.call(lock, 1) is A.wrong
        assert seen == [(A.enter, here), (A.call, here)]
        assert await cluster.call(lock, 7) is A.ok
        assert await cluster.call(lock, 3) == 3
        assert seen[-1][1] != here
        await cluster.run(Node.stop_process, lock)
        assert seen[-1] == ("terminate", A.open)

    run(body)


def test_a_state_machine_is_cancelled_and_started_anew() -> None:
    seen: list[Any] = []

    class Tree(Supervisor):
        def init(self):
            return Supervise([child_spec(Lock, seen, 7, id="lock", name="lock")])

    async def body(cluster: aio.Cluster) -> None:
        await cluster.run(lambda node: node.start(Tree))
        first = await cluster.whereis("lock")
        assert first is not None
        call = asyncio.create_task(cluster.call("lock", A.hang, None))
        await until(lambda: len(seen) == 2)
        await cluster.run(lambda node: node.exit(first, A.kill))
        with pytest.raises(ServerExit, match="killed"):
            await call
        await until(lambda: "cancelled" in seen)
        await until(lambda: cluster.node.run(cluster.node.whereis, "lock") not in (None, first))
        assert await cluster.call("lock", 1) is A.wrong

    run(body)
    assert seen[-1] == ("terminate", A.locked)


def test_one_function_may_handle_all_states_and_what_no_case_takes_is_one_as_elsewhere() -> None:
    class Switch(aio.GenStatem):
        callback_mode = A.handle_event_function
        unmatched = "crash"

        async def init(self):
            return A.off

        async def handle_event(self, kind, content, state):
            await asyncio.sleep(0)
            match kind, content:
                case (A.call, from_), A.flip:
                    return NextState(A.on if state is A.off else A.off, ReplyTo(from_, state))
                case (A.call, _), A.raise_:
                    raise ValueError("as asked")

    async def body(cluster: aio.Cluster) -> None:
        switch = await cluster.start(Switch)
        assert [await cluster.call(switch, A.flip) for _ in range(3)] == [A.off, A.on, A.off]
        with pytest.raises(ServerExit, match="ValueError: as asked"):
            await cluster.call(switch, A.raise_)
        switch = await cluster.start(Switch)
        with pytest.raises(ServerExit, match="function_clause"):
            await cluster.call(switch, A.unknown)

    run(body)


class Audit(aio.EventHandler):
    async def init(self, args):
        await asyncio.sleep(0)
        self.seen: list[Any] = args

    async def handle_event(self, event):
        if event is A.raise_:
            raise ValueError("as asked")
        if event is A.hang:
            try:
                self.seen.append("hangs")
                await asyncio.Event().wait()
            finally:
                self.seen.append("cancelled")
        await asyncio.sleep(0)
        self.seen.append((event, threading.get_ident()))

    async def handle_call(self, request):
        await asyncio.sleep(0)
        return Reply((request, self.cluster.name))

    async def terminate(self, why):
        await asyncio.sleep(0)
        self.seen.append(("terminate", why))


def test_handlers_of_events_may_be_coroutines() -> None:
    async def body(cluster: aio.Cluster) -> None:
        seen: list[Any] = []
        here = threading.get_ident()

        def started(node: Node) -> Any:
            events = gen_event.start(node.system, handlers=[Audit])
            assert gen_event.add_handler(node.system, events, Audit, seen) is A.ok
            for n in range(3):
                gen_event.notify(node.system, events, n)
            assert gen_event.call(node.system, events, Audit, 5) == (5, node.name)
            gen_event.sync_notify(node.system, events, A.raise_)
            assert gen_event.which_handlers(node.system, events) == []
            assert gen_event.add_handler(node.system, events, Audit, seen) is A.ok
            gen_event.notify(node.system, events, A.hang)
            return events

        events = await cluster.run(started)
        assert seen[:3] == [(0, here), (1, here), (2, here)]
        assert seen[3][0] == "terminate"
        assert seen[3][1][0] is A.error
        await until(lambda: seen[-1] == "hangs")
        await cluster.run(lambda node: node.exit(events, A.kill))
        await until(lambda: seen[-1] == "cancelled")

    run(body)


class Polite:
    """Mixed in before a server."""

    async def handle_call(self, request, from_):
        await asyncio.sleep(0)
        return Reply((A.ok, request))


def test_a_coroutine_of_a_class_beside_ours_and_one_of_a_parent_are_awaited() -> None:
    class Base(Polite, aio.GenServer):
        async def init(self, count):
            await asyncio.sleep(0)
            self.count = count

        async def handle_cast(self, order: Order):
            self.count += order.count

    class Derived(Base):
        async def init(self, count):
            await super().init(count + 1)

        async def handle_call(self, request, from_):
            if request is A.count:
                return Reply(self.count)
            return await super().handle_call(request, from_)

    async def body(cluster: aio.Cluster) -> None:
        pid = await cluster.start(Derived, 1)
        await cluster.cast(pid, {A.count: 4})
        assert await cluster.call(pid, A.count) == 6
        assert await cluster.call(pid, 3) == (A.ok, 3)

    run(body)


def test_a_coroutine_is_no_export_of_a_node_without_a_loop() -> None:
    async def function() -> None:
        """Nothing."""

    with Node("awaited@127.0.0.1", cookie="c", epmd="none") as node:
        with pytest.raises(UsageError, match=r"export it by aio\.Cluster"):
            node.export("m", function)
        with pytest.raises(StartFailed, match="beside no asyncio loop"):
            node.start(Desk, [])
