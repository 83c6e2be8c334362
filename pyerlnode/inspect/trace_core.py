"""Calls that are traced: what is asked for, within which bounds, and what is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

ERLANG = re.compile(r"('?)(?P<module>[^:']+)\1:('?)(?P<function>.+?)\3(?:/(?P<arity>\d{1,3}))?")
ELIXIR = re.compile(r"(?P<module>[A-Z]\w*(?:\.[A-Z]\w*)*)\.(?P<function>[^/.]+?)(?:/(?P<arity>\d{1,3}))?")
MOST = 10_000
"""The most events, in all and in a second."""
ENDS = {
    "count": "as many events as were asked for",
    "rate": "too many in one second",
    "time": "the time is over",
    "gone": "there is no such process",
    "none": "there is no such function",
    "taken": "somebody else traces it",
}
"""Why a trace has ended."""


@dataclass(frozen=True, slots=True)
class Event:
    """A ``call`` with the text of its arguments, or a ``return`` with its value; `at` in seconds of the epoch."""

    pid: Pid
    kind: str
    text: str
    at: float


def read_mfa(text: str) -> tuple[Atom, Atom, Any]:
    """``lists:reverse/1``, ``MyApp.Server.init/1``, or without an arity for all."""
    if found := ELIXIR.fullmatch(text):
        module = f"Elixir.{found['module']}"
    elif found := ERLANG.fullmatch(text):
        module = found["module"]
    else:
        raise UsageError(f"{text!r} is not a function: give lists:reverse/1 or MyApp.Server.init/1")
    arity = found["arity"]
    return Atom(module), Atom(found["function"]), A["_"] if arity is None else int(arity)


def question(mfa: str, who: Any, *, count: int, rate: int, seconds: float, size: int, returns: bool) -> dict[Atom, Any]:
    module, function, arity = read_mfa(mfa)
    if not (0 < count <= MOST and 0 < rate <= MOST and 0 < seconds <= 3600 and 0 < size <= 100_000):
        raise UsageError(f"a trace has at most {MOST} events, {MOST} a second, an hour, and 100000 characters of each")
    return {
        A.module: module,
        A.function: function,
        A.arity: arity,
        A.who: who,
        A.count: count,
        A.rate: rate,
        A.time: max(1, round(seconds * 1000)),
        A.size: size,
        A.returns: returns,
    }


def event(pid: Pid, kind: Atom, text: bytes, stamp: tuple[int, int, int]) -> Event:
    mega, seconds, micro = stamp
    return Event(pid, kind.name, text.decode("utf-8", "replace"), mega * 1e6 + seconds + micro / 1e6)
