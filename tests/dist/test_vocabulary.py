"""Which operation is sent follows from the flags in use."""

import pytest

from pyerlnode.dist.control import OPERATIONS
from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.dist.vocabulary import SINCE, Vocabulary
from pyerlnode.errors import EncodeError
from pyerlnode.signal import (
    Demonitor,
    Exit2,
    ExitSignal,
    GroupLeader,
    Link,
    Message,
    Monitor,
    MonitorExit,
    SpawnReply,
    SpawnRequest,
    Unlink,
    UnlinkAck,
)
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid, Reference

PID = Pid(Atom("a@h"), 1, 0, 1)
REF = Reference(Atom("a@h"), 1, (1,))
NAME = Atom("n")
TOKEN = (1, 2, 3, PID, 0)
F = DistFlags

CASES = [
    (Message(PID, PID, 1), F(0), 22),
    (Message(PID, PID, 1, TOKEN), F(0), 23),
    (Message(None, PID, 1), F(0), 2),
    (Message(None, PID, 1, TOKEN), F(0), 12),
    (Message(PID, PID, 1), F.SEND_SENDER, 2),
    (Message(PID, PID, 1, TOKEN), F.SEND_SENDER, 12),
    (Message(PID, PID, 1, None, True), F(0), 37),
    (Message(PID, PID, 1, None, True), F.ALTACT_SIG, 22),
    (Message(PID, NAME, 1), F(0), 6),
    (Message(PID, NAME, 1, TOKEN), F(0), 16),
    (Message(PID, NAME, 1, None, True), F(0), 37),
    (Message(PID, NAME, 1, None, True), F.ALTACT_SIG, 6),
    (Message(PID, REF, 1), F(0), 37),
    (Message(PID, REF, 1), F.ALTACT_SIG, 33),
    (Message(PID, REF, 1, TOKEN), F.ALTACT_SIG, 34),
    (Message(PID, REF, 1), F.ALTACT_SIG | F.ALIAS, None),
    (ExitSignal(PID, PID, 1), F(0), 24),
    (ExitSignal(PID, PID, 1, TOKEN), F(0), 25),
    (ExitSignal(PID, PID, 1), F.EXIT_PAYLOAD, 3),
    (ExitSignal(PID, PID, 1, TOKEN), F.EXIT_PAYLOAD, 13),
    (Exit2(PID, PID, 1), F(0), 26),
    (Exit2(PID, PID, 1, TOKEN), F(0), 27),
    (Exit2(PID, PID, 1), F.EXIT_PAYLOAD, 8),
    (Exit2(PID, PID, 1, TOKEN), F.EXIT_PAYLOAD, 18),
    (Exit2(PID, PID, 1, None, True), F(0), 37),
    (Exit2(PID, REF, 1), F(0), 37),
    (Exit2(PID, REF, 1), F.ALTACT_SIG, None),
    (Monitor(PID, PID, REF), F(0), 19),
    (Monitor(PID, NAME, REF), F(0), 19),
    (Monitor(PID, PID, REF), F.DIST_MONITOR_NAME, 19),
    (Monitor(PID, NAME, REF), F.DIST_MONITOR_NAME, None),
    (Demonitor(PID, NAME, REF), F(0), 20),
    (Demonitor(PID, PID, REF), F.DIST_MONITOR, None),
    (MonitorExit(PID, PID, REF, 1), F(0), 28),
    (MonitorExit(NAME, PID, REF, 1), F.EXIT_PAYLOAD, 21),
    (Link(PID, PID), F(0), 1),
    (Unlink(1, PID, PID), F(0), 35),
    (Unlink(1, PID, PID), F.UNLINK_ID, 4),
    (UnlinkAck(1, PID, PID), F(0), 36),
    (UnlinkAck(1, PID, PID), F.UNLINK_ID, None),
    (GroupLeader(PID, PID), F(0), 7),
    (SpawnRequest(REF, PID, PID, (NAME, NAME, 0), [], []), F(0), 29),
    (SpawnRequest(REF, PID, PID, (NAME, NAME, 0), [], [], TOKEN), F(0), 30),
    (SpawnRequest(REF, PID, PID, (NAME, NAME, 0), [], []), F.SPAWN, None),
    (SpawnReply(REF, PID, 0, PID), F(0), 31),
    (SpawnReply(REF, PID, 0, PID, TOKEN), F(0), 32),
    (SpawnReply(REF, PID, 0, PID), F.SPAWN, None),
]


@pytest.mark.parametrize(("signal", "missing", "op"), CASES, ids=lambda value: str(value)[:50])
def test_the_newest_operation_that_the_peer_knows_is_chosen(signal, missing, op):
    chosen = Vocabulary(HIDDEN_FLAGS & ~missing).operation(signal)
    assert (chosen.op if chosen else None) == op


def test_every_operation_is_sent_in_some_case():
    assert {op for _, _, op in CASES if op} == set(OPERATIONS)


def test_no_operation_goes_to_a_peer_without_its_flag():
    vocabulary = Vocabulary(DistFlags(0))
    for signal, _, _ in CASES:
        chosen = vocabulary.operation(signal)
        assert chosen is None or chosen.op not in SINCE


@pytest.mark.parametrize("to", [NAME, REF])
def test_a_message_to_a_name_or_alias_needs_a_sender(to):
    with pytest.raises(EncodeError, match="sender"):
        Vocabulary(HIDDEN_FLAGS).operation(Message(None, to, 1))


def test_only_small_labels_travel_to_a_peer_without_big_labels():
    small, big = (1, 5, 3, PID, 0), (1, PID, 3, PID, 0)
    plain = Vocabulary(HIDDEN_FLAGS & ~F.BIG_SEQTRACE_LABELS)
    assert (plain.token(small), plain.token(big)) == (small, None)
    assert Vocabulary(HIDDEN_FLAGS).token(big) == big
