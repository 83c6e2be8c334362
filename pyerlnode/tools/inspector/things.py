"""`tree`, `apps`, `ets`, `ports`, `sched`, `stuck` and `find`."""

from __future__ import annotations

import argparse

from pyerlnode.errors import UsageError
from pyerlnode.inspect.text_core import mfa, number, size
from pyerlnode.inspect.tree_core import Child, lines
from pyerlnode.term.atom import A
from pyerlnode.tools.inspector.asking import Face, inspected
from pyerlnode.tools.inspector.live.asker import supervised
from pyerlnode.tools.inspector.live.run import possible
from pyerlnode.tools.inspector.live.run import tree as live
from pyerlnode.tools.inspector.processes import who
from pyerlnode.tools.inspector.table import plain, table


def tree(args: argparse.Namespace) -> int:
    """Draw the supervision trees of a node, of an application, or below a supervisor."""
    if possible(args):
        return live(args)
    with inspected(args) as (node, face):
        told = supervised(node, args.root, args.limit, args.depth)
        if isinstance(told, Child):
            face.document(told)
            _draw(face, told)
            return 0
        face.output.document(ok=True, applications=[face.json(application) for application in told])
        for application in told:
            note = "" if application.top else "  (does not answer)" if application.late else "  (no processes)"
            face.output.line(face.output.paint(f"{application.name}{note}", "bold"))
            if application.top is not None:
                _draw(face, application.top)
    return 0


def _draw(face: Face, top: Child) -> None:
    for line in lines(top, lambda child: _told(face, child)):
        face.output.line(plain(line))


def _told(face: Face, child: Child) -> str:
    pid = "not running" if child.pid is None else face.term(child.pid)
    name = face.term(child.name) if child.name is not None else child.label
    id = "" if child.id is A.undefined or child.id is child.name else face.term(child.id, 8)[:60]
    count = f"  ({child.count} children)" if child.count else ""
    return "  ".join(part for part in (pid, name, id) if part) + count


def apps(args: argparse.Namespace) -> int:
    """List the applications that are loaded."""
    with inspected(args) as (node, face):
        told = node.applications()
        face.output.document(ok=True, applications=[face.json(app) for app in told])
        rows = [(a.name, a.version, "yes" if a.running else "no", number(a.processes), a.about) for a in told]
        table(face.output, ("APPLICATION", "VERSION", "RUNS", "PROCESSES", ""), rows, (3,))
    return 0


def ets(args: argparse.Namespace) -> int:
    """List the largest tables."""
    with inspected(args) as (node, face):
        told = node.ets(args.by, limit=args.limit, match=args.match)
        face.document(told)
        rows = [
            (face.term(t.name), number(t.size), size(t.memory), t.type, t.protection,
             face.term(t.owner_name if t.owner_name is not None else t.owner))
            for t in told.rows
        ]  # fmt: skip
        table(face.output, ("TABLE", "SIZE", "MEMORY", "TYPE", "PROTECTION", "OWNER"), rows, (1, 2))
        face.more(told.cut)
    return 0


def ports(args: argparse.Namespace) -> int:
    """List ports and sockets."""
    with inspected(args) as (node, face):
        told = node.ports(args.by, limit=args.limit)
        face.document(told)
        rows = [
            (face.term(p.port), p.name, size(p.queue), size(p.input), size(p.output), size(p.memory),
             face.term(p.owner_name if p.owner_name is not None else p.owner), p.local or "", p.peer or "")
            for p in told.rows
        ]  # fmt: skip
        header = ("PORT", "NAME", "WAITS", "IN", "OUT", "MEMORY", "OWNER", "LOCAL", "PEER")
        table(face.output, header, rows, (2, 3, 4, 5))
        face.more(told.cut)
    return 0


def sched(args: argparse.Namespace) -> int:
    """Print how busy each scheduler was."""
    with inspected(args) as (node, face):
        told = node.schedulers(window=_window(args))
        face.document(told)
        rows = [(str(s.number), s.kind, f"{100 * s.busy:.1f} %", "#" * round(20 * s.busy)) for s in told.busy]
        shown = [row for row in rows if row[1] != "dirty_io" or row[3]]
        table(face.output, ("SCHEDULER", "KIND", "BUSY", ""), shown, (2,))
        face.output.line(f"ready to run: {' '.join(map(str, told.run_queues))}")
    return 0


def stuck(args: argparse.Namespace) -> int:
    """List the processes that did not move; status 1 when there are any."""
    with inspected(args) as (node, face):
        told = node.stuck(window=_window(args), limit=args.limit)
        face.document(told)
        for p in told.rows:
            name = face.term(p.name) if p.name is not None else p.label or ""
            waits = f", waits for {face.term(p.waits_for)}" if p.waits_for is not None else ""
            face.output.line(plain(f"{face.term(p.pid)}  {name}  {number(p.queue)} messages{waits}"))
            for call in p.stack:
                face.output.line(f"    {mfa(call, face.style)}")
        face.more(told.cut)
        if not told.rows:
            face.output.line("every process moves, or has nothing to do")
    return 1 if told.rows else 0


def _window(args: argparse.Namespace) -> float:
    window: float = args.window
    if not 0 < window <= 3600:
        raise UsageError("--window is more than 0 and at most 3600 seconds")
    return window


def find(args: argparse.Namespace) -> int:
    """List the processes that a text means; status 1 when there are none."""
    with inspected(args) as (node, face):
        told = node.top("queue", match=args.text, limit=args.limit)
        face.document(told)
        rows = [
            (face.term(r.pid), who(face, r), mfa(r.initial_call, face.style), mfa(r.current_function, face.style))
            for r in told.rows
        ]
        if rows:
            table(face.output, ("PID", "NAME", "STARTED BY", "CURRENT"), rows)
        else:
            face.output.line(f"no process has {args.text} in its application, module, name or label")
        face.more(told.cut)
    return 0 if told.rows else 1
