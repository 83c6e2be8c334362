"""Events per second through GenStage's messages, between a BEAM and Python and between two BEAM nodes.

    python benchmarks/bench_gen_stage.py [directory]

The stages of the BEAM are those of `interop_tests/beam_src/stage_peer.ex`; with a directory of the compiled library and
of modules `RealStage.Producer` and `RealStage.Consumer` of the same interface, they are GenStage's own. Producers
count, consumers keep; an event is a small integer. Medians of interleaved rounds; the ratios count, the rates drift.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pyerlnode import A, Node
from pyerlnode.bridges.gen_stage import Consumer, Options, Producer
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.launch import local

ROUNDS = 5
LOADS = ((1000, 400_000), (100, 200_000), (10, 50_000))
PEER = Path(__file__).parents[1] / "interop_tests" / "beam_src" / "stage_peer.ex"


class Numbers(Producer):
    def init(self) -> None:
        self.next = 0

    def handle_demand(self, count: int) -> list[int]:
        first, self.next = self.next, self.next + count
        return list(range(first, self.next))


class Counter(Consumer):
    """Counts; tells `owner` when it has `total`."""

    def init(self, producer: Any, most: int, total: int, owner: Any) -> Options:
        self.left, self.owner = total, owner
        return Options(subscribe_to=[(producer, {"max_demand": most, "cancel": "temporary"})])

    def handle_events(self, events: list[Any], from_: Any) -> None:  # noqa: ARG002  # the callback's shape
        self.left -= len(events)
        if self.left <= 0 and self.owner is not None:
            self.process.system.send(self.owner, A.enough)
            self.owner = None


def into_python(node: Node, beam: Beam, kind: str, most: int, total: int) -> float:
    """Seconds in which a Python consumer has `total` events of a BEAM's producer."""
    producer = beam.elixir(f"{kind}.Producer.start()")[1]
    begun = time.perf_counter()
    consumer = node.start(Counter, producer, most, total, node.self_())
    assert node.receive(timeout=60.0) is A.enough
    took = time.perf_counter() - begun
    node.exit(consumer, A.kill)
    beam.elixir("Process.exit(pid, :kill)", pid=producer)
    return took


def into_beam(node: Node, beam: Beam, kind: str, most: int, total: int, producer: Any = None) -> float:
    """Seconds in which a BEAM's consumer has `total` events, of Python's producer unless another is given."""
    made = node.start(Numbers) if producer is None else None
    source = """
    {:ok, consumer} = Kind.Consumer.start(producer, max_demand: most, cancel: :temporary)
    wait = fn wait -> if GenServer.call(consumer, :count, :infinity) < total, do: (Process.sleep(5); wait.(wait)) end
    {took, _} = :timer.tc(fn -> wait.(wait) end)
    Process.exit(consumer, :kill)
    took
    """.replace("Kind", kind)
    took = beam.elixir(source, 60.0, producer=made or producer, most=most, total=total) / 1e6
    if made is not None:
        node.exit(made, A.kill)
    return float(took)


def between_beams(node: Node, beam: Beam, other: Beam, kind: str, most: int, total: int) -> float:
    producer = other.elixir(f"{kind}.Producer.start()")[1]
    took = into_beam(node, beam, kind, most, total, producer)
    other.elixir("Process.exit(pid, :kill)", pid=producer)
    return took


def main() -> None:
    real = sys.argv[1] if len(sys.argv) > 1 else ""
    kind = "RealStage" if real else "StagePeer"
    launcher = local()
    epmd = Epmd(launcher).start()
    try:
        with (
            Beam(launcher, epmd, cookie="benchmark") as one,
            Beam(launcher, epmd, cookie="benchmark") as other,
            Node("bench_py@127.0.0.1", cookie="benchmark", epmd_port=epmd.port) as node,
        ):
            for beam in (one, other):
                if real:
                    beam.eval("code:add_pathz(binary_to_list(D))", D=real)
                else:
                    beam.load(PEER)
            report(node, one, other, kind)
    finally:
        epmd.stop()


def report(node: Node, one: Beam, other: Beam, kind: str) -> None:
    print(f"{'max_demand':>10}{'BEAM to BEAM':>14}{'BEAM to Python':>16}{'Python to BEAM':>16}   events/s")
    for most, total in LOADS:
        ways: list[Callable[[], float]] = [
            partial(between_beams, node, one, other, kind, most, total),
            partial(into_python, node, one, kind, most, total),
            partial(into_beam, node, one, kind, most, total),
        ]
        took = [[way() for way in ways] for _ in range(ROUNDS)]
        rates = [total / statistics.median(round_[way] for round_ in took) for way in range(3)]
        print(f"{most:>10}{rates[0]:>14,.0f}{rates[1]:>16,.0f}{rates[2]:>16,.0f}")


if __name__ == "__main__":
    main()
