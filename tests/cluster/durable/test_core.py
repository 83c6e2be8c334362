"""The cores of durable requests: chains of values, without journals, processes or time."""

from typing import Any

import pytest

from pyerlnode.cluster.durable.core import (
    CONFIRM,
    DONE,
    KEPT_STREAMS,
    REQUEST,
    Alarms,
    Full,
    OutboxCore,
    OutboxLimits,
    Send,
    Stream,
    Tell,
)
from pyerlnode.cluster.durable.inbox_core import DONE_, GONE, RUNS, InboxCore, InboxLimits, Item, Line, Run
from pyerlnode.etf import decode, encode
from pyerlnode.term.atom import A

DEST = (A.orders, A["app@host"])
US = (A.outbox, A["py@host"])
UID = bytes(range(16))
OK = encode((A.ok, 1))


def half() -> float:
    return 0.5


def outbox(**limits: Any) -> OutboxCore:
    return OutboxCore(US, OutboxLimits(**limits), half)


def inbox(interrupted: Any = "fail", **limits: Any) -> InboxCore:
    return InboxCore(InboxLimits(**limits), half, interrupted)


def submitted(core: OutboxCore, *ids: bytes, key: bytes = b"", deadline: float | None = None) -> OutboxCore:
    for id in ids:
        core.submit(id, DEST, b"request of " + id, 0.0, UID, key, deadline)
    return core


def sent(core: Any) -> list[tuple[Any, ...]]:
    return [action.message for action in core.drain()[1] if type(action) is Send]


def numbers(core: OutboxCore) -> list[int]:
    """The numbers of the requests that are sent."""
    return [message[3] for message in sent(core) if message[0] is REQUEST]


def runs(core: InboxCore) -> list[int]:
    return [action.number for action in core.drain()[1] if type(action) is Run]


def request(number: int, low: int = 0, key: bytes = b"", uid: bytes = UID, content: bytes = b"r") -> tuple[Any, ...]:
    return (REQUEST, US, uid, number, low, key, content)


def confirm(numbers: list[int], low: int, uid: bytes = UID) -> tuple[Any, ...]:
    return (CONFIRM, US, uid, numbers, low)


# --- the outbox ------------------------------------------------------------------------------------
def test_a_submission_is_written_and_sent_behind_that() -> None:
    writes, actions = submitted(outbox(), b"one").drain()
    assert [write[0] for write in writes] == ["out_put", "out_stream"]
    assert actions == [Send(*DEST, (REQUEST, US, UID, 0, 0, b"", b"request of one"))]


def test_the_same_id_is_the_same_request() -> None:
    core = submitted(outbox(), b"one", b"one")
    assert len(core.entries) == 1
    assert numbers(core) == [0]


def test_an_outcome_is_written_told_and_confirmed() -> None:
    core = submitted(outbox(), b"one")
    core.drain()
    assert core.heard((DONE, UID, 0, OK), 1.0)
    writes, actions = core.drain()
    assert writes == [("out_finish", OK, 1.0, b"one")]
    assert actions == [Tell(b"one", OK), Send(*DEST, (CONFIRM, US, UID, [], 1))]


def test_an_outcome_that_comes_again_is_confirmed_again_and_told_to_nobody() -> None:
    core = submitted(outbox(), b"one", b"two")
    for _ in range(2):
        core.heard((DONE, UID, 1, OK), 1.0)
    core.drain()
    core.heard((DONE, UID, 1, encode((A.ok, 2))), 1.0)
    assert core.drain() == ([], [Send(*DEST, (CONFIRM, US, UID, [1], 0))])
    assert core.take(b"two") == OK


def test_an_outcome_of_a_journal_that_is_no_more_is_not_answered() -> None:
    core = outbox()
    assert core.heard((DONE, UID, 0, OK), 1.0)
    assert core.drain() == ([], [])


@pytest.mark.parametrize("message", [(DONE, UID, b"0", OK), (A.other, UID, 0, OK), (DONE,), ()])
def test_an_outbox_takes_no_other_messages(message: tuple[Any, ...]) -> None:
    assert not outbox().heard(message, 0.0)


def test_a_request_is_repeated_after_pauses_that_double_up_to_the_last() -> None:
    core, times = submitted(outbox(first_retry=1.0, last_retry=5.0), b"one"), []
    for _ in range(5):
        core.drain()
        due = core.next_alarm()
        assert due is not None
        times.append(due)
        core.alarm(due)
        assert numbers(core) == [0]
    assert times == [1.0, 3.0, 7.0, 12.0, 17.0]


def test_a_node_that_comes_up_gets_everything_at_once() -> None:
    core = submitted(outbox(), b"one", b"two")
    core.drain()
    core.node_up(A["other@host"], 1.0)
    assert sent(core) == []
    core.node_up(DEST[1], 1.0)
    assert [message[0] for message in sent(core)] == [REQUEST, REQUEST, CONFIRM]


def test_a_deadline_is_an_outcome_and_tells_the_receiver_to_let_it_be() -> None:
    core = submitted(outbox(), b"one", deadline=0.7)
    core.drain()
    assert core.next_alarm() == 0.7
    core.alarm(0.7)
    _, actions = core.drain()
    assert decode(core.entries[b"one"].outcome or b"") == (A.error, A.deadline)
    assert Send(*DEST, (CONFIRM, US, UID, [], 1)) in actions


def test_cancelling_is_an_outcome_once() -> None:
    core = submitted(outbox(), b"one")
    assert core.cancel(b"one", 1.0)
    assert not core.cancel(b"one", 1.0)
    assert decode(core.take(b"one") or b"") == (A.error, A.cancelled)
    with pytest.raises(KeyError):
        core.cancel(b"one", 1.0)


def test_of_one_key_one_is_on_its_way_and_the_others_follow_in_order() -> None:
    core = submitted(outbox(), b"one", b"two", b"three", key=b"k")
    submitted(core, b"four", key=b"other")
    assert numbers(core) == [0, 3]
    core.cancel(b"two", 1.0)
    assert numbers(core) == []
    core.heard((DONE, UID, 0, OK), 1.0)
    assert numbers(core) == [2]


def test_no_more_are_on_their_way_than_the_limit_says() -> None:
    core = submitted(outbox(in_flight=2), b"one", b"two", b"three")
    assert numbers(core) == [0, 1]
    core.heard((DONE, UID, 1, OK), 1.0)
    assert numbers(core) == [2]


@pytest.mark.parametrize(
    ("limits", "word"),
    [({"requests": 2}, "holds 2 requests"), ({"bytes": 40}, "bytes"), ({"span": 2}, "cancel that one")],
)
def test_a_submission_beyond_a_limit_is_refused_and_the_others_stay(limits: dict[str, int], word: str) -> None:
    core = submitted(outbox(**limits), b"one", b"two")
    with pytest.raises(Full, match=word):
        submitted(core, b"three")
    assert core.pending() == [b"one", b"two"]


def test_a_result_that_nobody_takes_is_dropped_when_it_expires() -> None:
    core = submitted(outbox(keep_results=10.0), b"one")
    core.heard((DONE, UID, 0, OK), 1.0)
    core.drain()
    core.alarm(10.9)
    assert core.take(b"one") == OK
    submitted(core, b"two")
    core.heard((DONE, UID, 1, OK), 20.0)
    core.drain()
    core.alarm(30.0)
    assert core.drain()[0] == [("out_drop", b"two")]
    assert (core.entries, core.bytes, core.next_alarm()) == ({}, 0, None)


def test_a_stream_without_requests_for_a_month_begins_anew() -> None:
    core = outbox()
    core.load([Stream(UID, *DEST, 7, used=0.0)], [], KEPT_STREAMS + 1)
    assert core.drain() == ([("out_drop_stream", UID)], [])
    core = outbox()
    core.load([Stream(UID, *DEST, 7, used=0.0)], [], KEPT_STREAMS - 1)
    assert sent(core) == [(CONFIRM, US, UID, [], 7)]


def test_alarms_that_were_moved_do_not_pile_up() -> None:
    alarms: Alarms[str] = Alarms()
    for time in range(1000):
        alarms.set("one", float(time))
    assert len(alarms._heap) < 200
    assert alarms.due(998.0) == []
    assert alarms.due(999.0) == ["one"]
    assert alarms.next() is None


# --- the inbox -------------------------------------------------------------------------------------
def test_a_request_is_written_marked_and_run_behind_that() -> None:
    core = inbox()
    assert core.heard(request(0), 0.0)
    writes, actions = core.drain()
    assert [write[0] for write in writes] == ["in_put", "in_runs", "in_line", "in_below"]
    assert actions == [Run(UID, 0, b"", b"r")]


def test_one_that_may_run_again_needs_no_mark() -> None:
    core = inbox("retry")
    core.heard(request(0), 0.0)
    assert "in_runs" not in [write[0] for write in core.drain()[0]]


def test_a_repetition_of_one_that_runs_is_joined_and_of_one_that_is_done_is_answered() -> None:
    core = inbox()
    for _ in range(2):
        core.heard(request(0), 0.0)
    assert runs(core) == [0]
    core.finished(UID, 0, OK, 1.0)
    assert sent(core) == [(DONE, UID, 0, OK)]
    core.heard(request(0), 2.0)
    assert sent(core) == [(DONE, UID, 0, OK)]


def test_an_outcome_is_told_again_until_it_is_confirmed() -> None:
    core = inbox(first_retry=2.0)
    core.heard(request(0), 0.0)
    core.finished(UID, 0, OK, 1.0)
    core.drain()
    core.alarm(3.0)
    assert sent(core) == [(DONE, UID, 0, OK)]
    core.heard(confirm([], 1), 4.0)
    assert [write[0] for write in core.drain()[0]] == ["in_line", "in_below"]
    core.alarm(1000.0)
    assert sent(core) == []
    assert (core.count, core.bytes, core.lines[UID].items) == (0, 0, {})


def test_one_that_comes_late_does_not_run_again() -> None:
    core = inbox()
    core.heard(request(0), 0.0)
    core.finished(UID, 0, OK, 1.0)
    core.heard(confirm([0], 0), 1.0)
    core.drain()
    core.heard(request(0), 2.0)
    assert runs(core) == []
    core.heard(confirm([], 1), 3.0)
    core.heard(request(0), 4.0)
    assert (runs(core), core.lines[UID].items) == ([], {})


def test_one_that_is_confirmed_before_it_came_does_not_run() -> None:
    core = inbox()
    core.heard(confirm([3], 0), 0.0)
    core.heard(request(3), 0.0)
    assert runs(core) == []
    assert core.lines[UID].items[3].state == GONE


def test_one_that_is_given_up_while_it_waits_does_not_run_and_the_next_of_its_key_does() -> None:
    core = inbox()
    for number in range(3):
        core.heard(request(number, key=b"k"), 0.0)
    assert runs(core) == [0]
    core.heard(confirm([1], 0), 0.0)
    core.finished(UID, 0, OK, 1.0)
    assert runs(core) == [2]


def test_the_next_of_a_key_waits_for_one_that_was_given_up_while_it_ran() -> None:
    core = inbox()
    core.heard(request(0, key=b"k"), 0.0)
    core.heard(request(1, low=1, key=b"k"), 0.0)
    assert runs(core) == [0]
    core.finished(UID, 0, OK, 1.0)
    assert runs(core) == [1]
    assert core.count == 1


def test_no_more_run_than_the_limit_says() -> None:
    core = inbox(running=2)
    for number in range(4):
        core.heard(request(number), 0.0)
    assert runs(core) == [0, 1]
    core.finished(UID, 1, OK, 1.0)
    assert runs(core) == [2]
    core.finished(UID, 1, OK, 1.0)
    assert runs(core) == []


@pytest.mark.parametrize(("interrupted", "runs_again"), [("fail", []), ("retry", [4])])
def test_what_ran_when_the_server_died_is_treated_as_said(interrupted: Any, runs_again: list[int]) -> None:
    core = inbox(interrupted)
    core.load([Line(UID, US)], [(UID, Item(4, request=b"r", state=RUNS))], 1.0)
    _, actions = core.drain()
    assert [action.number for action in actions if type(action) is Run] == runs_again
    if interrupted == "fail":
        assert [(type(action), action.message[2:]) for action in actions] == [
            (Send, (4, encode((A.error, A.interrupted))))
        ]


def test_what_was_done_is_told_again_after_a_restart() -> None:
    core = inbox()
    core.load([Line(UID, US)], [(UID, Item(4, state=DONE_, outcome=OK))], 1.0)
    assert sent(core) == [(DONE, UID, 4, OK)]


@pytest.mark.parametrize("limits", [{"requests": 1}, {"bytes": 1}, {"span": 1}])
def test_one_beyond_a_limit_is_dropped_and_comes_again(limits: dict[str, int]) -> None:
    core = inbox(**limits)
    core.heard(request(0), 0.0)
    core.heard(request(1), 0.0)
    assert (runs(core), core.dropped) == ([0], 1)
    core.finished(UID, 0, b"", 1.0)
    core.heard(request(1, low=1), 1.0)
    assert runs(core) == [1]


def test_an_outbox_beyond_the_limit_is_not_served() -> None:
    core = inbox(streams=1)
    core.heard(request(0), 0.0)
    core.heard(request(0, uid=bytes(16)), 0.0)
    core.heard(confirm([0], 0, uid=bytes(16)), 0.0)
    assert (list(core.lines), core.dropped) == ([UID], 2)


def test_one_that_is_too_large_is_refused_for_ever() -> None:
    core = inbox(request_bytes=3)
    core.heard(request(0, content=b"four"), 0.0)
    assert sent(core) == [(DONE, UID, 0, encode((A.error, (A.refused, A.too_large))))]
    assert core.count == 0


def test_an_outcome_that_is_not_confirmed_expires_and_its_request_does_not_run_again() -> None:
    core = inbox(keep_results=10.0)
    core.heard(request(0), 0.0)
    core.finished(UID, 0, OK, 1.0)
    while core.lines[UID].items[0].state == DONE_:
        due = core.next_alarm()
        assert due is not None
        assert due <= 11.0
        core.alarm(due)
    core.drain()
    core.heard(request(0), 12.0)
    assert core.drain()[1] == [Send(*US, (DONE, UID, 0, encode((A.error, A.expired))))]


def test_an_outbox_that_is_silent_for_a_month_is_forgotten() -> None:
    core = inbox()
    core.heard(request(0), 0.0)
    core.finished(UID, 0, OK, 1.0)
    core.heard(confirm([0], 1), 1.0)
    core.drain()
    core.alarm(KEPT_STREAMS + 0.5)
    assert core.lines
    core.alarm(KEPT_STREAMS + 1.0)
    assert (core.lines, core.drain()[0]) == ({}, [("in_drop_line", UID)])
    assert core.next_alarm() is None


@pytest.mark.parametrize(
    "message",
    [
        (REQUEST, US, b"short", 0, 0, b"", b"r"),
        (REQUEST, US, UID, 1 << 62, 0, b"", b"r"),
        (REQUEST, US, UID, 0, 1, b"", b"r"),
        (REQUEST, (b"outbox", A.node), UID, 0, 0, b"", b"r"),
        (CONFIRM, US, UID, [], -1),
        (CONFIRM, US[:1], UID, [], 0),
        (A.other,),
    ],
)
def test_an_inbox_takes_no_other_messages(message: tuple[Any, ...]) -> None:
    core = inbox()
    assert not core.heard(message, 0.0)
    assert core.lines == {}


def test_a_peer_that_names_a_huge_number_costs_no_more_than_another() -> None:
    core = inbox()
    core.heard(request(0), 0.0)
    core.heard(confirm([1 << 61, b"no number"], (1 << 61) - 1), 0.0)  # type: ignore[list-item]  # what a peer may send
    assert set(core.lines[UID].items) == {1 << 61}
