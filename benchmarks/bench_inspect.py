"""What an inspector costs a BEAM of 100,000 processes: its CPU time for each ranking, beside a plain list by erpc.

    python benchmarks/bench_inspect.py [--quick] [--processes N] [--refreshes N] [--recon EBIN]

A figure is the CPU time of the whole BEAM for one question, in milliseconds (the median of `ROUNDS`, taken in turn),
and the wall's. `plain` is ``[process_info(P, memory) || P <- processes()]`` by `erpc:call` with its list sent home;
`recon` is ``recon:proc_count`` and ``recon:proc_window`` by `erpc:call`, when a path to its ebin is given. Below: the
memory of the inspector's processes there over the refreshes of a live view, the CPU time of each refresh, the time of a
supervision tree of 10,000 children and of a question beside a mailbox of 700,000 messages. `--quick` has a tenth of it.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyerlnode import A, Node
from pyerlnode.inspect import Cluster, RemoteNode
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.launch import local

ROUNDS = 5
TICK = 1000 / os.sysconf("SC_CLK_TCK")
FOREIGN = """lists:sum([element(2, process_info(P, memory)) || P <- processes(),
    {_, L} <- [process_info(P, group_leader)], node(L) =/= node()])"""
SUPERVISED = """Me = self(), spawn(fun() ->
    {ok, Top} = supervisor:start_link(supervisor_of_many, []), Me ! {top, Top}, receive stop -> ok end end),
    receive {top, Top} -> Top end"""
MANY = """-module(supervisor_of_many).
-export([init/1, one/0]).
init([]) -> {ok, {#{}, [#{id => I, start => {?MODULE, one, []}} || I <- lists:seq(1, %d)]}}.
one() -> {ok, spawn_link(fun() -> receive stop -> ok end end)}.
"""


class Measured:
    """A BEAM whose CPU time is read from /proc."""

    def __init__(self, beam: Beam) -> None:
        self.beam = beam

    def cpu_ms(self) -> float:
        fields = Path(f"/proc/{self.beam.os_pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def of(self, ask: Callable[[], Any]) -> tuple[float, float]:
        """CPU time of the BEAM, and the wall's, in ms."""
        cpu, wall = self.cpu_ms(), time.perf_counter()
        ask()
        return self.cpu_ms() - cpu, (time.perf_counter() - wall) * 1000


def rankings(measured: Measured, node: Node, app: RemoteNode, recon: bool) -> None:
    name, rpc = app.name, node.rpc
    asked: dict[str, Callable[[], Any]] = {
        "plain list by erpc": lambda: rpc(name, "erl_eval", "exprs", [plain_forms(), []], 60.0),
        **{f"top {by}": (lambda by=by: app.top(by)) for by in ("memory", "reductions", "queue", "heap", "binary")},
        "top reductions, window": lambda: app.top("reductions", window=0.1),
    }
    if recon:
        asked["recon proc_count memory"] = lambda: rpc(name, "recon", "proc_count", [A.memory, 20], 60.0)
        asked["recon proc_count reductions"] = lambda: rpc(name, "recon", "proc_count", [A.reductions, 20], 60.0)
        asked["recon proc_window"] = lambda: rpc(name, "recon", "proc_window", [A.reductions, 20, 100], 60.0)
    took: dict[str, list[tuple[float, float]]] = {what: [] for what in asked}
    for _ in range(ROUNDS):
        for what, ask in asked.items():
            took[what].append(measured.of(ask))
    print(f"{'':32} {'CPU ms':>8} {'wall ms':>8}")
    for what, pairs in took.items():
        cpu, wall = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"{what:32} {cpu:8.0f} {wall:8.0f}")


def plain_forms() -> list[Any]:
    """``[erlang:process_info(P, memory) || P <- erlang:processes()].``, as `erl_parse` gives it."""
    processes = (A.call, 1, (A.remote, 1, (A.atom, 1, A.erlang), (A.atom, 1, A.processes)), [])
    info = (A.remote, 1, (A.atom, 1, A.erlang), (A.atom, 1, A.process_info))
    asked = (A.call, 1, info, [(A.var, 1, A.P), (A.atom, 1, A.memory)])
    return [(A.lc, 1, asked, [(A.generate, 1, (A.var, 1, A.P), processes)])]


def refreshes(measured: Measured, app: RemoteNode, count: int) -> None:
    memory = []
    with app.watch_top("reductions") as watch:
        watch.next()
        cpu, wall = measured.cpu_ms(), time.perf_counter()
        for turn in range(count):
            watch.next()
            if turn % max(1, count // 10) == 0:
                memory.append(measured.beam.eval(FOREIGN))
        cpu, wall = measured.cpu_ms() - cpu, (time.perf_counter() - wall) * 1000
    shown = " ".join(f"{size / 1e6:.1f}" for size in memory)
    each = f"{cpu / count:.0f} ms of CPU and {wall / count:.0f} ms each"
    print(f"live view, {count} refreshes: {each}; its memory, MB: {shown}")


def tree(app: RemoteNode, beam: Beam, tmp: Path, children: int) -> None:
    source = tmp / "supervisor_of_many.erl"
    source.write_text(MANY % children, encoding="ascii")
    beam.load(source)
    top = beam.eval(SUPERVISED, timeout=120.0)
    began = time.perf_counter()
    told = app.process(top).tree(limit=children, timeout=60.0)
    print(f"tree of {len(told.children)} children: {(time.perf_counter() - began) * 1000:.0f} ms")


def mailbox(measured: Measured, app: RemoteNode, messages: int) -> None:
    held = (
        "P = spawn(fun() -> receive never -> ok end end), lists:foreach(fun(I) -> P ! {job, I} end, lists:seq(1, N)), P"
    )
    pid = measured.beam.eval(held, N=messages, timeout=300.0)
    measured.beam.wait_until("process_info(P, status) =:= {status, waiting}", 60.0, P=pid)
    took = [measured.of(lambda: app.top("memory")) for _ in range(ROUNDS)]
    cpu, wall = (statistics.median(values) for values in zip(*took, strict=True))
    print(f"top memory beside a mailbox of {messages}: {cpu:.0f} ms of CPU, {wall:.0f} ms")
    measured.beam.eval("exit(P, kill)", P=pid)


def main() -> None:
    import tempfile

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--processes", type=int)
    options.add_argument("--refreshes", type=int)
    options.add_argument("--recon", metavar="EBIN")
    args = options.parse_args()
    part = 10 if args.quick else 1
    processes, count = args.processes or 100_000 // part, args.refreshes or 200 // part
    flags = ("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", *(("-pa", args.recon) if args.recon else ()))
    launcher = local()
    epmd = Epmd(launcher).start()
    try:
        with tempfile.TemporaryDirectory() as tmp, Beam(launcher, epmd, cookie="benchmark", args=flags) as beam:
            measure(beam, Path(tmp), args, processes, count)
    finally:
        epmd.stop()


def measure(beam: Beam, tmp: Path, args: argparse.Namespace, processes: int, count: int) -> None:
    part = 10 if args.quick else 1
    idle = "[spawn(fun() -> receive stop -> ok end end) || _ <- lists:seq(1, N)], ok"
    beam.eval(idle, N=processes, timeout=120.0)
    print(f"OTP {beam.otp}, {processes} processes")
    with Node(cookie=beam.cookie, epmd_port=beam.epmd_port) as node, Cluster(node, timeout=60.0) as cluster:
        app, measured = cluster.node(beam.node.name), Measured(beam)
        app.info()
        rankings(measured, node, app, args.recon is not None)
        refreshes(measured, app, count)
        tree(app, beam, tmp, 10_000 // part)
        mailbox(measured, app, 700_000 // part)


if __name__ == "__main__":
    main()
