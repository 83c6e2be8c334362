"""`trace`, `eval`, `kill` and `gc`: what changes a node or costs it much, and so needs `--yes`."""

from __future__ import annotations

import argparse
from datetime import datetime

from pyerlnode.errors import UsageError
from pyerlnode.inspect.text_core import size
from pyerlnode.inspect.trace_core import ENDS, Event
from pyerlnode.tools.inspector.asking import Face, inspected
from pyerlnode.tools.inspector.table import plain
from pyerlnode.tools.output import jsonable


def _agreed(args: argparse.Namespace, what: str) -> None:
    if not args.yes:
        raise UsageError(f"{what} changes {args.node}: say --yes to do it")


def evaluate(args: argparse.Namespace) -> int:
    """Evaluate Erlang there and print the value."""
    _agreed(args, "eval")
    with inspected(args, read_only=False) as (node, face):
        value = node.eval(args.source)
        face.output.document(ok=True, term=face.term(value), value=jsonable(value), node=args.node)
        face.output.line(face.pretty(value))
    return 0


def kill(args: argparse.Namespace) -> int:
    """Kill a process."""
    _agreed(args, "kill")
    with inspected(args, read_only=False) as (node, face):
        node.process(args.process).kill()
        face.output.document(ok=True, killed=args.process)
        face.output.line(f"{args.process} on {args.node} was killed")
    return 0


def collect(args: argparse.Namespace) -> int:
    """Collect the garbage of a process."""
    _agreed(args, "gc")
    with inspected(args, read_only=False) as (node, face):
        before, after = node.process(args.process).garbage_collect()
        face.output.document(ok=True, before=before, after=after)
        face.output.line(f"{args.process}: {size(before)} before, {size(after)} after")
    return 0


def trace(args: argparse.Namespace) -> int:
    """Print calls as they come, and why there are no more; status 1 when the trace could not begin."""
    _agreed(args, "trace")
    bounds = {name: getattr(args, name) for name in ("process", "count", "rate", "seconds", "size", "returns")}
    with inspected(args, read_only=False) as (node, face), node.trace(args.function, **bounds) as traced:
        events = []
        for event in traced:
            events.append(face.json(event))
            face.output.line(_told(face, args.function, event))
        done = traced.ended in ("count", "rate", "time")
        face.output.document(ok=done, events=events, ended=traced.ended, why=ENDS[traced.ended])
        face.output.line(face.output.paint(f"ended: {ENDS[traced.ended]}", "dim"))
    return 0 if done else 1


def _told(face: Face, function: str, event: Event) -> str:
    when = datetime.fromtimestamp(event.at).strftime("%H:%M:%S.%f")
    sign = "" if event.kind == "call" else "-> "
    return plain(f"{when} {face.term(event.pid)} {function.partition('/')[0]} {sign}{event.text}")
