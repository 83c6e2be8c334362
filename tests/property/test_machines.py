"""Any bytes into any machine of the protocol: events, or one documented error, in bounded time and memory.

Inputs are made from seeds out of a corpus (`tests/data/fuzz_corpus.json`: what peers really say, and what once found
a defect), so a failure names the seed that makes it again. A run takes 4,000; the long profile
(``HYPOTHESIS_PROFILE=long``) 10,000,000. ``python tests/property/test_machines.py 300`` goes on for 300 seconds with
seeds that begin at the second argument, and prints how many it took.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Any

import pytest

from pyerlnode.dist import epmd
from pyerlnode.dist.channel import Channel
from pyerlnode.dist.flags import HIDDEN_FLAGS, VISIBLE_FLAGS, DistFlags
from pyerlnode.dist.handshake import Acceptor, Initiator, OwnIdentity, PeerInfo, Status
from pyerlnode.errors import ProtocolError
from pyerlnode.limits import Limits

CORPUS = {
    machine: [bytes.fromhex(text) for text in texts]
    for machine, texts in json.loads(
        (Path(__file__).parents[1] / "data" / "fuzz_corpus.json").read_text(encoding="utf-8")
    ).items()
}
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
INPUTS = 10_000_000 if LONG else 4_000
SLOWEST_S = 2.0
GROWTH_MB = 64.0
LIMITS = Limits(frame_size=1 << 20, fragmented_size=1 << 20, atoms=1000)
F = DistFlags
BARE = HIDDEN_FLAGS & ~(F.DIST_HDR_ATOM_CACHE | F.FRAGMENTS)
FLAGS = (HIDDEN_FLAGS, BARE, HIDDEN_FLAGS & ~F.FRAGMENTS, HIDDEN_FLAGS & ~F.DIST_HDR_ATOM_CACHE)
PY = OwnIdentity("py@127.0.0.1", 7, HIDDEN_FLAGS)
APP = OwnIdentity("app@127.0.0.1", 9, VISIBLE_FLAGS)
EDGES = (*(bytes((byte,)) for byte in b"\0\xff\x7f\x80\x83DEFPhl"), b"\xff" * 4, bytes(4))


# --- the machines: each takes the pieces of one input --------------------------------------------------------
def channel(pieces: list[bytes], chance: Random) -> None:
    flags = chance.choice(FLAGS)
    machine = Channel(PeerInfo(APP.name, 9, flags, flags, True, PY.name, 7), limits=LIMITS)
    for piece in pieces:
        machine.receive_data(piece)
        while machine.next_event() is not None:
            pass


def initiator(pieces: list[bytes], chance: Random) -> None:
    machine = Initiator(PY, APP.name, "secret", 1, version=chance.choice((5, 6)))
    for piece in pieces:
        machine.receive_data(piece)
        machine.next_event()
        machine.data_to_send()


def acceptor(pieces: list[bytes], chance: Random) -> None:
    status = chance.choice((Status.OK, Status.ALIVE, Status.NOK, Status.OK_SIMULTANEOUS))
    machine = Acceptor(APP, lambda *_: status, lambda _: "secret", 1, give_name=lambda host: (f"given@{host}", 5))
    for piece in pieces:
        machine.receive_data(piece)
        machine.next_event()
        machine.data_to_send()


def epmd_server(pieces: list[bytes], chance: Random) -> None:
    machine = epmd.EpmdServerCore(4369, relaxed=chance.random() < 0.5)
    for number in (1, 2):
        machine.connected(number, True, 0.0)
        for piece in pieces:
            machine.receive_data(number, piece, 0.0, 1_700_000_000)


def epmd_client(pieces: list[bytes], chance: Random) -> None:
    data = b"".join(pieces)
    chance.choice((epmd.decode_alive_reply, epmd.decode_port_reply, epmd.decode_names_reply))(data)


MACHINES: dict[str, Callable[[list[bytes], Random], None]] = {
    "channel": channel,
    "initiator": initiator,
    "acceptor": acceptor,
    "epmd_server": epmd_server,
    "epmd_client": epmd_client,
}


# --- inputs --------------------------------------------------------------------------------------------------
def damage(data: bytearray, other: bytes, chance: Random) -> None:
    """Change `data` in one way; `other` is another input of the corpus."""
    at = chance.randrange(len(data) + 1)
    to = min(len(data), at + chance.choice((1, 1, 2, 4, 16)))
    how = chance.randrange(8)
    if how == 0:
        data[at:to] = chance.randbytes(to - at)
    elif how == 1:
        data[at:to] = chance.choice(EDGES)
    elif how == 2:
        del data[at:to]
    elif how == 3:
        data[at:at] = chance.randbytes(chance.randint(1, 8))
    elif how == 4:
        data[at:at] = data[at:to] * chance.choice((1, 2, 50))
    elif how == 5:
        del data[at:]
    elif how == 6:
        data[at:] = other[chance.randrange(len(other) + 1) :]
    elif at < len(data):
        data[at] ^= 1 << chance.randrange(8)


def made(machine: str, chance: Random) -> list[bytes]:
    """The pieces of one input, in the order in which they are read."""
    corpus = CORPUS[machine]
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 6))):
        damage(data, chance.choice(corpus), chance)
    if machine == "channel" and chance.random() < 0.7 and 4 <= len(data) < 1 << 16:
        data[:4] = (len(data) - 4).to_bytes(4, "big")  # so that what is inside is looked at, too
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 0, 1, 3))))
    return [bytes(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@dataclass
class Found:
    inputs: int = 0
    refused: int = 0
    slowest: float = 0.0
    by_machine: dict[str, int] = field(default_factory=dict)


def refusal(machine: str, pieces: list[bytes], chance: Random) -> str:
    """The text of the error that the machine gives; empty when it gives none."""
    try:
        MACHINES[machine](pieces, chance)
    except ProtocolError as error:
        return str(error)
    return ""


def one(machine: str, seed: int, found: Found) -> None:
    """Anything but a `ProtocolError` of one line goes up, with the seed."""
    chance = Random(f"{machine} {seed}")
    pieces = made(machine, chance)
    began = process_time()
    try:
        text = refusal(machine, pieces, chance)
    except Exception as error:
        raise AssertionError(f"{machine}, seed {seed}, {b''.join(pieces).hex()[:2000]}") from error
    assert "\n" not in text, (machine, seed)
    found.refused += bool(text)
    found.slowest = max(found.slowest, process_time() - began)
    found.inputs += 1
    found.by_machine[machine] = found.by_machine.get(machine, 0) + 1


def largest_mb() -> float:
    """What this process ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("machine", MACHINES)
def test_any_bytes_give_events_or_one_documented_error_in_bounded_time_and_memory(machine: str) -> None:
    found = Found()
    before = largest_mb()
    for seed in range(INPUTS // len(MACHINES)):
        one(machine, seed, found)
    assert found.inputs == INPUTS // len(MACHINES)
    assert found.refused < found.inputs
    assert found.refused or machine == "epmd_server"  # which closes and says nothing
    assert found.slowest < SLOWEST_S
    assert largest_mb() - before < GROWTH_MB


@pytest.mark.parametrize("machine", MACHINES)
def test_the_corpus_is_understood_as_it_stands(machine: str) -> None:
    for data in CORPUS[machine]:
        for seed in range(8):
            assert "\n" not in refusal(machine, [data], Random(seed))


def main(seconds: float, seed: int = 1_000_000) -> None:
    found: Any = Found()
    before, began = largest_mb(), perf_counter()
    while perf_counter() - began < seconds:
        for _ in range(200):
            for machine in MACHINES:
                one(machine, seed, found)
            seed += 1
    print(f"{found.inputs} inputs, {found.refused} refused, in {perf_counter() - began:.0f} s; {found.by_machine}")
    print(f"slowest {found.slowest * 1000:.1f} ms; memory {before:.1f} MB, at most {largest_mb():.1f} MB; no defect")


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(int, sys.argv[2:]))
