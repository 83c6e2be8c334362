"""The distribution beside its peers: a second BEAM node, a C node on erl_interface, and this node, in one run.

    python benchmarks/bench_dist.py [--rounds 5] [--scale 1.0] [NAME ...]

NAME picks parts: served, made, large, idle, links, start. Served: one driver (`dist_driver.erl`) on a BEAM calls and
sends to a server of each node in turn. Made: the node itself calls and sends to that server; the C node does it by
`dist_cnode.c`, which is built when a C compiler and erl_interface are there. Rounds are interleaved, medians shown; the
CPU time is the whole process's, of a BEAM with the busy waiting that it does by default.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent

from pyerlnode import A, GenServer, Node, Reply, etf
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.settings import Settings
from pyerlnode.testing.supply import Supply

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
LARGE = 64 * 1024 * 1024
LONG = 120.0
PARTS = ("served", "made", "large", "idle", "links", "start")


class Bench(GenServer):
    """What `dist_driver.erl` starts on a BEAM, in Python."""

    def init(self):
        self.count = 0
        self.made = b""

    def handle_call(self, request, from_):  # noqa: ARG002  # the callback's shape
        match request:
            case A.count:
                count, self.count = self.count, 0
                return Reply(count)
            case (A.take, int(size)):
                if len(self.made) != size:
                    self.made = bytes([7]) * size
                return Reply(self.made)
        return Reply(request)

    def handle_cast(self, request):  # noqa: ARG002
        self.count += 1

    def handle_info(self, message):  # noqa: ARG002
        self.count += 1


def cpu(pid: int) -> float:
    """Seconds of the CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


# --- the three nodes ------------------------------------------------------------------------------
class Peers:
    """The driver, the second BEAM, this node, and the C node where one can be built."""

    def __init__(self, supply: Supply, scratch: str) -> None:
        self.driver = self._beam(supply)
        self.other = Beam(supply.launcher(), self.driver.epmd, cookie=self.driver.cookie).start()
        self.other.load(HERE / "dist_driver.erl")
        os.environ["ERL_EPMD_PORT"] = str(self.driver.epmd.port)
        os.environ["ERL_EPMD_ADDRESS"] = "127.0.0.1"
        self.node = Node("bench_py@127.0.0.1", cookie=self.driver.cookie).open()
        self.server = self.node.start(Bench, name="bench")
        self.node.start(Bench, name="bench_small")
        self.pids = {
            "beam": int(bytes(self.other.eval("dist_driver:start()"))),
            "python": os.getpid(),
        }
        self.driver_pid = int(bytes(self.driver.eval("dist_driver:start()")))
        self.names = {"beam": A[self.other.name], "python": A[self.node.name]}
        self.home = (A.bench, A[self.driver.name])
        self.c = build_cnode(scratch)
        assert self.node.ping(self.driver.name)

    @staticmethod
    def _beam(supply: Supply) -> Beam:
        beam = supply.fresh()
        beam.load(HERE / "dist_driver.erl")
        return beam

    def ask(self, source: str, name: Any = None, **bindings: Any) -> Any:
        """What the driver's `source` gives; `To` is the server of the node `name`."""
        return self.driver.eval(source, LONG, To=(A.bench, name), **bindings)

    def cnode(self, *args: object) -> tuple[float, float]:
        """Seconds of the wall and of its CPU that the C node took for its work."""
        command = [self.c, self.driver.name, self.driver.cookie, *map(str, args)]
        done = gevent.get_hub().threadpool.apply(subprocess.run, (command,), {"capture_output": True, "check": True})
        wall, own = done.stdout.split()
        return float(wall) / 1e6, float(own) / 1e6

    def stop(self) -> None:
        self.node.stop()
        self.other.stop()


def build_cnode(scratch: str) -> str | None:
    """The C node, built; None with a line that says why not."""
    try:
        compiler, erl = shutil.which("cc"), shutil.which("erl")
        if compiler is None or erl is None:
            raise FileNotFoundError("no cc, or no erl on the PATH")
        show = 'io:format("~s", [code:lib_dir(erl_interface)]), halt().'
        library = subprocess.run([erl, "-noshell", "-eval", show], capture_output=True, text=True, check=True).stdout
        made = str(Path(scratch) / "dist_cnode")
        source = str(HERE / "dist_cnode.c")
        flags = [
            "-O2",
            "-D_REENTRANT",
            f"-I{library}/include",
            "-o",
            made,
            source,
            f"-L{library}/lib",
            "-lei",
            "-lpthread",
        ]
        subprocess.run([compiler, *flags], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no C node in this run: {error} (Debian: apt-get install gcc erlang-dev)")
        return None
    return made


# --- measuring ------------------------------------------------------------------------------------
class Table:
    """Samples by row and node: rates per second, and the CPU time of one operation."""

    def __init__(self, title: str, yardstick: str) -> None:
        self.title = title
        self.yardstick = yardstick
        self.rates: dict[str, dict[str, list[float]]] = {}
        self.costs: dict[str, dict[str, list[float]]] = {}

    def add(self, row: str, who: str, count: int, seconds: float, used: float) -> None:
        self.rates.setdefault(row, {}).setdefault(who, []).append(count / seconds)
        self.costs.setdefault(row, {}).setdefault(who, []).append(used / count * 1e6)

    def show(self) -> None:
        yard = self.yardstick
        print(f"\n| {self.title}, per second | {yard} | python | ratio | CPU {yard} | CPU python |")
        print("|---|---|---|---|---|---|")
        for row, by_node in self.rates.items():
            theirs = statistics.median(by_node[yard]) if yard in by_node else None
            ours = statistics.median(by_node["python"])
            costs = {who: statistics.median(values) for who, values in self.costs[row].items()}
            ratio = f"{ours / theirs:.2f}" if theirs else "-"
            theirs_text = f"{theirs:,.0f}" if theirs else "-"
            their_cost = f"{costs[yard]:.1f} µs" if yard in costs else "-"
            print(f"| {row} | {theirs_text} | {ours:,.0f} | {ratio} | {their_cost} | {costs['python']:.1f} µs |")


def served(peers: Peers, rounds: int, scale: float) -> None:
    """The driver calls and sends to a server of each node."""
    table = Table("served to a BEAM", "beam")
    single, many, messages = int(5000 * scale), int(600 * scale), int(200_000 * scale)
    work = {
        "calls one at a time": (single, "dist_driver:calls(To, 1, N)", single),
        "calls of 50 callers": (50 * many, "dist_driver:calls(To, 50, N)", many),
        "small messages": (messages, "dist_driver:messages(To, N)", messages),
    }
    for turn in range(rounds + 1):
        for row, (count, source, each) in work.items():
            for who in ("beam", "python") if turn % 2 else ("python", "beam"):
                before = cpu(peers.pids[who])
                seconds = peers.ask(source, peers.names[who], N=each) / 1e6
                if turn:  # the first is to warm up
                    table.add(row, who, count, seconds, cpu(peers.pids[who]) - before)
    table.show()


class Caller:
    """This node's part of `made`, in Python."""

    def __init__(self, peers: Peers) -> None:
        self.node = peers.node
        self.home = peers.home

    def calls(self, count: int) -> None:
        for _ in range(count):
            self.node.call(self.home, A.x)

    def windowed(self, count: int) -> None:
        gevent.joinall([gevent.spawn(self.calls, count // 64) for _ in range(64)])

    def send(self, count: int) -> None:
        for number in range(count):
            self.node.send(self.home, (A.tick, number))
        assert self.count() == count

    def count(self) -> int:
        return int(self.node.call(self.home, A.count, timeout=LONG))


def made(peers: Peers, rounds: int, scale: float) -> None:
    """Each node calls and sends to the driver's server."""
    table = Table("made", "c node")
    single, many, messages = int(5000 * scale), int(30_000 * scale), int(200_000 * scale)
    caller = Caller(peers)
    work: dict[str, tuple[int, Callable[[int], None], tuple[Any, ...]]] = {
        "calls one at a time": (single, caller.calls, ("call", single, 1)),
        "64 calls outstanding": (many // 64 * 64, caller.windowed, ("call", many // 64 * 64, 64)),
        "small messages": (messages, caller.send, ("send", messages)),
    }
    for turn in range(rounds + 1):
        for row, (count, ours, theirs) in work.items():
            caller.count()
            began, before = time.perf_counter(), time.process_time()
            ours(count)
            seconds, used = time.perf_counter() - began, time.process_time() - before
            if turn:
                table.add(row, "python", count, seconds, used)
            if peers.c is not None:
                seconds, used = peers.cnode(*theirs)
                if turn:
                    table.add(row, "c node", count, seconds, used)
    table.show()


def large(peers: Peers, rounds: int, scale: float) -> None:
    """64 MB binaries each way, with small calls every few milliseconds meanwhile.

    One goes to a server apart, one to the server of the binaries: that is suspended while its own answer of 64 MB is
    more than the send buffer takes, as a process of a BEAM is by a busy port.
    """
    count = max(1, int(8 * scale))
    print(f"\n| {count} binaries of 64 MB | | GB/s | small call to a server apart, ms | to the same server, ms |")
    print("|---|---|---|---|---|")
    for row, source in (("to the node", "dist_driver:give(To, S, N)"), ("from the node", "dist_driver:take(To, S, N)")):
        speeds: dict[str, list[float]] = {"beam": [], "python": []}
        waits: dict[str, tuple[list[float], list[float]]] = {"beam": ([], []), "python": ([], [])}
        for turn in range(max(2, rounds // 2)):
            for who in ("beam", "python"):
                took, apart, same = peers.ask(source, peers.names[who], S=LARGE, N=count)
                if turn:
                    speeds[who].append(count * LARGE / took / 1000)
                    for found, latencies in zip(waits[who], (apart, same), strict=True):
                        found += [wait / 1000 for wait in latencies]
        for who in ("beam", "python"):
            pauses = (f"{statistics.median(v):.1f} (max {max(v):.0f}, {len(v)} calls)" for v in waits[who])
            print(f"| {row} | {who} | {statistics.median(speeds[who]):.2f} | {' | '.join(pauses)} |")


IDLE = """
import sys, gevent
from pyerlnode import Node
peer, cookie, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
nodes = [Node(f"idle{i}@127.0.0.1", cookie=cookie).open() for i in range(count)]
for node in nodes:
    assert node.ping(peer)
print("up", flush=True)
sys.stdin.readline()
"""


def idle(peers: Peers, rounds: int, scale: float) -> None:  # noqa: ARG001  # the shape of a part
    """200 connections of other nodes that say nothing but ticks."""
    count, seconds = int(200 * min(scale, 1.0)), 20.0
    command = [sys.executable, "-c", IDLE, peers.node.name, peers.driver.cookie, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        gevent.get_hub().threadpool.apply(child.stdout.readline)
        gevent.sleep(2)
        assert len(peers.node.nodes()) >= count
        before = time.process_time()
        gevent.sleep(seconds)
        share = (time.process_time() - before) / seconds
        child.stdin.write("\n")
        child.stdin.close()
    print(f"\n{count} idle connections: {share:.2%} of a core (goal 2 %)")


def links(peers: Peers, rounds: int, scale: float) -> None:
    """1,000 processes of a BEAM linked to as many here; the connection is cut."""
    count, node, took = int(1000 * scale), peers.node, []
    for _ in range(max(3, rounds // 2)):
        assert node.ping(peers.driver.name)
        ours = [node.start(Bench) for _ in range(count)]
        theirs = peers.ask("dist_driver:link_all(Pids)", Pids=ours)
        peers.driver.wait_until("lists:all(fun(P) -> {links, L} = process_info(P, links), L =/= [] end, Ps)", Ps=theirs)
        node.call(peers.home, A.x)
        system = node.system
        began = time.perf_counter()
        node.disconnect(peers.driver.name)
        while any(system.process(pid) is not None for pid in ours):
            gevent.sleep(0.001)
        here = time.perf_counter() - began
        while not peers.driver.eval("not lists:any(fun erlang:is_process_alive/1, Ps)", Ps=theirs):
            gevent.sleep(0.005)
        took.append((here, time.perf_counter() - began))
    here, there = (statistics.median(times) * 1000 for times in zip(*took, strict=True))
    print(f"\n{count} links cut: all exits here after {here:.0f} ms, on both sides after {there:.0f} ms (goal 300 ms)")


UP = """
import sys, time
began = time.perf_counter()
from pyerlnode import Node
node = Node("up_bench@127.0.0.1", cookie=sys.argv[2]).open()
assert node.ping(sys.argv[1])
print(time.perf_counter() - began)
node.stop()
"""
IMPORT = "import time; b = time.perf_counter(); import pyerlnode; print(time.perf_counter() - b)"


def start(peers: Peers, rounds: int, scale: float) -> None:  # noqa: ARG001
    """How long until something happens."""

    def run(*command: str) -> tuple[float, str]:
        began = time.perf_counter()
        pool = gevent.get_hub().threadpool
        done = pool.apply(subprocess.run, ([sys.executable, *command],), {"capture_output": True, "text": True})
        return time.perf_counter() - began, done.stdout

    name, cookie = peers.driver.name, peers.driver.cookie
    imported, up, ping = [], [], []
    for _ in range(max(5, rounds)):
        imported.append(float(run("-c", IMPORT)[1]))
        up.append(float(run("-c", UP, name, cookie)[1]))
        seconds, said = run("-m", "pyerlnode", "ping", name, "--cookie", cookie)
        assert "pong" in said, said
        ping.append(seconds)
    for what, times, goal in (
        ("import pyerlnode", imported, 120),
        ("import, a node up and connected", up, 270),
        ("`pyerlnode ping`, the whole program", ping, 400),
    ):
        print(f"\n{what}: {statistics.median(times) * 1000:.0f} ms (goal {goal} ms)")


@contextmanager
def all_peers() -> Iterator[Peers]:
    supply = Supply(Settings())
    with tempfile.TemporaryDirectory() as scratch:
        try:
            peers = Peers(supply, scratch)
            try:
                yield peers
            finally:
                peers.stop()
        finally:
            supply.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="how much work a round is")
    options = parser.parse_args()
    with all_peers() as peers:
        release = f"OTP {peers.driver.otp}, CPython {sys.version.split()[0]}, codec {etf.IMPLEMENTATION}"
        print(f"{release}; medians of {options.rounds} interleaved rounds")
        for part in options.parts or PARTS:
            globals()[part](peers, options.rounds, options.scale)


if __name__ == "__main__":
    main()
