"""Real handshakes beside a flood, by hand: how many get in, and how long they take.

    python benchmarks/flood.py silent      # opens sockets as fast as it can and says nothing
    python benchmarks/flood.py names       # says a name on each, and never answers the challenge
    python benchmarks/flood.py drip        # holds 800 sockets that drip a byte now and then, and opens them anew
    python benchmarks/flood.py none        # nobody floods: what it is compared to

Three processes: a node, the flood, and the peers that dial the node one after the other. With `--from 127.0.0.1` the
flood has the peers' own address, and nothing but what it says tells it from them. Without, it comes from another one
and displaces itself alone. It opens 2,000 files: see `ulimit -n`.
"""

from __future__ import annotations

import argparse
import resource
import socket
import subprocess
import sys
import time
from collections import deque

from pyerlnode.dist.flags import HIDDEN_FLAGS
from pyerlnode.dist.handshake import Initiator, OwnIdentity
from pyerlnode.errors import ConnectError

HELD = 2000
DRIPPING = 800


def node() -> None:
    """The process that is flooded: prints its port, runs until its input ends, prints its CPU time."""
    import gevent

    from pyerlnode import Node

    with Node("door@127.0.0.1", cookie="secret", epmd="none") as ours:
        print(ours.port, flush=True)
        gevent.get_hub().threadpool.apply(sys.stdin.read)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{used.ru_utime + used.ru_stime:.1f}", flush=True)


def drip(sock: socket.socket) -> None:
    try:
        sock.send(b"\0")
    except OSError:
        pass


def flood(kind: str, port: int, source: str) -> None:
    """Prints once a second how many sockets it has opened in it."""
    hello = Initiator(OwnIdentity("crowd@127.0.0.1", 1, HIDDEN_FLAGS), "door@127.0.0.1", "", 1).data_to_send()
    held: deque[socket.socket] = deque()
    most = DRIPPING if kind == "drip" else HELD
    opened, since = 0, time.monotonic()
    while True:
        sock = socket.socket()
        sock.bind((source, 0))
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        held.append(sock)
        opened += 1
        if kind == "names":
            try:
                sock.send(hello)
            except OSError:
                pass
        if kind == "drip":
            time.sleep(0.0005)
            for one in (held[0], held[len(held) // 2]):
                drip(one)
        if len(held) > most:
            held.popleft().close()
        if time.monotonic() - since >= 1.0:
            print(opened, flush=True)
            opened, since = 0, time.monotonic()


def peers(port: int, count: int) -> tuple[int, list[float]]:
    """How many of `count` dials got in, and the seconds that each took."""
    from pyerlnode.net.connector import connect

    came, took = 0, []
    for number in range(count):
        begun = time.monotonic()
        own = OwnIdentity(f"peer{number}@127.0.0.1", 1, HIDDEN_FLAGS)
        try:
            connect("door@127.0.0.1", own=own, cookie="secret", epmd=("127.0.0.1", port), setup_time=7.0)[0].close()
        except ConnectError as error:
            print(f"  {error}")
        else:
            came += 1
        took.append(time.monotonic() - begun)
    return came, sorted(took)


def measure(kind: str, source: str, dials: int) -> None:
    """One run, told on standard output."""
    me = [sys.executable, __file__, kind, "--from", source]
    pipe = subprocess.PIPE
    with subprocess.Popen([*me, "--as", "node"], stdin=pipe, stdout=pipe, text=True) as ours:
        assert ours.stdout is not None
        assert ours.stdin is not None
        port = int(ours.stdout.readline())
        crowd = None
        if kind != "none":
            crowd = subprocess.Popen([*me, "--as", "flood", "--port", str(port)], stdout=pipe, text=True)
            assert crowd.stdout is not None
            print(f"the flood opens {crowd.stdout.readline().strip()} sockets in a second")
        try:
            begun = time.monotonic()
            came, took = peers(port, dials)
            seconds = time.monotonic() - begun
            print(
                f"{came} of {dials} got in; median {took[len(took) // 2] * 1e3:.1f} ms, "
                f"the slowest {took[-1] * 1e3:.0f} ms, {seconds:.1f} s in all"
            )
        finally:
            if crowd is not None:
                crowd.kill()
                crowd.wait()
        ours.stdin.close()
        print(f"CPU time of the node: {ours.stdout.read().strip()} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["silent", "names", "drip", "none"])
    parser.add_argument("--dials", type=int, default=200)
    parser.add_argument("--from", dest="source", default="127.0.0.2")
    parser.add_argument("--as", dest="part", choices=["node", "flood"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part == "node":
        node()
    elif args.part == "flood":
        flood(args.kind, args.port, args.source)
    else:
        measure(args.kind, args.source, args.dials)


if __name__ == "__main__":
    main()
