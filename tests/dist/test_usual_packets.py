"""Packets of the usual signals: read and written in one go (`etf.PacketReader`, `PacketWriter`), as step by step.

Each test goes through `Channel` with each codec's pair in turn and compares with a channel that does everything step by
step, which is what the readable twins leave it to.
"""

import gc
import os
import sys
from random import Random

import pytest

from pyerlnode.dist import channel as channel_module
from pyerlnode.dist import vocabulary
from pyerlnode.dist.atom_cache import AtomCacheWriter
from pyerlnode.dist.channel import Channel, Undecodable
from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.dist.handshake import PeerInfo
from pyerlnode.errors import EncodeError, ProtocolError
from pyerlnode.etf import _packets_py
from pyerlnode.limits import Limits
from pyerlnode.signal import Demonitor, Exit2, Message, Monitor
from pyerlnode.term import A, Atom, Bitstring, ExternalFun, ImproperList, Pid, Reference, Struct, register_encoder

PEER, OWN = "peer@127.0.0.1", "own@127.0.0.1"
THEIRS, OURS, OTHER = Pid(A[PEER], 70, 1, 9), Pid(A[OWN], 80, 0, 7), Pid(A["other@127.0.0.1"], 1, 0, 5)
REF = Reference(A[PEER], 9, (1, 2, 2**32 - 1))
F = DistFlags
SEEDS = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 400
SIGNALS = [
    Message(THEIRS, OURS, (A.tick, 1)),
    Message(THEIRS, A.name, [1, 2.5, b"x", None, True, {A.k: "v"}]),
    Message(THEIRS, Atom("true"), A.x),
    Message(THEIRS, REF, (ImproperList((A.alias,), REF), 7)),
    Message(THEIRS, OURS, 1, token=(1, 2, 3, 4, 5)),
    Message(THEIRS, OURS, 1, priority=True),
    Message(THEIRS, OURS, bytes(65_000)),
    Message(THEIRS, OURS, bytes(70_000)),
    Message(THEIRS, OURS, [bytes(30_000)] * 5),
    Monitor(THEIRS, OURS, REF),
    Monitor(THEIRS, A.name, REF),
    Demonitor(THEIRS, OURS, REF),
    Demonitor(THEIRS, Atom("nil"), REF),
    Exit2(THEIRS, OURS, A.kill),
]


def made(name=PEER, flags=HIDDEN_FLAGS, limits=None):
    return Channel(PeerInfo(name, 1, flags, flags, True, OWN, 2), limits=limits or Limits())


@pytest.fixture
def channels(etf, monkeypatch):
    """A maker of channels with the codec's pair, and one of channels that do everything step by step."""

    def of(module):
        def make(name=PEER, flags=HIDDEN_FLAGS, limits=None):
            monkeypatch.setattr(channel_module, "PacketReader", module.PacketReader)
            monkeypatch.setattr(vocabulary, "PacketWriter", module.PacketWriter)
            return made(name, flags, limits)

        return make

    return of(etf), of(_packets_py)


def received(machine, data, step=None):
    """The events as text, as Python shows them, and the error that ended the machine."""
    found = []
    for at in range(0, len(data), step or max(1, len(data))):
        for event in machine.receive(data[at : at + (step or len(data))]):
            if isinstance(event, Undecodable):
                event = (event.signal, event.text, event.offset)
            found.append(repr(event))
    return found, str(machine.failed), machine.messages_in, machine.ticks_in, machine.undecodable


BARE = HIDDEN_FLAGS & ~F.DIST_HDR_ATOM_CACHE


@pytest.mark.parametrize("flags", [BARE, BARE & ~F.ALTACT_SIG, BARE & ~F.SEND_SENDER, BARE & ~F.DIST_MONITOR_NAME,
                                   HIDDEN_FLAGS & ~F.FRAGMENTS, BARE & ~F.FRAGMENTS])  # fmt: skip
def test_what_is_written_is_the_same_byte_by_byte(channels, flags):
    one, other = (make(flags=flags) for make in channels)
    for signal in SIGNALS:
        assert [b"".join(packet) for packet in one.packets(signal)] == [
            b"".join(packet) for packet in other.packets(signal)
        ]
    assert one.messages_out == other.messages_out > 0
    assert one.fragments_out == other.fragments_out


ATOMS = [A[f"atom_{number}"] for number in range(4_000)]


def by_cache():
    """Signals whose packets name few atoms, many, two of one slot, none that a header can hold, and their own names."""
    for number in range(0, 4_000, 37):
        yield Message(OURS, THEIRS, ATOMS[number : number + number % 300])
    yield Message(OURS, THEIRS, ATOMS[:3])
    yield Message(OURS, A.name, [A["ü" * 128], A["x" * 255], A["ü" * 127], A["x" * 255], True, None, A[""]])
    yield Message(OURS, A.name, Struct(A.Elixir.Some.Struct, {A.a: ATOMS[0], A.b: ExternalFun(A.m, A.f, 1)}))
    yield Monitor(THEIRS, ATOMS[1], REF)
    yield Message(OURS, THEIRS, [ATOMS[:50], bytes(70_000)])
    yield Message(OURS, THEIRS, [ATOMS[:50], list(range(1_000, 40_000))])
    yield Demonitor(THEIRS, ATOMS[1], REF)


def test_atoms_that_were_sent_are_named_by_the_cache(channels):
    for make in channels:
        machine, peer, stepwise = make(OWN), make(), channels[1]()
        sizes = []
        for signal in [*by_cache(), *by_cache()]:
            packets = machine.packets(signal)
            data = b"".join(buffer for packet in packets for buffer in packet)
            sizes.append(len(data))
            assert peer.receive(data) == [signal]
            assert stepwise.receive(data) == [signal]
        if make is channels[0] and type(machine.usual(Monitor(OURS, A.a, REF))) is bytes:
            half = len(sizes) // 2
            assert sum(sizes[half:]) < sum(sizes[:half])
            fresh = Message(OURS, THEIRS, [A.first_of_all, A.second_of_all])
            first, second = (len(machine.packets(fresh)[0][0]) for _ in range(2))
            assert first - second == len("first_of_all") + len("second_of_all") + 2  # each with its length


def test_what_may_be_passed_by_others_names_no_atom_of_the_cache(channels):
    machine = channels[0](OWN)
    for signal in (
        Message(OURS, A.name, A.x),
        Monitor(THEIRS, A.name, REF),
        Message(OURS, A.name, [A.x, bytes(70_000)]),
    ):
        machine.packets(signal)
        made = machine.usual(signal, False)
        if made is not None:
            packet = made if type(made) is bytes else made[0][0]
            assert packet[4:7] == b"\x83D\0"
            assert channels[1]().receive(made if type(made) is bytes else b"".join(made[0])) == [signal]


def test_a_message_that_fails_teaches_the_peer_nothing(channels):
    machine, peer = channels[0](OWN), channels[1]()
    with pytest.raises(EncodeError):
        machine.packets(Message(OURS, THEIRS, [A.never_heard, object()]))
    data = b"".join(machine.packets(Message(OURS, THEIRS, [A.never_heard]))[0])
    assert peer.receive(data) == [Message(OURS, THEIRS, [A.never_heard])]


def stream(flags=BARE):
    machine = made(OWN, flags)
    return b"".join(b"".join(machine.send(signal)) + bytes(4) for signal in SIGNALS)


@pytest.mark.parametrize("step", [None, 1, 7, 100, 1_000, 65_536])
def test_what_is_read_is_the_same_however_it_is_cut(channels, step):
    data = stream()
    one, other = (received(make(), data, step) for make in channels)
    assert one == other
    assert one[2] == len(SIGNALS)


def cached(terms, writer):
    """A packet whose terms name their atoms by the header: each term is a list of bytes and atoms."""
    chosen = writer.choose([part for term in terms for part in term if type(part) is not bytes])
    body = b"".join(part if type(part) is bytes else bytes((82, chosen[part])) for term in terms for part in term)
    packet = b"\x83D" + writer.header(chosen) + body
    return len(packet).to_bytes(4, "big") + packet


def cached_stream():
    """What a BEAM sends: every atom a reference, new in the first packet that names it."""
    writer, node, own = AtomCacheWriter(), A[PEER], A[OWN]
    theirs = [b"X", node, bytes((0, 0, 0, 70, 0, 0, 0, 1, 0, 0, 0, 9))]
    ours = [b"X", own, bytes((0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 7))]
    ref = [b"Z\0\1", node, bytes((0, 0, 0, 9, 0, 0, 0, 5))]
    packets = []
    for _ in range(3):
        packets += [
            cached([[b"h\4a\6", *theirs, A[""], A.name], [b"h\2", A.tick, b"a\1"]], writer),
            cached([[b"h\3a\x16", *theirs, *ours], [Atom("true")]], writer),
            cached([[b"h\4a\x13", *theirs, A.name, *ref]], writer),
            cached([[b"h\4a\x14", *theirs, Atom("false"), *ref]], writer),
            cached([[b"h\4a\x25a\4", *theirs, *ref], [b"m\0\0\0\1x"]], writer),
            cached([[b"h\3a!", *theirs, *ref], [b"j"]], writer),
        ]
    return b"".join(packets)


@pytest.mark.parametrize("step", [None, 3, 50, 500])
def test_atoms_of_the_header_are_the_same(channels, step):
    data = cached_stream()
    one, other = (received(make(), data, step) for make in channels)
    assert one == other
    assert one[1:3] == ("None", 18)
    assert len(set(one[0])) == 6


@pytest.mark.timeout(1800)
def test_damaged_packets_give_the_same_events_and_the_same_error(channels):
    limits = Limits(frame_size=1 << 17, atoms=500)
    corpus = [stream(), cached_stream(), stream()[:600]]
    for seed in range(SEEDS):
        chance = Random(seed)
        data = bytearray(chance.choice(corpus))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(min(len(data), 900))
            match chance.randrange(3):
                case 0:
                    data[at] = chance.choice((0, 1, 255, chance.randrange(256)))
                case 1:
                    del data[at : at + chance.randint(1, 5)]
                case _:
                    data[at:at] = chance.randbytes(chance.randint(1, 5))
        step = chance.choice((None, 40, 4_000))
        one, other = (received(make(limits=limits), bytes(data), step) for make in channels)
        assert one == other, f"seed {seed}"


def test_a_monitor_in_the_name_of_another_node_costs_the_connection(channels):
    sender = made(OWN)
    data = b"".join(sender.send(Monitor(THEIRS, OURS, REF))) + b"".join(sender.send(Monitor(OTHER, OURS, REF)))
    for make in channels:
        machine = make()
        assert machine.receive(data) == [Monitor(THEIRS, OURS, REF)]
        assert isinstance(machine.failed, ProtocolError)


def test_a_term_without_a_form_is_told_with_its_place_and_the_next_one_goes(channels):
    for make in channels:
        machine = make()
        with pytest.raises(EncodeError) as error:
            machine.packets(Message(OURS, THEIRS, [1, (object(),)]))
        assert error.value.path == "[1][0]"
        with pytest.raises(EncodeError):
            machine.packets(Message(Pid(A[OWN], -1, 0, 1), THEIRS, 1))
        assert len(machine.packets(Message(OURS, THEIRS, 1))) == 1
        assert machine.messages_out == 1


class Nested:
    """A term whose encoder sends something itself."""

    def __init__(self, machine):
        self.machine = machine


register_encoder(Nested, lambda nested: (len(nested.machine.packets(Message(OURS, THEIRS, bytes(70_000)))), A.sent))


def test_an_encoder_that_sends_itself_disturbs_nothing(channels):
    for make in channels:
        machine = make()
        packets = machine.packets(Message(OURS, THEIRS, [Nested(machine), bytes(66_000)]))
        reader = made(OWN)
        events = [event for packet in packets for event in reader.receive(b"".join(packet))]
        assert events == [Message(OURS, THEIRS, [(2, A.sent), bytes(66_000)])]


def test_what_is_usual_leaves_nothing_behind(channels):
    data = stream() + cached_stream()
    channels[0]()  # from here on each is made so
    broken = [data[:cut] for cut in (100, 333, 700)] + [data.replace(b"X", b"Y", 3), data.replace(b"a\1", b"a", 1)]
    unable = Message(OURS, THEIRS, [b"x" * 100, Bitstring(b"\x80", 1), object()])

    def run():
        machine = made()
        for signal in SIGNALS:
            machine.packets(signal)
        with pytest.raises(EncodeError):
            machine.packets(unable)
        machine.receive(data)
        for part in broken:
            made().receive(part)

    def blocks(times):
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(times):
            run()
        gc.collect()
        return sys.getallocatedblocks() - before

    blocks(5)
    blocks(5)
    assert any(blocks(100) < 50 for _ in range(3))
