"""Control messages: every operation is read and written, and nothing else is."""

import pytest

from pyerlnode.dist.control import OPERATIONS, AltactSend, read_control
from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.errors import EncodeError, ProtocolError
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

PEER = Atom("peer@127.0.0.1")
US = Atom("us@127.0.0.1")
THEIRS = Pid(PEER, 7, 0, 3)
OURS = Pid(US, 1, 0, 5)
REF = Reference(PEER, 3, (1, 2, 3))
NAME = Atom("logger")
TOKEN = (1, 2, 3, THEIRS, 0)
OLD = HIDDEN_FLAGS & ~DistFlags.UNLINK_ID
MFA = (Atom("m"), Atom("f"), 1)

CASES = [
    ((1, THEIRS, OURS), Link(THEIRS, OURS), ""),
    ((2, Atom(""), OURS), Message(None, OURS, None), "message"),
    ((3, THEIRS, OURS, NAME), ExitSignal(THEIRS, OURS, NAME), ""),
    ((6, THEIRS, Atom(""), NAME), Message(THEIRS, NAME, None), "message"),
    ((7, THEIRS, OURS), GroupLeader(THEIRS, OURS), ""),
    ((8, THEIRS, OURS, NAME), Exit2(THEIRS, OURS, NAME), ""),
    ((12, Atom(""), OURS, TOKEN), Message(None, OURS, None, TOKEN), "message"),
    ((13, THEIRS, OURS, TOKEN, NAME), ExitSignal(THEIRS, OURS, NAME, TOKEN), ""),
    ((16, THEIRS, Atom(""), NAME, TOKEN), Message(THEIRS, NAME, None, TOKEN), "message"),
    ((18, THEIRS, OURS, TOKEN, NAME), Exit2(THEIRS, OURS, NAME, TOKEN), ""),
    ((19, THEIRS, OURS, REF), Monitor(THEIRS, OURS, REF), ""),
    ((19, THEIRS, NAME, REF), Monitor(THEIRS, NAME, REF), ""),
    ((20, THEIRS, NAME, REF), Demonitor(THEIRS, NAME, REF), ""),
    ((21, NAME, OURS, REF, NAME), MonitorExit(NAME, OURS, REF, NAME), ""),
    ((22, THEIRS, OURS), Message(THEIRS, OURS, None), "message"),
    ((23, THEIRS, OURS, TOKEN), Message(THEIRS, OURS, None, TOKEN), "message"),
    ((24, THEIRS, OURS), ExitSignal(THEIRS, OURS, None), "reason"),
    ((25, THEIRS, OURS, TOKEN), ExitSignal(THEIRS, OURS, None, TOKEN), "reason"),
    ((26, THEIRS, OURS), Exit2(THEIRS, OURS, None), "reason"),
    ((27, THEIRS, OURS, TOKEN), Exit2(THEIRS, OURS, None, TOKEN), "reason"),
    ((28, THEIRS, OURS, REF), MonitorExit(THEIRS, OURS, REF, None), "reason"),
    ((29, REF, THEIRS, THEIRS, MFA, [NAME]), SpawnRequest(REF, THEIRS, THEIRS, MFA, [NAME], None), "args"),
    ((30, REF, THEIRS, THEIRS, MFA, [], TOKEN), SpawnRequest(REF, THEIRS, THEIRS, MFA, [], None, TOKEN), "args"),
    ((31, REF, OURS, 3, THEIRS), SpawnReply(REF, OURS, 3, THEIRS), ""),
    ((32, REF, OURS, 0, NAME, TOKEN), SpawnReply(REF, OURS, 0, NAME, TOKEN), ""),
    ((33, THEIRS, REF), Message(THEIRS, REF, None), "message"),
    ((34, THEIRS, REF, TOKEN), Message(THEIRS, REF, None, TOKEN), "message"),
    ((35, 2**64 - 1, THEIRS, OURS), Unlink(2**64 - 1, THEIRS, OURS), ""),
    ((36, 1, THEIRS, OURS), UnlinkAck(1, THEIRS, OURS), ""),
    ((37, 0, THEIRS, OURS), Message(THEIRS, OURS, None), "message"),
    ((37, 5, THEIRS, REF), Message(THEIRS, REF, None, None, True), "message"),
    ((37, 9, THEIRS, NAME), Message(THEIRS, NAME, None, None, True), "message"),
    ((37, 6, THEIRS, REF, TOKEN), Message(THEIRS, REF, None, TOKEN), "message"),
    ((37, 17, THEIRS, OURS), Exit2(THEIRS, OURS, None, None, True), "reason"),
]


@pytest.mark.parametrize(("control", "signal", "field"), CASES, ids=lambda value: str(value)[:40])
def test_every_operation_is_read_and_written_back(control, signal, field):
    assert read_control(control, PEER, HIDDEN_FLAGS) == (signal, field)
    assert OPERATIONS[control[0]].write(signal) == control


def test_all_operations_of_the_table_are_covered():
    assert {control[0] for control, _, _ in CASES} | {4} == set(OPERATIONS)


def test_the_obsolete_unlink_is_taken_only_from_a_peer_without_unlink_id():
    assert read_control((4, THEIRS, OURS), PEER, OLD) == (Unlink(0, THEIRS, OURS), "")
    with pytest.raises(ProtocolError, match="obsolete"):
        read_control((4, THEIRS, OURS), PEER, HIDDEN_FLAGS)


@pytest.mark.parametrize(("control", "signal", "field"), CASES, ids=lambda value: str(value)[:40])
def test_another_number_of_elements_costs_the_connection(control, signal, field):
    with pytest.raises(ProtocolError):
        read_control(control[:-1], PEER, HIDDEN_FLAGS)
    if control[0] == 37:
        assert read_control((*control, NAME, 1), PEER, HIDDEN_FLAGS)[1] == field
    else:
        with pytest.raises(ProtocolError):
            read_control((*control, NAME), PEER, HIDDEN_FLAGS)


@pytest.mark.parametrize("control", [c for c, s, _ in CASES if type(s) not in (Message, Exit2)], ids=str)
def test_an_element_of_another_type_costs_the_connection(control):
    free = {3: {3}, 13: {3, 4}, 21: {4}, 25: {3}, 29: {5}, 30: {5, 6}, 32: {5}}.get(control[0], set())
    for index in range(1, len(control)):
        if index not in free:
            with pytest.raises(ProtocolError):
                read_control((*control[:index], 1.5, *control[index + 1 :]), PEER, HIDDEN_FLAGS)


@pytest.mark.parametrize("op", [1, 3, 13, 19, 20, 24, 25, 35, 36])
def test_a_signal_in_the_name_of_another_node_costs_the_connection(op):
    control = next(control for control, _, _ in CASES if control[0] == op)
    foreign = Pid(Atom("stranger@127.0.0.1"), 7, 0, 3)
    forged = tuple(foreign if element is THEIRS else element for element in control)
    with pytest.raises(ProtocolError, match="another node"):
        read_control(forged, PEER, HIDDEN_FLAGS)


def test_a_pid_of_another_life_of_the_peer_is_taken():
    assert read_control((1, Pid(PEER, 7, 0, 99), OURS), PEER, HIDDEN_FLAGS)[1] == ""


@pytest.mark.parametrize("control", [None, [], (), (99,), (5,), (True, THEIRS, OURS), (9, 1), (2.0, 1, 2), NAME])
def test_what_is_no_known_operation_costs_the_connection(control):
    with pytest.raises(ProtocolError):
        read_control(control, PEER, HIDDEN_FLAGS)


@pytest.mark.parametrize("id", [0, -1, 2**64, True])
def test_an_unlink_id_out_of_range_costs_the_connection(id):
    for op in (35, 36):
        with pytest.raises(ProtocolError):
            read_control((op, id, THEIRS, OURS), PEER, HIDDEN_FLAGS)


def test_an_unlink_id_of_zero_is_never_sent():
    for op, signal in ((35, Unlink(0, OURS, THEIRS)), (36, UnlinkAck(0, OURS, THEIRS))):
        with pytest.raises(EncodeError):
            OPERATIONS[op].write(signal)


def test_altact_without_its_token_costs_the_connection_and_unknown_flags_do_not():
    with pytest.raises(ProtocolError, match="token"):
        read_control((37, 2, THEIRS, OURS), PEER, HIDDEN_FLAGS)
    assert read_control((37, 2**70, THEIRS, OURS), PEER, HIDDEN_FLAGS)[0] == Message(THEIRS, OURS, None)


def test_altact_writes_the_flags_of_what_it_carries():
    assert AltactSend.write(Message(OURS, REF, 1))[1] == 4
    assert AltactSend.write(Message(OURS, NAME, 1, TOKEN, True))[1] == 11
    assert AltactSend.write(Exit2(OURS, THEIRS, 1, None, True))[1] == 17


@pytest.mark.parametrize(("value", "name"), [(True, "true"), (False, "false"), (None, "nil")])
def test_a_process_may_be_registered_as_true_false_or_nil(value, name):
    assert read_control((6, THEIRS, Atom(""), value), PEER, HIDDEN_FLAGS)[0].to is Atom(name)
    assert read_control((19, THEIRS, value, REF), PEER, HIDDEN_FLAGS)[0].to is Atom(name)
