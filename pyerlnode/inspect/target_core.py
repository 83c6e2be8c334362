"""A process as an operator writes it: a pid as Erlang, Elixir or RabbitMQ print it, or a registered name.

    >>> from pyerlnode.inspect.target_core import read_target
    >>> read_target("#PID<0.858.0>", "app@host")
    (A.pid, b'<0.858.0>', A.any)
    >>> read_target("MyApp.Repo", "app@host")
    (A.name, A['Elixir.MyApp.Repo'])

A pid is read relative to the node that is asked, as `list_to_pid/1` there reads it. RabbitMQ's form has the creation,
too, so the pid of an earlier life of the node is told from one of this.
"""

from __future__ import annotations

import re
from typing import Any

from pyerlnode.errors import TermSyntaxError, UsageError
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid
from pyerlnode.term.text import format_term, parse_identifier, parse_term

PID = re.compile(r"(?:#PID)?<?(\d+)\.(\d+)\.(\d+)>?", re.ASCII)
WITH_NODE = re.compile(r"(?:#PID)?<[^@]+@.+>", re.ASCII)
ALIAS = re.compile(r"[A-Z]\w*(\.[A-Z]\w*)*", re.ASCII)


def read_target(what: Any, node: str) -> tuple[Any, ...]:
    """What the session on `node` finds the process `what` by. Raises `UsageError` when it can be none of that node."""
    if isinstance(what, Pid):
        _of(str(what.node.name), node, str(what))
        return A.term, what
    if isinstance(what, Atom):
        return A.name, what
    if not isinstance(what, str):
        raise UsageError(f"a process is a pid, an atom or a text, not {type(what).__name__}")
    text = what.strip()
    if found := PID.fullmatch(text):
        if found[1] != "0":
            raise UsageError(f"{text} is a process of another node than the one that printed it: ask that node")
        return A.pid, f"<0.{found[2]}.{found[3]}>".encode(), A.any
    if WITH_NODE.fullmatch(text):
        try:
            pid = parse_identifier(text, node)
        except TermSyntaxError as error:
            raise UsageError(str(error)) from None
        _of(pid.node.name, node, text)
        if isinstance(pid, Pid):
            return A.pid, f"<0.{pid.id}.{pid.serial}>".encode(), pid.creation or A.any
    return A.name, _name(text)


def _of(owner: str, node: str, text: str) -> None:
    if owner != node:
        raise UsageError(f"{text} is a process of {owner}, not of {node}: ask {owner}")


def _name(text: str) -> Atom:
    if ALIAS.fullmatch(text):
        return Atom(text if text.startswith("Elixir.") else f"Elixir.{text}")
    if len(text) > 2 and text[0] == text[-1] == "'":
        try:
            term = parse_term(text)
        except TermSyntaxError as error:
            raise UsageError(f"{text} is not a name: {error}") from None
        if isinstance(term, Atom):
            return term
    if not text or text[0] in "<#{[":
        raise UsageError(f"{text!r} is not a process: give <0.858.0>, #PID<0.858.0>, a name or Elixir's MyApp.Name")
    return Atom(text[1:] if text[0] == ":" and len(text) > 1 else text)


def told(what: Any) -> str:
    """`what` in a message."""
    return what if isinstance(what, str) else format_term(what, width=0)
