"""Patterns for selective receive and for scans of a mailbox: what matches, and predicates that tell it fast.

    >>> from pyerlnode.term import A
    >>> from pyerlnode.term.pattern import ANY, compile_pattern, match
    >>> match((A.ok, int), (A.ok, 1))
    True
    >>> is_down = compile_pattern((A.DOWN, ANY, A.process, ANY, ANY))
    >>> is_down((A.DOWN, 1, A.process, 2, A.normal))
    True

The law. A pattern is

- `ANY`: every term;
- a type, or a union of types (``int | float``): values of it; `int` does not match True;
- a tuple or a list of patterns: one of the same size, element by element;
- a dict: a map that has these keys, each with a value that matches, as a map pattern in Erlang (``{}``: any map);
- a predicate (a function): whatever it calls true;
- any other term: that very term, as by ``=:=``: 1 matches neither 1.0 nor True, an atom matches no text.

To bind names use Python's own ``match`` on what was received.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any

from pyerlnode.term.atom import Atom
from pyerlnode.term.order import identical
from pyerlnode.term.pid import Pid, Port, Reference
from pyerlnode.term.view import CORE

Predicate = Callable[[Any], bool]


class _Any:
    """The pattern that matches every term."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ANY"


ANY = _Any()


def match(pattern: Any, term: Any) -> bool:
    """Whether `term` matches `pattern`; to match many terms, compile the pattern once."""
    return compile_pattern(pattern)(term)


def compile_pattern(pattern: Any) -> Predicate:
    """A predicate that tells whether a term matches `pattern`."""
    if pattern is ANY:
        return lambda _term: True
    kind = type(pattern)
    if isinstance(pattern, (type, UnionType)):
        return _of_type(pattern)
    if kind is tuple or kind is list:
        return _sequence(kind, pattern)
    if kind is dict:
        return _mapping(pattern)
    if callable(pattern) and kind not in CORE:
        return lambda term: bool(pattern(term))
    return _exactly(pattern)


def _of_type(wanted: type | UnionType) -> Predicate:
    if wanted is bool or not isinstance(True, wanted):
        return lambda term: isinstance(term, wanted)
    if isinstance(wanted, UnionType) and bool in wanted.__args__:
        return lambda term: isinstance(term, wanted)
    if wanted is object:
        return lambda _term: True
    return lambda term: isinstance(term, wanted) and type(term) is not bool


def _exactly(pattern: Any) -> Predicate:
    kind = type(pattern)
    if kind is Atom or kind is bool or pattern is None:
        return lambda term: term is pattern
    if kind in (int, bytes, Pid, Reference, Port):
        return lambda term: type(term) is kind and bool(term == pattern)
    return lambda term: type(term) is kind and identical(pattern, term)


def _sequence(kind: type, pattern: Any) -> Predicate:
    """Atoms first, as they tell most messages apart and cost least to look at; what matches anything is not asked."""
    size = len(pattern)
    atoms = [(at, part) for at, part in enumerate(pattern) if type(part) is Atom]
    others = [(at, part) for at, part in enumerate(pattern) if type(part) is not Atom and part is not ANY]
    parts = [(at, compile_pattern(part)) for at, part in others]

    def matches(term: Any) -> bool:
        if not isinstance(term, kind) or len(term) != size:  # type: ignore[arg-type]  # a tuple or a list has a size
            return False
        for at, atom in atoms:
            if term[at] is not atom:  # type: ignore[index]
                return False
        for at, part in parts:  # noqa: SIM110  # a loop is faster than all() of a generator, and this runs per message
            if not part(term[at]):  # type: ignore[index]
                return False
        return True

    return matches


def _mapping(pattern: dict[Any, Any]) -> Predicate:
    wanted = [(key, compile_pattern(part)) for key, part in pattern.items()]

    def matches(term: Any) -> bool:
        if not isinstance(term, Mapping):
            return False
        for key, part in wanted:
            if key not in term or not part(term[key]) or not _holds_exactly(term, key):
                return False
        return True

    return matches


def _holds_exactly(term: Mapping[Any, Any], key: Any) -> bool:
    """Python finds the key 1 under 1.0 and True; Erlang does not. Atoms and binaries have no such doubles."""
    if type(key) in (Atom, bytes):
        return True
    return any(identical(key, found) for found in term if found == key)
