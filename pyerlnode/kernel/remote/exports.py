"""What other nodes may call: the functions that the program exported, and nothing else.

Erlang's distribution lets any peer run any function. Here a name that was not exported does not exist: the caller gets
`undef`, whatever modules this program has loaded. Names are looked up in one dict; nothing is imported, no attribute is
followed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from types import FunctionType
from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import UsageError
from pyerlnode.term.atom import Atom


@dataclass(frozen=True, slots=True)
class Export:
    """One function, and the numbers of arguments that it takes."""

    function: Callable[..., Any]
    least: int
    most: float


class Exports:
    """The table of one node: (module, function) to `Export`."""

    def __init__(self) -> None:
        self._table: dict[tuple[Atom, Atom], Export] = {}

    def add(
        self, module: str | Atom, function: Callable[..., Any], name: str | Atom | None = None, keywords: bool = False
    ) -> None:
        """Export `function` as ``module:name/arity``; `name` is the function's own unless given."""
        if not callable(function):
            raise UsageError(f"export wants a function, not {type(function).__name__}")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise UsageError(f"{short(function)} is `async def`, and nothing here awaits it: export it by aio.Cluster")
        name = getattr(function, "__name__", "<lambda>") if name is None else name
        if name == "<lambda>":
            raise UsageError("a function without a name of its own is exported with name=…")
        if keywords:
            function = by_keywords(function)
        least, most = arity(function)
        self._table[Atom(str(module)), Atom(str(name))] = Export(function, least, most)

    def add_all(self, module: str | Atom, functions: Mapping[str, Callable[..., Any]], keywords: bool = False) -> None:
        for name, function in functions.items():
            self.add(module, function, name, keywords)

    def remove(self, module: str | Atom, name: str | Atom) -> None:
        self._table.pop((Atom(str(module)), Atom(str(name))), None)

    def find(self, module: Any, name: Any, count: int) -> Callable[..., Any] | None:
        """The function that answers ``module:name/count``, None when there is none."""
        if type(module) is not Atom or type(name) is not Atom:
            return None
        found = self._table.get((module, name))
        return found.function if found is not None and found.least <= count <= found.most else None

    def functions(self, module: Any) -> list[tuple[Atom, int]]:
        """``module_info(exports)``: each name with its least arity."""
        return [(name, export.least) for (owner, name), export in self._table.items() if owner is module]


def by_keywords(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` for callers that give keyword arguments: its last argument is a keyword list, or a map of atoms.

    It takes at least that one: ``predict(x, *, best=1)`` is ``predict/2``, and ``[x, [best: 3]]`` its arguments. What
    is neither raises `TypeError`, as a keyword that `function` does not have.
    """
    most = 1.0
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = inf
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1

    @functools.wraps(function)
    def called(*args: Any) -> Any:
        return function(*args[:-1], **_keywords(args[-1]))

    called.__arity__ = 1, most  # type: ignore[attr-defined]
    return called


def _keywords(term: Any) -> dict[str, Any]:
    pairs = term.items() if isinstance(term, Mapping) else term
    if type(term) is list or isinstance(term, Mapping):
        made = {}
        for pair in pairs:
            if type(pair) is not tuple or len(pair) != 2 or type(pair[0]) is not Atom:
                break
            if pair[0].name in made:  # of a keyword list the first one counts, as in Elixir
                continue
            made[pair[0].name] = pair[1]
        else:
            return made
    raise TypeError("the last argument is to be a keyword list, or a map with atoms as keys")


def arity(function: Callable[..., Any]) -> tuple[int, float]:
    """The least and the greatest number of positional arguments."""
    if type(function) is FunctionType and "__arity__" in vars(function):  # of `by_keywords`
        given: tuple[int, float] = vars(function)["__arity__"]
        return given
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return 0, inf
    least, most = 0, 0.0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = inf
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1
            least += parameter.default is parameter.empty
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise UsageError(f"{short(function)} can not be exported: {parameter.name} must be given by keyword")
    return least, most
