"""A smaller script that still fails: parts of its lists and maps are left out, while it does."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

TRIES = 400
"""How many scripts are tried at most."""


def shrunk(script: Any, fails: Callable[[list[Any]], list[bool]], tries: int = TRIES) -> Any:
    """`fails` tells of each of some scripts whether it does; asked for many at once, as they run in parallel."""
    while tries > 0:
        smaller = list(smallest_first(script, tries))
        found = None
        for at in range(0, len(smaller), 16):
            some = smaller[at : at + 16]
            tries -= len(some)
            found = next((one for one, failed in zip(some, fails(some), strict=True) if failed), None)
            if found is not None:
                break
        if found is None:
            return script
        script = found
    return script


def smallest_first(script: Any, most: int) -> Iterator[Any]:
    for count, smaller in enumerate(variants(script)):
        if count >= most:
            return
        yield smaller


def variants(term: Any) -> Iterator[Any]:  # noqa: C901  # one kind of term behind the other
    """`term` with less in it: half of a list, a list without an item, a map without a key; tuples keep their size."""
    if isinstance(term, list) and term:
        half = len(term) // 2
        if half:
            yield term[half:]
            yield term[:half]
        for index in range(len(term)):
            yield [*term[:index], *term[index + 1 :]]
    if isinstance(term, Mapping):
        pairs = list(term.items())
        for index in range(len(pairs)):
            yield type(term)([*pairs[:index], *pairs[index + 1 :]])
        for index, (key, value) in enumerate(pairs):
            for smaller in variants(value):
                yield type(term)([*pairs[:index], (key, smaller), *pairs[index + 1 :]])
    if type(term) in (list, tuple):
        for index, part in enumerate(term):
            for smaller in variants(part):
                yield type(term)([*term[:index], smaller, *term[index + 1 :]])
