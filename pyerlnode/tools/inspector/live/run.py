"""Runs a live view: draws it, waits for what is next, and lets `view_core` say what comes of it."""

from __future__ import annotations

import argparse
import os
import queue
import sys
import time
from contextlib import closing
from dataclasses import replace

from pyerlnode.facade import whole
from pyerlnode.inspect import Cluster
from pyerlnode.term.atom import Atom
from pyerlnode.tools.inspector.live import view_core
from pyerlnode.tools.inspector.live.asked_core import Page, Words
from pyerlnode.tools.inspector.live.asker import Asker, Failure
from pyerlnode.tools.inspector.live.terminal import Terminal, palette
from pyerlnode.tools.inspector.live.top_core import Top
from pyerlnode.tools.inspector.live.tree_core import Tree
from pyerlnode.tools.inspector.live.view_core import View
from pyerlnode.tools.remote import connected

SHORTEST = 0.2
"""Seconds between two looks at least."""


def possible(args: argparse.Namespace) -> bool:
    """Whether the command is to be a live view: at a terminal, where nobody asked for its lines."""
    if args.once or args.json or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


def top(args: argparse.Namespace) -> int:
    """The processes of a node, as they change."""
    page = Top(by=args.by, added=args.window > 0, match=args.match)
    return _run(args, page, args.window or 1.0)


def tree(args: argparse.Namespace) -> int:
    """The supervision trees of a node, as they change."""
    return _run(args, Tree(_words(args), args.root, args.limit, args.depth), 2.0)


def _words(args: argparse.Namespace) -> Words:
    return Words("elixir" if args.elixir else "erlang", Atom(whole(args.node)))


def _run(args: argparse.Namespace, page: Page, interval: float) -> int:
    colours = palette()
    with (
        connected(args) as link,
        Cluster(link, timeout=args.timeout, read_only=args.read_only) as cluster,
        closing(Terminal(colours)) as screen,
        closing(Asker(cluster, args.node, screen.wake)) as asker,
        screen,
    ):
        interval = max(SHORTEST, interval)
        _live(View(args.node, _words(args), screen.size, (page,), interval, args.read_only), screen, asker)
    return 0


def _live(view: View, screen: Terminal, asker: Asker) -> None:
    while not view.left:
        now = time.monotonic()
        if screen.resized:
            screen.forget()
            view = replace(view, size=screen.size)
        wait = view_core.due(view, now)
        if wait == 0.0:
            question = view_core.wanted(view)
            view = view_core.began(view, question, now)
            asker.ask(question)
        screen.draw(view_core.lines(view, now), view.size)
        # While an answer is waited for, the screen says for how long.
        for key in screen.keys(view_core.SLOW if view.asked is not None else wait):
            view = view_core.press(view, key)
        view = _answered(view, asker)


def _answered(view: View, asker: Asker) -> View:
    while True:
        try:
            answer = asker.answers.get_nowait()
        except queue.Empty:
            return view
        now = time.monotonic()
        if isinstance(answer, Failure):
            if answer.error is not None:
                raise answer.error
            view = view_core.failed(view, answer.question, answer.why, now)
        else:
            view = view_core.answered(view, answer, now)
