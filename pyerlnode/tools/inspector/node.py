"""`info` and `nodes`."""

from __future__ import annotations

import argparse

from pyerlnode.inspect.node_core import Limit, NodeInfo, Seen
from pyerlnode.inspect.text_core import duration, number, size
from pyerlnode.tools.inspector.asking import inspected
from pyerlnode.tools.inspector.table import table


def info(args: argparse.Namespace) -> int:
    """Print what the node says of itself; what is near its limit in red."""
    with inspected(args) as (node, face):
        told = node.info()
        face.document(told)
        for name, text in facts(told):
            face.output.line(f"{name:12} {text}")
        for name, limit in sorted(told.limits.items()):
            line = f"{name:12} {_of(limit)}"
            face.output.line(face.output.paint(line, "red") if limit.near else line)
    return 0


def facts(told: NodeInfo) -> list[tuple[str, str]]:
    memory = told.memory
    parts = ", ".join(f"{name} {size(memory[name])}" for name in ("processes", "binary", "ets", "code", "atom"))
    elixir = f", Elixir {told.elixir}" if told.elixir else ""
    online, all_ = told.schedulers
    return [
        ("node", told.node),
        ("release", f"OTP {told.otp} (erts {told.erts}){elixir}, {told.system}"),
        ("uptime", duration(told.uptime)),
        ("schedulers", f"{online} of {all_} online, {told.run_queue} ready to run"),
        ("memory", f"{size(memory['total'])}: {parts}"),
        ("connected", f"{told.connected} nodes, applications: {told.applications}"),
    ]


def _of(limit: Limit) -> str:
    if limit.most is None:
        return number(limit.used)
    share = 100 * limit.used / limit.most
    return f"{number(limit.used)} of {number(limit.most)} ({share:.1f} %){', near its limit' if limit.near else ''}"


def nodes(args: argparse.Namespace) -> int:
    """Print the nodes that the node sees; status 1 when two of them do not see each other."""
    with inspected(args) as (node, face):
        told = node.nodes(limit=args.limit)
        face.document(told)
        table(
            face.output,
            ("NODE", "KIND", "SEES", "IN", "OUT", "WAITS"),
            [_row(seen) for seen in told.nodes],
            (2, 3, 4, 5),
        )
        face.more(told.cut)
        for one, other in told.splits:
            line = f"{one} and {other} do not see each other"
            face.output.line(face.output.paint(line, "red"))
    return 1 if told.splits else 0


def _row(seen: Seen) -> tuple[str, ...]:
    sees = "-" if not seen.asked else "no answer" if seen.sees is None else str(len(seen.sees))
    traffic = ("-", "-", "-") if seen.traffic is None else tuple(size(count) for count in seen.traffic)
    return (seen.node, seen.kind, sees, *traffic)
