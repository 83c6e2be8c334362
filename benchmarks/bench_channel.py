"""Small messages per second through the machine of a connection, without a socket.

    python benchmarks/bench_channel.py

Prints medians of interleaved rounds: messages sent to a pid, received, and a 64 MB binary each way.
"""

import statistics
import time

from pyerlnode import etf
from pyerlnode.dist.channel import Channel
from pyerlnode.dist.flags import HIDDEN_FLAGS
from pyerlnode.dist.handshake import PeerInfo
from pyerlnode.signal import Message
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

COUNT, ROUNDS, READ = 20_000, 5, 256 * 1024
LEFT, RIGHT = Atom("left@127.0.0.1"), Atom("right@127.0.0.1")
FROM, TO = Pid(LEFT, 100, 0, 3), Pid(RIGHT, 200, 0, 5)
REF = Reference(LEFT, 3, (1, 2, 3))
SMALL = Message(FROM, TO, (A["$gen_call"], (FROM, REF), (A.get, 42)))


def channel(peer: Atom) -> Channel:
    return Channel(PeerInfo(peer.name, 1, HIDDEN_FLAGS, HIDDEN_FLAGS, True, "x@127.0.0.1", 2))


def sending() -> float:
    machine, start = channel(RIGHT), time.perf_counter()
    for _ in range(COUNT):
        machine.packets(SMALL)
    return COUNT / (time.perf_counter() - start)


def receiving() -> float:
    stream = b"".join(channel(RIGHT).send(SMALL)) * COUNT
    reads = [stream[at : at + READ] for at in range(0, len(stream), READ)]
    machine, start = channel(LEFT), time.perf_counter()
    got = sum(len(machine.receive(data)) for data in reads)
    assert got == COUNT
    return COUNT / (time.perf_counter() - start)


def large_out() -> float:
    big = Message(FROM, TO, bytes(64 * 1024 * 1024))
    start = time.perf_counter()
    channel(RIGHT).send(big)
    return 64 / 1024 / (time.perf_counter() - start)


def large_in() -> float:
    stream = b"".join(channel(RIGHT).send(Message(FROM, TO, bytes(64 * 1024 * 1024))))
    reads = [stream[at : at + READ] for at in range(0, len(stream), READ)]
    machine, start = channel(LEFT), time.perf_counter()
    for data in reads:
        machine.receive(data)
    return 64 / 1024 / (time.perf_counter() - start)


def main() -> None:
    rounds = [(sending(), receiving(), large_out(), large_in()) for _ in range(ROUNDS)]
    out, in_, big_out, big_in = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"codec: {etf.IMPLEMENTATION}")
    print(f"small messages sent      {out:>12,.0f} /s")
    print(f"small messages received  {in_:>12,.0f} /s")
    print(f"64 MB binary sent        {big_out:>12.2f} GB/s")
    print(f"64 MB binary received    {big_in:>12.2f} GB/s")


if __name__ == "__main__":
    main()
