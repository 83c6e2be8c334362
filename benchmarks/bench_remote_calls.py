"""Calls and spawns per second that a BEAM makes into Python, beside those that it makes into a second BEAM.

    python benchmarks/bench_remote_calls.py

Prints medians of interleaved rounds: `erpc:call`, `spawn`, and `spawn` with a monitor waited for, by 1 and by 50
processes at a time. The ratio is what counts; the rates drift with the machine.
"""

import statistics
import subprocess
import sys
from pathlib import Path

from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.launch import local

ROUNDS = 5
LOADS = ((1, 4_000), (50, 200))
COOKIE = "benchmark"
SERVER = """
import sys
from pyerlnode import Node, receive
with Node("bench_py@127.0.0.1", cookie=sys.argv[1], epmd_port=int(sys.argv[2])) as node:
    node.export("remote_driver", {"add": lambda one, other: one + other, "nop": lambda: None})
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


if __name__ == "__main__":
    main()
