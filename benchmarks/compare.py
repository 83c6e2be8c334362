"""One benchmark in two checkouts, in turn, and the ratio of their medians: what a change did to the figures.

    python benchmarks/compare.py OLD NEW [--rounds 9] [--python .venv/bin/python] bench_runtime.py [ARGS ...]

OLD and NEW are checkouts, each with its codec built. Rounds are interleaved, and the order changes with each, so that a
machine which becomes slower is slower for both. A ratio above 1 says that NEW is better (a rate is higher, a time, size
or cost lower). Lines of both forms are read: ``figure  value  unit  goal``, and the tables of `bench_dist.py`, whose
column of this node and its CPU time count. Ends with status 1 when a ratio is below ``--at-least``.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from pathlib import Path

LINE = re.compile(r"^(?P<what>\S.*?) {2,}(?P<value>[\d,]+\.\d+) (?P<unit>\S+)")
Sample = dict[str, float]


def figures(text: str) -> Sample:
    """Every figure of a benchmark's output, as what is better when it is higher."""
    found: Sample = {}
    columns: list[str] = []
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if "python" in cells:
                columns = cells
            elif columns and len(cells) == len(columns) and not cells[0].startswith("-"):
                found.update(_row(dict(zip(columns, cells, strict=True)), cells[0]))
        elif match := LINE.match(line):
            value = float(match["value"].replace(",", ""))
            better = value if match["unit"].endswith("/s") else 1 / value if value else 0.0
            found[f"{match['what']} ({match['unit']})"] = better
    return found


def _row(cells: dict[str, str], name: str) -> Sample:
    found = {}
    if rate := re.match(r"[\d,.]+", cells.get("python", "")):
        found[name] = float(rate[0].replace(",", ""))
    if cost := re.match(r"[\d,.]+", cells.get("CPU python", "")):
        found[f"{name}, CPU"] = 1 / max(1e-9, float(cost[0].replace(",", "")))
    return found


def run(checkout: Path, python: str, words: list[str]) -> Sample:
    command = [str(checkout / python), str(checkout / "benchmarks" / words[0]), *words[1:]]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return figures(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--python", default=".venv/bin/python")
    parser.add_argument("--at-least", type=float, default=0.0)
    parser.add_argument("benchmark", help="a file of this folder; what follows is for it")
    args, more = parser.parse_known_args()
    samples: dict[str, list[Sample]] = {"old": [], "new": []}
    for turn in range(args.rounds):
        for side in ("old", "new") if turn % 2 else ("new", "old"):
            samples[side].append(run(getattr(args, side).resolve(), args.python, [args.benchmark, *more]))
            print(f"\rround {turn + 1} of {args.rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    worst = 10.0
    for name in samples["new"][0]:
        if all(name in sample for side in samples.values() for sample in side):
            old, new = (statistics.median(sample[name] for sample in samples[side]) for side in ("old", "new"))
            pairs = sorted(n[name] / o[name] for o, n in zip(samples["old"], samples["new"], strict=True) if o[name])
            if old and pairs:
                worst = min(worst, new / old)
                print(f"{name:<72} {new / old:6.3f}   pairs {pairs[0]:.3f} … {pairs[-1]:.3f}")
    return int(worst < args.at_least)


if __name__ == "__main__":
    sys.exit(main())
