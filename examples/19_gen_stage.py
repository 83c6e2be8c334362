"""A worker that takes batches as fast as it can and no faster: GenStage, with a producer on another node.

Two Python nodes live in one program here; either stage may be Elixir's instead, without a change on the other side.

Prints:
    batches: [16, 16, 16, 16, 16, 16, 4]
    made when the first batch was handled: 16
    the answers in their order: True
    a stream of a billion squares: [0, 1, 4, 9, 16]
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pyerlnode import A, Node, Stop, send
from pyerlnode.bridges.gen_stage import Consumer, Options, from_iterable, stream

made = 0


def orders() -> Iterator[int]:
    """What the producer takes from, only when somebody wants more."""
    global made
    for number in range(100):
        made += 1
        yield number


class Model(Consumer):
    """Asks for 16 at a time, and for the next 16 when it is done with those."""

    def init(self, producer: Any, owner: Any) -> Options:
        self.owner = owner
        self.batches: list[int] = []
        self.answers: list[int] = []
        self.made_at_first = 0
        options = {"max_demand": 16, "min_demand": 0, "cancel": "transient"}
        return Options(subscribe_to=[(producer, options)])

    def handle_events(self, events: list[int], from_: Any) -> None:
        self.made_at_first = self.made_at_first or made
        self.batches.append(len(events))
        self.answers += [event * event for event in events]  # here a GPU would take the batch

    def handle_cancel(self, reason: Any, from_: Any) -> Any:
        send(self.owner, (self.batches, self.made_at_first, self.answers))  # the producer has ended
        return Stop(A.normal)


with Node("shop@127.0.0.1", cookie="secret") as shop, Node("gpu@127.0.0.1", cookie="secret") as gpu:
    from_iterable(orders(), on=shop, name="orders", link=False)
    gpu.start(Model, ("orders", shop.name), gpu.self_())
    batches, made_at_first, answers = gpu.receive(timeout=10)
    print("batches:", batches)
    print("made when the first batch was handled:", made_at_first)
    print("the answers in their order:", answers == [number * number for number in range(100)])

    from_iterable((number * number for number in range(10**9)), on=shop, name="squares", link=False)
    squares = stream([(("squares", shop.name), {"max_demand": 10})], on=gpu)
    print("a stream of a billion squares:", list(islice(squares, 5)))
    squares.close()
