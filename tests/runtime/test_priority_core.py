"""Priority messages come before ordinary ones and behind each other, whatever was received meanwhile."""

from collections import deque
from random import Random
from types import SimpleNamespace

from pyerlnode.runtime.priority_core import advance, waiting


class Mailbox:
    def __init__(self) -> None:
        self.process = SimpleNamespace(queue=deque())
        self.table: dict = {}

    def __hash__(self) -> int:
        return id(self)

    def ordinary(self, *messages: object) -> "Mailbox":
        self.process.queue.extend(messages)
        return self

    def priority(self, *messages: object) -> "Mailbox":
        key = _Key(self.process)
        for message in messages:
            self.process.queue.append(message)
            advance(key, message, self.table)
        return self

    @property
    def queue(self) -> list:
        return list(self.process.queue)


class _Key:
    """What stands for the process: hashable, with its queue."""

    def __init__(self, process: SimpleNamespace) -> None:
        self.process = process

    @property
    def queue(self) -> deque:
        return self.process.queue

    def put_at(self, index: int, message: object) -> None:
        self.process.queue.insert(index, message)

    def __hash__(self) -> int:
        return id(self.process)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.process is self.process


def test_priority_messages_stand_before_ordinary_ones_in_their_own_order() -> None:
    box = Mailbox().ordinary(1).priority("p1").ordinary(2).priority("p2").ordinary(3)
    assert box.queue == ["p1", "p2", 1, 2, 3]


def test_what_was_received_meanwhile_changes_nothing_for_the_next() -> None:
    box = Mailbox().ordinary(1, 2).priority("p1", "p2", "p3")
    box.process.queue.popleft()
    assert box.priority("p4").queue == ["p2", "p3", "p4", 1, 2]
    box.process.queue.remove("p3")
    assert box.priority("p5").queue == ["p2", "p4", "p5", 1, 2]
    for message in ("p2", "p4", "p5"):
        box.process.queue.remove(message)
    assert box.priority("p6").queue == ["p6", 1, 2]
    box.process.queue.clear()
    assert box.ordinary(3).priority("p7").queue == ["p7", 3]


def test_equal_messages_are_told_apart_by_what_they_are_not_by_what_they_say() -> None:
    ordinary, first = bytes([200, 1]), bytes([200, 1])
    box = Mailbox().ordinary(ordinary).priority(first, "p")
    assert box.queue == [first, "p", ordinary]


def test_a_message_that_a_full_mailbox_did_not_take_is_not_looked_for() -> None:
    box = Mailbox().ordinary(1, 2)
    advance(_Key(box.process), "dropped", box.table)
    assert box.queue == [1, 2]


def test_any_run_of_arrivals_and_receives_keeps_the_two_orders() -> None:
    for seed in range(200):
        chance, box, model_p, model_o = Random(seed), Mailbox(), [], []
        for number in range(60):
            message = (number,)
            what = chance.random()
            if what < 0.35:
                box.priority(message)
                model_p.append(message)
            elif what < 0.7:
                box.ordinary(message)
                model_o.append(message)
            elif box.queue:
                taken = chance.choice(box.queue)
                box.process.queue.remove(taken)
                (model_p if taken in model_p else model_o).remove(taken)
            assert box.queue == model_p + model_o
        assert waiting(box.queue, model_p) == len(model_p)
