"""`record` and `diff`: a node at two moments."""

from __future__ import annotations

import argparse
import time

from pyerlnode.errors import UsageError
from pyerlnode.inspect.snapshot_core import compare, load
from pyerlnode.inspect.text_core import duration, number
from pyerlnode.tools.inspector.asking import inspected
from pyerlnode.tools.inspector.table import table


def record(args: argparse.Namespace) -> int:
    """Write a snapshot to a file, or print it."""
    with inspected(args) as (node, face):
        taken = node.snapshot()
    if args.file == "-":
        print(taken.dump())
        return 0
    try:
        with open(args.file, "w", encoding="utf-8") as file:
            file.write(taken.dump() + "\n")
    except OSError as error:
        raise UsageError(f"{args.file} can not be written: {error.strerror}") from None
    face.output.document(ok=True, node=args.node, file=args.file)
    face.output.line(f"{args.node} is recorded in {args.file}")
    return 0


def diff(args: argparse.Namespace) -> int:
    """Print what has changed most since the snapshot of a file."""
    try:
        with open(args.file, encoding="utf-8") as file:
            before = load(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{args.file} can not be read: {getattr(error, 'strerror', error)}") from None
    with inspected(args) as (node, face):
        changes = compare(before, node.snapshot())
    shown = changes[: args.limit]
    age = time.time() - before.at
    rows = [{"what": c.what, "before": c.before, "after": c.after, "by": c.by} for c in shown]
    face.output.document(
        ok=True, before=before.node, seconds=round(age, 3), changes=rows, cut=len(changes) - len(shown)
    )
    face.output.line(f"{args.node}, and {before.node} {duration(max(0.0, age))} ago")
    lines = [(c.what, number(c.before), number(c.after), f"{c.by:+}") for c in shown]
    table(face.output, ("WHAT", "BEFORE", "AFTER", "CHANGE"), lines, (1, 2, 3))
    face.more(len(changes) - len(shown))
    return 0
