"""Python's stages of the interop tests."""

from typing import Any

from pyerlnode import A, NoReply, Reply
from pyerlnode.bridges.gen_stage.stage import Consumer, Options, Producer, ProducerConsumer


class Numbers(Producer):
    """0, 1, 2, … as they are asked for."""

    def init(self, options: Options) -> Options:
        self.next = 0
        self.ended: list[Any] = []
        self.consumers = 0
        return options

    def handle_demand(self, count: int) -> list[int]:
        first, self.next = self.next, self.next + count
        return list(range(first, self.next))

    def handle_subscribe(self, kind: Any, options: Any, from_: Any) -> None:
        self.consumers += 1

    def handle_cancel(self, reason: Any, from_: Any) -> None:
        self.consumers -= 1
        self.ended.append(reason)

    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply({A.next: self.next, A.ended: self.ended, A.consumers: self.consumers}[request])


class Kept(Consumer):
    """Keeps what it gets."""

    def init(self, subscriptions: list[Any]) -> Options:
        self.batches: list[list[Any]] = []
        self.ended: Any = None
        return Options(subscribe_to=subscriptions)

    def handle_events(self, events: list[Any], from_: Any) -> None:
        self.batches.append(events)

    def handle_cancel(self, reason: Any, from_: Any) -> None:
        self.ended = reason

    def handle_call(self, request: Any, from_: Any) -> Any:
        got = [event for batch in self.batches for event in batch]
        sizes = [len(batch) for batch in self.batches]
        tags = list(self._receiver.producers) if self._receiver is not None else []
        return Reply({A.got: got, A.count: len(got), A.sizes: sizes, A.ended: self.ended, A.tags: tags}[request])


class Batches(Consumer):
    """Asks by hand: for one half of its demand more with each `release`, which gives how many it was released of."""

    def init(self, producer: Any, most: int) -> Options:
        self.most, self.held, self.taken = most, 0, 0
        return Options(subscribe_to=[(producer, {"max_demand": most, "cancel": "temporary"})])

    def handle_subscribe(self, kind: Any, options: Any, from_: Any) -> Any:
        self.from_ = from_
        self.ask(from_, self.most // 2)
        return A.manual

    def handle_events(self, events: list[Any], from_: Any) -> None:
        self.held += len(events)

    def handle_call(self, request: Any, from_: Any) -> Any:
        if request is A.holds:
            return Reply(self.held)
        if request is not A.release:
            return NoReply()
        self.taken += self.held
        self.held = 0
        self.ask(self.from_, self.most // 2)
        return Reply(self.taken)


class Doubler(ProducerConsumer):
    """Emits each event twice."""

    def init(self, subscriptions: list[Any]) -> Options:
        return Options(subscribe_to=subscriptions)

    def handle_events(self, events: list[Any], from_: Any) -> list[Any]:
        return [event for event in events for _ in range(2)]
