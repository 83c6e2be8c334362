"""Batched runs per second that callers on a BEAM get of a serving in Python, and how long one of them takes.

    python benchmarks/bench_nx_serving.py [BEAM]         # BEAM: as pytest's --beam

The model is `rows * 2`, in the node's own thread, so that what is measured is the way there and back: 1, 10 and 100
callers, each with one row of 16 and of 64 Ki floats, batches of 32 rows, no time to wait for others. Medians of rounds.
With ``PYERLNODE_NX`` (as in `interop_tests/test_nx_serving.py`; 0.11 or later) the library calls, and its own serving
on a second BEAM is beside it.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.launch import from_prefix, local
from pyerlnode.testing.waiting import wait_for

ROUNDS = 5
LOADS = ((1, 400), (10, 100), (100, 20))
SIZES = (16, 1 << 16)
COOKIE = "benchmark"
PYTHON = "bench_serving@127.0.0.1"
PEER = Path(__file__).parents[1] / "interop_tests" / "beam_src" / "serving_peer.erl"
LIBRARY = [path for path in os.environ.get("PYERLNODE_NX", "").split(os.pathsep) if path]
SERVER = """
import sys
from pyerlnode import Node
from pyerlnode.bridges.nx import Serving

with Node("bench_serving@127.0.0.1", cookie=sys.argv[1], epmd_port=int(sys.argv[2])) as node:
    node.start(Serving, node, "Bench.Python", lambda rows: rows * 2, batch_size=32, batch_timeout=0.0, offload=False)
    print("ready", flush=True)
    node.receive()
"""
DRIVER = """
Callers = fun(Run, Name, Input, AtOnce, Each) ->
    Me = self(),
    Began = erlang:monotonic_time(microsecond),
    Pids = [spawn_link(fun() -> [Run(Name, Input) || _ <- lists:seq(1, Each)], Me ! {self(), done} end)
            || _ <- lists:seq(1, AtOnce)],
    [receive {Pid, done} -> ok end || Pid <- Pids],
    erlang:monotonic_time(microsecond) - Began
end
"""
OURS = "Run = fun(N, I) -> {ok, _, _} = serving_peer:batched_run(N, I) end"
OUR_INPUT = (
    "serving_peer:stack(default, [serving_peer:tensor({f, 64}, {Size}, binary:copy(<<1.0:64/float-native>>, Size))])"
)
THEIRS = "Run = fun(N, I) -> 'Elixir.Nx.Serving':batched_run(N, I) end"
THEIR_INPUT = "'Elixir.Nx.Batch':stack(['Elixir.Nx':iota({Size}, [{type, {f, 64}}])])"
STARTED = """
Application.put_env(:nx, :default_backend, {Nx.BinaryBackend, []})
Application.put_env(:nx, :default_defn_options, [])
{:ok, _} = Application.ensure_all_started(:telemetry)
{:ok, top} = Nx.Application.start(:normal, [])
Process.unlink(top)
:ok
"""
SERVED = """
serving = Nx.Serving.new(fn opts -> Nx.Defn.jit(&Nx.multiply(&1, 2), opts) end)
{:ok, top} = Nx.Serving.start_link(name: Bench.Beam, serving: serving, batch_size: 32, batch_timeout: 0)
Process.unlink(top)
:ok
"""


def main() -> None:
    launcher = from_prefix(sys.argv[1]) if len(sys.argv) > 1 else local()
    epmd = Epmd(launcher).start()
    command = [sys.executable, "-c", SERVER, COOKIE, str(epmd.port)]
    python = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert python.stdout is not None
        assert python.stdout.readline() == b"ready\n"
        with Beam(launcher, epmd, cookie=COOKIE) as driver, Beam(launcher, epmd, cookie=COOKIE) as second:
            measure(driver, prepare(driver, second))
    finally:
        python.kill()
        python.communicate()
        epmd.stop()


def prepare(driver: Beam, second: Beam) -> list[str]:
    """The servings that the driver sees."""
    names = ["Elixir.Bench.Python"]
    if LIBRARY:
        for beam in (driver, second):
            for directory in LIBRARY:
                beam.eval("code:add_patha(D)", D=list(directory.encode()))
            beam.elixir(STARTED)
        second.elixir(SERVED)
        names.append("Elixir.Bench.Beam")
        assert driver.eval("net_kernel:connect_node(O)", O=A[second.name]) is True
    else:
        driver.load(PEER)
        driver.eval("serving_peer:start()")
    assert driver.eval("net_kernel:hidden_connect_node(P)", P=A[PYTHON]) is True
    for name in names:
        wait_for(lambda name=name: driver.eval("pg:get_members('Elixir.Nx.Serving.PG', N)", N=A[name]), 10)
    return names


def measure(driver: Beam, names: list[str]) -> None:
    run, given = (THEIRS, THEIR_INPUT) if LIBRARY else (OURS, OUR_INPUT)
    print(
        f"{'floats':>8}{'callers':>9}"
        + "".join(f"{name.rpartition('.')[2] + '/s':>12}{'ms each':>9}" for name in names)
    )
    for size in SIZES:
        for at_once, each in LOADS:
            count = each if size < 1 << 10 else max(1, each // 10)
            took: dict[str, list[float]] = {name: [] for name in names}
            for _ in range(ROUNDS):
                for name, found in took.items():
                    source = f"{DRIVER}, {run}, Callers(Run, N, {given}, AtOnce, Each)"
                    bound = {"N": A[name], "Size": size, "AtOnce": at_once, "Each": count}
                    found.append(driver.eval(source, 120.0, **bound) / 1e6)
            line = f"{size:>8}{at_once:>9}"
            for name in names:
                seconds = statistics.median(took[name])
                line += f"{at_once * count / seconds:>12,.0f}{seconds / count * 1000:>9.2f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
