"""How a command that looks into a node starts and ends, and what all of them print alike."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyerlnode.inspect import Cluster, RemoteNode
from pyerlnode.inspect.text_core import mfa
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid, Port, Reference
from pyerlnode.term.text import Style, format_term
from pyerlnode.tools.output import Output, jsonable
from pyerlnode.tools.remote import connected, release_of


@contextmanager
def inspected(args: argparse.Namespace, *, read_only: bool = True) -> Iterator[tuple[RemoteNode, Face]]:
    """The node that is asked, and how its answers are printed."""
    with connected(args) as link, Cluster(link, timeout=args.timeout, read_only=read_only) as cluster:
        yield cluster.node(args.node), Face(args, release_of(link, args))


class Face:
    """Prints what a node answered, as `args` say."""

    def __init__(self, args: argparse.Namespace, release: int) -> None:
        self.style: Style = "elixir" if args.elixir else "erlang"
        self.release = release
        self.output = Output(json_=args.json, style=self.style, release=release)
        self.node = Atom(args.node)

    def term(self, term: Any, limit: int | None = None) -> str:
        """A term on one line; pids of the node that was asked as that node prints them."""
        return format_term(term, style=self.style, width=0, limit=limit, node=self.node, release=self.release)

    def pretty(self, term: Any) -> str:
        """A term in lines of at most 80 characters."""
        return format_term(term, style=self.style, node=self.node, release=self.release)

    def pids(self, items: Any) -> str:
        return " ".join(self.term(item) for item in items)

    def document(self, answer: Any, **fields: Any) -> None:
        """The document of `--json`: the fields of a dataclass, pids and functions as text."""
        if self.output.json:
            self.output.document(ok=True, **self.json(answer), **fields)

    def more(self, cut: int, how: str = "--limit shows more") -> None:
        """Say that an answer was cut."""
        if cut > 0:
            self.output.line(self.output.paint(f"… {cut} more ({how})", "dim"))

    def json(self, value: Any) -> Any:
        """The JSON form of an answer or of a part of it."""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            made = {field.name: self.json(getattr(value, field.name)) for field in dataclasses.fields(value)}
            cut = getattr(value, "cut", None)  # how much more there is, where an answer can be cut
            return {**made, "cut": cut} if isinstance(cut, int) else made
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: self.json(item) for key, item in value.items()}
        match value:
            case (Atom(), Atom(), int()):
                return mfa(value, self.style)
            case tuple() | list():
                return [self.json(item) for item in value]
            case Pid() | Port() | Reference():
                return self.term(value)
        return jsonable(value)
