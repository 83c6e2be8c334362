"""The order in which packets leave."""

from pyerlnode.dist.send_queue import AFTER_ALL, SendQueue


def drain(queue, limit=10):
    taken = []
    while queue:
        taken.append(b"".join(queue.take(limit)))
    assert queue.size == 0
    return taken


def test_small_packets_leave_together_in_the_order_in_which_they_came():
    queue = SendQueue()
    for text in (b"a", b"b", b"c"):
        queue.put("any", [text])
    assert queue.size == 3
    assert queue.take(1) == [b"abc"]
    assert (queue.size, bool(queue)) == (0, False)


def test_packets_with_large_buffers_are_not_joined():
    queue = SendQueue()
    queue.put(1, [b"head", b"body"])
    queue.put(1, [b"next"])
    assert queue.take(1) == [b"head", b"body", b"next"]
    queue.put(1, [b"a"])
    queue.put(1, [b"b"])
    assert queue.take(1) == [b"ab"]


def test_small_packets_of_others_pass_and_those_of_the_sender_wait():
    queue = SendQueue()
    queue.put_fragments("p", [[b"P" * 10], [b"P" * 10], [b"P" * 10]])
    queue.put("p", [b"p-after"])
    queue.put("q", [b"q"])
    assert drain(queue) == [b"q" + b"P" * 10, b"P" * 10, b"P" * 10, b"p-after"]


def test_large_messages_of_several_senders_take_turns():
    queue = SendQueue()
    for sender in (b"p", b"q", b"r"):
        queue.put_fragments(sender, [[sender.upper() + bytes([48 + n]) + b"-" * 8] for n in range(2)])
    assert [text[:2] for text in drain(queue)] == [b"P0", b"Q0", b"R0", b"P1", b"Q1", b"R1"]


def test_what_must_not_pass_anything_leaves_behind_all_that_waits():
    queue = SendQueue()
    queue.put_fragments("p", [[b"P" * 10]] * 2)
    queue.put_fragments("q", [[b"Q" * 10]] * 2)
    queue.take(10)
    queue.put(AFTER_ALL, [b"last"])
    assert drain(queue)[-1] == b"last"


def test_one_take_keeps_to_its_limit_by_a_fragment():
    queue = SendQueue()
    queue.put_fragments("p", [[b"P" * 10]] * 10)
    assert sum(map(len, queue.take(25))) == 30
    assert queue.size == 70
