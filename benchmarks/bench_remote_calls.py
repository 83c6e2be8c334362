"""Calls and spawns per second that a BEAM makes into Python, beside those that it makes into a second BEAM.

    python benchmarks/bench_remote_calls.py

Prints medians of interleaved rounds: `erpc:call`, `spawn`, and `spawn` with a monitor waited for, by 1 and by 50
processes at a time. The ratio is what counts; the rates drift with the machine. Then, of a worker in an OS process: a
call, its restart after SIGKILL as its supervisor on the BEAM sees it, and an array of 100 MB there and back.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy

from pyerlnode import A, Node
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.launch import local
from pyerlnode.workers import shared_core
from pyerlnode.workers.worker import Worker

LIMIT = shared_core.LIMIT
ROUNDS = 5
LOADS = ((1, 4_000), (50, 200))
COOKIE = "benchmark"
SERVER = """
import sys
from pyerlnode import Node
from pyerlnode.workers.worker import Worker

class Negative(Worker):
    def init(self):
        return super().init("operator:neg", spares=2)

def os_pid(pid):
    return node.system.process(pid).handler.os_pid

def ready():
    return Worker.await_spares("operator:neg", on=node).ready

with Node("bench_py@127.0.0.1", cookie=sys.argv[1], epmd_port=int(sys.argv[2])) as node:
    node.export("remote_driver", {"add": lambda one, other: one + other, "nop": lambda: None})
    node.export_server("worker", Negative)
    node.export("spares", {"os_pid": os_pid, "ready": ready})
    print("ready", flush=True)
    node.receive()
"""


def main() -> None:
    launcher = local()
    epmd = Epmd(launcher).start()
    command = [sys.executable, "-c", SERVER, COOKIE, str(epmd.port)]
    python = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert python.stdout is not None
        assert python.stdout.readline() == b"ready\n"
        with Beam(launcher, epmd, cookie=COOKIE) as driver, Beam(launcher, epmd, cookie=COOKIE) as second:
            for beam in (driver, second):
                beam.load(Path(__file__).with_name("remote_driver.erl"))
            measure(driver, second)
            measure_worker(driver)
        measure_array()
    finally:
        python.kill()
        python.communicate()
        epmd.stop()


def measure(driver: Beam, second: Beam) -> None:
    print(f"{'':8}{'at once':>8}{'BEAM/s':>10}{'Python/s':>10}{'ratio':>7}")
    for what in ("calls", "spawns", "ends"):
        for at_once, each in LOADS:
            rates: dict[str, list[int]] = {second.name: [], "bench_py@127.0.0.1": []}
            for _ in range(ROUNDS):
                for name, found in rates.items():
                    source = f"remote_driver:{what}(N, C, E)"
                    found.append(driver.eval(source, 60, N=A[name], C=at_once, E=each))
            beam, python = (statistics.median(found) for found in rates.values())
            print(f"{what:8}{at_once:8}{beam:10.0f}{python:10.0f}{python / beam:7.2f}")


RESTART = """
process_flag(trap_exit, true),
{ok, First} = erpc:call(N, worker, start_link, []),
Again = fun F(0, _, Times) -> lists:reverse(Times);
            F(Left, Pid, Times) ->
                2 = erpc:call(N, spares, ready, [], 30000),
                Os = erpc:call(N, spares, os_pid, [Pid]),
                Began = erlang:monotonic_time(microsecond),
                os:cmd("kill -KILL " ++ integer_to_list(Os)),
                receive {'EXIT', Pid, {os_signal, sigkill}} -> ok end,
                {ok, New} = erpc:call(N, worker, start_link, []),
                Time = erlang:monotonic_time(microsecond) - Began,
                -1 = gen_server:call(New, 1),
                F(Left - 1, New, [Time | Times])
        end,
Times = Again(15, First, []),
receive {'EXIT', Last, _} -> Last after 0 -> ok end,
Times.
"""
CALLS = """
{ok, Pid} = erpc:call(N, worker, start_link, []),
2 = erpc:call(N, spares, ready, [], 30000),
{Time, _} = timer:tc(fun() -> [-1 = gen_server:call(Pid, 1) || _ <- lists:seq(1, 1000)] end),
unlink(Pid), exit(Pid, kill),
Time / 1000.
"""


def measure_worker(driver: Beam) -> None:
    name = A["bench_py@127.0.0.1"]
    calls = [driver.eval(CALLS, 60, N=name) for _ in range(ROUNDS)]
    print(
        f"a call of a worker in an OS process: {statistics.median(calls):.0f} µs, best {min(calls):.0f} (at most 200)"
    )
    times = sorted(time / 1000 for time in driver.eval(RESTART, 120, N=name))
    print(
        f"its restart after SIGKILL, by a spare: {statistics.median(times):.1f} ms, "
        f"{times[0]:.1f} to {times[-1]:.1f} (at most 50)"
    )


def by_shared_memory(array: Any) -> Any:
    return array


def through_the_socket(array: Any) -> Any:
    shared_core.LIMIT = 1 << 40
    return array


def measure_array() -> None:
    """100 MB to a worker and back."""
    array = numpy.ones(100_000_000 // 8)
    for target in (by_shared_memory, through_the_socket):
        shared_core.LIMIT = 1 << 40 if target is through_the_socket else LIMIT
        with Node("bench_array@127.0.0.1", cookie=COOKIE, epmd="none") as node:
            pid = node.start(Worker, f"bench_remote_calls:{target.__name__}")
            times = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                node.call(pid, array, timeout=60)
                times.append((time.perf_counter() - start) * 1000)
        print(f"100 MB there and back, {target.__name__.replace('_', ' ')}: {statistics.median(times):.0f} ms")


if __name__ == "__main__":
    main()
