"""What the commands that look into a node take; their modules are imported when they run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

Command = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
Look = Callable[..., argparse.ArgumentParser]
"""Makes a command by its name, its module here, its help and, where it prints rows, how many."""

RANKED = ("memory", "reductions", "queue", "binary", "heap", "stack")

RENAMED = {"eval": "evaluate", "gc": "collect"}
"""Commands whose function has another name."""


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
        made = command(name, runs(module, RENAMED.get(name, name)), help)
        node(made)
        if limit:
            made.add_argument("--limit", type=whole, default=limit, metavar="N", help=f"rows; default: {limit}")
        return made

    look("info", "node", "Versions, uptime, memory, and how near a node is to its limits.")
    look("nodes", "node", "The cluster as a node sees it: who sees whom, hidden nodes, traffic.", 100)
    _processes(look)
    _things(look)
    _snapshots(look)
    _changes(look)


def _processes(look: Look) -> None:
    top = look("top", "processes", "The processes of a node with the most memory, reductions, messages, …", 20)
    top.add_argument("--by", choices=RANKED, default="memory", help="default: memory")
    top.add_argument("--window", type=float, default=0.0, metavar="SECONDS", help="rank by what is added in that time")
    top.add_argument("--match", default="", metavar="TEXT", help="only those whose application, module, name or label "
                     "contains TEXT")  # fmt: skip
    top.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N")
    _live(top)

    _who(look("proc", "processes", "One process: what it is, does and is tied to, and its stack.", 50))

    mailbox = look(
        "mailbox", "processes", "The messages that wait at a process: how many, the first, their shapes.", 10
    )
    _who(mailbox)
    mailbox.add_argument("--force", action="store_true", help="look into one of more than 10000 messages, too")

    state = look("state", "processes", "The state of an OTP process, having looked at its queue and status first.")
    _who(state)
    state.add_argument("--status", action="store_true", help="sys:get_status rather than sys:get_state")
    state.add_argument("--force", action="store_true", help="ask one with 1000 messages, or none of OTP's, too")


def _things(look: Look) -> None:
    tree = look("tree", "things", "Applications and their supervisors, asked in parallel.", 20)
    tree.add_argument("root", nargs="?", metavar="ROOT", help="an application, or a supervisor: a pid or a name")
    tree.add_argument("--depth", type=whole, default=20, metavar="N", help="levels; default: 20")
    _live(tree)

    look("apps", "things", "Applications that are loaded, whether they run, and how many processes each has.")
    ets = look("ets", "things", "The largest tables.", 20)
    ets.add_argument("--by", choices=("memory", "size"), default="memory", help="default: memory")
    ets.add_argument("--match", default="", metavar="TEXT", help="only those whose name contains TEXT")
    ports = look("ports", "things", "Ports and sockets: what waits, what came and went, addresses.", 20)
    ports.add_argument("--by", choices=("queue", "input", "output", "memory"), default="queue", help="default: queue")
    sched = look("sched", "things", "How busy the schedulers are.")
    stuck = look("stuck", "things", "Processes that do not move: messages wait at them, or they wait in a call.", 20)
    for made in (sched, stuck):
        made.add_argument("--window", type=float, default=1.0, metavar="SECONDS", help="to look for; default: 1")
    find = look("find", "things", "Processes whose application, module, name or label contains a text.", 20)
    find.add_argument("text", metavar="TEXT")


def _snapshots(look: Look) -> None:
    record = look("record", "snapshots", "A snapshot of a node in a file, for `diff`.")
    record.add_argument("file", metavar="FILE", help="the file to write; - prints it")
    diff = look("diff", "snapshots", "What has changed on a node since a snapshot.", 20)
    diff.add_argument("file", metavar="FILE", help="what `record` wrote")


def _changes(look: Look) -> None:
    trace = look("trace", "changes", "Calls of a function, within bounds. It costs what is traced: needs --yes.")
    trace.add_argument("function", metavar="M:F/A", help="lists:reverse/1, MyApp.Server.init/1, or without /A for all")
    trace.add_argument("--process", metavar="PROCESS", help="only its calls")
    trace.add_argument("--count", type=whole, default=10, metavar="N", help="end after N events; default: 10")
    trace.add_argument(
        "--rate", type=whole, default=100, metavar="N", help="end when more than N come in one second; default: 100"
    )
    trace.add_argument(
        "--seconds", type=float, default=10.0, metavar="SECONDS", help="end after that time; default: 10"
    )
    trace.add_argument("--size", type=whole, default=400, metavar="N", help="characters of each; default: 400")
    trace.add_argument("--returns", action="store_true", help="what the calls give, too")

    evaluate = look("eval", "changes", "Evaluate Erlang on a node. It may do anything: needs --yes.")
    evaluate.add_argument("source", metavar="SOURCE", help="'lists:sum([1, 2]).'")
    kill = look("kill", "changes", "exit(PROCESS, kill): needs --yes.")
    collect = look("gc", "changes", "Collect the garbage of a process: needs --yes.")
    for made in (kill, collect):
        _who(made)
    for made in (trace, evaluate, kill, collect):
        made.add_argument("--yes", action="store_true", help="yes, do it")


def _live(made: argparse.ArgumentParser) -> None:
    made.add_argument("--once", action="store_true", help="print once, at a terminal too, where it is a live view")
    made.add_argument("--read-only", action="store_true", help="a live view that does not kill")


def _who(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "process", metavar="PROCESS", help="'<0.858.0>', '#PID<0.858.0>', or a name: kernel_sup, MyApp.Repo"
    )
