"""Python's stages and those of a BEAM, both ways: demand, cancellation, ends and lost nodes.

The peer is `stage_peer.ex`, which speaks the messages strictly. With ``GEN_STAGE_BEAMS`` in the environment, a
directory with the compiled library and modules `RealStage.Producer` and `RealStage.Consumer` of the same interface, the
scenarios run against that as well.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from documents import blocks
from place import ROOT, place

from interop_tests.stages import Batches, Doubler, Kept, Numbers
from pyerlnode import A
from pyerlnode.bridges.gen_stage import stage as gen_stage
from pyerlnode.bridges.gen_stage.consumer_supervisor import ConsumerSupervisor
from pyerlnode.bridges.gen_stage.stage import Broadcast, Options, Partition
from pyerlnode.bridges.gen_stage.streams import from_iterable, stream
from pyerlnode.errors import Exit
from pyerlnode.term.phash2 import phash2
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

REAL = os.environ.get("GEN_STAGE_BEAMS", "")
pytestmark = pytest.mark.beam(elixir=True)


class Peer:
    """The stages of one kind on the BEAM."""

    def __init__(self, beam: Beam, kind: str) -> None:
        self.beam, self.kind = beam, kind

    def producer(self, **options: Any) -> Any:
        return self._start(f"{self.kind}.Producer.start(opts)", opts=list(kw(options)))

    def consumer(self, to: Any, **options: Any) -> Any:
        return self._start(f"{self.kind}.Consumer.start(to, opts)", to=to, opts=list(kw(options)))

    def _start(self, source: str, **bindings: Any) -> Any:
        ok, pid = self.beam.elixir(source, **bindings)
        assert ok is A.ok
        return pid


def kw(options: dict[str, Any]) -> Any:
    return ((A[name], A[value] if isinstance(value, str) else value) for name, value in options.items())


@pytest.fixture(params=["StagePeer", *(["RealStage"] if REAL else [])])
def peer(request: pytest.FixtureRequest, helper: Callable[[str], Beam]) -> Peer:
    beam = helper("stage_peer.ex")
    if request.param == "RealStage":
        beam.eval("code:add_pathz(binary_to_list(D))", D=REAL)
    return Peer(beam, request.param)


@pytest.fixture
def strict(helper: Callable[[str], Beam]) -> Peer:
    return Peer(helper("stage_peer.ex"), "StagePeer")


def until(node: Any, server: Any, request: Any, wanted: Any) -> Any:
    """What the server answers, as soon as that is `wanted`."""
    answers: list[Any] = [None]

    def asked() -> bool:
        answers[0] = node.call(server, request)
        return bool(wanted(answers[0]) if callable(wanted) else answers[0] == wanted)

    try:
        wait_for(asked)
    except AssertionError as error:
        raise AssertionError(f"{error}; answered: {answers[0]!r}") from None
    return answers[0]


def is_refusal(ended: Any, why: Any) -> bool:
    """Whether a subscription ended with ``{cancel, {Why, _}}``."""
    return bool(ended is not None and ended[0] is A.cancel and type(ended[1]) is tuple and ended[1][0] is why)


# --- Python consumes ---------------------------------------------------------------------------
def test_a_python_consumer_gets_what_a_beam_produces_in_order_and_in_batches(node: Any, peer: Peer) -> None:
    producer = peer.producer(limit=50)
    consumer = node.start(Kept, [(producer, {"max_demand": 10, "cancel": "transient"})])
    until(node, consumer, A.ended, (A.down, A.normal))
    assert node.call(consumer, A.got) == list(range(50))
    assert max(node.call(consumer, A.sizes)) <= 5


def test_a_slow_python_consumer_holds_the_producer_back(node: Any, peer: Peer) -> None:
    producer = peer.producer()
    consumer = node.start(Batches, producer, 8)
    for _ in range(5):
        until(node, consumer, A.holds, 4)
        made = node.call(producer, A.state)[0]
        taken = node.call(consumer, A.release)
        assert made <= taken + 8
    node.system.exit(consumer, A.kill)


def test_python_subscribes_by_registered_name_and_again_with_other_options(node: Any, peer: Peer) -> None:
    peer.producer(name="interop_stage")
    to = ("interop_stage", peer.beam.name)
    consumer = node.start(Kept, [(to, {"max_demand": 4, "cancel": "temporary"})])
    until(node, consumer, A.count, lambda count: count > 20)
    old = node.call(consumer, A.tags)[0]
    new = gen_stage.sync_subscribe(consumer, to, replaces=(old, A.faster), on=node, max_demand=100, cancel="temporary")
    until(node, consumer, A.ended, (A.cancel, A.faster))
    assert node.call(consumer, A.tags) == [new]
    peer.beam.elixir("Process.exit(Process.whereis(:interop_stage), :kill)")
    until(node, consumer, A.ended, (A.down, A.killed))


@pytest.mark.parametrize(
    ("mode", "reason", "ends"),
    [
        ("permanent", "normal", True),
        ("transient", "shutdown", False),
        ("transient", "bad", True),
        ("temporary", "bad", False),
    ],
)
def test_the_end_of_a_producer_ends_a_python_consumer_as_its_mode_says(
    node: Any, peer: Peer, mode: str, reason: str, ends: bool
) -> None:
    producer = peer.producer()
    consumer = node.start(Kept, [(producer, {"max_demand": 2, "cancel": mode})])
    until(node, consumer, A.count, lambda count: count > 0)
    watch = node.monitor(consumer)
    peer.beam.elixir("GenServer.stop(pid, reason)", pid=producer, reason=A[reason])
    if ends:
        assert node.receive(timeout=patience())[1:] == (watch, A.process, consumer, A[reason])
    else:
        until(node, consumer, A.ended, (A.down, A[reason]))


def test_a_lost_node_is_the_end_of_a_subscription(node: Any, peer: Peer) -> None:
    consumer = node.start(Kept, [(peer.producer(), {"max_demand": 2, "cancel": "temporary"})])
    until(node, consumer, A.count, lambda count: count > 0)
    node.disconnect(peer.beam.name)
    until(node, consumer, A.ended, (A.down, A.noconnection))


def test_elixir_has_a_python_consumer_subscribe_by_call_and_by_cast(node: Any, peer: Peer) -> None:
    consumer = node.start(Kept, [])
    one, other = peer.producer(limit=10), peer.producer(limit=7)
    subscribe = "{:'$subscribe', nil, to, [max_demand: 3, cancel: :temporary]}"
    ok, tag = peer.beam.elixir(f"GenServer.call(pid, {subscribe})", pid=consumer, to=one)
    assert ok is A.ok
    peer.beam.elixir(f"GenServer.cast(pid, {subscribe})", pid=consumer, to=other)
    until(node, consumer, A.count, 17)
    bad = "GenServer.call(pid, {:'$subscribe', nil, to, [max_demand: 0]})"
    error, (kind, _) = peer.beam.elixir(bad, pid=consumer, to=one)
    assert (error, kind) == (A.error, A.bad_opts)
    assert tag not in node.call(consumer, A.tags)


def test_a_stream_iterates_over_a_beams_events_and_cancels_when_closed(node: Any, peer: Peer) -> None:
    producer = peer.producer()
    events = stream([(producer, {"max_demand": 10})], on=node)
    assert [next(events) for _ in range(25)] == list(range(25))
    assert node.call(producer, A.state)[0] <= 40
    events.close()
    until(node, producer, A.state, lambda state: state[2] == [(A.cancel, A.normal)])
    finite = peer.producer(limit=12)
    assert list(stream([(finite, {"max_demand": 5, "cancel": "transient"})], on=node)) == list(range(12))
    with pytest.raises(Exit) as caught:
        list(stream([(peer.producer(limit=3), {"max_demand": 5})], on=node))
    assert caught.value.reason is A.normal


def test_a_producer_that_sends_more_than_was_asked_for_is_logged_and_heard(
    node: Any, strict: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    producer = strict.producer()
    consumer = node.start(Kept, [(producer, {"max_demand": 2})])
    node.call(producer, (A.push, [A.excess] * 10))
    until(node, consumer, A.got, lambda got: got.count(A.excess) == 10)
    assert "events in excess" in caplog.text


def test_a_process_for_each_event_of_a_beam_and_no_more_than_were_asked_for(node: Any, peer: Peer) -> None:
    done: list[int] = []
    under_way: list[int] = []

    def work(event: int) -> None:
        under_way.append(event)
        assert len(under_way) <= 3
        gevent.idle()
        under_way.remove(event)
        done.append(event)

    subscription = peer.producer(limit=20), {"max_demand": 3, "cancel": "temporary"}
    node.start(ConsumerSupervisor, work, [subscription])
    wait_for(lambda: sorted(done) == list(range(20)))


# --- Python produces ---------------------------------------------------------------------------
def test_a_beam_consumes_what_python_produces_as_it_asks(node: Any, peer: Peer) -> None:
    producer = from_iterable(range(200), on=node, link=False, demand="accumulate")
    consumer = peer.consumer(producer, max_demand=20, cancel="transient")
    assert gen_stage.demand_mode(producer, on=node) == "accumulate"
    gen_stage.demand(producer, "forward", on=node)
    until(node, consumer, A.ended, (A.down, A.normal))
    assert node.call(consumer, A.got) == list(range(200))


def test_two_consumers_share_the_events_of_a_demand_dispatcher(node: Any, peer: Peer) -> None:
    producer = from_iterable(range(300), on=node, link=False, demand="accumulate")
    consumers = [peer.consumer(producer, max_demand=10, cancel="transient") for _ in range(2)]
    for consumer in consumers:
        until(node, consumer, A.count, 0)
    gen_stage.demand(producer, "forward", on=node)
    got = [until(node, consumer, A.ended, (A.down, A.normal)) and node.call(consumer, A.got) for consumer in consumers]
    assert sorted(got[0] + got[1]) == list(range(300))
    assert all(events and events == sorted(events) for events in got)


def test_a_broadcast_reaches_all_at_the_pace_of_the_slowest(node: Any, strict: Peer, peer: Peer) -> None:
    producer = node.start(Numbers, Options(dispatcher=Broadcast(), demand="accumulate"))
    fast, slow = peer.consumer(producer, max_demand=10), strict.consumer(producer, hold=True)
    until(node, producer, A.consumers, 2)
    gen_stage.demand(producer, "forward", on=node)
    for total in (3, 7):
        node.call(slow, (A.ask, total - node.call(slow, A.count)))
        until(node, slow, A.count, total)
        until(node, fast, A.count, total)
    assert node.call(slow, A.got) == node.call(fast, A.got) == list(range(7))


def test_partitions_go_by_phash2_and_a_taken_one_is_refused(node: Any, peer: Peer) -> None:
    producer = from_iterable(range(100), on=node, link=False, dispatcher=Partition(2), demand="accumulate")
    consumers = [peer.consumer(producer, max_demand=50, cancel="temporary", partition=p) for p in range(2)]
    refused = peer.consumer(producer, partition=1, cancel="temporary")
    until(node, refused, A.ended, lambda ended: is_refusal(ended, A.bad_opts))
    gen_stage.demand(producer, "forward", on=node)
    for p, consumer in enumerate(consumers):
        until(node, consumer, A.ended, (A.down, A.normal))
        assert node.call(consumer, A.got) == [n for n in range(100) if phash2(n, 2) == p]


def test_a_python_producer_consumer_between_two_stages_of_a_beam(node: Any, peer: Peer) -> None:
    producer = peer.producer(limit=40)
    middle = node.start(Doubler, [(producer, {"max_demand": 10, "cancel": "transient"})])
    consumer = peer.consumer(middle, max_demand=6)
    until(node, consumer, A.count, 80)
    assert node.call(consumer, A.got) == [n for n in range(40) for _ in range(2)]


def test_a_python_producer_is_told_why_a_consumer_is_gone(node: Any, peer: Peer, beam: Beam) -> None:
    producer = node.start(Numbers, Options())
    consumer = peer.consumer(producer, max_demand=4)
    tag = node.call(consumer, A.tag)
    beam.elixir("send(to, {:'$gen_producer', {pid, tag}, {:cancel, :enough}})", to=producer, pid=consumer, tag=tag)
    until(node, producer, A.ended, [(A.cancel, A.enough)])
    other = peer.consumer(producer, max_demand=4)
    until(node, producer, A.consumers, 1)
    assert node.ping(beam.name)  # by now the BEAM has the producer's monitor
    beam.elixir("Process.exit(pid, :kill)", pid=other)
    until(node, producer, A.ended, [(A.cancel, A.enough), (A.down, A.killed)])


def test_asks_that_no_consumer_sends_end_that_subscription_alone(node: Any, strict: Peer) -> None:
    producer = node.start(Numbers, Options())
    consumer = strict.consumer(producer, hold=True)
    unknown = strict.consumer(producer, hold=True)
    until(node, producer, A.consumers, 2)
    for wrong in (A.all, -1, 10**12):
        one = strict.consumer(producer, hold=True)
        node.call(one, (A.send, (A.ask, wrong)))
        until(node, one, A.ended, lambda ended: is_refusal(ended, A.bad_demand))
    node.call(unknown, (A.send, (A.subscribe, None, [])))
    until(node, unknown, A.cancels, [A.duplicated_subscription])
    node.call(unknown, (A.send, (A.cancel, A.done)))
    node.call(unknown, (A.send, (A.ask, 1)))
    until(node, unknown, A.cancels, [A.unknown_subscription, A.done, A.duplicated_subscription])
    node.call(consumer, (A.ask, 5))
    until(node, consumer, A.got, list(range(5)))


def test_the_documents_programs_run(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        for block in blocks(ROOT / "docs" / "gen-stage.md", "python"):
            ran = here.run([sys.executable, "-c", block.text])
            assert (ran.returncode, ran.stderr) == (0, ""), f"gen-stage.md:{block.line}\n{ran.stderr}"
