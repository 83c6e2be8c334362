"""Every control operation against a system: what the wire says, what happens, and what goes back on the wire.

One row per sentence of "Semantics the receiver must implement" (protocol.md C.6). The peer's side is written as raw
control tuples, not by our own writer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.errors import ProtocolError
from pyerlnode.runtime.process import Process
from pyerlnode.signal import GroupLeader, Message
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference
from tests.kernel.wire import B1, B2, BARE, NOTHING, OLD_OTP, PEER, REF, REF2, TOKEN, U, Wire, mail


# --- messages: {op, …} with a payload, to a live pid, a name, an alias ------------------------------------
@dataclass
class Sending:
    """How one operation writes a message for `p`, which is registered as `desk` and has an alias."""

    control: Callable[[Process, Reference], Any]
    flags: DistFlags = HIDDEN_FLAGS


SENDS = {
    "2 SEND": Sending(lambda p, _: (2, U, p.pid)),
    "12 SEND_TT": Sending(lambda p, _: (12, U, p.pid, TOKEN)),
    "6 REG_SEND": Sending(lambda p, _: (6, B1, U, A.desk)),
    "16 REG_SEND_TT": Sending(lambda p, _: (16, B1, U, A.desk, TOKEN)),
    "22 SEND_SENDER": Sending(lambda p, _: (22, B1, p.pid)),
    "23 SEND_SENDER_TT": Sending(lambda p, _: (23, B1, p.pid, TOKEN)),
    "33 ALIAS_SEND": Sending(lambda p, alias: (33, B1, alias), OLD_OTP),
    "34 ALIAS_SEND_TT": Sending(lambda p, alias: (34, B1, alias, TOKEN), OLD_OTP),
    "37 priority to a pid": Sending(lambda p, _: (37, 1, B1, p.pid)),
    "37 with a token": Sending(lambda p, _: (37, 2, B1, p.pid, TOKEN)),
    "37 to an alias": Sending(lambda p, alias: (37, 4, B1, alias)),
    "37 priority to an alias": Sending(lambda p, alias: (37, 5, B1, alias)),
    "37 all of it to an alias": Sending(lambda p, alias: (37, 7, B1, alias, TOKEN)),
    "37 priority to a name": Sending(lambda p, _: (37, 9, B1, A.desk)),
    "37 with what nobody knows yet": Sending(lambda p, _: (37, 1 | 1 << 70, B1, p.pid, 5, 6)),
}


@pytest.mark.parametrize("how", SENDS.values(), ids=SENDS)
def test_a_message_is_delivered_whatever_operation_carries_it(how: Sending) -> None:
    wire = Wire(how.flags)
    process = wire.process("desk")
    alias = wire.system.alias(process)
    wire.push(how.control(process, alias), (A.hello, 1))
    assert mail(process) == [(A.hello, 1)]
    assert wire.sent == []


@pytest.mark.parametrize("how", SENDS.values(), ids=SENDS)
def test_a_message_to_what_is_not_there_is_dropped_in_silence(how: Sending) -> None:
    wire = Wire(how.flags)
    gone = wire.process("desk")
    alias = wire.system.alias(gone)
    gone.exit(A.normal)
    wire.push(how.control(gone, alias), A.hello)
    assert (mail(gone), wire.sent) == ([], [])


@pytest.mark.parametrize("op", [(22, B1), (2, U), (37, 0, B1), (8, B1)], ids=str)
def test_a_pid_of_an_earlier_life_of_this_node_is_nobody(op: tuple[Any, ...]) -> None:
    wire = Wire()
    process = wire.process()
    stale = Pid(process.pid.node, process.pid.id, process.pid.serial, 6)
    wire.push((8, B1, stale, A.boom) if op[0] == 8 else (*op, stale), NOTHING if op[0] == 8 else A.hello)
    assert mail(process) == []
    assert process.alive


def test_an_alias_is_gone_once_it_is_taken_back() -> None:
    wire = Wire()
    process = wire.process()
    alias, once = wire.system.alias(process), wire.system.alias(process, once=True)
    for number in range(2):
        wire.push((37, 4, B1, once), number)
    wire.system.unalias(process, alias)
    wire.push((37, 4, B1, alias), A.late)
    assert mail(process) == [0]


# --- exits -------------------------------------------------------------------------------------------------
def linked(wire: Wire, **options: Any) -> Process:
    process = wire.process(**options)
    wire.push((1, B1, process.pid))
    assert wire.sent == []
    return process


LINK_EXITS = {
    "3 EXIT": lambda p, reason: ((3, B1, p, reason), NOTHING),
    "13 EXIT_TT": lambda p, reason: ((13, B1, p, TOKEN, reason), NOTHING),
    "24 PAYLOAD_EXIT": lambda p, reason: ((24, B1, p), reason),
    "25 PAYLOAD_EXIT_TT": lambda p, reason: ((25, B1, p, TOKEN), reason),
}
EXIT2S = {
    "8 EXIT2": lambda p, reason: ((8, B1, p, reason), NOTHING),
    "18 EXIT2_TT": lambda p, reason: ((18, B1, p, TOKEN, reason), NOTHING),
    "26 PAYLOAD_EXIT2": lambda p, reason: ((26, B1, p), reason),
    "27 PAYLOAD_EXIT2_TT": lambda p, reason: ((27, B1, p, TOKEN), reason),
    "37 priority exit": lambda p, reason: ((37, 17, B1, p), reason),
}


@pytest.mark.parametrize("exit_", LINK_EXITS.values(), ids=LINK_EXITS)
@pytest.mark.parametrize(
    ("reason", "trap", "ends_with", "messages"),
    [
        (A.boom, False, A.boom, []),
        (A.kill, False, A.kill, []),
        (A.normal, False, None, []),
        (A.boom, True, None, [(A.EXIT, B1, A.boom)]),
        (A.kill, True, None, [(A.EXIT, B1, A.kill)]),
        (A.normal, True, None, [(A.EXIT, B1, A.normal)]),
    ],
)
def test_the_end_of_a_link(exit_: Any, reason: Any, trap: bool, ends_with: Any, messages: list[Any]) -> None:
    wire = Wire()
    process = linked(wire, trap_exit=trap)
    wire.push(*exit_(process.pid, reason))
    assert mail(process) == messages
    assert process.exit_reason is ends_with or (ends_with is None and process.alive)
    wire.push(*exit_(process.pid, A.again))  # the link is gone: ignored
    assert mail(process) == messages
    assert wire.sent == []


@pytest.mark.parametrize("exit_", EXIT2S.values(), ids=EXIT2S)
@pytest.mark.parametrize(
    ("reason", "trap", "ends_with", "messages"),
    [
        (A.boom, False, A.boom, []),
        (A.kill, False, A.killed, []),
        (A.normal, False, None, []),
        (A.boom, True, None, [(A.EXIT, B1, A.boom)]),
        (A.kill, True, A.killed, []),
        (A.normal, True, None, [(A.EXIT, B1, A.normal)]),
    ],
)
def test_exit_2_needs_no_link(exit_: Any, reason: Any, trap: bool, ends_with: Any, messages: list[Any]) -> None:
    wire = Wire()
    process = wire.process(trap_exit=trap)
    wire.push(*exit_(process.pid, reason))
    assert mail(process) == messages
    assert process.exit_reason is ends_with or (ends_with is None and process.alive)


@pytest.mark.parametrize("exit_", LINK_EXITS.values(), ids=LINK_EXITS)
def test_the_exit_of_who_is_not_linked_is_ignored(exit_: Any) -> None:
    wire = Wire()
    process = wire.process(trap_exit=True)
    wire.push(*exit_(process.pid, A.boom))
    assert mail(process) == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(HIDDEN_FLAGS, ((24, U, B1), A.boom)), (BARE, ((3, U, B1, A.boom), NOTHING))],
    ids=["with payloads", "without"],
)
def test_the_death_of_a_linked_process_is_told(flags: DistFlags, expected: Any) -> None:
    wire = Wire(flags)
    process = linked(wire)
    process.exit(A.boom)
    control, payload = expected
    assert wire.sent == [((control[0], process.pid, *control[2:]), payload)]


# --- links and their races -----------------------------------------------------------------------------------
def test_link_to_nobody_is_answered_noproc() -> None:
    wire = Wire()
    gone = wire.process()
    gone.exit(A.normal)
    wire.push((1, B1, gone.pid))
    assert wire.sent == [((24, gone.pid, B1), A.noproc)]


def test_linking_twice_is_linking_once() -> None:
    wire = Wire()
    process = linked(wire)
    wire.push((1, B1, process.pid))
    process.exit(A.boom)
    assert wire.sent == [((24, process.pid, B1), A.boom)]


@pytest.mark.parametrize("alive", [True, False])
def test_unlink_is_acknowledged_with_and_without_a_link_or_a_process(alive: bool) -> None:
    wire = Wire()
    process = linked(wire)
    if not alive:
        process.exit(A.normal)
    wire.sent.clear()
    wire.push((35, 77, B1, process.pid))
    wire.push((35, 2**64 - 1, B2, process.pid))
    assert wire.sent == [((36, 77, process.pid, B1), NOTHING), ((36, 2**64 - 1, process.pid, B2), NOTHING)]
    process.exit(A.boom)
    assert len(wire.sent) == 2


def test_our_unlink_drops_the_exit_that_was_under_way() -> None:
    wire = Wire()
    process = linked(wire, trap_exit=True)
    wire.system.unlink(process, B1)
    ((op, number, *_), _) = wire.sent.pop()
    assert op == 35
    assert number >= 1
    wire.push((24, B1, process.pid), A.boom)
    wire.push((1, B1, process.pid))  # older than our unlink: ignored
    wire.push((36, number, B1, process.pid))
    wire.push((24, B1, process.pid), A.boom)
    assert mail(process) == []
    process.exit(A.end)
    assert wire.sent == []


def test_linking_again_before_the_acknowledgement_is_a_link() -> None:
    wire = Wire()
    process = linked(wire, trap_exit=True)
    wire.system.unlink(process, B1)
    wire.system.link(process, B1)
    (unlink, _), (link, _) = wire.sent
    assert (unlink[0], link) == (35, (1, process.pid, B1))
    wire.push((36, unlink[1], B1, process.pid))
    wire.push((24, B1, process.pid), A.boom)
    assert mail(process) == [(A.EXIT, B1, A.boom)]


def test_unlinking_on_both_sides_at_once_settles() -> None:
    wire = Wire()
    process = linked(wire, trap_exit=True)
    wire.system.unlink(process, B1)
    number = wire.sent.pop()[0][1]
    wire.push((35, 5, B1, process.pid))
    assert wire.sent.pop() == ((36, 5, process.pid, B1), NOTHING)
    wire.push((36, number, B1, process.pid))
    wire.push((1, B1, process.pid))
    process.exit(A.boom)
    assert wire.sent == [((24, process.pid, B1), A.boom)]


def test_an_acknowledgement_of_another_unlink_changes_nothing() -> None:
    wire = Wire()
    process = linked(wire, trap_exit=True)
    wire.push((36, 4711, B1, process.pid))
    wire.push((24, B1, process.pid), A.boom)
    assert mail(process) == [(A.EXIT, B1, A.boom)]


def test_a_new_unlink_after_a_link_has_a_new_number() -> None:
    wire = Wire()
    process = linked(wire)
    numbers = []
    for _ in range(3):
        wire.system.unlink(process, B1)
        numbers.append(wire.sent.pop()[0][1])
        wire.system.link(process, B1)
        wire.sent.pop()
    assert len(set(numbers)) == 3
    wire.push((36, numbers[0], B1, process.pid))
    process.exit(A.boom)
    assert wire.sent == [((24, process.pid, B1), A.boom)]


def test_what_would_cost_the_connection_is_never_sent_to_a_pid_of_the_peers_past() -> None:
    wire = Wire()
    past = Pid(PEER, 51, 0, 8)
    process, other = wire.process(trap_exit=True), wire.process()
    wire.system.link(process, past)
    wire.system.link(other, past)
    wire.sent.clear()
    wire.system.unlink(process, past)
    other.exit(A.boom)
    assert wire.sent == []
    wire.push((24, past, process.pid), A.noproc)  # the peer's answer to the link: it was cut before
    assert mail(process) == []
    process.exit(A.end)
    assert wire.sent == []


# --- monitors --------------------------------------------------------------------------------------------------
def watched_by_name(wire: Wire) -> tuple[Process, Any]:
    return wire.process("desk"), A.desk


def watched_by_pid(wire: Wire) -> tuple[Process, Any]:
    process = wire.process()
    return process, process.pid


@pytest.mark.parametrize("watched", [watched_by_pid, watched_by_name])
@pytest.mark.parametrize("flags", [HIDDEN_FLAGS, BARE], ids=["with payloads", "without"])
def test_a_monitor_gets_one_down_that_echoes_what_it_named(watched: Any, flags: DistFlags) -> None:
    wire = Wire(flags)
    process, named = watched(wire)
    wire.push((19, B1, named, REF))
    wire.push((19, B2, named, REF2))
    process.exit(A.boom)
    if flags is HIDDEN_FLAGS:
        assert wire.sent == [((28, named, B1, REF), A.boom), ((28, named, B2, REF2), A.boom)]
    else:
        assert wire.sent == [((21, named, b, r, A.boom), NOTHING) for b, r in ((B1, REF), (B2, REF2))]
    wire.push((20, B1, named, REF))  # comes too late: nothing
    assert len(wire.sent) == 2


@pytest.mark.parametrize("named", [A.nobody, True, None, Pid(A["py@127.0.0.1"], 999, 0, 7)], ids=str)
def test_a_monitor_of_nobody_is_answered_noproc(named: Any) -> None:
    wire = Wire()
    wire.push((19, B1, named, REF))
    assert wire.sent == [((28, named, B1, REF), A.noproc)]


def test_a_monitor_of_a_pid_of_our_past_is_answered_noproc() -> None:
    wire = Wire()
    process = wire.process()
    stale = Pid(process.pid.node, process.pid.id, process.pid.serial, 6)
    wire.push((19, B1, stale, REF))
    assert wire.sent == [((28, stale, B1, REF), A.noproc)]


@pytest.mark.parametrize("watched", [watched_by_pid, watched_by_name])
def test_after_demonitor_there_is_no_down(watched: Any) -> None:
    wire = Wire()
    process, named = watched(wire)
    wire.push((19, B1, named, REF))
    wire.push((20, B1, named, REF))
    wire.push((20, B1, named, REF))
    process.exit(A.boom)
    assert wire.sent == []


@pytest.mark.parametrize("form", ["21", "28"])
def test_our_monitor_ends_with_the_peers_reason_once(form: str) -> None:
    wire = Wire()
    process = wire.process()
    ref = wire.system.monitor(process, B1)
    named = wire.system.monitor(process, ("desk", PEER))
    assert wire.sent == [((19, process.pid, B1, ref), NOTHING), ((19, process.pid, A.desk, named), NOTHING)]
    for what, r in ((B1, ref), (A.desk, named)):
        for _ in range(2):  # the second one belongs to nothing any more
            if form == "28":
                wire.push((28, what, process.pid, r), A.boom)
            else:
                wire.push((21, what, process.pid, r, A.boom))
    assert mail(process) == [
        (A.DOWN, ref, A.process, B1, A.boom),
        (A.DOWN, named, A.process, (A.desk, PEER), A.boom),
    ]


def test_a_down_that_crosses_our_demonitor_is_dropped() -> None:
    wire = Wire()
    process = wire.process()
    ref = wire.system.monitor(process, B1)
    wire.system.demonitor(process, ref)
    assert wire.sent[1] == ((20, process.pid, B1, ref), NOTHING)
    wire.push((28, B1, process.pid, ref), A.boom)
    assert mail(process) == []


def test_a_dying_process_takes_its_monitors_back() -> None:
    wire = Wire()
    process = wire.process()
    ref = wire.system.monitor(process, B1)
    process.exit(A.boom)
    assert wire.sent[1:] == [((20, process.pid, B1, ref), NOTHING)]


def test_to_a_peer_that_knows_no_monitors_none_are_sent() -> None:
    wire = Wire(HIDDEN_FLAGS & ~DistFlags.DIST_MONITOR_NAME)
    process = wire.process()
    wire.system.monitor(process, ("desk", PEER))
    assert wire.sent == []


# --- the loss of the connection ------------------------------------------------------------------------------------
def test_the_loss_of_the_connection_is_noconnection_to_each_relation_once() -> None:
    wire = Wire()
    process = linked(wire, trap_exit=True)
    ref = wire.system.monitor(process, B2)
    wire.push((19, B1, process.pid, REF))
    cut = wire.process(trap_exit=True)
    wire.system.link(cut, B1)
    wire.system.unlink(cut, B1)
    wire.sent.clear()
    wire.lose()
    wire.lose()
    assert mail(process) == [(A.EXIT, B1, A.noconnection), (A.DOWN, ref, A.process, B2, A.noconnection)]
    assert mail(cut) == []
    wire.peer.route = wire
    process.exit(A.boom)
    assert wire.sent == []  # nobody of the peer's former life is told


# --- what a peer may not say ------------------------------------------------------------------------------------------
STRANGER = Pid(A["other@127.0.0.1"], 1, 0, 1)


@pytest.mark.parametrize(
    ("control", "flags"),
    [
        ((4, B1, B2), HIDDEN_FLAGS),
        ((5,), HIDDEN_FLAGS),
        ((9, B1, B2), HIDDEN_FLAGS),
        ((99,), HIDDEN_FLAGS),
        ((1, STRANGER, B2), HIDDEN_FLAGS),
        ((35, 1, STRANGER, B2), HIDDEN_FLAGS),
        ((36, 1, STRANGER, B2), HIDDEN_FLAGS),
        ((3, STRANGER, B2, A.x), HIDDEN_FLAGS),
        ((19, STRANGER, A.x, REF), HIDDEN_FLAGS),
        ((20, STRANGER, A.x, REF), HIDDEN_FLAGS),
        ((35, 0, B1, B2), HIDDEN_FLAGS),
        ((35, 2**64, B1, B2), HIDDEN_FLAGS),
        ((1, B1, B2, B2), HIDDEN_FLAGS),
        ((1, B1), HIDDEN_FLAGS),
        ((37, 2, B1, B2), HIDDEN_FLAGS),
        ((1, A.me, B2), HIDDEN_FLAGS),
        ([1, B1, B2], HIDDEN_FLAGS),
    ],
    ids=str,
)
def test_what_is_not_of_the_protocol_costs_the_connection(control: Any, flags: DistFlags) -> None:
    wire = Wire(flags)
    with pytest.raises(ProtocolError):
        wire.push(control)


def test_an_old_peer_s_unlink_is_taken_and_not_acknowledged() -> None:
    wire = Wire(HIDDEN_FLAGS & ~DistFlags.UNLINK_ID)
    process = linked(wire)
    wire.push((4, B1, process.pid))
    process.exit(A.boom)
    assert wire.sent == []


# --- tokens ------------------------------------------------------------------------------------------
def test_a_token_is_written_where_the_peer_takes_it() -> None:
    wire = Wire(OLD_OTP)
    me = wire.process().pid
    for to in (B1, A.desk, REF):
        wire.send(Message(me, to, A.hello, TOKEN))
    assert [control for control, _ in wire.sent] == [
        (23, me, B1, TOKEN), (16, me, U, A.desk, TOKEN), (34, me, REF, TOKEN),
    ]  # fmt: skip


@dataclass
class Labels:
    label: Any
    written: bool
    flags: DistFlags = field(default=HIDDEN_FLAGS & ~DistFlags.BIG_SEQTRACE_LABELS)


@pytest.mark.parametrize("case", [Labels(17, True), Labels(2**40, False), Labels(A.label, False)], ids=str)
def test_a_token_with_a_large_label_goes_only_to_who_can_read_it(case: Labels) -> None:
    wire = Wire(case.flags)
    token = (0, case.label, 1, B1, 0)
    wire.send(Message(B2, B1, A.hello, token))
    assert wire.sent[0][0][0] == (23 if case.written else 22)


# --- group leader ------------------------------------------------------------------------------------------
def test_the_group_leader_is_set_and_of_nobody_ignored() -> None:
    wire = Wire()
    process = wire.process()
    wire.push((7, B2, process.pid))
    assert process.group_leader == B2
    process.exit(A.normal)
    wire.push((7, B1, process.pid))
    assert wire.sent == []
    wire.send(GroupLeader(B1, B2))
    assert wire.sent == [((7, B1, B2), NOTHING)]
