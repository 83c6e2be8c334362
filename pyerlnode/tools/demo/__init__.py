"""`demo`: the main job, step by step and verified, with a peer node in an OS process of its own.

The peer is an Elixir node where `elixir` is on the machine, else an Erlang node, else a second Python node: the steps
are the same. Every step is timed and checked by what both sides saw; the status is 0 only if all were verified.

Nothing outside is touched: EPMD is the embedded one on a port of its own, names and cookie are new each time, the
peer's HOME is a temporary directory, everything listens on loopback, and all is gone at the end, after Ctrl-C too.
"""

from __future__ import annotations

import argparse
import signal
from types import FrameType
from typing import NoReturn

from pyerlnode.tools.demo.peers import find_peer
from pyerlnode.tools.demo.report import Report
from pyerlnode.tools.output import Output


def run(args: argparse.Namespace) -> int:
    """Run every step; 0 if all were verified, else 1."""
    from pyerlnode.tools.demo.scenario import play

    kind = find_peer(args.peer)
    report = Report(Output(json_=args.json))
    before = signal.signal(signal.SIGTERM, _terminated), signal.getsignal(signal.SIGINT)
    try:
        play(kind, report)
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)
    return report.finish(kind.name, kind.title, kind.hint)


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
