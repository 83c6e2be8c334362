"""The machine of a connection: golden streams of real BEAMs, and channels in pairs."""

import itertools
import json
import random
from pathlib import Path

import pytest

from pyerlnode.dist.channel import Channel, Undecodable
from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.dist.fragment import FRAGMENT_SIZE
from pyerlnode.dist.handshake import PeerInfo
from pyerlnode.dist.ticks import TickAction, TickSettings
from pyerlnode.errors import EncodeError, ProtocolError
from pyerlnode.limits import Limits
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
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text(encoding="utf-8"))
F = DistFlags
PASS_THROUGH = HIDDEN_FLAGS & ~(F.DIST_HDR_ATOM_CACHE | F.FRAGMENTS)
FLAG_SETS = {
    "pass-through": PASS_THROUGH,
    "cache": HIDDEN_FLAGS & ~F.FRAGMENTS,
    "fragments": HIDDEN_FLAGS & ~F.DIST_HDR_ATOM_CACHE,
    "both": HIDDEN_FLAGS,
    "oldest": PASS_THROUGH & ~(F.SEND_SENDER | F.EXIT_PAYLOAD | F.ALTACT_SIG),
}
LEFT, RIGHT = "left@127.0.0.1", "right@127.0.0.1"


def channel(name=LEFT, flags=HIDDEN_FLAGS, **options):
    return Channel(PeerInfo(name, 1, flags, flags, True, "x@127.0.0.1", 2), **options)


def pair(flags=HIDDEN_FLAGS, **options):
    """What left sends, right receives."""
    return channel(RIGHT, flags, **options), channel(LEFT, flags, **options)


def frame(packet):
    return len(packet).to_bytes(4, "big") + packet


def events(machine, data, step=None):
    """All events, and the error that ended the machine or None, when `data` arrives in pieces of `step` bytes."""
    found = []
    try:
        for at in range(0, len(data), step or max(1, len(data))):
            machine.receive_data(data[at : at + (step or len(data))])
            while (event := machine.next_event()) is not None:
                found.append(event)
    except ProtocolError as error:
        return found, error
    return found, None


THEIRS = Pid(Atom(LEFT), 7, 0, 3)
OURS = Pid(Atom(RIGHT), 1, 0, 5)
REF = Reference(Atom(LEFT), 3, (1, 2, 3))
NAME = Atom("logger")
TOKEN = (1, 2, 3, THEIRS, 0)
SIGNALS = [
    Message(THEIRS, OURS, (A.hello, [1, 2.5, None], {b"k": b"v"})),
    Message(THEIRS, OURS, [], TOKEN),
    Message(THEIRS, NAME, 0),
    Message(THEIRS, REF, (REF, A.ok)),
    Link(THEIRS, OURS),
    Unlink(1, THEIRS, OURS),
    UnlinkAck(2**64 - 1, THEIRS, OURS),
    ExitSignal(THEIRS, OURS, (A.shutdown, 1)),
    Exit2(THEIRS, OURS, A.kill, TOKEN),
    Monitor(THEIRS, NAME, REF),
    Demonitor(THEIRS, OURS, REF),
    MonitorExit(NAME, OURS, REF, A.noproc),
    GroupLeader(THEIRS, OURS),
    SpawnRequest(REF, THEIRS, THEIRS, (A.lists, A.reverse, 1), [A.link], [[1, 2]]),
    SpawnReply(REF, OURS, 3, THEIRS),
    Message(THEIRS, OURS, b"x" * 200_000),
]


# --- golden streams ------------------------------------------------------------------------------------
@pytest.mark.parametrize("capture", VECTORS["connections"]["captures"], ids=lambda c: str(c["otp"]))
@pytest.mark.parametrize("step", [None, 1, 7, 4096])
def test_the_stream_of_a_real_node_is_understood(capture, step):
    packets = [entry for entry in capture["stream"] if "packet" in entry]
    machine = channel(capture["node"])
    found, error = events(machine, b"".join(frame(bytes.fromhex(entry["packet"])) for entry in packets), step)
    assert error is None
    assert len(found) == sum(bool(entry["packet"]) for entry in packets)
    assert not [event for event in found if type(event) is Undecodable]
    signals = iter(found)
    for entry in packets:
        if entry["packet"]:
            signal, op = next(signals), int(entry["control"].strip("(").split(",")[0])
            assert OPS[op] is type(signal)
            assert machine.node in (value.node for value in vars_of(signal) if type(value) in (Pid, Reference))


OPS = {
    1: Link, 2: Message, 6: Message, 7: GroupLeader, 19: Monitor, 20: Demonitor, 21: MonitorExit, 22: Message,
    24: ExitSignal, 26: Exit2, 28: MonitorExit, 29: SpawnRequest, 31: SpawnReply, 33: Message, 35: Unlink,
    36: UnlinkAck, 37: Message,
}  # fmt: skip


def vars_of(signal):
    return [getattr(signal, name) for name in type(signal).__slots__]


@pytest.mark.parametrize("vector", VECTORS["fragments"], ids=lambda v: str(v["otp"]))
@pytest.mark.parametrize("step", [None, 1, 5])
def test_the_golden_fragments_give_the_messages_that_a_node_received(vector, step):
    machine = channel(vector["sender"][0])
    data = b"".join(frame(bytes.fromhex(packet["packet"])) for packet in vector["packets"])
    found, error = events(machine, data, step)
    assert error is None
    bodies = [event.message[1] for event in found]
    assert bodies.count(b"0123456789") == 5
    assert bodies.count(A.between) == 1
    assert {event.to for event in found} == {Atom("echo1")}
    assert (machine.ticks_in, machine.pending_fragments) == (1, 0)


# --- in pairs --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("flags", FLAG_SETS.values(), ids=FLAG_SETS)
@pytest.mark.parametrize("step", [None, 1, 61, 65536])
def test_every_signal_arrives_as_it_was_sent(flags, step):
    left, right = pair(flags)
    signals = SIGNALS if step != 1 else SIGNALS[:-1]
    expected, data = [], b""
    for signal in signals:
        buffers = left.send(signal)
        if buffers:
            data += b"".join(buffers)
            expected.append(signal)
    found, error = events(right, data, step)
    assert error is None
    for signal in found:
        if type(signal) is Message and signal.from_ is None:
            assert F.SEND_SENDER not in flags
            signal.from_ = THEIRS
    assert found == expected
    assert len(expected) >= len(signals) - 1


def test_bytes_behind_the_payload_are_ignored():
    left, right = pair()
    packet = b"".join(left.send(SIGNALS[0]))[4:] + b"trailing"
    assert right.receive(frame(packet) + frame(b"")) == [SIGNALS[0]]
    assert (right.failed, right.ticks_in) == (None, 1)


def test_nothing_is_sent_for_what_the_peer_does_not_know():
    left, _ = pair(HIDDEN_FLAGS & ~(F.ALIAS | F.ALTACT_SIG))
    assert left.send(Message(THEIRS, REF, 1)) == []


def test_a_term_without_a_form_on_the_wire_raises_at_the_sender_and_sends_nothing():
    left, right = pair()
    with pytest.raises(EncodeError):
        left.send(Message(THEIRS, OURS, object()))
    assert right.receive(b"".join(left.send(SIGNALS[0]))) == [SIGNALS[0]]


def test_a_token_that_the_peer_can_not_read_is_left_out():
    left, right = pair(HIDDEN_FLAGS & ~F.BIG_SEQTRACE_LABELS)
    sent = Message(THEIRS, OURS, 1, (1, (A.label,), 3, THEIRS, 0))
    assert right.receive(b"".join(left.send(sent))) == [Message(THEIRS, OURS, 1)]


def test_a_large_binary_is_not_copied_into_the_packet():
    big = b"z" * (8 * 1024 * 1024)
    for flags in (PASS_THROUGH, HIDDEN_FLAGS):
        left, right = pair(flags)
        buffers = left.send(Message(THEIRS, OURS, big))
        assert sum(len(b) for b in buffers if type(b) is bytes and b is not big) < 65536
        assert right.receive(b"".join(buffers)) == [Message(THEIRS, OURS, big)]


def test_fragments_have_the_size_of_otps_and_may_be_mixed_with_other_packets():
    left, right = pair()
    first = left.packets(Message(THEIRS, OURS, b"a" * 300_000))
    second = left.packets(Message(THEIRS, OURS, b"b" * 200_000))
    assert {sum(map(len, packet)) for packet in first[1:-1]} == {4 + 18 + FRAGMENT_SIZE}
    small = left.packets(SIGNALS[0])
    mixed = [p for both in itertools.zip_longest(first, second) for p in both if p]
    mixed[3:3] = small
    found = right.receive(b"".join(b for packet in mixed for b in packet))
    assert [len(event.message) for event in found] == [3, 200_000, 300_000]
    assert right.failed is None


def test_a_payload_that_is_no_term_costs_one_message_and_tells_whose():
    left, right = pair()
    good = b"".join(left.send(Message(THEIRS, OURS, 1)))
    bad = frame(good[4:-2] + b"\xc8")
    assert good[-2:] == b"a\x01"
    found = right.receive(good + bad + good)
    assert [type(event) for event in found] == [Message, Undecodable, Message]
    assert (found[1].signal, found[1].offset) == (Message(THEIRS, OURS, None), 0)
    assert (right.undecodable, right.failed) == (1, None)


def test_a_payload_that_reaches_into_the_next_packet_is_no_term():
    left, right = pair()
    good = b"".join(left.send(Message(THEIRS, OURS, 1)))
    found = right.receive(frame(good[4:-2] + b"m\0\0\0\x04ab") + good)
    assert [type(event) for event in found] == [Undecodable, Message]


# --- what costs the connection -----------------------------------------------------------------------------
def broken(data, flags=HIDDEN_FLAGS, **options):
    _, right = pair(flags, **options)
    found, error = events(right, data)
    assert error is not None, found
    with pytest.raises(ProtocolError):
        right.next_event()
    return str(error)


def test_events_before_an_error_come_first_however_the_bytes_are_cut():
    left, _ = pair()
    good = b"".join(left.send(SIGNALS[0]))
    for step in (None, 1, 10):
        _, right = pair()
        found, error = events(right, good + good + frame(b"\x83E") + good, step)
        assert found == [SIGNALS[0], SIGNALS[0]]
        assert error is not None
        assert right.receive(good) == []


def test_a_packet_in_the_other_encoding_costs_the_connection():
    left, _ = pair(PASS_THROUGH)
    broken(b"".join(left.send(SIGNALS[0])), HIDDEN_FLAGS)
    left, _ = pair()
    broken(b"".join(left.send(SIGNALS[0])), PASS_THROUGH)


def test_a_version_byte_before_a_term_behind_a_header_costs_the_connection():
    left, _ = pair()
    packet = b"".join(left.send(SIGNALS[0]))[4:]
    broken(frame(packet[:3] + b"\x83" + packet[3:]))


def test_control_that_can_not_be_decoded_costs_the_connection():
    assert "can not be decoded" in broken(frame(b"\x83D\0\xff"))
    assert "can not be decoded" in broken(frame(b"\x83D\0a") + frame(b""))


def test_a_missing_payload_costs_the_connection():
    left, _ = pair()
    packet = b"".join(left.send(Message(THEIRS, OURS, 1)))[4:-2]
    assert "without its payload" in broken(frame(packet))


def test_a_packet_above_the_limit_costs_the_connection_before_it_came():
    for data in (b"\x7f\xff\xff\xff", b"\0\0\x10\x01" + b"x" * 0x1001):
        assert "limit" in broken(data, limits=Limits(frame_size=4096))


@pytest.mark.parametrize(
    "packets",
    [
        [b"\x83E" + bytes(8) + bytes(7) + b"\x02"],
        [b"\x83E" + bytes(7) + b"\x01" + bytes(8)],
        [b"\x83F" + bytes(7) + b"\x01" + bytes(7) + b"\x01x"],
        [b"\x83E" + bytes(4)],
        [b"\x83G\0"],
    ],
    ids=["sequence 0", "fragment 0", "never begun", "cut off", "unknown kind"],
)
def test_a_wrong_fragment_costs_the_connection(packets):
    broken(b"".join(map(frame, packets)))


def test_a_gap_and_a_second_beginning_cost_the_connection():
    left, _ = pair()
    first, second, third, *_ = [b"".join(p) for p in left.packets(Message(THEIRS, OURS, b"a" * 300_000))]
    assert "left out" in broken(first + third)
    assert "twice" in broken(first + second + first)


def test_fragments_are_refused_when_they_were_not_agreed_on():
    left, _ = pair()
    assert "unknown kind" in broken(b"".join(left.send(SIGNALS[-1])), HIDDEN_FLAGS & ~F.FRAGMENTS)


def test_a_signal_without_payload_may_not_be_split():
    left, _ = pair()
    control = b"".join(left.send(Link(THEIRS, OURS)))[7:]
    packet = b"\x83E" + bytes(7) + b"\x01" + bytes(7) + b"\x02\0" + control
    assert "no payload" in broken(frame(packet))


def test_unfinished_messages_are_bounded_in_number_and_size():
    left, _ = pair()
    begun = [b"".join(left.packets(Message(THEIRS, OURS, b"a" * 70_000))[0]) for _ in range(4)]
    assert "more than 3 fragmented" in broken(b"".join(begun), limits=Limits(pending_fragments=3))
    assert "hold more than" in broken(b"".join(begun), limits=Limits(fragmented_size=200_000))


def test_atoms_of_a_peer_are_bounded():
    limits = Limits(atoms=2)
    left, right = pair(limits=limits)
    names = [Atom(f"bounded_{number}").wire.replace(b"bounded", b"BOUNDED") for number in range(3)]
    head = b"".join(left.send(Message(THEIRS, OURS, 1)))[4:-2]
    found = right.receive(b"".join(frame(head + name) for name in names))
    assert [type(event) for event in found] == [Message, Message, Undecodable]


def test_a_cache_that_was_not_agreed_on_costs_the_connection():
    assert "not agreed" in broken(frame(b"\x83D\x01\x08\x05\x01xh\x01a\x01"), HIDDEN_FLAGS & ~F.DIST_HDR_ATOM_CACHE)


@pytest.mark.parametrize("flags", FLAG_SETS.values(), ids=FLAG_SETS)
def test_any_bytes_give_events_or_one_protocol_error(flags):
    chance = random.Random(20_251)
    left, _ = pair(flags)
    whole = b"".join(b for signal in SIGNALS[:-1] for b in left.send(signal))
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            data[at : at + chance.choice((0, 1, 1, 1, 4))] = chance.randbytes(chance.choice((0, 1, 1, 2)))
        limits = Limits(frame_size=1 << 20)
        once, error = events(channel(LEFT, flags, limits=limits), bytes(data))
        again, same = events(channel(LEFT, flags, limits=limits), bytes(data), chance.choice((1, 3, 50)))
        assert [type(e) for e in once] == [type(e) for e in again]
        assert type(error) is type(same)


# --- ticks -------------------------------------------------------------------------------------------------
def test_a_silent_connection_is_ticked_and_a_silent_peer_given_up():
    machine = channel(ticks=TickSettings(60, 4), now=100.0)
    assert machine.next_deadline() == 115.0
    assert machine.handle_timer(114.9) == []
    actions = [machine.handle_timer(100.0 + 15 * n) for n in range(1, 5)]
    assert actions == [[TickAction.SEND_TICK]] * 3 + [[TickAction.PEER_DOWN]]


def test_a_tick_of_the_peer_is_a_sign_of_life():
    machine = channel(ticks=TickSettings(60, 4), now=0.0)
    for n in range(1, 20):
        machine.receive(b"\0\0\0\0")
        assert machine.handle_timer(15.0 * n) == [TickAction.SEND_TICK]
    assert machine.ticks_in == 19
