"""What sessions cost: a call by key beside a direct one, at home and on another node, and a rebalance.

    python benchmarks/bench_sessions.py [--quick]

Two nodes in OS processes of their own, over TCP on loopback; each figure is the best of three. `--quick` is a tenth.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import gevent
from gevent.fileobject import FileObject

from pyerlnode import A, Node, Reply
from pyerlnode.cluster.sessions import Session, Sessions
from pyerlnode.cluster.sessions.ring_core import Ring

clock = time.perf_counter
COOKIE = "bench"


class Box(Session):
    def init(self, key):
        self.value = key

    def handle_call(self, request, from_):  # noqa: ARG002  # the callback's shape
        return Reply(request)

    def handoff(self):
        return self.value

    def resume(self, state):
        self.value = state


def report(what: str, value: float, unit: str) -> None:
    print(f"{what:<62} {value:>12,.1f} {unit}", flush=True)


def best(job: Callable[[], float], times: int = 3) -> float:
    return min(job() for _ in range(times))


def micros(call: Callable[[], object], count: int) -> float:
    def run() -> float:
        began = clock()
        for _ in range(count):
            call()
        return (clock() - began) / count * 1e6

    return best(run)


def keep_calling(sessions: Sessions, key: int, longest: list[float]) -> None:
    while True:
        began = clock()
        sessions.call(key, A.x, 30.0)
        longest[0] = max(longest[0], clock() - began)
        gevent.sleep(0.0005)


def serve(name: str, seed: str) -> None:
    """The other node: `join` and `leave` on standard input, answered by the seconds that it took."""
    with Node(name, cookie=COOKIE) as node:
        node.connect(seed)
        sessions = None
        for line in FileObject(sys.stdin.buffer, "rb"):
            began = clock()
            if line == b"join\n":
                sessions = Sessions(node, "boxes", Box, seeds=(seed,), handoff_timeout=60.0)
                while not sessions.stats()["held"] or sessions.stats()["awaited"]:
                    gevent.sleep(0.001)
            elif sessions is not None:
                sessions.stop(60.0)
            print(clock() - began, flush=True)


def main(quick: bool) -> None:
    calls, many = (2_000, 2_000) if quick else (20_000, 20_000)
    mine = f"bench_{os.getpid()}@127.0.0.1"
    theirs = f"bench_{os.getpid()}_b@127.0.0.1"
    with Node(mine, cookie=COOKIE) as node:
        sessions = Sessions(node, "boxes", Box, handoff_timeout=60.0)
        other = subprocess.Popen(
            [sys.executable, __file__, "--serve", theirs, mine], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        lines = FileObject(other.stdout, "rb")

        def ask(what: bytes, sessions: Sessions, key: int, here: int | None = None) -> tuple[float, float]:
            """The seconds that it took (until so many are here), and those of the longest call meanwhile."""
            longest = [0.0]
            began = clock()
            other.stdin.write(what + b"\n")
            other.stdin.flush()
            caller = gevent.spawn(keep_calling, sessions, key, longest)
            while here is not None and sessions.stats()["sessions"] < here:
                gevent.sleep(0.001)
            arrived = clock() - began
            seconds = float(lines.readline())
            caller.kill()
            return seconds if here is None else arrived, longest[0]

        try:
            measure(node, sessions, Ring([mine, theirs]), theirs, ask, calls, many)
        finally:
            other.send_signal(signal.SIGTERM)
            other.wait()


def measure(node, sessions, ring, theirs, ask, calls, many):
    began = clock()
    for number in range(many):
        sessions.call(number, A.x)
    report(f"{many:,} sessions: started by their first call", many / (clock() - began), "/s")
    here = next(number for number in range(many) if ring.owner_of(number) != theirs)
    there = next(number for number in range(many) if ring.owner_of(number) == theirs)
    pid = sessions.whereis(here)
    report("a call to a GenServer here, by its pid", direct := micros(lambda: node.call(pid, A.x), calls), "µs")
    keyed = micros(lambda: sessions.call(here, A.x), calls)
    report("a call to a session here, by its key", keyed, "µs")
    routed = micros(lambda: node.call("boxes", (A.session, here, A.x)), calls)
    report("a call to a session here, through the router", routed, "µs")
    report("  the key costs", keyed - direct, "µs")
    report("  the router costs", routed - direct, "µs")
    seconds, pause = ask(b"join", sessions, here)
    moved = sessions.stats()["handed_over"]
    report(f"{moved:,} of them go to a node that joins", seconds * 1e3, "ms")
    report("  the longest call meanwhile to one that stays", pause * 1e3, "ms")
    away = sessions.whereis(there)
    assert away.node is A[theirs]
    report("a call to a GenServer on another node, by its pid", micros(lambda: node.call(away, A.x), calls // 4), "µs")
    report("a call to a session there, by its key", micros(lambda: sessions.call(there, A.x), calls // 4), "µs")
    forwarded = micros(lambda: node.call("boxes", (A.session, there, A.x)), calls // 4)
    report("a call to a session there, forwarded by the router here", forwarded, "µs")
    seconds, pause = ask(b"leave", sessions, here, many)
    report(f"{moved:,} come back from a node that leaves", seconds * 1e3, "ms")
    report("  the longest call meanwhile to one that stayed", pause * 1e3, "ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    else:
        main("--quick" in sys.argv)
