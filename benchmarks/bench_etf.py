"""The codec beside CPython's own marshal: one run, interleaved, medians.

    python benchmarks/bench_etf.py [--rounds 25] [--cpu]

marshal has no atoms and no pids: strings and tuples stand for them there. It is the yardstick because it is the
fastest serialiser that CPython has and does the same work, minus what Erlang's types ask for. The rows are also
run through erlang-py and through the pure codec. `--cpu` counts the seconds of this process instead of those of the
wall, for a machine that does other work too.
"""

from __future__ import annotations

import argparse
import gc
import marshal
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import erlang

from pyerlnode import etf
from pyerlnode.etf import _codec_py as pure
from pyerlnode.term import A, Atom, ImproperList, Pid, Reference

NODE = A["app@127.0.0.1"]
clock = time.perf_counter


def call() -> Any:
    """What a GenServer.call is on the wire."""
    alias = Reference(NODE, 1_700_000_000, (123_456, 234_567, 345_678, 456, 99))
    return A["$gen_call"], (Pid(NODE, 123, 0, 1_700_000_000), ImproperList((A.alias,), alias)), (A.get, b"sku-1", 1)


def rows(count: int) -> Any:
    return [
        {A.id: i, A.name: b"item %d" % i, A.price: i * 1.25, A.tags: [A.new, A.sale], A.stock: {A.berlin: i * 1000}}
        for i in range(count)
    ]


def nested() -> Any:
    """Twenty trees of 150 levels: marshal takes no more than 2,000."""
    trees = []
    for tree in range(20):
        value: Any = ()
        for i in range(75):
            value = [(tree, i), (A.node, [value, A.leaf])]
        trees.append(value)
    return trees


def mixed() -> Any:
    """About 100 KB of everything."""
    return [
        (
            A.event,
            i,
            {A.user: Pid(NODE, i, 0, 1), A.text: b"some text %d" % i * 3, A.at: i * 0.5},
            [True, None, 1 << 40 + i % 20],
        )
        for i in range(800)
    ]


CORPORA: dict[str, tuple[Any, int]] = {
    "call tuple, pid and alias tag": (call(), 2_000),
    "1,000 rows of maps": (rows(1_000), 4),
    "10,000 integers": (list(range(0, 10_000 * 1_000, 1_000)), 20),
    "10,000 floats": ([i * 1.1 for i in range(10_000)], 20),
    "10,000 small binaries": ([b"binary %d" % i for i in range(10_000)], 10),
    "10,000 atoms": ([Atom(f"atom_{i % 500}") for i in range(10_000)], 20),
    "nested tuples and lists": (nested(), 20),
    "1 MB binary": (bytes(1_000_000), 20),
    "100 KB mixed document": (mixed(), 5),
}


def for_marshal(term: Any) -> Any:
    """The same data with strings for atoms and tuples for identifiers.

    Numbers and binaries are made anew: marshal takes longer for an object that others hold too.
    """
    kind = type(term)
    if kind is bytes:
        return bytes(bytearray(term))
    if kind is int or kind is float:
        return term * 2 // 2 if kind is int else term * 2 / 2
    if kind is Atom:
        return term.name
    if kind is Pid:
        return term.node.name, term.id, term.serial, term.creation
    if kind is Reference:
        return term.node.name, term.creation, term.words
    if kind is ImproperList:
        return [*map(for_marshal, term.items), for_marshal(term.tail)]
    if kind is tuple or kind is list:
        return kind(map(for_marshal, term))
    if kind is dict:
        return {for_marshal(key): for_marshal(value) for key, value in term.items()}
    return term


def for_erlang_py(term: Any) -> Any:
    kind = type(term)
    if kind is Atom:
        return erlang.OtpErlangAtom(term.name)
    if kind is bytes:
        return erlang.OtpErlangBinary(term)
    if kind is list:
        return erlang.OtpErlangList([for_erlang_py(part) for part in term])
    if kind is dict:
        return {for_erlang_py(key): for_erlang_py(value) for key, value in term.items()}
    return term


def timed(function: Callable[[Any], Any], argument: Any, repeat: int) -> float:
    started = clock()
    for _ in range(repeat):
        function(argument)
    return (clock() - started) / repeat * 1e6


def interleaved(runs: list[tuple[Callable[[Any], Any], Any]], repeat: int, rounds: int) -> list[float]:
    """The median of each in µs; every round runs all of them once, so that a slow moment hits all."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for index, (function, argument) in enumerate(runs):
            gc.collect()
            times[index].append(timed(function, argument, repeat))
    return [statistics.median(column) for column in times]


def main() -> None:
    global clock
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    rounds, clock = options.rounds, time.process_time if options.cpu else time.perf_counter
    unit = "µs of CPU time" if options.cpu else "µs"
    print(f"implementation: {etf.IMPLEMENTATION}; {unit}, medians of {rounds} interleaved rounds\n")
    print("| corpus | encode | marshal.dumps | ratio | decode | marshal.loads | ratio |")
    print("|---|---|---|---|---|---|---|")
    ratios: tuple[list[float], list[float]] = ([], [])
    for name, (term, repeat) in CORPORA.items():
        plain = for_marshal(term)
        wire, marshalled = etf.encode(term), marshal.dumps(plain)
        runs: list[tuple[Callable[[Any], Any], Any]] = [
            (etf.encode, term), (marshal.dumps, plain), (etf.decode, wire), (marshal.loads, marshalled),
        ]  # fmt: skip
        enc, dumps, dec, loads = interleaved(runs, repeat, rounds)
        ratios[0].append(enc / dumps)
        ratios[1].append(dec / loads)
        print(f"| {name} | {enc:.2f} | {dumps:.2f} | {enc / dumps:.2f} | {dec:.2f} | {loads:.2f} | {dec / loads:.2f} |")
    means = [math.exp(statistics.fmean(map(math.log, column))) for column in ratios]
    print(f"| geometric mean | | | {means[0]:.2f} | | | {means[1]:.2f} |\n")

    term = rows(1_000)
    theirs, wire = for_erlang_py(term), etf.encode(term)
    runs = [
        (etf.encode, term), (pure.encode, term), (erlang.term_to_binary, theirs),
        (etf.decode, wire), (pure.decode, wire), (erlang.binary_to_term, wire),
    ]  # fmt: skip
    times = interleaved(runs, 1, rounds)
    print("| 1,000 rows of maps | encode | × erlang-py | decode | × erlang-py |")
    print("|---|---|---|---|---|")
    for index, name in enumerate((etf.IMPLEMENTATION, "pure", "erlang-py")):
        e, d = times[index], times[index + 3]
        print(f"| {name} | {e:.0f} | {times[2] / e:.1f} | {d:.0f} | {times[5] / d:.1f} |")


if __name__ == "__main__":
    main()
