"""Supervisors with 10 to 100,000 children: start, which_children, 1,000 kills, stop; beside OTP's own, in turn.

    python benchmarks/bench_supervisor.py [--quick] [--most N] [KIND ...]

KIND is `static` (Supervisor, one_for_one) or `dynamic` (DynamicSupervisor; OTP: simple_one_for_one). A figure is in
microseconds of one child, the wall's and those of this process's CPU time, so a column that stays as it is from line to
line is one of an operation that takes time in the number of children. `kill` is of the 1,000 (or all) that are killed
and restarted. OTP's are there when `erl` and `erlc` are, on one scheduler; its CPU time is counted in milliseconds, so
it says something from 10,000 children on. `--quick` ends at 1,000.
"""

import argparse
import gc
import logging
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyerlnode import A, GenServer
from pyerlnode.otp import gen
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.runtime.system import System

SIZES = (10, 100, 1_000, 8_000, 100_000)
KILLED = 1_000
STEPS = ("start", "which_children", "kill", "stop")
OFTEN = 10**9
Figures = dict[str, tuple[float, float]]
"""Microseconds of the wall and of the CPU, by step."""


class Child(GenServer):
    pass


def timed(figures: Figures, step: str, job: Callable[[], Any]) -> Any:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    result = job()
    figures[step] = ((time.perf_counter() - wall) * 1e6, (time.process_time() - cpu) * 1e6)
    return result


def ours(kind: str, number: int) -> Figures:
    system = System("bench@local", 1)
    system.adopt().trap_exit = True
    if kind == "static":
        sup = Supervisor.start_link([], max_restarts=OFTEN, max_seconds=1, on=system)
    else:
        sup = DynamicSupervisor.start_link(max_restarts=OFTEN, max_seconds=1, on=system)

    def start() -> None:
        for n in range(number):
            if kind == "static":
                Supervisor.start_child(sup, child_spec(Child, id=n), on=system)
            else:
                DynamicSupervisor.start_child(sup, child_spec(Child), on=system)

    def kill() -> None:
        for _, pid, _, _ in children[:KILLED]:
            system.exit(pid, A.kill)
        gen.call(system, sup, A.count_children, None)

    figures: Figures = {}
    timed(figures, "start", start)
    children = timed(figures, "which_children", lambda: gen.call(system, sup, A.which_children, None))
    timed(figures, "kill", kill)
    timed(figures, "stop", lambda: gen.stop(system, sup, A.shutdown))
    assert len(system.processes) == 2, "the root and this greenlet"
    system.stop()
    return figures


def theirs(folder: str, kind: str, number: int) -> Figures:
    run = f"supervisor_driver:run({kind}, {number})."
    command = ["erl", "+S", "1", "+P", "1000000", "-noshell", "-pa", folder, "-eval", run]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    lines = (line.split() for line in done.stdout.splitlines())
    return {step: (float(wall), float(cpu)) for step, wall, cpu in lines}


def line(who: str, number: int, figures: Figures) -> str:
    cells = []
    for step in STEPS:
        wall, cpu = figures[step]
        of = min(number, KILLED) if step == "kill" else number
        cells.append(f"{wall / of:>9.1f} {cpu / of:>8.1f}")
    return f"{who:<10} {number:>8,} " + "  ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", choices=[[], "static", "dynamic"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--most", type=int, default=SIZES[-1], metavar="N")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    most = 1_000 if options.quick else options.most
    with tempfile.TemporaryDirectory() as folder:
        otp = shutil.which("erl") is not None and shutil.which("erlc") is not None
        if otp:
            subprocess.run(["erlc", "-o", folder, Path(__file__).with_name("supervisor_driver.erl")], check=True)
        for kind in options.kinds or ["static", "dynamic"]:
            heads = "  ".join(f"{step:>18}" for step in STEPS)
            print(f"{kind:<10} {'children':>8} {heads}   (µs of one child: wall, CPU)", flush=True)
            for number in [size for size in SIZES if size <= most]:
                print(line("pyerlnode", number, ours(kind, number)), flush=True)
                if otp:
                    print(line("OTP", number, theirs(folder, kind, number)), flush=True)


if __name__ == "__main__":
    main()
