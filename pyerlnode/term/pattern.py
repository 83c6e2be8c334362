"""Patterns for a selective receive: `compile_pattern` makes a predicate of messages.

A pattern is `ANY`, a type, a tuple or a list of patterns, a predicate, or a term that must be equal and of the same type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class _Any:
    """The pattern that matches every term."""

    def __repr__(self) -> str:
        return "ANY"


ANY = _Any()


def compile_pattern(pattern: Any) -> Callable[[Any], bool]:
    """A predicate that tells whether a term matches `pattern`."""
    if pattern is ANY:
        return lambda _: True
    if isinstance(pattern, type):
        return lambda term: type(term) is pattern
    if isinstance(pattern, (tuple, list)):
        kind, parts = type(pattern), [compile_pattern(part) for part in pattern]
        size = len(parts)
        return lambda term: (
            type(term) is kind and len(term) == size and all(part(x) for part, x in zip(parts, term, strict=True))
        )
    if callable(pattern):
        return lambda term: bool(pattern(term))
    return lambda term: type(term) is type(pattern) and term == pattern


def match(pattern: Any, term: Any) -> bool:
    return compile_pattern(pattern)(term)
