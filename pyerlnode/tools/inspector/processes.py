"""`top`, `proc`, `mailbox` and `state`."""

from __future__ import annotations

import argparse
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.inspect.process_core import Cut, Some
from pyerlnode.inspect.rank_core import Row
from pyerlnode.inspect.text_core import mfa, number, size
from pyerlnode.tools.inspector.asking import Face, inspected
from pyerlnode.tools.inspector.live.run import possible
from pyerlnode.tools.inspector.live.run import top as live
from pyerlnode.tools.inspector.table import table
from pyerlnode.tools.output import jsonable

BYTES = ("memory", "binary")
SHOWN = 300
"""Characters of a message on the screen; --json has it whole."""


def top(args: argparse.Namespace) -> int:
    """Print a ranking of processes."""
    if not 0 <= args.window <= 3600 or args.skip < 0:
        raise UsageError("--window is 0 to 3600 seconds, --skip 0 or more")
    if not args.skip and possible(args):
        return live(args)
    with inspected(args) as (node, face):
        told = node.top(args.by, window=args.window, limit=args.limit, skip=args.skip, match=args.match)
        face.document(told)
        columns = [c for c in ("queue", "memory") if args.window or c != args.by]
        header = ("PID", f"{'+' if args.window else ''}{args.by}".upper(), *map(str.upper, columns), "NAME", "CURRENT")
        numbers = range(1, 2 + len(columns))
        table(face.output, header, [_row(face, row, args.by, columns) for row in told.rows], numbers)
        face.more(told.cut if not args.window else 0)
    return 0


def _row(face: Face, row: Row, by: str, columns: list[str]) -> tuple[str, ...]:
    more = {"queue": number(row.queue), "memory": size(row.memory)}
    value = size(row.value) if by in BYTES else number(row.value)
    shown = (more[column] for column in columns)
    return face.term(row.pid), value, *shown, who(face, row), mfa(row.current_function, face.style)


def who(face: Face, row: Row) -> str:
    """Its name, else its label, else what it began with."""
    if row.name is not None:
        return face.term(row.name)
    return row.label or mfa(row.initial_call, face.style)


def proc(args: argparse.Namespace) -> int:
    """Print what one process is."""
    with inspected(args) as (node, face):
        told = node.process(args.process).info(limit=args.limit)
        face.document(told)
        line = face.output.line
        name = face.term(told.name) if told.name is not None else told.label
        line(f"{face.term(told.pid)}  {name or ''}".rstrip())
        facts: list[tuple[str, Any]] = [
            ("application", told.application or "-"),
            ("initial call", mfa(told.initial_call, face.style)),
            ("current", mfa(told.current_function, face.style)),
            ("status", f"{told.status}, priority {told.priority}{', traps exits' if told.trap_exit else ''}"),
            ("messages", number(told.queue)),
            (
                "memory",
                f"{size(told.memory)}, heap {number(told.heap_words)} and stack {number(told.stack_words)} words",
            ),
            ("reductions", number(told.reductions)),
            ("ancestors", face.pids(told.ancestors) or "-"),
            ("group leader", face.term(told.group_leader)),
            ("links", _some(face, told.links)),
            ("monitors", _some(face, told.monitors)),
            ("monitored by", _some(face, told.monitored_by)),
            ("dictionary", " ".join(key.decode("utf-8", "replace") for key in told.dictionary.items) or "-"),
        ]
        for what, text in facts:
            line(f"  {what:13} {text}")
        line("  stack")
        for call, where in told.stack:
            line(f"    {mfa(call, face.style)}  {where}".rstrip())
    return 0


def _some(face: Face, some: Some) -> str:
    more = f" … {some.cut} more" if some.cut else ""
    return f"{face.pids(some.items)}{more}" if some.length else "-"


def mailbox(args: argparse.Namespace) -> int:
    """Print the first messages of a process and the shapes of all that were looked at."""
    with inspected(args) as (node, face):
        told = node.process(args.process).mailbox(limit=args.limit, force=args.force)
        if face.output.json:
            first = [_text(face, message, None) for message in told.first]
            shapes = [{"shape": shape, "count": count} for shape, count in told.shapes]
            face.output.document(ok=True, pid=face.term(told.pid), length=told.length, first=first, shapes=shapes,
                                 looked=told.looked, cut=told.cut)  # fmt: skip
        face.output.line(f"{face.term(told.pid)} has {number(told.length)} messages")
        for shape, count in told.shapes:
            face.output.line(f"  {number(count):>9}  {shape}")
        if told.looked < told.length:
            face.output.line(f"  (shapes of the first {number(told.looked)})")
        for message in told.first:
            face.output.line(_text(face, message, SHOWN))
        face.more(told.cut)
    return 0


def _text(face: Face, message: Any, most: int | None) -> str:
    text = f"({size(message.size)}) {message.text}" if isinstance(message, Cut) else face.term(message)
    return text if most is None or len(text) <= most else f"{text[: most - 1]}…"


def state(args: argparse.Namespace) -> int:
    """Print the state of an OTP process."""
    with inspected(args) as (node, face):
        told = node.process(args.process).state(status=args.status, force=args.force)
        face.output.line(f"{told.status} in {mfa(told.current_function, face.style)}, {number(told.queue)} messages")
        if isinstance(told.state, Cut):
            face.document(told)
            face.output.line(f"({size(told.state.size)}) {told.state.text} …")
        else:
            text = face.term(told.state)
            face.output.document(ok=True, queue=told.queue, status=told.status, state=text, value=jsonable(told.state))
            face.output.line(face.pretty(told.state))
    return 0
