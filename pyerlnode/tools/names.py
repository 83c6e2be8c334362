"""`names`: the nodes registered at a host's EPMD, once or as a live view.

The live view reads single keys: `q` ends it, `space` holds it still, `r` asks at once. The terminal is put into
cbreak mode by the package `term` and the keys are awaited through the hub, so nothing that runs beside it stops.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field

from pyerlnode.errors import NetworkError, UsageError
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.tools.inspector.live.terminal import package
from pyerlnode.tools.output import Output, terminal_size

INTERVAL = 1.0
GONE_FOR = 5.0
"""Seconds that a name which went away stays on the screen, marked as gone."""

HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
ALTERNATE, NORMAL = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def names(args: argparse.Namespace) -> int:
    """List what is registered, or keep the list on the screen with `--watch`."""
    output = Output(json_=args.json)
    if args.watch:
        return _watch(args, output)
    found = _ask(args)
    output.document(ok=True, host=args.host, names=[{"name": name, "port": port} for name, port in found])
    width = max((len(name) for name, _ in found), default=0)
    for name, port in found:
        output.line(f"{name:<{width}}  port {port}")
    if not found:
        output.line(f"no node is registered at EPMD on {args.host}")
    return 0


def _ask(args: argparse.Namespace) -> list[tuple[str, int]]:
    return sorted(Epmd(args.epmd_port, args.host).names(timeout=args.timeout))


# --- the live view ---------------------------------------------------------------------------------
@dataclass
class View:
    """What the screen shows: names with their ports, when each came, and those that went a moment ago."""

    present: dict[str, int] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)
    trouble: str = ""
    held: bool = False
    looked: bool = False

    def update(self, found: list[tuple[str, int]], now: float) -> None:
        """Take over an answer of EPMD that came at `now` (seconds of a monotonic clock)."""
        fresh = dict(found)
        for name in self.present.keys() - fresh.keys():
            self.gone[name] = now
            self.since.pop(name, None)
        for name in fresh.keys() - self.present.keys():
            self.since[name] = now if self.looked else now - GONE_FOR
            self.gone.pop(name, None)
        self.present, self.trouble, self.looked = fresh, "", True

    def lines(self, host: str, now: float, output: Output, columns: int = 80) -> list[str]:
        """The screen, top to bottom; no line is wider than `columns`."""
        state = "held" if self.held else f"every {INTERVAL:g} s"
        shown = [(f"nodes at EPMD on {host}  {len(self.present)}  ({state})", "bold"), ("", "")]
        width = max((len(name) for name in (*self.present, *self.gone)), default=0)
        for name in sorted({*self.present, *(n for n, at in self.gone.items() if now - at < GONE_FOR)}):
            if name in self.present:
                new = now - self.since[name] < GONE_FOR
                line = f"{'+' if new else ' '} {name:<{width}}  port {self.present[name]}"
                shown.append((line, "green" if new else ""))
            else:
                shown.append((f"- {name:<{width}}  gone", "red"))
        if self.trouble:
            shown.append((self.trouble, "yellow"))
        shown += [("", ""), ("q end   space hold   r ask now", "dim")]
        return [output.paint(line[:columns], style) if style else line[:columns] for line, style in shown]


def _watch(args: argparse.Namespace, output: Output) -> int:
    if args.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--watch needs a terminal and no --json; leave it out to list the names once")
    with package().cbreakmode(sys.stdin, min=0):
        sys.stdout.write(ALTERNATE)
        try:
            _live(args, output)
        finally:
            sys.stdout.write(NORMAL)
            sys.stdout.flush()
    return 0


def _live(args: argparse.Namespace, output: Output) -> None:
    view = View()
    while True:
        if not view.held:
            try:
                view.update(_ask(args), time.monotonic())
            except NetworkError as error:
                view.update([], time.monotonic())
                view.trouble = str(error)
        _draw(view.lines(args.host, time.monotonic(), output, terminal_size().columns))
        key = _key(INTERVAL)
        if key in ("q", "Q", "\x04"):
            return
        if key == " ":
            view.held = not view.held


def _draw(lines: list[str]) -> None:
    sys.stdout.write(HOME + "".join(f"{line}{CLEAR_LINE}\r\n" for line in lines) + CLEAR_BELOW)
    sys.stdout.flush()


def _key(timeout: float) -> str:
    """The next key, or "" after `timeout` seconds; other greenlets run meanwhile."""
    import os

    from gevent import select

    ready, _, _ = select.select([sys.stdin], [], [], timeout)
    return os.read(sys.stdin.fileno(), 1).decode("latin-1") if ready else ""
