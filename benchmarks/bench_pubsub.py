"""Broadcasts per second between a PubSub of Python and one on a BEAM, each way, and within Python.

    python benchmarks/bench_pubsub.py [--real DIRECTORY]

The BEAM's side is `interop_tests/beam_src/pubsub_peer.erl`; with --real the compiled phoenix_pubsub of that directory.
Medians of interleaved rounds. A rate counts until the last message has been heard; `endpoint_broadcast` has nobody who
listens, so it is the publisher's side alone. `CPU` is that of this process, for one broadcast.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyerlnode import A, Node
from pyerlnode.bridges.phoenix import PubSub
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.launch import local
from pyerlnode.testing.waiting import wait_for

ROUNDS = 5
COUNT = 20_000
NAME = A["Elixir.MyApp.PubSub"]
PEER = Path(__file__).parents[1] / "interop_tests" / "beam_src" / "pubsub_peer.erl"
MESSAGE = (A.moved, 17, {A.x: 1.5, A.y: 2.5})
HEAR = """
Me = self(),
P = spawn(fun() -> ok = M:subscribe(N, <<"count">>, []), Me ! {self(), ready},
    (fun Hear(0) -> receive {tell, To} -> To ! all end;
         Hear(I) -> receive {moved, _, _} -> Hear(I - 1) end end)(C) end),
receive {P, ready} -> P end
"""
SEND = """
spawn(fun() -> [M:broadcast(N, <<"rooms">>, {moved, 17, #{x => 1.5, y => 2.5}}) || _ <- lists:seq(1, C)] end), ok
"""


def main() -> None:
    real = sys.argv[2] if sys.argv[1:2] == ["--real"] else None
    module = A["Elixir.Phoenix.PubSub"] if real else A.pubsub_peer
    launcher = local()
    epmd = Epmd(launcher).start()
    try:
        with (
            Beam(launcher, epmd, cookie="benchmark") as beam,
            Node("bench_py@127.0.0.1", cookie="benchmark", epmd_port=epmd.port) as node,
        ):
            beam.load(PEER)
            if real:
                beam.eval("code:add_patha(binary_to_list(D))", D=real.encode())
            beam.rpc("pubsub_peer", "start", module, NAME, 1)
            measure(Loads(beam, node, module))
    finally:
        epmd.stop()


class Loads:
    """What is measured: each sends `COUNT` messages, and ends when all were heard."""

    def __init__(self, beam: Beam, node: Node, module: Any) -> None:
        node.connect(beam.name)
        self.beam = beam
        self.node = node
        self.module = module
        self.pubsub = PubSub(node, NAME)
        self.pubsub.await_node(beam.name)
        self.heard = 0

    def to_elixir(self) -> None:
        counter = self.beam.eval(HEAR, M=self.module, N=NAME, C=COUNT)
        for _ in range(COUNT):
            self.pubsub.broadcast("count", MESSAGE)
        self.node.send(counter, (A.tell, self.node.self_()))  # it answers when it has counted them all
        assert self.node.receive(A["all"], timeout=60.0)

    def from_elixir(self) -> None:
        self._count("rooms", lambda: self.beam.eval(SEND, M=self.module, N=NAME, C=COUNT))

    def within_python(self) -> None:
        def publish() -> None:
            for _ in range(COUNT):
                self.pubsub.local_broadcast("local", MESSAGE)

        self._count("local", publish)

    def endpoint_broadcast(self) -> None:
        for _ in range(COUNT):
            self.pubsub.endpoint_broadcast("nobody", "moved", {"x": 1.5, "y": [1, 2], "who": "ann"})

    def _count(self, topic: str, publish: Callable[[], Any]) -> None:
        self.heard = 0
        pid = self.pubsub.subscribe(topic, self._hear)
        publish()
        wait_for(lambda: self.heard == COUNT, 60.0)
        self.pubsub.unsubscribe(topic, pid)

    def _hear(self, _: Any) -> None:
        self.heard += 1


def measure(loads: Loads) -> None:
    rates: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for load in (loads.to_elixir, loads.from_elixir, loads.within_python, loads.endpoint_broadcast):
            wall, cpu = time.perf_counter(), time.process_time()
            load()
            took = COUNT / (time.perf_counter() - wall), (time.process_time() - cpu) / COUNT
            rates.setdefault(load.__name__, []).append(took)
    for name, found in rates.items():
        rate, cost = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:20}{rate:>10,.0f}/s {cost * 1e6:>8.1f} µs CPU")


if __name__ == "__main__":
    main()
