"""`journal check FILE` and `journal salvage FILE NEW`: what is left of a damaged journal of durable requests."""

from __future__ import annotations

import argparse

from pyerlnode.cluster.durable import salvage as salvaging
from pyerlnode.tools.output import Output


def journal(args: argparse.Namespace) -> int:
    """Say what is left of a journal, or save it."""
    output = Output(json_=args.json)
    left = salvaging.salvage(args.file, args.new) if args.what == "salvage" else salvaging.check(args.file)
    kept = {table.removeprefix("pyerlnode_"): len(rows) for table, rows in left.rows.items()}
    bad = {table.removeprefix("pyerlnode_"): count for table, count in left.bad.items()}
    output.document(ok=not left.damage, file=args.file, role=left.role, damage=left.damage, kept=kept, bad=bad)
    output.line(
        f"{args.file}: {f'damaged ({left.damage})' if left.damage else 'whole'}; {left.role or 'of no server yet'}"
    )
    output.line(str(left))
    if args.what == "salvage":
        output.line(f"{args.new} has it")
        return 0
    return 1 if left.damage else 0
