"""`eval`, `kill` and `gc`: what changes a node, and so needs `--yes`."""

from __future__ import annotations

import argparse

from pyerlnode.errors import UsageError
from pyerlnode.inspect.text_core import size
from pyerlnode.tools.inspector.asking import inspected
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
