#!/usr/bin/env python3
"""draw.py: makes the drawings of these pages, `figures/*.svg`; a test holds that they are as this script makes them.

The floors are read from the test that holds them (`tests/architecture/test_floors.py`) and the rooms from the tree, so
a room that is added without a word about it here is found.
"""

from __future__ import annotations

import ast
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INK, FAINT, PAPER = "#1f2933", "#6b7785", "#ffffff"
FILLS = {
    "plain": "#f4f6f8",
    "pure": "#e3f1e6",  # standard library only; time and entropy are arguments
    "edge": "#fdebd3",  # meets gevent
    "user": "#e2ecfb",
    "end": "#fbe3e3",
}


class Drawing:
    """Boxes, arrows and words, in pixels from the top left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.size = width, height
        self.title = title
        self.parts: list[str] = []

    def text(self, x: float, y: float, words: str, *, size: int = 13, bold: bool = False, faint: bool = False,
             anchor: str = "middle") -> None:  # fmt: skip
        weight = ' font-weight="600"' if bold else ""
        fill = FAINT if faint else INK
        shown = words.replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}"{weight} fill="{fill}" text-anchor="{anchor}">{shown}</text>'
        )

    def box(self, x: float, y: float, w: float, h: float, name: str, *words: str, fill: str = "plain") -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="6" fill="{FILLS[fill]}" stroke="{FAINT}"/>'
        )
        lines = 1 + len(words)
        top = y + h / 2 - (lines - 1) * 8 + 4.5
        self.text(x + w / 2, top, name, bold=True)
        for index, line in enumerate(words, 1):
            self.text(x + w / 2, top + 16 * index, line, size=11, faint=True)

    def arrow(self, *points: tuple[float, float], words: str = "", at: tuple[float, float] | None = None) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.4" marker-end="url(#tip)"/>'
        )
        if words:
            (x, y) = at or ((points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2 - 6)
            self.text(x, y, words, size=11, faint=True)

    def svg(self) -> str:
        width, height = self.size
        tip = '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        return "\n".join((
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif">',
            f"<title>{self.title}</title>",
            f'<defs>{tip}<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
            *self.parts,
            "</svg>\n",
        ))  # fmt: skip


# --- the floors -------------------------------------------------------------------------------------------------
ABOUT = {
    "__main__": "python -m pyerlnode",
    "tools": "command line, shell, demo",
    "testing": "pytest plugin, Beam",
    "__init__": "the public face",
    "inspect": "looks into a BEAM",
    "aio": "asyncio",
    "facade": "connect(): hub in a thread",
    "awaited": "servers of coroutines",
    "workers": "OS processes behind pids",
    "node": "composition root",
    "port_program": "a node over stdin, stdout",
    "kernel": "net_kernel, pg, global, rpc, io",
    "cluster": "sessions, standby, durable, load",
    "bridges": "GenStage, Phoenix, Nx",
    "otp": "behaviours, supervisors",
    "net": "sockets, TLS, EPMD",
    "port": "port mode",
    "runtime": "processes, mailboxes",
    "dist": "the protocol, as machines",
    "signal": "one vocabulary",
    "etf": "the codec, twice",
    "schema": "typed decode",
    "term": "atoms, pids, containers, text",
    "errors": "whose fault it is",
    "brief": "any value in a few words",
    "orphans": "OS processes end with theirs",
    "limits": "every bound on a peer",
    "former": "earlier import paths",
}
COLOURS = {
    "edge": ("facade", "aio", "net", "port", "tools", "testing", "workers"),
    "pure": ("brief", "errors", "limits", "former", "term", "signal", "etf", "schema", "dist"),
}


def floors_of_the_plan() -> dict[str, int]:
    tree = ast.parse((ROOT / "tests/architecture/test_floors.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "FLOORS":
            return dict(ast.literal_eval(node.value))
    raise SystemExit("tests/architecture/test_floors.py has lost its FLOORS")


def floors() -> Drawing:
    plan = floors_of_the_plan()
    by_floor: dict[int, list[str]] = {}
    for room, floor in plan.items():
        by_floor.setdefault(floor, []).append(room)
    step, wide = 62, 250
    drawing = Drawing(920, step * len(by_floor) + 74, "The floors: a module imports only from floors below its own")
    drawing.text(20, 28, "A module imports only from floors below its own. Rooms on one floor never import each other.",
                 size=14, bold=True, anchor="start")  # fmt: skip
    for row, floor in enumerate(sorted(by_floor, reverse=True)):
        y = 46 + row * step
        drawing.text(34, y + 29, f"F{floor}", bold=True, faint=True)
        for column, room in enumerate(by_floor[floor]):
            fill = next((colour for colour, rooms in COLOURS.items() if room in rooms), "plain")
            name = f"{room}/" if (ROOT / "pyerlnode" / room).is_dir() else f"{room}.py"
            drawing.box(66 + column * (wide + 14), y, wide, step - 14, name, ABOUT[room], fill=fill)
    y = drawing.size[1] - 16
    drawing.text(66, y, "green: standard library only, time and entropy are arguments · orange: meets gevent "
                 "(runtime: process, mailbox, scheduler, timer too)", size=11, faint=True, anchor="start")  # fmt: skip
    return drawing


# --- the way of a message ---------------------------------------------------------------------------------------
WAY_IN = [
    ("net/connection", "reader: one read, many frames", "edge"),
    ("dist/framing, channel", "frames, ticks, fragments, atom cache", "pure"),
    ("etf, dist/control", "bytes become a Signal", "pure"),
    ("runtime/router", "pid, name or alias: which process?", "plain"),
    ("runtime/process", "enqueue, exit, DOWN or ignore; wake", "edge"),
    ("runtime/scheduler", "in its turn, on a worker greenlet", "edge"),
    ("otp/gen_server", "system messages to sys first", "plain"),
]
WAY_OUT = [
    ("the socket", "one sendmsg for all that was gathered", "edge"),
    ("net/outgoing", "gathered until the read is done", "edge"),
    ("dist/channel, etf", "a list of buffers; big binaries not copied", "pure"),
    ("Route", "the port that net_kernel has installed", "plain"),
    ("runtime/tables", "another node: its Route; this one: step 5", "plain"),
    ("otp/gen.reply", "to the alias of the call", "plain"),
    ("Reply, send, cast", "what the callback gives", "user"),
]


def message() -> Drawing:
    step, wide, left, right = 66, 300, 40, 500
    rows = len(WAY_IN)
    drawing = Drawing(840, step * rows + 110, "The way of a message: up from the socket to a callback, and back down")
    base = step * rows + 14
    for index, (name, words, fill) in enumerate(WAY_IN):
        y = base - index * step
        drawing.box(left, y, wide, step - 20, f"{index + 1}  {name}", words, fill=fill)
        drawing.arrow((left + wide / 2, y), (left + wide / 2, y - 19))
    for index, (name, words, fill) in enumerate(WAY_OUT):
        y = base - index * step
        drawing.box(right, y, wide, step - 20, name, words, fill=fill)
        if index:
            drawing.arrow((right + wide / 2, y + step - 20), (right + wide / 2, y + step - 1))
    drawing.box(left, 20, right + wide - left, 38, "the user's handle_call, handle_cast, handle_info", fill="user")
    drawing.arrow((right + wide / 2, 58), (right + wide / 2, base - (rows - 1) * step - 1))
    drawing.arrow((left + wide / 2, base + step), (left + wide / 2, base + step - 19))
    drawing.text(left + wide / 2, base + step + 12, "bytes from a peer", size=11, faint=True)
    across = base - 4 * step + (step - 20) / 2
    drawing.arrow((right, across), (left + wide, across), words="a local message:", at=(420, across - 24))
    drawing.text(420, across - 8, "the same code from here", size=11, faint=True)
    return drawing


# --- the life of a process --------------------------------------------------------------------------------------
def process() -> Drawing:
    drawing = Drawing(940, 445, "The life of a process")
    box, arrow = drawing.box, drawing.arrow
    box(30, 60, 190, 60, "new", "init runs as the process,", "on its starter's greenlet")
    box(300, 60, 180, 60, "idle", "a handler: no greenlet", "a function: parked", fill="plain")
    box(570, 60, 180, 60, "ready", "in the scheduler's queue", fill="edge")
    box(570, 200, 180, 60, "running", "a slice: bounded in", "messages and in time", fill="user")
    box(300, 200, 180, 60, "waiting", "receive, call, sleep, I/O:", "keeps its greenlet", fill="edge")
    box(
        300,
        360,
        250,
        64,
        "ended",
        "reason recorded, out of every table,",
        "links and monitors told: in one go",
        fill="end",
    )
    box(
        660,
        360,
        250,
        64,
        "unwound",
        "ProcessKilled in its greenlet, if it",
        "has one: nobody outside can tell",
        fill="end",
    )
    arrow((220, 90), (299, 90), words="started")
    arrow((480, 78), (569, 78), words="a message")
    arrow((660, 120), (660, 199), words="its turn", at=(634, 182))
    arrow((700, 200), (700, 121), words="more mail", at=(734, 150))
    arrow((570, 215), (505, 215), (505, 100), (481, 100), words="no mail left", at=(540, 152))
    arrow((570, 240), (481, 240), words="blocks", at=(526, 256))
    arrow((390, 200), (390, 165), (620, 165), (620, 121), words="woken", at=(430, 160))
    arrow((125, 120), (125, 392), (299, 392), words="init raises, stops, ignores", at=(210, 384))
    arrow((390, 260), (390, 359), words="exit signal, kill", at=(340, 314))
    arrow((660, 260), (660, 310), (480, 310), (480, 359), words="returns, stops,", at=(711, 280))
    drawing.text(672, 296, "raises anything, is killed", size=11, faint=True, anchor="start")
    arrow((550, 392), (659, 392), words="afterwards")
    drawing.text(30, 34, "Whatever raises: the end is told first, reported afterwards; exactly one DOWN per monitor.",
                 size=14, bold=True, anchor="start")  # fmt: skip
    return drawing


DRAWINGS = {"floors": floors, "message": message, "process": process}


def main() -> None:
    (HERE / "figures").mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        (HERE / "figures" / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
