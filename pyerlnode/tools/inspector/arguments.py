"""What the commands that look into a node take; their modules are imported when they run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

Command = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

RANKED = ("memory", "reductions", "queue", "binary", "heap", "stack")


def runs(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        status: int = getattr(import_module(f"pyerlnode.tools.inspector.{module}"), function)(args)
        return status

    return run


def whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 10000")
    return int(text)


def add(command: Command, node: Callable[[argparse.ArgumentParser], None]) -> None:
    """Each command, by the function that makes one and the one that gives it the options of a connection."""

    def look(name: str, module: str, help: str, limit: int = 0) -> argparse.ArgumentParser:
        made = command(name, runs(module, name), help)
        node(made)
        if limit:
            made.add_argument("--limit", type=whole, default=limit, metavar="N", help=f"rows; default: {limit}")
        return made

    look("info", "node", "Versions, uptime, memory, and how near a node is to its limits.")
    look("nodes", "node", "The cluster as a node sees it: who sees whom, hidden nodes, traffic.", 100)

    top = look("top", "processes", "The processes of a node with the most memory, reductions, messages, …", 20)
    top.add_argument("--by", choices=RANKED, default="memory", help="default: memory")
    top.add_argument("--window", type=float, default=0.0, metavar="SECONDS", help="rank by what is added in that time")
    top.add_argument("--match", default="", metavar="TEXT", help="only those whose application, module, name or label "
                     "contains TEXT")  # fmt: skip
    top.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N")

    proc = look("proc", "processes", "One process: what it is, does and is tied to, and its stack.", 50)
    _who(proc)

    mailbox = look(
        "mailbox", "processes", "The messages that wait at a process: how many, the first, their shapes.", 10
    )
    _who(mailbox)
    mailbox.add_argument("--force", action="store_true", help="look into one of more than 10000 messages, too")


def _who(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "process", metavar="PROCESS", help="'<0.858.0>', '#PID<0.858.0>', or a name: kernel_sup, MyApp.Repo"
    )
