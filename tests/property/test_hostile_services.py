"""Any term in any envelope at the servers that stand above the kernel: each of them gives its service afterwards.

As `test_hostile_kernel`, for registries and what `cluster` and `bridges` run on a node: every process that is
registered. Words of their own protocols are thrown in.
"""

import logging
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pyerlnode import A, GenServer, Reply
from pyerlnode.bridges.gen_stage.stage import Consumer, Options, Producer
from pyerlnode.bridges.nx.serving import Serving
from pyerlnode.bridges.phoenix.pubsub import PubSub
from pyerlnode.cluster.durable.inbox import Inbox
from pyerlnode.cluster.durable.journal import Journal
from pyerlnode.cluster.durable.outbox import Outbox
from pyerlnode.cluster.load.breaker import Breaker
from pyerlnode.cluster.load.pool import Pool
from pyerlnode.cluster.load.regulator import Regulator
from pyerlnode.cluster.load.regulator_core import Rules
from pyerlnode.cluster.sessions.session import Session
from pyerlnode.cluster.sessions.sessions import Sessions
from pyerlnode.cluster.standby.standby import Standby
from pyerlnode.otp import gen
from pyerlnode.otp.registry import Registry
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid
from pyerlnode.testing.waiting import wait_for
from tests.helpers import hostile
from tests.helpers.hostile import ANY, FROM, LIST, NAME, NODE, NUMBER, PID, REF, TAG
from tests.helpers.two_nodes import SOON, two_nodes

MESSAGES = 100
PRODUCER, CONSUMER = A["$gen_producer"], A["$gen_consumer"]
# A consumer that is told to subscribe to a producer that is not there ends, as in GenStage: that is an order, no junk.
WORDS: tuple[Any, ...] = (
    (A["$gen_call"], FROM, (A.session, ANY, ANY)), (A["$gen_call"], FROM, (A.whereis, ANY)),
    (A["$gen_call"], FROM, A.stats), (A["$gen_cast"], (A.session, ANY, ANY)),
    (A.session_forward, PID, NUMBER, NUMBER, NAME, FROM, ANY, ANY), (A.session_failed, ANY, NUMBER, NUMBER, ANY),
    (A.session_moved, ANY, NUMBER, PID), (A.session_hello, PID, ANY), (A.session_claim, PID, ANY, ANY),
    (A.session_dialled, NODE), (A.standby, ANY, ANY), (A.standby, PID, ANY), (A.standby, NUMBER, PID, ANY, ANY),
    (A["$gen_call"], FROM, (A.standby, ANY)), (A["$gen_call"], FROM, (A.standby, A.move, ANY)),
    (A["$gen_call"], FROM, (A.ask, NAME)), (A["$gen_call"], FROM, (A.ask, NAME, ANY)),
    (A["$gen_call"], FROM, (A.ask, A.db, [(A.timeout, ANY), (A.priority, ANY)])), (A["$gen_cast"], (A.done, REF)),
    (A["$gen_cast"], (A.done, REF, ANY)), (A["$gen_call"], FROM, (A.info, ANY)), (A["$gen_call"], FROM, A.ask),
    (A["$gen_cast"], (A.succeeded, ANY)), (A["$gen_cast"], (A.failed, NUMBER)), (A["$gen_call"], FROM, A.subscribe),
    (A["$gen_call"], FROM, A.unsubscribe), (A["$gen_call"], FROM, (A["$pool"], A.checkout)),
    (A["$gen_call"], FROM, (A["$pool"], A.checkout, ANY)), (A["$gen_cast"], (A["$pool"], A.checkin, ANY)),
    (A["$gen_call"], FROM, (A["$pool"], A.resize, ANY)), (PRODUCER, (PID, TAG), (A.ask, NUMBER)),
    (PRODUCER, (PID, TAG), (A.subscribe, ANY, LIST)), (PRODUCER, (PID, TAG), (A.cancel, ANY)), (PRODUCER, ANY, ANY),
    (CONSUMER, (PID, TAG), LIST), (CONSUMER, (PID, TAG), (A.cancel, ANY)), (CONSUMER, ANY, ANY),
    (A["$gen_call"], FROM, (A["$subscribe"], ANY, 7, ANY)), (A["$gen_cast"], (A["$subscribe"], ANY, 7, ANY)),
    (A["$gen_cast"], (A["$demand"], ANY)), (A["$gen_cast"], (A["$info"], ANY)), (A.forward_to_local, ANY, ANY, ANY),
    (A.forward_to_local, b"t", ANY, A["Elixir.Phoenix.PubSub"]), (A.durable, ANY, ANY),
    (A["$gen_call"], FROM, (A.submit, ANY, ANY, ANY)), (A["$gen_call"], FROM, (A.result, ANY)),
    (A["$gen_call"], FROM, A.queues), (A["$gen_call"], FROM, (A.await_, NODE, 1.0)), (A.durable_request, ANY, ANY, ANY),
    (A.forget, ANY), (A.ack, ANY), (A.request, ANY, ANY), (A.register, ANY, ANY, PID, ANY), (A.look,), (A.again,),
)  # fmt: skip


class Echo(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply(request)

    def handle_cast(self, request: Any) -> None:
        """Anything."""

    def handle_info(self, message: Any) -> None:
        """Anything."""


class Cart(Session):
    def init(self, key: Any) -> None:
        self.key = key

    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply(request)

    def handle_cast(self, request: Any) -> None:
        """Anything."""

    def handle_info(self, message: Any) -> None:
        """Anything."""


class Numbers(Producer):
    def init(self) -> None:
        self.next = 0

    def handle_subscribe(self, kind: Any, options: Any, from_: Any) -> None:
        """Anybody."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply(request)

    def handle_cast(self, request: Any) -> None:
        """Anything."""

    def handle_info(self, message: Any) -> None:
        """Anything."""

    def handle_demand(self, count: int) -> list[int]:
        self.next += 1
        return [self.next] * min(count, 3)


class Sink(Consumer):
    def init(self, producer: Pid) -> Options:
        self.got = 0
        return Options(subscribe_to=[(producer, {"max_demand": 2, "min_demand": 1})])

    def handle_events(self, events: list[Any], from_: Any) -> None:
        self.got += len(events)

    handle_call = Numbers.handle_call
    handle_cast = Numbers.handle_cast
    handle_info = Numbers.handle_info


class Orders(Inbox):
    def handle_request(self, request: Any, tx: Any) -> Any:
        return request


def registry(node: Any, _place: Any) -> Any:
    node.self_()
    Registry.start_link(name="reg", on=node)
    keys = count()
    return ["reg"], lambda: Registry.register("reg", (A.k, next(keys)), 1, on=node)


def regulator(node: Any, _place: Any) -> Any:
    made = Regulator.start(node, {"db": Rules(limit=10)}, name="regulator")
    return ["regulator"], lambda: made.permit("db", timeout=SOON).done()


def breaker(node: Any, _place: Any) -> Any:
    Breaker.start(node, name="breaker")
    return ["breaker"], lambda: gen.call(node.system, "breaker", A.state, SOON) in (A.closed, A.open, A.half_open)


def pool(node: Any, _place: Any) -> Any:
    node.start(Pool, Echo, size=2, name="pool", queue=100_000, max_wait=SOON)

    def ask() -> None:
        assert node.call("pool", (A.hello, 1), SOON) == (A.hello, 1)

    return ["pool"], ask


def sessions(node: Any, _place: Any) -> Any:
    made = Sessions(node, "carts", Cart)
    return ["carts"], lambda: made.call("user", (A.add, 1), SOON) == (A.add, 1)


def standby(node: Any, _place: Any) -> Any:
    node.start(Standby, Echo, nodes=[node.name], name="ticker")

    def ask() -> None:
        assert node.call("ticker", (A.hello, 1), SOON) == (A.hello, 1)

    return ["ticker", "ticker.standby"], ask


def stages(node: Any, _place: Any) -> Any:
    producer = node.start(Numbers, name="producer")
    node.start(Sink, producer, name="sink")

    def ask() -> None:
        assert node.call("producer", A.hello, SOON) is A.hello
        assert node.call("sink", A.hello, SOON) is A.hello

    return ["producer", "sink"], ask


def pubsub(node: Any, _place: Any) -> Any:
    made = PubSub(node, "MyApp.PubSub")
    heard: list[Any] = []
    made.subscribe("room", heard.append)

    def ask() -> None:
        made.broadcast("room", len(heard))
        before = len(heard)
        wait_for(lambda: len(heard) >= before, SOON)

    names = [name.name for name in node.system.registry.names if name.name.startswith("Elixir.MyApp.PubSub")]
    assert len(names) == 2
    return names, ask


def serving(node: Any, _place: Any) -> Any:
    node.start(Serving, node, "MyApp.Serving", lambda rows: rows)
    return ["Elixir.MyApp.Serving"], lambda: gen.call(node.system, "Elixir.MyApp.Serving", A.stats, SOON)


def durable(node: Any, place: Any) -> Any:
    node.start(Outbox, node, place("outbox.db"), name="outbox")
    node.start(Orders, node, place("inbox.db"), name="orders")

    def ask() -> None:
        from pyerlnode.cluster.durable.outbox import Requests

        requests = Requests(node)
        id = requests.submit(("orders", node.name), (A.order, 17))
        assert requests.await_result(id, timeout=SOON) == (A.ok, (A.order, 17))

    return ["outbox", "orders"], ask


STARTS = [registry, regulator, breaker, pool, sessions, standby, stages, pubsub, serving, durable]


def some_message(rng: Random) -> Any:
    return hostile.message(rng) if rng.random() < 0.5 else hostile.fill(rng, rng.choice(WORDS))


class Places:
    """Makes journals, and closes them behind the nodes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._journals: list[Journal] = []

    def __call__(self, name: str) -> Journal:
        self._journals.append(Journal(self._directory / name, sync="off"))
        return self._journals[-1]

    def close(self) -> None:
        for journal in self._journals:
            journal.close()


@pytest.fixture
def place(tmp_path):
    places = Places(tmp_path)
    yield places
    places.close()


def throw(other: Any, to: Any, rng: Random) -> None:
    for _ in range(MESSAGES):
        other.send(to, some_message(rng))
    for request in (A.resume, (A.debug, A.no_debug)):
        other.send(to, (A.system, (Pid(hostile.OTHER, 1, 0, 1), 1), request))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.__name__)
def test_every_server_serves_after_any_message(start, seed, caplog, place):
    caplog.set_level(logging.ERROR)
    rng = Random(seed)
    with two_nodes(hidden=True) as (one, other):
        names, ask = start(one, place)
        ask()
        before = {name: one.whereis(name) for name in names}
        for name in names:
            throw(other, (Atom(name), one.name), rng)
        assert other.ping(one.name)
        ask()
        assert {name: one.whereis(name) for name in names} == before
    assert [record.getMessage() for record in caplog.records if record.name == "pyerlnode.service"] == []


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.__name__)
def test_the_service_stays_whatever_a_peer_sends_to_the_processes_behind_it(start, place):
    """Those without a name, whose pids a peer may have seen: couriers, members, workers. Who ends is replaced."""
    rng = Random(7)
    with two_nodes(hidden=True) as (one, other):
        kernel = set(one.processes())
        names, ask = start(one, place)
        ask()
        before = {name: one.whereis(name) for name in names}
        for pid in [pid for pid in one.processes() if pid not in kernel and pid not in before.values()]:
            throw(other, pid, rng)
        assert other.ping(one.name)
        ask()
        assert {name: one.whereis(name) for name in names} == before
