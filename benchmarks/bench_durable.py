"""Durable requests per second, and what one takes, by what a commit waits for.

    python benchmarks/bench_durable.py [--quick]

Two nodes in OS processes of their own, over TCP on loopback: here an outbox, there an inbox with transactions (an
INSERT each) and one with processes. A request is submitted, its result awaited and taken. `bare` is a plain call, for
comparison. Best of three; `--quick` is a tenth, once. The journals are in the current directory, so run it on the disk
that you mean.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent

from pyerlnode import A, GenServer, Node, Reply
from pyerlnode.cluster.durable import Inbox, Journal, Outbox, Requests

COOKIE = "bench"
MODES: tuple[Any, ...] = ("full", "normal", "off")
QUICK = "--quick" in sys.argv
ROUNDS = 1 if QUICK else 3
REQUESTS = 500 if QUICK else 5_000
ALONE = 50 if QUICK else 300
TOGETHER = 100


class Booking(Inbox):
    transaction = True

    def setup(self, db):
        db.execute("CREATE TABLE IF NOT EXISTS bookings (amount INTEGER)")

    def handle_request(self, request, tx):
        tx.execute("INSERT INTO bookings VALUES (?)", (request,))
        return request


class Echo(Inbox):
    def handle_request(self, request, tx):  # noqa: ARG002  # the callback's shape
        return request


class Bare(GenServer):
    def handle_call(self, request, from_):  # noqa: ARG002  # the callback's shape
        return Reply((A.ok, request))


def serve(name: str, place: str) -> None:
    with ExitStack() as stack:
        journals = {
            (kind.__name__, sync): stack.enter_context(Journal(f"{place}/{kind.__name__}_{sync}.db", sync=sync))
            for kind in (Booking, Echo)
            for sync in MODES
        }
        node = stack.enter_context(Node(name, cookie=COOKIE))
        for kind in (Booking, Echo):
            for sync in MODES:
                node.start(kind, node, journals[kind.__name__, sync], name=f"{kind.__name__}_{sync}")
        node.start(Bare, name="bare")
        print("ready", flush=True)
        node.receive()


def measure(one: Callable[[int], object]) -> tuple[float, float]:
    """Milliseconds of one alone, and how many per second with many at a time."""
    started = time.perf_counter()
    for number in range(ALONE):
        one(number)
    alone = (time.perf_counter() - started) / ALONE

    def many(first: int) -> None:
        for number in range(first, REQUESTS, TOGETHER):
            one(number)

    started = time.perf_counter()
    gevent.joinall([gevent.spawn(many, first) for first in range(TOGETHER)], raise_error=True)
    return alone * 1e3, REQUESTS / (time.perf_counter() - started)


def best(what: str, one: Callable[[int], object]) -> None:
    rounds = [measure(one) for _ in range(ROUNDS)]
    print(f"{what:32}{min(r[0] for r in rounds):8.2f} ms alone{max(r[1] for r in rounds):10,.0f}/s by {TOGETHER}")


def run(node: Node, there: str, place: str) -> None:
    best("bare call", lambda number: node.call(("bare", there), number))
    for sync in MODES:
        with Journal(f"{place}/outbox_{sync}.db", sync=sync) as journal:
            outbox = node.start(Outbox, node, journal, name=f"outbox_{sync}")
            requests = Requests(node, f"outbox_{sync}")
            for kind in (Booking, Echo):
                dest = (f"{kind.__name__}_{sync}", there)

                def one(number: int, dest: Any = dest, requests: Requests = requests) -> None:
                    id = requests.submit(dest, number)
                    assert requests.await_result(id, 60.0) == (A.ok, number)
                    requests.take(id)

                best(f"sync={sync}, {'transaction' if kind.transaction else 'process'}", one)
            node.stop_process(outbox)


def disk(place: str) -> None:
    """What the disk makes of it: an fsync of 4 KiB."""
    import os

    with Path(place, "probe").open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(100):
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
        print(f"{'this disk, fdatasync of 4 KiB':32}{(time.perf_counter() - started) * 10:8.2f} ms")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as place, Node(cookie=COOKIE) as node:
        there = f"bench_there@{node.name.partition('@')[2]}"
        command = [sys.executable, __file__, "serve", there, place]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            disk(place)
            run(node, there, place)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:4])
    else:
        main()
