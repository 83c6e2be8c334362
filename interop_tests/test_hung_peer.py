"""A peer that hangs, and that nobody is connected to yet, costs those who ask it their own time-out and nobody else."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest

import pyerlnode
from interop_tests.servers import next_message
from pyerlnode import A, GenServer, Reply, aio
from pyerlnode.errors import CallTimeout, ConnectError, NodeDown, RpcFailed
from pyerlnode.otp.requests import receive_response
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]

SHORT = 0.5
SETUP_S = patience()
"""What a step of a dial may take in these tests: no attempt ends while a test waits for less."""
LATE = SETUP_S / 2
"""Less than that, and far more than the time-out."""


@pytest.fixture
def node(python: Factory) -> Any:
    return python(setup_time=SETUP_S)


@pytest.fixture
def hung(beam: Beam, beam_factory: Factory) -> Iterator[list[Beam]]:
    """Three nodes that hang."""
    beams = [beam_factory(cookie=beam.cookie) for _ in range(3)]
    with ExitStack() as stack:
        for each in beams:
            stack.enter_context(each.suspended_for_block())
        yield beams


class Clock:
    def __enter__(self) -> "Clock":
        self.began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        took = time.monotonic() - self.began
        assert took < LATE, f"it took {took:.1f} s"


def test_each_wait_ends_by_its_own_time_out(hung: list[Beam], node: Any) -> None:
    name = hung[0].name
    with Clock(), pytest.raises(RpcFailed) as failed:
        node.rpc(name, "erlang", "node", [], timeout=SHORT)
    assert failed.value.reason is A.timeout
    with Clock(), pytest.raises(CallTimeout):
        node.call(("desk", name), A.kept, timeout=SHORT)
    with Clock(), pytest.raises(ConnectError) as late:
        node.connect(name, timeout=SHORT)
    assert late.value.reason == "timeout"
    with Clock():
        assert node.rpc.block_call(name, "erlang", "node", [], timeout=SHORT) == (A.badrpc, A.timeout)
    with Clock(), pytest.raises(CallTimeout):
        receive_response(node.send_request(("desk", name), A.kept), timeout=SHORT)


def test_scripts_and_coroutines_wait_no_longer_either(hung: list[Beam], beam: Beam) -> None:
    name, options = hung[0].name, {"cookie": beam.cookie, "epmd_port": beam.epmd_port}

    async def awaited() -> None:
        with Clock(), pytest.raises(ConnectError) as late:
            await aio.connect(name, timeout=SHORT, **options)
        assert late.value.reason == "timeout"
        async with aio.connect(beam.name, **options) as cluster:
            with Clock(), pytest.raises(ConnectError) as late:
                await cluster.connect(name, timeout=SHORT)
            assert late.value.reason == "timeout"
            with Clock(), pytest.raises(CallTimeout):
                await cluster.call(("desk", name), A.kept, timeout=SHORT)
            with Clock(), pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(cluster.connect(name), SHORT)
            assert await cluster.disconnect(name)

    with Clock(), pytest.raises(ConnectError) as late:
        pyerlnode.connect(name, timeout=SHORT, **options)
    assert late.value.reason == "timeout"
    asyncio.run(awaited())


def test_of_many_the_healthy_one_answers(hung: list[Beam], helper: Factory, node: Any) -> None:
    beam = helper("desk.erl")
    beam.eval("desk:start(desk)")
    bads = [A[each.name] for each in hung]
    names = [*(each.name for each in hung), beam.name]
    assert node.ping(beam.name)  # the others' time is none to dial in
    with Clock():
        *late, good = node.erpc.multicall(names, "lists", "reverse", [[1, 2]], timeout=SHORT)
    assert (late, good) == ([(A.error, (A.erpc, A.timeout))] * 3, (A.ok, [2, 1]))
    with Clock():
        values, bad = node.rpc.multicall(names, "lists", "reverse", [[1, 2]], timeout=SHORT)
    assert (values, bad) == ([[2, 1]], bads)
    with Clock():
        answers, bad = node.multi_call(names, "desk", (A.echo, 7), timeout=SHORT)
    assert (answers, bad) == ({A[beam.name]: 7}, bads)
    with Clock():
        node.abcast(names, "desk", A.hello)
        wait_for(lambda: node.call(("desk", beam.name), A.kept))


class Busy(GenServer):
    """Sends to a peer that is not connected, as a part of its answer."""

    def init(self, node: Any) -> None:
        self.node = node

    def handle_call(self, request: Any, from_: Any) -> Any:
        pid = request
        self.node.process_flag("trap_exit", True)
        self.node.link(pid)
        self.node.monitor(pid)
        for number in range(100):
            self.node.send(pid, number)
        self.node.cast(pid, A.the_last)
        return Reply(A.ok)


def test_a_server_that_sends_links_and_monitors_goes_on_at_once_and_all_arrives_in_order(
    beam: Beam, beam_factory: Factory, helper: Factory, node: Any
) -> None:
    helper("desk.erl")
    other = beam_factory(cookie=beam.cookie)
    other.load("interop_tests/beam_src/desk.erl")
    pid = other.eval("desk:start(desk)")
    busy = node.start(Busy, node)
    text = [node.self_()]
    with other.suspended_for_block(), Clock():
        assert node.call(busy, pid, timeout=patience()) is A.ok
        node.send(pid, text)
        text.append(A.changed_later)
    wait_for(lambda: node.nodes(), what="the connection")
    node.send(pid, A.later)
    kept = node.call(pid, A.kept, timeout=patience())
    numbers = [(A.info, number) for number in range(100)]
    assert [told for told in kept if told != (A.info, A.later)][:101] == [*numbers, (A.cast, A.the_last)]
    assert kept[101:] == [(A.info, [node.self_()]), (A.info, A.later)]
    assert other.eval("{links, Links} = process_info(P, links), lists:member(B, Links)", P=pid, B=busy) is True
    assert other.eval("{monitored_by, By} = process_info(P, monitored_by), lists:member(B, By)", P=pid, B=busy) is True


def call_for_ever(node: Any, pid: Any) -> Any:
    with pytest.raises(NodeDown) as caught:
        node.call(pid, A.hello, timeout=None)
    return caught.value.reason[0]


def test_who_links_or_monitors_is_told_of_a_node_that_does_not_come(
    beam: Beam, beam_factory: Factory, node: Any
) -> None:
    other = beam_factory(cookie=beam.cookie)
    pid = other.eval("spawn(fun() -> receive stop -> ok end end)")
    node.process_flag("trap_exit", True)
    with other.suspended_for_block():
        with Clock():
            node.link(pid)
            ref = node.monitor(pid)
            named = node.monitor(("desk", other.name))
            node.monitor_node(other.name, True)
            node.send(pid, A.hello)
            calling = gevent.spawn(call_for_ever, node, pid)
            gevent.idle()
        other.kill9()
    got = [next_message() for _ in range(4)]
    assert sorted(map(str, got)) == sorted(
        map(
            str,
            [
                (A.EXIT, pid, A.noconnection),
                (A.DOWN, ref, A.process, pid, A.noconnection),
                (A.DOWN, named, A.process, (A.desk, A[other.name]), A.noconnection),
                (A.nodedown, A[other.name]),
            ],
        )
    )
    assert calling.get(timeout=patience()) == (A.nodedown, A[other.name])
    with Clock():
        node.send(("desk", "nobody@127.0.0.1"), A.hello)
        node.send(("desk", "no name of a node"), A.hello)


def test_a_kept_connection_comes_when_the_cookie_is_put_right(beam: Beam, beam_factory: Factory, node: Any) -> None:
    other = beam_factory(cookie="another_cookie")
    failures: list[str] = []
    node.telemetry.append(lambda event, _, about: failures.append(about["reason"]) if "failed" in event else None)
    node.keep_connected(other.name, longest=0.2)
    wait_for(lambda: len(failures) > 2, what="attempts")
    assert set(failures) == {"bad_cookie"}
    other.eval("erlang:set_cookie(node(), binary_to_atom(C))", C=beam.cookie.encode())
    wait_for(node.nodes, what="the connection")


def test_monitor_node_counts_and_is_taken_back_and_forgets_the_dead(beam: Beam, node: Any) -> None:
    def ask() -> None:
        for _ in range(3):
            node.monitor_node(beam.name)
        node.monitor_node(node.name)
        node.monitor_node(beam.name, False)

    for _ in range(20):
        process = node.spawn(ask)
        wait_for(lambda process=process: not node.system.process(process))
    wait_for(node.nodes, what="the connection")
    assert not any(node.kernel._node_monitors.values())
    ask()
    node.disconnect(beam.name)
    assert [next_message() for _ in range(2)] == [(A.nodedown, A[beam.name])] * 2
    assert node.receive(timeout=0, default=None) is None
